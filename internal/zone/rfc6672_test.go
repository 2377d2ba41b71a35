package zone_test

import (
	"strings"
	"testing"
)

const dnameRecord = "d.example. 120 IN DNAME t.example."

// D1, RFC 6672 §3.1: "When preparing a response, a server performing a DNAME substitution will, in all cases, include the
// relevant DNAME RR in the answer section." With it comes a CNAME that has the DNAME's TTL.
func TestDNAMESynthesizesACNAMEWithItsTTL(t *testing.T) {
	s := serve(t, "example.", soaRecord, dnameRecord, "a.b.t.example. 60 IN A 192.0.2.1")
	cname := "a.b.d.example. 120 IN CNAME a.b.t.example."
	s.expect(t, "a.b.d.example. A", answer(dnameRecord, cname, "a.b.t.example. 60 IN A 192.0.2.1"))
	s.expect(t, "a.b.d.example. TXT", nodata(dnameRecord, cname))
	s.expect(t, "x.d.example. A", nxdomain(dnameRecord, "x.d.example. 120 IN CNAME x.t.example."))
}

// D2, RFC 6672 §3.1: a question for the synthesized CNAME is answered with it, whether or not there is such a name.
func TestSynthesizedCNAMEAnswersItsQuestion(t *testing.T) {
	s := serve(t, "example.", soaRecord, dnameRecord)
	want := answer(dnameRecord, "x.d.example. 120 IN CNAME x.t.example.")
	s.expect(t, "x.d.example. CNAME", want)
	s.expect(t, "x.d.example. ANY", nxdomain(dnameRecord, "x.d.example. 120 IN CNAME x.t.example.")) // §3.2: go on
}

// D3, RFC 6672 §2.2 and §3.2: a substitution that gives a name of more than 255 octets is YXDOMAIN, with the DNAME in the
// answer.
func TestNameTooLongIsYXDOMAIN(t *testing.T) {
	label := strings.Repeat("l", 61)
	long := strings.Repeat(label+".", 3) + strings.Repeat("m", 49) + ".example." // 245 octets on the wire
	d := "d.example. 60 IN DNAME " + long
	s := serve(t, "example.", soaRecord, d)
	fits, over := strings.Repeat("x", 9), strings.Repeat("x", 10)
	s.expect(t, fits+".d.example. A", nxdomain(d, fits+".d.example. 60 IN CNAME "+fits+"."+long))
	yx := answer(d)
	yx.Outcome = "YXDOMAIN"
	s.expect(t, over+".d.example. A", yx)
	s.expect(t, over+".d.example. CNAME", yx)
}

// D4, RFC 6672 §2.3: a DNAME redirects the names below its owner; the owner itself is not redirected.
func TestOwnerOfADNAMEIsNotRedirected(t *testing.T) {
	s := serve(t, "example.", soaRecord, dnameRecord, "d.example. 60 IN A 192.0.2.1", "d.example. 60 IN DS 1 13 2 ab",
		"t.example. 60 IN TXT x")
	s.expect(t, "d.example. DNAME", answer(dnameRecord))
	s.expect(t, "d.example. A", answer("d.example. 60 IN A 192.0.2.1"))
	s.expect(t, "d.example. DS", answer("d.example. 60 IN DS 1 13 2 ab"))
	s.expect(t, "d.example. TXT", nodata())
}

// RFC 6672 §3.2 looks for a zone cut before it looks for a DNAME: what is at and below the cut is the child's.
func TestZoneCutHidesADNAME(t *testing.T) {
	const ns, glue = "d.example. 60 IN NS ns.d.example.", "ns.d.example. 60 IN A 192.0.2.1"
	s := serve(t, "example.", soaRecord, dnameRecord, ns, glue, "x.d.example. 60 IN TXT x")
	for _, q := range []string{"d.example. DNAME", "d.example. NS", "x.d.example. TXT", "absent.x.d.example. A", "ns.d.example. A"} {
		s.expect(t, q, referral([]string{ns}, []string{glue}))
	}
	s.expect(t, "d.example. DS", nodata())
}

// D5, RFC 6672 §2.5: "The DNAME RDATA target name MUST NOT be sent out in compressed form": it is held whole.
func TestDNAMETargetIsHeldWhole(t *testing.T) {
	s := serve(t, "example.", soaRecord, "d.example. 60 IN DNAME t.example.")
	if got := string(s.lookup(t, "a.d.example. A").Answer[0].First()); got != "\x01t\x07example\x00" {
		t.Errorf("target %q", got)
	}
}

// S2, RFC 6672 §5.3.1: "In any response, a signed DNAME RR indicates a non-terminal redirection of the query. ... the
// server ... MUST NOT include a signature for" the CNAME it makes.
func TestSynthesizedCNAMEHasNoSignature(t *testing.T) {
	sig := sigOf("d.example.", "DNAME")
	s := serve(t, "example.", soaRecord, dnameRecord, sig, sigOf("a.d.example.", "CNAME"), "a.t.example. 60 IN A 192.0.2.1")
	cname := "a.d.example. 120 IN CNAME a.t.example."
	s.expect(t, "a.d.example. A +do", answer(dnameRecord, sig, cname, "a.t.example. 60 IN A 192.0.2.1"))
	s.expect(t, "a.d.example. CNAME +do", answer(dnameRecord, sig, cname))
	s.expect(t, "d.example. DNAME +do", answer(dnameRecord, sig))
	yx := answer(dnameRecord, sig)
	yx.Outcome = "YXDOMAIN"
	long := strings.Repeat(strings.Repeat("l", 58)+".", 4) + "d.example."
	s2 := serve(t, "example.", soaRecord, "d.example. 120 IN DNAME tttttttttttttt.example.", sig)
	yx.Answer = text("d.example. 120 IN DNAME tttttttttttttt.example.", sig)
	s2.expect(t, long+" A +do", yx)
}

// RFC 6672 §2.3: a DNAME at the apex redirects everything below it, and stands beside SOA and NS there.
func TestDNAMEAtTheApexRedirectsAll(t *testing.T) {
	d, ns := "example. 60 IN DNAME example.net.", "example. 60 IN NS ns.example."
	s := serve(t, "example.", soaRecord, d, ns, "ns.example. 60 IN A 192.0.2.1", "sub.example. 60 IN NS ns.example.")
	s.expect(t, "ns.example. A", answer(d, "ns.example. 60 IN CNAME ns.example.net."))
	s.expect(t, "a.sub.example. A", answer(d, "a.sub.example. 60 IN CNAME a.sub.example.net."))
	s.expect(t, "example. NS", answer(ns))
	s.expect(t, "example. SOA", answer(soaRecord))
}

// RFC 6672 §2.4: "Resource records MUST NOT exist at any subdomain of the owner of a DNAME RR." Those that do are
// occluded; the DNAME nearest to the apex redirects.
func TestDNAMEOccludesWhatIsBelow(t *testing.T) {
	s := serve(t, "example.", soaRecord, dnameRecord, "a.d.example. 60 IN A 192.0.2.1",
		"e.d.example. 60 IN DNAME other.example.",
		"c.d.example. 60 IN NS ns.example.", "*.d.example. 60 IN TXT x")
	for _, q := range []string{"a", "x.e", "c", "x.c", "*", "nx"} {
		cname := q + ".d.example. 120 IN CNAME " + q + ".t.example."
		s.expect(t, q+".d.example. A", nxdomain(dnameRecord, cname))
		s.expect(t, q+".d.example. DS", nxdomain(dnameRecord, cname))
	}
}

// RFC 6672 §2.3: "DNAME RRs MUST NOT appear at the same owner name as an NS RR unless the owner name is the zone apex;
// if it is not the zone apex, then the NS RR signals a delegation point".
func TestNSBesideADNAMEWins(t *testing.T) {
	ns := "d.example. 60 IN NS ns.example.net."
	s := serve(t, "example.", soaRecord, dnameRecord, ns)
	s.expect(t, "a.d.example. A", referral([]string{ns}, nil))
	s.expect(t, "d.example. DNAME", referral([]string{ns}, nil))
}

// D7, RFC 6672 §3.2 step 3C: the DNAME of the last label matched comes before the "*" label.
func TestDNAMEWinsOverAWildcard(t *testing.T) {
	s := serve(t, "example.", soaRecord, "*.example. 60 IN TXT top", dnameRecord)
	s.expect(t, "a.d.example. TXT", answer(dnameRecord, "a.d.example. 120 IN CNAME a.t.example.", "a.t.example. 60 IN TXT top"))
}

// D6, RFC 6672 §3.3: "The use of DNAME in conjunction with wildcards is discouraged". It is loaded and answered by type;
// nothing is redirected but what stands below the asterisk literally.
func TestWildcardDNAMERedirectsItsOwnNameOnly(t *testing.T) {
	s := serve(t, "example.", soaRecord, "*.w.example. 60 IN DNAME t.example.")
	s.expect(t, "a.w.example. DNAME", answer("a.w.example. 60 IN DNAME t.example."))
	s.expect(t, "b.a.w.example. A", nodata())
	s.expect(t, "a.*.w.example. A", nxdomain("*.w.example. 60 IN DNAME t.example.", "a.*.w.example. 60 IN CNAME a.t.example."))
}

// RFC 6672 §2.2: a DNAME that leads below itself makes ever longer names; the answer ends like any chain.
func TestDNAMEIntoItselfEnds(t *testing.T) {
	s := serve(t, "example.", soaRecord, "d.example. 60 IN DNAME a.d.example.", "e.example. 60 IN DNAME e.example.")
	if a := reply(s.lookup(t, "x.d.example. A")); a.Outcome != "NOERROR" || len(a.Answer) > 1+16 {
		t.Errorf("%+v", a)
	}
	s.expect(t, "x.e.example. A", answer("e.example. 60 IN DNAME e.example.", "x.e.example. 60 IN CNAME x.e.example."))
}

// RFC 6672 §3.1: a CNAME that comes back to the owner of a DNAME on its way has not been there: the owner is answered.
func TestChainBackToTheOwnerOfADNAMEGoesOn(t *testing.T) {
	back := "a.t.example. 60 IN CNAME d.example."
	s := serve(t, "example.", soaRecord, dnameRecord, back, "d.example. 60 IN A 192.0.2.1")
	s.expect(t, "a.d.example. A", answer(dnameRecord, "a.d.example. 120 IN CNAME a.t.example.", back,
		"d.example. 60 IN A 192.0.2.1"))
}

// RFC 4343 §4.1: the synthesized CNAME keeps the case of the question and of the target.
func TestSynthesizedCNAMEKeepsCase(t *testing.T) {
	s := serve(t, "example.", soaRecord, "D.example. 60 IN DNAME T.example.NET.")
	a := s.lookup(t, "Www.d.EXAMPLE. A")
	if dname, owner := a.Answer[0].Owner.String(), a.Answer[1].Owner.String(); dname != "D.example." ||
		owner != "Www.d.EXAMPLE." {
		t.Errorf("owners %s and %s", dname, owner)
	}
	if want := "\x03Www\x01T\x07example\x03NET\x00"; string(a.Answer[1].First()) != want {
		t.Errorf("target %q", a.Answer[1].First())
	}
}
