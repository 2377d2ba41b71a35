package fastpath

import (
	"encoding/binary"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// Bits of a message header's flags (RFC 1035 §4.1.1, RFC 4035 §3.2).
const (
	flagQR = 1 << 15
	flagAA = 1 << 10
	flagTC = 1 << 9
	flagRD = 1 << 8
	flagZ  = 1 << 6
	flagAD = 1 << 5
	flagCD = 1 << 4

	opcodeShift = 11
	opcodeMask  = 15
)

// plainFlags are the bits that a plain query may have. Those that make no difference to CoreDNS make none here.
const plainFlags = flagRD | flagZ | flagAD | flagCD

// MaxQuery is how many octets are read of a query: as many as a reply has at most. CoreDNS's own server reads 512.
const MaxQuery = 4096

// minRoom is what a reply may have without EDNS (RFC 1035 §4.2.1).
const minRoom = 512

// optLen is the length of an OPT record without options, optionHeader that of an option without its value (RFC 6891 §6.1.2).
const (
	optLen       = 11
	optionHeader = 4
)

// questionFixed is the length of type and class of a question.
const questionFixed = 4

// The types for questions and meta data (RFC 6895 §3.1): TSIG, transfers, ANY and their kin.
const (
	firstQType = 128
	lastQType  = 255
)

// Kind is what becomes of a message.
type Kind int

// The kinds of messages.
const (
	Other      Kind = iota // it is CoreDNS's
	Plain                  // it is answered here
	Malformed              // FORMERR: it breaks the rules for OPT and TSIG, or ends before its last record
	BadVersion             // BADVERS: EDNS of another version than 0 (RFC 6891 §6.1.3)
)

// Query is a query in wire form that this path may answer. Its Name and parts alias the message. It is owned by one
// goroutine and is meant to be reused.
type Query struct {
	Name    wire.Name // as asked, uncompressed, case kept
	Type    uint16
	DNSSEC  bool   // signatures and proofs are wanted (RFC 3225 §3: DO)
	Version bool   // the version of the zone is wanted (RFC 9660 §3.1)
	Expire  bool   // when the zone expires is wanted (RFC 7314 §2)
	Cookie  []byte // the value of its first COOKIE option (RFC 7873 §5.2), nil for none
	Room    int    // octets the whole reply may have, its OPT record included

	question []byte // as it stands in the message
	id       uint16
	flags    uint16
	edns     bool
	signed   bool   // it has a TSIG record; only known of messages that are not plain
	odd      bool   // it has an option that miekg/dns looks into
	options  []byte // of the OPT record
	size     uint16 // of our buffer, as the reply says; only with EDNS
	added    []byte // options of the reply's OPT record
}

// Parse reads msg and says what becomes of it. supported says which EDNS options CoreDNS may answer with: queries that have
// one are not plain; other options than those of Query are ignored, as by CoreDNS. Name is set unless the kind is Other;
// all else in q means something only if the query is plain.
func (q *Query) Parse(msg []byte, supported func(option uint16) bool) Kind {
	*q = Query{added: q.added[:0], Room: minRoom}
	if len(msg) < wire.HeaderLen {
		return Other
	}
	u16 := binary.BigEndian.Uint16
	questions, answers, authorities, additions := u16(msg[4:]), u16(msg[6:]), u16(msg[8:]), u16(msg[10:])
	q.id, q.flags = u16(msg), u16(msg[2:])
	if q.flags&flagQR != 0 || questions != 1 || !knownOpcode(q.flags>>opcodeShift&opcodeMask) {
		return Other
	}
	n := nameLen(msg[wire.HeaderLen:])
	fixed := wire.HeaderLen + n
	end := fixed + questionFixed
	if n == 0 || end > len(msg) {
		return Other
	}
	q.Name, q.question = wire.Name(msg[wire.HeaderLen:fixed:fixed]), msg[wire.HeaderLen:end:end]
	q.Type = u16(msg[fixed:])
	if q.flags&^plainFlags == 0 && u16(msg[fixed+2:]) == wire.ClassIN && plainType(q.Type) && answers|authorities == 0 {
		switch {
		case additions == 0 && end == len(msg), additions == 1 && q.plainOPT(msg[end:], supported):
			return Plain
		}
	}
	return q.screen(msg, end, answers, authorities, additions)
}

// Limit has the reply be no longer than so many octets, and say that queries may be as long.
func (q *Query) Limit(most int) {
	q.Room = min(q.Room, most)
	q.size = uint16(most)
}

// SetVersion has the reply say which version of which zone it is from, in answer to a query that wants to know: the serial
// of a SOA, type 0 (RFC 9660 §2).
func (q *Query) SetVersion(zoneLabels int, serial uint32) {
	const soaSerial, length = 0, 2 + 4
	q.added = append(q.added, 0, byte(optionZoneVersion), 0, length, byte(zoneLabels), soaSerial)
	q.added = binary.BigEndian.AppendUint32(q.added, serial)
}

// SetExpire has the reply say in how many seconds the zone expires (RFC 7314 §3.2).
func (q *Query) SetExpire(seconds uint32) { q.added = wire.AppendExpire(q.added, seconds) }

// SetCookie has the reply carry a COOKIE option with this value (RFC 7873 §4).
func (q *Query) SetCookie(value []byte) {
	q.added = append(q.added, 0, byte(optionCookie), 0, byte(len(value)))
	q.added = append(q.added, value...)
}

// optLen returns the octets of the OPT record of the reply.
func (q *Query) optLen() int {
	if !q.edns {
		return 0
	}
	return optLen + len(q.added)
}

// plainOPT reports whether what follows the question is one OPT record of EDNS version 0 (RFC 6891 §6.1.2) without an option
// that is for others, and nothing behind it, and reads it.
func (q *Query) plainOPT(rr []byte, supported func(option uint16) bool) bool {
	u16 := binary.BigEndian.Uint16
	if len(rr) < optLen || rr[0] != 0 || u16(rr[1:]) != wire.TypeOPT {
		return false
	}
	extendedRcode, version, options := rr[5], rr[6], rr[optLen:]
	if extendedRcode != 0 || version != 0 || int(u16(rr[9:])) != len(options) {
		return false
	}
	q.edns, q.options = true, options
	q.DNSSEC = u16(rr[7:])&flagDO != 0
	q.Room = max(int(u16(rr[3:])), minRoom) // RFC 6891 §6.2.3
	return q.readOptions(supported) == Plain
}

// readOptions reads the options of the OPT record. The query is not malformed if the kind is Other.
func (q *Query) readOptions(supported func(option uint16) bool) Kind {
	u16 := binary.BigEndian.Uint16
	kind := Plain
	for options := q.options; len(options) > 0; {
		if len(options) < optionHeader {
			return Malformed
		}
		code, end := u16(options), optionHeader+int(u16(options[2:]))
		if end > len(options) {
			return Malformed
		}
		switch {
		case code == optionZoneVersion && end > optionHeader: // RFC 9660 §3.1: empty in queries, or Knot and NSD say FORMERR
			return Malformed
		case code == optionZoneVersion:
			q.Version = true
		case supported(code):
			kind = Other
		case code == wire.OptionExpire: // whatever its value is
			q.Expire = true
		case code == optionCookie && q.Cookie == nil:
			q.Cookie = options[optionHeader:end:end]
		}
		q.odd = q.odd || inspected(code)
		options = options[end:]
	}
	return kind
}

// flagDO is the bit of EDNS flags that asks for DNSSEC (RFC 3225 §3).
const flagDO = 1 << 15

// nameLen returns the length of the uncompressed name that msg begins with, 0 if it is none.
func nameLen(msg []byte) int {
	for off := 0; off < min(len(msg), wire.MaxName); off += 1 + int(msg[off]) {
		switch length := msg[off]; {
		case length == 0:
			return off + 1
		case length > maxLabel:
			return 0
		}
	}
	return 0
}

// maxLabel is the most octets of a label (RFC 1035 §2.3.4). In messages greater numbers are pointers, or nothing.
const maxLabel = 63

// knownOpcode reports whether plugins see messages with an opcode: QUERY, NOTIFY or UPDATE. To all others CoreDNS says NOTIMP.
func knownOpcode(opcode uint16) bool { return opcode == 0 || opcode == 4 || opcode == 5 }

// plainType reports whether questions for a type are all answered alike: from the zone that the name is in. DS may be
// with the parent (RFC 4035 §3.1.4.1), which another server block may have.
func plainType(t uint16) bool {
	return t != 0 && t != wire.TypeOPT && t != wire.TypeDS && (t < firstQType || t > lastQType)
}

// The options that are answered here, beside wire.OptionExpire: DNS cookies (RFC 7873), and the version of a zone (RFC 9660).
const (
	optionCookie      = 10
	optionZoneVersion = 19
)

// inspected reports whether miekg/dns looks into an EDNS option, even one that CoreDNS then ignores: if it does not like
// what it sees, CoreDNS answers with FORMERR.
func inspected(option uint16) bool {
	const (
		llq           = 1
		updateLease   = 2
		clientSubnet  = 8
		keepalive     = 11
		extendedError = 15
		reportChannel = 18
	)
	switch option {
	case llq, updateLease, clientSubnet, wire.OptionExpire, keepalive, extendedError, reportChannel, optionZoneVersion:
		return true
	}
	return false
}
