package zone_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/zone"
)

// served is a zone with the oracle of the same records. It is used by one test.
type served struct {
	*zone.Contents
	oracle *dnstest.Oracle
}

// serve builds a zone of records in presentation form.
func serve(t *testing.T, origin string, records ...string) served {
	t.Helper()
	var rrs []wire.RR
	for _, s := range records {
		rrs = append(rrs, record(s))
	}
	return serveRecords(t, origin, rrs)
}

func serveRecords(t *testing.T, origin string, rrs []wire.RR) served {
	t.Helper()
	c := build(t, origin, rrs)
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	return served{c, dnstest.NewOracle(c.Origin(), rrs)}
}

// lookup answers a question such as "www.example. A".
func (s served) lookup(t *testing.T, question string) *zone.Answer {
	t.Helper()
	var a zone.Answer
	qname, qtype := parseQuestion(t, question)
	s.Lookup(zone.Query{Name: qname, Type: qtype}, &a)
	return &a
}

// expect asks a question and compares the answer. The oracle has to give the same answer, unless the RFCs leave it
// open.
func (s served) expect(t *testing.T, question string, want dnstest.Reply) {
	t.Helper()
	if diff := cmp.Diff(want, reply(s.lookup(t, question))); diff != "" {
		t.Errorf("%s (-want +got):\n%s", question, diff)
	}
	qname, qtype := parseQuestion(t, question)
	o := s.oracle.Lookup(qname, qtype)
	if o.Unspecified {
		return
	}
	if diff := cmp.Diff(want, o); diff != "" {
		t.Errorf("%s (-want +oracle):\n%s", question, diff)
	}
}

func parseQuestion(t *testing.T, question string) (wire.Name, uint16) {
	t.Helper()
	name, mnemonic, _ := strings.Cut(question, " ")
	qname, err := wire.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	qtype, ok := dns.StringToType[mnemonic]
	if !ok {
		t.Fatalf("%s is no type", mnemonic)
	}
	return qname, qtype
}

// soaOf is the SOA that zones of these tests have, with the TTL it has in negative answers.
const (
	soaRecord   = "example. 3600 IN SOA ns.example. host.example. 7 7200 900 86400 300"
	negativeSOA = "example. 300 IN SOA ns.example. host.example. 7 7200 900 86400 300"
)

// text returns records in the form the oracle writes them.
func text(records ...string) (lines []string) {
	for _, s := range records {
		rr := record(s)
		lines = append(lines, dnstest.Line(&rr))
	}
	return lines
}

func answer(records ...string) dnstest.Reply {
	return dnstest.Reply{Outcome: "NOERROR", Answer: text(records...)}
}

// negative is a negative answer behind the records of a chain, if there are any.
func negative(outcome string, chain ...string) dnstest.Reply {
	return dnstest.Reply{Outcome: outcome, Answer: text(chain...), Authority: text(negativeSOA)}
}

func nodata(chain ...string) dnstest.Reply   { return negative("NODATA", chain...) }
func nxdomain(chain ...string) dnstest.Reply { return negative("NXDOMAIN", chain...) }

// referral is a referral by NS records, with glue.
func referral(ns, glue []string, chain ...string) dnstest.Reply {
	return dnstest.Reply{Outcome: "REFERRAL", Answer: text(chain...), Authority: text(ns...), Additional: text(glue...)}
}
