package dnstest

import (
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"slices"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// oracleIterations is how many iterations of the hash a server still computes (RFC 9276 §3.2).
const oracleIterations = 150

// hashing is how the owners of a chain of NSEC3 records are made (RFC 5155 §5). It is a plain value.
type hashing struct {
	iterations uint16
	salt       string
}

// base32hex writes hashes in owners (RFC 5155 §3.3), in lower case like all names of an Oracle.
var base32hex = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// hash returns the first label, with its length, of the owner of the NSEC3 record that matches n.
func (h hashing) hash(n string) string {
	sum := sha1.Sum([]byte(n + h.salt))
	for range h.iterations {
		sum = sha1.Sum(append(sum[:], h.salt...))
	}
	return "\x20" + base32hex.EncodeToString(sum[:])
}

// nsec3Hashing returns the hashing of NSEC3 RDATA and whether it is one that a server knows.
func nsec3Hashing(data string) (hashing, bool) {
	return hashing{binary.BigEndian.Uint16([]byte(data[2:])), data[5 : 5+int(data[4])]}, data[0] == 1
}

// hashing returns the parameters of the chain of NSEC3 records to use, and whether there is one: of the NSEC3PARAM
// records with no flag set (RFC 5155 §4.1.2) the first one for which there is an NSEC3 record at the apex.
func (o *Oracle) hashing() (hashing, bool) {
	for _, f := range o.set(o.origin, dns.TypeNSEC3PARAM) {
		h, known := nsec3Hashing(f.data)
		if known && f.data[1] == 0 && len(o.matching(h, o.origin)) > 0 {
			return h, true
		}
	}
	return hashing{}, false
}

// chain returns the NSEC3 records made with h, in order.
func (o *Oracle) chain(h hashing) (chain []fact) {
	for _, f := range o.records {
		if f.rrtype == dns.TypeNSEC3 {
			if of, known := nsec3Hashing(f.data); known && of == h {
				chain = append(chain, f)
			}
		}
	}
	return chain
}

// matching returns the NSEC3 records that match n.
func (o *Oracle) matching(h hashing, n string) (matching []fact) {
	owner := h.hash(n) + o.origin
	for _, f := range o.chain(h) {
		if f.owner == owner {
			matching = append(matching, f)
		}
	}
	return matching
}

// proveNameError proves that n does not exist, and neither does a wildcard at its closest encloser.
func (s *search) proveNameError(n, encloser string) {
	switch h, hashed := s.denial(); {
	case !s.DNSSEC:
	case !hashed: // RFC 4035 §3.1.3.2
		s.coverNSEC(n)
		s.coverNSEC("\x01*" + encloser)
	case h.iterations > oracleIterations:
	default: // RFC 5155 §7.2.2
		provable := s.proveEncloser(h, n, encloser)
		s.coverNSEC3(h, "\x01*"+provable)
	}
}

// proveNoData proves that a node, n itself or the source of synthesis for n, does not have the type.
func (s *search) proveNoData(node, n string) {
	h, hashed := s.denial()
	switch {
	case !s.DNSSEC:
	case !hashed: // RFC 4035 §3.1.3.1 and §3.1.3.4
		s.matchNSEC(node)
		if node != n {
			s.coverNSEC(n)
		}
	case h.iterations > oracleIterations:
	case node != n: // RFC 5155 §7.2.5
		s.proveEncloser(h, n, parent(node))
		s.matchNSEC3(h, node)
	case len(s.matching(h, n)) > 0: // RFC 5155 §7.2.3
		s.matchNSEC3(h, n)
	default: // RFC 5155 §7.2.4
		s.proveEncloser(h, n, parent(n))
	}
}

// proveSynthesis proves that nothing is closer to n than the source of synthesis.
func (s *search) proveSynthesis(node, n string) {
	switch h, hashed := s.denial(); {
	case !s.DNSSEC:
	case !hashed: // RFC 4035 §3.1.3.3
		s.coverNSEC(n)
	case h.iterations > oracleIterations:
	default: // RFC 5155 §7.2.6
		s.coverNSEC3(h, nextCloser(n, parent(node)))
	}
}

// proveUnsigned proves that a cut has no DS records (RFC 4035 §3.1.4, RFC 5155 §7.2.7).
func (s *search) proveUnsigned(cut string) {
	if _, hashed := s.denial(); hashed || len(s.set(cut, dns.TypeNSEC)) > 0 {
		s.proveNoData(cut, cut)
	} else if s.DNSSEC {
		s.Unproven = true
	}
}

// denial returns the hashing to prove by, if the zone has NSEC3 records to prove by. Where the hash has too many
// iterations to be computed for an answer, the NSEC3 record of the apex says so (RFC 9276 §3.2), and that is added here.
func (s *search) denial() (hashing, bool) {
	h, hashed := s.hashing()
	if hashed && s.DNSSEC && h.iterations > oracleIterations {
		s.matchNSEC3(h, s.origin)
	}
	if !hashed && s.DNSSEC && len(s.set(s.origin, dns.TypeNSEC)) == 0 {
		s.Unproven = true // RFC 4034 §4.1.1: a chain of NSEC records begins and ends at the apex
	}
	return h, hashed
}

// proveEncloser adds the closest encloser proof (RFC 5155 §7.2.1) for n, of whose ancestors the one from which to search
// for a provable one exists. It returns the closest provable encloser.
func (s *search) proveEncloser(h hashing, n, from string) string {
	for len(s.matching(h, from)) == 0 {
		from = parent(from)
	}
	s.matchNSEC3(h, from)
	s.coverNSEC3(h, nextCloser(n, from))
	return from
}

// nextCloser returns the name one label longer than encloser on the way to n.
func nextCloser(n, encloser string) string {
	for parent(n) != encloser {
		n = parent(n)
	}
	return n
}

// matchNSEC adds the NSEC record of n, or the one that covers it if n is an empty non-terminal.
func (s *search) matchNSEC(n string) {
	if nsec := s.set(n, dns.TypeNSEC); len(nsec) > 0 {
		s.prove(nsec)
		return
	}
	for _, f := range s.records {
		if f.owner == n && !f.hidden() {
			s.Unproven = true // the name has records, but no NSEC
		}
	}
	s.coverNSEC(n)
}

// coverNSEC adds the NSEC record with the greatest owner before n.
func (s *search) coverNSEC(n string) {
	var before []fact
	for _, f := range s.records {
		if f.rrtype == dns.TypeNSEC && CompareNames(wire.Name(f.owner), wire.Name(n)) < 0 && !s.occluded(f.owner) {
			before = s.set(f.owner, dns.TypeNSEC)
		}
	}
	if len(before) == 0 {
		s.Unproven = true
		return
	}
	owner, next := before[0].owner, lowerCase([]byte(before[0].data[:nameEnd(before[0].data)]))
	behind := CompareNames(wire.Name(n), wire.Name(next)) < 0 || CompareNames(wire.Name(next), wire.Name(owner)) <= 0
	if len(before) > 1 || !behind || !below(next, s.origin) {
		s.Unproven = true
	}
	s.prove(before)
}

// occluded reports whether a name is below a cut or below a DNAME.
func (o *Oracle) occluded(n string) bool {
	return slices.ContainsFunc(o.path(n), func(at string) bool {
		return at != n && (at != o.origin && len(o.set(at, dns.TypeNS)) > 0 || len(o.set(at, dns.TypeDNAME)) > 0)
	})
}

// nameEnd returns how long the name is that data begins with.
func nameEnd(data string) int {
	end := 0
	for data[end] != 0 {
		end += 1 + int(data[end])
	}
	return end + 1
}

// matchNSEC3 adds the NSEC3 record that matches n.
func (s *search) matchNSEC3(h hashing, n string) {
	if matching := s.matching(h, n); len(matching) > 0 {
		s.prove(matching)
		return
	}
	s.Unproven = true
}

// coverNSEC3 adds the NSEC3 record that covers n: that with the greatest owner before the hash of n or, if there is none,
// the last one (RFC 5155 §1.3).
func (s *search) coverNSEC3(h hashing, n string) {
	chain, hash := s.chain(h), h.hash(n)
	before := chain[len(chain)-1]
	for _, f := range chain {
		if CompareNames(wire.Name(f.owner), wire.Name(hash+s.origin)) < 0 {
			before = f
		}
	}
	if len(s.matching(h, n)) > 0 || !before.covers3(hash) || before.owner[33:] != s.origin {
		s.Unproven = true
	}
	s.prove([]fact{before})
}

// covers3 reports whether a hash lies between those of an NSEC3 record (RFC 5155 §1.3).
func (f fact) covers3(hash string) bool {
	next := f.data[5+int(f.data[4]):]
	if len(f.owner) < 33 || next[0] != sha1.Size {
		return false
	}
	owner, end := f.owner[:33], "\x20"+base32hex.EncodeToString([]byte(next[1:1+sha1.Size]))
	if owner < end {
		return owner < hash && hash < end
	}
	return owner < hash || hash < end
}

// prove adds the RRset of NSEC or NSEC3 records to the authority section, once.
func (s *search) prove(records []fact) {
	set := records
	if records[0].rrtype == dns.TypeNSEC3 {
		set = s.rrset3(records[0].owner)
	}
	if !slices.Contains(s.Authority, lines(set, set[0].owner)[0]) {
		s.put(&s.Authority, set, set[0].owner)
	}
}

// rrset3 returns the NSEC3 records of one owner.
func (o *Oracle) rrset3(owner string) (set []fact) {
	for _, f := range o.records {
		if f.owner == owner && f.rrtype == dns.TypeNSEC3 {
			set = append(set, f)
		}
	}
	return set
}
