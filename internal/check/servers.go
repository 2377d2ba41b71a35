package check

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"

	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// servers is what a zone says of the servers it is answered by. It is immutable once made.
type servers struct {
	origin wire.Name
	mname  wire.Name   // the primary that the SOA names
	names  []wire.Name // of the NS records at the apex, lower case, in canonical order

	// What is in the zone at those names, at mname and at the names that are ours, by name on the wire.
	addresses map[string][]netip.Addr // ascending, as contents are in canonical order
	aliases   map[string]bool         // a CNAME, and so no address (RFC 2181 §10.3)
}

// serversOf reads the servers out of a zone.
func (p *plan) serversOf(c *zone.Contents) *servers {
	s := &servers{origin: p.origin, addresses: map[string][]netip.Addr{}, aliases: map[string]bool{}}
	for rr := range c.All() {
		switch {
		case rr.Type == wire.TypeSOA:
			s.mname = wire.AppendLower(nil, wire.FirstName(rr.Data))
		case rr.Type == wire.TypeNS && rr.Owner.Equal(p.origin):
			s.names = append(s.names, wire.AppendLower(nil, wire.FirstName(rr.Data)))
		}
	}
	slices.SortFunc(s.names, compareNames)
	wanted := map[string]bool{string(s.mname): true}
	for _, n := range slices.Concat(s.names, p.self) {
		wanted[string(n)] = true
	}
	var owner []byte
	for rr := range c.All() {
		if rr.Type != wire.TypeA && rr.Type != wire.TypeAAAA {
			continue
		}
		if owner = wire.AppendLower(owner[:0], rr.Owner); wanted[string(owner)] {
			addr, _ := netip.AddrFromSlice(rr.Data)
			s.addresses[string(owner)] = append(s.addresses[string(owner)], addr)
		}
	}
	for name := range wanted {
		if len(s.addresses[name]) == 0 && wire.Name(name).Within(p.origin) {
			s.lookup(c, name)
		}
	}
	return s
}

// lookup finds what the zone answers for a name that has no address of its own: a wildcard may give it one, or it is an
// alias.
func (s *servers) lookup(c *zone.Contents, name string) {
	var a zone.Answer
	for _, rrtype := range []uint16{wire.TypeA, wire.TypeAAAA} {
		c.Lookup(zone.Query{Name: wire.Name(name), Type: rrtype}, &a)
		for _, set := range a.Answer {
			if !set.Owner.Equal(wire.Name(name)) {
				continue
			}
			if s.aliases[name] = set.Type == wire.TypeCNAME || s.aliases[name]; set.Type != rrtype {
				continue
			}
			for data := range set.All() {
				addr, _ := netip.AddrFromSlice(data)
				s.addresses[name] = append(s.addresses[name], addr)
			}
		}
	}
}

// of returns the addresses of a name.
func (s *servers) of(name wire.Name) []netip.Addr { return s.addresses[string(name)] }

// within returns those of the name servers that lie within the zone.
func (s *servers) within() (names []wire.Name) {
	for _, n := range s.names {
		if n.Within(s.origin) {
			names = append(names, n)
		}
	}
	return names
}

// primaryAt returns which of the primaries has an address of a name.
func (p *plan) primaryAt(s *servers, name wire.Name) (netip.AddrPort, bool) {
	for _, primary := range p.primaries {
		if slices.Contains(s.of(name), primary.Addr.Addr()) {
			return primary.Addr, true
		}
	}
	return netip.AddrPort{}, false
}

// contains reports whether a name, in lower case as all of them, is in a list.
func contains(list []wire.Name, name wire.Name) bool {
	return slices.ContainsFunc(list, func(n wire.Name) bool { return bytes.Equal(n, name) })
}

// compareNames orders names canonically (RFC 4034 §6.1).
func compareNames(a, b wire.Name) int {
	root := wire.Name{0}
	keyA, _ := wire.AppendKey(nil, a, root)
	keyB, _ := wire.AppendKey(nil, b, root)
	return slices.Compare(keyA, keyB)
}

// minus returns the names of a that are not in b.
func minus(a, b []wire.Name) []wire.Name {
	return slices.DeleteFunc(slices.Clone(a), func(n wire.Name) bool { return contains(b, n) })
}

// list joins names or addresses for a person.
func list[T interface{ String() string }](all []T) string { return strings.Join(texts(all), ", ") }

// texts returns names or addresses in presentation form.
func texts[T interface{ String() string }](all []T) []string {
	out := make([]string, len(all))
	for i, e := range all {
		out[i] = e.String()
	}
	return out
}
