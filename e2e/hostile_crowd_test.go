//go:build e2e

package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// HP26: thousands of zones on a dead primary and ten on a living one: the ten are served at once and follow their NOTIFYs,
// and once the first rounds are over the process is nearly idle.
func TestThousandsOfZonesOnADeadPrimaryCostLittle(t *testing.T) {
	t.Parallel()
	const dead, living = 3000, 10
	for name, address := range map[string]func(*testing.T) string{
		"refuses": func(t *testing.T) string { return loopback(freePort(t)) },
		"silent": func(t *testing.T) string {
			mute := newFakePrimary(t, nil)
			mute.become(silent, 1)
			return mute.address
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prim, sec := newAnyPrimary(t, nil), newSecondary(t)
			good := numbered("good", living)
			sec.start(t, secondarySpec{
				Block: lines(sec.zonesFile(t, numbered("dead", dead)), "primary "+address(t)),
				Chain: lines("secondaryplus "+strings.Join(good, " ")+" {", "primary "+prim.address, "}"),
			})
			for _, z := range good {
				sec.serves(t, z, 1, syncLimit)
			}
			for serial := uint32(2); serial < 4; serial++ {
				sec.follows(t, prim, good, serial)
			}
			sec.isIdle(t)
			sec.follows(t, prim, good, 4)
		})
	}
}

// follows publishes a serial, sends a NOTIFY for each of the zones and fails the test unless all are served soon. A flood
// beside it may cost some of both, NOTIFYs and queries: NOTIFYs are repeated, as primaries do (RFC 1996 §3.6).
func (s *secondary) follows(t *testing.T, prim *anyPrimary, zones []string, serial uint32) {
	t.Helper()
	const repeat = time.Second
	prim.serial.Store(serial)
	begin := time.Now()
	for _, z := range zones {
		sendNotify(t, "udp", s.addr(), pack(t, new(dns.Msg).SetNotify(z)))
	}
	for _, z := range zones {
		sent := time.Now()
		eventually(t, syncLimit, fmt.Sprintf("%s serial %d served", z, serial), func() string {
			complaint := s.differs(z, serial)
			if complaint != "" && time.Since(sent) > repeat {
				sendNotify(t, "udp", s.addr(), pack(t, new(dns.Msg).SetNotify(z)))
				sent = time.Now()
			}
			return complaint
		})
	}
	t.Logf("%d zones follow after %v", len(zones), time.Since(begin).Round(time.Millisecond))
}

// isIdle waits until the process uses less than a twentieth of a processor over some seconds.
func (s *secondary) isIdle(t *testing.T) {
	t.Helper()
	const span, most = 3 * time.Second, 0.05
	eventually(t, 10*span, "Processor time below 5 %", func() string {
		before := s.proc.cpu(t)
		time.Sleep(span)
		used := s.proc.cpu(t) - before
		t.Logf("%v of %v", used, span)
		if share := used.Seconds() / span.Seconds(); share > most {
			return used.String() + " in " + span.String()
		}
		return ""
	})
}
