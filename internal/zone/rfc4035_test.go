package zone_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
)

func sigOf(owner, covered string) string {
	return owner + " 60 IN RRSIG " + covered + " 13 2 60 20300101000000 20200101000000 1 example. qw=="
}

// S1, RFC 4035 §3.1: without the DO bit a server "MUST treat the RRSIG, DNSKEY, and NSEC RRs as it would any other RRset
// and MUST NOT perform any of the additional processing". A Lookup performs none.
func TestSignaturesAreNotAddedUnasked(t *testing.T) {
	a, nsec, soa := "a.example. 60 IN A 192.0.2.1", "a.example. 60 IN NSEC example. A RRSIG NSEC",
		"example. 60 IN NSEC a.example. SOA RRSIG NSEC"
	s := serve(t, "example.", soaRecord, sigOf("example.", "SOA"), sigOf("a.example.", "A"), sigOf("a.example.", "NSEC"),
		a, nsec, soa)
	s.expect(t, "a.example. A", answer(a))
	s.expect(t, "a.example. TXT", nodata())
	s.expect(t, "nx.example. A", nxdomain())
}

// S14, RFC 4035 §3.1: RRSIG, NSEC and DS are transferred and answered like other data when they are asked for.
func TestDNSSECRecordsAreAnsweredWhenAskedFor(t *testing.T) {
	a, nsec, key := "a.example. 60 IN A 192.0.2.1", "a.example. 60 IN NSEC example. A RRSIG NSEC",
		"example. 60 IN DNSKEY 257 3 13 qw=="
	sigs := []string{sigOf("a.example.", "A"), sigOf("a.example.", "NSEC")}
	s := serve(t, "example.", soaRecord, sigs[1], sigs[0], a, nsec, key)
	s.expect(t, "a.example. RRSIG", answer(sigs...))
	s.expect(t, "a.example. NSEC", answer(nsec))
	s.expect(t, "example. DNSKEY", answer(key))
	s.expect(t, "example. RRSIG", nodata())
	if !s.Signed() {
		t.Error("a zone with a DNSKEY at its apex is not signed")
	}
	if serve(t, "example.", soaRecord, "a.example. 60 IN DNSKEY 257 3 13 qw==").Signed() {
		t.Error("a zone with a DNSKEY elsewhere is signed")
	}
}

// RFC 2181 §5.2 for signatures: those of one type share a TTL, and only those (RFC 4034 §3: they are no RRset).
func TestSignaturesHaveTheirOwnTTL(t *testing.T) {
	sig := func(ttl, covered, tag string) string {
		return "a.example. " + ttl + " IN RRSIG " + covered + " 13 2 60 20300101000000 20200101000000 " + tag + " example. qw=="
	}
	s := serve(t, "example.", soaRecord, sig("60", "A", "1"), sig("30", "A", "2"), sig("90", "TXT", "1"))
	s.expect(t, "a.example. RRSIG", answer(sig("30", "A", "1"), sig("30", "A", "2"), sig("90", "TXT", "1")))
}

// S8, RFC 4035 §3.1.4.1: DS belongs to the parent's side of a cut, which answers for it: with the DS, or NODATA.
func TestDSIsAnsweredFromTheParentSide(t *testing.T) {
	ds, ns := "sub.example. 60 IN DS 1 13 2 ab", "sub.example. 60 IN NS ns.example.net."
	s := serve(t, "example.", soaRecord, ds, ns, "plain.example. 60 IN NS ns.example.net.",
		"plain.example. 60 IN CNAME www.example.", "plain.example. 60 IN A 192.0.2.1")
	s.expect(t, "sub.example. DS", answer(ds))
	s.expect(t, "plain.example. DS", nodata())
	s.expect(t, "a.sub.example. DS", referral([]string{ns}, nil))
	s.expect(t, "sub.example. DNSKEY", referral([]string{ns}, nil))
	s.expect(t, "example. DS", nodata())
}

// RFC 4035 §2.5: "If a CNAME RRset is present at a name in a signed zone, appropriate RRSIG and NSEC RRsets are
// REQUIRED at that name." They are asked for by the alias's own name.
func TestNSECAndRRSIGStandBesideACNAME(t *testing.T) {
	cname, nsec := "a.example. 60 IN CNAME b.example.", "a.example. 60 IN NSEC b.example. CNAME RRSIG NSEC"
	sigs := []string{sigOf("a.example.", "CNAME"), sigOf("a.example.", "NSEC")}
	s := serve(t, "example.", soaRecord, cname, nsec, sigs[0], sigs[1], "b.example. 60 IN A 192.0.2.1",
		"u.example. 60 IN CNAME b.example.")
	s.expect(t, "a.example. NSEC", answer(nsec))
	s.expect(t, "a.example. RRSIG", answer(sigs...))
	s.expect(t, "a.example. A", answer(cname, "b.example. 60 IN A 192.0.2.1"))
	s.expect(t, "u.example. NSEC", nodata())
	s.expect(t, "u.example. RRSIG", nodata())
}

// signed returns records with a signature behind each RRset, of which the records stand together. The signatures are made
// up but for the fields that a server might look at (RFC 4034 §3.1).
func signed(records ...string) (all []string) {
	for i, rr := range dnstest.Records(records...) {
		h := rr.Header()
		all = append(all, records[i])
		if i+1 < len(records) {
			if next := dnstest.Records(records[i+1])[0].Header(); next.Name == h.Name && next.Rrtype == h.Rrtype {
				continue
			}
		}
		labels := dns.CountLabel(h.Name)
		if h.Name[:2] == "*." {
			labels--
		}
		all = append(all, fmt.Sprintf("%s %d IN RRSIG %s 5 %d %d 20040509183619 20040409183619 38519 example. qw==",
			h.Name, h.Ttl, dns.Type(h.Rrtype), labels, h.Ttl))
	}
	return all
}

// renamed returns records under another owner, as a wildcard makes them.
func renamed(owner string, records ...string) (all []string) {
	for _, rr := range dnstest.Records(records...) {
		rr.Header().Name = owner
		all = append(all, rr.String())
	}
	return all
}

// proved is a negative answer with the SOA of the examples and these records, all of them signed.
func proved(outcome string, proofs ...string) dnstest.Reply {
	return dnstest.Reply{Outcome: outcome, Authority: text(signed(append([]string{exampleSOA}, proofs...)...)...)}
}

// The zone of RFC 4035 appendix A, but for the octets of keys and signatures.
const (
	exampleSOA = "example. 3600 IN SOA ns1.example. bugs.x.w.example. 1081539377 3600 300 3600000 3600"
	exampleDS  = "a.example. 3600 IN DS 57855 5 1 B6DCD485719ADCA18E5F3D48A2331627FDD3636B"
	wildcardMX = "*.w.example. 3600 IN MX 1 ai.example."
	xxMX       = "x.w.example. 3600 IN MX 1 xx.example."

	apexNSEC = "example. 3600 IN NSEC a.example. NS SOA MX RRSIG NSEC DNSKEY"
	aNSEC    = "a.example. 3600 IN NSEC ai.example. NS DS RRSIG NSEC"
	bNSEC    = "b.example. 3600 IN NSEC ns1.example. NS RRSIG NSEC"
	ns1NSEC  = "ns1.example. 3600 IN NSEC ns2.example. A RRSIG NSEC"
	ns2NSEC  = "ns2.example. 3600 IN NSEC *.w.example. A RRSIG NSEC"
	wildNSEC = "*.w.example. 3600 IN NSEC x.w.example. MX RRSIG NSEC"
	xyNSEC   = "x.y.w.example. 3600 IN NSEC xx.example. MX RRSIG NSEC"
)

var (
	aiAddresses = []string{"ai.example. 3600 IN A 192.0.2.9", "ai.example. 3600 IN AAAA 2001:db8::f00:baa9"}
	xxAddresses = []string{"xx.example. 3600 IN A 192.0.2.10", "xx.example. 3600 IN AAAA 2001:db8::f00:baaa"}

	aNS   = []string{"a.example. 3600 IN NS ns1.a.example.", "a.example. 3600 IN NS ns2.a.example."}
	aGlue = []string{"ns1.a.example. 3600 IN A 192.0.2.5", "ns2.a.example. 3600 IN A 192.0.2.6"}
	bNS   = []string{"b.example. 3600 IN NS ns1.b.example.", "b.example. 3600 IN NS ns2.b.example."}
	bGlue = []string{"ns1.b.example. 3600 IN A 192.0.2.7", "ns2.b.example. 3600 IN A 192.0.2.8"}
)

// exampleData is what the zones of RFC 4035 appendix A and RFC 5155 appendix A have in common, signed.
func exampleData() []string {
	return slices.Concat(signed(slices.Concat([]string{
		exampleSOA, "example. 3600 IN NS ns1.example.", "example. 3600 IN NS ns2.example.",
		"example. 3600 IN MX 1 xx.example.", "example. 3600 IN DNSKEY 257 3 5 qw==", exampleDS,
		aiAddresses[0], `ai.example. 3600 IN HINFO "KLH-10" "ITS"`, aiAddresses[1],
		"ns1.example. 3600 IN A 192.0.2.1", "ns2.example. 3600 IN A 192.0.2.2", wildcardMX, xxMX,
		"x.y.w.example. 3600 IN MX 1 xx.example.", xxAddresses[0], `xx.example. 3600 IN HINFO "KLH-10" "TOPS-20"`, xxAddresses[1],
	})...), aNS, aGlue)
}

// exampleNSEC is the zone of RFC 4035 appendix A, and perhaps more.
func exampleNSEC(t *testing.T, more ...string) served {
	t.Helper()
	return serve(t, "example.", slices.Concat(exampleData(), bNS, bGlue, signed(apexNSEC, aNSEC,
		"ai.example. 3600 IN NSEC b.example. A HINFO AAAA RRSIG NSEC", bNSEC, ns1NSEC, ns2NSEC, wildNSEC,
		"x.w.example. 3600 IN NSEC x.y.w.example. MX RRSIG NSEC", xyNSEC,
		"xx.example. 3600 IN NSEC example. A HINFO AAAA RRSIG NSEC"), more)...)
}

// S2, RFC 4035 §3.1.1 and appendix B.1: "When placing a signed RRset in the Answer section, the name server MUST also
// place its RRSIG RRs in the Answer section." The NS records that the example has besides are not needed.
func TestSignaturesStandBesideTheirRRsets(t *testing.T) {
	s := exampleNSEC(t)
	s.expect(t, "x.w.example. MX +do", with(answer(signed(xxMX)...), signed(xxAddresses...)...))
	s.expect(t, "x.w.example. MX", with(answer(xxMX), xxAddresses...))
}

// S3, RFC 4035 §3.1.3.1 and appendix B.3: NODATA comes with the NSEC record of the name.
func TestNoDataIsProvedByTheNSECOfTheName(t *testing.T) {
	s := exampleNSEC(t)
	s.expect(t, "ns1.example. MX +do", proved("NODATA", ns1NSEC))
	// An empty non-terminal has none; the one that covers it leads below it.
	s.expect(t, "w.example. MX +do", proved("NODATA", ns2NSEC))
	s.expect(t, "y.w.example. MX +do", proved("NODATA", "x.w.example. 3600 IN NSEC x.y.w.example. MX RRSIG NSEC"))
}

// S4, RFC 4035 §3.1.3.2 and appendix B.2: NXDOMAIN comes with the NSEC record that covers the name and with the one that
// covers the wildcard, "once if a single NSEC RR ... proves both".
func TestNameErrorIsProvedByTheNSECsAroundNameAndWildcard(t *testing.T) {
	s := exampleNSEC(t)
	s.expect(t, "ml.example. A +do", proved("NXDOMAIN", bNSEC, apexNSEC))
	s.expect(t, "*.example. A +do", proved("NXDOMAIN", apexNSEC))
	s.expect(t, "0.example. A +do", proved("NXDOMAIN", apexNSEC))
	s.expect(t, "x.x.w.example. A +do", proved("NXDOMAIN", "x.w.example. 3600 IN NSEC x.y.w.example. MX RRSIG NSEC"))
	s.expect(t, "zz.example. A +do", proved("NXDOMAIN", "xx.example. 3600 IN NSEC example. A HINFO AAAA RRSIG NSEC", apexNSEC))
}

// S5, RFC 4035 §3.1.3.3 and appendix B.6: a wildcard's answer comes with the NSEC record which proves that nothing is
// closer to the name.
func TestSynthesisIsProvedByTheNSECAroundTheName(t *testing.T) {
	s := exampleNSEC(t)
	want := with(answer(renamed("a.z.w.example.", signed(wildcardMX)...)...), signed(aiAddresses...)...)
	s.expect(t, "a.z.w.example. MX", with(answer("a.z.w.example. 3600 IN MX 1 ai.example."), aiAddresses...))
	want.Authority = text(signed(xyNSEC)...)
	s.expect(t, "a.z.w.example. MX +do", want)
	s.expect(t, "a.z.w.example. ANY +do", want)
	// The wildcard itself is no synthesis.
	s.expect(t, "*.w.example. MX +do", with(answer(signed(wildcardMX)...), signed(aiAddresses...)...))
}

// S6, RFC 4035 §3.1.3.4 and appendix B.7: NODATA of a wildcard needs the NSEC record of the wildcard as well as the one
// that covers the name.
func TestWildcardNoDataIsProvedByBothNSECs(t *testing.T) {
	s := exampleNSEC(t)
	s.expect(t, "a.z.w.example. AAAA +do", proved("NODATA", xyNSEC, wildNSEC))
	s.expect(t, "a.w.example. DS +do", proved("NODATA", wildNSEC))
	s.expect(t, "*.w.example. A +do", proved("NODATA", wildNSEC))
}

// S7, RFC 4035 §3.1.4 and appendix B.4: a referral to a signed zone comes with the DS records and their signatures, and
// none over the NS records (§2.2).
func TestReferralToASignedZoneHasDS(t *testing.T) {
	s := exampleNSEC(t)
	want := referral(aNS, aGlue)
	s.expect(t, "mc.a.example. MX", want)
	want.Authority = text(append(slices.Clone(aNS), signed(exampleDS)...)...)
	s.expect(t, "mc.a.example. MX +do", want)
}

// S7, RFC 4035 §3.1.4 and appendix B.5: a referral to an unsigned zone comes with the NSEC record that proves it.
func TestReferralToAnUnsignedZoneProvesThat(t *testing.T) {
	s := exampleNSEC(t)
	want := referral(bNS, bGlue)
	s.expect(t, "mc.b.example. MX", want)
	want.Authority = text(append(slices.Clone(bNS), signed(bNSEC)...)...)
	s.expect(t, "mc.b.example. MX +do", want)
	s.expect(t, "b.example. NS +do", want)
}

// S8, RFC 4035 §3.1.4.1 and appendix B.8: DS at the apex is the parent's; this zone has none.
func TestDSAtTheApexIsNoData(t *testing.T) {
	s := exampleNSEC(t)
	s.expect(t, "example. DS +do", proved("NODATA", apexNSEC))
	s.expect(t, "a.example. DS +do", answer(signed(exampleDS)...))
	s.expect(t, "b.example. DS +do", proved("NODATA", bNSEC))
}

// RFC 4035 §3.1.3: every alias that a wildcard made is proved, and so is what the last name comes to; nothing twice.
func TestChainsAreProvedStepByStep(t *testing.T) {
	alias, next := "*.c.example. 3600 IN CNAME x.d.example.", "*.d.example. 3600 IN CNAME mc.b.example."
	away := "*.e.example. 3600 IN CNAME nx.example."
	cNSEC, dNSEC := "*.c.example. 3600 IN NSEC *.d.example. CNAME RRSIG NSEC",
		"*.d.example. 3600 IN NSEC *.e.example. CNAME RRSIG NSEC"
	eNSEC := "*.e.example. 3600 IN NSEC example. CNAME RRSIG NSEC"
	bNSEC, apexNSEC := "b.example. 3600 IN NSEC *.c.example. NS RRSIG NSEC", "example. 3600 IN NSEC b.example. SOA RRSIG NSEC"
	s := serve(t, "example.", slices.Concat(signed(exampleSOA, apexNSEC, bNSEC, alias, cNSEC, next, dNSEC, away, eNSEC), bNS)...)
	chain := append(renamed("x.c.example.", signed(alias)...), renamed("x.d.example.", signed(next)...)...)
	want := referral(bNS, nil, chain...)
	want.Target = "mc.b.example."
	s.expect(t, "x.c.example. A", referral(bNS, nil, "x.c.example. 3600 IN CNAME x.d.example.",
		"x.d.example. 3600 IN CNAME mc.b.example."))
	want.Authority = text(slices.Concat(bNS, signed(cNSEC, dNSEC, bNSEC))...)
	s.expect(t, "x.c.example. A +do", want)
	gone := proved("NXDOMAIN", eNSEC, apexNSEC)
	gone.Answer = text(renamed("x.e.example.", signed(away)...)...)
	s.expect(t, "x.e.example. A +do", gone)
}

// RFC 4035 §3.1.3.4 with RFC 4592 §4.9: a wildcard without records has no NSEC record; the one that leads below it is the
// proof.
func TestEmptyWildcardIsProvedByTheNSECOverIt(t *testing.T) {
	below, apex := "a.*.w.example. 3600 IN NSEC example. TXT RRSIG NSEC", "example. 3600 IN NSEC a.*.w.example. SOA RRSIG NSEC"
	s := serve(t, "example.", signed(exampleSOA, apex, "a.*.w.example. 3600 IN TXT x", below)...)
	s.expect(t, "x.w.example. TXT +do", proved("NODATA", apex, below))
	s.expect(t, "*.w.example. TXT +do", proved("NODATA", apex))
}

// S15, RFC 4035 §3.1.1: signatures are served as they were received, whether they are still valid or not. Those of the
// examples ran out in 2004.
func TestExpiredSignaturesAreServed(t *testing.T) {
	ns1 := "ns1.example. 3600 IN A 192.0.2.1"
	exampleNSEC(t).expect(t, "ns1.example. A +do", answer(signed(ns1)...))
}

// RFC 4035 §3.1.3: without an NSEC record to prove by there is no proof, and the answer is what it is without DO.
func TestUnsignedZonesProveNothing(t *testing.T) {
	s := serve(t, "example.", soaRecord, "b.example. 60 IN NS ns.example.net.", "*.w.example. 60 IN TXT x")
	s.expect(t, "nx.example. A +do", nxdomain())
	s.expect(t, "example. A +do", nodata())
	s.expect(t, "x.w.example. TXT +do", answer("x.w.example. 60 IN TXT x"))
	s.expect(t, "b.example. A +do", referral([]string{"b.example. 60 IN NS ns.example.net."}, nil))
}

// RFC 2308 §3 with RFC 4034 §3: the signature over the SOA of a negative answer has the TTL that the SOA has there.
func TestSignatureOfTheNegativeSOAHasItsTTL(t *testing.T) {
	s := serve(t, "example.", signed(soaRecord)...)
	want := nxdomain()
	want.Authority = append(want.Authority,
		text("example. 300 IN RRSIG SOA 5 1 3600 20040509183619 20040409183619 38519 example. qw==")...)
	s.expect(t, "nx.example. A +do", want)
}

// RFC 4035 §2.3: glue and what is occluded have no NSEC records. However many of them stand before a name, the record of
// their cut, or of their DNAME, covers it.
func TestNSECBeforeManyOccludedNamesIsFound(t *testing.T) {
	const names = 1000
	for _, top := range []string{"b.example. 3600 IN NS ns1.b.example.", "b.example. 3600 IN DNAME example.net."} {
		apex, b := "example. 3600 IN NSEC b.example. SOA RRSIG NSEC", "b.example. 3600 IN NSEC d.example. RRSIG NSEC"
		records := append(signed(exampleSOA, apex, b, "d.example. 3600 IN NSEC example. A RRSIG NSEC"), top,
			"d.example. 3600 IN A 192.0.2.1")
		for i := range names {
			records = append(records, fmt.Sprintf("ns%d.b.example. 3600 IN A 192.0.2.1", i))
		}
		s := serve(t, "example.", records...)
		s.expect(t, "c.example. A +do", proved("NXDOMAIN", b, apex))
	}
}
