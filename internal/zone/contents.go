package zone

import (
	"iter"

	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// Contents are the records of one version of a zone. They never change and are safe for concurrent use.
type Contents struct {
	origin wire.Name // lower case
	soa    wire.SOA
	names  tree  // owners that exist as names
	nsec3  *tree // owners of NSEC3 records; noNSEC3 where there are none, as in most zones
	apex   apex
	lacks  int // malformed records of the primary's version that were left out

	namesStats stats
	nsec3Stats *stats // noStats beside noNSEC3
}

// noNSEC3 and noStats stand for the tree of NSEC3 owners that most zones do not have, noContents for those of no zone. They are
// read-only.
var (
	noNSEC3    = tree{bounds: noFences}
	noStats    stats
	noContents = Contents{names: noNSEC3, nsec3: &noNSEC3, nsec3Stats: &noStats}
)

// setNSEC3 sets the tree of NSEC3 owners.
func (c *Contents) setNSEC3(t tree, s stats) {
	c.nsec3, c.nsec3Stats = &noNSEC3, &noStats
	if t.pageCount() > 0 {
		c.nsec3, c.nsec3Stats = &t, &s
	}
}

// apex is what negative answers and referrals need, found once when contents are sealed.
type apex struct {
	owner  wire.Name // as received
	soa    RRset
	soaSig *RRset // its signature, with the TTL that it has in negative answers; nil without one
	nsec3  *nsec3 // with denialNSEC3 and denialCostly; else nil
	denial denial
	signed bool // DNSKEY records at the apex
}

// stats count what a tree holds. A plain value.
type stats struct {
	records   int
	bytes     int64 // of all records, uncompressed on the wire
	cuts      int   // zone cuts
	dnames    int   // owners of a DNAME
	wildcards int   // owners with a label "*"
	marked    int   // records that are not served
}

func (s *stats) sub(o stats) {
	s.records -= o.records
	s.bytes -= o.bytes
	s.cuts -= o.cuts
	s.dnames -= o.dnames
	s.wildcards -= o.wildcards
	s.marked -= o.marked
}

func (s *stats) add(o stats) {
	s.records += o.records
	s.bytes += o.bytes
	s.cuts += o.cuts
	s.dnames += o.dnames
	s.wildcards += o.wildcards
	s.marked += o.marked
}

// Origin returns the zone's name in lower case.
func (c *Contents) Origin() wire.Name { return c.origin }

// Serial returns the SOA serial.
func (c *Contents) Serial() serial.Serial { return c.soa.Serial }

// SOA returns the numbers of the SOA record.
func (c *Contents) SOA() wire.SOA { return c.soa }

// Records returns the number of records, the SOA counted once and duplicates not at all.
func (c *Contents) Records() int { return c.namesStats.records + c.nsec3Stats.records }

// Size returns the octets of all records, uncompressed on the wire.
func (c *Contents) Size() int64 { return c.namesStats.bytes + c.nsec3Stats.bytes }

// Lacks returns how many records of the primary's version were left out because they are malformed, now or when differences
// brought them.
func (c *Contents) Lacks() int { return c.lacks }

// HasApexNS reports whether there are NS records at the apex.
func (c *Contents) HasApexNS() bool {
	at, _ := c.names.find(nil)
	e := at.at()
	_, ok := e.set(wire.TypeNS, 0)
	return ok
}

// Signed reports whether the zone has DNSKEY records at its apex.
func (c *Contents) Signed() bool { return c.apex.signed }

// All iterates over all records as they were received: the SOA, the other records in canonical order, then those of NSEC3
// owners (RFC 5936 §2.2: any order will do behind the SOA). The RR is valid until the next one; its Owner and Data are
// read-only.
func (c *Contents) All() iter.Seq[*wire.RR] {
	return func(yield func(*wire.RR) bool) {
		rr := wire.RR{Owner: c.apex.owner, Type: wire.TypeSOA, Class: wire.ClassIN, TTL: c.apex.soa.TTL, Data: c.apex.soa.First()}
		if yield(&rr) && c.yieldTree(&c.names, &rr, yield) {
			c.yieldTree(c.nsec3, &rr, yield)
		}
	}
}

// Longer iterates over the records with more than so many octets of RDATA, but for the SOA. It looks into no page that has not
// as many. The RR is that of All.
func (c *Contents) Longer(octets int) iter.Seq[*wire.RR] {
	return func(yield func(*wire.RR) bool) {
		rr := wire.RR{Class: wire.ClassIN}
		long := func(rr *wire.RR) bool { return len(rr.Data) <= octets || yield(rr) }
		for _, t := range []*tree{&c.names, c.nsec3} {
			for p := range t.allPages() {
				for i := 0; len(p) > octets && i < p.count(); i++ {
					e := p.entry(i)
					if rr.Owner = e.owner; rr.Owner == nil {
						rr.Owner = wire.AppendKeyName(nil, e.appendKey(nil), c.origin)
					}
					if !yieldEntry(&e, &rr, long) {
						return
					}
				}
			}
		}
	}
}

// yieldTree yields the records of one tree except the SOA, and reports whether more are wanted.
func (c *Contents) yieldTree(t *tree, rr *wire.RR, yield func(*wire.RR) bool) bool {
	var key, name []byte
	for e := range t.all() {
		rr.Owner = e.owner
		if rr.Owner == nil {
			key = e.appendKey(key[:0])
			name = wire.AppendKeyName(name[:0], key, c.origin)
			rr.Owner = name
		}
		if !yieldEntry(&e, rr, yield) {
			return false
		}
	}
	return true
}

// yieldEntry yields the records of one entry except the SOA, and reports whether more are wanted. The owner is set.
func yieldEntry(e *entry, rr *wire.RR, yield func(*wire.RR) bool) bool {
	for s := range e.all() {
		if s.Type == wire.TypeSOA {
			continue
		}
		rr.Type = s.Type
		for ttl, data := range s.received() {
			rr.TTL, rr.Data = ttl, data
			if !yield(rr) {
				return false
			}
		}
	}
	return true
}
