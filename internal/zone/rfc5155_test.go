package zone_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

const (
	nsec3Owner  = "2t7b4g4vsa5smi47k61mv5bv1a22bojr.example."
	nsec3Record = nsec3Owner + " 60 IN NSEC3 1 0 0 - 2VPTU5TIMAMQTTGL4LUU9KG21E0AOR3S A"
)

// S12, RFC 5155 §7.2.8: "the authoritative name server will act as if the owner name of the NSEC3 RR did not exist."
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

// S14, RFC 5155 §7.2.8: NSEC3 records are part of a transfer all the same, and counted.
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

// hashedNSEC3 is the chain of RFC 5155 appendix A: the hash of a name with the name it is of, the next one, and the types.
var hashedNSEC3 = map[string]string{
	"example.":       "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom 2t7b4g4vsa5smi47k61mv5bv1a22bojr NS SOA MX RRSIG DNSKEY NSEC3PARAM",
	"ns1.example.":   "2t7b4g4vsa5smi47k61mv5bv1a22bojr 2vptu5timamqttgl4luu9kg21e0aor3s A RRSIG",
	"x.y.w.example.": "2vptu5timamqttgl4luu9kg21e0aor3s 35mthgpgcu1qg68fab165klnsnk3dpvl MX RRSIG",
	"a.example.":     "35mthgpgcu1qg68fab165klnsnk3dpvl b4um86eghhds6nea196smvmlo4ors995 NS DS RRSIG",
	"x.w.example.":   "b4um86eghhds6nea196smvmlo4ors995 gjeqe526plbf1g8mklp59enfd789njgi MX RRSIG",
	"ai.example.":    "gjeqe526plbf1g8mklp59enfd789njgi ji6neoaepv8b5o6k4ev33abha8ht9fgc A HINFO AAAA RRSIG",
	"y.w.example.":   "ji6neoaepv8b5o6k4ev33abha8ht9fgc k8udemvp1j2f7eg6jebps17vp3n8i58h",
	"w.example.":     "k8udemvp1j2f7eg6jebps17vp3n8i58h kohar7mbb8dc2ce8a9qvl8hon4k53uhi",
	nsec3Owner:       "kohar7mbb8dc2ce8a9qvl8hon4k53uhi q04jkcevqvmu85r014c7dkba38o0ji5r A RRSIG",
	"ns2.example.":   "q04jkcevqvmu85r014c7dkba38o0ji5r r53bq7cc2uvmubfu5ocmm6pers9tk9en A RRSIG",
	"*.w.example.":   "r53bq7cc2uvmubfu5ocmm6pers9tk9en t644ebqk9bibcna874givr6joj62mlhv MX RRSIG",
	"xx.example.":    "t644ebqk9bibcna874givr6joj62mlhv 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom A HINFO AAAA RRSIG",
}

// nsec3Of returns the NSEC3 records of names of the example.
func nsec3Of(names ...string) (records []string) {
	for _, n := range names {
		hash, rest, _ := strings.Cut(hashedNSEC3[n], " ")
		records = append(records, hash+".example. 3600 IN NSEC3 1 1 12 aabbccdd "+rest)
	}
	return records
}

const exampleParam = "example. 3600 IN NSEC3PARAM 1 0 12 aabbccdd"

// exampleNSEC3 is the zone of RFC 5155 appendix A, and perhaps more.
func exampleNSEC3(t *testing.T, more ...string) served {
	t.Helper()
	records := slices.Concat(exampleData(), signed(exampleParam, nsec3Owner+" 3600 IN A 192.0.2.127"), cNS, cGlue, more)
	for n := range hashedNSEC3 {
		records = append(records, signed(nsec3Of(n)...)...)
	}
	return serve(t, "example.", records...)
}

var (
	cNS   = []string{"c.example. 3600 IN NS ns1.c.example.", "c.example. 3600 IN NS ns2.c.example."}
	cGlue = []string{"ns1.c.example. 3600 IN A 192.0.2.7", "ns2.c.example. 3600 IN A 192.0.2.8"}
)

// S10, RFC 5155 §7.2.2 and appendix B.1: NXDOMAIN comes with the closest encloser proof and the NSEC3 record that covers
// the wildcard.
func TestNameErrorIsProvedByThreeNSEC3Records(t *testing.T) {
	s := exampleNSEC3(t)
	s.expect(t, "a.c.x.w.example. A +do", proved("NXDOMAIN", nsec3Of("example.", "x.w.example.", "a.example.")...))
	s.expect(t, "a.c.x.w.example. A", dnstest.Reply{Outcome: "NXDOMAIN", Authority: text(exampleSOA)})
}

// RFC 5155 §7.2.3 and appendix B.2: NODATA comes with the NSEC3 record of the name, and of an empty non-terminal too
// (appendix B.2.1).
func TestNoDataIsProvedByTheNSEC3OfTheName(t *testing.T) {
	s := exampleNSEC3(t)
	s.expect(t, "ns1.example. MX +do", proved("NODATA", nsec3Of("ns1.example.")...))
	s.expect(t, "y.w.example. A +do", proved("NODATA", nsec3Of("y.w.example.")...))
}

// S11, RFC 5155 §7.2.4 and §7.2.7 and appendix B.3: Opt-Out leaves a cut without an NSEC3 record; that it may do so is
// proved by the closest provable encloser.
func TestOptOutIsProvedByTheClosestProvableEncloser(t *testing.T) {
	s := exampleNSEC3(t)
	want := referral(cNS, cGlue)
	want.Authority = text(slices.Concat(cNS, signed(nsec3Of("example.", "a.example.")...))...)
	s.expect(t, "mc.c.example. MX +do", want)
	s.expect(t, "c.example. DS +do", proved("NODATA", nsec3Of("example.", "a.example.")...))
}

// S7, RFC 5155 §7.2.7: a referral to a signed zone has the DS records and no NSEC3 record.
func TestReferralWithNSEC3HasDS(t *testing.T) {
	want := referral(aNS, aGlue)
	want.Authority = text(append(slices.Clone(aNS), signed(exampleDS)...)...)
	exampleNSEC3(t).expect(t, "mc.a.example. MX +do", want)
}

// S5, RFC 5155 §7.2.6 and appendix B.4: a wildcard's answer comes with the NSEC3 record that covers the next closer name.
func TestSynthesisIsProvedByTheNSEC3OverTheNextCloser(t *testing.T) {
	want := with(answer(renamed("a.z.w.example.", signed(wildcardMX)...)...), signed(aiAddresses...)...)
	want.Authority = text(signed(nsec3Of("ns2.example.")...)...)
	exampleNSEC3(t).expect(t, "a.z.w.example. MX +do", want)
}

// S6, RFC 5155 §7.2.5 and appendix B.5: NODATA of a wildcard comes with the closest encloser proof and the NSEC3 record of
// the wildcard.
func TestWildcardNoDataIsProvedByThreeNSEC3Records(t *testing.T) {
	exampleNSEC3(t).expect(t, "a.z.w.example. AAAA +do",
		proved("NODATA", nsec3Of("w.example.", "ns2.example.", "*.w.example.")...))
}

// S8, RFC 5155 appendix B.6: DS at the apex is the parent's.
func TestDSAtTheApexIsNoDataWithNSEC3(t *testing.T) {
	exampleNSEC3(t).expect(t, "example. DS +do", proved("NODATA", nsec3Of("example.")...))
}

// S12, RFC 5155 §7.2.8 and appendix A: ns1's NSEC3 owner is also a name, which has an NSEC3 record of its own.
func TestNameOfAnNSEC3OwnerIsProvedByItsOwnNSEC3(t *testing.T) {
	s := exampleNSEC3(t)
	s.expect(t, nsec3Owner+" A +do", answer(signed(nsec3Owner+" 3600 IN A 192.0.2.127")...))
	s.expect(t, nsec3Owner+" NSEC3 +do", proved("NODATA", nsec3Of(nsec3Owner)...))
}

// chain3 returns the chain of NSEC3 records of a zone that has an A record at each of these names, the parameters in
// presentation form.
func chain3(flags, iterations int, salt string, names ...string) (records []string) {
	hash := func(n string) string {
		return dns.HashName(n, dns.SHA1, uint16(iterations), strings.TrimPrefix(salt, "-"))
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(hash(a), hash(b)) })
	for i, n := range names {
		records = append(records, fmt.Sprintf("%s.example. 60 IN NSEC3 1 %d %d %s %s A RRSIG", hash(n), flags, iterations, salt,
			hash(names[(i+1)%len(names)])))
	}
	return records
}

// param returns the NSEC3PARAM record of a chain.
func param(algorithm, flags, iterations int, salt string) string {
	return fmt.Sprintf("example. 60 IN NSEC3PARAM %d %d %d %s", algorithm, flags, iterations, salt)
}

// proofs returns the parameters of the NSEC3 records in an authority section, each once, and "NSEC" for NSEC records.
func proofs(r dnstest.Reply) (found []string) {
	for _, line := range r.Authority {
		f := strings.Fields(line)
		p := "NSEC"
		switch f[3] {
		case "NSEC":
		case "NSEC3":
			p = strings.Join(f[4:8], " ")
		default:
			continue
		}
		if !slices.Contains(found, p) {
			found = append(found, p)
		}
	}
	return found
}

// S13, RFC 5155 §4.1 and §7.2: of several chains one is used, whole: one that has an NSEC3PARAM record with known
// parameters and without flags (§4.1.2), and that reaches the apex.
func TestOneChainOfSeveralIsUsed(t *testing.T) {
	names := []string{"example.", "a.example.", "b.example."}
	nsec := []string{"example. 60 IN NSEC a.example. A", "a.example. 60 IN NSEC b.example. A",
		"b.example. 60 IN NSEC example. A"}
	one, two := chain3(0, 1, "ab", names...), chain3(1, 2, "-", names...)
	unknown := chain3(0, 1, "ab", "c.example.", "d.example.", "e.example.", "f.example.", "g.example.", "h.example.")
	for i, rr := range unknown {
		unknown[i] = strings.Replace(rr, " NSEC3 1 ", " NSEC3 2 ", 1)
	}
	apexless := slices.DeleteFunc(slices.Clone(one), func(s string) bool {
		return strings.HasPrefix(s, dns.HashName("example.", dns.SHA1, 1, "ab"))
	})
	ab, dash := param(1, 0, 1, "ab"), param(1, 0, 2, "-")
	elsewhere := strings.Replace(ab, "example.", "a.example.", 1)
	other := strings.Replace(one[0], " 1 ab ", " 2 cd ", 1)
	for what, c := range map[string]struct {
		records []string
		want    string
	}{
		"one chain":                       {slices.Concat(one, []string{ab}), "1 0 1 AB"},
		"first in order of RDATA":         {slices.Concat(two, one, []string{dash, ab}), "1 0 1 AB"},
		"the announced one":               {slices.Concat(two, one, []string{dash}), "1 1 2 -"},
		"flags in NSEC3PARAM":             {slices.Concat(two, one, []string{dash, param(1, 1, 1, "ab")}), "1 1 2 -"},
		"unknown algorithm":               {slices.Concat(two, one, []string{dash, param(2, 0, 1, "ab")}), "1 1 2 -"},
		"no NSEC3 at the apex":            {slices.Concat(two, apexless, []string{dash, ab}), "1 1 2 -"},
		"other salt":                      {slices.Concat(one, nsec, []string{param(1, 0, 1, "ac")}), "NSEC"},
		"other iterations":                {slices.Concat(one, nsec, []string{param(1, 0, 2, "ab")}), "NSEC"},
		"NSEC beside a chain":             {slices.Concat(one, nsec, []string{ab}), "1 0 1 AB"},
		"NSEC beside an unannounced one":  {slices.Concat(one, nsec), "NSEC"},
		"NSEC beside a chain of unknown":  {slices.Concat(nsec, []string{param(2, 0, 1, "ab")}), "NSEC"},
		"records of an unknown algorithm": {slices.Concat(one, unknown, []string{ab}), "1 0 1 AB"},
		"nothing but an unannounced one":  {one, ""},
		"parameters without any NSEC3":    {[]string{ab}, ""},
		"parameters not at the apex":      {slices.Concat(one, []string{elsewhere}), ""},
		"one salt longer than the other":  {slices.Concat(one, []string{param(1, 0, 1, "abab"), ab}), "1 0 1 AB"},
		"an apex with two NSEC3 records":  {slices.Concat(one, []string{ab, other}), "1 0 1 AB"},
	} {
		s := serve(t, "example.", slices.Concat(c.records, []string{soaRecord, "example. 60 IN A 192.0.2.1",
			"a.example. 60 IN A 192.0.2.1", "b.example. 60 IN A 192.0.2.1"})...)
		for _, q := range []string{"nx.example. A +do", "a.example. TXT +do", "x.a.example. A +do", "example. TXT +do"} {
			got := reply(s.lookup(t, q))
			if what == "an apex with two NSEC3 records" {
				got.Authority = slices.DeleteFunc(got.Authority, func(l string) bool { return strings.Contains(l, " CD ") })
			}
			if found := strings.Join(proofs(got), ", "); found != c.want {
				t.Errorf("%s: %s proved by %q, want %q", what, q, found, c.want)
			}
			if diff := compareReplies(parseQuery(t, q), s.oracle.Lookup(parseQuery(t, q)), reply(s.lookup(t, q))); diff != "" {
				t.Errorf("%s: %s (-oracle +lookup):\n%s", what, q, diff)
			}
		}
	}
}

// RFC 9276 §3.2: validators take answers proved with many iterations as insecure, and need not be given what costs so much:
// the NSEC3 record of the apex alone says how many there are.
func TestManyIterationsAreNotComputed(t *testing.T) {
	dnstest.Alone(t)
	names := []string{"example.", "a.example.", "w.example.", "*.w.example."}
	data := []string{soaRecord, "example. 60 IN A 192.0.2.1", "a.example. 60 IN A 192.0.2.1", "*.w.example. 60 IN A 192.0.2.1",
		"b.example. 60 IN NS ns.example.net."}
	for _, iterations := range []int{150, 151, 65535} {
		chain := chain3(1, iterations, "ab", names...)
		apex := dns.HashName("example.", dns.SHA1, uint16(iterations), "ab")
		s := serve(t, "example.", slices.Concat(chain, data, []string{param(1, 0, iterations, "ab")})...)
		for _, q := range []string{"nx.example. A", "a.example. TXT", "x.w.example. A", "x.w.example. TXT", "b.example. A",
			"b.example. DS", "a.example. DS"} {
			got := reply(s.lookup(t, q+" +do"))
			owners := map[string]bool{}
			for _, line := range got.Authority {
				if owner, rest, _ := strings.Cut(line, "."); strings.Contains(rest, " NSEC3 ") {
					owners[strings.ToUpper(owner)] = true
				}
			}
			if alone := len(owners) == 1 && owners[apex]; len(owners) == 0 || iterations > 150 && !alone {
				t.Errorf("%d iterations: %s proved by %v, apex %s", iterations, q, owners, apex)
			}
			s.expect(t, q+" +do", got)
			if len(proofs(reply(s.lookup(t, q)))) > 0 {
				t.Errorf("%d iterations: %s proved without DO", iterations, q)
			}
		}
	}
}

// RFC 5155 §7.2.1 with §6: Opt-Out leaves out the empty non-terminals of cuts it leaves out. What is asked below one is
// proved by the next encloser up that has an NSEC3 record.
func TestEncloserLeftOutByOptOutIsNotProvable(t *testing.T) {
	ns := "c.ent.example. 60 IN NS ns.example.net."
	s := serve(t, "example.", slices.Concat(chain3(1, 0, "-", "example."), []string{soaRecord, ns, param(1, 0, 0, "-")})...)
	chain := chain3(1, 0, "-", "example.")
	for q, want := range map[string]dnstest.Reply{
		"x.ent.example. A +do":     nxdomain(),
		"ent.example. A +do":       nodata(),
		"ent.example. DS +do":      nodata(),
		"c.ent.example. DS +do":    nodata(),
		"x.c.ent.example. A +do":   referral([]string{ns}, nil),
		"x.y.ent.example. TXT +do": nxdomain(),
	} {
		want.Authority = append(want.Authority, text(chain...)...)
		s.expect(t, q, want)
	}
}

// RFC 4343 §3 with RFC 5155 §3: hash labels are names, in any case, and so are the names that are hashed (§5).
func TestNSEC3OwnersAreFoundInAnyCase(t *testing.T) {
	for _, change := range []func(string) string{strings.ToUpper, strings.ToLower} {
		chain := chain3(0, 3, "ab", "example.", "a.example.")
		for i, rr := range chain {
			owner, rest, _ := strings.Cut(rr, " ")
			chain[i] = change(owner) + " " + rest
		}
		s := serve(t, "example.", slices.Concat(chain, []string{soaRecord, "A.example. 60 IN A 192.0.2.1",
			"eXample. 60 IN A 192.0.2.1", param(1, 0, 3, "ab")})...)
		own := slices.IndexFunc(chain, func(rr string) bool {
			return strings.HasPrefix(strings.ToUpper(rr), dns.HashName("a.example.", dns.SHA1, 3, "ab"))
		})
		for _, q := range []string{"a.example. TXT +do", "A.EXAMPLE. TXT +do"} {
			want := nodata()
			want.Authority = append(want.Authority, text(chain[own])...)
			s.expect(t, q, want)
		}
	}
}

// RFC 5155 §7.2: a chain proves what it proves, however many records of another chain, say of one without Opt-Out that is to
// take its place, stand between its own.
func TestChainAmongManyOtherRecordsIsUsed(t *testing.T) {
	data := []string{soaRecord, param(1, 0, 0, "ab")}
	few, many := []string{"example."}, []string{"example."}
	for i := range 1000 {
		many = append(many, fmt.Sprintf("n%d.example.", i))
		if i%100 == 0 {
			few = append(few, many[len(many)-1])
			data = append(data, many[len(many)-1]+" 60 IN A 192.0.2.1")
		}
	}
	s := serve(t, "example.", slices.Concat(data, chain3(1, 0, "ab", few...), chain3(0, 0, "cd", many...))...)
	for i := range 20 {
		question := fmt.Sprintf("x%d.example. A +do", i)
		q := parseQuery(t, question)
		if diff := compareReplies(q, s.oracle.Lookup(q), reply(s.lookup(t, question))); diff != "" {
			t.Fatalf("%s (-oracle +lookup):\n%s", question, diff)
		}
	}
}

// An encloser proof in a zone with Opt-Out may look for a record at each label. One answer does so for ten names at most, with
// as many iterations as are allowed; one that would cost more has the record of the apex alone.
func TestProofsAreBoundedInHashes(t *testing.T) {
	const iterations, label = 150, "b"
	hash := func(name string) string { return strings.ToLower(dns.HashName(name, dns.SHA1, iterations, "")) }
	apex, covering := hash("example."), hash(label+".example.")
	covering = covering[:len(covering)-1] + "0" // at or before the name below the apex that a proof is about
	records := []string{soaRecord, "example. 0 IN NSEC3PARAM 1 0 150 -"}
	for owner, next := range map[string]string{apex: covering, covering: apex} {
		records = append(records, fmt.Sprintf("%s.example. 60 IN NSEC3 1 1 150 - %s A", owner, next))
	}
	for labels, want := range map[int]int{7: 2, 10: 1, 120: 1} {
		below := strings.Repeat(label+".", labels) + "example."
		s := serve(t, "example.", append(slices.Clone(records), below+" 60 IN TXT x")...)
		var proof []string
		for _, set := range s.lookup(t, "x."+below+" A +do").Authority {
			if set.Type == wire.TypeNSEC3 {
				proof = append(proof, set.Owner.String())
			}
		}
		if len(proof) != want || proof[0] != apex+".example." {
			t.Errorf("%d labels: %q; want %d records, that of the apex first", labels, proof, want)
		}
	}
}
