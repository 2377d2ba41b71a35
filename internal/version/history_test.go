package version_test

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// policy is one with room for a few differences.
func policy(versions int, octets int64) *version.Policy {
	return &version.Policy{History: version.HistoryLimits{Versions: versions, Octets: octets}, IXFRFromAXFR: true}
}

// put puts a version with a serial and differences into a history.
func put(t fataler, all *version.Histories, h *version.History, serial uint32, p *version.Policy, d ...*zone.Difference) *version.Version {
	t.Helper()
	b := zone.NewBuilder(origin, zone.Limits{})
	rr := soa(t, serial)
	if err := b.Add(&rr); err != nil {
		t.Fatal(err)
	}
	c, err := b.Seal()
	if err != nil {
		t.Fatal(err)
	}
	v := all.Put(h, &version.Version{Contents: c, Differences: d}, p)
	if v.Contents != c || v.Differences != nil {
		t.Fatal("another version, or one that keeps its differences")
	}
	return v
}

// leading returns all differences that lead to a version.
func leading(h *version.History, v *version.Version) []*zone.Difference {
	differences, _ := h.LeadingTo(v, nil)
	return differences
}

// wantChain fails the test unless a history leads through these serials to a version, and from no other.
func wantChain(t *testing.T, h *version.History, v *version.Version, serials ...uint32) {
	t.Helper()
	all := leading(h, v)
	if len(all) != max(0, len(serials)-1) {
		t.Fatalf("%d differences; want those of %d", len(all), serials)
	}
	for i, d := range all {
		if d.From() != number(serials[i]) || d.To() != number(serials[i+1]) {
			t.Fatalf("Difference %d is from %s to %s; want those of %d", i, d.From(), d.To(), serials)
		}
		if since, ok := h.Since(d.From()); !ok || !slices.Equal(since, all[i:]) {
			t.Errorf("Since %s: %d differences, %v", d.From(), len(since), ok)
		}
	}
	for _, n := range []uint32{serials[len(serials)-1], serials[0] - 1, serials[0] + 1<<31} {
		if since, ok := h.Since(number(n)); since != nil || ok {
			t.Errorf("Since %d: %d differences", n, len(since))
		}
	}
}

// What is put into a history leads on from the version before, or the history begins anew.
func TestHistoryLeadsToTheLatestVersion(t *testing.T) {
	const leads, anew = true, false
	type putting struct {
		to          uint32
		differences [][2]uint32
		leads       bool // on from the version before
		chain       []uint32
	}
	for name, puts := range map[string][]putting{
		"one at a time": {{1, nil, anew, []uint32{1}}, {2, [][2]uint32{{1, 2}}, leads, []uint32{1, 2}},
			{5, [][2]uint32{{2, 5}}, leads, []uint32{1, 2, 5}}},
		"several in one answer": {{1, nil, anew, []uint32{1}}, {4, [][2]uint32{{1, 2}, {2, 3}, {3, 4}}, leads, []uint32{1, 2, 3, 4}}},
		"whole": {{1, nil, anew, []uint32{1}}, {2, [][2]uint32{{1, 2}}, leads, []uint32{1, 2}}, {3, nil, anew, []uint32{3}},
			{4, [][2]uint32{{3, 4}}, leads, []uint32{3, 4}}},
		"the same serial again":    {{1, nil, anew, []uint32{1}}, {1, nil, anew, []uint32{1}}},
		"from an earlier process":  {{4, [][2]uint32{{2, 3}, {3, 4}}, anew, []uint32{2, 3, 4}}, {5, [][2]uint32{{4, 5}}, leads, []uint32{2, 3, 4, 5}}},
		"without the oldest":       {{1, nil, anew, []uint32{1}}, {4, [][2]uint32{{2, 3}, {3, 4}}, anew, []uint32{2, 3, 4}}},
		"a gap":                    {{1, nil, anew, []uint32{1}}, {5, [][2]uint32{{1, 2}, {3, 4}, {4, 5}}, anew, []uint32{3, 4, 5}}},
		"to another version":       {{1, nil, anew, []uint32{1}}, {3, [][2]uint32{{1, 2}}, anew, []uint32{3}}},
		"beside the latest":        {{3, nil, anew, []uint32{3}}, {5, [][2]uint32{{2, 5}}, anew, []uint32{2, 5}}},
		"wraps (RFC 1982)":         {{1<<32 - 1, nil, anew, []uint32{1<<32 - 1}}, {1, [][2]uint32{{1<<32 - 1, 0}, {0, 1}}, leads, []uint32{1<<32 - 1, 0, 1}}},
		"half of all serials away": {{1, nil, anew, []uint32{1}}, {1 << 31, [][2]uint32{{1, 1 << 31}}, leads, []uint32{1, 1 << 31}}, {1<<31 + 1, [][2]uint32{{1 << 31, 1<<31 + 1}}, leads, []uint32{1 << 31, 1<<31 + 1}}},
		"all the way round": {{1, nil, anew, []uint32{1}}, {1 << 31, [][2]uint32{{1, 1 << 31}}, leads, []uint32{1, 1 << 31}},
			{1, [][2]uint32{{1 << 31, 1<<32 - 1}, {1<<32 - 1, 1}}, anew, []uint32{1<<32 - 1, 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			all := version.NewHistories(1 << 20)
			var h version.History
			var before *version.Version
			for _, p := range puts {
				var differences []*zone.Difference
				for _, d := range p.differences {
					differences = append(differences, difference(t, d[0], d[1], 0))
				}
				v := put(t, all, &h, p.to, policy(32, 1<<18), differences...)
				since, leads := h.LeadingTo(v, before)
				if leads != p.leads || leads && len(since) != len(p.differences) {
					t.Errorf("To %d: %d differences since the version before, %v", p.to, len(since), leads)
				}
				wantChain(t, &h, v, p.chain...)
				if before != nil {
					older := leading(&h, before)
					if p.leads && len(older)+len(since) < len(p.chain)-1 || !p.leads && len(older) > 0 {
						t.Errorf("To %d: %d differences lead to the version before", p.to, len(older))
					}
				}
				before = v
			}
			if all.Forget(&h); len(leading(&h, before)) > 0 || all.Held() != 0 {
				t.Errorf("Differences are left, %d octets", all.Held())
			}
		})
	}
}

// A history has a limit of versions and one of octets; the newest stay.
func TestHistoryIsLimited(t *testing.T) {
	const size = 1000
	octets := difference(t, 1, 2, size).Size() + version.LinkOctets
	for name, c := range map[string]struct {
		policy *version.Policy
		left   int
	}{
		"versions":        {policy(5, 1<<20), 5},
		"octets":          {policy(100, 7*octets), 7},
		"octets, one off": {policy(100, 7*octets-1), 6},
		"too large":       {policy(100, octets-1), 0},
		"off":             {policy(0, 1<<20), 0},
	} {
		t.Run(name, func(t *testing.T) {
			all := version.NewHistories(1 << 20)
			var h version.History
			v := put(t, all, &h, 1, c.policy)
			for n := uint32(1); n < 20; n++ {
				v = put(t, all, &h, n+1, c.policy, difference(t, n, n+1, size))
			}
			if got := leading(&h, v); len(got) != c.left || c.left > 0 && got[c.left-1].To() != number(20) {
				t.Errorf("%d differences; want %d", len(got), c.left)
			}
			if want := int64(c.left) * octets; all.Held() != want {
				t.Errorf("%d octets are held; want %d", all.Held(), want)
			}
		})
	}
}

// All histories together have a limit: the oldest differences go, of whatever zone they are.
func TestHistoriesAreLimitedTogether(t *testing.T) {
	const zones, each = 10, 6
	octets := difference(t, 1, 2, 0).Size() + version.LinkOctets
	all := version.NewHistories(zones * 3 * octets)
	histories, latest := make([]version.History, zones), make([]*version.Version, zones)
	for n := uint32(1); n <= each; n++ {
		for i := range histories {
			latest[i] = put(t, all, &histories[i], n+1, policy(100, 1<<20), difference(t, n, n+1, 0))
			if all.Held() > zones*3*octets {
				t.Fatalf("%d octets are held", all.Held())
			}
		}
	}
	for i := range histories {
		wantChain(t, &histories[i], latest[i], 4, 5, 6, 7)
	}
	// One that changes all the time has what it wants, and the others have what was last there.
	for n := uint32(each + 1); n <= 100; n++ {
		latest[0] = put(t, all, &histories[0], n+1, policy(20, 1<<20), difference(t, n, n+1, 0))
	}
	if got := len(leading(&histories[0], latest[0])); got != 20 {
		t.Errorf("%d differences; want 20", got)
	}
	for i := range histories[1:] {
		if got := leading(&histories[1+i], latest[1+i]); len(got) > 0 && got[len(got)-1].To() != number(each+1) {
			t.Errorf("History %d ends at %s", 1+i, got[len(got)-1].To())
		}
	}
}

// Whoever reads a history while it changes finds a chain without a gap.
func TestHistoryIsReadWithoutALock(t *testing.T) {
	all := version.NewHistories(20 << 10)
	histories, latest := make([]version.History, 2), make([]atomic.Pointer[version.Version], 2)
	var running sync.WaitGroup
	for i := range histories {
		running.Go(func() {
			for n := uint32(1); n < 500; n++ {
				latest[i].Store(put(t, all, &histories[i], n+1, policy(32, 1<<20), difference(t, n, n+1, 0)))
			}
		})
		running.Go(func() {
			for n := uint32(1); n < 500; n++ {
				since, _ := histories[i].Since(number(n))
				if v := latest[i].Load(); v != nil && n%2 == 0 {
					since, n = leading(&histories[i], v), n+1
					if len(since) > 0 && since[len(since)-1].To() != v.Contents.Serial() {
						t.Errorf("The differences lead to %s; want %s", since[len(since)-1].To(), v.Contents.Serial())
					}
				}
				for j := 1; j < len(since); j++ {
					if since[j].From() != since[j-1].To() {
						t.Errorf("A difference to %s is before one from %s", since[j-1].To(), since[j].From())
						return
					}
				}
			}
		})
	}
	running.Wait()
}

// Versions come by differences and whole, one or several at a time. From each serial that the history has it leads to exactly
// what is served.
func TestHistoryMakesTheLatestVersionOfEachBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := dnstest.Zones().Draw(t, "zone")
		limits := policy(rapid.IntRange(1, 6).Draw(t, "versions"), 1<<18)
		n := rapid.Uint32().Draw(t, "serial")
		limits.SerialZero, limits.Conflicts = true, rules.ConflictsOff
		next := func() wire.RR {
			n += rapid.SampledFrom([]uint32{1, 7, 1 << 29}).Draw(t, "increment")
			return z.SOA(n, 60)
		}
		all := version.NewHistories(1 << 18)
		var h version.History
		known := map[uint32]*zone.Contents{} // what was published last with a serial
		terms := version.Terms{Origin: z.Origin, Policy: limits, Demand: 0}
		publish := func(v *version.Version, err error) {
			if err != nil {
				t.Fatal(err)
			}
			v = all.Put(&h, v, limits)
			terms.Served, terms.Before = v, v
			known[v.Contents.Serial().Uint32()] = v.Contents
		}
		var rrs []wire.RR
		for _, rr := range z.Records {
			if usable(rr) && !slices.ContainsFunc(rrs, same(rr)) {
				rrs = append(rrs, rr)
			}
		}
		// edit changes the records as a primary would.
		edit := func() (removed, added []wire.RR) {
			rrs = slices.DeleteFunc(rrs, func(rr wire.RR) bool {
				gone := rr.Type != wire.TypeNS && rapid.IntRange(0, 3).Draw(t, "gone") == 0
				if gone {
					removed = append(removed, rr)
				}
				return gone
			})
			for range rapid.IntRange(0, 3).Draw(t, "come") {
				rr := z.Record().Draw(t, "record")
				if usable(rr) && !slices.ContainsFunc(slices.Concat(rrs, removed), same(rr)) {
					rrs, added = append(rrs, rr), append(added, rr)
				}
			}
			return removed, added
		}
		publish(whole(terms, next(), rrs...))
		for range rapid.IntRange(1, 6).Draw(t, "answers") {
			if rapid.IntRange(0, 3).Draw(t, "whole") == 0 {
				edit()
				publish(whole(terms, next(), rrs...))
			} else {
				var steps []step
				for range rapid.IntRange(1, 3).Draw(t, "steps") {
					old := z.SOA(n, 60)
					removed, added := edit()
					steps = append(steps, step{append([]wire.RR{old}, removed...), append([]wire.RR{next()}, added...)})
				}
				publish(differences(terms, steps...))
				for _, s := range steps[:len(steps)-1] { // it was never published
					serial, _ := wire.ParseSOA(s.added[0].Data)
					delete(known, serial.Serial.Uint32())
				}
			}
			latest := terms.Served.Contents
			if got := len(leading(&h, terms.Served)); got == 0 || got > limits.History.Versions {
				t.Fatalf("%d differences; want 1 to %d", got, limits.History.Versions)
			}
			for i, d := range leading(&h, terms.Served) {
				since, ok := h.Since(d.From())
				if !ok || len(since) != len(leading(&h, terms.Served))-i {
					t.Fatalf("Since %s: %d differences", d.From(), len(since))
				}
				from := known[d.From().Uint32()]
				if from == nil {
					continue
				}
				made, err := apply(from, since)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(lines(latest), lines(made)); diff != "" {
					t.Fatalf("since %s (-served +made):\n%s", d.From(), diff)
				}
			}
		}
	})
}

// usable reports whether a record is neither the SOA nor has a malformed one refuse the version.
func usable(rr wire.RR) bool { return rr.Type != wire.TypeSOA && rr.Type != wire.TypeDNSKEY }

// same returns what reports whether a record is another but for its TTL and the case of its owner.
func same(a wire.RR) func(b wire.RR) bool {
	return func(b wire.RR) bool {
		return a.Owner.Equal(b.Owner) && a.Type == b.Type && wire.CompareRDATA(a.Type, a.Data, b.Data) == 0
	}
}
