package xfr

import (
	"crypto/rand"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// Query is what a transfer asks for. It is a plain value.
type Query struct {
	Origin wire.Name
	ID     uint16    // chosen by Conn.Transfer; every message of the answer carries it
	Have   *wire.SOA // the version we have: asks for the differences from it (IXFR); nil asks for the whole zone (AXFR)

	// Strict asks that "you are current" comes with AA: for a primary that has not told so in answer to a SOA query.
	Strict bool

	NoOPT bool // leave out the OPT record, and with it the question when the primary gives the zone up (RFC 7314 §4)

	Progress *Progress // told how far the answer has come; nil for nobody
}

// Progress is how far the answer to a transfer has come. It is safe for concurrent use.
type Progress struct {
	BeganAt time.Time // set by whoever makes it
	Records atomic.Int64
	Bytes   atomic.Int64
}

// set notes how far the answer has come; nil takes no note.
func (p *Progress) set(records int, bytes int64) {
	if p != nil {
		p.Records.Store(int64(records))
		p.Bytes.Store(bytes)
	}
}

func (q Query) qtype() uint16 {
	if q.Have == nil {
		return wire.TypeAXFR
	}
	return wire.TypeIXFR
}

// ednsPayload is the largest UDP answer we ask for, in octets: what crosses every network without fragments.
const ednsPayload = 1232

// message returns the query in wire form, without TSIG.
func (q Query) message() []byte {
	msg := question(q.ID, q.Origin, q.qtype())
	if q.Have != nil { // RFC 5936 §2.1: else no answer, no authority
		msg = q.addSOA(msg)
	}
	if q.NoOPT {
		return msg
	}
	return addOPT(msg)
}

// addSOA appends our SOA as the authority section of an IXFR (RFC 1995 §3). Only the serial of it is ever looked at, so both names
// are the root.
func (q Query) addSOA(msg []byte) []byte {
	binary.BigEndian.PutUint16(msg[8:], 1)
	msg = append(msg, q.Origin...)
	msg = binary.BigEndian.AppendUint16(msg, wire.TypeSOA)
	msg = binary.BigEndian.AppendUint16(msg, wire.ClassIN)
	msg = binary.BigEndian.AppendUint32(msg, 0)
	msg = binary.BigEndian.AppendUint16(msg, 2+20)
	msg = append(msg, 0, 0)
	for _, n := range [...]uint32{q.Have.Serial.Uint32(), q.Have.Refresh, q.Have.Retry, q.Have.Expire, q.Have.Minimum} {
		msg = binary.BigEndian.AppendUint32(msg, n)
	}
	return msg
}

// question returns a query with this one question, class IN and no flag set.
func question(id uint16, name wire.Name, qtype uint16) []byte {
	const usual = 512 // room for our SOA, OPT and TSIG
	msg := make([]byte, wire.HeaderLen, usual)
	binary.BigEndian.PutUint16(msg, id)
	binary.BigEndian.PutUint16(msg[4:], 1)
	msg = append(msg, name...)
	msg = binary.BigEndian.AppendUint16(msg, qtype)
	return binary.BigEndian.AppendUint16(msg, wire.ClassIN)
}

// addOPT appends an OPT record (RFC 6891 §6.1.2) to msg. Its EXPIRE option, which is empty, asks when the primary gives the zone
// up (RFC 7314 §2, §4).
func addOPT(msg []byte) []byte {
	msg = append(msg, 0)
	msg = binary.BigEndian.AppendUint16(msg, wire.TypeOPT)
	msg = binary.BigEndian.AppendUint16(msg, ednsPayload)
	msg = append(msg, 0, 0, 0, 0, 0, wire.OptionHeader)
	msg = append(msg, 0, wire.OptionExpire, 0, 0)
	addAdditional(msg, 1)
	return msg
}

// randomID returns a message ID nobody can foresee (RFC 5452 §9.2).
func randomID() uint16 {
	var b [2]byte
	rand.Read(b[:]) // never fails: it ends the process instead
	return binary.BigEndian.Uint16(b[:])
}
