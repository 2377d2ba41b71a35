package secondaryplus

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	scripted "github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/xfr"
)

// deepZones have more ways to write their NOTIFY than are tried.
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
			if _, err := verifyAgain(r, r.IsTsig(), k, time.Now()); err != nil {
				t.Errorf("%s, compressed %v: %v", zone, compress, err)
			}
		}
	}
}

// What an attacker can make us do with one forged NOTIFY: the names in it are of his choice, but for that of the zone.
func TestForgedNotifyCostsNoMoreThanAnHonestOne(t *testing.T) {
	k, err := xfr.NewKey("notify.key.", "hmac-md5", testSecret)
	if err != nil {
		t.Fatal(err)
	}
	cost := func(below string) time.Duration {
		m := new(dns.Msg).SetNotify("example.org.")
		m.Answer = recordsOf([]string{below + " 3600 IN SOA ns." + below + " hostmaster." + below + " 7 3600 3600 86400 300"})
		s := scripted.NewSigner("notify.key.", dns.HmacMD5, "d3Jvbmc=", nil) // in the worst case every way is tried
		r := new(dns.Msg)
		if err := r.Unpack(s.Sign(scripted.Pack(m))); err != nil {
			t.Fatal(err)
		}
		const times = 10
		begin := time.Now()
		for range times {
			if _, err := verifyAgain(r, r.IsTsig(), k, time.Now()); err == nil {
				t.Fatal("The forged NOTIFY is verified")
			}
		}
		return time.Since(begin) / times
	}
	const factor = 20
	honest, forged := cost("example.org."), cost(strings.Repeat("a.", 100)+"example.org.")
	if forged > factor*honest {
		t.Errorf("It takes %s, and an honest one %s; want at most %d times that", forged, honest, factor)
	}
}
