//go:build e2e

package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// shelf is a primary of several zones that stay as they are, by name; each has a SOA of serial 1 and an NS beside its records.
type shelf struct {
	address string
	zones   map[string][]dns.RR
}

func newShelf(t *testing.T, zones map[string][]string) *shelf {
	t.Helper()
	all := map[string][]dns.RR{}
	for origin, texts := range zones {
		all[origin] = shelved(origin, texts)
	}
	return newShelfOf(t, all)
}

// shelved returns the records of a zone of a shelf.
func shelved(origin string, texts []string) []dns.RR {
	rrs := []dns.RR{
		record("%s 3600 IN SOA ns1.test. hostmaster.test. 1 3600 900 1209600 300", origin), record("%s 3600 IN NS ns1.test.", origin),
	}
	for _, text := range texts {
		rrs = append(rrs, record("%s", text))
	}
	return rrs
}

// newShelfOf returns a primary of zones that have their SOA as the first record.
func newShelfOf(t *testing.T, zones map[string][]dns.RR) *shelf {
	t.Helper()
	p := &shelf{zones: zones}
	p.address = serveDNS(t, "127.0.0.1", nil, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.Authoritative = true
		rrs := p.zones[q.Question[0].Name]
		if len(rrs) == 0 {
			m.Rcode = dns.RcodeRefused
		} else if m.Answer = rrs[:1]; q.Question[0].Qtype == dns.TypeAXFR || q.Question[0].Qtype == dns.TypeIXFR {
			m.Answer = append(slices.Clone(rrs), rrs[0])
		}
		_ = w.WriteMsg(m) // a client that has gone away asks again
	})
	return p
}

// matrixTypes are the types of the matrix in the order in which they lose, with RDATA of two records of each.
var matrixTypes = []struct {
	name string
	data [2]string
}{
	{"A", [2]string{"192.0.2.1", "192.0.2.2"}}, {"AAAA", [2]string{"2001:db8::1", "2001:db8::2"}}, {"MX", [2]string{"1 a.example.", "2 a.example."}},
	{"TXT", [2]string{"x", "y"}}, {"SRV", [2]string{"1 1 53 a.example.", "2 1 53 a.example."}},
	{"CAA", [2]string{`0 issue "a"`, `0 issue "b"`}}, {"CNAME", [2]string{"a.example.", "b.example."}}, {"NS", [2]string{"a.example.", "b.example."}},
}

// cell is one pair of types at one owner and whether, by the published matrix and by the RFCs, the second one loses. For a
// type beside itself it says whether the second record does.
type cell struct {
	owner         string
	first, second string
	alibaba, rfc  bool
}

// matrix returns the cells below the apex of origin, and their records.
func matrix(origin string) (cells []cell, records []string) {
	for i, a := range matrixTypes {
		for j, b := range matrixTypes[i:] {
			c := cell{owner: strings.ToLower(a.name+"-"+b.name) + "." + origin, first: a.name, second: b.name}
			same := j == 0
			alias := b.name == "CNAME" || a.name == "CNAME"
			c.rfc = alias // RFC 2181 §10.1, RFC 1034 §3.6.2
			c.alibaba = alias || b.name == "NS" && !same
			cells = append(cells, c)
			second := b.data[0]
			if same {
				second = b.data[1]
			}
			records = append(records, c.owner+" 60 IN "+a.name+" "+a.data[0], c.owner+" 60 IN "+b.name+" "+second)
		}
	}
	return cells, records
}

// apexCells are pairs of types at the apex: whether the second one loses by alibaba and by rfc.
var apexCells = map[string]struct {
	records      [2]string
	alibaba, rfc bool
}{
	"cname-mx.test.":    {[2]string{"MX 1 a.example.", "CNAME a.example."}, false, true},
	"cname-txt.test.":   {[2]string{"TXT x", "CNAME a.example."}, false, true},
	"cname-a.test.":     {[2]string{"A 192.0.2.1", "CNAME a.example."}, true, true},
	"cname-aaaa.test.":  {[2]string{"AAAA 2001:db8::1", "CNAME a.example."}, true, true},
	"cname-srv.test.":   {[2]string{"SRV 1 1 53 a.example.", "CNAME a.example."}, true, true},
	"cname-caa.test.":   {[2]string{`CAA 0 issue "a"`, "CNAME a.example."}, true, true},
	"https.test.":       {[2]string{"HTTPS 0 a.example.", "HTTPS 1 b.example."}, true, false},
	"svcb.test.":        {[2]string{"SVCB 0 a.example.", "SVCB 1 b.example."}, true, false},
	"dnames.test.":      {[2]string{"DNAME a.example.", "DNAME b.example."}, true, true},
	"a-mx.test.":        {[2]string{"A 192.0.2.1", "MX 1 a.example."}, false, false},
	"services.test.":    {[2]string{"HTTPS 1 a.example.", "HTTPS 2 b.example."}, false, false},
	"addresses.test.":   {[2]string{"A 192.0.2.1", "A 192.0.2.2"}, false, false},
	"cname-dname.test.": {[2]string{"DNAME a.example.", "CNAME a.example."}, true, true},
}

// Every cell of the matrix below the apex, and a sample of those at it, are as alibaba, rfc and off say; nothing is missing from
// transfers out, and everything left out is counted and named.
func TestConflictsCellByCell(t *testing.T) {
	t.Parallel()
	const origin = "matrix.test."
	cells, texts := matrix(origin)
	zones := map[string][]string{origin: texts}
	for name, c := range apexCells {
		zones[name] = []string{name + " 60 IN " + c.records[0], name + " 60 IN " + c.records[1]}
	}
	prim := newShelf(t, zones)
	for _, mode := range []string{"rfc", "alibaba", "off"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			sec := newSecondary(t)
			sec.start(t, secondarySpec{Zones: sortedKeys(zones), Block: lines("primary "+prim.address, "conflicts "+mode), Chain: "transfer {\n to *\n}"})
			for _, name := range sortedKeys(zones) {
				sec.serves(t, name, 1, syncLimit)
			}
			lost := 0
			for _, c := range cells {
				loses := mode == "rfc" && c.rfc || mode == "alibaba" && c.alibaba
				if loses {
					lost++
				}
				sec.cell(t, c, loses)
			}
			sec.discarded(t, origin, lost)
			for name, c := range apexCells {
				n := 0
				if mode == "rfc" && c.rfc || mode == "alibaba" && c.alibaba {
					n = 1
				}
				sec.discarded(t, name, n)
			}
			for _, name := range sortedKeys(zones) {
				if diff := cmp.Diff(axfr(t, prim.address, name, nil), axfr(t, sec.addr(), name, nil)); diff != "" {
					t.Errorf("%s: transfer (-primary +secondary):\n%s", name, diff)
				}
				sec.normal(t, name, prim.address)
			}
			if mode != "off" {
				sec.logs(t, `matrix\.test\..*rule cname_and_other_data: \d+ records .*a-cname\.matrix\.test\. CNAME`)
				sec.counts(t, 1, "rule_violations_total", "rule", "several_cnames")
			}
		})
	}
}

// cell asks for both types of a cell.
func (s *secondary) cell(t *testing.T, c cell, loses bool) {
	t.Helper()
	first, second := dns.StringToType[c.first], dns.StringToType[c.second]
	m := ask(t, s.addr(), c.owner, second)
	switch {
	case first == second:
		want := 2
		if loses {
			want = 1
		}
		if n := len(m.Answer) + len(m.Ns); n != want {
			t.Errorf("%s %s: %d records; want %d: %v", c.owner, c.second, n, want, m)
		}
	case second == dns.TypeNS && !loses:
		if len(m.Answer) != 0 || len(m.Ns) != 1 || m.Ns[0].Header().Rrtype != dns.TypeNS {
			t.Errorf("%s: no referral: %v", c.owner, m)
		}
		return
	case loses && slices.ContainsFunc(m.Answer, func(rr dns.RR) bool { return rr.Header().Rrtype == second }):
		t.Errorf("%s: %s is served: %v", c.owner, c.second, m.Answer)
	case !loses && (len(m.Answer) != 1 || m.Answer[0].Header().Rrtype != second):
		t.Errorf("%s: %s is not served: %v", c.owner, c.second, m)
	}
	if m = ask(t, s.addr(), c.owner, first); len(m.Answer) == 0 && first != dns.TypeNS {
		t.Errorf("%s: %s is not served: %v", c.owner, c.first, m)
	}
}

// discarded waits until so many records of a zone are said not to be served.
func (s *secondary) discarded(t *testing.T, zone string, n int) {
	t.Helper()
	eventually(t, settleLimit, fmt.Sprintf("%d records of %s discarded", n, zone), func() string {
		return scrape(t, s.Metrics).is(float64(n), "zone_records_discarded", "zone", zone)
	})
}

// A reload with other rules changes what is served at once, and so does a restart; no transfer is made for it.
func TestRulesOfConflictsAreReloaded(t *testing.T) {
	t.Parallel()
	const origin = "reload.test."
	prim := newShelf(t, map[string][]string{origin: {
		"host." + origin + " 60 IN A 192.0.2.1", "host." + origin + " 60 IN CNAME a.example.",
		"cut." + origin + " 60 IN NS a.example.", "cut." + origin + " 60 IN NS b.example.", "cut." + origin + " 60 IN TXT x",
	}})
	sec := newSecondary(t)
	sec.run(t, secondarySpec{Zones: []string{origin}, Block: lines("primary "+prim.address, "conflicts rfc")})
	sec.serves(t, origin, 1, syncLimit)
	sec.discarded(t, origin, 1)
	for _, c := range []struct {
		mode string
		lost int
	}{{"alibaba", 3}, {"off", 0}, {"rfc", 1}, {"alibaba", 3}} {
		sec.Block = lines("primary "+prim.address, "conflicts "+c.mode)
		sec.configure(t)
		sec.reload(t)
		sec.discarded(t, origin, c.lost)
	}
	if m := ask(t, sec.addr(), "cut."+origin, dns.TypeTXT); len(m.Answer) != 1 {
		t.Errorf("By alibaba TXT wins over NS: %v", m)
	}
	if n := scrape(t, sec.Metrics).sum("transfers_total"); n != 1 {
		t.Errorf("%v transfers; want 1", n)
	}
}
