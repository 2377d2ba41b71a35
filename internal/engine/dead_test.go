package engine_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// nobody returns a primary that refuses connections and datagrams.
func nobody(t *testing.T) xfr.Primary {
	t.Helper()
	a := newActor(t, silent)
	a.Close()
	return a.primary()
}

// soon is what an operator takes for at once: a living primary answers here in a millisecond, a dead one holds up for 9 s.
const soon = 8 * time.Second

// within fails the test unless all zones are served soon after begin.
func (l *lab) within(begin time.Time, at *secondary.Attachment, zones []string) {
	l.t.Helper()
	for _, z := range zones {
		l.serves(at.Zone(id(z)), 1)
	}
	if took := time.Since(begin); took > soon {
		l.t.Errorf("%d zones of a living primary took %s; want less than %s", len(zones), took, soon)
	}
}

// Hundreds of zones without a living primary do not hold up the first transfer of those with one.
func TestDeadPrimariesDelayNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		living, blackHole := newActor(t, serveAny(1)), newActor(t, silent)
		good := names("good", 10)
		c := config(group(nobody(t)), names("refused", 150)...)
		c = extend(c, group(blackHole.primary()), names("silent", 300)...)
		c = extend(c, group(living.primary()), good...)
		begin := time.Now()
		l.within(begin, l.Attach(c), good)
		if got, limit := blackHole.Open(), engine.DefaultSettings.TransfersPerPrimary; got > limit {
			t.Errorf("%d connections to the silent primary; want at most %d", got, limit)
		}
	})
}

// The same with two primaries each, which are asked for their SOA first.
func TestSilentPrimariesDoNotUseUpTheSOARate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		living, blackHole := newActor(t, serveAny(1)), newActor(t, silent)
		good := names("good", 10)
		c := config(group(blackHole.primary(), newActor(t, silent).primary()), names("silent", 300)...)
		at := l.Attach(c)
		l.eventually("a SOA query to the silent primary", func() bool { return blackHole.soaQueries() > 0 })
		begin := time.Now()
		l.replace(at, extend(c, group(living.primary(), nobody(t)), good...))
		l.within(begin, at, good)
	})
}

// An address that refuses is found out at once, and then costs the living nothing.
func TestDownPrimaryDoesNotUseTheSOARate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		living := newActor(t, serveAny(1))
		good := names("good", 10)
		dead := nobody(t)
		c := config(group(dead, nobody(t)), names("refused", 300)...)
		at := l.Attach(c)
		l.blocked("refused0.example.", 0, "unreachable")
		begin := time.Now()
		l.replace(at, extend(c, group(dead, living.primary()), good...))
		l.within(begin, at, good)
		l.eventually("every link of the dead Blocked", func() bool {
			return l.metric("link_blocked", "primary", dead.String(), "reason", "unreachable") == 310
		})
	})
}

// Of two primaries the dead one, though it is preferred, does not keep the zone from its first contents.
func TestSecondPrimaryServesWhenTheFirstIsDead(t *testing.T) {
	t.Parallel()
	for name, dead := range map[string]func(*testing.T) xfr.Primary{
		"refuses": nobody,
		"silent":  func(t *testing.T) xfr.Primary { return newActor(t, silent).primary() },
		"SERVFAIL": func(t *testing.T) xfr.Primary {
			return newActor(t, refusing(2)).primary()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := startLab(t)
				living := newActor(t, serve(example, 1))
				begin := time.Now()
				at := l.Attach(config(group(dead(t), living.primary()), example))
				l.within(begin, at, []string{example})
				l.eventually("first link Blocked, second Normal", func() bool {
					return l.link(example, 0).State == refresh.Blocked && l.link(example, 1).State == refresh.Normal
				})
				if l.metric("link_state") != 1 || l.metric("link_blocked") != 1 {
					t.Error("The metrics do not show one link Normal and one Blocked")
				}
			})
		})
	}
}

// A primary whose port is closed refuses each zone at once. It is not asked for all of thousands of zones again and again; when it
// tells that it lives they are transferred.
func TestClosedPortIsNotAskedForEveryZone(t *testing.T) {
	l := newLab(t)
	a := newSocketActor(t, serveAny(1))
	away := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.9"), a.Addr().Port()) // nobody listens there
	zones := names("z", 300)
	at := l.Attach(config(group(xfr.Primary{Addr: away}), zones...))
	for _, z := range zones {
		l.blocked(z, 0, "unreachable")
	}
	if n := l.metric("transfers_total"); n > 60 {
		t.Errorf("%v transfers were tried; want few for %d zones", n, len(zones))
	}
	l.replace(at, config(group(a.primary()), zones...))
	for _, z := range zones {
		l.serves(at.Zone(id(z)), 1)
	}
}
