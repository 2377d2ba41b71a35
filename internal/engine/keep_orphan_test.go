package engine_test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/secondary"
)

// orphaned is an engine with two zones, of which one is taken away and comes back. It is used by one test.
type orphaned struct {
	*lab
	prim *actor
	path string
	at   *secondary.Attachment
}

const (
	stays = "stays.example."
	goes  = "goes.example."

	grace = 7 * 24 * time.Hour // how long what is saved of a zone outlives its configuration, as the README says
)

func newOrphaned(t *testing.T) *orphaned {
	t.Helper()
	o := &orphaned{lab: startLab(t), prim: newActor(t, serveAny(1)), path: newFile(t)}
	o.at = o.Attach(o.with(stays, goes))
	for _, z := range []string{stays, goes} {
		o.serves(o.at.Zone(id(z)), 1)
		o.saves(z, 1)
	}
	return o
}

func (o *orphaned) with(zones ...string) secondary.Config {
	return kept(o.path, group(o.prim.primary()), zones...)
}

// commit has whatever there is to save saved, by publishing a version of the zone that stays.
func (o *orphaned) commit(serial uint32) {
	o.t.Helper()
	o.follow(o.prim, o.at, serial, stays)
}

// restart ends the engine and begins another with these zones.
func (o *orphaned) restart(zones ...string) {
	o.t.Helper()
	o.lab = o.lab.restart()
	o.at = o.Attach(o.with(zones...))
}

// wantBack fails the test unless the zone that went is served as it was, without a transfer.
func (o *orphaned) wantBack(transfers int) {
	o.t.Helper()
	if z := o.at.Zone(id(goes)); served(z) != 1 {
		o.t.Errorf("Serial %d is served; want 1", served(z))
	}
	if n := o.prim.transfers(); n != transfers {
		o.t.Errorf("%d transfers; want %d", n, transfers)
	}
	if n := o.Store().Orphans; n > 0 {
		o.t.Errorf("%d orphans", n)
	}
}

// A zone that comes back within the time of grace is served from what was saved, whenever that is and whoever took it away.
func TestRemovedZoneComesBack(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(o *orphaned){
		"at once": func(o *orphaned) { o.replace(o.at, o.with(stays)) },
		"after a commit": func(o *orphaned) {
			o.replace(o.at, o.with(stays))
			o.commit(2)
		},
		"after a restart": func(o *orphaned) {
			o.replace(o.at, o.with(stays))
			o.restart(stays)
			if n := o.Store().Orphans; n != 1 {
				o.t.Errorf("%d orphans; want the one that goes", n)
			}
		},
		"removed between two processes": func(o *orphaned) { o.restart(stays) },
		"removed between two processes, and a commit": func(o *orphaned) {
			o.restart(stays)
			o.commit(2)
		},
		"after two restarts": func(o *orphaned) {
			o.restart(stays)
			o.restart(stays)
		},
	} {
		for _, back := range []string{"update", "restart"} {
			t.Run(name+", by "+back, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					o := newOrphaned(t)
					away(o)
					o.prim.play(silent) // whatever is served comes from the store
					transfers := o.prim.transfers()
					if back == "update" {
						o.replace(o.at, o.with(stays, goes))
					} else {
						o.restart(stays, goes)
					}
					o.wantBack(transfers)
					o.prim.play(serveAny(5))
				})
			})
		}
	}
}

// What is saved of a zone outlives its configuration by a week, restarts included, and no longer.
func TestOrphanIsForgottenAfterItsGrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOrphaned(t)
		o.replace(o.at, o.with(stays))
		time.Sleep(grace - 2*time.Hour)
		o.commit(2)
		o.Close()
		if got := inStore(t, o.path); !slices.Equal(got, []string{goes, stays}) {
			t.Errorf("Before the end of its grace the store has %q", got)
		}
		o.lab = startLab(t)
		o.at = o.Attach(o.with(stays))
		time.Sleep(4 * time.Hour)
		o.eventually("no orphan", func() bool { return o.Store().Orphans == 0 })
		o.commit(3)
		o.Close()
		if got := inStore(t, o.path); !slices.Equal(got, []string{stays}) {
			t.Errorf("After its grace the store has %q", got)
		}
	})
}

// The time of grace counts from when the zone went, however often the process has been started since.
func TestGraceGoesOnOverRestarts(t *testing.T) {
	o := newOrphaned(t)
	o.replace(o.at, o.with(stays))
	o.Close()
	changeState(t, o.path, func(state map[string]any) { state["orphaned"] = time.Now().Add(-grace - time.Minute) }, goes)
	o.lab = startLab(t)
	o.at = o.Attach(o.with(stays))
	o.commit(2)
	o.Close()
	if got := inStore(t, o.path); !slices.Equal(got, []string{stays}) {
		t.Errorf("The store has %q", got)
	}
}

// A zone that came back is no orphan any more: nothing of it is removed later.
func TestZoneThatCameBackIsNotForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOrphaned(t)
		o.replace(o.at, o.with(stays))
		o.commit(2)
		o.replace(o.at, o.with(stays, goes))
		o.serves(o.at.Zone(id(goes)), o.at.Zone(id(stays)).Contents().Serial().Uint32()) // by the store or by the primary
		time.Sleep(grace + 2*time.Hour)
		o.commit(3)
		o.restart(stays, goes)
		if z := o.at.Zone(id(goes)); served(z) == 0 {
			t.Error("The zone is forgotten")
		}
	})
}

// Of a zone that comes back with the next process the store does not say that it is an orphan, however soon that process ends: the
// next time of grace would have begun long ago.
func TestZoneThatCameBackIsSavedAsOneOfOurs(t *testing.T) {
	t.Parallel()
	o := newOrphaned(t)
	o.replace(o.at, o.with(stays))
	o.restart(stays, goes)
	o.wantBack(2)
	o.Close()
	changeState(t, o.path, func(state map[string]any) {
		if since, is := state["orphaned"]; is {
			t.Errorf("It is an orphan since %v", since)
		}
	}, goes)
}

// A restart saves nothing of zones that it finds as they were: there may be very many, and their first checks come soon.
func TestRestartSavesNothing(t *testing.T) {
	t.Parallel()
	o := newOrphaned(t)
	o.Close()
	before, err := os.ReadFile(o.path)
	must(t, err)
	o.restart(stays, goes)
	o.wantBack(2)
	o.Close()
	after, err := os.ReadFile(o.path)
	must(t, err)
	if !bytes.Equal(before, after) {
		t.Error("The file has changed")
	}
}

// A zone that goes and comes back while it is being saved is none either.
func TestZoneThatGoesAndComesBackDuringItsCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a, path := newActor(t, serveAny(1)), newFile(t)
		l.serves(l.Attach(kept(path, group(a.primary()), stays)).Zone(id(stays)), 1)
		l.saves(stays, 1)
		l = l.restart()
		l.Pace = 0
		at := l.Attach(kept(path, group(a.primary()), stays))
		for round := range 5 {
			many := names(fmt.Sprintf("more%d-", round), 300) // a commit that takes a while
			l.replace(at, kept(path, group(a.primary()), append(many, stays)...))
			for _, z := range many {
				l.serves(at.Zone(id(z)), 1)
			}
			l.replace(at, kept(path, group(a.primary()), stays))
			l.replace(at, kept(path, group(a.primary()), append(many, stays)...))
			for _, z := range many {
				l.serves(at.Zone(id(z)), 1)
				l.saves(z, 1)
			}
			if n := l.Store().Orphans; n != round*len(many) {
				t.Fatalf("%d orphans; want the %d zones of the rounds before", n, round*len(many))
			}
			l.replace(at, kept(path, group(a.primary()), stays))
		}
	})
}
