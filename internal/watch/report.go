package watch

import (
	"fmt"
	"strings"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// outcome is what an attempt comes to. It is a plain value.
type outcome struct {
	*engine.Attempt
	err    error // why the link is Blocked: the attempt failed, or what was answered says so
	ofLink bool  // the answer says so, which stepped has logged
	again  bool  // an earlier attempt has found it
}

// attempted counts an attempt, keeps it and writes its log line.
func (v *view) attempted() {
	a := outcome{Attempt: v.fact.Attempt, err: v.fact.Attempt.Err}
	if a.err == nil && a.Version == nil {
		a.ofLink, a.err = true, v.verdict(a.Place)
		// The answer to a SOA query breaks no other rule: that was the version before.
		a.again = a.Op != engine.OpSOA || reason.Of(a.err) != reason.SerialZero
	}
	v.watch.metrics.attempted(a.Attempt, a.err, a.again)
	v.note(a.event())
	line, next, log := a.line(v.zone), v.next(a.err != nil), v.watch.log
	switch {
	case a.MayGoOn:
		log.Debugf("%s: %s; a transfer is tried all the same, %s", line, a.err, next)
	case a.err != nil && a.ofLink:
		log.Debugf("%s: %s; %s", line, a.err, next)
	case a.err != nil:
		log.Warningf("%s: %s; %s; %s", line, a.err, reason.Of(a.err).Advice(), next)
	case a.Op == engine.OpSOA:
		log.Debugf("%s: answered, %s", line, next)
	case a.Version == nil:
		log.Debugf("%s: current, %s", line, next)
	default:
		log.Infof("%s: published, %s", line, next)
	}
}

// remarked counts and logs what a rule says of a version.
func (v *view) remarked() {
	a, r := v.fact.Attempt, v.fact.Remark
	v.watch.metrics.violations.WithLabelValues(string(r.Rule)).Add(float64(r.Count))
	v.note(Event{Kind: eventRemark, Result: string(r.Rule), To: known(a.After.Serial), Text: r.Detail})
	v.watch.log.Warningf("zone=%s primary=%s serial=%s: rule %s: %s; %s", v.zone.ID(), a.Primary, a.After.Serial,
		r.Rule, r.Detail, r.Rule.Advice())
}

// event returns what is kept of an attempt.
func (a *outcome) event() Event {
	v := Event{
		Kind: string(a.Op), Result: resultOK, Primary: a.Primary.Addr.Addr(), Port: a.Primary.Addr.Port(),
		Bytes: a.Result.Bytes, Took: a.Took,
	}
	if a.Op != engine.OpSOA {
		v.Records = a.records()
	}
	if a.Before != nil {
		v.From = known(a.Before.Serial())
	}
	if a.After != (wire.SOA{}) {
		v.To = known(a.After.Serial)
	}
	switch {
	case a.err != nil:
		v.Result, v.Text = string(reason.Of(a.err)), a.err.Error()
	case a.FellBack != nil:
		v.Text = "after IXFR: " + a.FellBack.Error()
	}
	return v
}

// records returns how many records a transfer brought: those of the zone, or of the answer where it is not published.
func (a *outcome) records() int {
	if a.Version != nil {
		return a.Version.Contents.Records()
	}
	return a.Result.Records
}

// line returns what was done, in the one shape all attempts are logged in.
func (a *outcome) line(z *engine.Zone) string {
	var b strings.Builder
	fmt.Fprintf(&b, "zone=%s op=%s primary=%s", z.ID(), a.Op, a.Primary)
	if k := a.Primary.Key; k != nil {
		fmt.Fprintf(&b, " key=%s", k.Name())
	}
	b.WriteString(" serial=")
	if a.Before != nil {
		b.WriteString(a.Before.Serial().String())
	} else {
		b.WriteString("none")
	}
	if a.After != (wire.SOA{}) {
		fmt.Fprintf(&b, "->%s", a.After.Serial)
	}
	if a.Op != engine.OpSOA {
		fmt.Fprintf(&b, " rrs=%d", a.records())
	}
	fmt.Fprintf(&b, " took=%.3fs", a.Took.Seconds())
	if a.FellBack != nil {
		fmt.Fprintf(&b, " (after IXFR: %s)", a.FellBack)
	}
	return b.String()
}

// next says when a zone is tried again, and until when it is served if something has failed.
func (v *view) next(failed bool) string {
	m := v.machine()
	var s string
	switch at := m.RefreshAt(); {
	case m.Running():
		s = "the round goes on"
	case at.IsZero():
		s = "nothing planned"
	default:
		s = "next attempt in " + shown(at.Sub(v.fact.At))
	}
	if at := m.ExpireAt(); failed && v.standing.Version != nil {
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
