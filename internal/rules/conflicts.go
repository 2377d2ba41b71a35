package rules

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// conflictRules are the rules that Conflicts.Losers finds broken, with their marks. These are in stores: a mark never gets
// another rule.
var conflictRules = []struct {
	mark zone.Mark
	rule reason.Reason
}{
	{1, reason.CNAMEAndOther}, {2, reason.SeveralCNAMEs}, {3, reason.DNAMEAndCNAME}, {4, reason.SeveralDNAMEs},
	{5, reason.NSAndData}, {6, reason.AliasAndService},
}

// edition is raised by 1 with every change of what Conflicts.Losers returns: what another edition has marked is marked again.
const edition = 1

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

// Edition says by which rules contents are marked: the name of the set, and the edition of its rules.
func (m Conflicts) Edition() string { return fmt.Sprintf("%s %d", m, edition) }

// Conflict is a record or an RRset that loses. It is a plain value.
type Conflict struct {
	Type  uint16
	Index int // of the record in zone.OwnerSet.Records, or zone.WholeSet
	Rule  reason.Reason
	Known bool // both sides are served now, so that it is not new: a signed zone need not be refused for it
}

// Losers returns what loses among the records of one owner; nil for nothing, which costs no allocation. sets holds each type
// once, in any order; the order of the result is that of the types.
//
// An RRset that excludes another wins by the first that tells them apart: SOA, and NS at the apex; being served now; A and
// AAAA, then MX, TXT, other types, CNAME, NS; the lower type number. What is left excludes nothing of itself, and nothing
// could be put back without excluding something.
func (m Conflicts) Losers(apex bool, sets []zone.OwnerSet) []Conflict {
	if !m.concerned(apex, sets) {
		return nil
	}
	order := make([]*zone.OwnerSet, len(sets))
	for i := range sets {
		order[i] = &sets[i]
	}
	slices.SortFunc(order, func(a, b *zone.OwnerSet) int {
		return cmp.Or(cmp.Compare(rank(apex, a), rank(apex, b)), cmp.Compare(a.Type, b.Type))
	})
	var lost []Conflict
	kept := order[:0]         // never longer than what has been read of order
	var keen []*zone.OwnerSet // of them, those that Concerns is true of: few
	for _, s := range order {
		rivals := keen
		if m.Concerns(apex, s.Type) {
			rivals = kept
		}
		if winner := m.winner(apex, s, rivals); winner != nil {
			rule := m.between(apex, s.Type, winner.Type)
			lost = append(lost, Conflict{Type: s.Type, Index: zone.WholeSet, Rule: rule, Known: s.Served && winner.Served})
			continue
		}
		if kept = append(kept, s); m.Concerns(apex, s.Type) {
			keen = append(keen, s)
		}
		lost = m.within(lost, apex, s)
	}
	slices.SortStableFunc(lost, func(a, b Conflict) int { return cmp.Compare(a.Type, b.Type) })
	return lost
}

// Concerns reports whether an RRset of the type can be one side of every conflict there is: an owner none of whose types it
// is true of need not be looked at.
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
func (m Conflicts) concerned(apex bool, sets []zone.OwnerSet) bool {
	for i := range sets {
		if m.Concerns(apex, sets[i].Type) && (len(sets) > 1 || len(sets[i].Records) > 1) {
			return true
		}
	}
	return false
}

// Exclusions returns the rules as contents are marked by.
func (m Conflicts) Exclusions() zone.Exclusions {
	return zone.Exclusions{Concerns: m.Concerns, Losses: func(apex bool, sets []zone.OwnerSet) []zone.Loss {
		var losses []zone.Loss
		for _, c := range m.Losers(apex, sets) {
			losses = append(losses, zone.Loss{Type: c.Type, Index: c.Index, Mark: markOf(c.Rule), Known: c.Known})
		}
		return losses
	}}
}

// OfMark returns the rule that a mark stands for.
func OfMark(m zone.Mark) reason.Reason {
	for _, c := range conflictRules {
		if c.mark == m {
			return c.rule
		}
	}
	return ""
}

// markOf returns the mark that stands for a rule of conflicts.
func markOf(r reason.Reason) zone.Mark {
	for _, c := range conflictRules {
		if c.rule == r {
			return c.mark
		}
	}
	panic("rules: no rule of conflicts: " + string(r))
}

// winner returns the first of the sets that excludes s, nil if none does.
func (m Conflicts) winner(apex bool, s *zone.OwnerSet, kept []*zone.OwnerSet) *zone.OwnerSet {
	for _, k := range kept {
		if m.between(apex, s.Type, k.Type) != "" {
			return k
		}
	}
	return nil
}

// rank returns the place of an RRset among those it excludes, lowest first.
func rank(apex bool, s *zone.OwnerSet) int {
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
func (m Conflicts) between(apex bool, a, b uint16) reason.Reason {
	if m == ConflictsOff || a == b || exempt(a) || exempt(b) {
		return ""
	}
	if b == dns.TypeCNAME || (a != dns.TypeCNAME && b == dns.TypeDNAME) {
		a, b = b, a
	}
	switch {
	case a == dns.TypeCNAME && b == dns.TypeDNAME:
		return reason.DNAMEAndCNAME // RFC 6672 §2.4
	case a == dns.TypeCNAME && m == ConflictsAlibaba && apex && besideCNAME(b):
		return ""
	case a == dns.TypeCNAME:
		return reason.CNAMEAndOther // RFC 1034 §3.6.2, RFC 2181 §10.1
	case m == ConflictsAlibaba && !apex && ((a == dns.TypeNS && besideNS(b)) || (b == dns.TypeNS && besideNS(a))):
		return reason.NSAndData
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
func (m Conflicts) within(lost []Conflict, apex bool, s *zone.OwnerSet) []Conflict {
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
		return losers(lost, s, reason.SeveralCNAMEs, func(i int) bool { return i != best }) // RFC 2181 §10.1
	case dns.TypeDNAME:
		return losers(lost, s, reason.SeveralDNAMEs, func(i int) bool { return i != best }) // RFC 6672 §2.4
	case dns.TypeSVCB, dns.TypeHTTPS:
		if m != ConflictsAlibaba || !apex {
			return lost
		}
		// RFC 9460 §2.4.1: beside one of AliasMode those of ServiceMode are ignored. It stands first in canonical order.
		mode := aliasMode(s.Records[best])
		return losers(lost, s, reason.AliasAndService, func(i int) bool { return aliasMode(s.Records[i]) != mode })
	}
	return lost
}

// losers adds the records of an RRset that lose to another of it. One that is served now loses only to one that is.
func losers(lost []Conflict, s *zone.OwnerSet, rule reason.Reason, loses func(i int) bool) []Conflict {
	served := s.Incumbents
	for i := range s.Records {
		known := len(served) > 0 && served[0] == i
		if known {
			served = served[1:]
		}
		if loses(i) {
			lost = append(lost, Conflict{Type: s.Type, Index: i, Rule: rule, Known: known})
		}
	}
	return lost
}

// aliasMode reports whether SVCB RDATA is of AliasMode: SvcPriority 0 (RFC 9460 §2.4.1).
func aliasMode(rdata []byte) bool { return len(rdata) >= 2 && rdata[0] == 0 && rdata[1] == 0 }
