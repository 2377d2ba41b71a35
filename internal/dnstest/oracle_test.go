package dnstest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// wireRecords packs records in presentation form.
func wireRecords(t *testing.T, records ...string) (rrs []wire.RR) {
	t.Helper()
	for _, rr := range dnstest.Records(records...) {
		msg := make([]byte, 1024)
		end, err := dns.PackRR(rr, msg, 0, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		owner := wireName(t, rr.Header().Name)
		h := rr.Header()
		rrs = append(rrs, wire.RR{Owner: owner, Type: h.Rrtype, Class: h.Class, TTL: h.Ttl, Data: msg[len(owner)+10 : end]})
	}
	return rrs
}

func wireName(t *testing.T, s string) wire.Name {
	t.Helper()
	buf := make([]byte, 255)
	n, err := dns.PackDomainName(s, buf, 0, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

// The answers were made by hand, after RFC 1034 §6.2, RFC 4592 §2.2.1 and RFC 6672 §2.1.
func TestOracleAnswersByTheRFCs(t *testing.T) {
	const soa, negative = "edu. 900 IN SOA ns.edu. host.edu. 1 2 3 4 60", "edu. 60 IN SOA ns.edu. host.edu. 1 2 3 4 60"
	const cname, dname, ns, glue = "ftp.a.edu. 30 IN CNAME www.a.edu.", "old.edu. 30 IN DNAME a.edu.",
		"isi.edu. 30 IN NS vaxa.isi.edu.", "vaxa.isi.edu. 30 IN A 10.2.0.27"
	const www, wild = "www.a.edu. 30 IN A 10.0.0.1", "*.w.edu. 30 IN MX 10 www.a.edu."
	const cut, star = "ds.edu. 30 IN NS ns.", "*.ns.edu. 30 IN NS ns."
	o := dnstest.NewOracle(wireName(t, "edu."), wireRecords(t, soa, cname, dname, ns, glue, www, wild, cut,
		"ds.edu. 30 IN DS 1 13 2 ab", star,
		"x.old.edu. 30 IN A 10.0.0.2", "b.*.e.edu. 30 IN A 10.0.0.3", "0000.edu. 30 IN NSEC3 1 0 0 - 0000 A"))
	for question, want := range map[string]dnstest.Reply{
		"www.a.edu. A":     {Outcome: "NOERROR", Answer: []string{www}},
		"WWW.A.EDU. TXT":   {Outcome: "NODATA", Authority: []string{negative}},
		"a.edu. A":         {Outcome: "NODATA", Authority: []string{negative}},
		"b.edu. A":         {Outcome: "NXDOMAIN", Authority: []string{negative}},
		"0000.edu. NSEC3":  {Outcome: "NXDOMAIN", Authority: []string{negative}},
		"ftp.a.edu. A":     {Outcome: "NOERROR", Answer: []string{cname, www}},
		"ftp.a.edu. CNAME": {Outcome: "NOERROR", Answer: []string{cname}},
		"ftp.a.edu. ANY":   {Outcome: "NOERROR", Answer: []string{cname}},
		"a.isi.edu. A": {Outcome: "REFERRAL", Authority: []string{ns}, Additional: []string{glue},
			Glue: 1},
		"isi.edu. DS":        {Outcome: "NODATA", Authority: []string{negative}},
		"ds.edu. DS":         {Outcome: "NOERROR", Answer: []string{"ds.edu. 30 IN DS 1 13 2 AB"}},
		"ds.edu. A":          {Outcome: "REFERRAL", Authority: []string{cut}},
		"www.old.edu. A":     {Outcome: "NOERROR", Answer: []string{dname, "www.old.edu. 30 IN CNAME www.a.edu.", www}},
		"www.old.edu. CNAME": {Outcome: "NOERROR", Answer: []string{dname, "www.old.edu. 30 IN CNAME www.a.edu."}},
		"x.old.edu. A": {Outcome: "NXDOMAIN", Answer: []string{dname, "x.old.edu. 30 IN CNAME x.a.edu."},
			Authority: []string{negative}},
		"a.b.w.edu. MX": {Outcome: "NOERROR", Answer: []string{"a.b.w.edu. 30 IN MX 10 www.a.edu."},
			Additional: []string{www}},
		"a.w.edu. A":    {Outcome: "NODATA", Authority: []string{negative}},
		"a.*.w.edu. MX": {Outcome: "NXDOMAIN", Authority: []string{negative}},
		"x.e.edu. A":    {Outcome: "NODATA", Authority: []string{negative}},
		"x.ns.edu. A":   {Outcome: "NODATA", Authority: []string{negative}, Unspecified: true},
		"*.ns.edu. A":   {Outcome: "REFERRAL", Authority: []string{star}},
	} {
		name, mnemonic, _ := strings.Cut(question, " ")
		if diff := cmp.Diff(want, o.Lookup(dnstest.Query{Name: wireName(t, name), Type: dns.StringToType[mnemonic]})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", question, diff)
		}
	}
}

func TestOracleCountsOnce(t *testing.T) {
	rrs := wireRecords(t, "edu. 900 IN SOA . . 1 2 3 4 60", "a.edu. 30 IN NS b.edu.", "A.edu. 20 IN NS B.edu.",
		"a.edu. 30 IN CNAME b.edu.",
		"edu.a. 1 IN A 10.0.0.1", "a.edu. 1 CH TXT x", "a.edu. 1 CH TXT x")
	rrs = append(rrs, wire.RR{Owner: wireName(t, "edu."), Type: dns.TypeOPT, Class: dns.ClassINET})
	o := dnstest.NewOracle(wireName(t, "edu."), rrs)
	want := []string{"edu. 900 IN SOA . . 1 2 3 4 60", "a.edu. 20 IN NS b.edu.", "a.edu. 30 IN CNAME b.edu."}
	if diff := cmp.Diff(want, o.Dump()); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if o.Records() != 3 || o.Size() != (5+10+22)+2*(7+10+7) {
		t.Errorf("%d records of %d octets", o.Records(), o.Size())
	}
	if nonIN, outside, meta := o.Discarded(); nonIN != 2 || outside != 1 || meta != 1 {
		t.Errorf("discarded %d, %d, %d", nonIN, outside, meta)
	}
}

// The names are in the order of the example of RFC 4034 §6.1.
func TestCompareNamesIsCanonical(t *testing.T) {
	sorted := []string{
		"example.", "a.example.", "yljkjljk.a.example.", "Z.a.example.", "zABC.a.EXAMPLE.", "z.example.",
		`\001.z.example.`, "*.z.example.", `\200.z.example.`,
	}
	for i, a := range sorted {
		for j, b := range sorted {
			if got := dnstest.CompareNames(wireName(t, a), wireName(t, b)); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%s and %s: %d", a, b, got)
			}
		}
	}
}

// What random zones are for has to occur in them.
func TestRandomZonesHaveEverything(t *testing.T) {
	const zones = 150
	seen := map[string]int{}
	for seed := range zones {
		z := dnstest.Zones().Example(seed)
		o := dnstest.NewOracle(z.Origin, z.Records)
		if !strings.Contains(o.Dump()[0], " SOA ") {
			t.Fatalf("no SOA in %#v", z)
		}
		seen["zone "+z.Origin.String()]++
		nonIN, outside, meta := o.Discarded()
		seen["non-IN"] += nonIN
		seen["outside"] += outside
		seen["meta"] += meta
		seen["duplicates"] += len(z.Records) - nonIN - outside - meta - o.Records()
		if slices.IsSortedFunc(z.Records, func(a, b wire.RR) int { return dnstest.CompareNames(a.Owner, b.Owner) }) {
			seen["in order"]++
		}
		for _, q := range o.Questions() {
			r := o.Lookup(q)
			seen[r.Outcome]++
			answer := strings.Join(r.Answer, "\n")
			for what, there := range map[string]bool{
				"CNAME": strings.Contains(answer, " CNAME "), "DNAME": strings.Contains(answer, " DNAME "),
				"chain":                 len(r.Answer) > 3,
				"referral behind CNAME": r.Outcome == "REFERRAL" && len(r.Answer) > 0, "glue": len(r.Additional) > 0,
				"unspecified": r.Unspecified,
			} {
				if there {
					seen[what]++
				}
			}
		}
	}
	for _, what := range []string{
		"zone .", "zone example.", "zone a.", "zone b.a.", `zone \001a.a.`, "non-IN", "outside", "meta", "duplicates",
		"in order",
		"NOERROR", "NODATA", "NXDOMAIN", "REFERRAL", "YXDOMAIN", "CNAME", "DNAME", "chain", "referral behind CNAME",
		"glue", "unspecified",
	} {
		if seen[what] == 0 {
			t.Errorf("%s does not occur in %d zones", what, zones)
		}
	}
	if in := seen["in order"]; in == zones {
		t.Error("all zones are in order")
	}
}
