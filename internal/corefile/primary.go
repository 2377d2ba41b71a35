package corefile

import (
	"net/netip"

	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// primary reads "primary ADDRESS... [key NAME] [source ADDRESS]".
func (r *reader) primary(l line) error {
	words, given, err := l.tail("key", "source")
	if err != nil {
		return err
	}
	if len(words) == 0 {
		return l.Errorf("primary without an address; want %s", l.usage)
	}
	var source netip.Addr
	if word, ok := given["source"]; ok {
		if source, err = parseLocal(word); err != nil {
			return l.Errorf("source %q: %w", word, err)
		}
	}
	for _, word := range words {
		if err := r.addPrimary(l, word, source, given["key"]); err != nil {
			return err
		}
	}
	return nil
}

// transfer reads "transfer from ADDRESS...", the way the stock secondary plugin says it.
func (r *reader) transfer(l line) error {
	switch direction := l.args()[0]; {
	case direction == "to":
		return l.Errorf("transfer to: %s has no such option; want allow_transfer SOURCE... [key NAME]", Name)
	case direction != "from" || len(l.args()) == 1:
		return l.misused()
	}
	for _, word := range l.args()[1:] {
		if err := r.addPrimary(l, word, netip.Addr{}, ""); err != nil {
			return err
		}
	}
	return nil
}

// addPrimary appends the primary at the address that word says. The source may be invalid and the key name empty, for none.
func (r *reader) addPrimary(l line, word string, source netip.Addr, key string) error {
	addr, err := ParseAddr(word)
	if err != nil {
		return l.Errorf("%s %q: %w", l.option(), word, err)
	}
	if source.IsValid() && source.Is4() != addr.Addr().Is4() {
		return l.Errorf("source %v for primary %v: want both to be IPv4 or both IPv6", source, addr)
	}
	g := r.group
	for _, p := range g.Primaries {
		if p.Addr == addr {
			return l.wrong(word, "every primary once; %v is listed before", addr)
		}
	}
	i := len(g.Primaries)
	g.Primaries = append(g.Primaries, xfr.Primary{Addr: addr, Source: source})
	if key != "" {
		r.useKey(l, key, func(k *xfr.Key) { g.Primaries[i].Key = k })
	}
	return nil
}
