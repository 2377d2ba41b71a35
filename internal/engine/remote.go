package engine

import (
	"context"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/host"
	"github.com/secondaryplus/secondaryplus/internal/lane"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// remote is a primary's address, shared by all zones that have it: what is known of the host, and what waits for it. All of it is
// guarded by Engine.mu.
type remote struct {
	host.Host
	zones     int // that have it
	transfers lane.Lane[*job]
	soa       lane.Lane[*job]
}

// errNothingSaid is the error of an attempt that says nothing about the host.
var errNothingSaid = &xfr.Error{Reason: reason.Canceled}

// asHost returns what an attempt that ended with err says of the host. A primary that was silent about one zone may well
// live, so it is asked for another one, and that answer counts. Where there is none, a SOA query says nothing, as the
// transfer that follows will tell. One question is enough for all that wait.
func (e *Engine) asHost(ctx context.Context, j *job, err error) error {
	if !xfr.Silent(err) {
		return err
	}
	e.mu.Lock()
	r := e.remote(j.primary)
	w, busy := r.AskAbout(j.zone.origin)
	q := xfr.SOAQuery{Primary: w.Primary, Origin: w.Origin, NoOPT: r.Ways.Has(host.WayNoOPT, time.Now()), Pace: e.pace.WaitRepeat}
	e.mu.Unlock()
	switch {
	case busy, w.Origin == nil && j.running == nil:
		return errNothingSaid
	case w.Origin == nil:
		return err
	}
	if e.pace.WaitRepeat(ctx) == nil {
		_, err = q.Ask(ctx)
	} else {
		err = errNothingSaid
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	r.Asked()
	return err
}

// remote returns the remote of a primary. e.mu is held.
func (e *Engine) remote(p xfr.Primary) *remote {
	id := host.IDOf(p)
	r := e.remotes[id]
	if r == nil {
		r = &remote{}
		e.remotes[id] = r
	}
	return r
}

// note draws the conclusion from an attempt that took so long. Once the primary is down, everything that waits for it fails.
// e.mu is held.
func (e *Engine) note(r *remote, took time.Duration, why reason.Reason) {
	if !r.Note(time.Now(), took, why) {
		return
	}
	for _, j := range r.soa.Drain() {
		e.fail(j, refresh.SOAFailed, why)
	}
	for _, j := range r.transfers.Drain() {
		e.fail(j, refresh.TransferFailed, why)
	}
}

// fail tells a machine that a job which has not been begun has failed. e.mu is held.
func (e *Engine) fail(j *job, kind refresh.EventKind, why reason.Reason) {
	if i, wanted := j.index(); wanted {
		e.happens(event{zone: j.zone, skipped: e.remote(j.primary).Skip(), what: refresh.Event{Kind: kind, Primary: i, Reason: why}})
	}
}

// use counts a zone more or less for each of these primaries. e.mu is held.
func (e *Engine) use(primaries []xfr.Primary, zones int) {
	for _, p := range primaries {
		e.remote(p).zones += zones
		e.forgetUnused(p)
	}
}

// forgetUnused forgets a remote that no zone has any more and that nothing is done with. e.mu is held.
func (e *Engine) forgetUnused(p xfr.Primary) {
	if r := e.remote(p); r.zones <= 0 && r.transfers.Running()+r.soa.Running() == 0 {
		r.CloseIdle()
		delete(e.remotes, host.IDOf(p))
	}
}

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

// waysOf returns the ways that a primary has for the zone. Engine.mu is held.
func (z *Zone) waysOf(p xfr.Primary) host.Ways { return z.standing.Load().Ways[p.Addr] }

// learn remembers a way that a primary has for the zone. Engine.mu is held.
func (z *Zone) learn(p xfr.Primary, k host.Way) {
	z.change(func(s *Standing) { s.Ways = s.Ways.Learn(p.Addr, k, time.Now()) })
}

// unlearn forgets a way that a primary has for the zone. Engine.mu is held.
func (z *Zone) unlearn(p xfr.Primary, k host.Way) {
	if _, has := z.waysOf(p)[k]; has {
		z.change(func(s *Standing) { s.Ways = s.Ways.Forget(p.Addr, k, time.Now()) })
	}
}
