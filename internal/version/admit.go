package version

import (
	"fmt"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// Admit makes a version of a draft whose answer has come whole and brings something: it seals the records and has them pass
// the gates. With an error the version may not be served; where it is not nil it tells what the contents would have been, and
// the remarks.
func Admit(d *Draft, from Source) (*Version, error) {
	contents, err := d.records.Seal()
	if err != nil {
		return nil, err
	}
	c := candidate{
		Terms: &d.terms, kind: d.kind, soa: contents.SOA(), contents: contents, discards: d.records.Discards(), losses: d.records.Losses(),
	}
	err = c.pass(sealed)
	if contents.Signed() && contents.Marked() > 0 {
		contents, _ = contents.Judged(nil, nil) // RFC 4035 §3.1.5: a signed zone is served whole, and these conflicts are served already
	}
	v := &Version{Contents: contents, Edition: d.terms.Policy.Conflicts.Edition(), Source: from, Remarks: c.remarks}
	if d.kind == xfr.IXFR {
		v.Edition = d.terms.Served.Edition // differences leave the marks of what they do not touch
	}
	if err == nil {
		v.Differences = d.differences(contents)
	}
	return v, err
}

// differences returns what leads from the version that is served to these contents, as far as it fits into a history: what has
// been received or, for a whole zone, what differs. That takes 60 ms in a zone of a million records.
func (d *Draft) differences(c *zone.Contents) []*zone.Difference {
	p, served := d.terms.Policy, d.terms.Served
	if d.editor != nil {
		return d.editor.Differences()
	}
	if p.History.Versions == 0 || !p.IXFRFromAXFR || served == nil || !c.Serial().Newer(served.Contents.Serial()) {
		return nil
	}
	difference, err := c.Difference(served.Contents, p.History.Octets)
	if err != nil {
		return nil // it is too large
	}
	return []*zone.Difference{difference}
}

// Recheck returns why a version that has been admitted may not be served by another policy, one that has come in force before
// it was published.
func Recheck(v *Version, p *Policy) error {
	c := candidate{Terms: &Terms{Policy: p}, soa: v.Contents.SOA(), contents: v.Contents}
	return c.pass(reloaded)
}

// Readmit returns a version, one of the store or one that is served, as another policy has it served: other records may be
// left out. It refuses none: what is served is not taken away because a limit has become lower. It costs as much as building
// the contents.
func Readmit(v *Version, p *Policy) *Version {
	again := *v
	again.Edition = p.Conflicts.Edition()
	if !v.Contents.Signed() { // of a signed zone nothing is left out
		judge := p.Conflicts.ForZone()
		again.Contents, _ = v.Contents.Judged(&judge, v.Contents)
	}
	return &again
}

// candidate is what the gates look at. It is owned by one goroutine.
type candidate struct {
	*Terms
	kind     xfr.Kind
	soa      wire.SOA
	contents *zone.Contents // nil while only the SOA has come; this and what follows
	discards *zone.Discards
	losses   *zone.Losses
	remarks  []rules.Violation // of gates that let the version pass
}

// stage is when a gate is passed, as one bit.
type stage uint8

const (
	announced stage = 1 << iota // the first SOA of an answer has come
	sealed                      // all records have
	reloaded                    // another policy has come in force since
)

// gates are the conditions of a version, in order.
var gates = [...]struct {
	at   stage
	pass func(c *candidate) error
}{
	{announced | sealed | reloaded, serialAllowed},
	{announced, newer},
	{sealed | reloaded, withinLimits},
	{sealed, keepsApexNS},
	{sealed, followsRules},
}

// pass returns the error of the first gate of a stage that is closed.
func (c *candidate) pass(at stage) error {
	for _, g := range gates {
		if g.at&at == 0 {
			continue
		}
		if err := g.pass(c); err != nil {
			return err
		}
	}
	return nil
}

// serialAllowed refuses serial 0, unless the policy accepts it.
func serialAllowed(c *candidate) error {
	if v := rules.JudgeSOA(c.soa, c.Policy.SerialZero); v != nil {
		return v
	}
	return nil
}

// newer refuses a serial that is not newer than ours (RFC 1982), unless the operator demands it all the same.
func newer(c *candidate) error {
	if c.Served == nil || c.kind == xfr.Current {
		return nil
	}
	theirs, ours := c.soa.Serial, c.Served.Contents.Serial()
	switch order := theirs.Compare(ours); {
	case order == serial.Equal && c.Demand < refresh.Again:
		return ErrSame
	case order == serial.Equal, order == serial.Greater, c.Demand == refresh.Force:
		return nil
	case order == serial.Incomparable:
		return &reason.Error{Reason: reason.SerialUndefined, Detail: NotNewer(theirs, ours)}
	default:
		return &reason.Error{Reason: reason.SerialBehind, Detail: NotNewer(theirs, ours)}
	}
}

// NotNewer says of the serial of a primary how it stands to ours, which it is not newer than.
func NotNewer(theirs, ours serial.Serial) string {
	said := fmt.Sprintf("the primary has serial %s, we serve %s", theirs, ours)
	if theirs.Compare(ours) == serial.Incomparable {
		said += ", exactly 2^31 away: neither is newer (RFC 1982)"
	}
	return said
}

// withinLimits refuses more records or octets than the policy allows.
func withinLimits(c *candidate) error { return c.Policy.limits().Check(c.contents) }

// keepsApexNS refuses a version that has lost the NS records at the apex, unless the operator demands it all the same.
func keepsApexNS(c *candidate) error {
	if c.Demand == refresh.Force {
		return nil
	}
	if v := rules.JudgeApex(c.contents, c.Before.contents()); v != nil {
		return v
	}
	return nil
}

// followsRules refuses a signed version from which records would have to be left out, and remarks upon what is left out of
// others, and upon timers.
func followsRules(c *candidate) error {
	refused, remarks := rules.Judge(c.contents, c.Before.contents(), c.discards, c.losses, c.Policy.spans(c.soa))
	c.remarks = append(c.remarks, remarks...)
	if refused != nil {
		return refused
	}
	return nil
}
