package keep

import (
	"time"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/store"
	"github.com/secondaryplus/secondaryplus/internal/version"
)

// leaving is what is to be written of an orphan, until it has been written. Its fields are guarded by keeper.mu.
type leaving struct {
	change  store.Change
	found   found // what the zone had; without contents: the store has them
	writing bool  // a commit has the change
}

// adopt takes note that a zone is configured: it is no orphan any more.
func (k *keeper) adopt(z *engine.Zone) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l := k.leaving[z.ID()]; l != nil && l.change.Remove && z.Saved() != nil {
		z.SetSaved(nil) // it may just be going
		k.dirty[z] = true
	}
	if _, was := k.orphans[z.ID()]; was && !k.stopped && (z.Contents() != nil || z.Saved() != nil) {
		k.dirty[z] = true // the store has it as an orphan
	}
	delete(k.leaving, z.ID())
	delete(k.orphans, z.ID())
}

// forget is called when a zone is no longer configured: what is saved of it goes after a time of grace.
func (k *keeper) forget(z *engine.Zone) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.dirty, z)
	if !k.stopped && (z.Contents() != nil || z.Saved() != nil) {
		k.orphan(z)
	}
}

// orphan makes an orphan of a zone, of which some may not be saved yet. k.mu is held.
func (k *keeper) orphan(z *engine.Zone) {
	v := commissionOf(z)
	v.state.OrphanedAt = time.Now()
	k.orphans[z.ID()] = v.state.OrphanedAt
	k.leaving[z.ID()] = &leaving{change: v.change, found: found{contents: z.Contents(), state: v.state, isSaved: v.change.Contents == nil}}
	signal(k.wake)
}

// isConfigured reports whether there is a zone by this ID that somebody has: those that are going are known for a moment longer.
func (k *keeper) isConfigured(id engine.ZoneID) bool {
	z := k.keep.engine.Lookup(id)
	return z != nil && !z.Gone()
}

// findOrphans returns the orphans by name, those too that are among the zones of a store that was just opened.
// working is held.
func (k *keeper) findOrphans() map[string][]engine.ZoneID {
	stored := k.stored()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range stored {
		id, ok := engine.ZoneIDOf(s.ID)
		if !ok || k.isConfigured(id) {
			continue
		}
		was, _ := decodeState(s.State) // without it the time of grace begins now
		if was.OrphanedAt.IsZero() {
			was.OrphanedAt = time.Now()
			k.leaving[id] = &leaving{change: store.Change{ID: s.ID}, found: found{state: was}}
		}
		k.orphans[id] = was.OrphanedAt
	}
	all := make(map[string][]engine.ZoneID, len(k.orphans))
	for id := range k.orphans {
		all[id.Name] = append(all[id.Name], id)
	}
	return all
}

// stored returns the zones in a file that was just opened, none if that has been looked at. working is held.
func (k *keeper) stored() []store.Stored {
	k.mu.Lock()
	s, unknown := k.store, k.unknown
	k.unknown = false
	k.mu.Unlock()
	if s == nil || !unknown {
		return nil
	}
	all, err := s.All()
	if err != nil {
		k.fail(opLoad, err)
	}
	return all
}

// hasLeaving reports whether something of an orphan is to be written. k.mu is held.
func (k *keeper) hasLeaving() bool {
	for _, l := range k.leaving {
		if !l.writing {
			return true
		}
	}
	return false
}

// dropOrphans removes what is saved of zones whose time of grace is over. k.mu is held.
func (k *keeper) dropOrphans(now time.Time) {
	if now.Before(k.orphanAt) {
		return
	}
	k.orphanAt = now.Add(orphanCheck)
	for id, since := range k.orphans {
		switch {
		case k.isConfigured(id):
			delete(k.orphans, id)
		case now.Sub(since) > orphanGrace:
			k.leaving[id] = &leaving{change: store.Change{ID: id.Octets(), Remove: true}}
		}
	}
}

// left notes that what was to be written of an orphan has been. k.mu is held.
func (k *keeper) left(v *commission) {
	if k.leaving[v.id] != v.leaving {
		return // it has been configured again, and perhaps let go again
	}
	delete(k.leaving, v.id)
	if v.change.Remove {
		delete(k.orphans, v.id)
	}
}

// leave makes an orphan of a zone that was let go while its first commit ran. k.mu is held.
func (k *keeper) leave(z *engine.Zone, saved *version.Version) {
	if _, is := k.orphans[z.ID()]; is || k.isConfigured(z.ID()) || k.stopped {
		return
	}
	z.SetSaved(saved)
	k.orphan(z)
}

// stillToWrite has what was not committed of a zone that went meanwhile written with what is to be written of the orphan. k.mu is
// held.
func (k *keeper) stillToWrite(v *commission) {
	l := k.leaving[v.zone.ID()]
	if l == nil || l.change.Contents != nil || l.change.Remove {
		return
	}
	state := l.change.State
	l.change = v.change
	l.change.State, l.found.isSaved = state, false
}
