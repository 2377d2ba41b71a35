package engine_test

import (
	"os"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
)

// damagedAndBack returns an engine with a zone that was let go, whose octets in the store were damaged, and that has come back.
func damagedAndBack(t *testing.T) *orphaned {
	t.Helper()
	o := newOrphaned(t)
	o.replace(o.at, o.with(stays))
	o.commit(2)
	o.Close()
	spoil(t, o.path, goes, "p", flip)
	o.lab = startLab(t)
	o.at = o.Attach(o.with(stays))
	o.replace(o.at, o.with(stays, goes))
	o.serves(o.at.Zone(id(goes)), 2)
	o.saves(goes, 2)
	return o
}

// A zone that is configured is no orphan, whatever could be read of it: its time of grace does not take away what is saved since,
// and does not stand in the way of saving.
func TestZoneThatCouldNotBeReadIsNoOrphan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := damagedAndBack(t)
		if n := o.Store().Orphans; n > 0 {
			t.Errorf("%d zones are configured, and orphans", n)
		}
		time.Sleep(grace + 2*time.Hour)
		o.follow(o.prim, o.at, 3, goes, stays)
		if n := o.metric("store_errors_total", "operation", "commit"); n != 0 {
			t.Errorf("%v commits failed", n)
		}
		o.Close()
		if got := inStore(t, o.path); !slices.Equal(got, []string{goes, stays}) {
			t.Errorf("The store has %q", got)
		}
	})
}

// A damaged file that is begun anew while zones are restored from it gets all of them.
func TestFileIsReplacedWhileZonesAreRestored(t *testing.T) {
	zones := names("z", 3000)
	a, path := savedZones(t, zones...)
	spoil(t, path, zones[0], "p", flip) // it is transferred at once, and so wakes the keeper
	b, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, b[:used(b)-boltPage(b)], 0o600))
	l := startLab(t)
	at := l.Attach(kept(path, group(a.primary()), zones...))
	l.logged("begun anew")
	for _, z := range zones {
		l.serves(at.Zone(id(z)), 1)
	}
	for _, z := range zones {
		l.saves(z, 1)
	}
	l.Close()
	s := openStore(t, path)
	defer s.Close()
	missing := 0
	for _, z := range zones {
		if saved, err := s.Load(storeID(z)); err != nil || saved.Contents == nil {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d zones were shown as saved and are not in the store", missing, len(zones))
	}
}

// What the store had of a zone when a reload brought it says nothing of the zone later.
func TestStoreOfAReloadIsReadOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOrphaned(t)
		o.Close()
		changeState(t, o.path, func(state map[string]any) { state["orphaned"] = time.Now().Add(-grace - time.Minute) }, goes)
		o.lab = startLab(t)
		at := o.Attach(config(group(o.prim.primary()), stays, goes)) // no store
		o.prim.play(serveAny(7))
		o.serves(at.Zone(id(goes)), 7)
		next := o.Attach(o.with(stays, goes)) // the store comes with a reload
		at.Detach()
		o.saves(goes, 7)
		o.replace(next, o.with(stays)) // it goes, and has its time of grace from now on
		o.follow(o.prim, next, 8, stays)
		o.replace(next, o.with(stays, "new.example."))
		o.serves(next.Zone(id("new.example.")), 8)
		time.Sleep(2 * time.Hour)
		o.follow(o.prim, next, 9, stays)
		o.Close()
		if got := inStore(t, o.path); !slices.Contains(got, goes) {
			t.Errorf("The store has %q", got)
		}
	})
}

// Stores that a failed reload has named leave nothing in memory.
func TestStoresOfFailedReloadsAreForgotten(t *testing.T) {
	l := startLab(t)
	a := newActor(t, serveAny(1))
	first := l.Attach(kept(newFile(t), group(a.primary()), stays))
	l.serves(first.Zone(id(stays)), 1)
	var gone []weak.Pointer[engine.Zone]
	for range 5 {
		next := l.Attach(kept(newFile(t), group(a.primary()), append(names("x", 20), stays)...))
		for _, z := range names("x", 20) {
			l.serves(next.Zone(id(z)), 1)
			gone = append(gone, weak.Make(next.Zone(id(z))))
		}
		first.Reinstate()
	}
	l.eventually("that nobody holds the zones", func() bool {
		runtime.GC()
		return !slices.ContainsFunc(gone, func(z weak.Pointer[engine.Zone]) bool { return z.Value() != nil })
	})
}

// SOA queries that wait are not sent for zones that are gone, and primaries of no zone are forgotten.
func TestNobodyAsksForZonesThatAreGone(t *testing.T) {
	l := startLab(t)
	a, zones := newActor(t, serveAny(1)), names("z", 100)
	at := l.Attach(config(group(a.primary()), zones...))
	for _, z := range zones {
		l.serves(at.Zone(id(z)), 1)
	}
	hold, good := make(chan struct{}), serveAny(1)
	a.play(func(r dnstest.Request, w *dnstest.Writer) {
		<-hold
		good(r, w)
	})
	before := a.soaQueries()
	for _, z := range zones {
		if _, err := l.Order(id(z), refresh.Check); err != nil {
			t.Fatal(err)
		}
	}
	l.eventually("queries that are held up", func() bool { return a.soaQueries() > before })
	l.replace(at, config(group(a.primary())))
	asked := a.soaQueries()
	close(hold)
	l.eventually("no remote", func() bool { return l.Remotes() == 0 })
	if more := a.soaQueries() - asked; more > 16 { // those that were under way
		t.Errorf("%d SOA queries for zones that are gone", more)
	}
}
