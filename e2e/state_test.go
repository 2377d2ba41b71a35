//go:build e2e

package e2e_test

import (
	"path/filepath"
	"regexp"
	"testing"
	"time"
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

// A primary whose serial was set back is a failure of the command that asks it, an event and one line of the log; the advice
// says what can be done about it here.
func TestLowerSerialIsNoSuccess(t *testing.T) {
	t.Parallel()
	c, sec, prim := newConsole(t, 100)
	prim.stop(t)
	prim.Zones[mixedOrigin] = newer(50)
	prim.start(t)
	c.wants(c.says(1, "refresh", mixedOrigin, "--wait", "--timeout", "30s"), "serial_behind", "the primary has serial 50, we serve 100")
	c.wants(c.says(1, "retransfer", mixedOrigin, "--wait", "--timeout", "30s"), "serial_behind", "the primary has serial 50, we serve 100")
	c.wants(c.says(1, "zone", mixedOrigin), "the primary has serial 50, we serve 100", "splusctl retransfer --force")
	c.wants(c.says(0, "events", mixedOrigin), "serial_behind")
	sec.logs(t, `\[WARNING\].*zone=`+mixedOrigin+` primary=`+prim.addr()+`.*serial_behind.*50.*100.*--force`)
	c.says(1, "refresh", mixedOrigin, "--wait", "--timeout", "30s")
	found := regexp.MustCompile(`\[WARNING\].*link Blocked, serial_behind`).FindAllString(sec.proc.log(t), -1)
	if len(found) != 1 {
		t.Errorf("%d lines for one change of state: %q", len(found), found)
	}
	c.says(0, "retransfer", mixedOrigin, "--force", "--wait")
	sec.serves(t, mixedOrigin, 50, notifyLimit)
}

// Of two primaries one is behind: the refresh is good because of the other, which is the one that is named.
func TestRefreshNamesThePrimaryThatConfirms(t *testing.T) {
	t.Parallel()
	good := newBIND(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(100)}})
	old := newBIND(t, primarySpec{Zones: map[string]string{mixedOrigin: newer(50)}})
	sec := newSecondary(t)
	c := &console{t: t, address: "unix:" + filepath.Join(sec.Dir, "control")}
	sec.start(t, secondarySpec{
		Zones: []string{mixedOrigin}, Block: lines("primary "+old.addr()+" "+good.addr(), "control "+c.address),
	})
	sec.serves(t, mixedOrigin, 100, syncLimit)
	c.wants(c.says(0, "refresh", mixedOrigin, "--wait", "--timeout", "30s"), "ok, soa from "+good.addr())
	sec.blocked(t, mixedOrigin, old.addr(), "serial_behind")
	c.wants(c.says(0, "zone", mixedOrigin), "Degraded", "the primary has serial 50, we serve 100")
	good.stop(t)
	c.says(1, "refresh", mixedOrigin, "--wait", "--timeout", "30s")
}

// Contents that nobody confirmed in time are withdrawn, and that is told as the failure it is.
func TestExpiryIsAFailureEverywhere(t *testing.T) {
	t.Parallel()
	prim := newBIND(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(5)}})
	sec := newSecondary(t)
	c := &console{t: t, address: "unix:" + filepath.Join(sec.Dir, "control")}
	sec.start(t, secondarySpec{
		Zones: []string{mixedOrigin},
		Block: lines("primary "+prim.addr(), "control "+c.address, "refresh 2s 2s", "retry 2s 2s", "expire 5s 5s"),
	})
	sec.serves(t, mixedOrigin, 5, syncLimit)
	prim.stop(t)
	eventually(t, time.Minute, "Expiry", func() string {
		return scrape(t, sec.Metrics).is(0, "zone_served", "zone", mixedOrigin)
	})
	c.wants(c.says(1, "zone", mixedOrigin), "the contents expired", "no primary has confirmed it since")
	if out := c.says(0, "events", mixedOrigin); regexp.MustCompile(`expired +ok`).MatchString(out) {
		t.Errorf("The expiry is said to be ok:\n%s", out)
	}
}
