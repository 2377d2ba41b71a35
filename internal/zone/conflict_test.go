package zone_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// conflictModes are the rules that leave records out.
var conflictModes = []rules.Conflicts{rules.ConflictsRFC, rules.ConflictsAlibaba}

// failer is what testing.T and rapid.T have in common here.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// marked builds contents of which records are not served, and checks their structure.
func marked(t failer, origin wire.Name, rrs []wire.RR, m rules.Conflicts, now *zone.Contents) (*zone.Contents, *zone.Losses) {
	t.Helper()
	b := zone.NewBuilder(origin, zone.Limits{})
	b.Exclude(m.Exclusions(), now)
	for i := range rrs {
		if err := b.Add(&rrs[i]); err != nil {
			t.Fatalf("Add %s: %v", dnstest.Line(&rrs[i]), err)
		}
	}
	c, err := b.Seal()
	if err != nil {
		t.Fatalf("Seal: %v", err)
	}
	if err := c.Check(); err != nil {
		t.Fatalf("%v%s", err, listing(rrs))
	}
	return c, b.Losses()
}

// marks returns what is not served, with the rule of each.
func marks(c *zone.Contents) (lines []string) {
	for owner, s := range markedSets(c) {
		lines = append(lines, owner+" "+s)
	}
	return slices.Sorted(slices.Values(lines))
}

// markedSets calls yield with each record that is not served and its rule.
func markedSets(c *zone.Contents) func(yield func(record, rule string) bool) {
	return func(yield func(record, rule string) bool) {
		c.MarkedSets(func(owner wire.Name, s zone.RRset, m zone.Mark) bool {
			for data := range s.All() {
				rr := wire.RR{Owner: owner, Type: s.Type, Class: wire.ClassIN, Data: data}
				if !yield(identity(rr), string(rules.OfMark(m))) {
					return false
				}
			}
			return true
		})
	}
}

// keptOf returns the records that are served.
func keptOf(rrs []wire.RR, c *zone.Contents) []wire.RR {
	lost := map[string]bool{}
	for rr := range markedSets(c) {
		lost[rr] = true
	}
	return slices.DeleteFunc(slices.Clone(rrs), func(rr wire.RR) bool { return rr.Class == wire.ClassIN && lost[identity(rr)] })
}

// Contents with marks answer as contents that never had the marked records, in every section; what is left excludes nothing.
func TestLookupsPassOverMarkedRecords(t *testing.T) { rapid.Check(t, marksAreNotServed) }

// FuzzMarks makes a zone and questions of the octets.
func FuzzMarks(f *testing.F) { fuzz(f, marksAreNotServed) }

func marksAreNotServed(t *rapid.T) {
	z := dnstest.AnyZones().Draw(t, "zone")
	mode := rapid.SampledFrom(conflictModes).Draw(t, "mode")
	c, losses := marked(t, z.Origin, z.Records, mode, nil)
	if got := len(marks(c)); got != c.Marked() || total(losses) != c.Marked() || losses.Fresh() != c.Marked() {
		t.Fatalf("%d records are marked; counted: %d, as losses %d, of them fresh %d", got, c.Marked(), total(losses), losses.Fresh())
	}
	kept := keptOf(z.Records, c)
	if left, _ := marked(t, z.Origin, kept, mode, nil); left.Marked() != 0 {
		t.Fatalf("What is left excludes %q%s", marks(left), listing(z.Records))
	}
	questions := dnstest.NewOracle(z.Origin, z.Records).Questions()
	compareLookups(t, c, dnstest.NewOracle(z.Origin, kept), variants(t, questions))
}

// total returns how many records lose.
func total(l *zone.Losses) (n int) {
	for i := range reason.All(reason.Conflict) {
		n += l.Count(zone.Mark(i + 1))
	}
	return n
}

// The order in which records come, early or late, does not change which are marked, nor how many are counted.
func TestMarksDoNotDependOnTheOrderOfRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := dnstest.Zones().Draw(t, "zone")
		mode := rapid.SampledFrom(conflictModes).Draw(t, "mode")
		one, lost := marked(t, z.Origin, z.Records, mode, nil)
		two, again := marked(t, z.Origin, rapid.Permutation(z.Records).Draw(t, "again"), mode, nil)
		if diff := cmp.Diff(marks(one), marks(two)); diff != "" {
			t.Fatalf("Marks (-one order +another):\n%s%s", diff, listing(z.Records))
		}
		if total(lost) != total(again) || total(lost) != one.Marked() {
			t.Fatalf("%d and %d losses of %d records", total(lost), total(again), one.Marked())
		}
	})
}

// Marks change nothing of what a zone is: its records, their number and size, and its differences from itself.
func TestMarksAreNoDifference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := dnstest.Zones().Draw(t, "zone")
		plain := seal(t, z)
		for _, mode := range conflictModes {
			c, _ := marked(t, z.Origin, z.Records, mode, nil)
			if diff := cmp.Diff(inOrder(plain), inOrder(c)); diff != "" {
				t.Fatalf("%s: records (-without marks +with):\n%s", mode, diff)
			}
			if c.Records() != plain.Records() || c.Size() != plain.Size() {
				t.Fatalf("%s: %d records of %d octets; want %d of %d", mode, c.Records(), c.Size(), plain.Records(), plain.Size())
			}
			for _, pair := range [][2]*zone.Contents{{plain, c}, {c, plain}} {
				d, err := pair[1].Difference(pair[0], 0)
				if err != nil {
					t.Fatal(err)
				}
				for rr := range d.Removed() {
					if rr.Type != wire.TypeSOA {
						t.Fatalf("%s: removes %s", mode, dnstest.Line(rr))
					}
				}
				for rr := range d.Added() {
					if rr.Type != wire.TypeSOA {
						t.Fatalf("%s: adds %s", mode, dnstest.Line(rr))
					}
				}
			}
			unmarked, lost := c.WithMarks(nil, nil)
			if unmarked.Marked() != 0 || total(lost) != 0 {
				t.Fatalf("%s: %d records are marked without rules", mode, unmarked.Marked())
			}
			if diff := cmp.Diff(inOrder(plain), inOrder(unmarked)); diff != "" {
				t.Fatalf("%s: records (-without marks +unmarked again):\n%s", mode, diff)
			}
			marked := mode.Exclusions()
			again, _ := unmarked.WithMarks(&marked, nil)
			if diff := cmp.Diff(marks(c), marks(again)); diff != "" {
				t.Fatalf("%s: marks (-at first +judged again):\n%s", mode, diff)
			}
		}
	})
}

// RFC 1995 §4: versions that come as differences have the same marks as those that come whole, since either is judged
// against what is served; owners that were not touched keep theirs. What is saved and restored has them too.
func TestEditedMarksAreThoseBuiltAfresh(t *testing.T) { rapid.Check(t, editedMarksAgree) }

// FuzzEditedMarks makes a zone and edits of the octets.
func FuzzEditedMarks(f *testing.F) { fuzz(f, editedMarksAgree) }

func editedMarksAgree(t *rapid.T) {
	z := dnstest.Zones().Draw(t, "zone")
	mode := rapid.SampledFrom(conflictModes).Draw(t, "mode")
	c, _ := marked(t, z.Origin, z.Records, mode, nil)
	k := kept{}
	if _, err := k.save(c, nil); err != nil {
		t.Fatal(err)
	}
	for range rapid.IntRange(1, 4).Draw(t, "versions") {
		s := newScript(t, z, c)
		s.editor.Exclude(mode.Exclusions())
		for range rapid.IntRange(0, 12).Draw(t, "edits") {
			s.step()
		}
		next, err := s.editor.Seal()
		if err != nil {
			t.Fatal(err)
		}
		if err := next.Check(); err != nil {
			t.Fatalf("%v\nwas\n%s\nis%s", err, listing(clone(c)), listing(s.zone.Records))
		}
		whole, _ := marked(t, z.Origin, s.zone.Records, mode, c)
		if diff := cmp.Diff(marks(whole), marks(next)); diff != "" {
			t.Fatalf("%s: marks (-whole +edited):\n%s\nwere %q of%s\nis%s", mode, diff, marks(c), listing(clone(c)), listing(s.zone.Records))
		}
		if next.Marked() != whole.Marked() || next.Records() != whole.Records() || next.Size() != whole.Size() {
			t.Fatalf("%d of %d records are marked; want %d of %d", next.Marked(), next.Records(), whole.Marked(), whole.Records())
		}
		compareLookups(t, next, dnstest.NewOracle(z.Origin, keptOf(s.zone.Records, next)),
			variants(t, dnstest.NewOracle(z.Origin, append(clone(c), s.zone.Records...)).Questions()))
		compareSent(t, c, next)
		if _, err := k.save(next, c); err != nil {
			t.Fatal(err)
		}
		c = next
	}
	if err := k.compare(c); err != nil {
		t.Fatal(err)
	}
	restored, err := zone.Restore(c.Origin(), c.Summary(), k.pages())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(marks(c), marks(restored)); diff != "" || restored.Marked() != c.Marked() {
		t.Fatalf("Marks, %d and %d (-saved +restored):\n%s", c.Marked(), restored.Marked(), diff)
	}
}

// inOrder returns all records to the octet, in an order that marks do not change (RFC 5936 §2.2: any will do).
func inOrder(c *zone.Contents) []string { return slices.Sorted(slices.Values(exact(c))) }

// compareSent makes one version of another by way of their difference; marks are nothing that it could have.
func compareSent(t *rapid.T, from, to *zone.Contents) {
	d, err := to.Difference(from, 0)
	if err != nil {
		t.Fatal(err)
	}
	made, err := apply(from, d)
	if err != nil {
		t.Fatal(err)
	}
	if err := made.Check(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(inOrder(to), inOrder(made)); diff != "" {
		t.Fatalf("contents (-want +made):\n%s", diff)
	}
}

// change is edit with rules of conflicts, for a zone that the oracle knows without what is marked.
func (s served) change(t *testing.T, mode rules.Conflicts, difference ...string) (served, *zone.Losses) {
	t.Helper()
	e := s.Edit(zone.Limits{})
	e.Exclude(mode.Exclusions())
	for _, line := range difference {
		rr, edit := record(line[1:]), e.Add
		if line[0] == '-' {
			edit = e.Remove
		}
		if err := edit(&rr); err != nil {
			t.Fatal(err)
		}
	}
	c, err := e.Seal()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	return withMarks(c), e.Losses()
}

// withMarks returns contents with the oracle of what is served of them.
func withMarks(c *zone.Contents) served {
	return served{c, dnstest.NewOracle(c.Origin(), keptOf(clone(c), c))}
}

// serveMarked is serve by rules of conflicts.
func serveMarked(t *testing.T, mode rules.Conflicts, texts ...string) served {
	t.Helper()
	c, _ := marked(t, wire.Name("\x07example\x00"), records(append([]string{soaRecord}, texts...)...), mode, nil)
	return withMarks(c)
}

// A loser is served again once its winner is gone, and what is served now wins over what comes, whatever its rank.
func TestLoserIsServedOnceTheWinnerIsGone(t *testing.T) {
	const a, alias = "www.example. 60 IN A 192.0.2.1", "www.example. 60 IN CNAME host.example."
	s := serveMarked(t, rules.ConflictsRFC, a, alias, "host.example. 60 IN A 192.0.2.9")
	s.expect(t, "www.example. A", answer(a))
	s.expect(t, "www.example. CNAME", nodata())
	s.expect(t, "www.example. ANY +all", answer(a))

	s, lost := s.change(t, rules.ConflictsRFC, "-"+a)
	if s.Marked() != 0 || total(lost) != 0 {
		t.Errorf("%q are marked", marks(s.Contents))
	}
	s.expect(t, "www.example. A", answer(alias, "host.example. 60 IN A 192.0.2.9"))

	s, lost = s.change(t, rules.ConflictsRFC, "+"+a)
	if total(lost) != 1 || lost.Fresh() != 1 || lost.Samples(1)[0] != "www.example. A" {
		t.Errorf("Losses: %d, fresh %d, %q", total(lost), lost.Fresh(), lost.Samples(1))
	}
	s.expect(t, "www.example. A", answer(alias, "host.example. 60 IN A 192.0.2.9"))

	s, lost = s.change(t, rules.ConflictsRFC, "+other.example. 60 IN A 192.0.2.3")
	if s.Marked() != 1 || total(lost) != 0 {
		t.Errorf("%d records are marked; of the edited owners %d", s.Marked(), total(lost))
	}
	s.expect(t, "www.example. A", answer(alias, "host.example. 60 IN A 192.0.2.9"))
}

// RFC 2181 §10.1: of several CNAMEs one is served; the others are part of the zone.
func TestOneOfSeveralAliasesIsServed(t *testing.T) {
	first, second := "www.example. 60 IN CNAME a.test.", "www.example. 30 IN CNAME b.test."
	s := serveMarked(t, rules.ConflictsRFC, second, first)
	s.expect(t, "www.example. A", answer(first))
	s.expect(t, "www.example. CNAME", answer(first))
	s, _ = s.change(t, rules.ConflictsRFC, "-"+first)
	s.expect(t, "www.example. CNAME", answer(second))
	s, _ = s.change(t, rules.ConflictsRFC, "+"+first)
	s.expect(t, "www.example. CNAME", answer(second))
}

// A zone cut, or a DNAME, that loses covers nothing, and covers again once it returns: at once, for every owner below.
func TestWhatLosesCoversNothing(t *testing.T) {
	const (
		below  = "ns.sub.example. 60 IN A 192.0.2.1"
		deeper = "a.b.sub.example. 60 IN TXT x"
		ns     = "sub.example. 60 IN NS ns.sub.example."
		dname  = "sub.example. 60 IN DNAME test."
		alias  = "sub.example. 60 IN CNAME test."
	)
	for cover, covered := range map[string]dnstest.Reply{
		ns: referral([]string{ns}, []string{below}), dname: answer(dname, "a.b.sub.example. 60 IN CNAME a.b.test."),
	} {
		t.Run(cover, func(t *testing.T) {
			s := serveMarked(t, rules.ConflictsRFC, alias, below, deeper)
			s, _ = s.change(t, rules.ConflictsRFC, "+"+cover)
			if s.Marked() != 1 {
				t.Fatalf("%q are marked", marks(s.Contents))
			}
			s.expect(t, "a.b.sub.example. TXT", answer(deeper))
			gone, _ := s.change(t, rules.ConflictsRFC, "-"+alias)
			gone.expect(t, "a.b.sub.example. TXT", covered)

			// What covers is served now, so what comes back loses to it.
			back, lost := gone.change(t, rules.ConflictsRFC, "+"+alias)
			if lost.Fresh() != 1 {
				t.Errorf("%d fresh losses", lost.Fresh())
			}
			back.expect(t, "a.b.sub.example. TXT", covered)
			without, _ := back.change(t, rules.ConflictsRFC, "-"+cover)
			if without.Marked() != 0 {
				t.Errorf("%q are marked", marks(without.Contents))
			}
			without.expect(t, "a.b.sub.example. TXT", answer(deeper))
		})
	}
}

// The matrix of Alibaba Cloud DNS has NS beside no data below the apex; the address that wins is no glue then.
func TestMarkedZoneCutIsNoReferral(t *testing.T) {
	const ns, glue = "sub.example. 60 IN NS sub.example.", "sub.example. 60 IN A 192.0.2.1"
	s := serveMarked(t, rules.ConflictsAlibaba, ns, glue, "x.sub.example. 60 IN A 192.0.2.2")
	s.expect(t, "sub.example. A", answer(glue))
	s.expect(t, "sub.example. NS", nodata())
	s.expect(t, "x.sub.example. A", answer("x.sub.example. 60 IN A 192.0.2.2"))
	s = serveMarked(t, rules.ConflictsRFC, ns, glue)
	s.expect(t, "sub.example. A", referral([]string{ns}, []string{glue}))
}

// A marked address is in no additional section.
func TestMarkedRecordsAreNotAdded(t *testing.T) {
	s := serveMarked(t, rules.ConflictsAlibaba, "example. 60 IN HTTPS 0 svc.example.", "example. 60 IN HTTPS 1 other.example.",
		"svc.example. 60 IN A 192.0.2.1", "other.example. 60 IN A 192.0.2.2")
	s.expect(t, "example. HTTPS", with(answer("example. 60 IN HTTPS 0 svc.example."), "svc.example. 60 IN A 192.0.2.1"))
	s = serveMarked(t, rules.ConflictsRFC, "mx.example. 60 IN MX 10 host.example.", "host.example. 60 IN CNAME other.example.",
		"host.example. 60 IN A 192.0.2.1")
	s.expect(t, "mx.example. MX", with(answer("mx.example. 60 IN MX 10 host.example."), "host.example. 60 IN A 192.0.2.1"))
}

// The edit that begins without a judge leaves marks as they are, and serves what it adds.
func TestEditWithoutAJudgeLeavesMarks(t *testing.T) {
	s := serveMarked(t, rules.ConflictsRFC, "www.example. 60 IN A 192.0.2.1", "www.example. 60 IN CNAME a.test.")
	s = withMarks(s.edit(t, "+www.example. 60 IN A 192.0.2.2").Contents)
	if got := marks(s.Contents); len(got) != 1 || s.Marked() != 1 {
		t.Errorf("%q are marked", got)
	}
	s.expect(t, "www.example. A", answer("www.example. 60 IN A 192.0.2.1", "www.example. 60 IN A 192.0.2.2"))
}

// RFC 9499: a conflict both sides of which are served now is not new.
func TestServedConflictIsKnown(t *testing.T) {
	texts := []string{"www.example. 60 IN A 192.0.2.1", "www.example. 60 IN CNAME a.test.", "x.example. 60 IN CNAME a.test.",
		"x.example. 60 IN CNAME b.test."}
	rrs := records(append([]string{soaRecord}, texts...)...)
	now := build(t, "example.", rrs)
	_, lost := marked(t, now.Origin(), rrs, rules.ConflictsRFC, now)
	if total(lost) != 2 || lost.Fresh() != 0 {
		t.Errorf("%d losses, %d of them fresh; want 2, 0", total(lost), lost.Fresh())
	}
	more := append(rrs, records("x.example. 60 IN CNAME c.test.", "y.example. 60 IN DNAME a.test.", "y.example. 60 IN DNAME b.test.")...)
	_, lost = marked(t, now.Origin(), more, rules.ConflictsRFC, now)
	if total(lost) != 4 || lost.Fresh() != 2 {
		t.Errorf("%d losses, %d of them fresh; want 4, 2", total(lost), lost.Fresh())
	}
}

// The first few losses of each rule are named.
func TestLossesAreSampled(t *testing.T) {
	rrs := records(soaRecord)
	for i := range 3 * zone.MaxSamples {
		rrs = append(rrs, records(fmt.Sprintf("n%02d.example. 60 IN A 192.0.2.1", i), fmt.Sprintf("n%02d.example. 60 IN CNAME a.test.", i))...)
	}
	for name, order := range map[string][]wire.RR{"sorted": rrs, "late": append(slices.Clone(rrs[1:]), rrs[0])} {
		_, lost := marked(t, wire.Name("\x07example\x00"), order, rules.ConflictsRFC, nil)
		if n, s := lost.Count(1), lost.Samples(1); n != 3*zone.MaxSamples || len(s) != zone.MaxSamples || s[0] != "n00.example. CNAME" {
			t.Errorf("%s: %d losses, %q", name, n, s)
		}
	}
}

// Lookups of contents with marks allocate nothing.
func TestLookupOfMarkedContentsAllocatesNothing(t *testing.T) {
	s := serveMarked(t, rules.ConflictsAlibaba, "www.example. 60 IN A 192.0.2.1", "www.example. 60 IN CNAME a.test.",
		"c.example. 60 IN CNAME www.example.", "c.example. 60 IN CNAME b.example.", "sub.example. 60 IN NS ns.sub.example.",
		"sub.example. 60 IN CNAME www.example.", "ns.sub.example. 60 IN A 192.0.2.3", "example. 60 IN MX 1 www.example.")
	if s.Marked() != 3 {
		t.Fatalf("%q are marked", marks(s.Contents))
	}
	for _, question := range []string{"www.example. A", "www.example. CNAME", "www.example. ANY", "www.example. ANY +all", "c.example. A",
		"sub.example. A", "sub.example. NS", "ns.sub.example. A", "nx.sub.example. A +do", "example. MX"} {
		q := zoneQuery(parseQuery(t, question))
		var a zone.Answer
		for range 2 {
			s.Lookup(q, &a)
		}
		if n := testing.AllocsPerRun(100, func() { s.Lookup(q, &a) }); n != 0 {
			t.Errorf("%s: %v allocations", question, n)
		}
	}
}

// Owners without a type that can exclude another are not judged, and cost no allocation more.
func TestOwnersWithoutConflictsAreNotJudged(t *testing.T) {
	rrs := records(soaRecord, "example. 60 IN NS ns.example.")
	for i := range uint32(2000) {
		for _, data := range [][]byte{{192, 0, 2, 1}, {192, 0, 2, 2}} {
			rrs = append(rrs, wire.RR{Owner: numbered(i), Type: wire.TypeA, Class: wire.ClassIN, TTL: 60, Data: data})
		}
	}
	calls := 0
	allocs := func(j *zone.Exclusions) float64 {
		return testing.AllocsPerRun(3, func() {
			b := zone.NewBuilder(wire.Name("\x07example\x00"), zone.Limits{})
			if j != nil {
				b.Exclude(*j, nil)
			}
			for i := range rrs {
				if err := b.Add(&rrs[i]); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := b.Seal(); err != nil {
				t.Fatal(err)
			}
		})
	}
	j := rules.ConflictsAlibaba.Exclusions()
	losses := j.Losses
	j.Losses = func(apex bool, sets []zone.OwnerSet) []zone.Loss { calls++; return losses(apex, sets) }
	if plain, with := allocs(nil), allocs(&j); with > plain+5 || calls > 0 {
		t.Errorf("%v allocations without a judge, %v with one, which was asked %d times", plain, with, calls)
	}
}
