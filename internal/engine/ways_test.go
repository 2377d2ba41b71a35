package engine

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// A way counts for its span and no longer; what has passed takes no room.
func TestWaysAreForgotten(t *testing.T) {
	now := time.Now()
	p := xfr.Primary{Addr: netip.MustParseAddrPort("192.0.2.1:53")}
	o := xfr.Primary{Addr: netip.MustParseAddrPort("192.0.2.2:53")}
	z := &Zone{engine: &Engine{remotes: map[remoteID]*remote{}}}
	z.standing.Store(&Standing{})
	z.learn(p, WayNoIXFR, now)
	z.engine.remote(p).ways.learn(WayNoOPT, now.Add(time.Hour))
	want := []Habit{{WayNoIXFR, now.Add(waySpan)}, {WayNoOPT, now.Add(time.Hour + waySpan)}}
	if got := habits(now.Add(waySpan-1), z.engine.remote(p).ways, z.waysOf(p)); !slices.Equal(got, want) {
		t.Errorf("%v; want %v", got, want)
	}
	if got := habits(now.Add(waySpan), z.engine.remote(p).ways, z.waysOf(p)); !slices.Equal(got, want[1:]) {
		t.Errorf("Once its time has passed: %v; want %v", got, want[1:])
	}
	if z.mayIXFR(o, now) { // there are no contents
		t.Error("A zone without contents asks for differences")
	}
	z.learn(o, WayTransfersOnly, now.Add(waySpan))
	if all := z.Standing().Ways; len(all) != 1 || all[p.Addr] != nil {
		t.Errorf("%v are left", all)
	}
}

// The wall clock may have been set since ways were saved: none counts for longer than if it were learnt now.
func TestSavedWaysDoNotOutliveTheirSpan(t *testing.T) {
	now := time.Now()
	w := Ways{WayNoIXFR: now.Add(1000 * time.Hour), WayNoOPT: now.Add(time.Hour)}
	w.limit(now)
	if !w[WayNoIXFR].Equal(now.Add(waySpan)) || !w[WayNoOPT].Equal(now.Add(time.Hour)) {
		t.Errorf("%v", w)
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
