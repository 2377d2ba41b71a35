package refresh_test

import (
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/serial"
)

// compared is a machine with two primaries that has serial 8 from the first. It is used by one test.
type compared struct {
	t   *testing.T
	m   *refresh.Machine
	now time.Time
}

func newCompared(t *testing.T) *compared {
	t.Helper()
	c := &compared{t, refresh.New(refresh.Config{Primaries: 2}), epoch}
	c.step(refresh.Event{Kind: refresh.Started})
	c.says(0, 8)
	c.says(1, 8)
	c.step(refresh.Event{Kind: refresh.Transferred, SOA: worldSOA(serial.New(8))})
	return c
}

// step tells the machine of ev a second later.
func (c *compared) step(ev refresh.Event) {
	c.now = c.now.Add(time.Second)
	c.m.Step(c.now, ev)
}

// says has a primary answer a SOA query.
func (c *compared) says(primary int, n uint32) {
	c.step(refresh.Event{Kind: refresh.SOAReceived, Primary: primary, SOA: worldSOA(serial.New(n))})
}

// since fails the test unless the two times are these.
func (c *compared) since(what string, behind, differ time.Time) {
	c.t.Helper()
	if got := c.m.BehindAt(); !got.Equal(behind) {
		c.t.Errorf("%s: behind since %s; want %s", what, got, behind)
	}
	if got := c.m.DifferAt(); !got.Equal(differ) {
		c.t.Errorf("%s: the primaries differ since %s; want %s", what, got, differ)
	}
}

// How long the contents have been behind counts from when a newer serial was first told, until it is served or withdrawn.
func TestBehindSinceANewerSerialWasTold(t *testing.T) {
	c, never := newCompared(t), time.Time{}
	c.since("in step", never, never)
	c.step(refresh.Event{Kind: refresh.Due})
	c.says(0, 9)
	began := c.now
	c.since("one is ahead", began, began)
	c.says(1, 10)
	c.since("both are", began, began)
	c.step(refresh.Event{Kind: refresh.TransferFailed, Primary: 1, Reason: "max_records", Rejected: true, SOA: worldSOA(serial.New(10))})
	c.since("refused", began, began)
	c.step(refresh.Event{Kind: refresh.Transferred, Primary: 0, SOA: worldSOA(serial.New(9))})
	if got := c.m.BehindAt(); !got.After(began) {
		t.Errorf("Behind the other since %s; want since it was told, %s", got, began.Add(time.Second))
	}
	c.step(refresh.Event{Kind: refresh.Transferred, Primary: 1, SOA: worldSOA(serial.New(10))})
	if got := c.m.BehindAt(); !got.IsZero() {
		t.Errorf("Behind since %s with the newest served", got)
	}
}

// RFC 1982 §3.2: a serial that is older, or exactly 2^31 away, is not newer; primaries that have different ones differ.
func TestOnlyNewerSerialsAreAhead(t *testing.T) {
	for n, ahead := range map[uint32]bool{7: false, 8: false, 9: true, 8 + 1<<31: false, 8 + 1<<31 - 1: true, 8 + 1<<31 + 1: false} {
		c := newCompared(t)
		c.step(refresh.Event{Kind: refresh.Due})
		c.says(1, n)
		if got := !c.m.BehindAt().IsZero(); got != ahead {
			t.Errorf("Serial %d: behind %v; want %v", n, got, ahead)
		}
		if got := !c.m.DifferAt().IsZero(); got != (n != 8) {
			t.Errorf("Serial %d: differs %v", n, got)
		}
	}
}

// The span goes on while the difference does, whatever the serials are, and ends when they are the same.
func TestDifferSinceTheyDiffered(t *testing.T) {
	c, never := newCompared(t), time.Time{}
	c.step(refresh.Event{Kind: refresh.Due})
	c.says(1, 7)
	began := c.now
	for _, n := range []uint32{6, 5} {
		c.now = c.now.Add(worldRefresh)
		c.step(refresh.Event{Kind: refresh.Due})
		c.says(1, n)
		c.since("behind", never, began)
	}
	c.now = c.now.Add(worldRefresh)
	c.step(refresh.Event{Kind: refresh.Due})
	c.says(1, 8)
	c.since("in step again", never, never)
}

// A primary that is taken out of the configuration is neither ahead nor different any more.
func TestRemovedPrimaryIsNotCompared(t *testing.T) {
	c, never := newCompared(t), time.Time{}
	c.step(refresh.Event{Kind: refresh.Due})
	c.says(1, 9)
	c.since("ahead", c.now, c.now)
	c.step(refresh.Event{Kind: refresh.Reconfigured, Config: &refresh.Config{Primaries: 1}, Kept: []int{0}})
	c.since("gone", never, never)
}

// Without contents, and after they have expired, nothing is behind: there is nothing to be ahead of.
func TestNothingIsBehindWithoutContents(t *testing.T) {
	m := refresh.New(refresh.Config{Primaries: 2})
	m.Step(epoch, refresh.Event{Kind: refresh.Started})
	m.Step(epoch, refresh.Event{Kind: refresh.SOAReceived, Primary: 0, SOA: worldSOA(serial.New(8))})
	if !m.BehindAt().IsZero() {
		t.Errorf("Behind since %s", m.BehindAt())
	}
	c := newCompared(t)
	c.step(refresh.Event{Kind: refresh.Due})
	c.says(1, 9)
	c.now = c.now.Add(worldExpire)
	c.step(refresh.Event{Kind: refresh.Due})
	if c.m.State() != refresh.Expired || !c.m.BehindAt().IsZero() {
		t.Errorf("%s, behind since %s", c.m.State(), c.m.BehindAt())
	}
}
