package secondaryplus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/coredns/coredns/plugin/dnssec"
	_ "github.com/coredns/coredns/plugin/header"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"golang.org/x/time/rate"

	scripted "github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/xfrout"
)

// pulled is what a secondary of ours received. It is owned by the test.
type pulled struct {
	kind           xfr.Kind
	added, removed []string // as texts has them, in the order they came
}

func (p *pulled) Begin(kind xfr.Kind, _ *wire.RR) error {
	p.kind = kind
	return nil
}

func (p *pulled) Add(rr *wire.RR) error {
	p.added = append(p.added, textOf(rr))
	return nil
}

func (p *pulled) Remove(rr *wire.RR) error {
	p.removed = append(p.removed, textOf(rr))
	return nil
}

func (p *pulled) Discard(rr *wire.RR, err error) error {
	return fmt.Errorf("malformed %v: %w", rr, err)
}

func textOf(rr *wire.RR) string { return texts([]dns.RR{transferred(rr)})[0] }

// pull transfers example.org from an address as a secondary does that has a serial, -1 for none.
func pull(t *testing.T, addr, source string, key *xfr.Key, have int) (*pulled, error) {
	t.Helper()
	from := xfr.Primary{Addr: netip.MustParseAddrPort(addr), Source: netip.MustParseAddr(source), Key: key}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := xfr.Dial(ctx, from, xfr.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	q, p := xfr.Query{Origin: wireName(t, "example.org.")}, &pulled{}
	if have >= 0 {
		q.Have = &wire.SOA{Serial: serial.New(uint32(have))}
	}
	_, err = c.Transfer(ctx, q, p, xfr.DefaultLimits())
	return p, err
}

// mustPull is pull from 127.0.0.1 where it has to succeed.
func mustPull(t *testing.T, addr string, key *xfr.Key, have int) *pulled {
	t.Helper()
	p, err := pull(t, addr, "127.0.0.1", key, have)
	if err != nil {
		t.Fatalf("Transfer from serial %d: %v", have, err)
	}
	return p
}

// outKey returns a key that hubs have.
func outKey(t *testing.T, name, algorithm string) *xfr.Key {
	t.Helper()
	k, err := xfr.NewKey(name, algorithm, testSecret)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// runHub serves example.org to secondaries, with directives in front and options of ours.
func runHub(t *testing.T, before, options string) (addr string, p *primaryOf) {
	t.Helper()
	p = newPrimaryOf(t, exampleOrg...)
	port := unusedPort(t)
	runCoreDNS(t, fmt.Sprintf("example.org:%s {\n%s\nsecondaryplus {\nprimary %s\n%s\n}\n}", port, before, p.Addr(), options))
	addr = "127.0.0.1:" + port
	waitServed(t, addr, "example.org.", 7)
	return addr, p
}

// versionOf returns exampleOrg with another serial and, at some names, addresses of that number.
func versionOf(number uint32) []string {
	records := slices.Clone(exampleOrg)
	records[0] = strings.Replace(records[0], " 7 ", fmt.Sprintf(" %d ", number), 1)
	return append(records, fmt.Sprintf("new.example.org. 600 IN A 192.0.2.%d", number))
}

// publish has the hub take a version of the zone.
func publish(t *testing.T, addr string, p *primaryOf, number uint32) {
	t.Helper()
	p.serve(versionOf(number)...)
	if r := exchange(t, "udp", addr, new(dns.Msg).SetNotify("example.org.")); r.Rcode != dns.RcodeSuccess {
		t.Fatalf("NOTIFY: %v", r)
	}
	waitServed(t, addr, "example.org.", number)
}

// A secondary gets the zone (RFC 5936), what leads to it from each version it may have (RFC 1995), or the SOA; whatever its key
// is, and however that is spelled.
func TestSecondaryIsServed(t *testing.T) {
	options := "allow_transfer 127.0.0.0/24\n"
	keys := map[string]*xfr.Key{"": nil}
	for i, algorithm := range append(xfr.AlgorithmNames(), "hmac-sha256-128") {
		name := fmt.Sprintf("Down%d.example.", i)
		options += fmt.Sprintf("key %s %s SECRET\n", name, algorithm)
		keys[algorithm] = outKey(t, name, algorithm)
	}
	addr, p := runHub(t, "", options)
	for _, number := range []uint32{8, 9} {
		publish(t, addr, p, number)
	}
	for what, key := range keys {
		whole := mustPull(t, addr, key, -1)
		slices.Sort(whole.added)
		if d := cmp.Diff(plain(versionOf(9)), whole.added); d != "" || whole.kind != xfr.AXFR {
			t.Errorf("%q: AXFR is %v: %s", what, whole.kind, d)
		}
		for have, want := range map[int]*pulled{
			7: {
				kind:    xfr.IXFR,
				removed: []string{plain(versionOf(7)[:1])[0], plain(versionOf(8)[:1])[0], plain(versionOf(8)[17:])[0]},
				added:   []string{plain(versionOf(8)[:1])[0], plain(versionOf(8)[17:])[0], plain(versionOf(9)[:1])[0], plain(versionOf(9)[17:])[0]},
			},
			8: {
				kind:    xfr.IXFR,
				removed: []string{plain(versionOf(8)[:1])[0], plain(versionOf(8)[17:])[0]},
				added:   []string{plain(versionOf(9)[:1])[0], plain(versionOf(9)[17:])[0]},
			},
			9:  {kind: xfr.Current},
			10: {kind: xfr.Current},
		} {
			got := mustPull(t, addr, key, have)
			if d := cmp.Diff(want, got, cmp.AllowUnexported(pulled{})); d != "" {
				t.Errorf("%q: IXFR from %d: %s", what, have, d)
			}
		}
		if old := mustPull(t, addr, key, 3); old.kind != xfr.AXFR || len(old.added) != len(versionOf(9)) {
			t.Errorf("%q: IXFR from a version that nobody knows is %v", what, old.kind)
		}
	}
	seen := engineNow().Seen.Of("example.org.")
	here := netip.MustParseAddr("127.0.0.1")
	i := slices.IndexFunc(seen, func(s xfrout.Secondary) bool { return s.Addr == here })
	if i < 0 || seen[i].AskedAt.IsZero() || seen[i].Sent.Serial != serial.New(9) {
		t.Errorf("Seen %+v", seen)
	}
}

// All parts of a line hold together, and any line is enough; nobody else is told more than REFUSED, with EDE 18 (RFC 8914 §4.19).
func TestWhoMayTransfer(t *testing.T) {
	addr, _ := runHub(t, "", "key a hmac-sha256 SECRET\nkey b hmac-sha256 SECRET\nallow_transfer 127.0.0.2 127.0.0.4-127.0.0.5\n"+
		"allow_transfer 127.0.0.3 127.0.1.0/24 key a\nallow_transfer any key b")
	a, b := outKey(t, "a", "hmac-sha256"), outKey(t, "b", "hmac-sha256")
	for _, c := range []struct {
		from string
		key  *xfr.Key
		want reason.Reason // none: it is served
	}{
		{"127.0.0.2", nil, ""},
		{"127.0.0.2", a, ""},
		{"127.0.0.5", nil, ""},
		{"127.0.0.6", nil, reason.Refused},
		{"127.0.0.3", nil, reason.Refused},
		{"127.0.0.3", a, ""},
		{"127.0.0.3", b, ""},
		{"127.0.1.255", a, ""},
		{"127.0.2.0", a, reason.Refused},
		{"127.0.2.0", b, ""},
		{"127.0.0.2", outKey(t, "c", "hmac-sha256"), reason.TSIGBadKey},
		{"127.0.2.0", outKey(t, "b", "hmac-sha512"), reason.TSIGBadKey},
	} {
		_, err := pull(t, addr, c.from, c.key, -1)
		if err == nil && c.want != "" || err != nil && reason.Of(err) != c.want {
			t.Errorf("From %s with %v: error %v; want %q", c.from, c.key, err, c.want)
		}
	}
	refused := new(dns.Msg).SetAxfr("example.org.")
	refused.SetEdns0(1232, false)
	m := exchange(t, "tcp", addr, refused)
	if o := m.IsEdns0(); m.Rcode != dns.RcodeRefused || o == nil || len(o.Option) != 1 || o.Option[0].(*dns.EDNS0_EDE).InfoCode != dns.ExtendedErrorCodeProhibited {
		t.Errorf("Refused with %v", m)
	}
}

// With ixfr_out off, or where differences take more of the zone than it says, the whole zone is sent.
func TestDifferencesMayBeTooLarge(t *testing.T) {
	for option, want := range map[string]xfr.Kind{"ixfr_out off": xfr.AXFR, "ixfr_out 1": xfr.AXFR, "ixfr_out 90": xfr.IXFR} {
		t.Run(option, func(t *testing.T) {
			addr, p := runHub(t, "", "allow_transfer 127.0.0.1\n"+option)
			publish(t, addr, p, 8)
			if got := mustPull(t, addr, nil, 7); got.kind != want {
				t.Errorf("IXFR is %v; want %v", got.kind, want)
			}
		})
	}
}

// A record that came in a message without EDNS and TSIG fits into none that has them: nothing is sent but SERVFAIL, and the log names
// it. Who asks for neither gets it.
func TestRecordThatFitsIntoNoMessage(t *testing.T) {
	lines := keepLog(t)
	long := fmt.Sprintf(`long.example.org. 600 CLASS1 TYPE65400 \# 65460 %s`, strings.Repeat("00", 65460))
	rrs := append(recordsOf(exampleOrg[:2]), recordsOf([]string{long})[0])
	p := scripted.NewPrimary(t, func(r scripted.Request, w *scripted.Writer) {
		all := append(slices.Clone(rrs), rrs[0])
		if r.Type == dns.TypeSOA {
			all = rrs[:1]
		}
		for _, rr := range all {
			m := r.Reply()
			m.Compress, m.Answer = true, []dns.RR{rr}
			w.Send(m)
		}
	})
	port := unusedPort(t)
	addr := "127.0.0.1:" + port
	runCoreDNS(t, fmt.Sprintf("example.org:%s {\nsecondaryplus {\nprimary %s\nallow_transfer 127.0.0.1\nkey down. hmac-sha256 SECRET\n}\n}", port, p.Addr()))
	waitServed(t, addr, "example.org.", 7)
	if got := mustPull(t, addr, nil, -1); len(got.added) != len(rrs) {
		t.Errorf("%d records without a key; want %d", len(got.added), len(rrs))
	}
	if _, err := pull(t, addr, "127.0.0.1", outKey(t, "down.", "hmac-sha256"), -1); reason.Of(err) != reason.ServFail {
		t.Errorf("With a key: %v", err)
	}
	if lines.line("nothing is sent: the TYPE65400 record of long.example.org. fits into no message") == "" {
		t.Error("The log does not name the record")
	}
}

// Each message has an OPT record if the request has one, with DO as there and a cookie if that is asked for (RFC 7873 §5.2); else none.
func TestMessagesHaveTheOPTRecordAskedFor(t *testing.T) {
	p := newPrimaryOf(t, largeZone(7)...)
	port := unusedPort(t)
	addr := "127.0.0.1:" + port
	runCoreDNS(t, fmt.Sprintf("example.org:%s {\nsecondaryplus {\nprimary %s\nallow_transfer 127.0.0.1\nmax_records unlimited\n}\n}", port, p.Addr()))
	waitServed(t, addr, "example.org.", 7)
	for what, ask := range map[string]func(*dns.Msg){
		"none": func(*dns.Msg) {},
		"DO":   func(m *dns.Msg) { m.SetEdns0(4096, true) },
		"cookie": func(m *dns.Msg) {
			m.SetEdns0(4096, false).IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0123456789abcdef"}}
		},
	} {
		c, err := dns.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		r := new(dns.Msg).SetAxfr("example.org.")
		ask(r)
		if err := c.WriteMsg(r); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			m, err := c.ReadMsg()
			if err != nil {
				t.Fatal(err)
			}
			o, asked := m.IsEdns0(), r.IsEdns0()
			switch {
			case o == nil && asked == nil:
			case o == nil || asked == nil || o.Do() != asked.Do() || o.UDPSize() != 1232 || len(o.Option) != len(asked.Option):
				t.Errorf("%s, message %d: %v", what, i, o)
			case len(o.Option) > 0:
				if got := o.Option[0].(*dns.EDNS0_COOKIE).Cookie; len(got) != 48 || !strings.HasPrefix(got, "0123456789abcdef") {
					t.Errorf("%s, message %d: cookie %s", what, i, got)
				}
			}
		}
		c.Close()
	}
}

// What is not answered with a transfer, over TCP and over UDP, where the fast path hands it over as CoreDNS's own socket takes it.
func TestRequestsThatAreNotServed(t *testing.T) {
	ixfr := func(have uint32, owner string) *dns.Msg {
		m := new(dns.Msg).SetIxfr("example.org.", have, "ns.example.org.", "x.example.org.")
		m.Ns[0].Header().Name = owner
		return m
	}
	noSOA := new(dns.Msg).SetQuestion("example.org.", dns.TypeIXFR)
	another := new(dns.Msg).SetQuestion("example.org.", dns.TypeIXFR)
	another.Ns = recordsOf(exampleOrg[1:2])
	class := new(dns.Msg).SetAxfr("example.org.")
	class.Question[0].Qclass = dns.ClassHESIOD
	for _, fastpath := range []string{"off", "auto"} {
		t.Run("fastpath "+fastpath, func(t *testing.T) {
			addr, _ := runHub(t, "", "allow_transfer 127.0.0.1\nfastpath "+fastpath)
			for _, c := range []struct {
				what    string
				network string
				m       *dns.Msg
				rcode   int
				answer  []string
			}{
				{"IXFR without SOA", "tcp", noSOA, dns.RcodeFormatError, nil},
				{"IXFR with another record", "tcp", another, dns.RcodeFormatError, nil},
				{"IXFR with the SOA of another zone", "tcp", ixfr(6, "example.net."), dns.RcodeFormatError, nil},
				{"IXFR from the future", "tcp", ixfr(8, "example.org."), dns.RcodeSuccess, exampleOrg[:1]},
				{"IXFR over UDP", "udp", ixfr(6, "EXAMPLE.org."), dns.RcodeSuccess, exampleOrg[:1]},
				{"IXFR over UDP without SOA", "udp", noSOA, dns.RcodeFormatError, nil},
				{"AXFR over UDP", "udp", new(dns.Msg).SetAxfr("example.org."), dns.RcodeRefused, nil},
				{"AXFR of a name in the zone", "tcp", new(dns.Msg).SetAxfr("www.example.org."), dns.RcodeNotAuth, nil},
				{"another class", "tcp", class, dns.RcodeRefused, nil}, // CoreDNS itself
			} {
				r := exchange(t, c.network, addr, c.m)
				if r.Rcode != c.rcode || !slices.Equal(texts(r.Answer), append([]string{}, c.answer...)) || r.Authoritative != (c.answer != nil) {
					t.Errorf("%s: %v", c.what, r)
				}
			}
		})
	}
}

// RFC 8945 §5.2: a signature that does not hold, or that was made too long ago, is no request.
func TestSignatureOfARequestHasToHold(t *testing.T) {
	addr, _ := runHub(t, "", "key down. hmac-md5 SECRET\nallow_transfer 127.0.0.1 key down.")
	ask := func(f func(*scripted.Signer)) *dns.Msg {
		s := scripted.NewSigner("down.", dns.HmacMD5, testSecret, nil)
		f(s)
		r := sendTCP(t, addr, s.Sign(scripted.Pack(new(dns.Msg).SetAxfr("example.org."))))
		return unpack(t, r)
	}
	old := func(s *scripted.Signer) { s.Time = time.Now().Add(-time.Hour) }
	wrong := func(s *scripted.Signer) { s.Corrupt = true }
	for what, c := range map[string]struct {
		f    func(*scripted.Signer)
		code uint16
	}{"replayed": {old, dns.RcodeBadTime}, "wrong": {wrong, dns.RcodeBadSig}} {
		r := ask(c.f)
		if sig := r.IsTsig(); r.Rcode != dns.RcodeNotAuth || sig == nil || sig.Error != c.code || len(r.Answer) != 0 {
			t.Errorf("%s: %v", what, r)
		}
	}
	if r := ask(func(*scripted.Signer) {}); r.Rcode != dns.RcodeSuccess || len(r.Answer) != len(exampleOrg)+1 {
		t.Errorf("A signature that holds: %v", r)
	}
}

// Strangers cannot use up the time that there is for the signatures of secondaries; and who is put off over TCP is told so.
func TestStrangersTakeNoTimeFromSecondaries(t *testing.T) {
	before := readings
	t.Cleanup(func() { readings = before })
	readings = rate.NewLimiter(0, 1) // AXFR has one name, and so one way to write it
	addr, _ := runHub(t, "", "key down. hmac-md5 SECRET\nallow_transfer 127.0.0.1 key down.")
	wrong, err := xfr.NewKey("down.", "hmac-md5", "d3Jvbmc=")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := pull(t, addr, "127.0.0.2", wrong, -1); reason.Of(err) != reason.TSIGBadSig {
			t.Errorf("A stranger gets error %v", err)
		}
	}
	right := outKey(t, "down.", "hmac-md5")
	mustPull(t, addr, right, -1)
	readings = rate.NewLimiter(0, 0)
	if _, err := pull(t, addr, "127.0.0.1", right, -1); reason.Of(err) != reason.ServFail {
		t.Errorf("When there is no time: error %v", err)
	}
}

// sendTCP sends a message as it is over TCP and returns the first message that comes.
func sendTCP(t *testing.T, addr string, msg []byte) []byte {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	dc := &dns.Conn{Conn: c}
	if _, err := dc.Write(msg); err != nil {
		t.Fatal(err)
	}
	reply, err := dc.ReadMsgHeader(nil)
	if err != nil {
		t.Fatalf("No reply: %v", err)
	}
	return reply
}

// Behind plugins that change what is answered, or take signatures away, transfers are as they are without, signed with the key of
// the request even if only the tsig plugin knows it; and nothing is logged about what could not be changed.
func TestPluginsInFrontDoNotTouchTransfers(t *testing.T) {
	lines := keepLog(t)
	refusals = rate.Sometimes{First: 20}
	t.Cleanup(func() { refusals = rate.Sometimes{First: 20, Interval: time.Second} })
	addr, p := runHub(t, "errors\nlog\nprometheus 127.0.0.1:0\ncache\nloadbalance\nheader {\nresponse set ra\n}\n"+
		"tsig {\nsecret other.key. SECRET\nrequire AXFR IXFR\n}", "key down. hmac-sha512 SECRET\nallow_transfer 127.0.0.1\nallow_transfer 127.0.0.2 key down.")
	publish(t, addr, p, 8)
	for _, c := range []struct {
		from string
		key  *xfr.Key
		ok   bool
	}{
		{"127.0.0.1", outKey(t, "down.", "hmac-sha512"), true},
		{"127.0.0.1", outKey(t, "other.key.", "hmac-sha256"), true},
		{"127.0.0.1", outKey(t, "other.key.", "hmac-sha1"), true}, // the tsig plugin knows no algorithm
		{"127.0.0.1", nil, false},
		{"127.0.0.2", outKey(t, "down.", "hmac-sha512"), true},
		{"127.0.0.2", outKey(t, "down.", "hmac-sha256"), false},
		{"127.0.0.2", outKey(t, "other.key.", "hmac-sha256"), false},
	} {
		whole, err := pull(t, addr, c.from, c.key, -1)
		if slices.Sort(whole.added); !c.ok {
			if reason.Of(err) != reason.Refused {
				t.Errorf("From %s with %v: %v", c.from, c.key, err)
			}
			continue
		}
		if d := cmp.Diff(plain(versionOf(8)), whole.added); d != "" || err != nil {
			t.Errorf("From %s with %v: error %v, %s", c.from, c.key, err, d)
		}
		if c.from == "127.0.0.1" {
			for have, want := range map[int]xfr.Kind{7: xfr.IXFR, 8: xfr.Current} {
				if got := mustPull(t, addr, c.key, have); got.kind != want {
					t.Errorf("IXFR from %d with %v is %v; want %v", have, c.key, got.kind, want)
				}
			}
		}
	}
	if lines.line("no line of allow_transfer has this address with key down. (hmac-sha256);") == "" {
		t.Error("Nobody is told that the algorithm is another one than that of the key")
	}
	for _, words := range []string{"Write", "RoundRobin", "[WARNING] plugin/header"} {
		if l := lines.line(words); l != "" {
			t.Errorf("Logged: %s", l)
		}
	}
}

// RFC 8914 §4.15: a zone that is not there yet is SERVFAIL, and says so. An IXFR over UDP, too.
func TestTransferOfAZoneWithoutContents(t *testing.T) {
	p := scripted.NewPrimary(t, func(r scripted.Request, w *scripted.Writer) { w.Send(r.Rcode(dns.RcodeRefused)) })
	h := newInstance(t, "secondaryplus example.org {\nprimary "+p.Addr().String()+"\nallow_transfer 10.240.0.1\n}").handlers[0]
	for network, r := range map[string]*dns.Msg{
		"tcp": new(dns.Msg).SetAxfr("example.org."), "udp": new(dns.Msg).SetIxfr("example.org.", 6, "ns.example.org.", "x.example.org."),
	} {
		r.SetEdns0(1232, false)
		w := dnstest.NewRecorder(&test.ResponseWriter{TCP: network == "tcp"})
		code, err := h.ServeDNS(context.Background(), w, r)
		if err != nil || code != dns.RcodeSuccess || w.Msg == nil || w.Msg.Rcode != dns.RcodeServerFailure ||
			w.Msg.IsEdns0().Option[0].(*dns.EDNS0_EDE).InfoCode != dns.ExtendedErrorCodeNotReady {
			t.Errorf("%s %v: code %d, error %v, %v", network, r.Question, code, err, w.Msg)
		}
	}
}

// counted returns what a counter stands at.
func counted(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

// largeZone is a zone that no buffer of a socket holds.
func largeZone(number int) []string {
	records := []string{fmt.Sprintf("example.org. 3600 IN SOA ns.example.org. hostmaster.example.org. %d 3600 3600 86400 300", number)}
	text := strings.Repeat(`"`+strings.Repeat("x", 250)+`" `, 2)
	for i := range 20_000 {
		records = append(records, fmt.Sprintf("h%d.example.org. 600 IN TXT %s", i, text))
	}
	return records
}

// stalled is reader for a client that has next to no room for what it does not read.
func stalled(t *testing.T, addr, source string, rcode int) net.Conn {
	t.Helper()
	return reader(t, addr, source, rcode, 4096)
}

// reader asks for AXFR, wants this RCODE, and reads no more than the header that has it. The client's kernel holds so many octets.
func reader(t *testing.T, addr, source string, rcode, buffer int) net.Conn {
	t.Helper()
	d := net.Dialer{
		LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(source), 0)),
		Control: func(_, _ string, raw syscall.RawConn) error { // once it is connected, the window does not grow
			var failed error
			err := raw.Control(func(fd uintptr) {
				failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, buffer)
			})
			return errors.Join(err, failed)
		},
	}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := (&dns.Conn{Conn: c}).WriteMsg(new(dns.Msg).SetAxfr("example.org.")); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 2+wire.HeaderLen)
	if _, err := io.ReadFull(c, head); err != nil || int(head[5]&15) != rcode {
		t.Fatalf("From %s: header %x, error %v; want %s", source, head, err, dns.RcodeToString[rcode])
	}
	return c
}

// runLargeHub serves a large zone to secondaries in 127.0.1.0/24.
func runLargeHub(t *testing.T, options string) (addr string) {
	t.Helper()
	p := newPrimaryOf(t, largeZone(7)...)
	port := unusedPort(t)
	runCoreDNS(t, fmt.Sprintf("example.org:%s {\nsecondaryplus {\nprimary %s\nallow_transfer 127.0.1.0/24\nmax_records unlimited\n%s\n}\n}", port, p.Addr(), options))
	waitServed(t, "127.0.0.1:"+port, "example.org.", 7)
	return "127.0.0.1:" + port
}

// Clients that read nothing hold the places of transfers_out until they leave; those that may not transfer hold none.
func TestTransfersOutAreBounded(t *testing.T) {
	before := placePatience
	t.Cleanup(func() { placePatience = before })
	placePatience = 50 * time.Millisecond
	addr := runLargeHub(t, "transfers_out 3 2")
	for range 5 {
		stalled(t, addr, "127.0.0.1", dns.RcodeRefused)
	}
	first := stalled(t, addr, "127.0.1.1", dns.RcodeSuccess)
	stalled(t, addr, "127.0.1.1", dns.RcodeSuccess)
	stalled(t, addr, "127.0.1.1", dns.RcodeServerFailure)
	stalled(t, addr, "127.0.1.2", dns.RcodeSuccess)
	stalled(t, addr, "127.0.1.3", dns.RcodeServerFailure)
	first.Close()
	wait(t, "a place that a client has left", func() bool {
		_, err := pull(t, addr, "127.0.1.3", nil, -1)
		return err == nil
	})
}

// A client that takes nothing for maxStall, or next to nothing, loses its place and its connection.
func TestStalledTransferEnds(t *testing.T) {
	before := maxStall
	t.Cleanup(func() { maxStall = before })
	maxStall = 50 * time.Millisecond
	addr := runLargeHub(t, "")
	for what, read := range map[string]func(net.Conn){
		"nothing":          func(net.Conn) {},
		"an octet a while": func(c net.Conn) { _, _ = io.ReadFull(c, make([]byte, 1)) },
	} {
		failed := counted(t, metrics().TransfersOut(outFailed))
		c := stalled(t, addr, "127.0.1.1", dns.RcodeSuccess)
		wait(t, "the end of a transfer of which a client reads "+what, func() bool {
			read(c)
			return counted(t, metrics().TransfersOut(outFailed)) > failed
		})
		if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, c); !errors.Is(err, syscall.ECONNRESET) || n > 9<<20 {
			t.Errorf("%s: %d octets, error %v; want a connection that is reset", what, n, err)
		}
	}
}

// A client on a slow link, which reads all the time, gets a zone that is larger than what a kernel would hold for it.
func TestSlowClientGetsALargeZone(t *testing.T) {
	before := maxStall
	t.Cleanup(func() { maxStall = before })
	maxStall = time.Second
	addr := runLargeHub(t, "")
	whole, failed := counted(t, metrics().TransfersOut(outWhole)), counted(t, metrics().TransfersOut(outFailed))
	c := reader(t, addr, "127.0.1.1", dns.RcodeSuccess, 256<<10) // some segments of a loopback interface
	const rate = 400 << 10                                       // octets a second; as 13 KiB are to the usual maxStall
	took, began := int64(0), time.Now()
	for time.Since(began) < 3*time.Second {
		n, err := io.CopyN(io.Discard, c, rate*time.Since(began).Milliseconds()/1000-took)
		if took += n; err != nil {
			t.Fatalf("After %d octets in %s: %v", took, time.Since(began), err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	go io.Copy(io.Discard, c) // until it is closed
	wait(t, "the end of the transfer", func() bool { return counted(t, metrics().TransfersOut(outWhole)) > whole })
	if counted(t, metrics().TransfersOut(outFailed)) != failed {
		t.Error("The transfer is counted as failed")
	}
}

// Who has the transfer plugin is told which of the two answers, and gets differences through it.
func TestTransferPluginStandsInFront(t *testing.T) {
	lines := keepLog(t)
	addr, p := runHub(t, "transfer {\nto *\n}", "allow_transfer 127.0.0.9")
	if lines.line("the transfer plugin stands in front of allow_transfer") == "" {
		t.Error("Nobody is warned")
	}
	publish(t, addr, p, 8)
	publish(t, addr, p, 9)
	got := mustPull(t, addr, nil, 7)
	want := &pulled{
		kind:    xfr.IXFR,
		removed: []string{plain(versionOf(7)[:1])[0], plain(versionOf(8)[:1])[0], plain(versionOf(8)[17:])[0]},
		added:   []string{plain(versionOf(8)[:1])[0], plain(versionOf(8)[17:])[0], plain(versionOf(9)[:1])[0], plain(versionOf(9)[17:])[0]},
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(pulled{})); d != "" {
		t.Error(d)
	}
	if m := exchange(t, "tcp", addr, new(dns.Msg).SetIxfr("example.org.", 9, "ns.example.org.", "x.example.org.")); len(m.Answer) != 1 {
		t.Errorf("IXFR of the version there is: %v", m)
	}
}
