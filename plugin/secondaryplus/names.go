package secondaryplus

import (
	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// unescaped has the octets that stand for themselves in presentation form (RFC 1035 §5.1), as miekg/dns writes it.
var unescaped = func() (t [256]bool) {
	for c := '!'; c <= '~'; c++ {
		t[c] = true
	}
	for _, c := range `."'();@\$` {
		t[c] = false
	}
	return t
}()

// text returns the presentation form of a name with a final dot. It is what Name.String returns, sooner: names without
// escapes, which nearly all are, are copied.
func text(n wire.Name) string {
	var buf [wire.MaxName]byte
	s := buf[:0]
	for off := 0; n[off] != 0; {
		end := off + 1 + int(n[off])
		for _, c := range n[off+1 : end] {
			if !unescaped[c] {
				return n.String()
			}
			s = append(s, c)
		}
		s = append(s, '.')
		off = end
	}
	if len(s) == 0 {
		return "."
	}
	return string(s)
}

// packName writes a name in presentation form, with its final dot, to buf and returns it in wire form; ok is false if it has
// none.
func packName(name string, buf *[wire.MaxName + 1]byte) (_ wire.Name, ok bool) {
	if len(name) < 2 || len(name) >= wire.MaxName {
		return packAny(name, buf)
	}
	label := 0 // where the length of the open label goes
	for i := range len(name) {
		switch c := name[i]; c {
		case '.':
			n := i - label
			if n == 0 || n > 63 {
				return packAny(name, buf)
			}
			buf[label] = byte(n)
			label = i + 1
		case '\\':
			return packAny(name, buf)
		default:
			buf[i+1] = c
		}
	}
	if label != len(name) {
		return packAny(name, buf) // no final dot
	}
	buf[label] = 0
	return buf[: label+1 : label+1], true
}

// packAny is packName for names of every kind.
func packAny(name string, buf *[wire.MaxName + 1]byte) (_ wire.Name, ok bool) {
	n, err := dns.PackDomainName(name, buf[:], 0, nil, false)
	if err != nil || n == 0 || n > wire.MaxName {
		return nil, false
	}
	return buf[:n:n], true
}
