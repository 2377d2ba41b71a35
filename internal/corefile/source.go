package corefile

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"go4.org/netipx"

	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// Source is a range of addresses that a NOTIFY may come from. It is a plain value.
type Source struct {
	Range netipx.IPRange
	Key   *xfr.Key // the NOTIFY must be signed with it; nil for none
}

// allowNotify reads "allow_notify SOURCE... [key NAME]".
func (r *reader) allowNotify(l line) error {
	words, given, err := l.tail("key")
	if err != nil {
		return err
	}
	if len(words) == 0 {
		return l.Errorf("allow_notify without a source; want %s", l.usage)
	}
	g := r.group
	for _, word := range words {
		source, err := parseSource(word)
		if err != nil {
			return l.Errorf("allow_notify %q: %w", word, err)
		}
		i := len(g.AllowNotify)
		g.AllowNotify = append(g.AllowNotify, Source{Range: source})
		if name, ok := given["key"]; ok {
			r.useKey(l, name, func(k *xfr.Key) { g.AllowNotify[i].Key = k })
		}
	}
	return nil
}

// parseSource returns the range of addresses that s says: one address, a prefix, or FIRST-LAST.
func parseSource(s string) (netipx.IPRange, error) {
	wrong := errors.New("want an address (192.0.2.1), a prefix (192.0.2.0/24, 2001:db8::/32) or a range " +
		"(192.0.2.10-192.0.2.20)")
	if strings.Contains(s, "/") {
		prefix, err := netip.ParsePrefix(s)
		switch {
		case err != nil:
			return netipx.IPRange{}, wrong
		case prefix.Addr().Is4In6():
			return netipx.IPRange{}, errors.New("want the prefix of an IPv4 address written in IPv4")
		case prefix != prefix.Masked():
			return netipx.IPRange{}, fmt.Errorf(
				"the address has bits set after the first %d; want %v for the whole network, or %v alone",
				prefix.Bits(), prefix.Masked(), prefix.Addr())
		}
		return netipx.RangeOfPrefix(prefix), nil
	}
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	first, err := netip.ParseAddr(from)
	last, err2 := netip.ParseAddr(to)
	if err != nil || err2 != nil || first.Zone() != "" || last.Zone() != "" {
		return netipx.IPRange{}, wrong
	}
	first, last = first.Unmap(), last.Unmap()
	switch {
	case first.Is4() != last.Is4():
		return netipx.IPRange{}, errors.New("want both ends of the range to be IPv4 or both IPv6")
	case last.Less(first):
		return netipx.IPRange{}, fmt.Errorf("the range is reversed; want %v-%v", last, first)
	}
	return netipx.IPRangeFrom(first, last), nil
}
