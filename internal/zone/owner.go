package zone

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// ownerDraft collects the records of one owner. Its buffers are reused from owner to owner.
type ownerDraft struct {
	started bool
	key     []byte
	owner   wire.Name // as received, empty when it is lower case
	records []draftRecord
	data    []byte       // RDATA of all records
	limits  *ownerLimits // nil: none
	marking *marking     // which records are not served; nil: those that are marked
	sets    []byte       // the packed sets, made by seal
}

// rrHeader is the length of a record's type, class, TTL and RDATA length (RFC 1035 §3.2.1).
const rrHeader = 10

// draftRecord is one record of a draft; its RDATA is data[start:end] of the draft.
type draftRecord struct {
	rrtype, covers uint16
	ttl            uint32
	mark           Mark
	start, end     int
}

const draftRecordSize = 32 // octets of a draftRecord

func (d *ownerDraft) begin(key []byte, owner wire.Name) {
	d.started = true
	d.key = append(d.key[:0], key...)
	d.owner, d.records, d.data = d.owner[:0], d.records[:0], d.data[:0]
	if hasUpper(owner) {
		d.owner = append(d.owner, owner...)
	}
}

func (d *ownerDraft) add(rr *wire.RR) {
	start := len(d.data)
	d.data = append(d.data, rr.Data...)
	d.records = append(d.records, draftRecord{rrtype: rr.Type, covers: covers(rr.Type, rr.Data), ttl: rr.TTL, start: start, end: len(d.data)})
}

// looseRecords and looseOctets are how much of one owner is taken before it is looked through for duplicates.
const (
	looseRecords = 1024
	looseOctets  = 64 << 10
)

// full reports whether the buffers of a large owner have to grow for rr.
func (d *ownerDraft) full(rr *wire.RR) bool {
	return len(d.records) >= looseRecords && len(d.records) == cap(d.records) ||
		len(d.data) >= looseOctets && len(d.data)+len(rr.Data) > cap(d.data)
}

// needed returns the octets of the buffers that grow makes.
func (d *ownerDraft) needed() int64 {
	return int64((len(d.records)+len(d.records)/4+1)*draftRecordSize + d.rdata() + max(d.rdata()/4, looseOctets))
}

// grow makes room for a quarter more, once duplicates are gone, so that it costs little however often it is called for: what
// repeats itself without end takes no memory.
func (d *ownerDraft) grow() {
	d.records = append(make([]draftRecord, 0, len(d.records)+len(d.records)/4+1), d.records...)
	size := d.rdata()
	data := make([]byte, 0, size+max(size/4, looseOctets))
	for i := range d.records {
		r := &d.records[i]
		data = append(data, d.data[r.start:r.end]...)
		r.start, r.end = len(data)-(r.end-r.start), len(data)
	}
	d.data = data
}

// rdata returns the octets of the RDATA of all records.
func (d *ownerDraft) rdata() (octets int) {
	for i := range d.records {
		octets += d.records[i].end - d.records[i].start
	}
	return octets
}

// memory returns the octets that the buffers take.
func (d *ownerDraft) memory() int64 { return int64(cap(d.records)*draftRecordSize + cap(d.data)) }

// compare orders records by type, covered type and RDATA.
func (d *ownerDraft) compare(a, b draftRecord) int {
	if c := int(a.rrtype) - int(b.rrtype); c != 0 {
		return c
	}
	if c := int(a.covers) - int(b.covers); c != 0 {
		return c
	}
	return wire.CompareRDATA(a.rrtype, d.data[a.start:a.end], d.data[b.start:b.end])
}

// order is compare, with equal records in an order that does not depend on which came first.
func (d *ownerDraft) order(a, b draftRecord) int {
	if c := d.compare(a, b); c != 0 {
		return c
	}
	return bytes.Compare(d.data[a.start:a.end], d.data[b.start:b.end])
}

// load fills the draft with the records of a packed owner.
func (d *ownerDraft) load(key []byte, e *entry) {
	d.begin(key, e.owner)
	d.append(e)
}

// append adds all records of a packed owner, in order.
func (d *ownerDraft) append(e *entry) {
	start, marked := len(d.records), false
	var rr wire.RR
	for s := range e.all() {
		rr.Type = s.Type
		marked = marked || s.mark != 0
		for rr.TTL, rr.Data = range s.received() {
			d.add(&rr)
			d.records[len(d.records)-1].mark = s.mark
		}
	}
	if marked { // a set that is served in part stands there twice
		slices.SortFunc(d.records[start:], d.order)
	}
}

// find returns where rr stands or would have to stand among the records, which are in order, and whether it is there.
func (d *ownerDraft) find(rr *wire.RR) (int, bool) {
	end := len(d.data)
	d.add(rr)
	want := d.records[len(d.records)-1]
	d.records = d.records[:len(d.records)-1]
	at, found := slices.BinarySearchFunc(d.records, want, d.compare)
	d.data = d.data[:end]
	return at, found
}

// types returns how many types the draft has; its records are in order.
func (d *ownerDraft) types() (n int) {
	for i := range d.records {
		if i == 0 || d.records[i].rrtype != d.records[i-1].rrtype {
			n++
		}
	}
	return n
}

// While differences are applied an RRset may go crowdSlack times over its limit, and by as many records more: what a later
// version takes away may come late.
const (
	crowdSlack   = 4
	crowdRecords = 1000
)

// crowded returns the error of an RRset with far more records before or behind index at, where rr belongs, than its limit:
// inserting on would take ever longer.
func (d *ownerDraft) crowded(at int, rr *wire.RR, limit int) error {
	if limit == 0 {
		return nil
	}
	limit = crowdSlack*limit + crowdRecords
	for _, i := range [...]int{at - limit, at + limit - 1} {
		if i >= 0 && i < len(d.records) && d.records[i].rrtype == rr.Type && d.records[i].covers == covers(rr.Type, rr.Data) {
			return fmt.Errorf("%w: more than %d records of %s %s", ErrLargeRRset, limit, rr.Owner, wire.TypeName(rr.Type))
		}
	}
	return nil
}

// insert puts rr at index at.
func (d *ownerDraft) insert(at int, rr *wire.RR) {
	d.add(rr)
	last := len(d.records) - 1
	r := d.records[last]
	d.records = slices.Insert(d.records[:last], at, r)
}

// sort brings the records into order; mostly they are.
func (d *ownerDraft) sort() {
	if len(d.records) > 1 && !slices.IsSortedFunc(d.records, d.order) {
		slices.SortFunc(d.records, d.order)
	}
}

// seal sorts the draft into sets, without duplicates (RFC 5936 §2.2: they MUST be ignored) and with the lowest TTL of each
// set (RFC 2181 §5.2), and returns them packed. The result is valid until the next seal.
func (d *ownerDraft) seal(originLen int) ([]byte, stats) {
	d.sort()
	d.dropDuplicates()
	if d.marking != nil {
		d.marking.mark(d)
	}
	d.divide()
	st := stats{records: len(d.records), bytes: d.headers(originLen)}
	if len(d.data) > largeOwner { // growing would hold them twice
		const perRecord = 2*ttlLen + setHeader
		d.sets = make([]byte, 0, d.rdata()+perRecord*len(d.records))
	}
	d.sets = append(d.sets[:0], 0)
	sets := 0
	for from := 0; from < len(d.records); sets++ {
		to := from + 1
		for to < len(d.records) && d.records[to].inSetOf(&d.records[from]) {
			to++
		}
		if d.records[from].mark != 0 {
			st.marked += to - from
		}
		st.bytes += d.appendSet(d.records[from:to])
		from = to
	}
	d.sets = setCount(d.sets, sets)
	d.limits.check(d, sets)
	return d.sets, st
}

// headers returns the octets of all records but for their RDATA.
func (d *ownerDraft) headers(originLen int) int64 {
	return int64(len(d.records) * (wire.KeyNameLen(d.key, originLen) + rrHeader))
}

// ownerLimits are the limits of each owner and what exceeds them first. They are owned by one goroutine.
type ownerLimits struct {
	Limits
	origin wire.Name
	err    error
}

// check looks at a draft of so many sets.
func (l *ownerLimits) check(d *ownerDraft, sets int) {
	if l == nil || l.err != nil {
		return
	}
	owner := func() wire.Name { return wire.AppendKeyName(nil, d.key, l.origin) }
	if l.Types > 0 && sets > l.Types && d.types() > l.Types {
		l.err = fmt.Errorf("%w: more than %d at %s", ErrManyTypes, l.Types, owner())
	}
	if l.RRset == 0 || len(d.records) <= l.RRset {
		return
	}
	for i, from := 0, 0; i < len(d.records); i++ {
		if r := &d.records[i]; r.rrtype != d.records[from].rrtype || r.covers != d.records[from].covers {
			from = i
		}
		if i-from >= l.RRset {
			l.err = fmt.Errorf("%w: more than %d records of %s %s", ErrLargeRRset, l.RRset, owner(), wire.TypeName(d.records[i].rrtype))
			return
		}
	}
}

// checkAll looks at so many records and octets, which are part of a version.
func (l *ownerLimits) checkAll(records int, size int64) {
	if l.err == nil {
		l.err = l.Limits.check(records, size)
	}
}

// inSetOf reports whether two records are packed into one set.
func (r *draftRecord) inSetOf(o *draftRecord) bool {
	return r.rrtype == o.rrtype && r.covers == o.covers && r.mark == o.mark
}

// divide moves the records of an RRset that are not served behind those that are.
func (d *ownerDraft) divide() {
	if !slices.ContainsFunc(d.records, func(r draftRecord) bool { return r.mark != 0 }) {
		return
	}
	slices.SortStableFunc(d.records, func(a, b draftRecord) int {
		return cmp.Or(cmp.Compare(a.rrtype, b.rrtype), cmp.Compare(a.covers, b.covers), cmp.Compare(a.mark, b.mark))
	})
}

// dropDuplicates keeps one of equal records, which stand together, with the lowest of their TTLs.
func (d *ownerDraft) dropDuplicates() {
	kept := d.records[:0]
	for _, r := range d.records {
		if n := len(kept); n > 0 && d.compare(kept[n-1], r) == 0 {
			kept[n-1].ttl = min(kept[n-1].ttl, r.ttl)
			continue
		}
		kept = append(kept, r)
	}
	d.records = kept
}

// setCount writes the number of sets in front of them, where one octet has been left for it.
func setCount(b []byte, n int) []byte {
	if n < 0x80 {
		b[0] = byte(n)
		return b
	}
	return append(binary.AppendUvarint(nil, uint64(n)), b[1:]...)
}

// appendSet packs the records of one set and returns the octets of their RDATA.
func (d *ownerDraft) appendSet(rrs []draftRecord) (size int64) {
	ttl, mixed := rrs[0].ttl, 0
	for _, r := range rrs {
		if r.ttl != rrs[0].ttl {
			mixed = 1
		}
		ttl = min(ttl, r.ttl)
	}
	block := 0
	for _, r := range rrs {
		n := r.end - r.start
		block += uvarintLen(n) + n + mixed*ttlLen
		size += int64(n)
	}
	d.sets = binary.BigEndian.AppendUint16(d.sets, rrs[0].rrtype)
	d.sets = binary.BigEndian.AppendUint32(d.sets, ttl)
	count := len(rrs)<<setCounts | mixed*setMixed
	if mark := rrs[0].mark; mark == 0 {
		d.sets = binary.AppendUvarint(d.sets, uint64(count))
	} else {
		d.sets = append(binary.AppendUvarint(d.sets, uint64(count|setMarked)), byte(mark))
	}
	d.sets = binary.AppendUvarint(d.sets, uint64(block))
	for _, r := range rrs {
		if mixed != 0 {
			d.sets = binary.BigEndian.AppendUint32(d.sets, r.ttl)
		}
		d.sets = binary.AppendUvarint(d.sets, uint64(r.end-r.start))
		d.sets = append(d.sets, d.data[r.start:r.end]...)
	}
	return size
}

func hasUpper(n wire.Name) bool {
	for _, b := range n {
		if 'A' <= b && b <= 'Z' {
			return true
		}
	}
	return false
}
