package engine

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// Way is how a primary wants to be asked where others need less care. Its value is what the API and the store have.
type Way string

// The ways. Those of the first block are of a host, so of all zones there; those of the second are of one zone there.
const (
	WayNoOPT    Way = "no_opt"    // it answers no query that has an OPT record
	WayOneQuery Way = "one_query" // it answers one query on a connection

	WayNoIXFR        Way = "no_ixfr"        // it does not do IXFR
	WayTransfersOnly Way = "transfers_only" // it does transfers, and does not answer SOA queries
)

// Text says in words how a primary with this way is asked.
func (k Way) Text() string { return wayTexts[k] }

var wayTexts = map[Way]string{
	WayNoOPT:         "asked without OPT record",
	WayOneQuery:      "asked once a connection",
	WayNoIXFR:        "asked for AXFR at once",
	WayTransfersOnly: "asked for transfers without a SOA query when it notifies",
}

// waySpan is how long a way is remembered. Then the primary is asked as any other, and may show its way again.
const waySpan = 48 * time.Hour

// Ways are what a primary has shown of its ways, each with the time until which it counts. The zero value is none. Those of a
// standing are not changed, others are guarded by Engine.mu.
type Ways map[Way]time.Time

// has reports whether a way counts now.
func (w Ways) has(k Way, now time.Time) bool { return now.Before(w[k]) }

// learn remembers a way from now on.
func (w *Ways) learn(k Way, now time.Time) {
	if *w == nil {
		*w = make(Ways)
	}
	(*w)[k] = now.Add(waySpan)
}

// limited returns the ways of primaries as the store had them, see limit. Others may have the maps that it is given.
func limited(saved map[netip.AddrPort]Ways, now time.Time) map[netip.AddrPort]Ways {
	all := make(map[netip.AddrPort]Ways, len(saved))
	for p, w := range saved {
		all[p] = maps.Clone(w)
		all[p].limit(now)
	}
	return all
}

// limit makes ways that the store had count for no longer than if they were learnt now: the wall clock may have been set.
func (w Ways) limit(now time.Time) {
	for k, till := range w {
		if latest := now.Add(waySpan); till.After(latest) {
			w[k] = latest
		}
	}
}

// Habit is a way of a primary and the time until which it counts. It is a plain value.
type Habit struct {
	Way  Way
	Till time.Time
}

// habits returns the ways of any of these that count now, sorted.
func habits(now time.Time, of ...Ways) (all []Habit) {
	for _, w := range of {
		for k, till := range w {
			if w.has(k, now) {
				all = append(all, Habit{k, till})
			}
		}
	}
	slices.SortFunc(all, func(a, b Habit) int { return cmp.Compare(a.Way, b.Way) })
	return all
}

// Habits returns the ways that count now of each primary that a standing has: those of the host, and those it has for the zone.
func (e *Engine) Habits(s *Standing) [][]Habit {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([][]Habit, len(s.Group.Primaries))
	for i, p := range s.Group.Primaries {
		var host Ways
		if r := e.remotes[remoteID{p.Addr, p.Source}]; r != nil {
			host = r.ways
		}
		all[i] = habits(time.Now(), host, s.Ways[p.Addr])
	}
	return all
}

// waysOf returns the ways that a primary has for the zone, for asking and not for changing. Engine.mu is held.
func (z *Zone) waysOf(p xfr.Primary) Ways { return z.standing.Load().Ways[p.Addr] }

// learn remembers a way that a primary has for the zone. Engine.mu is held.
func (z *Zone) learn(p xfr.Primary, k Way, now time.Time) {
	z.changeWays(p, now, func(w *Ways) { w.learn(k, now) })
}

// unlearn forgets a way that a primary has for the zone. Engine.mu is held.
func (z *Zone) unlearn(p xfr.Primary, k Way) {
	if _, has := z.waysOf(p)[k]; has {
		z.changeWays(p, time.Now(), func(w *Ways) { delete(*w, k) })
	}
}

// changeWays changes the ways that a primary has for the zone, and forgets those whose time has passed. Engine.mu is held.
func (z *Zone) changeWays(p xfr.Primary, now time.Time, f func(*Ways)) {
	all := make(map[netip.AddrPort]Ways)
	for of, w := range z.standing.Load().Ways {
		left := maps.Clone(w)
		maps.DeleteFunc(left, func(k Way, _ time.Time) bool { return !left.has(k, now) })
		if len(left) > 0 {
			all[of] = left
		}
	}
	w := all[p.Addr]
	f(&w)
	if all[p.Addr] = w; len(w) == 0 {
		delete(all, p.Addr)
	}
	z.change(func(s *Standing) { s.Ways = all })
}
