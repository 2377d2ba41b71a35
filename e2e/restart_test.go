//go:build e2e

package e2e_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// A restart serves what was served, octet for octet and at once, though there is no primary any more; however the process
// ended.
func TestRestartServesAtOnceWithoutThePrimary(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		start  func(*testing.T, primarySpec) primary
		sign   []string // of dnssec-signzone; nil for an unsigned zone
		signal syscall.Signal
	}{
		"BIND NSEC3, SIGTERM": {startBIND, []string{"-3", "ABCD"}, syscall.SIGTERM},
		"Knot NSEC, SIGINT":   {startKnot, []string{}, syscall.SIGINT},
		"NSD, SIGQUIT":        {startNSD, nil, syscall.SIGQUIT},
		"PowerDNS, SIGKILL":   {startPowerDNS, nil, syscall.SIGKILL},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := mixedZone(1)
			if c.sign != nil {
				text = sign(t, c.sign...)
			}
			prim := c.start(t, primarySpec{Zones: map[string]string{mixedOrigin: text}})
			sec := newSecondary(t)
			sec.run(t, secondarySpec{Zones: []string{mixedOrigin}, Block: "primary " + prim.addr(), Chain: "transfer {\n to *\n}"})
			sec.serves(t, mixedOrigin, 1, syncLimit)
			sec.saved(t, mixedOrigin, 1, settleLimit)
			whole := axfr(t, sec.addr(), mixedOrigin, nil)
			answers := dump(t, sec.addr(), mixedOrigin, parse(t, whole))
			prim.stop(t)
			sec.end(t, c.signal, mixedOrigin)

			if m := sec.launch(t, mixedOrigin); m.Rcode != dns.RcodeSuccess || len(m.Answer) == 0 {
				t.Errorf("The first answer is %v", m)
			}
			if !sec.ready(t) {
				t.Error("The process is not ready")
			}
			sameDump(t, answers, dump(t, sec.addr(), mixedOrigin, parse(t, whole)))
			if diff := cmp.Diff(whole, axfr(t, sec.addr(), mixedOrigin, nil)); diff != "" {
				t.Errorf("AXFR (-before +after):\n%s", diff)
			}
			m := scrape(t, sec.Metrics)
			if complaint := m.is(1, "saved_serial", "zone", mixedOrigin); complaint != "" {
				t.Error(complaint)
			}
			if n := m.sum("transfers_total") + m.sum("store_errors_total"); n != 0 {
				t.Errorf("Transfers %s, errors %s", m.show("transfers_total"), m.show("store_errors_total"))
			}
			prim.start(t)
			notify(t, "127.0.0.1", sec.addr(), mixedOrigin, nil)
			sec.normal(t, mixedOrigin, prim.addr())
		})
	}
}

// RFC 1034 §4.3.5: expire goes on while the process is down. Before it the zone is served from the store, behind it it is
// not.
func TestRestartAfterExpireIsServfail(t *testing.T) {
	t.Parallel()
	const origin = "brief.test."
	text := plainZone(origin, 1, 20, timers{Refresh: 30, Retry: 1, Expire: 4, Minimum: 300})
	prim := startKnot(t, primarySpec{Zones: map[string]string{origin: text}})
	sec := newSecondary(t)
	sec.run(t, secondarySpec{Zones: []string{origin}, Block: lines("primary "+prim.addr(), "refresh 1h 2h", "retry 1s 2s", "expire 1s 4s")})
	sec.serves(t, origin, 1, syncLimit)
	sec.saved(t, origin, 1, settleLimit)
	expires := scrape(t, sec.Metrics).sum("expire_timestamp_seconds", "zone", origin)
	prim.stop(t)
	sec.proc.kill()
	if m := sec.launch(t, origin); m.Rcode != dns.RcodeSuccess {
		t.Errorf("Before its expire the zone is answered with %v", m)
	}
	if diff := scrape(t, sec.Metrics).sum("expire_timestamp_seconds", "zone", origin) - expires; diff > 0.01 || diff < -0.01 {
		t.Errorf("The restart puts expire off by %v s", diff)
	}
	sec.proc.kill()
	time.Sleep(time.Until(time.UnixMilli(int64(expires * 1000))))
	sec.launch(t, "start.test.")
	if complaint := notReady(sec.addr(), origin); complaint != "" {
		t.Errorf("Behind its expire: %s", complaint)
	}
	prim.start(t)
	notify(t, "127.0.0.1", sec.addr(), origin, nil)
	sec.serves(t, origin, 1, syncLimit)
}

// A zone that is taken out of the Corefile is not answered any more; put back, it is served again at once, without its
// primary, also when the process has ended and begun in between.
func TestZoneThatLeftComesBackWithoutATransfer(t *testing.T) {
	t.Parallel()
	zones := map[string]string{}
	for _, z := range []string{"stays.test.", "goes.test."} {
		zones[z] = plainZone(z, 1, 10, longTimers)
	}
	prim := startBIND(t, primarySpec{Zones: zones})
	sec := newSecondary(t)
	both := []string{"stays.test.", "goes.test."}
	sec.run(t, secondarySpec{Zones: both, Block: "primary " + prim.addr()})
	for _, z := range both {
		sec.serves(t, z, 1, syncLimit)
		sec.saved(t, z, 1, settleLimit)
	}
	prim.stop(t)
	change := func(zones []string, restart bool) {
		t.Helper()
		sec.Zones = zones
		sec.configure(t)
		if restart {
			sec.end(t, syscall.SIGTERM, "stays.test.")
			sec.launch(t, "stays.test.")
		} else {
			sec.reload(t)
		}
	}
	for _, c := range []struct {
		what        string
		away, again bool // by a restart
	}{{"reload", false, false}, {"reload and restart", false, true}, {"restart and reload", true, false}, {"restart", true, true}} {
		change(both[:1], c.away)
		if m := ask(t, sec.addr(), "goes.test.", dns.TypeSOA); len(m.Answer) > 0 || notReady(sec.addr(), "goes.test.") == "" {
			t.Errorf("%s: the zone that left is answered as one of ours: %v", c.what, m)
		}
		change(both, c.again)
		if complaint := sec.differs("goes.test.", 1); complaint != "" {
			t.Errorf("%s: the zone that came back: %s", c.what, complaint)
		}
		if complaint := sec.differs("stays.test.", 1); complaint != "" {
			t.Errorf("%s: the zone that stayed: %s", c.what, complaint)
		}
	}
}

// Two processes on one file: the second does not start, says which file and which process, and harms nothing.
func TestSecondProcessOnTheStoreIsRefused(t *testing.T) {
	t.Parallel()
	sec, prim := syncedPair(t, startKnot, nil)
	sec.saved(t, mixedOrigin, 1, settleLimit)
	out, _ := refusedAtStart(t, fmt.Sprintf(".:%d {\n bind 127.0.0.1\n secondaryplus %s {\n primary %s\n store %s\n }\n}\n",
		freePort(t), mixedOrigin, prim.addr(), sec.storePath()))
	want := regexp.QuoteMeta(sec.storePath()) + fmt.Sprintf(".*in use by process %d ", sec.proc.cmd.Process.Pid)
	if !regexp.MustCompile(want).MatchString(out) {
		t.Errorf("Message does not match %s:\n%s", want, out)
	}
	prim.publish(t, mixedOrigin, newer(2))
	sec.serves(t, mixedOrigin, 2, settleLimit)
	sec.saved(t, mixedOrigin, 2, settleLimit)
	if n := scrape(t, sec.Metrics).sum("store_errors_total"); n != 0 {
		t.Errorf("%v store errors", n)
	}
}

// SIGTERM and SIGINT end the process in time while a transfer is running and updates stream in, and leave a store from which
// everything is served.
func TestShutdownDuringWork(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			fast, slow := newRiver(t, 4), newRiver(t, 8)
			slow.pause.Store(int64(300 * time.Millisecond))
			sec := newSecondary(t)
			fast.tells(sec)
			sec.run(t, secondarySpec{
				Zones: fast.zones, Block: "primary " + fast.address,
				Chain: lines("transfer {", "to *", "}", "secondaryplus "+slow.zones[7]+" {", "primary "+slow.address, "}"),
			})
			for _, z := range fast.zones {
				sec.serves(t, z, 1, syncLimit)
			}
			for i := range 200 {
				fast.flow(i % len(fast.zones))
				time.Sleep(time.Millisecond)
			}
			before := map[string]float64{}
			for _, x := range scrape(t, sec.Metrics).find("serial") {
				before[x.labels["zone"]] = x.value
			}
			sec.end(t, signal, fast.zones[0])
			fast.deaf.Store(true)
			sec.launch(t, fast.zones[0])
			for i, z := range fast.zones {
				if got := fast.held(t, sec.addr(), i); float64(got) < before[z] {
					t.Errorf("%s has serial %d; before the end it was %v", z, got, before[z])
				}
			}
		})
	}
}

// The Corefile can turn the store off: nothing is written, and the log says what that means.
func TestStoreOff(t *testing.T) {
	t.Parallel()
	prim := startKnot(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(1)}})
	sec := newSecondary(t)
	sec.run(t, secondarySpec{Zones: []string{mixedOrigin}, Block: lines("primary "+prim.addr(), "store off")})
	sec.serves(t, mixedOrigin, 1, syncLimit)
	sec.logs(t, `store off: nothing is kept`)
	sec.end(t, syscall.SIGTERM, mixedOrigin)
	if files, _ := filepath.Glob(filepath.Join(sec.Dir, "*.db*")); len(files) > 0 {
		t.Errorf("There are %q", files)
	}
	prim.stop(t)
	if m := sec.launch(t, mixedOrigin); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("Without store and primary the zone is answered with %v", m)
	}
}
