package host

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// A way counts for its span and no longer.
func TestWaysAreForgotten(t *testing.T) {
	now := time.Now()
	var of, shared Ways
	of.Learn(WayNoIXFR, now)
	shared.Learn(WayNoOPT, now.Add(time.Hour))
	want := []Habit{{WayNoIXFR, now.Add(waySpan)}, {WayNoOPT, now.Add(time.Hour + waySpan)}}
	if got := Habits(now.Add(waySpan-1), shared, of, nil); !slices.Equal(got, want) {
		t.Errorf("%v; want %v", got, want)
	}
	if got := Habits(now.Add(waySpan), shared, of); !slices.Equal(got, want[1:]) {
		t.Errorf("Once its time has passed: %v; want %v", got, want[1:])
	}
}

// The wall clock may have been set since ways were saved: none counts for longer than if it were learnt now.
func TestSavedWaysDoNotOutliveTheirSpan(t *testing.T) {
	now := time.Now()
	w := Ways{WayNoIXFR: now.Add(1000 * time.Hour), WayNoOPT: now.Add(time.Hour)}
	p := netip.MustParseAddrPort("192.0.2.1:53")
	got := Limited(map[netip.AddrPort]Ways{p: w}, now)[p]
	if !got[WayNoIXFR].Equal(now.Add(waySpan)) || !got[WayNoOPT].Equal(now.Add(time.Hour)) {
		t.Errorf("%v", got)
	}
	if w[WayNoIXFR].Equal(got[WayNoIXFR]) {
		t.Error("What is saved has changed")
	}
}

// Every way has words for people.
func TestWaysHaveWords(t *testing.T) {
	for _, k := range []Way{WayNoOPT, WayOneQuery, WayNoIXFR, WayTransfersOnly} {
		if k.Text() == "" {
			t.Errorf("%s has none", k)
		}
	}
	if len(wayTexts) != 4 {
		t.Errorf("%d ways have words", len(wayTexts))
	}
}
