package rules_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// The matrices Alibaba Cloud publishes: R may be repeated, ok may stand together, X excludes. URL and ALIAS are no types of
// records that a transfer could carry. "alias+service" is a set with records of both modes.
const (
	alibabaBelowApex = `
		.     NS CNAME A  MX TXT AAAA SRV CAA
		NS    R  X     X  X  X   X    X   X
		CNAME X  X     X  X  X   X    X   X
		A     X  X     R  ok ok  ok   ok  ok
		MX    X  X     ok R  ok  ok   ok  ok
		TXT   X  X     ok ok R   ok   ok  ok
		AAAA  X  X     ok ok ok  R    ok  ok
		SRV   X  X     ok ok ok  ok   R   ok`
	alibabaAtApex = `
		.     NS CNAME A  MX TXT AAAA SRV CAA SVCB HTTPS
		NS    R  ok    ok ok ok  ok   ok  ok  ok   ok
		CNAME ok R     X  ok ok  X    X   X   X    X
		A     ok X     R  ok ok  ok   ok  ok  ok   ok
		MX    ok ok    ok R  ok  ok   ok  ok  ok   ok
		TXT   ok ok    ok ok R   ok   ok  ok  ok   ok
		AAAA  ok X     ok ok ok  R    ok  ok  ok   ok
		SRV   ok X     ok ok ok  ok   R   ok  ok   ok
		CAA   ok X     ok ok ok  ok   ok  R   ok   ok
		SVCB  ok X     ok ok ok  ok   ok  ok  R    ok
		HTTPS ok X     ok ok ok  ok   ok  ok  ok   R`
	// RFC 1034 §3.6.2, RFC 2181 §10.1, RFC 6672 §2.4.
	rfcBelowApex = `
		.     NS CNAME A  MX TXT AAAA SRV CAA SVCB HTTPS PTR DNAME TYPE65280
		NS    R  X     ok ok ok  ok   ok  ok  ok   ok    ok  ok    ok
		CNAME X  X     X  X  X   X    X   X   X    X     X   X     X
		A     ok X     R  ok ok  ok   ok  ok  ok   ok    ok  ok    ok
		MX    ok X     ok R  ok  ok   ok  ok  ok   ok    ok  ok    ok
		TXT   ok X     ok ok R   ok   ok  ok  ok   ok    ok  ok    ok
		AAAA  ok X     ok ok ok  R    ok  ok  ok   ok    ok  ok    ok
		SRV   ok X     ok ok ok  ok   R   ok  ok   ok    ok  ok    ok
		CAA   ok X     ok ok ok  ok   ok  R   ok   ok    ok  ok    ok
		SVCB  ok X     ok ok ok  ok   ok  ok  R    ok    ok  ok    ok
		HTTPS ok X     ok ok ok  ok   ok  ok  ok   R     ok  ok    ok
		PTR   ok X     ok ok ok  ok   ok  ok  ok   ok    R   ok    ok
		DNAME ok X     ok ok ok  ok   ok  ok  ok   ok    ok  X     ok`
	rfcAtApex = `
		.     SOA NS CNAME A  MX TXT AAAA SRV CAA DNAME
		SOA   R   ok X     ok ok ok  ok   ok  ok  ok
		NS    ok  R  X     ok ok ok  ok   ok  ok  ok
		CNAME X   X  X     X  X  X   X    X   X   X
		A     ok  ok X     R  ok ok  ok   ok  ok  ok
		DNAME ok  ok X     ok ok ok  ok   ok  ok  X`
	// Beyond what is published, alibaba is as the RFCs.
	alibabaElsewhereBelowApex = `
		.     NS CNAME A  PTR DNAME SVCB HTTPS TLSA
		DNAME ok X     ok ok  X     ok   ok    ok
		PTR   ok X     ok R   ok    ok   ok    ok
		SVCB  ok X     ok ok  ok    R    ok    ok
		HTTPS ok X     ok ok  ok    ok   R     ok`
	alibabaElsewhereAtApex = `
		.     SOA NS CNAME A  PTR DNAME
		SOA   R   ok ok    ok ok  ok
		DNAME ok  ok X     ok ok  X
		PTR   ok  ok X     ok R   ok`
)

// typ returns the type of a mnemonic.
func typ(t testing.TB, s string) uint16 {
	if n, ok := dns.StringToType[s]; ok {
		return n
	}
	var n uint16
	if _, err := fmt.Sscanf(s, "TYPE%d", &n); err != nil {
		t.Fatalf("No type %q", s)
	}
	return n
}

// set returns an RRset of n records, which for SVCB and HTTPS are all of ServiceMode.
func set(typ uint16, n int) zone.OwnerSet {
	s := zone.OwnerSet{Type: typ}
	for i := range n {
		s.Records = append(s.Records, []byte{0, byte(i + 1)})
	}
	return s
}

func TestConflictMatrices(t *testing.T) {
	for _, c := range []struct {
		name   string
		mode   rules.Conflicts
		apex   bool
		matrix string
	}{
		{"alibaba below the apex", rules.ConflictsAlibaba, false, alibabaBelowApex},
		{"alibaba at the apex", rules.ConflictsAlibaba, true, alibabaAtApex},
		{"rfc below the apex", rules.ConflictsRFC, false, rfcBelowApex},
		{"rfc at the apex", rules.ConflictsRFC, true, rfcAtApex},
		{"alibaba elsewhere below the apex", rules.ConflictsAlibaba, false, alibabaElsewhereBelowApex},
		{"alibaba elsewhere at the apex", rules.ConflictsAlibaba, true, alibabaElsewhereAtApex},
	} {
		t.Run(c.name, func(t *testing.T) {
			var columns []string
			cells := 0
			for row := range strings.Lines(strings.TrimSpace(c.matrix)) {
				fields := strings.Fields(row)
				if columns == nil {
					columns = fields
					continue
				}
				for i, cell := range fields[1:] {
					cell1(t, c.mode, c.apex, fields[0], columns[i+1], cell)
					cells++
				}
			}
			if cells < 15 {
				t.Errorf("Only %d cells", cells)
			}
		})
	}
}

// cell1 checks one cell of a matrix.
func cell1(t *testing.T, mode rules.Conflicts, apex bool, a, b, cell string) {
	t.Helper()
	sets := []zone.OwnerSet{set(typ(t, a), 1), set(typ(t, b), 1)}
	if a == b {
		sets = []zone.OwnerSet{set(typ(t, a), 2)}
	}
	lost := mode.Losers(apex, sets)
	switch cell {
	case "R", "ok":
		if lost != nil {
			t.Errorf("%s beside %s: %v; want both", a, b, lost)
		}
	case "X":
		if len(lost) != 1 || lost[0].Known || !slices.Contains(reason.All(reason.Conflict), lost[0].Rule) {
			t.Errorf("%s beside %s: %v; want one to lose", a, b, lost)
		}
	default:
		t.Fatalf("Cell %q", cell)
	}
}

// What DNSSEC needs is beside everything, a CNAME and a zone cut as well; so are its forerunners (RFC 2181 §10.1).
func TestDNSSECTypesAreExempt(t *testing.T) {
	for exempt := range strings.FieldsSeq("RRSIG NSEC NSEC3 DS DNSKEY CDS CDNSKEY NSEC3PARAM ZONEMD SIG KEY NXT") {
		for other := range strings.FieldsSeq("SOA NS CNAME DNAME A MX TXT SVCB") {
			for _, mode := range []rules.Conflicts{rules.ConflictsRFC, rules.ConflictsAlibaba, rules.ConflictsOff} {
				for _, apex := range []bool{false, true} {
					if lost := mode.Losers(apex, []zone.OwnerSet{set(typ(t, exempt), 2), set(typ(t, other), 1)}); lost != nil {
						t.Errorf("%s, %s beside %s: %v", mode, exempt, other, lost)
					}
				}
			}
		}
	}
}

// Which one loses: SOA and apex NS stay, then what is served, then A and AAAA, MX, TXT, others, CNAME, NS.
func TestWhichRecordLoses(t *testing.T) {
	served := func(s zone.OwnerSet, incumbents ...int) zone.OwnerSet {
		s.Served, s.Incumbents = true, incumbents
		return s
	}
	of := func(name string, n int) zone.OwnerSet { return set(typ(t, name), n) }
	const rfc, alibaba = rules.ConflictsRFC, rules.ConflictsAlibaba
	for _, c := range []struct {
		name string
		mode rules.Conflicts
		apex bool
		sets []zone.OwnerSet
		want string
	}{
		{"data wins over CNAME", rfc, false, []zone.OwnerSet{of("CNAME", 1), of("A", 2), of("TXT", 1)}, "CNAME cname_and_other_data"},
		{"served CNAME wins over new data", rfc, false, []zone.OwnerSet{of("A", 2), served(of("CNAME", 1), 0), of("MX", 1)},
			"A cname_and_other_data, MX cname_and_other_data"},
		{"served data wins over new CNAME", rfc, false, []zone.OwnerSet{served(of("SRV", 1)), of("CNAME", 1)}, "CNAME cname_and_other_data"},
		{"both served", rfc, false, []zone.OwnerSet{served(of("CNAME", 1), 0), served(of("A", 1))}, "CNAME cname_and_other_data known"},
		{"served CNAME at the apex loses to SOA and NS", rfc, true, []zone.OwnerSet{of("SOA", 1), of("NS", 2), served(of("CNAME", 1), 0)},
			"CNAME cname_and_other_data"},
		{"CNAME wins over a new zone cut", rfc, false, []zone.OwnerSet{of("NS", 2), of("CNAME", 1)}, "NS cname_and_other_data"},
		{"served zone cut wins over CNAME", rfc, false, []zone.OwnerSet{served(of("NS", 2)), of("CNAME", 1)}, "CNAME cname_and_other_data"},
		{"several CNAMEs, the first stays", rfc, false, []zone.OwnerSet{of("CNAME", 3)}, "CNAME#1 several_cnames, CNAME#2 several_cnames"},
		{"several CNAMEs, the served one stays", rfc, false, []zone.OwnerSet{served(of("CNAME", 3), 1)},
			"CNAME#0 several_cnames, CNAME#2 several_cnames"},
		{"several CNAMEs, two of them served", rfc, false, []zone.OwnerSet{served(of("CNAME", 3), 1, 2)},
			"CNAME#0 several_cnames, CNAME#2 several_cnames known"},
		{"several CNAMEs that lose all", rfc, false, []zone.OwnerSet{of("CNAME", 3), of("AAAA", 1)}, "CNAME cname_and_other_data"},
		{"DNAME wins over CNAME", rfc, false, []zone.OwnerSet{of("CNAME", 1), of("DNAME", 1)}, "CNAME dname_and_cname"},
		{"several DNAMEs", rfc, true, []zone.OwnerSet{served(of("DNAME", 2), 1)}, "DNAME#0 several_dnames"},
		{"a zone cut hides a DNAME", rfc, false, []zone.OwnerSet{of("NS", 2), served(of("DNAME", 1), 0)}, ""},
		{"what loses to nobody is kept", rfc, false, []zone.OwnerSet{of("NS", 1), of("CNAME", 1), of("A", 1), of("DNAME", 1)},
			"CNAME cname_and_other_data"},
		{"data wins over a zone cut", alibaba, false, []zone.OwnerSet{of("NS", 2), of("A", 1), of("AAAA", 1)}, "NS ns_and_data"},
		{"served zone cut wins over its glue", alibaba, false, []zone.OwnerSet{served(of("NS", 2)), of("A", 1), of("AAAA", 1)},
			"A ns_and_data, AAAA ns_and_data"},
		{"data wins over CNAME at the apex", alibaba, true, []zone.OwnerSet{of("SOA", 1), of("NS", 1), of("CNAME", 2), of("MX", 1), of("AAAA", 1)},
			"CNAME cname_and_other_data"},
		{"several CNAMEs at the apex", alibaba, true, []zone.OwnerSet{of("SOA", 1), of("NS", 1), of("CNAME", 2), of("MX", 1), of("TXT", 1)}, ""},
		{"nothing", rules.ConflictsOff, false, []zone.OwnerSet{of("CNAME", 2), of("DNAME", 2), of("A", 1), of("NS", 1)}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := told(c.mode.Losers(c.apex, c.sets)); got != c.want {
				t.Errorf("%q; want %q", got, c.want)
			}
		})
	}
}

// RFC 9460 §2.4.1: an alias beside services. The matrix has them exclude each other at the apex.
func TestAliasAndServiceModes(t *testing.T) {
	s := zone.OwnerSet{Type: dns.TypeHTTPS, Records: [][]byte{{0, 0, 1}, {0, 0, 2}, {0, 1, 0}, {1, 0, 0}}}
	for _, c := range []struct {
		mode       rules.Conflicts
		apex       bool
		incumbents []int
		want       string
	}{
		{rules.ConflictsAlibaba, true, nil, "HTTPS#2 alias_and_service, HTTPS#3 alias_and_service"},
		{rules.ConflictsAlibaba, true, []int{3}, "HTTPS#0 alias_and_service, HTTPS#1 alias_and_service"},
		{rules.ConflictsAlibaba, true, []int{1, 3}, "HTTPS#2 alias_and_service, HTTPS#3 alias_and_service known"},
		{rules.ConflictsAlibaba, false, nil, ""},
		{rules.ConflictsRFC, true, nil, ""},
	} {
		s.Incumbents, s.Served = c.incumbents, len(c.incumbents) > 0
		if got := told(c.mode.Losers(c.apex, []zone.OwnerSet{s})); got != c.want {
			t.Errorf("%s, apex %v, incumbents %v: %q; want %q", c.mode, c.apex, c.incumbents, got, c.want)
		}
	}
}

// told writes conflicts as the tables have them.
func told(lost []rules.Conflict) string {
	var parts []string
	for _, l := range lost {
		s := wire.TypeName(l.Type)
		if l.Index != zone.WholeSet {
			s += fmt.Sprintf("#%d", l.Index)
		}
		s += " " + string(l.Rule)
		if l.Known {
			s += " known"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, ", ")
}

var someTypes = strings.Fields("SOA NS CNAME DNAME A AAAA MX TXT SRV CAA PTR SVCB HTTPS RRSIG NSEC DS DNSKEY KEY TYPE65280")

// owner draws the RRsets of one owner.
func owner(t *rapid.T, tt testing.TB) []zone.OwnerSet {
	var sets []zone.OwnerSet
	names := rapid.SliceOfNDistinct(rapid.SampledFrom(someTypes), 1, 6, rapid.ID).Draw(t, "types")
	for _, name := range names {
		s := zone.OwnerSet{Type: typ(tt, name), Served: rapid.Bool().Draw(t, "served")}
		for i := range rapid.IntRange(1, 3).Draw(t, "records") {
			s.Records = append(s.Records, []byte{0, byte(rapid.IntRange(0, 1).Draw(t, "mode")), byte(i)})
		}
		slices.SortFunc(s.Records, bytes.Compare)
		for i := range s.Records {
			if s.Served && rapid.Bool().Draw(t, "incumbent") {
				s.Incumbents = append(s.Incumbents, i)
			}
		}
		sets = append(sets, s)
	}
	return sets
}

// keep returns the sets without what lost, less the loss at index but.
func keep(sets []zone.OwnerSet, lost []rules.Conflict, but int) (kept []zone.OwnerSet) {
	for _, s := range sets {
		k := zone.OwnerSet{Type: s.Type, Served: s.Served}
		for i, r := range s.Records {
			loses := slices.IndexFunc(lost, func(l rules.Conflict) bool {
				return l.Type == s.Type && (l.Index == i || l.Index == zone.WholeSet)
			})
			if loses < 0 || loses == but {
				if slices.Contains(s.Incumbents, i) {
					k.Incumbents = append(k.Incumbents, len(k.Records))
				}
				k.Records = append(k.Records, r)
			}
		}
		if len(k.Records) > 0 {
			kept = append(kept, k)
		}
	}
	return kept
}

// What is left is free of conflicts, nothing of what lost could be put back, at least one record stays, and the order in
// which the sets are given does not matter.
func TestJudgmentIsCompleteMinimalAndDeterministic(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		mode := rapid.SampledFrom([]rules.Conflicts{rules.ConflictsRFC, rules.ConflictsAlibaba, rules.ConflictsOff}).Draw(rt, "mode")
		apex := rapid.Bool().Draw(rt, "apex")
		sets := owner(rt, t)
		lost := mode.Losers(apex, sets)
		if again := mode.Losers(apex, rapid.Permutation(sets).Draw(rt, "order")); !slices.Equal(again, lost) {
			rt.Fatalf("%v in one order, %v in another", lost, again)
		}
		if left := mode.Losers(apex, keep(sets, lost, -1)); left != nil {
			rt.Fatalf("%v lost, and then %v", lost, left)
		}
		if len(keep(sets, lost, -1)) == 0 {
			rt.Fatal("nothing is left")
		}
		for i, l := range lost {
			if mode.Losers(apex, keep(sets, lost, i)) == nil {
				rt.Fatalf("%v need not have lost", l)
			}
			if !slices.Contains(reason.All(reason.Conflict), l.Rule) {
				rt.Fatalf("no rule %q", l.Rule)
			}
		}
		concerned := slices.ContainsFunc(sets, func(s zone.OwnerSet) bool { return mode.Concerns(apex, s.Type) })
		if lost != nil && !concerned {
			rt.Fatalf("%v lost, and no type is concerned", lost)
		}
		for _, s := range sets {
			if s.Type == dns.TypeSOA && slices.ContainsFunc(lost, func(l rules.Conflict) bool { return l.Type == s.Type }) {
				rt.Fatal("the SOA lost")
			}
		}
	})
}

// A version that is served as judged is judged the same way again: what lost does not come back, nor does another lose.
func TestJudgmentIsStable(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		mode := rapid.SampledFrom([]rules.Conflicts{rules.ConflictsRFC, rules.ConflictsAlibaba}).Draw(rt, "mode")
		apex := rapid.Bool().Draw(rt, "apex")
		sets := owner(rt, t)
		lost := mode.Losers(apex, sets)
		next := slices.Clone(sets)
		for i := range next {
			s := &next[i]
			s.Served, s.Incumbents = false, nil
			for j := range s.Records {
				if !slices.ContainsFunc(lost, func(l rules.Conflict) bool {
					return l.Type == s.Type && (l.Index == j || l.Index == zone.WholeSet)
				}) {
					s.Served, s.Incumbents = true, append(s.Incumbents, j)
				}
			}
		}
		again := mode.Losers(apex, next)
		same := func(a, b rules.Conflict) bool { return a.Type == b.Type && a.Index == b.Index }
		if !slices.EqualFunc(lost, again, same) {
			rt.Fatalf("%v lost at first, %v then", lost, again)
		}
	})
}

// Nearly every owner has nothing to judge, and costs nothing.
func TestJudgingOrdinaryOwnersAllocatesNothing(t *testing.T) {
	of := func(name string, n int) zone.OwnerSet { return set(typ(t, name), n) }
	for _, c := range []struct {
		apex bool
		sets []zone.OwnerSet
	}{
		{false, nil},
		{false, []zone.OwnerSet{of("A", 4)}},
		{false, []zone.OwnerSet{of("CNAME", 1)}},
		{false, []zone.OwnerSet{of("NS", 4)}},
		{false, []zone.OwnerSet{of("A", 4), of("AAAA", 4), of("TXT", 9), of("RRSIG", 3), of("NSEC", 1)}},
		{true, []zone.OwnerSet{of("SOA", 1), of("NS", 4), of("A", 1), of("MX", 2), of("TXT", 3), of("HTTPS", 1)}},
	} {
		for _, mode := range []rules.Conflicts{rules.ConflictsRFC, rules.ConflictsOff} {
			if n := testing.AllocsPerRun(100, func() {
				if mode.Losers(c.apex, c.sets) != nil {
					t.Error("Something loses")
				}
			}); n != 0 {
				t.Errorf("%s, %v: %v allocations", mode, c.sets, n)
			}
		}
	}
}

func TestDefaultConflicts(t *testing.T) {
	var zero rules.Conflicts
	if zero.String() != "rfc" {
		t.Errorf("The default is %s", zero)
	}
}
