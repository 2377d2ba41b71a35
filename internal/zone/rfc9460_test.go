package zone_test

import "testing"

// RFC 9460 §4.1: "When replying to a SVCB query, authoritative DNS servers SHOULD return A, AAAA, and SVCB records in the
// Additional section for any TargetNames that are in the zone." Of these there are the addresses.
func TestServiceTargetsHaveTheirAddresses(t *testing.T) {
	a, aaaa := "t.example. 60 IN A 192.0.2.1", "t.example. 60 IN AAAA 2001:db8::1"
	svcb, https := "_s.example. 60 IN SVCB 1 t.example. port=53", "www.example. 60 IN HTTPS 0 t.example."
	s := serve(t, "example.", soaRecord, a, aaaa, svcb, https, "out.example. 60 IN SVCB 1 t.example.net.")
	s.expect(t, "_s.example. SVCB", with(answer(svcb), a, aaaa))
	s.expect(t, "www.example. HTTPS", with(answer(https), a, aaaa))
	s.expect(t, "out.example. SVCB", answer("out.example. 60 IN SVCB 1 t.example.net."))
}

// RFC 9460 §4.1: of the target of an alias there are the service bindings as well.
func TestServiceAliasesHaveTheirTargets(t *testing.T) {
	alias, https := "example. 60 IN HTTPS 0 t.example.", "t.example. 60 IN HTTPS 1 u.example."
	a, u := "t.example. 60 IN A 192.0.2.1", "u.example. 60 IN A 192.0.2.2"
	s := serve(t, "example.", soaRecord, alias, https, a, u, "t.example. 60 IN SVCB 1 u.example.")
	s.expect(t, "example. HTTPS", with(answer(alias), https, a))
	s.expect(t, "t.example. HTTPS", with(answer(https), u))
}

// RFC 9460 §2.5.2: "In ServiceMode, if TargetName has the value ".", then the owner name of this record MUST be used as the
// effective TargetName."
func TestServiceTargetMayBeTheOwner(t *testing.T) {
	a, https := "www.example. 60 IN A 192.0.2.1", "www.example. 60 IN HTTPS 1 . alpn=h2"
	wild, address := "*.w.example. 60 IN HTTPS 1 .", "*.w.example. 60 IN A 192.0.2.2"
	s := serve(t, "example.", soaRecord, a, https, wild, address)
	s.expect(t, "www.example. HTTPS", with(answer(https), a))
	s.expect(t, "x.w.example. HTTPS", with(answer("x.w.example. 60 IN HTTPS 1 ."), "x.w.example. 60 IN A 192.0.2.2"))
}

// RFC 9460 §2.5.1: "For AliasMode SVCB RRs, a TargetName of "." indicates that the service is not available or does not
// exist." There is nothing to connect to.
func TestServiceThatDoesNotExistHasNoAddresses(t *testing.T) {
	https := "www.example. 60 IN HTTPS 0 ."
	s := serve(t, "example.", soaRecord, https, "www.example. 60 IN A 192.0.2.1")
	s.expect(t, "www.example. HTTPS", answer(https))
}
