// Package fetch transfers a version from a primary: by IXFR where that is worth a try, and by AXFR if it fails, from the same
// primary and on the same connection where that still works (RFC 1995 §4).
package fetch

import (
	"context"
	"errors"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// shortPatience is how long a primary may take to begin its answer to a transfer after it has been silent before: it has failed to
// tell its SOA, or said nothing to the same question with an OPT record.
const shortPatience = 10 * time.Second

// Fetch is what to transfer, and how. It is a plain value.
type Fetch struct {
	Terms       version.Terms
	Primary     *xfr.Primary // the source of the version
	Incremental bool         // ask for differences first; Terms.Served is there
	Blind       bool         // the primary has failed to tell its SOA, so the transfer is the check as well
	OneQuery    bool         // the primary answers one query on a connection
	NoOPT       bool         // the primary answers no question with an OPT record
	Limits      xfr.Limits   // of time; those of size are in the policy
	Progress    *xfr.Progress
}

// Outcome is what came of a transfer. It is a plain value.
type Outcome struct {
	Version *version.Version    // nil: the primary has nothing newer, or there is an error
	Err     error               // why the transfer failed; nil if it did not
	Remarks []version.Violation // on the version, or on one that was refused

	Result      xfr.Result // of the latest answer; Current also where the whole zone turned out to be the version that is served
	Incremental bool       // the latest question was one for differences
	FellBack    error      // why IXFR gave way to AXFR; nil if it did not
	Hung        bool       // a connection used before kept silent where a new one did not
	Unasked     bool       // it was given without OPT record only, so the primary could not say when it gives the zone up
}

// run is a transfer under way. It is owned by the goroutine that runs it.
type run struct {
	Fetch
	Outcome
	draft *version.Draft
}

// Run transfers the zone over conn, or over a new connection if conn is nil or has gone stale. It returns the connection in use
// at the end, nil if there was none.
func (f Fetch) Run(ctx context.Context, conn *xfr.Conn) (*xfr.Conn, Outcome) {
	f.Limits = f.Limits.ForVersion(f.Terms.Policy.MaxRecords, f.Terms.Policy.MaxSize)
	if f.Blind {
		f.Limits.First = shortPatience
	}
	r := run{Fetch: f}
	conn = r.fetch(ctx, conn)
	return conn, r.Outcome
}

// fetch is Run. What came of it is in the Outcome.
func (r *run) fetch(ctx context.Context, conn *xfr.Conn) *xfr.Conn {
	whole := xfr.Query{Origin: r.Terms.Origin, Progress: r.Progress}
	if !r.Fetch.Incremental {
		return r.ask(ctx, conn, whole)
	}
	soa := r.Terms.Served.Contents.SOA()
	conn = r.ask(ctx, conn, xfr.Query{Origin: r.Terms.Origin, Have: &soa, Strict: r.Blind, Progress: r.Progress})
	if r.Err == nil || conn == nil || ctx.Err() != nil || !r.fallsBack(r.Err) {
		return conn
	}
	r.FellBack = r.Err
	return r.ask(ctx, r.reusable(conn), whole)
}

// reusable returns a connection if it may carry another question, else nil.
func (r *run) reusable(conn *xfr.Conn) *xfr.Conn {
	if conn.Reusable() && !r.OneQuery && !r.Hung {
		return conn
	}
	conn.Close()
	return nil
}

// fallsBack reports whether the whole zone may do where an answer to IXFR failed with err. It will not where a rule forbids
// the primary's version itself.
func (r *run) fallsBack(err error) bool {
	why := reason.Of(err)
	if r.Result.Kind == xfr.Current || why == reason.ExpiredThere {
		return false // said by one that is not authoritative, or has let its version expire
	}
	whole := r.draft.Kind() == xfr.AXFR
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

// ask asks one question and makes a version of the answer. Where the primary may mind the OPT record it is asked again without
// (RFC 6891 §6.2.2, §7).
func (r *run) ask(ctx context.Context, conn *xfr.Conn, q xfr.Query) *xfr.Conn {
	q.NoOPT = r.NoOPT
	conn = r.converse(ctx, conn, q)
	if q.NoOPT || !xfr.MindsOPT(r.Err) || ctx.Err() != nil {
		return conn
	}
	if xfr.Silent(r.Err) {
		r.Limits.First = shortPatience
	}
	q.NoOPT = true
	conn = r.converse(ctx, r.reusable(conn), q)
	r.Unasked = r.Err == nil
	return conn
}

// converse asks a question as it is. Where a connection that was used before brings no answer, a new one is asked.
func (r *run) converse(ctx context.Context, conn *xfr.Conn, q xfr.Query) *xfr.Conn {
	r.Outcome.Incremental, r.Remarks = q.Have != nil, nil
	silent := false
	for {
		if conn == nil {
			if conn, r.Err = xfr.Dial(ctx, *r.Primary, r.Limits); r.Err != nil {
				return nil
			}
		}
		r.draft = version.NewDraft(r.Terms)
		r.Result, r.Err = conn.Transfer(ctx, q, r.draft, r.Limits)
		if failure, ok := errors.AsType[*xfr.Error](r.Err); !ok || !failure.Stale || ctx.Err() != nil {
			break
		}
		silent = reason.Of(r.Err) == reason.Timeout
		conn.Close()
		conn = nil
	}
	r.Hung = r.Hung || silent && r.Result.Messages > 0
	switch {
	case errors.Is(r.Err, version.ErrSame):
		r.Result.Kind, r.Err = xfr.Current, nil
	case r.Err == nil && r.Result.Kind != xfr.Current:
		r.admit()
	}
	return conn
}

// admit makes a version of the answer, or an error.
func (r *run) admit() {
	v, err := version.Admit(r.draft, version.Source{Primary: r.Primary, Kind: r.Result.Kind, At: time.Now()})
	if v != nil {
		r.Remarks = v.Remarks
	}
	if r.Err = err; err == nil {
		r.Version = v
	}
}

// CannotIXFR reports whether IXFR gave way to AXFR because the primary does not do it (RFC 1995 §2), not because of this once.
func CannotIXFR(err error) bool {
	switch reason.Of(err) {
	case reason.NotImplemented, reason.FormatError, reason.Refused, reason.NotAuthoritative:
		return true
	default:
		return false
	}
}
