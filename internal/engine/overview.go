package engine

import (
	"cmp"
	"slices"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
)

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
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]Brief, 0, len(e.zones))
	for id, z := range e.zones {
		all = append(all, Brief{
			ID: id, State: z.machine.ZoneState(), Served: z.Contents() != nil, Saved: z.saved(), Behind: !z.machine.BehindAt().IsZero(),
		})
	}
	return all
}

// Statuses returns how these zones stand, in their order; those that are gone are left out.
func (e *Engine) Statuses(ids []ZoneID) []Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	some := make([]Status, 0, len(ids))
	for _, id := range ids {
		if z := e.zones[id]; z != nil {
			some = append(some, z.status())
		}
	}
	return some
}

// Named returns the zones with a name, by server block.
func (e *Engine) Named(name string) []ZoneID {
	e.mu.Lock()
	defer e.mu.Unlock()
	var found []ZoneID
	for id := range e.zones {
		if id.Name == name {
			found = append(found, id)
		}
	}
	slices.SortFunc(found, func(a, b ZoneID) int { return cmp.Compare(a.Block, b.Block) })
	return found
}

// saved reports whether the store has what is served. Engine.mu is held.
func (z *Zone) saved() bool { return z.Contents() != nil && z.kept.contents == z.Contents() }
