package wire

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/miekg/dns"
)

// MaxName is the longest a name may be on the wire, root label included (RFC 1035 §2.3.4).
const MaxName = 255

// maxLabels is the most labels a name of MaxName octets can have, the root not counted.
const maxLabels = 127

// Name is a domain name in uncompressed wire form, root label included, in the case it was received in.
// Functions take it as read-only; a Name that came from a Reader is valid until its next call.
type Name []byte

// ErrName is the error of a name that is not well formed.
var ErrName = errors.New("malformed name")

// ParseName returns the wire form of a name in presentation form (RFC 1035 §5.1); a missing final dot is added.
func ParseName(s string) (Name, error) {
	var buf [MaxName + 1]byte
	if _, ok := dns.IsDomainName(s); !ok {
		return nil, fmt.Errorf("%w: %q", ErrName, s)
	}
	n, err := dns.PackDomainName(dns.Fqdn(s), buf[:], 0, nil, false)
	if err != nil || n > MaxName {
		return nil, fmt.Errorf("%w: %q", ErrName, s)
	}
	return bytes.Clone(buf[:n]), nil // of its own length: there is one for every zone
}

// String returns n in presentation form with a final dot.
func (n Name) String() string {
	s, _, err := dns.UnpackDomainName(n, 0)
	if err != nil {
		return fmt.Sprintf("<malformed name %x>", []byte(n))
	}
	return s
}

// Labels returns the number of labels of n, the root not counted.
func (n Name) Labels() int {
	count := 0
	for off := 0; off < len(n) && n[off] != 0; off += int(n[off]) + 1 {
		count++
	}
	return count
}

// Clone returns a copy of n that outlives the message it came from.
func (n Name) Clone() Name { return bytes.Clone(n) }

// Equal reports whether n and o are the same name, whatever their case (RFC 4343).
func (n Name) Equal(o Name) bool {
	if len(n) != len(o) {
		return false
	}
	if bytes.Equal(n, o) {
		return true
	}
	for i := range n {
		if lowered[n[i]] != lowered[o[i]] {
			return false
		}
	}
	return true
}

// Within reports whether n is origin or a name below it.
func (n Name) Within(origin Name) bool {
	_, ok := n.cut(origin)
	return ok
}

// cut returns how many octets of n stand before origin, and whether n ends in origin at a label boundary.
func (n Name) cut(origin Name) (int, bool) {
	want := len(n) - len(origin)
	if want < 0 || !n[want:].Equal(origin) {
		return 0, false
	}
	off := 0
	for off < want {
		off += int(n[off]) + 1
	}
	return off, off == want
}

// AppendLower appends n with its ASCII letters in lower case (RFC 4034 §6.2).
func AppendLower(dst []byte, n Name) []byte {
	for _, b := range n {
		dst = append(dst, lowered[b])
	}
	return dst
}

// lowered maps an octet to its lower case. Label lengths are below 'A' (65), so whole names can be mapped octet by octet.
var lowered = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
		if 'A' <= i && i <= 'Z' {
			t[i] = byte(i) + 'a' - 'A'
		}
	}
	return t
}()
