package version_test

import (
	"slices"
	"sync"
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

// wantChain fails the test unless a history leads through these serials, and from no other.
func wantChain(t *testing.T, h *version.History, serials ...uint32) {
	t.Helper()
	all := h.All()
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
	const sameEpoch, anew = false, true
	type put struct {
		to          uint32
		differences [][2]uint32
		epoch       bool // another
		chain       []uint32
	}
	for name, puts := range map[string][]put{
		"one at a time": {{1, nil, anew, []uint32{1}}, {2, [][2]uint32{{1, 2}}, sameEpoch, []uint32{1, 2}},
			{5, [][2]uint32{{2, 5}}, sameEpoch, []uint32{1, 2, 5}}},
		"several in one answer": {{1, nil, anew, []uint32{1}}, {4, [][2]uint32{{1, 2}, {2, 3}, {3, 4}}, sameEpoch, []uint32{1, 2, 3, 4}}},
		"whole": {{1, nil, anew, []uint32{1}}, {2, [][2]uint32{{1, 2}}, sameEpoch, []uint32{1, 2}}, {3, nil, anew, []uint32{3}},
			{4, [][2]uint32{{3, 4}}, sameEpoch, []uint32{3, 4}}},
		"the same serial again":    {{1, nil, anew, []uint32{1}}, {1, nil, anew, []uint32{1}}},
		"from an earlier process":  {{4, [][2]uint32{{2, 3}, {3, 4}}, anew, []uint32{2, 3, 4}}, {5, [][2]uint32{{4, 5}}, sameEpoch, []uint32{2, 3, 4, 5}}},
		"without the oldest":       {{1, nil, anew, []uint32{1}}, {4, [][2]uint32{{2, 3}, {3, 4}}, anew, []uint32{2, 3, 4}}},
		"a gap":                    {{1, nil, anew, []uint32{1}}, {5, [][2]uint32{{1, 2}, {3, 4}, {4, 5}}, anew, []uint32{3, 4, 5}}},
		"to another version":       {{1, nil, anew, []uint32{1}}, {3, [][2]uint32{{1, 2}}, anew, []uint32{3}}},
		"beside the latest":        {{3, nil, anew, []uint32{3}}, {5, [][2]uint32{{2, 5}}, anew, []uint32{2, 5}}},
		"wraps (RFC 1982)":         {{1<<32 - 1, nil, anew, []uint32{1<<32 - 1}}, {1, [][2]uint32{{1<<32 - 1, 0}, {0, 1}}, sameEpoch, []uint32{1<<32 - 1, 0, 1}}},
		"half of all serials away": {{1, nil, anew, []uint32{1}}, {1 << 31, [][2]uint32{{1, 1 << 31}}, sameEpoch, []uint32{1, 1 << 31}}, {1<<31 + 1, [][2]uint32{{1 << 31, 1<<31 + 1}}, sameEpoch, []uint32{1 << 31, 1<<31 + 1}}},
		"all the way round": {{1, nil, anew, []uint32{1}}, {1 << 31, [][2]uint32{{1, 1 << 31}}, sameEpoch, []uint32{1, 1 << 31}},
			{1, [][2]uint32{{1 << 31, 1<<32 - 1}, {1<<32 - 1, 1}}, sameEpoch, []uint32{1<<32 - 1, 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			all := version.NewHistories(1 << 20)
			var h version.History
			for _, p := range puts {
				var put []*zone.Difference
				for _, d := range p.differences {
					put = append(put, difference(t, d[0], d[1], 0))
				}
				before := h.Epoch()
				all.Put(&h, put, number(p.to), policy(32, 1<<18))
				if h.Epoch() != before != p.epoch {
					t.Errorf("To %d: epoch %d after %d", p.to, h.Epoch(), before)
				}
				wantChain(t, &h, p.chain...)
			}
			if all.Forget(&h); len(h.All()) > 0 || all.Held() != 0 {
				t.Errorf("%d differences are left, %d octets", len(h.All()), all.Held())
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
			all.Put(&h, nil, number(1), c.policy)
			for n := uint32(1); n < 20; n++ {
				all.Put(&h, []*zone.Difference{difference(t, n, n+1, size)}, number(n+1), c.policy)
			}
			if got := h.All(); len(got) != c.left || c.left > 0 && got[c.left-1].To() != number(20) {
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
	histories := make([]version.History, zones)
	for n := uint32(1); n <= each; n++ {
		for i := range histories {
			all.Put(&histories[i], []*zone.Difference{difference(t, n, n+1, 0)}, number(n+1), policy(100, 1<<20))
			if all.Held() > zones*3*octets {
				t.Fatalf("%d octets are held", all.Held())
			}
		}
	}
	for i := range histories {
		wantChain(t, &histories[i], 4, 5, 6, 7)
	}
	// One that changes all the time has what it wants, and the others have what was last there.
	for n := uint32(each + 1); n <= 100; n++ {
		all.Put(&histories[0], []*zone.Difference{difference(t, n, n+1, 0)}, number(n+1), policy(20, 1<<20))
	}
	if got := len(histories[0].All()); got != 20 {
		t.Errorf("%d differences; want 20", got)
	}
	for i := range histories[1:] {
		if got := histories[1+i].All(); len(got) > 0 && got[len(got)-1].To() != number(each+1) {
			t.Errorf("History %d ends at %s", 1+i, got[len(got)-1].To())
		}
	}
}

// Whoever reads a history while it changes finds a chain without a gap.
func TestHistoryIsReadWithoutALock(t *testing.T) {
	all := version.NewHistories(20 << 10)
	histories := make([]version.History, 2)
	var running sync.WaitGroup
	for i := range histories {
		running.Go(func() {
			for n := uint32(1); n < 500; n++ {
				all.Put(&histories[i], []*zone.Difference{difference(t, n, n+1, 0)}, number(n+1), policy(32, 1<<20))
			}
		})
		running.Go(func() {
			for n := uint32(1); n < 500; n++ {
				since, _ := histories[i].Since(number(n))
				for j := range since {
					if since[j].From() != number(n+uint32(j)) {
						t.Errorf("Difference %d since %d is from %s", j, n, since[j].From())
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
			all.Put(&h, v.Differences, v.Contents.Serial(), limits)
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
			if got := len(h.All()); got == 0 || got > limits.History.Versions {
				t.Fatalf("%d differences; want 1 to %d", got, limits.History.Versions)
			}
			for i, d := range h.All() {
				since, ok := h.Since(d.From())
				if !ok || len(since) != len(h.All())-i {
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
