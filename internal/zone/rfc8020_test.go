package zone_test

import "testing"

// R18, RFC 8020, abstract: NXDOMAIN "means that the domain name which is thus denied AND ALL THE NAMES UNDER IT do not
// exist".
func TestNothingExistsBelowNXDOMAIN(t *testing.T) {
	s := serve(t, "example.", soaRecord, "b.example. 60 IN A 192.0.2.1", "a.b.c.example. 60 IN A 192.0.2.1")
	for _, name := range []string{"a.example.", "bb.example.", "a.b.example.", "c.c.example.", "0.a.b.c.example."} {
		for _, below := range []string{"", "x.", "*.", "a.b."} {
			s.expect(t, below+name+" A", nxdomain())
		}
	}
}

// R18, RFC 8020 §2 with RFC 4592 §2.2.2: an empty non-terminal exists, as names under it do: NODATA, never NXDOMAIN.
func TestEmptyNonTerminalIsNoData(t *testing.T) {
	s := serve(t, "example.", soaRecord, "a.b.c.example. 60 IN A 192.0.2.1", "x.example. 60 IN NS ns.y.x.example.",
		"ns.y.x.example. 60 IN A 192.0.2.1",
		"z.t.example. 60 IN DNAME u.example.")
	for _, q := range []string{"b.c.example. A", "c.example. A", "C.EXAMPLE. ANY", "b.c.example. NS", "b.c.example. DS",
		"c.example. RRSIG", "t.example. A"} {
		s.expect(t, q, nodata())
	}
}

// RFC 1034 §3.1: a name that only ends in the octets of an existing one is another name.
func TestNamesEndAtLabels(t *testing.T) {
	s := serve(t, "example.", soaRecord, "ab.example. 60 IN A 192.0.2.1", `a\.b.c.example. 60 IN A 192.0.2.1`,
		`a\000.d.example. 60 IN A 192.0.2.1`,
		`\001a.f.example. 60 IN A 192.0.2.1`, `b.a\000c.example. 60 IN A 192.0.2.1`)
	for _, name := range []string{"b.example.", "a.example.", "b.c.example.", "a.b.c.example.", "a.d.example.",
		`a\000\000.d.example.`, "a.f.example.", `a\000b.example.`, "b.a.example."} {
		s.expect(t, name+" A", nxdomain())
	}
	s.expect(t, `A\.B.c.example. A`, answer(`a\.b.c.example. 60 IN A 192.0.2.1`))
	s.expect(t, `a\000c.example. A`, nodata())
}
