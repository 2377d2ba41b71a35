package engine_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
)

// nameless is a version without NS records at the apex.
func nameless(serial uint32) []string {
	return slices.DeleteFunc(version(example, serial), func(s string) bool { return strings.HasPrefix(s, example) && strings.Contains(s, " NS ") })
}

// stump is the script of a primary whose transfers are these records with a SOA around them.
func stump(serial uint32, records ...string) dnstest.Handler {
	whole := slices.Concat([]string{soa(example, serial)}, records, []string{soa(example, serial)})
	return spoiling(example, serial, answering(whole...))
}

// RFC 1034 §4.2.1: a version that has lost the NS records at its apex is an accident, however it comes.
func TestVersionThatLosesItsApexNSIsRefused(t *testing.T) {
	t.Parallel()
	lost := []string{soa(example, 1), example + " 3600 IN NS ns." + example, soa(example, 2)}
	for name, script := range map[string]dnstest.Handler{
		"two SOAs and nothing else":  stump(2),
		"no NS":                      stump(2, nameless(2)[1:]...),
		"NS of others only":          stump(2, "sub.example. 60 IN NS ns.test.", "www.example. 60 IN A 192.0.2.1"),
		"NS out of the zone only":    stump(2, "test. 60 IN NS ns.test."),
		"NS of another class only":   stump(2, "example. 60 CH NS ns.example."),
		"TXT at the apex only":       stump(2, "example. 60 IN TXT ns"),
		"IXFR that takes NS away":    spoiling(example, 2, byType(answering(between(2, lost)...), stump(2, nameless(2)[1:]...))),
		"IXFR that does, AXFR fails": spoiling(example, 2, byType(answering(between(2, lost)...), refusing(dns.RcodeRefused))),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := startLab(t)
				a := newActor(t, serve(example, 1))
				z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
				l.serves(z, 1)
				before := z.Contents()
				a.play(script)
				z.Notify(engine.Notification{From: a.Addr().Addr()})
				if strings.HasSuffix(name, "AXFR fails") {
					l.blocked(example, 0, "refused")
				} else {
					l.blocked(example, 0, "apex_ns_lost")
					l.logged("warning zone=example.", "serial=1->2", "no NS records at the apex", "retransfer --force", "old contents served until")
					if l.metric("rule_violations_total", "rule", "apex_ns_lost") < 1 {
						t.Error("The rule is not counted")
					}
				}
				if z.Contents() != before {
					t.Fatal("What was served is not served any more")
				}
				a.play(serve(example, 3))
				z.Notify(engine.Notification{From: a.Addr().Addr()})
				l.serves(z, 3)
			})
		})
	}
}

// byType is the script that answers IXFR as one, AXFR as the other.
func byType(ixfr, axfr dnstest.Handler) dnstest.Handler {
	return func(r dnstest.Request, w *dnstest.Writer) {
		if r.Type == dns.TypeIXFR {
			ixfr(r, w)
			return
		}
		axfr(r, w)
	}
}

// Differences that take all NS away may be wrong where the zone is right: it is asked for.
func TestApexNSLostByIXFRAloneIsMendedByAXFR(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a := newActor(t, serve(example, 1))
		z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
		l.serves(z, 1)
		wrong := []string{soa(example, 1), example + " 3600 IN NS ns." + example, soa(example, 2)}
		a.play(spoiling(example, 2, byType(answering(between(2, wrong)...), serve(example, 2))))
		z.Notify(engine.Notification{From: a.Addr().Addr()})
		l.serves(z, 2)
		if !z.Contents().HasApexNS() {
			t.Error("No NS at the apex")
		}
	})
}

// A first version may have none: Knot and NSD serve such a zone, and it takes nothing from anybody. Nor does its successor.
func TestFirstVersionWithoutApexNSIsServed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a := newActor(t, stump(1))
		z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
		l.serves(z, 1)
		l.logged("warning", "rule no_apex_ns", "serial=1")
		a.play(stump(2, nameless(2)[1:]...))
		z.Notify(engine.Notification{From: a.Addr().Addr()})
		l.serves(z, 2)
		l.logged("warning", "rule no_apex_ns", "serial=2")
		l.eventually("each is counted", func() bool { return l.metric("rule_violations_total", "rule", "no_apex_ns") == 2 })
	})
}

// Whoever means it says so: the order with force is followed, one without is not.
func TestApexNSGoOnOrder(t *testing.T) {
	l := newLab(t)
	a := newActor(t, serve(example, 1))
	z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
	l.serves(z, 1)
	a.play(stump(2, nameless(2)[1:]...))
	l.happens(l.order(refresh.Again), "axfr", "apex_ns_lost")
	if served(z) != 1 {
		t.Errorf("Serial %d is served without force", served(z))
	}
	l.happens(l.order(refresh.Force), "axfr", "ok")
	l.serves(z, 2)
}

// Expiry says that nobody has confirmed the version for long, not that an empty one is right: the same accident that empties
// a zone may have kept its primary away. What was served before decides.
func TestApexNSLostAfterExpiryIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a := newActor(t, serve(example, 7))
		z := l.Attach(config(hasty(a), example)).Zone(id(example))
		l.serves(z, 7)
		a.play(refusing(dns.RcodeServerFailure))
		l.eventually("expiry", func() bool { return z.Contents() == nil })
		a.play(stump(8))
		l.blocked(example, 0, "apex_ns_lost")
		if z.Contents() != nil {
			t.Error("The stump is served")
		}
		l.order(refresh.Force)
		l.serves(z, 8)
	})
}
