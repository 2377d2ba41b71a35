package zone_test

import "testing"

// RFC 9471 §3.1: "This document clarifies that when a name server generates a referral response, it MUST include all
// available glue records for in-domain name servers in the Additional section or MUST set TC=1". Those come first and are
// counted, so that whatever makes the message can tell; the records of other name servers (§3.2) follow.
func TestGlueForServersBelowTheCutComesFirstAndIsCounted(t *testing.T) {
	ns := []string{"sub.example. 60 IN NS a.other.example.", "sub.example. 60 IN NS b.example.",
		"sub.example. 60 IN NS c.sub.example.", "sub.example. 60 IN NS d.example.net.", "sub.example. 60 IN NS sub.example."}
	below := []string{"c.sub.example. 60 IN A 192.0.2.1", "c.sub.example. 60 IN AAAA 2001:db8::1", "sub.example. 60 IN A 192.0.2.2"}
	beside := []string{"a.other.example. 60 IN A 192.0.2.3", "b.example. 60 IN A 192.0.2.4"}
	s := serve(t, "example.", append(append(append([]string{soaRecord, "other.example. 60 IN NS a.other.example.",
		"e.sub.example. 60 IN A 192.0.2.5"}, ns...), below...), beside...)...)
	want := referral(ns, append(below, beside...))
	want.Glue = len(below)
	s.expect(t, "www.sub.example. A", want)
	if a := s.lookup(t, "www.sub.example. A"); a.Glue != 3 || len(a.Additional) != 5 {
		t.Errorf("%d of %d sets are glue", a.Glue, len(a.Additional))
	}
}

// RFC 9471 §3.1 with RFC 4035 §2.2: glue is not signed, what is beside the cut may be; with DO that has its signatures.
func TestAddressesBesideTheCutAreSigned(t *testing.T) {
	ns := []string{"sub.example. 60 IN NS a.sub.example.", "sub.example. 60 IN NS b.example."}
	glue, b := "a.sub.example. 60 IN A 192.0.2.1", signed("b.example. 60 IN A 192.0.2.2")
	s := serve(t, "example.", append(append([]string{soaRecord, glue}, ns...), b...)...)
	want := referral(ns, append([]string{glue}, b...))
	want.Glue = 1
	s.expect(t, "sub.example. A +do", want)
}
