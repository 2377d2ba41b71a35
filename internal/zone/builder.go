package zone

import (
	"bytes"
	"fmt"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/wire"
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
	ErrTooManyRecords = &reason.Error{Reason: reason.MaxRecords, Detail: "too many records"}
	ErrTooBig         = &reason.Error{Reason: reason.MaxSize, Detail: "zone too big"}
	ErrLargeRRset     = &reason.Error{Reason: reason.RRsetSize, Detail: "RRset too large"}
	ErrManyTypes      = &reason.Error{Reason: reason.NameTypes, Detail: "too many types at one name"}
	ErrSOAOwner       = &reason.Error{Reason: reason.SOAOwner, Detail: "SOA not at the apex"}
	ErrNoSOA          = &reason.Error{Reason: reason.BadApex, Detail: "no SOA at the apex"}
	ErrManySOAs       = &reason.Error{Reason: reason.BadApex, Detail: "several SOAs at the apex"}
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
	marking  *marking // nil: everything is served
	key      []byte   // scratch
}

// NewBuilder returns a builder of contents for the zone at origin, which is lower case.
func NewBuilder(origin wire.Name, limits Limits) *Builder {
	t := treeBuilder{originLen: len(origin)}
	t.open.limits = &ownerLimits{Limits: limits, origin: origin}
	return &Builder{origin: origin, limits: limits, names: t, nsec3: t}
}

// Exclude has records marked that others exclude when they are sealed; served is what is served now, nil for nothing. Call it
// first.
func (b *Builder) Exclude(x Exclusions, served *Contents) {
	b.marking = &marking{Exclusions: x, origin: b.origin, served: served}
	b.names.open.marking = b.marking
}

// Losses returns the records that are not served, once the contents are sealed.
func (b *Builder) Losses() *Losses { return b.marking.result() }

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

// withinLimits checks what has been packed, of which every record counts, and the memory that is held. What waits to be merged
// may have duplicates, so before too much of it is an error it is merged.
func (b *Builder) withinLimits() error {
	if err := b.exceeded(); err != nil {
		return err
	}
	if b.limits.Size == 0 {
		return nil
	}
	most := b.limits.mostHeld()
	if b.Held() <= most {
		return nil
	}
	b.names.merge()
	b.nsec3.merge()
	// Where that leaves hardly any room it is not worth going on, merging ever more often.
	if err := b.exceeded(); err != nil || b.Held() <= most-b.names.lateRoom() {
		return err
	}
	return b.limits.check(0, b.limits.Size+1)
}

// exceeded returns the error of what has been packed, and of far more records than may be.
func (b *Builder) exceeded() error {
	if err := b.names.open.limits.err; err != nil {
		return err
	}
	records, size := b.names.stats.records+b.nsec3.stats.records, b.names.stats.bytes+b.nsec3.stats.bytes
	if err := b.limits.check(records, size); err != nil {
		return err
	}
	waiting := b.names.waiting() + b.nsec3.waiting()
	if b.limits.Records > 0 && records+waiting > waitingSlack*b.limits.Records+waitingRecords {
		return b.limits.check(b.limits.Records+1, 0)
	}
	return nil
}

// mostHeld returns the octets of memory that a transfer may hold.
func (l *Limits) mostHeld() int64 { return l.Size + l.Size/2 + heldSlack }

// Held returns the octets of memory that are held, and those that the owner being received is going to take while it is
// packed. It costs nothing.
func (b *Builder) Held() int64 { return b.names.held() + b.nsec3.held() }

// While records wait to be merged in, a version may have waitingSlack times the records that it may, and some more: small
// zones may repeat their records often. Memory is bounded apart from that: half as much again as the size that is allowed, and
// heldSlack, which is for buffers of small zones.
const (
	waitingSlack   = 4
	waitingRecords = 1000
	heldSlack      = 256 << 10
)

// Seal returns the contents. The builder is done for afterwards.
func (b *Builder) Seal() (*Contents, error) {
	names, nsec3 := b.names.finish(), b.nsec3.finish()
	if err := b.withinLimits(); err != nil {
		return nil, err
	}
	c := &Contents{origin: b.origin, names: names, namesStats: b.names.stats}
	c.setNSEC3(nsec3, b.nsec3.stats)
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
	c.apex.soa = soa
	if sig, ok := e.set(wire.TypeRRSIG, wire.TypeSOA); ok {
		sig.TTL = c.negativeTTL()
		c.apex.soaSig = &sig
	}
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
	runs []run
	body []byte // scratch

	beside int // octets that what is being merged into this tree takes, at first
}

// run is packed pages in order of records that came out of order. It is owned by its treeBuilder.
type run struct {
	pages   []page
	records int
	octets  int
}

// add takes a record whose key is key.
func (t *treeBuilder) add(key []byte, rr *wire.RR) {
	if t.open.started {
		switch c := bytes.Compare(key, t.open.key); {
		case c < 0:
			if t.late.add(key, rr); t.late.used() > t.lateRoom() {
				t.packLate()
			}
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

// waiting returns how many records have not been packed among the others yet.
func (t *treeBuilder) waiting() (records int) {
	records = len(t.open.records) + t.late.len()
	for i := range t.runs {
		records += t.runs[i].records
	}
	return records
}

// held returns the octets of memory that the tree takes.
func (t *treeBuilder) held() int64 {
	held := t.late.memory() + t.open.memory() + int64(t.writer.octets+cap(t.body))
	for i := range t.runs {
		held += int64(t.runs[i].octets)
	}
	held += int64(max(0, t.beside-t.writer.octets)) // it goes as the tree grows
	if n := len(t.open.data); n > largeOwner {      // its sets, once packed and once more on their way into a page
		held += int64(n)
	}
	return held
}

// condense drops the duplicates of the open owner, checks the limits against what is left, and makes room for more of it.
func (t *treeBuilder) condense() {
	d := &t.open
	d.sort()
	d.dropDuplicates()
	if l := d.limits; l != nil {
		l.check(d, d.types())
		l.checkAll(t.stats.records+len(d.records), t.stats.bytes+d.headers(t.originLen)+int64(d.rdata()))
		if l.Size > 0 && t.held()+d.needed() > l.mostHeld() {
			l.checkAll(0, l.Size+1)
		}
		if l.err != nil {
			return
		}
	}
	d.grow()
}

// largeOwner is how many octets of RDATA an owner has for which buffers are not worth keeping.
const largeOwner = 1 << 20

// pack moves the open owner into the pages.
func (t *treeBuilder) pack() {
	d := &t.open
	large := len(d.data) > largeOwner
	sets, st := d.seal(t.originLen)
	flags := ownFlags(d.key, sets)
	if large {
		d.records, d.data = nil, nil
	}
	t.body = t.cover.appendBody(t.body[:0], d.key, flags, d.owner, sets)
	if large {
		d.sets = nil
		t.writer.addAlone(d.key, t.body)
		t.body = nil
	} else {
		t.writer.add(d.key, t.body)
	}
	t.stats.add(st)
	t.stats.add(steering(d.key, flags))
	d.started = false
}

// finish returns the tree.
func (t *treeBuilder) finish() tree {
	t.merge()
	if t.open.started {
		t.pack()
	}
	t.writer.flush()
	return newTree(t.writer.pages, t.writer.bounds)
}

// Late records are packed as they come, in runs of a sixteenth of the size that is allowed, so that waiting takes no more than
// being served does.
const (
	lateShare = 16
	minLate   = 64 << 10
	maxLate   = 4 << 20
)

// lateRoom returns the octets that late records may take before they are packed.
func (t *treeBuilder) lateRoom() int64 {
	size := int64(lateShare * maxLate)
	if l := t.open.limits; l != nil && l.Size > 0 {
		size = l.Size
	}
	return min(max(size/lateShare, minLate), maxLate)
}

// packLate makes a run of the late records.
func (t *treeBuilder) packLate() {
	t.late.sort()
	r := treeBuilder{originLen: t.originLen}
	for i := range t.late.refs {
		key, rr := t.late.at(i)
		r.add(key, &rr)
	}
	r.pack()
	r.writer.flush()
	t.runs = append(t.runs, run{pages: r.writer.pages, records: r.stats.records, octets: r.writer.octets})
	t.late.reset()
}

// merge packs everything but the open owner, which sorts behind it, once more if records came out of order, and lets go of what
// it was packed in on the way.
func (t *treeBuilder) merge() {
	if t.late.len() > 0 {
		t.packLate()
	}
	if len(t.runs) == 0 {
		return
	}
	t.writer.flush()
	all := treeBuilder{originLen: t.originLen}
	all.open.limits, all.open.marking = t.open.limits, t.open.marking
	walks := make([]*pageWalk, 0, len(t.runs)+1)
	for _, pages := range append([]run{{pages: t.writer.pages, octets: t.writer.octets}}, t.runs...) {
		all.beside += pages.octets
		w := &pageWalk{pages: pages.pages, order: len(walks)}
		if w.next(); w.valid() {
			walks = append(walks, w)
		}
	}
	if m := t.open.marking; m != nil {
		m.losses = Losses{} // everything is marked once more
	}
	t.writer, t.runs = pageWriter{}, nil
	for heapify(walks); len(walks) > 0 && !all.tooMuch(); sink(walks, 0) {
		w := walks[0]
		all.addEntry(w.key, &w.e)
		if w.next(); !w.valid() {
			last := len(walks) - 1
			walks[0], walks = walks[last], walks[:last]
		}
	}
	if all.open.started {
		all.pack()
	}
	all.writer.flush()
	t.writer, t.stats, t.cover = all.writer, all.stats, all.cover
}

// heapify puts the walk that stands first in front, and each in front of those at twice its place.
func heapify(walks []*pageWalk) {
	for i := len(walks)/2 - 1; i >= 0; i-- {
		sink(walks, i)
	}
}

// sink moves the walk at place i to where it belongs in the heap.
func sink(walks []*pageWalk, i int) {
	for {
		first := i
		for _, child := range [...]int{2*i + 1, 2*i + 2} {
			if child < len(walks) && walks[child].before(walks[first]) {
				first = child
			}
		}
		if first == i {
			return
		}
		walks[i], walks[first] = walks[first], walks[i]
		i = first
	}
}

// tooMuch reports whether the limits are exceeded, be it by what has been packed: then it is not worth going on.
func (t *treeBuilder) tooMuch() bool {
	l := t.open.limits
	l.checkAll(t.stats.records, t.stats.bytes)
	return l.err != nil
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
