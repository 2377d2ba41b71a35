package engine_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// HP4: CVE-2022-27227: a stump of the whole zone in answer to IXFR, and of the differences.
func TestStumpInAnswerToIXFRIsNotServed(t *testing.T) {
	cut := func(records ...string) dnstest.Handler {
		return spoiling(example, 2, func(r dnstest.Request, w *dnstest.Writer) {
			if r.Type == dns.TypeAXFR {
				records = version(example, 2)
			}
			w.Send(r.Reply(records...))
			w.CloseConn()
		})
	}
	stump := func(name string, records ...string) hostility {
		return hostility{name: name, script: cut(records...), reason: "cut_off", log: "before the closing SOA", metric: transfersCounted("cut_off")}
	}
	differences := between(2, step(1, 2))
	withstandsAll(t, []hostility{
		stump("whole zone", version(example, 2)...),
		stump("SOA", soa(example, 2)),
		stump("removals", differences[:3]...),
		stump("additions", differences[:5]...),
	})
}

// HP2: differences that add and remove the same for ever and leave the zone as it was: they are refused once they are larger
// than the zone, as is the whole zone after them.
func TestIXFRInCirclesEnds(t *testing.T) {
	wantNothingLeft(t)
	withstands(t, &hostility{
		script: spoiling(example, 1<<30, func(r dnstest.Request, w *dnstest.Writer) {
			if r.Type == dns.TypeAXFR {
				w.Send(r.Rcode(dns.RcodeRefused))
				return
			}
			w.Send(r.Reply(soa(example, 1<<30)))
			for serial := uint32(1); ; serial++ {
				if !w.SendRaw(dnstest.Pack(r.Reply(step(serial, serial+1)...))) {
					return
				}
			}
		}),
		reason: "refused", log: "the differences are larger than the zone", metric: transfersCounted("refused"),
	})
}

// HP16: the signature over the keys is taken away by a difference: what is left is served as it is.
func TestSignatureOfDNSKEYRemovedByIXFR(t *testing.T) {
	const key = "example. 3600 IN DNSKEY 257 3 13 aGVsbG8="
	const sig = "example. 3600 IN RRSIG DNSKEY 13 1 3600 20300101000000 20200101000000 1 example. aGVsbG8="
	p := newPair(t)
	p.prim.become(wireRRs(append(version(example, 2), key, sig)...), nil)
	p.notify()
	p.serves(p.zone, 2)
	without := append(version(example, 3), key)
	p.prim.become(wireRRs(without...), sends(between(3, append([]string{soa(example, 2), www(2), sig}, soa(example, 3), www(3)))...))
	p.notify()
	p.serves(p.zone, 3)
	a := quickly(t, p.zone.Contents(), example, dns.TypeDNSKEY)
	if len(a.Answer) != 1 || p.zone.Contents().Records() != len(without) {
		t.Errorf("%d RRsets for DNSKEY, %d records; want 1, %d", len(a.Answer), p.zone.Contents().Records(), len(without))
	}
}

// HP17: CVE-2018-5736: a version that is replaced while it is transferred.
func TestTwoVersionsInQuickSuccession(t *testing.T) {
	p := newPair(t)
	third := func(h *historian, r dnstest.Request, w *dnstest.Writer) {
		if r.Serial == 1 {
			sendRecords(r, w, wireRRs(between(3, step(1, 2), step(2, 3))...))
			return
		}
		sendRecords(r, w, wireRRs(between(3, step(r.Serial, 3))...))
	}
	p.prim.become(wholeOf(2), func(h *historian, r dnstest.Request, w *dnstest.Writer) {
		all := wireRRs(between(2, step(1, 2))...)
		sendRecords(r, w, all[:3])
		h.become(wholeOf(3), third)
		p.notify() // while the transfer runs
		sendRecords(r, w, all[3:])
	})
	begin := time.Now()
	p.notify()
	var seen []uint32
	p.eventually("serial 3", func() bool {
		if n := served(p.zone); len(seen) == 0 || n != seen[len(seen)-1] {
			seen = append(seen, n)
		}
		return seen[len(seen)-1] == 3
	})
	if took := time.Since(begin); took > notifyLimit {
		t.Errorf("It took %s", took)
	}
	if !slices.IsSorted(seen) {
		t.Errorf("Serials %v were served, in this order", seen)
	}
	p.served(3)
}

// HP18: RFC 1982 §3.2: a serial exactly 2^31 away is neither older nor newer.
func TestSerialHalfwayRoundIsHeld(t *testing.T) {
	wantNothingLeft(t)
	undefined := hostility{
		script: serve(example, 1+1<<31), reason: "serial_undefined", log: "->2147483649",
	}
	s := besiege(t, nil, nil)
	before := s.zone.Contents()
	s.attacker.play(undefined.script)
	s.notify()
	s.bystanderFollows(2)
	s.blocked(example, 0, undefined.reason)
	s.logged("zone="+example, undefined.log)
	if s.zone.Contents() != before || s.attacker.transfers() != 1 {
		t.Errorf("%d transfers; want the first one only", s.attacker.transfers())
	}
	s.attacker.play(serve(example, 3))
	s.notify()
	s.serves(s.zone, 3)
}

// timers returns a zone whose SOA has these timers.
func timers(serial, refresh, retry, expire uint32) []wire.RR {
	apex := fmt.Sprintf("%s 3600 IN SOA ns.%[1]s admin.%[1]s %d %d %d %d 300", example, serial, refresh, retry, expire)
	return wireRRs(append([]string{apex}, version(example, serial)[1:]...)...)
}

// HP19: a SOA that asks for everything at once, or never.
func TestOddTimersDoNotSpin(t *testing.T) {
	const never = 1<<32 - 1
	together(t, map[string][]wire.RR{
		"all 0":               timers(2, 0, 0, 0),
		"refresh and retry 0": timers(2, 0, 0, 86400),
		"expire 0":            timers(2, 3600, 900, 0),
		"all 2^32-1":          timers(2, never, never, never),
		"all 2^31":            timers(2, 1<<31, 1<<31, 1<<31),
	}, func(t *testing.T, version []wire.RR) {
		s := besiege(t, nil, func(g *engine.Group) { // the defaults of the Corefile
			g.Refresh.Min, g.Retry.Min, g.Expire.Min = 30*time.Second, 30*time.Second, time.Second
			g.Refresh.Max, g.Retry.Max, g.Expire.Max = 672*time.Hour, 336*time.Hour, 0
		})
		s.attacker.play(func(r dnstest.Request, w *dnstest.Writer) {
			if transfer(r) {
				sendRecords(r, w, append(version, version[0]))
				return
			}
			sendRecords(r, w, version[:1])
		})
		s.notify()
		s.serves(s.zone, 2)
		s.bystanderFollows(2)
		time.Sleep(1500 * time.Millisecond)
		if q, x := s.attacker.soaQueries(), s.attacker.transfers(); q > 3 || x > 3 {
			t.Errorf("%d SOA queries and %d transfers in two seconds", q, x)
		}
		st := s.Status()[1]
		if wait := time.Until(st.NextAt); wait < 20*time.Second || wait > 29*24*time.Hour {
			t.Errorf("The next attempt is in %s", wait)
		}
	})
}
