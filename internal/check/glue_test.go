package check_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/check"
	"github.com/secondaryplus/secondaryplus/internal/dnstest"
)

// zoneWith returns a zone with these name servers at its apex, and more records. Names are relative to the zone unless
// absolute.
func zoneWith(origin string, servers []string, more ...string) []string {
	records := []string{fmt.Sprintf("%s 3600 SOA mname.example.net. hostmaster.example.net. 7 7200 900 1209600 300", origin)}
	for _, s := range servers {
		records = append(records, fmt.Sprintf("%s 3600 NS %s", origin, absolute(s, origin)))
	}
	for _, m := range more {
		owner, rest, _ := strings.Cut(m, " ")
		records = append(records, absolute(owner, origin)+" 300 "+rest)
	}
	return records
}

func absolute(name, origin string) string {
	if strings.HasSuffix(name, ".") {
		return name
	}
	return name + "." + origin
}

// numbered returns ns1, ns2, ... and an address for each.
func numbered(n int) (servers, addresses []string) {
	for i := 1; i <= n; i++ {
		servers = append(servers, fmt.Sprintf("ns%d", i))
		addresses = append(addresses, fmt.Sprintf("ns%d A 192.0.2.%d", i, i))
	}
	return servers, addresses
}

// lookAt checks a zone that a good primary has.
func lookAt(t *testing.T, origin string, records []string, change func(*check.Options)) *check.Report {
	t.Helper()
	o := options(dnstest.NewPrimary(t, dnstest.Serve(secret, records...)))
	o.Zone = origin
	if change != nil {
		change(&o)
	}
	r := run(t, o)
	if r.Glue == nil {
		t.Fatalf("no glue section: %s", jsonOf(t, r))
	}
	return r
}

func TestGlueToRegister(t *testing.T) {
	t.Parallel()
	r := lookAt(t, origin, zoneWith(origin, []string{"ns2", "NS1", "ns3.example.net.", "ns.sub"},
		"ns1 A 192.0.2.9", "ns1 A 192.0.2.1", "ns1 AAAA 2001:db8::1", "Ns2 A 192.0.2.2", "ns9 A 192.0.2.99",
		"sub NS ns.sub."+origin, "ns.sub A 192.0.2.53"), nil)
	want := []check.Host{
		{Name: "ns1.example.org.", Addresses: []string{"192.0.2.1", "192.0.2.9", "2001:db8::1"}},
		{Name: "ns2.example.org.", Addresses: []string{"192.0.2.2"}},
		{Name: "ns.sub.example.org.", Addresses: []string{"192.0.2.53"}},
	}
	if diff := cmp.Diff(want, r.Glue.Hosts); diff != "" {
		t.Error(diff)
	}
	wantOnlyOK(t, r.Glue.Findings)
	wantFinding(t, r.Glue.Findings, check.OK, "glue", "3")
}

func TestGlueLimits(t *testing.T) {
	t.Parallel()
	type found struct {
		severity check.Severity
		what     string
		words    []string
	}
	ok := found{check.OK, "glue", nil}
	hosts := func(n int, origin string) []string {
		servers, addresses := numbered(n)
		return zoneWith(origin, servers, addresses...)
	}
	addresses := func(n int) []string {
		var more []string
		for i := 1; i <= n; i++ {
			more = append(more, fmt.Sprintf("ns1 A 192.0.2.%d", i))
		}
		return zoneWith(origin, []string{"ns1", "ns2.example.net."}, more...)
	}
	long := strings.Repeat("a", 63) + ".123456"
	for name, c := range map[string]struct {
		origin  string
		records []string
		want    found
		none    string
	}{
		"no hosts": {origin, zoneWith(origin, []string{"ns1.example.net.", "ns2.example.net."}), found{check.OK,
			"glue", []string{"nothing"}}, ""},
		"1 host": {origin, hosts(1, origin), found{check.Warning, "one_name_server", []string{"ns1.example.org."}},
			"glue_hosts"},
		"13 hosts":     {origin, hosts(13, origin), ok, "glue_hosts"},
		"14 hosts":     {origin, hosts(14, origin), found{check.Problem, "glue_hosts", []string{"14", "13"}}, "glue"},
		"1 address":    {origin, addresses(1), ok, "glue_addresses"},
		"13 addresses": {origin, addresses(13), ok, "glue_addresses"},
		"14 addresses": {origin, addresses(14), found{check.Problem, "glue_addresses", []string{"ns1", "14", "13"}}, "glue"},
		"no address":   {origin, addresses(0), found{check.Problem, "glue_no_address", []string{"ns1.example.org."}}, "glue"},
		"6 in .cn":     {"example.cn.", hosts(6, "example.cn."), ok, "glue_hosts"},
		"7 in .cn": {"example.cn.", hosts(7, "example.cn."), found{check.Problem, "glue_hosts", []string{"7", ".cn",
			"6"}}, "glue"},
		"7 elsewhere": {origin, hosts(7, origin), ok, "glue_hosts"},
		"third level": {"example.cn.", hosts(2, "example.cn."), ok, "glue_level"},
		"fourth level": {"example.cn.", zoneWith("example.cn.", []string{"a.ns"}, "a.ns A 192.0.2.1"), found{check.Warning,
			"glue_level", []string{"a.ns.example.cn", "4 levels"}}, ""},
		".hk": {"example.hk.", hosts(2, "example.hk."), found{check.Warning, "glue_hk", nil}, ""},
		".hk, no hosts": {"example.hk.", zoneWith("example.hk.", []string{"ns1.example.net.", "ns2.example.net."}),
			found{check.OK, "glue", nil}, "glue_hk"},
		"underscore": {origin, zoneWith(origin, []string{"n_s"}, "n_s A 192.0.2.1"), found{check.Problem, "glue_name",
			[]string{"n_s", "letters"}}, ""},
		"hyphen": {origin, zoneWith(origin, []string{"-ns"}, "-ns A 192.0.2.1"), found{check.Problem, "glue_name",
			[]string{"-ns", "hyphen"}}, ""},
		"the apex": {origin, zoneWith(origin, []string{origin}, origin+" A 192.0.2.1"), found{check.Problem,
			"glue_name", []string{"itself"}}, ""},
		"too long": {origin, zoneWith(origin, []string{long}, long+" A 192.0.2.1"), found{check.Problem, "glue_name",
			[]string{"82 characters", "80"}}, ""},
		"80 characters": {origin, zoneWith(origin, []string{long[2:], "ns2"}, long[2:]+" A 192.0.2.1", "ns2 A 192.0.2.2"),
			ok, "glue_name"},
		"alias": {origin, zoneWith(origin, []string{"ns1"}, "ns1 CNAME www", "www A 192.0.2.1"),
			found{check.Problem, "glue_alias", []string{"ns1"}}, "glue_no_address"},
		"wildcard": {origin, zoneWith(origin, []string{"ns1", "ns2"}, "* A 192.0.2.1"), ok, "glue_no_address"},
		"not public": {origin, zoneWith(origin, []string{"ns1"}, "ns1 A 192.0.2.1", "ns1 A 10.0.0.1"),
			found{check.Warning, "glue_not_public", []string{"10.0.0.1"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := lookAt(t, c.origin, c.records, nil)
			wantFinding(t, r.Glue.Findings, c.want.severity, c.want.what, c.want.words...)
			wantNone(t, r.Glue.Findings, c.none)
		})
	}
}

// delegation answers as a name server of the parent zone does, with these records in the authority and additional sections.
func delegation(records ...string) dnstest.Handler {
	return func(r dnstest.Request, w *dnstest.Writer) {
		m := r.Reply()
		m.Authoritative = false
		for _, rr := range dnstest.Records(records...) {
			if rr.Header().Rrtype == dns.TypeNS {
				m.Ns = append(m.Ns, rr)
			} else {
				m.Extra = append(m.Extra, rr)
			}
		}
		w.Send(m)
	}
}

func TestParent(t *testing.T) {
	t.Parallel()
	const (
		ns1, ns2, ns3 = origin + " 86400 NS ns1." + origin, origin + " 86400 NS NS2." + origin,
			origin + " 86400 NS ns3.example.net."
		a1, a2 = "ns1." + origin + " 86400 A 192.0.2.1", "ns2." + origin + " 86400 A 192.0.2.2"
	)
	servers, addresses := numbered(2)
	records := zoneWith(origin, append(servers, "ns3.example.net."), addresses...)
	good := delegation(ns1, ns2, ns3, a1, a2)
	for name, c := range map[string]struct {
		script   dnstest.Handler
		severity check.Severity
		what     string
		words    []string
	}{
		"agrees": {good, check.OK, "parent_agrees", []string{"3"}},
		"agrees over TCP": {func(r dnstest.Request, w *dnstest.Writer) {
			if r.UDP {
				m := r.Reply()
				m.Truncated = true
				w.Send(m)
				return
			}
			good(r, w)
		}, check.OK, "parent_agrees", nil},
		"lacks a server": {delegation(ns1, ns2, a1, a2), check.Problem, "ns_missing", []string{"ns3.example.net."}},
		"has one too many": {delegation(ns1, ns2, ns3, a1, a2, origin+" 86400 NS old.example.net."), check.Problem,
			"ns_superfluous", []string{"old.example.net."}},
		"lacks glue": {delegation(ns1, ns2, ns3, a1), check.Problem, "glue_missing", []string{"ns2.example.org.",
			"192.0.2.2"}},
		"has too much glue": {delegation(ns1, ns2, ns3, a1, a2, "ns1."+origin+" 86400 AAAA 2001:db8::1"), check.Problem,
			"glue_superfluous", []string{"ns1.example.org.", "2001:db8::1"}},
		"has other glue": {delegation(ns1, ns2, ns3, a1, "ns2."+origin+" 86400 A 192.0.2.77"), check.Problem,
			"glue_differs", []string{"192.0.2.77", "192.0.2.2"}},
		"has no delegation":   {delegation(), check.Problem, "not_delegated", nil},
		"refers elsewhere":    {delegation("org. 86400 NS ns1.example.net."), check.Problem, "not_delegated", nil},
		"NXDOMAIN":            {rcode(dns.RcodeNameError), check.Problem, "parent_rcode", []string{"NXDOMAIN"}},
		"REFUSED":             {rcode(dns.RcodeRefused), check.Problem, "parent_rcode", []string{"REFUSED"}},
		"answers as the zone": {answering(ns1, ns2, ns3), check.Warning, "parent_is_authoritative", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := dnstest.NewPrimary(t, func(r dnstest.Request, w *dnstest.Writer) {
				if r.Name != origin || r.Type != dns.TypeNS || r.Msg.RecursionDesired {
					t.Errorf("the parent is asked %v", r.Msg)
				}
				c.script(r, w)
			})
			r := lookAt(t, origin, records, func(o *check.Options) { o.Parent = parent.Addr().String() })
			wantFinding(t, r.Parent.Findings, c.severity, c.what, c.words...)
			if c.severity != check.OK {
				wantNone(t, r.Parent.Findings, "parent_agrees")
			}
			if r.Parent.Address != parent.Addr().String() {
				t.Errorf("address %s", r.Parent.Address)
			}
		})
	}
}

// answering answers authoritatively.
func answering(records ...string) dnstest.Handler {
	return func(r dnstest.Request, w *dnstest.Writer) { w.Send(r.Reply(records...)) }
}

func TestDeadParent(t *testing.T) {
	t.Parallel()
	parent := dnstest.NewPrimary(t, rcode(dns.RcodeRefused))
	parent.Close()
	r := lookAt(t, origin, version(7), func(o *check.Options) { o.Parent = parent.Addr().String() })
	wantFinding(t, r.Parent.Findings, check.Problem, "parent_no_answer")
}

func TestModes(t *testing.T) {
	t.Parallel()
	const primaryAddress, elsewhere = "127.0.0.1", "192.0.2.1" // the first is that of the scripted primary
	self := func(names ...string) []string { return names }
	for name, c := range map[string]struct {
		servers, more []string
		self          []string
		mode          check.DeploymentMode
		severity      check.Severity
		what          string
		words         []string
	}{
		"backup, the primary answers": {
			self("ns1"), self("ns1 A " + primaryAddress), self("sec.example.net."), check.Backup,
			check.OK, "primary_visible", []string{"ns1.example.org. is primary 127.0.0.1"},
		},
		"backup, others answer": {
			self("ns1"), self("ns1 A " + elsewhere), self("sec.example.net."), check.Backup, check.Warning, "primary_not_listed", nil,
		},
		"backup, the SOA tells": {
			self("mname.example.net."), nil, self("sec.example.net."), check.Backup, check.OK, "primary_visible",
			[]string{"does not tell"},
		},
		"backup, the zone does not tell": {
			self("a.example.net."), nil, self("sec.example.net."), check.Backup, check.Warning, "primary_unknown",
			[]string{"a.example.net."},
		},
		"hidden primary": {
			self("sec1.example.net.", "SEC2.example.net."), nil, self("sec1.example.net", "sec2.example.net."), check.SecondaryOnly,
			check.OK, "primary_hidden", []string{"mname.example.net."},
		},
		"hidden primary, own name not listed": {
			self("sec1.example.net."), nil, self("sec1.example.net.", "sec2.example.net."), check.SecondaryOnly,
			check.Warning, "self_not_listed", []string{"sec2.example.net."},
		},
		"hidden primary, own name is its own": {
			self("ns1", "ns2"), self("ns1 A "+primaryAddress, "ns2 A "+elsewhere), self("ns1."+origin, "ns2."+origin),
			check.SecondaryOnly,
			check.Problem, "self_is_primary", []string{"ns1.example.org.", "127.0.0.1"},
		},
		"hidden primary, no address": {
			self("ns1"), nil, self("ns1." + origin), check.SecondaryOnly, check.Problem, "self_without_address",
			[]string{"ns1.example.org."},
		},
		"both": {
			self("ns1", "sec.example.net."), self("ns1 A " + primaryAddress), self("sec.example.net."), check.Both,
			check.OK, "primary_visible", []string{"ns1.example.org."},
		},
		"both, the SOA names us": {
			self("a.example.net.", "mname.example.net."), nil, self("mname.example.net."), check.Both,
			check.Warning, "mname_is_ours", []string{"mname.example.net."},
		},
		"no name servers": {nil, nil, self("sec.example.net."), check.Undecided, check.Problem, "mode_undecided", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := lookAt(t, origin, zoneWith(origin, c.servers, c.more...), func(o *check.Options) { o.Self = c.self })
			if r.Mode.Mode != c.mode || len(r.Mode.Ours)+len(r.Mode.Others) != len(c.servers) {
				t.Errorf("mode: %+v, want %s", r.Mode, c.mode)
			}
			wantFinding(t, r.Mode.Findings, c.severity, c.what, c.words...)
			severity := check.OK
			if c.mode == check.Undecided {
				severity = check.Problem
			}
			wantFinding(t, r.Mode.Findings, severity, "mode_"+string(c.mode))
		})
	}
}

// A primary that is no name server and whose address the zone has is not hidden.
func TestPublishedPrimary(t *testing.T) {
	t.Parallel()
	records := zoneWith(origin, []string{"sec.example.net."}, "hidden A 127.0.0.1")
	records[0] = strings.Replace(records[0], "mname.example.net.", "hidden."+origin, 1)
	r := lookAt(t, origin, records, func(o *check.Options) { o.Self = []string{"sec.example.net"} })
	wantFinding(t, r.Mode.Findings, check.Warning, "primary_published", "hidden.example.org.", "127.0.0.1")
}

// Resolvers begin with what the parent says.
func TestModeByTheParent(t *testing.T) {
	t.Parallel()
	parent := dnstest.NewPrimary(t, delegation(origin+" 86400 NS a.example.net."))
	r := lookAt(t, origin, zoneWith(origin, []string{"a.example.net.", "sec.example.net."}), func(o *check.Options) {
		o.Self, o.Parent = []string{"sec.example.net"}, parent.Addr().String()
	})
	if r.Mode.Mode != check.Both {
		t.Errorf("mode: %+v", r.Mode)
	}
	wantFinding(t, r.Mode.Findings, check.Warning, "mode_differs", "backup")
}
