package refresh_test

import (
	"slices"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/serial"
)

// RFC 1996 §3.11: a NOTIFY acts as if the refresh timer had run out, and its sender is asked before the other primaries.
func TestNotifyAsksItsSenderFirst(t *testing.T) {
	w := loaded(t, 3)
	w.run(time.Second)
	got := w.m.Step(w.now, refresh.Event{Kind: refresh.Notified, Primary: 2, HasSerial: true, Serial: serial.New(9)})
	if want := []refresh.Action{{Kind: refresh.QuerySOA, Primary: 2}}; !slices.Equal(got, want) {
		t.Errorf("notified: %v, want %v", got, want)
	}
}

// RFC 1996 §3.8: the SOA in a NOTIFY is a hint. It is no data, no reason for a transfer and changes no timer.
func TestNotifySerialChangesNoTimer(t *testing.T) {
	w := loaded(t, 1)
	w.run(time.Second)
	next, expire := w.m.RefreshAt(), w.m.ExpireAt()
	for _, n := range []uint32{8, 7} {
		if got := w.m.Step(w.now, refresh.Event{Kind: refresh.Notified, HasSerial: true, Serial: serial.New(n)}); len(got) != 0 {
			t.Errorf("serial %d in a NOTIFY: %v", n, got)
		}
	}
	if !w.m.RefreshAt().Equal(next) || !w.m.ExpireAt().Equal(expire) {
		t.Error("a NOTIFY moved the timers")
	}
}

// RFC 1996 §4.4: while the check of one NOTIFY is in work, further ones for the zone are deferred until it has ended.
func TestNotifyBurstCausesTwoChecks(t *testing.T) {
	w := loaded(t, 1)
	w.run(time.Second)
	queries := w.queries
	for range 1000 {
		w.step(refresh.Event{Kind: refresh.Notified, Primary: 0})
		w.run(100 * time.Microsecond) // a check takes 1 ms: a hundred of them would fit in the burst
	}
	w.run(time.Minute)
	if got := w.queries - queries; got != 2 {
		t.Errorf("%d checks, want 2", got)
	}
}

// A NOTIFY has to be served within a second of it, however shortly it follows an idle check.
func TestUpdateAfterIdleCheckIsServedWithinASecond(t *testing.T) {
	w := loaded(t, 1)
	w.run(time.Second)
	w.step(refresh.Event{Kind: refresh.Notified, Primary: 0})
	w.run(10 * time.Millisecond)
	w.primaries[0].serial = serial.New(9)
	w.step(refresh.Event{Kind: refresh.Notified, Primary: 0})
	w.run(600 * time.Millisecond)
	if soa, _ := w.m.SOA(); soa.Serial != serial.New(9) {
		t.Errorf("serving %s, want 9", soa.Serial)
	}
}
