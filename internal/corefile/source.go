package corefile

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"

	"github.com/secondaryplus/secondaryplus/internal/allow"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// allowNotify reads "allow_notify SOURCE... [key NAME]".
func (r *reader) allowNotify(l line) error {
	words, key, err := l.sources()
	if err != nil {
		return err
	}
	for _, word := range words {
		source, err := parseSource(word)
		if err != nil {
			return l.Errorf("allow_notify %q: %w", word, err)
		}
		r.allow(l, &r.group.AllowNotify, source, key)
	}
	return nil
}

// allowTransfer reads "allow_transfer SOURCE... [key NAME]".
func (r *reader) allowTransfer(l line) error {
	words, key, err := l.sources()
	if err != nil {
		return err
	}
	for _, word := range words {
		ranges := everybody
		if word != "any" {
			source, err := parseSource(word)
			if err != nil {
				return l.Errorf("allow_transfer %q: %w, or any with a key", word, err)
			}
			ranges = []netipx.IPRange{source}
		}
		for _, source := range ranges {
			if key == "" && slices.Contains(everybody, source) {
				return l.Errorf("allow_transfer %q: without a key everybody could transfer the zones; want key NAME behind it", word)
			}
			r.allow(l, &r.group.AllowTransfer, source, key)
		}
	}
	return nil
}

// everybody are the ranges of all addresses.
var everybody = []netipx.IPRange{
	netipx.RangeOfPrefix(netip.MustParsePrefix("0.0.0.0/0")), netipx.RangeOfPrefix(netip.MustParsePrefix("::/0")),
}

// sources reads "SOURCE... [key NAME]"; the key is empty for none.
func (l line) sources() (words []string, key string, err error) {
	words, given, err := l.tail("key")
	if err == nil && len(words) == 0 {
		err = l.Errorf("%s without a source; want %s", l.option(), l.usage)
	}
	return words, given["key"], err
}

// allow adds a source with the key of that name, if any, to a list.
func (r *reader) allow(l line, list *allow.List, source netipx.IPRange, key string) {
	i := len(*list)
	*list = append(*list, allow.Source{Range: source})
	if key != "" {
		r.useKey(l, key, func(k *xfr.Key) { (*list)[i].Key = k })
	}
}

// ixfrOut reads "PERCENT | off".
func (r *reader) ixfrOut(l line) error {
	word := l.args()[0]
	if word == "off" {
		r.group.IXFROut = 0
		return nil
	}
	n, ok := parseCount(word, maxIXFROut)
	if !ok {
		return l.wrong(word, "a whole number of at least 1 and at most %d, in percent of the zone, or off", maxIXFROut)
	}
	r.group.IXFROut = n
	return nil
}

// Percentages of ixfr_out. Differences as large as the zone gain nothing over it, but that the secondary keeps its history.
const (
	defaultIXFROut = 100
	maxIXFROut     = 1000
)

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
