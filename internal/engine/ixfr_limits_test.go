package engine_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// RFC 1995 §4: the whole zone is an answer to IXFR. What differences may have at most says nothing about it: a zone that has
// grown beyond that is not to be transferred twice.
func TestWholeZoneInAnswerToIXFRMayHaveGrown(t *testing.T) {
	p := newPair(t)
	whole := wholeOf(2)
	for i := range 4000 {
		whole = append(whole, wireRR(fmt.Sprintf("host%d.example. 300 IN A 192.0.2.1", i)))
	}
	p.prim.become(whole, nil)
	p.notify()
	p.serves(p.zone, 2)
	p.settled()
	p.wantAsked("IXFR")
	if n := p.zone.Contents().Records(); n != len(whole) {
		t.Errorf("%d records, want %d", n, len(whole))
	}
}

// longHistory are the differences from serial 1 to last, one by one.
func longHistory(last uint32) []string {
	var all [][]string
	for n := uint32(1); n < last; n++ {
		all = append(all, step(n, n+1))
	}
	return between(last, all...)
}

// RFC 1995 §4: too many differences are a reason for the whole zone, not against the version. The next ones are asked for
// again.
func TestDifferencesBeyondTheLimitsGiveWayToTheWholeZone(t *testing.T) {
	const last = 321 // 1282 records, of a zone of 4
	for name, limit := range map[string]func(*engine.Group){
		"records":              func(g *engine.Group) { g.MaxRecords = 20 },
		"octets":               func(g *engine.Group) { g.MaxSize = 10_000 },
		"octets of a message":  func(g *engine.Group) { g.MaxSize = 1000 },
		"octets, then records": func(g *engine.Group) { g.MaxSize, g.MaxRecords = 20_000, 10 },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			g := group(p.prim.primary())
			limit(g)
			p.Attach(config(g, example))
			p.update(last, sends(longHistory(last)...))
			p.wantAsked("IXFR AXFR")
			p.logged("op=axfr", "published", "after IXFR: the answer")
			if n := p.metric("rule_violations_total"); n != 0 {
				t.Errorf("%v violations counted", n)
			}
			if n := p.metric("transfers_total", "type", "ixfr", "result", "max_records") +
				p.metric("transfers_total", "type", "ixfr", "result", "max_size"); n != 1 {
				t.Errorf("%v IXFRs beyond the limits counted; want 1", n)
			}
			p.update(last+1, sends(between(last+1, step(last, last+1))...))
			p.wantAsked("IXFR")
		})
	}
}

// A whole zone beyond the limits, though asked for as differences, is not asked for twice; nor is one that differences lead
// to.
func TestZoneBeyondTheLimitsIsNotAskedForTwice(t *testing.T) {
	t.Parallel()
	whole := version(example, 2)
	added := []string{soa(example, 1), www(1), soa(example, 2), www(2)}
	for i := range 1100 {
		whole = append(whole, fmt.Sprintf("host%d.example. 300 IN A 192.0.2.1", i))
		if i < 100 {
			added = append(added, whole[len(whole)-1])
		}
	}
	for name, script := range map[string]ixfrScript{
		"whole": sends(append(whole, whole[0])...), "differences": sends(between(2, added)...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t)
				g := group(p.prim.primary())
				g.MaxRecords = 20
				p.Attach(config(g, example))
				p.prim.become(wireRRs(whole...), script)
				p.notify()
				p.blocked(example, 0, "max_records")
				p.settled()
				p.wantAsked("IXFR")
				p.served(1)
				if n := p.metric("rule_violations_total", "rule", "max_records"); n != 1 {
					t.Errorf("%v violations counted; want 1", n)
				}
			})
		})
	}
}

// malformedA is a record that no zone can hold: an A of three octets.
func malformedA() wire.RR {
	rr := wireRR("bad.example. 300 IN A 192.0.2.1")
	rr.Data = rr.Data[:3]
	return rr
}

// withMalformed is a zone at serial 1 of which a malformed record was left out.
func withMalformed(t *testing.T) *pair {
	t.Helper()
	p := &pair{lab: startLab(t), prim: newHistorian(t)}
	p.prim.become(append(wholeOf(1), malformedA()), nil)
	p.zone = p.Attach(config(group(p.prim.primary()), example)).Zone(id(example))
	p.serves(p.zone, 1)
	p.settled()
	p.prim.transfers()
	if n := p.metric("rule_violations_total", "rule", "malformed_record"); n != 1 {
		t.Fatalf("%v malformed records at first", n)
	}
	return p
}

// A difference that takes a malformed record away mends the zone: that is no violation.
func TestRemovalOfAMalformedRecordIsNoViolation(t *testing.T) {
	p := withMalformed(t)
	all := wireRRs(between(2, step(1, 2))...)
	all = append(all[:2:2], append([]wire.RR{malformedA()}, all[2:]...)...)
	p.update(2, func(_ *historian, r dnstest.Request, w *dnstest.Writer) { sendRecords(r, w, all) })
	p.wantAsked("IXFR")
	if n := p.metric("rule_violations_total", "rule", "malformed_record"); n != 1 {
		t.Errorf("%v malformed records counted, want 1: the new version has none", n)
	}
}

// RFC 4035 §3.1.5: a signed zone that lacks a record is refused, whether it comes whole or by differences from a version that
// lacked it already.
func TestZoneThatLacksARecordIsNotSignedByIXFR(t *testing.T) {
	p := withMalformed(t)
	key := wireRR("example. 3600 IN DNSKEY 257 3 13 qwE=")
	if key.Type != dns.TypeDNSKEY {
		t.Fatal("no DNSKEY")
	}
	p.prim.become(append(wholeOf(2), key, malformedA()), func(_ *historian, r dnstest.Request, w *dnstest.Writer) {
		all := wireRRs(between(2, step(1, 2))...)
		last := len(all) - 1
		sendRecords(r, w, append(append(all[:last:last], key), all[last]))
	})
	p.notify()
	p.logged("op=", "serial=1->2")
	p.settled()
	if n := served(p.zone); n != 1 {
		t.Errorf("Serial %d is served; AXFR of it is refused", n)
	}
}
