//go:build e2e

package e2e_test

import (
	"flag"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// compare has TestHundredSecondaries measure other makes of hubs as well: -args -compare.
var compare = flag.Bool("compare", false, "measure BIND, Knot and NSD as hubs too")

const (
	tierOrigin  = "tier.test."
	tierHosts   = 10_000
	tierBelow   = 100
	tierChanges = 20
)

// tierVersion is the zone of the tests of tiers: each version moves one host.
func tierVersion(serial uint32) []dns.RR {
	return append(simple(tierOrigin, serial, fmt.Sprintf("moved.%s 300 IN A 192.0.2.%d", tierOrigin, serial%200)), hosted...)
}

// hosted are the records that all versions have.
var hosted = func() (rrs []dns.RR) {
	for i := range tierHosts {
		rrs = append(rrs, record("host%d.%s 300 IN A 10.%d.%d.%d", i, tierOrigin, i>>16, i>>8&255, i&255))
	}
	return rrs
}()

// tierTransfer answers IXFR with the difference to the latest version, AXFR with that.
func tierTransfer(serial *atomic.Uint32) dns.HandlerFunc {
	return func(w dns.ResponseWriter, q *dns.Msg) {
		now := serial.Load()
		if q.Question[0].Qtype == dns.TypeAXFR {
			all := tierVersion(now)
			sends(append(all, all[0])...)(w, q)
			return
		}
		soa := soaOf(tierOrigin, now)
		rrs := []dns.RR{soa}
		for have := q.Ns[0].(*dns.SOA).Serial; have < now; have++ {
			old, next := tierVersion(have)[:4], tierVersion(have + 1)[:4]
			rrs = append(rrs, old[0], old[2], old[3], next[0], next[2], next[3])
		}
		sends(append(rrs, soa)...)(w, q)
	}
}

// edge is a secondary below a hub: it answers NOTIFY and asks for differences at once. It is safe for concurrent use.
type edge struct {
	addr  netip.AddrPort
	hub   string
	have  atomic.Uint32 // its serial
	whole atomic.Int32  // transfers that brought the whole zone
	told  chan time.Time
	done  chan time.Time // when it had a version
	mu    sync.Mutex     // held while it transfers
}

// startEdges starts secondaries at addresses of their own, with a version.
func startEdges(t *testing.T, serial uint32) (edges []*edge) {
	t.Helper()
	for i := range tierBelow {
		e := &edge{told: make(chan time.Time, 1000), done: make(chan time.Time, 1000)}
		e.have.Store(serial)
		e.addr = netip.MustParseAddrPort(serveDNS(t, fmt.Sprintf("127.1.0.%d", i+1), nil, e.serve))
		edges = append(edges, e)
	}
	return edges
}

func (e *edge) serve(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	m.Authoritative = true
	if q.Opcode == dns.OpcodeNotify {
		e.told <- time.Now()
		_ = w.WriteMsg(m)
		e.refresh()
		return
	}
	m.Answer = []dns.RR{soaOf(tierOrigin, e.have.Load())}
	_ = w.WriteMsg(m)
}

// refresh asks the hub for what has changed.
func (e *edge) refresh() {
	e.mu.Lock()
	defer e.mu.Unlock()
	dialer := net.Dialer{Timeout: queryTimeout, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(e.addr.Addr(), 0))}
	c, err := dialer.Dial("tcp", e.hub)
	if err != nil {
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(settleLimit))
	co := &dns.Conn{Conn: c}
	have := e.have.Load()
	q := new(dns.Msg).SetIxfr(tierOrigin, have, "ns1."+tierOrigin, "hostmaster."+tierOrigin)
	if co.WriteMsg(q) != nil {
		return
	}
	var got []dns.RR
	for {
		m, err := co.ReadMsg()
		if err != nil || m.Rcode != dns.RcodeSuccess || len(m.Answer) == 0 {
			return
		}
		got = append(got, m.Answer...)
		latest, ends := got[0].(*dns.SOA).Serial, 0
		for _, rr := range got {
			if soa, ok := rr.(*dns.SOA); ok && soa.Serial == latest {
				ends++
			}
		}
		if latest == have {
			return
		}
		if incremental := len(got) > 1 && got[1].Header().Rrtype == dns.TypeSOA; ends == 2 && !incremental || ends == 3 {
			break // RFC 1995 §4: the latest SOA is in front of what is added, too
		}
	}
	if got[1].Header().Rrtype != dns.TypeSOA {
		e.whole.Add(1)
	}
	e.have.Store(got[0].(*dns.SOA).Serial)
	e.done <- time.Now()
}

// A hub has a zone of 10,000 records and a hundred secondaries. After each change all of them are told and become current by
// differences alone. How long that takes is in the log of the test.
func TestHundredSecondaries(t *testing.T) {
	hubs := []string{"CoreDNS"}
	if *compare {
		hubs = append(hubs, "BIND", "Knot", "NSD")
	}
	for _, name := range hubs {
		t.Run(name, func(t *testing.T) {
			var serial atomic.Uint32
			serial.Store(1)
			p := newPlayer(t)
			p.plays(tierOrigin, role{transfer: tierTransfer(&serial), query: func(w dns.ResponseWriter, q *dns.Msg) {
				sends(soaOf(tierOrigin, serial.Load()))(w, q)
			}})
			edges := startEdges(t, 1)
			hub := startTierHub(t, name, p, edges)
			for _, e := range edges {
				e.hub = hub
			}
			eventually(t, settleLimit, "the zone in the hub", func() string {
				_, complaint := serialAt(hub, tierOrigin)
				return complaint
			})
			time.Sleep(2 * time.Second) // a hub tells of the version that it has begun with, too
			for _, e := range edges {
				drain(e.told)
				drain(e.done)
			}
			var told, current []time.Duration
			for range tierChanges {
				next := serial.Add(1)
				began := time.Now()
				m := new(dns.Msg).SetNotify(tierOrigin)
				m.Answer = []dns.RR{soaOf(tierOrigin, next)} // as BIND, Knot and NSD tell it
				if _, _, err := (&dns.Client{Timeout: queryTimeout}).Exchange(m, hub); err != nil {
					t.Fatalf("NOTIFY: %v", err)
				}
				lastTold, lastDone := time.Time{}, time.Time{}
				for _, e := range edges {
					eventually(t, settleLimit, "a secondary that is current", func() string {
						if have := e.have.Load(); have != next {
							return fmt.Sprint("serial ", have)
						}
						return ""
					})
					for _, at := range drain(e.told) {
						lastTold = later(lastTold, at)
					}
					for _, at := range drain(e.done) {
						lastDone = later(lastDone, at)
					}
				}
				told, current = append(told, lastTold.Sub(began)), append(current, lastDone.Sub(began))
				time.Sleep(50 * time.Millisecond)
			}
			slices.Sort(told)
			slices.Sort(current)
			t.Logf("the last of %d secondaries is told after %v (median; slowest %v), and current after %v (%v)", tierBelow,
				told[len(told)/2], told[len(told)-1], current[len(current)/2], current[len(current)-1])
			whole := int32(0)
			for _, e := range edges {
				whole += e.whole.Load()
			}
			if whole > 0 && name == "CoreDNS" {
				t.Errorf("%d transfers brought the whole zone; want differences alone", whole)
			}
		})
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// drain returns what waits in a channel.
func drain(c chan time.Time) (all []time.Time) {
	for {
		select {
		case at := <-c:
			all = append(all, at)
		default:
			return all
		}
	}
}

// startTierHub starts a hub of some make, and returns its address.
func startTierHub(t *testing.T, name string, p *player, edges []*edge) string {
	t.Helper()
	var targets []string
	for _, e := range edges {
		targets = append(targets, e.addr.String())
	}
	if name == "CoreDNS" {
		hub := newSecondary(t)
		hubOf(t, hub, p.address, tierOrigin, "allow_transfer 127.0.0.0/8", "notify "+strings.Join(targets, " "), "transfers_out 100 4", "max_records 20000")
		return hub.addr()
	}
	i := slices.IndexFunc(referenceMakes, func(m referenceMake) bool { return m.name == name })
	spec := primarySpec{Zones: map[string]string{tierOrigin: ""}}
	for _, e := range edges {
		spec.Notify = append(spec.Notify, e.addr)
	}
	r := &reference{installed: install(t, spec), make: referenceMakes[i]}
	r.start(t, p.address)
	return r.addr()
}
