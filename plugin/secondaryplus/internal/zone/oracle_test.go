package zone_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/zone"
)

// outcomes are the oracle's words for outcomes.
var outcomes = map[zone.Outcome]string{
	zone.Success: "NOERROR", zone.NoData: "NODATA", zone.NXDomain: "NXDOMAIN", zone.Referral: "REFERRAL",
	zone.YXDomain: "YXDOMAIN",
}

// reply returns an answer in the form of the oracle's.
func reply(a *zone.Answer) dnstest.Reply {
	return dnstest.Reply{
		Outcome: outcomes[a.Outcome], Answer: lines(a.Answer), Authority: lines(a.Authority), Additional: lines(a.Additional),
	}
}

// lines returns the records of one section. A set whose Count is not the number of its records, or whose First is not
// the first, has one line more.
func lines(sets []zone.Set) (lines []string) {
	for _, s := range sets {
		rr := wire.RR{Owner: s.Owner, Type: s.Type, Class: wire.ClassIN, TTL: s.TTL}
		n := 0
		for rr.Data = range s.All() {
			lines = append(lines, dnstest.Line(&rr))
			if n++; n == 1 && !slices.Equal(rr.Data, s.First()) {
				lines = append(lines, "its First is another one")
			}
		}
		if n != s.Count {
			lines = append(lines, "its Count is another one")
		}
	}
	return lines
}

// dump returns all records of contents.
func dump(c *zone.Contents) (lines []string) {
	for rr := range c.All() {
		lines = append(lines, dnstest.Line(rr))
	}
	return lines
}

// listing writes records for a failure to be read.
func listing(rrs []wire.RR) string {
	var b strings.Builder
	for i := range rrs {
		b.WriteString("\n" + dnstest.Line(&rrs[i]))
	}
	return b.String()
}

// seal builds contents of a random zone and checks their structure.
func seal(t *rapid.T, z dnstest.Zone) *zone.Contents {
	b := zone.NewBuilder(z.Origin, zone.Limits{})
	for i := range z.Records {
		if err := b.Add(&z.Records[i]); err != nil {
			t.Fatalf("add %s: %v", dnstest.Line(&z.Records[i]), err)
		}
	}
	c, err := b.Seal()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(); err != nil {
		t.Fatalf("%v\nzone %s%s", err, z.Origin, listing(z.Records))
	}
	return c
}

// compareLookups asks contents and oracle the same questions.
func compareLookups(t *rapid.T, c *zone.Contents, o *dnstest.Oracle, questions []dnstest.Question) {
	for _, q := range questions {
		want := o.Lookup(q.Name, q.Type)
		if want.Unspecified {
			continue
		}
		var a zone.Answer
		c.Lookup(zone.Query{Name: q.Name, Type: q.Type}, &a)
		if diff := cmp.Diff(want, reply(&a)); diff != "" {
			t.Fatalf("%s %s (-oracle +lookup):\n%s\nzone %s\n%s", q.Name, wire.TypeName(q.Type), diff, c.Origin(),
				strings.Join(o.Dump(), "\n"))
		}
	}
}

func TestLookupAgreesWithTheOracle(t *testing.T) { rapid.Check(t, lookupAgrees) }

// FuzzLookup makes a zone and questions of the octets, and compares answers with the oracle's.
func FuzzLookup(f *testing.F) { fuzz(f, lookupAgrees) }

// fuzz fuzzes a property, beginning with a few long runs of octets: short ones make small zones.
func fuzz(f *testing.F, property func(*rapid.T)) {
	f.Helper()
	for seed := range byte(8) {
		octets := make([]byte, 16<<10)
		_, _ = rand.NewChaCha8([32]byte{seed}).Read(octets)
		f.Add(octets)
	}
	f.Fuzz(rapid.MakeFuzz(property))
}

func lookupAgrees(t *rapid.T) {
	z := dnstest.Zones().Draw(t, "zone")
	o := dnstest.NewOracle(z.Origin, z.Records)
	questions := o.Questions()
	for _, name := range rapid.SliceOfN(z.Name(), 0, 20).Draw(t, "names") {
		questions = append(questions, dnstest.Question{Name: name, Type: wire.TypeA}, dnstest.Question{Name: name,
			Type: wire.TypeDNAME})
	}
	compareLookups(t, seal(t, z), o, questions)
}

func TestContentsAreTheRecordsWithoutDuplicates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := dnstest.Zones().Draw(t, "zone")
		o := dnstest.NewOracle(z.Origin, z.Records)
		c := seal(t, z)
		if diff := cmp.Diff(o.Dump(), dump(c)); diff != "" {
			t.Fatalf("records (-oracle +contents):\n%s", diff)
		}
		if c.Records() != o.Records() || c.Size() != o.Size() {
			t.Fatalf("%d records of %d octets, want %d of %d", c.Records(), c.Size(), o.Records(), o.Size())
		}
	})
}

func TestOrderOfRecordsDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := dnstest.Zones().Draw(t, "zone")
		again := dnstest.Zone{Origin: z.Origin, Records: rapid.Permutation(z.Records).Draw(t, "again")}
		if diff := cmp.Diff(dump(seal(t, z)), dump(seal(t, again))); diff != "" {
			t.Fatalf("records (-one order +another):\n%s", diff)
		}
	})
}

func TestForeignRecordsAreCounted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := dnstest.Zones().Draw(t, "zone")
		nonIN, outside, meta := dnstest.NewOracle(z.Origin, z.Records).Discarded()
		b := zone.NewBuilder(z.Origin, zone.Limits{})
		for i := range z.Records {
			if err := b.Add(&z.Records[i]); err != nil {
				t.Fatal(err)
			}
		}
		d := b.Discards()
		got := []int{d.Count(zone.NonIN), d.Count(zone.OutOfZone), d.Count(zone.Malformed), d.Total(), len(d.Samples())}
		total := nonIN + outside + meta
		if want := []int{nonIN, outside, meta, total, min(total, zone.MaxSamples)}; !slices.Equal(got, want) {
			t.Fatalf("discarded (non-IN, out of zone, malformed, all, samples): %v, want %v", got, want)
		}
	})
}

// RFC 4343 §4.1: the case in which a name came first is the one it has in answers and transfers.
func TestOwnersKeepTheirFirstCase(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := dnstest.Zones().Draw(t, "zone")
		c := seal(t, z)
		o := dnstest.NewOracle(z.Origin, z.Records)
		for rr := range c.All() {
			first := slices.IndexFunc(z.Records, func(r wire.RR) bool { return sameNode(&r, rr) && o.Holds(&r) })
			if want := z.Records[first].Owner; !bytes.Equal(rr.Owner, want) {
				t.Fatalf("owner %s was received first as %s%s", rr.Owner, want, listing(z.Records))
			}
		}
	})
}

// sameNode reports whether two records have the same owner and are both of NSEC3 owners or both of others.
func sameNode(a, b *wire.RR) bool {
	hidden := func(rr *wire.RR) bool {
		return rr.Type == wire.TypeNSEC3 || rr.Type == wire.TypeRRSIG && binary.BigEndian.Uint16(rr.Data) == wire.TypeNSEC3
	}
	return a.Owner.Equal(b.Owner) && hidden(a) == hidden(b)
}

// One Answer, used again and again, says what a fresh one says, and what a fresh one says stays so.
func TestAnswersDoNotDisturbEachOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := dnstest.Zones().Draw(t, "zone")
		c := seal(t, z)
		before := dump(c)
		questions := rapid.Permutation(dnstest.NewOracle(z.Origin, z.Records).Questions()).Draw(t, "questions")
		var reused zone.Answer
		fresh := make([]zone.Answer, len(questions))
		first := make([]dnstest.Reply, len(questions))
		for i, q := range questions {
			c.Lookup(zone.Query{Name: q.Name, Type: q.Type}, &fresh[i])
			first[i] = reply(&fresh[i])
			c.Lookup(zone.Query{Name: q.Name, Type: q.Type}, &reused)
			if diff := cmp.Diff(first[i], reply(&reused)); diff != "" {
				t.Fatalf("%s %s (-fresh +reused):\n%s", q.Name, wire.TypeName(q.Type), diff)
			}
		}
		for i, q := range questions {
			if diff := cmp.Diff(first[i], reply(&fresh[i])); diff != "" {
				t.Fatalf("%s %s (-at first +later):\n%s", q.Name, wire.TypeName(q.Type), diff)
			}
		}
		if diff := cmp.Diff(before, dump(c)); diff != "" {
			t.Fatalf("contents (-before lookups +after them):\n%s", diff)
		}
	})
}
