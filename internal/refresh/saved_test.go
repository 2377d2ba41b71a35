package refresh_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

var savedSOA = wire.SOA{Serial: serial.New(7), Refresh: 3600, Retry: 900, Expire: 86400}

// transferredAt returns a machine that got contents from its only primary.
func transferredAt(now time.Time) *refresh.Machine {
	m := refresh.New(refresh.Config{Primaries: 1, Seed: 1})
	m.Step(now, refresh.Event{Kind: refresh.Started})
	m.Step(now, refresh.Event{Kind: refresh.Transferred, SOA: savedSOA})
	return m
}

// restoredAt returns a machine that begins with what was saved.
func restoredAt(now time.Time, v refresh.Saved) (*refresh.Machine, []refresh.Action) {
	m := refresh.New(refresh.Config{Primaries: 1, Seed: 1})
	m.Step(now, refresh.Event{Kind: refresh.Restored, Saved: &v})
	return m, m.Step(now, refresh.Event{Kind: refresh.Started})
}

func TestSavedIsWhatIsRestored(t *testing.T) {
	before := transferredAt(epoch)
	before.Step(epoch, refresh.Event{Kind: refresh.Transferred, SOA: savedSOA, ExpireAt: epoch.Add(time.Hour)})
	saved, ok := before.Saved()
	if !ok || !saved.SourceAt.Equal(epoch.Add(time.Hour)) || !saved.ExpireAt.Equal(saved.SourceAt) {
		t.Fatalf("Saved is %+v", saved)
	}
	now := epoch.Add(10 * time.Second)
	m, actions := restoredAt(now, saved)
	again, _ := m.Saved()
	if diff := cmp.Diff(saved, again, cmp.AllowUnexported(serial.Serial{}), cmpopts.IgnoreFields(refresh.Saved{}, "NextAt")); diff != "" {
		t.Errorf("Restored (-saved +restored):\n%s", diff)
	}
	if len(actions) > 0 || m.State() != refresh.Current {
		t.Errorf("State %s, actions %v", m.State(), actions)
	}
	if next := m.NextAt(); next.Before(now) || next.After(now.Add(time.Minute)) {
		t.Errorf("Next round %s after the start, want within a minute", next.Sub(now))
	}
}

// RFC 1034 §4.3.5: expire counts from the last successful check, also while the process is down.
func TestExpiryGoesOnThroughTheDowntime(t *testing.T) {
	saved, _ := transferredAt(epoch).Saved()
	m, actions := restoredAt(epoch.Add(86399*time.Second), saved)
	if m.State() != refresh.Current {
		t.Errorf("A second before its expiry the zone is %s", m.State())
	}
	if len(actions) != 1 || actions[0].Kind != refresh.QuerySOA {
		t.Errorf("An overdue check is not made at once: %v", actions)
	}
	if actions := m.Step(epoch.Add(86400*time.Second), refresh.Event{Kind: refresh.Due}); len(actions) != 1 || actions[0].Kind != refresh.Withdraw {
		t.Errorf("At its expiry: %v", actions)
	}
	m, actions = restoredAt(epoch.Add(86400*time.Second), saved)
	if m.State() != refresh.Expired {
		t.Errorf("At its expiry the zone is %s", m.State())
	}
	if len(actions) != 1 || actions[0].Kind != refresh.QuerySOA {
		t.Errorf("An expired zone is not checked at once: %v", actions)
	}
}

// RFC 7314 §4: a primary that has said when it gives the zone up, and does not hear the question after a restart, has not taken that
// back.
func TestExpiryOfThePrimaryOutlivesARestart(t *testing.T) {
	before := transferredAt(epoch)
	before.Step(epoch, refresh.Event{Kind: refresh.Transferred, SOA: savedSOA, ExpireAt: epoch.Add(time.Hour)})
	saved, _ := before.Saved()
	now := epoch.Add(10 * time.Minute)
	m, actions := restoredAt(now, saved)
	if len(actions) == 0 {
		now = m.NextAt()
		actions = m.Step(now, refresh.Event{Kind: refresh.Due})
	}
	if len(actions) != 1 || actions[0].Kind != refresh.QuerySOA {
		t.Fatalf("The check after the start: %v", actions)
	}
	m.Step(now, refresh.Event{Kind: refresh.SOAReceived, SOA: savedSOA, Unasked: true})
	if at := m.ExpireAt(); !at.Equal(epoch.Add(time.Hour)) {
		t.Errorf("The zone expires %s after the transfer, want 1h", at.Sub(epoch))
	}
}

func TestBackOffOutlivesARestart(t *testing.T) {
	m := transferredAt(epoch)
	late := epoch.Add(time.Hour)
	m.Step(late, refresh.Event{Kind: refresh.Due})
	m.Step(late, refresh.Event{Kind: refresh.SOAFailed, Reason: "timeout"})
	saved, _ := m.Saved()
	if saved.Failures != 1 || saved.Links[0].State != refresh.Blocked {
		t.Fatalf("Saved %+v", saved)
	}
	again, actions := restoredAt(late.Add(time.Second), saved)
	if len(actions) > 0 {
		t.Errorf("A zone in back-off is checked at its start: %v", actions)
	}
	if next := again.NextAt(); !next.Equal(saved.NextAt) {
		t.Errorf("Next round at %s, want %s as before", next, saved.NextAt)
	}
	if l := again.Links()[0]; l.Reason != "timeout" || l.Failures != 1 || !l.RetryAt.Equal(saved.Links[0].RetryAt) {
		t.Errorf("Link %+v, was %+v", l, saved.Links[0])
	}
}

// A restart is no failure: a primary that answers is not taken for one that does not because it has been damped.
func TestDampingIsNotSaved(t *testing.T) {
	m, now := transferredAt(epoch), epoch
	for i := range 8 {
		now = now.Add(time.Minute)
		m.Step(now, refresh.Event{Kind: refresh.Notified}) // asks at once
		if i%2 == 0 {
			m.Step(now, refresh.Event{Kind: refresh.SOAFailed, Reason: "timeout"})
		} else {
			m.Step(now, refresh.Event{Kind: refresh.SOAReceived, SOA: savedSOA})
		}
	}
	if l := m.Links()[0]; l.State != refresh.Blocked || !l.Damped || l.Reason != "timeout" {
		t.Fatalf("After four falls: %+v", l)
	}
	saved, _ := m.Saved()
	if l := saved.Links[0]; l.State != refresh.Normal || l.Damped || l.Reason != "" || !l.SinceAt.Equal(l.LastOKAt) {
		t.Errorf("Saved %+v", l)
	}
	again, _ := restoredAt(now, saved)
	if l := again.Links()[0]; l.State != refresh.Normal || l.Damped {
		t.Errorf("Restored %+v", l)
	}
}

// A wall clock that was set back must not keep contents longer than their expire time.
func TestTimesFromTheFutureAreCut(t *testing.T) {
	saved, _ := transferredAt(epoch).Saved()
	past := epoch.Add(-1000 * time.Hour)
	m, _ := restoredAt(past, saved)
	if at := m.ExpireAt(); at.After(past.Add(86400 * time.Second)) {
		t.Errorf("Expires %s after the start", at.Sub(past))
	}
	if at := m.NextAt(); at.After(past.Add(time.Hour)) {
		t.Errorf("Next round %s after the start", at.Sub(past))
	}
}

func TestNothingIsSavedOfAZoneWithoutContents(t *testing.T) {
	if v, ok := refresh.New(refresh.Config{Primaries: 1}).Saved(); ok {
		t.Errorf("Saved %+v", v)
	}
}
