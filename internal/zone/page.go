package zone

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"iter"
	"slices"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// maxPage is the size a page does not outgrow unless a single owner alone is larger. It is one of the allocator's size
// classes, so a full page wastes nothing, and small enough that an update of one record copies little.
const maxPage = 2048

// pageHeader is the length of the two numbers a page begins with, slotLen that of what it has for each entry.
const (
	pageHeader = 4
	slotLen    = 4
)

// Flags of an entry. They are computed when contents are sealed, so that a lookup only reads them.
const (
	flagCut     = 1 << iota // NS records, not at the apex: a zone cut (RFC 9499 §7)
	flagDNAME               // a DNAME record
	flagCovered             // below a cut or a DNAME; the labels of the topmost such owner follow
	flagCase                // the owner as received follows: it is not all lower case
)

// page is one packed page. Pages are immutable once built and safe for concurrent use.
type page []byte

// entry is one owner of a page, as views into it.
type entry struct {
	prefix, suffix []byte // the two parts of the owner's key
	flags          byte
	cover          int       // labels of the topmost cut or DNAME owner above; only with flagCovered
	owner          wire.Name // the owner as received; only with flagCase
	sets           []byte    // number of sets, then the sets
}

func (p page) count() int {
	return int(binary.LittleEndian.Uint16(p))
}

func (p page) prefix() []byte {
	return p[pageHeader : pageHeader+int(binary.LittleEndian.Uint16(p[2:]))]
}

// offset returns where entry i begins.
func (p page) offset(prefixLen, i int) int {
	return int(binary.LittleEndian.Uint16(p[pageHeader+prefixLen+slotLen*i+2:]))
}

// suffixAt returns the key suffix of entry i and the offset behind it.
func (p page) suffixAt(prefixLen, i int) (suffix []byte, next int) {
	n, off := uvarint(p, p.offset(prefixLen, i))
	return p[off : off+n], off + n
}

// entry returns entry i.
func (p page) entry(i int) entry {
	e := entry{prefix: p.prefix()}
	var off int
	e.suffix, off = p.suffixAt(len(e.prefix), i)
	e.flags = p[off]
	off++
	if e.flags&flagCovered != 0 {
		e.cover = int(p[off])
		off++
	}
	if e.flags&flagCase != 0 {
		n := int(p[off])
		off++
		e.owner = wire.Name(p[off : off+n])
		off += n
	}
	e.sets = p[off:]
	return e
}

// body returns what entry i holds behind its suffix; entries stand back to back.
func (p page) body(i int) []byte {
	prefixLen := len(p.prefix())
	_, off := p.suffixAt(prefixLen, i)
	if i+1 == p.count() {
		return p[off:]
	}
	return p[off:p.offset(prefixLen, i+1)]
}

// setsOf returns the sets at the end of an entry's body.
func setsOf(body []byte) []byte {
	off := 1
	if body[0]&flagCovered != 0 {
		off++
	}
	if body[0]&flagCase != 0 {
		off += 1 + int(body[off])
	}
	return body[off:]
}

// search returns the first entry whose key is not below key, and whether that key is equal.
func (p page) search(key []byte) (int, bool) {
	prefix := p.prefix()
	if !bytes.HasPrefix(key, prefix) {
		if bytes.Compare(key, prefix) < 0 {
			return 0, false
		}
		return p.count(), false
	}
	rest := key[len(prefix):]
	want := head(rest)
	slots := p[pageHeader+len(prefix):]
	low, high := 0, p.count()
	for low < high {
		mid := int(uint(low+high) >> 1)
		c := int(binary.BigEndian.Uint16(slots[slotLen*mid:])) - want
		if c == 0 {
			suffix, _ := p.suffixAt(len(prefix), mid)
			if c = bytes.Compare(suffix, rest); c == 0 {
				return mid, true
			}
		}
		if c < 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, false
}

// head returns the first two octets of a suffix as a number, 0 standing for those it does not have. Heads order suffixes as
// far as they go, so that most steps of a search stay within the slots.
func head(suffix []byte) int {
	switch len(suffix) {
	case 0:
		return 0
	case 1:
		return int(suffix[0]) << 8
	default:
		return int(suffix[0])<<8 | int(suffix[1])
	}
}

// appendKey appends the entry's whole key to dst.
func (e *entry) appendKey(dst []byte) []byte { return append(append(dst, e.prefix...), e.suffix...) }

// set returns the set of one type that is served; RRSIGs are asked for with the type they cover.
func (e *entry) set(rrtype, covers uint16) (RRset, bool) {
	n, off := uvarint(e.sets, 0)
	for ; n > 0; n-- {
		var s RRset
		s, off = setAt(e.sets, off)
		if s.Type > rrtype {
			break
		}
		if s.Type == rrtype && s.mark == 0 && (rrtype != wire.TypeRRSIG || s.Covers() == covers) {
			return s, true
		}
	}
	return RRset{}, false
}

// served iterates over the sets that are served.
func (e *entry) served() iter.Seq[RRset] {
	return func(yield func(RRset) bool) {
		n, off := uvarint(e.sets, 0)
		for ; n > 0; n-- {
			var s RRset
			s, off = setAt(e.sets, off)
			if s.mark == 0 && !yield(s) {
				return
			}
		}
	}
}

// all iterates over the entry's sets, those that are not served as well.
func (e *entry) all() iter.Seq[RRset] {
	return func(yield func(RRset) bool) {
		n, off := uvarint(e.sets, 0)
		for ; n > 0; n-- {
			var s RRset
			s, off = setAt(e.sets, off)
			if !yield(s) {
				return
			}
		}
	}
}

// RRset is a set of records of one owner and type (of one covered type for RRSIGs), as a view into contents.
// It is immutable, safe for concurrent use, and valid as long as it is held.
type RRset struct {
	Count int // records, at least one
	block []byte
	TTL   uint32 // seconds; the lowest where they differ (RFC 2181 §5.2)
	Type  uint16
	mixed bool // each record in the block has its own TTL in front
	mark  Mark // why they are not served; 0 if they are
}

// setHeader is the length of type and TTL in front of a set.
const setHeader = 6

// ttlLen is the length of a TTL.
const ttlLen = 4

// The number of a set's records is followed by two flags.
const (
	setMixed  = 1 << iota // the TTLs of its records differ
	setMarked             // its records are not served; the mark follows
	setCounts = iota      // the number begins at this bit
)

func setAt(b []byte, off int) (RRset, int) {
	s := RRset{Type: binary.BigEndian.Uint16(b[off:]), TTL: binary.BigEndian.Uint32(b[off+2:])}
	n, next := uvarint(b, off+setHeader)
	s.Count, s.mixed = n>>setCounts, n&setMixed != 0
	if n&setMarked != 0 {
		s.mark = Mark(b[next])
		next++
	}
	n, next = uvarint(b, next)
	s.block = b[next : next+n]
	return s, next + n
}

// All iterates over the RDATA of the set's records in canonical order.
func (s RRset) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, data := range s.received() {
			if !yield(data) {
				return
			}
		}
	}
}

// received iterates over the records with the TTLs they came with.
func (s RRset) received() iter.Seq2[uint32, []byte] {
	return func(yield func(uint32, []byte) bool) {
		ttl := s.TTL
		for off := 0; off < len(s.block); {
			if s.mixed {
				ttl = binary.BigEndian.Uint32(s.block[off:])
				off += ttlLen
			}
			n, at := uvarint(s.block, off)
			off = at + n
			if !yield(ttl, s.block[at:off:off]) {
				return
			}
		}
	}
}

// First returns the RDATA of the first record.
func (s RRset) First() []byte {
	off := 0
	if s.mixed {
		off = ttlLen
	}
	n, at := uvarint(s.block, off)
	return s.block[at : at+n : at+n]
}

// Covers returns the type that a set of RRSIGs covers, 0 for other sets (RFC 4034 §3.1.1).
func (s RRset) Covers() uint16 { return covers(s.Type, s.First()) }

// covers returns the type covered by a record that is an RRSIG, else 0.
func covers(rrtype uint16, data []byte) uint16 {
	if rrtype != wire.TypeRRSIG || len(data) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(data)
}

// uvarint reads an unsigned varint at b[off:] and returns it with the offset behind it. Pages are our own, so it trusts
// them.
func uvarint(b []byte, off int) (int, int) {
	if v := b[off]; v < 0x80 {
		return int(v), off + 1
	}
	return longUvarint(b, off) // apart, so that the usual case is inlined
}

func longUvarint(b []byte, off int) (int, int) {
	v, n := binary.Uvarint(b[off:])
	return int(v), off + n
}

// pageWriter packs entries, given in key order, into pages. It is owned by one goroutine.
type pageWriter struct {
	limit  int // what a page does not outgrow; 0 is maxPage
	pages  []page
	bounds [][]byte // a key at or below the first of each page and above the last of the page before it

	keys    []byte // of the entries of the open page, one after the other
	bodies  []byte // likewise: all of an entry behind its suffix
	ends    []pageEnd
	lengths int    // octets that the suffix lengths of the open page take at most
	last    []byte // key of the last entry of the page before
	octets  int    // of memory that the pages take
}

// pageOverhead is what a page takes beside its octets: where it is, and its bound.
const pageOverhead = 64

// addAlone appends a large entry as a page of its own, from the body as it is.
func (w *pageWriter) addAlone(key, body []byte) {
	w.flush()
	own := w.bodies
	w.keys, w.bodies = append(w.keys, key...), body
	w.ends = append(w.ends, pageEnd{len(key), len(body)})
	w.flush()
	w.bodies = own
}

// pageEnd is where the key and the body of one entry of the open page end.
type pageEnd struct{ key, body int }

// add appends an entry; body is what follows the suffix.
func (w *pageWriter) add(key, body []byte) {
	if len(w.ends) > 0 && w.sizeWith(key, body) > cmp.Or(w.limit, maxPage) {
		w.flush()
	}
	w.keys = append(w.keys, key...)
	w.bodies = append(w.bodies, body...)
	w.lengths += uvarintLen(len(key))
	w.ends = append(w.ends, pageEnd{len(w.keys), len(w.bodies)})
}

// sizeWith returns the size of the open page if one more entry joined it. Keys are in order, so the prefix all entries
// share is what the first and the last share.
func (w *pageWriter) sizeWith(key, body []byte) int {
	n := len(w.ends) + 1
	prefix := commonPrefix(w.keys[:w.ends[0].key], key)
	keys := len(w.keys) + len(key) + w.lengths + uvarintLen(len(key))
	return pageHeader + prefix + slotLen*n + keys - n*prefix + len(w.bodies) + len(body)
}

func (w *pageWriter) flush() {
	if len(w.ends) == 0 {
		return
	}
	n := len(w.ends)
	firstKey := w.keys[:w.ends[0].key]
	lastStart := 0
	if n > 1 {
		lastStart = w.ends[n-2].key
	}
	lastKey := w.keys[lastStart:]
	prefix := commonPrefix(firstKey, lastKey)
	size := pageHeader + prefix + slotLen*n + len(w.keys) - n*prefix + len(w.bodies)
	start := 0
	for _, e := range w.ends {
		size += uvarintLen(e.key - start - prefix)
		start = e.key
	}
	p := make(page, pageHeader+prefix+slotLen*n, size)
	binary.LittleEndian.PutUint16(p, uint16(n))
	binary.LittleEndian.PutUint16(p[2:], uint16(prefix))
	copy(p[pageHeader:], firstKey[:prefix])
	var from pageEnd
	for i, e := range w.ends {
		suffix := w.keys[from.key+prefix : e.key]
		slot := p[pageHeader+prefix+slotLen*i:]
		binary.BigEndian.PutUint16(slot, uint16(head(suffix)))
		binary.LittleEndian.PutUint16(slot[2:], uint16(len(p)))
		p = binary.AppendUvarint(p, uint64(len(suffix)))
		p = append(p, suffix...)
		p = append(p, w.bodies[from.body:e.body]...)
		from = e
	}
	if w.octets += cap(p) + pageOverhead; cap(p) > maxPage {
		w.octets += cap(p) / 8 // the allocator rounds up
	}
	w.pages = append(w.pages, p)
	w.bounds = append(w.bounds, bound(w.last, firstKey))
	w.last = append(w.last[:0], lastKey...)
	w.keys, w.bodies, w.ends, w.lengths = w.keys[:0], w.bodies[:0], w.ends[:0], 0
}

// bound returns the shortest prefix of first that sorts above last: enough to tell the two pages apart.
func bound(last, first []byte) []byte {
	n := min(commonPrefix(last, first)+1, len(first))
	return slices.Clone(first[:n])
}

func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

func uvarintLen(n int) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}
