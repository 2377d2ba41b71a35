package zone

import (
	"bytes"

	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// chain collects the differences that an editor applies, each of them from the version that the one before it leads to. It is
// owned by its Editor.
type chain struct {
	limit int64         // octets of all differences together; 0: none are wanted
	done  []*Difference // oldest first
	size  int64         // octets of done

	// The difference that is being received.
	from, to serial.Serial
	octets   []byte
	added    int  // where its second SOA begins
	open     bool // its first SOA has come, and it fits
}

// takes reports whether the chain wants a record of the type.
func (c *chain) takes(rrtype uint16) bool { return c.open || c.limit > 0 && rrtype == wire.TypeSOA }

// remove takes a record that is taken away; a SOA begins the next difference.
func (c *chain) remove(owner wire.Name, rrtype uint16, ttl uint32, data []byte) {
	if rrtype == wire.TypeSOA {
		c.finish()
		c.open, c.from = true, soaSerial(data)
	}
	c.append(owner, rrtype, ttl, data)
}

// add takes a record that is put in; a SOA comes before the others.
func (c *chain) add(owner wire.Name, rrtype uint16, ttl uint32, data []byte) {
	if rrtype == wire.TypeSOA {
		c.added, c.to = len(c.octets), soaSerial(data)
	}
	c.append(owner, rrtype, ttl, data)
}

func (c *chain) append(owner wire.Name, rrtype uint16, ttl uint32, data []byte) {
	if !c.open {
		return
	}
	if c.octets = appendRecord(c.octets, owner, rrtype, ttl, data); int64(len(c.octets)) <= c.limit {
		return
	}
	// Those before it lead nowhere without this one.
	c.open, c.octets, c.done, c.size = false, c.octets[:0], nil, 0
}

// finish ends the difference that is being received. The oldest go where all together are too large.
func (c *chain) finish() {
	if !c.open {
		return
	}
	c.done = append(c.done, &Difference{from: c.from, to: c.to, octets: bytes.Clone(c.octets), added: c.added})
	c.size += int64(len(c.octets))
	for ; c.size > c.limit; c.done = c.done[1:] {
		c.size -= c.done[0].Size()
	}
	c.open, c.octets = false, c.octets[:0]
}

// memory returns the octets that are held.
func (c *chain) memory() int64 { return c.size + int64(cap(c.octets)) }

// soaSerial returns the serial in the RDATA of a SOA.
func soaSerial(data []byte) serial.Serial {
	soa, _ := wire.ParseSOA(data) // whoever gives it to an editor has read it; Seal reads it again
	return soa.Serial
}
