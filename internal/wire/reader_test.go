package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// header is a message header that promises nothing.
const header = "\x12\x34\x84\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// next reads the first record of a message that has records behind its header.
func next(records string) (wire.RR, *wire.Reader, error) {
	var (
		r  wire.Reader
		rr wire.RR
	)
	if _, err := r.Reset([]byte(header + records)); err != nil {
		return rr, &r, err
	}
	err := r.Next(&rr)
	return rr, &r, err
}

func TestHeaderFieldsAreWhereRFC1035PutsThem(t *testing.T) {
	m := new(dns.Msg)
	m.SetQuestion("a.example.", dns.TypeAXFR)
	m.Id, m.Response, m.Authoritative, m.Opcode, m.Rcode = 0xBEEF, true, true, dns.OpcodeNotify, dns.RcodeRefused
	rr := &dns.A{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeA, Class: dns.ClassINET}, A: []byte{1, 2, 3, 4}}
	m.Answer, m.Ns, m.Extra = []dns.RR{rr, rr, rr}, []dns.RR{rr, rr}, []dns.RR{rr}
	buf, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	var r wire.Reader
	h, err := r.Reset(buf)
	if err != nil {
		t.Fatal(err)
	}
	if h.ID != 0xBEEF || h.Questions != 1 || h.Answers != 3 || h.Nss != 2 || h.Additions != 1 {
		t.Errorf("%+v", h)
	}
	if !h.Response() || !h.Authoritative() || h.Truncated() ||
		h.Opcode() != dns.OpcodeNotify || h.Rcode() != dns.RcodeRefused {
		t.Errorf("flags %04x", h.Flags)
	}
	h.Flags = 0x0200
	if h.Response() || h.Authoritative() || !h.Truncated() || h.Opcode() != 0 || h.Rcode() != 0 {
		t.Errorf("flags %04x", h.Flags)
	}
}

func TestMessageShorterThanHeaderIsMalformed(t *testing.T) {
	var (
		r  wire.Reader
		rr wire.RR
	)
	for n := range wire.HeaderLen {
		if _, err := r.Reset(make([]byte, n)); !errors.Is(err, wire.ErrMessage) {
			t.Errorf("%d octets: %v", n, err)
		}
		if err := r.Next(&rr); !errors.Is(err, wire.ErrMessage) {
			t.Errorf("record of %d octets: %v", n, err)
		}
	}
}

func TestReaderReadsQuestionAndRecords(t *testing.T) {
	m := new(dns.Msg)
	m.SetQuestion("Example.", dns.TypeIXFR)
	m.Compress = true
	for _, s := range []string{"Www.Example. 300 IN MX 10 Mail.Example.", "mail.Example. 60 CH A 192.0.2.1"} {
		rr, err := dns.NewRR(s)
		if err != nil {
			t.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	buf, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	var r wire.Reader
	if _, err := r.Reset(buf); err != nil {
		t.Fatal(err)
	}
	qname, qtype, qclass, err := r.Question()
	if err != nil || qname.String() != "Example." || qtype != wire.TypeIXFR || qclass != wire.ClassIN {
		t.Fatalf("question %s %d %d, %v", qname, qtype, qclass, err)
	}
	begin := r.Offset()
	var rr wire.RR
	for _, want := range []string{
		"Www.Example. 15 1 300 000a044d61696c074578616d706c6500",
		"mail.Example. 1 3 60 c0000201",
	} {
		if err := r.Next(&rr); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%s %d %d %d %x", rr.Owner, rr.Type, rr.Class, rr.TTL, rr.Data); got != want {
			t.Errorf("record %s, want %s", got, want)
		}
	}
	if r.Offset() != len(buf) {
		t.Errorf("offset %d of %d", r.Offset(), len(buf))
	}
	if err := r.Next(&rr); !errors.Is(err, wire.ErrMessage) {
		t.Errorf("record behind the end: %v", err)
	}
	if _, err := r.Reset(buf[:begin]); err != nil || r.Offset() != wire.HeaderLen {
		t.Errorf("offset %d after Reset, %v", r.Offset(), err)
	}
}

func TestSkipStopsWhereNextDoes(t *testing.T) {
	r, skipped := wire.Reader{}, wire.Reader{}
	msg := realisticMessage(t)
	for _, reader := range []*wire.Reader{&r, &skipped} {
		if _, err := reader.Reset(msg); err != nil {
			t.Fatal(err)
		}
	}
	var rr wire.RR
	for r.Offset() < len(msg) {
		rrtype, err := skipped.Skip()
		if errNext := r.Next(&rr); err != nil || errNext != nil || rrtype != rr.Type || skipped.Offset() != r.Offset() {
			t.Fatalf("skipped type %d to %d, %v; read type %d to %d, %v",
				rrtype, skipped.Offset(), err, rr.Type, r.Offset(), errNext)
		}
	}
	if _, err := skipped.Skip(); !errors.Is(err, wire.ErrMessage) {
		t.Errorf("skipped past the end: %v", err)
	}
}

func TestTTLWithTopBitIsZero(t *testing.T) {
	// RFC 2181 §8: "treat TTL values received with the most significant bit set as if the entire value received was
	// zero".
	for ttl, want := range map[uint32]uint32{0: 0, 1: 1, 1<<31 - 1: 1<<31 - 1, 1 << 31: 0, 1<<32 - 1: 0} {
		record := "\x00\x00\x01\x00\x01" + string(binary.BigEndian.AppendUint32(nil, ttl)) + "\x00\x04\x01\x02\x03\x04"
		if rr, _, err := next(record); err != nil || rr.TTL != want {
			t.Errorf("TTL %d reads as %d, %v", ttl, rr.TTL, err)
		}
	}
}

func TestOwnerHasAtMost255Octets(t *testing.T) {
	label := "\x3f" + strings.Repeat("a", 63)
	const rest = "\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04\x01\x02\x03\x04"
	for last, ok := range map[int]bool{61: true, 62: false} {
		owner := label + label + label + string(rune(last)) + strings.Repeat("b", last) + "\x00"
		rr, _, err := next(owner + rest)
		if (err == nil) != ok {
			t.Errorf("owner of %d octets: %v", len(owner), err)
		}
		if ok && string(rr.Owner) != owner {
			t.Errorf("owner %s", rr.Owner)
		}
	}
}

func TestCutOffMessageIsMalformed(t *testing.T) {
	const record = "\x01a\x00\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04\x01\x02\x03\x04"
	for n := range len(record) {
		if _, _, err := next(record[:n]); !errors.Is(err, wire.ErrMessage) {
			t.Errorf("%d octets of a record: %v", n, err)
		}
		var r wire.Reader
		if _, err := r.Reset([]byte(header + record[:n])); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Skip(); !errors.Is(err, wire.ErrMessage) {
			t.Errorf("skipped %d octets of a record: %v", n, err)
		}
	}
	const question = "\x01a\x00\x00\x01\x00\x01"
	for n := range len(question) {
		var r wire.Reader
		if _, err := r.Reset([]byte(header + question[:n])); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := r.Question(); !errors.Is(err, wire.ErrMessage) {
			t.Errorf("%d octets of a question: %v", n, err)
		}
	}
}

func TestReadingGoesOnBehindMalformedRDATA(t *testing.T) {
	bad := "\x01a\x00\x00\x01\x00\x01\x00\x00\x00\x07\x00\x03\x01\x02\x03"
	good := "\x01b\x00\x00\x01\x00\x01\x00\x00\x00\x07\x00\x04\x01\x02\x03\x04"
	rr, r, err := next(bad + good)
	var malformed *wire.RDATAError
	if !errors.As(err, &malformed) || errors.Is(err, wire.ErrMessage) ||
		malformed.Type != wire.TypeA || malformed.Unwrap() == nil {
		t.Fatalf("error %v", err)
	}
	if !strings.Contains(err.Error(), "malformed A RDATA: ") {
		t.Errorf("error %q", err)
	}
	if rr.Owner.String() != "a." || rr.Type != wire.TypeA || rr.Class != wire.ClassIN || rr.TTL != 7 || rr.Data != nil {
		t.Errorf("record %+v", rr)
	}
	if err := r.Next(&rr); err != nil || rr.Owner.String() != "b." || !bytes.Equal(rr.Data, []byte{1, 2, 3, 4}) {
		t.Errorf("record %+v behind it, %v", rr, err)
	}
}

func TestSOAIsReadBehindItsNames(t *testing.T) {
	soa, err := wire.ParseSOA(mustPack(t, "SOA ns.example. host.example. 4294967295 1 2 3 4"))
	want := wire.SOA{Serial: serial.New(1<<32 - 1), Refresh: 1, Retry: 2, Expire: 3, Minimum: 4}
	if err != nil || soa != want {
		t.Errorf("%+v, %v", soa, err)
	}
	if _, err := wire.ParseSOA(make([]byte, 21)); err == nil {
		t.Error("SOA RDATA of 21 octets is too short for two names")
	}
}

func TestTypeNameFallsBackToNumber(t *testing.T) {
	for rrtype, want := range map[uint16]string{wire.TypeAAAA: "AAAA", 38: "TYPE38", 65280: "TYPE65280"} {
		if got := wire.TypeName(rrtype); got != want {
			t.Errorf("type %d is %s", rrtype, got)
		}
	}
}

// FuzzReader reads arbitrary messages to their end or first error, in step with miekg/dns.
func FuzzReader(f *testing.F) {
	f.Add(realisticMessage(f))
	f.Add([]byte(header + "\xc0\x0c"))
	f.Add([]byte("\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0a\x00\x01\x00\x01"))
	for _, list := range examples(f) {
		for _, rr := range list {
			m := new(dns.Msg)
			m.SetAxfr("Example.")
			m.Compress, m.Answer = true, []dns.RR{rr, rr}
			if buf, err := m.Pack(); err == nil {
				f.Add(buf)
			}
		}
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		var r wire.Reader
		h, err := r.Reset(msg)
		if err != nil {
			return
		}
		for range h.Questions {
			before := r.Offset()
			qname, _, _, err := r.Question()
			if err != nil {
				return
			}
			checkName(t, qname)
			checkOffset(t, before, r.Offset(), len(msg))
		}
		var rr wire.RR
		for {
			before := r.Offset()
			err := r.Next(&rr)
			var malformed *wire.RDATAError
			if err != nil && !errors.As(err, &malformed) {
				return
			}
			checkName(t, rr.Owner)
			checkOffset(t, before, r.Offset(), len(msg))
			if err == nil {
				checkRecord(t, &rr, msg, before, r.Offset())
			}
		}
	})
}

func checkOffset(t *testing.T, before, after, end int) {
	t.Helper()
	if after <= before || after > end {
		t.Fatalf("offset went from %d to %d of %d", before, after, end)
	}
}

func checkName(t *testing.T, n wire.Name) {
	t.Helper()
	if len(n) == 0 || len(n) > wire.MaxName || n[len(n)-1] != 0 {
		t.Fatalf("name %x", []byte(n))
	}
}

// checkRecord fails the test unless miekg/dns, if it can hold the record, reads the same at before.
func checkRecord(t *testing.T, rr *wire.RR, msg []byte, before, after int) {
	t.Helper()
	if rr.TTL >= 1<<31 || len(rr.Data) > wire.MaxRDATA {
		t.Fatalf("record %+v", rr)
	}
	theirs, off, err := dns.UnpackRR(msg, before)
	if err != nil {
		return // miekg/dns looks into all RDATA
	}
	h := theirs.Header()
	ttl := h.Ttl
	if ttl >= 1<<31 {
		ttl = 0 // RFC 2181 §8, which miekg/dns leaves to its users
	}
	if off != after || h.Name != rr.Owner.String() || h.Rrtype != rr.Type || h.Class != rr.Class || ttl != rr.TTL {
		t.Fatalf("record at %d: %+v up to %d; miekg/dns has %+v up to %d", before, rr, after, h, off)
	}
	checkAccepted(t, rr.Type, msg[:after], after-int(h.Rdlength), rr.Data)
}
