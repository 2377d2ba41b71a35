//go:build e2e

package e2e_test

import (
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A BIND with plain also-notify does not sign its NOTIFYs, whatever key its transfers need. That is how it is set up by most.
func TestPlainAlsoNotifyOfAKeyedBINDIsFollowed(t *testing.T) {
	t.Parallel()
	key := testKey("hmac-sha256")
	sec, w := newSecondary(t), newWitness(t)
	prim := newBIND(t, primarySpec{
		Zones: map[string]string{mixedOrigin: mixedZone(1)}, Key: key, PlainNotify: true,
		Notify: []netip.AddrPort{w.target(), sec.target()},
	})
	sec.start(t, secondarySpec{Zones: []string{mixedOrigin}, Block: linkLines(prim.addr(), key)})
	sec.serves(t, mixedOrigin, 1, syncLimit)
	for serial := uint32(2); serial < 5; serial++ {
		prim.publish(t, mixedOrigin, mixedZone(serial))
		sec.serves(t, mixedOrigin, serial, settleLimit) // the second one waits for its turn, REFRESH is an hour away
	}
	if n := w.next(t); n.msg.IsTsig() != nil {
		t.Error("BIND signs its NOTIFYs")
	}
	s := scrape(t, sec.Metrics)
	if s.sum("notifies_total", "result", "unsigned") < 3 || s.sum("notifies_total", "result", "key_required") != 0 {
		t.Errorf("NOTIFYs: %s", s.show("notifies_total"))
	}
	sec.normal(t, mixedOrigin, prim.addr())
}

// A line of allow_notify that names the primary with a key makes it strict.
func TestUnsignedNotifyIsRefusedWhereAKeyIsDemanded(t *testing.T) {
	t.Parallel()
	key := testKey("hmac-sha256")
	sec, prim := quietPair(t, key, "allow_notify 127.0.0.1 key "+key.Name)
	prim.publish(t, mixedOrigin, mixedZone(2))
	if rcode := notify(t, "127.0.0.1", sec.addr(), mixedOrigin, nil); rcode != dns.RcodeRefused {
		t.Errorf("Unsigned NOTIFY: %s, want REFUSED", dns.RcodeToString[rcode])
	}
	sec.keeps(t, mixedOrigin, 1, time.Second)
	sec.counts(t, 1, "notifies_total", "result", "key_required")
	if rcode := notify(t, "127.0.0.1", sec.addr(), mixedOrigin, key); rcode != dns.RcodeSuccess {
		t.Fatalf("Signed NOTIFY: %s", dns.RcodeToString[rcode])
	}
	sec.serves(t, mixedOrigin, 2, notifyLimit)
}

// A primary that refuses for want of a key, and signs its NOTIFYs with that, has named what is missing.
func TestNotifyNamesTheKeyThatIsMissing(t *testing.T) {
	t.Parallel()
	key := testKey("hmac-sha256")
	sec := newSecondary(t)
	prim := newBIND(t, primarySpec{
		Zones: map[string]string{mixedOrigin: mixedZone(1)}, Key: key, Notify: []netip.AddrPort{sec.target()},
	})
	c := &console{t: t, address: "unix:" + filepath.Join(sec.Dir, "control")}
	sec.start(t, secondarySpec{Zones: []string{mixedOrigin}, Block: "primary " + prim.addr() + "\ncontrol " + c.address})
	prim.publish(t, mixedOrigin, mixedZone(2))
	eventually(t, settleLimit, "A refused NOTIFY", func() string {
		if s := scrape(t, sec.Metrics); s.sum("notifies_total", "result", "bad_tsig") == 0 {
			return s.show("notifies_total")
		}
		return ""
	})
	c.wants(c.says(0, "events", mixedOrigin), "tsig_bad_key", key.Name, "which is not configured here")
	c.wants(c.says(1, "zone", mixedOrigin), "refused", "NOTIFYs refused since the start:",
		`A NOTIFY from its address was signed with key "`+dns.Fqdn(key.Name)+`" ("hmac-sha256."), which is not configured here.`)
	c.wants(c.says(1, "notify", mixedOrigin), "nobody: there is nobody to notify of "+mixedOrigin)
}
