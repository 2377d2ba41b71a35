//go:build e2e

package e2e_test

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// The tests in files peers_*_test.go are scenarios of the test suites of BIND, Knot DNS, NSD and PowerDNS, written anew;
// README.md says which test covers which scenario.

// peersOrigin is the zone of most of them.
const peersOrigin = "peers.test."

// player is a scripted primary of any number of zones. It is safe for concurrent use.
type player struct {
	address string

	mu    sync.Mutex
	zones map[string]role // guarded by mu; by origin
	asked []dns.Question  // guarded by mu
}

// role is what a player does for one zone. It is a plain value; its records are never changed.
type role struct {
	records  []dns.RR        // the SOA first
	transfer dns.HandlerFunc // answers AXFR and IXFR; nil: well, IXFR with the whole zone
	query    dns.HandlerFunc // answers everything else; nil: well
}

func newPlayer(t *testing.T) *player {
	t.Helper()
	return newPlayerAt(t, "127.0.0.1")
}

// newPlayerAt starts a player at a loopback address, on a free port.
func newPlayerAt(t *testing.T, host string) *player {
	t.Helper()
	p := &player{zones: map[string]role{}}
	p.address = serveDNS(t, host, nil, p.serve)
	return p
}

// plays gives a zone another role.
func (p *player) plays(zone string, r role) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.zones[zone] = r
}

// times counts the questions of a type about a zone.
func (p *player) times(zone string, qtype uint16) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, q := range p.asked {
		if q.Name == zone && q.Qtype == qtype {
			n++
		}
	}
	return n
}

// transfers counts the requests for transfers of a zone.
func (p *player) transfers(zone string) int {
	return p.times(zone, dns.TypeIXFR) + p.times(zone, dns.TypeAXFR)
}

func (p *player) serve(w dns.ResponseWriter, q *dns.Msg) {
	about := q.Question[0]
	p.mu.Lock()
	r, known := p.zones[about.Name]
	p.asked = append(p.asked, about)
	p.mu.Unlock()
	transfer := about.Qtype == dns.TypeAXFR || about.Qtype == dns.TypeIXFR
	switch {
	case !known:
		rcode(dns.RcodeRefused)(w, q)
	case transfer && r.transfer != nil:
		r.transfer(w, q)
	case transfer:
		sends(append(slices.Clone(r.records), r.records[0])...)(w, q)
	case r.query != nil:
		r.query(w, q)
	default:
		sends(r.records[0])(w, q)
	}
}

// reply is an authoritative answer with these records.
func reply(q *dns.Msg, rrs ...dns.RR) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	m.Authoritative, m.Compress, m.Answer = true, true, rrs
	return m
}

// sends answers with these records, at most a hundred in a message (RFC 5936 §2.2).
func sends(rrs ...dns.RR) dns.HandlerFunc {
	return func(w dns.ResponseWriter, q *dns.Msg) {
		for some := range slices.Chunk(rrs, 100) {
			if w.WriteMsg(reply(q, some...)) != nil {
				return // the secondary has gone away
			}
		}
	}
}

// rcode answers with an RCODE.
func rcode(code int) dns.HandlerFunc {
	return func(w dns.ResponseWriter, q *dns.Msg) { _ = w.WriteMsg(new(dns.Msg).SetRcode(q, code)) }
}

// silence answers nothing.
func silence(dns.ResponseWriter, *dns.Msg) {}

// soaOf is the SOA of a zone.
func soaOf(zone string, serial uint32) dns.RR {
	return record("%s 3600 IN SOA ns1.%[1]s hostmaster.%[1]s %d 3600 900 1209600 300", zone, serial)
}

// simple returns a zone of a SOA, a NS, a TXT record "version" that is the serial, and more records.
func simple(zone string, serial uint32, more ...string) []dns.RR {
	rrs := []dns.RR{
		soaOf(zone, serial), record("%s 3600 IN NS ns.example.net.", zone), record("version.%s 300 IN TXT \"%d\"", zone, serial),
	}
	for _, s := range more {
		rrs = append(rrs, record("%s", s))
	}
	return rrs
}

// followed starts a secondary of a player's zone that hands the zone out, and waits for the serial.
func followed(t *testing.T, p *player, zone string, serial uint32, block ...string) *secondary {
	t.Helper()
	sec := newSecondary(t)
	sec.start(t, secondarySpec{
		Zones: []string{zone}, Block: lines(append([]string{"primary " + p.address}, block...)...), Chain: "transfer {\n to *\n}",
	})
	sec.serves(t, zone, serial, syncLimit)
	return sec
}

// tells sends a NOTIFY from a player's address and fails the test unless it is accepted.
func (p *player) tells(t *testing.T, sec *secondary, zone string) {
	t.Helper()
	host, _, _ := net.SplitHostPort(p.address)
	if code := notify(t, host, sec.addr(), zone, nil); code != dns.RcodeSuccess {
		t.Fatalf("NOTIFY of %s from %s: %s", zone, host, dns.RcodeToString[code])
	}
}

// rises gives the zone a new role, tells the secondary and waits until it is served.
func (p *player) rises(t *testing.T, sec *secondary, zone string, r role) {
	t.Helper()
	p.plays(zone, r)
	p.tells(t, sec, zone)
	sec.serves(t, zone, r.records[0].(*dns.SOA).Serial, settleLimit)
}

// holds fails the test unless a transfer from the server is exactly these records, in any order.
func holds(t *testing.T, addr, zone string, rrs []dns.RR) {
	t.Helper()
	if diff := cmp.Diff(texts(rewritten(t, rrs)), texts(received(t, addr, zone))); diff != "" {
		t.Errorf("AXFR of %s (-primary +secondary):\n%s", zone, tail(diff))
	}
}

// rewritten returns the records as a client reads them: those with raw RDATA of a known type are that type.
func rewritten(t *testing.T, rrs []dns.RR) []dns.RR {
	t.Helper()
	read := make([]dns.RR, len(rrs))
	for i, rr := range rrs {
		wire := make([]byte, dns.Len(rr)+1)
		n, err := dns.PackRR(rr, wire, 0, nil, false)
		if err == nil {
			read[i], _, err = dns.UnpackRR(wire[:n], 0)
		}
		if err != nil {
			t.Fatalf("Record %s: %v", rr, err)
		}
	}
	return read
}

// received transfers a zone and returns its records, the SOA once.
func received(t *testing.T, addr, zone string) []dns.RR {
	t.Helper()
	in, err := new(dns.Transfer).In(new(dns.Msg).SetAxfr(zone), addr)
	if err != nil {
		t.Fatalf("AXFR of %s: %v", zone, err)
	}
	var rrs []dns.RR
	for e := range in {
		if e.Error != nil {
			t.Fatalf("AXFR of %s: %v", zone, e.Error)
		}
		rrs = append(rrs, e.RR...)
	}
	return rrs[:len(rrs)-1]
}

// raw is a record whose RDATA may be anything, given in hexadecimal.
func raw(owner string, rrtype uint16, ttl uint32, rdata string) dns.RR {
	return &dns.RFC3597{Hdr: dns.RR_Header{Name: owner, Rrtype: rrtype, Class: dns.ClassINET, Ttl: ttl}, Rdata: rdata}
}

// hosts returns as many address records below a zone.
func hosts(zone string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("h%d.%s 300 IN A 10.%d.%d.%d", i, zone, i>>16&255, i>>8&255, i&255)
	}
	return all
}
