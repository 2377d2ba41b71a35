package engine

import (
	"fmt"
	"strings"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// What an attempt was, in the log and as the type label of transfers.
const (
	opSOA     = "soa"
	opAXFR    = "axfr"
	opIXFR    = "ixfr"
	opCurrent = "current" // a transfer that brought nothing new
)

// attempt is one SOA query or transfer and what came of it. It is owned by the goroutine that made it.
type attempt struct {
	job      *job
	op       string
	took     time.Duration
	before   *zone.Contents // what was served
	after    wire.SOA       // the primary's, if it told it
	err      error
	ofLink   bool             // err says what the answer means, as its link does: observeLinks has logged it
	again    bool             // err is what an earlier attempt has found
	result   xfr.Result       // of a transfer
	hung     bool             // a connection used before kept silent where a new one did not
	fellBack error            // why IXFR gave way to AXFR
	version  *version.Version // published; nil for none
	hint     bool             // a SOA query that failed and leaves a transfer possible, which is asked for next
	remarks  []version.Violation
}

// report counts an attempt and writes its log line. Engine.mu is held.
func (e *Engine) report(a *attempt) {
	e.metrics.attempted(a)
	e.record(a.job.zone, a.event())
	line := a.line()
	switch {
	case a.hint:
		e.log.Debugf("%s: %s; a transfer is tried all the same, %s", line, a.err, a.next())
	case a.err != nil && a.ofLink:
		e.log.Debugf("%s: %s; %s", line, a.err, a.next())
	case a.err != nil:
		e.log.Warningf("%s: %s; %s", line, a.cause(), a.next())
	case a.op == opSOA:
		e.log.Debugf("%s: answered, %s", line, a.next())
	case a.version == nil:
		e.log.Debugf("%s: current, %s", line, a.next())
	default:
		e.log.Infof("%s: published, %s", line, a.next())
	}
	e.remark(a, a.remarks)
}

// remark counts and logs what the rules say of a version. Engine.mu is held.
func (e *Engine) remark(a *attempt, remarks []version.Violation) {
	for _, r := range remarks {
		e.metrics.violations.WithLabelValues(string(r.Rule)).Add(float64(r.Count))
		e.record(a.job.zone, Event{Kind: eventRemark, Result: string(r.Rule), To: known(a.after.Serial), Text: r.Detail})
		e.log.Warningf("zone=%s primary=%s serial=%s: rule %s: %s; %s", a.job.zone.id, a.job.primary, a.after.Serial,
			r.Rule, r.Detail, r.Rule.Advice())
	}
}

// event returns what is kept of an attempt.
func (a *attempt) event() Event {
	v := Event{
		Kind: a.op, Result: resultOK, Primary: a.job.primary.Addr.Addr(), Port: a.job.primary.Addr.Port(),
		Bytes: a.result.Bytes, Took: a.took,
	}
	if a.op != opSOA {
		v.Records = a.records()
	}
	if a.before != nil {
		v.From = known(a.before.Serial())
	}
	if a.after != (wire.SOA{}) {
		v.To = known(a.after.Serial)
	}
	switch {
	case a.err != nil:
		v.Result, v.Text = string(reason.Of(a.err)), a.err.Error()
	case a.fellBack != nil:
		v.Text = "after IXFR: " + a.fellBack.Error()
	}
	return v
}

// cause says why an attempt failed and what to do.
func (a *attempt) cause() string { return a.err.Error() + "; " + reason.Of(a.err).Advice() }

// records returns how many records a transfer brought: those of the zone, or of the answer where it is not published.
func (a *attempt) records() int {
	if a.version != nil {
		return a.version.Contents.Records()
	}
	return a.result.Records
}

// line returns what was done, in the one shape all attempts are logged in.
func (a *attempt) line() string {
	var b strings.Builder
	fmt.Fprintf(&b, "zone=%s op=%s primary=%s", a.job.zone.id, a.op, a.job.primary)
	if k := a.job.primary.Key; k != nil {
		fmt.Fprintf(&b, " key=%s", k.Name())
	}
	b.WriteString(" serial=")
	if a.before != nil {
		b.WriteString(a.before.Serial().String())
	} else {
		b.WriteString("none")
	}
	if a.after != (wire.SOA{}) {
		fmt.Fprintf(&b, "->%s", a.after.Serial)
	}
	if a.op != opSOA {
		fmt.Fprintf(&b, " rrs=%d", a.records())
	}
	fmt.Fprintf(&b, " took=%.3fs", a.took.Seconds())
	if a.fellBack != nil {
		fmt.Fprintf(&b, " (after IXFR: %s)", a.fellBack)
	}
	return b.String()
}

// next is Zone.next of the attempt.
func (a *attempt) next() string { return a.job.zone.next(a.err != nil) }

// next says when a zone is tried again, and until when it is served if something has failed. Engine.mu is held.
func (z *Zone) next(failed bool) string {
	m := z.machine()
	var s string
	switch at := m.RefreshAt(); {
	case m.Running():
		s = "the round goes on"
	case at.IsZero():
		s = "nothing planned"
	default:
		s = "next attempt in " + shown(time.Until(at))
	}
	if at := m.ExpireAt(); failed && z.Contents() != nil {
		s += fmt.Sprintf(", old contents served until %s", at.Format(time.RFC3339))
	}
	return s
}

// shown returns a time to come as the log has it: in seconds, and in hundredths below one.
func shown(d time.Duration) string {
	const hundredth = time.Second / 100
	if d < time.Second-hundredth/2 {
		return max(hundredth, d.Round(hundredth)).String()
	}
	return d.Round(time.Second).String()
}
