//go:build e2e

package e2e_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// What hostile clients do, and the tests that play it; hostile primaries are played to the engine, see its hostile_siege_test.go.
//
//	HC1 NOTIFYs         TestNotifyFloodChangesNothing, TestOddNotifiesAreNotTaken, TestBurstOfNotifiesCausesAtMostTwoChecks
//	HC2 AXFR storms     TestRefusedTransfersKeepNobodyAway
//	HC3 slow readers    TestSlowReadersHoldNobodyUp
//	HC4 access          TestAccessDoesNotDependOnCase, TestNotifyIsTakenFromAllowedAddressesOnly
//	HC5 odd IXFR        TestOddIncrementalRequestsAreAnswered, TestIncrementalRequestOfACurrentClientIsOneSOA
//	HC6 amplification   TestLargeAnswersAreCutOverUDP, TestEDNSIsAnsweredAsInRFC6891
//	HC7 TCP             TestUnmannerlyTCPClientsHoldNobodyUp

// anyPrimary serves every zone it is asked for, all with one serial, which may be changed at any time.
type anyPrimary struct {
	address string
	serial  atomic.Uint32
	soas    atomic.Int64               // SOA queries received
	extra   func(zone string) []dns.RR // records beside SOA, NS and two addresses; nil for none
}

func newAnyPrimary(t *testing.T, extra func(zone string) []dns.RR) *anyPrimary {
	t.Helper()
	p := &anyPrimary{extra: extra}
	p.serial.Store(1)
	p.address = serveDNS(t, "127.0.0.1", nil, p.serve)
	return p
}

func (p *anyPrimary) serve(w dns.ResponseWriter, q *dns.Msg) {
	zone := q.Question[0].Name
	soa := record("%s 3600 IN SOA ns1.%[1]s hostmaster.%[1]s %d 3600 900 1209600 300", zone, p.serial.Load())
	answer := []dns.RR{soa}
	switch q.Question[0].Qtype {
	case dns.TypeSOA:
		p.soas.Add(1)
	case dns.TypeAXFR, dns.TypeIXFR:
		answer = append(answer, record("%s 3600 IN NS ns1.%[1]s", zone), record("ns1.%s 3600 IN A 192.0.2.1", zone),
			record("www.%s 300 IN A 192.0.2.2", zone))
		if p.extra != nil {
			answer = append(answer, p.extra(zone)...)
		}
		answer = append(answer, soa)
	}
	const perMessage = 200
	for len(answer) > 0 {
		n := min(perMessage, len(answer))
		m := new(dns.Msg).SetReply(q)
		m.Authoritative, m.Answer = true, answer[:n]
		if w.WriteMsg(m) != nil {
			return
		}
		answer = answer[n:]
	}
}

// numbered returns n names of zones.
func numbered(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s%d.test.", prefix, i)
	}
	return all
}

// zonesFile writes a list of zones and returns the line of the Corefile that reads it.
func (s *secondary) zonesFile(t *testing.T, zones []string) string {
	t.Helper()
	writeFile(t, filepath.Join(s.Dir, "zones"), lines(zones...))
	return "zones_file zones"
}

// cpu returns the processor time the process has used, in user and system mode.
func (p *process) cpu(t *testing.T) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		t.Fatalf("Processor time: %v", err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // the name may hold spaces
	fields := strings.Fields(rest)
	ticks := 0
	for _, f := range fields[11:13] { // utime and stime, in hundredths of a second
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatalf("Processor time: %v", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// memory returns the octets of the process that are in memory.
func (p *process) memory(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatalf("Memory: %v", err)
	}
	for l := range strings.Lines(string(status)) {
		var kilobytes int64
		if n, _ := fmt.Sscanf(l, "VmRSS: %d kB", &kilobytes); n == 1 {
			return kilobytes << 10
		}
	}
	t.Fatal("Memory: no VmRSS")
	return 0
}

// logged returns how many octets the process has printed.
func (p *process) logged(t *testing.T) int64 {
	t.Helper()
	info, err := os.Stat(p.logPath)
	if err != nil {
		t.Fatalf("Log: %v", err)
	}
	return info.Size()
}

// flood sends messages in turn from one address, so many a second, until stop is called, which returns how many there were.
func flood(t *testing.T, from, to string, rate int, msgs [][]byte) (stop func() int) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(t.Context(), "udp", to)
	if err != nil {
		t.Fatalf("Flood from %s: %v", from, err)
	}
	done := make(chan struct{})
	var sending sync.WaitGroup
	sent := 0
	begin := time.Now()
	sending.Go(func() {
		defer c.Close()
		ticker := time.NewTicker(2 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			for due := int(time.Since(begin).Seconds() * float64(rate)); sent < due; sent++ {
				_, _ = c.Write(msgs[sent%len(msgs)]) // what the network loses is lost
			}
		}
	})
	sending.Go(func() {
		for buf := make([]byte, dns.MaxMsgSize); ; {
			if _, err := c.Read(buf); err != nil && strings.Contains(err.Error(), "closed") {
				return
			}
		}
	})
	return func() int {
		close(done)
		sending.Wait()
		return sent
	}
}

// notifies returns NOTIFYs in wire form, one for each zone.
func notifies(t *testing.T, zones ...string) [][]byte {
	t.Helper()
	all := make([][]byte, len(zones))
	for i, z := range zones {
		all[i] = pack(t, new(dns.Msg).SetNotify(z))
	}
	return all
}
