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

// ways are what a primary has shown of its ways, each with the time until which it counts. The zero value is none. Guarded
// by Engine.mu.
type ways map[Way]time.Time

// has reports whether a way counts now.
func (w ways) has(k Way, now time.Time) bool { return now.Before(w[k]) }

// learn remembers a way from now on.
func (w *ways) learn(k Way, now time.Time) {
	if *w == nil {
		*w = make(ways)
	}
	(*w)[k] = now.Add(waySpan)
}

// limit makes ways that the store had count for no longer than if they were learnt now: the wall clock may have been set.
func (w ways) limit(now time.Time) {
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

// habits returns the ways of a primary that count now, sorted: those of its host, and those it has for the zone. Engine.mu
// is held.
func (z *Zone) habits(p xfr.Primary, now time.Time) (all []Habit) {
	for _, w := range []ways{z.engine.remote(p).ways, z.ways[p.Addr]} {
		for k, till := range w {
			if w.has(k, now) {
				all = append(all, Habit{k, till})
			}
		}
	}
	slices.SortFunc(all, func(a, b Habit) int { return cmp.Compare(a.Way, b.Way) })
	return all
}

// waysOf returns the ways that a primary has for the zone, for asking and not for changing. Engine.mu is held.
func (z *Zone) waysOf(p xfr.Primary) ways { return z.ways[p.Addr] }

// learn remembers a way that a primary has for the zone, and forgets those whose time has passed. Engine.mu is held.
func (z *Zone) learn(p xfr.Primary, k Way, now time.Time) {
	if z.ways == nil {
		z.ways = make(map[netip.AddrPort]ways)
	}
	maps.DeleteFunc(z.ways, func(_ netip.AddrPort, w ways) bool {
		maps.DeleteFunc(w, func(k Way, _ time.Time) bool { return !w.has(k, now) })
		return len(w) == 0
	})
	w := z.ways[p.Addr]
	w.learn(k, now)
	z.ways[p.Addr] = w
}

// clonedWays returns a copy of the ways that primaries have for the zone. Engine.mu is held.
func (z *Zone) clonedWays() map[netip.AddrPort]ways {
	all := maps.Clone(z.ways)
	for p, w := range all {
		all[p] = maps.Clone(w)
	}
	return all
}
