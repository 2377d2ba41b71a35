package rules

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/wire"
)

// The rules about records of one owner that exclude each other. What loses is left out of what is served.
const (
	CNAMEAndOther   Rule = "cname_and_other_data" // CNAME beside another type
	SeveralCNAMEs   Rule = "several_cnames"       // CNAME records with different targets
	DNAMEAndCNAME   Rule = "dname_and_cname"      // DNAME beside CNAME
	SeveralDNAMEs   Rule = "several_dnames"       // DNAME records with different targets
	DNAMEAndNS      Rule = "dname_and_ns"         // DNAME at a zone cut
	NSAndData       Rule = "ns_and_data"          // alibaba: NS beside another type below the apex
	AliasAndService Rule = "alias_and_service"    // alibaba: SVCB or HTTPS records of both modes at the apex
)

// ConflictRules returns the rules that Conflicts.Judge finds broken.
func ConflictRules() []Rule {
	return []Rule{CNAMEAndOther, SeveralCNAMEs, DNAMEAndCNAME, SeveralDNAMEs, DNAMEAndNS, NSAndData, AliasAndService}
}

// Conflicts says which records of one owner exclude each other. It is a plain value.
type Conflicts uint8

// The sets of conflict rules.
const (
	ConflictsRFC     Conflicts = iota // what RFC 1034, 2181, 4034 and 6672 forbid; the default
	ConflictsAlibaba                  // the matrix Alibaba Cloud DNS publishes; for types it does not list, as ConflictsRFC
	ConflictsOff                      // nothing
)

var conflictNames = [...]string{"rfc", "alibaba", "off"}

// String returns the name of the set, as the Corefile has it.
func (m Conflicts) String() string {
	if int(m) < len(conflictNames) {
		return conflictNames[m]
	}
	return "invalid"
}

// ParseConflicts returns the set of this name.
func ParseConflicts(s string) (Conflicts, error) {
	if i := slices.Index(conflictNames[:], s); i >= 0 {
		return Conflicts(i), nil
	}
	return 0, fmt.Errorf("conflicts is rfc, alibaba or off, not %q", s)
}

// OwnerSet is one RRset of an owner, to be judged with the others. It is a plain value; Judge keeps nothing of it.
type OwnerSet struct {
	Type    uint16
	Records [][]byte // RDATA, in canonical order (RFC 4034 §6.3); at least one
	Served  bool     // the owner has this type in what is served now

	// Incumbents are the indices of the records that are served now, ascending. They are asked for where one record can
	// exclude another of its type: CNAME, DNAME, SVCB and HTTPS.
	Incumbents []int
}

// WholeSet is the Index of a conflict that an RRset loses with all its records.
const WholeSet = -1

// Conflict is a record or an RRset that loses. It is a plain value.
type Conflict struct {
	Type  uint16
	Index int // of the record in OwnerSet.Records, or WholeSet
	Rule  Rule
	Known bool // both sides are served now, so that it is not new: a signed zone need not be refused for it
}

// Judge returns what loses among the records of one owner; nil for nothing, which costs no allocation. sets holds each type
// once, in any order; the order of the result is that of the types.
//
// An RRset that excludes another wins by the first that tells them apart: SOA, and NS at the apex; being served now; A and
// AAAA, then MX, TXT, other types, CNAME, NS; the lower type number. What is left excludes nothing of itself, and nothing
// could be put back without excluding something.
func (m Conflicts) Judge(apex bool, sets []OwnerSet) []Conflict {
	if !m.concerned(apex, sets) {
		return nil
	}
	order := make([]*OwnerSet, len(sets))
	for i := range sets {
		order[i] = &sets[i]
	}
	slices.SortFunc(order, func(a, b *OwnerSet) int {
		return cmp.Or(cmp.Compare(rank(apex, a), rank(apex, b)), cmp.Compare(a.Type, b.Type))
	})
	var lost []Conflict
	kept := order[:0] // never longer than what has been read of order
	for _, s := range order {
		if winner := m.winner(apex, s, kept); winner != nil {
			rule := m.between(apex, s.Type, winner.Type)
			lost = append(lost, Conflict{Type: s.Type, Index: WholeSet, Rule: rule, Known: s.Served && winner.Served})
			continue
		}
		kept = append(kept, s)
		lost = m.within(lost, apex, s)
	}
	slices.SortStableFunc(lost, func(a, b Conflict) int { return cmp.Compare(a.Type, b.Type) })
	return lost
}

// Concerns reports whether an RRset of the type can be one side of every conflict there is: an owner none of whose types it
// is true of need not be judged.
func (m Conflicts) Concerns(apex bool, typ uint16) bool {
	switch typ {
	case dns.TypeCNAME, dns.TypeDNAME:
		return m != ConflictsOff
	case dns.TypeNS:
		return m == ConflictsAlibaba && !apex // elsewhere the other side is CNAME or DNAME
	case dns.TypeSVCB, dns.TypeHTTPS:
		return m == ConflictsAlibaba && apex
	}
	return false
}

// concerned reports whether there may be a conflict.
func (m Conflicts) concerned(apex bool, sets []OwnerSet) bool {
	for i := range sets {
		if m.Concerns(apex, sets[i].Type) && (len(sets) > 1 || len(sets[i].Records) > 1) {
			return true
		}
	}
	return false
}

// winner returns the first of the sets that excludes s, nil if none does.
func (m Conflicts) winner(apex bool, s *OwnerSet, kept []*OwnerSet) *OwnerSet {
	for _, k := range kept {
		if m.between(apex, s.Type, k.Type) != "" {
			return k
		}
	}
	return nil
}

// rank returns the place of an RRset among those it excludes, lowest first.
func rank(apex bool, s *OwnerSet) int {
	const places = 10 // more than there are below
	switch {
	case s.Type == dns.TypeSOA:
		return 0
	case s.Type == dns.TypeNS && apex:
		return 1
	}
	place := places
	if !s.Served {
		place += places
	}
	switch s.Type {
	case dns.TypeA, dns.TypeAAAA:
		return place
	case dns.TypeMX:
		return place + 1
	case dns.TypeTXT:
		return place + 2
	case dns.TypeCNAME:
		return place + 4
	case dns.TypeNS:
		return place + 5
	}
	return place + 3
}

// between returns the rule by which the types exclude each other at one owner, "" if they do not.
func (m Conflicts) between(apex bool, a, b uint16) Rule {
	if m == ConflictsOff || a == b || exempt(a) || exempt(b) {
		return ""
	}
	if b == dns.TypeCNAME || (a != dns.TypeCNAME && b == dns.TypeDNAME) {
		a, b = b, a
	}
	switch {
	case a == dns.TypeCNAME && b == dns.TypeDNAME:
		return DNAMEAndCNAME // RFC 6672 §2.4
	case a == dns.TypeCNAME && m == ConflictsAlibaba && apex && besideCNAME(b):
		return ""
	case a == dns.TypeCNAME:
		return CNAMEAndOther // RFC 1034 §3.6.2, RFC 2181 §10.1
	case a == dns.TypeDNAME && b == dns.TypeNS && !apex:
		return DNAMEAndNS // RFC 6672 §2.3
	case m == ConflictsAlibaba && !apex && ((a == dns.TypeNS && besideNS(b)) || (b == dns.TypeNS && besideNS(a))):
		return NSAndData
	}
	return ""
}

// besideCNAME reports whether the matrix has the type beside a CNAME at the apex.
func besideCNAME(typ uint16) bool {
	return typ == dns.TypeSOA || typ == dns.TypeNS || typ == dns.TypeMX || typ == dns.TypeTXT
}

// besideNS reports whether the matrix forbids the type beside NS below the apex.
func besideNS(typ uint16) bool {
	switch typ {
	case dns.TypeA, dns.TypeAAAA, dns.TypeMX, dns.TypeTXT, dns.TypeSRV, dns.TypeCAA:
		return true
	}
	return false
}

// exempt reports whether the type excludes none and is excluded by none: it is there for DNSSEC, or for the zone as a whole.
func exempt(typ uint16) bool {
	switch typ {
	case wire.TypeRRSIG, wire.TypeNSEC, wire.TypeNSEC3, wire.TypeDS, wire.TypeDNSKEY, wire.TypeNSEC3PARAM,
		dns.TypeCDS, dns.TypeCDNSKEY, dns.TypeZONEMD:
		return true
	case dns.TypeSIG, dns.TypeKEY, dns.TypeNXT: // their forerunners, which RFC 2181 §10.1 allows beside a CNAME
		return true
	}
	return false
}

// within adds the records of an RRset that others of it exclude.
func (m Conflicts) within(lost []Conflict, apex bool, s *OwnerSet) []Conflict {
	if len(s.Records) < 2 {
		return lost
	}
	best := 0
	if len(s.Incumbents) > 0 {
		best = s.Incumbents[0]
	}
	switch s.Type {
	case dns.TypeCNAME:
		if m == ConflictsAlibaba && apex {
			return lost // the matrix has several at the apex
		}
		return oneOnly(lost, s, best, SeveralCNAMEs) // RFC 2181 §10.1
	case dns.TypeDNAME:
		return oneOnly(lost, s, best, SeveralDNAMEs) // RFC 6672 §2.4
	case dns.TypeSVCB, dns.TypeHTTPS:
		if m != ConflictsAlibaba || !apex {
			return lost
		}
		// RFC 9460 §2.4.1: beside one of AliasMode those of ServiceMode are ignored. It stands first in canonical order.
		for i, r := range s.Records {
			if aliasMode(r) != aliasMode(s.Records[best]) {
				lost = append(lost, s.loses(i, AliasAndService))
			}
		}
	}
	return lost
}

// oneOnly adds all records but one.
func oneOnly(lost []Conflict, s *OwnerSet, best int, rule Rule) []Conflict {
	for i := range s.Records {
		if i != best {
			lost = append(lost, s.loses(i, rule))
		}
	}
	return lost
}

// loses returns the conflict that a record loses to another of its RRset. One that is served now loses only to one that is.
func (s *OwnerSet) loses(i int, rule Rule) Conflict {
	return Conflict{Type: s.Type, Index: i, Rule: rule, Known: slices.Contains(s.Incumbents, i)}
}

// aliasMode reports whether SVCB RDATA is of AliasMode: SvcPriority 0 (RFC 9460 §2.4.1).
func aliasMode(rdata []byte) bool { return len(rdata) >= 2 && rdata[0] == 0 && rdata[1] == 0 }
