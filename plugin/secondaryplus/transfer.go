package secondaryplus

import (
	"errors"
	"iter"

	"github.com/coredns/coredns/plugin/transfer"
	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfrout"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// transferBatch is how many records are handed to the transfer plugin at a time.
const transferBatch = 500

// errNotServed is the answer to a transfer of a zone that has no contents; the transfer plugin makes it SERVFAIL.
var errNotServed = errors.New("zone not transferred yet, or expired")

// Transfer is for the transfer plugin: the SOA alone if the serial is not older than ours (RFC 1995 §2), what leads from its
// version to ours (§4), or the whole zone.
func (s *SecondaryPlus) Transfer(name string, have uint32) (<-chan []dns.RR, error) {
	z := s.zone(name)
	if z == nil {
		return nil, transfer.ErrNotAuthoritative
	}
	z.Recall() // the transfer plugin stands in front of ServeDNS
	c := z.Contents()
	if c == nil {
		return nil, errNotServed
	}
	out := make(chan []dns.RR)
	if have == 0 { // that stands for AXFR: the transfer plugin cannot tell an IXFR from serial 0
		go send(xfrout.Records(c, nil), out)
		return out, nil
	}
	if xfrout.Current(serial.New(have), c.Serial()) {
		go func() {
			defer close(out)
			out <- []dns.RR{soaOf(c)}
		}()
		return out, nil
	}
	go send(xfrout.Records(c, s.chain(z, c, serial.New(have))), out)
	return out, nil
}

// send writes the records of a transfer to out and closes it. The transfer plugin reads to the end whatever becomes of the client.
func send(records iter.Seq[*wire.RR], out chan<- []dns.RR) {
	defer close(out)
	var batch []dns.RR
	for rr := range records {
		if batch = append(batch, transferred(rr)); len(batch) == transferBatch {
			out <- batch
			batch = nil
		}
	}
	if len(batch) > 0 {
		out <- batch
	}
}

// soaOf returns the SOA record of contents.
func soaOf(c *zone.Contents) dns.RR {
	for rr := range c.All() {
		return transferred(rr)
	}
	return nil
}

// transferred returns a record of which CoreDNS knows the length: the transfer plugin fills messages up to their limit, and what
// seems too long for one is left out of it.
func transferred(rr *wire.RR) dns.RR {
	return measured(dns.RR_Header{Name: rr.Owner.String(), Rrtype: rr.Type, Class: rr.Class, Ttl: rr.TTL}, rr.Data)
}
