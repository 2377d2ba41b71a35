package zone_test

import "testing"

func sigOf(owner, covered string) string {
	return owner + " 60 IN RRSIG " + covered + " 13 2 60 20300101000000 20200101000000 1 example. qw=="
}

// RFC 4035 §3.1: without the DO bit a server "MUST treat the RRSIG, DNSKEY, and NSEC RRs as it would any other RRset
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

// RFC 4035 §3.1: RRSIG, NSEC and DS are transferred and answered like other data when they are asked for.
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

// RFC 4035 §3.1.4.1: DS belongs to the parent's side of a cut, which answers for it: with the DS, or NODATA.
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
