package fastpath

import (
	"bytes"
	"encoding/binary"

	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// RCODEs (RFC 1035 §4.1.1, RFC 2136 §2.2, RFC 6891 §9).
const (
	rcodeFormErr   = 1
	rcodeNXDomain  = 3
	rcodeYXDomain  = 6
	rcodeBadVers   = 16
	rcodeBadCookie = 23
)

// rrFixed is the length of type, class and TTL of a record, rdlengthLen that of the number behind them.
const (
	rrFixed     = 8
	rdlengthLen = 2
)

// Writer writes replies. Its zero value is ready. It is owned by one goroutine and is meant to be reused.
type Writer struct {
	msg     []byte    // the reply so far; it may grow to its capacity
	owner   wire.Name // the name that was an owner, or the question's, last
	ownerAt int       // where a pointer to it points, 0 if nowhere

	names  [maxNames + 1]tail      // the names that pointers may point to; the first is the root, to which none needs to
	known  uint8                   // how many of names are in use, the root not counted
	labels [wire.MaxName / 2]uint8 // scratch: where the labels of a name begin in it
}

// tail is a name in the message: a label and the name behind it. It is a plain value.
type tail struct {
	at     uint16 // where the label begins
	behind uint8  // index of the name behind it
	check  uint8  // of the label, see checkOf
}

// checkOf returns a number that tells most labels apart, also those that are numbered.
func checkOf(label []byte) uint8 {
	length := label[0]
	return length + label[length] + 31*label[length-1]
}

// maxNames is the most names that are remembered, so that finding one costs little. A name takes no more pointers to read
// than that: each leads to another of them. Package wire and miekg/dns follow no more than 126.
const maxNames = 120

// maxPointer is behind the last octet of a message that a pointer can point to (RFC 1035 §4.1.4).
const maxPointer = 1 << 14

// pointerLen is the length of a pointer, pointerBits are what it begins with.
const (
	pointerLen  = 2
	pointerBits = 0xC000
)

// Reply writes the reply to q made of a's sets into buf, from its beginning and up to its capacity, and returns it. Of what
// does not fit into q.Room the last sets are left out, whole (RFC 2181 §9), and TC is set if more goes than additional data
// that is no glue (RFC 9471 §3.1). ok is false if the buffer is what has no room: then nothing may be sent.
func (w *Writer) Reply(buf []byte, q *Query, a *zone.Answer) (msg []byte, ok bool) {
	w.msg, w.known = buf[:0:max(0, min(q.Room, cap(buf))-q.optLen())], 0
	if ok = w.begin(q, flags(q, a)); ok {
		written := w.sections(a)
		ok = q.Room <= cap(buf) || written == len(a.Answer)+len(a.Authority)+len(a.Additional)
		if written < len(a.Answer)+len(a.Authority)+a.Glue {
			w.msg[2] |= flagTC >> 8
		}
	}
	msg = buf[:len(w.msg)]
	w.msg, w.owner = nil, nil // they are others'
	if !ok {
		return nil, false
	}
	return appendOPT(msg, q, 0), true
}

// sections writes the sections up to the first set that has no room, and returns how many sets that are.
func (w *Writer) sections(a *zone.Answer) (written int) {
	for i, sets := range [...][]zone.Set{a.Answer, a.Authority, a.Additional} {
		n := w.section(i, sets)
		if written += n; n < len(sets) {
			break
		}
	}
	return written
}

// Shorten writes the reply to q that has no records of a, and TC, into buf, and returns it.
func (w *Writer) Shorten(buf []byte, q *Query, a *zone.Answer) []byte {
	return w.bare(buf, q, flags(q, a)|flagTC, 0, true)
}

// Rcode returns the RCODE of a reply to q, the upper octet in its OPT record included (RFC 6891 §6.1.3).
func Rcode(reply []byte, q *Query) int {
	rcode := int(reply[3] & 0xF)
	if q.edns && binary.BigEndian.Uint16(reply[10:]) > 0 { // the OPT record is the last
		rcode |= int(reply[len(reply)-q.optLen()+5]) << 4
	}
	return rcode
}

// WantCookie writes the reply to q that wants it asked again with a valid cookie, BADCOOKIE (RFC 7873 §5.2.3), into buf, and
// returns it.
func (w *Writer) WantCookie(buf []byte, q *Query) []byte {
	return w.bare(buf, q, flagQR|q.flags&(flagRD|flagCD), rcodeBadCookie, true)
}

// bare writes a reply without records, nil if buf has no room for it.
func (w *Writer) bare(buf []byte, q *Query, flags, rcode uint16, opt bool) []byte {
	w.msg = buf[:0:cap(buf)]
	ok := w.begin(q, flags|rcode&0xF)
	msg := w.msg
	w.msg, w.owner = nil, nil
	switch {
	case !ok:
		return nil
	case opt:
		return appendOPT(msg, q, rcode)
	}
	return msg
}

// Refuse writes the reply to q, which is Malformed or of BadVersion, into buf, and returns it.
func (w *Writer) Refuse(buf []byte, q *Query, kind Kind) []byte {
	const opcode = opcodeMask << opcodeShift
	f := flagQR | q.flags&opcode
	if f&opcode == 0 {
		f |= q.flags & (flagRD | flagCD)
	}
	if kind == BadVersion {
		return w.bare(buf, q, f, rcodeBadVers, true)
	}
	return w.bare(buf, q, f, rcodeFormErr, false) // an OPT record would be the answer to one of several, or to none
}

// begin writes header and question. The section counts follow with the sections.
func (w *Writer) begin(q *Query, flags uint16) bool {
	if !w.fits(wire.HeaderLen + len(q.question)) {
		return false
	}
	w.msg = binary.BigEndian.AppendUint16(w.msg, q.id)
	w.msg = binary.BigEndian.AppendUint16(w.msg, flags)
	w.msg = append(w.msg, 0, 1, 0, 0, 0, 0, 0, 0)
	w.msg = append(w.msg, q.question...)
	w.owner, w.ownerAt = nil, 0
	if labels := w.split(q.Name); labels > 0 {
		w.owner, w.ownerAt = q.Name, wire.HeaderLen
		w.remember(wire.HeaderLen, labels, 0)
	}
	return true
}

// flags returns the flags of the reply to q.
func flags(q *Query, a *zone.Answer) uint16 {
	f := flagQR | q.flags&(flagRD|flagCD) // RFC 1035 §4.1.1, RFC 4035 §3.1.6
	// RFC 1034 §4.3.2 step 3b: a referral is not authoritative, unless an alias led to it (RFC 1034 §6.2.7: AA is about the
	// owner the answer begins with).
	if a.Outcome != zone.Referral || len(a.Answer) > 0 {
		f |= flagAA
	}
	switch a.Outcome {
	case zone.NXDomain:
		f |= rcodeNXDomain
	case zone.YXDomain:
		f |= rcodeYXDomain
	case zone.Success, zone.NoData, zone.Referral:
	}
	return f
}

// section writes a section and its count, 0 is the answer section, up to the first set that has no room, and returns how many
// sets that are.
func (w *Writer) section(i int, sets []zone.Set) (written int) {
	records := 0
	for i := range sets {
		end, known := len(w.msg), w.known
		if !w.set(&sets[i]) {
			w.msg, w.known = w.msg[:end], known
			break
		}
		written, records = written+1, records+sets[i].Count
	}
	binary.BigEndian.PutUint16(w.msg[6+2*i:], uint16(records))
	return written
}

// set writes the records of a set.
func (w *Writer) set(s *zone.Set) bool {
	for data := range s.All() {
		if !w.writeOwner(s.Owner) || !w.fits(rrFixed) {
			return false
		}
		w.msg = binary.BigEndian.AppendUint16(w.msg, s.Type)
		w.msg = binary.BigEndian.AppendUint16(w.msg, wire.ClassIN)
		w.msg = binary.BigEndian.AppendUint32(w.msg, s.TTL)
		if !w.rdata(s.Type, data) {
			return false
		}
	}
	return true
}

// rdata writes RDLENGTH and RDATA of a record.
func (w *Writer) rdata(rrtype uint16, data []byte) bool {
	before, names := compressible(rrtype)
	if names == 0 {
		before = len(data)
	}
	if !w.fits(rdlengthLen + before) {
		return false
	}
	w.msg = binary.BigEndian.AppendUint16(w.msg, uint16(len(data)))
	start := len(w.msg)
	w.msg = append(w.msg, data[:before]...)
	if names == 0 {
		if at, ok := whole(rrtype); ok && len(data) > at {
			w.note(start+at, wire.FirstName(data[at:]))
		}
		return true
	}
	data = data[before:]
	for range names {
		name := wire.FirstName(data)
		if _, ok := w.name(name); !ok {
			return false
		}
		data = data[len(name):]
	}
	if !w.fits(len(data)) {
		return false
	}
	w.msg = append(w.msg, data...)
	binary.BigEndian.PutUint16(w.msg[start-rdlengthLen:], uint16(len(w.msg)-start))
	return true
}

// compressible returns how many names the RDATA of a type has that may compress, and the octets before the first. They are
// those of RFC 1035 that are in use: readers need not know the names of newer types (RFC 3597 §4).
func compressible(rrtype uint16) (before, names int) {
	const typePTR = 12
	switch rrtype {
	case wire.TypeNS, wire.TypeCNAME, typePTR:
		return 0, 1
	case wire.TypeMX:
		return 2, 1
	case wire.TypeSOA:
		return 0, 2
	}
	return 0, 0
}

// whole returns where the RDATA of a type has its first name that may not compress (RFC 3597 §4, RFC 6672 §2.5), but may be
// pointed to: a CNAME made from a DNAME, or the owner of an address, has it again.
func whole(rrtype uint16) (at int, ok bool) {
	const typeRP, typeAFSDB, typeRT, typeKX = 17, 18, 21, 36
	switch rrtype {
	case wire.TypeDNAME, wire.TypeNSEC, typeRP:
		return 0, true
	case wire.TypeSVCB, wire.TypeHTTPS, typeAFSDB, typeRT, typeKX:
		return 2, true
	case wire.TypeSRV:
		return 6, true
	}
	return 0, false
}

// appendOPT writes the OPT record of the reply, if the query has one: what we take over UDP, the upper octet of the RCODE, DO
// (RFC 3225 §3) and the options of the reply.
func appendOPT(msg []byte, q *Query, rcode uint16) []byte {
	if !q.edns {
		return msg
	}
	do := byte(0)
	if q.DNSSEC {
		do = flagDO >> 8
	}
	const root, typeOPT = 0, byte(wire.TypeOPT)
	msg = append(msg, root, 0, typeOPT, byte(q.size>>8), byte(q.size), byte(rcode>>4), 0, do, 0, 0, byte(len(q.added)))
	msg = append(msg, q.added...)
	additions := msg[10:wire.HeaderLen]
	binary.BigEndian.PutUint16(additions, binary.BigEndian.Uint16(additions)+1)
	return msg
}

// fits reports whether so many octets more have room.
func (w *Writer) fits(n int) bool { return n <= cap(w.msg)-len(w.msg) }

// writeOwner writes the owner of a record. Most are the one before.
func (w *Writer) writeOwner(owner wire.Name) (ok bool) {
	if w.ownerAt == 0 || !bytes.Equal(owner, w.owner) {
		w.owner = owner
		w.ownerAt, ok = w.name(owner)
		return ok
	}
	if !w.fits(pointerLen) {
		return false
	}
	w.msg = binary.BigEndian.AppendUint16(w.msg, pointerBits|uint16(w.ownerAt))
	return true
}

// name writes a name, its end as a pointer if it is in the message in the same case (RFC 1035 §4.1.4), and returns where a
// pointer to it points, 0 if nowhere.
func (w *Writer) name(n wire.Name) (at int, ok bool) {
	count, fresh, end := w.locate(n)
	length := len(n) - 1
	if fresh < count {
		length = int(w.labels[fresh])
	}
	at = len(w.msg)
	if end == 0 {
		if !w.fits(length + 1) {
			return 0, false
		}
		w.msg = append(w.msg, n...)
	} else {
		if !w.fits(length + pointerLen) {
			return 0, false
		}
		w.msg = append(w.msg, n[:length]...)
		w.msg = binary.BigEndian.AppendUint16(w.msg, pointerBits|w.names[end].at)
	}
	if fresh == 0 {
		return int(w.names[end].at), true // 0 if it is the root
	}
	w.remember(at, fresh, end)
	if at >= maxPointer {
		at = 0
	}
	return at, true
}

// locate splits a name and returns the number of its labels, how many of them are not in the message yet, and the name behind
// these.
func (w *Writer) locate(n wire.Name) (count, fresh int, behind uint8) {
	count = w.split(n)
	for fresh = count; fresh > 0; fresh-- {
		next := w.find(n[w.labels[fresh-1]:], behind)
		if next == 0 {
			break
		}
		behind = next
	}
	return count, fresh, behind
}

// note makes known a name that stands whole at this place.
func (w *Writer) note(at int, n wire.Name) {
	if _, fresh, behind := w.locate(n); fresh > 0 {
		w.remember(at, fresh, behind)
	}
}

// split notes where the labels of a name begin, and returns their number.
func (w *Writer) split(n wire.Name) (count int) {
	for off := 0; n[off] != 0; off += 1 + int(n[off]) {
		w.labels[count] = uint8(off)
		count++
	}
	return count
}

// find returns the index of the name made of the label that n begins with and the name behind it, 0 if it is not known. A
// name is always found behind the names it ends in.
func (w *Writer) find(n []byte, behind uint8) uint8 {
	length, check := n[0], checkOf(n)
	for i := behind + 1; i <= w.known; i++ {
		t := w.names[i]
		if t.behind != behind || t.check != check {
			continue
		}
		if label := w.msg[t.at:]; label[0] == length && string(label[1:1+length]) == string(n[1:1+length]) {
			return i
		}
	}
	return 0
}

// remember makes known the names that begin with the first labels of the name that was split last and stands at this
// place, behind which the name with index behind follows. It goes on with the longer ones as long as they can be pointed to.
func (w *Writer) remember(at, labels int, behind uint8) {
	for labels--; labels >= 0 && w.known < maxNames; labels-- {
		place := at + int(w.labels[labels])
		if place >= maxPointer {
			return // the names before it end in this one
		}
		w.known++
		w.names[w.known] = tail{at: uint16(place), behind: behind, check: checkOf(w.msg[place:])}
		behind = w.known
	}
}
