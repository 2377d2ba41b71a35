package engine

import (
	"slices"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// Status is how a zone stands at one moment. It is a copy; nothing in it changes.
type Status struct {
	ID        ZoneID
	Blocks    []string       // the server blocks that serve it
	Contents  *zone.Contents // nil before the first transfer and after expiry
	Saved     *zone.Contents // as the store has them; nil for none
	BehindAt  time.Time      // since when a primary has had a newer version; zero when none has
	CheckedAt time.Time      // when a primary last confirmed the contents; zero for never
	ExpireAt  time.Time      // zero without contents
	NextAt    time.Time      // the next attempt; zero while one is running
	Expired   bool           // there were contents, and they are too old to be served
	Transfer  *Transfer      // that runs; nil for none
	Primaries []xfr.Primary
	State     refresh.ZoneState // of links and contents together
	Links     []refresh.Link    // one for each primary
}

// Statuses returns how zones stand, in their order; those that are gone are left out.
func (e *Engine) Statuses(ids []ZoneID) []Status {
	some := make([]Status, 0, len(ids))
	for _, id := range ids {
		if z := e.zones.find(id); z != nil {
			some = append(some, z.status())
		}
	}
	return some
}

// Zones returns all zones, in no order. The slice is not to be changed.
func (e *Engine) Zones() []*Zone { return e.zones.all() }

// Lookup returns a zone, nil if there is none by this ID.
func (e *Engine) Lookup(id ZoneID) *Zone { return e.zones.find(id) }

// Variants returns the zones with a name. The slice is not to be changed.
func (e *Engine) Variants(name string) []*Zone { return e.zones.named(name) }

// Status returns how every zone stands, sorted by name.
func (e *Engine) Status() []Status {
	zones := e.zones.all()
	all := make([]Status, len(zones))
	for i, z := range zones {
		all[i] = z.status()
	}
	slices.SortFunc(all, func(a, b Status) int { return a.ID.compare(b.ID) })
	return all
}

// status returns how the zone stands.
func (z *Zone) status() Status {
	s := z.Standing()
	m := s.machine
	return Status{
		ID: z.id, Blocks: s.Blocks, Contents: s.Contents(), Saved: contentsOf(z.saved.Load()),
		BehindAt: m.BehindAt(), CheckedAt: m.CheckedAt(), ExpireAt: m.ExpireAt(), NextAt: m.RefreshAt(),
		Expired: m.State() == refresh.Expired, Transfer: s.running(), Primaries: s.Group.Primaries, State: m.ZoneState(), Links: m.Links(),
	}
}

// Settled reports whether every zone has contents or has failed its first round.
func (e *Engine) Settled() bool {
	return !slices.ContainsFunc(e.zones.all(), func(z *Zone) bool { return !z.Standing().settled() })
}

// Brief is how a zone stands, in so few words that there can be one of each zone at a time. It is a plain value.
type Brief struct {
	ID     ZoneID
	State  refresh.ZoneState // of links and contents together
	Served bool              // it has contents
	Saved  bool              // and the store has them
	Behind bool              // a primary has a newer version
}

// Briefs returns how every zone stands, in no order.
func (e *Engine) Briefs() []Brief {
	zones := e.zones.all()
	all := make([]Brief, len(zones))
	for i, z := range zones {
		s := z.Standing()
		all[i] = Brief{
			ID: z.id, State: s.ZoneState(), Served: s.Version != nil, Saved: s.Version != nil && z.saved.Load() == s.Version,
			Behind: !s.BehindAt().IsZero(),
		}
	}
	return all
}

// Named returns the zones with a name, by variant.
func (e *Engine) Named(name string) []ZoneID {
	var ids []ZoneID
	for _, z := range e.zones.named(name) {
		ids = append(ids, z.id)
	}
	slices.SortFunc(ids, ZoneID.compare)
	return ids
}
