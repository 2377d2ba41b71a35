package zone_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
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

// lookup answers a question such as "www.example. A", with " +do" behind it with DO, with " +all" for every RRset.
func (s served) lookup(t *testing.T, question string) *zone.Answer {
	t.Helper()
	var a zone.Answer
	ask(s.Contents, parseQuery(t, question), &a)
	return &a
}

// expect asks a question and compares the answer; the oracle has to give the same one, unless the RFCs leave it open. The
// number of glue records and the target of an alias count if want has them.
func (s served) expect(t *testing.T, question string, want dnstest.Reply) {
	t.Helper()
	q, got := parseQuery(t, question), reply(s.lookup(t, question))
	oracle := s.oracle.Lookup(q)
	if diff := compareReplies(q, oracle, got); diff != "" {
		t.Errorf("%s (-oracle +got):\n%s", question, diff)
	}
	if want.Glue == 0 {
		got.Glue = 0
	}
	if want.Target == "" {
		got.Target = ""
	}
	if diff := compareReplies(q, want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", question, diff)
	}
}

func parseQuery(t *testing.T, question string) dnstest.Query {
	t.Helper()
	words := strings.Fields(question)
	name, rrtype := parseQuestion(t, strings.Join(words[:2], " "))
	return dnstest.Query{
		Name: name, Type: rrtype, DNSSEC: slices.Contains(words, "+do"), All: slices.Contains(words, "+all"),
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

// with returns a reply with the addresses it carries besides.
func with(r dnstest.Reply, additional ...string) dnstest.Reply {
	r.Additional = text(additional...)
	return r
}
