package engine_test

import (
	"encoding/binary"
	"slices"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// historian is a primary in memory of one zone that answers IXFR as its script says. It is safe for concurrent use.
type historian struct {
	*dnstest.Primary

	mu    sync.Mutex
	whole []wire.RR                                                // the newest version, the SOA first; guarded by mu
	ixfr  func(h *historian, r dnstest.Request, w *dnstest.Writer) // nil: not asked for; guarded by mu
	onAll func()                                                   // called before AXFR is answered; may be nil; guarded by mu
	deny  bool                                                     // AXFR is refused; guarded by mu
	asked []transferAsked                                          // in order; guarded by mu
}

// transferAsked is one question for a transfer. It is a plain value.
type transferAsked struct {
	qtype uint16
	conn  *dnstest.Writer // tells connections apart
}

func newHistorian(t testing.TB) *historian {
	t.Helper()
	h := &historian{}
	h.Primary = dnstest.NewMemoryPrimary(t, h.serve)
	return h
}

// become makes the primary have a version and answer IXFR by the script.
func (h *historian) become(whole []wire.RR, ixfr func(*historian, dnstest.Request, *dnstest.Writer)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.whole, h.ixfr = whole, ixfr
}

// serial returns that of the newest version.
func (h *historian) serial() uint32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	soa, err := wire.ParseSOA(h.whole[0].Data)
	if err != nil {
		panic(err)
	}
	return soa.Serial.Uint32()
}

// denyAXFR makes the primary refuse AXFR.
func (h *historian) denyAXFR() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deny = true
}

// watch has f called before every AXFR.
func (h *historian) watch(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.onAll = f
}

func (h *historian) primary() xfr.Primary { return xfr.Primary{Addr: h.Addr(), Dialer: h.Primary} }

// transfers returns what was asked for since the last call.
func (h *historian) transfers() []transferAsked {
	h.mu.Lock()
	defer h.mu.Unlock()
	asked := h.asked
	h.asked = nil
	return asked
}

func (h *historian) serve(r dnstest.Request, w *dnstest.Writer) {
	h.mu.Lock()
	whole, ixfr, onAll, deny := h.whole, h.ixfr, h.onAll, h.deny
	if transfer(r) {
		h.asked = append(h.asked, transferAsked{r.Type, w})
	}
	h.mu.Unlock()
	switch {
	case r.Type == dns.TypeIXFR && ixfr != nil:
		ixfr(h, r, w)
	case r.Type == dns.TypeAXFR && deny:
		w.Send(r.Rcode(dns.RcodeRefused))
	case transfer(r):
		if onAll != nil {
			onAll()
		}
		sendRecords(r, w, append(slices.Clone(whole), whole[0]))
	default:
		sendRecords(r, w, whole[:1])
	}
}

// maxAnswer is the octets of records that sendRecords puts into a message: a message has room for 64 KB.
const maxAnswer = 16 << 10

// sendRecords answers with records, in as many messages as it takes.
func sendRecords(r dnstest.Request, w *dnstest.Writer, rrs []wire.RR) {
	var body []byte
	count := 0
	for i := range rrs {
		body = appendRecord(body, &rrs[i])
		if count++; len(body) > maxAnswer || i == len(rrs)-1 {
			w.SendRaw(response(r, count, body))
			body, count = nil, 0
		}
	}
}

// response returns a message with count records.
func response(r dnstest.Request, count int, body []byte) []byte {
	q := dnstest.Pack(r.Reply())
	binary.BigEndian.PutUint16(q[6:], uint16(count))
	return append(q, body...)
}

func appendRecord(b []byte, rr *wire.RR) []byte {
	b = append(b, rr.Owner...)
	b = binary.BigEndian.AppendUint16(b, rr.Type)
	b = binary.BigEndian.AppendUint16(b, rr.Class)
	b = binary.BigEndian.AppendUint32(b, rr.TTL)
	b = binary.BigEndian.AppendUint16(b, uint16(len(rr.Data)))
	return append(b, rr.Data...)
}

// wireRR returns a record in presentation form in wire form.
func wireRR(s string) wire.RR {
	rr := dnstest.Records(s)[0]
	buf := make([]byte, 64<<10)
	end, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		panic(err)
	}
	h := rr.Header()
	owner, err := wire.ParseName(h.Name)
	if err != nil {
		panic(err)
	}
	return wire.RR{Owner: owner, Type: h.Rrtype, Class: h.Class, TTL: h.Ttl, Data: buf[end-int(rdlength(buf, len(owner))) : end]}
}

// rdlength returns the length of the RDATA of a record behind an owner of so many octets.
func rdlength(record []byte, owner int) uint16 { return binary.BigEndian.Uint16(record[owner+8:]) }

// wireRRs is wireRR of several.
func wireRRs(texts ...string) (rrs []wire.RR) {
	for _, s := range texts {
		rrs = append(rrs, wireRR(s))
	}
	return rrs
}
