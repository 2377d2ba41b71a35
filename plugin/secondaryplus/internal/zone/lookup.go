package zone

import (
	"bytes"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/wire"
)

// maxChain is how many names one answer looks up within the zone, following CNAMEs and DNAMEs. Longer chains end there.
const maxChain = 16

// maxGlueNames is how many name servers of a referral get their addresses added.
const maxGlueNames = 32

// Lookup answers a question about a name within the zone (RFC 1034 §4.3.2 step 3).
// It allocates nothing once the Answer's buffers have grown. Sets of the Answer may have q.Name itself as their owner.
func (c *Contents) Lookup(q Query, a *Answer) {
	a.reset()
	name, qtype := q.Name, q.Type
	for range maxChain {
		target := c.step(name, qtype, a)
		// A name that has been an alias before closes a loop.
		if target == nil || !target.Within(c.origin) || a.has(target, wire.TypeCNAME) {
			return
		}
		name = target
	}
}

// has reports whether the answer section has a set.
func (a *Answer) has(owner wire.Name, rrtype uint16) bool {
	for _, s := range a.Answer {
		if s.Type == rrtype && s.Owner.Equal(owner) {
			return true
		}
	}
	return false
}

// step answers for one name of a chain. It returns the name to go on with, nil at the end of the chain.
func (c *Contents) step(name wire.Name, qtype uint16, a *Answer) (target wire.Name) {
	key, _ := wire.AppendKey(a.key[:0], name, c.origin)
	a.key = key
	at, exact := c.names.find(key)
	if exact {
		e := at.at()
		if e.flags&(flagCovered|flagCut) == 0 {
			owner := name
			if e.owner != nil || hasUpper(name) {
				owner = a.owner(c, &e, key)
			}
			return c.answerFrom(&e, owner, qtype, a)
		}
		return c.underCover(&e, key, name, qtype, a)
	}
	// The apex sorts first, so there is always an entry before. Anything that covers the name covers that entry too, or
	// is that entry: it lies between the cover and the name.
	near, _ := at.before()
	e := near.at()
	if e.flags&(flagCovered|flagCut|flagDNAME) != 0 {
		a.near = e.appendKey(a.near[:0])
		if coverKey := e.coverKey(a.near); bytes.HasPrefix(key, coverKey) {
			return c.throughCover(coverKey, name, qtype, a)
		}
	}
	return c.missing(at, &e, key, name, qtype, a)
}

// coverKey returns the key of the topmost cut or DNAME at or above an entry that has one; key is the entry's.
func (e *entry) coverKey(key []byte) []byte {
	if e.flags&flagCovered == 0 {
		return key
	}
	return wire.KeyPrefix(key, e.cover)
}

// underCover answers for a name that exists at or below a cut or below a DNAME.
func (c *Contents) underCover(e *entry, key []byte, name wire.Name, qtype uint16, a *Answer) wire.Name {
	if e.flags&flagCovered == 0 && qtype == wire.TypeDS {
		// RFC 4035 §3.1.4.1: DS at a cut belongs to this side of it, and nothing else does.
		if ds, ok := e.set(wire.TypeDS, 0); ok {
			a.Answer = append(a.Answer, Set{a.owner(c, e, key), ds})
		} else {
			c.negative(NoData, a)
		}
		return nil
	}
	return c.throughCover(e.coverKey(key), name, qtype, a)
}

// throughCover answers for a name that is at or below the owner with the key coverKey: a referral if it is a cut, otherwise
// the name its DNAME leads to. Data below either is occluded and never answered (RFC 1034 §4.3.2 step 3b, RFC 6672 §3.2).
func (c *Contents) throughCover(coverKey []byte, name wire.Name, qtype uint16, a *Answer) wire.Name {
	at, exact := c.names.find(coverKey)
	if !exact {
		panic("zone: entry covered by an owner that does not exist")
	}
	e := at.at()
	if ns, ok := e.set(wire.TypeNS, 0); ok && len(coverKey) > 0 {
		c.refer(a.owner(c, &e, coverKey), ns, a)
		return nil
	}
	dname, _ := e.set(wire.TypeDNAME, 0)
	target := a.redirect(a.owner(c, &e, coverKey), dname, name)
	if qtype == wire.TypeCNAME || qtype == wire.TypeANY {
		return nil // RFC 6672 §3.2: the CNAME made from the DNAME is the answer
	}
	return target
}

// refer makes the answer a referral (RFC 1034 §4.3.2 step 3b). Behind a CNAME the answer section stays as it is.
func (c *Contents) refer(owner wire.Name, ns RRset, a *Answer) {
	a.Outcome = Referral
	a.Authority = append(a.Authority, Set{owner, ns})
	names := 0
	for data := range ns.All() {
		if names++; names > maxGlueNames {
			return
		}
		c.glue(data, a)
	}
}

// glue adds the addresses of a name server to the additional section, if the zone has them: those below a cut as well.
func (c *Contents) glue(target wire.Name, a *Answer) {
	key, within := wire.AppendKey(a.near[:0], target, c.origin)
	a.near = key
	if !within {
		return
	}
	at, exact := c.names.find(key)
	if !exact {
		return
	}
	e := at.at()
	var owner wire.Name
	for _, t := range [...]uint16{wire.TypeA, wire.TypeAAAA} {
		if s, ok := e.set(t, 0); ok {
			if owner == nil {
				owner = a.owner(c, &e, key)
			}
			a.Additional = append(a.Additional, Set{owner, s})
		}
	}
}

// redirect follows a DNAME (RFC 6672 §3.2): the DNAME, and a CNAME made from it with its TTL.
func (a *Answer) redirect(owner wire.Name, dname RRset, name wire.Name) wire.Name {
	if !a.has(owner, wire.TypeDNAME) { // a chain may come back to it
		a.Answer = append(a.Answer, Set{owner, dname})
	}
	start := len(a.names)
	a.names = append(a.names, name[:len(name)-len(owner)]...)
	a.names = append(a.names, dname.First()...)
	target := wire.Name(a.names[start:len(a.names):len(a.names)])
	if len(target) > wire.MaxName {
		a.Outcome = YXDomain
		return nil
	}
	cname := RRset{Type: wire.TypeCNAME, TTL: dname.TTL, Count: 1}
	start = len(a.names)
	a.names = appendBlock(a.names, target)
	cname.block = a.names[start:len(a.names):len(a.names)]
	a.Answer = append(a.Answer, Set{a.keep(name), cname})
	return target
}

// missing answers for a name that has no entry and no cover: an empty non-terminal, a wildcard's, or NXDOMAIN.
// at is the place of the entry behind the name, e the entry before it.
func (c *Contents) missing(at cursor, e *entry, key []byte, name wire.Name, qtype uint16, a *Answer) wire.Name {
	a.near = e.appendKey(a.near[:0])
	encloser := wire.KeyCommon(a.near, key)
	if at.valid() {
		behind := at.at()
		a.near = behind.appendKey(a.near[:0])
		if bytes.HasPrefix(a.near, key) {
			c.negative(NoData, a) // an empty non-terminal exists (RFC 8020 §2, RFC 4592 §2.2.2)
			return nil
		}
		encloser = max(encloser, wire.KeyCommon(a.near, key))
	}
	if c.namesStats.wildcards > 0 {
		if target, found := c.synthesize(key[:encloser], name, qtype, a); found {
			return target
		}
	}
	c.negative(NXDomain, a)
	return nil
}

// synthesize answers from the wildcard below the closest encloser, if there is one (RFC 4592 §3.3.1).
func (c *Contents) synthesize(encloser []byte, name wire.Name, qtype uint16, a *Answer) (target wire.Name, found bool) {
	a.near = append(append(a.near[:0], encloser...), wildcardLabel...)
	at, exact := c.names.find(a.near)
	if exact {
		e := at.at()
		return c.answerFrom(&e, a.keep(name), qtype, a), true
	}
	if at.valid() {
		// RFC 4592 §2.2.2: a wildcard may be an empty non-terminal, and then has no type at all.
		behind := at.at()
		wildcard := len(a.near)
		a.near = behind.appendKey(a.near)
		if bytes.HasPrefix(a.near[wildcard:], a.near[:wildcard]) {
			c.negative(NoData, a)
			return nil, true
		}
	}
	return nil, false
}

// answerFrom answers from the sets of one entry, under the name owner. It returns the target of a CNAME to follow.
func (c *Contents) answerFrom(e *entry, owner wire.Name, qtype uint16, a *Answer) wire.Name {
	if qtype == wire.TypeANY {
		return c.answerANY(e, owner, a)
	}
	if qtype == wire.TypeRRSIG {
		return c.answerRRSIG(e, owner, a)
	}
	var alias RRset
	n, off := uvarint(e.sets, 0)
	for ; n > 0; n-- {
		var s RRset
		s, off = setAt(e.sets, off)
		switch s.Type {
		case qtype:
			a.Answer = append(a.Answer, Set{owner, s})
			return nil
		case wire.TypeCNAME:
			alias = s
		}
	}
	if alias.Count == 0 || qtype == wire.TypeNSEC { // RFC 4035 §2.5: NSEC stands beside a CNAME, and is asked for by itself
		c.negative(NoData, a)
		return nil
	}
	a.Answer = append(a.Answer, Set{owner, alias})
	return alias.First()
}

// answerANY answers with one set: that is enough to satisfy ANY (RFC 8482 §4.1).
func (c *Contents) answerANY(e *entry, owner wire.Name, a *Answer) wire.Name {
	for s := range e.all() {
		if s.Type != wire.TypeRRSIG {
			a.Answer = append(a.Answer, Set{owner, s})
			return nil
		}
	}
	return c.answerRRSIG(e, owner, a)
}

// answerRRSIG answers with the signatures of every type.
func (c *Contents) answerRRSIG(e *entry, owner wire.Name, a *Answer) wire.Name {
	before := len(a.Answer)
	for s := range e.all() {
		if s.Type == wire.TypeRRSIG {
			a.Answer = append(a.Answer, Set{owner, s})
		}
	}
	if len(a.Answer) == before {
		c.negative(NoData, a)
	}
	return nil
}

// negative makes the answer NODATA or NXDOMAIN: the SOA with its TTL capped by MINIMUM (RFC 2308 §3).
func (c *Contents) negative(o Outcome, a *Answer) {
	a.Outcome = o
	soa := c.apex.soa
	soa.TTL = min(soa.TTL, c.soa.Minimum)
	a.Authority = append(a.Authority, Set{c.apex.owner, soa})
}
