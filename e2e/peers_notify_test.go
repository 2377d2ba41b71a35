//go:build e2e

package e2e_test

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Scenarios of the peers' suites about NOTIFY, refresh and expiry.

// BIND notify: over TCP (RFC 1996 §3.4 leaves the transport open), and at the start of a primary that has a new version.
func TestNotifyOverTCPAndAtThePrimarysStart(t *testing.T) {
	t.Parallel()
	t.Run("TCP", func(t *testing.T) {
		t.Parallel()
		p := newPlayer(t)
		p.plays(peersOrigin, role{records: simple(peersOrigin, 1)})
		sec := followed(t, p, peersOrigin, 1)
		p.plays(peersOrigin, role{records: simple(peersOrigin, 2)})
		m := over(t, "tcp", sec.addr(), new(dns.Msg).SetNotify(peersOrigin))
		if m.Rcode != dns.RcodeSuccess || !m.Response || !m.Authoritative {
			t.Errorf("Response %v", m)
		}
		sec.serves(t, peersOrigin, 2, notifyLimit)
	})
	t.Run("start", func(t *testing.T) {
		t.Parallel()
		sec := newSecondary(t)
		b := newBIND(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(1)}, Notify: []netip.AddrPort{sec.target()}})
		sec.start(t, secondarySpec{Zones: []string{mixedOrigin}, Block: "primary " + b.addr()})
		sec.serves(t, mixedOrigin, 1, syncLimit)
		b.stop(t)
		b.Zones[mixedOrigin] = mixedZone(2)
		b.start(t)
		sec.serves(t, mixedOrigin, 2, settleLimit)
	})
}

// NSD xfr_over_notify, notify_ahead_perpetual: the serial of a NOTIFY is a hint (RFC 1996 §3.7). The primary may have a
// newer one, which is taken, or not have it at all, which costs it a SOA query now and then.
func TestSerialOfANotifyIsAHint(t *testing.T) {
	t.Parallel()
	p := newPlayer(t)
	p.plays(peersOrigin, role{records: simple(peersOrigin, 1)})
	sec := followed(t, p, peersOrigin, 1)
	announce := func(serial uint32) {
		t.Helper()
		m := new(dns.Msg).SetNotify(peersOrigin)
		m.Answer = []dns.RR{soaOf(peersOrigin, serial)}
		if in := over(t, "udp", sec.addr(), m); in.Rcode != dns.RcodeSuccess {
			t.Errorf("NOTIFY of serial %d: %s", serial, dns.RcodeToString[in.Rcode])
		}
	}
	p.plays(peersOrigin, role{records: simple(peersOrigin, 7)})
	announce(5)
	sec.serves(t, peersOrigin, 7, settleLimit)

	asked, transferred := p.times(peersOrigin, dns.TypeSOA), p.transfers(peersOrigin)
	began := time.Now()
	for range 200 {
		announce(99)
	}
	sec.keeps(t, peersOrigin, 7, 1500*time.Millisecond)
	most := 3 + int(2*time.Since(began)/time.Second) // two a second
	if n := p.times(peersOrigin, dns.TypeSOA) - asked; n < 1 || n > most {
		t.Errorf("%d SOA queries for 200 NOTIFYs, want 1 to %d", n, most)
	}
	if n := p.transfers(peersOrigin) - transferred; n != 0 {
		t.Errorf("%d transfers", n)
	}
	sec.normal(t, peersOrigin, p.address)
}

// NSD notify_fmt, notify_large, notify_nokey: NOTIFYs that are none, or have more in them than they should. None harms,
// and the next good one brings the new version.
func TestOddNotifiesDoNoHarm(t *testing.T) {
	t.Parallel()
	p := newPlayer(t)
	p.plays(peersOrigin, role{records: simple(peersOrigin, 1)})
	sec := followed(t, p, peersOrigin, 1)
	accepted := []int{dns.RcodeSuccess}
	refusals := []int{dns.RcodeFormatError, dns.RcodeNotImplemented, dns.RcodeRefused, dns.RcodeNotAuth}
	good := func() *dns.Msg { return new(dns.Msg).SetNotify(peersOrigin) }
	for name, c := range map[string]struct {
		change func(m *dns.Msg)
		want   []int // empty for any, or none
	}{
		"no question":          {func(m *dns.Msg) { m.Question = nil }, refusals},
		"two questions":        {func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, refusals},
		"type A":               {func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeA }, refusals},
		"class CH":             {func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }, refusals},
		"a response":           {func(m *dns.Msg) { m.Response = true }, nil},
		"another zone":         {func(m *dns.Msg) { m.Question[0].Name = "another.test." }, nil},
		"name below":           {func(m *dns.Msg) { m.Question[0].Name = "below." + peersOrigin }, nil},
		"SOA of another zone":  {func(m *dns.Msg) { m.Answer = []dns.RR{soaOf("another.test.", 9)} }, accepted},
		"no SOA in the answer": {func(m *dns.Msg) { m.Answer = []dns.RR{record("h.%s 1 IN A 192.0.2.1", peersOrigin)} }, accepted},
		"unsigned TSIG": {func(m *dns.Msg) {
			m.Extra = append(m.Extra, &dns.TSIG{
				Hdr:       dns.RR_Header{Name: "nobody.", Rrtype: dns.TypeTSIG, Class: dns.ClassANY},
				Algorithm: dns.HmacSHA256, Fudge: 300, TimeSigned: uint64(time.Now().Unix()),
			})
		}, refusals},
	} {
		m := good()
		c.change(m)
		if len(c.want) == 0 {
			_, _ = rawExchangeWithin(50*time.Millisecond, "udp", sec.addr(), pack(t, m))
			continue
		}
		in, err := rawExchange("udp", sec.addr(), pack(t, m))
		if in == nil || !slices.Contains(c.want, in.Rcode) { // that a TSIG record is not signed is an error, too
			t.Errorf("%s: %v, error %v", name, in, err)
		}
	}
	whole := pack(t, good())
	for n := range whole {
		_, _ = rawExchangeWithin(time.Millisecond, "udp", sec.addr(), whole[:n])
	}
	large := good()
	large.Compress = true
	for i := range 2500 {
		large.Extra = append(large.Extra, record("h%d.%s 1 IN A 192.0.2.1", i, peersOrigin))
	}
	_, _ = rawExchange("tcp", sec.addr(), pack(t, large)) // FORMERR, or a connection that ends
	sec.keeps(t, peersOrigin, 1, 200*time.Millisecond)
	p.rises(t, sec, peersOrigin, role{records: simple(peersOrigin, 2)})
}

// rawExchange sends any octets and returns the response.
func rawExchange(network, addr string, msg []byte) (*dns.Msg, error) {
	return rawExchangeWithin(queryTimeout, network, addr, msg)
}

// rawExchangeWithin is rawExchange with a time limit.
func rawExchangeWithin(limit time.Duration, network, addr string, msg []byte) (*dns.Msg, error) {
	c, err := net.Dial(network, addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		return nil, err
	}
	co := &dns.Conn{Conn: c}
	if _, err := co.Write(msg); err != nil {
		return nil, err
	}
	return co.ReadMsg()
}

// Knot notify/multi-master2, axfr/outdated_master: who sends the NOTIFY may be behind. Another primary's newer version
// is found all the same, and the outdated one's link says that it is behind.
func TestOutdatedSenderOfANotifyDoesNotHideANewerVersion(t *testing.T) {
	t.Parallel()
	outdated, newest := newPlayerAt(t, "127.0.0.21"), newPlayerAt(t, "127.0.0.22")
	outdated.plays(peersOrigin, role{records: simple(peersOrigin, 3)})
	newest.plays(peersOrigin, role{records: simple(peersOrigin, 3)})
	sec := newSecondary(t)
	sec.start(t, secondarySpec{Zones: []string{peersOrigin}, Block: "primary " + outdated.address + " " + newest.address})
	sec.serves(t, peersOrigin, 3, syncLimit)
	outdated.plays(peersOrigin, role{records: simple(peersOrigin, 2)})
	newest.plays(peersOrigin, role{records: simple(peersOrigin, 4)})
	outdated.tells(t, sec, peersOrigin)
	sec.serves(t, peersOrigin, 4, settleLimit)
	sec.normal(t, peersOrigin, newest.address)
	sec.blocked(t, peersOrigin, outdated.address, "serial_behind")
	for serial := uint32(5); serial < 8; serial++ {
		newest.plays(peersOrigin, role{records: simple(peersOrigin, serial)})
		newest.tells(t, sec, peersOrigin)
		sec.serves(t, peersOrigin, serial, settleLimit)
	}
}

// Knot events/soa, zone/timers, zone/refresh_limits: without any NOTIFY the timers alone bring new versions, at the
// pace of the limits where the SOA asks for another.
func TestRefreshTimerBringsNewVersions(t *testing.T) {
	t.Parallel()
	for name, soa := range map[string]timers{
		"below the limits": {Refresh: 0, Retry: 0, Expire: 1209600, Minimum: 300},
		"above the limits": {Refresh: 1 << 30, Retry: 1 << 30, Expire: 1209600, Minimum: 300},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const origin = "timed.test."
			prim := startNSD(t, primarySpec{Zones: map[string]string{origin: plainZone(origin, 1, 5, soa)}})
			sec := newSecondary(t)
			sec.start(t, secondarySpec{Zones: []string{origin}, Block: lines("primary "+prim.addr(), "refresh 1s 1s", "retry 1s 1s")})
			sec.serves(t, origin, 1, syncLimit)
			prim.publish(t, origin, plainZone(origin, 2, 6, soa))
			sec.serves(t, origin, 2, syncLimit)
			before := scrape(t, sec.Metrics).sum("soa_queries_total")
			sec.keeps(t, origin, 2, 2200*time.Millisecond)
			if n := scrape(t, sec.Metrics).sum("soa_queries_total") - before; n < 1 || n > 4 {
				t.Errorf("%v SOA queries in 2.2 s, want one a second", n)
			}
		})
	}
}

// NSD zone_expire_notauth, zone_expire_parent: a zone whose primary is no longer authoritative expires, though that
// answers; and its parent zone, which we serve too, does not answer in its place.
func TestZoneOfAPrimaryThatIsNotAuthoritativeExpires(t *testing.T) {
	t.Parallel()
	const parent, child = "parent.test.", "child.parent.test."
	for name, query := range map[string]dns.HandlerFunc{
		"no AA": func(w dns.ResponseWriter, q *dns.Msg) {
			m := reply(q, soaOf(child, 1))
			m.Authoritative = false
			_ = w.WriteMsg(m)
		},
		"NOTAUTH": rcode(dns.RcodeNotAuth),
		"referral": func(w dns.ResponseWriter, q *dns.Msg) {
			m := reply(q)
			m.Authoritative = false
			m.Ns = []dns.RR{record("%s 300 IN NS ns.%[1]s", child)}
			_ = w.WriteMsg(m)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlayer(t)
			p.plays(parent, role{records: simple(parent, 1, child+" 300 IN NS ns."+child, "ns."+child+" 300 IN A 192.0.2.1")})
			p.plays(child, role{records: simple(child, 1, "www."+child+" 300 IN A 192.0.2.2")})
			sec := newSecondary(t)
			sec.start(t, secondarySpec{
				Zones: []string{child}, Block: lines("primary "+p.address, "refresh 1s 1s", "retry 1s 1s", "expire 3s 3s"),
				Chain: "secondaryplus " + parent + " {\n primary " + p.address + "\n}",
			})
			sec.serves(t, child, 1, syncLimit)
			sec.serves(t, parent, 1, syncLimit)
			p.plays(child, role{records: simple(child, 1), query: query, transfer: query})
			eventually(t, 8*time.Second, "Child expires", func() string { return notReady(sec.addr(), child) })
			sec.blocked(t, child, p.address, "not_authoritative", "no_soa")
			if complaint := notReady(sec.addr(), "www."+child); complaint != "" {
				t.Errorf("Below the child: %s", complaint)
			}
			if m := ask(t, sec.addr(), "version."+parent, dns.TypeTXT); len(m.Answer) != 1 {
				t.Errorf("The parent: %v", m)
			}
			p.rises(t, sec, child, role{records: simple(child, 1)})
			if m := ask(t, sec.addr(), "version."+child, dns.TypeTXT); len(m.Answer) != 1 {
				t.Errorf("The child is back with %v", m)
			}
		})
	}
}

// BIND xfer "reconfiguration in the middle of a SOA query": a Corefile that keeps the zone lets the answer count; one
// that has it no more does not wait for it.
func TestReloadDuringASOAQuery(t *testing.T) {
	t.Parallel()
	const stays = "stays.test."
	for name, zones := range map[string][]string{"zone kept": {peersOrigin, stays}, "zone gone": {stays}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlayer(t)
			for _, z := range []string{peersOrigin, stays} {
				p.plays(z, role{records: simple(z, 1)})
			}
			sec := newSecondary(t)
			sec.start(t, secondarySpec{Zones: []string{peersOrigin, stays}, Block: "primary " + p.address})
			for _, z := range sec.Zones {
				sec.serves(t, z, 1, syncLimit)
			}
			asked, answer := make(chan struct{}, 10), make(chan struct{})
			p.plays(peersOrigin, role{records: simple(peersOrigin, 2), query: func(w dns.ResponseWriter, q *dns.Msg) {
				asked <- struct{}{}
				<-answer
				sends(soaOf(peersOrigin, 2))(w, q)
			}})
			p.tells(t, sec, peersOrigin)
			<-asked
			sec.Zones = zones
			sec.configure(t)
			sec.reload(t)
			close(answer)
			if len(zones) > 1 {
				sec.serves(t, peersOrigin, 2, settleLimit)
			} else if m := ask(t, sec.addr(), peersOrigin, dns.TypeSOA); len(m.Answer) > 0 {
				t.Errorf("The zone that is gone: %v", m)
			}
			p.rises(t, sec, stays, role{records: simple(stays, 2)})
		})
	}
}

// PowerDNS test_IXFR, NSD zone_notloaded, Knot ixfr/from_older: requests for transfers of us, by every way and for
// zones we have, have not yet and have not at all.
func TestRequestsForTransfersAreAnsweredByEveryWay(t *testing.T) {
	t.Parallel()
	const waiting = "waiting.test."
	p := newPlayer(t)
	rrs := simple(peersOrigin, 7, hosts(peersOrigin, 100)...)
	p.plays(peersOrigin, role{records: rrs})
	sec := newSecondary(t)
	sec.start(t, secondarySpec{
		Zones: []string{peersOrigin, waiting}, Block: "primary " + p.address, Chain: "transfer {\n to *\n}",
	})
	sec.serves(t, peersOrigin, 7, syncLimit)
	request := func(zone string, from uint32) *dns.Msg {
		if from == 0 {
			return new(dns.Msg).SetAxfr(zone)
		}
		return new(dns.Msg).SetIxfr(zone, from, "ns1."+zone, "hostmaster."+zone)
	}
	good := []int{dns.RcodeSuccess}
	refused := []int{dns.RcodeServerFailure, dns.RcodeRefused, dns.RcodeNotAuth, dns.RcodeNotImplemented}
	for _, c := range []struct {
		network, zone string
		from          uint32
		rcodes        []int
		answers       int // records of the first message; -1 for several
	}{
		{"tcp", peersOrigin, 0, good, -1},
		{"tcp", peersOrigin, 6, good, -1},
		{"tcp", peersOrigin, 7, good, 1},
		{"tcp", peersOrigin, 8, good, 1},
		// RFC 5936 §4.2: AXFR over UDP is not defined.
		{"udp", peersOrigin, 0, refused, 0},
		{"tcp", waiting, 0, refused, 0},
		{"tcp", waiting, 6, refused, 0},
		{"udp", waiting, 6, refused, 0},
		{"tcp", "foreign.test.", 0, refused, 0},
		{"tcp", "foreign.test.", 6, refused, 0},
	} {
		what := fmt.Sprintf("%s, %s, from %d", c.network, c.zone, c.from)
		m, err := rawExchange(c.network, sec.addr(), pack(t, request(c.zone, c.from)))
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		several := c.answers < 0 && len(m.Answer) > 1
		if !slices.Contains(c.rcodes, m.Rcode) || !several && len(m.Answer) != c.answers {
			t.Errorf("%s: %s and %d records", what, dns.RcodeToString[m.Rcode], len(m.Answer))
		}
	}
	holds(t, sec.addr(), peersOrigin, rrs)
}

// NSD tcp_underrun: clients that send less than they announce, and go away or stay, are let go and hold nobody up.
func TestCutOffClientsHoldNobodyUp(t *testing.T) {
	t.Parallel()
	p := newPlayer(t)
	p.plays(peersOrigin, role{records: simple(peersOrigin, 1)})
	sec := followed(t, p, peersOrigin, 1)
	before := sec.proc.sockets(t)
	whole := pack(t, question(peersOrigin, dns.TypeSOA))
	framed := append([]byte{0, byte(len(whole))}, whole...)
	var open []net.Conn
	for n := range 2 * len(framed) {
		c, err := net.Dial("tcp", sec.addr())
		if err != nil {
			t.Fatalf("Connection: %v", err)
		}
		if _, err := c.Write(framed[:n%len(framed)]); err != nil {
			t.Fatalf("Connection: %v", err)
		}
		if n < len(framed) {
			c.Close()
		} else {
			open = append(open, c)
		}
	}
	if m := over(t, "tcp", sec.addr(), question(peersOrigin, dns.TypeSOA)); len(m.Answer) != 1 {
		t.Errorf("Answer beside them: %v", m)
	}
	p.rises(t, sec, peersOrigin, role{records: simple(peersOrigin, 2)})
	for _, c := range open {
		c.Close()
	}
	eventually(t, settleLimit, "Sockets closed", func() string {
		if n := sec.proc.sockets(t); n > before+5 {
			return fmt.Sprintf("%d, there were %d", n, before)
		}
		return ""
	})
}

// BIND xfer "statistics": the octets and records that we count for a transfer are those that dig counts.
func TestTransferIsCountedAsDigDoes(t *testing.T) {
	t.Parallel()
	const origin, records = "counted.test.", 5000
	prim := startBIND(t, primarySpec{Zones: map[string]string{origin: plainZone(origin, 1, records, longTimers)}})
	sec := newSecondary(t)
	sec.start(t, secondarySpec{Zones: []string{origin}, Block: "primary " + prim.addr()})
	sec.serves(t, origin, 1, syncLimit)
	size := digSize(t, prim.addr(), origin)
	if size.records != records+1 {
		t.Fatalf("dig has %d records, want %d", size.records, records+1)
	}
	sec.counts(t, 1, "transfers_total", "type", "axfr", "result", "ok")
	m := scrape(t, sec.Metrics)
	if complaint := m.is(records, "zone_records", "zone", origin); complaint != "" {
		t.Error(complaint)
	}
	// The length in front of each message may count, or not.
	if n := int(m.sum("transfer_bytes_total", "type", "axfr")); n != size.octets && n != size.octets+2*size.messages {
		t.Errorf("%d octets; dig has %d in %d messages", n, size.octets, size.messages)
	}
}

// transferSize is what dig says of a transfer. It is a plain value.
type transferSize struct{ records, messages, octets int }

// digSize transfers a zone with dig.
func digSize(t *testing.T, addr, zone string) (size transferSize) {
	t.Helper()
	host, port, _ := net.SplitHostPort(addr)
	out := run(t, "dig", "@"+host, "-p", port, "+edns=0", "+nocookie", "+noall", "+stats", zone, "AXFR")
	const line = ";; XFR size: %d records (messages %d, bytes %d)"
	for i := range out {
		if n, _ := fmt.Sscanf(out[i:], line, &size.records, &size.messages, &size.octets); n == 3 {
			return size
		}
	}
	t.Fatalf("dig does not tell the size:\n%s", tail(out))
	return size
}
