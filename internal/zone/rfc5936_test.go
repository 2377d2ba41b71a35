package zone_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// RFC 5936 §2.2: "AXFR clients MUST ignore any duplicate RRs received", and may get records in any order.
func TestDuplicatesInATransferAreIgnored(t *testing.T) {
	a, b := "a.example. 60 IN A 192.0.2.1", "b.example. 60 IN A 192.0.2.1"
	s := serve(t, "example.", b, a, soaRecord, b, "A.EXAMPLE. 60 IN A 192.0.2.1", soaRecord, b)
	if diff := cmp.Diff(text(soaRecord, a, b), dump(s.Contents)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if s.Size() != (9+10+46)+(11+10+4)+(11+10+4) || s.Records() != 3 {
		t.Errorf("%d records of %d octets", s.Records(), s.Size())
	}
}

// RFC 5936 §3.5: names that a cut or a DNAME occludes are part of the zone and of its transfers.
func TestOccludedNamesAreKept(t *testing.T) {
	records := []string{
		soaRecord,
		"d.example. 60 IN DNAME example.net.",
		"a.d.example. 60 IN A 192.0.2.1",
		"sub.example. 60 IN NS ns.sub.example.",
		"sub.example. 60 IN TXT occluded",
		"deep.sub.example. 60 IN NS ns.example.net.",
		"ns.sub.example. 60 IN A 192.0.2.2",
	}
	s := serve(t, "example.", records...)
	if diff := cmp.Diff(text(records...), dump(s.Contents)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// RFC 5936 §3.2: the NS and glue records at a cut are transferred as they are registered in this zone.
func TestRecordsAtACutAreKeptAsRegistered(t *testing.T) {
	s := serve(t, "example.", soaRecord, "sub.example. 60 IN NS ns.sub.example.",
		"sub.example. 30 IN NS old.example.net.", "ns.sub.example. 60 IN A 192.0.2.2")
	want := text(soaRecord, "sub.example. 60 IN NS ns.sub.example.", "sub.example. 30 IN NS old.example.net.",
		"ns.sub.example. 60 IN A 192.0.2.2")
	if diff := cmp.Diff(want, dump(s.Contents)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	owner, err := wire.ParseName("NS.sub.example.")
	if err != nil {
		t.Fatal(err)
	}
	if set, ok := s.Set(owner, wire.TypeA); !ok || set.Count != 1 || set.TTL != 60 {
		t.Errorf("Set: %+v, %v", set, ok)
	}
}

// RFC 5936 §3.4: a transfer preserves the case of owners and of names in RDATA.
func TestCaseIsPreservedInTransfers(t *testing.T) {
	mixed := []string{"Example. 60 IN SOA NS.example. Host.example. 7 1 1 1 60", "lower.example. 60 IN A 192.0.2.1",
		"MiXed.example. 60 IN MX 10 Mail.EXAMPLE."}
	s := serve(t, "example.", mixed...)
	i := 0
	for rr := range s.All() {
		want := record(mixed[i])
		if rr.Owner.String() != want.Owner.String() || string(rr.Data) != string(want.Data) {
			t.Errorf("%s %q, want %s %q", rr.Owner, rr.Data, want.Owner, want.Data)
		}
		i++
	}
	if i != len(mixed) {
		t.Errorf("%d records", i)
	}
}

// Whoever ranges over the records may stop at any.
func TestAllStopsWhenToldTo(t *testing.T) {
	s := serve(t, "example.", soaRecord, "a.example. 60 IN A 192.0.2.1", "a.example. 60 IN A 192.0.2.2", nsec3Record)
	for stop := 1; stop <= s.Records(); stop++ {
		n := 0
		for range s.All() {
			if n++; n == stop {
				break
			}
		}
		if n != stop {
			t.Errorf("stopped at %d, want %d", n, stop)
		}
	}
}
