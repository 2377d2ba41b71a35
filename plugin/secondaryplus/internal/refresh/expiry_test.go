package refresh_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/wire"
)

// shortLived are timers of zones that would expire before their refresh, or before a failed check is repeated.
var shortLived = []struct {
	refresh, retry, expire uint32
	lead                   time.Duration // from the latest check to expiry, without limits
}{
	{5, 5, 60, 5 * time.Second}, // the refresh in force is 1800 s
	{60, 5, 40, 5 * time.Second},
	{3600, 900, 3600, 900 * time.Second},
	{3600, 900, 4499, 900 * time.Second},
	{3600, 59, 60, 30 * time.Second}, // retry is too long: halfway
	{3600, 60, 60, 30 * time.Second},
	{3600, 900, 60, 30 * time.Second},
	{3600, 900, 10, 5 * time.Second},
	{0, 0, 3, time.Second},
	{0, 0, 2, time.Second},
}

// alive answers what the machine asks for with version 8 until it rests, and returns how often it was asked. The zone must
// not be withdrawn.
func alive(t *testing.T, m *refresh.Machine, now time.Time, soa wire.SOA, ev refresh.Event) (asked int) {
	t.Helper()
	for events := []refresh.Event{ev}; len(events) > 0; events = events[1:] {
		for _, a := range m.Step(now, events[0]) {
			asked++
			switch a.Kind {
			case refresh.Withdraw:
				t.Fatal("The zone expires under a living primary")
			case refresh.QuerySOA:
				events = append(events, refresh.Event{Kind: refresh.SOAReceived, SOA: soa})
			case refresh.Transfer:
				events = append(events, refresh.Event{Kind: refresh.Transferred, SOA: soa})
			}
		}
	}
	return asked
}

// A zone whose primary confirms it does not expire, whatever its timers: it is checked a retry before, so that a check can
// fail and be repeated. It is not checked all the time for that.
func TestZoneIsCheckedAheadOfItsExpiry(t *testing.T) {
	for _, c := range shortLived {
		t.Run(fmt.Sprint(c.refresh, c.retry, c.expire), func(t *testing.T) {
			soa := wire.SOA{Serial: serial.New(8), Refresh: c.refresh, Retry: c.retry, Expire: c.expire}
			for seed := range uint64(20) {
				m, now := refresh.New(refresh.Config{Primaries: 1, Seed: seed}), epoch
				alive(t, m, now, soa, refresh.Event{Kind: refresh.Started})
				for range 100 {
					if left := m.ExpireAt().Sub(m.NextAt()); left < c.lead {
						t.Fatalf("%s are left at the next check, want %s", left, c.lead)
					}
					if wait := m.NextAt().Sub(now); wait < 3*time.Second/4 {
						t.Fatalf("The next check is in %s", wait)
					}
					now = m.NextAt()
					if n := alive(t, m, now, soa, refresh.Event{Kind: refresh.Due}); n != 1 {
						t.Fatalf("%d questions for a check", n)
					}
				}
				expire := m.ExpireAt()
				for m.State() == refresh.Current {
					now = m.NextAt()
					m.Step(now, refresh.Event{Kind: refresh.Due})
					m.Step(now, refresh.Event{Kind: refresh.SOAFailed, Reason: "timeout"})
				}
				if !now.Equal(expire) {
					t.Fatalf("Under a dead primary the zone expires at %s, want %s", now, expire)
				}
			}
		})
	}
}

// An expire for which every check would be the last is kept to, and the zone is not checked all the time.
func TestExpireOfASecondDoesNotSpin(t *testing.T) {
	for _, expire := range []uint32{0, 1} {
		m := refresh.New(refresh.Config{Primaries: 1})
		m.Step(epoch, refresh.Event{Kind: refresh.Started})
		soa := wire.SOA{Serial: serial.New(8), Refresh: 3600, Retry: 900, Expire: expire}
		m.Step(epoch, refresh.Event{Kind: refresh.Transferred, SOA: soa})
		now := m.NextAt()
		if a := m.Step(now, refresh.Event{Kind: refresh.Due}); len(a) != 1 || a[0].Kind != refresh.Withdraw {
			t.Errorf("Expire %d: %v", expire, a)
		}
		if wait := m.NextAt().Sub(now); wait < 900*time.Second*3/4 {
			t.Errorf("Expire %d: the next check is in %s", expire, wait)
		}
	}
}

// What is saved may be from a time of other limits; the check that a restart spreads over a minute may come too late, too.
func TestRestoredZoneIsCheckedAheadOfItsExpiry(t *testing.T) {
	for name, c := range map[string]struct {
		retry, expire uint32
		limits        refresh.Clamp // of expire
		down          time.Duration
		lead          time.Duration
	}{
		"short expire":             {5, 60, refresh.Clamp{}, time.Second, 5 * time.Second},
		"expire limited meanwhile": {30, 86400, refresh.Clamp{Max: time.Minute}, time.Second, 30 * time.Second},
		"long down":                {900, 5000, refresh.Clamp{}, 4090 * time.Second, 900 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			soa := wire.SOA{Serial: serial.New(8), Refresh: 3600, Retry: c.retry, Expire: c.expire}
			for seed := range uint64(20) {
				saved := refresh.Saved{
					SOA: soa, CheckedAt: epoch, ExpireAt: epoch.Add(time.Duration(c.expire) * time.Second),
					NextAt: epoch.Add(5000 * time.Second),
				}
				now := epoch.Add(c.down)
				m := refresh.New(refresh.Config{Primaries: 1, Seed: seed, Expire: c.limits})
				m.Step(now, refresh.Event{Kind: refresh.Restored, Saved: &saved})
				alive(t, m, now, soa, refresh.Event{Kind: refresh.Started})
				if left := m.ExpireAt().Sub(m.NextAt()); left < c.lead {
					t.Fatalf("%s are left at the next check, want %s", left, c.lead)
				}
			}
		})
	}
}

// A reload that changes a limit changes when the zone expires, and with it when it is checked.
func TestReconfiguredZoneIsCheckedAheadOfItsExpiry(t *testing.T) {
	soa := wire.SOA{Serial: serial.New(8), Refresh: 3600, Retry: 900, Expire: 7200}
	for name, c := range map[string]struct {
		limits refresh.Config
		lead   time.Duration
	}{
		"shorter expire":  {refresh.Config{Expire: refresh.Clamp{Max: 2000 * time.Second}}, 900 * time.Second},
		"shortest expire": {refresh.Config{Expire: refresh.Clamp{Max: 100 * time.Second}}, 50 * time.Second},
		"longer retry":    {refresh.Config{Retry: refresh.Clamp{Min: 5000 * time.Second}}, 3600 * time.Second},
		"longer refresh":  {refresh.Config{Refresh: refresh.Clamp{Min: 10_000 * time.Second}}, 900 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			c.limits.Primaries = 1
			for seed := range uint64(20) {
				c.limits.Seed = seed
				m, now := refresh.New(refresh.Config{Primaries: 1, Seed: seed}), epoch
				alive(t, m, now, soa, refresh.Event{Kind: refresh.Started})
				now = now.Add(20 * time.Second)
				alive(t, m, now, soa, refresh.Event{Kind: refresh.Reconfigured, Config: &c.limits})
				for range 3 {
					if left := m.ExpireAt().Sub(m.NextAt()); left < c.lead {
						t.Fatalf("%s are left at the next check, want %s", left, c.lead)
					}
					now = m.NextAt()
					alive(t, m, now, soa, refresh.Event{Kind: refresh.Due})
				}
			}
		})
	}
}
