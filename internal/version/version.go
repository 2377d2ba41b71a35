package version

import (
	"time"

	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// Version is one state of a zone's records that has been admitted. It is immutable and safe for concurrent use.
type Version struct {
	Contents *zone.Contents
	Edition  string      // the rules that marked what is not served, see rules.Conflicts.Edition
	Source   Source      // zero for a version of an earlier process
	Remarks  []Violation // what the rules have to say of it, though they admit it

	// Differences lead here from the version before, oldest first (RFC 1995 §4); nil where no history wants them or can have them,
	// and once the history has them.
	Differences []*zone.Difference

	epoch uint32 // of the history that has it: versions of one epoch lead on from one another
}

// Source is where a version came from. It is a plain value.
type Source struct {
	Primary *xfr.Primary // of the group; shared by all versions from there
	Kind    xfr.Kind     // xfr.AXFR, or xfr.IXFR: by differences from the version that was served
	At      time.Time    // when the transfer ended
}

// contents returns the contents of a version, nil for none.
func (v *Version) contents() *zone.Contents {
	if v == nil {
		return nil
	}
	return v.Contents
}
