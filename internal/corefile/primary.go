package corefile

import (
	"net/netip"

	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// primary reads "primary ADDRESS... [key NAME] [source ADDRESS]".
func (r *reader) primary(l line) error {
	words, source, key, err := l.servers()
	if err != nil {
		return err
	}
	for _, word := range words {
		if err := r.addPrimary(l, word, source, key); err != nil {
			return err
		}
	}
	return nil
}

// servers reads "ADDRESS... [key NAME] [source ADDRESS]". The source may be invalid and the key empty, for none.
func (l line) servers() (words []string, source netip.Addr, key string, err error) {
	words, given, err := l.tail("key", "source")
	if err != nil {
		return nil, netip.Addr{}, "", err
	}
	if len(words) == 0 {
		return nil, netip.Addr{}, "", l.Errorf("%s without an address; want %s", l.option(), l.usage)
	}
	if word, ok := given["source"]; ok {
		if source, err = parseLocal(word); err != nil {
			return nil, netip.Addr{}, "", l.Errorf("source %q: %w", word, err)
		}
	}
	return words, source, given["key"], nil
}

// server returns the address that word says, of a server that is spoken to from source, which may be invalid.
func (l line) server(word string, source netip.Addr) (netip.AddrPort, error) {
	addr, err := ParseAddr(word)
	if err != nil {
		return addr, l.Errorf("%s %q: %w", l.option(), word, err)
	}
	if source.IsValid() && source.Is4() != addr.Addr().Is4() {
		return addr, l.Errorf("source %v for %s %v: want both to be IPv4 or both IPv6", source, l.option(), addr)
	}
	return addr, nil
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
	addr, err := l.server(word, source)
	if err != nil {
		return err
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
