package secondaryplus

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"
)

// nowhere is a writer that packs replies, as a server does, and sends them to nobody. It is owned by one goroutine.
type nowhere struct {
	dns.ResponseWriter
	buf []byte
}

func (*nowhere) RemoteAddr() net.Addr { return udpClient }

var udpClient net.Addr = &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000}

func (w *nowhere) WriteMsg(m *dns.Msg) (err error) {
	w.buf, err = m.PackBuffer(w.buf)
	return err
}

// BenchmarkServeDNS is a query from the chain to the packed reply: what this plugin adds to CoreDNS's own work, and packing.
func BenchmarkServeDNS(b *testing.B) {
	h := newHandler(b, "example.org", "", append(exampleOrg, "mx.example.org. 600 IN MX 10 www.example.org.")...)
	for _, c := range []struct {
		kind, name string
		qtype      uint16
	}{
		{"A", "www.example.org.", dns.TypeA},
		{"NXDOMAIN", "none.example.org.", dns.TypeA},
		{"NODATA", "www.example.org.", dns.TypeTXT},
		{"CNAME", "alias.example.org.", dns.TypeA},
		{"MX", "mx.example.org.", dns.TypeMX},
		{"referral", "x.sub.example.org.", dns.TypeA},
	} {
		b.Run(c.kind, func(b *testing.B) {
			w, r, ctx := &nowhere{buf: make([]byte, 1<<12)}, question(c.name, c.qtype), context.Background()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := h.ServeDNS(ctx, w, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// scrubbed is a writer of a stream that does as CoreDNS's server does before it packs. It is owned by one goroutine.
type scrubbed struct {
	nowhere
	r *dns.Msg
}

func (*scrubbed) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000} }

func (w *scrubbed) WriteMsg(m *dns.Msg) error {
	state := request.Request{Req: w.r, W: w}
	state.SizeAndDo(m)
	return w.nowhere.WriteMsg(state.Scrub(m))
}

// costly is a zone whose answers cost the most.
func costly() (records []string) {
	for i := range 240 {
		records = append(records, fmt.Sprintf("text.example.org. 60 IN TXT %03d%s", i, strings.Repeat("y", 245)))
	}
	for i := range 95 {
		records = append(records, fmt.Sprintf(`any.example.org. 60 IN TYPE%d \# 900 %s`, 40000+i, strings.Repeat("ab", 900)))
	}
	for i := range 16 {
		records = append(records, fmt.Sprintf("d%d.example.org. 60 IN DNAME d%d.example.org.", i, i+1))
	}
	for i := range 990 {
		records = append(records, fmt.Sprintf("mx.example.org. 60 IN MX %d h%d.%s.example.org.", i, i, strings.Repeat("m", i%30+1)))
	}
	return records
}

// BenchmarkCostlyAnswers are answers over a stream that cost the most, with what CoreDNS adds.
func BenchmarkCostlyAnswers(b *testing.B) {
	h := newHandler(b, "example.org", "", append(exampleOrg, costly()...)...)
	for _, c := range []struct {
		kind, name string
		qtype      uint16
	}{
		{"TXT of 62 KB", "text.example.org.", dns.TypeTXT},
		{"990 MX", "mx.example.org.", dns.TypeMX},
		{"ANY of 95 types", "any.example.org.", dns.TypeANY},
		{"16 DNAMEs", strings.Repeat("a.", 90) + "d0.example.org.", dns.TypeA},
	} {
		b.Run(c.kind, func(b *testing.B) {
			r := question(c.name, c.qtype)
			r.SetEdns0(65535, false)
			w := &scrubbed{nowhere{buf: make([]byte, 1<<16)}, r}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := h.ServeDNS(context.Background(), w, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPlan reads a directive of many zones and finds out what they are, as a start does.
func BenchmarkPlan(b *testing.B) {
	var text strings.Builder
	text.WriteString("secondaryplus")
	for i := range 100_000 {
		fmt.Fprintf(&text, " z%d.test.", i)
	}
	text.WriteString(" {\nprimary 192.0.2.1\n}\n")
	for _, step := range []string{"parse", "plan"} {
		b.Run(step, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				c := caddy.NewTestController("dns", text.String())
				if step == "parse" {
					b.StartTimer()
				}
				read, err := parse(c)
				if err != nil {
					b.Fatal(err)
				}
				in := &instance{handlers: []*SecondaryPlus{{server: "dns://:53"}}, blocks: []*block{read}}
				if step == "parse" {
					continue
				}
				b.StartTimer()
				if _, err := in.plan(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
