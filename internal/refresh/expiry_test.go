package refresh_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
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

// The largest limit of the operator wins over the least expire: the zone is checked ahead of it, however short it is, and not
// all the time.
func TestLimitOfExpireWins(t *testing.T) {
	soa := wire.SOA{Serial: serial.New(8), Refresh: 3600, Retry: 900, Expire: 86400}
	for _, most := range []time.Duration{time.Second, 2 * time.Second, time.Minute, time.Hour} {
		m, now := refresh.New(refresh.Config{Primaries: 1, Limits: &refresh.Limits{Expire: refresh.Clamp{Max: most}}}), epoch
		alive(t, m, now, soa, refresh.Event{Kind: refresh.Started})
		for range 100 {
			if got := m.ExpireAt().Sub(now); got != most {
				t.Fatalf("With a limit of %s the zone expires in %s", most, got)
			}
			if wait := m.NextAt().Sub(now); wait < most/4 {
				t.Fatalf("With a limit of %s the next check is in %s", most, wait)
			}
			now = m.NextAt()
			alive(t, m, now, soa, refresh.Event{Kind: refresh.Due})
		}
	}
}

// Timers at every edge of their range, in all combinations and with limits and without: while a primary answers well the zone
// is served at every moment; when it is not served any more its state is not Normal.
func TestNoTimersDarkenAZone(t *testing.T) {
	dnstest.Alone(t)
	edges := []uint32{0, 1, 2, 29, 30, 31, 900, 1799, 1800, 3600, 86400, 1<<31 - 1, 1 << 31, 1<<32 - 2, 1<<32 - 1}
	const day = 24 * time.Hour
	for name, limits := range map[string]refresh.Limits{
		"none":    {},
		"usual":   {Refresh: refresh.Clamp{Min: 30 * time.Second, Max: 28 * day}, Retry: refresh.Clamp{Min: 30 * time.Second, Max: 14 * day}},
		"shorter": {Expire: refresh.Clamp{Max: 10 * time.Second}, Refresh: refresh.Clamp{Min: time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := refresh.Config{Limits: &limits, Primaries: 1}
			for i, n := range combinations(edges) {
				cfg.Seed = uint64(i)
				outlives(t, cfg, wire.SOA{Serial: serial.New(8), Refresh: n[0], Retry: n[1], Expire: n[2]})
			}
		})
	}
}

// combinations returns all triples of numbers.
func combinations(of []uint32) (all [][3]uint32) {
	for _, a := range of {
		for _, b := range of {
			for _, c := range of {
				all = append(all, [3]uint32{a, b, c})
			}
		}
	}
	return all
}

// outlives has a zone with this SOA checked by a living primary that is silent every other time, where there is room for
// that, then by a dead one until the zone expires, and then by a living one again.
func outlives(t *testing.T, cfg refresh.Config, soa wire.SOA) {
	t.Helper()
	m, now := refresh.New(cfg), epoch
	alive(t, m, now, soa, refresh.Event{Kind: refresh.Started})
	spans := cfg.Spans(soa)
	for i := range 6 {
		if m.State() != refresh.Current || m.ZoneState() != refresh.ZoneNormal {
			t.Fatalf("%+v: the zone is %s and %s under a living primary", soa, m.State(), m.ZoneState())
		}
		if now = m.NextAt(); now.After(epoch.AddDate(50, 0, 0)) {
			return // no process runs for so long
		}
		if i%2 == 1 && spans.Expire >= spans.Refresh+spans.Retry {
			now = unanswered(m, now)
		}
		alive(t, m, now, soa, refresh.Event{Kind: refresh.Due})
	}
	expireAt := m.ExpireAt()
	for range 200 {
		if now = m.NextAt(); !now.Before(expireAt) {
			break
		}
		unanswered(m, now)
	}
	m.Step(expireAt, refresh.Event{Kind: refresh.Due})
	if m.State() != refresh.Expired || m.ZoneState() != refresh.ZoneBlocked {
		t.Fatalf("%+v: at its expiry the zone is %s and %s", soa, m.State(), m.ZoneState())
	}
	alive(t, m, expireAt, soa, refresh.Event{Kind: refresh.Notified})
	for range 3 { // the check of the NOTIFY, or one after RETRY
		if m.State() == refresh.Current {
			break
		}
		alive(t, m, m.NextAt(), soa, refresh.Event{Kind: refresh.Due})
	}
	if m.State() != refresh.Current || m.ZoneState() != refresh.ZoneNormal && !m.Links()[0].Damped {
		t.Fatalf("%+v: back again the zone is %s and %s", soa, m.State(), m.ZoneState())
	}
}

// unanswered has the check that is due at now fail, and returns when the next one is.
func unanswered(m *refresh.Machine, now time.Time) time.Time {
	m.Step(now, refresh.Event{Kind: refresh.Due})
	m.Step(now, refresh.Event{Kind: refresh.SOAFailed, Reason: "timeout"})
	return m.NextAt()
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
				m := refresh.New(refresh.Config{Primaries: 1, Seed: seed, Limits: &refresh.Limits{Expire: c.limits}})
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
		limits refresh.Limits
		lead   time.Duration
	}{
		"shorter expire":  {refresh.Limits{Expire: refresh.Clamp{Max: 2000 * time.Second}}, 900 * time.Second},
		"shortest expire": {refresh.Limits{Expire: refresh.Clamp{Max: 100 * time.Second}}, 50 * time.Second},
		"longer retry":    {refresh.Limits{Retry: refresh.Clamp{Min: 5000 * time.Second}}, 3600 * time.Second},
		"longer refresh":  {refresh.Limits{Refresh: refresh.Clamp{Min: 10_000 * time.Second}}, 900 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(20) {
				limited := refresh.Config{Limits: &c.limits, Primaries: 1, Seed: seed}
				m, now := refresh.New(refresh.Config{Primaries: 1, Seed: seed}), epoch
				alive(t, m, now, soa, refresh.Event{Kind: refresh.Started})
				now = now.Add(20 * time.Second)
				alive(t, m, now, soa, refresh.Event{Kind: refresh.Reconfigured, Config: &limited})
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
