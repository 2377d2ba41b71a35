//go:build e2e

package e2e_test

import (
	octets "encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Scenarios of the peers' suites about the stream of a transfer: how messages are cut, and what may stand in them.

// BIND xfer: a zone in which nothing can be compressed, in messages of nearly 64 KB (RFC 5936 §3.4, RFC 1035 §4.2.2).
func TestUncompressedMessagesOf64KBArriveWhole(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	rrs := simple(peersOrigin, 1)
	for range 1500 {
		label := make([]byte, 30)
		for i := range label {
			label[i] = byte('a' + rng.IntN(26))
		}
		rrs = append(rrs, record(`%s.%s 300 IN TXT "%x%[1]s"`, label, peersOrigin, rng.Uint64()))
	}
	largest := 0
	p := newPlayer(t)
	p.plays(peersOrigin, role{records: rrs, transfer: func(w dns.ResponseWriter, q *dns.Msg) {
		m := reply(q)
		m.Compress = false
		size := m.Len()
		for _, rr := range append(slices.Clone(rrs), rrs[0]) {
			if size += dns.Len(rr); size > dns.MaxMsgSize {
				largest = max(largest, m.Len())
				_ = w.WriteMsg(m)
				m.Answer, size = nil, size-m.Len()+12+len(peersOrigin)+5
			}
			m.Answer = append(m.Answer, rr)
		}
		_ = w.WriteMsg(m)
	}})
	sec := followed(t, p, peersOrigin, 1)
	if largest < 60_000 {
		t.Errorf("The largest message has %d octets", largest)
	}
	holds(t, sec.addr(), peersOrigin, rrs)
}

// NSD axfr_mid_soa, axfr_incoming, Knot axfr/cross_msg_compr: streams that no good primary sends. The version served stays,
// the link says why, and the next good version is taken.
func TestMalformedStreamsChangeNothing(t *testing.T) {
	t.Parallel()
	whole := append(simple(peersOrigin, 2), soaOf(peersOrigin, 2))
	for name, c := range map[string]struct {
		stream func(w dns.ResponseWriter, q *dns.Msg)
		reason string
	}{
		// RFC 1035 §4.1.4: a pointer leads to a prior place of the same message.
		"pointer into the message before": {func(w dns.ResponseWriter, q *dns.Msg) {
			sends(whole[:3]...)(w, q)
			_, _ = w.Write(pointing(q, 0x0080))
		}, "malformed"},
		"pointer to itself": {func(w dns.ResponseWriter, q *dns.Msg) {
			sends(whole[:3]...)(w, q)
			_, _ = w.Write(pointing(q, 12))
		}, "malformed"},
		"empty message":           {withMessage(whole, []byte{}), "malformed"},
		"header cut":              {withMessage(whole, []byte{0, 0, 0x84}), "malformed"},
		"zeros":                   {withMessage(whole, make([]byte, 12)), "bad_response"},
		"noise":                   {withMessage(whole, []byte(strings.Repeat("\xa5\x5a", 300))), ""},
		"SOA in the middle":       {sends(slices.Insert(slices.Clone(whole), 2, soaOf(peersOrigin, 2))...), "bad_response"},
		"other SOA in the middle": {sends(slices.Insert(slices.Clone(whole), 2, soaOf(peersOrigin, 3))...), "soa_mismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlayer(t)
			p.plays(peersOrigin, role{records: simple(peersOrigin, 1)})
			sec := followed(t, p, peersOrigin, 1)
			p.plays(peersOrigin, role{records: whole[:3], transfer: c.stream})
			p.tells(t, sec, peersOrigin)
			if c.reason != "" {
				sec.blocked(t, peersOrigin, p.address, c.reason)
			} else {
				sec.counts(t, 1, "link_blocked", "zone", peersOrigin)
			}
			sec.keeps(t, peersOrigin, 1, 200*time.Millisecond)
			p.rises(t, sec, peersOrigin, role{records: simple(peersOrigin, 3)})
			sec.normal(t, peersOrigin, p.address)
		})
	}
}

// withMessage sends a message of any octets in front of the last record.
func withMessage(rrs []dns.RR, msg []byte) func(w dns.ResponseWriter, q *dns.Msg) {
	return func(w dns.ResponseWriter, q *dns.Msg) {
		last := len(rrs) - 1
		sends(rrs[:last]...)(w, q)
		_, _ = w.Write(msg)
		sends(rrs[last])(w, q)
	}
}

// pointing is an answer without a question to q, of one address record whose owner is a pointer to an offset.
func pointing(q *dns.Msg, offset uint16) []byte {
	b := octets.BigEndian.AppendUint16(nil, q.Id)
	b = append(b, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0)
	b = octets.BigEndian.AppendUint16(b, 0xC000|offset)
	return append(b, 0, 1, 0, 1, 0, 0, 1, 0x2c, 0, 4, 192, 0, 2, 1)
}

// NSD axfr_oversize_rr: the largest record that a message can hold is taken, served over TCP and handed out again; a client
// of UDP is told to come back (RFC 2181 §9).
func TestLargestRecordIsServed(t *testing.T) {
	t.Parallel()
	// What a message with the SOA's question has room for: header, question, pointer to the owner, type, class, TTL, length.
	room := dns.MaxMsgSize - 1 - 12 - len(peersOrigin) - 1 - 4 - 12
	big := raw(peersOrigin, 65280, 300, strings.Repeat("ab", room))
	rrs := append(simple(peersOrigin, 1), big)
	p := newPlayer(t)
	p.plays(peersOrigin, role{records: rrs, transfer: func(w dns.ResponseWriter, q *dns.Msg) {
		sends(rrs[:3]...)(w, q)
		sends(big)(w, q)
		sends(rrs[0])(w, q)
	}})
	sec := followed(t, p, peersOrigin, 1)
	holds(t, sec.addr(), peersOrigin, rrs)
	q := new(dns.Msg).SetQuestion(peersOrigin, 65280)
	if m := over(t, "tcp", sec.addr(), q); len(m.Answer) != 1 || m.Truncated {
		t.Errorf("Over TCP: %d records, TC %v, %s", len(m.Answer), m.Truncated, dns.RcodeToString[m.Rcode])
	}
	if m := over(t, "udp", sec.addr(), q); len(m.Answer) != 0 || !m.Truncated {
		t.Errorf("Over UDP: %d records, TC %v", len(m.Answer), m.Truncated)
	}
}

// NSD ixfr_large_soa: a SOA with names as long as names can be, in AXFR and in differences, where it comes four times.
func TestLargestSOAIsFollowed(t *testing.T) {
	t.Parallel()
	long := func(first string) string { // 255 octets on the wire
		name := strings.Repeat(strings.Repeat("l", 61)+".", 3)
		rest := 255 - 1 - len(name) - len(peersOrigin) - 1 // the first label's length, and the root's
		return first + strings.Repeat("x", rest-len(first)) + "." + name + peersOrigin
	}
	version := func(serial uint32) []dns.RR {
		rrs := simple(peersOrigin, serial)
		rrs[0] = record("%s 3600 IN SOA %s %s %d 3600 900 1209600 300", peersOrigin, long("m"), long("r"), serial)
		return rrs
	}
	p := newPlayer(t)
	p.plays(peersOrigin, role{records: version(1)})
	sec := followed(t, p, peersOrigin, 1)
	for serial := uint32(2); serial < 5; serial++ {
		old, new := version(serial-1), version(serial)
		p.rises(t, sec, peersOrigin, role{records: new, transfer: sends(new[0], old[0], old[2], new[0], new[2], new[0])})
		cameAs(t, sec, serial, "a large SOA", "ixfr")
		holds(t, sec.addr(), peersOrigin, new)
	}
}

// BIND xfer: a key of the algorithm PRIVATEDNS whose key begins with a name that goes beyond its RDATA.
// Nobody but a validator reads that; we pass it on.
func TestKeyWithACutPrivateNameIsPassedOn(t *testing.T) {
	t.Parallel()
	rrs := simple(peersOrigin, 1)
	for i, key := range []string{"ff61", "3f616263", "c00c", "", "00"} {
		rrs = append(rrs, raw(fmt.Sprintf("k%d.%s", i, peersOrigin), dns.TypeKEY, 300, "010003fd"+key))
	}
	p := newPlayer(t)
	p.plays(peersOrigin, role{records: rrs})
	sec := followed(t, p, peersOrigin, 1)
	holds(t, sec.addr(), peersOrigin, rrs)
}

// Knot records/duplicates, empty_rdata, huge_rrset, obsolete, zone/ttl_mismatch: what a zone may hold, however odd.
func TestOddRecordsAreServed(t *testing.T) {
	t.Parallel()
	rrs := simple(peersOrigin, 1, append(hosts(peersOrigin, 3),
		// RFC 1035 §3.3, RFC 1183, RFC 1712, RFC 2163, RFC 2230, RFC 1706: types that nobody makes any more.
		"old.peers.test. 300 IN MB mail.peers.test.", "old.peers.test. 300 IN MG mail.peers.test.",
		"old.peers.test. 300 IN MR mail.peers.test.", "old.peers.test. 300 IN MINFO a.peers.test. b.peers.test.",
		"old.peers.test. 300 IN MD a.peers.test.", "old.peers.test. 300 IN MF a.peers.test.",
		"old.peers.test. 300 IN X25 311061700956", "old.peers.test. 300 IN RT 10 a.peers.test.",
		"old.peers.test. 300 IN GPOS 1.0 2.0 3.0", "old.peers.test. 300 IN PX 10 a.peers.test. b.peers.test.",
		"old.peers.test. 300 IN AFSDB 1 a.peers.test.", "old.peers.test. 300 IN KX 1 a.peers.test.",
		"old.peers.test. 300 IN RP a.peers.test. b.peers.test.", `old.peers.test. 300 IN SPF "v=spf1 -all"`)...)
	for _, s := range []string{"4e534150", "0001", "ff00ff"} {
		rrs = append(rrs, raw("nsap."+peersOrigin, 22, 300, s)) // NSAP
	}
	rrs = append(rrs,
		raw("wks."+peersOrigin, 11, 300, "c00002010600000140"),                // RFC 1035 §3.4.2
		raw("a6."+peersOrigin, 38, 300, "0020010db8000000000000000000000001"), // RFC 2874
		// RDATA of no octets: RFC 3123 §4, RFC 1035 §3.3.10, RFC 3597 §5.
		raw("empty."+peersOrigin, dns.TypeAPL, 300, ""), raw("empty."+peersOrigin, dns.TypeNULL, 300, ""),
		raw("empty."+peersOrigin, 65281, 300, ""))
	for i := range 900 {
		rrs = append(rrs, record("huge.%s 300 IN AAAA 2001:db8::%x", peersOrigin, i))
	}
	sent := slices.Clone(rrs)
	for i := range 3 { // RFC 2181 §5: each is one record
		sent = append(sent, record("h%d.%s 300 IN A 10.0.0.%d", i, strings.ToUpper(peersOrigin), i))
	}
	different := []dns.RR{record("ttl.%s 300 IN A 192.0.2.1", peersOrigin), record("ttl.%s 30 IN A 192.0.2.2", peersOrigin)}
	rrs, sent = append(rrs, different...), append(sent, different...)
	// RFC 1035 §3.4.1: an address has four octets.
	sent = append(sent,
		raw("bad."+peersOrigin, dns.TypeA, 300, "c00002"), raw("bad."+peersOrigin, dns.TypeA, 300, "c000020101"))
	p := newPlayer(t)
	p.plays(peersOrigin, role{records: sent})
	sec := followed(t, p, peersOrigin, 1)
	holds(t, sec.addr(), peersOrigin, rrs)
	sec.counts(t, 2, "rule_violations_total", "rule", "malformed_record")
	sec.normal(t, peersOrigin, p.address)
	for _, rr := range ask(t, sec.addr(), "ttl."+peersOrigin, dns.TypeA).Answer { // RFC 2181 §5.2: the lowest of the set
		if rr.Header().Ttl != 30 {
			t.Errorf("%s, want a TTL of 30", rr)
		}
	}
	for name, c := range map[string]struct {
		qtype uint16
		want  int
	}{"huge": {dns.TypeAAAA, 900}, "ttl": {dns.TypeA, 2}, "empty": {dns.TypeAPL, 1}, "bad": {dns.TypeA, 0}, "wks": {11, 1}} {
		if m := over(t, "tcp", sec.addr(), new(dns.Msg).SetQuestion(name+"."+peersOrigin, c.qtype)); len(m.Answer) != c.want {
			t.Errorf("%s: %d records, want %d", name, len(m.Answer), c.want)
		}
	}
}

// NSD xfr_nsec_upper, Knot records/nsec_lettercase: RFC 6840 §5.1 leaves the case of the next name to the signer. It is
// kept, and the proof is found however it is written.
func TestNSECInUpperCaseIsKeptAndFound(t *testing.T) {
	t.Parallel()
	rrs := simple(peersOrigin, 1,
		"peers.test. 3600 IN DNSKEY 257 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0d",
		"peers.test. 300 IN NSEC HOST.PEERS.TEST. NS SOA RRSIG NSEC DNSKEY",
		"Host.Peers.Test. 300 IN A 192.0.2.1",
		"hOST.pEERS.tEST. 300 IN NSEC Version.Peers.TEST. A RRSIG NSEC",
		"VERSION.peers.test. 300 IN NSEC Peers.Test. TXT RRSIG NSEC")
	for _, rr := range slices.Clone(rrs) {
		rrs = append(rrs, &dns.RRSIG{
			Hdr:         dns.RR_Header{Name: rr.Header().Name, Rrtype: dns.TypeRRSIG, Class: dns.ClassINET, Ttl: rr.Header().Ttl},
			TypeCovered: rr.Header().Rrtype, Algorithm: 13, Labels: uint8(dns.CountLabel(rr.Header().Name)), OrigTtl: rr.Header().Ttl,
			Expiration: 2_000_000_000, Inception: 1_700_000_000, KeyTag: 1, SignerName: "PEERS.Test.",
			Signature: "c2lnbmF0dXJlIG9mIG5vYm9keSB0aGF0IGlzIGFzIGxvbmcgYXMgb25lIG9mIEVDRFNBIHNob3VsZCBiZSE=",
		})
	}
	p := newPlayer(t)
	p.plays(peersOrigin, role{records: rrs})
	sec := followed(t, p, peersOrigin, 1)
	for name, next := range map[string]string{"i": "Version.Peers.TEST.", "Z": "Peers.Test.", "A": "HOST.PEERS.TEST."} {
		q := question(name+"."+peersOrigin, dns.TypeA)
		q.IsEdns0().SetDo()
		m, err := exchange(sec.addr(), q)
		if err != nil {
			t.Fatalf("Question: %v", err)
		}
		found := slices.ContainsFunc(m.Ns, func(rr dns.RR) bool {
			nsec, ok := rr.(*dns.NSEC)
			return ok && nsec.NextDomain == next
		})
		if m.Rcode != dns.RcodeNameError || !found {
			t.Errorf("%s: %s, want the NSEC that leads to %s in %v", name, dns.RcodeToString[m.Rcode], next, m.Ns)
		}
	}
	var want, got []string
	for _, rr := range rrs {
		want = append(want, rdataOf(rr))
	}
	for _, rr := range received(t, sec.addr(), peersOrigin) {
		got = append(got, rdataOf(rr))
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		t.Errorf("RDATA of AXFR:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// rdataOf is type and RDATA of a record on the wire.
func rdataOf(rr dns.RR) string {
	b := make([]byte, dns.Len(rr)+1)
	n, err := dns.PackRR(rr, b, 0, nil, false)
	if err != nil {
		panic(err) // a fault of the test itself
	}
	name := len(rr.Header().Name) + 1
	return dns.TypeToString[rr.Header().Rrtype] + " " + hex.EncodeToString(b[name+8:n])
}

// BIND xfer: primaries that do not know EDNS, and say so with FORMERR or NOTIMP (RFC 6891 §7).
func TestPrimaryWithoutEDNSIsFollowed(t *testing.T) {
	t.Parallel()
	for _, code := range []int{dns.RcodeFormatError, dns.RcodeNotImplemented} {
		t.Run(dns.RcodeToString[code], func(t *testing.T) {
			t.Parallel()
			p := newPlayer(t)
			ignorant := func(rrs []dns.RR) role {
				return role{records: rrs, query: func(w dns.ResponseWriter, q *dns.Msg) {
					if q.IsEdns0() != nil {
						rcode(code)(w, q)
						return
					}
					sends(rrs[0])(w, q)
				}}
			}
			p.plays(peersOrigin, ignorant(simple(peersOrigin, 1)))
			sec := followed(t, p, peersOrigin, 1)
			p.rises(t, sec, peersOrigin, ignorant(simple(peersOrigin, 2)))
			sec.normal(t, peersOrigin, p.address)
		})
	}
}
