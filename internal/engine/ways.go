package engine

import (
	"maps"
	"net/netip"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/host"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// Habits returns the ways that count now of each primary that a standing has: those of the host, and those it has for the zone.
func (e *Engine) Habits(s *Standing) [][]host.Habit {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([][]host.Habit, len(s.Group.Primaries))
	for i, p := range s.Group.Primaries {
		var shared host.Ways
		if r := e.remotes[host.IDOf(p)]; r != nil {
			shared = r.Ways
		}
		all[i] = host.Habits(time.Now(), shared, s.Ways[p.Addr])
	}
	return all
}

// waysOf returns the ways that a primary has for the zone, for asking and not for changing. Engine.mu is held.
func (z *Zone) waysOf(p xfr.Primary) host.Ways { return z.standing.Load().Ways[p.Addr] }

// learn remembers a way that a primary has for the zone. Engine.mu is held.
func (z *Zone) learn(p xfr.Primary, k host.Way, now time.Time) {
	z.changeWays(p, now, func(w *host.Ways) { w.Learn(k, now) })
}

// unlearn forgets a way that a primary has for the zone. Engine.mu is held.
func (z *Zone) unlearn(p xfr.Primary, k host.Way) {
	if _, has := z.waysOf(p)[k]; has {
		z.changeWays(p, time.Now(), func(w *host.Ways) { delete(*w, k) })
	}
}

// changeWays changes the ways that a primary has for the zone, and forgets those whose time has passed. Engine.mu is held.
func (z *Zone) changeWays(p xfr.Primary, now time.Time, f func(*host.Ways)) {
	all := make(map[netip.AddrPort]host.Ways)
	for of, w := range z.standing.Load().Ways {
		left := maps.Clone(w)
		maps.DeleteFunc(left, func(k host.Way, _ time.Time) bool { return !left.Has(k, now) })
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
