package fastpath_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/fastpath"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// FuzzParse compares what is read of a query with what miekg/dns reads, and the reply with the query.
func FuzzParse(f *testing.F) {
	for _, k := range kinds {
		f.Add(k.query(f))
	}
	for _, p := range []parts{
		plain(), plain().with(opt(0, do)), plain().with(opt(65535, 0xffff, option(dns.EDNS0COOKIE, make([]byte, 8)...)...)),
		plain().with(opt(1232, 0, option(dns.EDNS0SUBNET, 0, 1, 24, 0, 192, 0, 2)...)),
	} {
		f.Add(p.octets())
	}
	f.Add(dnstest.Pack(new(dns.Msg).SetNotify("example.")))
	f.Fuzz(func(t *testing.T, msg []byte) {
		var q fastpath.Query
		kind := q.Parse(msg, supported)
		checkDisarmed(t, msg, &q, kind)
		if kind != fastpath.Plain {
			return
		}
		msg = bytes.Clone(msg)
		q.Parse(msg, supported)
		var r, m dns.Msg
		if r.Unpack(msg) != nil { // for an option that is ignored here, whatever is in it
			q.Disarm()
			if err := r.Unpack(msg); err != nil {
				t.Fatalf("Query %x is plain: %v", msg, err)
			}
		}
		size, flags := 0, uint16(0)
		if o := r.IsEdns0(); o != nil {
			size, flags = int(o.UDPSize()), uint16(o.Hdr.Ttl)
		}
		asked, room := r.Question[0], max(size, 512)
		if q.Name.String() != asked.Name || q.Type != asked.Qtype || q.DNSSEC != (flags&do != 0) || q.Room != room {
			t.Fatalf("Query %x: read as %s %d, DNSSEC %v, room %d", msg, q.Name, q.Type, q.DNSSEC, q.Room)
		}
		reply := checkReply(t, msg, &zone.Answer{})
		if err := m.Unpack(reply); err != nil || m.Id != r.Id || m.Question[0] != asked {
			t.Fatalf("Query %x, reply %x: %v %v", msg, reply, err, &m)
		}
	})
}

// checkDisarmed disarms a message and checks that it changed nothing but what miekg/dns refuses, and that an error is an
// answer to the message.
func checkDisarmed(t *testing.T, msg []byte, q *fastpath.Query, kind fastpath.Kind) {
	t.Helper()
	if kind == fastpath.Malformed || kind == fastpath.BadVersion {
		reply := new(fastpath.Writer).Refuse(make([]byte, fastpath.MaxQuery), q, kind)
		var m dns.Msg
		if err := m.Unpack(reply); err != nil || m.Id != binary.BigEndian.Uint16(msg) || !m.Response || m.Rcode == 0 || len(reply) > len(msg)+11 {
			t.Fatalf("Query %x, reply %x: %v", msg, reply, err)
		}
	}
	var before, after dns.Msg
	err := before.Unpack(bytes.Clone(msg))
	changed := bytes.Clone(msg)
	q.Parse(changed, supported)
	q.Disarm()
	if after.Unpack(changed) != nil && err == nil || err == nil && before.String() != after.String() {
		t.Fatalf("Message %x is disarmed to %x", msg, changed)
	}
}

// FuzzReply answers from a zone of whatever records octets can be read as. Every name is within the root's zone.
func FuzzReply(f *testing.F) {
	for _, records := range [][]string{
		{"a.b. 1 IN A 192.0.2.1", "a.b. 1 IN TXT a b c", "b. 1 IN NS a.b.", "c. 1 IN CNAME x.c."},
		{
			"x.c. 1 IN MX 1 B.c.", "x.c. 1 IN MX 2 b.c.", "B.c. 1 IN AAAA 2001:db8::1", "x.c. 1 IN SRV 1 2 3 b.c.",
			"d. 1 IN DNAME c.",
		},
		{
			"p. 1 IN PTR p.", "p. 1 IN HINFO a b", "p. 1 IN RP a.p. p.", "p. 1 IN NSEC x.p. A NS",
			"p. 1 IN TYPE65280 \\# 3 c00c00",
		},
	} {
		f.Add(dnstest.Pack(&dns.Msg{Answer: dnstest.Records(records...), Compress: true})[wire.HeaderLen:])
	}
	soa := readRecords(dnstest.Pack(&dns.Msg{Answer: dnstest.Records(". 300 IN SOA a. B.a. 1 2 3 4 5")}))[0]
	f.Fuzz(func(t *testing.T, octets []byte) {
		b := zone.NewBuilder(wire.Name{0}, zone.Limits{})
		if err := b.Add(&soa); err != nil {
			t.Fatal(err)
		}
		rrs := slices.DeleteFunc(readRecords(append(make([]byte, wire.HeaderLen), octets...)), strange)
		for i := range rrs {
			if rrs[i].Type != wire.TypeSOA && b.Add(&rrs[i]) != nil {
				return
			}
		}
		c, err := b.Seal()
		if err != nil {
			t.Fatal(err)
		}
		for i := range rrs[:min(len(rrs), maxFuzzed)] {
			p := plain().with(opt(4096, do))
			p.qtype = rrs[i].Type
			below := append(wire.Name("\x01x"), rrs[i].Owner...)
			for _, p.name = range []wire.Name{rrs[i].Owner, dnstest.UpperCase(rrs[i].Owner), below} {
				var q fastpath.Query
				query := bytes.Clone(p.octets())
				if q.Parse(query, supported) != fastpath.Plain {
					continue
				}
				var a zone.Answer
				lookup(c, &q, &a)
				checkReply(t, query, &a)
			}
		}
	})
}

// strange reports whether miekg/dns, which reads the replies here, cannot read a record.
func strange(rr wire.RR) bool {
	h := dns.RR_Header{Name: ".", Rrtype: rr.Type, Class: dns.ClassINET, Rdlength: uint16(len(rr.Data))}
	_, off, err := dns.UnpackRRWithHeader(h, rr.Data, 0)
	return err != nil || off != len(rr.Data)
}

// maxFuzzed is how many of the records of a fuzzed zone are asked for.
const maxFuzzed = 16
