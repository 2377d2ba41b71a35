package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// minDifferences is how many octets of differences are always taken; beyond it they may not be more than the zone has, for
// then the whole zone is the shorter way.
const minDifferences = 64 << 10

// blindPatience is how long a primary may take to begin its answer to a transfer after it has failed to tell its SOA.
const blindPatience = 10 * time.Second

// errSame ends a whole transfer of the version that is served.
var errSame = errors.New("the primary has the version that is served")

var errDifferences = errors.New("the differences are larger than the zone")

// fetch is one transfer into new contents: IXFR where that is worth a try, and AXFR if it fails, from the same primary and
// on the same connection where that still works (RFC 1995 §4). It is owned by the goroutine that runs it.
type fetch struct {
	job         *job
	have        *zone.Contents // nil: none
	incumbent   *zone.Contents // what is served, or was before it expired; nil: none
	incremental bool           // ask for differences first
	oneQuery    bool           // the primary answers one query on a connection
	hung        bool           // this transfer has shown it: a connection used before kept silent where a new one did not

	query    xfr.Query
	builder  *zone.Builder  // of a whole zone
	editor   *zone.Editor   // of differences
	discards *zone.Discards // what was left out

	differences int64 // octets of the differences so far
	received    int64 // octets of records
	counted     int64 // of them, in job.memory
	result      xfr.Result
	removing    bool           // the differences stand at removals
	fellBack    error          // why IXFR gave way to AXFR
	contents    *zone.Contents // nil: the primary has nothing newer
	remarks     []rules.Violation
}

// run transfers the zone over conn, or over a new connection if conn is nil or has gone stale. It returns the connection
// in use at the end, nil if there was none.
func (f *fetch) run(ctx context.Context, conn *xfr.Conn) (*xfr.Conn, error) {
	if !f.incremental {
		return f.ask(ctx, conn, xfr.Query{Origin: f.origin(), Progress: f.job.progress})
	}
	soa := f.have.SOA()
	conn, err := f.ask(ctx, conn, xfr.Query{Origin: f.origin(), Have: &soa, Strict: f.job.blind, Progress: f.job.progress})
	if err == nil || conn == nil || ctx.Err() != nil || !f.fallsBack(err) {
		return conn, err
	}
	f.fellBack = err
	if !conn.Reusable() || f.oneQuery || f.hung {
		conn.Close()
		conn = nil
	}
	return f.ask(ctx, conn, xfr.Query{Origin: f.origin(), Progress: f.job.progress})
}

// fallsBack reports whether the whole zone may do where an answer to IXFR failed with err. It will not where a rule forbids
// the primary's version itself.
func (f *fetch) fallsBack(err error) bool {
	if f.result.Kind == xfr.Current {
		return false // said by one that is not authoritative
	}
	switch xfr.ReasonOf(err) {
	case xfr.TooManyRecords, xfr.TooBig:
		return f.builder == nil // a small zone may have a long history; but what was too large may be the whole zone itself
	default:
	}
	violation, ruled := errors.AsType[*rules.Violation](err)
	if ruled && violation.Rule == rules.ApexNSLost {
		return f.builder == nil // differences that take too much away are more likely wrong than meant
	}
	_, linked := errors.AsType[*linkError](err)
	return !ruled && !linked && !errors.Is(err, zone.ErrTooManyRecords) && !errors.Is(err, zone.ErrTooBig) &&
		!errors.Is(err, zone.ErrLargeRRset) && !errors.Is(err, zone.ErrManyTypes)
}

// ask asks one question and makes contents of the answer. Where a connection that was used before brings none, a new one is
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
		f.builder, f.editor, f.discards, f.differences, f.received, f.counted = nil, nil, nil, 0, 0, 0
		f.result, err = conn.Transfer(ctx, q, f, f.limits())
		if failure, ok := errors.AsType[*xfr.Error](err); !ok || !failure.Stale || ctx.Err() != nil {
			break
		}
		silent = xfr.ReasonOf(err) == xfr.Timeout
		conn.Close()
		conn = nil
	}
	f.hung = f.hung || silent && f.result.Messages > 0
	if errors.Is(err, errSame) {
		f.builder, f.result.Kind = nil, xfr.Current
		return conn, nil
	}
	if err != nil {
		return conn, err
	}
	return conn, f.judge()
}

// judge seals what has been received and asks the rules about it.
func (f *fetch) judge() (err error) {
	var c *zone.Contents
	var losses *zone.Losses
	switch {
	case f.builder != nil:
		c, err = f.builder.Seal()
		losses = f.builder.Losses()
	case f.editor != nil:
		c, err = f.editor.Seal()
		losses = f.editor.Losses()
	default:
		return nil // the primary has nothing newer
	}
	if err != nil {
		return err
	}
	if v := rules.JudgeApex(c, f.incumbent); v != nil && f.job.demand != refresh.Force {
		return v
	}
	refused, remarks := rules.Judge(c, f.incumbent, f.discards, losses, f.job.group.spans(c.SOA()))
	f.remarks = remarks
	if refused != nil {
		return refused
	}
	if c.Signed() && c.Marked() > 0 {
		c, _ = c.Judged(nil, nil) // RFC 4035 §3.1.5: a signed zone is served whole, and these conflicts are served already
	}
	f.contents = c
	return nil
}

func (f *fetch) conflicts() rules.Conflicts { return f.job.group.Conflicts }

// Begin looks at the primary's SOA before the records come: what would be refused in the end is not fetched at all.
func (f *fetch) Begin(kind xfr.Kind, soa *wire.RR) error {
	numbers, err := wire.ParseSOA(soa.Data)
	if err != nil {
		return err
	}
	if v := rules.JudgeSOA(numbers, f.job.group.SerialZero); v != nil {
		return v
	}
	if kind == xfr.Current {
		return nil
	}
	if f.have != nil {
		if f.job.demand < refresh.Again && numbers.Serial == f.have.Serial() {
			return errSame
		}
		if err := admit(f.job.demand, numbers.Serial, f.have.Serial()); err != nil {
			return err
		}
	}
	if kind == xfr.IXFR {
		f.editor = f.have.Edit(f.job.group.limits())
		if f.conflicts() != rules.ConflictsOff {
			f.editor.Judge(f.conflicts().ForZone())
		}
		f.discards = f.editor.Discards()
		return nil
	}
	f.builder = zone.NewBuilder(f.origin(), f.job.group.limits())
	if f.conflicts() != rules.ConflictsOff {
		f.builder.Judge(f.conflicts().ForZone(), f.incumbent)
	}
	f.discards = f.builder.Discards()
	return nil
}

// admit returns the error of a primary whose serial is not newer than ours (RFC 1982), unless the operator demands it all
// the same.
func admit(d refresh.Demand, theirs, ours serial.Serial) error {
	order := theirs.Compare(ours)
	if d == refresh.Force || d == refresh.Again && order == serial.Equal {
		return nil
	}
	switch order {
	case serial.Greater:
		return nil
	case serial.Incomparable:
		return &linkError{refresh.ReasonSerialUndefined, fmt.Sprintf(
			saidUndefined, theirs, ours)}
	default:
		return &linkError{refresh.ReasonSerialBehind, fmt.Sprintf(
			saidBehind, theirs, ours)}
	}
}

// Add takes a record of the zone, or one that a difference adds.
func (f *fetch) Add(rr *wire.RR) error {
	if err := f.count(rr); err != nil {
		return err
	}
	if f.editor == nil {
		return f.builder.Add(rr)
	}
	f.removing = false
	if err := f.grow(rr); err != nil {
		return err
	}
	return f.editor.Add(rr)
}

// Remove takes a record that a difference removes.
func (f *fetch) Remove(rr *wire.RR) error {
	if err := f.count(rr); err != nil {
		return err
	}
	f.removing = true
	if err := f.grow(rr); err != nil {
		return err
	}
	return f.editor.Remove(rr)
}

// count takes a record into account of what all transfers hold.
func (f *fetch) count(rr *wire.RR) error {
	f.received += int64(len(rr.Owner) + len(rr.Data))
	if f.received < f.counted+memoryStep {
		return nil
	}
	f.counted = f.received
	e := f.job.zone.engine
	held := f.received
	switch {
	case f.editor != nil:
		held = f.editor.Held()
	case f.builder != nil:
		held = f.builder.Held()
	}
	f.job.memory.set(held)
	if e.memory.exceeded() {
		e.makeRoom()
	}
	if err := f.job.gaveWay.Load(); err != nil {
		return err
	}
	return nil
}

// grow adds a record to the size of the differences, and returns an error once the whole zone is the shorter way.
func (f *fetch) grow(rr *wire.RR) error {
	f.differences += int64(len(rr.Owner) + len(rr.Data))
	if f.differences > max(minDifferences, f.have.Size()) {
		return errDifferences
	}
	return nil
}

// Discard takes a record that cannot be read. One that a difference removes was left out when it was added.
func (f *fetch) Discard(rr *wire.RR, _ error) error {
	switch {
	case f.editor == nil:
		f.builder.Malformed(rr)
	case f.removing:
		f.editor.RemoveMalformed()
	default:
		f.editor.Malformed(rr)
	}
	return nil
}

// attempt returns what is to be reported.
func (f *fetch) attempt(took time.Duration, err error) attempt {
	a := attempt{
		job: f.job, op: opAXFR, took: took, before: f.have, after: f.result.SOA, err: err,
		result: f.result, hung: f.hung, fellBack: f.fellBack, discards: f.discards, remarks: f.remarks,
	}
	switch {
	case f.result.Kind == xfr.IXFR, f.query.Have != nil && err != nil:
		a.op = opIXFR
	case f.result.Kind == xfr.Current:
		a.op = opCurrent
	}
	if err == nil {
		a.contents = f.contents
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

// allow returns the error of contents that the group's rules forbid.
func (g *Group) allow(c *zone.Contents) error {
	if v := rules.JudgeSOA(c.SOA(), g.SerialZero); v != nil {
		return v
	}
	return g.limits().Check(c)
}

// spans returns the timers that are in force with a SOA.
func (g *Group) spans(soa wire.SOA) refresh.Spans {
	c := refresh.Config{Refresh: g.Refresh, Retry: g.Retry, Expire: g.Expire}
	return c.Spans(soa)
}

// limits returns the limits of a version.
func (g *Group) limits() zone.Limits {
	return zone.Limits{Records: g.MaxRecords, Size: g.MaxSize, RRset: g.MaxRRset, Types: g.MaxTypes}
}
