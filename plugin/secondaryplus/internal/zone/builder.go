package zone

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/wire"
)

// Limits bound one version of a zone. A plain value; 0 is no limit.
type Limits struct {
	Records int
	Size    int64 // octets of all records, uncompressed on the wire
	RRset   int   // records of one RRset
	Types   int   // types of one owner
}

// Check returns the error of contents that exceed the limits.
func (l Limits) Check(c *Contents) error { return l.check(c.Records(), c.Size()) }

func (l Limits) check(records int, size int64) error {
	switch {
	case l.Records > 0 && records > l.Records:
		return fmt.Errorf("%w: more than %d", ErrTooManyRecords, l.Records)
	case l.Size > 0 && size > l.Size:
		return fmt.Errorf("%w: more than %d octets", ErrTooBig, l.Size)
	}
	return nil
}

// The errors of a version that exceeds its limits or is no zone at all.
var (
	ErrTooManyRecords = errors.New("too many records")
	ErrTooBig         = errors.New("zone too big")
	ErrLargeRRset     = errors.New("RRset too large")
	ErrManyTypes      = errors.New("too many types at one name")
	ErrSOAOwner       = errors.New("SOA not at the apex")
	ErrNoSOA          = errors.New("no SOA at the apex")
	ErrManySOAs       = errors.New("several SOAs at the apex")
)

// Builder makes contents from the records of a whole zone, in any order (RFC 5936 §2.2). It is owned by one goroutine.
//
// Records mostly come in canonical order, and then go straight into pages; those that come late are kept apart and merged
// when the contents are sealed.
type Builder struct {
	origin   wire.Name
	limits   Limits
	names    treeBuilder
	nsec3    treeBuilder
	discards Discards
	judged   *judgement // nil: everything is served
	key      []byte     // scratch
}

// NewBuilder returns a builder of contents for the zone at origin, which is lower case.
func NewBuilder(origin wire.Name, limits Limits) *Builder {
	t := treeBuilder{originLen: len(origin)}
	t.open.limits = &ownerLimits{Limits: limits, origin: origin}
	return &Builder{origin: origin, limits: limits, names: t, nsec3: t}
}

// Judge has the records judged when they are sealed; served is what is served now, nil for nothing. Call it first.
func (b *Builder) Judge(j Judge, served *Contents) {
	b.judged = &judgement{Judge: j, origin: b.origin, served: served}
	b.names.open.judge = b.judged
}

// Losses returns the records that are not served, once the contents are sealed.
func (b *Builder) Losses() *Losses { return b.judged.result() }

// Discards returns what has been discarded so far.
func (b *Builder) Discards() *Discards { return &b.discards }

// Add takes one record. Records that no zone can hold are discarded and counted; an error is final.
func (b *Builder) Add(rr *wire.RR) error {
	p, key, err := file(b.origin, b.key[:0], rr)
	b.key = key
	if err != nil {
		return err
	}
	switch p {
	case inNames:
		b.names.add(key, rr)
	case inNSEC3:
		b.nsec3.add(key, rr)
	case inNoTree:
		b.discards.add(misfit(b.origin, rr), rr)
		return nil
	}
	return b.withinLimits()
}

// filing is where a record belongs.
type filing uint8

const (
	inNames filing = iota
	inNSEC3
	inNoTree // it cannot be part of the zone
)

// file says where a record belongs and appends its key to dst.
func file(origin wire.Name, dst []byte, rr *wire.RR) (filing, []byte, error) {
	key, within := wire.AppendKey(dst, rr.Owner, origin)
	switch {
	case !within, rr.Class != wire.ClassIN, metaType(rr.Type):
		return inNoTree, key, nil
	case rr.Type == wire.TypeSOA && len(key) > 0:
		return inNoTree, key, fmt.Errorf("%w: SOA of %s", ErrSOAOwner, rr.Owner)
	case rr.Type == wire.TypeNSEC3, covers(rr.Type, rr.Data) == wire.TypeNSEC3:
		return inNSEC3, key, nil
	default:
		return inNames, key, nil
	}
}

// misfit says why a record cannot be part of the zone.
func misfit(origin wire.Name, rr *wire.RR) DiscardKind {
	switch {
	case rr.Class != wire.ClassIN:
		return NonIN
	case !rr.Owner.Within(origin):
		return OutOfZone
	default:
		return Malformed
	}
}

// Malformed takes note of a record whose RDATA could not be read.
func (b *Builder) Malformed(rr *wire.RR) { b.discards.add(Malformed, rr) }

// withinLimits checks what has been packed, of which every record counts, and what waits to be: duplicates may be among it,
// so that only the memory it takes is kept from growing without end.
func (b *Builder) withinLimits() error {
	if err := b.names.open.limits.err; err != nil {
		return err
	}
	records, size := b.names.stats.records+b.nsec3.stats.records, b.names.stats.bytes+b.nsec3.stats.bytes
	if err := b.limits.check(records, size); err != nil {
		return err
	}
	waiting, octets := b.names.waiting()
	more, moreOctets := b.nsec3.waiting()
	if b.limits.Records > 0 && records+waiting+more > waitingSlack*b.limits.Records+waitingRecords {
		return b.limits.check(b.limits.Records+1, 0)
	}
	if b.limits.Size > 0 && size+octets+moreOctets > waitingSlack*b.limits.Size+waitingOctets {
		return b.limits.check(0, b.limits.Size+1)
	}
	return nil
}

// While records wait to be sorted in, a version may go waitingSlack times over its limits, and by as much as the others
// more: small zones may repeat their records often. The limit of its size is then one of the memory that is held. The
// smallest records, an owner of one letter below the root and no RDATA, have 13 octets; one that waits takes 27, with its
// share of what append keeps free 34. So a version that fits is taken in any order, whatever its records.
const (
	waitingSlack   = 4
	waitingRecords = 1000
	waitingOctets  = 64 << 10
)

// waiting returns how many records have not been packed yet, and the octets of memory they take.
func (t *treeBuilder) waiting() (records int, octets int64) {
	return len(t.open.records) + t.late.len(), t.open.memory() + t.late.memory()
}

// Seal returns the contents. The builder is done for afterwards.
func (b *Builder) Seal() (*Contents, error) {
	names, nsec3 := b.names.finish(), b.nsec3.finish()
	if err := b.withinLimits(); err != nil {
		return nil, err
	}
	c := &Contents{origin: b.origin, names: names, nsec3: nsec3, namesStats: b.names.stats, nsec3Stats: b.nsec3.stats}
	c.lacks = b.discards.Count(Malformed)
	if err := c.sealApex(); err != nil {
		return nil, err
	}
	return c, nil
}

// sealApex finds what the apex says.
func (c *Contents) sealApex() error {
	at, exact := c.names.find(nil)
	if !exact {
		return ErrNoSOA
	}
	e := at.at()
	soa, ok := e.set(wire.TypeSOA, 0)
	switch {
	case !ok:
		return ErrNoSOA
	case soa.Count > 1:
		return ErrManySOAs
	}
	var err error
	if c.soa, err = wire.ParseSOA(soa.First()); err != nil {
		return err
	}
	c.apex.soa, c.apex.negativeSOA = soa, soa
	c.apex.negativeSOA.TTL = min(soa.TTL, c.soa.Minimum)
	c.apex.soaSig, _ = e.set(wire.TypeRRSIG, wire.TypeSOA)
	c.apex.soaSig.TTL = c.apex.negativeSOA.TTL
	c.sealDenial(&e)
	_, c.apex.signed = e.set(wire.TypeDNSKEY, 0)
	if c.apex.owner = e.owner; c.apex.owner == nil {
		c.apex.owner = c.origin
	}
	return nil
}

// metaType reports whether a type is never zone data: BIND, Knot and NSD refuse OPT and TSIG. Of the other meta-types and
// QTYPEs (RFC 6895 §3.1) Knot and NSD keep what they are sent.
func metaType(t uint16) bool { return t == wire.TypeOPT || t == wire.TypeTSIG }

// treeBuilder makes one tree. It is owned by the goroutine of its Builder.
type treeBuilder struct {
	originLen int // octets of the origin on the wire

	writer pageWriter
	cover  coverTracker
	stats  stats // of the owners packed so far; final after finish

	open ownerDraft // the owner being received
	late lateRecords
	body []byte // scratch
}

// add takes a record whose key is key.
func (t *treeBuilder) add(key []byte, rr *wire.RR) {
	if t.open.started {
		switch c := bytes.Compare(key, t.open.key); {
		case c < 0:
			t.late.add(key, rr)
			return
		case c > 0:
			t.pack()
		}
	}
	if !t.open.started {
		t.open.begin(key, rr.Owner)
	}
	if t.open.full(rr) {
		t.condense()
	}
	t.open.add(rr)
}

// condense drops the duplicates of the open owner, and checks the limits against what is left.
func (t *treeBuilder) condense() {
	d := &t.open
	d.condense()
	if l := d.limits; l != nil {
		l.check(d, d.types())
		l.checkAll(t.stats.records+len(d.records), t.stats.bytes+d.headers(t.originLen)+int64(d.rdata()))
	}
}

// pack moves the open owner into the pages.
func (t *treeBuilder) pack() {
	d := &t.open
	sets, st := d.seal(t.originLen)
	flags := ownFlags(d.key, sets)
	t.body = t.cover.appendBody(t.body[:0], d.key, flags, d.owner, sets)
	t.writer.add(d.key, t.body)
	t.stats.add(st)
	t.stats.add(steering(d.key, flags))
	d.started = false
}

// finish returns the tree.
func (t *treeBuilder) finish() tree {
	if t.open.started {
		t.pack()
	}
	t.writer.flush()
	if t.late.len() > 0 {
		t.mergeLate()
	}
	return newTree(t.writer.pages, t.writer.bounds)
}

// mergeLate packs everything once more, the records that came out of order among the others.
func (t *treeBuilder) mergeLate() {
	early := newTree(t.writer.pages, t.writer.bounds)
	t.late.sort()
	all := treeBuilder{originLen: t.originLen, open: t.open}
	if j := t.open.judge; j != nil {
		j.losses = Losses{} // everything is judged once more
	}
	var key []byte
	for e := range early.all() {
		key = e.appendKey(key[:0])
		for t.late.len() > 0 && t.late.compareFirst(key) < 0 && !all.tooMuch() {
			all.addLate(&t.late)
		}
		all.addEntry(key, &e)
	}
	for t.late.len() > 0 && !all.tooMuch() {
		all.addLate(&t.late)
	}
	if all.open.started {
		all.pack()
	}
	all.writer.flush()
	t.writer, t.stats = all.writer, all.stats
}

// tooMuch reports whether the limits are exceeded, be it by what has been packed: then it is not worth going on.
func (t *treeBuilder) tooMuch() bool {
	l := t.open.limits
	l.checkAll(t.stats.records, t.stats.bytes)
	return l.err != nil
}

// addLate takes the first of the sorted late records.
func (t *treeBuilder) addLate(late *lateRecords) {
	key, rr := late.first()
	t.add(key, &rr)
	late.drop()
}

// addEntry takes all records of an owner that has been packed before.
func (t *treeBuilder) addEntry(key []byte, e *entry) {
	rr := wire.RR{Owner: e.owner, Class: wire.ClassIN}
	for s := range e.all() {
		rr.Type = s.Type
		for ttl, data := range s.received() {
			rr.TTL, rr.Data = ttl, data
			t.add(key, &rr)
		}
	}
}
