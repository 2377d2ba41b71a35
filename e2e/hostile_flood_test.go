//go:build e2e

package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const (
	floodRate = 20_000 // NOTIFYs a second
	floodSpan = 3 * time.Second
	soaRate   = 20 // SOA queries a second, as configured
)

// HC1: NOTIFYs without end for all zones, from an allowed address (CVE-2019-10163), from a foreign one, and for zones that are
// not ours: queries are answered, the primary is asked no more often than configured, zones of another primary follow their
// NOTIFYs, memory stays, and the log stays small.
//
// Not parallel: a flood takes a processor, and what a busy machine loses says nothing.
func TestNotifyFloodChangesNothing(t *testing.T) {
	const foreign = "127.0.0.77"
	for name, c := range map[string]struct{ from, zones string }{
		"allowed":       {"127.0.0.1", "flood"},
		"foreign":       {foreign, "flood"},
		"unknown zones": {"127.0.0.1", "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			prim, friend, sec := newAnyPrimary(t, nil), newAnyPrimary(t, nil), newSecondary(t)
			zones := numbered("flood", 100)
			sec.start(t, secondarySpec{
				Block: lines(sec.zonesFile(t, zones), "primary "+prim.address, fmt.Sprintf("soa_rate %d", soaRate)),
				Chain: lines("secondaryplus "+faultOrigin+" {", "primary "+friend.address, "}"),
			})
			for _, z := range append(zones, faultOrigin) {
				sec.serves(t, z, 1, syncLimit)
			}
			sec.survives(t, prim, floodSpan, func() (end func() int) {
				stop := flood(t, c.from, sec.addr(), floodRate, notifies(t, numbered(c.zones, len(zones))...))
				return func() int {
					sec.follows(t, friend, []string{faultOrigin}, 2)
					return stop()
				}
			})
		})
	}
}

// survives fails the test unless a flood leaves everything as it was.
func (s *secondary) survives(t *testing.T, prim *anyPrimary, span time.Duration, start func() (stop func() int)) {
	t.Helper()
	const (
		moreMemory = 32 << 20 // octets, of which most are garbage not yet collected
		moreLog    = 64 << 10 // octets
		answered   = 0.5      // of the queries; a busy machine loses datagrams
	)
	logged, asked, begin := s.proc.logged(t), prim.soas.Load(), time.Now()
	stop := start()
	time.Sleep(span / 3)
	memory := s.proc.memory(t) // now that all buffers are in use
	good, all := 0, 0
	for ; time.Since(begin) < span; all++ {
		if in, _, err := (&dns.Client{Timeout: time.Second}).Exchange(question("www."+faultOrigin, dns.TypeA), s.addr()); err == nil && len(in.Answer) == 1 {
			good++
		}
		time.Sleep(5 * time.Millisecond)
	}
	sent, took := stop(), time.Since(begin)
	if float64(good) < answered*float64(all) {
		t.Errorf("%d of %d queries were answered", good, all)
	}
	queries := float64(prim.soas.Load() - asked)
	if most := soaRate * (took.Seconds() + 1); queries > most { // a second's worth may come at once
		t.Errorf("The primary got %v SOA queries in %v; want at most %v", queries, took, most)
	}
	if more := s.proc.memory(t) - memory; more > moreMemory {
		t.Errorf("%d octets more in memory", more)
	}
	if more := s.proc.logged(t) - logged; more > moreLog {
		t.Errorf("%d octets more in the log for %d NOTIFYs; want at most %d", more, sent, moreLog)
	}
	t.Logf("%d NOTIFYs in %v, %d of %d queries answered, %v SOA queries, %d octets in memory, %d octets logged", sent,
		took.Round(time.Millisecond), good, all, queries, s.proc.memory(t), s.proc.logged(t)-logged)
}
