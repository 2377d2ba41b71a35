package version

import (
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// Policy is what a configuration says of the versions of a zone. It is a plain value.
type Policy struct {
	MaxRecords int   // records a version may have; 0 is unlimited
	MaxSize    int64 // octets of uncompressed records a version may have; 0 is unlimited
	MaxRRset   int   // records an RRset may have; 0 is unlimited
	MaxTypes   int   // types a name may have; 0 is unlimited
	Conflicts  rules.Conflicts
	refresh.Limits

	History      HistoryLimits
	IXFRFromAXFR bool // a version that came whole gets its difference, if it fits into the history
}

// HistoryLimits bound the differences that are kept of a zone, for secondaries that ask for them. It is a plain value; the
// zero one keeps none.
type HistoryLimits struct {
	Versions int
	Octets   int64 // of memory
}

// fit reports whether differences fit into an empty history.
func (h HistoryLimits) fit(differences []*zone.Difference) bool {
	octets := int64(0)
	for _, d := range differences {
		octets += octetsOf(d)
	}
	return len(differences) <= h.Versions && octets <= h.Octets
}

// limits returns the limits of a version.
func (p *Policy) limits() zone.Limits {
	return zone.Limits{Records: p.MaxRecords, Size: p.MaxSize, RRset: p.MaxRRset, Types: p.MaxTypes}
}
