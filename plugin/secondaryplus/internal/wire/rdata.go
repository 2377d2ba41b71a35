package wire

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/miekg/dns"
)

const (
	// maxRDATA is the longest RDATA may be: RDLENGTH has 16 bits (RFC 1035 §3.2.1). Names that were compressed can
	// make it longer than it was in the message.
	maxRDATA = 1<<16 - 1
	// maxValue is the longest value of CAA and URI that miekg/dns packs again (256 escaped octets, and one); a longer
	// one could be stored but never be answered.
	maxValue = 256*4 + 1
)

var errCut = errors.New("ends too early")

// appendRDATA appends the RDATA at msg[off:end] of a record of type rrtype to dst, with every name in it uncompressed
// and in its received case. RDATA that does not have the layout of its type is an error, and so is RDATA that
// uncompressed is longer than 65535 octets; dst then comes back as it was. It allocates only to grow dst.
func appendRDATA(dst, msg []byte, off, end int, rrtype uint16) ([]byte, error) {
	list := layoutOf(rrtype).fields
	if list == nil {
		return append(dst, msg[off:end]...), nil
	}
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
		case kindFixed, kindMayText, kindTexts, kindRest, kindValue, kindCount8, kindCount16, kindTypes, kindParams,
			kindPrefixes, kindHost, kindOptions:
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
	if off != end {
		return dst[:start], fmt.Errorf("%d octets behind its end", end-off)
	}
	if len(dst)-start > maxRDATA {
		return dst[:start], fmt.Errorf("%d octets without compression", len(dst)-start)
	}
	return dst, nil
}

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
// gateway behind them, whose type is the second octet. The D bit of AMTRELAY stands in that octet too and makes it
// undefined here.
func appendGateway(dst, msg []byte, off, end, head int) ([]byte, int, error) {
	if end-off < head {
		return dst, off, errCut
	}
	n := head
	switch msg[off+1] {
	case dns.IPSECGatewayIPv4:
		n += 4
	case dns.IPSECGatewayIPv6:
		n += 16
	case dns.IPSECGatewayHost:
		return appendName(append(dst, msg[off:off+n]...), msg, off+n, end)
	}
	if end-off < n {
		return dst, off, errCut
	}
	return append(dst, msg[off:off+n]...), off + n, nil
}

// length returns how many octets of data, the RDATA from f on without compressed names, are f, and whether they are
// well formed.
func (f field) length(data []byte) (int, error) {
	n := len(data)
	var err error
	switch f.kind {
	case kindFixed:
		n = int(f.arg)
	case kindLower, kindExact:
		n = nameLen(data)
	case kindMayText, kindCount8:
		n, err = f.countedLen(data)
	case kindCount16:
		if n < 2 {
			return 0, errCut
		}
		n = 2 + int(binary.BigEndian.Uint16(data))
	case kindRest:
		n = max(n, int(f.arg))
	case kindValue:
		if n > maxValue {
			err = fmt.Errorf("value of %d octets is more than %d", n, maxValue)
		}
	case kindTexts:
		err = checkTexts(data)
	case kindTypes:
		err = checkTypes(data)
	case kindParams:
		err = checkParams(data)
	case kindPrefixes:
		err = checkPrefixes(data)
	case kindHost:
		n, err = hostLen(data)
	case kindOptions:
		err = checkOptions(data)
	case kindNames, kindGateway: // they take all that is left
	}
	if err == nil && n > len(data) {
		err = errCut
	}
	return n, err
}

// countedLen returns the length of a field that begins with an octet of length; the field may be longer than data.
func (f field) countedLen(data []byte) (int, error) {
	switch {
	case len(data) == 0 && f.kind == kindMayText:
		return 0, nil
	case len(data) == 0:
		return 0, errCut
	case data[0] < f.arg:
		return 0, fmt.Errorf("field of %d octets is too short", data[0])
	}
	return 1 + int(data[0]), nil
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

// checkTexts reports what is wrong with one or more character-strings (RFC 1035 §3.3.14).
func checkTexts(data []byte) error {
	if len(data) == 0 {
		return errCut
	}
	for len(data) > 0 {
		n := 1 + int(data[0])
		if n > len(data) {
			return errCut
		}
		data = data[n:]
	}
	return nil
}

// checkTypes reports what is wrong with a type bitmap (RFC 4034 §4.1.2). It may be empty, as it may in NSEC3 and CSYNC.
func checkTypes(data []byte) error {
	for last := -1; len(data) > 0; {
		if len(data) < 2 {
			return errCut
		}
		window, n := int(data[0]), int(data[1])
		switch {
		case window <= last:
			return fmt.Errorf("window %d of the type bitmap follows window %d", window, last)
		case n < 1 || n > 32:
			return fmt.Errorf("window %d of the type bitmap has %d octets", window, n)
		case 2+n > len(data):
			return errCut
		case data[1+n] == 0:
			return fmt.Errorf("window %d of the type bitmap ends in a zero octet", window)
		}
		last, data = window, data[2+n:]
	}
	return nil
}

// checkParams reports what is wrong with SvcParams (RFC 9460 §2.2). Whether the parameters go together is a matter
// between client and service, as in alias mode (RFC 9460 §2.4.2), where they are ignored.
func checkParams(data []byte) error {
	for last := -1; len(data) > 0; {
		if len(data) < 4 {
			return errCut
		}
		key, n := int(binary.BigEndian.Uint16(data)), int(binary.BigEndian.Uint16(data[2:]))
		switch {
		case key <= last:
			return fmt.Errorf("SvcParamKey %d follows %d", key, last)
		case key == 1<<16-1:
			return errors.New("SvcParamKey 65535 is not to be used") // RFC 9460 §14.3.2: reserved
		case 4+n > len(data):
			return errCut
		case !paramValid(dns.SVCBKey(key), data[4:4+n]):
			return fmt.Errorf("malformed value of SvcParamKey %d", key)
		}
		last, data = key, data[4+n:]
	}
	return nil
}

// paramValid reports whether value has the format that key asks for.
func paramValid(key dns.SVCBKey, value []byte) bool {
	n := len(value)
	switch key {
	case dns.SVCB_MANDATORY: // RFC 9460 §8: keys in ascending order, itself (0) not among them
		last := uint16(0)
		for i := 0; i+2 <= n; i += 2 {
			listed := binary.BigEndian.Uint16(value[i:])
			if listed <= last {
				return false
			}
			last = listed
		}
		return n > 0 && n%2 == 0
	case dns.SVCB_ALPN: // RFC 9460 §7.1.1: one or more identifiers, none of them empty
		for len(value) > 0 {
			end := 1 + int(value[0])
			if end == 1 || end > len(value) {
				return false
			}
			value = value[end:]
		}
		return n > 0
	case dns.SVCB_NO_DEFAULT_ALPN, dns.SVCB_OHTTP: // RFC 9460 §7.1.1, RFC 9540 §4: no value
		return n == 0
	case dns.SVCB_PORT: // RFC 9460 §7.2
		return n == 2
	case dns.SVCB_IPV4HINT: // RFC 9460 §7.3
		return n > 0 && n%4 == 0
	case dns.SVCB_IPV6HINT: // RFC 9460 §7.3
		for i := 0; i+16 <= n; i += 16 {
			if bytes.HasPrefix(value[i:], ipv4Mapped) {
				return false
			}
		}
		return n > 0 && n%16 == 0
	case dns.SVCB_ECHCONFIG, dns.SVCB_DOHPATH: // for TLS and HTTP to judge
	}
	return true
}

// ipv4Mapped begins the IPv6 addresses that stand for an IPv4 address (RFC 4291 §2.5.5.2).
var ipv4Mapped = []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF}

// checkPrefixes reports what is wrong with the items of an APL record (RFC 3123 §4). There may be none.
func checkPrefixes(data []byte) error {
	for len(data) > 0 {
		if len(data) < 4 {
			return errCut
		}
		var size int
		switch family := binary.BigEndian.Uint16(data); family {
		case 1:
			size = 4
		case 2:
			size = 16
		default:
			return fmt.Errorf("APL address family %d is not known", family)
		}
		n := int(data[3] & 0x7F) // the top bit is the negation flag
		switch {
		case int(data[2]) > 8*size || n > size:
			return fmt.Errorf("APL prefix /%d with %d octets", data[2], n)
		case 4+n > len(data):
			return errCut
		case n > 0 && data[3+n] == 0:
			return errors.New("APL address ends in a zero octet") // RFC 3123 §4.1: not to be sent
		}
		data = data[4+n:]
	}
	return nil
}

// hostLen returns the length of HIT and public key with the numbers before them (RFC 8005 §5); it may be more than data
// has.
func hostLen(data []byte) (int, error) {
	if len(data) < 4 {
		return 0, errCut
	}
	hit, key := int(data[0]), int(binary.BigEndian.Uint16(data[2:]))
	if hit == 0 || key == 0 {
		return 0, errors.New("host identity without a tag or without a key")
	}
	return 4 + hit + key, nil
}

// checkOptions reports whether EDNS options (RFC 6891 §6.1.2) are cut off. Their values are for whom they are meant.
func checkOptions(data []byte) error {
	for len(data) > 0 {
		if len(data) < 4 {
			return errCut
		}
		n := 4 + int(binary.BigEndian.Uint16(data[2:]))
		if n > len(data) {
			return errCut
		}
		data = data[n:]
	}
	return nil
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
