package zone_test

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// R17, RFC 4343 §3: "comparisons on name lookup for DNS queries should be case insensitive", for ASCII letters and only for
// those.
func TestNamesAreFoundInAnyCase(t *testing.T) {
	a := "Www.Sub.example. 60 IN A 192.0.2.1"
	s := serve(t, "example.", soaRecord, a, `\223.example. 60 IN TXT upper`, `@.example. 60 IN TXT at`,
		`[.example. 60 IN TXT bracket`)
	for _, name := range []string{"www.sub.example.", "WWW.SUB.EXAMPLE.", "wWw.sUb.eXample."} {
		s.expect(t, name+" A", answer(a))
	}
	s.expect(t, "SUB.example. A", nodata())
	for _, other := range []string{`\255.example. A`, "`.example. A", "{.example. A"} {
		s.expect(t, other, nxdomain())
	}
}

// R17, RFC 4343 §4.1: "No 'case conversion' or 'case folding' is done during such output operations, thus 'preserving'
// case."
func TestCaseIsPreservedInAnswers(t *testing.T) {
	s := serve(t, "example.", "EXAMPLE. 60 IN SOA NS.example. Host.example. 7 1 1 1 60", "Www.example. 60 IN A 192.0.2.1",
		"lower.example. 60 IN A 192.0.2.1",
		"Sub.example. 60 IN NS Ns.Sub.example.", "nS.sub.example. 60 IN A 192.0.2.2",
		"Alias.example. 60 IN CNAME wWw.example.", "*.Wild.example. 60 IN TXT x")
	owners := func(question string) (owners []string) {
		a := s.lookup(t, question)
		for _, set := range slices.Concat(a.Answer, a.Authority, a.Additional) {
			owners = append(owners, set.Owner.String())
		}
		return owners
	}
	for question, want := range map[string][]string{
		"LOWER.example. A":      {"lower.example."},
		"www.example. A":        {"Www.example."},
		"www.EXAMPLE. MX":       {"EXAMPLE."},
		"nx.example. A":         {"EXAMPLE."},
		"a.SUB.example. A":      {"Sub.example.", "nS.sub.example."},
		"alias.example. A":      {"Alias.example.", "Www.example."},
		"A.b.wILD.example. TXT": {"A.b.wILD.example."},
	} {
		if got := owners(question); !slices.Equal(got, want) {
			t.Errorf("%s: owners %q, want %q", question, got, want)
		}
	}
	if got := string(s.lookup(t, "x.sub.example. A").Authority[0].First()); got != "\x02Ns\x03Sub\x07example\x00" {
		t.Errorf("NS %q", got)
	}
}

// RFC 4343 §4.1: whatever the case of the question, what is in the zone has the case it has there.
func TestAnswersHaveTheCaseOfTheZone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := dnstest.Zones().Draw(t, "zone")
		c := seal(t, z)
		all := clone(c)
		var a zone.Answer
		for _, q := range dnstest.NewOracle(z.Origin, z.Records).Questions() {
			c.Lookup(zone.Query{Name: dnstest.UpperCase(q.Name), Type: q.Type}, &a)
			for _, set := range slices.Concat(a.Answer, a.Authority, a.Additional) {
				i := slices.IndexFunc(all, func(rr wire.RR) bool { return rr.Type == set.Type && rr.Owner.Equal(set.Owner) })
				if i < 0 || set.Type == wire.TypeCNAME { // synthesized, perhaps in the place of what is occluded
					continue
				}
				if want := all[i].Owner; !bytes.Equal(set.Owner, want) {
					t.Fatalf("%s %s: owner %s of %s", q.Name, wire.TypeName(q.Type), set.Owner, want)
				}
			}
		}
	})
}

// RFC 4343 §4.1: the case received first is kept, in whatever order the owners come.
func TestFirstCaseIsKept(t *testing.T) {
	for _, order := range [][]string{
		{soaRecord, "B.example. 60 IN A 192.0.2.1", "c.example. 60 IN A 192.0.2.1", "b.example. 60 IN A 192.0.2.2"},
		{soaRecord, "B.example. 60 IN A 192.0.2.1", "b.example. 60 IN A 192.0.2.2"},
		{"c.example. 60 IN A 192.0.2.1", "B.example. 60 IN A 192.0.2.1", "a.example. 60 IN A 192.0.2.1",
			"b.example. 60 IN A 192.0.2.2", soaRecord},
	} {
		if owner := serve(t, "example.", order...).lookup(t, "b.example. A").Answer[0].Owner.String(); owner != "B.example." {
			t.Errorf("%q: owner %s", order, owner)
		}
	}
}
