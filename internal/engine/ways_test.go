package engine

import (
	"net/netip"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/host"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// Ways of a zone whose time has passed take no room in its standing.
func TestWaysThatHavePassedAreDropped(t *testing.T) {
	now := time.Now()
	p := xfr.Primary{Addr: netip.MustParseAddrPort("192.0.2.1:53")}
	o := xfr.Primary{Addr: netip.MustParseAddrPort("192.0.2.2:53")}
	z := &Zone{}
	z.standing.Store(&Standing{})
	z.learn(o, host.WayNoIXFR, now)
	if z.mayIXFR(p, now) { // there are no contents
		t.Error("A zone without contents asks for differences")
	}
	z.learn(p, host.WayTransfersOnly, now.Add(1000*time.Hour))
	if all := z.Standing().Ways; len(all) != 1 || all[o.Addr] != nil {
		t.Errorf("%v are left", all)
	}
}
