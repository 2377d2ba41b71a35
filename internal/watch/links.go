package watch

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/version"
)

// What is said of links that become Blocked. There are many ways to that, not all of them an attempt that failed: so the links
// are looked at after each step of a machine.

// maxSkipped is how many zones get a log line of their own because a primary is known to be down; the line of the next says
// that there are more. Without a bound a dead primary of 20,000 zones would fill the log.
const maxSkipped = 10

// stepped tells of an attempt that was not made, of links that have become Blocked, and of primaries that differ.
func (v *view) stepped() {
	f := v.fact
	switch {
	case f.Skipped > 0:
		v.skipped()
	case f.Said:
		v.told(f.Cause.Primary, f.Cause.Reason)
	}
	links := v.machine().Links()
	v.links(links)
	v.difference(links)
}

// skipped tells of an attempt that was not made because the primary is down. Beyond maxSkipped the link gets no line of its own.
func (v *view) skipped() {
	f := v.fact
	p := v.standing.Group.Primaries[f.Cause.Primary]
	op := engine.OpSOA
	if f.Cause.Kind == refresh.TransferFailed {
		op = engine.OpAXFR
	}
	v.note(Event{
		Kind: string(op), Result: string(f.Cause.Reason), Primary: p.Addr.Addr(), Port: p.Addr.Port(),
		Text: "not tried: the primary did not answer other zones a moment ago",
	})
	if f.Skipped <= maxSkipped {
		return
	}
	v.told(f.Cause.Primary, f.Cause.Reason)
	if f.Skipped == maxSkipped+1 {
		v.watch.log.Warningf("primary=%s: %s: links of further zones are Blocked as well; splusctl zones --state blocked has them all",
			p, f.Cause.Reason)
	}
}

// links logs every link that has become Blocked, or is so for another reason, unless told has said that already.
func (v *view) links(all []refresh.Link) {
	for i, l := range all {
		var why reason.Reason
		if l.State == refresh.Blocked {
			why = l.Reason
		}
		if why == v.record.warned(i) {
			continue
		}
		v.told(i, why)
		if why != "" {
			v.watch.log.Warningf("zone=%s primary=%s serial=%s: link Blocked, %s: %s%s; %s", v.zone.ID(), v.standing.Group.Primaries[i],
				v.serials(l), why, v.seen(i, l), why.Advice(), v.next(true))
		}
	}
}

// difference says so, once, when the primaries have had different serials for longer than a refresh.
func (v *view) difference(links []refresh.Link) {
	m := v.machine()
	at := m.DifferAt()
	if at.IsZero() {
		v.record.differ = false
		return
	}
	soa, _ := m.SOA()
	refreshSpan, _ := refresh.Timer(soa.Refresh)
	if v.record.differ || v.fact.At.Sub(at) < refreshSpan {
		return
	}
	v.record.differ = true
	var serials []string
	for i, l := range links {
		if l.HasSerial {
			serials = append(serials, fmt.Sprintf("%s has %s", v.standing.Group.Primaries[i], l.Serial))
		}
	}
	v.watch.log.Warningf(
		"zone=%s: its primaries have had different serials since %s: %s; see whether one has stopped following the others",
		v.zone.ID(), at.Format(time.RFC3339), strings.Join(serials, ", "))
}

// serials returns our serial and that of the primary, as the lines of attempts have them. Watch.mu is held.
func (v *view) serials(l refresh.Link) string {
	ours := "none"
	if soa, has := v.machine().SOA(); has {
		ours = soa.Serial.String()
	}
	if !l.HasSerial {
		return ours
	}
	return ours + "->" + l.Serial.String()
}

// warned returns for which reason the log says that link i is Blocked; empty when it does not. Watch.mu is held.
func (r *record) warned(i int) reason.Reason {
	if i < len(r.warnings) {
		return r.warnings[i]
	}
	return ""
}

// told notes that the log says, or is about to say, that link i is Blocked for a reason; empty: that it is not. Watch.mu is
// held.
func (v *view) told(i int, why reason.Reason) {
	r := v.record
	if r.warned(i) == why {
		return
	}
	if n := len(v.standing.Group.Primaries); len(r.warnings) < n { // most zones never need it
		r.warnings = append(r.warnings, make([]reason.Reason, n-len(r.warnings))...)
	}
	r.warnings[i] = why
}

// retell moves what the log has said to the places of new primaries; kept has the old place of each, or -1. Watch.mu is held.
func (r *record) retell(kept []int) {
	if r.warnings == nil {
		return
	}
	moved := make([]reason.Reason, len(kept))
	for i, old := range kept {
		if old >= 0 {
			moved[i] = r.warned(old)
		}
	}
	r.warnings = moved
}

// seen returns what has been seen of a link that is Blocked, and nothing where its reason says it all. Watch.mu is held.
func (v *view) seen(i int, l refresh.Link) string {
	soa, _ := v.machine().SOA()
	switch l.Reason {
	case reason.SerialZero:
		return "SOA serial 0 is outside 1..4294967295; "
	case reason.SerialBehind, reason.SerialUndefined:
		return version.NotNewer(l.Serial, soa.Serial) + "; "
	case reason.NotTransferred:
		return fmt.Sprintf("the primary told that we are current; its serial is %s, we serve %s; ", l.Serial, soa.Serial)
	case reason.NoAnswer:
		return "nothing came of a query or transfer; "
	}
	p := v.standing.Group.Primaries[i].Addr
	for _, n := range slices.Backward(v.record.history) {
		if n.Result == string(l.Reason) && n.Primary == p.Addr() && n.Port == p.Port() && n.Text != "" {
			return n.Text + "; "
		}
	}
	return ""
}

// verdict returns why link i is Blocked although its primary has just answered; nil if it is not. Watch.mu is held.
func (v *view) verdict(i int) error {
	l := v.machine().Links()[i]
	if l.State != refresh.Blocked || l.Damped {
		return nil
	}
	if said := strings.TrimSuffix(v.seen(i, l), "; "); said != "" {
		return &reason.Error{Reason: l.Reason, Detail: said}
	}
	return &reason.Error{Reason: l.Reason, Detail: fmt.Sprintf("serial %s could not be had before", l.Serial)}
}
