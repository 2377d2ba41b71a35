package zone_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

const typePrivate = 65280 // RFC 6895 §3.1: private use, opaque RDATA

// checked builds contents of the zone example. and checks their structure.
func checked(t *testing.T, rrs []wire.RR) *zone.Contents {
	t.Helper()
	c := build(t, "example.", append(rrs, record(soaRecord)))
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	return c
}

// found reports whether the answer to a question is one set of that type.
func found(c *zone.Contents, name wire.Name, rrtype uint16, a *zone.Answer) bool {
	c.Lookup(zone.Query{Name: name, Type: rrtype}, a)
	return a.Outcome == zone.Success && len(a.Answer) == 1 && a.Answer[0].Type == rrtype && a.Answer[0].Owner.Equal(name)
}

// A set far larger than a page comes back whole and in order, and its neighbors are found around it.
func TestRRsetOf20000Records(t *testing.T) {
	dnstest.Alone(t)
	const n = 20_000
	var rrs []wire.RR
	for i := range uint32(n) {
		rrs = append(rrs, wire.RR{Owner: numbered(5), Type: wire.TypeA, Class: wire.ClassIN, TTL: 60,
			Data: binary.BigEndian.AppendUint32(nil, i)})
	}
	for _, i := range []uint32{0, 4, 6, 9} {
		rrs = append(rrs, wire.RR{Owner: numbered(i), Type: wire.TypeA, Class: wire.ClassIN, TTL: 60, Data: []byte{192, 0,
			2, 1}})
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(rrs), func(i, j int) { rrs[i], rrs[j] = rrs[j], rrs[i] })
	c := checked(t, rrs)
	var a zone.Answer
	for _, i := range []uint32{0, 4, 5, 6, 9} {
		if !found(c, numbered(i), wire.TypeA, &a) {
			t.Errorf("owner %d: %+v", i, a)
		}
	}
	found(c, numbered(5), wire.TypeA, &a)
	next := uint32(0)
	for data := range a.Answer[0].All() {
		if got := binary.BigEndian.Uint32(data); got != next {
			t.Fatalf("record %d is %d", next, got)
		}
		next++
	}
	if next != n || a.Answer[0].Count != n {
		t.Errorf("%d records, Count %d", next, a.Answer[0].Count)
	}
}

// RFC 1035 §3.2.1: RDLENGTH goes up to 65,535, and may be 0.
func TestLongestAndShortestRDATA(t *testing.T) {
	long := bytes.Repeat([]byte{0xab}, 65535)
	other := append(bytes.Clone(long[:65534]), 0xac)
	rr := func(i uint32, data []byte) wire.RR {
		return wire.RR{Owner: numbered(i), Type: typePrivate, Class: wire.ClassIN, TTL: 60, Data: data}
	}
	c := checked(t, []wire.RR{rr(1, nil), rr(2, other), rr(2, long), rr(3, nil), rr(3, long[:127]), rr(3, long[:128])})
	var a zone.Answer
	for i, want := range map[uint32][][]byte{1: {{}}, 2: {long, other}, 3: {{}, long[:127], long[:128]}} {
		if !found(c, numbered(i), typePrivate, &a) {
			t.Fatalf("owner %d: %d", i, a.Outcome)
		}
		if got := slices.Collect(a.Answer[0].All()); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("owner %d: %d records", i, len(got))
		}
	}
	if want := int64(6*(18+10) + 2*65535 + 127 + 128 + 9 + 10 + 46); c.Size() != want {
		t.Errorf("size %d, want %d", c.Size(), want)
	}
}

func TestOwnerWith3000Types(t *testing.T) {
	dnstest.Alone(t)
	const first, n = 1000, 3000
	var rrs []wire.RR
	for i := range uint16(n) {
		rrs = append(rrs, wire.RR{Owner: numbered(5), Type: first + n - 1 - i, Class: wire.ClassIN, TTL: uint32(i),
			Data: []byte{byte(i)}})
	}
	rrs = append(rrs, wire.RR{Owner: numbered(6), Type: wire.TypeA, Class: wire.ClassIN, TTL: 60, Data: []byte{192, 0, 2, 1}})
	c := checked(t, rrs)
	var a zone.Answer
	for i := range uint16(n) {
		if !found(c, numbered(5), first+i, &a) || a.Answer[0].TTL != n-1-uint32(i) {
			t.Fatalf("type %d: %+v", first+i, a)
		}
	}
	for _, missing := range []uint16{wire.TypeA, first - 1, first + n, 65535} {
		if c.Lookup(zone.Query{Name: numbered(5), Type: missing}, &a); a.Outcome != zone.NoData {
			t.Errorf("type %d: %+v", missing, a)
		}
	}
	if c.Lookup(zone.Query{Name: numbered(5), Type: wire.TypeANY}, &a); len(a.Answer) != 1 || a.Answer[0].Type != first {
		t.Errorf("ANY: %d sets", len(a.Answer))
	}
}

// RFC 1035 §2.3.4: names of 255 octets, labels of 63 octets and 127 labels, of octets that are hard on keys.
func TestLongestNames(t *testing.T) {
	dnstest.Alone(t)
	apex := wire.Name("\x07example\x00")
	var names []wire.Name
	for _, octet := range []byte{0, 1, 2, 'a', 'Z', 0xff} {
		label := slices.Concat([]byte{63}, bytes.Repeat([]byte{octet}, 63))
		wide := slices.Concat([]byte{53}, bytes.Repeat([]byte{octet}, 53), label, label, label, apex)
		deep := append(bytes.Repeat([]byte{1, octet}, 123), apex...)
		names = append(names, wide, deep)
	}
	var rrs []wire.RR
	for _, n := range names {
		if len(n) != wire.MaxName {
			t.Fatalf("%d octets", len(n))
		}
		rrs = append(rrs, wire.RR{Owner: n, Type: wire.TypeA, Class: wire.ClassIN, TTL: 60, Data: []byte{192, 0, 2, 1}})
	}
	c := checked(t, rrs)
	o := dnstest.NewOracle(apex, append(rrs, record(soaRecord)))
	compareAll(t, c, o)

	root := build(t, ".", []wire.RR{record(". 60 IN SOA a. b. 1 2 3 4 5"), {
		Owner: append(bytes.Repeat([]byte{1, 'x'}, 127), 0), Type: wire.TypeA, Class: wire.ClassIN, TTL: 60,
		Data: []byte{192, 0, 2, 1},
	}})
	if err := root.Check(); err != nil {
		t.Error(err)
	}
	var a zone.Answer
	if deepest := append(bytes.Repeat([]byte{1, 'X'}, 127), 0); !found(root, deepest, wire.TypeA, &a) {
		t.Errorf("127 labels: %+v", a)
	}
}

// compareAll asks contents and oracle everything the oracle finds worth asking.
func compareAll(t *testing.T, c *zone.Contents, o *dnstest.Oracle) {
	t.Helper()
	var a zone.Answer
	for _, q := range o.Questions() {
		ask(c, q, &a)
		if diff := compareReplies(q, o.Lookup(q), reply(&a)); diff != "" {
			t.Fatalf("%s (-oracle +lookup):\n%s", q, diff)
		}
	}
}

// 100,000 owners fill many pages and several nodes: each is found, and neither the name before nor the one behind it
// is, on whatever border of a page or node it lies.
func TestEveryOwnerOf100000IsFound(t *testing.T) {
	dnstest.Alone(t)
	const n = 100_000
	var rrs []wire.RR
	for i := range uint32(n) {
		rrs = append(rrs, wire.RR{Owner: numbered(2 * i), Type: wire.TypeA, Class: wire.ClassIN, TTL: 60,
			Data: binary.BigEndian.AppendUint32(nil, i)})
	}
	inOrder := checked(t, rrs)
	rand.New(rand.NewPCG(3, 4)).Shuffle(len(rrs), func(i, j int) { rrs[i], rrs[j] = rrs[j], rrs[i] })
	shuffled := checked(t, rrs)
	for _, c := range []*zone.Contents{inOrder, shuffled} {
		var a zone.Answer
		for i := range uint32(n) {
			name := numbered(2 * i)
			if !found(c, name, wire.TypeA, &a) || binary.BigEndian.Uint32(a.Answer[0].First()) != i {
				t.Fatalf("owner %d: %+v", i, a)
			}
			behind := slices.Concat(wire.Name("\x09"), name[1:9], wire.Name("\x00"), name[9:])
			for _, missing := range []wire.Name{numbered(2*i + 1), behind, append(wire.Name("\x01x"), name...)} {
				if c.Lookup(zone.Query{Name: missing, Type: wire.TypeA}, &a); a.Outcome != zone.NXDomain {
					t.Fatalf("%s: %+v", missing, a)
				}
			}
		}
		for _, missing := range []string{"!.example.", "zzzzzzzz.example.", `\000.example.`, `\255.example.`} {
			name, err := wire.ParseName(missing)
			if err != nil {
				t.Fatal(err)
			}
			if c.Lookup(zone.Query{Name: name, Type: wire.TypeA}, &a); a.Outcome != zone.NXDomain {
				t.Errorf("%s: %+v", missing, a)
			}
		}
		if c.Records() != n+1 {
			t.Errorf("%d records", c.Records())
		}
	}
}

// What covers a name is found wherever the pages begin: cuts, DNAMEs and empty non-terminals with thousands of names
// below.
func TestCoversReachOverPages(t *testing.T) {
	const below = 3000 // owners of some 30 octets each: many pages
	rrs := records("cut.example. 60 IN NS ns.example.net.", "dname.example. 60 IN DNAME example.net.",
		"zz.example. 60 IN A 192.0.2.1")
	for i := range uint32(below) {
		for _, parent := range []string{"\x03cut", "\x05dname", "\x03ent"} {
			n := numbered(2 * i)
			owner := slices.Concat(n[:9], wire.Name(parent), n[9:])
			rrs = append(rrs, wire.RR{Owner: owner, Type: wire.TypeA, Class: wire.ClassIN, TTL: 60, Data: []byte{192, 0, 2, 1}})
		}
	}
	rand.New(rand.NewPCG(7, 8)).Shuffle(len(rrs), func(i, j int) { rrs[i], rrs[j] = rrs[j], rrs[i] })
	c := checked(t, rrs)
	var a zone.Answer
	for i := range uint32(2 * below) {
		n := numbered(i)
		for parent, want := range map[string][2]zone.Outcome{ // for even and for odd numbers
			"\x03cut": {zone.Referral, zone.Referral}, "\x05dname": {zone.Success, zone.Success},
			"\x03ent": {zone.Success, zone.NXDomain},
		} {
			name := slices.Concat(n[:9], wire.Name(parent), n[9:])
			if c.Lookup(zone.Query{Name: name, Type: wire.TypeA}, &a); a.Outcome != want[i&1] {
				t.Fatalf("%s: %+v", name, a)
			}
			if below := append(wire.Name("\x01x"), name...); parent != "\x03ent" {
				if c.Lookup(zone.Query{Name: below, Type: wire.TypeA}, &a); a.Outcome != want[0] {
					t.Fatalf("%s: %+v", below, a)
				}
			}
		}
	}
	for question, want := range map[string]zone.Outcome{"ent.example.": zone.NoData, "cut.example.": zone.Referral,
		"ent0.example.": zone.NXDomain, "zz.example.": zone.Success} {
		name, err := wire.ParseName(question)
		if err != nil {
			t.Fatal(err)
		}
		if c.Lookup(zone.Query{Name: name, Type: wire.TypeA}, &a); a.Outcome != want {
			t.Errorf("%s: %+v", question, a)
		}
	}
}

// Pages are cut where the next owner does not fit: sizes around the limit, one octet at a time.
func TestPagesOfEverySizeAroundTheLimit(t *testing.T) {
	var a zone.Answer
	for size := zone.MaxPage/2 - 80; size < zone.MaxPage/2+20; size++ {
		var rrs []wire.RR
		for i := range uint32(5) {
			rrs = append(rrs, wire.RR{Owner: numbered(i), Type: typePrivate, Class: wire.ClassIN, TTL: 60,
				Data: bytes.Repeat([]byte{byte(i)}, size)})
		}
		c := checked(t, rrs)
		for i := range uint32(5) {
			if !found(c, numbered(i), typePrivate, &a) || !bytes.Equal(a.Answer[0].First(), rrs[i].Data) {
				t.Fatalf("size %d, owner %d: %+v", size, i, a)
			}
		}
	}
}

// The last owner of a page is the one before whatever lies between it and the next page: a cut, a DNAME, a closest
// encloser.
func TestLastOwnerOfAPageIsFoundFromTheNext(t *testing.T) {
	large := fmt.Sprintf(" 60 IN TYPE65280 \\# 2100 %04200d", 0)
	s := serve(t, "example.", soaRecord, "a.example."+large, "a.example. 60 IN NS ns.other.", "b.example."+large,
		"b.example. 60 IN DNAME other.",
		"c.c.example."+large, "*.c.example. 60 IN TXT x", "d.example."+large)
	s.expect(t, "x.a.example. A", referral([]string{"a.example. 60 IN NS ns.other."}, nil))
	s.expect(t, "x.b.example. A", answer("b.example. 60 IN DNAME other.", "x.b.example. 60 IN CNAME x.other."))
	s.expect(t, "d.c.example. TXT", answer("d.c.example. 60 IN TXT x"))
	s.expect(t, "x.c.c.example. TXT", nxdomain())
	s.expect(t, "x.d.example. A", nxdomain())
}
