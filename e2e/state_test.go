//go:build e2e

package e2e_test

import (
	"path/filepath"
	"testing"
)

// A zone with a dead primary beside one that is followed is Degraded wherever its state is shown, and among those that need
// attention.
func TestOneOfTwoPrimariesDeadIsDegraded(t *testing.T) {
	t.Parallel()
	prim := newBIND(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(5)}})
	sec, dead := newSecondary(t), loopback(freePort(t))
	c := &console{t: t, address: "unix:" + filepath.Join(sec.Dir, "control")}
	sec.start(t, secondarySpec{
		Zones: []string{mixedOrigin},
		Block: lines("primary "+prim.addr()+" "+dead, "control "+c.address),
	})
	sec.serves(t, mixedOrigin, 5, syncLimit)
	sec.blocked(t, mixedOrigin, dead, "unreachable")
	sec.normal(t, mixedOrigin, prim.addr())

	c.wants(c.says(0, "zones", "--state", "degraded"), mixedOrigin, "Degraded", "unreachable")
	c.wants(c.says(0, "zones", "--state", "normal"), "No such zone")
	c.wants(c.says(0, "zone", mixedOrigin), "Degraded", dead+" is Blocked: unreachable")
	c.wants(c.says(0, "status", "--output", "json"), `"degraded": 1`, `"normal": 0`)
	if complaint := scrape(t, sec.Metrics).is(0.5, "zone_state", "zone", mixedOrigin); complaint != "" {
		t.Error(complaint)
	}
}
