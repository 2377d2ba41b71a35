package zone_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

func TestMain(m *testing.M) {
	dnstest.Checks()
	m.Run()
}

// outcomes are the oracle's words for outcomes.
var outcomes = map[zone.Outcome]string{
	zone.Success: "NOERROR", zone.NoData: "NODATA", zone.NXDomain: "NXDOMAIN", zone.Referral: "REFERRAL",
	zone.YXDomain: "YXDOMAIN",
}

// reply returns an answer in the form of the oracle's.
func reply(a *zone.Answer) dnstest.Reply {
	r := dnstest.Reply{
		Outcome: outcomes[a.Outcome], Answer: lines(a.Answer), Authority: lines(a.Authority), Additional: lines(a.Additional),
		Glue: len(lines(a.Additional[:a.Glue])),
	}
	if a.Target != nil {
		r.Target = strings.ToLower(a.Target.String())
	}
	return r
}

// comparable returns a reply in the form in which it is compared: the RFCs do not order the RRsets of the authority
// section, nor those that answer ANY.
func comparable(q dnstest.Query, r dnstest.Reply) dnstest.Reply {
	r.Authority = slices.Sorted(slices.Values(r.Authority))
	if q.Type == wire.TypeANY {
		r.Answer = slices.Sorted(slices.Values(r.Answer))
	}
	return r
}

// withoutProofs returns a reply without NSEC and NSEC3 records in its authority section.
func withoutProofs(r dnstest.Reply) dnstest.Reply {
	r.Authority = slices.DeleteFunc(slices.Clone(r.Authority), func(line string) bool {
		f := strings.Fields(line)
		return strings.HasPrefix(f[3], "NSEC") || f[3] == "RRSIG" && strings.HasPrefix(f[4], "NSEC")
	})
	return r
}

// compareReplies returns how a lookup differs from the oracle, "" if it does not or if the RFCs leave the answer open.
func compareReplies(q dnstest.Query, oracle, got dnstest.Reply) string {
	switch {
	case oracle.Unspecified:
		return ""
	case oracle.Unproven:
		oracle, got = withoutProofs(oracle), withoutProofs(got)
		oracle.Unproven = false
	}
	oracle, got = comparable(q, oracle), comparable(q, got)
	if reflect.DeepEqual(oracle, got) { // cmp takes ten times as long
		return ""
	}
	return cmp.Diff(oracle, got, cmpopts.EquateEmpty())
}

// ask looks a question of the oracle's up.
func ask(c *zone.Contents, q dnstest.Query, a *zone.Answer) {
	c.Lookup(zoneQuery(q), a)
}

// variants draws one of four questions twice: as it is, and once more with DO or with every RRset wanted, or both.
func variants(t *rapid.T, questions []dnstest.Query) (variants []dnstest.Query) {
	for i, q := range dnstest.Some(t, 4, questions) {
		variants = append(variants, q)
		q.DNSSEC, q.All = i%4 > 0, i%4 == 0 || i%4 == 3
		variants = append(variants, q)
	}
	return variants
}

// lines returns the records of one section. A set without records, or whose Count is not their number, or whose First is
// not the first, has one line more.
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
		if n != s.Count || n == 0 {
			lines = append(lines, "its Count is another one, or 0")
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
func compareLookups(t *rapid.T, c *zone.Contents, o *dnstest.Oracle, questions []dnstest.Query) {
	var a zone.Answer
	for _, q := range questions {
		ask(c, q, &a)
		if diff := compareReplies(q, o.Lookup(q), reply(&a)); diff != "" {
			t.Fatalf("%s (-oracle +lookup):\n%s\nzone %s\n%s", q, diff, c.Origin(), strings.Join(o.Dump(), "\n"))
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
	z := dnstest.AnyZones().Draw(t, "zone")
	o := dnstest.NewOracle(z.Origin, z.Records)
	questions := o.Questions()
	for _, name := range rapid.SliceOfN(z.Name(), 0, 20).Draw(t, "names") {
		questions = append(questions, dnstest.Query{Name: name, Type: wire.TypeA}, dnstest.Query{Name: name, Type: wire.TypeDNAME})
	}
	compareLookups(t, seal(t, z), o, variants(t, questions))
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
		z := dnstest.AnyZones().Draw(t, "zone")
		c := seal(t, z)
		before := dump(c)
		questions := rapid.Permutation(variants(t, dnstest.NewOracle(z.Origin, z.Records).Questions())).Draw(t, "questions")
		var reused zone.Answer
		fresh := make([]zone.Answer, len(questions))
		first := make([]dnstest.Reply, len(questions))
		for i, q := range questions {
			ask(c, q, &fresh[i])
			first[i] = reply(&fresh[i])
			ask(c, q, &reused)
			if diff := cmp.Diff(first[i], reply(&reused)); diff != "" {
				t.Fatalf("%s (-fresh +reused):\n%s", q, diff)
			}
		}
		for i, q := range questions {
			if diff := cmp.Diff(first[i], reply(&fresh[i])); diff != "" {
				t.Fatalf("%s (-at first +later):\n%s", q, diff)
			}
		}
		if diff := cmp.Diff(before, dump(c)); diff != "" {
			t.Fatalf("contents (-before lookups +after them):\n%s", diff)
		}
	})
}
