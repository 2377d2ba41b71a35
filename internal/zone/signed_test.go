package zone_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// RFC 4035 §5.4 and RFC 5155 §8: what a validator needs is in every answer of a signed zone. The validator knows nothing
// of the oracle.
func TestAnswersProveWhatAValidatorAsks(t *testing.T) { rapid.Check(t, answersProve) }

// FuzzProofs makes a signed zone of the octets and validates its answers.
func FuzzProofs(f *testing.F) { fuzz(f, answersProve) }

func answersProve(t *rapid.T) {
	z := dnstest.AnyZones(dnstest.NSEC, dnstest.NSEC3).Draw(t, "zone")
	o := dnstest.NewOracle(z.Origin, z.Records)
	validate(t, seal(t, z), o)
}

// validate validates what contents answer to questions with DO. The oracle knows what no zone can prove.
func validate(t *rapid.T, c *zone.Contents, o *dnstest.Oracle) {
	var a zone.Answer
	for _, q := range dnstest.Some(t, 3, o.Questions()) {
		q.DNSSEC = true
		if r := o.Lookup(q); r.Unspecified || r.Unproven {
			continue
		}
		ask(c, q, &a)
		if err := dnstest.Validate(c.Origin(), q, reply(&a)); err != nil {
			t.Fatalf("%s: %v\n%+v\nzone %s\n%s", q, err, reply(&a), c.Origin(), strings.Join(o.Dump(), "\n"))
		}
	}
}

// RFC 1995 §4 with RFC 4035 §2: a zone that is signed anew, another way perhaps, arrives as differences, and answers and
// proves like one that arrived whole.
func TestSigningAnewArrivesAsDifferences(t *testing.T) { rapid.Check(t, signingAnewAgrees) }

// FuzzSigningAnew makes two versions of a signed zone of the octets.
func FuzzSigningAnew(f *testing.F) { fuzz(f, signingAnewAgrees) }

func signingAnewAgrees(t *rapid.T) {
	plain := dnstest.Zones().Draw(t, "zone")
	c := seal(t, drawSigned(t, plain))
	for range rapid.IntRange(1, 3).Draw(t, "versions") {
		for range rapid.IntRange(0, 4).Draw(t, "changes") {
			plain = changed(t, plain)
		}
		next := drawSigned(t, plain)
		c = difference(t, c, seal(t, next))
		o := dnstest.NewOracle(next.Origin, next.Records)
		compareLookups(t, c, o, variants(t, o.Questions()))
		if next.Proven {
			validate(t, c, o)
		}
	}
}

// drawSigned signs a zone in a way that it draws.
func drawSigned(t *rapid.T, z dnstest.Zone) dnstest.Zone {
	return z.Sign(t, rapid.SampledFrom([]dnstest.Denial{
		dnstest.Plain, dnstest.NSEC, dnstest.NSEC3, dnstest.NSEC3, dnstest.Odd,
	}).Draw(t, "denial"))
}

// changed returns a zone with a record more or less.
func changed(t *rapid.T, z dnstest.Zone) dnstest.Zone {
	i := rapid.IntRange(0, len(z.Records)-1).Draw(t, "which")
	if z.Records[i].Type != wire.TypeSOA && rapid.Bool().Draw(t, "less") {
		z.Records = slices.Delete(slices.Clone(z.Records), i, i+1)
		return z
	}
	z.Records = append(slices.Clone(z.Records), z.Record().Draw(t, "more"))
	return z
}

// difference edits contents into others of the same zone.
func difference(t *rapid.T, from, to *zone.Contents) *zone.Contents {
	was, is := from.All(), to.All()
	then, now := map[string]bool{}, map[string]bool{}
	for rr := range was {
		then[dnstest.Line(rr)] = true
	}
	for rr := range is {
		now[dnstest.Line(rr)] = true
	}
	e := from.Edit(zone.Limits{})
	apply := func(edit func(*wire.RR) error, rr *wire.RR, there map[string]bool) {
		if there[dnstest.Line(rr)] {
			return
		}
		if err := edit(rr); err != nil {
			t.Fatalf("%s: %v", dnstest.Line(rr), err)
		}
	}
	for rr := range was {
		apply(e.Remove, rr, now)
	}
	for rr := range is {
		apply(e.Add, rr, then)
	}
	c, err := e.Seal()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	return c
}
