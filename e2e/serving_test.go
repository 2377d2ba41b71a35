//go:build e2e

package e2e_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/control"
)

// probe is a question whose answer shows a rule of RFC 1034 §4.3.2 and its successors at work.
type probe struct {
	name  string // relative to mixedOrigin
	qtype uint16
}

var probes = []probe{
	{"ns1", dns.TypeA},
	{"ns1", dns.TypeMX},             // NODATA
	{"nope", dns.TypeA},             // NXDOMAIN
	{"nope.mail", dns.TypeA},        // below a host
	{"web", dns.TypeA},              // one CNAME
	{"chain", dns.TypeA},            // two
	{"chain", dns.TypeAAAA},         // that end in NODATA
	{"chain", dns.TypeCNAME},        // asked for itself
	{"away", dns.TypeA},             // out of the zone
	{"gone", dns.TypeA},             // to a name that does not exist
	{"old", dns.TypeA},              // the owner of a DNAME
	{"old", dns.TypeDNAME},          //
	{"host.old", dns.TypeA},         // below it
	{"nothing.old", dns.TypeA},      //
	{"x.wild", dns.TypeA},           // synthesized
	{"a.b.wild", dns.TypeTXT},       //
	{"x.wild", dns.TypeMX},          // NODATA
	{"*.wild", dns.TypeA},           // the wildcard itself
	{"wild", dns.TypeA},             // above it
	{"exact.wild", dns.TypeTXT},     // exists, so there is no synthesis
	{"below.exact.wild", dns.TypeA}, // its closest encloser has no wildcard
	{"x.star", dns.TypeA},           // synthesized CNAME
	{"empty.nonterminal", dns.TypeA},
	{"nonterminal", dns.TypeA},
	{"x.empty.nonterminal", dns.TypeA},
	{"below.below.empty.nonterminal", dns.TypeA},
	{"child", dns.TypeA}, // referrals
	{"child", dns.TypeNS},
	{"www.child", dns.TypeA},
	{"ns.child", dns.TypeA},
	{"far", dns.TypeDS}, // the parent's own
	{"child", dns.TypeDS},
	{"x.far", dns.TypeAAAA},
	{"into", dns.TypeA}, // CNAME into a delegation
	{"@", dns.TypeNS},
	{"@", dns.TypeSOA},
	{"@", dns.TypeA},
}

func TestAnswersAreThoseOfBIND(t *testing.T) {
	t.Parallel()
	sec, prim := syncedPair(t, startBIND, nil)
	for _, p := range probes {
		name := p.name + "." + mixedOrigin
		if p.name == "@" {
			name = mixedOrigin
		}
		want, got := ask(t, prim.addr(), name, p.qtype), ask(t, sec.addr(), name, p.qtype)
		what := name + " " + dns.TypeToString[p.qtype]
		if want.Rcode != got.Rcode || want.Authoritative != got.Authoritative {
			t.Errorf("%s: %s AA=%t, want %s AA=%t", what, dns.RcodeToString[got.Rcode], got.Authoritative,
				dns.RcodeToString[want.Rcode], want.Authoritative)
		}
		if diff := cmp.Diff(texts(want.Answer), texts(got.Answer)); diff != "" {
			t.Errorf("%s: answer (-BIND +served):\n%s", what, diff)
		}
		// BIND may add the apex NS to the authority of a positive answer; a negative one and a referral must agree.
		if len(want.Answer) == 0 || hasSOA(want.Ns) {
			if diff := cmp.Diff(texts(want.Ns), texts(got.Ns)); diff != "" {
				t.Errorf("%s: authority (-BIND +served):\n%s", what, diff)
			}
		}
		if len(want.Answer) == 0 && !want.Authoritative {
			if diff := cmp.Diff(texts(want.Extra), texts(got.Extra)); diff != "" {
				t.Errorf("%s: glue (-BIND +served):\n%s", what, diff)
			}
		}
	}
}

func hasSOA(rrs []dns.RR) bool {
	return slices.ContainsFunc(rrs, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeSOA })
}

func TestOwnerCaseIsPreserved(t *testing.T) {
	t.Parallel()
	sec, _ := syncedPair(t, startBIND, nil)
	m := ask(t, sec.addr(), "mixed."+mixedOrigin, dns.TypeA)
	if len(m.Answer) != 1 || m.Answer[0].Header().Name != "MiXeD."+mixedOrigin {
		t.Errorf("Answer: %v, want the owner as the primary wrote it", m.Answer)
	}
	if m := ask(t, sec.addr(), "MAIL.MIXED.TEST.", dns.TypeA); len(m.Answer) != 1 || m.Question[0].Name != "MAIL.MIXED.TEST." {
		t.Errorf("Upper-case question: %v", m)
	}
}

func TestUpdateIsRefused(t *testing.T) {
	t.Parallel()
	sec, _ := syncedPair(t, startKnot, nil)
	m := new(dns.Msg).SetUpdate(mixedOrigin)
	m.Insert([]dns.RR{record("created.%s 60 IN A 192.0.2.1", mixedOrigin)})
	in, err := exchange(sec.addr(), m)
	if err != nil {
		t.Fatalf("UPDATE: %v", err)
	}
	if in.Rcode != dns.RcodeRefused {
		t.Errorf("UPDATE: %s, want REFUSED", dns.RcodeToString[in.Rcode])
	}
	if m := ask(t, sec.addr(), "created."+mixedOrigin, dns.TypeA); m.Rcode != dns.RcodeNameError {
		t.Errorf("Name that the UPDATE would have added: %s", dns.RcodeToString[m.Rcode])
	}
}

func TestOtherZonesGoToTheNextPlugin(t *testing.T) {
	t.Parallel()
	prim := startKnot(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(1)}})
	sec := newSecondary(t)
	writeFile(t, filepath.Join(sec.Dir, "next.zone"), plainZone("next.test.", 33, 5, longTimers))
	sec.start(t, secondarySpec{
		Zones: []string{mixedOrigin}, Block: "primary " + prim.addr(), Chain: "file next.zone next.test.",
	})
	sec.serves(t, mixedOrigin, 1, syncLimit)
	sec.serves(t, "next.test.", 33, syncLimit)
	if m := ask(t, sec.addr(), "elsewhere.test.", dns.TypeA); m.Rcode == dns.RcodeSuccess || m.Rcode == dns.RcodeNameError {
		t.Errorf("Zone that nobody has: %s", dns.RcodeToString[m.Rcode])
	}
}

func TestFallthroughPassesOnWhatTheZoneHasNot(t *testing.T) {
	t.Parallel()
	prim := startKnot(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(1)}})
	sec := newSecondary(t)
	writeFile(t, filepath.Join(sec.Dir, "next.zone"),
		plainZone(mixedOrigin, 33, 3, longTimers)+"beyond A 192.0.2.111\nns1 A 192.0.2.112\n")
	sec.start(t, secondarySpec{
		Zones: []string{mixedOrigin}, Block: lines("primary "+prim.addr(), "fallthrough"),
		Chain: "file next.zone " + mixedOrigin,
	})
	sec.serves(t, mixedOrigin, 1, syncLimit)
	for name, want := range map[string]string{"beyond": "192.0.2.111", "ns1": "192.0.2.1"} {
		m := ask(t, sec.addr(), name+"."+mixedOrigin, dns.TypeA)
		if len(m.Answer) != 1 || m.Answer[0].(*dns.A).A.String() != want {
			t.Errorf("%s: %s %v, want %s", name, dns.RcodeToString[m.Rcode], m.Answer, want)
		}
	}
}

func TestOutgoingTransferIsTheOneReceived(t *testing.T) {
	t.Parallel()
	key := testKey("hmac-sha256")
	for name, c := range map[string]struct {
		chain string
		key   *tsigKey
	}{
		"plain":       {"transfer {\n to *\n}", nil},
		"below cache": {"cache 30\ntransfer {\n to *\n}", nil},
		"signed":      {"tsig {\n secret " + key.Name + ". " + key.Secret + "\n require AXFR IXFR\n}\ntransfer {\n to *\n}", key},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prim := startBIND(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(1)}})
			sec := newSecondary(t)
			sec.start(t, secondarySpec{Zones: []string{mixedOrigin}, Block: "primary " + prim.addr(), Chain: c.chain})
			sec.serves(t, mixedOrigin, 1, syncLimit)
			want := axfr(t, prim.addr(), mixedOrigin, nil)
			if diff := cmp.Diff(want, axfr(t, sec.addr(), mixedOrigin, c.key)); diff != "" {
				t.Errorf("AXFR (-primary +secondary):\n%s", diff)
			}
			answersWith(t, sec.addr(), mixedOrigin, parse(t, want)) // again with what AXFR may have left in the cache
			if c.key != nil {
				if out := dig(t, sec.addr(), mixedOrigin, "AXFR", nil); strings.Contains(out, "SOA") {
					t.Errorf("AXFR without the key:\n%s", tail(out))
				}
			}
		})
	}
}

func TestIncrementalRequestOfACurrentClientIsOneSOA(t *testing.T) {
	t.Parallel()
	prim := startBIND(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(7)}})
	sec := newSecondary(t)
	sec.start(t, secondarySpec{
		Zones: []string{mixedOrigin}, Block: "primary " + prim.addr(), Chain: "transfer {\n to *\n}",
	})
	sec.serves(t, mixedOrigin, 7, syncLimit)
	// RFC 1995 §2: the client has the version of the server, or a newer one.
	for serial, want := range map[string]int{"7": 1, "8": 1, "6": recordsOf(mixedZone(7)) + 1} {
		out := dig(t, sec.addr(), mixedOrigin, "IXFR="+serial, nil)
		n := 0
		for l := range strings.Lines(out) {
			if strings.TrimSpace(l) != "" && l[0] != ';' {
				n++
			}
		}
		if n != want {
			t.Errorf("IXFR=%s: %d records, want %d:\n%s", serial, n, want, tail(out))
		}
	}
}

func TestSecondaryFeedsAnotherSecondary(t *testing.T) {
	t.Parallel()

	sec := newSecondary(t)
	prim := startBIND(t, primarySpec{
		Zones: map[string]string{mixedOrigin: mixedZone(1)}, Notify: []netip.AddrPort{sec.target()},
	})
	sec.start(t, secondarySpec{
		Zones: []string{mixedOrigin}, Block: "primary " + prim.addr(), Chain: "transfer {\n to *\n}",
	})
	sec.serves(t, mixedOrigin, 1, syncLimit)
	prim.publish(t, mixedOrigin, newer(2))
	sec.serves(t, mixedOrigin, 2, settleLimit)

	last := newSecondary(t)
	last.start(t, secondarySpec{Zones: []string{mixedOrigin}, Block: "primary " + sec.addr()})
	last.serves(t, mixedOrigin, 2, syncLimit)
	answersWith(t, last.addr(), mixedOrigin, parse(t, axfr(t, prim.addr(), mixedOrigin, nil)))
}

func TestExampleOfTheReadmeWorks(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "Corefile.example"))
	if err != nil {
		t.Fatalf("Example: %v", err)
	}
	zone, err := os.ReadFile(filepath.Join("..", "testdata", "example.org.zone"))
	if err != nil {
		t.Fatalf("Example: %v", err)
	}
	sec := newSecondary(t)
	prim, page := loopback(freePort(t)), loopback(freePort(t))
	_, primPort, _ := strings.Cut(prim, ":")
	_, secPort, _ := strings.Cut(sec.addr(), ":")
	// Other ports, so that the test runs beside `make run`.
	corefile := strings.NewReplacer(".:1053", ".:"+secPort, ".:1054", ".:"+primPort, "127.0.0.1:1054", prim,
		"127.0.0.1:9154", page, "127.0.0.1:9153", sec.Metrics, "127.0.0.1:8181", sec.Ready).Replace(string(text))
	if err := os.Mkdir(filepath.Join(sec.Dir, "testdata"), 0o700); err != nil {
		t.Fatalf("Example: %v", err)
	}
	writeFile(t, filepath.Join(sec.Dir, "Corefile"), corefile)
	writeFile(t, filepath.Join(sec.Dir, "testdata", "example.org.zone"), string(zone))
	sec.proc = startProcess(t, sec.Dir, binary(t), "-conf", "Corefile")

	took := sec.serves(t, "example.org.", 2026112001, syncLimit)
	t.Logf("Served %v after the start", took)
	sec.normal(t, "example.org.", prim)
	want := axfr(t, prim, "example.org.", keyOfExample(t, corefile))
	answersWith(t, sec.addr(), "example.org.", parse(t, want))
	eventually(t, settleLimit, "Ready", func() string { return unready(t, sec) })
	c, err := control.NewClient(control.Options{Address: "http://" + page})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := c.Status(t.Context()); err != nil || s.Zones != (control.Counts{Total: 1, Normal: 1}) {
		t.Errorf("The control API says %+v, %v", s, err)
	}
}

// keyOfExample reads the key line of the example.
func keyOfExample(t *testing.T, corefile string) *tsigKey {
	t.Helper()
	for l := range strings.Lines(corefile) {
		if f := strings.Fields(l); len(f) == 4 && f[0] == "key" {
			return &tsigKey{Name: f[1], Algorithm: f[2], Secret: f[3]}
		}
	}
	t.Fatal("No key in the example")
	return nil
}
