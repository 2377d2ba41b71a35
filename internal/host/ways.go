package host

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"
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

// Ways are what a primary has shown of its ways, each with the time until which it counts. The zero value is none. They are guarded by
// whoever has them.
type Ways map[Way]time.Time

// Has reports whether a way counts now.
func (w Ways) Has(k Way, now time.Time) bool { return now.Before(w[k]) }

// Learn remembers a way from now on.
func (w *Ways) Learn(k Way, now time.Time) {
	if *w == nil {
		*w = make(Ways)
	}
	(*w)[k] = now.Add(waySpan)
}

// ByPrimary are the ways that primaries have for one zone. They are not changed: what others may read is replaced.
type ByPrimary map[netip.AddrPort]Ways

// Learn returns the ways with one more, as learnt now, and without those whose time has passed.
func (b ByPrimary) Learn(primary netip.AddrPort, k Way, now time.Time) ByPrimary {
	all := b.lasting(now)
	w := all[primary]
	w.Learn(k, now)
	all[primary] = w
	return all
}

// Forget returns the ways without one, and without those whose time has passed.
func (b ByPrimary) Forget(primary netip.AddrPort, k Way, now time.Time) ByPrimary {
	if _, has := b[primary][k]; !has {
		return b
	}
	all := b.lasting(now)
	if delete(all[primary], k); len(all[primary]) == 0 {
		delete(all, primary)
	}
	return all
}

// lasting returns a copy of the ways whose time has not passed.
func (b ByPrimary) lasting(now time.Time) ByPrimary {
	all := make(ByPrimary)
	for of, w := range b {
		left := maps.Clone(w)
		maps.DeleteFunc(left, func(k Way, _ time.Time) bool { return !left.Has(k, now) })
		if len(left) > 0 {
			all[of] = left
		}
	}
	return all
}

// Limited returns ways that the store had, each for no longer than if it were learnt now: the wall clock may have been set.
func (b ByPrimary) Limited(now time.Time) ByPrimary {
	all := make(ByPrimary, len(b))
	for p, w := range b {
		all[p] = maps.Clone(w)
		for k, till := range w {
			if latest := now.Add(waySpan); till.After(latest) {
				all[p][k] = latest
			}
		}
	}
	return all
}

// Habit is a way of a primary and the time until which it counts. It is a plain value.
type Habit struct {
	Way  Way
	Till time.Time
}

// Habits returns the ways of any of these that count now, sorted.
func Habits(now time.Time, of ...Ways) (all []Habit) {
	for _, w := range of {
		for k, till := range w {
			if w.Has(k, now) {
				all = append(all, Habit{k, till})
			}
		}
	}
	slices.SortFunc(all, func(a, b Habit) int { return cmp.Compare(a.Way, b.Way) })
	return all
}
