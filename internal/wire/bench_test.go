package wire_test

import (
	"fmt"
	"testing"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// realisticMessage returns an AXFR message of nearly 64 KB with names compressed where RFC 1035 allows it, without
// question: per host two addresses, and now and then an alias, a mail exchange, a text, a service or a delegation.
func realisticMessage(tb testing.TB) []byte {
	tb.Helper()
	m := &dns.Msg{Compress: true}
	m.Response, m.Authoritative = true, true
	for i := 0; ; i++ {
		for _, s := range []string{
			fmt.Sprintf("host%06d.big.test. 3600 IN A 10.%d.%d.%d", i, i>>16, i>>8&255, i&255),
			fmt.Sprintf("host%06d.big.test. 3600 IN AAAA 2001:db8::%x", i, i+1),
			[]string{
				fmt.Sprintf("www%06d.big.test. 3600 IN CNAME host%06d.big.test.", i, i),
				fmt.Sprintf("host%06d.big.test. 3600 IN MX 10 mail%d.big.test.", i, i%7),
				fmt.Sprintf(`host%06d.big.test. 3600 IN TXT "v=spf1 ip4:192.0.2.%d -all"`, i, i%250),
				fmt.Sprintf("_sip._tcp.host%06d.big.test. 3600 IN SRV 0 5 5060 host%06d.big.test.", i, i),
				fmt.Sprintf("child%06d.big.test. 86400 IN NS ns%d.big.test.", i, i%3),
			}[i%5],
		} {
			rr, err := dns.NewRR(s)
			if err != nil {
				tb.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		if i%100 != 99 {
			continue
		}
		if m.Len() > 60_000 {
			break
		}
	}
	buf, err := m.Pack()
	if err != nil {
		tb.Fatal(err)
	}
	return buf
}

// readAll reads msg to its end and returns the number of its records.
func readAll(tb testing.TB, r *wire.Reader, rr *wire.RR, msg []byte) int {
	h, err := r.Reset(msg)
	if err != nil {
		tb.Fatal(err)
	}
	for range h.Answers {
		if err := r.Next(rr); err != nil {
			tb.Fatal(err)
		}
	}
	return int(h.Answers)
}

func TestReaderDoesNotAllocate(t *testing.T) {
	var (
		r  wire.Reader
		rr wire.RR
	)
	msg := realisticMessage(t)
	if n := testing.AllocsPerRun(10, func() { readAll(t, &r, &rr, msg) }); n != 0 {
		t.Errorf("%v allocations per message", n)
	}
	if r.Offset() != len(msg) {
		t.Errorf("read %d of %d octets", r.Offset(), len(msg))
	}
}

func BenchmarkReaderNext(b *testing.B) {
	var (
		r  wire.Reader
		rr wire.RR
	)
	msg := realisticMessage(b)
	records := 0
	b.ReportAllocs()
	b.SetBytes(int64(len(msg)))
	for b.Loop() {
		records += readAll(b, &r, &rr, msg)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(records), "ns/record")
}

func BenchmarkReaderSkip(b *testing.B) {
	var r wire.Reader
	msg := realisticMessage(b)
	records := 0
	b.ReportAllocs()
	for b.Loop() {
		h, err := r.Reset(msg)
		if err != nil {
			b.Fatal(err)
		}
		for range h.Answers {
			if _, err := r.Skip(); err != nil {
				b.Fatal(err)
			}
		}
		records += int(h.Answers)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(records), "ns/record")
}

// BenchmarkRDATA measures RDATA alone, one record of each frequent type, compressed as primaries send it.
func BenchmarkRDATA(b *testing.B) {
	const msg = message
	for _, c := range []struct {
		rrtype uint16
		data   string
	}{
		{dns.TypeA, "\xc0\x00\x02\x01"},
		{dns.TypeAAAA, "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"},
		{dns.TypeNS, "\x03ns1\xc0\x0c"},
		{dns.TypeCNAME, "\xc0\x0c"},
		{dns.TypeMX, "\x00\x0a\x04mail\xc0\x10"},
		{dns.TypeSRV, "\x00\x00\x00\x05\x13\xc4\x03sip\x07example\x04test\x00"},
		{dns.TypeTXT, "\x1bv=spf1 ip4:192.0.2.200 -all"},
		{dns.TypeRRSIG, "0123456789abcdefgh\x07Example\x00" + message + message + message},
		{dns.TypeNSEC3, "\x01\x00\x00\x00\x00\x14abcdefghijklmnopqrst\x00\x07\x22\x01\x80\x00\x00\x02\x90"},
	} {
		b.Run(wire.TypeName(c.rrtype), func(b *testing.B) {
			in := []byte(msg + c.data)
			var (
				dst []byte
				err error
			)
			b.ReportAllocs()
			for b.Loop() {
				dst, err = wire.AppendRDATA(dst[:0], in, len(msg), len(in), c.rrtype)
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCompareRDATA(b *testing.B) {
	for _, c := range []struct{ a, b string }{
		{"A 192.0.2.1", "A 192.0.2.2"},
		{"NS ns1.example.com.", "NS ns2.example.com."},
		{"MX 10 mail1.example.com.", "MX 10 mail2.example.com."},
	} {
		x, y := mustPack(b, c.a), mustPack(b, c.b)
		rr, err := dns.NewRR("x. " + c.a)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(wire.TypeName(rr.Header().Rrtype), func(b *testing.B) {
			for b.Loop() {
				wire.CompareRDATA(rr.Header().Rrtype, x, y)
			}
		})
	}
}
