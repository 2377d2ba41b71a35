package fault_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/secondaryplus/secondaryplus/internal/fault"
	"github.com/secondaryplus/secondaryplus/internal/reason"
)

// world is a machine, its zones as they are, and what people have been told of them.
type world struct {
	t   *rapid.T
	cfg fault.Config
	m   *fault.Machine
	now time.Time

	down   map[string][]fault.Link
	downAt map[string]time.Time
	upAt   map[string]time.Time
	told   map[string]time.Time // of a fault or reminder, by name; its recovery has not been told
	owed   map[string]bool      // named in an expiry message, the recovery of which has not been told
	out    *fault.Message
	sent   []time.Time // when the messages that arrived were made
	taken  bool        // the message that is out has arrived
}

// TestNobodyIsToldTwiceAndEveryEndIsTold runs random faults, deliveries and restarts.
func TestNobodyIsToldTwiceAndEveryEndIsTold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := fault.Config{
			After: rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 20 * time.Minute}).Draw(t, "after"),
			Every: rapid.SampledFrom([]time.Duration{30 * time.Minute, 24 * time.Hour}).Draw(t, "every"),
		}
		w := &world{
			t: t, cfg: cfg, m: fault.New(cfg, fault.State{}), now: epoch, down: map[string][]fault.Link{}, upAt: map[string]time.Time{},
			downAt: map[string]time.Time{}, told: map[string]time.Time{}, owed: map[string]bool{},
		}
		t.Repeat(map[string]func(*rapid.T){
			"down":    w.fall,
			"up":      func(t *rapid.T) { w.rise(zoneOf(t)) },
			"gone":    func(t *rapid.T) { w.vanish(zoneOf(t)) },
			"advance": func(t *rapid.T) { w.advance(time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(t, "span"))) },
			"moment":  func(t *rapid.T) { w.advance(time.Duration(rapid.Int64Range(0, int64(2*time.Minute)).Draw(t, "span"))) },
			"arrive":  func(*rapid.T) { w.arrive() },
			"finish":  func(*rapid.T) { w.finish() },
			"restart": func(*rapid.T) { w.restart() },
		})
		w.settle()
	})
}

func zoneOf(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a.", "b.", "c.", "d.", "e."}).Draw(t, "zone")
}

// fall has a zone fail, or fail otherwise than before.
func (w *world) fall(t *rapid.T) {
	zone := zoneOf(t)
	var links []fault.Link
	for _, primary := range []string{"192.0.2.1:53", "192.0.2.2:53"}[:rapid.IntRange(1, 2).Draw(t, "primaries")] {
		links = append(links, fault.Link{
			Primary: primary, Reason: rapid.SampledFrom([]reason.Reason{"timeout", "unreachable", "refused", "odd"}).Draw(t, "reason"),
		})
	}
	if w.down[zone] == nil {
		w.downAt[zone] = w.now
	}
	w.down[zone] = links
	s := fault.Status{Links: links, HasContents: true, Expire: 4 * time.Hour, ExpireAt: w.downAt[zone].Add(4 * time.Hour)}
	s.Expired = w.now.After(s.ExpireAt)
	w.step(fault.Event{Kind: fault.Down, Zone: zone, Status: s})
}

func (w *world) rise(zone string) {
	if w.down[zone] != nil {
		delete(w.down, zone)
		w.upAt[zone] = w.now
	}
	w.step(fault.Event{Kind: fault.Up, Zone: zone})
}

func (w *world) vanish(zone string) {
	delete(w.down, zone)
	delete(w.told, zone)
	delete(w.owed, zone)
	if w.out != nil && !w.taken { // what the message says of it does not count
		for i := range w.out.Sections {
			s := &w.out.Sections[i]
			var rest []string
			for _, name := range s.Zones {
				if name != zone {
					rest = append(rest, name)
				}
			}
			s.Zones = rest
		}
	}
	w.step(fault.Event{Kind: fault.Gone, Zone: zone})
}

// advance lets time pass, and the machine act in it.
func (w *world) advance(d time.Duration) {
	end := w.now.Add(d)
	for calls := 0; ; calls++ {
		at := w.m.NextAt()
		if at.IsZero() || at.After(end) {
			break
		}
		if calls > 2000 {
			w.t.Fatalf("the machine wants to be called over and over at %s", w.now)
		}
		if at.After(w.now) {
			w.now = at
		}
		w.step(fault.Event{Kind: fault.Due})
	}
	w.now = end
}

func (w *world) step(ev fault.Event) {
	msg := w.m.Step(w.now, ev)
	if msg == nil {
		return
	}
	if w.out != nil {
		w.t.Fatal("two messages are out")
	}
	if ev.Kind != fault.Due {
		w.t.Fatalf("event %d made a message", ev.Kind)
	}
	w.out, w.taken = msg, false
	for _, s := range msg.Sections {
		if len(s.Zones) == 0 {
			w.t.Fatal("a section without zones")
		}
		if msg.Kind == fault.Fault {
			w.lasted(s)
		}
	}
}

// lasted checks that a cause that is told has lasted for After in one of its zones.
func (w *world) lasted(s fault.Section) {
	for _, zone := range s.Zones {
		if w.down[zone] == nil {
			w.t.Fatalf("%s is told to be down, and is up", zone)
		}
		if !w.now.Before(w.downAt[zone].Add(w.cfg.After)) {
			return
		}
	}
	w.t.Fatalf("none of %v has been down for %s", s.Zones, w.cfg.After)
}

// arrive has a sink take the message that is out: people know now.
func (w *world) arrive() {
	if w.out == nil || w.taken {
		return
	}
	w.taken = true
	w.sent = append(w.sent, w.out.At)
	for _, s := range w.out.Sections {
		for _, zone := range s.Zones {
			w.learn(w.out.Kind, zone, s)
		}
	}
	w.step(fault.Event{Kind: fault.Sent})
}

// learn notes and checks what people are told of a zone.
func (w *world) learn(kind fault.Kind, zone string, s fault.Section) {
	last, known := w.told[zone]
	switch kind {
	case fault.Fault:
		if known {
			w.t.Fatalf("the fault of %s is told a second time, %s after the first", zone, w.now.Sub(last))
		}
		w.told[zone] = w.now
	case fault.Reminder:
		if known && w.now.Sub(last) < w.cfg.Every {
			w.t.Fatalf("%s is told of again after %s", zone, w.now.Sub(last))
		}
		if !known && !w.owed[zone] && !s.Shared {
			w.t.Fatalf("%s is told of again, but never was before", zone)
		}
		w.told[zone] = w.now
	case fault.Expiring, fault.Expired:
		w.owed[zone] = true
	case fault.Recovery:
		if !known && !w.owed[zone] && !s.Shared {
			w.t.Fatalf("the end of a fault of %s is told, of which nobody knew", zone)
		}
		delete(w.told, zone)
		delete(w.owed, zone)
	}
}

// finish ends the delivery of the message that is out, whether it arrived or not.
func (w *world) finish() {
	if w.out != nil {
		w.out = nil
		w.step(fault.Event{Kind: fault.Finished})
	}
}

// restart replaces the machine by one that knows only what was saved.
func (w *world) restart() {
	text, err := json.Marshal(w.m.State(w.now))
	if err != nil {
		w.t.Fatal(err)
	}
	var s fault.State
	if err := json.Unmarshal(text, &s); err != nil {
		w.t.Fatal(err)
	}
	w.m, w.out, w.sent = fault.New(w.cfg, s), nil, nil
	for _, zone := range []string{"a.", "b.", "c.", "d.", "e."} {
		if links := w.down[zone]; links != nil {
			if !containsZone(s, zone) {
				w.downAt[zone] = w.now // the restarted server does not know better
			}
			w.step(fault.Event{Kind: fault.Down, Zone: zone, Status: fault.Status{Links: links}})
		} else {
			w.step(fault.Event{Kind: fault.Up, Zone: zone})
		}
	}
}

// settle ends everything: what lasts has to be told, every end as well, and nothing may be left.
func (w *world) settle() {
	w.pass(4 * time.Hour)
	state := fmt.Sprint(w.m.State(w.now))
	for zone := range w.down {
		if !containsZone(w.m.State(w.now), zone) {
			w.t.Fatalf("%s has been down for hours and nobody was told: %s", zone, state)
		}
	}
	for _, zone := range []string{"a.", "b.", "c.", "d.", "e."} {
		w.rise(zone)
	}
	w.pass(4 * time.Hour)
	w.advance(48 * time.Hour) // past every appointment that has become void
	if len(w.told) > 0 || len(w.owed) > 0 {
		w.t.Fatalf("The end was not told of %v, %v", w.told, w.owed)
	}
	if zones, s, at := w.m.Zones(), w.m.State(w.now), w.m.NextAt(); len(zones) > 0 || len(s.Batches) > 0 || !at.IsZero() {
		w.t.Fatalf("Zones %v, state %v and an appointment at %s are left", zones, s, at)
	}
	w.paced()
}

// pass lets time pass with sinks that take everything.
func (w *world) pass(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); w.advance(10 * time.Second) {
		w.arrive()
		w.finish()
	}
}

// paced checks the rate of the messages.
func (w *world) paced() {
	for i := fault.MaxBurst; i < len(w.sent); i++ {
		if d := w.sent[i].Sub(w.sent[i-fault.MaxBurst]); d < 5*time.Minute {
			w.t.Fatalf("%d messages within %s", fault.MaxBurst+1, d)
		}
	}
}

func containsZone(s fault.State, zone string) bool {
	for _, b := range s.Batches {
		if slices.Contains(b.Zones, zone) {
			return true
		}
	}
	return false
}
