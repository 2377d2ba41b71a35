package secondaryplus

import (
	"context"
	"testing"

	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"

	scripted "github.com/secondaryplus/secondaryplus/internal/dnstest"
)

// FuzzServeDNS asks whatever miekg/dns can unpack. The reply is one: of the same ID, and fit for the wire.
func FuzzServeDNS(f *testing.F) {
	h := newHandler(f, "example.org", "key notify.key. hmac-md5 SECRET\nallow_notify 10.240.0.1 key notify.key.", exampleOrg...)
	h.Next = test.NextHandler(dns.RcodeRefused, nil)
	for _, name := range []string{"example.org.", "wWw.example.org.", "x.wild.example.org.", "a.d.example.org.", "none.example.org.", "host.sub.example.org."} {
		for _, qtype := range []uint16{dns.TypeA, dns.TypeANY, dns.TypeDS, dns.TypeSOA, dns.TypeAXFR, dns.TypeRRSIG, dns.TypeOPT, 0} {
			f.Add(scripted.Pack(question(name, qtype)))
		}
	}
	f.Add(scripted.Pack(new(dns.Msg).SetUpdate("example.org.")))
	f.Add(scripted.Pack(question("example.org.", dns.TypeA).SetEdns0(1232, true)))
	f.Add(scripted.NewSigner("notify.key.", dns.HmacMD5, testSecret, nil).Sign(scripted.Pack(notifyOf(7))))
	f.Add(scripted.NewSigner("Notify.key.", dns.HmacSHA256, testSecret, nil).Sign(scripted.Pack(notifyOf(7))))
	empty := notifyOf(7)
	empty.Extra = []dns.RR{&dns.RFC3597{Hdr: dns.RR_Header{Name: "notify.key.", Rrtype: dns.TypeTSIG, Class: dns.ClassANY}}}
	f.Add(scripted.Pack(empty)) // a TSIG record without RDATA
	f.Fuzz(func(t *testing.T, msg []byte) {
		r := new(dns.Msg)
		if r.Unpack(msg) != nil || len(r.Question) == 0 {
			return // CoreDNS itself answers those
		}
		w := &octets{Recorder: dnstest.NewRecorder(&test.ResponseWriter{})}
		code, err := h.ServeDNS(context.Background(), w, r)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case w.raw != nil:
			m := new(dns.Msg)
			if err := m.Unpack(w.raw); err != nil {
				t.Fatalf("Reply %x: %v", w.raw, err)
			}
			w.Msg = m
		case w.Msg != nil:
			if _, err := w.Msg.Pack(); err != nil {
				t.Fatalf("Reply %v: %v", w.Msg, err)
			}
		default:
			if code == dns.RcodeSuccess {
				t.Fatal("No reply")
			}
			return
		}
		if w.Msg.Id != r.Id || !w.Msg.Response {
			t.Fatalf("Reply %v", w.Msg)
		}
	})
}

// octets is a writer that keeps what is written without WriteMsg.
type octets struct {
	*dnstest.Recorder
	raw []byte
}

// Write keeps b.
func (o *octets) Write(b []byte) (int, error) {
	o.raw = append([]byte(nil), b...)
	return len(b), nil
}
