package fastpath

import (
	"encoding/binary"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// additional is the index of the additional section among those that hold records.
const additional = 2

// recordFixed is the length of type, class, TTL and RDLENGTH of a record.
const recordFixed = 10

// screen looks at the records of a message that is not plain, which begin at off, and says what becomes of it.
func (q *Query) screen(msg []byte, off int, counts ...uint16) Kind {
	u16 := binary.BigEndian.Uint16
	q.edns, q.options, q.Version, q.Expire, q.odd = false, nil, false, false, false
	var version byte
	for s, n := range counts {
		for i := range n {
			owner := off
			off = skipName(msg, off)
			if off < 0 || off+recordFixed > len(msg) {
				return Malformed
			}
			data := off + recordFixed
			end := data + int(u16(msg[data-2:]))
			if end > len(msg) {
				return Malformed
			}
			switch u16(msg[off:]) {
			case wire.TypeOPT:
				if s != additional || q.edns || !isRoot(msg, owner) { // RFC 6891 §6.1.1, §6.1.2
					return Malformed
				}
				q.edns, q.options, version = true, msg[data:end], msg[off+5]
				q.DNSSEC = u16(msg[off+6:])&flagDO != 0
			case wire.TypeTSIG:
				class := u16(msg[off+2:])
				if s != additional || i != n-1 || class != wire.ClassANY || !wholeTSIG(msg, data, end) { // RFC 8945 §5.2
					return Malformed
				}
				q.signed = true
			}
			off = end
		}
	}
	if q.readOptions(func(uint16) bool { return false }) == Malformed {
		return Malformed
	}
	if version != 0 {
		return BadVersion
	}
	return Other
}

// skipName returns where a name ends that may be compressed, -1 if it is none. What a pointer points to is not looked at.
func skipName(msg []byte, off int) int {
	for off < len(msg) {
		switch length := int(msg[off]); {
		case length == 0:
			return off + 1
		case length >= pointerBits>>8:
			return off + pointerLen
		case length > maxLabel:
			return -1
		default:
			off += 1 + length
		}
	}
	return -1
}

// isRoot reports whether the name at off, which may be compressed, is the root.
func isRoot(msg []byte, off int) bool {
	if int(msg[off]) >= pointerBits>>8 {
		off = int(binary.BigEndian.Uint16(msg[off:])) &^ pointerBits
	}
	return off < len(msg) && msg[off] == 0
}

// wholeTSIG reports whether the RDATA of a TSIG record between two places has all its fields (RFC 8945 §4.2) and no more.
func wholeTSIG(msg []byte, off, end int) bool {
	if off = skipName(msg[:end], off); off < 0 { // the algorithm
		return false
	}
	off, ok := skipCounted(msg[:end], off+6+2) // Time Signed, Fudge; the MAC
	if !ok {
		return false
	}
	off, ok = skipCounted(msg[:end], off+2+2) // Original ID, Error; Other Data
	return ok && off == end
}

// skipCounted returns where something ends that begins at off with its length in two octets.
func skipCounted(msg []byte, off int) (end int, ok bool) {
	if off+2 > len(msg) {
		return 0, false
	}
	end = off + 2 + int(binary.BigEndian.Uint16(msg[off:]))
	return end, end <= len(msg)
}

// Disarm takes from a message that is handed over the options that CoreDNS's library would not take: what does not concern a
// server is ignored (RFC 6891 §6.1.2). They become padding, which means nothing, of the same length. A signed message
// stays as it is.
func (q *Query) Disarm() {
	if !q.odd || q.signed {
		return
	}
	for options := q.options; len(options) >= optionHeader; {
		end := optionHeader + int(binary.BigEndian.Uint16(options[2:]))
		if end > len(options) {
			return
		}
		if inspected(binary.BigEndian.Uint16(options)) && refused(options[:end]) {
			binary.BigEndian.PutUint16(options, dns.EDNS0PADDING)
		}
		options = options[end:]
	}
}

// refused reports whether miekg/dns refuses a message with this option.
func refused(option []byte) bool {
	rr := append(make([]byte, optLen, optLen+len(option)), option...)
	rr[2] = byte(wire.TypeOPT)
	binary.BigEndian.PutUint16(rr[optLen-2:], uint16(len(option)))
	_, _, err := dns.UnpackRR(rr, 0)
	return err != nil
}
