package zone_test

import "testing"

// RFC 2181 §5: "It is meaningless for two records to ever have label, class, type and data all equal - servers should
// suppress such duplicates if encountered." Names in RDATA are equal in any case.
func TestDuplicatesAreOneRecord(t *testing.T) {
	s := serve(t, "example.", soaRecord, "a.example. 300 IN MX 10 mail.example.", "A.example. 300 IN MX 10 MAIL.example.",
		"a.example. 300 IN MX 20 mail.example.")
	s.expect(t, "a.example. MX", answer("a.example. 300 IN MX 10 mail.example.", "a.example. 300 IN MX 20 mail.example."))
	if s.Records() != 3 {
		t.Errorf("%d records", s.Records())
	}
}

// RFC 2181 §5: a DNAME that is used twice on the way to an answer stands in it once.
func TestDNAMEUsedTwiceIsInTheAnswerOnce(t *testing.T) {
	d, back := "d.example. 300 IN DNAME t.example.", "a.t.example. 300 IN CNAME b.d.example."
	s := serve(t, "example.", soaRecord, d, back, "b.t.example. 300 IN A 192.0.2.1")
	s.expect(t, "a.d.example. A", answer(d, "a.d.example. 300 IN CNAME a.t.example.", back,
		"b.d.example. 300 IN CNAME b.t.example.", "b.t.example. 300 IN A 192.0.2.1"))
}

// R11, RFC 2181 §5.2: "Should an authoritative source send such a malformed RRSet, the client should treat the RRs for all
// purposes as if all TTLs in the RRSet had been set to the value of the lowest TTL in the RRSet."
func TestLowestTTLOfAnRRsetIsServed(t *testing.T) {
	s := serve(t, "example.", soaRecord,
		"a.example. 300 IN A 192.0.2.1", "a.example. 60 IN A 192.0.2.2", "a.example. 900 IN A 192.0.2.3",
		"a.example. 30 IN TXT x")
	s.expect(t, "a.example. A", answer("a.example. 60 IN A 192.0.2.1", "a.example. 60 IN A 192.0.2.2",
		"a.example. 60 IN A 192.0.2.3"))
}

// RFC 2181 §5.2 once more: a duplicate counts with its TTL, whichever comes first.
func TestLowestTTLOfDuplicatesIsServed(t *testing.T) {
	for _, ttls := range [][2]string{{"300", "60"}, {"60", "300"}} {
		s := serve(t, "example.", soaRecord, "b.example. "+ttls[0]+" IN NS ns.example.",
			"b.example. "+ttls[1]+" IN NS NS.example.")
		s.expect(t, "b.example. A", referral([]string{"b.example. 60 IN NS ns.example."}, nil))
	}
}

// R12, RFC 2181 §5.4.1 and §6.1: what a zone has at and below a cut is not its authoritative data, and so no answer.
func TestGlueIsNeverTheAnswer(t *testing.T) {
	ns, glue := "sub.example. 300 IN NS ns.sub.example.", "ns.sub.example. 300 IN A 192.0.2.1"
	s := serve(t, "example.", soaRecord, ns, glue, "sub.example. 300 IN TXT occluded")
	for _, q := range []string{"ns.sub.example. A", "ns.sub.example. ANY", "sub.example. TXT", "sub.example. ANY"} {
		s.expect(t, q, referral([]string{ns}, []string{glue}))
	}
}

// R14, RFC 2181 §8: "Implementations should treat TTL values received with the most significant bit set as if the entire
// value received was zero."
func TestNegativeTTLIsZero(t *testing.T) {
	s := serve(t, "example.", soaRecord, "a.example. 2147483648 IN A 192.0.2.1", "b.example. 2147483647 IN A 192.0.2.1")
	s.expect(t, "a.example. A", answer("a.example. 0 IN A 192.0.2.1"))
	s.expect(t, "b.example. A", answer("b.example. 2147483647 IN A 192.0.2.1"))
}

// R13, RFC 2181 §10.1: "there may be only one such canonical name for any one alias". Of several the first in canonical
// order is followed, so that all secondaries go the same way.
func TestFirstOfSeveralCNAMEsIsFollowed(t *testing.T) {
	b, c := "a.example. 300 IN CNAME b.example.", "a.example. 300 IN CNAME c.example."
	s := serve(t, "example.", soaRecord, c, b, "b.example. 300 IN A 192.0.2.1", "c.example. 300 IN A 192.0.2.2")
	s.expect(t, "a.example. A", answer(b, c, "b.example. 300 IN A 192.0.2.1"))
}
