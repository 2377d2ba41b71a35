package xfr

import (
	"encoding/binary"
	"errors"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// fixedLen is the length of a record between its owner and its RDATA: type, class, TTL and RDLENGTH (RFC 1035 §3.2.1).
const fixedLen = 10

var (
	errFrame = errors.New("a section goes past the end of the message")
	// RFC 8945 §5.1, §5.2: exactly one TSIG record, the last one of the additional section.
	errTSIGPlace = errors.New("a TSIG record is not the last record, or not the only one")
	errTSIGForm  = errors.New("malformed TSIG record")
)

// tsig is a TSIG record taken apart (RFC 8945 §4.2). Its slices borrow the message and the tsigFinder.
type tsig struct {
	begin      int // where in the message the record begins
	key        wire.Name
	algorithm  wire.Name
	signed     uint64 // Time Signed, seconds since 1970
	fudge      uint16 // seconds
	mac        []byte
	originalID uint16
	code       uint16 // the Error field
	other      []byte // Other Data
}

// tsigFinder finds the TSIG record of a message. It walks the records without reading names or RDATA, for a transfer walks
// all its records twice: here, and in the Interpreter. It keeps its buffers; it is not safe for concurrent use.
type tsigFinder struct {
	record tsig
	name   [wire.MaxName]byte
}

// find returns the TSIG record of msg, nil if it has none, or an error with the reason Malformed. The record is valid until
// the next call.
func (f *tsigFinder) find(msg []byte) (*tsig, error) {
	if len(msg) < wire.HeaderLen {
		return nil, malformed(errFrame)
	}
	count := func(i int) int { return int(binary.BigEndian.Uint16(msg[i:])) }
	additional := count(10)
	off := wire.HeaderLen
	for range count(4) {
		if off = skipName(msg, off); off < 0 || off+4 > len(msg) {
			return nil, malformed(errFrame)
		}
		off += 4
	}
	for left := count(6) + count(8) + additional; left > 0; left-- {
		begin, fixed := off, skipName(msg, off)
		if fixed < 0 || fixed+fixedLen > len(msg) {
			return nil, malformed(errFrame)
		}
		off = fixed + fixedLen + int(binary.BigEndian.Uint16(msg[fixed+8:]))
		if off > len(msg) {
			return nil, malformed(errFrame)
		}
		if binary.BigEndian.Uint16(msg[fixed:]) != wire.TypeTSIG {
			continue
		}
		if left > 1 || additional == 0 {
			return nil, malformed(errTSIGPlace)
		}
		// Octets behind the record are covered by no MAC. They are cut off with it, as BIND and NSD do, so nobody reads them.
		if !f.parse(msg[:off], begin, fixed) {
			return nil, malformed(errTSIGForm)
		}
		return &f.record, nil
	}
	return nil, nil
}

// parse reads the record that begins at begin, has its type at fixed and ends with msg.
func (f *tsigFinder) parse(msg []byte, begin, fixed int) bool {
	t := &f.record
	owner, ok := expandName(f.name[:0], msg, begin)
	// RFC 8945 §4.2: class ANY, TTL 0.
	if !ok || binary.BigEndian.Uint16(msg[fixed+2:]) != wire.ClassANY || binary.BigEndian.Uint32(msg[fixed+4:]) != 0 {
		return false
	}
	data := msg[fixed+fixedLen:]
	end := skipName(data, 0)
	if end < 0 || data[end-1] != 0 || end > wire.MaxName { // the algorithm is never compressed
		return false
	}
	*t = tsig{begin: begin, key: owner, algorithm: wire.Name(data[:end])}
	if data = data[end:]; len(data) < 10 {
		return false
	}
	t.signed, t.fudge = uint48(data), binary.BigEndian.Uint16(data[6:])
	size := int(binary.BigEndian.Uint16(data[8:]))
	if data = data[10:]; len(data) < size+6 {
		return false
	}
	t.mac, data = data[:size], data[size:]
	t.originalID, t.code = binary.BigEndian.Uint16(data), binary.BigEndian.Uint16(data[2:])
	t.other = data[6:]
	return len(t.other) == int(binary.BigEndian.Uint16(data[4:]))
}

// skipName returns the offset behind the perhaps compressed name at off, or -1 if the name does not end within msg.
func skipName(msg []byte, off int) int {
	for off < len(msg) {
		switch length := int(msg[off]); {
		case length == 0:
			return off + 1
		case length >= 0xC0:
			if off+2 > len(msg) {
				return -1
			}
			return off + 2
		case length >= 0x40:
			return -1 // a label type that is not defined
		default:
			off += 1 + length
		}
	}
	return -1
}

// expandName appends the perhaps compressed name at off, and reports whether there is one. Pointers must point back.
func expandName(dst, msg []byte, off int) (wire.Name, bool) {
	for first := off; off < len(msg); {
		length := int(msg[off])
		switch {
		case length >= 0xC0:
			if off+2 > len(msg) {
				return nil, false
			}
			target := int(binary.BigEndian.Uint16(msg[off:]) & 0x3FFF)
			if target >= first {
				return nil, false
			}
			off, first = target, target
			continue
		case length >= 0x40, off+1+length > len(msg), len(dst)+1+length > wire.MaxName:
			return nil, false
		}
		dst = append(dst, msg[off:off+1+length]...)
		off += 1 + length
		if length == 0 {
			return dst, true
		}
	}
	return nil, false
}
