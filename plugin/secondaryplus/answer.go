package secondaryplus

import (
	"bytes"
	"encoding/hex"
	"net"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/zone"
)

// reply returns the message for an answer to r, whose question has qname on the wire. Its records are made for it: other plugins may change them as they like.
func reply(r *dns.Msg, qname wire.Name, a *zone.Answer) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(r)
	// RFC 1034 §4.3.2 step 3b: a referral is not authoritative, unless an alias led to it (RFC 1034 §6.2.7: AA is about the
	// owner the answer begins with).
	m.Authoritative = a.Outcome != zone.Referral || len(a.Answer) > 0
	switch a.Outcome {
	case zone.NXDomain:
		m.Rcode = dns.RcodeNameError
	case zone.YXDomain:
		m.Rcode = dns.RcodeYXDomain
	case zone.Success, zone.NoData, zone.Referral:
	}
	m.Answer = records(a.Answer, qname, r.Question[0].Name)
	m.Ns = records(a.Authority, nil, "")
	m.Extra = records(a.Additional, nil, "")
	return m
}

// records returns the records of a section, with room for nothing more: an append by another plugin makes its own array.
// known is a name whose presentation form, text, is at hand.
func records(sets []zone.Set, known wire.Name, text string) []dns.RR {
	n := 0
	for i := range sets {
		n += sets[i].Count
	}
	if n == 0 {
		return nil
	}
	rrs := make([]dns.RR, 0, n)
	for i := range sets {
		s := &sets[i]
		h := dns.RR_Header{Name: text, Rrtype: s.Type, Class: dns.ClassINET, Ttl: s.TTL}
		if !bytes.Equal(s.Owner, known) {
			h.Name = s.Owner.String()
		}
		for data := range s.All() {
			rrs = append(rrs, record(h, data))
		}
	}
	return rrs
}

// record returns one record. RDATA that miekg/dns cannot read goes out as it came (RFC 3597 §5).
func record(h dns.RR_Header, data []byte) dns.RR {
	h.Rdlength = uint16(len(data))
	switch h.Rrtype { // the types asked for most, in one allocation
	case dns.TypeA:
		return newA(h, data)
	case dns.TypeAAAA:
		return newAAAA(h, data)
	}
	rr, off, err := dns.UnpackRRWithHeader(h, data, 0)
	if err != nil || off != len(data) {
		return &dns.RFC3597{Hdr: h, Rdata: hex.EncodeToString(data)}
	}
	return rr
}

func newA(h dns.RR_Header, data []byte) *dns.A {
	rr := &struct {
		dns.A
		addr [net.IPv4len]byte
	}{}
	rr.Hdr = h
	copy(rr.addr[:], data)
	rr.A.A = rr.addr[:]
	return &rr.A
}

func newAAAA(h dns.RR_Header, data []byte) *dns.AAAA {
	rr := &struct {
		dns.AAAA
		addr [net.IPv6len]byte
	}{}
	rr.Hdr = h
	copy(rr.addr[:], data)
	rr.AAAA.AAAA = rr.addr[:]
	return &rr.AAAA
}

// notReady returns the reply of a zone without contents: before its first transfer, and after it has expired.
func notReady(r *dns.Msg) *dns.Msg {
	m := new(dns.Msg)
	m.SetRcode(r, dns.RcodeServerFailure)
	if o := r.IsEdns0(); o != nil {
		m.SetEdns0(o.UDPSize(), o.Do())
		// RFC 8914 §4.15: Not Ready.
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeNotReady, ExtraText: "zone not transferred yet, or expired"}}
	}
	return m
}
