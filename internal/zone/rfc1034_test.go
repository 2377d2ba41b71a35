package zone_test

import (
	"fmt"
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// RFC 1034 §4.3.2 step 3a: "If the whole of QNAME is matched, we have found the node. ... copy all RRs which match
// QTYPE into the answer section".
func TestExactMatchIsAnswered(t *testing.T) {
	s := serve(t, "example.", soaRecord,
		"www.example. 300 IN A 192.0.2.2", "www.example. 300 IN A 192.0.2.1", "www.example. 300 IN TXT x")
	s.expect(t, "www.example. A", answer("www.example. 300 IN A 192.0.2.1", "www.example. 300 IN A 192.0.2.2"))
	s.expect(t, "example. SOA", answer(soaRecord))
}

// RFC 1034 §4.3.2 step 3a: "If the data at the node is a CNAME, and QTYPE doesn't match CNAME, copy the CNAME RR into
// the answer section of the response, change QNAME to the canonical name in the CNAME RR, and go back to step 1."
func TestCNAMEIsFollowedWithinTheZone(t *testing.T) {
	alias, next := "alias.example. 300 IN CNAME next.example.", "next.example. 300 IN CNAME www.example."
	address := "www.example. 300 IN A 192.0.2.1"
	s := serve(t, "example.", soaRecord, alias, next, address)
	s.expect(t, "alias.example. A", answer(alias, next, address))
	s.expect(t, "alias.example. MX", nodata(alias, next))
	s.expect(t, "alias.example. CNAME", answer(alias))
}

// RFC 1034 §4.3.2 step 2 and §4.3.3: a chain ends where it leaves the zone, and where its name does not exist.
func TestCNAMEChainEnds(t *testing.T) {
	out, gone, away := "out.example. 300 IN CNAME www.example.net.", "gone.example. 300 IN CNAME nx.example.",
		"up.example. 300 IN CNAME ."
	s := serve(t, "example.", soaRecord, out, gone, away)
	s.expect(t, "out.example. A", answer(out))
	s.expect(t, "up.example. A", answer(away))
	s.expect(t, "gone.example. A", nxdomain(gone))
}

// RFC 1034 §3.6.2: software "should not fail when presented with CNAME chains or loops"; an authoritative server has said
// all it can when it comes to a name again.
func TestCNAMELoopsEnd(t *testing.T) {
	self, a, b, c := "self.example. 1 IN CNAME SELF.example.", "a.example. 1 IN CNAME b.example.",
		"b.example. 1 IN CNAME c.example.", "c.example. 1 IN CNAME b.example."
	s := serve(t, "example.", soaRecord, self, a, b, c)
	s.expect(t, "self.example. A", answer(self))
	s.expect(t, "a.example. A", answer(a, b, c))
}

func TestCNAMEChainHasALimit(t *testing.T) {
	records := []string{soaRecord}
	for i := range 3 * zone.MaxChain {
		records = append(records, fmt.Sprintf("c%d.example. 300 IN CNAME c%d.example.", i, i+1))
	}
	records = append(records, fmt.Sprintf("c%d.example. 300 IN A 192.0.2.1", 3*zone.MaxChain))
	s := serve(t, "example.", records...)
	s.expect(t, "c0.example. A", answer(records[1:1+zone.MaxChain]...))
	last := 2*zone.MaxChain + 1 // from here the address comes with the limit
	s.expect(t, fmt.Sprintf("c%d.example. A", last), answer(records[1+last:]...))
}

// R15, RFC 1034 §4.3.2 step 3b: "If a match would take us out of the authoritative data, we have a referral. ... Copy the
// NS RRs for the subzone into the authority section of the reply. Put whatever addresses are available into the
// additional section".
func TestReferralHasNSAndGlue(t *testing.T) {
	ns := []string{"sub.example. 300 IN NS ns.sub.example.", "sub.example. 300 IN NS ns.example.net.",
		"sub.example. 300 IN NS www.example."}
	glue := []string{"ns.sub.example. 60 IN A 192.0.2.1", "ns.sub.example. 60 IN AAAA 2001:db8::1"}
	address := "www.example. 300 IN A 192.0.2.9"
	s := serve(t, "example.", append([]string{soaRecord, address, "ns.example. 300 IN A 192.0.2.8",
		"ns.sub.example. 60 IN TXT no"}, append(ns, glue...)...)...)
	for _, q := range []string{"sub.example. NS", "sub.example. A", "www.sub.example. A", "ns.sub.example. A",
		"ns.sub.example. NS", "a.b.sub.example. ANY"} {
		s.expect(t, q, referral(ns, append(glue, address)))
	}
}

// RFC 1034 §4.3.2 step 3 matches "down, label by label": the first cut on the way is the one that counts, whatever the
// zone has below it.
func TestTopmostCutRefers(t *testing.T) {
	top := "sub.example. 300 IN NS ns.example.net."
	s := serve(t, "example.", soaRecord, top, "deep.sub.example. 300 IN NS ns.example.org.",
		"www.deep.sub.example. 300 IN A 192.0.2.1", "alias.sub.example. 300 IN CNAME www.example.",
		"d.sub.example. 300 IN DNAME example.")
	for _, q := range []string{"deep.sub.example. NS", "www.deep.sub.example. A", "alias.sub.example. A",
		"x.d.sub.example. A", "deep.sub.example. DS"} {
		s.expect(t, q, referral([]string{top}, nil))
	}
}

// RFC 1034 §4.3.2 steps 3a and 3b together: a CNAME that leads to a cut leaves the referral in the authority section.
func TestCNAMELeadsToAReferral(t *testing.T) {
	alias, ns, glue := "alias.example. 300 IN CNAME www.sub.example.", "sub.example. 300 IN NS ns.sub.example.",
		"ns.sub.example. 300 IN A 192.0.2.1"
	s := serve(t, "example.", soaRecord, alias, ns, glue)
	s.expect(t, "alias.example. A", referral([]string{ns}, []string{glue}, alias))
}

// RFC 1034 §4.2.1: the NS records at the top of the zone are its own; they are no cut.
func TestApexNSIsNoCut(t *testing.T) {
	ns := "example. 300 IN NS ns.example.net."
	s := serve(t, "example.", soaRecord, ns, "www.example. 300 IN A 192.0.2.1")
	s.expect(t, "example. NS", answer(ns))
	s.expect(t, "www.example. A", answer("www.example. 300 IN A 192.0.2.1"))
	s.expect(t, "nx.example. A", nxdomain())
}

// RFC 1034 §3.6.2: "If a CNAME RR is present at a node, no other data should be present". Where it is, what was asked
// for is answered, whichever type is the lower number.
func TestTypeBesideACNAMEIsAnswered(t *testing.T) {
	cname := "x.example. 300 IN CNAME www.example."
	a, mx := "x.example. 300 IN A 192.0.2.1", "x.example. 300 IN MX 10 mail.example."
	s := serve(t, "example.", soaRecord, cname, a, mx, "www.example. 300 IN TXT www")
	s.expect(t, "x.example. A", answer(a))
	s.expect(t, "x.example. MX", answer(mx))
	s.expect(t, "x.example. TXT", answer(cname, "www.example. 300 IN TXT www"))
}

// RFC 1034 §4.1: a zone may be the root, and then every name is within it.
func TestRootZoneIsServed(t *testing.T) {
	s := serve(t, ".", ". 60 IN SOA a. b. 1 2 3 4 5", "test. 60 IN NS ns.test.", "ns.test. 60 IN A 192.0.2.1", ". 60 IN NS a.")
	s.expect(t, "www.test. A", referral([]string{"test. 60 IN NS ns.test."}, []string{"ns.test. 60 IN A 192.0.2.1"}))
	s.expect(t, ". NS", answer(". 60 IN NS a."))
	nx := nxdomain()
	nx.Authority = text(". 5 IN SOA a. b. 1 2 3 4 5")
	s.expect(t, "nx. A", nx)
}

// A referral by very many name servers carries the addresses of the first ones only: no answer grows without bound.
func TestGlueHasALimit(t *testing.T) {
	records := []string{soaRecord}
	var ns, glue []string
	for i := range 3 * zone.MaxAddressNames {
		ns = append(ns, fmt.Sprintf("sub.example. 300 IN NS ns%03d.example.", i))
		glue = append(glue, fmt.Sprintf("ns%03d.example. 300 IN A 192.0.2.1", i))
	}
	s := serve(t, "example.", append(records, append(ns, glue...)...)...)
	a := reply(s.lookup(t, "www.sub.example. A"))
	if len(a.Authority) != 3*zone.MaxAddressNames || len(a.Additional) != zone.MaxAddressNames {
		t.Errorf("%d NS, %d addresses", len(a.Authority), len(a.Additional))
	}
}
