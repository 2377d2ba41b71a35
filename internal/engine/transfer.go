package engine

import (
	"cmp"
	"context"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/fetch"
	"github.com/secondaryplus/secondaryplus/internal/host"
	"github.com/secondaryplus/secondaryplus/internal/lane"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// queueTransfer lines up a transfer. e.mu is held.
func (e *Engine) queueTransfer(j *job) {
	r := e.remote(j.primary)
	if why, down := r.Down(time.Now()); down {
		e.fail(j, refresh.TransferFailed, why)
		return
	}
	e.transferTurns.Add(&r.transfers, j, e.settings.TransfersPerPrimary)
	e.dispatch()
}

// dispatch starts waiting transfers while there is room. e.mu is held.
func (e *Engine) dispatch() {
	for e.ctx.Err() == nil && e.transferTurns.Ready() && e.makePlace() {
		j, l, ok := e.transferTurns.Next(e.settings.TransfersPerPrimary)
		if !ok {
			return
		}
		place, wanted := j.index()
		if !wanted {
			e.transferTurns.Done(l, e.settings.TransfersPerPrimary)
			continue
		}
		now, r := time.Now(), e.remote(j.primary)
		var conn *xfr.Conn
		oneQuery := r.Ways.Has(host.WayOneQuery, now)
		if !oneQuery {
			conn = r.TakeIdle(j.primary, now)
		}
		ctx := e.begin(j)
		j.running = e.places.Begin(j.cancel)
		was := j.zone.Standing()
		j.zone.change(func(s *Standing) { s.Transfer = &Transfer{j.primary, &j.running.Progress} })
		f := fetch.Fetch{
			Terms: version.Terms{
				Origin: j.zone.origin, Served: was.Version, Before: cmp.Or(was.Version, was.Withdrawn), Policy: &was.Group.Policy,
				Demand: j.demand, Hold: j.running.Hold,
			},
			Primary: &was.Group.Primaries[place], Incremental: !j.full && j.zone.mayIXFR(j.primary, now), Blind: j.blind, OneQuery: oneQuery,
			NoOPT: r.Ways.Has(host.WayNoOPT, now), Limits: e.limits, Progress: &j.running.Progress,
		}
		e.emit(Fact{Kind: Began, Zone: j.zone, Primary: f.Primary})
		e.running.Go(func() { e.transfer(ctx, j, l, conn, f) })
	}
}

// makePlace reports whether another transfer may begin. Where none may yet, dispatch looks again when that may be so. e.mu is
// held.
func (e *Engine) makePlace() bool {
	wait, ok := e.places.Room()
	if !ok && !e.placeAwaited {
		e.placeAwaited = true
		time.AfterFunc(wait, func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.placeAwaited = false
			e.dispatch()
		})
	}
	return ok
}

// transfer runs one transfer, publishes what it brought, and looks through that.
func (e *Engine) transfer(ctx context.Context, j *job, l *lane.Lane[*job], conn *xfr.Conn, f fetch.Fetch) {
	began := time.Now()
	conn, outcome := f.Run(ctx, conn)
	a := attemptOf(&f, &outcome)
	a.Took = time.Since(began)
	asHost := e.asHost(ctx, j, outcome.Err)
	if told := e.conclude(j, l, conn, outcome.Hung, a, asHost); !told || a.Err != nil || a.Version == nil {
		return
	}
	since := a.Before
	if a.Version.Source.Kind != xfr.IXFR {
		since = nil
	}
	if remarks := version.Remarks(a.Version.Contents.Findings(since)); len(remarks) > 0 {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.remarked(j.zone, a, remarks)
	}
}

// attemptOf returns what is to be told of a transfer.
func attemptOf(f *fetch.Fetch, o *fetch.Outcome) *Attempt {
	a := &Attempt{
		Primary: *f.Primary, Op: OpAXFR, After: o.Result.SOA, Err: o.Err, Result: o.Result, Unasked: o.Unasked, FellBack: o.FellBack,
		Version: o.Version, Remarks: o.Remarks,
	}
	if f.Terms.Served != nil {
		a.Before = f.Terms.Served.Contents
	}
	switch {
	case o.Result.Kind == xfr.IXFR, o.Incremental && o.Err != nil:
		a.Op = OpIXFR
	case o.Result.Kind == xfr.Current:
		a.Op = OpCurrent
	}
	return a
}

// conclude ends a transfer over a connection, on which another one hung, and reports whether anybody wanted to know. asHost is
// what it says of the primary as a host.
func (e *Engine) conclude(j *job, l *lane.Lane[*job], conn *xfr.Conn, hung bool, a *Attempt, asHost error) (told bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	j.end()
	e.transferTurns.Done(l, e.settings.TransfersPerPrimary)
	if hung {
		e.remote(j.primary).Ways.Learn(host.WayOneQuery, time.Now())
	}
	if a.Err == nil {
		e.remote(j.primary).Transferred(a.Unasked, time.Now())
	}
	e.settle(j.primary, conn, a.Took, asHost)
	if err := j.running.GaveWay(); err != nil && a.Err != nil {
		a.Err = err // not what came of it: that the connection broke
	}
	if e.ctx.Err() == nil {
		told = e.finish(j, a)
	}
	e.forgetUnused(j.primary)
	e.dispatch()
	return told
}

// settle draws the conclusions for the remote: does it live, and can the connection be used again. e.mu is held.
func (e *Engine) settle(p xfr.Primary, conn *xfr.Conn, took time.Duration, err error) {
	r := e.remote(p)
	e.note(r, took, reason.Of(err))
	if conn == nil {
		return
	}
	if !conn.Reusable() || e.ctx.Err() != nil || r.Ways.Has(host.WayOneQuery, time.Now()) {
		conn.Close()
		return
	}
	r.Keep(p, conn, time.Now(), e.settings.TransfersPerPrimary)
	time.AfterFunc(host.MaxIdle, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		r.DropStale(time.Now())
	})
}

// finish publishes contents, tells the machine how the transfer ended, and reports whether anybody wanted to know. e.mu is held.
func (e *Engine) finish(j *job, a *Attempt) (told bool) {
	var wanted bool
	if a.Place, wanted = j.index(); !wanted {
		return false
	}
	if a.Err == nil && a.Version != nil {
		a.Err = version.Recheck(a.Version, &j.zone.group().Policy)
	}
	if a.Err == nil && superseded(a, j.zone.Contents()) {
		a.Op, a.Version = OpCurrent, nil
	}
	j.showsWays(a)
	switch {
	case a.Err != nil:
		e.happens(event{zone: j.zone, said: true, what: refresh.Event{
			Kind: refresh.TransferFailed, Primary: a.Place, Reason: j.reasonOf(a.Err), SOA: a.After, Rejected: reason.Of(a.Err).Refuses(),
		}})
	case a.Version == nil:
		e.step(j.zone, j.succeeded(refresh.TransferCurrent, a))
	default:
		e.publish(j.zone, a.Version, j.succeeded(refresh.Transferred, a))
	}
	e.attempted(j.zone, a)
	return true
}

// succeeded returns what a transfer tells the machine. Engine.mu is held.
func (j *job) succeeded(kind refresh.EventKind, a *Attempt) refresh.Event {
	return refresh.Event{
		Kind: kind, Primary: a.Place, SOA: a.After, ExpireAt: a.Result.ExpireAt,
		Unasked: a.Unasked && !j.zone.engine.remote(j.primary).Ways.Has(host.WayNoOPT, time.Now()),
	}
}

// showsWays draws conclusions from a transfer about the ways of the primary. Engine.mu is held.
func (j *job) showsWays(a *Attempt) {
	if fetch.CannotIXFR(a.FellBack) && a.Err == nil {
		j.zone.learn(j.primary, host.WayNoIXFR)
	}
	switch {
	case !j.blind:
	case a.Err == nil:
		j.zone.learn(j.primary, host.WayTransfersOnly)
	default:
		j.zone.unlearn(j.primary, host.WayTransfersOnly)
	}
}

// reasonOf returns why a link is Blocked by a transfer that failed: for what the primary has said to the SOA query where it has
// said nothing to this one.
func (j *job) reasonOf(err error) reason.Reason {
	why := reason.Of(err)
	switch why {
	case reason.Unreachable, reason.Timeout, reason.CutOff:
		return cmp.Or(j.hint, why)
	default:
		return why
	}
}

// superseded reports whether another transfer, begun after a round was given up, has brought the zone further than a. The
// same version, admitted by other rules, is not further.
func superseded(a *Attempt, served *zone.Contents) bool {
	if a.Version == nil || served == nil || a.Before != nil && a.Before.Serial() == served.Serial() {
		return false
	}
	return !a.Version.Contents.Serial().Newer(served.Serial())
}

// publish makes a version visible, and tells the machine what led to it. e.mu is held.
func (e *Engine) publish(z *Zone, v *version.Version, what refresh.Event) {
	v = e.histories.Put(&z.differences, v, &z.group().Policy) // before anybody can ask for the differences
	e.happens(event{zone: z, what: what, version: v})
	if by := z.group(); v.Edition != by.Conflicts.Edition() { // a reload has come in between, or a start by another build
		e.readmitLater(z)
	}
}

// mayIXFR reports whether a primary is worth asking for differences. Engine.mu is held.
func (z *Zone) mayIXFR(p xfr.Primary, now time.Time) bool {
	return z.Contents() != nil && !z.waysOf(p).Has(host.WayNoIXFR, now)
}

// Load is how busy the engine is. It is a plain value.
type Load struct {
	Running, Waiting, Limit int // transfers
}

// Load returns how busy the engine is.
func (e *Engine) Load() Load {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := Load{Running: e.places.Running(), Limit: e.settings.TransfersIn}
	for _, r := range e.remotes {
		l.Waiting += r.transfers.Waiting()
	}
	return l
}
