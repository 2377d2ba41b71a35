package engine

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/version"
)

// newcomer is a new zone, perhaps with something that is left of it. It belongs to whoever configures the engine, but for what
// is said of its fields.
type newcomer struct {
	zone  *Zone
	order int       // ZoneConfig.Order
	dueAt time.Time // as it was left
	offer *offer

	once sync.Once // whoever comes first restores the zone
}

// offer is what new zones of one change of configuration are given. Safe for concurrent use.
type offer struct {
	made      chan struct{} // closed when restore is set
	restore   Restore
	abandoned atomic.Bool // nobody needs the zones any more: they are not read
}

func newOffer() *offer { return &offer{made: make(chan struct{})} }

// make says where to find what is left of the zones; nil for nothing. It is called once.
func (o *offer) make(restore Restore) {
	if restore == nil {
		restore = func(*Zone) Found { return Found{} }
	}
	o.restore = restore
	close(o.made)
}

// maxRecalls is how many zones are read at a time because somebody asks for them: each takes buffers of some 100 KB.
const maxRecalls = 16

// restoreAll gives new zones what is left of them. No lock is held: it takes as long as a disk does. Engine.configuring is held.
func restoreAll(added []*newcomer) {
	// In the order of a store, where those beside one another are on the same pages.
	slices.SortFunc(added, func(a, b *newcomer) int { return a.zone.id.Compare(b.zone.id) })
	inShares(len(added), func(i int) { added[i].recall(false) })
}

// inShares calls f for 0 to n-1, of which every processor takes a share.
func inShares(n int, f func(i int)) {
	var working sync.WaitGroup
	share := max(1, (n+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	for from := 0; from < n; from += share {
		working.Go(func() {
			for i := from; i < min(from+share, n); i++ {
				f(i)
			}
		})
	}
	working.Wait()
}

// Recall waits until a new zone has what is left of it of an earlier process, which is read now if it has not been. It takes as
// long as a disk does, and is for whoever asks for contents: that the zone has none is known only then. No lock is held.
func (z *Zone) Recall() {
	n := z.newcomer.Load()
	if n == nil {
		return
	}
	select {
	case <-n.offer.made:
	case <-z.engine.ctx.Done():
		return
	}
	n.recall(true)
}

// IsToCome reports whether the zone does not have yet what is left of it, so that Recall may wait. No lock.
func (z *Zone) IsToCome() bool { return z.newcomer.Load() != nil }

// recall gives the zone what is left of it, unless that has been done. A zone that somebody has asked for starts at once: it is
// served from now on, and is to expire in time.
func (n *newcomer) recall(asked bool) {
	n.once.Do(func() {
		defer n.zone.newcomer.Store(nil)
		e := n.zone.engine
		if asked { // whoever waits for the same zone takes no turn
			e.recalls <- struct{}{}
			defer func() { <-e.recalls }()
		}
		if n.offer.abandoned.Load() || e.ctx.Err() != nil {
			return
		}
		found := n.offer.restore(n.zone)
		e.mu.Lock()
		defer e.mu.Unlock()
		n.zone.install(&found)
		if asked {
			e.step(n.zone, refresh.Event{Kind: refresh.Started})
		}
	})
}

// install gives the zone what is left of it, and makes that known. Engine.mu is held.
func (z *Zone) install(f *Found) {
	if f.Contents == nil {
		return
	}
	e, now := z.engine, time.Now()
	m := z.machine().Clone()
	actions := m.Step(now, refresh.Event{Kind: refresh.Restored, Saved: &f.State})
	restored := e.histories.Put(&z.differences, &version.Version{Contents: f.Contents, Edition: f.Edition}, &z.group().Policy)
	z.change(func(s *Standing) {
		s.machine, s.Ways, s.Acknowledged = m, f.Ways.Limited(now), f.Acknowledged
		if m.State() == refresh.Current {
			s.Version = restored
		} else {
			s.Withdrawn = restored
		}
	})
	if f.IsSaved {
		z.saved.Store(restored)
	}
	e.emit(Fact{Kind: Restored, Zone: z})
	if by := z.group(); f.Edition != by.Conflicts.Edition() {
		e.readmitLater(z)
	}
	// Of contents that expired while nobody served them there is nothing to withdraw.
	actions = slices.DeleteFunc(actions, func(a refresh.Action) bool { return a.Kind == refresh.Withdraw })
	if len(actions) > 0 {
		e.happens(event{zone: z, actions: actions})
	}
}

// Restore gives a zone without contents what an earlier process has left of it, which could not be read when the zone was
// started. It was found for a zone that is kept as g says; ok is false if the zone is kept in another way now.
func (e *Engine) Restore(z *Zone, g *Group, f Found) (ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case z.Standing().State() != refresh.Empty || z.gone.Load() || z.IsToCome():
		return true
	case z.group() != g:
		return false
	}
	z.install(&f)
	e.reschedule(z)
	return true
}
