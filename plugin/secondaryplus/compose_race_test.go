package secondaryplus

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	_ "github.com/coredns/coredns/plugin/header"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/minimal"
	_ "github.com/coredns/coredns/plugin/rewrite"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"

	scripted "github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// overwrite changes everything that can be reached from a value: the fields of records, the octets of addresses and the
// strings of TXT.
func overwrite(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			overwrite(v.Elem())
		}
	case reflect.Struct:
		for _, field := range v.Fields() {
			overwrite(field)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			overwrite(v.Index(i))
		}
	case reflect.String:
		if v.CanSet() {
			v.SetString("spoiled.")
		}
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if v.CanSet() {
			v.SetUint(255)
		}
	default:
	}
}

// ruin overwrites every record of a message, the places of its sections, and what lies behind their ends.
func ruin(m *dns.Msg) {
	for _, section := range []*[]dns.RR{&m.Answer, &m.Ns, &m.Extra} {
		s := *section
		overwrite(reflect.ValueOf(s))
		for i := range s {
			s[i] = &dns.NULL{Data: "spoiled"}
		}
		for range 3 {
			s = append(s, &dns.NULL{Data: "spoiled"})
		}
		*section = s
	}
	overwrite(reflect.ValueOf(m.Question))
}

// careless is a plugin that lets a reply go and ruins it afterwards. It is safe for concurrent use.
type careless struct{ next plugin.Handler }

func (careless) Name() string { return "careless" }

func (c careless) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	return c.next.ServeDNS(ctx, carelessWriter{w}, r)
}

type carelessWriter struct{ dns.ResponseWriter }

func (w carelessWriter) WriteMsg(m *dns.Msg) error {
	err := w.ResponseWriter.WriteMsg(m)
	ruin(m)
	return err
}

// recorder keeps what it sees of a reply as text. It is owned by one goroutine.
type recorder struct {
	test.ResponseWriter
	seen string
}

func (w *recorder) WriteMsg(m *dns.Msg) error {
	w.seen = fmt.Sprintf("%s AA=%v TC=%v %q %q %q", dns.RcodeToString[m.Rcode], m.Authoritative, m.Truncated,
		texts(m.Answer), texts(m.Ns), texts(m.Extra))
	return nil
}

// chained puts plugins, given as their lines of a Corefile, and careless ones around a handler.
func chained(t *testing.T, h plugin.Handler, lines ...string) plugin.Handler {
	t.Helper()
	h = careless{h}
	for _, line := range slices.Backward(lines) {
		directive, _, _ := strings.Cut(line, " ")
		action, err := caddy.DirectiveAction("dns", directive)
		if err != nil {
			t.Fatal(err)
		}
		c := caddy.NewTestController("dns", line)
		c.ServerBlockKeys = []string{"dns://.:53"}
		if err := action(c); err != nil {
			t.Fatal(err)
		}
		h = dnsserver.GetConfig(c).Plugin[0](h)
	}
	return careless{h}
}

// composedChains are the plugins that handle replies, as server blocks have them.
var composedChains = [][]string{
	{},
	{"loadbalance", "rewrite ttl regex .* 30", "header {\nresponse set ra\n}"},
	{"rewrite name exact twin.example.org. www.example.org.", "minimal"},
	{"loadbalance", "minimal"},
}

// version is the zone with a serial: all its RRsets change or stay from one to the next.
func version(serial int) []string {
	v := strings.NewReplacer("SERIAL", fmt.Sprint(serial), "OCTET", fmt.Sprint(serial%250),
		"EVEN", fmt.Sprintf("%02x", serial/2))
	all := slices.Concat(
		signed("example.org. 3600 IN SOA ns.example.org. hostmaster.example.org. SERIAL 3600 3600 86400 300"),
		signed("example.org. 3600 IN NS ns.example.org."),
		signed("example.org. 300 IN NSEC *.wild.example.org. NS SOA RRSIG NSEC"),
		signed("*.wild.example.org. 300 IN NSEC example.org. TXT RRSIG NSEC"),
		signed("*.wild.example.org. 60 IN TXT SERIAL"),
		signed("ns.example.org. 3600 IN A 192.0.2.53"),
		signed("www.example.org. 60 IN A 192.0.2.OCTET"),
		signed("v.example.org. 60 IN TXT same SERIAL"),
		signed("even.example.org. 60 IN AAAA 2001:db8::EVEN"),
		signed("mx.example.org. 60 IN MX 1 www.example.org."),
		[]string{
			"www.example.org. 60 IN A 198.51.100.1", "www.example.org. 60 IN A 198.51.100.2", "www.example.org. 60 IN A 198.51.100.3",
			"mx.example.org. 60 IN MX OCTET even.example.org.", "alias.example.org. 60 IN CNAME www.example.org.",
			"sub.example.org. 60 IN NS ns.sub.example.org.", "ns.sub.example.org. 60 IN A 192.0.2.OCTET",
			"sub.example.org. 60 IN DS SERIAL 13 2 " + strings.Repeat("ab", 32), "onlySERIAL.example.org. 60 IN A 192.0.2.1",
			`odd.example.org. 60 IN TYPE65400 \# 1 EVEN`, "svc.example.org. 60 IN HTTPS 1 . alpn=h2 port=SERIAL",
		},
	)
	for i := range all {
		all[i] = v.Replace(all[i])
	}
	return all
}

// versionQuestions ask for what changes in a way of its own.
func versionQuestions() (all []*dns.Msg) {
	for _, q := range []dns.Question{
		{Name: "www", Qtype: dns.TypeA}, {Name: "v", Qtype: dns.TypeTXT}, {Name: "none", Qtype: dns.TypeA},
		{Name: "x.wild", Qtype: dns.TypeTXT}, {Name: "y.wild", Qtype: dns.TypeA}, {Name: "host.sub", Qtype: dns.TypeA},
		{Name: "alias", Qtype: dns.TypeA}, {Name: "mx", Qtype: dns.TypeMX}, {Name: "even", Qtype: dns.TypeAAAA},
		{Name: "only14", Qtype: dns.TypeA}, {Name: "odd", Qtype: 65400}, {Name: "svc", Qtype: dns.TypeHTTPS},
		{Name: "twin", Qtype: dns.TypeA}, {Name: "ns", Qtype: dns.TypeANY}, {Name: "sub", Qtype: dns.TypeDS},
	} {
		for _, dnssec := range []bool{false, true} {
			r := question(q.Name+".example.org.", q.Qtype)
			r.SetEdns0(dns.DefaultMsgSize, dnssec)
			all = append(all, r)
		}
	}
	return append(all, question("example.org.", dns.TypeSOA))
}

// updater is a primary that is at some version and sends the differences to it. It is safe for concurrent use.
type updater struct {
	*scripted.Primary
	serial      atomic.Int64
	differences atomic.Int32 // times it has sent some
}

func newUpdater(t *testing.T, serial int) *updater {
	t.Helper()
	u := &updater{}
	u.serial.Store(int64(serial))
	u.Primary = scripted.NewPrimary(t, func(r scripted.Request, w *scripted.Writer) {
		now := version(int(u.serial.Load()))
		m := r.Reply()
		switch {
		case r.Type == dns.TypeSOA:
			m.Answer = recordsOf(now[:1])
		case r.Type == dns.TypeIXFR && r.Serial > 0:
			u.differences.Add(1)
			m.Answer = recordsOf(differences(version(int(r.Serial)), now))
		default:
			m.Answer = recordsOf(append(now, now[0]))
		}
		w.Send(m)
	})
	return u
}

// differences is an IXFR answer in one step (RFC 1995 §4).
func differences(from, to []string) []string {
	all := append([]string{to[0], from[0]}, without(from, to)...)
	return append(append(append(all, to[0]), without(to, from)...), to[0])
}

// without returns the records of a but the first, which is the SOA, that b has not.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a[1:]), func(r string) bool { return slices.Contains(b, r) })
}

// dump returns contents as text, in their order.
func dump(c *zone.Contents) (all []string) {
	for rr := range c.All() {
		all = append(all, transferred(rr).String())
	}
	return all
}

// answersOf asks all questions of all chains around a handler.
func answersOf(t *testing.T, h *SecondaryPlus) (answers [][]string) {
	t.Helper()
	for _, lines := range composedChains {
		chain := chained(t, h, lines...)
		var some []string
		for _, r := range versionQuestions() {
			w := &recorder{}
			if _, err := chain.ServeDNS(context.Background(), w, r.Copy()); err != nil {
				t.Fatal(err)
			}
			some = append(some, w.seen)
		}
		answers = append(answers, some)
	}
	return answers
}

// Plugins that change replies in every way change neither the zone nor the reply to another query, also while versions
// come by IXFR: every answer is that of one version, which was current during the query.
func TestNothingIsSharedWithOtherPlugins(t *testing.T) {
	const first, last, readers = 10, 16, 6
	answers := map[uint32][][]string{}
	var dumps [][]string
	for serial := first; serial <= last; serial++ {
		h := newZones(t, "", nil, version(serial))
		answers[uint32(serial)] = answersOf(t, h)
		dumps = append(dumps, dump(h.zone("example.org.").Contents()))
		if err := h.instance.shutdown(); err != nil { // the next would take over its contents, as after a reload
			t.Error(err)
		}
	}
	u := newUpdater(t, first)
	h := newInstance(t, fmt.Sprintf("secondaryplus example.org {\nprimary %s\n}", u.Addr())).handlers[0]
	z := h.zone("example.org.")
	wait(t, "contents", func() bool { return z.Contents() != nil })

	done := make(chan struct{})
	var all sync.WaitGroup
	for reader := range readers {
		all.Go(func() { hammer(t, h, z, reader, done, answers) })
	}
	for serial := first + 1; serial <= last; serial++ {
		u.serial.Store(int64(serial))
		z.Notify(engine.Notification{From: netip.MustParseAddr("127.0.0.1")})
		wait(t, fmt.Sprintf("serial %d", serial), func() bool { return z.Contents().Serial().Uint32() == uint32(serial) })
		if got, want := dump(z.Contents()), dumps[serial-first]; !slices.Equal(got, want) {
			t.Errorf("Contents of serial %d are %q; want %q", serial, got, want)
		}
	}
	close(done)
	all.Wait()
	if got, want := dump(z.Contents()), dumps[last-first]; !slices.Equal(got, want) {
		t.Errorf("Contents at the end are %q; want %q", got, want)
	}
	if err := z.Contents().Check(); err != nil {
		t.Error(err)
	}
	if n := u.differences.Load(); n < last-first {
		t.Errorf("%d times differences were sent; want %d", n, last-first)
	}
}

// hammer asks until done is closed, and compares.
func hammer(t *testing.T, h *SecondaryPlus, z *servedZone, reader int, done <-chan struct{}, answers map[uint32][][]string) {
	var chains []plugin.Handler
	for _, lines := range composedChains {
		chains = append(chains, chained(t, h, lines...))
	}
	questions := versionQuestions()
	for n := reader; ; n++ {
		select {
		case <-done:
			return
		default:
		}
		i, j := n%len(chains), n/len(chains)%len(questions)
		before := z.Contents().Serial().Uint32()
		w := &recorder{}
		if _, err := chains[i].ServeDNS(context.Background(), w, questions[j].Copy()); err != nil {
			t.Error(err)
			return
		}
		found := false
		for serial := before; serial <= z.Contents().Serial().Uint32(); serial++ {
			found = found || answers[serial][i][j] == w.seen
		}
		if !found {
			t.Errorf("%s behind %q: %s; want, of serial %d, %s", questions[j].Question[0].String(), composedChains[i], w.seen,
				before, answers[before][i][j])
			return
		}
		if n%100 == reader {
			ruinTransfer(t, h)
		}
	}
}

// ruinTransfer takes a transfer out and ruins it.
func ruinTransfer(t *testing.T, h *SecondaryPlus) {
	c, err := h.Transfer("example.org.", 0)
	if err != nil {
		t.Error(err)
		return
	}
	for batch := range c {
		ruin(&dns.Msg{Answer: batch})
	}
}
