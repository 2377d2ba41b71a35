package zone_test

import "testing"

// R16, RFC 2308 §3: "Name servers authoritative for a zone MUST include the SOA record of the zone in the authority section
// of the response when reporting an NXDOMAIN or indicating that no data of the requested type exists."
func TestNegativeAnswersCarryTheSOA(t *testing.T) {
	s := serve(t, "example.", soaRecord, "a.example. 300 IN A 192.0.2.1")
	s.expect(t, "nx.example. A", nxdomain())
	s.expect(t, "a.example. TXT", nodata())
	s.expect(t, "example. NS", nodata())
}

// R16, RFC 2308 §3: "The TTL of this record is set from the minimum of the MINIMUM field of the SOA record and the TTL of
// the SOA itself".
func TestNegativeTTLIsTheLowerOfMinimumAndSOA(t *testing.T) {
	for _, c := range []struct{ ttl, minimum, want string }{
		{"3600", "300", "300"}, {"60", "300", "60"}, {"60", "0", "0"}, {"0", "60", "0"}, {"60", "60", "60"},
		{"2147483647", "4294967295", "2147483647"},
	} {
		soa := func(ttl string) string {
			return "example. " + ttl + " IN SOA ns.example. host.example. 7 1 1 1 " + c.minimum
		}
		s := serve(t, "example.", soa(c.ttl))
		want := nxdomain()
		want.Authority = text(soa(c.want))
		s.expect(t, "nx.example. A", want)
		s.expect(t, "example. SOA", answer(soa(c.ttl)))
	}
}

// RFC 2308 §2.1 and §2.2: a chain that ends in NXDOMAIN or NODATA keeps its CNAMEs in the answer section.
func TestNegativeAnswerBehindACNAME(t *testing.T) {
	gone, empty := "a.example. 300 IN CNAME nx.example.", "b.example. 300 IN CNAME example."
	s := serve(t, "example.", soaRecord, gone, empty)
	s.expect(t, "a.example. A", nxdomain(gone))
	s.expect(t, "b.example. A", nodata(empty))
}
