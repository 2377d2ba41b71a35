package zone_test

import (
	"sync"
	"testing"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/zone"
)

// askedZone has every kind of answer.
func askedZone(t *testing.T) served {
	t.Helper()
	return serve(t, "example.", soaRecord,
		"Www.example. 60 IN A 192.0.2.1", "www.example. 30 IN A 192.0.2.2",
		"*.wild.example. 60 IN TXT x",
		"sub.example. 60 IN NS ns.sub.example.", "sub.example. 60 IN NS www.example.", "ns.sub.example. 60 IN A 192.0.2.3",
		"c1.example. 60 IN CNAME c2.example.", "c2.example. 60 IN CNAME c3.example.", "c3.example. 60 IN CNAME www.example.",
		"d.example. 60 IN DNAME wild.example.", "a.ent.example. 60 IN A 192.0.2.4", nsec3Record)
}

// askedQuestions are questions of every kind with the outcome each has.
var askedQuestions = map[string]zone.Outcome{
	"www.example. A":        zone.Success,
	"WWW.example. ANY":      zone.Success,
	"www.example. TXT":      zone.NoData,
	"ent.example. A":        zone.NoData,
	"nx.example. A":         zone.NXDomain,
	"a.nx.example. A":       zone.NXDomain,
	"a.b.wild.example. TXT": zone.Success,
	"a.wild.example. A":     zone.NoData,
	"a.sub.example. A":      zone.Referral,
	"sub.example. DS":       zone.NoData,
	"c1.example. A":         zone.Success,
	"a.d.example. TXT":      zone.Success,
	"example. SOA":          zone.Success,
}

func TestLookupAllocatesNothing(t *testing.T) {
	s := askedZone(t)
	for question, outcome := range askedQuestions {
		qname, qtype := parseQuestion(t, question)
		var a zone.Answer
		for range 2 { // the first makes the buffers grow
			s.Lookup(zone.Query{Name: qname, Type: qtype}, &a)
		}
		if a.Outcome != outcome {
			t.Errorf("%s: %+v", question, a)
		}
		if n := testing.AllocsPerRun(100, func() { s.Lookup(zone.Query{Name: qname, Type: qtype}, &a) }); n != 0 {
			t.Errorf("%s: %v allocations", question, n)
		}
	}
}

// Contents are safe for concurrent use; the race detector is the judge.
func TestContentsAnswerManyAtOnce(t *testing.T) {
	s := askedZone(t)
	var askers sync.WaitGroup
	for question, outcome := range askedQuestions {
		qname, qtype := parseQuestion(t, question)
		askers.Go(func() {
			var a zone.Answer
			for range 200 {
				if s.Lookup(zone.Query{Name: qname, Type: qtype}, &a); a.Outcome != outcome {
					t.Errorf("%s: %+v", question, a)
				}
			}
			for range s.All() {
			}
		})
	}
	askers.Wait()
}
