package secondaryplus

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// primary reads "primary ADDRESS... [key NAME] [source ADDRESS]".
func (r *groupReader) primary(l line) error {
	words, given, err := l.tail("key", "source")
	if err != nil {
		return err
	}
	if len(words) == 0 {
		return l.errorf("primary without an address; want %s", l.usage)
	}
	var source netip.Addr
	if word, ok := given["source"]; ok {
		if source, err = netip.ParseAddr(word); err != nil || nobodys(source) != "" {
			return l.errorf("source %q: %swant an IP address of this machine, without a port", word, nobodys(source))
		}
		source = source.Unmap()
	}
	for _, word := range words {
		if err := r.addPrimary(l, word, source, given["key"]); err != nil {
			return err
		}
	}
	return nil
}

// transfer reads "transfer from ADDRESS...", the way the stock secondary plugin says it.
func (r *groupReader) transfer(l line) error {
	switch direction := l.args()[0]; {
	case direction == "to":
		return l.errorf("transfer to: %s has no such option; want the transfer plugin beside it in the server block, "+
			"with a block of its own that says to ADDRESS...", directiveName)
	case direction != "from" || len(l.args()) == 1:
		return l.wrong(strings.Join(l.args(), " "), "%s", l.usage)
	}
	for _, word := range l.args()[1:] {
		if err := r.addPrimary(l, word, netip.Addr{}, ""); err != nil {
			return err
		}
	}
	return nil
}

// addPrimary appends the primary at the address that word says. The source may be invalid and the key name empty, for none.
func (r *groupReader) addPrimary(l line, word string, source netip.Addr, key string) error {
	addr, err := xfr.ParseAddr(word)
	if err != nil {
		return l.errorf("%s %q: %swant %s", l.option(), word, nobodys(addressIn(word)), xfr.WantAddr)
	}
	if source.IsValid() && source.Is4() != addr.Addr().Is4() {
		return l.errorf("source %v for primary %v: want both to be IPv4 or both IPv6", source, addr)
	}
	g := r.group.engine
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

// nobodys says why no machine has an address, in words that go before what is wanted; empty for others and for none.
func nobodys(addr netip.Addr) string {
	switch {
	case addr.Unmap().IsUnspecified():
		return "this is the unspecified address, which no machine has; "
	case addr.Unmap().IsMulticast():
		return "this is a multicast address, not that of one machine; "
	}
	return ""
}

// addressIn returns the address of a word that is one, with a port or without; an invalid one for other words.
func addressIn(word string) netip.Addr {
	if at, err := netip.ParseAddrPort(word); err == nil {
		return at.Addr()
	}
	addr, _ := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(word, "["), "]"))
	return addr
}

// tail splits the words behind an option into those before the first of the given words and what follows each of these.
func (l line) tail(names ...string) (words []string, given map[string]string, err error) {
	given = map[string]string{}
	args := l.args()
	for i := 0; i < len(args); i++ {
		word := args[i]
		_, twice := given[word]
		switch {
		case !slices.Contains(names, word) && len(given) > 0:
			return nil, nil, l.wrong(word, "%s", l.usage)
		case !slices.Contains(names, word):
			words = append(words, word)
			continue
		case i+1 == len(args) || args[i+1] == "": // empty where an environment variable was not set
			return nil, nil, l.errorf("%s: nothing after %s; want %s", l.option(), word, l.usage)
		case twice:
			return nil, nil, l.errorf("%s: a second %s, %q beside %q; want %s", l.option(), word, args[i+1], given[word], l.usage)
		}
		i++
		given[word] = args[i]
	}
	return words, given, nil
}
