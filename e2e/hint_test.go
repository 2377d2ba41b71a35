//go:build e2e

package e2e_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// hides makes BIND refuse all queries and allow all transfers.
func (b *bind) hides(t *testing.T) {
	t.Helper()
	b.AllowQuery = "none"
	b.configure(t, "named.conf", b)
	b.rndc(t, "reconfig")
	eventually(t, settleLimit, "SOA queries are refused", func() string {
		m, err := exchange(b.addr(), question(mixedOrigin, dns.TypeSOA))
		if err != nil {
			return err.Error()
		}
		if m.Rcode != dns.RcodeRefused {
			return dns.RcodeToString[m.Rcode]
		}
		return ""
	})
}

// RFC 1995 §2: IXFR is a check of its own. A primary that allows transfers and no queries is followed: by its NOTIFYs, by
// the timers, and after a restart of ours, with a version that came meanwhile.
func TestPrimaryThatAllowsTransfersOnlyIsFollowed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		notifies bool
		timers   string
	}{
		"by NOTIFY": {true, ""},
		"by timers": {false, "refresh 1s 2s\nretry 1s 2s\nexpire 1s 20s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sec := newSecondary(t)
			spec := primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(1)}}
			if c.notifies {
				spec.Notify = []netip.AddrPort{sec.target()}
			}
			b := newBIND(t, spec)
			b.hides(t)
			sec.run(t, secondarySpec{Zones: []string{mixedOrigin}, Block: lines("primary "+b.addr(), c.timers)})
			sec.serves(t, mixedOrigin, 1, syncLimit)
			for serial := uint32(2); serial < 5; serial++ {
				b.publish(t, mixedOrigin, mixedZone(serial))
				sec.serves(t, mixedOrigin, serial, notifyLimit)
				sec.normal(t, mixedOrigin, b.addr())
			}
			sec.saved(t, mixedOrigin, 4, settleLimit)
			sec.proc.kill()
			b.publish(t, mixedOrigin, mixedZone(5))
			sec.relaunch(t, mixedOrigin)
			// Restored zones are checked within a minute.
			sec.serves(t, mixedOrigin, 5, 2*syncLimit)
			sec.normal(t, mixedOrigin, b.addr())
		})
	}
}

// A zone whose EXPIRE is far below its REFRESH does not go dark while its primary lives; the SOA is served as it is.
func TestExpireOfASecondDoesNotDarkenAZone(t *testing.T) {
	t.Parallel()
	for _, expire := range []int{0, 1} {
		origin := fmt.Sprintf("expire%d.test.", expire)
		prim := startNSD(t, primarySpec{Zones: map[string]string{
			origin: plainZone(origin, 1, 5, timers{Refresh: 3600, Retry: 900, Expire: expire, Minimum: 300}),
		}})
		sec := newSecondary(t)
		sec.start(t, secondarySpec{Zones: []string{origin}, Block: "primary " + prim.addr()})
		sec.serves(t, origin, 1, syncLimit)
		sec.keeps(t, origin, 1, 4*time.Second)
		sec.normal(t, origin, prim.addr())
		sec.logs(t, `timer_order.*counts as 1h15m`)
		if n := scrape(t, sec.Metrics).sum("expire_timestamp_seconds", "zone", origin) - float64(time.Now().Unix()); n < 4000 {
			t.Errorf("EXPIRE %d: expires in %v s", expire, n)
		}
	}
}
