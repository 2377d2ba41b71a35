package zone_test

import (
	"fmt"
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// RFC 1034 §4.3.2 step 6 with RFC 1035 §3.3.9 and §3.3.11 and RFC 2782: the addresses of the hosts that MX, NS and SRV
// records name come along, each name once, as far as the zone has them.
func TestHostsOfTheAnswerHaveTheirAddresses(t *testing.T) {
	m, n, sub := "m.example. 60 IN A 192.0.2.1", "n.example. 60 IN AAAA 2001:db8::1", "n.sub.example. 60 IN A 192.0.2.2"
	mx := []string{"example. 60 IN MX 10 m.example.", "example. 60 IN MX 20 n.example.", "example. 60 IN MX 30 m.example.",
		"example. 60 IN MX 40 m.example.net.", "example. 60 IN MX 50 nx.example.", "example. 60 IN MX 60 n.example."}
	ns := []string{"example. 60 IN NS m.example.", "example. 60 IN NS n.sub.example."}
	srv, alias := "_s._tcp.example. 60 IN SRV 1 1 53 n.example.", "a.example. 60 IN CNAME example."
	s := serve(t, "example.", append(append([]string{soaRecord, m, n, sub, srv, alias, "sub.example. 60 IN NS n.sub.example.",
		"m.example. 60 IN TXT x"}, mx...), ns...)...)
	s.expect(t, "example. MX", with(answer(mx...), m, n))
	s.expect(t, "example. NS", with(answer(ns...), m, sub)) // glue will do
	s.expect(t, "_s._tcp.example. SRV", with(answer(srv), n))
	s.expect(t, "a.example. MX", with(answer(append([]string{alias}, mx...)...), m, n))
}

// RFC 7505 §3: an MX record that points at "." says that there is no host.
func TestNullMXHasNoAddress(t *testing.T) {
	mx := "a.example. 60 IN MX 0 ."
	serve(t, "example.", soaRecord, mx, "a.example. 60 IN A 192.0.2.1").expect(t, "a.example. MX", answer(mx))
}

// RFC 6672 §2.4: what stands below a DNAME is occluded, and no address of anything.
func TestOccludedAddressesAreNotAdded(t *testing.T) {
	mx := "example. 60 IN MX 10 m.d.example."
	s := serve(t, "example.", soaRecord, mx, "d.example. 60 IN DNAME example.net.", "m.d.example. 60 IN A 192.0.2.1")
	s.expect(t, "example. MX", answer(mx))
}

// An answer that points at very many names has the addresses of the first ones only: no answer grows without bound.
func TestAddressesHaveALimit(t *testing.T) {
	records := []string{soaRecord}
	for i := range 2 * zone.MaxAddressNames {
		records = append(records, fmt.Sprintf("example. 300 IN MX %d m%03d.example.", i, i),
			fmt.Sprintf("m%03d.example. 300 IN A 192.0.2.1", i))
	}
	a := reply(serve(t, "example.", records...).lookup(t, "example. MX"))
	if len(a.Answer) != 2*zone.MaxAddressNames || len(a.Additional) != zone.MaxAddressNames {
		t.Errorf("%d MX, %d addresses", len(a.Answer), len(a.Additional))
	}
}
