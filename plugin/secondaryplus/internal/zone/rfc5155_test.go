package zone_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/wire"
)

const (
	nsec3Owner  = "2t7b4g4vsa5smi47k61mv5bv1a22bojr.example."
	nsec3Record = nsec3Owner + " 60 IN NSEC3 1 0 0 - 2VPTU5TIMAMQTTGL4LUU9KG21E0AOR3S A"
)

// RFC 5155 §7.2.8: "the authoritative name server will act as if the owner name of the NSEC3 RR did not exist."
func TestNSEC3OwnersDoNotExistAsNames(t *testing.T) {
	s := serve(t, "example.", soaRecord, nsec3Record, sigOf(nsec3Owner, "NSEC3"), "a.example. 60 IN A 192.0.2.1")
	for _, q := range []string{" NSEC3", " RRSIG", " A", " ANY", " DS"} {
		s.expect(t, nsec3Owner+q, nxdomain())
		s.expect(t, "x."+nsec3Owner+q, nxdomain())
	}
	wild := serve(t, "example.", soaRecord, nsec3Record, "*.example. 60 IN TXT x")
	wild.expect(t, nsec3Owner+" TXT", answer(nsec3Owner+" 60 IN TXT x"))
	wild.expect(t, nsec3Owner+" NSEC3", nodata())
}

// RFC 5155 §7.2.8: a name that has other records besides exists by them.
func TestNameBesideAnNSEC3Exists(t *testing.T) {
	a := nsec3Owner + " 60 IN A 192.0.2.1"
	s := serve(t, "example.", soaRecord, nsec3Record, sigOf(nsec3Owner, "NSEC3"), a, sigOf(nsec3Owner, "A"))
	s.expect(t, nsec3Owner+" A", answer(a))
	s.expect(t, nsec3Owner+" NSEC3", nodata())
	s.expect(t, nsec3Owner+" RRSIG", answer(sigOf(nsec3Owner, "A")))
}

// RFC 5155 §7.2.8: NSEC3 records are part of a transfer all the same, and counted.
func TestNSEC3RecordsAreTransferred(t *testing.T) {
	s := serve(t, "example.", sigOf(nsec3Owner, "NSEC3"), nsec3Record, soaRecord, "z.example. 60 IN A 192.0.2.1")
	if diff := cmp.Diff(text(soaRecord, "z.example. 60 IN A 192.0.2.1", sigOf(nsec3Owner, "NSEC3"), nsec3Record),
		dump(s.Contents)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if s.Records() != 4 {
		t.Errorf("%d records", s.Records())
	}
	owner, err := wire.ParseName(nsec3Owner)
	if err != nil {
		t.Fatal(err)
	}
	set, ok := s.Set(owner, wire.TypeNSEC3)
	if want := record(nsec3Record); !ok || !slices.Equal(set.First(), want.Data) {
		t.Errorf("Set: %x, %v", set.First(), ok)
	}
}
