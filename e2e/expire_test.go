//go:build e2e

package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// toldExpiry asks a server in how many seconds it lets a zone expire (RFC 7314), and complains unless it says so.
func toldExpiry(addr, zone string) (seconds uint32, complaint string) {
	q := new(dns.Msg).SetQuestion(zone, dns.TypeSOA).SetEdns0(1232, false)
	q.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EXPIRE{Code: dns.EDNS0EXPIRE, Empty: true}}
	m, err := exchange(addr, q)
	if err != nil {
		return 0, err.Error()
	}
	if o := m.IsEdns0(); o != nil {
		for _, option := range o.Option {
			if e, ok := option.(*dns.EDNS0_EXPIRE); ok && !e.Empty {
				return e.Expire, ""
			}
		}
	}
	return 0, "it does not tell: " + m.String()
}

// lets waits until a server says that it lets the zone expire within some seconds, no more than most and no less than least.
func lets(t *testing.T, what, addr, zone string, least, most uint32) {
	t.Helper()
	eventually(t, syncLimit, what+" tells its expiry", func() string {
		got, complaint := toldExpiry(addr, zone)
		if complaint == "" && (got < least || got > most) {
			complaint = fmt.Sprintf("in %d s; want %d to %d", got, least, most)
		}
		return complaint
	})
}

// mixedExpire is the EXPIRE of mixedZone.
const mixedExpire = 1209600

// RFC 7314 §3.1, §4: a primary that knows the option tells what its SOA says, NSD and PowerDNS do not know it. Either way the zone is
// served for EXPIRE, and its updates are followed.
func TestPrimariesThatTellTheirExpiryOrDoNot(t *testing.T) {
	t.Parallel()
	eachPrimary(t, func(t *testing.T, start func(*testing.T, primarySpec) primary) {
		for name, key := range map[string]*tsigKey{"unsigned": nil, "signed": testKey("hmac-sha256")} {
			t.Run(name, func(t *testing.T) {
				sec, prim := syncedPair(t, start, key)
				for serial := uint32(2); serial < 4; serial++ {
					lets(t, "CoreDNS", sec.addr(), mixedOrigin, mixedExpire-60, mixedExpire-1)
					prim.publish(t, mixedOrigin, mixedZone(serial))
					sec.serves(t, mixedOrigin, serial, notifyLimit)
				}
				sec.normal(t, mixedOrigin, prim.addr())
			})
		}
	})
}

// RFC 7314 §3.2, §4: Knot as a secondary of ours takes over that we let the zone expire earlier than its SOA says, and so do we from
// it. BIND 9.18 tells its own timer, which the option of our transfer has not shortened; NSD and PowerDNS do not know the option.
func TestExpiryGoesDownTheTiers(t *testing.T) {
	t.Parallel()
	const most = 6000
	prim := startBIND(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(1)}})
	hub := newSecondary(t)
	hubOf(t, hub, prim.addr(), mixedOrigin, "allow_transfer 127.0.0.1", fmt.Sprintf("expire 1s %ds", most))
	hub.serves(t, mixedOrigin, 1, syncLimit)
	lets(t, "The hub", hub.addr(), mixedOrigin, 1, most)
	for _, m := range belowMakes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			b := startBelow(t, hub, mixedOrigin, nil, m)[0]
			b.becomes(t, mixedOrigin, 1)
			last := newSecondary(t)
			last.start(t, secondarySpec{Zones: []string{mixedOrigin}, Block: "primary " + b.addr()})
			last.serves(t, mixedOrigin, 1, syncLimit)
			last.normal(t, mixedOrigin, b.addr())
			if m.name != "Knot" {
				lets(t, "CoreDNS below "+m.name, last.addr(), mixedOrigin, mixedExpire-60, mixedExpire-1)
				return
			}
			lets(t, m.name, b.addr(), mixedOrigin, 1, most)
			lets(t, "CoreDNS below "+m.name, last.addr(), mixedOrigin, 1, most)
		})
	}
}

// RFC 7314: of a primary, a hub and a secondary of that, the last lets the zone expire no later than the hub once the primary is
// dead, although the hub confirms the zone to it each second until then. Back again, both serve it.
func TestTierExpiresWithTheOneAbove(t *testing.T) {
	t.Parallel()
	const (
		expire = 30
		slack  = 10 * time.Second // for an expiry that is noticed late
	)
	text := plainZone(peersOrigin, 1, 5, timers{Refresh: 3600, Retry: 900, Expire: expire, Minimum: 300})
	prim := startBIND(t, primarySpec{Zones: map[string]string{peersOrigin: text}})
	hub, last := newSecondary(t), newSecondary(t)
	hubOf(t, hub, prim.addr(), peersOrigin, "allow_transfer 127.0.0.1", "refresh 1s 1s", "retry 1s 1s")
	hub.serves(t, peersOrigin, 1, syncLimit)
	hubOf(t, last, hub.addr(), peersOrigin, "refresh 1s 1s", "retry 1s 1s")
	last.serves(t, peersOrigin, 1, syncLimit)
	prim.stop(t)
	eventually(t, expire*time.Second+syncLimit, "The hub lets the zone expire", func() string {
		if above, complaint := toldExpiry(hub.addr(), peersOrigin); complaint == "" {
			return fmt.Sprintf("in %d s", above)
		}
		return ""
	})
	eventually(t, slack, "The last lets the zone expire", func() string {
		if seconds, complaint := toldExpiry(last.addr(), peersOrigin); complaint == "" {
			return fmt.Sprintf("in %d s", seconds)
		}
		return ""
	})
	prim.start(t)
	hub.serves(t, peersOrigin, 1, syncLimit)
	last.serves(t, peersOrigin, 1, syncLimit)
}
