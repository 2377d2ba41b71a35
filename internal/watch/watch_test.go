package watch

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// quiet is a Logger that keeps nothing.
type quiet struct{}

func (quiet) Debugf(string, ...any)   {}
func (quiet) Infof(string, ...any)    {}
func (quiet) Warningf(string, ...any) {}
func (quiet) Errorf(string, ...any)   {}

// primary is that of all zones. Nobody asks it anything, for the zones are never started.
var primary = netip.MustParseAddrPort("192.0.2.1:53")

// feed is a Watch that is told facts, a millisecond apart, of zones at which nothing happens. It is for one goroutine.
type feed struct {
	*Watch
	t     *testing.T
	zones []*engine.Zone
	id    uint64
	at    time.Time
}

func newFeed(t *testing.T, zones int) *feed {
	t.Helper()
	e := engine.New()
	t.Cleanup(e.Close)
	w := New(e, quiet{}, NewMetrics())
	e.Tell(w)
	span := refresh.Clamp{Min: time.Second, Max: time.Hour}
	g := &engine.Group{Primaries: []xfr.Primary{{Addr: primary}}}
	g.Refresh, g.Retry, g.Expire = span, span, span
	all := map[engine.ZoneID]engine.ZoneConfig{}
	for i := range zones {
		name := fmt.Sprintf("z%d.example.", i)
		origin, err := wire.ParseName(name)
		if err != nil {
			t.Fatal(err)
		}
		all[engine.ZoneID{Name: name}] = engine.ZoneConfig{Origin: origin, Group: g}
	}
	e.Attach(all)
	return &feed{Watch: w, t: t, zones: e.Zones(), id: e.FirstID() + 1_000_000, at: time.Now()}
}

// tell tells a fact of a zone, and returns its ID.
func (f *feed) tell(z *engine.Zone, fact engine.Fact) uint64 {
	f.id++
	f.at = f.at.Add(time.Millisecond)
	fact.Zone, fact.ID, fact.At = z, f.id, f.at
	f.Observe(&fact)
	return f.id
}

func (f *feed) order(z *engine.Zone, what string) uint64 {
	return f.tell(z, engine.Fact{Kind: engine.Ordered, Order: what})
}

// notify tells of a NOTIFY of the primary that is acted on.
func (f *feed) notify(z *engine.Zone, n uint32) uint64 {
	return f.tell(z, engine.Fact{Kind: engine.Notified, Notification: &engine.Notification{
		From: primary.Addr(), Serial: serial.New(n), HasSerial: true,
	}})
}

func (f *feed) refuse(z *engine.Zone, r engine.Refusal) uint64 {
	return f.tell(z, engine.Fact{Kind: engine.TurnedAway, Refusal: &r})
}

func (f *feed) detail(z *engine.Zone) Detail {
	f.t.Helper()
	d, err := f.Detail(z.ID())
	if err != nil {
		f.t.Fatal(err)
	}
	return d
}

// follow is Follow.
func (f *feed) follow(after uint64) (*Watcher, []Event) {
	f.t.Helper()
	w, past := f.Follow(after)
	if w == nil {
		f.t.Fatal("There is no room for a watcher")
	}
	f.t.Cleanup(w.Close)
	return w, past
}

// What anybody can send does not displace what happened to the zone, whatever is different about each message.
func TestFloodOfNotifiesLeavesTheHistory(t *testing.T) {
	f := newFeed(t, 1)
	z := f.zones[0]
	for n := range 25 {
		f.order(z, fmt.Sprint("order ", n))
	}
	for n := range uint32(3000) {
		f.notify(z, n)
		f.refuse(z, engine.Refusal{From: primary.Addr(), Result: "tsig_bad_key", Text: fmt.Sprint("key ", n), Key: fmt.Sprint("k", n)})
		f.refuse(z, engine.Refusal{From: netip.AddrFrom4([4]byte{198, 51, byte(n >> 8), byte(n)}), Result: "refused"})
	}
	d, kinds := f.detail(z), map[string]int{}
	for _, v := range d.History {
		kinds[v.Kind+" "+v.Result]++
	}
	if kinds["command accepted"] != 25 || kinds["notify accepted"] != 5 || kinds["notify tsig_bad_key"] != 5 || kinds["notify refused"] != 5 {
		t.Errorf("Left of the history: %v", kinds)
	}
	if d.Refused != 6000 || d.Strange[0] != "k2999" || d.Notified.Uint32() != 2999 {
		t.Errorf("%d refused, keys %q, notified of %s", d.Refused, d.Strange, d.Notified)
	}
	f.notify(z, 1)
	if d := f.detail(z); d.Strange[0] != "k2999" {
		t.Errorf("Its key is forgotten for a NOTIFY without any: %q", d.Strange)
	}
	key, err := xfr.NewKey("known.", "hmac-sha256", "c2VjcmV0")
	if err != nil {
		t.Fatal(err)
	}
	f.tell(z, engine.Fact{Kind: engine.Notified, Notification: &engine.Notification{From: primary.Addr(), Key: key}})
	if d := f.detail(z); d.Strange[0] != "" {
		t.Errorf("It signs with %q though its NOTIFY is accepted with another", d.Strange)
	}
}

// A flood of one NOTIFY is one event, whatever else happens meanwhile; so are like orders in a row.
func TestLikeEventsAreOne(t *testing.T) {
	f := newFeed(t, 1)
	z := f.zones[0]
	for range 20 {
		f.notify(z, 1)
		f.refuse(z, engine.Refusal{From: primary.Addr(), Result: "tsig_bad_sig", Text: "wrong"})
		f.order(z, "flush")
	}
	f.order(z, "refresh")
	f.order(z, "flush")
	counts := map[string][]int{}
	for _, v := range f.detail(z).History {
		what := v.Kind + " " + v.Result
		counts[what] = append(counts[what], v.Count)
		if v.Count > 1 && !v.At.After(v.FirstAt) {
			t.Errorf("Event %+v", v)
		}
	}
	if got, want := fmt.Sprint(counts), "map[command accepted:[20 1 1] notify accepted:[20] notify tsig_bad_sig:[20]]"; got != want {
		t.Errorf("Events %s; want %s", got, want)
	}
}

// A history is bounded, and so is what is given to watchers; who lost events is told so once.
func TestHistoryIsBounded(t *testing.T) {
	f := newFeed(t, 1)
	w, _ := f.follow(0)
	for n := range 2000 {
		f.order(f.zones[0], fmt.Sprint("order ", n))
	}
	d := f.detail(f.zones[0])
	if n := len(d.History); n != maxHistory || d.Forgotten != d.History[0].ID-1 {
		t.Errorf("%d events are kept from %d, forgotten are those up to %d", n, d.History[0].ID, d.Forgotten)
	}
	if len(w.C) != watchBuffer || !w.Lost() || w.Lost() {
		t.Errorf("The watcher has %d events, and is not told once that it lost others", len(w.C))
	}
	for len(w.C) > 0 {
		<-w.C
	}
	if id := f.order(f.zones[0], "one more"); (<-w.C).ID != id || w.Lost() {
		t.Error("The watcher is not given what comes later")
	}
}

// There are at most MaxWatchers; who goes makes room.
func TestWatchersAreBounded(t *testing.T) {
	f := newFeed(t, 1)
	last, _ := f.follow(0)
	for range MaxWatchers - 1 {
		f.follow(0)
	}
	if w, _ := f.Follow(0); w != nil {
		t.Error("More watchers than MaxWatchers")
	}
	last.Close()
	f.follow(0)
}

// Of NOTIFYs, which anybody can send, watchers are given so many in a second.
func TestFloodOfNotifiesLeavesWatchersInPeace(t *testing.T) {
	f := newFeed(t, 1)
	w, _ := f.follow(0)
	for n := range uint32(1000) { // a millisecond apart
		f.notify(f.zones[0], n)
	}
	if n := len(w.C); n < maxTold || n > 2*maxTold || !w.Lost() {
		t.Errorf("%d NOTIFYs in a second", n)
	}
}

// Who asks for the past is given what came after an event, and told that some of it is missing also where only one zone has had
// more than is kept.
func TestFollowTellsOfForgottenEvents(t *testing.T) {
	f := newFeed(t, 2)
	first := f.order(f.zones[0], "first")
	f.notify(f.zones[1], 1)
	f.order(f.zones[0], "second")
	if w, past := f.follow(first); w.Lost() || len(past) != 2 || past[0].Kind != eventNotify || past[1].Text != "second" {
		t.Errorf("A past of %+v", past)
	}
	for n := range uint32(40) {
		f.notify(f.zones[1], n)
	}
	if w, _ := f.follow(first); !w.Lost() {
		t.Error("Not lost, although events are forgotten")
	}
	if w, past := f.follow(f.id); w.Lost() || len(past) > 0 {
		t.Errorf("After the latest event there is a past of %d", len(past))
	}
}

// With very many zones each of them keeps fewer events, so that all together stay small; and who asks for the past is given the
// latest of them without a copy of them all.
func TestHistoryOfManyZonesIsBounded(t *testing.T) {
	const zones = 20_000
	f := newFeed(t, zones)
	for n := range 20 {
		for _, z := range f.zones {
			f.order(z, fmt.Sprint("order ", n))
		}
	}
	d := f.detail(f.zones[0])
	if len(d.History) != maxHistories/zones || d.Forgotten != d.History[0].ID-zones {
		t.Errorf("%d events of one of %d zones, forgotten up to %d", len(d.History), zones, d.Forgotten)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w, past := f.follow(1)
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 10<<20 {
		t.Errorf("Follow takes %d MB", used>>20)
	}
	if len(past) != maxBacklog || past[0].ID != f.id-maxBacklog+1 || !w.Lost() {
		t.Errorf("A past of %d events", len(past))
	}
}

// Of a zone that has gone nothing is kept, and it is not to be seen.
func TestGoneZoneIsForgotten(t *testing.T) {
	f := newFeed(t, 1)
	z := f.zones[0]
	f.tell(z, engine.Fact{Kind: engine.Removed})
	f.order(z, "too late")
	if _, err := f.Detail(z.ID()); err == nil {
		t.Error("It is there")
	}
	if len(f.records) > 0 {
		t.Error("It has a record")
	}
}
