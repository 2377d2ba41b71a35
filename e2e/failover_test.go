//go:build e2e

package e2e_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// expiring is the SOA of a zone that expires within a test.
var expiring = timers{Refresh: 30, Retry: 1, Expire: 6, Minimum: 300}

// expiringLines let the timers be that short.
const expiringLines = "refresh 1s 2s\nretry 1s 2s\nexpire 1s 1h\n"

func TestDeadFirstPrimaryCostsSecondsOnly(t *testing.T) {
	t.Parallel()
	closed := loopback(freePort(t))
	mute := newFakePrimary(t, nil)
	mute.become(silent, 1)
	for name, dead := range map[string]struct {
		addr    string
		reasons []string
	}{
		"closed port": {closed, []string{"unreachable"}},
		"no answer":   {mute.address, []string{"timeout", "unreachable"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prim := startKnot(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(1)}})
			sec := newSecondary(t)
			sec.start(t, secondarySpec{Zones: []string{mixedOrigin}, Block: "primary " + dead.addr + " " + prim.addr()})
			sec.serves(t, mixedOrigin, 1, syncLimit)
			sec.normal(t, mixedOrigin, prim.addr())
			sec.blocked(t, mixedOrigin, dead.addr, dead.reasons...)
		})
	}
}

func TestDeadPrimaryDoesNotDelayZonesOfALivingOne(t *testing.T) {
	t.Parallel()
	mute := newFakePrimary(t, nil)
	mute.become(silent, 1)
	var dead []string
	for i := range 60 {
		dead = append(dead, fmt.Sprintf("dead%d.test.", i))
	}
	prim := startKnot(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(1)}})
	sec := newSecondary(t)
	sec.start(t, secondarySpec{
		Zones: dead, Block: "primary " + mute.address,
		Chain: "secondaryplus " + mixedOrigin + " {\n primary " + prim.addr() + "\n}",
	})
	sec.serves(t, mixedOrigin, 1, syncLimit)
}

func TestHighestSerialOfAllPrimariesWins(t *testing.T) {
	t.Parallel()
	older := startKnot(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(5)}})
	newest := startNSD(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(7)}})
	for name, order := range map[string][]string{
		"older first":  {older.addr(), newest.addr()},
		"newest first": {newest.addr(), older.addr()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sec := newSecondary(t)
			sec.start(t, secondarySpec{Zones: []string{mixedOrigin}, Block: "primary " + strings.Join(order, " ")})
			sec.serves(t, mixedOrigin, 7, syncLimit)
			sec.keeps(t, mixedOrigin, 7, time.Second)
			eventually(t, settleLimit, "Serial of each primary", func() string {
				m := scrape(t, sec.Metrics)
				return m.is(5, "primary_serial", "zone", mixedOrigin, "primary", older.addr()) +
					m.is(7, "primary_serial", "zone", mixedOrigin, "primary", newest.addr())
			})
		})
	}
}

func TestZoneNeverTransferredIsServfailNotReady(t *testing.T) {
	t.Parallel()
	dead := loopback(freePort(t))
	sec := newSecondary(t)
	sec.start(t, secondarySpec{Zones: []string{mixedOrigin}, Block: "primary " + dead})
	eventually(t, settleLimit, "SERVFAIL", func() string { return notReady(sec.addr(), mixedOrigin) })
	if complaint := notReady(sec.addr(), "www."+mixedOrigin); complaint != "" {
		t.Error(complaint)
	}
	sec.blocked(t, mixedOrigin, dead, "unreachable")
}

func TestPrimaryThatComesLateIsFound(t *testing.T) {
	t.Parallel()
	prim := startKnot(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(1)}})
	prim.stop(t)
	sec := newSecondary(t)
	sec.start(t, secondarySpec{Zones: []string{mixedOrigin}, Block: "primary " + prim.addr()})
	sec.blocked(t, mixedOrigin, prim.addr(), "unreachable")
	prim.start(t)
	sec.serves(t, mixedOrigin, 1, sec.nextAttempt(t)+syncLimit)
	sec.normal(t, mixedOrigin, prim.addr())
}

// nextAttempt returns the latest wait that the log announced.
func (s *secondary) nextAttempt(t *testing.T) time.Duration {
	t.Helper()
	all := regexp.MustCompile(`next attempt in (\w+)`).FindAllStringSubmatch(s.proc.log(t), -1)
	if len(all) == 0 {
		t.Fatal("The log does not announce the next attempt")
	}
	wait, err := time.ParseDuration(all[len(all)-1][1])
	if err != nil {
		t.Fatalf("Next attempt: %v", err)
	}
	return wait
}

func TestDeadPrimariesAreOutlivedUntilExpireAndBackWithTheSameSerialServedAgain(t *testing.T) {
	t.Parallel()
	const origin = "expiring.test."
	zones := map[string]string{origin: plainZone(origin, 1, 5, expiring)}
	first, second := startKnot(t, primarySpec{Zones: zones}), startNSD(t, primarySpec{Zones: zones})
	sec := newSecondary(t)
	sec.start(t, secondarySpec{
		Zones: []string{origin}, Block: lines("primary "+first.addr()+" "+second.addr(), expiringLines),
	})
	sec.serves(t, origin, 1, syncLimit)
	sec.keeps(t, origin, 1, 8*time.Second) // longer than expire: the checks must have moved it

	first.stop(t)
	second.stop(t)
	expiresAt := time.UnixMilli(int64(scrape(t, sec.Metrics).sum("expire_timestamp_seconds", "zone", origin) * 1000))
	eventually(t, 10*time.Second, "Zone expires", func() string { return notReady(sec.addr(), origin) })
	// The metric may have whole seconds.
	if early := time.Until(expiresAt); early > time.Second {
		t.Errorf("SERVFAIL %v before the expiry", early)
	}
	for _, p := range []primary{first, second} {
		sec.blocked(t, origin, p.addr(), "unreachable", "timeout")
	}
	if m := ask(t, sec.addr(), "h0."+origin, dns.TypeA); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("Host of an expired zone: %s", dns.RcodeToString[m.Rcode])
	}
	sec.logs(t, `(?i)expiring\.test\..*expired`)

	first.start(t)
	sec.serves(t, origin, 1, syncLimit)
	sec.normal(t, origin, first.addr())
	sec.blocked(t, origin, second.addr(), "unreachable", "timeout")
}

func TestOlderSerialIsRefusedBeforeExpiryAndTakenAfterIt(t *testing.T) {
	t.Parallel()
	const origin = "older.test."
	prim := startNSD(t, primarySpec{Zones: map[string]string{origin: plainZone(origin, 10, 5, expiring)}})
	sec := newSecondary(t)
	sec.start(t, secondarySpec{Zones: []string{origin}, Block: lines("primary "+prim.addr(), expiringLines)})
	sec.serves(t, origin, 10, syncLimit)
	prim.publish(t, origin, plainZone(origin, 5, 5, expiring))
	sec.blocked(t, origin, prim.addr(), "serial_behind")
	sec.serves(t, origin, 5, 20*time.Second)
	sec.normal(t, origin, prim.addr())
}

func TestReadyWhenTheFirstRoundIsOver(t *testing.T) {
	t.Parallel()
	t.Run("synced", func(t *testing.T) {
		t.Parallel()
		sec, _ := syncedPair(t, startKnot, nil)
		eventually(t, settleLimit, "Ready", func() string { return unready(t, sec) })
	})
	t.Run("failed", func(t *testing.T) {
		t.Parallel()
		mute := newFakePrimary(t, nil)
		mute.become(silent, 1)
		sec := newSecondary(t)
		sec.start(t, secondarySpec{Zones: []string{faultOrigin}, Block: "primary " + mute.address})
		if sec.ready(t) {
			t.Error("Ready before the first round is over")
		}
		eventually(t, time.Minute, "Ready", func() string { return unready(t, sec) })
	})
}

// unready complains while the readiness endpoint says no.
func unready(t *testing.T, sec *secondary) (complaint string) {
	t.Helper()
	if !sec.ready(t) {
		return "not ready"
	}
	return ""
}
