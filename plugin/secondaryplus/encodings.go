package secondaryplus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"iter"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/xfr"
)

// maxEncodings is how many ways to write one message are tried; the usual ones come first.
const maxEncodings = 256

// maxNotify is the length of the longest NOTIFY that is looked at again: four names, a SOA and a few EDNS options.
const maxNotify = 1500

var errNotify = errors.New("the message is more than a NOTIFY holds")

// verifyAgain verifies the TSIG of a NOTIFY from the message as CoreDNS has taken it apart. The signature is over octets,
// and those are gone: what is left open is how the sender compressed the names, of which a NOTIFY has at most four. Every
// way to do that is tried; the right one is known by its signature. The MAC returned is not nil if the signature holds.
func verifyAgain(r *dns.Msg, t *dns.TSIG, k *xfr.Key, now time.Time) (mac []byte, err error) {
	record := make([]byte, dns.Len(t)+1)
	end, err := dns.PackRR(t, record, 0, nil, false)
	if err != nil {
		return nil, err
	}
	parts, err := splitNotify(r)
	if err != nil {
		return nil, err
	}
	err = errNotify
	for msg := range parts.encodings() {
		mac, err = xfr.VerifyRequest(append(msg, record[:end]...), k, now)
		if mac != nil {
			return mac, err
		}
	}
	return nil, err
}

// notifyParts is a NOTIFY in pieces: octets that can be written in one way only, and the names between them. Read-only.
type notifyParts struct {
	fixed [][]byte // one more than names
	names []wire.Name
}

// splitNotify takes a NOTIFY apart. The pieces are those of the message without its TSIG record, but for the count of
// additional records, which is the one the signature was checked with: it takes part in no other way.
func splitNotify(r *dns.Msg) (p notifyParts, err error) {
	m := *r
	m.Extra = nil
	for _, rr := range r.Extra {
		if rr.Header().Rrtype != dns.TypeTSIG {
			m.Extra = append(m.Extra, rr)
		}
	}
	m.Compress = false
	packed, err := m.Pack()
	if err != nil {
		return p, err
	}
	binary.BigEndian.PutUint16(packed[10:], uint16(len(r.Extra)))
	if len(r.Answer) > 1 || len(r.Ns) > 0 || len(packed) > maxNotify {
		return p, errNotify
	}
	at := 0
	name := func(off int) (int, error) {
		_, end, err := dns.UnpackDomainName(packed, off)
		if err != nil {
			return 0, err
		}
		p.fixed = append(p.fixed, packed[at:off])
		p.names = append(p.names, packed[off:end])
		at = end
		return end, nil
	}
	off, err := name(wire.HeaderLen)
	if err != nil {
		return p, err
	}
	if len(r.Answer) == 1 {
		if off, err = name(off + 4); err != nil {
			return p, err
		}
		if r.Answer[0].Header().Rrtype == dns.TypeSOA {
			if off, err = name(off + 10); err != nil { // MNAME
				return p, err
			}
			if _, err = name(off); err != nil { // RNAME
				return p, err
			}
		}
	}
	p.fixed = append(p.fixed, packed[at:])
	return p, nil
}

// encodings iterates over the ways to write the message: first those that compress a name as far as it goes or not at all,
// as nearly all senders do, then all others.
func (p *notifyParts) encodings() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		w := notifyWriter{parts: p, left: maxEncodings, yield: yield}
		if w.extend(0, 0) {
			w.every = true
			w.extend(0, 0)
		}
	}
}

// notifyWriter writes a NOTIFY in one way after the other. It is owned by one goroutine.
type notifyWriter struct {
	parts *notifyParts
	every bool // not only the usual ways
	left  int  // ways still to be tried
	yield func([]byte) bool

	msg   []byte
	marks []mark // of the labels written so far
}

// mark is where in the message a name, or the end of one, begins. It is a plain value.
type mark struct {
	name wire.Name
	at   int
}

// extend writes the pieces from i on, in every way, and reports whether more are wanted. rdata is where the SOA's RDATA
// begins, 0 for not yet.
func (w *notifyWriter) extend(i, rdata int) bool {
	begin := len(w.msg)
	defer func() { w.msg = w.msg[:begin] }()
	w.msg = append(w.msg, w.parts.fixed[i]...)
	if i == 2 && len(w.parts.names) == 4 {
		rdata = len(w.msg)
	}
	if i == len(w.parts.names) {
		return w.finish(rdata)
	}
	name := w.parts.names[i]
	found := 0
	for cut := 0; cut < len(name)-1 && (w.every || found == 0); cut += int(name[cut]) + 1 {
		for _, m := range w.marks {
			if !bytes.Equal(m.name, name[cut:]) {
				continue
			}
			found++
			if !w.write(i, rdata, name, cut, m.at) {
				return false
			}
			if !w.every {
				break
			}
		}
	}
	return w.write(i, rdata, name, len(name), 0)
}

// write writes name up to cut, then a pointer to the place at unless that is all of it, and what follows.
func (w *notifyWriter) write(i, rdata int, name wire.Name, cut, at int) bool {
	begin, marks := len(w.msg), len(w.marks)
	defer func() { w.msg, w.marks = w.msg[:begin], w.marks[:marks] }()
	w.msg = append(w.msg, name[:cut]...)
	for off := 0; off < min(cut, len(name)-1); off += int(name[off]) + 1 {
		w.marks = append(w.marks, mark{name[off:], begin + off})
	}
	if cut < len(name) {
		w.msg = binary.BigEndian.AppendUint16(w.msg, 0xC000|uint16(at))
	}
	return w.extend(i+1, rdata)
}

// finish gives the whole message out. The length of the SOA's RDATA depends on how its names were written.
func (w *notifyWriter) finish(rdata int) bool {
	if w.left--; w.left < 0 {
		return false
	}
	if rdata > 0 {
		const numbers = 20 // behind the two names (RFC 1035 §3.3.13)
		behind := len(w.parts.fixed[len(w.parts.fixed)-1]) - numbers
		binary.BigEndian.PutUint16(w.msg[rdata-2:], uint16(len(w.msg)-rdata-behind))
	}
	return w.yield(bytes.Clone(w.msg))
}
