package engine_test

import (
	"net/netip"
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// renamed returns a configuration of the example zone under a variant.
func renamed(path, variant string, primaries ...xfr.Primary) secondary.Config {
	c := kept(path, group(primaries...), example)
	c.Zones = map[engine.ZoneID]engine.ZoneConfig{{Name: example, Variant: variant}: c.Zones[id(example)]}
	return c
}

// A zone that gets another variant is served by it without a transfer, as long as its primaries are the same: by a reload, while
// the old one still runs, and by a restart.
func TestVariantIsRenamed(t *testing.T) {
	for name, c := range map[string]struct {
		restart bool
		same    bool
	}{
		"by a reload":                   {false, true},
		"by a restart":                  {true, true},
		"by a reload, another primary":  {false, false},
		"by a restart, another primary": {true, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			a, b, path := newActor(t, serve(example, 1)), newActor(t, silent), newFile(t)
			old := l.Attach(renamed(path, "", a.primary()))
			l.serves(old.Zone(id(example)), 1)
			l.saves(example, 1)
			next := a
			if !c.same {
				next = b
			}
			if c.restart {
				l = l.restart()
			}
			at := l.Attach(renamed(path, "inside", next.primary()))
			if !c.restart {
				old.Detach()
			}
			z := at.Zone(engine.ZoneID{Name: example, Variant: "inside"})
			if got := served(z) == 1; got != c.same {
				t.Errorf("Served: %v; want %v", got, c.same)
			}
			if n := a.transfers(); n != 1 {
				t.Errorf("%d transfers; want 1", n)
			}
			if !c.same {
				return
			}
			l.eventually("it is saved", func() bool { return l.metric("saved_serial", "variant", "inside") == 1 })
			l = l.restart()
			if z := l.Attach(renamed(path, "inside", a.primary())).Zone(z.ID()); served(z) != 1 {
				t.Error("It is not saved under its new name")
			}
		})
	}
}

// A new variant is given what another one has, also where that is still to be read.
func TestVariantIsLentWhatIsStillToBeRead(t *testing.T) {
	l := newLab(t)
	a, path := newActor(t, serve(example, 1)), newFile(t)
	z := engine.ZoneID{Name: example, Variant: "old"}
	l.serves(l.Attach(renamed(path, z.Variant, a.primary())).Zone(z), 1)
	l.eventually("it is saved", func() bool { return l.metric("saved_serial", "variant", z.Variant) == 1 })
	a.play(silent)
	l = l.restart()
	// In the order of their names the new one is read first. Behind both there are so many that the same goroutine reads both.
	c := extend(renamed(path, z.Variant, a.primary()), group(newActor(t, silent).primary()), names("later", 200)...)
	c.Zones[engine.ZoneID{Name: example, Variant: "new"}] = c.Zones[z]
	at := l.Attach(c)
	for _, variant := range []string{"old", "new"} {
		if n := served(at.Zone(engine.ZoneID{Name: example, Variant: variant})); n != 1 {
			t.Errorf("Variant %s: serial %d is served; want 1", variant, n)
		}
	}
	if n := a.transfers(); n != 1 {
		t.Errorf("%d transfers; want 1", n)
	}
	l.eventually("it is saved under its own name", func() bool { return l.metric("saved_serial", "variant", "new") == 1 })
}

// A variant that comes from the same primary, but asks it from another address, is given nothing of the other: primaries may have
// another zone for whoever asks from there.
func TestVariantsByTheirSourceAreNotMixed(t *testing.T) {
	for _, restart := range []bool{false, true} {
		l := startLab(t)
		a, path := newActor(t, serve(example, 1)), newFile(t)
		inside, outside := a.primary(), a.primary()
		inside.Source, outside.Source = netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")
		at := l.Attach(renamed(path, "inside", inside))
		z := engine.ZoneID{Name: example, Variant: "inside"}
		l.serves(at.Zone(z), 1)
		l.eventually("it is saved", func() bool { return l.metric("saved_serial", "variant", "inside") == 1 })
		a.play(silent)
		if restart {
			l = l.restart()
		}
		if got := l.Attach(renamed(path, "outside", outside)).Zone(engine.ZoneID{Name: example, Variant: "outside"}); served(got) != 0 {
			t.Errorf("Restart %v: the variant outside is served what inside has", restart)
		}
	}
}
