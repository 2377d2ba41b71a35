package engine

import (
	"context"
	"errors"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// blindPatience is how long a primary may take to begin its answer to a transfer after it has failed to tell its SOA.
const blindPatience = 10 * time.Second

// fetch is one transfer of a version: IXFR where that is worth a try, and AXFR if it fails, from the same primary and on the
// same connection where that still works (RFC 1995 §4). It is owned by the goroutine that runs it.
type fetch struct {
	job         *job
	served      *version.Version // nil: none
	before      *version.Version // what is served, or was before it expired; nil: none
	incremental bool             // ask for differences first
	oneQuery    bool             // the primary answers one query on a connection
	hung        bool             // this transfer has shown it: a connection used before kept silent where a new one did not

	query    xfr.Query
	draft    *version.Draft
	result   xfr.Result
	fellBack error            // why IXFR gave way to AXFR
	version  *version.Version // nil: the primary has nothing newer
}

// run transfers the zone over conn, or over a new connection if conn is nil or has gone stale. It returns the connection
// in use at the end, nil if there was none.
func (f *fetch) run(ctx context.Context, conn *xfr.Conn) (*xfr.Conn, error) {
	if !f.incremental {
		return f.ask(ctx, conn, xfr.Query{Origin: f.origin(), Progress: &f.job.running.Progress})
	}
	soa := f.served.Contents.SOA()
	conn, err := f.ask(ctx, conn, xfr.Query{Origin: f.origin(), Have: &soa, Strict: f.job.blind, Progress: &f.job.running.Progress})
	if err == nil || conn == nil || ctx.Err() != nil || !f.fallsBack(err) {
		return conn, err
	}
	f.fellBack = err
	if !conn.Reusable() || f.oneQuery || f.hung {
		conn.Close()
		conn = nil
	}
	return f.ask(ctx, conn, xfr.Query{Origin: f.origin(), Progress: &f.job.running.Progress})
}

// fallsBack reports whether the whole zone may do where an answer to IXFR failed with err. It will not where a rule forbids
// the primary's version itself.
func (f *fetch) fallsBack(err error) bool {
	if f.result.Kind == xfr.Current {
		return false // said by one that is not authoritative
	}
	whole := f.draft.Kind() == xfr.AXFR
	why := reason.Of(err)
	if _, conversation := errors.AsType[*xfr.Error](err); conversation {
		// A small zone may have a long history; but what was too large may be the whole zone itself.
		return !whole || why != reason.MaxRecords && why != reason.MaxSize
	}
	switch why {
	case reason.ApexNSLost:
		return !whole // differences that take too much away are more likely wrong than meant
	case reason.SOAOwner, reason.BadApex:
		return true
	case reason.SerialBehind, reason.SerialUndefined, reason.GaveWay:
		return false
	default:
		return !why.Refuses()
	}
}

// ask asks one question and makes a version of the answer. Where a connection that was used before brings none, a new one is
// asked.
func (f *fetch) ask(ctx context.Context, conn *xfr.Conn, q xfr.Query) (_ *xfr.Conn, err error) {
	f.query = q
	silent := false
	for {
		if conn == nil {
			if conn, err = xfr.Dial(ctx, f.job.primary, f.limits()); err != nil {
				return nil, err
			}
		}
		f.draft = version.NewDraft(version.Terms{
			Origin: f.origin(), Served: f.served, Before: f.before, Policy: &f.job.group.Policy, Demand: f.job.demand, Hold: f.job.running.Hold,
		})
		f.result, err = conn.Transfer(ctx, q, f.draft, f.limits())
		if failure, ok := errors.AsType[*xfr.Error](err); !ok || !failure.Stale || ctx.Err() != nil {
			break
		}
		silent = reason.Of(err) == reason.Timeout
		conn.Close()
		conn = nil
	}
	f.hung = f.hung || silent && f.result.Messages > 0
	switch {
	case errors.Is(err, version.ErrSame):
		f.result.Kind, err = xfr.Current, nil
	case err == nil && f.result.Kind != xfr.Current:
		f.version, err = version.Admit(f.draft, version.Source{Primary: f.job.shared(), Kind: f.result.Kind, At: time.Now()})
	}
	return conn, err
}

// attempt returns what is to be told.
func (f *fetch) attempt(took time.Duration, err error) *Attempt {
	a := &Attempt{Primary: f.job.primary, Op: OpAXFR, Took: took, After: f.result.SOA, Err: err, Result: f.result, FellBack: f.fellBack}
	if f.served != nil {
		a.Before = f.served.Contents
	}
	switch {
	case f.result.Kind == xfr.IXFR, f.query.Have != nil && err != nil:
		a.Op = OpIXFR
	case f.result.Kind == xfr.Current:
		a.Op = OpCurrent
	}
	if f.version != nil {
		a.Remarks = f.version.Remarks
	}
	if err == nil {
		a.Version = f.version
	}
	return a
}

func (f *fetch) origin() wire.Name { return f.job.zone.origin }

// limits returns the limits of a transfer on the wire.
func (f *fetch) limits() xfr.Limits {
	l := f.job.zone.engine.limits.ForVersion(f.job.group.MaxRecords, f.job.group.MaxSize)
	if f.job.blind {
		l.First = blindPatience
	}
	return l
}
