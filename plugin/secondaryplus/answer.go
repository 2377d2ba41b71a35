package secondaryplus

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// reply returns the message for an answer to r, whose question has qname on the wire. Its records are made by newRecord, for
// it: other plugins may change them as they like.
func reply(r *dns.Msg, qname wire.Name, a *zone.Answer, newRecord maker) *dns.Msg {
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
	m.Answer = records(a.Answer, qname, r.Question[0].Name, newRecord)
	m.Ns = records(a.Authority, nil, "", newRecord)
	m.Extra = records(a.Additional, nil, "", newRecord)
	return m
}

// maker makes a record of a header and RDATA.
type maker func(dns.RR_Header, []byte) dns.RR

// records returns the records of a section, with room for nothing more: an append by another plugin makes its own array.
// known is a name whose presentation form, written, is at hand.
func records(sets []zone.Set, known wire.Name, written string, newRecord maker) []dns.RR {
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
		h := dns.RR_Header{Name: written, Rrtype: s.Type, Class: dns.ClassINET, Ttl: s.TTL}
		if !bytes.Equal(s.Owner, known) {
			h.Name = text(s.Owner)
		}
		for data := range s.All() {
			rrs = append(rrs, newRecord(h, data))
		}
	}
	return rrs
}

// record returns one record. RDATA that miekg/dns cannot hold, or would write in another way, goes out as it came (RFC 3597
// §5).
func record(h dns.RR_Header, data []byte) dns.RR {
	h.Rdlength = uint16(len(data))
	if len(data) == 0 {
		return opaque(h, data) // miekg/dns writes something for it in some types
	}
	switch h.Rrtype { // the types asked for most, with fewer allocations
	case dns.TypeA:
		return newA(h, data)
	case dns.TypeAAAA:
		return newAAAA(h, data)
	case dns.TypeCNAME:
		return &dns.CNAME{Hdr: h, Target: text(data)}
	case dns.TypeNS:
		return &dns.NS{Hdr: h, Ns: text(data)}
	case dns.TypeMX:
		return &dns.MX{Hdr: h, Preference: binary.BigEndian.Uint16(data), Mx: text(data[2:])}
	case dns.TypeSRV:
		return newSRV(h, data)
	case dns.TypeSOA:
		return newSOA(h, data)
	}
	rr, off, err := dns.UnpackRRWithHeader(h, data, 0)
	if err != nil || off != len(data) || !faithful(rr, data) {
		return opaque(h, data)
	}
	return rr
}

// opaque returns a record that is packed as it came, whatever is in it (RFC 3597 §3).
func opaque(h dns.RR_Header, data []byte) dns.RR {
	return &dns.RFC3597{Hdr: h, Rdata: hex.EncodeToString(data)}
}

// measured is record for messages that are close to their limit. miekg/dns, and so CoreDNS, takes some records to be longer
// than they are (NSEC3 by 14 octets, those with base64 by one or two), and would leave out what fits; it is right about octets.
func measured(h dns.RR_Header, data []byte) dns.RR {
	rr := record(h, data)
	if dns.Len(rr) != dns.Len(&h)+len(data) {
		return opaque(*rr.Header(), data)
	}
	return rr
}

// faithful reports whether miekg/dns writes the RDATA of a record as it was received. Its types for the DNS's common work
// do, unless fields are missing.
func faithful(rr dns.RR, data []byte) bool {
	switch rr := rr.(type) {
	case *dns.PTR, *dns.DNAME, *dns.TXT, *dns.RFC3597:
		return true
	case *dns.DS:
		return rr.Digest != ""
	case *dns.DNSKEY:
		return rr.PublicKey != ""
	case *dns.RRSIG:
		return rr.Signature != ""
	}
	buf := make([]byte, dns.Len(rr)+len(data))
	end, err := dns.PackRR(rr, buf, 0, nil, false)
	start := end - len(data)
	return err == nil && bytes.Equal(buf[max(0, start):end], data) && int(binary.BigEndian.Uint16(buf[start-2:])) == len(data)
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

func newSRV(h dns.RR_Header, data []byte) *dns.SRV {
	u16 := binary.BigEndian.Uint16
	return &dns.SRV{Hdr: h, Priority: u16(data), Weight: u16(data[2:]), Port: u16(data[4:]), Target: text(data[6:])}
}

func newSOA(h dns.RR_Header, data []byte) *dns.SOA {
	mname := wire.FirstName(data)
	rname := wire.FirstName(data[len(mname):])
	u32 := func(i int) uint32 { return binary.BigEndian.Uint32(data[len(mname)+len(rname)+4*i:]) }
	return &dns.SOA{
		Hdr: h, Ns: text(mname), Mbox: text(rname),
		Serial: u32(0), Refresh: u32(1), Retry: u32(2), Expire: u32(3), Minttl: u32(4),
	}
}

// notReady returns the reply of a zone without contents: before its first transfer, and after it has expired.
func notReady(r *dns.Msg) *dns.Msg {
	return failed(r, dns.RcodeServerFailure, dns.ExtendedErrorCodeNotReady, "zone not transferred yet, or expired")
}

// failed returns a reply with an RCODE, and an extended error for those who speak EDNS (RFC 8914 §3).
func failed(r *dns.Msg, rcode int, code uint16, text string) *dns.Msg {
	m := new(dns.Msg).SetRcode(r, rcode)
	if o := r.IsEdns0(); o != nil {
		m.SetEdns0(o.UDPSize(), o.Do())
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: code, ExtraText: text}}
	}
	return m
}
