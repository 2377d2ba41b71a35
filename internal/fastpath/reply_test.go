package fastpath_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/fastpath"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// seal makes contents of records.
func seal(t rapid.TB, origin wire.Name, rrs []wire.RR) *zone.Contents {
	t.Helper()
	b := zone.NewBuilder(origin, zone.Limits{})
	for i := range rrs {
		if err := b.Add(&rrs[i]); err != nil {
			t.Fatal(err)
		}
	}
	c, err := b.Seal()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// contentsOf makes contents of records in presentation form.
func contentsOf(t rapid.TB, origin string, records ...string) *zone.Contents {
	t.Helper()
	name, err := wire.ParseName(origin)
	if err != nil {
		t.Fatal(err)
	}
	var rrs []wire.RR
	for _, rr := range dnstest.Records(records...) {
		rrs = append(rrs, readRecords(dnstest.Pack(&dns.Msg{Answer: []dns.RR{rr}}))...)
	}
	return seal(t, name, rrs)
}

// readRecords returns the records of a message without a question, up to the first that is broken.
func readRecords(msg []byte) (rrs []wire.RR) {
	var r wire.Reader
	if _, err := r.Reset(msg); err != nil {
		return nil
	}
	for r.Offset() < len(msg) {
		var rr wire.RR
		if err := r.Next(&rr); err != nil {
			return rrs
		}
		rr.Owner, rr.Data = rr.Owner.Clone(), bytes.Clone(rr.Data)
		rrs = append(rrs, rr)
	}
	return rrs
}

// parsed parses a query that has to be plain.
func parsed(t rapid.TB, msg []byte) *fastpath.Query {
	t.Helper()
	q := new(fastpath.Query)
	if q.Parse(msg, supported) != fastpath.Plain {
		t.Fatalf("Query %x is not plain", msg)
	}
	q.Limit(maxMessage)
	return q
}

// lookup looks a query up.
func lookup(c *zone.Contents, q *fastpath.Query, a *zone.Answer) {
	c.Lookup(zone.Query{Name: q.Name, Type: q.Type, DNSSEC: q.DNSSEC}, a)
}

// maxMessage is as much as a query can ask for.
const maxMessage = 65507

// checkReply checks the reply to a query in every way, and returns it.
func checkReply(t rapid.TB, query []byte, a *zone.Answer) []byte {
	t.Helper()
	q := parsed(t, query)
	room := q.Room
	q.Room = maxMessage
	var w fastpath.Writer
	msg, ok := w.Reply(make([]byte, maxMessage), q, a)
	if !ok {
		if n := len(packed(t, query, a)); n <= maxMessage && suffixes(q, a) <= remembered {
			t.Fatalf("Query %x: the reply, of %d octets for miekg/dns, has no room", query, n)
		}
		return nil
	}
	checkRoom(t, q, a, msg)
	q.Room = room
	short, ok := w.Reply(make([]byte, maxMessage), q, a)
	if !ok || len(short) > room || len(msg) <= room && !bytes.Equal(short, msg) {
		t.Fatalf("Query %x: reply of %d octets, room for %d: %v, %d octets", query, len(msg), room, ok, len(short))
	}
	checkShort(t, q, a, short)
	checkOctets(t, msg, a)
	checkMessage(t, query, msg, a)
	if want := packed(t, query, a); len(msg) > len(want) && suffixes(q, a) <= remembered {
		t.Fatalf("Query %x: reply of %d octets\n%x\nwant %d\n%x", query, len(msg), msg, len(want), want)
	}
	return msg
}

// checkRoom checks that a reply fits exactly into its length.
func checkRoom(t rapid.TB, q *fastpath.Query, a *zone.Answer, msg []byte) {
	t.Helper()
	var w fastpath.Writer
	n := len(msg)
	more := n + 8
	for _, c := range []struct {
		room, buf int
		fits      bool
	}{{n, n, true}, {n, more, true}, {more, n, true}, {more, n - 1, false}, {n, n / 2, false}} {
		q.Room = c.room
		buf := make([]byte, more)
		again, ok := w.Reply(buf[:0:c.buf], q, a)
		if ok != c.fits || ok && (!bytes.Equal(again, msg) || &again[0] != &buf[0]) {
			t.Fatalf("Reply of %d octets, room for %d, buffer of %d: %v, %d octets", n, c.room, c.buf, ok, len(again))
		}
		if behind := buf[c.buf:]; !bytes.Equal(behind, make([]byte, len(behind))) {
			t.Fatalf("Written behind the buffer: %x", behind)
		}
	}
}

// checkShort checks a reply of which sets may have been left out: from the end, as many as have no room, none in part, and TC
// says so unless it is additional data that is no glue (RFC 2181 §9, RFC 9471 §3.1).
func checkShort(t rapid.TB, q *fastpath.Query, a *zone.Answer, msg []byte) {
	t.Helper()
	var m dns.Msg
	if err := m.Unpack(msg); err != nil {
		t.Fatalf("Reply %x: %v", msg, err)
	}
	records := []int{len(m.Answer), len(m.Ns), len(m.Extra)}
	if m.IsEdns0() != nil {
		records[2]--
	}
	part, more := *a, *a
	longer := []*[]zone.Set{&more.Answer, &more.Authority, &more.Additional}
	kept, cut := 0, false
	for i, sets := range []*[]zone.Set{&part.Answer, &part.Authority, &part.Additional} {
		n := 0
		for ; n < len(*sets) && records[i] > 0; n++ {
			records[i] -= (*sets)[n].Count
		}
		if records[i] != 0 || cut && n > 0 {
			t.Fatalf("Reply %x: %d records of section %d that are no whole sets, or sets behind one that is left out", msg, records[i], i)
		}
		*longer[i] = (*sets)[:min(len(*sets), n+1):len(*sets)]
		if cut {
			*longer[i] = nil
		}
		cut = cut || n < len(*sets)
		kept, *sets = kept+n, (*sets)[:n:n]
	}
	if m.Truncated != (kept < len(a.Answer)+len(a.Authority)+a.Glue) {
		t.Fatalf("%d sets are kept of %d + %d + %d glue, TC %v", kept, len(a.Answer), len(a.Authority), a.Glue, m.Truncated)
	}
	checkOctets(t, msg, &part)
	wide, w := *q, fastpath.Writer{}
	wide.Room = maxMessage
	if msg, ok := w.Reply(make([]byte, maxMessage), &wide, &more); ok && cut && len(msg) <= q.Room {
		t.Fatalf("One set more makes %d octets, and has room in %d", len(msg), q.Room)
	}
}

// checkOctets checks that the records of a reply have every octet of a's sets, in their order and case.
func checkOctets(t rapid.TB, msg []byte, a *zone.Answer) {
	t.Helper()
	var r wire.Reader
	h, err := r.Reset(msg)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := r.Question(); err != nil {
		t.Fatal(err)
	}
	counts := []uint16{h.Answers, h.Nss, h.Additions}
	for i, sets := range [][]zone.Set{a.Answer, a.Authority, a.Additional} {
		for _, s := range sets {
			for data := range s.All() {
				counts[i]--
				var rr wire.RR
				if err := r.Next(&rr); err != nil {
					t.Fatalf("Reply %x: %v", msg, err)
				}
				want := wire.RR{Owner: s.Owner, Type: s.Type, Class: wire.ClassIN, TTL: s.TTL, Data: data}
				if diff := cmp.Diff(want, rr, cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("Reply %x (-want +got):\n%s", msg, diff)
				}
				if end := r.Offset(); !old(s.Type) && !bytes.Equal(msg[end-len(data):end], data) {
					t.Fatalf("Reply %x: the RDATA of %s is not as it was", msg, dnstest.Line(&rr))
				}
			}
		}
	}
	if counts[2] == 1 { // the OPT record
		if _, err := r.Skip(); err != nil {
			t.Fatal(err)
		}
		counts[2]--
	}
	if !slices.Equal(counts, []uint16{0, 0, 0}) || r.Offset() != len(msg) {
		t.Fatalf("Reply %x: %d records and %d octets more", msg, counts, len(msg)-r.Offset())
	}
}

// checkMessage checks that miekg/dns sees the reply that it would have written.
func checkMessage(t rapid.TB, query, msg []byte, a *zone.Answer) {
	t.Helper()
	if slices.ContainsFunc(rdata(a), unreadable) {
		return
	}
	var got dns.Msg
	if err := got.Unpack(msg); err != nil {
		t.Fatalf("Reply %x: %v", msg, err)
	}
	want := expected(t, query, a, readable)
	if diff := cmp.Diff(lines(want), lines(&got)); diff != "" {
		t.Fatalf("Query %x, reply %x (-want +got):\n%s", query, msg, diff)
	}
}

// lines returns all of a message as text.
func lines(m *dns.Msg) (s []string) {
	s = append(s, fmt.Sprintf("%+v %+v", m.MsgHdr, m.Question))
	for i, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			h := *rr.Header()
			h.Rdlength = 0
			s = append(s, fmt.Sprintf("%d: %d %+v %s", i, h.Class, h, rr))
		}
	}
	return s
}

// rdatum is the RDATA of one record. It is a plain value.
type rdatum struct {
	rrtype uint16
	data   []byte
}

// rdata returns the RDATA of an answer.
func rdata(a *zone.Answer) (all []rdatum) {
	for _, s := range slices.Concat(a.Answer, a.Authority, a.Additional) {
		for data := range s.All() {
			all = append(all, rdatum{s.Type, data})
		}
	}
	return all
}

// unreadable reports whether miekg/dns cannot read RDATA.
func unreadable(r rdatum) bool { return !readable(r.rrtype, r.data) }

func readable(rrtype uint16, data []byte) bool {
	h := dns.RR_Header{Name: ".", Rrtype: rrtype, Class: dns.ClassINET, Rdlength: uint16(len(data))}
	_, off, err := dns.UnpackRRWithHeader(h, data, 0)
	return err == nil && off == len(data)
}

// old reports whether the names in the RDATA of a type may compress.
func old(rrtype uint16) bool {
	return slices.Contains([]uint16{dns.TypeNS, dns.TypeCNAME, dns.TypePTR, dns.TypeMX, dns.TypeSOA}, rrtype)
}

// remembered is how many names a reply may have for all of them to compress.
const remembered = 120

// suffixes returns how many names there are in a reply that pointers could point to.
func suffixes(q *fastpath.Query, a *zone.Answer) int {
	all := map[string]bool{}
	note := func(n wire.Name) {
		for ; n[0] != 0; n = n[1+int(n[0]):] {
			all[string(n)] = true
		}
	}
	note(q.Name)
	for _, s := range slices.Concat(a.Answer, a.Authority, a.Additional) {
		note(s.Owner)
		for data := range s.All() {
			switch s.Type {
			case dns.TypeMX:
				note(data[2:])
			case dns.TypeSOA:
				mname := wire.FirstName(data)
				note(mname)
				note(wire.FirstName(data[len(mname):]))
			case dns.TypeNS, dns.TypeCNAME, dns.TypePTR:
				note(data)
			}
		}
	}
	return len(all)
}

// packed returns the reply to a query as miekg/dns compresses it if it sees no names but those that may compress: it points
// to the others too.
func packed(t rapid.TB, query []byte, a *zone.Answer) []byte {
	t.Helper()
	m := expected(t, query, a, func(rrtype uint16, _ []byte) bool { return old(rrtype) })
	m.Compress = true
	b, err := m.Pack()
	if err != nil {
		t.Fatalf("%v\n%v", err, m)
	}
	return b
}

// expected returns the reply to a query as CoreDNS completes it. typed says which RDATA miekg/dns is to understand.
func expected(t rapid.TB, query []byte, a *zone.Answer, typed func(uint16, []byte) bool) *dns.Msg {
	t.Helper()
	var r, m dns.Msg
	if err := r.Unpack(query); err != nil {
		t.Fatal(err)
	}
	m.SetReply(&r)
	m.Authoritative = a.Outcome != zone.Referral || len(a.Answer) > 0
	m.Rcode = map[zone.Outcome]int{zone.NXDomain: dns.RcodeNameError, zone.YXDomain: dns.RcodeYXDomain}[a.Outcome]
	m.Answer, m.Ns, m.Extra = records(t, a.Answer, typed), records(t, a.Authority, typed), records(t, a.Additional, typed)
	if o := r.IsEdns0(); o != nil {
		o.SetUDPSize(maxMessage)
		o.Hdr.Ttl &= do
		o.Option = nil
		m.Extra = append(m.Extra, o)
	}
	return &m
}

// records returns the records of sets.
func records(t rapid.TB, sets []zone.Set, typed func(uint16, []byte) bool) (rrs []dns.RR) {
	t.Helper()
	for _, s := range sets {
		for data := range s.All() {
			h := dns.RR_Header{Name: s.Owner.String(), Rrtype: s.Type, Class: dns.ClassINET, Ttl: s.TTL}
			h.Rdlength = uint16(len(data))
			if !typed(s.Type, data) {
				rrs = append(rrs, &dns.RFC3597{Hdr: h, Rdata: hex.EncodeToString(data)})
				continue
			}
			rr, _, err := dns.UnpackRRWithHeader(h, data, 0)
			if err != nil {
				t.Fatal(err)
			}
			rrs = append(rrs, rr)
		}
	}
	return rrs
}

// rcodes are the RCODEs of replies, by the oracle's word for what they are.
var rcodes = map[string]int{
	"NOERROR": dns.RcodeSuccess, "NODATA": dns.RcodeSuccess, "REFERRAL": dns.RcodeSuccess, "NXDOMAIN": dns.RcodeNameError,
	"YXDOMAIN": dns.RcodeYXDomain,
}

func TestRepliesAreThoseOfMiekgDNS(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		z := dnstest.AnyZones().Draw(t, "zone")
		c, o := seal(t, z.Origin, z.Records), dnstest.NewOracle(z.Origin, z.Records)
		p := plain()
		p.flags = rapid.SampledFrom([]uint16{0, 1 << 8, 1<<4 | 1<<5 | 1<<6, 1<<4 | 1<<8}).Draw(t, "flags")
		if rapid.Bool().Draw(t, "EDNS") {
			size, flags := rapid.Uint16().Draw(t, "size"), rapid.Uint16().Draw(t, "EDNS flags")
			p = p.with(opt(size, uint32(flags)))
		}
		for _, ask := range dnstest.Some(t, 29, o.Questions()) {
			if p.name, p.qtype = ask.Name, ask.Type; ask.Type == dns.TypeANY || ask.Type == dns.TypeDS {
				continue
			}
			var a zone.Answer
			query := p.octets()
			q := parsed(t, query)
			lookup(c, q, &a)
			msg := checkReply(t, query, &a)
			ask.DNSSEC = q.DNSSEC
			want := o.Lookup(ask)
			if msg == nil || want.Unspecified {
				continue
			}
			aa := want.Outcome != "REFERRAL" || len(want.Answer) > 0
			h, _ := new(wire.Reader).Reset(msg)
			if h.Rcode() != rcodes[want.Outcome] || h.Authoritative() != aa || !h.Response() || h.Truncated() {
				t.Fatalf("%s: flags %#x for %s", ask, h.Flags, want.Outcome)
			}
		}
	})
}

// kind is a kind of reply to a query. It is a plain value.
type kind struct {
	name   string
	qtype  uint16
	edns   bool
	dnssec bool
	octets int // of the reply
}

// kinds are asked of kindsZone.
var kinds = map[string]kind{
	"A":               {name: "www.example.org.", qtype: dns.TypeA, octets: 12 + 21 + 16},
	"A with EDNS":     {name: "www.example.org.", qtype: dns.TypeA, edns: true, octets: 12 + 21 + 16 + 11},
	"A in other case": {name: "wWw.eXample.org.", qtype: dns.TypeA, octets: 12 + 21 + 14 + 14},
	"signed A": {
		name: "www.example.org.", qtype: dns.TypeA, edns: true, dnssec: true, octets: 12 + 21 + 16 + 12 + 18 + 13 + 64 + 11,
	},
	"NXDOMAIN": {name: "none.example.org.", qtype: dns.TypeA, octets: 12 + 22 + 11 + 3 + 3 + 20},
	"CNAME":    {name: "alias.example.org.", qtype: dns.TypeA, octets: 12 + 23 + 12 + 6 + 16},
	"MX":       {name: "example.org.", qtype: dns.TypeMX, edns: true, octets: 12 + 17 + 12 + 2 + 7 + 16 + 11},
	"referral": {name: "x.sub.example.org.", qtype: dns.TypeA, octets: 12 + 23 + 18 + 18 + 16 + 28 + 16},
	"SRV":      {name: "_sip._tcp.example.org.", qtype: dns.TypeSRV, octets: 12 + 27 + 12 + 6 + 17 + 2 + 14},
	"root":     {name: ".", qtype: dns.TypeNS, octets: 12 + 5 + 11 + 3 + 16},
}

func kindsZone(t rapid.TB) *zone.Contents {
	t.Helper()
	signature := "www.example.org. 300 IN RRSIG A 13 3 300 20300101000000 20200101000000 1 example.org. " +
		strings.Repeat("QUJD", 21) + "QQ=="
	return contentsOf(t, ".",
		". 300 IN SOA a. b. 1 3600 900 1209600 300", ". 300 IN NS a.", "a. 300 IN A 192.0.2.9",
		"www.example.org. 300 IN A 192.0.2.1", signature,
		"alias.example.org. 300 IN CNAME www.example.org.", "example.org. 300 IN MX 10 mail.example.org.",
		"mail.example.org. 300 IN A 192.0.2.2", "_sip._tcp.example.org. 300 IN SRV 1 2 5060 www.example.org.",
		"sub.example.org. 300 IN NS ns1.sub.example.org.", "sub.example.org. 300 IN NS ns2.sub.example.org.",
		"ns1.sub.example.org. 300 IN A 192.0.2.3", "ns1.sub.example.org. 300 IN AAAA 2001:db8::3",
		"ns2.sub.example.org. 300 IN A 192.0.2.4")
}

// query returns the query of a kind.
func (k kind) query(t rapid.TB) []byte {
	t.Helper()
	name, err := wire.ParseName(k.name)
	if err != nil {
		t.Fatal(err)
	}
	p := plain()
	p.name, p.qtype = name, k.qtype
	if k.edns {
		var flags uint32
		if k.dnssec {
			flags = do
		}
		p = p.with(opt(1232, flags))
	}
	return p.octets()
}

func TestNamesCompress(t *testing.T) {
	c := kindsZone(t)
	for name, k := range kinds {
		var a zone.Answer
		query := k.query(t)
		lookup(c, parsed(t, query), &a)
		if msg := checkReply(t, query, &a); len(msg) != k.octets {
			t.Errorf("%s: %d octets, want %d: %x", name, len(msg), k.octets, msg)
		}
	}
}

// An alias that leads to a referral has an authoritative answer.
func TestAuthoritativeAnswers(t *testing.T) {
	c := contentsOf(t, "example.", "example. 300 IN SOA ns.example. host.example. 1 3600 900 1209600 300",
		"example. 300 IN NS ns.example.", "sub.example. 300 IN NS ns.other.", "alias.example. 300 IN CNAME www.sub.example.",
		"d.example. 300 IN DNAME "+strings.Repeat(longLabel[:60]+".", 3)+"example.")
	for name, want := range map[string]struct {
		aa    bool
		rcode int
	}{
		"example.":                {true, dns.RcodeSuccess},
		"www.sub.example.":        {false, dns.RcodeSuccess},
		"alias.example.":          {true, dns.RcodeSuccess},
		"no.example.":             {true, dns.RcodeNameError},
		longLabel + ".d.example.": {true, dns.RcodeYXDomain},
	} {
		query := kind{name: name, qtype: dns.TypeA}.query(t)
		var a zone.Answer
		lookup(c, parsed(t, query), &a)
		var m dns.Msg
		if err := m.Unpack(checkReply(t, query, &a)); err != nil {
			t.Fatal(err)
		}
		if m.Id != queryID || m.Authoritative != want.aa || m.Rcode != want.rcode || !m.RecursionDesired || m.RecursionAvailable {
			t.Errorf("%s: %v", name, m.MsgHdr)
		}
	}
}

// Each name ends in the one before, down to the longest there is: to read that it would take more pointers than readers
// follow, if all of them were pointed to.
func TestChainsOfPointersCanBeFollowed(t *testing.T) {
	rrs := []string{". 300 IN SOA . . 1 2 3 4 5"}
	for n := range wire.MaxName / 2 {
		rrs = append(rrs, fmt.Sprintf("a. 300 IN MX %d %s", n, strings.Repeat("a.", n+1)))
	}
	rrs = append(rrs, "a. 300 IN MX 1000 "+strings.Repeat("a.", wire.MaxName/2))
	c := contentsOf(t, ".", rrs...)
	query := kind{name: "a.", qtype: dns.TypeMX, edns: true}.query(t)
	var a zone.Answer
	lookup(c, parsed(t, query), &a)
	if msg := checkReply(t, query, &a); msg == nil || len(a.Answer) != 1 || a.Answer[0].Count != 128 {
		t.Errorf("%d sets, %d octets", len(a.Answer), len(msg))
	}
}

// A referral to very many name servers still compresses as well as with miekg/dns.
func TestManyNamesCompress(t *testing.T) {
	query, c := manyServers(t)
	var a zone.Answer
	lookup(c, parsed(t, query), &a)
	if msg := checkReply(t, query, &a); msg == nil || len(a.Additional) != remembered-3 {
		t.Errorf("%d octets, %d additional sets", len(msg), len(a.Additional))
	}
}

// manyServers returns a query whose reply has as many names as compress.
func manyServers(t rapid.TB) (query []byte, c *zone.Contents) {
	t.Helper()
	rrs := []string{"example. 300 IN SOA . . 1 2 3 4 5"}
	for n := range remembered - 3 {
		server := fmt.Sprintf("ns%d.a.example.", n)
		rrs = append(rrs, "a.example. 300 IN NS "+server, server+" 300 IN A 192.0.2.1")
	}
	p := plain().with(opt(4096, 0))
	p.name = wire.Name("\x01x\x01a\x07example\x00")
	return p.octets(), contentsOf(t, "example.", rrs...)
}

// Names behind the first 16 KiB cannot be pointed to.
func TestNamesFarBehindAreNotPointedTo(t *testing.T) {
	rrs := []string{"example. 300 IN SOA . . 1 2 3 4 5"}
	for n := range 100 {
		host := fmt.Sprintf("h%d.%s.%s.%s.example.", n, longLabel, longLabel, longLabel)
		rrs = append(rrs, "x.example. 300 IN SRV 1 1 1 "+host, host+" 300 IN A 192.0.2.1", host+" 300 IN AAAA 2001:db8::1")
	}
	c := contentsOf(t, "example.", rrs...)
	query := plain().with(opt(math.MaxUint16, 0))
	query.name, query.qtype = wire.Name("\x01x\x07example\x00"), dns.TypeSRV
	var a zone.Answer
	lookup(c, parsed(t, query.octets()), &a)
	if msg := checkReply(t, query.octets(), &a); len(msg) < 1<<14 || len(a.Additional) == 0 {
		t.Errorf("%d octets, %d additional sets", len(msg), len(a.Additional))
	}
}

func TestReplyAllocatesNothing(t *testing.T) {
	c, buf := kindsZone(t), make([]byte, 1232)
	for name, k := range kinds {
		var w fastpath.Writer
		var a zone.Answer
		q := parsed(t, k.query(t))
		lookup(c, q, &a)
		if n := testing.AllocsPerRun(100, func() { w.Reply(buf, q, &a) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// BenchmarkParse, BenchmarkReply and BenchmarkAnswer are a query from its octets to those of the reply: reading, writing,
// and all of it with the lookup between.
func BenchmarkParse(b *testing.B) {
	for name, msg := range map[string][]byte{
		"plain": kinds["A"].query(b), "EDNS": kinds["A with EDNS"].query(b),
		"cookie": plain().with(opt(1232, do, option(dns.EDNS0COOKIE, make([]byte, 8)...)...)).octets(),
	} {
		b.Run(name, func(b *testing.B) {
			var q fastpath.Query
			b.ReportAllocs()
			for b.Loop() {
				q.Parse(msg, supported)
			}
		})
	}
}

func BenchmarkReply(b *testing.B) {
	benchmarkKinds(b, func(_ *zone.Contents, query, buf []byte) func() bool {
		var w fastpath.Writer
		var a zone.Answer
		q := parsed(b, query)
		lookup(kindsZone(b), q, &a)
		return func() bool { _, ok := w.Reply(buf, q, &a); return ok }
	})
}

// BenchmarkManyNames is the reply that takes the most work for its length.
func BenchmarkManyNames(b *testing.B) {
	query, c := manyServers(b)
	var w fastpath.Writer
	var a zone.Answer
	q, buf := parsed(b, query), make([]byte, maxMessage)
	q.Room = maxMessage
	lookup(c, q, &a)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := w.Reply(buf, q, &a); !ok {
			b.Fatal("no reply")
		}
	}
}

func BenchmarkAnswer(b *testing.B) {
	benchmarkKinds(b, func(c *zone.Contents, query, buf []byte) func() bool {
		var q fastpath.Query
		var w fastpath.Writer
		var a zone.Answer
		return func() bool {
			if q.Parse(query, supported) != fastpath.Plain {
				return false
			}
			lookup(c, &q, &a)
			_, ok := w.Reply(buf, &q, &a)
			return ok
		}
	})
}

func benchmarkKinds(b *testing.B, prepare func(c *zone.Contents, query, buf []byte) func() bool) {
	b.Helper()
	c := kindsZone(b)
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		b.Run(name, func(b *testing.B) {
			work := prepare(c, kinds[name].query(b), make([]byte, 1232))
			b.ReportAllocs()
			for b.Loop() {
				if !work() {
					b.Fatal("no reply")
				}
			}
		})
	}
}
