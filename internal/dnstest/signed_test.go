package dnstest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
)

func TestMain(m *testing.M) {
	dnstest.Checks()
	m.Run()
}

// signer, oracle and validator know nothing of one another, but agree.
func TestOracleProvesWhatAValidatorAsks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := dnstest.AnyZones(dnstest.NSEC, dnstest.NSEC3).Draw(t, "zone")
		o := dnstest.NewOracle(z.Origin, z.Records)
		for _, q := range dnstest.Some(t, 5, o.Questions()) {
			q.DNSSEC = true
			r := o.Lookup(q)
			if r.Unspecified || r.Unproven {
				continue
			}
			if err := dnstest.Validate(z.Origin, q, r); err != nil {
				t.Fatalf("%s: %v\n%+v\n%s", q, err, r, strings.Join(o.Dump(), "\n"))
			}
		}
	})
}

// Every RRset of a proof, and every signature, is needed: a validator misses it, whichever is left out. Where Opt-Out may
// hide a delegation, a validator expects less than a server has to send.
func TestValidatorMissesEveryProof(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := dnstest.AnyZones(dnstest.NSEC, dnstest.NSEC3).Draw(t, "zone")
		o := dnstest.NewOracle(z.Origin, z.Records)
		for _, q := range dnstest.Some(t, 5, o.Questions()) {
			q.DNSSEC = true
			whole := o.Lookup(q)
			if whole.Unspecified || whole.Unproven || slices.ContainsFunc(whole.Authority, optOut) {
				continue
			}
			for _, line := range whole.Authority {
				if !strings.Contains(line, " NSEC") && !strings.Contains(line, " RRSIG ") {
					continue
				}
				r := whole
				r.Authority = slices.DeleteFunc(slices.Clone(r.Authority), func(l string) bool { return set(l) == set(line) })
				if dnstest.Validate(z.Origin, q, r) == nil {
					t.Fatalf("%s: nothing misses %s\n%+v\n%s", q, line, whole, strings.Join(o.Dump(), "\n"))
				}
			}
		}
	})
}

// set returns what the lines of an RRset have in common: owner, class, type, and the type that signatures cover.
func set(line string) string {
	fields := strings.Fields(line)
	if fields[3] != "RRSIG" {
		fields = fields[:4]
	}
	return strings.Join(slices.Delete(fields[:min(5, len(fields))], 1, 2), " ")
}

// optOut reports whether a line is an NSEC3 record with Opt-Out (RFC 5155 §3.1.2.1).
func optOut(line string) bool { return strings.Contains(line, " IN NSEC3 1 1 ") }

// What random signed zones are for has to occur in them.
func TestRandomSignedZonesHaveEverything(t *testing.T) {
	dnstest.Alone(t)
	const zones = 120
	seen := map[string]int{}
	for seed := range zones {
		z := dnstest.AnyZones().Example(seed)
		o := dnstest.NewOracle(z.Origin, z.Records)
		dump := strings.Join(o.Dump(), "\n")
		for i, q := range o.Questions() {
			if q.DNSSEC = true; i%3 > 0 { // one of three is enough
				continue
			}
			r := o.Lookup(q)
			answer, authority := strings.Join(r.Answer, "\n"), strings.Join(r.Authority, "\n")
			kind := "unsigned "
			switch {
			case strings.Contains(authority, " IN NSEC3 "):
				kind = "NSEC3 "
			case strings.Contains(authority, " IN NSEC "):
				kind = "NSEC "
			}
			iterations := func(n string) bool {
				return strings.Contains(authority, " IN NSEC3 1 0 "+n+" ") || strings.Contains(authority, " IN NSEC3 1 1 "+n+" ")
			}
			for what, there := range map[string]bool{
				kind + r.Outcome:  true,
				"DS":              r.Outcome == "REFERRAL" && strings.Contains(authority, " IN DS "),
				"Opt-Out":         slices.ContainsFunc(r.Authority, optOut),
				"iterations":      iterations("3"),
				"many iterations": iterations("151"),
				"salt":            strings.Contains(authority, " AABBCCDD "),
				"two signatures":  strings.Contains(authority, " 4609 "),
				"signed DNAME":    strings.Contains(answer, " RRSIG DNAME "),
				"two chains":      strings.Count(dump, " IN NSEC3PARAM ") > 1,
				"both kinds":      strings.Contains(dump, " IN NSEC3 ") && strings.Contains(dump, " IN NSEC "),
				"unproven":        z.Proven && r.Unproven,
				"odd":             !z.Proven && r.Unproven && strings.Contains(dump, " IN NSEC"),
			} {
				if there {
					seen[what]++
				}
			}
		}
	}
	for _, what := range []string{
		"unsigned NOERROR", "unsigned NODATA", "unsigned NXDOMAIN", "unsigned REFERRAL", "NSEC NOERROR", "NSEC NODATA",
		"NSEC NXDOMAIN", "NSEC REFERRAL", "NSEC3 NOERROR", "NSEC3 NODATA", "NSEC3 NXDOMAIN", "NSEC3 REFERRAL", "DS", "Opt-Out",
		"iterations", "many iterations", "salt", "two signatures", "signed DNAME", "two chains", "both kinds", "odd",
	} {
		if seen[what] == 0 {
			t.Errorf("%s does not occur in %d zones", what, zones)
		}
	}
	if all := seen["NSEC3 NXDOMAIN"] + seen["NSEC3 NODATA"]; seen["unproven"] > all/20 {
		t.Errorf("%d of %d answers cannot be proved", seen["unproven"], all)
	}
}

// A validator is not content with what RFC 6840 §4 and RFC 5155 §8 warn of. The zone is that of RFC 4035 appendix A.
func TestValidatorRefuses(t *testing.T) {
	const soa, sigEnd = "example. 1 IN SOA . . 1 2 3 4 5", " 5 1 1 20040509183619 20040409183619 1 example. qw=="
	const soaSig = "example. 1 IN RRSIG SOA" + sigEnd
	sig := func(nsec string) string {
		return strings.Fields(nsec)[0] + " 1 IN RRSIG " + strings.Fields(nsec)[3] + sigEnd
	}
	const apex, cut = "example. 1 IN NSEC b.example. NS SOA", "b.example. 1 IN NSEC d.example. NS"
	const dname, over = "b.example. 1 IN NSEC d.example. DNAME", "b.example. 1 IN NSEC x.c.example. A"
	for name, c := range map[string]struct {
		question, outcome string
		proofs            []string
		valid             bool
	}{
		"both are covered":                 {"c.example. A", "NXDOMAIN", []string{apex, cut}, true},
		"the wildcard is not covered":      {"c.example. A", "NXDOMAIN", []string{cut}, false},
		"the name is not covered":          {"c.example. A", "NXDOMAIN", []string{apex}, false},
		"the owner is a cut above":         {"x.b.example. A", "NXDOMAIN", []string{apex, cut}, false},
		"the owner is a DNAME above":       {"x.b.example. A", "NXDOMAIN", []string{apex, dname}, false},
		"an empty non-terminal":            {"c.example. A", "NODATA", []string{over}, true},
		"an empty non-terminal as missing": {"c.example. A", "NXDOMAIN", []string{apex, over}, false},
		"the type is there":                {"b.example. A", "NODATA", []string{"b.example. 1 IN NSEC d.example. A"}, false},
		"an alias is there":                {"b.example. A", "NODATA", []string{"b.example. 1 IN NSEC d.example. CNAME"}, false},
		"the type is not there":            {"b.example. A", "NODATA", []string{"b.example. 1 IN NSEC d.example. MX"}, true},
		"the cut speaks for DS":            {"b.example. DS", "NODATA", []string{cut}, true},
		"the cut speaks for the child":     {"b.example. A", "NODATA", []string{cut}, false},
	} {
		qname, qtype, _ := strings.Cut(c.question, " ")
		r := dnstest.Reply{Outcome: c.outcome, Authority: []string{soa, soaSig}}
		for _, p := range c.proofs {
			r.Authority = append(r.Authority, p, sig(p))
		}
		q := dnstest.Query{Name: wireName(t, qname), Type: dns.StringToType[qtype], DNSSEC: true}
		if err := dnstest.Validate(wireName(t, "example."), q, r); (err == nil) != c.valid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
