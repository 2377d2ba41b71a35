package engine

import (
	"slices"

	"github.com/secondaryplus/secondaryplus/internal/allow"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// Group is what one secondaryplus directive says of its zones. It is immutable once parsed and shared by them all.
type Group struct {
	Primaries   []xfr.Primary // in order of preference, at least one
	AllowNotify allow.List    // beside the primaries, which are always allowed
	version.Policy
}

// Equal reports whether two groups keep their zones in the same way.
func (g *Group) Equal(o *Group) bool {
	return g == o || g.Policy == o.Policy && slices.EqualFunc(g.Primaries, o.Primaries, xfr.Primary.Equal) && g.AllowNotify.Equal(o.AllowNotify)
}

// Settings are the process-wide settings. They are a plain value.
type Settings struct {
	TransfersIn         int     // transfers at a time
	TransfersPerPrimary int     // of which from one primary address
	TransferMemory      int64   // octets that all transfers together hold of versions that are not complete
	SOARate             float64 // SOA queries a second
}

// DefaultSettings are in force until a configuration says otherwise.
var DefaultSettings = Settings{
	TransfersIn: 20, TransfersPerPrimary: 4, TransferMemory: 1 << 30, SOARate: 50,
}

// ZoneConfig is one zone and the group that says how to keep it. It is a plain value.
type ZoneConfig struct {
	Origin wire.Name // lower case
	Group  *Group
	Blocks []string // the server blocks that serve the zone, as they are shown
	Order  int      // of new zones that are due at the same time, those with a lower one are asked for first
}
