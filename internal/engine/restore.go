package engine

import (
	"slices"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/version"
)

// newcomer is a new zone. It belongs to whoever configures the engine.
type newcomer struct {
	zone    *Zone
	order   int       // ZoneConfig.Order
	dueAt   time.Time // as it was left
	found   Found
	actions []refresh.Action // that its machine has decided on
}

// restoreAll gives new zones what is left of them. No lock is held: it takes as long as a disk does. Engine.configuring is held.
func restoreAll(added []newcomer, restore Restore) {
	if restore == nil {
		return
	}
	// In the order of a store, where those beside one another are on the same pages.
	slices.SortFunc(added, func(a, b newcomer) int { return a.zone.id.Compare(b.zone.id) })
	zones := make([]*Zone, len(added))
	for i := range added {
		zones[i] = added[i].zone
	}
	for i, found := range restore(zones) {
		added[i].found = found
		added[i].restore()
	}
}

// restore gives the zone what is left of it. Nobody else knows the zone yet, or Engine.mu is held.
func (n *newcomer) restore() {
	f, z := &n.found, n.zone
	if f.Contents == nil {
		return
	}
	now := time.Now()
	m := z.machine().Clone()
	n.actions = m.Step(now, refresh.Event{Kind: refresh.Restored, Saved: &f.State})
	restored := z.engine.histories.Put(&z.differences, &version.Version{Contents: f.Contents, Edition: f.Edition}, &z.group().Policy)
	z.change(func(s *Standing) {
		s.machine, s.Ways = m, limited(f.Ways, now)
		if m.State() == refresh.Current {
			s.Version = restored
		} else {
			s.Withdrawn = restored
		}
	})
	if f.IsSaved {
		z.saved.Store(restored)
	}
}

// install makes known what was restored. Engine.mu is held.
func (n *newcomer) install() {
	z, f := n.zone, &n.found
	e := z.engine
	if f.Contents == nil {
		return
	}
	e.emit(Fact{Kind: Restored, Zone: z})
	if by := z.group(); f.Edition != by.Conflicts.Edition() {
		e.readmitLater(z)
	}
	// Of contents that expired while nobody served them there is nothing to withdraw.
	actions := slices.DeleteFunc(n.actions, func(a refresh.Action) bool { return a.Kind == refresh.Withdraw })
	if len(actions) > 0 {
		e.happens(event{zone: z, actions: actions})
	}
}

// Restore gives a zone without contents what an earlier process has left of it, which could not be read when the zone was
// started.
func (e *Engine) Restore(z *Zone, f Found) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if z.Standing().State() != refresh.Empty || z.gone.Load() {
		return
	}
	n := newcomer{zone: z, found: f}
	n.restore()
	n.install()
	e.reschedule(z)
}
