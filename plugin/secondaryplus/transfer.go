package secondaryplus

import (
	"errors"

	"github.com/coredns/coredns/plugin/transfer"
	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// transferBatch is how many records are handed to the transfer plugin at a time.
const transferBatch = 500

// errNotServed is the answer to a transfer of a zone that has no contents; the transfer plugin makes it SERVFAIL.
var errNotServed = errors.New("zone not transferred yet, or expired")

// Transfer is for the transfer plugin: the whole zone, or its SOA alone if serial is not older than ours (RFC 1995 §2).
func (s *SecondaryPlus) Transfer(name string, have uint32) (<-chan []dns.RR, error) {
	z := s.zone(name)
	if z == nil {
		return nil, transfer.ErrNotAuthoritative
	}
	c := z.Contents()
	if c == nil {
		return nil, errNotServed
	}
	out := make(chan []dns.RR)
	go send(c, have, out)
	return out, nil
}

// send writes the transfer to out and closes it. The transfer plugin reads to the end whatever becomes of the client.
func send(c *zone.Contents, have uint32, out chan<- []dns.RR) {
	defer close(out)
	var soa dns.RR
	var batch []dns.RR
	for rr := range c.All() {
		next := transferred(rr)
		if soa == nil {
			soa = next
			// 0 stands for AXFR: the transfer plugin cannot tell an IXFR from serial 0.
			if o := serial.New(have).Compare(c.Serial()); have != 0 && (o == serial.Equal || o == serial.Greater) {
				out <- []dns.RR{soa}
				return
			}
		}
		if batch = append(batch, next); len(batch) == transferBatch {
			out <- batch
			batch = nil
		}
	}
	out <- append(batch, soa)
}

// transferred returns a record of which CoreDNS knows the length: the transfer plugin fills messages up to their limit, and what
// seems too long for one is left out of it.
func transferred(rr *wire.RR) dns.RR {
	return measured(dns.RR_Header{Name: rr.Owner.String(), Rrtype: rr.Type, Class: rr.Class, Ttl: rr.TTL}, rr.Data)
}
