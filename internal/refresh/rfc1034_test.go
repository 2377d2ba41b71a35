package refresh_test

import (
	"slices"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/serial"
)

// loaded returns a world that has just got version 8 from the first of its primaries.
func loaded(t *testing.T, primaries int) *world {
	t.Helper()
	w := newWorld(t, primaries)
	w.step(refresh.Event{Kind: refresh.Started})
	w.run(5 * time.Millisecond)
	if soa, ok := w.m.SOA(); !ok || soa.Serial != serial.New(8) || w.m.Running() {
		t.Fatal("not loaded")
	}
	return w
}

// RFC 1034 §4.3.5: "Whenever a new zone is loaded in a secondary, the secondary waits REFRESH seconds before checking with the
// primary for a new serial."
func TestChecksAfterRefresh(t *testing.T) {
	w := loaded(t, 1)
	queries := w.queries
	w.run(worldRefresh * 3 / 4 * 99 / 100)
	if w.queries != queries {
		t.Error("checked before refresh less 25 %")
	}
	w.run(worldRefresh / 4)
	if w.queries == queries {
		t.Error("not checked after refresh")
	}
}

// RFC 1034 §4.3.5: "If this check cannot be completed, new checks are started every RETRY seconds."
func TestFailedCheckIsRepeatedEveryRetry(t *testing.T) {
	w := loaded(t, 1)
	w.primaries[0].dead = true
	w.run(worldRefresh)
	for range 5 {
		queries := w.queries
		w.run(worldRetry)
		if w.queries == queries {
			t.Error("no check within retry")
		}
	}
}

// RFC 1034 §4.3.5: "If the serial field in the secondary's zone copy is equal to the serial returned by the primary, then no
// changes have occurred, and the REFRESH interval wait is restarted."
func TestEqualSerialRestartsRefresh(t *testing.T) {
	w := loaded(t, 1)
	w.step(refresh.Event{Kind: refresh.Notified, Primary: 0})
	w.run(time.Second) // no news, the check says
	if !w.m.CheckedAt().After(epoch.Add(5*time.Millisecond)) || w.m.RefreshAt().Sub(w.m.CheckedAt()) < worldRefresh*3/4 {
		t.Errorf("checked at %s, next at %s", w.m.CheckedAt(), w.m.RefreshAt())
	}
	if got := w.m.ExpireAt().Sub(w.m.CheckedAt()); got != worldExpire {
		t.Errorf("expires %s after the check, want %s", got, worldExpire)
	}
}

// RFC 1034 §4.3.5: "If the secondary finds it impossible to perform a serial check for the EXPIRE interval, it must assume
// that its copy of the zone is obsolete and discard it."
func TestExpiresOnTime(t *testing.T) {
	w := loaded(t, 2)
	checked := w.m.CheckedAt()
	w.primaries[0].dead, w.primaries[1].dead = true, true
	w.failAfter = 15 * time.Second
	w.run(checked.Add(worldExpire - time.Nanosecond).Sub(w.now))
	if w.m.State() != refresh.Current {
		t.Fatal("expired early")
	}
	w.run(time.Nanosecond)
	if w.m.State() != refresh.Expired || !w.withdrawn {
		t.Fatal("not expired on time")
	}
}

// RFC 1982 §3.2 decides which serial is newer, and where it leaves that undefined nothing is transferred.
func TestSerialDecidesTransfer(t *testing.T) {
	const maxSerial = 1<<32 - 1
	for _, c := range []struct {
		ours, theirs uint32
		transfer     bool
		reason       reason.Reason
	}{
		{8, 9, true, ""},
		{8, 8, false, ""},
		{8, 7, false, reason.SerialBehind},
		{maxSerial, 1, true, ""},
		{1, maxSerial, false, reason.SerialBehind},
		{1, 1<<31 - 1 + 1, true, ""}, // 2^31-1 ahead: the largest increment
		{1, 1<<31 + 1, false, reason.SerialUndefined},
		{1, 1<<31 + 2, false, reason.SerialBehind},
		{maxSerial, 0, false, reason.SerialZero},
	} {
		m := refresh.New(refresh.Config{Primaries: 1})
		m.Step(epoch, refresh.Event{Kind: refresh.Started})
		m.Step(epoch, refresh.Event{Kind: refresh.Transferred, SOA: worldSOA(serial.New(c.ours))})
		now := m.NextAt()
		m.Step(now, refresh.Event{Kind: refresh.Due})
		actions := m.Step(now, refresh.Event{Kind: refresh.SOAReceived, SOA: worldSOA(serial.New(c.theirs))})
		got := slices.Contains(actions, refresh.Action{Kind: refresh.Transfer})
		if reason := m.Links()[0].Reason; got != c.transfer || reason != c.reason {
			t.Errorf("ours %d, theirs %d: transfer %v, reason %q; want %v, %q", c.ours, c.theirs, got, reason, c.transfer, c.reason)
		}
	}
}
