package zone

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// The errors of differences.
var (
	ErrDifferenceTooBig = errors.New("difference is too big")
	ErrDifference       = errors.New("malformed difference")
)

// Difference is what one version of a zone takes to become another: the records to remove and those to add (RFC 1995 §4).
// Records lie back to back, uncompressed on the wire. It never changes and is safe for concurrent use.
type Difference struct {
	from, to serial.Serial
	octets   []byte // the SOA of the old version, records to remove, the SOA of the new version, records to add
	added    int    // where the second SOA begins
}

// From returns the serial of the version the difference is applied to.
func (d *Difference) From() serial.Serial { return d.from }

// To returns the serial of the version it makes.
func (d *Difference) To() serial.Serial { return d.to }

// Size returns the octets of all its records, uncompressed on the wire.
func (d *Difference) Size() int64 { return int64(len(d.octets)) }

// Removed iterates over the records to remove, the old SOA first. The RR is valid until the next one and read-only.
func (d *Difference) Removed() iter.Seq[*wire.RR] { return recordsIn(d.octets[:d.added]) }

// Added iterates over the records to add, the new SOA first. The RR is valid until the next one and read-only.
func (d *Difference) Added() iter.Seq[*wire.RR] { return recordsIn(d.octets[d.added:]) }

func recordsIn(octets []byte) iter.Seq[*wire.RR] {
	return func(yield func(*wire.RR) bool) {
		var rr wire.RR
		for rest := octets; len(rest) > 0; {
			rest, _ = nextRecord(rest, &rr)
			if !yield(&rr) {
				return
			}
		}
	}
}

// nextRecord reads the record that b begins with and returns what follows it. It reports whether there is a whole one.
func nextRecord(b []byte, rr *wire.RR) (rest []byte, ok bool) {
	end := 0
	for end < len(b) && b[end] != 0 && b[end] <= maxLabel {
		end += int(b[end]) + 1
	}
	if end++; end > wire.MaxName || end+rrHeader > len(b) || b[end-1] != 0 {
		return nil, false
	}
	fixed := b[end:]
	length := int(binary.BigEndian.Uint16(fixed[rrHeader-2:]))
	if rrHeader+length > len(fixed) {
		return nil, false
	}
	rr.Owner = wire.Name(b[:end:end])
	rr.Type, rr.Class = binary.BigEndian.Uint16(fixed), binary.BigEndian.Uint16(fixed[2:])
	rr.TTL = binary.BigEndian.Uint32(fixed[4:])
	rr.Data = fixed[rrHeader : rrHeader+length : rrHeader+length]
	return fixed[rrHeader+length:], true
}

// maxLabel is the longest a label may be (RFC 1035 §2.3.4).
const maxLabel = 63

// Octets returns the difference in the form that ParseDifference reads. They are read-only.
func (d *Difference) Octets() []byte { return d.octets }

// ParseDifference reads what Octets has returned: two SOAs, each with the records behind it. It does not keep b.
func ParseDifference(b []byte) (*Difference, error) {
	d := &Difference{octets: slices.Clone(b)}
	var rr wire.RR
	soas := 0
	for rest := d.octets; len(rest) > 0; {
		at := len(d.octets) - len(rest)
		behind, ok := nextRecord(rest, &rr)
		if !ok {
			return nil, fmt.Errorf("%w: a record is cut off", ErrDifference)
		}
		rest = behind
		if rr.Type != wire.TypeSOA {
			if soas == 0 {
				return nil, fmt.Errorf("%w: does not begin with a SOA", ErrDifference)
			}
			continue
		}
		soa, err := wire.ParseSOA(rr.Data)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDifference, err)
		}
		if soas++; soas == 1 {
			d.from = soa.Serial
		} else {
			d.to, d.added = soa.Serial, at
		}
	}
	if soas != 2 {
		return nil, fmt.Errorf("%w: %d SOAs, not 2", ErrDifference, soas)
	}
	return d, nil
}

// Difference returns what contents of another version of the zone, from, take to become c. It costs what has changed
// between the two, and is ErrDifferenceTooBig if its Size would exceed limit; 0 is no limit. RFC 1995 §4: one that is
// no smaller than the zone is of no use.
//
// It is exact: it removes and adds again a record whose TTL or spelling differs, and all records of an owner whose
// spelling does.
func (c *Contents) Difference(from *Contents, limit int64) (*Difference, error) {
	d := differ{origin: c.origin, limit: limit}
	d.removed, d.added = from.appendSOA(nil), c.appendSOA(nil)
	if !d.tree(&from.names, &c.names) || !d.tree(from.nsec3, c.nsec3) {
		return nil, fmt.Errorf("%w: more than %d octets from serial %s to %s", ErrDifferenceTooBig, limit, from.Serial(),
			c.Serial())
	}
	octets := slices.Concat(d.removed, d.added)
	return &Difference{from: from.Serial(), to: c.Serial(), octets: octets, added: len(d.removed)}, nil
}

func (c *Contents) appendSOA(dst []byte) []byte {
	return appendRecord(dst, c.apex.owner, wire.TypeSOA, c.apex.soa.TTL, c.apex.soa.First())
}

func appendRecord(dst []byte, owner wire.Name, rrtype uint16, ttl uint32, data []byte) []byte {
	dst = append(dst, owner...)
	dst = binary.BigEndian.AppendUint16(dst, rrtype)
	dst = binary.BigEndian.AppendUint16(dst, wire.ClassIN)
	dst = binary.BigEndian.AppendUint32(dst, ttl)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(data)))
	return append(dst, data...)
}

// differ collects a difference. It is owned by one goroutine.
type differ struct {
	origin         wire.Name
	limit          int64
	removed, added []byte

	draft ownerDraft // scratch, as is name
	name  []byte
}

// fits reports whether what has been collected is within the limit.
func (d *differ) fits() bool { return d.limit <= 0 || int64(len(d.removed)+len(d.added)) <= d.limit }

// tree adds what differs between two trees, and reports whether it fits.
func (d *differ) tree(old, cur *tree) bool {
	var was, is pageWalk
	changedPages(old, cur, func(_ []byte, old, cur page) bool {
		if old != nil {
			was.pages = append(was.pages, old)
		}
		if cur != nil {
			is.pages = append(is.pages, cur)
		}
		return true
	})
	// A key in a page that only one tree has is in such a page of the other one too, or not in it at all.
	was.next()
	is.next()
	for (was.valid() || is.valid()) && d.fits() {
		switch order := was.compare(&is); {
		case order < 0:
			d.removed = d.appendOwner(d.removed, &was)
			was.next()
		case order > 0:
			d.added = d.appendOwner(d.added, &is)
			is.next()
		default:
			d.owner(&was, &is)
			was.next()
			is.next()
		}
	}
	return d.fits()
}

// ownerName returns the owner of an entry as received. It is valid until the next call.
func (d *differ) ownerName(w *pageWalk) wire.Name {
	if w.e.owner != nil {
		return w.e.owner
	}
	d.name = wire.AppendKeyName(d.name[:0], w.key, d.origin)
	return d.name
}

// appendOwner appends all records of an owner but the SOA.
func (d *differ) appendOwner(dst []byte, w *pageWalk) []byte {
	owner := d.ownerName(w)
	for s := range w.e.all() {
		if s.Type == wire.TypeSOA {
			continue
		}
		for ttl, data := range s.received() {
			dst = appendRecord(dst, owner, s.Type, ttl, data)
		}
	}
	return dst
}

// owner adds what differs between two entries of the same key.
func (d *differ) owner(was, is *pageWalk) {
	switch {
	case !bytes.Equal(was.e.owner, is.e.owner):
		d.removed, d.added = d.appendOwner(d.removed, was), d.appendOwner(d.added, is)
	case !bytes.Equal(was.sets(), is.sets()):
		d.records(was, is)
	}
}

// records adds the records that one of two entries of the same owner has and the other has not.
func (d *differ) records(was, is *pageWalk) {
	owner := d.ownerName(was)
	d.draft.load(was.key, &was.e)
	count := len(d.draft.records)
	d.draft.append(&is.e)
	old, cur := d.draft.records[:count], d.draft.records[count:]
	for len(old) > 0 || len(cur) > 0 {
		var order int
		switch {
		case len(old) == 0:
			order = 1
		case len(cur) == 0:
			order = -1
		default:
			order = d.draft.compare(old[0], cur[0])
		}
		same := order == 0 && d.draft.same(old[0], cur[0])
		if order <= 0 {
			if !same {
				d.removed = d.draft.appendRecord(d.removed, owner, old[0])
			}
			old = old[1:]
		}
		if order >= 0 {
			if !same {
				d.added = d.draft.appendRecord(d.added, owner, cur[0])
			}
			cur = cur[1:]
		}
	}
}

// same reports whether two equal records are the same to the octet. SOAs are taken to be: a difference has its own.
func (d *ownerDraft) same(a, b draftRecord) bool {
	return a.rrtype == wire.TypeSOA || a.ttl == b.ttl && bytes.Equal(d.data[a.start:a.end], d.data[b.start:b.end])
}

// appendRecord appends a record of the draft, unless it is the SOA.
func (d *ownerDraft) appendRecord(dst []byte, owner wire.Name, r draftRecord) []byte {
	if r.rrtype == wire.TypeSOA {
		return dst
	}
	return appendRecord(dst, owner, r.rrtype, r.ttl, d.data[r.start:r.end])
}

// pageWalk goes over the entries of pages in key order. It is owned by one goroutine.
type pageWalk struct {
	pages []page // the first is the one e is of
	i     int    // of the entry behind e
	key   []byte // of e
	e     entry
	done  bool
	order int // among walks over the same keys
}

// before reports whether a walk stands before another, or at the same key and comes first.
func (w *pageWalk) before(o *pageWalk) bool {
	c := bytes.Compare(w.key, o.key)
	return c < 0 || c == 0 && w.order < o.order
}

func (w *pageWalk) valid() bool { return !w.done }

func (w *pageWalk) next() {
	if len(w.pages) > 0 && w.i == w.pages[0].count() {
		w.pages[0] = nil // it need not outlive the walk
		w.pages, w.i = w.pages[1:], 0
	}
	if len(w.pages) == 0 {
		w.done = true
		return
	}
	w.e = w.pages[0].entry(w.i)
	w.key = w.e.appendKey(w.key[:0])
	w.i++
}

// sets returns the packed sets of the entry, and nothing behind them.
func (w *pageWalk) sets() []byte { return setsOf(w.pages[0].body(w.i - 1)) }

// compare orders two walks, at least one of them valid, by where they stand; the end is behind everything.
func (w *pageWalk) compare(o *pageWalk) int {
	switch {
	case w.done:
		return 1
	case o.done:
		return -1
	}
	return bytes.Compare(w.key, o.key)
}
