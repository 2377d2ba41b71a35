package engine

import (
	"cmp"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/host"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// Standing is what anybody may know of a zone at one moment. It is immutable and safe for concurrent use: the engine makes a
// new one with every change, see Zone.change.
type Standing struct {
	Version *version.Version // served; nil before the first transfer and after expiry
	Group   *Group           // how the zone is kept
	Blocks  []string         // the server blocks that serve it

	Withdrawn *version.Version // what was served before it expired; nil for nothing
	Ways      host.ByPrimary   // for this zone
	Transfer  *Transfer        // that runs; nil for none

	Acknowledged []byte // by our own secondaries, as package notify writes it; not changed in place

	machine *refresh.Machine // never stepped again
}

// Machine returns the state machine of the zone as it was then. It is not to be stepped.
func (s *Standing) Machine() *refresh.Machine { return s.machine }

// State returns what the zone has to serve.
func (s *Standing) State() refresh.State { return s.machine.State() }

// ZoneState returns what links and contents come to.
func (s *Standing) ZoneState() refresh.ZoneState { return s.machine.ZoneState() }

// BehindAt returns since when a primary has had a newer version; zero when none has.
func (s *Standing) BehindAt() time.Time { return s.machine.BehindAt() }

// Contents returns what is served; nil before the first transfer and after expiry.
func (s *Standing) Contents() *zone.Contents {
	if s.Version == nil {
		return nil
	}
	return s.Version.Contents
}

// Edition returns of which rules the marks in the latest version are.
func (s *Standing) Edition() string {
	if v := cmp.Or(s.Version, s.Withdrawn); v != nil {
		return v.Edition
	}
	return ""
}

// Transfer is one that runs. Nothing in it changes but how far it is.
type Transfer struct {
	Primary  xfr.Primary
	Progress *xfr.Progress
}

// change makes another standing out of the one that is. Engine.mu is held: a standing has one writer.
func (z *Zone) change(f func(s *Standing)) {
	next := *z.standing.Load()
	f(&next)
	z.standing.Store(&next)
}

// Standing returns how the zone stands. One atomic load, no lock.
func (z *Zone) Standing() *Standing { return z.standing.Load() }

// group and machine are what the standing has. Engine.mu is held, or the zone is not known to anybody else yet.
func (z *Zone) group() *Group             { return z.standing.Load().Group }
func (z *Zone) machine() *refresh.Machine { return z.standing.Load().machine }
