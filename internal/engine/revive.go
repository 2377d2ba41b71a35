package engine

import (
	"bytes"
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/store"
	"github.com/secondaryplus/secondaryplus/internal/version"
)

// What a zone leaves behind when it is no longer configured, and what a new one finds of itself: in the store, among what
// has just been let go, or under another server block.

// forget is called when a zone is no longer configured: what is saved of it goes after a time of grace. Engine.mu is held.
func (k *keeper) forget(z *Zone) {
	if k == nil {
		return
	}
	unsaved := k.dirty[z]
	delete(k.dirty, z)
	if z.Contents() == nil && z.kept.contents == nil {
		return
	}
	c := chore{saving: z.saving(unsaved), contents: z.Contents(), kept: z.kept}
	c.zone, c.id, c.state.OrphanedAt = nil, z.id.saved(), time.Now()
	k.chores[c.id], k.orphans[c.id] = c, c.state.OrphanedAt
	signal(k.wake)
}

// settleIn finds the orphans among the zones of a store that was just opened. Engine.mu is held.
func (k *keeper) settleIn() {
	if k == nil || len(k.known) == 0 {
		return
	}
	configured := k.engine.savedIDs()
	for _, s := range k.known {
		id, ok := savedIDOf(s.ID)
		if !ok || configured[id] {
			continue
		}
		state, _ := decodeSavedZone(s.State) // without it the time of grace begins now
		if state.OrphanedAt.IsZero() {
			state.OrphanedAt = time.Now()
			k.chores[id] = chore{saving: saving{id: id, state: state, change: store.Change{ID: s.ID}}}
		}
		k.orphans[id] = state.OrphanedAt
	}
	k.known = nil
}

// savedIDs returns the names that the zones of the engine have in the store. e.mu is held.
func (e *Engine) savedIDs() map[ZoneID]bool {
	ids := make(map[ZoneID]bool, len(e.zones))
	for id := range e.zones {
		ids[id.saved()] = true
	}
	return ids
}

// newcomer is a new zone. It is a plain value.
type newcomer struct {
	zone  *Zone
	order int       // ZoneConfig.Order
	dueAt time.Time // as the store has it
}

// revive starts new zones, with what is saved of them if anything is; those due first come first. e.mu is held.
func (e *Engine) revive(added []newcomer) {
	zones := make([]*Zone, len(added))
	for i := range added {
		zones[i] = added[i].zone
	}
	e.keeper.settleIn()
	e.restoreAll(zones)
	for i := range added {
		added[i].dueAt = added[i].zone.machine.RefreshAt()
	}
	slices.SortFunc(added, func(a, b newcomer) int { return cmp.Or(a.dueAt.Compare(b.dueAt), cmp.Compare(a.order, b.order)) })
	for i := range added {
		e.step(added[i].zone, refresh.Event{Kind: refresh.Started})
	}
}

// restoreAll gives zones without contents what is saved of them, and puts them in the order of the store. e.mu is held.
func (e *Engine) restoreAll(zones []*Zone) {
	if len(zones) == 0 {
		return
	}
	began := time.Now()
	twins := e.twins()
	restored, expired, lost := 0, 0, 0
	saved := e.keeper.loadAll(zones)
	for i, z := range zones {
		state, err := e.restore(z, saved[i], twins)
		switch {
		case err != nil:
			e.metrics.storeErrors.WithLabelValues(opLoad).Inc()
			if lost++; lost <= maxLoadErrors {
				e.log.Errorf("%v; it is transferred again", err)
			}
		case state == refresh.Current:
			restored++
		case state == refresh.Expired:
			expired++
		}
	}
	if e.keeper != nil && restored+expired+lost > 0 {
		e.log.Infof("store %s: %d zones restored, %d too old to be served, %d damaged, in %.3fs", e.keeper.path, restored, expired, lost, time.Since(began).Seconds())
	}
}

// restore gives a zone what there is of it, and reports how it stands. Engine.mu is held.
func (e *Engine) restore(z *Zone, saved loaded, twins map[string][]ZoneID) (refresh.State, error) {
	id, k := z.id.saved(), e.keeper
	if k != nil {
		c, ok := k.chores[id] // it has just been let go
		delete(k.orphans, id)
		delete(k.chores, id)
		if ok && c.contents != nil {
			return e.reinstate(z, &c)
		}
		switch {
		case saved.err != nil:
			return refresh.Empty, saved.err
		case saved.contents != nil:
			return e.reinstate(z, &saved.chore)
		}
	}
	for _, twin := range twins[z.name] {
		if c, ok := e.twin(z, twin); ok {
			return e.reinstate(z, &c)
		}
	}
	return refresh.Empty, nil
}

// loaded is what the store has of a zone, or why it cannot be read. It is guarded by Engine.mu.
type loaded struct {
	chore
	err error
}

// loadAll returns what the store has of each of the zones, which it puts in the order of the store: those beside one another
// are on the same pages. Every processor takes a share. Engine.mu is held.
func (k *keeper) loadAll(zones []*Zone) []loaded {
	all := make([]loaded, len(zones))
	if k == nil {
		return all
	}
	slices.SortFunc(zones, func(a, b *Zone) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.id.Block, b.id.Block)) })
	var loading sync.WaitGroup
	share := max(1, (len(zones)+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	for from := 0; from < len(zones); from += share {
		loading.Go(func() {
			for i := from; i < min(from+share, len(zones)); i++ {
				all[i].chore, all[i].err = k.load(zones[i].id.saved())
			}
		})
	}
	loading.Wait()
	return all
}

// load returns what the store has of a zone; without contents if there is nothing. Engine.mu is held.
func (k *keeper) load(id ZoneID) (c chore, err error) {
	if k.store == nil {
		return c, nil
	}
	saved, err := k.store.Load(id.octets())
	if err != nil || saved.Contents == nil {
		return c, err
	}
	if c.state, err = decodeSavedZone(saved.State); err != nil {
		return c, fmt.Errorf("zone %s: %w", id.Name, err)
	}
	c.contents, c.kept = saved.Contents, kept{contents: saved.Contents, byIXFR: true}
	return c, nil
}

// twins returns, by name, the zones that may be the same as one under another server block: those that are saved and not
// configured, and those that run. Addresses to listen on change more easily than what is served there. e.mu is held.
func (e *Engine) twins() map[string][]ZoneID {
	twins := make(map[string][]ZoneID)
	if e.keeper != nil {
		for id := range e.keeper.orphans {
			twins[id.Name] = append(twins[id.Name], id)
		}
	}
	for id, z := range e.zones {
		if z.Contents() != nil {
			twins[id.Name] = append(twins[id.Name], id)
		}
	}
	return twins
}

// twin returns what there is of z under another ID; false unless that has the same primaries: two views may well have zones
// of one name that are not the same. e.mu is held.
func (e *Engine) twin(z *Zone, id ZoneID) (c chore, ok bool) {
	if running := e.zones[id]; running != nil && running != z {
		c = chore{contents: running.Contents()}
		c.state = running.savedZone()
	} else if e.keeper != nil {
		var err error
		if c, err = e.keeper.load(id); err != nil {
			return c, false // whoever it belongs to will hear of it
		}
		c.kept = kept{} // under its own ID nothing is saved yet
	}
	return c, c.contents != nil && c.state.sharesPrimaries(z.group.Primaries)
}

// reinstate gives a zone contents and state. Engine.mu is held.
func (e *Engine) reinstate(z *Zone, c *chore) (refresh.State, error) {
	if !bytes.Equal(c.contents.Origin(), z.origin) {
		return refresh.Empty, fmt.Errorf("zone %s: the store has another zone in its place", z.name)
	}
	now := time.Now()
	v := c.state.machine(c.contents.SOA(), z.group.Primaries)
	actions := z.machine.Step(now, refresh.Event{Kind: refresh.Restored, Saved: &v}) // none before it has been started
	z.ways, z.kept = c.state.Ways, c.kept
	for _, w := range z.ways {
		w.limit(now)
	}
	z.toldAll()
	e.histories.Put(&z.differences, &version.Version{Contents: c.contents}, &z.group.Policy)
	result := resultOK
	if z.machine.State() == refresh.Current {
		z.contents.Store(c.contents)
	} else {
		z.withdrawn, result = c.contents, resultExpired
	}
	e.record(z, Event{Kind: eventRestored, Result: result, To: known(c.contents.Serial()), Records: c.contents.Records()})
	z.judgedBy = c.state.Conflicts
	if by := z.group; z.judgedBy != by.Conflicts.Edition() {
		e.running.Go(func() { e.readmit(z, by) })
	}
	e.keeper.save(z, c.contents != c.kept.contents)                                                         // it may have been an orphan
	actions = slices.DeleteFunc(actions, func(a refresh.Action) bool { return a.Kind == refresh.Withdraw }) // it is not served
	if len(actions) > 0 {
		e.happens(event{zone: z, actions: actions})
	}
	return z.machine.State(), nil
}
