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

// maxSOAQueries is how many SOA queries wait for their answers at a time. With the default rate it is reached only when
// more than a quarter of a thousand primaries are silent at once. Then maxUrgentSOA more may follow a NOTIFY each.
const (
	maxSOAQueries = 256
	maxUrgentSOA  = 64
)

// maxSOAPerRemote is how many of them wait for one primary: one that is silent does not use up the rate of the others.
const maxSOAPerRemote = 16

// queueSOA lines up a SOA query, unless the zone is in a hurry and the primary known not to answer any. The timers ask it, to
// find out whether that is still so. e.mu is held.
func (e *Engine) queueSOA(j *job) {
	r := e.remote(j.primary)
	if why, down := r.Down(time.Now()); down {
		e.fail(j, refresh.SOAFailed, why)
		return
	}
	if i, wanted := j.index(); wanted && j.urgent && j.zone.waysOf(j.primary).Has(host.WayTransfersOnly, time.Now()) {
		e.step(j.zone, refresh.Event{Kind: refresh.SOAFailed, Primary: i, MayTransfer: true})
		return
	}
	e.soaTurns.Add(&r.soa, j, maxSOAPerRemote)
	signal(e.soaWake)
}

// Limit puts process-wide limits in force.
func (e *Engine) Limit(s Settings) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.settings = s
	e.places.Limit(s.TransfersIn, s.TransferMemory)
	e.pace.Limit(s.SOARate)
	e.dispatch() // there may be more places
}

// runSOAQueries starts queued SOA queries, whose messages keep to the configured rate, until the engine is closed.
func (e *Engine) runSOAQueries() {
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-e.soaWake:
		}
		for e.startSOAQuery() {
		}
	}
}

// startSOAQuery starts the next query when its turn has come; ok is false if none is waiting or the engine is closed.
func (e *Engine) startSOAQuery() (ok bool) {
	e.mu.Lock()
	may := e.mayQuerySOA()
	e.mu.Unlock()
	if !may || e.pace.Wait(e.ctx) != nil {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.mayQuerySOA() {
		return false // those that waited have been told that their primary is down
	}
	j, l, ok := e.soaTurns.Next(maxSOAPerRemote) // chosen only now: an urgent one may have come while waiting
	if !ok {
		return false
	}
	if _, wanted := j.index(); !wanted {
		e.soaTurns.Done(l, maxSOAPerRemote)
		e.forgetUnused(j.primary)
		return true
	}
	e.soaQueries++
	ctx := e.begin(j)
	noOPT := e.remote(j.primary).Ways.Has(host.WayNoOPT, time.Now())
	e.running.Go(func() { e.querySOA(ctx, j, l, noOPT) })
	return true
}

// mayQuerySOA reports whether a SOA query waits that may begin. e.mu is held.
func (e *Engine) mayQuerySOA() bool {
	switch {
	case !e.soaTurns.Ready():
		return false
	case e.soaQueries < maxSOAQueries:
		return true
	}
	return e.soaQueries < maxSOAQueries+maxUrgentSOA && e.soaTurns.Urgent()
}

// querySOA asks for a zone's SOA, perhaps without OPT record, and tells its machine.
func (e *Engine) querySOA(ctx context.Context, j *job, l *lane.Lane[*job], noOPT bool) {
	began := time.Now()
	var waited time.Duration // for our own rate: it says nothing of the primary
	answer, err := xfr.SOAQuery{
		Primary: j.primary, Origin: j.zone.origin, NoOPT: noOPT, Pace: func(ctx context.Context) error {
			at := time.Now()
			defer func() { waited += time.Since(at) }()
			return e.pace.WaitRepeat(ctx)
		},
	}.Ask(ctx)
	soa := answer.SOA
	a := &Attempt{Primary: j.primary, Op: OpSOA, Took: time.Since(began), Before: j.zone.Contents(), After: soa, Err: err}
	asHost := e.asHost(ctx, j, err)
	e.mu.Lock()
	defer e.mu.Unlock()
	j.end()
	e.soaQueries--
	if e.ctx.Err() != nil {
		return
	}
	e.soaTurns.Done(l, maxSOAPerRemote)
	signal(e.soaWake)
	r := e.remote(j.primary)
	e.note(r, time.Since(began)-waited, reason.Of(asHost))
	if err == nil {
		r.AnsweredSOA(host.Witness{Origin: j.zone.origin, Primary: j.primary}, answer.NoOPT, time.Now())
		j.zone.unlearn(j.primary, host.WayTransfersOnly)
	}
	defer e.forgetUnused(j.primary)
	i, wanted := j.index()
	if !wanted {
		return
	}
	a.Place = i
	if err != nil {
		a.MayGoOn = xfr.MayTransfer(err)
		e.happens(event{zone: j.zone, said: !a.MayGoOn, what: refresh.Event{
			Kind: refresh.SOAFailed, Primary: i, Reason: reason.Of(err), MayTransfer: a.MayGoOn,
		}})
	} else {
		e.step(j.zone, refresh.Event{
			Kind: refresh.SOAReceived, Primary: i, SOA: soa, ExpireAt: answer.ExpireAt,
			Unasked: answer.NoOPT && !r.Ways.Has(host.WayNoOPT, time.Now()),
		})
	}
	e.attempted(j.zone, a)
}
