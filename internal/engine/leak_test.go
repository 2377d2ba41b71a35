package engine_test

import (
	"testing"
	"testing/synctest"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// Records that cannot be part of the zone are left out, named and counted; the others are served.
func TestUnfitRecordsAreDiscardedAndCounted(t *testing.T) {
	unfit := func(records ...string) dnstest.Handler {
		return answering(append(append(version(example, 1), records...), soa(example, 1))...)
	}
	for _, c := range []struct {
		name, rule, sample string
		script             dnstest.Handler
	}{
		{"out of zone", "out_of_zone", "www.test. A", unfit("www.test. 60 IN A 192.0.2.1", "badexample. 60 IN A 192.0.2.1")},
		{"not IN", "non_in_class", "ch.example. TXT", unfit("ch.example. 60 CH TXT x", "hs.example. 60 HS TXT x")},
		{"malformed", "malformed_record", "bad.example. A", misshaping(append(version(example, 1), soa(example, 1)), "bad.example.", "worse.example.")},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			a := newActor(t, spoiling(example, 1, c.script))
			z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
			l.serves(z, 1)
			if got, want := z.Contents().Records(), len(version(example, 1)); got != want {
				t.Errorf("%d records; want %d", got, want)
			}
			l.logged("warning zone=example.", "rule "+c.rule, "2 records", c.sample)
			if got := l.metric("rule_violations_total", "rule", c.rule); got != 2 {
				t.Errorf("%v violations of %s; want 2", got, c.rule)
			}
		})
	}
}

// A primary that takes the connection and is silent holds nothing up and is let go at once.
func TestCloseEndsATransferThatHangs(t *testing.T) {
	l := newLab(t)
	a := newSocketActor(t, serve(example, 1))
	z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
	l.serves(z, 1)
	before := z.Contents()
	a.play(spoiling(example, 2, silent))
	z.Notify(engine.Notification{From: a.Addr().Addr()})
	l.eventually("a hanging transfer", func() bool { return a.transfers() == 2 })
	l.Close()
	l.eventually("no connection", func() bool { return a.Open() == 0 })
	if z.Contents() != before {
		t.Error("What was served is not served any more")
	}
}

// An operator who takes a zone away, or its primary, does not wait for a transfer that hangs.
func TestUnwantedTransferIsEnded(t *testing.T) {
	for name, change := range map[string]func(*lab, *secondary.Attachment, xfr.Primary){
		"zone gone": func(_ *lab, at *secondary.Attachment, _ xfr.Primary) { at.Detach() },
		"primary gone": func(l *lab, at *secondary.Attachment, other xfr.Primary) {
			l.replace(at, config(group(other), example))
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			a, other := newSocketActor(t, silent), newSocketActor(t, serve(example, 1))
			at := l.Attach(config(group(a.primary()), example))
			l.eventually("a hanging transfer", func() bool { return a.transfers() == 1 })
			change(l, at, other.primary())
			l.eventually("no connection", func() bool { return a.Open() == 0 })
		})
	}
}

// An idle connection does not outlive its time, though nothing else happens.
func TestIdleConnectionIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a := newActor(t, serve(example, 1))
		z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
		l.serves(z, 1)
		if a.Open() != 1 {
			t.Errorf("%d connections are open; want 1, kept for the next transfer", a.Open())
		}
		l.eventually("no connection", func() bool { return a.Open() == 0 })
	})
}

// A hundred zones of one primary share a few connections.
func TestZonesShareConnections(t *testing.T) {
	l := newLab(t)
	a := newSocketActor(t, serveAny(1))
	zones := names("z", 100)
	at := l.Attach(config(group(a.primary()), zones...))
	for _, z := range zones {
		l.serves(at.Zone(id(z)), 1)
	}
	if limit := engine.DefaultSettings.TransfersPerPrimary; a.Accepted() > limit {
		t.Errorf("%d connections for %d zones; want at most %d", a.Accepted(), len(zones), limit)
	}
}

// A primary that closes idle connections is asked again over a fresh one (RFC 7766 §6.2.4).
func TestStaleConnectionIsNoFailure(t *testing.T) {
	for name, end := range map[string]func(*dnstest.Writer){"FIN": (*dnstest.Writer).CloseConn, "RST": (*dnstest.Writer).Reset} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			a := newSocketActor(t, serveAny(1))
			zones := names("z", 20)
			c := config(group(a.primary()))
			c.Settings.TransfersPerPrimary = 1
			at := l.Attach(c)
			a.play(func(r dnstest.Request, w *dnstest.Writer) {
				serveAny(1)(r, w)
				if transfer(r) {
					end(w)
				}
			})
			for _, zone := range zones {
				c = extend(c, group(a.primary()), zone)
				l.replace(at, c)
				l.eventually("an end of the transfer", func() bool { return a.Open() == 0 && served(at.Zone(id(zone))) == 1 || name == "RST" })
			}
			if failed := l.log.all("warning"); name == "FIN" && len(failed) > 0 {
				t.Errorf("Failures: %q", failed)
			}
		})
	}
}

// A connection with a key is not used without it, nor with another.
func TestConnectionBelongsToItsKey(t *testing.T) {
	l := newLab(t)
	a := newActor(t, serveAny(1))
	signed := a.primary()
	signed.Key = newKey(t, keyName, secret)
	plain := l.Attach(config(group(a.primary()), "plain.example."))
	l.serves(plain.Zone(id("plain.example.")), 1)
	keyed := l.Attach(config(group(signed), "keyed.example."))
	l.serves(keyed.Zone(id("keyed.example.")), 1)
	if a.Accepted() != 2 {
		t.Errorf("%d connections; want 2", a.Accepted())
	}
}

// The primary's answer to anything but a transfer of ours is not counted as one.
func TestSOAQueriesAreCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a := newActor(t, serve(example, 1))
		z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
		l.serves(z, 1)
		z.Notify(engine.Notification{From: a.Addr().Addr()})
		l.eventually("a SOA query", func() bool { return l.metric("soa_queries_total", "result", "ok") == 1 })
		if got := a.count(dns.TypeSOA); got != 1 {
			t.Errorf("%d SOA queries; want 1", got)
		}
		if got := l.metric("transfers_total", "result", "ok"); got != 1 {
			t.Errorf("%v transfers are counted; want 1", got)
		}
	})
}
