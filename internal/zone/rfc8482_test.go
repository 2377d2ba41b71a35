package zone_test

import "testing"

// Y1, RFC 8482 §4: "A DNS responder that receives an ANY query MAY decline to provide a conventional ANY response or MAY
// instead send a response with a single RRset (or a larger subset of available RRsets) in the answer section."
func TestANYIsAnsweredWithOneRRset(t *testing.T) {
	s := serve(t, "example.", soaRecord, "a.example. 60 IN TXT x", "a.example. 60 IN MX 10 m.example.",
		"a.example. 60 IN MX 20 m.example.",
		"a.example. 60 IN RRSIG MX 13 2 60 20300101000000 20200101000000 1 example. qw==", "*.w.example. 60 IN TXT w")
	s.expect(t, "a.example. ANY", answer("a.example. 60 IN MX 10 m.example.", "a.example. 60 IN MX 20 m.example."))
	s.expect(t, "x.w.example. ANY", answer("x.w.example. 60 IN TXT w"))
	s.expect(t, "example. ANY", answer(soaRecord))
}

// RFC 8482 §4.1: of what a name has besides signatures there is always something, and that is the answer.
func TestANYPrefersAnythingToSignatures(t *testing.T) {
	nsec := "a.example. 60 IN NSEC b.example. RRSIG NSEC"
	serve(t, "example.", soaRecord, sigOf("a.example.", "NSEC"), nsec).expect(t, "a.example. ANY", answer(nsec))
}

// RFC 8482 §4: names with nothing but signatures, which a broken primary may send, still get an answer.
func TestANYOfSignaturesAlone(t *testing.T) {
	sig := "a.example. 60 IN RRSIG MX 13 2 60 20300101000000 20200101000000 1 example. qw=="
	serve(t, "example.", soaRecord, sig).expect(t, "a.example. ANY", answer(sig))
}

// Y1: RFC 8482 §4 changes nothing for names that do not exist, have no data or are delegated.
func TestANYDoesNotChangeOutcomes(t *testing.T) {
	ns := "sub.example. 60 IN NS ns.example.net."
	s := serve(t, "example.", soaRecord, "a.b.example. 60 IN A 192.0.2.1", ns)
	s.expect(t, "nx.example. ANY", nxdomain())
	s.expect(t, "b.example. ANY", nodata())
	s.expect(t, "sub.example. ANY", referral([]string{ns}, nil))
}

// Y2: RFC 8482 §4.2 leaves a CNAME at the owner to be the answer; it is not followed, since ANY matches it (RFC 1034
// §4.3.2 step 3a).
func TestANYAtACNAMEIsTheCNAME(t *testing.T) {
	cname := "a.example. 60 IN CNAME b.example."
	s := serve(t, "example.", soaRecord, cname, "b.example. 60 IN A 192.0.2.1", "a.example. 60 IN NSEC b.example. CNAME")
	s.expect(t, "a.example. ANY", answer(cname))
	s.expect(t, "a.example. ANY +do", answer(cname))
	// Other data beside it are a mistake (RFC 1034 §3.6.2), which does not hide it.
	both := serve(t, "example.", soaRecord, cname, "a.example. 60 IN A 192.0.2.1")
	both.expect(t, "a.example. ANY", answer(cname))
}

// Y3, RFC 8482 §4: the whole of what a name has is an answer too, where the transport can carry it: signatures too, with
// DO or without (RFC 4035 §3.1), but none twice.
func TestANYIsAnsweredWithAllRRsetsIfTheyAreWanted(t *testing.T) {
	txt, mx, sig := "a.example. 60 IN TXT x", "a.example. 60 IN MX 10 m.example.", sigOf("a.example.", "MX")
	cname, nsec := "c.example. 60 IN CNAME a.example.", "c.example. 60 IN NSEC example. CNAME RRSIG NSEC"
	m := "m.example. 60 IN A 192.0.2.1"
	s := serve(t, "example.", soaRecord, txt, mx, sig, cname, nsec, m)
	s.expect(t, "a.example. ANY +all +do", with(answer(mx, sig, txt), m))
	s.expect(t, "a.example. ANY +all", with(answer(mx, sig, txt), m))
	s.expect(t, "c.example. ANY +all +do", answer(cname, nsec))
	s.expect(t, "nx.example. ANY +all", nxdomain())
	s.expect(t, "example. ANY +all", answer(soaRecord))
	s.expect(t, "a.example. MX +all", with(answer(mx), m))
}
