package engine

import (
	"slices"
	"sync"
)

// roster is all zones of an engine. It has a lock of its own, so that whoever looks a zone up or goes through all of them
// does not wait for the engine. Zones are added and removed by whoever holds Engine.configuring. Safe for concurrent use.
type roster struct {
	mu     sync.RWMutex
	byName map[string][]*Zone // the variants of a name, in the order in which they came
	list   []*Zone            // what is before its end does not change; remove makes a new one
}

func newRoster() *roster { return &roster{byName: map[string][]*Zone{}} }

// all returns the zones, in no order. The slice is not to be changed.
func (r *roster) all() []*Zone {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Clip(r.list)
}

// count returns how many zones there are.
func (r *roster) count() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.list)
}

// find returns a zone, nil if there is none by this ID.
func (r *roster) find(id ZoneID) *Zone {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, z := range r.byName[id.Name] {
		if z.id == id {
			return z
		}
	}
	return nil
}

// named returns the variants of a name. The slice is not to be changed.
func (r *roster) named(name string) []*Zone {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byName[name]
}

// expect makes room for n zones where there are none.
func (r *roster) expect(n int) {
	if r.count() > 0 {
		return
	}
	byName := make(map[string][]*Zone, n)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byName, r.list = byName, make([]*Zone, 0, n)
}

// add puts a zone at the end.
func (r *roster) add(z *Zone) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, z)
	r.byName[z.id.Name] = append(slices.Clip(r.byName[z.id.Name]), z)
}

// remove takes zones away. It holds the lock for a time that does not grow with the number of zones.
func (r *roster) remove(gone []*Zone) {
	if len(gone) == 0 {
		return
	}
	left := make(map[*Zone]bool, len(gone))
	for _, z := range gone {
		left[z] = true
	}
	isGone := func(z *Zone) bool { return left[z] }
	list := slices.DeleteFunc(slices.Clone(r.all()), isGone)
	r.mu.Lock()
	r.list = list
	r.mu.Unlock()
	for _, z := range gone {
		r.removeName(z)
	}
}

func (r *roster) removeName(z *Zone) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rest := slices.DeleteFunc(slices.Clone(r.byName[z.id.Name]), func(o *Zone) bool { return o == z })
	if r.byName[z.id.Name] = rest; len(rest) == 0 {
		delete(r.byName, z.id.Name)
	}
}

// Zones returns all zones, in no order. The slice is not to be changed.
func (e *Engine) Zones() []*Zone { return e.zones.all() }

// Lookup returns a zone, nil if there is none by this ID.
func (e *Engine) Lookup(id ZoneID) *Zone { return e.zones.find(id) }

// Variants returns the zones with a name. The slice is not to be changed.
func (e *Engine) Variants(name string) []*Zone { return e.zones.named(name) }
