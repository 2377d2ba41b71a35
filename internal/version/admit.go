package version

import (
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
		contents, _ = contents.WithMarks(nil, nil) // RFC 4035 §3.1.5: a signed zone is served whole, and these conflicts are served already
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

// differences returns what leads from the version that is served to these contents, if it fits into a history: the differences
// that have been received, or what differs in all. RFC 1995 §6 has them condensed so: the versions in between were never
// served here. For a whole zone of a million records that takes 60 ms.
func (d *Draft) differences(c *zone.Contents) []*zone.Difference {
	p, served := d.terms.Policy, d.terms.Served
	switch {
	case p.History.Versions == 0 || served == nil || !c.Serial().Newer(served.Contents.Serial()):
		return nil
	case d.editor == nil && !p.IXFRFromAXFR:
		return nil
	case d.editor != nil:
		if received := d.editor.Differences(); len(received) > 0 && p.History.fit(received) {
			return received
		}
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
		exclusions := p.Conflicts.Exclusions()
		again.Contents, _ = v.Contents.WithMarks(&exclusions, v.Contents)
	}
	return &again
}
