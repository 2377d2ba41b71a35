package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
)

// hasty returns a group whose zones expire after a second and are tried every second.
func hasty(a *actor) *engine.Group {
	g := group(a.primary())
	second := refresh.Clamp{Min: time.Second, Max: time.Second}
	g.Retry, g.Expire = second, second
	return g
}

// RFC 1034 §4.3.5: without a successful check for EXPIRE the zone is not served; whatever the primary then has is.
func TestExpiredZoneIsServedAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		serial uint32
		dead   dnstest.Handler
	}{
		{"same serial after SERVFAIL", 7, refusing(dns.RcodeServerFailure)},
		{"same serial after REFUSED", 7, refusing(dns.RcodeRefused)},
		{"older serial", 3, refusing(dns.RcodeServerFailure)},
		{"newer serial", 8, refusing(dns.RcodeServerFailure)},
		{"same serial after resets", 7, func(r dnstest.Request, w *dnstest.Writer) {
			if !r.UDP { // which has no connection to reset
				w.Reset()
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := startLab(t)
				a := newActor(t, serve(example, 7))
				z := l.Attach(config(hasty(a), example)).Zone(id(example))
				l.serves(z, 7)
				a.play(c.dead)
				l.eventually("expiry", func() bool { return z.Contents() == nil })
				l.logged("error zone=example.", "expired", "SERVFAIL")
				l.eventually("metric zone_served 0", func() bool { return l.metric("zone_served") == 0 && l.metric("serial") == 0 })
				a.play(serve(example, c.serial))
				l.serves(z, c.serial)
			})
		})
	}
}

// An hour is far away: a primary that fails before expiry takes nothing.
func TestOlderSerialIsNotTakenBeforeExpiry(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		serial uint32
		reason string
	}{
		{"older", 6, "serial_behind"},
		{"exactly 2^31 away", 7 + 1<<31, "serial_undefined"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := startLab(t)
				a := newActor(t, serve(example, 7))
				z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
				l.serves(z, 7)
				a.play(serve(example, c.serial))
				z.Notify(engine.Notification{From: a.Addr().Addr()})
				l.blocked(example, 0, c.reason)
				if served(z) != 7 || a.transfers() != 1 {
					t.Errorf("Serial %d after %d transfers; want 7 after 1", served(z), a.transfers())
				}
			})
		})
	}
}

// RFC 1982 §3.2: 1 follows 4294967295, and so does 0 where it is accepted.
func TestSerialWraps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a := newActor(t, serve(example, 1<<32-1))
		g := group(a.primary())
		g.SerialZero = true
		z := l.Attach(config(g, example)).Zone(id(example))
		l.serves(z, 1<<32-1)
		a.play(serve(example, 0))
		z.Notify(engine.Notification{From: a.Addr().Addr()})
		l.eventually("serial 0", func() bool { return z.Contents().Serial().Uint32() == 0 })
		a.play(serve(example, 1))
		z.Notify(engine.Notification{From: a.Addr().Addr()})
		l.serves(z, 1)
	})
}

// A SOA refresh that is too small is served as it is, and not kept to.
func TestSmallRefreshIsNotKeptTo(t *testing.T) {
	l := newLab(t)
	records := version(example, 1)
	records[0] = "example. 3600 IN SOA ns.example. admin.example. 1 5 3600 86400 300"
	a := newActor(t, dnstest.Serve(secret, records...))
	z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
	l.serves(z, 1)
	if got := z.Contents().SOA().Refresh; got != 5 {
		t.Errorf("The SOA served has refresh %d; want 5", got)
	}
	l.logged("warning zone=example.", "refresh_range", "SOA refresh 5")
	if l.metric("rule_violations_total", "rule", "refresh_range") != 1 {
		t.Error("The violation is not counted")
	}
	in := time.Until(l.Status()[0].NextAt)
	if most := 1800 * time.Second; in > most || in < most*3/4-time.Minute {
		t.Errorf("The next check is in %s; want 1800 s less up to a quarter", in)
	}
}

// A zone does not expire under a living primary, though the operator's limit of expire comes before its refresh.
func TestShortExpireDoesNotLapse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a := newActor(t, func(r dnstest.Request, w *dnstest.Writer) {
			rrs := timers(1, 3600, 1, 86400)
			if transfer(r) {
				sendRecords(r, w, append(rrs, rrs[0]))
				return
			}
			sendRecords(r, w, rrs[:1])
		})
		g := group(a.primary())
		g.Expire.Max = 3 * time.Second
		z := l.Attach(config(g, example)).Zone(id(example))
		l.serves(z, 1)
		l.eventually("three checks", func() bool { return a.soaQueries() >= 3 })
		if lines := l.log.all("expired"); len(lines) > 0 || a.transfers() != 1 {
			t.Errorf("%d transfers; the log has %q", a.transfers(), lines)
		}
		l.logged("warning zone=example.", "timer_order", "checked every 2s instead")
		if d, err := l.Detail(id(example)); err != nil || d.Refresh != 2*time.Second {
			t.Errorf("The refresh in force is %s, error %v; want 2s", d.Refresh, err)
		}
	})
}

// A SOA EXPIRE of 0 or 1 counts as REFRESH and RETRY together: the zone is served, with a warning.
func TestExpireBelowRefreshCountsAsMore(t *testing.T) {
	for _, expire := range []uint32{0, 1} {
		l := newLab(t)
		a := newActor(t, func(r dnstest.Request, w *dnstest.Writer) {
			rrs := timers(1, 3600, 900, expire)
			sendRecords(r, w, append(rrs, rrs[0]))
		})
		z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
		l.serves(z, 1)
		l.logged("warning zone=example.", "timer_order", "counts as 1h15m0s")
		d, err := l.Detail(id(example))
		if err != nil || d.Expire != 75*time.Minute || time.Until(d.ExpireAt) < 74*time.Minute {
			t.Errorf("Expire %d: in force is %s, error %v; want 1h15m", expire, d.Expire, err)
		}
		if got := z.Contents().SOA().Expire; got != expire {
			t.Errorf("The SOA served has expire %d; want %d", got, expire)
		}
	}
}

// A primary that has serial 0 answers: its serial is known and it is in no back-off, but nothing is transferred.
func TestSerialZeroIsKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a := newActor(t, serve(example, 7))
		z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
		l.serves(z, 7)
		a.play(serve(example, 0))
		z.Notify(engine.Notification{From: a.Addr().Addr()})
		l.blocked(example, 0, "serial_zero")
		if k := l.link(example, 0); !k.HasSerial || k.Serial.Uint32() != 0 || k.Failures != 0 || !k.RetryAt.IsZero() {
			t.Errorf("The link is %+v", k)
		}
		l.logged("warning", "serial_zero", "serial=7->0", "outside 1..4294967295", "next attempt in", "old contents served")
		if n, told := l.metric("rule_violations_total", "rule", "serial_zero"), l.metric("primary_serial"); n != 1 || told != 0 {
			t.Errorf("%v violations, primary_serial %v", n, told)
		}
		if d, err := l.Detail(id(example)); err != nil || d.Failures != 1 || time.Until(d.NextAt) > d.Retry {
			t.Errorf("%d failed rounds, the next in %s, error %v; retry is %s", d.Failures, time.Until(d.NextAt), err, d.Retry)
		}
		if served(z) != 7 || a.transfers() != 1 {
			t.Errorf("Serial %d is served after %d transfers", served(z), a.transfers())
		}
		a.play(serve(example, 8))
		z.Notify(engine.Notification{From: a.Addr().Addr()})
		l.serves(z, 8)
	})
}
