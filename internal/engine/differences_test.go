package engine_test

import (
	"slices"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/serial"
)

// chainSince returns the serials that the differences since a serial lead through, nil if they are not known.
func (l *lab) chainSince(z *engine.Zone, n uint32) (serials []uint32) {
	differences, ok := l.Since(z, serial.New(n))
	if !ok {
		return nil
	}
	for _, d := range differences {
		serials = append(serials, d.From().Uint32())
	}
	return append(serials, differences[len(differences)-1].To().Uint32())
}

// wantSince fails the test unless the differences since the first of the serials lead through the others.
func (p *pair) wantSince(serials ...uint32) {
	p.t.Helper()
	if got := p.chainSince(p.zone, serials[0]); len(serials) > 1 && !slices.Equal(got, serials) || len(serials) == 1 && got != nil {
		p.t.Errorf("Since %d: %d; want %d", serials[0], got, serials)
	}
}

// RFC 1995 §4: what came by IXFR is known one version at a time, and what came whole by what differs, unless that is off or too
// large. A version that came whole for another reason begins the history anew.
func TestDifferencesAreKnown(t *testing.T) {
	p := newPair(t)
	p.wantSince(1)
	p.update(4, sends(between(4, step(1, 2), step(2, 4))...))
	p.wantSince(1, 2, 4)
	p.wantSince(2, 4)
	p.update(5, says(dns.RcodeServerFailure))
	p.wantSince(1, 2, 4, 5)
	p.wantSince(3)
	p.wantSince(5)
	p.order(refresh.Again)
	p.eventually("a history begun anew", func() bool { return p.chainSince(p.zone, 4) == nil })
	p.update(6, sends(between(6, step(5, 6))...))
	p.wantSince(5, 6)
	p.wantSince(1)
}

// A history is off, or has no difference of versions that came whole, as the configuration says.
func TestDifferencesAreOff(t *testing.T) {
	for name, c := range map[string]struct {
		group       func(g *engine.Group)
		ixfr, whole bool // their differences are known
	}{
		"history":        {func(g *engine.Group) { g.History.Versions = 0 }, false, false},
		"ixfr_from_axfr": {func(g *engine.Group) { g.IXFRFromAXFR = false }, true, false},
		"one octet":      {func(g *engine.Group) { g.History.Octets = 1 }, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := &pair{lab: newLab(t), prim: newHistorian(t)}
			p.prim.become(wholeOf(1), nil)
			g := group(p.prim.primary())
			c.group(g)
			p.zone = p.Attach(config(g, example)).Zone(id(example))
			p.serves(p.zone, 1)
			p.update(2, sends(between(2, step(1, 2))...))
			if got := p.chainSince(p.zone, 1); got != nil != c.ixfr {
				t.Errorf("By IXFR: %d", got)
			}
			p.update(3, says(dns.RcodeServerFailure))
			if got := p.chainSince(p.zone, 2); got != nil != c.whole {
				t.Errorf("By AXFR: %d", got)
			}
		})
	}
}

// Whoever is told of a version can ask for the differences that led to it.
func TestDifferencesAreKnownBeforeTheVersion(t *testing.T) {
	p := &pair{lab: newLab(t), prim: newHistorian(t)}
	p.prim.become(wholeOf(1), nil)
	c := config(group(p.prim.primary()), example)
	var told, unknown atomic.Int32
	var z atomic.Pointer[engine.Zone]
	p.Tell(engine.ObserverFunc(func(f *engine.Fact) {
		if zone := z.Load(); zone != nil && f.Kind == engine.Published {
			told.Add(1)
			if p.chainSince(zone, zone.Contents().Serial().Uint32()-1) == nil {
				unknown.Add(1)
			}
		}
	}))
	p.zone = p.Attach(c).Zone(id(example))
	p.serves(p.zone, 1)
	z.Store(p.zone)
	for n := uint32(2); n < 12; n++ {
		p.update(n, sends(between(n, step(n-1, n))...))
	}
	if told.Load() != 10 || unknown.Load() != 0 {
		t.Errorf("Told %d times, %d times too early", told.Load(), unknown.Load())
	}
}
