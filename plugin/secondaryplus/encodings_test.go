package secondaryplus

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"
	"golang.org/x/time/rate"

	scripted "github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// deepZones have names of many labels.
var deepZones = []string{"8.b.d.0.1.0.0.2.ip6.arpa.", strings.Repeat("a.", 100) + "example.org."}

// deepNotify returns a signed NOTIFY of a zone with its SOA.
func deepNotify(zone string, compress bool) (*dns.Msg, *scripted.Signer, []byte) {
	m := new(dns.Msg).SetNotify(zone)
	m.Answer = recordsOf([]string{zone + " 3600 IN SOA ns." + zone + " hostmaster." + zone + " 7 3600 3600 86400 300"})
	m.Compress = compress
	s := scripted.NewSigner("notify.key.", dns.HmacMD5, testSecret, nil)
	return m, s, s.Sign(scripted.Pack(m))
}

// A message that uses no compression at all, or as much as there can be, is what senders make: deep zones are no exception.
func TestNotifyOfADeepZoneIsVerifiedAgain(t *testing.T) {
	k, err := xfr.NewKey("notify.key.", "hmac-md5", testSecret)
	if err != nil {
		t.Fatal(err)
	}
	for _, zone := range deepZones {
		if dns.Len(&dns.TXT{Hdr: dns.RR_Header{Name: "hostmaster." + zone}}) > 255 {
			t.Fatalf("%s is too long", zone)
		}
		for _, compress := range []bool{true, false} {
			_, _, msg := deepNotify(zone, compress)
			r := new(dns.Msg)
			if err := r.Unpack(msg); err != nil {
				t.Fatal(err)
			}
			if _, err := verifyAgain(r, r.IsTsig(), k, readings, time.Now()); err != nil {
				t.Errorf("%s, compressed %v: %v", zone, compress, err)
			}
		}
	}
}

// Knot compresses a name against the latest one only: no other sender writes the second name like that.
func TestNotifyIsVerifiedAsKnotWritesIt(t *testing.T) {
	msg := binary.BigEndian.AppendUint16(nil, 4711)
	msg = append(msg, 0x24, 0, 0, 1, 0, 1, 0, 0, 0, 0) // NOTIFY, AA
	msg = append(msg, "\x07example\x03org\x00\x00\x06\x00\x01\xC0\x0C\x00\x06\x00\x01\x00\x00\x0E\x10\x00\x2F"...)
	msg = append(msg, "\x02ns\x03foo\xC0\x14"...)       // to org in the question
	msg = append(msg, "\x04host\x07example\xC0\x14"...) // not to example.org there
	msg = append(msg, make([]byte, 20)...)
	binary.BigEndian.PutUint16(msg[39:], uint16(len(msg)-41))
	k, err := xfr.NewKey("notify.key.", "hmac-md5", testSecret)
	if err != nil {
		t.Fatal(err)
	}
	r := new(dns.Msg)
	if err := r.Unpack(scripted.NewSigner("notify.key.", dns.HmacMD5, testSecret, nil).Sign(msg)); err != nil {
		t.Fatal(err)
	}
	if _, err := verifyAgain(r, r.IsTsig(), k, readings, time.Now()); err != nil {
		t.Error(err)
	}
}

// forgeries are NOTIFYs with a wrong signature whose names are of an attacker's choice, but for that of the zone.
var forgeries = map[string]string{
	"usual": "example.org.", "deep": strings.Repeat("a.", 100) + "example.org.", "alike": strings.Repeat("a.", 55) + "example.org.",
	"long": strings.Repeat(strings.Repeat("a", 63)+".", 2) + "example.org.", "other": strings.Repeat("b.", 110) + "net.",
}

// forged returns a forged NOTIFY of example.org with the SOA of another name.
func forged(t testing.TB, algorithm, of string) *dns.Msg {
	t.Helper()
	m := new(dns.Msg).SetNotify("example.org.")
	m.Answer = recordsOf([]string{of + " 3600 IN SOA ns." + of + " hostmaster." + of + " 7 3600 3600 86400 300"})
	r := new(dns.Msg)
	if err := r.Unpack(scripted.NewSigner("notify.key.", algorithm, "d3Jvbmc=", nil).Sign(scripted.Pack(m))); err != nil {
		t.Fatal(err)
	}
	return r
}

// What an attacker can make us do is bounded: so many readings for one forged NOTIFY, and so many for all in a second.
func TestReadingsOfForgedNotifiesAreBounded(t *testing.T) {
	k, err := xfr.NewKey("notify.key.", "hmac-md5", testSecret)
	if err != nil {
		t.Fatal(err)
	}
	before := readings
	t.Cleanup(func() { readings = before })
	now := time.Now()
	for name, of := range forgeries {
		const most = 100
		readings = rate.NewLimiter(0, most)
		r := forged(t, dns.HmacMD5, of)
		if mac, err := verifyAgain(r, r.IsTsig(), k, readings, now); mac != nil || reason.Of(err) != reason.TSIGBadSig {
			t.Errorf("%s: MAC %x, error %v", name, mac, err)
		}
		if n := most - int(readings.TokensAt(now)); n < 2 || n > len(layouts) {
			t.Errorf("%s: %d readings; want at most %d", name, n, len(layouts))
		}
		readings = rate.NewLimiter(maxReadings, 1)
		for range 2 {
			if _, err = verifyAgain(r, r.IsTsig(), k, readings, now); !errors.Is(err, errBusy) {
				t.Errorf("%s: error %v when no reading is left", name, err)
			}
		}
	}
}

// Who is not heard for lack of time gets no reply, and so tries again (RFC 1996 §3.6).
func TestNotifyBeyondTheReadingsIsNotAnswered(t *testing.T) {
	before := readings
	t.Cleanup(func() { readings = before })
	readings = rate.NewLimiter(0, 0)
	h := newHandler(t, "example.org", "key notify.key. hmac-md5 SECRET\nallow_notify 10.240.0.1 key notify.key.", exampleOrg...)
	w := &octets{Recorder: dnstest.NewRecorder(&test.ResponseWriter{})}
	if code, err := h.ServeDNS(context.Background(), w, forged(t, dns.HmacMD5, "example.org.")); code != dns.RcodeSuccess || err != nil {
		t.Errorf("Code %d, error %v", code, err)
	}
	if w.raw != nil || w.Msg != nil {
		t.Errorf("Reply %v %x", w.Msg, w.raw)
	}
}

// BenchmarkForgedNotify is a NOTIFY whose signature does not hold, from the message taken apart to the verdict.
func BenchmarkForgedNotify(b *testing.B) {
	before := readings
	b.Cleanup(func() { readings = before })
	readings = rate.NewLimiter(rate.Inf, 0)
	for name, of := range forgeries {
		for _, algorithm := range []string{"hmac-md5", "hmac-sha512"} {
			k, err := xfr.NewKey("notify.key.", algorithm, testSecret)
			if err != nil {
				b.Fatal(err)
			}
			r, now := forged(b, wireNames[algorithm], of), time.Now()
			b.Run(algorithm+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := verifyAgain(r, r.IsTsig(), k, readings, now); reason.Of(err) != reason.TSIGBadSig {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
