package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// ixfrScript answers IXFR.
type ixfrScript = func(*historian, dnstest.Request, *dnstest.Writer)

// sends is the script that sends records.
func sends(texts ...string) ixfrScript {
	return func(_ *historian, r dnstest.Request, w *dnstest.Writer) { sendRecords(r, w, wireRRs(texts...)) }
}

// says is the script that sends an RCODE.
func says(rcode int) ixfrScript {
	return func(_ *historian, r dnstest.Request, w *dnstest.Writer) { w.Send(r.Rcode(rcode)) }
}

// www is the record of a version that changes with each serial.
func www(serial uint32) string {
	return fmt.Sprintf("www.%s 300 IN A 192.0.2.%d", example, serial%256)
}

// step is the difference from one serial to another, in the order of RFC 1995 §4.
func step(from, to uint32) []string {
	return []string{soa(example, from), www(from), soa(example, to), www(to)}
}

// between puts the SOA of the newest version around differences.
func between(newest uint32, differences ...[]string) []string {
	return slices.Concat([]string{soa(example, newest)}, slices.Concat(differences...), []string{soa(example, newest)})
}

// wholeOf returns a version in wire form.
func wholeOf(serial uint32) []wire.RR { return wireRRs(version(example, serial)...) }

// pair is an engine with a zone at serial 1, and its primary. It is used by one test.
type pair struct {
	*lab
	prim *historian
	zone *engine.Zone
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{lab: startLab(t), prim: newHistorian(t)}
	p.prim.become(wholeOf(1), nil)
	p.zone = p.Attach(config(group(p.prim.primary()), example)).Zone(id(example))
	p.serves(p.zone, 1)
	p.prim.transfers()
	return p
}

// update makes the primary have a version, tells the engine and waits until it is served.
func (p *pair) update(serial uint32, ixfr ixfrScript) {
	p.t.Helper()
	p.prim.become(wholeOf(serial), ixfr)
	p.notify()
	p.serves(p.zone, serial)
	p.served(serial)
	p.settled()
}

// notify tells the engine that there is something new.
func (p *pair) notify() {
	p.zone.Notify(engine.Notification{From: p.prim.Addr().Addr(), Serial: serial.New(p.prim.serial()), HasSerial: true})
}

// settled waits until no round is running.
func (p *pair) settled() {
	p.t.Helper()
	p.eventually("the end of the round", func() bool { return !p.Status()[0].NextAt.IsZero() })
}

// served fails the test unless exactly the records of a version are served.
func (p *pair) served(serial uint32) {
	p.t.Helper()
	var got, want []string
	for rr := range p.zone.Contents().All() {
		got = append(got, dnstest.Line(rr))
	}
	for _, rr := range wholeOf(serial) {
		want = append(want, dnstest.Line(&rr))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		p.t.Fatalf("Served is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// asked returns the types of the transfers asked for since the last call, and whether all were on one connection.
func (p *pair) asked() (types string, together bool) {
	all := p.prim.transfers()
	together = true
	var names []string
	for _, a := range all {
		names = append(names, dns.TypeToString[a.qtype])
		together = together && a.conn == all[0].conn
	}
	return strings.Join(names, " "), together
}

// wantAsked fails the test unless these transfers were asked for.
func (p *pair) wantAsked(want string) (together bool) {
	p.t.Helper()
	got, together := p.asked()
	if got != want {
		p.t.Errorf("Asked for %q, want %q", got, want)
	}
	return together
}

// failures are the ways for an IXFR from serial 1 to 2 to fail; after each the whole zone has to come at once.
var failures = map[string]struct {
	ixfr     ixfrScript
	says     string // in the log
	sameConn bool   // the connection is still good
	avoided  bool   // the primary cannot do IXFR: it is not asked again
}{
	// RFC 1995 §2, §4: a primary that cannot do IXFR.
	"NOTIMP":   {says(dns.RcodeNotImplemented), "NOTIMP", true, true},
	"REFUSED":  {says(dns.RcodeRefused), "REFUSED", true, true},
	"FORMERR":  {says(dns.RcodeFormatError), "FORMERR", true, true},
	"NOTAUTH":  {says(dns.RcodeNotAuth), "NOTAUTH", true, true},
	"SERVFAIL": {says(dns.RcodeServerFailure), "SERVFAIL", true, false},

	// RFC 1995 §4: differences that do not fit.
	"removes what is absent": {
		sends(between(2, []string{soa(example, 1), "absent.example. 300 IN A 192.0.2.9", soa(example, 2)})...),
		"removed and not there", false, false,
	},
	"removes another RDATA": {
		sends(between(2, []string{soa(example, 1), "www.example. 300 IN A 192.0.2.77", soa(example, 2)})...),
		"removed and not there", false, false,
	},
	"adds what is present": {
		sends(between(2, []string{soa(example, 1), soa(example, 2), www(1)})...), "added and already there", false, false,
	},
	"adds the same with another TTL": {
		sends(between(2, []string{soa(example, 1), soa(example, 2), strings.Replace(www(1), "300", "60", 1)})...),
		"added and already there", false, false,
	},
	"removes the SOA with other numbers": {
		sends(between(2, []string{strings.Replace(soa(example, 1), "86400", "86401", 1), www(1), soa(example, 2), www(2)})...),
		"SOA is removed and not there", false, false,
	},
	"wrong start serial": {sends(between(2, step(7, 2))...), "begin at serial 7", false, false},
	"broken chain":       {sends(between(9, step(1, 3), step(4, 9))...), "begins at serial 4", false, false},
	"chain in a circle":  {sends(between(2, step(1, 1), step(1, 2))...), "from serial 1 to 1", false, false},
	"chain past the end": {sends(between(2, step(1, 5), step(5, 2))...), "from serial 1 to 5", false, false},
	"newest first": {
		sends(between(3, step(2, 3), step(1, 2))...), "begin at serial 2", false, false,
	},
	"last SOA unlike first": {
		sends(slices.Concat([]string{soa(example, 2)}, step(1, 2), []string{strings.Replace(soa(example, 2), "86400", "1", 1)})...),
		"last SOA", false, false,
	},
	"new SOA unlike first": {
		sends(slices.Concat([]string{soa(example, 2), soa(example, 1), www(1), strings.Replace(soa(example, 2), "86400", "1", 1), www(2), soa(example, 2)})...),
		"last SOA", false, false,
	},
	"goes on behind the end": {sends(append(between(2, step(1, 2)), www(3))...), "behind its closing SOA", false, false},
	"SOA of another name": {
		sends(soa(example, 2), soa("other.", 1), soa(example, 2)), "SOA of other.", false, false,
	},
	"no answer records": {says(dns.RcodeSuccess), "empty", false, false},
	"no SOA":            {sends(www(2)), "begins with www.example. A", false, false},
	"removes the apex SOA and adds none": {
		sends(between(2, []string{soa(example, 1), soa(example, 2), strings.Replace(soa(example, 2), "86400", "86401", 1)})...),
		"", false, false,
	},
	"RCODE in the second message": {
		func(_ *historian, r dnstest.Request, w *dnstest.Writer) {
			sendRecords(r, w, wireRRs(between(2, step(1, 2))[:3]...))
			w.Send(r.Rcode(dns.RcodeServerFailure))
		}, "SERVFAIL", false, false,
	},

	// RFC 1995 §4: a broken connection.
	"closed in the middle": {
		func(_ *historian, r dnstest.Request, w *dnstest.Writer) {
			sendRecords(r, w, wireRRs(between(2, step(1, 2))[:4]...))
			w.CloseConn()
		}, "closed the connection", false, false,
	},
	"reset in the middle": {
		func(_ *historian, r dnstest.Request, w *dnstest.Writer) {
			sendRecords(r, w, wireRRs(between(2, step(1, 2))[:4]...))
			w.Reset()
		}, "connection", false, false,
	},
	"closed before the answer": {
		// It is asked twice: the kept connection may have been idle for too long (RFC 7766 §6.2.4).
		func(_ *historian, _ dnstest.Request, w *dnstest.Writer) { w.CloseConn() }, "closed the connection", false, false,
	},
	"closed in a message": {
		func(_ *historian, _ dnstest.Request, w *dnstest.Writer) {
			w.Octets([]byte{1, 0, 0})
			w.CloseConn()
		}, "closed the connection", false, false,
	},
	"garbage": {
		func(_ *historian, _ dnstest.Request, w *dnstest.Writer) {
			w.SendRaw([]byte("this is no message of ours"))
		}, "", false, false,
	},
	"single newer SOA, closed": {
		func(_ *historian, r dnstest.Request, w *dnstest.Writer) {
			sendRecords(r, w, wholeOf(2)[:1])
			w.CloseConn()
		}, "closed the connection", false, false,
	},

	"single newer SOA, open": {
		func(_ *historian, r dnstest.Request, w *dnstest.Writer) { sendRecords(r, w, wholeOf(2)[:1]) },
		"sent nothing for 3s", false, false,
	},

	// HP2: an answer that never ends.
	"larger than the zone": {
		func(_ *historian, r dnstest.Request, w *dnstest.Writer) {
			all := []string{soa(example, 2), soa(example, 1), soa(example, 2)}
			for i := range 6000 { // at one name: many names are too many edits before
				all = append(all, fmt.Sprintf("many.example. 300 IN A 10.0.%d.%d", i/256, i%256))
			}
			sendRecords(r, w, wireRRs(append(all, soa(example, 2))...))
		}, "larger than", false, false,
	},
	"endless": {
		func(_ *historian, r dnstest.Request, w *dnstest.Writer) {
			sendRecords(r, w, wireRRs(soa(example, 2), soa(example, 1), www(1), soa(example, 2), www(2)))
			for body := appendRecord(nil, &wholeOf(2)[1]); w.SendRaw(response(r, 1, body)); {
			}
		}, "", false, false,
	},
}

// RFC 1995 §4: where IXFR fails the whole zone is asked for; the old version is served until that is done.
func TestFailedIXFRFallsBackToAXFR(t *testing.T) {
	t.Parallel()
	for name, c := range failures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t)
				var before uint32
				p.prim.watch(func() {
					before = served(p.zone)
					if before == 1 {
						p.served(1)
					}
				})
				p.update(2, c.ixfr)
				if before != 1 {
					t.Errorf("Serial %d is served while the whole zone comes, want 1", before)
				}
				want := "IXFR AXFR"
				switch name {
				case "closed in a message", "garbage": // what a kept connection fails to answer is asked again on a new one
					want = "IXFR IXFR AXFR"
				case "FORMERR", "NOTIMP": // it may be for the OPT record (RFC 6891 §7)
					want = "IXFR IXFR AXFR"
				case "closed before the answer": // both
					want = "IXFR IXFR IXFR AXFR"
				}
				if together := p.wantAsked(want); c.sameConn && !together {
					t.Error("AXFR was asked on another connection")
				}
				p.logged("zone=example.", "op=axfr", "serial=1->2", "(after IXFR: ", c.says, "published")
				if k := p.link(example, 0); k.State.String() != "Normal" {
					t.Errorf("Link %v", k)
				}
				if n := p.metric("transfers_total", "type", "axfr", "result", "ok"); n != 2 {
					t.Errorf("%v AXFRs counted", n)
				}
				if n := p.metric("transfers_total", "type", "ixfr", "result", "ok"); n != 0 {
					t.Errorf("%v IXFRs counted as good", n)
				}
				p.update(3, sends(between(3, step(2, 3))...))
				p.wantAsked(map[bool]string{true: "AXFR", false: "IXFR"}[c.avoided])
			})
		})
	}
}

// A failed IXFR is a transfer that failed, however well the whole zone came after it: an operator has to see it.
func TestFailedIXFRIsCounted(t *testing.T) {
	p := newPair(t)
	p.update(2, says(dns.RcodeServerFailure))
	if n := p.metric("transfers_total", "type", "ixfr", "result", "servfail"); n != 1 {
		t.Errorf("%v failed IXFRs counted, want 1", n)
	}
}

// A primary whose AXFR fails too has not shown that IXFR alone is what it lacks: the old contents stay, and it is asked for
// IXFR again.
func TestPrimaryThatRefusesAllIsAskedForIXFRAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.prim.become(wholeOf(2), says(dns.RcodeRefused))
		p.prim.denyAXFR()
		p.notify()
		p.blocked(example, 0, "refused")
		p.settled()
		p.wantAsked("IXFR AXFR")
		p.served(1)
		p.logged("warning", "op=axfr", "(after IXFR: ", "REFUSED", "old contents served until")
		p.update(3, sends(between(3, step(1, 3))...))
		p.wantAsked("IXFR")
	})
}

func TestIXFRThatWorksIsTaken(t *testing.T) {
	for name, c := range map[string]struct {
		ixfr ixfrScript
		to   uint32
		op   string
	}{
		"one version":      {sends(between(2, step(1, 2))...), 2, "ixfr"},
		"several versions": {sends(between(5, step(1, 2), step(2, 4), step(4, 5))...), 5, "ixfr"},
		"a message for each record": {
			func(_ *historian, r dnstest.Request, w *dnstest.Writer) {
				for _, rr := range wireRRs(between(3, step(1, 2), step(2, 3))...) {
					sendRecords(r, w, []wire.RR{rr})
				}
			}, 3, "ixfr",
		},
		// RFC 5936 §4.1, RFC 1995 §4: the whole zone is an answer, too.
		"whole zone": {nil, 2, "axfr"},
		"whole zone, SOA first in a message of its own": {
			func(_ *historian, r dnstest.Request, w *dnstest.Writer) {
				all := append(wholeOf(2), wholeOf(2)[0])
				sendRecords(r, w, all[:1])
				sendRecords(r, w, all[1:])
			}, 2, "axfr",
		},
		"differences, SOA first in a message of its own": {
			func(_ *historian, r dnstest.Request, w *dnstest.Writer) {
				all := wireRRs(between(2, step(1, 2))...)
				sendRecords(r, w, all[:1])
				sendRecords(r, w, all[1:])
			}, 2, "ixfr",
		},
		"serial wraps": {sends(between(1<<31, step(1, 1<<31))...), 1 << 31, "ixfr"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			p.update(c.to, c.ixfr)
			p.wantAsked("IXFR")
			p.logged("op="+c.op, fmt.Sprintf("serial=1->%d", c.to), "published")
			if n := p.metric("transfers_total", "type", c.op, "result", "ok"); n != map[string]float64{"ixfr": 1, "axfr": 2}[c.op] {
				t.Errorf("%v transfers of type %s", n, c.op)
			}
			p.update(c.to+1, sends(between(c.to+1, step(c.to, c.to+1))...))
			p.wantAsked("IXFR")
		})
	}
}

// RFC 1995 §2: one SOA that is not newer says that we are current; nothing changes and nothing is asked again. The answer to the
// SOA query said otherwise, so that is no success.
func TestSingleSOAMeansCurrent(t *testing.T) {
	p := newPair(t)
	was := p.zone.Contents()
	p.prim.become(wholeOf(2), sends(soa(example, 1)))
	p.notify()
	p.logged("op=current", "serial=1->1")
	p.settled()
	p.wantAsked("IXFR")
	if p.zone.Contents() != was {
		t.Error("The contents are others")
	}
	if n := p.metric("transfers_total", "type", "current", "result", "not_transferred"); n != 1 {
		t.Errorf("%v transfers of type current", n)
	}
}

// A rule forbids a version whatever way it comes: the whole zone is not asked for, and the old contents stay.
func TestRuleStopsIXFRWithoutAXFR(t *testing.T) {
	p := newPair(t)
	p.prim.become(wholeOf(2), sends(soa(example, 0), www(2), soa(example, 0)))
	p.notify()
	p.blocked(example, 0, "serial_zero")
	p.settled()
	p.wantAsked("IXFR")
	p.served(1)
}

// RFC 4343 §4.1: the case of a name is that of its records; one that is removed and added again has the new one.
func TestOwnerThatComesAgainHasItsNewCase(t *testing.T) {
	p := newPair(t)
	upper := strings.Replace(www(2), "www", "WWW", 1)
	p.prim.become(wireRRs(append(version(example, 2)[:3], upper)...), sends(between(2, []string{soa(example, 1), www(1), soa(example, 2), upper})...))
	p.notify()
	p.serves(p.zone, 2)
	found := false
	for rr := range p.zone.Contents().All() {
		found = found || rr.Owner.String() == "WWW.example."
	}
	if !found {
		t.Error("The owner is not in the case of its new record")
	}
}
