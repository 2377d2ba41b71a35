//go:build e2e

package e2e_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// chainZones lead into each other. chain.test has a delegation to child.chain.test, which is served too, and one to
// far.chain.test, which is not.
func chainZones() map[string]string {
	zones := map[string]string{
		"chain.test.": lines(
			"www CNAME www.b.test.", "nx CNAME none.b.test.", "nodata CNAME text.b.test.", "out CNAME www.outside.test.",
			"loop CNAME loop.b.test.", "self CNAME self", "d DNAME d.b.test.", "spin DNAME spin.b.test.", "*.wild CNAME www.b.test.",
			"toapex CNAME b.test.", "tochild CNAME www.child", "tocut CNAME child", "todeep CNAME none.deep.child",
			"tofar CNAME www.far",
			"tosub CNAME host.sub.b.test.", "towild CNAME any.wild.b.test.", "round CNAME round.b.test.", "final A 192.0.2.1",
			"child NS ns.child", "ns.child A 192.0.2.53", "child DS 1 13 2 "+strings.Repeat("ab", 32),
			"insecure NS ns.insecure", "ns.insecure A 192.0.2.54",
			"far NS ns.far", "ns.far A 192.0.2.55",
			"tolong CNAME "+strings.Repeat(strings.Repeat("x", 60)+".", 3)+"long.b.test.",
		),
		"child.chain.test.": lines("www A 192.0.2.2", "up CNAME final.chain.test.", "upward CNAME up",
			"deep NS ns.example.net."),
		"insecure.chain.test.": lines("www A 192.0.2.3"),
		"b.test.": lines(
			"www CNAME www.c.test.", "text TXT here", "loop CNAME loop.chain.test.", "d DNAME d.c.test.",
			"spin DNAME spin.chain.test.",
			"round CNAME final.chain.test.", "sub NS ns.sub", "ns.sub A 192.0.2.56", "*.wild CNAME www.c.test.",
			"long DNAME "+strings.Repeat(strings.Repeat("y", 60)+".", 2)+"c.test.", // YXDOMAIN (RFC 6672 §3.2)
		),
		"c.test.": lines("www A 192.0.2.4", "www A 192.0.2.5", "x.d A 192.0.2.6", "x.d TXT deep"),
	}
	for origin, text := range zones {
		zones[origin] = plainZone(origin, 1, 3, longTimers) + text
	}
	return zones
}

// chainProbes are names of chain.test unless they end in a dot.
var chainProbes = []probe{
	{"www", dns.TypeA}, {"www", dns.TypeAAAA}, {"www", dns.TypeCNAME},
	{"www.b.test.", dns.TypeA}, {"nx", dns.TypeA}, {"nodata", dns.TypeA}, {"nodata", dns.TypeTXT}, {"out", dns.TypeA},
	{"x.d", dns.TypeA}, {"x.d", dns.TypeTXT}, {"x.d", dns.TypeMX}, {"none.d", dns.TypeA}, {"x.d", dns.TypeCNAME},
	{"d", dns.TypeA},
	{"any.wild", dns.TypeA}, {"toapex", dns.TypeSOA}, {"toapex", dns.TypeNS}, {"toapex", dns.TypeA},
	{"tochild", dns.TypeA}, {"tochild", dns.TypeTXT}, {"tocut", dns.TypeNS}, {"tocut", dns.TypeSOA}, {"tocut", dns.TypeA},
	{"todeep", dns.TypeA}, {"tofar", dns.TypeA}, {"tosub", dns.TypeA}, {"towild", dns.TypeA},
	{"round", dns.TypeA}, {"round", dns.TypeTXT},
	{"tolong", dns.TypeA},
	// DS is on the side of the parent (RFC 4035 §3.1.4.1), of which test. is not served.
	{"child", dns.TypeDS}, {"insecure", dns.TypeDS}, {"far", dns.TypeDS}, {"b.test.", dns.TypeDS}, {"www.child", dns.TypeDS},
	{"tocut", dns.TypeDS},
	{"child", dns.TypeNS}, {"child", dns.TypeSOA}, {"www.child", dns.TypeA}, {"none.child", dns.TypeA},
	{"up.child", dns.TypeA}, {"upward.child", dns.TypeA}, {"www.insecure", dns.TypeA}, {"www.far", dns.TypeA},
	{"far", dns.TypeNS},
	{"loop", dns.TypeA}, {"self", dns.TypeA}, {"loop.b.test.", dns.TypeA}, {"x.spin", dns.TypeA},
}

// RFC 1034 §4.3.2 step 3a: an alias is followed into every zone that is at hand. NSD does the same.
func TestChainsAcrossZonesAreThoseOfNSD(t *testing.T) {
	t.Parallel()
	for name, secure := range map[string]bool{"unsigned": false, "signed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zones := chainZones()
			origins := slices.Sorted(maps.Keys(zones))
			if secure {
				dir := tempDir(t)
				for _, origin := range origins {
					zones[origin], _ = signZone(t, dir, origin, zones[origin])
				}
			}
			prim := startNSD(t, primarySpec{Zones: zones})
			sec := newSecondary(t)
			sec.start(t, secondarySpec{Zones: origins, Block: "primary " + prim.addr()})
			servesAll(t, sec.addr(), origins...)
			for _, p := range chainProbes {
				q := composeQuery(p.at("chain.test."), p.qtype, secure)
				if strings.HasSuffix(p.name, ".") {
					q = composeQuery(p.name, p.qtype, secure)
				}
				want, got := show(over(t, "tcp", prim.addr(), q)), show(over(t, "tcp", sec.addr(), q))
				if diff := cmp.Diff(chainOf(want), chainOf(got)); diff != "" {
					t.Errorf("%s (-NSD +served):\n%s", q.Question[0].String(), diff)
				}
			}
		})
	}
}

// optionalNS are the NS records of an apex, which NSD adds to the authority section of positive answers, and the
// signature over them.
var optionalNS = regexp.MustCompile(` NS ns[12]\.example\.net\.| RRSIG NS `)

// chainOf leaves of an answer what is the same in every correct one.
func chainOf(s shown) shown {
	s = s.sorted()
	s.Additional, s.Size, s.Options = nil, 0, nil
	s.Authority = slices.DeleteFunc(s.Authority, optionalNS.MatchString)
	if len(s.Authority) == 0 {
		s.Authority = nil
	}
	return s
}
