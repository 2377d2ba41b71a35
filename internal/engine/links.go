package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/version"
)

// What is said of links that become Blocked. There are many ways to that, not all of them an attempt that failed: so the links
// are looked at after each step of a machine.

// maxSkipped is how many zones get a log line of their own because a primary is known to be down; the line of the next says
// that there are more. Without a bound a dead primary of 20,000 zones would fill the log.
const maxSkipped = 10

// observeLinks logs every link that has become Blocked, or is so for another reason, unless told has said that already. e.mu
// is held.
func (e *Engine) observeLinks(z *Zone, links []refresh.Link) {
	for i, l := range links {
		var why reason.Reason
		if l.State == refresh.Blocked {
			why = l.Reason
		}
		if why == z.warned(i) {
			continue
		}
		z.told(i, why)
		if why != "" {
			e.log.Warningf("zone=%s primary=%s serial=%s: link Blocked, %s: %s%s; %s", z.id, z.group().Primaries[i], z.serials(l),
				why, z.fact(i, l), why.Advice(), z.next(true))
		}
	}
}

// serials returns our serial and that of the primary, as the lines of attempts have them. Engine.mu is held.
func (z *Zone) serials(l refresh.Link) string {
	ours := "none"
	if soa, has := z.machine().SOA(); has {
		ours = soa.Serial.String()
	}
	if !l.HasSerial {
		return ours
	}
	return ours + "->" + l.Serial.String()
}

// warned returns for which reason the log says that link i is Blocked; empty when it does not. Engine.mu is held.
func (z *Zone) warned(i int) reason.Reason {
	if i < len(z.warnings) {
		return z.warnings[i]
	}
	return ""
}

// told notes that the log says, or is about to say, that link i is Blocked for a reason; empty: that it is not. Engine.mu is
// held.
func (z *Zone) told(i int, why reason.Reason) {
	if z.warned(i) == why {
		return
	}
	if n := len(z.group().Primaries); len(z.warnings) < n { // most zones never need it
		z.warnings = append(z.warnings, make([]reason.Reason, n-len(z.warnings))...)
	}
	z.warnings[i] = why
}

// toldAll notes that the log has said how the links are: an earlier process did. Engine.mu is held.
func (z *Zone) toldAll() {
	for i, l := range z.machine().Links() {
		if l.State == refresh.Blocked {
			z.told(i, l.Reason)
		}
	}
}

// retell moves what the log has said to the places of new primaries; kept has the old place of each, or -1. Engine.mu is held.
func (z *Zone) retell(kept []int) {
	if z.warnings == nil {
		return
	}
	moved := make([]reason.Reason, len(kept))
	for i, old := range kept {
		if old >= 0 {
			moved[i] = z.warned(old)
		}
	}
	z.warnings = moved
}

// fact returns what has been seen of a link that is Blocked, and nothing where its reason says it all. Engine.mu is held.
func (z *Zone) fact(i int, l refresh.Link) string {
	soa, _ := z.machine().SOA()
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
	p := z.group().Primaries[i].Addr
	for _, v := range slices.Backward(z.history) {
		if v.Result == string(l.Reason) && v.Primary == p.Addr() && v.Port == p.Port() && v.Text != "" {
			return v.Text + "; "
		}
	}
	return ""
}

// verdict returns why link i is Blocked although its primary has just answered; nil if it is not. Engine.mu is held.
func (z *Zone) verdict(i int) error {
	l := z.machine().Links()[i]
	if l.State != refresh.Blocked || l.Damped {
		return nil
	}
	if said := strings.TrimSuffix(z.fact(i, l), "; "); said != "" {
		return &reason.Error{Reason: l.Reason, Detail: said}
	}
	return &reason.Error{Reason: l.Reason, Detail: fmt.Sprintf("serial %s could not be had before", l.Serial)}
}

// skipped notes that a job is given up because its primary is down, and reports whether that gets no line of its own. e.mu is
// held.
func (e *Engine) skipped(j *job, why reason.Reason) (silent bool) {
	r := e.remote(j.primary)
	if r.skipped++; r.skipped <= maxSkipped {
		return false
	}
	if r.skipped == maxSkipped+1 {
		e.log.Warningf("primary=%s: %s: links of further zones are Blocked as well; splusctl zones --state blocked has them all",
			j.primary, why)
	}
	return true
}
