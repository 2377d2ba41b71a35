package secondaryplus

import (
	"fmt"
	"testing"
	"time"

	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/nsid"
	"github.com/miekg/dns"

	scripted "github.com/secondaryplus/secondaryplus/internal/dnstest"
)

// toldExpiry returns what the EXPIRE options of a message say.
func toldExpiry(m *dns.Msg) (seconds []uint32) {
	if o := m.IsEdns0(); o != nil {
		for _, option := range o.Option {
			if e, ok := option.(*dns.EDNS0_EXPIRE); ok && !e.Empty {
				seconds = append(seconds, e.Expire)
			}
		}
	}
	return seconds
}

// asking returns a question that asks for the expiry, with this value of the option.
func asking(name string, qtype uint16, value string) rawMessage {
	return asks(name, qtype).with(rawOPT(0, fmt.Sprintf("\x00\x09\x00%c%s", len(value), value)))
}

// exampleExpire is the EXPIRE of exampleOrg.
const exampleExpire = 86400

// wantExpiry fails the test unless a message tells the expiry of exampleOrg, which has been checked since the test began.
func wantExpiry(t *testing.T, what string, began time.Time, m *dns.Msg) {
	t.Helper()
	got := toldExpiry(m)
	if least := exampleExpire - 2 - int(time.Since(began)/time.Second); len(got) != 1 || int(got[0]) < least || got[0] >= exampleExpire {
		t.Errorf("%s: told are %d; want %d to %d: %v", what, got, least, exampleExpire-1, m)
	}
}

// RFC 7314 §3.2: a secondary that checks the zone is told when it expires here, on sockets of our own and of CoreDNS, whatever
// plugins are in front; nobody else is (§3.3).
func TestSecondariesAreToldTheExpiry(t *testing.T) {
	for _, c := range []struct{ before, fastpath string }{{"", "1"}, {"", "off"}, {"cache\nnsid here\nloadbalance\n", "off"}} {
		t.Run(c.fastpath+" "+c.before, func(t *testing.T) {
			began := time.Now()
			addr, _ := runHub(t, c.before+"bind 127.0.0.1", "fastpath "+c.fastpath)
			if c.fastpath == "1" {
				waitOpen(t, addr)
			}
			for _, network := range []string{"udp", "tcp"} {
				for _, value := range []string{"", "\x00\x01\x51\x80", "12345"} {
					r := exchangeRaw(t, network, addr, asking("eXample.org.", dns.TypeSOA, value).pack(t))
					if wantExpiry(t, network, began, r); len(r.Answer) != 1 || r.Rcode != dns.RcodeSuccess {
						t.Errorf("%s: %v", network, r)
					}
				}
				r := exchangeRaw(t, network, addr, asks("example.org.", dns.TypeSOA).with(rawOPT(0, "")).pack(t))
				if len(toldExpiry(r)) != 0 || r.IsEdns0() == nil {
					t.Errorf("Not asked: %v", r)
				}
				for name, qtype := range map[string]uint16{"example.org.": dns.TypeNS, "www.example.org.": dns.TypeSOA, "example.net.": dns.TypeSOA} {
					if r := exchangeRaw(t, network, addr, asking(name, qtype, "").pack(t)); len(toldExpiry(r)) != 0 {
						t.Errorf("%s, type %d: %v", name, qtype, r)
					}
				}
			}
		})
	}
}

// RFC 7314 §3.2: each message of a transfer tells the expiry to a secondary that asks for it, also where there is nothing newer.
func TestTransfersTellTheExpiry(t *testing.T) {
	began := time.Now()
	addr, p := runHub(t, "", "allow_transfer 127.0.0.1")
	publish(t, addr, p, 8)
	ixfr := func(have uint32, value string) rawMessage {
		soa := scripted.Records(fmt.Sprintf("example.org. 0 IN SOA . . %d 0 0 0 0", have))[0]
		buf := make([]byte, 512)
		n, err := dns.PackRR(soa, buf, 0, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		return asking("example.org.", dns.TypeIXFR, value).auth(buf[:n])
	}
	for what, c := range map[string]struct {
		m       rawMessage
		records int
	}{
		"AXFR": {asking("example.org.", dns.TypeAXFR, ""), len(versionOf(8)) + 1}, "with a value": {asking("example.org.", dns.TypeAXFR, "1234"), len(versionOf(8)) + 1},
		"differences": {ixfr(7, ""), 5}, "nothing newer": {ixfr(8, ""), 1},
	} {
		r := unpack(t, sendTCP(t, addr, c.m.pack(t)))
		if wantExpiry(t, what, began, r); len(r.Answer) != c.records {
			t.Errorf("%s: %v", what, r)
		}
	}
	r := exchangeRaw(t, "udp", addr, ixfr(7, "").pack(t))
	wantExpiry(t, "IXFR over UDP", began, r)
	r = unpack(t, sendTCP(t, addr, asks("example.org.", dns.TypeAXFR).with(rawOPT(0, "")).pack(t)))
	if len(toldExpiry(r)) != 0 || r.IsEdns0() == nil {
		t.Errorf("Not asked: %v", r)
	}
}
