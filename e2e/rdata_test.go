//go:build e2e

package e2e_test

import (
	bigendian "encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const (
	rdataTimeout = 30 * time.Second // for one answer or transfer
	rdataLong    = 16 << 10         // octets of RDATA that are many for a difference
)

// rdataPrimary sends one record of each case, in a zone of its own: of three secondaries some refuse a transfer for a record.
// Once it is at its second version, the record is at another name, and comes as a difference.
type rdataPrimary struct {
	cases  map[string]*rdataCase // by origin
	second atomic.Bool
	addr   string
}

// startRDATAPrimary starts it with these cases.
func startRDATAPrimary(t *testing.T, lists ...[]*rdataCase) *rdataPrimary {
	t.Helper()
	p := &rdataPrimary{cases: map[string]*rdataCase{}}
	for _, list := range lists {
		for _, c := range list {
			p.cases[c.origin] = c
		}
	}
	p.addr = serveDNS(t, "127.0.0.1", nil, p.serve)
	return p
}

func (p *rdataPrimary) serve(w dns.ResponseWriter, q *dns.Msg) {
	name, qtype := q.Question[0].Name, q.Question[0].Qtype
	c := p.cases[dns.CanonicalName(name)]
	if c == nil {
		_ = w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeRefused))
		return
	}
	serial, label := uint32(1), "r."
	if p.second.Load() {
		serial, label = 2, "i."
	}
	soa := packed(record("%s 3600 IN SOA ns1.%[1]s h.%[1]s %d 3600 900 1209600 300", c.origin, serial))
	switch {
	case qtype == dns.TypeIXFR && serial == 2:
		old := packed(record("%s 3600 IN SOA ns1.%[1]s h.%[1]s 1 3600 900 1209600 300", c.origin))
		send(w, q, soa, old)
		if len(c.sent()) < rdataLong { // it stays: two of them are more than the zone has, and the whole zone would be asked for
			send(w, q, c.record("r."))
		}
		send(w, q, soa)
		send(w, q, c.record(label))
		send(w, q, soa)
	case qtype == dns.TypeAXFR || qtype == dns.TypeIXFR:
		send(w, q, append([][]byte{soa, packed(record("%s 3600 IN NS ns1.%[1]s", c.origin)), packed(record("ns1.%s 3600 IN A 192.0.2.1", c.origin))},
			c.keys()...)...)
		send(w, q, c.record(label))
		send(w, q, soa)
	default:
		send(w, q, soa)
	}
}

// keys are what makes a zone a signed one.
func (c *rdataCase) keys() (rrs [][]byte) {
	if !c.signed {
		return nil
	}
	return [][]byte{
		packed(record("%s 3600 IN DNSKEY 257 3 13 aGVsbG8=", c.origin)),
		packed(record("%s 3600 IN RRSIG DNSKEY 13 2 3600 20380101000000 20200101000000 1 %[1]s aGVsbG8=", c.origin)),
		packed(record("%s 300 IN NSEC %[1]s NS SOA RRSIG NSEC DNSKEY", c.origin)),
	}
}

// packed is a record on the wire.
func packed(rr dns.RR) []byte {
	buf := make([]byte, 1024)
	n, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		panic(err) // a fault of the test itself
	}
	return buf[:n]
}

// record is the record of the case as it is sent, at a name below the origin, which stands in the question.
func (c *rdataCase) record(label string) []byte {
	data := c.sent()
	b := append([]byte{byte(len(label) - 1)}, label[:len(label)-1]...)
	b = append(b, 0xC0, 12)
	b = bigendian.BigEndian.AppendUint16(b, c.rrtype)
	b = append(b, 0, 1, 0, 0, 0, 60)
	return append(bigendian.BigEndian.AppendUint16(b, uint16(len(data))), data...)
}

// send sends a message with these records.
func send(w dns.ResponseWriter, q *dns.Msg, rrs ...[]byte) {
	m := bigendian.BigEndian.AppendUint16(nil, q.Id)
	m = append(m, 0x84, 0, 0, 1, 0, byte(len(rrs)), 0, 0, 0, 0)
	m = append(m, wireName(q.Question[0].Name)...)
	m = bigendian.BigEndian.AppendUint16(m, q.Question[0].Qtype)
	m = append(m, 0, 1)
	_, _ = w.Write(append(m, slices.Concat(rrs...)...)) // whoever goes away has asked in vain
}

// outcome is what a server makes of a case, or what went wrong.
type outcome string

const (
	serves   outcome = "serves"
	asSent   outcome = "serves as sent" // with a pointer in it that it took for octets
	changes  outcome = "changes"        // has other octets
	discards outcome = "discards"       // has the zone without the record
	refuses  outcome = "refuses"        // has no such zone
)

// rawAsk sends a query and returns all of the reply's messages, which are several in a transfer. Over TCP each is read to the
// end of its length.
func rawAsk(network, addr, name string, qtype uint16) (msgs [][]byte, err error) {
	m := question(name, qtype)
	if network == "tcp" {
		m.Extra = nil // the longest records have no room beside it
	} else {
		m.IsEdns0().SetUDPSize(4096)
	}
	q, err := m.Pack()
	if err != nil {
		return nil, err
	}
	c, err := net.Dial(network, addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(rdataTimeout))
	if network == "udp" {
		buf := make([]byte, 1<<16)
		if _, err := c.Write(q); err != nil {
			return nil, err
		}
		n, err := c.Read(buf)
		if err == nil && buf[2]&2 != 0 {
			return rawAsk("tcp", addr, name, qtype)
		}
		return [][]byte{buf[:n]}, err
	}
	if _, err := c.Write(append(bigendian.BigEndian.AppendUint16(nil, uint16(len(q))), q...)); err != nil {
		return nil, err
	}
	for soas := 0; ; {
		var length [2]byte
		if _, err := io.ReadFull(c, length[:]); err != nil {
			return msgs, err
		}
		msg := make([]byte, bigendian.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(c, msg); err != nil {
			return msgs, err
		}
		msgs = append(msgs, msg)
		if qtype != dns.TypeAXFR || msg[3]&15 != 0 {
			return msgs, nil
		}
		rrs, err := rawRecords(msg)
		if err != nil {
			return msgs, err
		}
		for _, r := range rrs {
			if r.rrtype == dns.TypeSOA {
				soas++
			}
		}
		if soas == 2 {
			return msgs, nil
		}
	}
}

// found looks for the record of the case at an owner.
func (c *rdataCase) found(msgs [][]byte, owner string, anyCase bool) outcome {
	result := discards
	for _, msg := range msgs {
		rrs, err := rawRecords(msg)
		if err != nil {
			return outcome("broken message: " + err.Error())
		}
		for _, r := range rrs {
			if !strings.EqualFold(r.owner, owner) || r.rrtype != c.rrtype {
				continue
			}
			if result = c.compare(msg, r.off, r.end, anyCase); result == serves {
				return serves
			}
		}
	}
	return result
}

// askable reports whether a server answers a question for a type with its records: others stand for several types, or are for
// the server itself; and NSEC3 records have no names that can be asked for (RFC 5155 §7.2.8).
func askable(rrtype uint16) bool {
	return rrtype != 0 && rrtype != dns.TypeOPT && rrtype != dns.TypeNSEC3 && (rrtype < 128 || rrtype > 255)
}

// asked asks a server for the record of a case.
func asked(addr string, c *rdataCase, owner string, anyCase bool) outcome {
	msgs, err := rawAsk("udp", addr, owner, c.rrtype)
	if err != nil {
		return outcome("no answer: " + err.Error())
	}
	if rcode := msgs[0][3] & 15; rcode != dns.RcodeSuccess && rcode != dns.RcodeNameError {
		return refuses
	}
	return c.found(msgs, owner, anyCase)
}

// transferred looks for the record of a case in a transfer from a server.
func transferred(addr string, c *rdataCase, owner string, anyCase bool) outcome {
	msgs, err := rawAsk("tcp", addr, c.origin, dns.TypeAXFR)
	if err != nil {
		return outcome("no transfer: " + err.Error())
	}
	if msgs[0][3]&15 != 0 {
		return refuses
	}
	return c.found(msgs, owner, anyCase)
}

// allRDATACases returns every case in a zone whose name begins with prefix.
func allRDATACases(prefix string, signed bool) (list []*rdataCase) {
	for _, rrtype := range slices.Sorted(maps.Keys(rdataCases)) {
		for _, text := range rdataCases[rrtype] {
			c := newRDATACase(rrtype, text, fmt.Sprintf("%s%04d.test.", prefix, len(list)))
			c.signed = signed
			list = append(list, c)
		}
	}
	return list
}
