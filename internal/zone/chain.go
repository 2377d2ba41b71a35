package zone

import (
	"bytes"

	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// chain collects the differences that an editor applies, each of them from the version that the one before it leads to. It is
// owned by its Editor.
type chain struct {
	limit int64         // octets of all differences together; 0: none are wanted, or they were more
	done  []*Difference // oldest first
	size  int64         // octets of done

	// The difference that is being received.
	from, to serial.Serial
	octets   []byte // empty before its first SOA
	added    int    // where its second SOA begins
}

// wanted reports whether the chain takes records.
func (c *chain) wanted() bool { return c.limit > 0 }

// remove takes a record that is taken away; a SOA begins the next difference.
func (c *chain) remove(owner wire.Name, rrtype uint16, ttl uint32, data []byte) {
	if rrtype == wire.TypeSOA {
		c.finish()
		c.from = soaSerial(data)
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
	c.octets = appendRecord(c.octets, owner, rrtype, ttl, data)
	if c.size+int64(len(c.octets)) > c.limit {
		*c = chain{}
	}
}

// finish ends the difference that is being received.
func (c *chain) finish() {
	if len(c.octets) == 0 {
		return
	}
	c.done = append(c.done, &Difference{from: c.from, to: c.to, octets: bytes.Clone(c.octets), added: c.added})
	c.size += int64(len(c.octets))
	c.octets = c.octets[:0]
}

// memory returns the octets that are held.
func (c *chain) memory() int64 { return c.size + int64(cap(c.octets)) }

// soaSerial returns the serial in the RDATA of a SOA.
func soaSerial(data []byte) serial.Serial {
	soa, _ := wire.ParseSOA(data) // whoever gives it to an editor has read it; Seal reads it again
	return soa.Serial
}
