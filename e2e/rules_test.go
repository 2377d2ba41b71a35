//go:build e2e

package e2e_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const rulesOrigin = "rules.test."

// rulesPair is a notifying NSD, which loads any SOA, with a version of rulesOrigin, and a secondary that may or may
// not take it.
func rulesPair(t *testing.T, text, block string) (*secondary, primary) {
	t.Helper()
	sec := newSecondary(t)
	prim := startNSD(t, primarySpec{
		Zones: map[string]string{rulesOrigin: text}, Notify: []netip.AddrPort{sec.target()},
	})
	sec.start(t, secondarySpec{Zones: []string{rulesOrigin}, Block: lines("primary "+prim.addr(), block)})
	return sec, prim
}

func TestSerialZeroStopsTheZoneUnlessAccepted(t *testing.T) {
	t.Parallel()
	// In RFC 1982 arithmetic, 0 follows the first serial and is behind the second.
	for _, before := range []uint32{1<<32 - 1, 10} {
		t.Run(fmt.Sprintf("after %d", before), func(t *testing.T) {
			t.Parallel()
			sec, prim := rulesPair(t, plainZone(rulesOrigin, before, 5, longTimers), "")
			sec.serves(t, rulesOrigin, before, syncLimit)
			prim.publish(t, rulesOrigin, plainZone(rulesOrigin, 0, 6, longTimers))
			sec.blocked(t, rulesOrigin, prim.addr(), "serial_zero")
			sec.counts(t, 1, "rule_violations_total", "rule", "serial_zero")
			sec.logs(t, `rules\.test\..*serial 0 `)
			sec.keeps(t, rulesOrigin, before, time.Second)
		})
	}
	t.Run("at first", func(t *testing.T) {
		t.Parallel()
		sec, prim := rulesPair(t, plainZone(rulesOrigin, 0, 5, longTimers), "")
		sec.blocked(t, rulesOrigin, prim.addr(), "serial_zero")
		if complaint := notReady(sec.addr(), rulesOrigin); complaint != "" {
			t.Error(complaint)
		}
	})
	t.Run("accepted", func(t *testing.T) {
		t.Parallel()
		sec, prim := rulesPair(t, plainZone(rulesOrigin, 1<<32-1, 5, longTimers), "serial_zero accept")
		sec.serves(t, rulesOrigin, 1<<32-1, syncLimit)
		prim.publish(t, rulesOrigin, plainZone(rulesOrigin, 0, 6, longTimers))
		sec.serves(t, rulesOrigin, 0, settleLimit)
		sec.normal(t, rulesOrigin, prim.addr())
	})
}

func TestRefreshOutOfRangeIsServedButNotObeyed(t *testing.T) {
	t.Parallel()
	soa := longTimers
	soa.Refresh, soa.Retry = 5, 2
	sec, prim := rulesPair(t, plainZone(rulesOrigin, 1, 5, soa), "")
	sec.serves(t, rulesOrigin, 1, syncLimit)
	sec.normal(t, rulesOrigin, prim.addr())
	sec.counts(t, 1, "rule_violations_total", "rule", "refresh_range")
	sec.logs(t, `rules\.test\..*refresh 5 `)
	m := ask(t, sec.addr(), rulesOrigin, dns.TypeSOA)
	if got, ok := m.Answer[0].(*dns.SOA); !ok || got.Refresh != 5 {
		t.Errorf("Served SOA: %v, want refresh 5", m.Answer[0])
	}
	before := scrape(t, sec.Metrics).sum("soa_queries_total")
	sec.keeps(t, rulesOrigin, 1, 7*time.Second)
	if asked := scrape(t, sec.Metrics).sum("soa_queries_total") - before; asked != 0 {
		t.Errorf("%v SOA queries in 7 s: the refresh of 5 s is obeyed", asked)
	}
}

func TestTenThousandRecordsPassAndOneMoreIsRefused(t *testing.T) {
	t.Parallel()
	sec, prim := rulesPair(t, plainZone(rulesOrigin, 1, 10000, longTimers), "")
	sec.serves(t, rulesOrigin, 1, syncLimit)
	sec.normal(t, rulesOrigin, prim.addr())
	eventually(t, settleLimit, "Count of records", func() string {
		return scrape(t, sec.Metrics).is(10000, "zone_records", "zone", rulesOrigin)
	})
	prim.publish(t, rulesOrigin, plainZone(rulesOrigin, 2, 10001, longTimers))
	sec.blocked(t, rulesOrigin, prim.addr(), "max_records")
	sec.counts(t, 1, "rule_violations_total", "rule", "max_records")
	sec.logs(t, `rules\.test\..*10,?000`)
	sec.keeps(t, rulesOrigin, 1, time.Second)
	prim.publish(t, rulesOrigin, plainZone(rulesOrigin, 3, 9999, longTimers))
	sec.serves(t, rulesOrigin, 3, settleLimit)
	sec.normal(t, rulesOrigin, prim.addr())
}

func TestLimitsOfTheCorefileAreKept(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ block, reason, rule string }{
		"records": {"max_records 5", "max_records", "max_records"},
		"size":    {"max_size 1K", "max_size", "max_size"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sec, prim := rulesPair(t, plainZone(rulesOrigin, 1, 5, longTimers), c.block)
			sec.serves(t, rulesOrigin, 1, syncLimit)
			prim.publish(t, rulesOrigin, plainZone(rulesOrigin, 2, 500, longTimers))
			sec.blocked(t, rulesOrigin, prim.addr(), c.reason)
			sec.counts(t, 1, "rule_violations_total", "rule", c.rule)
			sec.keeps(t, rulesOrigin, 1, time.Second)
		})
	}
}

func TestWrongKeyBlocksTheLinkAndKeepsTheContents(t *testing.T) {
	t.Parallel()
	right := testKey("hmac-sha256")
	for reason, wrong := range map[string]tsigKey{
		"bad_sig": {right.Name, right.Algorithm, "YW5vdGhlciBzZWNyZXQgYWx0b2dldGhlciBoZXJl"},
		"bad_key": {"renamed_key", right.Algorithm, right.Secret},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			prim := newBIND(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(1)}, Key: right})
			sec := newSecondary(t)
			sec.start(t, secondarySpec{Zones: []string{mixedOrigin}, Block: linkLines(prim.addr(), right)})
			sec.serves(t, mixedOrigin, 1, syncLimit)

			prim.stop(t)
			prim.Key, prim.AllowTransfer = &wrong, `key "`+wrong.Name+`"`
			prim.Zones[mixedOrigin] = newer(2)
			prim.start(t)
			notify(t, "127.0.0.1", sec.addr(), mixedOrigin, right)
			sec.blocked(t, mixedOrigin, prim.addr(), "tsig_"+reason)
			sec.counts(t, 1, "tsig_failures_total", "reason", reason)
			sec.logs(t, `(?i)mixed\.test\..*`+strings.ReplaceAll(reason, "_", "[ _]?"))
			sec.keeps(t, mixedOrigin, 1, time.Second)

			prim.stop(t)
			prim.Key, prim.AllowTransfer = right, `key "`+right.Name+`"`
			prim.start(t)
			notify(t, "127.0.0.1", sec.addr(), mixedOrigin, right)
			sec.serves(t, mixedOrigin, 2, settleLimit)
			sec.normal(t, mixedOrigin, prim.addr())
		})
	}
}

func TestRefusedTransferBlocksTheLink(t *testing.T) {
	t.Parallel()
	prim := newBIND(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(1)}, AllowTransfer: "none"})
	sec := newSecondary(t)
	sec.start(t, secondarySpec{Zones: []string{mixedOrigin}, Block: "primary " + prim.addr()})
	sec.blocked(t, mixedOrigin, prim.addr(), "refused")
	if n := scrape(t, sec.Metrics).sum("transfers_total", "result", "refused"); n < 1 {
		t.Errorf("%v refused transfers counted", n)
	}
}

func TestFaultyTransferKeepsTheContentsAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault   fault
		key     *tsigKey
		reasons []string
		log     string
	}{
		"cut off":           {cutOff, nil, []string{"cut_off"}, ""},
		"endless":           {endless, nil, []string{"max_records"}, ""},
		"last SOA differs":  {lastSOADiffers, nil, []string{"soa_mismatch"}, ""},
		"SOA not at apex":   {foreignSOA, nil, []string{"soa_owner"}, ""},
		"clock 400 s ahead": {clockAhead, testKey("hmac-sha256"), []string{"tsig_bad_time"}, `clocks differ by (39\d|40\d) s`},
		"not signed":        {unsignedAnswers, testKey("hmac-sha256"), []string{"tsig_missing"}, ""},
		"no answer":         {silent, nil, []string{"timeout", "unreachable"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prim := newFakePrimary(t, c.key)
			sec := newSecondary(t)
			sec.start(t, secondarySpec{Zones: []string{faultOrigin}, Block: linkLines(prim.address, c.key)})
			sec.serves(t, faultOrigin, 1, syncLimit)
			sockets, goroutines := sec.proc.sockets(t), sec.goroutines(t)

			for serial := range uint32(3) {
				prim.become(c.fault, 2+serial)
				asked := prim.asked.Load()
				notify(t, "127.0.0.1", sec.addr(), faultOrigin, c.key)
				eventually(t, 30*time.Second, "Primary asked", func() string {
					if prim.asked.Load() == asked {
						return "not yet"
					}
					return ""
				})
				sec.blocked(t, faultOrigin, prim.address, c.reasons...)
			}
			if c.log != "" {
				sec.logs(t, `fault\.test\..*`+c.log)
			}
			sec.keeps(t, faultOrigin, 1, time.Second)
			prim.become(noFault, 9)
			notify(t, "127.0.0.1", sec.addr(), faultOrigin, c.key)
			sec.serves(t, faultOrigin, 9, settleLimit)
			sec.normal(t, faultOrigin, prim.address)
			eventually(t, syncLimit, "Nothing left behind", func() string {
				s, g := sec.proc.sockets(t), sec.goroutines(t)
				// The scraping connection itself may come and go.
				if s > sockets+1 || g > goroutines+3 {
					return fmt.Sprintf("%d sockets, had %d; %v goroutines, had %v", s, sockets, g, goroutines)
				}
				return ""
			})
		})
	}
}

func TestForeignRecordsAreDiscardedAndCounted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault fault
		rule  string
	}{
		"out of zone":  {outOfZone, "out_of_zone"},
		"not class IN": {otherClass, "non_in_class"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prim := newFakePrimary(t, nil)
			prim.become(c.fault, 1)
			sec := newSecondary(t)
			sec.start(t, secondarySpec{Zones: []string{faultOrigin}, Block: "primary " + prim.address})
			sec.serves(t, faultOrigin, 1, syncLimit)
			sec.counts(t, 1, "rule_violations_total", "rule", c.rule)
			sec.logs(t, `fault\.test\..*discarded`)
			sec.normal(t, faultOrigin, prim.address)
			if complaint := scrape(t, sec.Metrics).is(3, "zone_records", "zone", faultOrigin); complaint != "" {
				t.Error(complaint)
			}
			if m := ask(t, sec.addr(), "host1."+faultOrigin, dns.TypeA); len(m.Answer) != 1 {
				t.Errorf("Record after the foreign one: %s", dns.RcodeToString[m.Rcode])
			}
			if m := ask(t, sec.addr(), "www.other.test.", dns.TypeA); len(m.Answer) != 0 {
				t.Errorf("Foreign record is served: %v", m.Answer)
			}
		})
	}
}

// goroutines reads how many the process has.
func (s *secondary) goroutines(t *testing.T) float64 {
	t.Helper()
	for _, x := range scrape(t, s.Metrics) {
		if x.name == "go_goroutines" {
			return x.value
		}
	}
	t.Fatal("No go_goroutines on the metrics page")
	return 0
}
