package refresh_test

import (
	"math"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/serial"
)

// 20,000 zones have to fit into a machine that others use as well.
func TestMachineStaysSmall(t *testing.T) {
	const most = 416
	if got := refresh.Size(1); got > most {
		t.Errorf("a machine with one primary takes %d octets, want at most %d", got, most)
	}
}

func TestQuietCheckAllocatesOnlyItsActions(t *testing.T) {
	m := refresh.New(refresh.Config{Primaries: 1})
	now := epoch
	m.Step(now, refresh.Event{Kind: refresh.Started})
	m.Step(now, refresh.Event{Kind: refresh.Transferred, SOA: worldSOA(serial.New(8))})
	got := testing.AllocsPerRun(100, func() {
		now = m.NextAt()
		if a := m.Step(now, refresh.Event{Kind: refresh.Due}); len(a) != 1 || a[0].Kind != refresh.QuerySOA {
			t.Fatalf("due: %v", a)
		}
		m.Step(now, refresh.Event{Kind: refresh.SOAReceived, SOA: worldSOA(serial.New(8))})
	})
	if got > 1 {
		t.Errorf("%v allocations, want 1", got)
	}
}

func TestZonesLoadedTogetherSpreadOut(t *testing.T) {
	const zones = 1000
	span := float64(worldRefresh)
	var sum float64
	buckets := make([]int, 10)
	for i := range zones {
		m := refresh.New(refresh.Config{Primaries: 1, Seed: uint64(i)})
		m.Step(epoch, refresh.Event{Kind: refresh.Started})
		m.Step(epoch, refresh.Event{Kind: refresh.Transferred, SOA: worldSOA(serial.New(8))})
		early := 1 - float64(m.RefreshAt().Sub(epoch))/span
		if early < 0 || early > 0.25 {
			t.Fatalf("zone %d comes %.3f early, want 0 to 0.25", i, early)
		}
		sum += early
		buckets[int(early*4*float64(len(buckets)))]++
	}
	if mean := sum / zones; math.Abs(mean-0.125) > 0.01 {
		t.Errorf("mean jitter %.3f, want 0.125", mean)
	}
	for i, n := range buckets {
		if n < zones/20 {
			t.Errorf("bucket %d has %d of %d zones", i, n, zones)
		}
	}
}

func TestSameSeedSameSchedule(t *testing.T) {
	run := func() time.Time {
		w := newWorld(t, 2)
		w.step(refresh.Event{Kind: refresh.Started})
		w.run(time.Hour)
		return w.m.NextAt()
	}
	if a, b := run(), run(); !a.Equal(b) {
		t.Errorf("two runs differ: %s and %s", a, b)
	}
}

// A clock set back must neither freeze a zone nor let it expire, and what is shown follows the new clock.
func TestClockSetBackKeepsSpans(t *testing.T) {
	m := refresh.New(refresh.Config{Primaries: 1})
	m.Step(epoch, refresh.Event{Kind: refresh.Started})
	m.Step(epoch, refresh.Event{Kind: refresh.Transferred, SOA: worldSOA(serial.New(8))})
	next := m.NextAt().Sub(epoch)
	back := epoch.AddDate(-1, 0, 0)
	m.Step(back, refresh.Event{Kind: refresh.Due})
	if got := m.NextAt().Sub(back); got != next {
		t.Errorf("next attempt in %s, want still in %s", got, next)
	}
}

func TestNothingIsWantedBeforeTheStart(t *testing.T) {
	m := refresh.New(refresh.Config{Primaries: 2})
	if !m.NextAt().IsZero() || m.Running() || m.Settled() {
		t.Error("a new machine wants something")
	}
	if a := m.Step(epoch, refresh.Event{Kind: refresh.Reconfigured, Config: &refresh.Config{Primaries: 1}}); len(a) != 0 {
		t.Errorf("reconfigured before the start: %v", a)
	}
	if a := m.Step(epoch, refresh.Event{Kind: refresh.Started}); len(a) != 1 || a[0].String() != "transfer 0 full" {
		t.Errorf("started with the new configuration: %v", a)
	}
}

func TestSettledOnceTheFirstRoundHasEnded(t *testing.T) {
	m := refresh.New(refresh.Config{Primaries: 1})
	m.Step(epoch, refresh.Event{Kind: refresh.Started})
	if m.Settled() {
		t.Error("settled in the first round")
	}
	m.Step(epoch, refresh.Event{Kind: refresh.TransferFailed, Reason: "timeout"})
	if !m.Settled() || m.Failures() != 1 {
		t.Errorf("settled %v, failures %d after a failed round", m.Settled(), m.Failures())
	}
	m.Step(epoch, refresh.Event{Kind: refresh.Notified})
	if !m.Settled() {
		t.Error("a NOTIFY unsettles the zone")
	}
}
