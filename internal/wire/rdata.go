package wire

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/miekg/dns"
)

// maxRDATA is the longest RDATA may be: RDLENGTH has 16 bits (RFC 1035 §3.2.1). Names that were compressed can make it
// longer than it was in the message.
const maxRDATA = 1<<16 - 1

var errCut = errors.New("ends too early")

// appendRDATA appends the RDATA at msg[off:end] of a record of type rrtype to dst, with every name in it uncompressed
// and in its received case, and all else as it is. RDATA that is malformed is an error, and so is RDATA that uncompressed
// is longer than 65535 octets; dst then comes back as it was. It allocates only to grow dst.
func appendRDATA(dst, msg []byte, off, end int, rrtype uint16) ([]byte, error) {
	list := layoutOf(rrtype).fields
	start := len(dst)
	for _, f := range list {
		var err error
		switch f.kind {
		case kindLower, kindExact:
			dst, off, err = appendName(dst, msg, off, end)
		case kindNames:
			dst, off, err = appendNames(dst, msg, off, end)
		case kindGateway:
			dst, off, err = appendGateway(dst, msg, off, end, int(f.arg))
		default:
			var n int
			n, err = f.length(msg[off:end])
			if err == nil {
				dst = append(dst, msg[off:off+n]...)
				off += n
			}
		}
		if err != nil {
			return dst[:start], err
		}
	}
	if off != end && len(list) > 0 && list[len(list)-1].isName() {
		return dst[:start], fmt.Errorf("%d octets behind its end", end-off)
	}
	dst = append(dst, msg[off:end]...)
	if len(dst)-start > maxRDATA {
		return dst[:start], fmt.Errorf("%d octets without compression", len(dst)-start)
	}
	return dst, nil
}

// isName reports whether a field is one name. BIND, Knot and NSD refuse octets behind a name that ends RDATA.
func (f field) isName() bool { return f.kind == kindLower || f.kind == kindExact }

// appendNames appends the names that fill msg[off:end]. It gives up when they outgrow RDATA: two octets of pointer can
// become a name of MaxName, and RDATA has room for many pointers.
func appendNames(dst, msg []byte, off, end int) ([]byte, int, error) {
	start := len(dst)
	for off < end {
		var err error
		dst, off, err = appendName(dst, msg, off, end)
		if err != nil {
			return dst, off, err
		}
		if len(dst)-start > maxRDATA {
			return dst, off, errors.New("names are too long without compression")
		}
	}
	return dst, off, nil
}

// appendGateway appends the head octets at msg[off:end] of IPSECKEY (RFC 4025 §2) or AMTRELAY (RFC 8777 §4.2) and the
// gateway behind them if it is a name. The second octet says so; its top bit is the D bit of AMTRELAY, and undefined in
// IPSECKEY.
func appendGateway(dst, msg []byte, off, end, head int) ([]byte, int, error) {
	n := min(head, end-off)
	dst = append(dst, msg[off:off+n]...)
	gateway := byte(0)
	if n > 1 {
		gateway = msg[off+1]
	}
	if head == amtrelayHead {
		gateway &= 1<<7 - 1
	}
	if gateway != dns.IPSECGatewayHost {
		return dst, off + n, nil
	}
	return appendName(dst, msg, off+n, end)
}

// length returns how many octets of data, the RDATA from f on without compressed names, are f: fewer than it is meant to
// have if data ends before.
func (f field) length(data []byte) (n int, err error) {
	switch f.kind {
	case kindFixed:
		return min(len(data), int(f.arg)), nil
	case kindWhole:
		if len(data) != int(f.arg) {
			err = fmt.Errorf("%d octets; expected are %d", len(data), f.arg)
		}
		return len(data), err
	case kindSome:
		if len(data) == 0 {
			err = errCut
		}
		return 0, err
	case kindLower, kindExact:
		return nameLen(data), nil
	case kindCount8:
		return countedLen(data)
	case kindTexts:
		return sequence(data, countedLen)
	case kindTypes:
		return sequence(data, windowLen)
	case kindParams:
		return sequence(data, paramLen)
	case kindPrefixes:
		return sequence(data, prefixLen)
	case kindHost:
		return hostLen(data)
	case kindNames, kindGateway: // they take all that is left
	}
	return len(data), nil
}

// sequence returns the length of items to the end of data, each as long as length says.
func sequence(data []byte, length func([]byte) (int, error)) (int, error) {
	for off := 0; off < len(data); {
		n, err := length(data[off:])
		if err != nil {
			return 0, err
		}
		off += n
	}
	return len(data), nil
}

// counted returns the length of n octets and the more octets that, as they say, follow them. Callers take what ends before
// it says so as octets.
func counted(data []byte, n, more int) (int, error) {
	if n+more > len(data) {
		return 0, errCut
	}
	return n + more, nil
}

// countedLen returns the length of a field that begins with an octet of length (RFC 1035 §3.3).
func countedLen(data []byte) (int, error) {
	if len(data) == 0 {
		return 0, nil
	}
	return counted(data, 1, int(data[0]))
}

// windowLen returns the length of a window of a type bitmap (RFC 4034 §4.1.2).
func windowLen(data []byte) (int, error) {
	if len(data) < 2 {
		return len(data), nil
	}
	return counted(data, 2, int(data[1]))
}

// paramLen returns the length of a SvcParam (RFC 9460 §2.2).
func paramLen(data []byte) (int, error) {
	if len(data) < 4 {
		return len(data), nil
	}
	return counted(data, 4, int(binary.BigEndian.Uint16(data[2:])))
}

// prefixLen returns the length of an item of APL (RFC 3123 §4). The top bit of its length is the negation flag.
func prefixLen(data []byte) (int, error) {
	if len(data) < 4 {
		return len(data), nil
	}
	return counted(data, 4, int(data[3]&(1<<7-1)))
}

// hostLen returns the length of HIT and public key with the numbers before them (RFC 8005 §5).
func hostLen(data []byte) (int, error) {
	if len(data) < 4 {
		return len(data), nil
	}
	return counted(data, 4, int(data[0])+int(binary.BigEndian.Uint16(data[2:])))
}

// nameLen returns the length of the uncompressed name that data begins with, or all of data if it is cut off.
func nameLen(data []byte) int {
	for off := 0; off < len(data); off += 1 + int(data[off]) {
		if data[off] == 0 {
			return off + 1
		}
	}
	return len(data)
}

// FirstName returns the name that RDATA from a Reader begins with. It is a part of data.
func FirstName(data []byte) Name {
	n := nameLen(data)
	return Name(data[:n:n])
}

// CompareRDATA orders two RDATAs of one type canonically (RFC 4034 §6.3): as octets, with the names in the types listed
// by RFC 4034 §6.2 and RFC 6840 §5.1 in lower case. Both must have come from a Reader. Two RDATAs that compare equal
// belong to the same record.
func CompareRDATA(rrtype uint16, a, b []byte) int {
	l := layoutOf(rrtype)
	for _, f := range l.fields[:l.lower] {
		// The two are equal so far, so what a field of a is, is the same field of b at least up to the first
		// difference.
		n, err := f.length(a)
		if err != nil {
			break
		}
		ours, theirs := a[:n], b[:min(n, len(b))]
		var c int
		if f.kind == kindLower {
			c = compareLower(ours, theirs)
		} else {
			c = bytes.Compare(ours, theirs)
		}
		if c != 0 {
			return c
		}
		a, b = a[n:], b[n:]
	}
	return bytes.Compare(a, b)
}

// compareLower compares a and b as octets in lower case.
func compareLower(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if x, y := lowered[a[i]], lowered[b[i]]; x != y {
			return cmp.Compare(x, y)
		}
	}
	return cmp.Compare(len(a), len(b))
}

// Target returns the name in RDATA from a Reader that an answer follows: to a CNAME's or DNAME's target, or to the
// addresses that go with NS, PTR, MX, SRV, SVCB and HTTPS into the additional section. It is a part of data. Other
// types have none.
func Target(rrtype uint16, data []byte) Name {
	at := 0
	switch rrtype {
	case TypeNS, TypeCNAME, TypeDNAME, dns.TypePTR:
	case TypeMX, TypeSVCB, TypeHTTPS:
		at = 2
	case TypeSRV:
		at = 6
	default:
		return nil
	}
	if len(data) <= at {
		return nil
	}
	end := at + nameLen(data[at:])
	return Name(data[at:end:end])
}
