package zone_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// maxZones is how often resumed goes on: more often than any answer has names.
const maxZones = 3 * zone.MaxChain

// resumed answers a question from the first of several zones, and goes on in the one nearest to the target as long as
// there is a target within any (RFC 1034 §4.3.2 steps 2 and 3a).
func resumed(t *testing.T, question string, zones ...served) (a zone.Answer) {
	t.Helper()
	ask(zones[0].Contents, parseQuery(t, question), &a)
	here := 0
	for range maxZones {
		nearest := -1
		for i, z := range zones {
			if a.Target != nil && a.Target.Within(z.Origin()) && (nearest < 0 ||
				z.Origin().Labels() > zones[nearest].Origin().Labels()) {
				nearest = i
			}
		}
		if nearest < 0 || nearest == here {
			return a
		}
		zones[nearest].Resume(&a)
		here = nearest
	}
	t.Fatalf("%s: no end in %d zones", question, maxZones)
	return a
}

// expectResumed compares what resumed makes of a question.
func expectResumed(t *testing.T, question string, want dnstest.Reply, zones ...served) {
	t.Helper()
	a := resumed(t, question, zones...)
	q, got := parseQuery(t, question), reply(&a)
	if diff := cmp.Diff(comparable(q, want), comparable(q, got), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", question, diff)
	}
}

const netSOA = "example.net. 900 IN SOA ns.example.net. host.example.net. 3 7200 900 86400 60"

// RFC 1034 §4.3.2 step 3a: "change QNAME to the canonical name in the CNAME RR, and go back to step 1", which looks for the
// nearest zone anew.
func TestAliasesAreFollowedIntoOtherZones(t *testing.T) {
	out, back := "out.example. 60 IN CNAME in.example.net.", "in.example.net. 60 IN CNAME www.example."
	gone, empty := "gone.example. 60 IN CNAME nx.example.net.", "empty.example. 60 IN CNAME a.example.net."
	d, far := "d.example. 60 IN DNAME example.net.", "far.example. 60 IN CNAME www.example.org."
	www, a := "www.example. 60 IN A 192.0.2.1", "a.example.net. 60 IN A 192.0.2.2"
	one := serve(t, "example.", soaRecord, out, gone, empty, d, far, www)
	two := serve(t, "example.net.", netSOA, back, a)
	netNegative := text("example.net. 60 IN SOA ns.example.net. host.example.net. 3 7200 900 86400 60")
	expectResumed(t, "out.example. A", answer(out, back, www), one, two)
	expectResumed(t, "in.example.net. A", answer(back, www), two, one)
	expectResumed(t, "a.d.example. A", answer(d, "a.d.example. 60 IN CNAME a.example.net.", a), one, two)
	expectResumed(t, "gone.example. A",
		dnstest.Reply{Outcome: "NXDOMAIN", Answer: text(gone), Authority: netNegative}, one, two)
	expectResumed(t, "empty.example. TXT",
		dnstest.Reply{Outcome: "NODATA", Answer: text(empty), Authority: netNegative}, one, two)
	away := answer(far)
	away.Target = "www.example.org."
	expectResumed(t, "far.example. A", away, one, two)
}

// RFC 1034 §4.3.2 step 2: a name below a cut is answered from the child zone where that is served too, and nothing is left
// of the referral; of DS questions the parent knows the answer (RFC 4035 §3.1.4.1).
func TestAliasesBelowACutAreFollowedIntoTheChildZone(t *testing.T) {
	alias, ns := "a.example. 60 IN CNAME www.sub.example.", "sub.example. 60 IN NS ns.sub.example."
	www, glue := "www.sub.example. 60 IN A 192.0.2.1", "ns.sub.example. 60 IN A 192.0.2.2"
	parent := serve(t, "example.", soaRecord, alias, ns, glue)
	child := serve(t, "sub.example.", "sub.example. 60 IN SOA a. b. 1 2 3 4 5", ns, glue, www)
	expectResumed(t, "a.example. A", answer(alias, www), parent, child)
	want := referral([]string{ns}, []string{glue}, alias)
	want.Glue, want.Target = 1, "www.sub.example."
	expectResumed(t, "a.example. A", want, parent)
	straight := referral([]string{ns}, []string{glue})
	straight.Glue = 1
	expectResumed(t, "www.sub.example. A", straight, parent)
}

// RFC 4035 §3.1.3.3: what proves the wildcard that an alias came from stays in the answer, wherever the alias leads; what
// proves a referral that is not made does not.
func TestProofsOfAliasesStay(t *testing.T) {
	alias, nsec := "*.w.example. 3600 IN CNAME www.b.example.", "*.w.example. 3600 IN NSEC example. CNAME RRSIG NSEC"
	b := "b.example. 3600 IN NSEC *.w.example. NS RRSIG NSEC"
	out := "*.w.example. 3600 IN CNAME a.example.net."
	apex := "example. 3600 IN NSEC b.example. SOA RRSIG NSEC"
	www, a := "www.b.example. 60 IN A 192.0.2.1", "a.example.net. 60 IN A 192.0.2.2"
	parent := serve(t, "example.", append(signed(exampleSOA, apex, alias, nsec, b), bNS...)...)
	child := serve(t, "b.example.", signed("b.example. 60 IN SOA a. b. 1 2 3 4 5", www)...)
	want := answer(slices.Concat(renamed("x.w.example.", signed(alias)...), signed(www))...)
	want.Authority = text(signed(nsec)...)
	expectResumed(t, "x.w.example. A +do", want, parent, child)
	outward := serve(t, "example.", signed(exampleSOA, apex, out, nsec)...)
	want = answer(append(renamed("x.w.example.", signed(out)...), a)...)
	want.Authority = text(signed(nsec)...)
	expectResumed(t, "x.w.example. A +do", want, outward, serve(t, "example.net.", netSOA, a))
}

// RFC 1034 §3.6.2: loops and chains through several zones end where those within one do.
func TestChainsThroughSeveralZonesEnd(t *testing.T) {
	there, back := "a.example. 60 IN CNAME a.example.net.", "a.example.net. 60 IN CNAME a.example."
	long, longer := []string{soaRecord, there}, []string{netSOA, back}
	for i := range 2 * zone.MaxChain {
		long = append(long, fmt.Sprintf("c%d.example. 60 IN CNAME c%d.example.net.", i, i))
		longer = append(longer, fmt.Sprintf("c%d.example.net. 60 IN CNAME c%d.example.", i, i+1))
	}
	one, two := serve(t, "example.", long...), serve(t, "example.net.", longer...)
	loop := resumed(t, "a.example. A", one, two)
	if got := lines(loop.Answer); !slices.Equal(got[:2], text(there, back)) || len(got) > zone.MaxChain {
		t.Errorf("loop: %q", got)
	}
	chain := resumed(t, "c0.example. A", one, two)
	if got := lines(chain.Answer); len(got) != zone.MaxChain || loop.Outcome != zone.Success {
		t.Errorf("chain of %d: %q", len(got), got)
	}
}

// An answer through several zones allocates no more than one from a single zone.
func TestResumeAllocatesNothing(t *testing.T) {
	one := serve(t, "example.", soaRecord, "*.w.example. 60 IN CNAME a.example.net.")
	two := serve(t, "example.net.", netSOA, "a.example.net. 60 IN A 192.0.2.1")
	q := zoneQuery(parseQuery(t, "x.w.example. A +do"))
	var a zone.Answer
	if n := testing.AllocsPerRun(100, func() {
		one.Lookup(q, &a)
		two.Resume(&a)
	}); n != 0 || len(a.Answer) != 2 || a.Answer[1].Type != wire.TypeA {
		t.Errorf("%v allocations: %+v", n, reply(&a))
	}
}
