package secondaryplus

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// zoneOf returns a zone with a SOA, a NS record and these, whose names are relative to its name.
func zoneOf(name string, records ...string) []string {
	all := []string{
		fmt.Sprintf("%s 3600 IN SOA ns.example.net. hostmaster.example.net. 7 3600 3600 86400 300", name),
		fmt.Sprintf("%s 3600 IN NS ns.example.net.", name),
	}
	for _, r := range records {
		owner, rest, _ := strings.Cut(r, " ")
		all = append(all, fmt.Sprintf("%s.%s 60 IN %s", owner, name, rest))
	}
	return all
}

// Chains across zones end where there is nothing to go on with, and never run for ever.
func TestChainsAcrossZonesEnd(t *testing.T) {
	const hops = 100
	var a, b []string
	for i := range hops {
		a = append(a, fmt.Sprintf("n%d CNAME n%d.b.test.", i, i))
		b = append(b, fmt.Sprintf("n%d CNAME n%d.a.test.", i, i+1))
	}
	a = append(a, "toempty CNAME www.empty.test.", "tonone CNAME none.b.test.", "grow DNAME x.grow.b.test.",
		"far CNAME www.example.net.",
		"child NS ns.child.a.test.", "tochild CNAME www.child.a.test.", "ns.child A 192.0.2.1")
	b = append(b, "grow DNAME "+strings.Repeat("y", 20)+".grow.a.test.", "up CNAME toempty.a.test.")
	for _, options := range []string{"", "fallthrough"} {
		h := newZones(t, options, []string{"empty.test", "child.a.test"}, zoneOf("a.test.", a...), zoneOf("b.test.", b...))
		for _, c := range []struct {
			name        string
			rcode       int
			first, last string // of the answer section
			least, most int
			authority   []uint16
			additional  int
		}{
			// The zone without contents is as good as elsewhere: what is known is said.
			{name: "toempty.a.test.", first: "toempty.a.test.", last: "toempty.a.test.", least: 1, most: 1},
			{name: "up.b.test.", first: "up.b.test.", last: "toempty.a.test.", least: 2, most: 2},
			{name: "far.a.test.", first: "far.a.test.", last: "far.a.test.", least: 1, most: 1},
			// The parent of a zone without contents still knows where it is.
			{
				name: "tochild.a.test.", first: "tochild.a.test.", last: "tochild.a.test.", least: 1, most: 1,
				authority: []uint16{dns.TypeNS}, additional: 1,
			},
			// A name that an alias leads to does not fall through: the next plugin was not asked about it.
			{
				name: "tonone.a.test.", rcode: dns.RcodeNameError, first: "tonone.a.test.", last: "tonone.a.test.", least: 1, most: 1,
				authority: []uint16{dns.TypeSOA},
			},
			// Longer chains end with what is known so far.
			{name: "n0.a.test.", first: "n0.a.test.", last: "", least: 10, most: 40},
			{name: "n0.grow.a.test.", first: "grow.a.test.", last: "", least: 10, most: 40},
		} {
			t.Run(c.name+options, func(t *testing.T) {
				m, code := ask(t, h, question(c.name, dns.TypeA))
				if code != dns.RcodeSuccess || m == nil {
					t.Fatalf("Code %d, reply %v", code, m)
				}
				if m.Rcode != c.rcode || !m.Authoritative {
					t.Errorf("RCODE %s, AA %v", dns.RcodeToString[m.Rcode], m.Authoritative)
				}
				n := len(m.Answer)
				if n < c.least || n > c.most || m.Answer[0].Header().Name != c.first ||
					c.last != "" && m.Answer[n-1].Header().Name != c.last {
					t.Errorf("Answer of %d records: %v", n, m.Answer)
				}
				var types []uint16
				for _, rr := range m.Ns {
					types = append(types, rr.Header().Rrtype)
				}
				if !slices.Equal(types, c.authority) || len(m.Extra) != c.additional {
					t.Errorf("Authority %v, additional %v", m.Ns, m.Extra)
				}
				if _, err := m.Pack(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// A query for a zone without contents is SERVFAIL also where its parent, which is served, has a delegation to it: the
// parent does not answer in its place. DS is the parent's own (RFC 4035 §3.1.4.1).
func TestZoneWithoutContentsBelowAServedParent(t *testing.T) {
	h := newZones(t, "", []string{"child.a.test"}, zoneOf("a.test.", "child NS ns.child.a.test.", "ns.child A 192.0.2.1"))
	for _, name := range []string{"child.a.test.", "www.child.a.test.", "ns.child.a.test."} {
		if m, _ := ask(t, h, question(name, dns.TypeA)); m.Rcode != dns.RcodeServerFailure || len(m.Ns) != 0 {
			t.Errorf("%s: %v", name, m)
		}
	}
	m, _ := ask(t, h, question("child.a.test.", dns.TypeDS))
	if m.Rcode != dns.RcodeSuccess || !m.Authoritative || len(m.Ns) != 1 {
		t.Errorf("DS: %v", m)
	}
}
