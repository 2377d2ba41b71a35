package zone

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// lateRecords keeps records that came out of order until they can be sorted in. It is owned by the goroutine of its
// Builder. Records lie back to back in one buffer, so that a shuffled zone costs little more than its octets.
type lateRecords struct {
	data []byte
	refs []lateRef
}

// lateRef is where a record lies and the first octets of its key, which decide most comparisons without a look at it.
type lateRef struct {
	head   uint64
	offset int
}

const lateRefSize = 16 // octets of a lateRef

func (l *lateRecords) len() int { return len(l.refs) }

// memory returns the octets that the buffers take.
func (l *lateRecords) memory() int64 { return int64(cap(l.refs)*lateRefSize + cap(l.data)) }

// used returns the octets of the buffers that are in use.
func (l *lateRecords) used() int64 { return int64(len(l.refs)*lateRefSize + len(l.data)) }

func (l *lateRecords) add(key []byte, rr *wire.RR) {
	var head [8]byte
	copy(head[:], key)
	l.refs = append(l.refs, lateRef{binary.BigEndian.Uint64(head[:]), len(l.data)})
	owner := rr.Owner
	if !hasUpper(owner) {
		owner = nil
	}
	l.data = appendBlock(l.data, key)
	l.data = appendBlock(l.data, owner)
	l.data = binary.BigEndian.AppendUint16(l.data, rr.Type)
	l.data = binary.BigEndian.AppendUint32(l.data, rr.TTL)
	l.data = appendBlock(l.data, rr.Data)
}

// sort brings the records into key order; those of one owner stay in the order they came in.
func (l *lateRecords) sort() {
	slices.SortFunc(l.refs, func(a, b lateRef) int {
		if c := cmp.Compare(a.head, b.head); c != 0 {
			return c
		}
		keyA, _ := blockAt(l.data, a.offset)
		keyB, _ := blockAt(l.data, b.offset)
		if c := bytes.Compare(keyA, keyB); c != 0 {
			return c
		}
		return cmp.Compare(a.offset, b.offset)
	})
}

// at returns record i and its key.
func (l *lateRecords) at(i int) ([]byte, wire.RR) {
	key, off := blockAt(l.data, l.refs[i].offset)
	rr := wire.RR{Class: wire.ClassIN}
	rr.Owner, off = blockAt(l.data, off)
	rr.Type = binary.BigEndian.Uint16(l.data[off:])
	rr.TTL = binary.BigEndian.Uint32(l.data[off+2:])
	rr.Data, _ = blockAt(l.data, off+setHeader)
	return key, rr
}

// reset forgets the records and keeps the buffers.
func (l *lateRecords) reset() { l.data, l.refs = l.data[:0], l.refs[:0] }

func appendBlock(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func blockAt(b []byte, off int) ([]byte, int) {
	n, at := uvarint(b, off)
	return b[at : at+n], at + n
}
