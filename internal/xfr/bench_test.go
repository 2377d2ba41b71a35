package xfr_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// bigAnswer returns the answer to an AXFR of example. with some 28 octets a record, in messages of about 16 KiB, as
// Knot sends it.
func bigAnswer(tb testing.TB, messages int) (msgs [][]byte, records int) {
	c := axfr(tb)
	const perMessage = 560
	for i := range messages {
		m := c.message()
		for j := range perMessage {
			name := fmt.Sprintf("host%d.example.", i*perMessage+j)
			rr := name + " 300 IN A 192.0.2.1"
			switch j % 10 {
			case 1:
				rr = name + " 300 IN AAAA 2001:db8::1"
			case 2:
				rr = name + " 300 IN MX 10 mail.example."
			case 3:
				rr = name + " 300 IN TXT \"some text of usual length\""
			}
			m.Answer = append(m.Answer, dnstest.Records(rr)...)
		}
		if i == 0 {
			m.Answer[0] = dnstest.Records(soa(5))[0]
		}
		if i == messages-1 {
			m.Answer[perMessage-1] = dnstest.Records(soa(5))[0]
		}
		msgs = append(msgs, dnstest.Pack(m))
	}
	return msgs, messages * perMessage
}

func BenchmarkInterpreter(b *testing.B) {
	msgs, records := bigAnswer(b, 100)
	b.ReportAllocs()
	q := xfr.Query{Origin: mustName(b, "example."), ID: testID}
	for b.Loop() {
		x := xfr.NewInterpreter(q, new(counter))
		for _, msg := range msgs {
			if _, err := x.Message(msg); err != nil {
				b.Fatal(err)
			}
		}
		if err := x.Finish(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(records), "ns/record")
}

func BenchmarkTSIGStream(b *testing.B) {
	plain, records := bigAnswer(b, 100)
	sign := dnstest.NewSigner(testKey, dns.HmacSHA256, testSecret, []byte("request"))
	sign.Time = time.Unix(1700000000, 0)
	msgs, size := make([][]byte, len(plain)), 0
	for i, msg := range plain {
		msgs[i] = sign.Sign(msg)
		size += len(msg)
	}
	b.ReportAllocs()
	b.SetBytes(int64(size))
	for b.Loop() {
		s := xfr.NewStream(newKey(b, hmacSHA256), []byte("request"))
		for _, msg := range msgs {
			if _, err := s.VerifyAt(msg, sign.Time); err != nil {
				b.Fatal(err)
			}
			msg[11]++ // Verify took the TSIG record out of the count
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(records), "ns/record")
}

func BenchmarkTransfer(b *testing.B) {
	msgs, records := bigAnswer(b, 1800)
	var stream []byte
	for _, msg := range msgs {
		stream = append(stream, framed(msg)...)
	}
	p := dnstest.NewPrimary(b, func(r dnstest.Request, w *dnstest.Writer) {
		answer := bytes.Clone(stream)
		for off := 0; off < len(answer); off += 2 + int(answer[off])<<8 + int(answer[off+1]) {
			copy(answer[off+2:off+4], r.Raw[:2])
		}
		w.Octets(answer)
	})
	c, err := xfr.Dial(b.Context(), xfr.Primary{Addr: p.Addr()}, xfr.DefaultLimits())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	b.ReportAllocs()
	b.SetBytes(int64(len(stream)))
	for b.Loop() {
		if _, err := c.Transfer(b.Context(), xfr.Query{Origin: mustName(b, "example.")}, new(counter), xfr.DefaultLimits()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(records), "ns/record")
}

// A record costs no garbage, and neither does a message.
func TestInterpreterAllocatesNothing(t *testing.T) {
	const messages = 50
	msgs, _ := bigAnswer(t, messages)
	var recv counter // one for all runs
	x := xfr.NewInterpreter(xfr.Query{Origin: mustName(t, "example."), ID: testID}, &recv)
	if _, err := x.Message(msgs[0]); err != nil { // grows the buffers
		t.Fatal(err)
	}
	next := 1
	allocs := testing.AllocsPerRun(messages-3, func() {
		if _, err := x.Message(msgs[next]); err != nil {
			t.Fatal(err)
		}
		next++
	})
	if allocs > 0 {
		t.Errorf("%v allocations per message", allocs)
	}
}
