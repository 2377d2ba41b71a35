package zone

import (
	"fmt"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// Finding is something odd in contents that does not keep them from being served.
type Finding uint8

// What Findings looks for.
const (
	NoApexNS         Finding = iota // no NS records at the apex
	NSWithoutAddress                // a name server within the zone without an address there
	TargetIsAlias                   // NS or MX that point at a CNAME (RFC 2181 §10.3)
	BelowCut                        // an RRset at or below a zone cut that is no part of the delegation, or below a DNAME
	MixedTTL                        // an RRset whose records came with different TTLs (RFC 2181 §5.2)
	findingKinds
)

// Findings are what is odd in contents. Owned by whoever asked for them.
type Findings struct {
	counts  [findingKinds]int
	samples [findingKinds][]string
}

// Count returns how often something was found.
func (f *Findings) Count(k Finding) int { return f.counts[k] }

// Samples returns the first few places of something.
func (f *Findings) Samples(k Finding) []string { return f.samples[k] }

func (f *Findings) add(k Finding, owner wire.Name, rrtype uint16) {
	f.counts[k]++
	if len(f.samples[k]) < maxSamples {
		f.samples[k] = append(f.samples[k], fmt.Sprintf("%s %s", owner, wire.TypeName(rrtype)))
	}
}

// Findings looks through what has changed since other contents; nil: through all. It costs what has changed.
func (c *Contents) Findings(since *Contents) *Findings {
	if since == nil {
		since = &noContents
	}
	f := &finder{contents: c}
	changedPages(&since.names, &c.names, func(_ []byte, _, is page) bool {
		if is != nil {
			for i := range is.count() {
				e := is.entry(i)
				f.entry(&e)
			}
		}
		return true
	})
	if !c.HasApexNS() {
		f.found.add(NoApexNS, c.origin, wire.TypeNS)
	}
	return &f.found
}

// finder looks through entries. It is owned by one goroutine.
type finder struct {
	contents *Contents
	found    Findings
	key      []byte // scratch
}

func (f *finder) entry(e *entry) {
	owner := func() wire.Name { return wire.AppendKeyName(nil, e.appendKey(nil), f.contents.origin) }
	for s := range e.served() {
		if s.mixed {
			f.found.add(MixedTTL, owner(), s.Type)
		}
		glue := s.Type == wire.TypeA || s.Type == wire.TypeAAAA
		switch {
		case e.flags&flagCovered != 0 && !glue, e.flags&flagCut != 0 && !glue && !atCut(s.Type):
			f.found.add(BelowCut, owner(), s.Type)
		case e.flags&flagCovered == 0 && (s.Type == wire.TypeNS || s.Type == wire.TypeMX):
			for data := range s.All() {
				f.target(s.Type, wire.Target(s.Type, data), owner)
			}
		}
	}
}

// atCut reports whether the type is answered from the parent's side of a zone cut (RFC 4035 §2.6 and §3.1.4.1).
func atCut(rrtype uint16) bool {
	switch rrtype {
	case wire.TypeNS, wire.TypeDS, wire.TypeNSEC, wire.TypeRRSIG:
		return true
	}
	return false
}

// target looks at the name that an NS or MX record points at.
func (f *finder) target(rrtype uint16, target wire.Name, owner func() wire.Name) {
	key, within := wire.AppendKey(f.key[:0], target, f.contents.origin)
	f.key = key
	if !within {
		return
	}
	at, exact := f.contents.names.find(key)
	var e entry
	if exact {
		e = at.at()
		if _, ok := e.set(wire.TypeCNAME, 0); ok && e.flags&flagCovered == 0 {
			f.found.add(TargetIsAlias, owner(), rrtype)
			return
		}
	}
	if rrtype == wire.TypeNS && !e.hasAddress() && !f.synthesized(at, exact, key) {
		f.found.add(NSWithoutAddress, owner(), rrtype)
	}
}

// synthesized reports whether a wildcard may give a name its address, or a DNAME leads elsewhere.
func (f *finder) synthesized(at cursor, exact bool, key []byte) bool {
	if exact || f.contents.namesStats.wildcards+f.contents.namesStats.dnames == 0 {
		return false
	}
	var a Answer
	near, _ := at.before()
	e := near.at()
	if coverKey, covered := a.coverOf(&e, key); covered {
		return !f.contents.isCut(coverKey)
	}
	wildcard, exact := f.contents.names.find(a.wildcardOf(key[:a.encloserOf(at, &e, key)]))
	if !exact {
		return false
	}
	e = wildcard.at()
	return e.hasAddress()
}

// hasAddress reports whether an owner has an address; the zero entry has none.
func (e *entry) hasAddress() bool {
	if e.sets == nil {
		return false
	}
	_, v4 := e.set(wire.TypeA, 0)
	_, v6 := e.set(wire.TypeAAAA, 0)
	return v4 || v6
}
