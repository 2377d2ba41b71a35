package engine_test

import (
	"net/netip"
	"testing"
	"testing/synctest"

	"go4.org/netipx"

	"github.com/secondaryplus/secondaryplus/internal/allow"
	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/watch"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// RFC 1996 §4.4: one check is in work and one deferred, however many NOTIFYs come.
func TestNotifyBurstCausesTwoChecks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a := newActor(t, serve(example, 1))
		g := group(a.primary())
		g.AllowNotify = allow.List{{Range: netipx.RangeOfPrefix(netip.MustParsePrefix("198.51.100.1/32"))}}
		z := l.Attach(config(g, example)).Zone(id(example))
		l.serves(z, 1)
		for i := range 1000 {
			from := a.Addr().Addr()
			if i%2 == 1 {
				from = netip.MustParseAddr("198.51.100.1")
			}
			if v := z.Notify(engine.Notification{From: from}); v != allow.Accepted {
				t.Fatalf("NOTIFY %d: verdict %d", i, v)
			}
		}
		l.eventually("a check", func() bool { return a.soaQueries() > 0 })

		// A further NOTIFY ends the matter: whatever was deferred is done before it, or with it.
		a.play(serve(example, 2))
		z.Notify(engine.Notification{From: a.Addr().Addr(), Serial: serial.New(2), HasSerial: true})
		l.serves(z, 2)
		l.eventually("the end of the round", func() bool { return !l.Status()[0].NextAt.IsZero() })
		if n := a.soaQueries(); n > 3 {
			t.Errorf("%d SOA queries; want at most 2 for the burst and 1 for the update", n)
		}
		if n := a.transfers(); n != 2 {
			t.Errorf("%d transfers; want 2", n)
		}
	})
}

// Anybody can send an unsigned NOTIFY from the address of a keyed primary: it brings a new version, and starts nothing else.
func TestUnsignedNotifyOfAKeyedPrimaryIsAHint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a := newActor(t, dnstest.Serve(secret, version(example, 1)...))
		p := a.primary()
		p.Key = newKey(t, keyName, secret)
		z := l.Attach(config(group(p), example)).Zone(id(example))
		l.serves(z, 1)
		a.play(dnstest.Serve(secret, version(example, 2)...))
		for i := range 1000 {
			n := engine.Notification{From: a.Addr().Addr(), Serial: serial.New(uint32(2 + i)), HasSerial: true}
			if v := z.Notify(n); v != allow.Hinted {
				t.Fatalf("NOTIFY %d: verdict %d", i, v)
			}
		}
		l.serves(z, 2)
		if n := a.soaQueries(); n > 1 {
			t.Errorf("%d SOA queries for a burst", n)
		}
		d, err := l.Detail(id(example))
		if err != nil || d.Notified.Known {
			t.Errorf("NOTIFY told %v, error %v; it proves nothing", d.Notified, err)
		}
		n := 0
		for _, v := range d.History {
			if v.Kind == "notify" {
				n++
				if v.Result != "unsigned" || v.Count != 1000 || v.To.Uint32() != 1001 {
					t.Errorf("Event %+v", v)
				}
			}
		}
		if n != 1 {
			t.Errorf("%d events of one flood", n)
		}
	})
}

// However many zones forged NOTIFYs are about, the process asks at half of its rate, and signed ones do not wait for them.
func TestHintsShareTheRateOfSOAQueries(t *testing.T) {
	l := newLab(t)
	g := group(xfr.Primary{Addr: netip.MustParseAddrPort("192.0.2.1:53"), Key: newKey(t, keyName, secret)})
	zones := names("z", 100)
	c := config(g, zones...)
	c.Settings.SOARate = 4
	at := l.Attach(c)
	before := l.Hints()
	for range 10 {
		for _, name := range zones {
			at.Zone(id(name)).Notify(engine.Notification{From: netip.MustParseAddr("192.0.2.1")})
		}
	}
	if taken := before - l.Hints(); taken > 100.5 {
		t.Errorf("%.1f checks are claimed for %d zones", taken, len(zones))
	}
}

// RFC 1996 §3.10: what a stranger says starts nothing.
func TestNotifyFromAStrangerStartsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a := newActor(t, serve(example, 1))
		z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
		l.serves(z, 1)
		next := l.Status()[0].NextAt
		for range 100 {
			v := z.Notify(engine.Notification{From: netip.MustParseAddr("198.51.100.1"), Serial: serial.New(9), HasSerial: true})
			if v != allow.NotAllowed {
				t.Fatalf("Verdict %d", v)
			}
		}
		// What the primary itself says does start something: had the others, it would be after them.
		z.Notify(engine.Notification{From: a.Addr().Addr()})
		l.eventually("a check", func() bool { return a.soaQueries() == 1 && l.Status()[0].NextAt.After(next) })
	})
}

// RFC 1996 §3.8: the serial in a NOTIFY can save a check, and is never a reason to transfer.
func TestNotifyOfTheServedSerialStartsNothing(t *testing.T) {
	l := newLab(t)
	a := newActor(t, serve(example, 5))
	z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
	l.serves(z, 5)
	for n := range uint32(6) {
		z.Notify(engine.Notification{From: a.Addr().Addr(), Serial: serial.New(n), HasSerial: true})
	}
	// This one announces what the primary does not have (NSD notify_ahead_perpetual).
	z.Notify(engine.Notification{From: a.Addr().Addr(), Serial: serial.New(9), HasSerial: true})
	l.eventually("a check", func() bool { return a.soaQueries() == 1 && !l.Status()[0].NextAt.IsZero() })
	if a.transfers() != 1 || served(z) != 5 {
		t.Errorf("%d transfers, serial %d", a.transfers(), served(z))
	}
}

// BenchmarkRefusedNotify is what anybody can have done with the lock of the engine held: a NOTIFY of a zone whose history is
// full, refused.
func BenchmarkRefusedNotify(b *testing.B) {
	e := secondary.New(&journal{}, watch.NewMetrics())
	b.Cleanup(e.Close)
	at, err := e.Attach(config(group(xfr.Primary{Addr: netip.MustParseAddrPort("192.0.2.1:53")}), example))
	if err != nil {
		b.Fatal(err)
	}
	z := at.Zone(id(example))
	for n := range uint32(100) {
		if _, err := e.Order(id(example), refresh.Demand(n%2)); err != nil {
			b.Fatal(err)
		}
	}
	n := uint32(0)
	b.ReportAllocs()
	for b.Loop() {
		n++
		from := netip.AddrFrom4([4]byte{198, 51, byte(n >> 8), byte(n)})
		if !z.MayNotify(from) {
			z.Refuse(engine.Refusal{From: from, Result: "refused", Text: "neither a primary nor in allow_notify"})
		}
	}
}
