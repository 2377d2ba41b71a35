package secondary

import (
	"errors"
	"fmt"
	"slices"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/notify"
)

// ErrNobody is the error of an order to notify where there is nobody to notify.
var ErrNobody = errors.New("there is nobody to notify")

// Announce says which secondaries of our own are told of which zones from now on.
func (s *Secondary) Announce(targets map[engine.ZoneID][]notify.Target) {
	told := make(map[string]notify.ServedZone, len(targets))
	for id, list := range targets {
		if z := s.Lookup(id); z != nil {
			told[id.String()] = notify.ServedZone{Zone: notify.Zone{Origin: z.Origin(), Targets: list}, Served: versions{z}}
		}
	}
	s.sender.Configure(told)
}

// Renotify has our own secondaries told of the version served, even if they know it. It returns the ID of the fact of the order.
// The error is engine.ErrNoZone or ErrNobody.
func (s *Secondary) Renotify(id engine.ZoneID) (uint64, error) {
	if s.Lookup(id) != nil && len(s.sender.Status(id.String())) == 0 {
		return 0, fmt.Errorf("%w of %s", ErrNobody, id)
	}
	return s.Retell(id)
}

// observe has our own secondaries told of what is published, and notes that they have it not yet. It never blocks.
func (s *Secondary) observe(f *engine.Fact) {
	switch f.Kind {
	case engine.Published:
		s.Seen.Published(f.Zone.ID().String(), served(f.Version))
		s.sender.Published(f.Zone.ID().String(), false)
	case engine.Restored, engine.Retold:
		s.sender.Published(f.Zone.ID().String(), f.Kind == engine.Retold)
	case engine.Removed:
		s.Seen.Removed(f.Zone.ID().String())
	default:
	}
}

// versions is a zone as the sender of NOTIFYs sees it.
type versions struct{ *engine.Zone }

// Version implements notify.Served.
func (v versions) Version() (served notify.Version, ok bool) {
	c := v.Contents()
	if c == nil {
		return served, false
	}
	served.Serial = c.Serial()
	for rr := range c.All() { // the SOA is the first
		served.SOA, served.TTL = slices.Clone(rr.Data), rr.TTL
		break
	}
	return served, true
}

// Told implements notify.Served.
func (v versions) Told() []byte { return v.Standing().Acknowledged }

// SaveTold implements notify.Served.
func (v versions) SaveTold(told []byte) { v.SetAcknowledged(told) }
