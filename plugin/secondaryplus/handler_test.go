package secondaryplus

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/corefile"
	scripted "github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// texts returns the records of a section as text.
func texts(rrs []dns.RR) []string {
	all := make([]string, 0, len(rrs))
	for _, rr := range rrs {
		all = append(all, strings.ReplaceAll(rr.String(), "\t", " "))
	}
	slices.Sort(all)
	return all
}

// The SOA as negative answers show it: with the TTL of its MINIMUM (RFC 2308 §3).
const negativeSOA = "example.org. 300 IN SOA ns.example.org. hostmaster.example.org. 7 3600 3600 86400 300"

func TestAnswerOfEveryOutcome(t *testing.T) {
	h := newHandler(t, "example.org", "", exampleOrg...)
	www := []string{"WWW.example.org. 600 IN A 192.0.2.1", "WWW.example.org. 600 IN A 192.0.2.2"}
	for _, c := range []struct {
		name                   string
		qtype                  uint16
		rcode                  int
		notAuthoritative       bool
		answer, ns, additional []string
	}{
		{name: "example.org.", qtype: dns.TypeSOA, answer: exampleOrg[:1]},
		{name: "www.example.org.", qtype: dns.TypeA, answer: www},
		{name: "wWw.eXample.oRg.", qtype: dns.TypeA, answer: www},
		{name: "www.example.org.", qtype: dns.TypeAAAA, ns: []string{negativeSOA}},
		{name: "b.ent.example.org.", qtype: dns.TypeA, ns: []string{negativeSOA}},
		{name: "none.example.org.", qtype: dns.TypeA, rcode: dns.RcodeNameError, ns: []string{negativeSOA}},
		{
			name: "alias.example.org.", qtype: dns.TypeA,
			answer: []string{"WWW.example.org. 600 IN A 192.0.2.1", "WWW.example.org. 600 IN A 192.0.2.2", "alias.example.org. 600 IN CNAME www.example.org."},
		},
		{name: "away.example.org.", qtype: dns.TypeA, answer: []string{"away.example.org. 600 IN CNAME www.example.net."}},
		{name: "x.wild.example.org.", qtype: dns.TypeTXT, answer: []string{`x.wild.example.org. 600 IN TXT "any"`}},
		{
			name: "host.sub.example.org.", qtype: dns.TypeA, notAuthoritative: true,
			ns: []string{"sub.example.org. 600 IN NS ns.sub.example.org."}, additional: []string{"ns.sub.example.org. 600 IN A 192.0.2.54"},
		},
		{
			// RFC 1035 §4.1.1: AA is about the name the answer begins with.
			name: "below.alias2.example.org.", qtype: dns.TypeA, answer: []string{"below.alias2.example.org. 600 IN CNAME host.sub.example.org."},
			ns: []string{"sub.example.org. 600 IN NS ns.sub.example.org."}, additional: []string{"ns.sub.example.org. 600 IN A 192.0.2.54"},
		},
		{
			name: strings.Repeat("abcdefghijk.", 8) + "long.example.org.", qtype: dns.TypeA, rcode: dns.RcodeYXDomain,
			answer: exampleOrg[15:16],
		},
		{name: "odd.example.org.", qtype: 65400, answer: []string{`odd.example.org. 600 CLASS1 TYPE65400 \# 3 0a0b0c`}},
	} {
		t.Run(c.name+dns.TypeToString[c.qtype], func(t *testing.T) {
			r := question(c.name, c.qtype)
			m, code := ask(t, h, r)
			if code != dns.RcodeSuccess || m == nil {
				t.Fatalf("Code %d, reply %v", code, m)
			}
			if m.Rcode != c.rcode || m.Authoritative == c.notAuthoritative {
				t.Errorf("RCODE %s, AA %v", dns.RcodeToString[m.Rcode], m.Authoritative)
			}
			if !m.Response || m.Id != r.Id || !cmp.Equal(m.Question, r.Question) {
				t.Errorf("Not a reply to the question: %v", m)
			}
			for _, s := range []struct {
				name      string
				got, want []string
			}{{"answer", texts(m.Answer), c.answer}, {"authority", texts(m.Ns), c.ns}, {"additional", texts(m.Extra), c.additional}} {
				slices.Sort(s.want)
				if d := cmp.Diff(s.want, s.got); d != "" && len(s.want)+len(s.got) > 0 {
					t.Errorf("%s section: %s", s.name, d)
				}
			}
			if _, err := m.Pack(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A zone without contents is SERVFAIL, and says why to those who speak EDNS (RFC 8914 §4.15).
func TestZoneWithoutContentsIsServfail(t *testing.T) {
	p := scripted.NewPrimary(t, func(r scripted.Request, w *scripted.Writer) { w.Send(r.Rcode(dns.RcodeRefused)) })
	in := newInstance(t, "secondaryplus example.org {\nprimary "+p.Addr().String()+"\nfallthrough\n}")
	h := in.handlers[0]
	h.Next = test.NextHandler(passedOn, nil)

	m, code := ask(t, h, question("www.example.org.", dns.TypeA))
	if code != dns.RcodeSuccess || m == nil || m.Rcode != dns.RcodeServerFailure || m.Authoritative || len(m.Extra) != 0 {
		t.Errorf("Without EDNS: code %d, %v", code, m)
	}
	r := question("www.example.org.", dns.TypeA)
	r.SetEdns0(1232, true)
	m, _ = ask(t, h, r)
	o := m.IsEdns0()
	if m.Rcode != dns.RcodeServerFailure || o == nil || len(o.Option) != 1 {
		t.Fatalf("With EDNS: %v", m)
	}
	if ede, ok := o.Option[0].(*dns.EDNS0_EDE); !ok || ede.InfoCode != dns.ExtendedErrorCodeNotReady {
		t.Errorf("EDNS option %v; want EDE 14", o.Option[0])
	}
	if _, err := h.Transfer("example.org.", 0); err == nil {
		t.Error("A zone without contents is transferred")
	}
	wait(t, "Ready after a failed round", h.Ready)
}

func TestUpdateIsRefused(t *testing.T) {
	h := newHandler(t, "example.org", "", exampleOrg...)
	for zone, want := range map[string]int{
		"example.org.":     dns.RcodeRefused,
		"eXample.org.":     dns.RcodeRefused,
		"sub.example.org.": dns.RcodeRefused,
		"example.net.":     dns.RcodeNotImplemented,
		"org.":             dns.RcodeNotImplemented,
	} {
		if m, code := ask(t, h, new(dns.Msg).SetUpdate(zone)); code != dns.RcodeSuccess || m.Rcode != want {
			t.Errorf("UPDATE of %s: code %d, reply %v; want %s", zone, code, m, dns.RcodeToString[want])
		}
	}
}

// wireName returns the wire form of a name.
func wireName(t testing.TB, s string) wire.Name {
	t.Helper()
	n, err := wire.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestLongestZoneAnswers(t *testing.T) {
	table := func(names ...string) zoneTable {
		all := zoneTable{}
		for _, n := range names {
			all[string(wireName(t, n))] = &servedZone{group: &group{Group: &corefile.Group{Zones: []string{n}}}}
		}
		return all
	}
	all := table(".", "org.", "example.org.", "a.b.example.org.", `we\.ird.example.org.`)
	for _, c := range []struct {
		table zoneTable
		name  string
		qtype uint16
		want  string
	}{
		{all, "example.org.", dns.TypeA, "example.org."},
		{all, "www.example.org.", dns.TypeA, "example.org."},
		{all, "b.example.org.", dns.TypeA, "example.org."},
		{all, "x.a.b.example.org.", dns.TypeA, "a.b.example.org."},
		{all, "badexample.org.", dns.TypeA, "org."},
		{all, "test.", dns.TypeA, "."},
		{all, ".", dns.TypeNS, "."},
		{all, ".", dns.TypeDS, "."},
		{all, `x.we\.ird.example.org.`, dns.TypeA, `we\.ird.example.org.`},
		{all, `ird.example.org.`, dns.TypeA, "example.org."},
		{table("example.org."), "org.", dns.TypeA, ""},
		{table("example.org."), ".", dns.TypeA, ""},
		{table(), "org.", dns.TypeA, ""},
		// RFC 4035 §3.1.4.1: DS is the parent's, where there is one.
		{all, "example.org.", dns.TypeDS, "org."},
		{all, "a.b.example.org.", dns.TypeDS, "example.org."},
		{all, "www.example.org.", dns.TypeDS, "example.org."},
		{all, "org.", dns.TypeDS, "."},
		{table("example.org."), "example.org.", dns.TypeDS, "example.org."},
	} {
		got := ""
		if z := c.table.match(wireName(t, c.name), c.qtype); z != nil {
			got = z.group.Zones[0]
		}
		if got != c.want {
			t.Errorf("%s %s is asked of %q; want %q", c.name, dns.TypeToString[c.qtype], got, c.want)
		}
	}
}

func TestRootZoneAnswers(t *testing.T) {
	h := newHandler(t, ".", "", ". 3600 IN SOA a. b. 1 3600 3600 86400 300", ". 3600 IN NS a.", "a. 60 IN A 192.0.2.1", "org. 60 IN NS ns.org.")
	for name, qtype := range map[string]uint16{".": dns.TypeNS, "a.": dns.TypeA} {
		if m, _ := ask(t, h, question(name, qtype)); m == nil || len(m.Answer) != 1 || !m.Authoritative {
			t.Errorf("%s: %v", name, m)
		}
	}
	if m, _ := ask(t, h, question("www.example.org.", dns.TypeA)); m == nil || m.Authoritative || len(m.Ns) != 1 {
		t.Errorf("Referral: %v", m)
	}
}

func TestOnlyMissingNamesFallThrough(t *testing.T) {
	for _, c := range []struct {
		option, name string
		qtype        uint16
		passes       bool
	}{
		{"", "none.example.org.", dns.TypeA, false},
		{"fallthrough", "none.example.org.", dns.TypeA, true},
		{"fallthrough", "nOne.eXample.org.", dns.TypeA, true},
		{"fallthrough", "www.example.org.", dns.TypeAAAA, false},
		{"fallthrough", "b.ent.example.org.", dns.TypeA, false},
		{"fallthrough", "host.sub.example.org.", dns.TypeA, false},
		{"fallthrough", "www.example.org.", dns.TypeA, false},
		{"fallthrough ent.example.org", "none.ent.example.org.", dns.TypeA, true},
		{"fallthrough ent.example.org", "none.example.org.", dns.TypeA, false},
	} {
		t.Run(c.option+" "+c.name, func(t *testing.T) {
			h := newHandler(t, "example.org", c.option, exampleOrg...)
			m, code := ask(t, h, question(c.name, c.qtype))
			if passes := code == passedOn && m == nil; passes != c.passes {
				t.Errorf("Code %d, reply %v", code, m)
			}
		})
	}
}

// What is not ours goes to the next plugin.
func TestOthersArePassedOn(t *testing.T) {
	h := newHandler(t, "example.org", "", exampleOrg...)
	chaos := question("www.example.org.", dns.TypeTXT)
	chaos.Question[0].Qclass = dns.ClassCHAOS
	chaosNotify := new(dns.Msg).SetNotify("example.org.")
	chaosNotify.Question[0].Qclass = dns.ClassCHAOS
	for what, r := range map[string]*dns.Msg{
		"other zone": question("www.example.net.", dns.TypeA), "parent": question("org.", dns.TypeNS), "CH": chaos,
		"AXFR of another zone":       question("example.net.", dns.TypeAXFR),
		"AXFR of a name in a zone":   question("www.example.org.", dns.TypeAXFR),
		"NOTIFY of another zone":     new(dns.Msg).SetNotify("example.net."),
		"NOTIFY of a name in a zone": new(dns.Msg).SetNotify("www.example.org."),
		"NOTIFY of class CH":         chaosNotify,
	} {
		if m, code := ask(t, h, r); code != passedOn || m != nil {
			t.Errorf("%s: code %d, reply %v", what, code, m)
		}
	}
}

func TestTransferIsRefusedUnlessAllowed(t *testing.T) {
	h := newHandler(t, "example.org", "", exampleOrg...)
	for _, r := range []*dns.Msg{
		new(dns.Msg).SetAxfr("example.org."), new(dns.Msg).SetIxfr("example.org.", 7, "ns.example.org.", "x.example.org."),
	} {
		if m, code := ask(t, h, r); code != dns.RcodeSuccess || m.Rcode != dns.RcodeRefused {
			t.Errorf("%s: code %d, reply %v; want REFUSED", r.Question[0].String(), code, m)
		}
	}
}

func TestReadyWaitsForContents(t *testing.T) {
	gate := make(chan struct{})
	p := scripted.NewPrimary(t, func(r scripted.Request, w *scripted.Writer) {
		select {
		case <-gate:
		case <-w.Done():
		}
		scripted.Serve(testSecret, exampleOrg...)(r, w)
	})
	if (&SecondaryPlus{}).Ready() {
		t.Error("Ready without an engine")
	}
	in := newInstance(t, "secondaryplus example.org {\nprimary "+p.Addr().String()+"\n}")
	if in.handlers[0].Ready() {
		t.Error("Ready before the first transfer")
	}
	close(gate)
	wait(t, "Ready", in.handlers[0].Ready)
}

// A NOTIFY handled without a server: the way the handler is used by a chain of another make.
func TestNotifyIsAnswered(t *testing.T) {
	h := newHandler(t, "example.org", "allow_notify 198.51.100.0/24", exampleOrg...)
	for _, c := range []struct {
		from  string
		zone  string
		qtype uint16
		rcode int
	}{
		{"127.0.0.1", "example.org.", dns.TypeSOA, dns.RcodeSuccess},
		{"198.51.100.7", "eXample.Org.", dns.TypeSOA, dns.RcodeSuccess},
		{"::ffff:198.51.100.7", "example.org.", dns.TypeSOA, dns.RcodeSuccess},
		{"198.51.101.7", "example.org.", dns.TypeSOA, dns.RcodeRefused},
		{"2001:db8::1", "example.org.", dns.TypeSOA, dns.RcodeRefused},
		{"127.0.0.1", "example.org.", dns.TypeA, dns.RcodeNotImplemented},
	} {
		r := new(dns.Msg).SetNotify(c.zone)
		r.Question[0].Qtype = c.qtype
		w := dnstest.NewRecorder(&test.ResponseWriter{RemoteIP: c.from})
		code, err := h.ServeDNS(context.Background(), w, r)
		if err != nil || code != dns.RcodeSuccess || w.Msg == nil {
			t.Fatalf("%+v: code %d, error %v, reply %v", c, code, err, w.Msg)
		}
		m := w.Msg
		if m.Rcode != c.rcode || !m.Response || m.Id != r.Id || m.Opcode != dns.OpcodeNotify || !cmp.Equal(m.Question, r.Question) {
			t.Errorf("%+v: %v", c, m)
		}
		if c.rcode == dns.RcodeSuccess && !m.Authoritative { // RFC 1996 §4.7
			t.Errorf("%+v: AA is not set", c)
		}
	}
}

// A zone knows the server blocks that serve it.
func TestZoneKnowsItsServerBlocks(t *testing.T) {
	h := newHandler(t, "example.org", "", exampleOrg...)
	status := h.zone("example.org.").Standing()
	if !slices.Equal(status.Blocks, []string{h.server}) {
		t.Errorf("Server blocks %q; want %q", status.Blocks, h.server)
	}
}
