package engine

import (
	"cmp"
	"context"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// queueTransfer lines up a transfer. e.mu is held.
func (e *Engine) queueTransfer(j *job) {
	r := e.remote(j.primary)
	if r.isDown(time.Now()) {
		e.fail(j, refresh.TransferFailed, r.reason)
		return
	}
	r.transfers.waiting.push(j)
	e.transferTurns.list(&r.transfers, e.settings.TransfersPerPrimary)
	e.dispatch()
}

// dispatch starts waiting transfers while there is room. e.mu is held.
func (e *Engine) dispatch() {
	for e.ctx.Err() == nil && len(e.transferTurns.ready) > 0 && e.makePlace() {
		j, l := e.transferTurns.next(e.settings.TransfersPerPrimary)
		if j == nil {
			return
		}
		if _, wanted := j.index(); !wanted {
			e.transferTurns.done(l, e.settings.TransfersPerPrimary)
			continue
		}
		now, r := time.Now(), e.remote(j.primary)
		var conn *xfr.Conn
		oneQuery := r.ways.has(WayOneQuery, now)
		if !oneQuery {
			conn = r.takeIdle(j.primary, now)
		}
		j.progress = &xfr.Progress{BeganAt: now}
		j.memory.of = &e.memory
		e.places.held = append(e.places.held, j)
		was := j.zone.Standing()
		j.zone.change(func(s *Standing) { s.transfer = j })
		f := fetch{
			job: j, served: was.Version, before: cmp.Or(was.Version, was.withdrawn),
			incremental: !j.full && j.zone.mayIXFR(j.primary, now), oneQuery: oneQuery,
		}
		ctx := e.begin(j)
		e.began(j)
		e.running.Go(func() { e.transfer(ctx, l, conn, f) })
	}
}

// transfer runs one transfer, publishes what it brought, and looks through that.
func (e *Engine) transfer(ctx context.Context, l *lane, conn *xfr.Conn, f fetch) {
	began := time.Now()
	conn, err := f.run(ctx, conn)
	a := f.attempt(time.Since(began), err)
	host := e.asHost(ctx, f.job, err)
	e.conclude(l, conn, &a, host)
	if a.err != nil || a.version == nil {
		return
	}
	since := a.before
	if a.version.Source.Kind != xfr.IXFR {
		since = nil
	}
	if remarks := version.Remarks(a.version.Contents.Findings(since)); len(remarks) > 0 {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.remark(&a, remarks)
	}
}

// conclude ends a transfer, which says host of the primary's host.
func (e *Engine) conclude(l *lane, conn *xfr.Conn, a *attempt, host error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	j := a.job
	j.end()
	j.memory.release()
	e.places.leave(j)
	e.transferTurns.done(l, e.settings.TransfersPerPrimary)
	if a.hung {
		e.remote(j.primary).ways.learn(WayOneQuery, time.Now())
	}
	e.settle(j.primary, conn, a.took, host)
	if err := j.gaveWay.Load(); err != nil && a.err != nil {
		a.err = err // not what came of it: that the connection broke
	}
	if e.ctx.Err() == nil {
		e.finish(j, a)
	}
	e.forgetUnused(j.primary)
	e.dispatch()
}

// settle draws the conclusions for the remote: does it live, and can the connection be used again. e.mu is held.
func (e *Engine) settle(p xfr.Primary, conn *xfr.Conn, took time.Duration, err error) {
	r := e.remote(p)
	e.note(r, took, reason.Of(err))
	if conn == nil {
		return
	}
	if !conn.Reusable() || e.ctx.Err() != nil || r.ways.has(WayOneQuery, time.Now()) {
		conn.Close()
		return
	}
	r.keep(p, conn, time.Now(), e.settings.TransfersPerPrimary)
	time.AfterFunc(maxIdleTime, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		r.dropStale(time.Now())
	})
}

// finish publishes contents and tells the machine how the transfer ended. e.mu is held.
func (e *Engine) finish(j *job, a *attempt) {
	i, wanted := j.index()
	if !wanted {
		return
	}
	if a.err == nil && a.version != nil {
		a.err = version.Recheck(a.version, &j.zone.group().Policy)
	}
	if a.err == nil && superseded(a, j.zone.Contents()) {
		a.op, a.version = opCurrent, nil
	}
	if cannotIXFR(a.fellBack) && a.err == nil {
		j.zone.learn(j.primary, WayNoIXFR, time.Now())
	}
	if j.blind {
		if a.err == nil {
			j.zone.learn(j.primary, WayTransfersOnly, time.Now())
		} else {
			j.zone.unlearn(j.primary, WayTransfersOnly)
		}
	}
	switch {
	case a.err != nil:
		why := j.reasonOf(a.err)
		j.zone.told(i, why) // by report
		e.step(j.zone, refresh.Event{
			Kind: refresh.TransferFailed, Primary: i, Reason: why, SOA: a.after, Rejected: reason.Of(a.err).Refuses(),
		})
	case a.version == nil:
		e.step(j.zone, refresh.Event{Kind: refresh.TransferCurrent, Primary: i, SOA: a.after})
		a.ofLink, a.again, a.err = true, true, j.zone.verdict(i)
	default:
		e.publish(j.zone, a.version, refresh.Event{Kind: refresh.Transferred, Primary: i, SOA: a.after})
	}
	e.report(a)
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
func superseded(a *attempt, served *zone.Contents) bool {
	if a.version == nil || served == nil || a.before != nil && a.before.Serial() == served.Serial() {
		return false
	}
	return !a.version.Contents.Serial().Newer(served.Serial())
}

// publish makes a version visible, and tells the machine what led to it. e.mu is held.
func (e *Engine) publish(z *Zone, v *version.Version, what refresh.Event) {
	v = e.histories.Put(&z.differences, v, &z.group().Policy) // before anybody can ask for the differences
	e.happens(event{zone: z, what: what, version: v})
	z.tellPublished(false)
	if by := z.group(); v.Edition != by.Conflicts.Edition() { // a reload has come in between, or a start by another build
		e.readmitLater(z)
	}
	e.keeper.save(z, true)
}

// tellPublished tells those who want to know that a version is served; see Config.Published for again. Engine.mu is held.
func (z *Zone) tellPublished(again bool) {
	for _, h := range z.holders {
		if f := h.attachment.config.Published; f != nil {
			f(z, again)
		}
	}
}

// mayIXFR reports whether a primary is worth asking for differences. Engine.mu is held.
func (z *Zone) mayIXFR(p xfr.Primary, now time.Time) bool {
	return z.Contents() != nil && !z.waysOf(p).has(WayNoIXFR, now)
}

// cannotIXFR reports whether an IXFR failed because the primary does not do it (RFC 1995 §2), not because of this once.
func cannotIXFR(err error) bool {
	switch reason.Of(err) {
	case reason.NotImplemented, reason.FormatError, reason.Refused, reason.NotAuthoritative:
		return true
	default:
		return false
	}
}
