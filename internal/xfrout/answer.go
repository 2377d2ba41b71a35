package xfrout

import (
	"encoding/binary"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// maxMessage is the length of the longest message over TCP, in octets (RFC 1035 §4.2.2).
const maxMessage = 1<<16 - 1

// recordFixed is the length of type, class, TTL and RDLENGTH of a record (RFC 1035 §3.2.1).
const recordFixed = 10

// Header flags (RFC 1035 §4.1.1).
const (
	flagQR = 1 << 15
	flagAA = 1 << 10
	flagRD = 1 << 8
)

// Head is what each message of an answer has beside records. It is read-only.
type Head struct {
	ID               uint16
	RecursionDesired bool      // of the request: RD is copied (RFC 5936 §2.2.1)
	Name             wire.Name // asked about, as it was spelled
	Type             uint16    // asked for
	OPT              []byte    // the OPT record (RFC 6891 §6.1.1: if the request has one); empty for none

	Key        *xfr.Key // that the request is signed with; nil for none
	RequestMAC []byte
}

// Answer is the answer to one request: a version of a zone, or what leads to it. It is owned by one goroutine.
type Answer struct {
	Records int   // in the messages so far
	Octets  int64 // of the messages so far
	frame   frame

	head     Head
	contents *zone.Contents
	chain    []*zone.Difference
	signer   *xfr.Signer
}

// TooLongError is the error of a record that fits into no message.
type TooLongError struct {
	Owner wire.Name
	Type  uint16
}

// Error names the record.
func (e *TooLongError) Error() string {
	return fmt.Sprintf("the %s record of %s fits into no message", wire.TypeName(e.Type), e.Owner)
}

// NewAnswer returns the answer that has the differences of a chain, which lead to the contents c (RFC 1995 §4), or all records
// of c if the chain is empty (RFC 5936 §2.2). The error is a *TooLongError: nothing may be sent then.
func NewAnswer(h Head, c *zone.Contents, chain []*zone.Difference) (*Answer, error) {
	a := &Answer{head: h, contents: c, chain: chain}
	if h.Key != nil {
		a.signer = xfr.NewSigner(h.Key, h.RequestMAC)
	}
	a.frame.head = &a.head
	a.frame.room = maxMessage - len(h.OPT)
	if a.signer != nil {
		a.frame.room -= a.signer.Len()
	}
	return a, a.check()
}

// check returns an error if a record fits into no message.
func (a *Answer) check() error {
	room := a.frame.room - wire.HeaderLen - len(a.head.Name) - questionFixed
	short := room - wire.MaxName - recordFixed // of RDATA, or of a difference: it fits, however owners are spelled
	a.frame.names.reset(a.head.Name)
	fits := func(rr *wire.RR) error {
		if cut, rest := a.frame.names.find(rr.Owner); recordLen(rr, cut, rest) > room {
			return &TooLongError{rr.Owner.Clone(), rr.Type}
		}
		return nil
	}
	if len(a.chain) == 0 {
		for rr := range a.contents.Longer(short) {
			if err := fits(rr); err != nil {
				return err
			}
		}
		return nil
	}
	for _, d := range a.chain {
		if d.Size() <= int64(short) {
			continue
		}
		for _, records := range []iter.Seq[*wire.RR]{d.Removed(), d.Added()} {
			for rr := range records {
				if err := fits(rr); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Messages iterates over the messages of the answer, signed at the times that now tells. Each is valid until the next one.
func (a *Answer) Messages(now func() time.Time) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		buf := buffers.Get().(*[]byte)
		defer buffers.Put(buf)
		f := &a.frame
		f.begin(*buf)
		send := func() bool {
			msg := f.end()
			if a.signer != nil {
				msg = a.signer.Sign(msg, now())
			}
			a.Records += f.count
			a.Octets += int64(len(msg))
			return yield(msg)
		}
		for rr := range Records(a.contents, a.chain) {
			if f.add(rr) {
				continue
			}
			if !send() {
				return
			}
			f.begin(*buf)
			if !f.add(rr) {
				return // NewAnswer has said so
			}
		}
		send()
	}
}

// buffers are for messages.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, maxMessage)
	return &b
}}

// Records iterates over the records of an answer with a chain that leads to c, or with all of c: the SOA, what the secondary is
// to change or all records, and the SOA again (RFC 1995 §4, RFC 5936 §2.2).
//
// The first message has more than the SOA, which alone would mean that there is nothing newer: the next records are another SOA,
// or those of the apex, unless one of these is so long that it does not fit beside it. Each RR is valid until the next one.
func Records(c *zone.Contents, chain []*zone.Difference) iter.Seq[*wire.RR] {
	return func(yield func(*wire.RR) bool) {
		var soa wire.RR
		for rr := range c.All() {
			if soa.Type == 0 {
				soa = *rr
			}
			if !yield(rr) {
				return
			}
			if len(chain) > 0 {
				break
			}
		}
		for _, d := range chain {
			for _, records := range []iter.Seq[*wire.RR]{d.Removed(), d.Added()} {
				for rr := range records {
					if !yield(rr) {
						return
					}
				}
			}
		}
		yield(&soa)
	}
}

// frame is a message that is being filled. It is owned by one goroutine.
type frame struct {
	head  *Head
	room  int // octets without OPT and TSIG
	msg   []byte
	count int // of records
	names names
}

// questionFixed is the length of type and class of a question (RFC 1035 §4.1.2).
const questionFixed = 4

// begin begins a message in a buffer.
func (f *frame) begin(buf []byte) {
	h := f.head
	flags := uint16(flagQR | flagAA) // RFC 5936 §2.2.1
	if h.RecursionDesired {
		flags |= flagRD
	}
	f.count = 0
	f.msg = binary.BigEndian.AppendUint16(buf[:0], h.ID)
	f.msg = binary.BigEndian.AppendUint16(f.msg, flags)
	f.msg = append(f.msg, 0, 1, 0, 0, 0, 0, 0, 0)
	// RFC 5936 §2.2.1: the first message has the question, others may: old clients want it there, and owners point to it.
	f.msg = append(f.msg, h.Name...)
	f.msg = binary.BigEndian.AppendUint16(f.msg, h.Type)
	f.msg = binary.BigEndian.AppendUint16(f.msg, wire.ClassIN)
	f.names.reset(h.Name)
}

// recordLen returns the octets of a record of whose owner cut octets are written, and a pointer unless rest is 0.
func recordLen(rr *wire.RR, cut int, rest uint16) int {
	n := cut + recordFixed + len(rr.Data)
	if rest != 0 {
		n += 2
	}
	return n
}

// add adds a record, and reports whether there was room for it.
func (f *frame) add(rr *wire.RR) bool {
	cut, rest := f.names.find(rr.Owner)
	if len(f.msg)+recordLen(rr, cut, rest) > f.room {
		return false
	}
	f.names.wrote(rr.Owner, cut, len(f.msg))
	msg := append(f.msg, rr.Owner[:cut]...)
	if rest != 0 {
		msg = binary.BigEndian.AppendUint16(msg, 0xC000|rest)
	}
	msg = binary.BigEndian.AppendUint16(msg, rr.Type)
	msg = binary.BigEndian.AppendUint16(msg, rr.Class)
	msg = binary.BigEndian.AppendUint32(msg, rr.TTL)
	msg = binary.BigEndian.AppendUint16(msg, uint16(len(rr.Data)))
	f.msg = append(msg, rr.Data...)
	f.count++
	return true
}

// end returns the message with its OPT record.
func (f *frame) end() []byte {
	binary.BigEndian.PutUint16(f.msg[6:], uint16(f.count))
	if len(f.head.OPT) > 0 {
		binary.BigEndian.PutUint16(f.msg[10:], 1)
	}
	return append(f.msg, f.head.OPT...)
}
