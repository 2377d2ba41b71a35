package secondaryplus

import (
	"context"
	"net"
	"testing"

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
