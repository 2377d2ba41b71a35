package zone

import (
	"bytes"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// Proofs that something does not exist are served as received: what is looked for is the record that a correctly signed zone
// has in that place, and where there is none the answer goes out without it.

// maxDenialSteps is how many owners the proofs of an answer pass over on their way to those with a record of the chain. A
// correctly signed zone has few in between: glue under NSEC, other chains under NSEC3.
const maxDenialSteps = 3000

// maxHashes is how many hash iterations the proofs of an answer may cost: enough for ten names with as many as are allowed.
// An encloser proof in a zone with Opt-Out may need one for each label.
const maxHashes = 10 * (maxIterations + 1)

// denial is how the zone denies existence, found once when contents are sealed.
type denial uint8

const (
	denialNone   denial = iota // the zone is not signed, or only in part
	denialNSEC                 // RFC 4034 §4
	denialNSEC3                // RFC 5155
	denialCostly               // NSEC3 with more than maxIterations
)

// proveNoData proves that the name with this key, which exists, does not have the type (RFC 4035 §3.1.3.1, RFC 5155 §7.2.3
// and §7.2.4), or a zone cut no DS records (RFC 4035 §3.1.4, RFC 5155 §7.2.7).
func (c *Contents) proveNoData(key []byte, a *Answer) {
	switch a.denial(c) {
	case denialNSEC:
		if exists := c.nsecMatch(key, a); !exists {
			c.nsecCover(key, a) // an empty non-terminal has no NSEC of its own
		}
	case denialNSEC3:
		if !c.nsec3Match(key, a) {
			c.proveEncloser(key, parentKey(key), a)
		}
	default: // denial has said what there is to say
	}
}

// proveNXDomain proves that neither the name with this key nor a wildcard for it exists (RFC 4035 §3.1.3.2, RFC 5155
// §7.2.2). Its first encloser octets are the closest encloser.
func (c *Contents) proveNXDomain(key []byte, encloser int, a *Answer) {
	switch a.denial(c) {
	case denialNSEC:
		c.nsecCover(key, a)
		c.nsecCover(a.wildcardOf(key[:encloser]), a)
	case denialNSEC3:
		encloser = c.proveEncloser(key, encloser, a)
		c.nsec3Cover(a.wildcardOf(key[:encloser]), a)
	default: // denial has said what there is to say
	}
}

// proveExpansion proves that nothing closer than the wildcard exists that the answer was made from (RFC 4035 §3.1.3.3, RFC
// 5155 §7.2.6).
func (c *Contents) proveExpansion(key []byte, encloser int, a *Answer) {
	switch a.denial(c) {
	case denialNSEC:
		c.nsecCover(key, a)
	case denialNSEC3:
		c.nsec3Cover(key[:childKey(key, encloser)], a)
	default: // denial has said what there is to say
	}
}

// proveWildcardNoData proves that nothing closer than the wildcard exists and that it does not have the type (RFC 4035
// §3.1.3.4, RFC 5155 §7.2.5).
func (c *Contents) proveWildcardNoData(key []byte, encloser int, a *Answer) {
	switch a.denial(c) {
	case denialNSEC:
		c.nsecCover(key, a)
		if wildcard := a.wildcardOf(key[:encloser]); !c.nsecMatch(wildcard, a) {
			c.nsecCover(wildcard, a)
		}
	case denialNSEC3:
		encloser = c.proveEncloser(key, encloser, a)
		// The wildcard has a record, unless it exists for insecure delegations only. Then it is covered, which DS does not need
		// (RFC 5155 §7.2.4).
		if wildcard := a.wildcardOf(key[:encloser]); a.query.Type == wire.TypeDS {
			c.nsec3Match(wildcard, a)
		} else {
			c.nsec3Cover(wildcard, a)
		}
	default: // denial has said what there is to say
	}
}

// denial returns how to prove, denialNone if no proof is wanted. Where one would cost too much it answers instead of it.
func (a *Answer) denial(c *Contents) denial {
	switch {
	case !a.query.DNSSEC:
		return denialNone
	case c.apex.denial == denialCostly:
		c.denyCostly(a)
		return denialNone
	}
	return c.apex.denial
}

// wildcardOf returns the key of the wildcard below an encloser.
func (a *Answer) wildcardOf(encloser []byte) []byte {
	a.near = append(append(a.near[:0], encloser...), wildcardLabel...)
	return a.near
}

// deny adds a record of a proof and its signatures, once.
func (a *Answer) deny(owner wire.Name, s, sig RRset) {
	if has(a.Authority, owner, s.Type) {
		return
	}
	a.Authority = append(a.Authority, Set{owner, s})
	if sig.Count > 0 {
		a.Authority = append(a.Authority, Set{owner, sig})
	}
}

// denyCostly adds the NSEC3 record of the apex, which tells validators how many iterations there are (RFC 9276 §3.2).
func (c *Contents) denyCostly(a *Answer) {
	a.deny(c.apex.nsec3.owner, c.apex.nsec3.set, c.apex.nsec3.sig)
}

// denyFrom is deny with the set of an entry.
func (c *Contents) denyFrom(e *entry, key []byte, s RRset, a *Answer) {
	sig, _ := e.set(wire.TypeRRSIG, s.Type)
	a.deny(a.owner(c, e, key), s, sig)
}

// nsecMatch adds the NSEC record of the owner with this key, if it has one, and reports whether there is such an owner.
func (c *Contents) nsecMatch(key []byte, a *Answer) (exists bool) {
	at, exact := c.names.find(key)
	if !exact {
		return false
	}
	e := at.at()
	if s, ok := e.set(wire.TypeNSEC, 0); ok {
		c.denyFrom(&e, key, s, a)
	}
	return true
}

// nsecCover adds the NSEC record of the last owner before key that has one: glue and occluded names have none (RFC 4035
// §2.3).
func (c *Contents) nsecCover(key []byte, a *Answer) {
	at, _ := c.names.find(key)
	for ; a.passed < maxDenialSteps; a.passed++ {
		var ok bool
		if at, ok = at.before(); !ok {
			return
		}
		e := at.at()
		a.proof = e.appendKey(a.proof[:0])
		if e.flags&flagCovered != 0 {
			at, _ = c.names.find(e.coverKey(a.proof)) // past all that it covers
			e = at.at()
			a.proof = e.appendKey(a.proof[:0])
		}
		if s, ok := e.set(wire.TypeNSEC, 0); ok {
			c.denyFrom(&e, a.proof, s, a)
			return
		}
	}
}

// proveEncloser adds the closest encloser proof for the name with this key (RFC 5155 §7.2.1): the record that matches the
// closest encloser and the one that covers the name one label longer. Names that exist for the sake of insecure
// delegations only may have no record of their own (opt-out); then it is about the nearest name above that has one, the
// closest provable encloser. It returns how many octets of key that is.
func (c *Contents) proveEncloser(key []byte, encloser int, a *Answer) int {
	for !c.nsec3Match(key[:encloser], a) {
		if encloser == 0 {
			return 0 // not even the apex: the chain is broken
		}
		encloser = parentKey(key[:encloser])
	}
	c.nsec3Cover(key[:childKey(key, encloser)], a)
	return encloser
}

// nsec3Match adds the NSEC3 record of the name with this key and reports whether there is one.
func (c *Contents) nsec3Match(key []byte, a *Answer) bool {
	if a.hashes += c.apex.nsec3.iterations + 1; a.hashes > maxHashes {
		c.denyCostly(a)
		return true // as far as this answer goes
	}
	a.hash = c.apex.nsec3.appendKey(a.hash[:0], key, c.origin)
	at, exact := c.nsec3.find(a.hash)
	if !exact {
		return false
	}
	e := at.at()
	s, ok := c.apex.nsec3.of(&e)
	if ok {
		c.denyFrom(&e, a.hash, s, a)
	}
	return ok
}

// nsec3Cover adds the NSEC3 record of the chain whose owner is the last before the hash of the name with this key; before
// the first comes the last (RFC 5155 §7.1). A name that does exist, as the wildcard of an encloser that is only the provable
// one may, has its own.
func (c *Contents) nsec3Cover(key []byte, a *Answer) {
	if c.nsec3Match(key, a) {
		return
	}
	at, _ := c.nsec3.find(a.hash)
	for ; a.passed < maxDenialSteps; a.passed++ {
		var ok bool
		if at, ok = at.before(); !ok {
			if at, ok = c.nsec3.end().before(); !ok {
				return
			}
		}
		e := at.at()
		if s, ok := c.apex.nsec3.of(&e); ok {
			a.proof = e.appendKey(a.proof[:0])
			c.denyFrom(&e, a.proof, s, a)
			return
		}
	}
}

// end returns the place behind the last entry.
func (t *tree) end() cursor { return cursor{tree: t, node: len(t.nodes)} }

// sealDenial finds how the zone denies existence: by the first chain of NSEC3 records that an NSEC3PARAM record announces
// (RFC 5155 §4) and that has the apex, else by NSEC if the apex has one.
func (c *Contents) sealDenial(apex *entry) {
	if params, ok := apex.set(wire.TypeNSEC3PARAM, 0); ok {
		for data := range params.All() {
			if c.sealNSEC3(data) {
				return
			}
		}
	}
	if _, ok := apex.set(wire.TypeNSEC, 0); ok {
		c.apex.denial = denialNSEC
	}
}

// sealNSEC3 reports whether the chain with these parameters can be used, and has the zone use it.
func (c *Contents) sealNSEC3(params []byte) bool {
	n, ok := parseNSEC3(params)
	if !ok || params[1] != 0 { // RFC 5155 §4.1.2: records with other flags MUST be ignored
		return false
	}
	key := n.appendKey(nil, nil, c.origin)
	at, exact := c.nsec3.find(key)
	if !exact {
		return false
	}
	e := at.at()
	if n.set, ok = n.of(&e); !ok {
		return false
	}
	n.sig, _ = e.set(wire.TypeRRSIG, wire.TypeNSEC3)
	if n.owner = e.owner; n.owner == nil {
		n.owner = wire.AppendKeyName(nil, key, c.origin)
	}
	c.apex.nsec3 = &n
	c.apex.denial = denialNSEC3
	if n.iterations > maxIterations {
		c.apex.denial = denialCostly
	}
	return true
}

// of returns the NSEC3 records of an owner, if one of them belongs to the chain.
func (n *nsec3) of(e *entry) (RRset, bool) {
	s, ok := e.set(wire.TypeNSEC3, 0)
	if !ok {
		return s, false
	}
	for data := range s.All() {
		if chain, ok := parseNSEC3(data); ok && bytes.Equal(chain.params, n.params) {
			return s, true
		}
	}
	return s, false
}
