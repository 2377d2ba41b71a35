package engine_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/miekg/dns"
	"go4.org/netipx"

	"github.com/secondaryplus/secondaryplus/internal/allow"
	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/host"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/watch"
)

// hiding is the script of a primary of a version that gives transfers of it, and answers SOA queries as spoil does.
func hiding(zone string, serial uint32, spoil dnstest.Handler) dnstest.Handler {
	good := serve(zone, serial)
	return func(r dnstest.Request, w *dnstest.Writer) {
		if transfer(r) {
			good(r, w)
			return
		}
		spoil(r, w)
	}
}

// habit reports whether a primary of the zone is known for a way.
func (l *lab) habit(zone string, k host.Way) bool {
	d, err := l.Detail(id(zone))
	return err == nil && slices.ContainsFunc(d.Habits[0], func(h host.Habit) bool { return h.Way == k })
}

// changed is a SOA answer of serial 1 with something amiss.
func changed(change func(*dns.Msg)) dnstest.Handler {
	return func(r dnstest.Request, w *dnstest.Writer) {
		m := r.Reply(soa(example, 1))
		change(m)
		w.Send(m)
	}
}

// RFC 1995 §2: IXFR is a check of its own. Whatever a primary makes of the SOA query, it is followed if it gives transfers,
// and after the first time not asked for its SOA before.
func TestPrimaryThatFailsSOAQueriesIsFollowed(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]dnstest.Handler{
		"REFUSED":  refusing(dns.RcodeRefused),
		"SERVFAIL": refusing(dns.RcodeServerFailure),
		"NXDOMAIN": refusing(dns.RcodeNameError),
		"NOTAUTH":  refusing(dns.RcodeNotAuth),
		"YXRRSET":  refusing(dns.RcodeYXRrset),
		"no SOA":   changed(func(m *dns.Msg) { m.Answer = nil }),
		"two SOAs": changed(func(m *dns.Msg) { m.Answer = append(m.Answer, dnstest.Records(soa(example, 9))...) }),
		"no AA":    changed(func(m *dns.Msg) { m.Authoritative = false }),
		"no sense": func(r dnstest.Request, w *dnstest.Writer) {
			w.SendRaw(append(dnstest.Pack(r.Reply(soa(example, 1))), 0, 0, 1)[:40])
		},
		"silence": silent,
		"cut off": func(r dnstest.Request, w *dnstest.Writer) {
			if !r.UDP {
				w.Reset()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := startLab(t)
				a := newActor(t, hiding(example, 1, spoil))
				z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
				l.serves(z, 1)
				for n := range uint32(3) {
					a.play(hiding(example, 2+n, spoil))
					z.Notify(engine.Notification{From: a.Addr().Addr()})
					l.serves(z, 2+n)
					l.eventually("link Normal", func() bool { return l.link(example, 0).State == refresh.Normal })
					if !l.habit(example, host.WayTransfersOnly) {
						t.Fatal("It is not remembered that the primary gives transfers only")
					}
				}
				asked := a.soaQueries()
				done := l.order(refresh.Check)
				l.happens(done, "current", "ok") // the same version, and the primary does no IXFR
				if k := l.link(example, 0); k.State != refresh.Normal || a.soaQueries() != asked {
					t.Errorf("%+v after %d more SOA queries", k, a.soaQueries()-asked)
				}
				if lines := l.log.all("warning"); len(lines) > 0 {
					t.Errorf("The log has %q", lines)
				}
			})
		})
	}
}

// What is remembered of a primary is forgotten when a transfer fails, and on order.
func TestTransfersOnlyIsForgotten(t *testing.T) {
	l := newLab(t)
	refuse := refusing(dns.RcodeRefused)
	a := newActor(t, hiding(example, 1, refuse))
	z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
	l.serves(z, 1)
	l.happens(l.order(refresh.Check), "current", "ok")
	asked := a.soaQueries()
	a.play(refuse)
	l.happens(l.order(refresh.Check), "axfr", "refused")
	if l.habit(example, host.WayTransfersOnly) || a.soaQueries() != asked {
		t.Errorf("The way is remembered, or its SOA was asked for %d times", a.soaQueries()-asked)
	}
	l.blocked(example, 0, "refused")
	a.play(serve(example, 2))
	l.happens(l.order(refresh.Check), "soa", "ok")
	l.serves(z, 2)
}

// A retransfer asks for the whole zone at once.
func TestRetransferAsksForNoSOA(t *testing.T) {
	l := newLab(t)
	a := newActor(t, serve(example, 7))
	z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
	l.serves(z, 7)
	a.play(hiding(example, 7, silent))
	for _, d := range []refresh.Demand{refresh.Again, refresh.Force} {
		l.happens(l.order(d), "axfr", "ok")
	}
	if n := a.soaQueries(); n != 0 {
		t.Errorf("%d SOA queries", n)
	}
}

// Silence about one zone, over UDP and TCP, is that zone's matter: others of the primary are followed meanwhile.
func TestSilenceAboutOneZoneHarmsNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const quiet = "quiet."
		elsewhere := netip.MustParseAddr("192.0.2.99")
		l := startLab(t)
		a := newActor(t, serveAny(1))
		g := group(a.primary())
		g.AllowNotify = allow.List{{Range: netipx.IPRangeFrom(elsewhere, elsewhere)}}
		at := l.Attach(config(g, example, quiet))
		for _, name := range []string{example, quiet} {
			l.serves(at.Zone(id(name)), 1)
			at.Zone(id(name)).Notify(engine.Notification{From: a.Addr().Addr()})
			l.checked(name)
		}
		a.play(func(r dnstest.Request, w *dnstest.Writer) {
			if r.Name == quiet {
				silent(r, w)
				return
			}
			serve(r.Name, 1)(r, w)
		})
		at.Zone(id(quiet)).Notify(engine.Notification{From: a.Addr().Addr()})
		l.blocked(quiet, 0, "timeout")
		at.Zone(id(example)).Notify(engine.Notification{From: elsewhere}) // which does not say that the primary lives
		l.checked(example)
		if k := l.link(example, 0); k.State != refresh.Normal || !k.FailedAt.IsZero() {
			t.Errorf("The link of the other zone is %+v", k)
		}
		for _, name := range []string{example, quiet} {
			d, err := l.Detail(id(name))
			if err != nil || slices.ContainsFunc(d.History, func(v watch.Event) bool { return strings.Contains(v.Text, "not tried") }) {
				t.Errorf("The host counts as down: %+v, error %v", d.History, err)
			}
		}
	})
}

// checked waits until the latest thing that happened to a zone is the answer to a SOA query.
func (l *lab) checked(zone string) {
	l.t.Helper()
	l.eventually("a check", func() bool {
		d, err := l.Detail(id(zone))
		return err == nil && d.History[len(d.History)-1].Kind == "soa" && d.History[len(d.History)-1].Result == "ok"
	})
}

// A datagram with OPT that is dropped is sent again without; the host is known for that, so its other zones wait for nothing.
func TestPrimaryThatDropsOPTIsRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a := newActor(t, func(r dnstest.Request, w *dnstest.Writer) {
			if r.Msg.IsEdns0() == nil || !r.UDP {
				serve(r.Name, 1)(r, w)
			}
		})
		at := l.Attach(config(group(a.primary()), names("z", 3)...))
		for _, name := range names("z", 3) {
			l.serves(at.Zone(id(name)), 1)
		}
		for i, name := range names("z", 3) {
			asked := a.soaQueries()
			at.Zone(id(name)).Notify(engine.Notification{From: a.Addr().Addr()})
			l.checked(name)
			want := 2
			if i == 2 { // once may have been a lost message
				want = 1
			}
			if n := a.soaQueries() - asked; n != want {
				t.Errorf("%s: %d SOA queries; want %d", name, n, want)
			}
			if got := l.habit(name, host.WayNoOPT); got != (i > 0) {
				t.Errorf("%s: remembered is %v", name, got)
			}
		}
	})
}

// A primary that falls silent about all its zones is down: that costs some attempts and not one or two for each zone, though
// it takes connections as before.
func TestSilenceAboutAllZonesIsAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		elsewhere := netip.MustParseAddr("192.0.2.99")
		l := startLab(t)
		a := newActor(t, serveAny(1))
		g := group(a.primary())
		g.AllowNotify = allow.List{{Range: netipx.IPRangeFrom(elsewhere, elsewhere)}}
		zones := names("z", 300)
		c := config(g, zones...)
		c.Settings.SOARate = 1000
		at := l.Attach(c)
		notify := func() {
			for _, name := range zones {
				at.Zone(id(name)).Notify(engine.Notification{From: elsewhere})
			}
		}
		for _, name := range zones {
			l.serves(at.Zone(id(name)), 1)
		}
		notify()
		for _, name := range zones {
			l.checked(name)
		}
		before := a.Accepted()
		a.play(silent)
		notify()
		for _, name := range zones {
			l.blocked(name, 0, "timeout")
		}
		if n := a.Accepted() - before; n > len(zones)/3 {
			t.Errorf("%d connections for %d zones", n, len(zones))
		}
	})
}

// A primary that is not authoritative confirms nothing, neither to the SOA query nor by "you are current".
func TestLamePrimaryConfirmsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a := newActor(t, serve(example, 1))
		z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
		l.serves(z, 1)
		checked := l.Status()[0].CheckedAt
		a.play(changed(func(m *dns.Msg) { m.Authoritative = false }))
		z.Notify(engine.Notification{From: a.Addr().Addr()})
		l.blocked(example, 0, "not_authoritative")
		if s := l.Status()[0]; !s.CheckedAt.Equal(checked) || l.habit(example, host.WayTransfersOnly) {
			t.Errorf("%+v", s)
		}
	})
}
