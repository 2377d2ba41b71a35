package engine

import (
	"slices"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// A version whose primary gives the zone up at that moment (RFC 7314 §4) is told of with what it is, before it is withdrawn, also
// where the machine goes on at once.
func TestPublishedIsToldBeforeItExpires(t *testing.T) {
	e := New()
	defer e.Close()
	origin, err := wire.ParseName("example.")
	if err != nil {
		t.Fatal(err)
	}
	b := zone.NewBuilder(origin, zone.Limits{})
	soa := append([]byte{0, 0}, 0, 0, 0, 7, 0, 0, 14, 16, 0, 0, 3, 132, 0, 9, 58, 128, 0, 0, 0, 60)
	for _, rr := range []wire.RR{
		{Owner: origin, Type: 6, Class: 1, TTL: 60, Data: soa}, {Owner: origin, Type: 2, Class: 1, TTL: 60, Data: origin},
	} {
		if err := b.Add(&rr); err != nil {
			t.Fatal(err)
		}
	}
	c, err := b.Seal()
	if err != nil {
		t.Fatal(err)
	}
	var told []FactKind
	e.Tell(ObserverFunc(func(f *Fact) {
		if f.Kind == Published && (f.Version == nil || f.Version.Contents != c) {
			t.Errorf("Published is %v", f.Version)
		}
		told = append(told, f.Kind)
	}))
	g := &Group{Primaries: make([]xfr.Primary, 1)}
	g.Refresh = refresh.Clamp{Min: time.Hour, Max: time.Hour}
	g.Retry, g.Expire = g.Refresh, g.Refresh
	id := ZoneID{Name: "example."}
	a := e.Attach(map[ZoneID]ZoneConfig{id: {Origin: origin, Group: g}})
	z := a.Zone(id)

	a.Start(nil)
	e.mu.Lock()
	told = nil
	e.events = append(e.events, event{zone: z, version: &version.Version{Contents: c}, what: refresh.Event{
		Kind: refresh.Transferred, SOA: c.SOA(), ExpireAt: time.Now().Add(-time.Second),
	}})
	e.happens(event{zone: z, what: refresh.Event{Kind: refresh.Due}})
	e.mu.Unlock()
	published, expired := slices.Index(told, Published), slices.Index(told, Expired)
	if published < 0 || expired < published {
		t.Errorf("Told are %v; want Published, %d, and then Expired, %d", told, Published, Expired)
	}
}
