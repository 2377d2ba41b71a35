package check

import (
	"errors"
	"strings"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// dryRun makes contents of an AXFR that nobody will serve. It is owned by the goroutine of its primaryCheck.
type dryRun struct {
	plan    *plan
	builder *zone.Builder // nil until the answer has begun
}

// Begin looks at the SOA as the engine does: what would be refused in the end is not fetched.
func (d *dryRun) Begin(_ xfr.Kind, soa *wire.RR) error {
	numbers, err := wire.ParseSOA(soa.Data)
	if err != nil {
		return err
	}
	if v := rules.JudgeSOA(numbers, d.plan.serialZero); v != nil {
		return v
	}
	d.builder = zone.NewBuilder(d.plan.origin, d.plan.limits)
	if d.plan.conflicts != rules.ConflictsOff {
		d.builder.Judge(d.plan.conflicts.ForZone(), nil)
	}
	return nil
}

// Add takes a record of the zone.
func (d *dryRun) Add(rr *wire.RR) error { return d.builder.Add(rr) }

// Remove takes a record that an AXFR cannot have.
func (d *dryRun) Remove(*wire.RR) error { return errNotAsked }

// Discard takes a record that cannot be read.
func (d *dryRun) Discard(rr *wire.RR, _ error) error {
	d.builder.Malformed(rr)
	return nil
}

// judge returns the contents and all that the rules have to say of them. The error is why they would not be served; there
// may be contents nevertheless.
func (d *dryRun) judge() (*zone.Contents, []rules.Violation, error) {
	c, err := d.builder.Seal()
	if err != nil {
		return nil, nil, err
	}
	var timers refresh.Config // no limits: those of the Corefile are not known here
	refused, remarks := rules.Judge(c, nil, d.builder.Discards(), d.builder.Losses(), timers.Spans(c.SOA()))
	remarks = append(remarks, rules.Remarks(c.Findings(nil))...)
	if refused != nil {
		return c, remarks, refused
	}
	return c, remarks, nil
}

// samples names the first few records that a rule discarded.
func (d *dryRun) samples(r rules.Rule) string {
	switch r {
	case rules.OutOfZone, rules.NonIN, rules.Malformed:
		return ": " + strings.Join(d.builder.Discards().Samples(), ", ")
	default:
		return ""
	}
}

var (
	errNotAsked  = errors.New("differences in the answer to AXFR")
	errWholeZone = errors.New("the answer is the whole zone")
)

// differences reads the answer to an IXFR to its end, unless it is the whole zone, which has been here.
// It is stateless.
type differences struct{}

// Begin ends the transfer at a whole zone.
func (differences) Begin(kind xfr.Kind, _ *wire.RR) error {
	if kind == xfr.AXFR {
		return errWholeZone
	}
	return nil
}

// Add takes a record that a difference adds.
func (differences) Add(*wire.RR) error { return nil }

// Remove takes a record that a difference removes.
func (differences) Remove(*wire.RR) error { return nil }

// Discard takes a record that cannot be read.
func (differences) Discard(*wire.RR, error) error { return nil }
