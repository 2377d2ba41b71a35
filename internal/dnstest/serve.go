package dnstest

import (
	"slices"

	"github.com/miekg/dns"
)

// perMessage is how many records Serve puts into a message.
const perMessage = 100

// Serve is the script of a correct primary of the zone with these records, of which the SOA is the first: it answers SOA
// queries, AXFR, and IXFR with the whole zone or, to a client that has the serial, with the SOA. A signed request gets
// signed answers made with secret (base64).
func Serve(secret string, records ...string) Handler {
	rrs := Records(records...)
	return func(r Request, w *Writer) {
		send := func(m *dns.Msg) { w.Send(m) }
		if r.Msg.IsTsig() != nil {
			s := r.Signer(secret)
			send = func(m *dns.Msg) { w.SendRaw(s.Sign(Pack(m))) }
		}
		soa := rrs[0].(*dns.SOA)
		answer := rrs[:1]
		switch {
		case dns.CanonicalName(r.Name) != dns.CanonicalName(soa.Hdr.Name):
			send(r.Rcode(dns.RcodeNotAuth))
			return
		case r.Type == dns.TypeAXFR, r.Type == dns.TypeIXFR && r.Serial != soa.Serial:
			answer = append(slices.Clone(rrs), soa)
		}
		for some := range slices.Chunk(answer, perMessage) {
			m := r.Reply()
			m.Answer = some
			send(m)
		}
	}
}
