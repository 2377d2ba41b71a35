package rules_test

import (
	"fmt"
	"hash/fnv"
	"strings"
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// Marks are in stores: what they stand for never changes, and one that is given up is not used again.
func TestMarksStandForRules(t *testing.T) {
	marks := map[zone.Mark]reason.Reason{
		1: "cname_and_other_data", 2: "several_cnames", 3: "dname_and_cname", 4: "several_dnames", 5: "ns_and_data", 6: "alias_and_service",
	}
	for m := range 256 {
		if got, want := rules.OfMark(zone.Mark(m)), marks[zone.Mark(m)]; got != want {
			t.Errorf("Mark %d is %q; want %q", m, got, want)
		}
	}
	of := func(name string, n int) zone.OwnerSet { return set(typ(t, name), n) }
	services := zone.OwnerSet{Type: typ(t, "HTTPS"), Records: [][]byte{{0, 0}, {0, 1}}}
	for m, sets := range map[zone.Mark][]zone.OwnerSet{
		1: {of("CNAME", 1), of("A", 1)}, 2: {of("CNAME", 2)}, 3: {of("CNAME", 1), of("DNAME", 1)}, 4: {of("DNAME", 2)},
		5: {of("NS", 1), of("TXT", 1)}, 6: {services},
	} {
		losses := rules.ConflictsAlibaba.Exclusions().Losses(m == 6, sets)
		if len(losses) != 1 || losses[0].Mark != m {
			t.Errorf("%v: %v; want mark %d", sets, losses, m)
		}
	}
}

// What is judged otherwise than before needs another edition: by it a new build knows what an older one has judged.
func TestEditionOfTheRules(t *testing.T) {
	types := strings.Fields("SOA NS CNAME DNAME A AAAA MX TXT SRV CAA PTR SVCB HTTPS RRSIG NSEC DS DNSKEY KEY TYPE65280")
	h := fnv.New64a()
	for _, mode := range []rules.Conflicts{rules.ConflictsRFC, rules.ConflictsAlibaba, rules.ConflictsOff} {
		for i, a := range types {
			for _, b := range types[i:] {
				for n := range 16 {
					first, second := set(typ(t, a), 1+n&1), set(typ(t, b), 1+n>>1&1)
					first.Served, second.Served = n&4 != 0, n&8 != 0
					sets := []zone.OwnerSet{first, second}
					if a == b {
						sets = []zone.OwnerSet{set(typ(t, a), 2+n&1)}
					}
					fmt.Fprintln(h, mode.Exclusions().Losses(false, sets), mode.Exclusions().Losses(true, sets))
				}
			}
		}
	}
	const edition, sum = "rfc 1", 0xb79b4f09503c0703
	if got := h.Sum64(); rules.ConflictsRFC.Edition() != edition || got != sum {
		t.Errorf("Judgments sum up to %#x: raise the edition, which is %q, and put both here", got, rules.ConflictsRFC.Edition())
	}
}
