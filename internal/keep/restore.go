package keep

import (
	"bytes"
	"fmt"
	"sync"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// What a new zone finds of itself: among what has just been let go, in the store, or under another variant of its name that
// comes from the same primaries.

// found is what there is of a zone, or why it cannot be read. It is a plain value.
type found struct {
	contents *zone.Contents // nil for nothing
	state    state
	isSaved  bool // the store has the contents under the ID of the zone
	err      error
}

// Around has a change of the zones find what there is of new ones, which the engine knows by then or adds in the course of it.
// What the store has is not changed meanwhile.
func (k *Keep) Around(change func(restore engine.Restore)) {
	in := k.current.Load()
	if in == nil {
		change(func(z *engine.Zone) engine.Found { return k.restore(nil, z, nil) })
		return
	}
	in.working.Lock()
	defer in.working.Unlock()
	orphans := sync.OnceValue(in.findOrphans)
	in.counting(func() {
		change(func(z *engine.Zone) engine.Found { return k.restore(in, z, orphans) })
		orphans() // there may be some and no new zone
	})
}

// restore returns what there is of a new zone, in the store of a keeper, which may be nil, or elsewhere. orphans returns those of
// the store by name: it goes through all that is saved, and only a zone that is not waits for it.
func (k *Keep) restore(in *keeper, z *engine.Zone, orphans func() map[string][]engine.ZoneID) engine.Found {
	var f found
	if in != nil {
		f = in.load(z)
		in.lost(f.err)
	}
	if f.contents == nil && f.err == nil {
		f = k.sameSource(in, z, orphans)
	}
	return f.of(z.Standing().Group)
}

// restore gives a zone what was found of it, as the zone is kept when it comes to that.
func (f *found) restore(e *engine.Engine, z *engine.Zone) {
	for {
		g := z.Standing().Group
		if e.Restore(z, g, f.of(g)) {
			return
		}
	}
}

// of returns what a zone that is kept as g says is given of what was found.
func (f *found) of(g *engine.Group) engine.Found {
	if f.contents == nil || f.err != nil {
		return engine.Found{}
	}
	return engine.Found{
		Contents: f.contents, State: f.state.machine(f.contents.SOA(), g.Primaries), Ways: f.state.Ways,
		Edition: f.state.Conflicts, IsSaved: f.isSaved, Acknowledged: f.state.Acknowledged,
	}
}

// find returns what there is of a zone: what it had when it was let go, or what the store has.
func (k *keeper) find(id engine.ZoneID) (f found) {
	k.mu.Lock()
	s := k.store
	if l := k.leaving[id]; l != nil {
		f = l.found
	}
	k.mu.Unlock()
	if f.contents != nil || s == nil {
		return f
	}
	saved, err := s.Load(id.Octets())
	if err != nil || saved.Contents == nil {
		return found{err: err}
	}
	was, err := decodeState(saved.State)
	if err != nil {
		return found{err: fmt.Errorf("zone %s: %w", id, err)}
	}
	return found{contents: saved.Contents, state: was, isSaved: true}
}

// load returns what there is of a zone, if it is of that zone.
func (k *keeper) load(z *engine.Zone) found {
	f := k.find(z.ID())
	if f.err == nil && f.contents != nil && !bytes.Equal(f.contents.Origin(), z.Origin()) {
		return found{err: fmt.Errorf("zone %s: the store has another zone in its place", z.ID())}
	}
	if !f.state.OrphanedAt.IsZero() {
		k.mu.Lock()
		k.orphans[z.ID()] = f.state.OrphanedAt // until it is adopted
		k.mu.Unlock()
	}
	return f
}

// sameSource returns what there is of a zone under another variant of its name, if that has the same primaries. The operator
// has renamed the variant, or there are more of them now, or fewer.
func (k *Keep) sameSource(in *keeper, z *engine.Zone, orphans func() map[string][]engine.ZoneID) found {
	primaries := z.Standing().Group.Primaries
	suits := func(f *found) bool {
		f.isSaved = false
		return f.err == nil && f.contents != nil && f.state.sharesPrimaries(primaries)
	}
	for _, o := range k.engine.Variants(z.Name()) {
		if o == z {
			continue
		}
		if f := in.had(o); suits(&f) {
			return f
		}
	}
	if in == nil {
		return found{}
	}
	for _, id := range orphans()[z.Name()] {
		if f := in.find(id); suits(&f) {
			return f
		}
	}
	return found{}
}

// had returns what a zone has, or what the keeper, which may be nil, has of it: it may not have been read yet.
func (k *keeper) had(z *engine.Zone) found {
	s := z.Standing()
	switch {
	case s.Version != nil:
		return found{contents: s.Version.Contents, state: stateOf(s)}
	case k != nil:
		return k.find(z.ID())
	}
	return found{}
}

// reread gives zones without contents what the store has of them: it could not be opened when they were started.
func (k *keeper) reread() {
	empty := func(z *engine.Zone) bool { return z.Standing().State() == refresh.Empty }
	k.counting(func() {
		for _, z := range k.keep.engine.Zones() {
			if !empty(z) {
				continue
			}
			f := k.load(z)
			k.lost(f.err)
			if f.contents != nil && f.err == nil && k.isCurrent() {
				f.restore(k.keep.engine, z)
			}
		}
	})
}

// tally is what came of restoring zones. Guarded by keeper.mu.
type tally struct {
	began                   time.Time
	restored, expired, lost int
}

// counting counts and logs what zones f restores.
func (k *keeper) counting(f func()) {
	t := &tally{began: time.Now()}
	k.setTally(t)
	f()
	k.setTally(nil)
	if t.restored+t.expired+t.lost > 0 {
		k.keep.log.Infof("store %s: %d zones restored, %d too old to be served, %d damaged, in %.3fs", k.path, t.restored, t.expired, t.lost,
			time.Since(t.began).Seconds())
	}
}

func (k *keeper) setTally(t *tally) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tally = t
}

// lost counts and logs a zone that cannot be read, if there is an error.
func (k *keeper) lost(err error) {
	if err == nil {
		return
	}
	k.keep.failed(opLoad)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.tally.lost++; k.tally.lost <= maxLoadErrors {
		k.keep.log.Errorf("%v; it is transferred again", err)
	}
}

// restored counts a zone that stands so now.
func (k *keeper) restored(z *engine.Zone) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.tally == nil:
	case z.Standing().State() == refresh.Current:
		k.tally.restored++
	default:
		k.tally.expired++
	}
}
