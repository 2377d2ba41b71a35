package check

import (
	"errors"

	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// admit returns what would be served of a draft, and all that the rules have to say of it. The error is why it would not be;
// there may be contents nevertheless.
func admit(d *version.Draft) (*zone.Contents, []version.Violation, error) {
	v, err := version.Admit(d, version.Source{})
	if v == nil {
		return nil, nil, err
	}
	return v.Contents, append(v.Remarks, version.Remarks(v.Contents.Findings(nil))...), err
}

var errWholeZone = errors.New("the answer is the whole zone")

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
