package dnstest_test

import (
	"encoding/hex"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
)

const (
	apex   = "example. 3600 IN SOA ns.example. admin.example. 5 7200 900 1209600 300"
	host   = "a.example. 300 IN A 192.0.2.1"
	secret = "c2VjcmV0"
)

// exchange asks with miekg/dns.
func exchange(t *testing.T, network string, p *dnstest.Primary, qtype uint16) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion("example.", qtype)
	m.SetTsig("k.", dns.HmacSHA256, 300, time.Now().Unix())
	c := &dns.Client{Net: network, TsigSecret: map[string]string{"k.": secret}}
	r, _, err := c.Exchange(m, p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if r.IsTsig() == nil {
		t.Fatal("answer is not signed")
	}
	return r
}

func TestServeAnswersOverBothTransports(t *testing.T) {
	p := dnstest.NewPrimary(t, dnstest.Serve(secret, apex, host))
	for _, network := range []string{"udp", "tcp"} {
		if r := exchange(t, network, p, dns.TypeSOA); len(r.Answer) != 1 || !r.Authoritative {
			t.Errorf("SOA over %s: %v", network, r)
		}
	}
	if r := exchange(t, "tcp", p, dns.TypeAXFR); len(r.Answer) != 3 || r.Answer[2].String() != r.Answer[0].String() {
		t.Errorf("AXFR: %v", r)
	}
	if p.Accepted() != 2 {
		t.Errorf("%d connections; want 2", p.Accepted())
	}
}

func TestServeAnswersIXFR(t *testing.T) {
	p := dnstest.NewPrimary(t, dnstest.Serve(secret, apex, host))
	for have, want := range map[uint32]int{5: 1, 4: 3} {
		m := new(dns.Msg)
		m.SetIxfr("example.", have, ".", ".")
		r, _, err := (&dns.Client{Net: "tcp"}).Exchange(m, p.Addr().String())
		if err != nil || len(r.Answer) != want {
			t.Errorf("IXFR from %d: %v, error %v; want %d records", have, r, err, want)
		}
	}
}

func TestSignerAgreesWithMiekgDNS(t *testing.T) {
	query := new(dns.Msg)
	query.SetQuestion("example.", dns.TypeAXFR)
	msg := dnstest.Pack(query)
	s := dnstest.NewSigner("k", dns.HmacSHA512, secret, nil)
	if err := dns.TsigVerify(s.Sign(msg), secret, "", false); err != nil {
		t.Errorf("request: %v", err)
	}
	s = dnstest.NewSigner("k", dns.HmacSHA512, secret, s.MAC())
	for i := range 3 {
		prior := hex.EncodeToString(s.MAC())
		if err := dns.TsigVerify(s.Sign(msg), secret, prior, i > 0); err != nil {
			t.Errorf("answer %d: %v", i, err)
		}
	}
}

func TestSignerSpoilsWhatItIsToldTo(t *testing.T) {
	msg := dnstest.Pack(new(dns.Msg).SetQuestion("example.", dns.TypeAXFR))
	for name, spoil := range map[string]func(*dnstest.Signer){
		"MAC":      func(s *dnstest.Signer) { s.Corrupt = true },
		"time":     func(s *dnstest.Signer) { s.Time = time.Now().Add(-time.Hour) },
		"length":   func(s *dnstest.Signer) { s.Truncate = 16 },
		"timers":   func(s *dnstest.Signer) { s.Timers = true },
		"unsigned": func(s *dnstest.Signer) { s.Skip(msg) },
	} {
		s := dnstest.NewSigner("k", dns.HmacSHA256, secret, nil)
		spoil(s)
		if err := dns.TsigVerify(s.Sign(msg), secret, "", false); err == nil {
			t.Errorf("spoiled %s passes", name)
		}
	}
}

// A primary takes with it what hangs on it.
func TestPrimaryLeavesNothingBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("primary", func(t *testing.T) {
		hanging := make(chan bool, 1)
		p := dnstest.NewPrimary(t, func(_ dnstest.Request, w *dnstest.Writer) {
			hanging <- true
			w.Hang()
		})
		c, err := net.Dial("tcp", p.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		msg := dnstest.Pack(new(dns.Msg).SetQuestion("example.", dns.TypeAXFR))
		if _, err := c.Write(append([]byte{0, byte(len(msg))}, msg...)); err != nil {
			t.Fatal(err)
		}
		<-hanging
		if p.Open() != 1 {
			t.Errorf("%d connections are open; want 1", p.Open())
		}
		p.Close()
		if p.Open() != 0 {
			t.Errorf("%d connections are open behind Close", p.Open())
		}
	})
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines; there were %d", runtime.NumGoroutine(), before)
		}
	}
}
