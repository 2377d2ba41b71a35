package zone

import (
	"bytes"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// maxAddressNames is how many names of an answer get their addresses added, and of a referral those that resolvers can find
// out by themselves.
const maxAddressNames = 32

// maxGlueNames is how many of a referral's name servers at or below the cut get their addresses added.
const maxGlueNames = 1000

// addGlue adds the addresses of a referral's name servers, as far as the zone has them: first those at or below the cut,
// without which the referral leads nowhere (RFC 9471 §3.1), then others (§3.2).
func (c *Contents) addGlue(cut wire.Name, ns RRset, a *Answer) {
	names := 0
	for data := range ns.All() {
		if target := wire.Name(data); target.Within(cut) && names < maxGlueNames {
			names++
			c.addAddress(target, a)
		}
	}
	a.Glue = len(a.Additional)
	names = 0
	for data := range ns.All() {
		if target := wire.Name(data); target.Within(c.origin) && !target.Within(cut) {
			if names++; names > maxAddressNames {
				return
			}
			c.addAddress(target, a)
		}
	}
}

// addAddresses adds the addresses of the names that the records of the answer point at (RFC 1035 §3.3.9 and §3.3.11, RFC
// 2782, RFC 9460 §4.1).
func (c *Contents) addAddresses(a *Answer) {
	names := 0
	for i := range a.Answer {
		s := a.Answer[i]
		switch s.Type {
		case wire.TypeNS, wire.TypeMX, wire.TypeSRV, wire.TypeSVCB, wire.TypeHTTPS:
		default:
			continue
		}
		for data := range s.All() {
			target := wire.Target(s.Type, data)
			if s.Type == wire.TypeSVCB || s.Type == wire.TypeHTTPS {
				target = c.service(&s, data, target, a)
			}
			if names++; names > maxAddressNames {
				return
			}
			if target != nil && !a.alreadyHas(target, wire.TypeA) && !a.alreadyHas(target, wire.TypeAAAA) {
				c.addAddress(target, a)
			}
		}
	}
}

// alreadyHas reports whether the answer or the additional section has a set of a name.
func (a *Answer) alreadyHas(name wire.Name, rrtype uint16) bool {
	return has(a.Answer, name, rrtype) || has(a.Additional, name, rrtype)
}

// service returns the name whose addresses go with a service binding, nil for none. In alias mode the records of the target
// are added as well (RFC 9460 §4.1).
func (c *Contents) service(s *Set, data []byte, target wire.Name, a *Answer) wire.Name {
	alias := data[0] == 0 && data[1] == 0
	switch {
	case len(target) > 1 && alias:
		if !a.alreadyHas(target, s.Type) {
			c.addSets(target, a, s.Type)
		}
	case len(target) > 1:
	case alias:
		return nil // RFC 9460 §2.5.1: there is no such service
	default:
		return s.Owner // RFC 9460 §2.5.2: "." stands for the owner
	}
	return target
}

// addAddress adds the addresses of a name.
func (c *Contents) addAddress(target wire.Name, a *Answer) {
	c.addSets(target, a, wire.TypeA, wire.TypeAAAA)
}

// addSets adds sets of a name, if the zone has them: those below a cut as well, which is what makes addresses glue, but not
// those below a DNAME (RFC 6672 §2.4).
func (c *Contents) addSets(target wire.Name, a *Answer, types ...uint16) {
	key, within := wire.AppendKey(a.key[:0], target, c.origin)
	a.key = key
	if !within {
		return
	}
	at, exact := c.names.find(key)
	if !exact {
		c.addSynthesized(at, key, target, a, types)
		return
	}
	e := at.at()
	if e.flags&flagCovered == 0 || c.isCut(e.coverKey(key)) {
		a.putAll(&e, a.owner(c, &e, key), types)
	}
}

// addSynthesized adds the sets that a name without an entry has from a wildcard. at is the place of the entry behind it.
func (c *Contents) addSynthesized(at cursor, key []byte, target wire.Name, a *Answer, types []uint16) {
	if c.namesStats.wildcards == 0 {
		return
	}
	near, _ := at.before()
	e := near.at()
	if _, covered := a.coverOf(&e, key); covered {
		return
	}
	encloser := a.encloserOf(at, &e, key)
	if encloser == len(key) {
		return
	}
	if at, exact := c.names.find(a.wildcardOf(key[:encloser])); exact {
		e := at.at()
		a.putAll(&e, target, types)
	}
}

// putAll adds sets of an entry to the additional section, under the name owner.
func (a *Answer) putAll(e *entry, owner wire.Name, types []uint16) {
	for _, t := range types {
		if s, ok := e.set(t, 0); ok {
			a.put(&a.Additional, e, owner, s)
		}
	}
}

// isCut reports whether the owner with this key is a zone cut.
func (c *Contents) isCut(key []byte) bool {
	at, exact := c.names.find(key)
	if !exact {
		return false
	}
	e := at.at()
	return e.flags&flagCut != 0
}

// parentKey returns the length of the key one label up.
func parentKey(key []byte) int { return bytes.LastIndexByte(key[:len(key)-1], 0) + 1 }

// childKey returns the length of the prefix of key that has one label more than its first n octets.
func childKey(key []byte, n int) int { return n + bytes.IndexByte(key[n:], 0) + 1 }
