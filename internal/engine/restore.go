package engine

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// What a new zone finds of itself: among what has just been let go, in the store, or under another variant of its name that
// comes from the same primaries.

// found is what there is of a zone, or why it cannot be read. It is a plain value.
type found struct {
	contents *zone.Contents // nil for nothing
	state    savedZone
	isSaved  bool // the store has the contents under the ID of the zone
	err      error
}

// newcomer is a new zone. It belongs to whoever configures the engine.
type newcomer struct {
	zone    *Zone
	order   int       // ZoneConfig.Order
	dueAt   time.Time // as the store has it
	found   found
	actions []refresh.Action // that its machine has decided on
}

// restore gives new zones what there is of them, in the store of k or elsewhere. No lock is held: it takes as long as the disk does. e.configuring is held.
func (e *Engine) restore(k *keeper, added []newcomer) {
	k.findOrphans(added)
	if len(added) == 0 {
		return
	}
	t := tally{began: time.Now()}
	// In the order of the store, where those beside one another are on the same pages.
	slices.SortFunc(added, func(a, b newcomer) int { return a.zone.id.compare(b.zone.id) })
	inShares(len(added), func(i int) { added[i].load(k) })
	orphans := k.orphansByName()
	for i := range added {
		n := &added[i]
		if n.found.contents == nil && n.found.err == nil {
			n.found = e.sameSource(k, n.zone, orphans[n.zone.id.Name])
		}
		t.count(e, n.found.err, n.restore())
	}
	t.log(e, k)
}

// tally is what came of restoring zones. It belongs to one goroutine.
type tally struct {
	began                   time.Time
	restored, expired, lost int
}

// count counts a zone that stands so now, or could not be read.
func (t *tally) count(e *Engine, err error, state refresh.State) {
	switch {
	case err != nil:
		e.metrics.storeErrors.WithLabelValues(opLoad).Inc()
		if t.lost++; t.lost <= maxLoadErrors {
			e.log.Errorf("%v; it is transferred again", err)
		}
	case state == refresh.Current:
		t.restored++
	case state == refresh.Expired:
		t.expired++
	}
}

func (t *tally) log(e *Engine, k *keeper) {
	if k != nil && t.restored+t.expired+t.lost > 0 {
		e.log.Infof("store %s: %d zones restored, %d too old to be served, %d damaged, in %.3fs", k.path, t.restored, t.expired, t.lost,
			time.Since(t.began).Seconds())
	}
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

// load reads what the store has.
func (n *newcomer) load(k *keeper) {
	if k == nil {
		return
	}
	f := k.find(n.zone.id)
	if f.err == nil && f.contents != nil && !bytes.Equal(f.contents.Origin(), n.zone.origin) {
		f = found{err: fmt.Errorf("zone %s: the store has another zone in its place", n.zone.id)}
	}
	n.found = f
}

// sameSource returns what there is of a zone under another variant of its name, if that has the same primaries. The operator
// has renamed the variant, or there are more of them now, or fewer.
func (e *Engine) sameSource(k *keeper, z *Zone, orphans []ZoneID) found {
	primaries := z.group().Primaries
	for _, o := range e.zones.named(z.id.Name) {
		s := o.Standing()
		if s.Version == nil {
			continue
		}
		if state := s.saved(); state.sharesPrimaries(primaries) {
			return found{contents: s.Version.Contents, state: state}
		}
	}
	for _, id := range orphans {
		if f := k.find(id); f.err == nil && f.contents != nil && f.state.sharesPrimaries(primaries) {
			f.isSaved = false
			return f
		}
	}
	return found{}
}

// restore gives the zone, which nobody else knows yet, what was found of it, and reports how it stands.
func (n *newcomer) restore() refresh.State {
	f, z := &n.found, n.zone
	if f.contents == nil {
		return refresh.Empty
	}
	now := time.Now()
	v := f.state.machine(f.contents.SOA(), z.group().Primaries)
	m := z.machine().Clone()
	n.actions = m.Step(now, refresh.Event{Kind: refresh.Restored, Saved: &v})
	restored := z.engine.histories.Put(&z.differences, &version.Version{Contents: f.contents, Edition: f.state.Conflicts}, &z.group().Policy)
	z.change(func(s *Standing) {
		s.machine, s.ways = m, limited(f.state.Ways, now)
		if m.State() == refresh.Current {
			s.Version = restored
		} else {
			s.withdrawn = restored
		}
	})
	if f.isSaved {
		z.saved.Store(restored)
	}
	return m.State()
}

// install makes known what was restored. Engine.mu is held.
func (n *newcomer) install() {
	z, f := n.zone, &n.found
	e := z.engine
	e.keeper.adopt(z)
	if f.contents == nil {
		return
	}
	z.toldAll()
	result := resultOK
	if z.machine().State() != refresh.Current {
		result = resultExpired
	}
	e.record(z, Event{Kind: eventRestored, Result: result, To: known(f.contents.Serial()), Records: f.contents.Records()})
	if by := z.group(); f.state.Conflicts != by.Conflicts.Edition() {
		e.readmitLater(z)
	}
	e.keeper.save(z, !f.isSaved)
	// Of contents that expired while nobody served them there is nothing to withdraw.
	actions := slices.DeleteFunc(n.actions, func(a refresh.Action) bool { return a.Kind == refresh.Withdraw })
	if len(actions) > 0 {
		e.happens(event{zone: z, actions: actions})
	}
}

// reread gives zones without contents what the store has of them: it could not be opened when they were started.
func (e *Engine) reread(k *keeper) {
	t := tally{began: time.Now()}
	for stride := range slices.Chunk(e.zones.all(), maxStride) {
		var some []newcomer
		for _, z := range stride {
			if z.Standing().State() == refresh.Empty {
				n := newcomer{zone: z}
				n.load(k)
				some = append(some, n)
			}
		}
		e.mu.Lock()
		for i := range some {
			n := &some[i]
			if z := n.zone; z.Standing().State() == refresh.Empty && !z.gone.Load() && e.keeper == k {
				t.count(e, n.found.err, n.restore())
				n.install()
				e.reschedule(z)
			}
		}
		e.mu.Unlock()
	}
	t.log(e, k)
}
