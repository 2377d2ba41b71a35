package xfrout_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/xfrout"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// failer is what tests and properties have in common.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// seal makes contents of records; those that no zone can hold are left out.
func seal(t failer, origin wire.Name, rrs []wire.RR) *zone.Contents {
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

func parseName(s string) wire.Name {
	n, err := wire.ParseName(s)
	if err != nil {
		panic(err)
	}
	return n
}

// line is a record to the octet.
func line(rr *wire.RR) string {
	return fmt.Sprintf("%q %d %d %d %x", []byte(rr.Owner), rr.Type, rr.Class, rr.TTL, rr.Data)
}

// linesOf returns all records of contents, the SOA first.
func linesOf(c *zone.Contents) (lines []string) {
	for rr := range c.All() {
		lines = append(lines, line(rr))
	}
	return lines
}

// opt is an OPT record as the adapter makes it.
var opt = []byte{0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 0}

// collect returns the messages of an answer.
func collect(a *xfrout.Answer) (all [][]byte) {
	for msg := range a.Messages(time.Now) {
		all = append(all, bytes.Clone(msg))
	}
	return all
}

// read returns the records of messages, and fails if these are not what an answer may have (RFC 5936 §2.2).
func read(t failer, h xfrout.Head, messages [][]byte) (lines []string) {
	t.Helper()
	for i, msg := range messages {
		var r wire.Reader
		head, err := r.Reset(msg)
		if err != nil {
			t.Fatal(err)
		}
		additions := uint16(min(len(h.OPT), 1))
		if head.ID != h.ID || !head.Response() || !head.Authoritative() || head.Truncated() || head.Rcode() != 0 || head.Opcode() != 0 ||
			head.Flags&(1<<8) != 0 != h.RecursionDesired || head.Questions != 1 || head.Nss != 0 || head.Additions != additions {
			t.Fatalf("message %d has the header %+v", i, head)
		}
		if name, qtype, qclass, err := r.Question(); err != nil || !bytes.Equal(name, h.Name) || qtype != h.Type || qclass != 1 {
			t.Fatalf("message %d asks %s %d %d, error %v", i, name, qtype, qclass, err)
		}
		if len(messages) > 1 && i == 0 && head.Answers < 2 {
			t.Fatalf("the first message has %d records of more; alone, a SOA says that there is nothing newer (RFC 1995 §4)", head.Answers)
		}
		var rr wire.RR
		for range head.Answers {
			if err := r.Next(&rr); err != nil {
				t.Fatalf("message %d: %v", i, err)
			}
			lines = append(lines, line(&rr))
		}
		if !bytes.Equal(msg[r.Offset():], h.OPT) {
			t.Fatalf("message %d ends in %x; want OPT %x", i, msg[r.Offset():], h.OPT)
		}
		if err := new(dns.Msg).Unpack(msg); err != nil && !strings.Contains(err.Error(), "overflow") {
			t.Fatalf("message %d as miekg/dns reads it: %v", i, err)
		}
	}
	return lines
}

// RFC 5936 §2.2: the answer to AXFR has every record once, to the octet, between two SOAs, however the name was spelled and
// wherever messages end.
func TestAnswerHasTheWholeZone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := dnstest.Zones().Draw(t, "zone")
		c := seal(t, z.Origin, z.Records)
		h := xfrout.Head{ID: rapid.Uint16().Draw(t, "id"), RecursionDesired: rapid.Bool().Draw(t, "RD"), Name: z.Origin, Type: dns.TypeAXFR}
		if rapid.Bool().Draw(t, "upper case") {
			h.Name = dnstest.UpperCase(z.Origin)
		}
		if rapid.Bool().Draw(t, "EDNS") {
			h.OPT = opt
		}
		a, err := xfrout.NewAnswer(h, c, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a.Narrow(rapid.IntRange(500, 6000).Draw(t, "room")) != nil {
			t.Skip("a record fits into no message")
		}
		want := linesOf(c)
		messages := collect(a)
		got := read(lenient{t}, h, messages)
		if diff := cmp.Diff(append(want, want[0]), got); diff != "" {
			t.Fatalf("records (-zone +sent):\n%s", diff)
		}
		octets := 0
		for _, m := range messages {
			octets += len(m)
		}
		if a.Records != len(got) || a.Octets != int64(octets) {
			t.Fatalf("counts %d records, %d octets; want %d, %d", a.Records, a.Octets, len(got), octets)
		}
	})
}

// lenient passes over a SOA that stands alone in the first message: with little room, a long record may not fit beside it.
type lenient struct{ failer }

func (l lenient) Fatalf(format string, args ...any) {
	if !strings.HasPrefix(format, "the first message") {
		l.failer.Fatalf(format, args...)
	}
}

// history returns n versions of a random zone that begins with so many records, and the differences between them.
func history(t testing.TB, n, records int) (versions []*zone.Contents, differences []*zone.Difference) {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(n), uint64(records)))
	z := dnstest.Zone{Origin: parseName("example.")}
	var rrs []wire.RR
	for i := range n {
		rrs = slices.DeleteFunc(rrs, func(wire.RR) bool { return rng.IntN(20) == 0 })
		for len(rrs) < records {
			owner := parseName(fmt.Sprintf("h%d.Sub%d.example.", rng.IntN(1000), rng.IntN(4)))
			rrs = append(rrs, wire.RR{Owner: owner, Type: dns.TypeA, Class: 1, TTL: 60, Data: []byte{192, 0, 2, byte(rng.IntN(255))}})
		}
		c := seal(t, z.Origin, append(slices.Clone(rrs), z.SOA(uint32(1<<32-3+i), 300)))
		if i > 0 {
			d, err := c.Difference(versions[i-1], 0)
			if err != nil {
				t.Fatal(err)
			}
			differences = append(differences, d)
		}
		versions = append(versions, c)
	}
	return versions, differences
}

// apply does to the records of a version what an answer to IXFR says, as RFC 1995 §4 has it.
func apply(t failer, have, sent []string) []string {
	soa, now := sent[0], slices.Clone(have)
	if sent[len(sent)-1] != soa {
		t.Fatalf("ends with %s; want %s", sent[len(sent)-1], soa)
	}
	isSOA := func(s string) bool { return strings.Contains(s, "\" 6 1 ") }
	adding := true
	for _, s := range sent[1 : len(sent)-1] {
		if isSOA(s) {
			adding = !adding
		}
		at := slices.Index(now, s)
		switch {
		case adding && at >= 0:
			t.Fatalf("adds %s, which is there", s)
		case adding:
			now = append(now, s)
		case at < 0:
			t.Fatalf("removes %s, which is not there", s)
		default:
			now = slices.Delete(now, at, at+1)
		}
	}
	slices.Sort(now)
	return now
}

// RFC 1995 §4: the answer to IXFR from each of 20 versions makes the latest of it, across 2^32 and over many messages.
func TestAnswerHasTheDifferences(t *testing.T) {
	versions, differences := history(t, 20, 300)
	latest := versions[len(versions)-1]
	want := slices.Sorted(slices.Values(linesOf(latest)))
	for i, v := range versions[:len(versions)-1] {
		for _, room := range []int{200, 1000, 1 << 16} {
			h := xfrout.Head{ID: 7, Name: parseName("EXAMPLE."), Type: dns.TypeIXFR, OPT: opt}
			a, err := xfrout.NewAnswer(h, latest, differences[i:])
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Narrow(room); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, apply(t, linesOf(v), read(t, h, collect(a)))); diff != "" {
				t.Fatalf("from %s with %d octets a message (-latest +made):\n%s", v.Serial(), room, diff)
			}
		}
	}
}

// RFC 8945 §5.3.1: each message is signed, and fits with its signature; for every algorithm, as our own Stream and miekg/dns
// find.
func TestMessagesAreSigned(t *testing.T) {
	versions, _ := history(t, 1, 5000)
	requestMAC := []byte("0123456789abcdef")
	const secret = "c2VjcmV0IG9mIHRoZSB0ZXN0IGtleSwgMzIgb2N0ZXRz"
	for _, algorithm := range append(xfr.AlgorithmNames(), "hmac-sha512-256") {
		k, err := xfr.NewKey("down.example.", algorithm, secret)
		if err != nil {
			t.Fatal(err)
		}
		h := xfrout.Head{ID: 7, Name: versions[0].Origin(), Type: dns.TypeAXFR, OPT: opt, Key: k, RequestMAC: requestMAC}
		a, err := xfrout.NewAnswer(h, versions[0], nil)
		if err != nil {
			t.Fatal(err)
		}
		messages := collect(a)
		if len(messages) < 2 || len(messages[0]) > xfrout.MaxMessage || len(messages[0]) < xfrout.MaxMessage-100 {
			t.Errorf("%s: %d messages, the first of %d octets; want them full", algorithm, len(messages), len(messages[0]))
		}
		mac := fmt.Sprintf("%x", requestMAC)
		stream := xfr.NewStream(k, requestMAC)
		for i, msg := range messages {
			if algorithm != "hmac-md5" && algorithm != "hmac-sha512-256" { // miekg/dns knows neither
				m := new(dns.Msg)
				if err := m.Unpack(msg); err != nil {
					t.Fatal(err)
				}
				if err := dns.TsigVerify(bytes.Clone(msg), secret, mac, i > 0); err != nil {
					t.Errorf("%s, message %d as miekg/dns checks it: %v", algorithm, i, err)
				}
				mac = m.IsTsig().MAC
			}
			if messages[i], err = stream.Verify(msg); err != nil {
				t.Fatalf("%s, message %d: %v", algorithm, i, err)
			}
		}
		if err := stream.Finish(); err != nil {
			t.Error(err)
		}
		want := linesOf(versions[0])
		if diff := cmp.Diff(append(want, want[0]), read(t, h, messages)); diff != "" {
			t.Errorf("%s: records (-zone +sent):\n%s", algorithm, diff)
		}
	}
}

// A record that fits into no message is found before anything is sent, among differences too; one octet less, and it is sent.
func TestRecordThatFitsIntoNoMessage(t *testing.T) {
	z := dnstest.Zone{Origin: parseName("example.")}
	owner := parseName("Long.example.")
	fits := xfrout.MaxMessage - 12 - len("\x07example\x00") - 4 - len(opt) - len("\x04Long") - 2 - 10
	ns := wire.RR{Owner: z.Origin, Type: dns.TypeNS, Class: 1, TTL: 1, Data: parseName("ns.example.")}
	before := seal(t, z.Origin, []wire.RR{z.SOA(1, 300), ns})
	for _, octets := range []int{fits, fits + 1} {
		long := wire.RR{Owner: owner, Type: 65280, Class: 1, TTL: 1, Data: bytes.Repeat([]byte{1}, octets)}
		c := seal(t, z.Origin, []wire.RR{z.SOA(2, 300), ns, long})
		d, err := c.Difference(before, 0)
		if err != nil {
			t.Fatal(err)
		}
		for what, chain := range map[string][]*zone.Difference{"AXFR": nil, "IXFR": {d}} {
			h := xfrout.Head{Name: z.Origin, Type: dns.TypeAXFR, OPT: opt}
			a, err := xfrout.NewAnswer(h, c, chain)
			if octets == fits {
				if err != nil {
					t.Fatalf("%s, %d octets: %v", what, octets, err)
				}
				messages := collect(a)
				if got := read(t, h, messages); !slices.Contains(got, line(&long)) || len(messages) != 3 {
					t.Errorf("%s: sent %d records in %d messages without the long one", what, len(got), len(messages))
				}
				continue
			}
			tooLong, ok := errors.AsType[*xfrout.TooLongError](err)
			if !ok || !tooLong.Owner.Equal(owner) || !strings.Contains(err.Error(), "TYPE65280 record of Long.example.") {
				t.Errorf("%s, %d octets: error %v; want one that names the record", what, octets, err)
			}
		}
	}
}

// RFC 1035 §4.1.4: a pointer has 14 bits, so names behind that are no targets. What stands before is one to the end.
func TestNamesAreCompressed(t *testing.T) {
	versions, _ := history(t, 1, 3000)
	c := versions[0]
	h := xfrout.Head{Name: c.Origin(), Type: dns.TypeAXFR}
	a, err := xfrout.NewAnswer(h, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	messages := collect(a)
	read(t, h, messages)
	if a.Octets > c.Size()*7/10 {
		t.Errorf("%d octets of records are sent in %d; want at most 70 %%", c.Size(), a.Octets)
	}
	last := messages[len(messages)-1]
	if len(messages) != 2 || binary.BigEndian.Uint16(last[len(last)-2-len(soaOf(c)):]) != uint16(len(soaOf(c))) {
		t.Errorf("%d messages, the last ends in %x; want two, and the SOA at the end", len(messages), last[len(last)-40:])
	}
}

func soaOf(c *zone.Contents) []byte {
	for rr := range c.All() {
		return rr.Data
	}
	return nil
}

// Whoever wants no more messages gets none.
func TestAnswerIsStopped(t *testing.T) {
	versions, _ := history(t, 1, 5000)
	a, err := xfrout.NewAnswer(xfrout.Head{Name: versions[0].Origin(), Type: dns.TypeAXFR}, versions[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Narrow(1000); err != nil {
		t.Fatal(err)
	}
	n := 0
	for range a.Messages(time.Now) {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 || a.Records == 0 || a.Octets > 3000 {
		t.Errorf("%d messages, %d records, %d octets", n, a.Records, a.Octets)
	}
}

// An answer holds one message, however many records there are.
func TestAnswerHoldsOneMessage(t *testing.T) {
	c := bigZone(t, 200_000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	a, err := xfrout.NewAnswer(xfrout.Head{Name: c.Origin(), Type: dns.TypeAXFR}, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range a.Messages(time.Now) {
		continue
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 4*xfrout.MaxMessage || a.Octets < 50*xfrout.MaxMessage {
		t.Errorf("%d octets of memory for an answer of %d", n, a.Octets)
	}
}

// bigZone returns contents of about n records.
func bigZone(tb testing.TB, n int) *zone.Contents {
	z := dnstest.Zone{Origin: parseName("big.test.")}
	rrs := []wire.RR{z.SOA(1, 300)}
	for i := range n / 2 {
		owner := parseName(fmt.Sprintf("h%07d.big.test.", i))
		rrs = append(rrs, wire.RR{Owner: owner, Type: dns.TypeA, Class: 1, TTL: 60, Data: []byte{10, byte(i >> 16), byte(i >> 8), byte(i)}},
			wire.RR{Owner: owner, Type: dns.TypeTXT, Class: 1, TTL: 60, Data: []byte("\x0fsome other text")})
	}
	return seal(tb, z.Origin, rrs)
}

// The messages of a million records, and the time until there is the first.
func BenchmarkAnswer(b *testing.B) {
	c := bigZone(b, 1e6)
	k, err := xfr.NewKey("down.example.", "hmac-sha256", "c2VjcmV0IG9mIHRoZSB0ZXN0IGtleSwgMzIgb2N0ZXRz")
	if err != nil {
		b.Fatal(err)
	}
	for what, key := range map[string]*xfr.Key{"unsigned": nil, "signed": k} {
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			var first time.Duration
			var octets int64
			for b.Loop() {
				began := time.Now()
				a, err := xfrout.NewAnswer(xfrout.Head{Name: c.Origin(), Type: dns.TypeAXFR, Key: key, RequestMAC: []byte("mac")}, c, nil)
				if err != nil {
					b.Fatal(err)
				}
				for range a.Messages(time.Now) {
					if a.Octets <= xfrout.MaxMessage {
						first += time.Since(began)
					}
				}
				octets = a.Octets
			}
			b.ReportMetric(float64(first.Microseconds())/float64(b.N), "us-to-first")
			b.ReportMetric(float64(octets), "octets")
		})
	}
}
