package engine_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
	"github.com/secondaryplus/secondaryplus/internal/store"
)

// A configuration may name another file: everything is saved there, from the memory, and the old file stays as it is.
func TestStoreIsChangedByAReload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a, one, two, zones := newActor(t, serveAny(1)), newFile(t), newFile(t), names("z", 5)
		old := l.Attach(kept(one, group(a.primary()), zones...))
		for _, z := range zones {
			l.serves(old.Zone(id(z)), 1)
			l.saves(z, 1)
		}
		at := l.Attach(kept(two, group(a.primary()), zones...))
		old.Detach()
		for _, z := range zones {
			l.saves(z, 1)
		}
		l.follow(a, at, 2, zones...)
		if got := inStore(t, one); !slices.Equal(got, zones) { // nobody has it open
			t.Errorf("The old store has %q", got)
		}
		transfers := a.transfers()
		l = l.restart()
		at = l.Attach(kept(two, group(a.primary()), zones...))
		for _, z := range zones {
			if served(at.Zone(id(z))) != 2 {
				t.Errorf("%s is not served from the new store", z)
			}
		}
		l = l.restart()
		at = l.Attach(kept(one, group(a.primary()), zones...))
		for _, z := range zones {
			if served(at.Zone(id(z))) != 1 {
				t.Errorf("%s is not served from the old store", z)
			}
		}
		if n := a.transfers() - transfers; n != 0 {
			t.Errorf("%d transfers", n)
		}
	})
}

// The store can be turned off by a reload, and on.
func TestStoreIsTurnedOffAndOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a, path := newActor(t, serve(example, 1)), newFile(t)
		on, off := kept(path, group(a.primary()), example), config(group(a.primary()), example)
		at := l.Attach(on)
		l.serves(at.Zone(id(example)), 1)
		l.saves(example, 1)
		next := l.Attach(off)
		at.Detach()
		l.advance(a, next, 2)
		if l.status(example).Saved != nil {
			t.Error("The zone is said to be saved without a store")
		}
		l.Attach(on)
		next.Detach()
		l.saves(example, 2)
		l = l.restart()
		if z := l.Attach(on).Zone(id(example)); served(z) != 2 || a.transfers() != 2 {
			t.Errorf("Serial %d after %d transfers; want 2 after 2", served(z), a.transfers())
		}
	})
}

// advance is follow of the example zone without a store.
func (l *lab) advance(a *actor, at *secondary.Attachment, serial uint32) {
	l.t.Helper()
	a.play(serve(example, serial))
	at.Zone(id(example)).Notify(engine.Notification{From: a.Addr().Addr()})
	l.serves(at.Zone(id(example)), serial)
}

// A reload that fails after it named another file, or none, leaves the old one in use, and whatever comes is saved there.
func TestFailedReloadLeavesTheOldStore(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]func(string) string{
		"another file": func(path string) string { return path + "2" },
		"off":          func(string) string { return "" },
		"the same":     func(path string) string { return path },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := startLab(t)
				a, path, zones := newActor(t, serveAny(1)), newFile(t), names("z", 3)
				c := kept(path, group(a.primary()), zones...)
				at := l.Attach(c)
				for _, z := range zones {
					l.serves(at.Zone(id(z)), 1)
				}
				for range 3 {
					at.Zone(id(zones[0])).Notify(engine.Notification{From: a.Addr().Addr()}) // its timers are to be saved
					l.Attach(kept(other(path), group(a.primary()), zones[1:]...))
					at.Reinstate()
				}
				l.follow(a, at, 2, zones...)
				before := l.status(zones[1]).CheckedAt
				at.Zone(id(zones[1])).Notify(engine.Notification{From: a.Addr().Addr()})
				l.eventually("a check", func() bool { return l.status(zones[1]).CheckedAt.After(before) })
				checked := l.status(zones[1]).CheckedAt
				if got := l.Store().Orphans; got > 0 {
					t.Errorf("Orphans %v", got)
				}

				l.Close()
				if n := l.metric("store_errors_total"); n != 0 {
					t.Errorf("%v store errors: %q", n, l.log.all("error"))
				}
				l = startLab(t)
				at = l.Attach(c)
				for _, z := range zones {
					if served(at.Zone(id(z))) != 2 {
						t.Errorf("%s is served with %d; want 2", z, served(at.Zone(id(z))))
					}
				}
				if got := l.status(zones[1]).CheckedAt; !near(got, checked) {
					t.Errorf("Checked %v; want %v", got, checked)
				}
			})
		})
	}
}

// What is left to save when the process ends is saved once, and by its latest word, however often the store changed hands.
func TestEndAfterFailedReloads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a, path := newActor(t, serve(example, 1)), newFile(t)
		c := kept(path, group(a.primary()), example)
		at := l.Attach(c)
		z := at.Zone(id(example))
		l.serves(z, 1)
		l.saves(example, 1)
		checked := func() {
			before := l.status(example).CheckedAt
			z.Notify(engine.Notification{From: a.Addr().Addr()})
			l.eventually("a check", func() bool { return l.status(example).CheckedAt.After(before) })
		}
		for range 2 {
			checked() // which is to be saved in a while
			l.Attach(kept(path+"2", group(a.primary()), example))
			at.Reinstate()
		}
		l.saves(example, 1)
		checked()
		l.Close()
		if lines := l.log.all("error"); len(lines) > 0 {
			t.Errorf("The end is not without an error: %q", lines)
		}
		was := l.status(example).CheckedAt
		l = startLab(t)
		l.Attach(c)
		if got := l.status(example).CheckedAt; !near(got, was) {
			t.Errorf("Checked %v; want %v", got, was)
		}
	})
}

// A file that another process has is refused, and nothing is changed by it; not even when there is no other store.
func TestStoreInUseIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a, path, taken := newActor(t, serveAny(1)), newFile(t), newFile(t)
		other := openStore(t, taken)
		t.Cleanup(func() { other.Close() })
		if _, err := l.Secondary.Attach(kept(taken, group(a.primary()), example)); !errors.Is(err, store.ErrInUse) {
			t.Errorf("Attach says %v", err)
		}
		if len(l.Status()) > 0 {
			t.Error("A zone of the refused configuration is there")
		}
		at := l.Attach(kept(path, group(a.primary()), example))
		l.serves(at.Zone(id(example)), 1)
		for range 3 {
			if _, err := l.Secondary.Attach(kept(taken, group(nobody(t)), example, "new.example.")); !errors.Is(err, store.ErrInUse) {
				t.Errorf("Attach says %v", err)
			}
		}
		l.follow(a, at, 2, example)
		if got := l.status(example).Primaries; len(l.Status()) != 1 || got[0].Addr != a.Addr() {
			t.Errorf("%d zones, primaries %v", len(l.Status()), got)
		}
		other.Close()
		next := l.Attach(kept(taken, group(a.primary()), example))
		at.Detach()
		l.follow(a, next, 3, example)
	})
}

// A reload that takes the process over from itself does not wait for the file: it is the same one.
func TestReloadSharesTheStore(t *testing.T) {
	l := newLab(t)
	a, path, zones := newActor(t, serveAny(1)), newFile(t), names("z", 3)
	at := l.Attach(kept(path, group(a.primary()), zones...))
	for i := range 20 {
		next := l.Attach(kept(path, group(a.primary()), zones...))
		if i%2 == 0 {
			at.Detach()
			at = next
		} else {
			at.Reinstate()
		}
	}
	l.follow(a, at, 2, zones...)
	at.Detach()
	at = l.Attach(kept(path, group(a.primary()), zones...)) // the last one has just let go of the file
	for _, z := range zones {
		if served(at.Zone(id(z))) != 2 {
			t.Errorf("%s is served with %d; want 2, from the store", z, served(at.Zone(id(z))))
		}
	}
	if n := l.metric("store_errors_total"); n != 0 {
		t.Errorf("%v store errors: %q", n, l.log.all("error"))
	}
}
