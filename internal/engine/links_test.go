package engine_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
)

// A primary that answers, and whose answer leaves the link Blocked, makes an event that says so and one line of the log, however
// often it is asked.
func TestAnswerThatBlocksTheLinkIsAFailure(t *testing.T) {
	wantNothingLeft(t)
	for name, c := range map[string]struct {
		script       dnstest.Handler
		kind, reason string
		text, act    string
	}{
		"serial behind": {serve(example, 50), "soa", "serial_behind",
			"the primary has serial 50, we serve 100", "--force"},
		"serial undefined": {serve(example, 100+1<<31), "soa", "serial_undefined",
			"the primary has serial 2147483748, we serve 100, exactly 2^31 away", "--force"},
		"serial 0": {serve(example, 0), "soa", "serial_zero", "SOA serial 0", "serial_zero accept"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := startLab(t)
			a := newActor(t, serve(example, 100))
			z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
			l.serves(z, 100)
			a.play(c.script)
			for range 3 {
				if v := l.happens(l.order(refresh.Check), c.kind, c.reason); !strings.Contains(v.Text, c.text) {
					t.Errorf("Event %+v; want %q", v, c.text)
				}
			}
			lines := l.log.all("warning zone=example.", "primary="+a.primary().String(), c.reason)
			if len(lines) != 1 || !strings.Contains(lines[0], c.text) || !strings.Contains(lines[0], c.act) ||
				!strings.Contains(lines[0], "old contents served until") {
				t.Errorf("Lines are %q; want one with %q and %q", lines, c.text, c.act)
			}
			a.play(serve(example, 100))
			l.happens(l.order(refresh.Check), "soa", "ok")
			a.play(c.script)
			l.happens(l.order(refresh.Check), c.kind, c.reason)
			l.eventually("a second line", func() bool {
				return len(l.log.all("warning zone=example.", "primary="+a.primary().String(), c.reason)) == 2
			})
		})
	}
}

// A primary that still has the version which a rule refused answers, and is no better for it.
func TestRefusedVersionIsNoGoodAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a := newActor(t, serve(example, 7))
		g := group(a.primary())
		g.MaxRecords = 4
		z := l.Attach(config(g, example)).Zone(id(example))
		l.serves(z, 7)
		a.play(dnstest.Serve(secret, append(version(example, 8), "more."+example+" 60 IN A 192.0.2.1")...))
		z.Notify(engine.Notification{From: a.Addr().Addr()})
		rejected := l.happens(0, "ixfr", "max_records")
		z.Notify(engine.Notification{From: a.Addr().Addr()})
		if v := l.happens(rejected.ID, "soa", "max_records"); !strings.Contains(v.Text, "too many records") {
			t.Errorf("Event %+v", v)
		}
		if lines := l.log.all("warning zone=example.", "too many"); len(lines) != 1 {
			t.Errorf("Lines are %q; want one", lines)
		}
	})
}

// An attempt that fails is logged as such, and not again for the link.
func TestFailedAttemptIsLoggedOnce(t *testing.T) {
	l := newLab(t)
	a := newActor(t, serve(example, 7))
	z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
	l.serves(z, 7)
	a.play(refusing(dns.RcodeRefused))
	l.happens(l.order(refresh.Check), "axfr", "refused")
	l.logged("warning zone=example.", "op=axfr")
	if lines := l.log.all("warning zone=example."); len(lines) != 1 {
		t.Errorf("Lines are %q; want one", lines)
	}
}

// Zones that are not even tried, because their primary is down, have a line each; of very many zones only the first.
func TestZonesOfADeadPrimaryAreLogged(t *testing.T) {
	l := newLab(t)
	const zones = 60
	l.Attach(config(group(nobody(t)), names("z", zones)...))
	l.eventually("all Blocked", func() bool {
		n := 0
		for _, s := range l.Status() {
			if s.State == refresh.ZoneBlocked {
				n++
			}
		}
		return n == zones
	})
	l.logged("warning primary=", "further zones", "splusctl zones --state blocked")
	const maxSkipped = 10 // as package watch has it
	if lines := l.log.all("warning zone=", "link Blocked, unreachable", "not tried"); len(lines) == 0 || len(lines) > maxSkipped {
		t.Errorf("%d lines of zones that were not tried; want 1 to %d", len(lines), maxSkipped)
	}
}

// Contents that are withdrawn are a failure, and so is their restoration.
func TestExpiryIsAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a := newActor(t, serve(example, 7))
		z := l.Attach(config(hasty(a), example)).Zone(id(example))
		l.serves(z, 7)
		a.play(refusing(dns.RcodeServerFailure))
		v := l.happens(0, "expired", "expired")
		if !strings.Contains(v.Text, "no primary has confirmed it since") || v.From.Uint32() != 7 {
			t.Errorf("Event %+v", v)
		}
	})
}
