package zone_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// editor is an editor that fails its test.
type editor struct {
	*zone.Editor
	t testing.TB
}

func (e editor) remove(rr wire.RR) {
	if err := e.Remove(&rr); err != nil {
		e.t.Fatal(err)
	}
}

func (e editor) add(rr wire.RR) {
	if err := e.Add(&rr); err != nil {
		e.t.Fatal(err)
	}
}

// A difference that came is kept as the contents have it: with the TTL and spelling of what is removed, and without what no
// zone holds. Each of several makes the next version.
func TestReceivedDifferencesAreKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := dnstest.Zones().Draw(t, "zone")
		base := seal(t, z)
		all := base.Edit(zone.Limits{})
		all.Record(1 << 20)
		versions := []*zone.Contents{base}
		for n := range rapid.IntRange(1, 4).Draw(t, "versions") {
			at := versions[n]
			one := at.Edit(zone.Limits{})
			records := clone(at)
			edit := func(rr wire.RR, do ...func(*wire.RR) error) {
				for _, f := range do {
					if err := f(&rr); err != nil {
						t.Fatal(err)
					}
				}
			}
			kept := slices.DeleteFunc(records, func(rr wire.RR) bool {
				soa := rr.Type == wire.TypeSOA
				if !soa && rapid.IntRange(0, 2).Draw(t, "gone") > 0 {
					return false
				}
				if !soa {
					rr.Owner, rr.TTL = dnstest.UpperCase(rr.Owner), rr.TTL+1
				}
				edit(rr, one.Remove, all.Remove)
				return true
			})
			edit(z.SOA(at.Serial().Uint32()+1, 60), one.Add, all.Add)
			for range rapid.IntRange(0, 5).Draw(t, "come") {
				rr := z.Record().Draw(t, "record")
				if index(kept, rr) < 0 && rr.Type != wire.TypeSOA {
					kept = append(kept, rr)
					edit(rr, one.Add, all.Add)
					foreign := rr
					foreign.Class = 3
					edit(foreign, all.Add)
				}
			}
			next, err := one.Seal()
			if err != nil {
				t.Fatal(err)
			}
			versions = append(versions, next)
		}
		if _, err := all.Seal(); err != nil {
			t.Fatal(err)
		}
		differences := all.Differences()
		if len(differences) != len(versions)-1 {
			t.Fatalf("%d differences of %d versions", len(differences), len(versions))
		}
		for i, d := range differences {
			if d.From() != versions[i].Serial() || d.To() != versions[i+1].Serial() {
				t.Fatalf("From %s to %s; want from %s to %s", d.From(), d.To(), versions[i].Serial(), versions[i+1].Serial())
			}
			made, err := apply(versions[i], d)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(exact(versions[i+1]), exact(made)); diff != "" {
				t.Fatalf("contents (-want +made):\n%s", diff)
			}
		}
	})
}

// Differences that came are kept together, or none of them.
func TestReceivedDifferencesAreLimited(t *testing.T) {
	soa := func(serial int) wire.RR {
		return record(fmt.Sprintf("example. 60 IN SOA ns.example. host.example. %d 3600 600 86400 60", serial))
	}
	size := int64(2 * len(soaOctets("example. 60 IN SOA ns.example. host.example. 1 3600 600 86400 60")))
	for limit, want := range map[int64]int{0: 0, size - 1: 0, 8*size - 1: 0, 8 * size: 8, 1 << 20: 8} {
		e := editor{build(t, "example.", []wire.RR{soa(1)}).Edit(zone.Limits{}), t}
		e.Record(limit)
		for n := 1; n < 9; n++ {
			e.remove(soa(n))
			e.add(soa(n + 1))
		}
		if held := e.Held(); want > 0 && held < 8*size {
			t.Errorf("Up to %d octets: %d are held", limit, held)
		}
		differences := e.Differences()
		if len(differences) != want {
			t.Fatalf("Up to %d octets: %d differences; want %d", limit, len(differences), want)
		}
		for i, d := range differences {
			if n := uint32(1 + i); d.From().Uint32() != n || d.To().Uint32() != n+1 || d.Size() != size {
				t.Errorf("Difference %d is from %s to %s, %d octets", i, d.From(), d.To(), d.Size())
			}
		}
	}
}
