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

// What has passed takes no room; what others may read does not change.
func TestWaysByPrimary(t *testing.T) {
	now := time.Now()
	p, o := netip.MustParseAddrPort("192.0.2.1:53"), netip.MustParseAddrPort("192.0.2.2:53")
	var none ByPrimary
	first := none.Learn(p, WayNoIXFR, now)
	both := first.Learn(o, WayTransfersOnly, now.Add(waySpan-1))
	if len(first) != 1 || len(both) != 2 || !both[p].Has(WayNoIXFR, now) {
		t.Errorf("%v, %v", first, both)
	}
	if late := both.Learn(o, WayNoIXFR, now.Add(waySpan)); len(late) != 1 || len(late[o]) != 2 || len(both[o]) != 1 {
		t.Errorf("%v, and before %v", late, both)
	}
	if left := both.Forget(p, WayNoIXFR, now); len(left) != 1 || len(both) != 2 {
		t.Errorf("%v, and before %v", left, both)
	}
	if same := first.Forget(o, WayNoIXFR, now); len(same) != 1 {
		t.Errorf("%v", same)
	}
}

// The wall clock may have been set since ways were saved: none counts for longer than if it were learnt now.
func TestSavedWaysDoNotOutliveTheirSpan(t *testing.T) {
	now := time.Now()
	w := Ways{WayNoIXFR: now.Add(1000 * time.Hour), WayNoOPT: now.Add(time.Hour)}
	p := netip.MustParseAddrPort("192.0.2.1:53")
	got := ByPrimary{p: w}.Limited(now)[p]
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
