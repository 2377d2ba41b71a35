package dnstest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// Validate says what a validator would miss in the answer of a signed zone to a question with DO: signatures, and the
// proofs of RFC 4035 §5.4 and RFC 5155 §8. It checks no signature, and knows nothing but the reply: neither the zone nor
// how its answers are made.
func Validate(origin wire.Name, q Query, r Reply) error {
	v := &validator{origin: presentation(origin), qtype: q.Type}
	answer, authority := Records(r.Answer...), Records(r.Authority...)
	if err := errors.Join(signed(answer, r.Outcome), signed(authority, r.Outcome)); err != nil {
		return err
	}
	if err := v.collect(authority); err != nil || v.costly {
		return err
	}
	name := presentation([]byte(lowerCase(q.Name)))
	for range answer {
		name = alias(answer, name)
	}
	return errors.Join(v.expansions(answer), v.outcome(r.Outcome, name, authority))
}

// validator has what a reply proves by. It is used by one goroutine.
type validator struct {
	origin string
	qtype  uint16
	proofs []proof
	hashed bool // they are NSEC3 records
	costly bool // they are, of so many iterations that a validator does not look at them (RFC 9276 §3.2)
}

// proof is one NSEC or NSEC3 record. It is a plain value.
type proof struct {
	owner, next string // names, or hashes
	types       []uint16
	optOut      bool
	hash        func(name string) string // nil: NSEC
}

// signed reports which RRset of a section has no signature beside it. Not signed are the NS records of a cut (RFC 4035
// §2.2) and the CNAME records that a DNAME makes (RFC 6672 §5.3.1).
func signed(section []dns.RR, outcome string) error {
	for _, rr := range section {
		h := rr.Header()
		made := func(d dns.RR) bool {
			return d.Header().Rrtype == dns.TypeDNAME && h.Rrtype == dns.TypeCNAME && h.Name != d.Header().Name &&
				dns.IsSubDomain(d.Header().Name, h.Name)
		}
		covers := func(s dns.RR) bool {
			sig, ok := s.(*dns.RRSIG)
			return ok && sig.Hdr.Name == h.Name && sig.TypeCovered == h.Rrtype && sig.Hdr.Ttl == h.Ttl
		}
		cut := h.Rrtype == dns.TypeNS && outcome == "REFERRAL"
		if h.Rrtype != dns.TypeRRSIG && !cut && !slices.ContainsFunc(section, made) && !slices.ContainsFunc(section, covers) {
			return fmt.Errorf("no signature over %s", rr)
		}
	}
	return nil
}

// alias returns the name that an alias in the answer leads to, or the name itself. What is denied is denied of the last one.
func alias(answer []dns.RR, name string) string {
	for _, rr := range answer {
		if cname, ok := rr.(*dns.CNAME); ok && cname.Hdr.Name == name {
			return cname.Target
		}
	}
	return name
}

// collect takes the NSEC or NSEC3 records of the authority section.
func (v *validator) collect(authority []dns.RR) error {
	for _, rr := range authority {
		switch rr := rr.(type) {
		case *dns.NSEC:
			v.proofs = append(v.proofs, proof{owner: rr.Hdr.Name, next: strings.ToLower(rr.NextDomain), types: rr.TypeBitMap})
		case *dns.NSEC3:
			v.hashed = true
			v.costly = v.costly || rr.Iterations > 150
			v.proofs = append(v.proofs, proof{
				owner: strings.ToUpper(dns.SplitDomainName(rr.Hdr.Name)[0]), next: rr.NextDomain, types: rr.TypeBitMap,
				optOut: rr.Flags&1 != 0,
				hash:   func(name string) string { return dns.HashName(name, rr.Hash, rr.Iterations, rr.Salt) },
			})
		}
	}
	for _, p := range v.proofs {
		if v.hashed != (p.hash != nil) {
			return errors.New("both NSEC and NSEC3 records")
		}
	}
	if v.costly && (len(v.proofs) > 1 || !v.proofs[0].matches(v.origin)) {
		return errors.New("proof by many iterations is not that of the apex")
	}
	return nil
}

// matches reports whether the record is that of a name.
func (p proof) matches(name string) bool {
	if p.hash != nil {
		name = p.hash(name)
	}
	return p.owner == name
}

// covers reports whether the record denies that a name exists as an owner.
func (p proof) covers(name, origin string) bool {
	if p.hash != nil {
		h := p.hash(name)
		if p.owner < p.next {
			return p.owner < h && h < p.next
		}
		return p.owner < h || h < p.next
	}
	// RFC 6840 §4.1: what is below a cut or a DNAME is nothing that the record could deny.
	if p.cut() && dns.IsSubDomain(p.owner, name) {
		return false
	}
	return compare(p.owner, name) < 0 && (p.next == origin || compare(name, p.next) < 0)
}

// cut reports whether names below the owner are not its zone's.
func (p proof) cut() bool {
	return p.has(dns.TypeNS) && !p.has(dns.TypeSOA) || p.has(dns.TypeDNAME)
}

func (p proof) has(t uint16) bool { return slices.Contains(p.types, t) }

// denies reports whether a record that matches a name denies a type there (RFC 4035 §5.4, RFC 5155 §8.5 and §8.6, RFC 6840
// §4.1). What a name has of DNSSEC stands beside a CNAME (RFC 4035 §2.5).
func (p proof) denies(t uint16) bool {
	delegated := p.has(dns.TypeNS) && !p.has(dns.TypeSOA) && t != dns.TypeDS
	aliased := p.has(dns.TypeCNAME) && t != dns.TypeRRSIG && t != dns.TypeNSEC
	return !p.has(t) && !delegated && !aliased
}

func compare(a, b string) int { return CompareNames(wireName(a), wireName(b)) }

func (v *validator) match(name string) (proof, bool) {
	i := slices.IndexFunc(v.proofs, func(p proof) bool { return p.matches(name) })
	if i < 0 {
		return proof{}, false
	}
	return v.proofs[i], true
}

func (v *validator) cover(name string) (proof, bool) {
	i := slices.IndexFunc(v.proofs, func(p proof) bool { return p.covers(name, v.origin) })
	if i < 0 {
		return proof{}, false
	}
	return v.proofs[i], true
}

// upward returns a name and its ancestors, down to the one with this many labels.
func upward(name string, labels int) (names []string) {
	for ; dns.CountLabel(name) > labels; name = up(name) {
		names = append(names, name)
	}
	return append(names, name)
}

// up returns the name one label up.
func up(name string) string {
	if at, end := dns.NextLabel(name, 0); !end {
		return name[at:]
	}
	return "."
}

// encloser returns the closest encloser of a name that does not exist, and whether the name may be that of a delegation
// which Opt-Out leaves out (RFC 4035 §5.4, RFC 5155 §8.3).
func (v *validator) encloser(name string) (encloser string, optOut bool, err error) {
	if v.hashed {
		nextCloser := name
		for _, n := range upward(name, dns.CountLabel(v.origin))[1:] {
			if p, ok := v.match(n); ok && !p.cut() {
				c, covered := v.cover(nextCloser)
				if !covered {
					return "", false, fmt.Errorf("the next closer name %s is not covered", nextCloser)
				}
				return n, c.optOut, nil
			}
			nextCloser = n
		}
		return "", false, fmt.Errorf("no encloser of %s is matched", name)
	}
	p, ok := v.cover(name)
	if !ok || dns.IsSubDomain(name, p.next) {
		return "", false, fmt.Errorf("%s is not covered", name)
	}
	for _, n := range upward(name, dns.CountLabel(v.origin)) {
		if dns.IsSubDomain(n, p.owner) || dns.IsSubDomain(n, p.next) {
			return n, false, nil
		}
	}
	return "", false, fmt.Errorf("%s is covered from outside", name)
}

// expansions checks that nothing is closer to the owner of an expanded RRset than the wildcard (RFC 4035 §5.3.4, RFC 5155
// §8.8). The labels of its signature tell how many the wildcard has.
func (v *validator) expansions(answer []dns.RR) error {
	for _, rr := range answer {
		sig, ok := rr.(*dns.RRSIG)
		if !ok || strings.HasPrefix(sig.Hdr.Name, "*.") && int(sig.Labels) == dns.CountLabel(sig.Hdr.Name)-1 ||
			int(sig.Labels) == dns.CountLabel(sig.Hdr.Name) {
			continue
		}
		names := upward(sig.Hdr.Name, int(sig.Labels))
		nextCloser := names[len(names)-2]
		if _, ok := v.cover(nextCloser); v.hashed && ok {
			continue
		}
		if n, _, err := v.encloser(sig.Hdr.Name); v.hashed || err != nil || n != names[len(names)-1] {
			return fmt.Errorf("%s may be closer than the wildcard: %w", nextCloser, err)
		}
	}
	return nil
}

// outcome checks the proof of what became of the last name.
func (v *validator) outcome(outcome, name string, authority []dns.RR) error {
	switch outcome {
	case "NXDOMAIN":
		return v.nameError(name)
	case "NODATA":
		return v.noData(name)
	case "REFERRAL":
		return v.referral(authority)
	}
	return nil
}

// nameError checks that a name and its wildcard do not exist (RFC 4035 §5.4, RFC 5155 §8.4).
func (v *validator) nameError(name string) error {
	encloser, optOut, err := v.encloser(name)
	if err != nil {
		return err
	}
	wildcard := "*." + strings.TrimPrefix(encloser, ".")
	_, covered := v.cover(wildcard)
	if _, matched := v.match(wildcard); !covered && (!optOut || !matched) { // see Oracle: the zone can do no better
		return fmt.Errorf("%s is not covered", wildcard)
	}
	return nil
}

// noData checks that a name, or the wildcard in its place, does not have the type (RFC 4035 §5.4, RFC 5155 §8.5 to §8.7).
func (v *validator) noData(name string) error {
	if p, ok := v.match(name); ok {
		if !p.denies(v.qtype) {
			return fmt.Errorf("type not denied by %v", p.types)
		}
		return nil
	}
	if v.empty(name) {
		return nil
	}
	encloser, optOut, err := v.encloser(name)
	if err != nil {
		return err
	}
	wildcard := "*." + strings.TrimPrefix(encloser, ".")
	if p, ok := v.match(wildcard); ok && p.denies(v.qtype) || v.empty(wildcard) || optOut {
		return nil
	}
	return fmt.Errorf("neither %s nor %s denies the type", name, wildcard)
}

// empty reports whether a name is an empty non-terminal: an NSEC record goes over it to a name below it.
func (v *validator) empty(name string) bool {
	p, ok := v.cover(name)
	return ok && !v.hashed && p.next != name && dns.IsSubDomain(name, p.next)
}

// referral checks that the DS records of a cut are there, or that there are none (RFC 4035 §5.2, RFC 5155 §8.9).
func (v *validator) referral(authority []dns.RR) error {
	var cut string
	for _, rr := range authority {
		switch rr.Header().Rrtype {
		case dns.TypeDS:
			return nil
		case dns.TypeNS:
			cut = rr.Header().Name
		}
	}
	if p, ok := v.match(cut); ok {
		if !p.has(dns.TypeNS) || p.has(dns.TypeDS) || p.has(dns.TypeSOA) {
			return fmt.Errorf("cut %s not denied DS by %v", cut, p.types)
		}
		return nil
	}
	if _, optOut, err := v.encloser(cut); err != nil || !optOut || !v.hashed {
		return fmt.Errorf("cut %s: no DS records, and none denied: %w", cut, err)
	}
	return nil
}
