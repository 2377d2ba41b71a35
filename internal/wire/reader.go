package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// HeaderLen is the length of a message header (RFC 1035 §4.1.1).
const HeaderLen = 12

// ErrMessage is the error of a message whose frame is broken: nothing behind the fault can be read.
var ErrMessage = errors.New("malformed message")

// RDATAError is the error of one record with malformed RDATA. The frame of the message is whole, so reading can go on
// behind it; the record's owner, type, class and TTL have been filled in.
type RDATAError struct {
	Type  uint16
	Cause error
}

func (e *RDATAError) Error() string {
	return fmt.Sprintf("malformed %s RDATA: %v", TypeName(e.Type), e.Cause)
}

// Unwrap returns what was wrong with the RDATA.
func (e *RDATAError) Unwrap() error { return e.Cause }

// Header is a message header. It is a plain value.
type Header struct {
	ID                                 uint16
	Flags                              uint16 // QR, opcode, AA, TC, RD, RA, Z, AD, CD, RCODE
	Questions, Answers, Nss, Additions uint16 // the four section counts
}

// Response reports whether QR is set.
func (h Header) Response() bool { return h.Flags&(1<<15) != 0 }

// Authoritative reports whether AA is set.
func (h Header) Authoritative() bool { return h.Flags&(1<<10) != 0 }

// Truncated reports whether TC is set.
func (h Header) Truncated() bool { return h.Flags&(1<<9) != 0 }

// Opcode returns the opcode.
func (h Header) Opcode() int { return int(h.Flags>>11) & 15 }

// Rcode returns the four RCODE bits of the header.
func (h Header) Rcode() int { return int(h.Flags & 15) }

// RR is one resource record in uncompressed wire form. Records are read-only; one that came from a Reader borrows its
// buffers and is valid until the Reader's next call.
type RR struct {
	Owner Name
	Type  uint16
	Class uint16
	TTL   uint32 // seconds; a value with the top bit set has been read as 0 (RFC 2181 §8)
	Data  []byte // RDATA, names in it uncompressed and in their received case
}

// Reader reads the questions and records of one message after the other, reusing its buffers.
// Its zero value is ready for Reset. It is not safe for concurrent use.
type Reader struct {
	msg  []byte
	off  int
	name [MaxName]byte
	data []byte
}

// Reset points r at msg and returns its header.
func (r *Reader) Reset(msg []byte) (Header, error) {
	r.msg, r.off = msg, HeaderLen
	if len(msg) < HeaderLen {
		return Header{}, fmt.Errorf("%w: %d octets are less than a header", ErrMessage, len(msg))
	}
	u16 := func(i int) uint16 { return binary.BigEndian.Uint16(msg[i:]) }
	return Header{ID: u16(0), Flags: u16(2), Questions: u16(4), Answers: u16(6), Nss: u16(8), Additions: u16(10)}, nil
}

// Offset returns where in the message the next question or record begins.
func (r *Reader) Offset() int { return r.off }

// Question reads the next entry of the question section.
func (r *Reader) Question() (name Name, qtype, qclass uint16, err error) {
	name, err = r.readName()
	if err != nil {
		return nil, 0, 0, err
	}
	if r.off+4 > len(r.msg) {
		return nil, 0, 0, fmt.Errorf("%w: question cut off at octet %d", ErrMessage, r.off)
	}
	qtype, qclass = binary.BigEndian.Uint16(r.msg[r.off:]), binary.BigEndian.Uint16(r.msg[r.off+2:])
	r.off += 4
	return name, qtype, qclass, nil
}

// Next reads the next record into rr. An *RDATAError leaves the Reader at the record behind; any other error is final.
func (r *Reader) Next(rr *RR) error {
	owner, err := r.readName()
	if err != nil {
		return err
	}
	if r.off+10 > len(r.msg) {
		return fmt.Errorf("%w: record cut off at octet %d", ErrMessage, r.off)
	}
	fixed := r.msg[r.off : r.off+10]
	rr.Owner = owner
	rr.Type = binary.BigEndian.Uint16(fixed)
	rr.Class = binary.BigEndian.Uint16(fixed[2:])
	rr.TTL = binary.BigEndian.Uint32(fixed[4:])
	if rr.TTL > 1<<31-1 {
		rr.TTL = 0 // RFC 2181 §8: the top bit set means zero
	}
	begin := r.off + 10
	end := begin + int(binary.BigEndian.Uint16(fixed[8:]))
	if end > len(r.msg) {
		return fmt.Errorf("%w: RDATA of the record at octet %d goes %d octets past the end", ErrMessage, begin, end-len(r.msg))
	}
	r.off = end
	r.data, err = appendRDATA(r.data[:0], r.msg, begin, end, rr.Type)
	if err != nil {
		rr.Data = nil
		return &RDATAError{Type: rr.Type, Cause: err}
	}
	rr.Data = r.data
	return nil
}

// Skip reads past the next record without looking into it and returns its type.
func (r *Reader) Skip() (uint16, error) {
	if _, err := r.readName(); err != nil {
		return 0, err
	}
	if r.off+10 > len(r.msg) {
		return 0, fmt.Errorf("%w: record cut off at octet %d", ErrMessage, r.off)
	}
	rrtype := binary.BigEndian.Uint16(r.msg[r.off:])
	end := r.off + 10 + int(binary.BigEndian.Uint16(r.msg[r.off+8:]))
	if end > len(r.msg) {
		return 0, fmt.Errorf("%w: record goes past the end", ErrMessage)
	}
	r.off = end
	return rrtype, nil
}

func (r *Reader) readName() (Name, error) {
	name, off, err := appendName(r.name[:0], r.msg, r.off, len(r.msg))
	if err != nil {
		return nil, fmt.Errorf("%w: name at octet %d: %w", ErrMessage, r.off, err)
	}
	r.off = off
	return name, nil
}

// maxPointers is the most compression pointers one name may take, as in miekg/dns. A name has no use for more than one
// before each label, but pointers to pointers would otherwise make every name of a message cost thousands of steps.
const maxPointers = maxLabels - 1

// appendName appends the name at msg[off:end] to dst, uncompressed, and returns the offset behind it. A compression
// pointer may leave msg[off:end] but must point before the run of labels it ends, and the run it points to must end
// before that one begins (RFC 1035 §4.1.4: a prior occurrence), so that reading always terminates.
func appendName(dst []byte, msg []byte, off, end int) (name []byte, next int, err error) {
	start, runStart := len(dst), off
	pointers := 0
	next = -1
	for {
		if off >= end {
			return dst, 0, errors.New("runs past its end")
		}
		length := int(msg[off])
		switch length & 0xC0 {
		case 0x00:
			if off+1+length > end {
				return dst, 0, errors.New("runs past its end")
			}
			if len(dst)-start+1+length > MaxName {
				return dst, 0, errors.New("is longer than 255 octets")
			}
			dst = append(dst, msg[off:off+1+length]...)
			off += 1 + length
			if length == 0 {
				if next < 0 {
					next = off
				}
				return dst, next, nil
			}
		case 0xC0:
			if off+2 > end {
				return dst, 0, errors.New("ends inside a compression pointer")
			}
			target := (length&0x3F)<<8 | int(msg[off+1])
			if next < 0 {
				next = off + 2
			}
			if target >= runStart {
				return dst, 0, errors.New("compression pointer does not point back")
			}
			if pointers++; pointers > maxPointers {
				return dst, 0, errors.New("has too many compression pointers")
			}
			off, runStart, end = target, target, runStart
		default:
			return dst, 0, fmt.Errorf("label type 0x%02x is not defined", length&0xC0)
		}
	}
}
