package engine

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// A primary that is silent is not tried again for downFirst, doubled with every further failure up to downMax:
// however many zones wait for it, few connections are spent on it.
const (
	downFirst = 10 * time.Second
	downMax   = 640 * time.Second

	// slowFailure is how long an attempt has to hang before it counts as an outage.
	slowFailure = time.Second

	// maxRefusals is how many attempts in a row may fail faster than that before they count as one, of refusedFirst to
	// refusedMax: each costs little, but there may be tens of thousands of zones, and a host that refuses is there and may just
	// be starting.
	maxRefusals  = 16
	refusedFirst = time.Second
	refusedMax   = time.Minute
)

// maxIdleTime is how long a connection is kept for the next transfer from the same primary (RFC 7766 §6.2.3).
const maxIdleTime = 5 * time.Second

// remoteID is what makes two primaries the same host for limits and connections. A plain value.
type remoteID struct {
	addr   netip.AddrPort
	source netip.Addr
}

// remote is a primary's address, shared by all zones that have it. All fields are guarded by Engine.mu.
type remote struct {
	zones     int // that have it
	transfers lane
	soa       lane
	idle      []idleConn
	seenAt    time.Time     // when it last answered
	failures  int           // in a row to reach it
	skipped   int           // jobs given up since it was last up, because it was down
	refusals  int           // of them that came at once, since it was last down
	downUntil time.Time     // no attempt before, unless it is known to live
	reason    reason.Reason // why it is down
	ways      Ways
	plain     bool       // its latest answer came without OPT record only, which a lost message looks like as well
	witnesses [2]witness // the zones it answered last, which are not the same
	asking    bool       // about one of these
}

// idleConn is a connection that waits for its next transfer.
type idleConn struct {
	primary xfr.Primary
	conn    *xfr.Conn
	till    time.Time
}

// witness is a zone that a primary has answered a SOA query for. It is a plain value.
type witness struct {
	origin  wire.Name // nil for none
	primary xfr.Primary
}

// testified remembers a zone whose SOA query was answered.
func (r *remote) testified(j *job) {
	w := &r.witnesses
	if !w[0].origin.Equal(j.zone.origin) {
		w[1] = w[0]
	}
	w[0] = witness{j.zone.origin, j.primary}
}

// answeredSOA draws the conclusions from a SOA query that was answered. Once may be chance, twice is a way.
func (r *remote) answeredSOA(j *job, a xfr.SOAAnswer) {
	r.testified(j)
	if a.NoOPT && r.plain {
		r.ways.learn(WayNoOPT, time.Now())
	}
	r.plain = a.NoOPT
}

// other returns a witness that is not this zone; one without origin if there is none.
func (r *remote) other(origin wire.Name) witness {
	for _, w := range r.witnesses {
		if !w.origin.Equal(origin) {
			return w
		}
	}
	return witness{}
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
	w, busy := r.other(j.zone.origin), r.asking
	r.asking = r.asking || w.origin != nil
	q := xfr.SOAQuery{Primary: w.primary, Origin: w.origin, NoOPT: r.ways.has(WayNoOPT, time.Now()), Pace: e.awaitRepeat}
	e.mu.Unlock()
	switch {
	case busy, w.origin == nil && j.running == nil:
		return errNothingSaid
	case w.origin == nil:
		return err
	}
	if e.awaitRepeat(ctx) == nil {
		_, err = q.Ask(ctx)
	} else {
		err = errNothingSaid
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	r.asking = false
	return err
}

// remote returns the remote of a primary. e.mu is held.
func (e *Engine) remote(p xfr.Primary) *remote {
	id := remoteID{p.Addr, p.Source}
	r := e.remotes[id]
	if r == nil {
		r = &remote{}
		e.remotes[id] = r
	}
	return r
}

// note draws the conclusion from an attempt that took so long: does the primary live? Once it is down, everything that waits
// for it fails. e.mu is held.
func (e *Engine) note(r *remote, took time.Duration, why reason.Reason) {
	now := time.Now()
	switch {
	case why == reason.Canceled, why == reason.Local:
		return // it says nothing about the primary
	case why != reason.Unreachable && why != reason.Timeout:
		r.up()
		r.seenAt = now
		return
	}
	switch {
	case r.isDown(now):
		return // many zones learn of one outage; it counts once
	case took < slowFailure && r.refusals < maxRefusals:
		r.refusals++
		return
	case r.seenAt.After(now.Add(-took)):
		return // it has answered others meanwhile: this zone is what it is silent about
	}
	span := min(downFirst<<min(r.failures, 10), downMax)
	if took < slowFailure {
		span = min(refusedFirst<<min(r.failures, 10), refusedMax)
	}
	r.downUntil = now.Add(span)
	r.failures++
	r.reason = why
	for j := r.soa.waiting.pop(); j != nil; j = r.soa.waiting.pop() {
		e.fail(j, refresh.SOAFailed, why)
	}
	for j := r.transfers.waiting.pop(); j != nil; j = r.transfers.waiting.pop() {
		e.fail(j, refresh.TransferFailed, why)
	}
}

// fail tells a machine that a job which has not been begun has failed. e.mu is held.
func (e *Engine) fail(j *job, kind refresh.EventKind, why reason.Reason) {
	if i, wanted := j.index(); wanted {
		r := e.remote(j.primary)
		r.skipped++
		e.happens(event{zone: j.zone, skipped: r.skipped, what: refresh.Event{Kind: kind, Primary: i, Reason: why}})
	}
}

// up notes that the primary was reached, or has shown that it lives.
func (r *remote) up() { r.failures, r.refusals, r.skipped, r.downUntil = 0, 0, 0, time.Time{} }

// isDown reports whether the primary is not to be tried now.
func (r *remote) isDown(now time.Time) bool { return now.Before(r.downUntil) }

// takeIdle returns a kept connection for p that is still good, nil if there is none.
func (r *remote) takeIdle(p xfr.Primary, now time.Time) *xfr.Conn {
	r.dropStale(now)
	for i, c := range slices.Backward(r.idle) {
		if c.primary.Equal(p) {
			r.idle = slices.Delete(r.idle, i, i+1)
			return c.conn
		}
	}
	return nil
}

// keep puts a connection aside; the oldest gives way when max are kept already.
func (r *remote) keep(p xfr.Primary, c *xfr.Conn, now time.Time, limit int) {
	if len(r.idle) >= limit {
		r.idle[0].conn.Close()
		r.idle = r.idle[1:]
	}
	r.idle = append(r.idle, idleConn{p, c, now.Add(maxIdleTime)})
}

// closeIdle closes all kept connections.
func (r *remote) closeIdle() {
	for _, c := range r.idle {
		c.conn.Close()
	}
	r.idle = nil
}

// dropStale closes kept connections whose time has passed.
func (r *remote) dropStale(now time.Time) {
	for len(r.idle) > 0 && !now.Before(r.idle[0].till) {
		r.idle[0].conn.Close()
		r.idle = r.idle[1:]
	}
}
