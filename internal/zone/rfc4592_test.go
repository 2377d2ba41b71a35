package zone_test

import (
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
)

// wildcardZone is the example of RFC 4592 §2.2.1.
func wildcardZone(t *testing.T, more ...string) served {
	t.Helper()
	return serve(t, "example.", append([]string{
		soaRecord,
		"example. 3600 IN NS ns.example.com.",
		"example. 3600 IN NS ns.example.net.",
		`*.example. 3600 IN TXT "this is a wildcard"`,
		"*.example. 3600 IN MX 10 host1.example.",
		`sub.*.example. 3600 IN TXT "this is not a wildcard"`,
		"host1.example. 3600 IN A 192.0.2.1",
		"_ssh._tcp.host1.example. 3600 IN SRV 0 0 22 host1.example.",
		"_ssh._tcp.host2.example. 3600 IN SRV 0 0 22 host2.example.",
		"subdel.example. 3600 IN NS ns.example.com.",
		"subdel.example. 3600 IN NS ns.example.net.",
	}, more...)...)
}

// RFC 4592 §2.2.1: "The following responses would be synthesized from one of the wildcards in the zone", and those that
// would not.
func TestWildcardExamplesOfTheRFC(t *testing.T) {
	s := wildcardZone(t)
	subdel := referral([]string{"subdel.example. 3600 IN NS ns.example.com.",
		"subdel.example. 3600 IN NS ns.example.net."}, nil)
	for _, c := range []struct {
		question string
		want     dnstest.Reply
	}{
		{"host3.example. MX", with(answer("host3.example. 3600 IN MX 10 host1.example."), "host1.example. 3600 IN A 192.0.2.1")},
		{"host3.example. A", nodata()},
		{"foo.bar.example. TXT", answer(`foo.bar.example. 3600 IN TXT "this is a wildcard"`)},
		{"host1.example. MX", nodata()},                 // because host1.example. exists
		{"sub.*.example. MX", nodata()},                 // because sub.*.example. exists
		{"_telnet._tcp.host1.example. SRV", nxdomain()}, // because _tcp.host1.example. exists (without data)
		{"host.subdel.example. A", subdel},              // because subdel.example. exists (and is a zone cut)
		{"ghost.*.example. MX", nxdomain()},             // because *.example. exists
	} {
		s.expect(t, c.question, c.want)
	}
}

// RFC 4592 §3.3.1: the table of closest enclosers and sources of synthesis, each asked for a type that the source has.
func TestSourcesOfSynthesisOfTheRFC(t *testing.T) {
	s := wildcardZone(t)
	for qname, synthesized := range map[string]bool{
		"host3.example.":              true,  // closest encloser example.
		"_telnet._tcp.host1.example.": false, // _tcp.host1.example.
		"_dns._udp.host2.example.":    false, // host2.example.
		"_telnet._tcp.host3.example.": true,  // example.
		"_chat._udp.host3.example.":   true,  // example.
		"foobar.*.example.":           false, // *.example.
	} {
		want := nxdomain()
		if synthesized {
			want = answer(qname + ` 3600 IN TXT "this is a wildcard"`)
		}
		s.expect(t, qname+" TXT", want)
	}
}

// W2, RFC 4592 §2.2.2 and §2.2.3: a name exists if a name below it does; an existing name, empty or not, blocks the
// wildcard.
func TestEmptyNonTerminalBlocksTheWildcard(t *testing.T) {
	s := wildcardZone(t)
	for _, name := range []string{"_tcp.host1.example.", "host2.example.", "_tcp.host2.example."} {
		s.expect(t, name+" TXT", nodata())
	}
	s.expect(t, "x.host2.example. TXT", nxdomain())
}

// RFC 4592 §4.9: "If a source of synthesis is an empty non-terminal, then the response will be one of no error in the
// return code and no RRSet in the answer section." There is no falling back to a wildcard further up.
func TestEmptyWildcardSynthesizesNoData(t *testing.T) {
	s := serve(t, "example.", soaRecord, "*.example. 60 IN TXT x", "a.*.sub.example. 60 IN TXT y")
	s.expect(t, "x.sub.example. TXT", nodata())
	s.expect(t, "*.sub.example. TXT", nodata())
	s.expect(t, "b.*.sub.example. TXT", nxdomain())
	alone := serve(t, "example.", soaRecord, "a.*.example. 60 IN TXT y")
	alone.expect(t, "x.example. TXT", nodata())
}

// W3, RFC 4592 §2.3 and §4.2: the wildcard stands in the zone of the closest encloser; below a cut there is none.
func TestWildcardBelowACutIsNotUsed(t *testing.T) {
	ns := "sub.example. 60 IN NS ns.example.net."
	s := serve(t, "example.", soaRecord, ns, "*.sub.example. 60 IN TXT x", "*.example. 60 IN TXT y")
	s.expect(t, "www.sub.example. TXT", referral([]string{ns}, nil))
	s.expect(t, "*.sub.example. TXT", referral([]string{ns}, nil))
}

// W4, RFC 4592 §2.1.1 and §3.3.2: a question for the wildcard's own name is an exact match, and "*" inside a name is a
// label like any other.
func TestWildcardIsAnsweredByItsOwnName(t *testing.T) {
	s := wildcardZone(t, "a.*b.example. 60 IN TXT z")
	s.expect(t, "*.example. TXT", answer(`*.example. 3600 IN TXT "this is a wildcard"`))
	s.expect(t, "*.example. A", nodata())
	s.expect(t, "sub.*.example. TXT", answer(`sub.*.example. 3600 IN TXT "this is not a wildcard"`))
	s.expect(t, "*.host1.example. TXT", nxdomain())
	s.expect(t, "c.*b.example. TXT", nxdomain())
}

// W5, RFC 4592 §3.3.3: "If the data at the source of synthesis is a CNAME, and QTYPE doesn't match CNAME, copy the CNAME RR
// into the answer section of the response changing the owner name to the QNAME, change QNAME to the canonical name in
// the CNAME RR, and go back to step 1."
func TestWildcardCNAMEIsFollowed(t *testing.T) {
	s := serve(t, "example.", soaRecord, "*.example. 60 IN CNAME www.example.", "www.example. 60 IN A 192.0.2.1",
		"*.loop.example. 60 IN CNAME x.loop.example.")
	s.expect(t, "a.b.example. A", answer("a.b.example. 60 IN CNAME www.example.", "www.example. 60 IN A 192.0.2.1"))
	s.expect(t, "a.example. CNAME", answer("a.example. 60 IN CNAME www.example."))
	s.expect(t, "y.loop.example. A", answer("y.loop.example. 60 IN CNAME x.loop.example.",
		"x.loop.example. 60 IN CNAME x.loop.example."))
}

// W6: RFC 4592 §4.2 finds NS records at a wildcard poorly defined. The names it would synthesize are not delegated; its own
// name is a cut.
func TestWildcardNSDelegatesNothingElse(t *testing.T) {
	ns := "*.example. 60 IN NS ns.example.net."
	s := serve(t, "example.", soaRecord, ns, "*.example. 60 IN TXT x")
	if a := reply(s.lookup(t, "www.example. A")); a.Outcome != "NODATA" {
		t.Errorf("www: %+v", a)
	}
	s.expect(t, "*.example. NS", referral([]string{ns}, nil))
	s.expect(t, "a.*.example. A", referral([]string{ns}, nil))
}

// W7, RFC 4592 §2.2.1: a type that the wildcard does not have is NODATA, not NXDOMAIN, and so is DS (§4.6).
func TestTypeMissingAtTheWildcardIsNoData(t *testing.T) {
	s := wildcardZone(t)
	s.expect(t, "a.b.c.example. AAAA", nodata())
	s.expect(t, "x.example. DS", nodata())
}

// W1, RFC 4592 §3.3.1: the asterisk label of the closest encloser alone counts; a wildcard further up does not reach below
// a name that exists.
func TestWildcardOfTheClosestEncloserCounts(t *testing.T) {
	s := serve(t, "example.", soaRecord, "*.example. 60 IN TXT top", "a.example. 60 IN A 192.0.2.1", "*.b.example. 60 IN TXT b")
	s.expect(t, "x.a.example. TXT", nxdomain())
	s.expect(t, "x.y.b.example. TXT", answer("x.y.b.example. 60 IN TXT b"))
	s.expect(t, "b.example. TXT", nodata())
}

// RFC 4592 §3.3.3: the owner of what is synthesized is the name that was asked for, in its case (RFC 4343 §4.1).
func TestSynthesizedOwnerIsTheName(t *testing.T) {
	s := wildcardZone(t)
	if owner := s.lookup(t, "Foo.BAR.example. TXT").Answer[0].Owner.String(); owner != "Foo.BAR.example." {
		t.Errorf("owner %s", owner)
	}
}
