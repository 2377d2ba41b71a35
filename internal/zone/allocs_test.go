package zone_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// asked is a zone with questions of every kind and the outcome each has. It is used by one test.
type asked struct {
	served
	questions map[string]zone.Outcome
}

// askedZone has every kind of answer.
func askedZone(t *testing.T) asked {
	t.Helper()
	return asked{serve(t, "example.", soaRecord,
		"Www.example. 60 IN A 192.0.2.1", "www.example. 30 IN A 192.0.2.2", "mx.example. 60 IN MX 10 www.example.",
		"*.wild.example. 60 IN TXT x",
		"sub.example. 60 IN NS ns.sub.example.", "sub.example. 60 IN NS www.example.", "ns.sub.example. 60 IN A 192.0.2.3",
		"c1.example. 60 IN CNAME c2.example.", "c2.example. 60 IN CNAME c3.example.", "c3.example. 60 IN CNAME www.example.",
		"d.example. 60 IN DNAME wild.example.", "a.ent.example. 60 IN A 192.0.2.4", nsec3Record), map[string]zone.Outcome{
		"www.example. A":        zone.Success,
		"mx.example. MX":        zone.Success,
		"WWW.example. ANY":      zone.Success,
		"www.example. ANY +all": zone.Success,
		"www.example. TXT":      zone.NoData,
		"ent.example. A":        zone.NoData,
		"nx.example. A":         zone.NXDomain,
		"nx.example. A +do":     zone.NXDomain,
		"a.nx.example. A":       zone.NXDomain,
		"a.b.wild.example. TXT": zone.Success,
		"a.wild.example. A":     zone.NoData,
		"a.sub.example. A":      zone.Referral,
		"sub.example. DS":       zone.NoData,
		"c1.example. A":         zone.Success,
		"a.d.example. TXT":      zone.Success,
		"example. SOA":          zone.Success,
	}}
}

// signedQuestions are questions for every kind of proof about the zones of RFC 4035 and RFC 5155 with moreData.
var signedQuestions = map[string]zone.Outcome{
	"x.w.example. MX +do":      zone.Success,
	"ns1.example. MX +do":      zone.NoData,
	"y.w.example. A +do":       zone.NoData,
	"ml.example. A +do":        zone.NXDomain,
	"a.c.x.w.example. A +do":   zone.NXDomain,
	"a.z.w.example. MX +do":    zone.Success,
	"a.z.w.example. AAAA +do":  zone.NoData,
	"mc.a.example. MX +do":     zone.Referral,
	"mc.b.example. MX +do":     zone.Referral,
	"b.example. DS +do":        zone.NoData,
	"example. DS +do":          zone.NoData,
	"xx.example. ANY +do":      zone.Success,
	"XX.example. ANY +do +all": zone.Success,
	"xx.example. RRSIG +do":    zone.Success,
	"alias.example. MX +do":    zone.Success,
	"alias.example. TXT +do":   zone.NoData,
	"gone.example. A +do":      zone.NXDomain,
	"out.d.example. A +do":     zone.Referral,
}

// moreData are aliases for the zones of the RFCs.
func moreData() []string {
	return append(signed("alias.example. 60 IN CNAME a.z.w.example.", "gone.example. 60 IN CNAME a.c.x.w.example.",
		"d.example. 60 IN DNAME b.example."), "b.example. 60 IN NS ns.b.example.", "ns.b.example. 60 IN A 192.0.2.1")
}

// askedZones returns an unsigned zone, one with NSEC and one with NSEC3 records.
func askedZones(t *testing.T) map[string]asked {
	t.Helper()
	return map[string]asked{
		"unsigned": askedZone(t),
		"NSEC":     {exampleNSEC(t, moreData()...), signedQuestions},
		"NSEC3":    {exampleNSEC3(t, moreData()...), signedQuestions},
		"costly NSEC3": {serve(t, "example.", slices.Concat(exampleData(), moreData(), chain3(0, 151, "ab", "example."),
			[]string{param(1, 0, 151, "ab")})...), signedQuestions},
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	for name, s := range askedZones(t) {
		for question, outcome := range s.questions {
			q := zoneQuery(parseQuery(t, question))
			var a zone.Answer
			for range 2 { // the first makes the buffers grow
				s.Lookup(q, &a)
			}
			if a.Outcome != outcome {
				t.Errorf("%s: %s: %+v", name, question, reply(&a))
			}
			if n := testing.AllocsPerRun(100, func() { s.Lookup(q, &a) }); n != 0 {
				t.Errorf("%s: %s: %v allocations", name, question, n)
			}
		}
	}
}

// The answers whose allocations are counted have the proofs that they are for.
func TestAskedZonesProve(t *testing.T) {
	for name, s := range askedZones(t) {
		for question := range s.questions {
			q := parseQuery(t, question)
			if !q.DNSSEC || name == "unsigned" {
				continue
			}
			if diff := compareReplies(q, s.oracle.Lookup(q), reply(s.lookup(t, question))); diff != "" {
				t.Errorf("%s: %s (-oracle +lookup):\n%s", name, question, diff)
			}
		}
	}
}

// Contents are safe for concurrent use; the race detector is the judge.
func TestContentsAnswerManyAtOnce(t *testing.T) {
	var askers sync.WaitGroup
	for _, s := range askedZones(t) {
		for question, outcome := range s.questions {
			q := zoneQuery(parseQuery(t, question))
			askers.Go(func() {
				var a zone.Answer
				for range 200 {
					if s.Lookup(q, &a); a.Outcome != outcome {
						t.Errorf("%s: %+v", question, a)
					}
				}
				for range s.All() {
				}
			})
		}
	}
	askers.Wait()
}

// zoneQuery returns a question of the oracle's as one of the zone's.
func zoneQuery(q dnstest.Query) zone.Query {
	return zone.Query{Name: q.Name, Type: q.Type, DNSSEC: q.DNSSEC, All: q.All}
}
