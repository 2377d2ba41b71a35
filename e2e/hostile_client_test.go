//go:build e2e

package e2e_test

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// besieged is a secondary that serves one zone of a few records, and more if extra is not nil.
func besieged(t *testing.T, chain, block string, extra func(zone string) []dns.RR) (*secondary, *anyPrimary) {
	t.Helper()
	prim, sec := newAnyPrimary(t, extra), newSecondary(t)
	sec.start(t, secondarySpec{Zones: []string{faultOrigin}, Block: lines("primary "+prim.address, block), Chain: chain})
	sec.serves(t, faultOrigin, 1, syncLimit)
	return sec, prim
}

// openTransfer lets everybody transfer the zones.
const openTransfer = "transfer {\n to *\n}"

// answersAtOnce fails the test unless a query is answered rightly in time.
func (s *secondary) answersAtOnce(t *testing.T) {
	t.Helper()
	in, _, err := (&dns.Client{Timeout: queryTimeout}).Exchange(question("www."+faultOrigin, dns.TypeA), s.addr())
	if err != nil || len(in.Answer) != 1 {
		t.Fatalf("www.%s: %v, %v", faultOrigin, in, err)
	}
}

// leavesNothing waits until the process has no more goroutines and sockets than before, but for what comes and goes.
func (s *secondary) leavesNothing(t *testing.T, goroutines float64, sockets int) {
	t.Helper()
	const loose = 5
	eventually(t, syncLimit, "Nothing left behind", func() string {
		if g, n := s.goroutines(t), s.proc.sockets(t); g > goroutines+loose || n > sockets+loose {
			return fmt.Sprintf("%v goroutines, had %v; %d sockets, had %d", g, goroutines, n, sockets)
		}
		return ""
	})
}

// dialTCP opens a TCP connection to the secondary, which ends with the test.
func (s *secondary) dialTCP(t *testing.T) *net.TCPConn {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", s.addr())
	if err != nil {
		t.Fatalf("Connection: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// framed returns a message with its length in front (RFC 1035 §4.2.2).
func framed(msg []byte) []byte { return append([]byte{byte(len(msg) >> 8), byte(len(msg))}, msg...) }

// receiveTCP reads one message.
func receiveTCP(c net.Conn, limit time.Duration) (*dns.Msg, error) {
	if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return nil, err
	}
	var length [2]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return nil, err
	}
	b := make([]byte, int(length[0])<<8|int(length[1]))
	if _, err := io.ReadFull(c, b); err != nil {
		return nil, err
	}
	m := new(dns.Msg)
	return m, m.Unpack(b)
}

// HC1: NOTIFYs that are not quite: none is taken, none does harm, and a right one is taken after each.
func TestOddNotifiesAreNotTaken(t *testing.T) {
	t.Parallel()
	sec, prim := besieged(t, "", "", nil)
	soa := record("%s 3600 IN SOA ns1.%[1]s hostmaster.%[1]s 99 3600 900 1209600 300", faultOrigin)
	odd := func(change func(*dns.Msg)) []byte {
		m := new(dns.Msg).SetNotify(faultOrigin)
		change(m)
		return pack(t, m)
	}
	short := odd(func(m *dns.Msg) { m.Answer = []dns.RR{&dns.RFC3597{Hdr: *soa.Header(), Rdata: "00"}} })
	for name, c := range map[string]struct {
		msg   []byte
		taken bool // RFC 1996 §3.8, §3.9: what the sections behind the question say does not matter
	}{
		"class CHAOS (CVE-2026-5946)":   {odd(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }), false},
		"class ANY":                     {odd(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassANY }), false},
		"another type":                  {odd(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeA }), false},
		"type ANY":                      {odd(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeANY }), false},
		"a name within the zone":        {odd(func(m *dns.Msg) { m.Question[0].Name = "www." + faultOrigin }), false},
		"a response":                    {odd(func(m *dns.Msg) { m.Response = true }), false},
		"no question":                   {odd(func(m *dns.Msg) { m.Question = nil }), false},
		"two questions":                 {odd(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }), false},
		"SOA too short":                 {short, true}, // its serial is read as 0, which is not newer
		"name in another case":          {odd(func(m *dns.Msg) { m.Question[0].Name = strings.ToUpper(faultOrigin) }), true},
		"a serial that is not there":    {odd(func(m *dns.Msg) { m.Answer = []dns.RR{soa} }), true},
		"SOA of another zone":           {odd(func(m *dns.Msg) { m.Answer = []dns.RR{record("other.test. 1 IN SOA a. b. 9 9 9 9 9")} }), true},
		"many records":                  {odd(func(m *dns.Msg) { m.Answer = slices.Repeat([]dns.RR{soa}, 1000); m.Compress = true }), false},
		"records of the other sections": {odd(func(m *dns.Msg) { m.Ns, m.Extra = []dns.RR{soa}, []dns.RR{soa} }), true},
		"AA not set":                    {odd(func(m *dns.Msg) { m.Authoritative = false }), true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, network := range []string{"udp", "tcp"} {
				accepted := scrape(t, sec.Metrics).sum("notifies_total", "result", "accepted")
				if taken := sendNotify(t, network, sec.addr(), c.msg); taken != c.taken {
					t.Errorf("Over %s: taken %v, want %v", network, taken, c.taken)
				}
				counted := scrape(t, sec.Metrics).sum("notifies_total", "result", "accepted") > accepted
				if counted != c.taken {
					t.Errorf("Over %s: counted as accepted %v, want %v", network, counted, c.taken)
				}
			}
			sec.answersAtOnce(t)
		})
	}
	sec.follows(t, prim, []string{faultOrigin}, 2)
}

// sendNotify sends a message and reports whether the reply is NOERROR; none within a moment is no.
func sendNotify(t *testing.T, network, addr string, msg []byte) bool {
	t.Helper()
	const moment = 300 * time.Millisecond
	var d net.Dialer
	c, err := d.DialContext(t.Context(), network, addr)
	if err != nil {
		t.Fatalf("Connection: %v", err)
	}
	defer c.Close()
	var m *dns.Msg
	if network == "tcp" {
		_, _ = c.Write(framed(msg)) // a server may hang up at once
		m, err = receiveTCP(c, moment)
	} else {
		_, _ = c.Write(msg)
		_ = c.SetReadDeadline(time.Now().Add(moment))
		buf := make([]byte, dns.MaxMsgSize)
		var n int
		if n, err = c.Read(buf); err == nil {
			m = new(dns.Msg)
			err = m.Unpack(buf[:n])
		}
	}
	return err == nil && m.Rcode == dns.RcodeSuccess
}

// HC2: transfers that nobody may have, in a storm, keep those away that one may have as little as queries.
func TestRefusedTransfersKeepNobodyAway(t *testing.T) {
	t.Parallel()
	const clients, each = 50, 20
	sec, _ := besieged(t, "transfer {\n to 127.0.0.1\n}", "", nil)
	goroutines, sockets := sec.goroutines(t), sec.proc.sockets(t)
	var storm sync.WaitGroup
	for range clients {
		storm.Go(func() {
			for range each {
				d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.9")}}
				c := dns.Client{Net: "tcp", Dialer: &d, Timeout: 5 * time.Second}
				in, _, err := c.Exchange(new(dns.Msg).SetAxfr(faultOrigin), sec.addr())
				if err != nil || in.Rcode != dns.RcodeRefused {
					t.Errorf("Transfer to 127.0.0.9: %v, %v; want REFUSED", in, err)
					return
				}
			}
		})
	}
	for range 5 {
		sec.answersAtOnce(t)
		if n := len(axfr(t, sec.addr(), faultOrigin, nil)); n != 4 {
			t.Errorf("Transfer to 127.0.0.1: %d records, want 4", n)
		}
	}
	storm.Wait()
	sec.leavesNothing(t, goroutines, sockets)
}

// bulk is what makes a zone large.
func bulk(zone string) []dns.RR {
	all := make([]dns.RR, 50_000)
	for i := range all {
		all[i] = &dns.TXT{
			Hdr: dns.RR_Header{Name: fmt.Sprintf("h%d.%s", i, zone), Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 300},
			Txt: []string{strings.Repeat("x", 200)},
		}
	}
	return all
}

// HC3: clients that ask for a large zone and read slowly, or go away, hold nobody up and leave nothing.
func TestSlowReadersHoldNobodyUp(t *testing.T) {
	t.Parallel()
	const clients = 20
	sec, _ := besieged(t, openTransfer, "max_records unlimited", bulk)
	goroutines, sockets, memory := sec.goroutines(t), sec.proc.sockets(t), sec.proc.memory(t)
	conns := make([]*net.TCPConn, clients)
	for i := range conns {
		conns[i] = sec.dialTCP(t)
		_ = conns[i].SetReadBuffer(4 << 10)
		if _, err := conns[i].Write(framed(pack(t, new(dns.Msg).SetAxfr(faultOrigin)))); err != nil {
			t.Fatalf("Query: %v", err)
		}
	}
	for range 20 {
		sec.answersAtOnce(t)
		time.Sleep(20 * time.Millisecond)
	}
	if n := len(axfr(t, sec.addr(), faultOrigin, nil)); n != 50_004 {
		t.Errorf("%d records transferred", n)
	}
	const each = 4 << 20 // octets: a message being written, the next ones, the socket's buffers, and twice as much until it is collected
	if more := sec.proc.memory(t) - memory; more > clients*each {
		t.Errorf("%d octets more in memory for %d clients; want at most %d for each", more, clients, each)
	}
	for i, c := range conns {
		if i%2 == 0 {
			_ = c.SetLinger(0) // RST
		}
		c.Close()
	}
	sec.leavesNothing(t, goroutines, sockets)
}

// HC4: who may transfer or notify is decided by the longest zone that matches, whatever the case of its name.
func TestAccessDoesNotDependOnCase(t *testing.T) {
	t.Parallel()
	const sub = "a.longer.name." + faultOrigin
	prim, sec := newAnyPrimary(t, nil), newSecondary(t)
	sec.start(t, secondarySpec{
		Zones: []string{faultOrigin, sub}, Block: "primary " + prim.address,
		Chain: "transfer " + faultOrigin + " {\n to *\n}\ntransfer " + sub + " {\n to 127.0.0.99\n}",
	})
	for _, z := range []string{faultOrigin, sub} {
		sec.serves(t, z, 1, syncLimit)
	}
	for _, name := range []string{sub, strings.ToUpper(sub)} {
		for _, qtype := range []uint16{dns.TypeAXFR, dns.TypeIXFR} {
			q := new(dns.Msg).SetQuestion(name, qtype)
			if qtype == dns.TypeIXFR {
				q.SetIxfr(name, 0, "a.", "b.")
			}
			in, _, err := (&dns.Client{Net: "tcp", Timeout: queryTimeout}).Exchange(q, sec.addr())
			if err != nil || in.Rcode != dns.RcodeRefused || len(in.Answer) > 0 {
				t.Errorf("%s %s: %v, %v; want REFUSED", dns.TypeToString[qtype], name, in, err)
			}
		}
		if rcode := notify(t, "127.0.0.9", sec.addr(), name, nil); rcode != dns.RcodeRefused {
			t.Errorf("NOTIFY of %s from a stranger: %s", name, dns.RcodeToString[rcode])
		}
	}
	if n := len(axfr(t, sec.addr(), strings.ToUpper(faultOrigin), nil)); n != 4 {
		t.Errorf("%d records of the other zone transferred, want 4", n)
	}
}

// HC5: IXFR queries that are not as RFC 1995 §3 has them: an answer that is no larger than it must be, or an error.
func TestOddIncrementalRequestsAreAnswered(t *testing.T) {
	t.Parallel()
	sec, _ := besieged(t, openTransfer, "", nil)
	asking := func(serial uint32, change func(*dns.Msg)) *dns.Msg {
		q := new(dns.Msg).SetIxfr(faultOrigin, serial, "ns1."+faultOrigin, "hostmaster."+faultOrigin)
		if change != nil {
			change(q)
		}
		return q
	}
	label := strings.Repeat("x", 63) + "."
	giant := strings.Repeat(label, 3) + strings.Repeat("y", 40) + "."
	for name, c := range map[string]struct {
		query   *dns.Msg
		answers []int // how many records the first message may have
	}{
		"serial ahead":  {asking(7, nil), []int{1}},
		"same serial":   {asking(1, nil), []int{1}},
		"serial behind": {asking(1<<31+5, nil), []int{5}},
		"names of a SOA as long as can be": {asking(7, func(q *dns.Msg) {
			q.Ns[0].(*dns.SOA).Ns, q.Ns[0].(*dns.SOA).Mbox = giant, giant
		}), []int{1}},
		"two SOAs":        {asking(7, func(q *dns.Msg) { q.Ns = append(q.Ns, q.Ns[0]) }), []int{0, 1}},
		"no SOA":          {asking(7, func(q *dns.Msg) { q.Ns = nil }), []int{0, 5}},
		"a SOA elsewhere": {asking(7, func(q *dns.Msg) { q.Ns[0].Header().Name = "other.test." }), []int{0, 1, 5}},
		"class CHAOS":     {asking(7, func(q *dns.Msg) { q.Question[0].Qclass = dns.ClassCHAOS }), []int{0}},
	} {
		t.Run(name, func(t *testing.T) {
			in, _, err := (&dns.Client{Net: "tcp", Timeout: queryTimeout}).Exchange(c.query, sec.addr())
			if err != nil {
				t.Fatalf("Over TCP: %v", err)
			}
			if !slices.Contains(c.answers, len(in.Answer)) {
				t.Errorf("Over TCP: %s, %d records; want one of %v", dns.RcodeToString[in.Rcode], len(in.Answer), c.answers)
			}
			// RFC 1995 §2: over UDP one SOA at most: no amplification.
			if in, _, err = (&dns.Client{Timeout: queryTimeout}).Exchange(c.query, sec.addr()); err != nil {
				t.Fatalf("Over UDP: %v", err)
			}
			if len(in.Answer) > 1 {
				t.Errorf("Over UDP: %d records", len(in.Answer))
			}
		})
	}
}

// wide is one name with as much as the limits allow.
func wide(zone string) []dns.RR {
	var all []dns.RR
	for i := range 900 {
		all = append(all, record("wide.%s 300 IN A 10.0.%d.%d", zone, i>>8, i&255))
	}
	for i := range 90 {
		all = append(all, record(`wide.%s 300 IN TYPE%d \# 200 %s`, zone, 1000+i, strings.Repeat("ab", 200)))
		all = append(all, record("mx.%s 300 IN MX %d wide.%[1]s", zone, i))
	}
	return all
}

// HC6: small questions with large answers: over UDP none is larger than the client has room for.
func TestLargeAnswersAreCutOverUDP(t *testing.T) {
	t.Parallel()
	sec, _ := besieged(t, "", "", wide)
	for _, name := range []string{"wide.", "mx.", ""} {
		for _, qtype := range []uint16{dns.TypeANY, dns.TypeA, dns.TypeMX, dns.TypeRRSIG, dns.TypeTXT} {
			for size, most := range map[uint16]int{0: 512, 100: 512, 512: 512, 1232: 1232, 4096: 1232, 65535: 1232} {
				q := new(dns.Msg).SetQuestion(name+faultOrigin, qtype)
				if size > 0 {
					q.SetEdns0(size, true)
				}
				if n := answerOctets(t, sec.addr(), pack(t, q)); n > most {
					t.Errorf("%s%s %s with room for %d: %d octets; want at most %d", name, faultOrigin, dns.TypeToString[qtype], size, n, most)
				}
			}
		}
	}
}

// answerOctets returns the length of the answer over UDP.
func answerOctets(t *testing.T, addr string, msg []byte) int {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "udp", addr)
	if err != nil {
		t.Fatalf("Connection: %v", err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(queryTimeout))
	if _, err := c.Write(msg); err != nil {
		t.Fatalf("Query: %v", err)
	}
	n, err := c.Read(make([]byte, dns.MaxMsgSize))
	if err != nil {
		t.Fatalf("Answer: %v", err)
	}
	return n
}

// HC7: TCP clients with bad manners: each gets what is due to it, and nobody else waits for it.
func TestUnmannerlyTCPClientsHoldNobodyUp(t *testing.T) {
	t.Parallel()
	sec, _ := besieged(t, "", "", nil)
	goroutines, sockets := sec.goroutines(t), sec.proc.sockets(t)
	query := framed(pack(t, question("www."+faultOrigin, dns.TypeA)))
	t.Run("octet by octet", func(t *testing.T) { // RFC 7766 §8
		c := sec.dialTCP(t)
		for i := range query {
			if _, err := c.Write(query[i : i+1]); err != nil {
				t.Fatalf("Octet %d: %v", i, err)
			}
			time.Sleep(5 * time.Millisecond)
		}
		if m, err := receiveTCP(c, queryTimeout); err != nil || len(m.Answer) != 1 {
			t.Errorf("%v, %v", m, err)
		}
	})
	t.Run("pipelined", func(t *testing.T) { // RFC 7766 §6.2.1.1
		const queries = 1000
		c := sec.dialTCP(t)
		go func() { _, _ = c.Write(slices.Repeat(query, queries)) }()
		for i := range queries {
			if m, err := receiveTCP(c, queryTimeout); err != nil || len(m.Answer) != 1 {
				t.Fatalf("Answer %d: %v, %v", i, m, err)
			}
		}
	})
	t.Run("half closed", func(t *testing.T) {
		c := sec.dialTCP(t)
		if _, err := c.Write(query); err != nil {
			t.Fatal(err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if m, err := receiveTCP(c, queryTimeout); err != nil || len(m.Answer) != 1 {
			t.Errorf("%v, %v", m, err)
		}
	})
	t.Run("length that never comes true", func(t *testing.T) {
		c := sec.dialTCP(t)
		if _, err := c.Write([]byte{0xFF, 0xFF, 0, 1}); err != nil {
			t.Fatal(err)
		}
		sec.answersAtOnce(t)
	})
	t.Run("two thousand that say nothing", func(t *testing.T) {
		const idle = 2000
		memory := sec.proc.memory(t)
		for range idle {
			sec.dialTCP(t)
		}
		for range 20 {
			sec.answersAtOnce(t)
		}
		c := sec.dialTCP(t)
		if _, err := c.Write(query); err != nil {
			t.Fatal(err)
		}
		if m, err := receiveTCP(c, queryTimeout); err != nil || len(m.Answer) != 1 {
			t.Errorf("One more: %v, %v", m, err)
		}
		const each = 40 << 10 // octets
		if more := sec.proc.memory(t) - memory; more > idle*each {
			t.Errorf("%d octets more in memory for %d connections; want at most %d for each", more, idle, each)
		}
	})
	sec.leavesNothing(t, goroutines, sockets)
}
