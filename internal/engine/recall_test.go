package engine_test

import (
	"errors"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/allow"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// contentsOf returns the contents of a zone of one version.
func contentsOf(t *testing.T, origin wire.Name, serial uint32) *zone.Contents {
	t.Helper()
	b := zone.NewBuilder(origin, zone.Limits{})
	for _, rr := range wireRRs(version(origin.String(), serial)...) {
		if err := b.Add(&rr); err != nil {
			t.Fatal(err)
		}
	}
	c, err := b.Seal()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// savedOf returns what an earlier process has left of a zone.
func savedOf(t *testing.T, z *engine.Zone) engine.Found {
	t.Helper()
	c, now := contentsOf(t, z.Origin(), 7), time.Now()
	return engine.Found{
		Contents: c, Edition: z.Standing().Group.Conflicts.Edition(), IsSaved: true,
		State: refresh.Saved{SOA: c.SOA(), CheckedAt: now, ExpireAt: now.Add(time.Hour), NextAt: now.Add(time.Hour)},
	}
}

// A zone that somebody asks for does not wait for those in front of it, which a slow disk holds up. Until it is started it takes
// neither NOTIFYs nor orders.
func TestZoneThatIsAskedForIsRecalledFirst(t *testing.T) {
	e := engine.New()
	defer e.Close()
	primary := netip.MustParseAddrPort("192.0.2.1:53") // nobody answers there
	g := group(xfr.Primary{Addr: primary})
	zones := append(names("a", 200), example)
	a := e.Attach(config(g, zones...).Zones)
	defer a.Detach()
	z := a.Zone(id(example))
	if verdict := z.Notify(engine.Notification{From: primary.Addr()}); verdict != allow.Dropped {
		t.Errorf("A NOTIFY for a zone that is not started: verdict %d; want that it is dropped", verdict)
	}
	if _, err := e.Order(id(example), refresh.Check); !errors.Is(err, engine.ErrEarly) {
		t.Errorf("An order for it: %v", err)
	}

	disk, started := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(started)
		a.Start(func(z *engine.Zone) engine.Found {
			if z != a.Zone(id(example)) {
				<-disk
			}
			return savedOf(t, z)
		})
	}()
	z.Recall() // waits for Start to begin
	if z.Contents() == nil {
		t.Error("The zone is not there")
	}
	if verdict := z.Notify(engine.Notification{From: primary.Addr()}); verdict != allow.Accepted {
		t.Errorf("A NOTIFY for a zone that has been asked for: verdict %d; want that it is accepted", verdict)
	}
	if other := a.Zone(id(zones[0])); other.Contents() != nil || other.Standing().Machine().Settled() {
		t.Error("A zone that the disk holds up is there")
	}
	close(disk)
	<-started
	for _, name := range zones {
		if s := a.Zone(id(name)).Standing(); s.Contents() == nil || s.Contents().Serial().Uint32() != 7 {
			t.Errorf("Zone %s has not been restored", name)
		}
	}
}

// However many ask for a zone that the disk holds up, another is there as soon as it is read.
func TestWhoWaitsForOneZoneKeepsNoOther(t *testing.T) {
	e := engine.New()
	defer e.Close()
	a := e.Attach(config(group(xfr.Primary{Addr: netip.MustParseAddrPort("192.0.2.1:53")}), "slow.example.", "slower.example.", example).Zones)
	defer a.Detach()
	disk, started := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(started)
		a.Start(func(z *engine.Zone) engine.Found {
			if z != a.Zone(id(example)) {
				<-disk
			}
			return savedOf(t, z)
		})
	}()
	var asking sync.WaitGroup
	for range 50 {
		asking.Go(a.Zone(id("slow.example.")).Recall)
	}
	a.Zone(id(example)).Recall()
	if a.Zone(id(example)).Contents() == nil {
		t.Error("The zone is not there")
	}
	close(disk)
	asking.Wait()
	<-started
}

// Who ends the process while it starts does not wait for all zones to be read. Those that have not been are not started: nobody may
// take them for new ones, whose primaries are to be asked.
func TestStartThatIsAbandonedEnds(t *testing.T) {
	e := engine.New()
	defer e.Close()
	zones := names("a", 200)
	a := e.Attach(config(group(xfr.Primary{Addr: netip.MustParseAddrPort("192.0.2.1:53")}), zones...).Zones)
	var reads atomic.Int32
	reading, disk, started := make(chan struct{}, len(zones)), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(started)
		a.Start(func(z *engine.Zone) engine.Found {
			reads.Add(1)
			reading <- struct{}{}
			<-disk
			return savedOf(t, z)
		})
	}()
	<-reading
	a.Abandon()
	close(disk)
	<-started
	if n := int(reads.Load()); n > runtime.GOMAXPROCS(0) {
		t.Errorf("%d zones were read", n)
	}
	last := a.Zone(id(zones[len(zones)-1]))
	last.Recall() // waits for nothing
	if last.Contents() != nil || last.Standing().Machine().Started() {
		t.Error("A zone that was not read has started")
	}
	a.Detach()
}
