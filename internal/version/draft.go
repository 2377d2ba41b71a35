package version

import (
	"errors"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// The errors that end a transfer without a fault of the version.
var (
	// ErrSame ends a whole transfer of the version that is served.
	ErrSame = errors.New("the primary has the version that is served")

	// ErrDifferences ends differences for which the whole zone is the shorter way.
	ErrDifferences = errors.New("the differences are larger than the zone")
)

// minDifferences is how many octets of differences are always taken; beyond it they may not be more than the zone has.
const minDifferences = 64 << 10

// holdStep is how many octets of records come between two calls of Terms.Hold.
const holdStep = 64 << 10

// Terms are on what a version is taken. They are a plain value.
type Terms struct {
	Origin wire.Name
	Served *Version // differences are applied to it; nil for none
	Before *Version // what is served, or was before it expired; nil for none
	Policy *Policy
	Demand refresh.Demand

	// Hold is told now and then how many octets of memory the draft holds; an error of it ends the transfer. nil for nobody.
	Hold func(octets int64) error
}

// Draft is a version on its way in: the receiver of one answer to AXFR or IXFR. It is owned by one goroutine.
type Draft struct {
	terms    Terms
	kind     xfr.Kind // Undecided until the answer has begun
	records  records  // nil until then, and where the primary has nothing newer
	editor   *zone.Editor
	removing bool  // the differences stand at removals
	received int64 // octets of records
	told     int64 // of them, when Hold was called
}

// records are what a zone.Builder and a zone.Editor have in common.
type records interface {
	Add(rr *wire.RR) error
	Malformed(rr *wire.RR)
	Held() int64
	Discards() *zone.Discards
	Losses() *zone.Losses
	Seal() (*zone.Contents, error)
}

// NewDraft returns the draft of an answer that has not begun.
func NewDraft(t Terms) *Draft { return &Draft{terms: t} }

// Kind returns what the answer is, xfr.Undecided while that is not known.
func (d *Draft) Kind() xfr.Kind { return d.kind }

// Discarded returns how many records have been left out because no zone can hold them.
func (d *Draft) Discarded() int {
	if d.records == nil {
		return 0
	}
	return d.records.Discards().Total()
}

// Begin looks at the primary's SOA before the records come: what would be refused in the end is not fetched at all.
func (d *Draft) Begin(kind xfr.Kind, soa *wire.RR) error {
	numbers, err := wire.ParseSOA(soa.Data)
	if err != nil {
		return err
	}
	d.kind = kind
	c := candidate{Terms: &d.terms, kind: kind, soa: numbers}
	if err := c.pass(announced); err != nil {
		return err
	}
	p := d.terms.Policy
	switch kind {
	case xfr.IXFR:
		d.editor = d.terms.Served.Contents.Edit(p.limits())
		if p.Conflicts != rules.ConflictsOff {
			d.editor.Exclude(p.Conflicts.Exclusions())
		}
		if p.History.Versions > 0 {
			d.editor.Record(p.History.Octets)
		}
		d.records = d.editor
	case xfr.AXFR:
		b := zone.NewBuilder(d.terms.Origin, p.limits())
		if p.Conflicts != rules.ConflictsOff {
			b.Exclude(p.Conflicts.Exclusions(), d.terms.Before.contents())
		}
		d.records = b
	case xfr.Current, xfr.Undecided:
	}
	return nil
}

// Add takes a record of the zone, or one that a difference adds.
func (d *Draft) Add(rr *wire.RR) error {
	d.removing = false
	if err := d.count(rr); err != nil {
		return err
	}
	return d.records.Add(rr)
}

// Remove takes a record that a difference removes.
func (d *Draft) Remove(rr *wire.RR) error {
	d.removing = true
	if err := d.count(rr); err != nil {
		return err
	}
	return d.editor.Remove(rr)
}

// Discard takes a record that cannot be read. One that a difference removes was left out when it was added.
func (d *Draft) Discard(rr *wire.RR, _ error) error {
	if d.removing {
		d.editor.RemoveMalformed()
	} else {
		d.records.Malformed(rr)
	}
	return nil
}

// count takes a record into account of what the draft may receive and hold.
func (d *Draft) count(rr *wire.RR) error {
	d.received += int64(len(rr.Owner) + len(rr.Data))
	if d.editor != nil && d.received > max(minDifferences, d.terms.Served.Contents.Size()) {
		return ErrDifferences
	}
	if d.terms.Hold == nil || d.received < d.told+holdStep {
		return nil
	}
	d.told = d.received
	return d.terms.Hold(d.records.Held())
}
