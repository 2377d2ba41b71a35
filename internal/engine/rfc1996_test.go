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

// source returns a line of allow_notify.
func source(t *testing.T, first, last string, key *xfr.Key) allow.Source {
	t.Helper()
	r := netipx.IPRangeFrom(netip.MustParseAddr(first), netip.MustParseAddr(last))
	if !r.IsValid() {
		t.Fatalf("Range %s-%s", first, last)
	}
	return allow.Source{Range: r, Key: key}
}

// RFC 1996 §3.10: a NOTIFY from a host that is not a primary is ignored; allow_notify adds hosts, and keys.
func TestNotifyIsAcceptedFromPrimariesAndListedSources(t *testing.T) {
	k, k2 := newKey(t, keyName, secret), newKey(t, "other.key.", secret)
	same := newKey(t, keyName, secret) // another pointer to the same key
	impostor := newKey(t, keyName, "aW1wb3N0b3I=")
	at := func(addr string, key *xfr.Key) xfr.Primary {
		return xfr.Primary{Addr: netip.MustParseAddrPort(addr), Key: key}
	}
	plain, keyed := at("192.0.2.1:53", nil), at("192.0.2.2:53", k)
	six, mapped := at("[2001:db8:1::1]:53", nil), at("[::ffff:192.0.2.9]:53", nil)
	primaries := []xfr.Primary{plain, keyed, six, mapped}
	sources := allow.List{
		source(t, "198.51.100.10", "198.51.100.20", nil),
		source(t, "2001:db8:2::", "2001:db8:2:ffff:ffff:ffff:ffff:ffff", nil),
		source(t, "203.0.113.0", "203.0.113.255", k2),
	}
	for _, c := range []struct {
		name    string
		sources allow.List // nil: those above
		from    string
		key     *xfr.Key
		verdict engine.Verdict
		primary int
	}{
		{"stranger", nil, "192.0.2.77", nil, engine.NotAllowed, -1},
		{"stranger with a key", nil, "192.0.2.77", k, engine.NotAllowed, -1},
		{"primary", nil, "192.0.2.1", nil, engine.Accepted, 0},
		{"primary that signs without need", nil, "192.0.2.1", k2, engine.Accepted, 0},
		{"primary with a key, unsigned", nil, "192.0.2.2", nil, engine.Hinted, 1},
		{"primary with a key", nil, "192.0.2.2", k, engine.Accepted, 1},
		{"primary with an equal key", nil, "192.0.2.2", same, engine.Accepted, 1},
		{"primary with another key", nil, "192.0.2.2", k2, engine.Hinted, 1},
		{"primary with another secret", nil, "192.0.2.2", impostor, engine.Hinted, 1},
		{"IPv6 primary", nil, "2001:db8:1::1", nil, engine.Accepted, 2},
		{"primary configured as mapped", nil, "192.0.2.9", nil, engine.Accepted, 3},
		{"mapped primary", nil, "::ffff:192.0.2.1", nil, engine.Accepted, 0},
		{"below the range", nil, "198.51.100.9", nil, engine.NotAllowed, -1},
		{"first of the range", nil, "198.51.100.10", nil, engine.Accepted, -1},
		{"last of the range", nil, "198.51.100.20", nil, engine.Accepted, -1},
		{"above the range", nil, "198.51.100.21", nil, engine.NotAllowed, -1},
		{"mapped in the range", nil, "::ffff:198.51.100.15", nil, engine.Accepted, -1},
		{"mapped above the range", nil, "::ffff:198.51.100.21", nil, engine.NotAllowed, -1},
		{"in the IPv6 range", nil, "2001:db8:2::53", nil, engine.Accepted, -1},
		{"above the IPv6 range", nil, "2001:db8:3::", nil, engine.NotAllowed, -1},
		{"range with a key, unsigned", nil, "203.0.113.5", nil, engine.KeyRequired, -1},
		{"range with a key", nil, "203.0.113.5", k2, engine.Accepted, -1},
		{"range with another key", nil, "203.0.113.5", k, engine.KeyRequired, -1},

		// A line that names a primary's address takes the place of its key.
		{"primary listed without a key", allow.List{source(t, "192.0.2.2", "192.0.2.2", nil)}, "192.0.2.2", nil, engine.Accepted, 1},
		{"primary listed with a key, unsigned", allow.List{source(t, "192.0.2.1", "192.0.2.1", k2)}, "192.0.2.1", nil, engine.KeyRequired, 0},
		{"primary listed with a key", allow.List{source(t, "192.0.2.1", "192.0.2.1", k2)}, "192.0.2.1", k2, engine.Accepted, 0},
		{"primary listed with its own key, unsigned", allow.List{source(t, "192.0.2.2", "192.0.2.2", k)}, "192.0.2.2", nil, engine.KeyRequired, 1},
		{"primary listed with its own key, another", allow.List{source(t, "192.0.2.2", "192.0.2.2", k)}, "192.0.2.2", k2, engine.KeyRequired, 1},
		{"keyed primary in a range with a key, unsigned", allow.List{source(t, "192.0.2.0", "192.0.2.255", k2)}, "192.0.2.2", nil, engine.KeyRequired, 1},
		{"primary listed with another key, its own", allow.List{source(t, "192.0.2.2", "192.0.2.2", k2)}, "192.0.2.2", k, engine.Accepted, 1},
		{
			"listed twice, one without a key",
			allow.List{source(t, "192.0.2.50", "192.0.2.60", k2), source(t, "192.0.2.55", "192.0.2.55", nil)},
			"192.0.2.55", nil, engine.Accepted, -1,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := group(primaries...)
			if g.AllowNotify = c.sources; c.sources == nil {
				g.AllowNotify = sources
			}
			from := netip.MustParseAddr(c.from)
			if verdict, primary := g.Admit(from.Unmap(), c.key); verdict != c.verdict || primary != c.primary {
				t.Errorf("Admit: verdict %d, primary %d; want %d, %d", verdict, primary, c.verdict, c.primary)
			}
			z := startLab(t).Attach(config(g, example)).Zone(id(example))
			if got := z.Notify(engine.Notification{From: from, Key: c.key}); got != c.verdict {
				t.Errorf("Notify: verdict %d; want %d", got, c.verdict)
			}
			if got := z.MayNotify(from); got != (c.verdict != engine.NotAllowed) {
				t.Errorf("MayNotify: %v", got)
			}
		})
	}
}

// Two primaries on one host are told apart by their keys.
func TestNotifyIsFromThePrimaryWhoseKeySignsIt(t *testing.T) {
	k, k2 := newKey(t, keyName, secret), newKey(t, "other.key.", secret)
	g := group(
		xfr.Primary{Addr: netip.MustParseAddrPort("192.0.2.1:53"), Key: k},
		xfr.Primary{Addr: netip.MustParseAddrPort("192.0.2.1:5353"), Key: k2},
	)
	for i, key := range []*xfr.Key{k, k2} {
		if verdict, primary := g.Admit(netip.MustParseAddr("192.0.2.1"), key); verdict != engine.Accepted || primary != i {
			t.Errorf("Verdict %d, primary %d; want %d", verdict, primary, i)
		}
	}
	if verdict, _ := g.Admit(netip.MustParseAddr("192.0.2.1"), nil); verdict != engine.Hinted {
		t.Errorf("Unsigned: verdict %d", verdict)
	}
}

// RFC 1996 §4.4: one check is in work and one deferred, however many NOTIFYs come.
func TestNotifyBurstCausesTwoChecks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a := newActor(t, serve(example, 1))
		g := group(a.primary())
		g.AllowNotify = allow.List{source(t, "198.51.100.1", "198.51.100.1", nil)}
		z := l.Attach(config(g, example)).Zone(id(example))
		l.serves(z, 1)
		for i := range 1000 {
			from := a.Addr().Addr()
			if i%2 == 1 {
				from = netip.MustParseAddr("198.51.100.1")
			}
			if v := z.Notify(engine.Notification{From: from}); v != engine.Accepted {
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
			if v := z.Notify(n); v != engine.Hinted {
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
			if v != engine.NotAllowed {
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
