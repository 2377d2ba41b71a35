package fastpath

import (
	"encoding/binary"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/wire"
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
)

// plainFlags are the bits that a plain query may have. Those that make no difference to CoreDNS make none here.
const plainFlags = flagRD | flagZ | flagAD | flagCD

// maxQuery is how many octets are read of a query: as many as CoreDNS's own server reads.
const maxQuery = 512

// minRoom is what a reply may have without EDNS (RFC 1035 §4.2.1), maxRoom what a datagram holds: the length of an IP packet
// has 16 bits, and IPv4 and UDP have headers in it.
const (
	minRoom = 512
	maxRoom = 1<<16 - 1 - 20 - 8
)

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

// Query is a query in wire form that this path may answer. Its Name and parts alias the message. It is owned by one
// goroutine and is meant to be reused.
type Query struct {
	Name   wire.Name // as asked, uncompressed, case kept
	Type   uint16
	DNSSEC bool // signatures and proofs are wanted (RFC 3225 §3: DO)
	Room   int  // octets the whole reply may have, its OPT record included

	question  []byte // as it stands in the message
	id        uint16
	flags     uint16
	edns      bool
	size      uint16 // of the client's buffer, as it says; only with EDNS
	ednsFlags uint16 // only with EDNS
}

// Parse reads msg and reports whether the query is one of the plain kind; all others are CoreDNS's. supported says which
// EDNS options CoreDNS may answer with: queries that have one are not plain; other options are ignored, as by CoreDNS.
// Nothing in q means anything if the query is not plain.
func (q *Query) Parse(msg []byte, supported func(option uint16) bool) bool {
	if len(msg) < wire.HeaderLen || len(msg) > maxQuery {
		return false
	}
	u16 := binary.BigEndian.Uint16
	questions, answers, authorities, additions := u16(msg[4:]), u16(msg[6:]), u16(msg[8:]), u16(msg[10:])
	q.id, q.flags = u16(msg), u16(msg[2:])
	if q.flags&^plainFlags != 0 || questions != 1 || answers != 0 || authorities != 0 || additions > 1 {
		return false
	}
	n := nameLen(msg[wire.HeaderLen:])
	fixed := wire.HeaderLen + n
	end := fixed + questionFixed
	if n == 0 || end > len(msg) {
		return false
	}
	q.Name, q.question = wire.Name(msg[wire.HeaderLen:fixed:fixed]), msg[wire.HeaderLen:end:end]
	q.Type = u16(msg[fixed:])
	if u16(msg[fixed+2:]) != wire.ClassIN || !plainType(q.Type) {
		return false
	}
	q.edns, q.DNSSEC, q.Room = false, false, minRoom
	if additions == 0 {
		return end == len(msg)
	}
	return q.parseOPT(msg[end:], supported)
}

// parseOPT reads what follows the question: one OPT record of EDNS version 0 (RFC 6891 §6.1.2) and nothing behind it.
func (q *Query) parseOPT(rr []byte, supported func(option uint16) bool) bool {
	u16 := binary.BigEndian.Uint16
	if len(rr) < optLen || rr[0] != 0 || u16(rr[1:]) != wire.TypeOPT {
		return false
	}
	extendedRcode, version, options := rr[5], rr[6], rr[optLen:]
	if extendedRcode != 0 || version != 0 || int(u16(rr[9:])) != len(options) {
		return false
	}
	q.edns, q.size, q.ednsFlags = true, u16(rr[3:]), u16(rr[7:])
	q.DNSSEC = q.ednsFlags&flagDO != 0
	q.Room = min(max(int(q.size), minRoom), maxRoom) // RFC 6891 §6.2.3
	for len(options) > 0 {
		if len(options) < optionHeader {
			return false
		}
		code, end := u16(options), optionHeader+int(u16(options[2:]))
		if end > len(options) || inspected(code) || supported(code) {
			return false
		}
		options = options[end:]
	}
	return true
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

// plainType reports whether questions for a type are all answered alike: from the zone that the name is in. DS may be
// with the parent (RFC 4035 §3.1.4.1), which another server block may have.
func plainType(t uint16) bool {
	return t != 0 && t != wire.TypeOPT && t != wire.TypeDS && (t < firstQType || t > lastQType)
}

// inspected reports whether miekg/dns looks into an EDNS option, even one that CoreDNS then ignores: if it does not like
// what it sees, CoreDNS answers with FORMERR.
func inspected(option uint16) bool {
	const (
		llq           = 1
		updateLease   = 2
		clientSubnet  = 8
		expire        = 9
		keepalive     = 11
		extendedError = 15
		reportChannel = 18
		zoneVersion   = 19
	)
	switch option {
	case llq, updateLease, clientSubnet, expire, keepalive, extendedError, reportChannel, zoneVersion:
		return true
	}
	return false
}
