package keep

import (
	"net/netip"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// A zone that has just been let go is known for a moment longer. What is saved of it is an orphan all the same: of one that is not
// remembered as such nothing would ever be removed.
func TestZoneThatIsGoingIsAnOrphan(t *testing.T) {
	e := engine.New()
	defer e.Close()
	id := engine.ZoneID{Name: "example."}
	origin, err := wire.ParseName(id.Name)
	if err != nil {
		t.Fatal(err)
	}
	k := &keeper{
		keep: New(e, nil, nil), wake: make(chan struct{}, 1), orphans: map[engine.ZoneID]time.Time{}, leaving: map[engine.ZoneID]*leaving{},
	}
	looked := false
	e.Tell(engine.ObserverFunc(func(f *engine.Fact) {
		if f.Kind != engine.Removed {
			return
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		looked = e.Lookup(id) == f.Zone
		if k.leave(f.Zone, &version.Version{}); k.orphans[id].IsZero() {
			t.Error("After its first commit the zone is no orphan")
		}
		k.orphans[id] = time.Now()
		if k.dropOrphans(time.Now()); k.orphans[id].IsZero() {
			t.Error("A look at the orphans takes it for configured")
		}
	}))
	g := &engine.Group{Primaries: []xfr.Primary{{Addr: netip.MustParseAddrPort("192.0.2.1:53")}}}
	a := e.Attach(map[engine.ZoneID]engine.ZoneConfig{id: {Origin: origin, Group: g}})
	k.orphans[id] = time.Now()
	if k.dropOrphans(time.Now()); len(k.orphans) > 0 {
		t.Error("A zone that is configured is an orphan")
	}
	k.orphanAt = time.Time{}
	if a.Detach(); !looked {
		t.Error("The zone was not known any more")
	}
}
