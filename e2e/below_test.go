//go:build e2e

package e2e_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// These tests are about servers below the CoreDNS under test: it is a hub between a hidden primary and them.

// RFC 5936 §3, RFC 1995 §4: after each update of the hidden primary the zone of each server below is the primary's, record for
// record, and after the first time none of them has needed the whole zone. Each has a key of its own, or none.
func TestServersBelowHaveThePrimarysZone(t *testing.T) {
	t.Parallel()
	for name, algorithms := range map[string]map[string]string{
		"without keys":   {},
		"with keys":      {"BIND": "hmac-sha256", "Knot": "hmac-sha384", "NSD": "hmac-sha512", "PowerDNS": "hmac-sha1"},
		"with other key": {"BIND": "hmac-sha224", "Knot": "hmac-md5", "NSD": "hmac-md5", "PowerDNS": "hmac-md5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEditor(5)
			hub := newSecondary(t)
			prim := startDynamicBIND(t, toldBy(hub, editedOrigin, e.text()))
			keys, block := map[string]*tsigKey{}, []string{"max_records 100000"}
			for who, algorithm := range algorithms {
				keys[who] = &tsigKey{Name: strings.ToLower(who) + "-key", Algorithm: algorithm, Secret: testKey("").Secret}
				block = append(block, keys[who].line(), "allow_transfer any key "+keys[who].Name)
			}
			if len(keys) == 0 {
				block = append(block, "allow_transfer 127.0.0.1")
			}
			hubOf(t, hub, prim.addr(), editedOrigin, block...)
			hub.serves(t, editedOrigin, 1, syncLimit)
			all := startBelow(t, hub, editedOrigin, keys, belowMakes...)
			for _, b := range all {
				b.becomes(t, editedOrigin, 1)
			}
			whole := hub.sent(t, "whole")
			for _, edit := range edits {
				old := e.version
				e.serial++
				edit.make(e)
				prim.update(t, old, e.version)
				hub.serves(t, editedOrigin, e.serial, syncLimit)
				want := lowerOwners(axfr(t, prim.addr(), editedOrigin, nil))
				for _, b := range all {
					b.becomes(t, editedOrigin, e.serial)
					if got := lowerOwners(axfr(t, b.addr(), editedOrigin, nil)); !slices.Equal(want, got) {
						t.Fatalf("%s, %s below (-primary +below):\n%s", edit.name, b.name, cmp.Diff(want, got))
					}
				}
			}
			if n := hub.sent(t, "whole"); n != whole {
				t.Errorf("%v whole zones were sent for updates", n-whole)
			}
			hub.counts(t, float64(len(edits)*len(all)), "transfers_out_total", "result", "incremental")
		})
	}
}

// A server that asks for all its zones at once, over a connection each, gets them, though few may be transferred at a time.
func TestManyZonesReachAServerBelow(t *testing.T) {
	t.Parallel()
	zones, names := manyZones(300, 1)
	hub := newSecondary(t)
	prim := newBIND(t, primarySpec{Zones: zones})
	hub.start(t, secondarySpec{
		Zones: names, Block: lines("primary "+prim.addr(), "transfers_in 40 20", "allow_transfer 127.0.0.1", "transfers_out 3 2"),
	})
	for _, z := range names {
		hub.serves(t, z, 1, syncLimit)
	}
	for _, m := range belowMakes[:3] {
		b := &below{reference{installed: install(t, primarySpec{Zones: zones}), make: m}, m.name}
		b.start(t, hub.addr())
		for _, z := range names {
			eventually(t, settleLimit, z+" below in "+m.name, func() string {
				_, complaint := serialAt(b.addr(), z)
				return complaint
			})
		}
	}
}

// burst is a primary whose versions come faster than anybody asks for them. It is safe for concurrent use.
type burst struct {
	mu     sync.Mutex
	serial uint32 // guarded by mu
	first  uint32
}

func (b *burst) version(serial uint32) []dns.RR {
	return simple(peersOrigin, serial, append(hosts(peersOrigin, 500), fmt.Sprintf("new%d.%s 300 IN A 192.0.2.1", serial, peersOrigin))...)
}

func (b *burst) now() uint32 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.serial
}

// transfer answers AXFR with the zone, IXFR with each difference since.
func (b *burst) transfer(w dns.ResponseWriter, q *dns.Msg) {
	serial := b.now()
	latest := b.version(serial)
	if q.Question[0].Qtype == dns.TypeAXFR {
		sends(append(latest, latest[0])...)(w, q)
		return
	}
	rrs := []dns.RR{latest[0]}
	for have := q.Ns[0].(*dns.SOA).Serial; have < serial; have++ {
		old, next := b.version(have), b.version(have+1)
		rrs = append(rrs, old[0], old[2], old[len(old)-1], next[0], next[2], next[len(next)-1])
	}
	sends(append(rrs, latest[0])...)(w, q)
}

// 50 versions come within 200 ms. Every server below ends with the last, by differences alone.
func TestBurstOfVersionsReachesServersBelow(t *testing.T) {
	t.Parallel()
	const versions = 50
	source := &burst{serial: 1, first: 1}
	p := newPlayer(t)
	p.plays(peersOrigin, role{
		transfer: source.transfer, query: func(w dns.ResponseWriter, q *dns.Msg) { sends(source.version(source.now())[0])(w, q) },
	})
	hub := newSecondary(t)
	hubOf(t, hub, p.address, peersOrigin, "allow_transfer 127.0.0.1", "history 100 1M")
	hub.serves(t, peersOrigin, 1, syncLimit)
	all := startBelow(t, hub, peersOrigin, nil, belowMakes...)
	for _, b := range all {
		b.becomes(t, peersOrigin, 1)
	}
	whole := hub.sent(t, "whole")
	tick := time.NewTicker(4 * time.Millisecond)
	defer tick.Stop()
	var told sync.WaitGroup
	for range versions {
		<-tick.C
		source.mu.Lock()
		source.serial++
		source.mu.Unlock()
		p.tells(t, hub, peersOrigin)
		for _, b := range all {
			told.Go(func() { b.tell(peersOrigin) })
		}
	}
	told.Wait()
	hub.serves(t, peersOrigin, versions+1, syncLimit)
	want := texts(source.version(versions + 1))
	for _, b := range all {
		b.becomes(t, peersOrigin, versions+1)
		if diff := cmp.Diff(want, texts(parse(t, axfr(t, b.addr(), peersOrigin, nil)))); diff != "" {
			t.Errorf("%s below (-primary +below):\n%s", b.name, tail(diff))
		}
	}
	if n := hub.sent(t, "whole"); n != whole {
		t.Errorf("%v whole zones were sent for differences", n-whole)
	}
}

// Who has no key, a wrong one or none that counts gets nothing from the hub, and keeps asking; who has expired is told so.
func TestServersBelowThatGetNothing(t *testing.T) {
	t.Parallel()
	p := newPlayer(t)
	p.plays(peersOrigin, role{records: simple(peersOrigin, 1)})
	good, other := testKey("hmac-sha256"), testKey("hmac-sha256")
	wrong := &tsigKey{Name: good.Name, Algorithm: good.Algorithm, Secret: "YW5vdGhlciBzZWNyZXQgdGhhbiB0aGUgaHViJ3M="}
	other.Name = "other_key"
	hub := newSecondary(t)
	hubOf(t, hub, p.address, peersOrigin, good.line(), other.line(), "allow_transfer 127.0.0.1 key "+good.Name, "expire 1s 4s", "refresh 1s 1s", "retry 1s 1s")
	hub.serves(t, peersOrigin, 1, syncLimit)
	for what, c := range map[string]struct {
		key    *tsigKey
		metric string
		labels []string
	}{
		"unsigned":       {nil, "transfers_out_total", []string{"result", "refused"}},
		"the wrong key":  {other, "transfers_out_total", []string{"result", "refused"}},
		"a wrong secret": {wrong, "tsig_failures_total", []string{"reason", "bad_sig"}},
	} {
		before := scrape(t, hub.Metrics).sum(c.metric, c.labels...)
		if out := dig(t, hub.addr(), peersOrigin, "AXFR", c.key); !strings.Contains(out, "Transfer failed") {
			t.Errorf("AXFR with %s:\n%s", what, tail(out))
		}
		hub.counts(t, before+1, c.metric, c.labels...)
	}
	axfr(t, hub.addr(), peersOrigin, good)
	bound := startBelow(t, hub, peersOrigin, map[string]*tsigKey{"Knot": wrong, "NSD": other}, belowMakes[:3]...)
	for _, b := range bound {
		for range 3 {
			b.tell(peersOrigin)
		}
		if _, complaint := serialAt(b.addr(), peersOrigin); complaint == "" {
			t.Errorf("%s below has the zone", b.name)
		}
	}
	p.plays(peersOrigin, role{records: simple(peersOrigin, 1), query: rcode(dns.RcodeRefused), transfer: rcode(dns.RcodeRefused)})
	eventually(t, syncLimit, "the hub's zone expires", func() string {
		out := dig(t, hub.addr(), peersOrigin, "AXFR", good)
		if strings.Contains(out, "Transfer failed") && hub.sent(t, "not_ready") > 0 {
			return ""
		}
		return tail(out)
	})
}

// A reload that comes in the middle of a transfer, with a new version, lets it end with the version it began with.
func TestReloadLeavesTransfersAlone(t *testing.T) {
	t.Parallel()
	const records = 60_000
	p := newPlayer(t)
	p.plays(peersOrigin, role{records: simple(peersOrigin, 1, hosts(peersOrigin, records)...)})
	hub := newSecondary(t)
	hubOf(t, hub, p.address, peersOrigin, "allow_transfer 127.0.0.1", "max_records unlimited", "max_rrset unlimited")
	hub.serves(t, peersOrigin, 1, syncLimit)
	c, err := net.Dial("tcp", hub.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	co := &dns.Conn{Conn: c}
	if err := co.WriteMsg(new(dns.Msg).SetAxfr(peersOrigin)); err != nil {
		t.Fatal(err)
	}
	first, err := co.ReadMsg()
	if err != nil {
		t.Fatal(err)
	}
	p.rises(t, hub, peersOrigin, role{records: simple(peersOrigin, 2)})
	hub.reload(t)
	got := first.Answer
	for len(got) == len(first.Answer) || got[len(got)-1].Header().Rrtype != dns.TypeSOA {
		m, err := co.ReadMsg()
		if err != nil {
			t.Fatalf("After %d records: %v", len(got), err)
		}
		got = append(got, m.Answer...)
	}
	last := got[len(got)-1].(*dns.SOA)
	if len(got) != records+4 || last.Serial != 1 || got[0].(*dns.SOA).Serial != 1 {
		t.Errorf("%d records, the last serial %d; want %d and 1", len(got), last.Serial, records+4)
	}
	holds(t, hub.addr(), peersOrigin, simple(peersOrigin, 2))
}

// Over TLS it is as over TCP; over HTTPS, where an answer is one message, AXFR is refused and IXFR gets the SOA.
func TestTransfersOverTLS(t *testing.T) {
	t.Parallel()
	p := newPlayer(t)
	rrs := simple(peersOrigin, 1, hosts(peersOrigin, 5000)...)
	p.plays(peersOrigin, role{records: rrs})
	hub := newSecondary(t)
	tls, https := freePort(t), freePort(t)
	trust := selfSigned(t, hub.Dir)
	block := func(scheme string, port int) string {
		return lines(fmt.Sprintf("%s://.:%d {", scheme, port), "bind 127.0.0.1", "tls cert.pem key.pem",
			"secondaryplus "+peersOrigin+" {", "primary "+p.address, "allow_transfer 127.0.0.1", "}", "}")
	}
	hub.start(t, secondarySpec{
		Zones: []string{peersOrigin}, Block: lines("primary "+p.address, "allow_transfer 127.0.0.1"),
		Rest: block("tls", tls) + block("https", https),
	})
	hub.serves(t, peersOrigin, 1, syncLimit)
	out, err := exec.Command("kdig", "@127.0.0.1", "-p", fmt.Sprint(tls), "+tls", peersOrigin, "AXFR").CombinedOutput()
	if n := strings.Count(string(out), "\n"+"h"); err != nil || n != 5000 {
		t.Errorf("kdig has %d hosts, error %v:\n%s", n, err, tail(string(out)))
	}
	ask := overHTTPS(t, http.MethodPost, loopback(https), trust)
	if m := ask(t, new(dns.Msg).SetAxfr(peersOrigin)); m.Rcode != dns.RcodeRefused || len(m.Answer) != 0 {
		t.Errorf("AXFR over HTTPS: %v", m)
	}
	if m := ask(t, new(dns.Msg).SetIxfr(peersOrigin, 0, "a.", "b.")); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1 {
		t.Errorf("IXFR over HTTPS: %v", m)
	}
}

// Over UDP IXFR gets the SOA alone (RFC 1995 §2) and AXFR is refused (RFC 5936 §4.2), whoever has the socket.
func TestTransfersOverUDP(t *testing.T) {
	t.Parallel()
	for _, option := range []string{"fastpath auto", "fastpath off"} {
		p := newPlayer(t)
		p.plays(peersOrigin, role{records: simple(peersOrigin, 7)})
		hub := newSecondary(t)
		hubOf(t, hub, p.address, peersOrigin, "allow_transfer 127.0.0.1", option)
		hub.serves(t, peersOrigin, 7, syncLimit)
		for _, c := range []struct {
			m       *dns.Msg
			rcode   int
			answers int
		}{
			{new(dns.Msg).SetIxfr(peersOrigin, 3, "a.", "b."), dns.RcodeSuccess, 1},
			{new(dns.Msg).SetIxfr(peersOrigin, 7, "a.", "b."), dns.RcodeSuccess, 1},
			{question(peersOrigin, dns.TypeIXFR), dns.RcodeFormatError, 0},
			{new(dns.Msg).SetAxfr(peersOrigin), dns.RcodeRefused, 0},
		} {
			m, err := rawExchange("udp", hub.addr(), pack(t, c.m))
			if err != nil || m.Rcode != c.rcode || len(m.Answer) != c.answers {
				t.Errorf("%s, %v: error %v, %v", option, c.m.Question, err, m)
			}
		}
		hub.counts(t, 2, "transfers_out_total", "result", "current")
		if option == "fastpath auto" {
			hub.counts(t, 4, "fastpath_queries_total", "result", "handed_over")
		}
	}
}

// A client that reads an octet a second keeps none of the others from what they ask for.
func TestSlowClientHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	long := make([]string, 20_000) // 10 MB, which no buffer of a socket holds
	for i := range long {
		long[i] = fmt.Sprintf("h%d.%s 300 IN TXT %s", i, peersOrigin, strings.Repeat(`"`+strings.Repeat("x", 250)+`" `, 2))
	}
	p := newPlayer(t)
	p.plays(peersOrigin, role{records: simple(peersOrigin, 1, long...)})
	hub := newSecondary(t)
	hubOf(t, hub, p.address, peersOrigin, "allow_transfer 127.0.0.0/24", "max_records unlimited", "transfers_out 4 2")
	hub.serves(t, peersOrigin, 1, syncLimit)
	for range 5 {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 66)}}
		c, err := d.Dial("tcp", hub.addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if err := c.(*net.TCPConn).SetReadBuffer(2048); err != nil {
			t.Fatal(err)
		}
		if err := (&dns.Conn{Conn: c}).WriteMsg(new(dns.Msg).SetAxfr(peersOrigin)); err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
	}
	hub.counts(t, 3, "transfers_out_total", "result", "busy")
	for range 3 {
		if n := len(axfr(t, hub.addr(), peersOrigin, nil)); n != len(long)+3 {
			t.Errorf("%d records beside slow clients", n)
		}
	}
}
