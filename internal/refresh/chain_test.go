package refresh_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// chain is a primary and secondaries one behind the other in simulated time, without delays on the way.
type chain struct {
	soa   wire.SOA // that the primary has
	dead  bool     // the primary
	tiers []*refresh.Machine
}

// answer is what the tier above number i says to a SOA query or a transfer: its expiry as RFC 7314 §3.1 and §3.2 have it.
func (c *chain) answer(i int, now time.Time, success, failure refresh.EventKind) refresh.Event {
	if i == 0 {
		if c.dead {
			return refresh.Event{Kind: failure, Reason: "timeout"}
		}
		return refresh.Event{Kind: success, SOA: c.soa}
	}
	above := c.tiers[i-1]
	soa, _ := above.SOA()
	left := above.Left(now)
	switch {
	case above.State() != refresh.Current:
		return refresh.Event{Kind: failure, Reason: "servfail"}
	case left == soa.Expire:
		return refresh.Event{Kind: success, SOA: soa}
	case left == 0:
		return refresh.Event{Kind: failure, Reason: "expired_there"}
	}
	return refresh.Event{Kind: success, SOA: soa, ExpireAt: now.Add(time.Duration(left) * time.Second)}
}

// step tells tier i of ev, and does what it wants until it rests.
func (c *chain) step(i int, now time.Time, ev refresh.Event) {
	actions := c.tiers[i].Step(now, ev)
	for len(actions) > 0 {
		a := actions[0]
		actions = actions[1:]
		switch a.Kind {
		case refresh.QuerySOA:
			actions = append(actions, c.tiers[i].Step(now, c.answer(i, now, refresh.SOAReceived, refresh.SOAFailed))...)
		case refresh.Transfer:
			actions = append(actions, c.tiers[i].Step(now, c.answer(i, now, refresh.Transferred, refresh.TransferFailed))...)
		case refresh.Withdraw:
		}
	}
}

// next returns the tier that is to be stepped next; of several the upper one.
func (c *chain) next() (tier int) {
	for i, m := range c.tiers {
		if m.NextAt().Before(c.tiers[tier].NextAt()) {
			tier = i
		}
	}
	return tier
}

// RFC 7314: a secondary serves a zone no longer than the one it has it from, whatever the timers and limits are, when the primary
// has died; and as long as all live, none goes dark.
func TestNoTierOutlivesTheOneAbove(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		timer := rapid.SampledFrom([]uint32{0, 1, 30, 60, 300, 900, 3600, 86400, 604800, math.MaxUint32})
		most := rapid.SampledFrom([]time.Duration{0, 0, 0, time.Minute, time.Hour, 30 * 24 * time.Hour})
		c := &chain{soa: wire.SOA{Serial: serial.New(1), Refresh: timer.Draw(t, "refresh"), Retry: timer.Draw(t, "retry"), Expire: timer.Draw(t, "expire")}}
		for i := range rapid.IntRange(2, 3).Draw(t, "tiers") {
			limits := &refresh.Limits{Refresh: refresh.Clamp{Min: 30 * time.Second}, Retry: refresh.Clamp{Min: 30 * time.Second}}
			limits.Expire.Max = most.Draw(t, "most")
			c.tiers = append(c.tiers, refresh.New(refresh.Config{Primaries: 1, Seed: uint64(i), Limits: limits}))
		}
		slack := time.Duration(0)
		if c.soa.Expire == 0 {
			slack = time.Second
		}
		now := epoch
		for i := range c.tiers {
			c.step(i, now, refresh.Event{Kind: refresh.Started})
		}
		dies := rapid.IntRange(1, 60).Draw(t, "dies")
		for n := range 200 {
			if c.dead = n >= dies; !c.dead && n%7 == 6 {
				c.soa.Serial = c.soa.Serial.Add(1)
			}
			i := c.next()
			if now = c.tiers[i].NextAt(); now.After(epoch.AddDate(50, 0, 0)) {
				return // no process runs for so long
			}
			c.step(i, now, refresh.Event{Kind: refresh.Due})
			for i := range c.tiers[1:] {
				above, below := c.tiers[i], c.tiers[i+1]
				switch {
				case below.State() == refresh.Current && below.ExpireAt().After(above.ExpireAt().Add(slack)):
					t.Fatalf("Step %d, %v: tier %d expires %v after the one above", n, now.Sub(epoch), i+1, below.ExpireAt().Sub(above.ExpireAt()))
				case !c.dead && below.State() != refresh.Current:
					t.Fatalf("Step %d, %v: tier %d is dark while all live", n, now.Sub(epoch), i+1)
				}
			}
		}
	})
}

// RFC 7314 §3.2: what is told is the timer, in whole seconds, and never what a primary tells (§3.1).
func TestLeftIsTheTimer(t *testing.T) {
	m := transferredAt(epoch)
	for after, want := range map[time.Duration]uint32{
		0: 86399, time.Second: 86399, 1500 * time.Millisecond: 86398, 86399 * time.Second: 1, 86400 * time.Second: 0, 99999 * time.Second: 0,
	} {
		if got := m.Left(epoch.Add(after)); got != want {
			t.Errorf("After %v: %d s; want %d", after, got, want)
		}
	}
	m.Step(epoch, refresh.Event{Kind: refresh.Transferred, SOA: wire.SOA{Serial: serial.New(8), Refresh: math.MaxUint32, Retry: math.MaxUint32, Expire: 7}})
	if got := m.Left(epoch); got != math.MaxUint32 {
		t.Errorf("Of the longest timer: %d s", got)
	}
}
