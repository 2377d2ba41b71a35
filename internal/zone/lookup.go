package zone

import (
	"bytes"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// maxChain is how many names one answer looks up, following CNAMEs and DNAMEs, in all zones together. Longer chains end
// there.
const maxChain = 16

// Lookup answers a question about a name within the zone (RFC 1034 §4.3.2 step 3).
// It allocates nothing once the Answer's buffers have grown. Sets of the Answer may have q.Name itself as their owner.
func (c *Contents) Lookup(q Query, a *Answer) {
	a.reset(q)
	c.follow(q.Name, a)
}

// Resume goes on with a.Target, which is within this zone, where another zone has left off (RFC 1034 §4.3.2 step 3a: "go
// back to step 1").
func (c *Contents) Resume(a *Answer) {
	name := a.Target
	a.Outcome, a.Target, a.Glue = Success, nil, 0
	a.Authority, a.Additional = a.Authority[:a.aliases], a.Additional[:0]
	c.follow(name, a)
}

// follow answers for a name and for those that aliases lead to from there.
func (c *Contents) follow(name wire.Name, a *Answer) {
	for a.steps < maxChain {
		a.steps++
		a.aliases = len(a.Authority)
		target := c.step(name, a)
		// A name that has been an alias before closes a loop.
		if target == nil || has(a.Answer, target, wire.TypeCNAME) {
			break
		}
		if !target.Within(c.origin) {
			a.Target, a.aliases = target, len(a.Authority)
			break
		}
		name = target
	}
	if a.Outcome == Success {
		c.addAddresses(a)
	}
}

// step answers for one name of a chain. It returns the name to go on with, nil at the end of the chain.
func (c *Contents) step(name wire.Name, a *Answer) (target wire.Name) {
	key, _ := wire.AppendKey(a.key[:0], name, c.origin)
	a.key = key
	at, exact := c.names.find(key)
	if exact {
		e := at.at()
		if e.flags&(flagCovered|flagCut) == 0 {
			return c.match(&e, key, name, a)
		}
		return c.underCover(&e, key, name, a)
	}
	// The apex sorts first, so there is always an entry before. Anything that covers the name covers that entry too, or
	// is that entry: it lies between the cover and the name.
	near, _ := at.before()
	e := near.at()
	if coverKey, covered := a.coverOf(&e, key); covered {
		return c.throughCover(coverKey, name, a)
	}
	return c.missing(at, &e, key, name, a)
}

// coverOf returns the key of the topmost cut or DNAME above a name that has no entry, if there is one; e is the entry before
// it.
func (a *Answer) coverOf(e *entry, key []byte) (coverKey []byte, covered bool) {
	if e.flags&(flagCovered|flagCut|flagDNAME) == 0 {
		return nil, false
	}
	a.near = e.appendKey(a.near[:0])
	coverKey = e.coverKey(a.near)
	return coverKey, bytes.HasPrefix(key, coverKey)
}

// match answers for a name that exists and that this zone is authoritative for (RFC 1034 §4.3.2 step 3a).
func (c *Contents) match(e *entry, key []byte, name wire.Name, a *Answer) (target wire.Name) {
	owner := name
	if e.owner != nil || hasUpper(name) {
		owner = a.owner(c, e, key)
	}
	target, found := a.from(e, owner)
	if !found {
		c.noData(key, a)
	}
	return target
}

// noData answers for a name that exists and does not have the type: it has records of other types, or is an empty
// non-terminal (RFC 2308 §2.2).
func (c *Contents) noData(key []byte, a *Answer) {
	c.negative(NoData, a)
	c.proveNoData(key, a)
}

// coverKey returns the key of the topmost cut or DNAME at or above an entry that has one; key is the entry's.
func (e *entry) coverKey(key []byte) []byte {
	if e.flags&flagCovered == 0 {
		return key
	}
	return wire.KeyPrefix(key, e.cover)
}

// underCover answers for a name that exists at or below a cut or below a DNAME.
func (c *Contents) underCover(e *entry, key []byte, name wire.Name, a *Answer) wire.Name {
	if e.flags&flagCovered == 0 && a.query.Type == wire.TypeDS {
		// RFC 4035 §3.1.4.1: DS at a cut belongs to this side of it, and nothing else does.
		if ds, ok := e.set(wire.TypeDS, 0); ok {
			a.put(&a.Answer, e, a.owner(c, e, key), ds)
		} else {
			c.noData(key, a)
		}
		return nil
	}
	return c.throughCover(e.coverKey(key), name, a)
}

// throughCover answers for a name that is at or below the owner with the key coverKey: a referral if it is a cut, otherwise
// the name its DNAME leads to. Data below either is occluded and never answered (RFC 1034 §4.3.2 step 3b, RFC 6672 §3.2).
func (c *Contents) throughCover(coverKey []byte, name wire.Name, a *Answer) wire.Name {
	at, exact := c.names.find(coverKey)
	if !exact {
		panic("zone: entry covered by an owner that does not exist")
	}
	e := at.at()
	if ns, ok := e.set(wire.TypeNS, 0); ok && len(coverKey) > 0 {
		if len(a.Answer) > 0 {
			a.Target = name // the zone below may be at hand
		}
		c.refer(&e, coverKey, ns, a)
		return nil
	}
	dname, _ := e.set(wire.TypeDNAME, 0)
	return c.redirect(&e, coverKey, dname, name, a)
}

// refer makes the answer a referral (RFC 1034 §4.3.2 step 3b). Behind a CNAME the answer section stays as it is.
func (c *Contents) refer(e *entry, key []byte, ns RRset, a *Answer) {
	a.Outcome = Referral
	owner := a.owner(c, e, key)
	a.Authority = append(a.Authority, Set{owner, ns}) // not ours to sign (RFC 4035 §2.2)
	if a.query.DNSSEC {
		switch ds, ok := e.set(wire.TypeDS, 0); {
		case !ok:
			c.proveNoData(key, a)
		case c.apex.soaSig != nil: // in a zone that is not signed DS means nothing
			a.put(&a.Authority, e, owner, ds)
		}
	}
	c.addGlue(owner, ns, a)
}

// redirect follows a DNAME (RFC 6672 §3.2): the DNAME, and a CNAME made from it with its TTL.
func (c *Contents) redirect(e *entry, key []byte, dname RRset, name wire.Name, a *Answer) wire.Name {
	a.Synthesized = true
	owner := a.owner(c, e, key)
	if !has(a.Answer, owner, wire.TypeDNAME) { // a chain may come back to it
		a.put(&a.Answer, e, owner, dname)
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
	a.Answer = append(a.Answer, Set{name, cname})
	if a.query.Type == wire.TypeCNAME {
		return nil // RFC 6672 §3.2: the CNAME made from the DNAME is the answer
	}
	return target
}

// missing answers for a name that has no entry and no cover: an empty non-terminal, a wildcard's, or NXDOMAIN.
// at is the place of the entry behind the name, e the entry before it.
func (c *Contents) missing(at cursor, e *entry, key []byte, name wire.Name, a *Answer) wire.Name {
	encloser := a.encloserOf(at, e, key)
	if encloser == len(key) {
		c.noData(key, a) // an empty non-terminal exists (RFC 8020 §2, RFC 4592 §2.2.2)
		return nil
	}
	if c.namesStats.wildcards > 0 {
		if target, exists := c.synthesize(key, encloser, name, a); exists {
			return target
		}
	}
	c.negative(NXDomain, a)
	c.proveNXDomain(key, encloser, a)
	return nil
}

// encloserOf returns how many octets of key are the closest encloser of a name that has no entry; all of them are an empty
// non-terminal's. at is the place of the entry behind the name, e the entry before it.
func (a *Answer) encloserOf(at cursor, e *entry, key []byte) int {
	a.near = e.appendKey(a.near[:0])
	encloser := wire.KeyCommon(a.near, key)
	if at.valid() {
		behind := at.at()
		a.near = behind.appendKey(a.near[:0])
		encloser = max(encloser, wire.KeyCommon(a.near, key))
	}
	return encloser
}

// synthesize answers from the wildcard below the closest encloser, which is the first octets of key, if there is one (RFC
// 4592 §3.3.1).
func (c *Contents) synthesize(key []byte, encloser int, name wire.Name, a *Answer) (target wire.Name, exists bool) {
	at, exact := c.names.find(a.wildcardOf(key[:encloser]))
	if exact {
		e := at.at()
		target, found := a.from(&e, name)
		if found {
			a.Synthesized = true
			c.proveExpansion(key, encloser, a)
			return target, true
		}
	} else if !c.existsBehind(at, a) {
		return nil, false
	}
	c.negative(NoData, a)
	c.proveWildcardNoData(key, encloser, a)
	return nil, true
}

// existsBehind reports whether the wildcard with the key a.near is an empty non-terminal (RFC 4592 §2.2.2); at is the place
// behind it.
func (c *Contents) existsBehind(at cursor, a *Answer) bool {
	if !at.valid() {
		return false
	}
	behind := at.at()
	wildcard := len(a.near)
	a.near = behind.appendKey(a.near)
	return bytes.HasPrefix(a.near[wildcard:], a.near[:wildcard])
}

// from answers from the sets of one entry, under the name owner, and reports whether it has what was asked for. It returns
// the target of a CNAME to follow.
func (a *Answer) from(e *entry, owner wire.Name) (target wire.Name, found bool) {
	switch a.query.Type {
	case wire.TypeANY:
		return nil, a.fromAny(e, owner)
	case wire.TypeRRSIG:
		return nil, a.signatures(e, owner)
	}
	var alias RRset
	n, off := uvarint(e.sets, 0)
	for ; n > 0; n-- {
		var s RRset
		s, off = setAt(e.sets, off)
		switch {
		case s.mark != 0:
		case s.Type == a.query.Type:
			a.put(&a.Answer, e, owner, s)
			return nil, true
		case s.Type == wire.TypeCNAME:
			alias = s
		}
	}
	if alias.Count == 0 || a.query.Type == wire.TypeNSEC { // RFC 4035 §2.5: NSEC stands beside a CNAME, and is asked for by itself
		return nil, false
	}
	a.put(&a.Answer, e, owner, alias)
	return alias.First(), true
}

// fromAny answers ANY with one set, which is enough (RFC 8482 §4.1), the CNAME if there is one (§4.2), or with all.
func (a *Answer) fromAny(e *entry, owner wire.Name) bool {
	if a.query.All {
		return a.putEach(e, owner, func(RRset) bool { return true })
	}
	if alias, ok := e.set(wire.TypeCNAME, 0); ok {
		a.put(&a.Answer, e, owner, alias)
		return true
	}
	for s := range e.served() {
		if s.Type != wire.TypeRRSIG {
			a.put(&a.Answer, e, owner, s)
			return true
		}
	}
	return a.signatures(e, owner)
}

// signatures answers with the signatures of every type.
func (a *Answer) signatures(e *entry, owner wire.Name) bool {
	return a.putEach(e, owner, func(s RRset) bool { return s.Type == wire.TypeRRSIG })
}

// putEach answers with the sets of an entry that are wanted and reports whether there were any.
func (a *Answer) putEach(e *entry, owner wire.Name, wanted func(RRset) bool) bool {
	before := len(a.Answer)
	for s := range e.served() {
		if wanted(s) {
			a.Answer = append(a.Answer, Set{owner, s})
		}
	}
	return len(a.Answer) > before
}

// negative makes the answer NODATA or NXDOMAIN: the SOA with its TTL capped by MINIMUM (RFC 2308 §3), and its signature's
// with it.
func (c *Contents) negative(o Outcome, a *Answer) {
	a.Outcome = o
	soa := c.apex.soa
	soa.TTL = c.negativeTTL()
	a.Authority = append(a.Authority, Set{c.apex.owner, soa})
	if a.query.DNSSEC && c.apex.soaSig != nil {
		a.Authority = append(a.Authority, Set{c.apex.owner, *c.apex.soaSig})
	}
}

// negativeTTL returns the TTL of the SOA in a negative answer.
func (c *Contents) negativeTTL() uint32 { return min(c.apex.soa.TTL, c.soa.Minimum) }
