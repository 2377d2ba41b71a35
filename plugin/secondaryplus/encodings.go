package secondaryplus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/time/rate"

	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

const (
	// maxSigned is the length of the longest request that is read again: four names, a SOA and a few EDNS options.
	maxSigned = 1500

	// maxReadings is how many readings of requests from addresses that may send them are tried in a second, in the whole process.
	// One takes 2 to 4 us, so forged ones take no more than a fiftieth of a core here, however many come.
	maxReadings = 5000

	// maxStrangerReadings is how many of all other requests are tried.
	maxStrangerReadings = 1000
)

var (
	errRequest = errors.New("the message is more than a NOTIFY or a request for a transfer holds")
	errBusy    = errors.New("too many requests whose signatures have to be worked out come at a time")
)

// readings are those still to be had of requests from addresses that may send them, strangerReadings of others: nobody who is not
// listed can use up what secondaries and primaries need.
var (
	readings         = rate.NewLimiter(maxReadings, maxReadings)
	strangerReadings = rate.NewLimiter(maxStrangerReadings, maxStrangerReadings)
)

// layout is a way to write the names of a request. A plain value.
type layout struct {
	plain uint8 // bit i: name i is written out; else it is compressed as far as it goes, to where its end first stood
	last  bool  // it is compressed against the name written before only
}

// layouts are the ways to write a request that are tried, the usual ones first: nothing compressed (NSD, BIND up to 9.18), all
// of it (BIND, miekg/dns), against the latest name (Knot), and what is left of each name compressed or not.
var layouts = []layout{{plain: 0b1110}, {}, {last: true}, {plain: 0b1100}, {plain: 0b0010}, {plain: 0b0100}, {plain: 0b1000}, {plain: 0b0110}, {plain: 0b1010}}

// verifyAgain verifies the TSIG of a NOTIFY, a query, or a request for a transfer from the message as CoreDNS has taken it
// apart. The signature is over octets, and those are gone: what is left open is how the sender compressed the names, of which
// there are at most four. The ways that senders have are tried; the right one is known by its signature. The MAC returned is
// not nil if the signature holds.
// The error is errBusy if there was no time to find out, which is when left has no reading any more.
func verifyAgain(r *dns.Msg, t *dns.TSIG, k *xfr.Key, left *rate.Limiter, now time.Time) (mac []byte, err error) {
	if !left.AllowN(now, 1) {
		return nil, errBusy
	}
	record := make([]byte, dns.Len(t)+1)
	end, err := dns.PackRR(t, record, 0, nil, false)
	if err != nil {
		return nil, err
	}
	parts, err := splitRequest(r)
	if err != nil {
		return nil, err
	}
	msg, verifier := make([]byte, 0, maxSigned), xfr.NewRequestVerifier(k)
	tried := make([]spelling, 0, len(layouts))
	for _, l := range layouts {
		w := parts.spell(l)
		if slices.Contains(tried, w) {
			continue
		}
		if len(tried) > 0 && !left.AllowN(now, 1) {
			return nil, errBusy
		}
		tried = append(tried, w)
		msg = append(parts.write(msg, &w), record[:end]...)
		if mac, err = verifier.Verify(msg, now); mac != nil {
			return mac, err
		}
	}
	return nil, err
}

// maxNames is how many names a NOTIFY or IXFR with a SOA has: those of the question and of the record, MNAME and RNAME.
const maxNames = 4

// requestParts is a request in pieces: octets that can be written in one way only, and the names between them. Read-only.
type requestParts struct {
	fixed [][]byte // one more than names
	names []wire.Name
	same  [maxNames][maxNames]int // octets of the longest end, in whole labels, that name i has in common with an earlier name j
}

// splitRequest takes a request apart. The pieces are those of the message without its TSIG record, but for the count of
// additional records, which is the one the signature was checked with: it takes part in no other way.
func splitRequest(r *dns.Msg) (*requestParts, error) {
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
		return nil, err
	}
	binary.BigEndian.PutUint16(packed[10:], uint16(len(r.Extra)))
	records := slices.Concat(r.Answer, r.Ns) // the SOA: of a NOTIFY in the answer, of IXFR in the authority section
	if len(records) > 1 || len(packed) > maxSigned {
		return nil, errRequest
	}
	p, at := &requestParts{}, 0
	name := func(off int) int {
		n := wire.FirstName(packed[off:])
		if len(n) == 0 || len(n) > wire.MaxName || n[len(n)-1] != 0 {
			err, n = errRequest, wire.Name{0} // a SOA without RDATA, as UPDATE has it
		}
		for i, o := range p.names {
			p.same[len(p.names)][i] = sameEnd(n, o)
		}
		p.fixed = append(p.fixed, packed[at:off])
		p.names = append(p.names, n)
		at = off + len(n)
		return at
	}
	off := name(wire.HeaderLen)
	if len(records) == 1 {
		off = name(off + 4)
		if records[0].Header().Rrtype == dns.TypeSOA {
			name(name(off + 10)) // MNAME, RNAME
		}
	}
	p.fixed = append(p.fixed, packed[min(at, len(packed)):])
	return p, err
}

// sameEnd returns how many octets the longest end has, in whole labels, that two names have in common: 1 for the root.
func sameEnd(a, b wire.Name) int {
	var starts [2][wire.MaxName]uint8
	var labels [2]int
	for i, n := range []wire.Name{a, b} {
		for off := 0; n[off] != 0; off += int(n[off]) + 1 {
			starts[i][labels[i]] = uint8(off)
			labels[i]++
		}
	}
	same := 1
	for i := 1; i <= min(labels[0], labels[1]); i++ {
		x, y := starts[0][labels[0]-i], starts[1][labels[1]-i]
		if !bytes.Equal(a[x:len(a)-same], b[y:len(b)-same]) {
			break
		}
		same = len(a) - int(x)
	}
	return same
}

// spelling is how each name is written: so many octets of it, and then, unless that is all, a pointer to where the rest
// stands, in name to. A plain value.
type spelling [maxNames]struct{ cut, to int }

// spell returns how the names are written in a layout.
func (p *requestParts) spell(l layout) (w spelling) {
	latest := 0 // that has octets of its own
	for i, n := range p.names {
		best := 0
		for j := range i {
			if p.same[i][j] > p.same[i][best] {
				best = j
			}
		}
		if l.last {
			best = latest
		}
		w[i].cut, w[i].to = len(n), 0 //nolint:gosec // there are at most maxNames
		if i > 0 && l.plain>>i&1 == 0 && p.same[i][best] > 1 {
			w[i].cut, w[i].to = len(n)-p.same[i][best], best //nolint:gosec // the same
		}
		if w[i].cut > 0 { //nolint:gosec // the same
			latest = i
		}
	}
	return w
}

// write returns the message with its names written like that. It uses the array of buf if that has room.
func (p *requestParts) write(buf []byte, w *spelling) []byte {
	msg := buf[:0]
	var begin [maxNames]int // of the names
	rdata := 0
	for i, n := range p.names {
		if msg = append(msg, p.fixed[i]...); i == 2 {
			rdata = len(msg)
		}
		begin[i] = len(msg)
		msg = append(msg, n[:w[i].cut]...)
		if left := len(n) - w[i].cut; left > 0 {
			j := w[i].to
			for len(p.names[j])-left >= w[j].cut { // there is a pointer, too
				j = w[j].to
			}
			msg = binary.BigEndian.AppendUint16(msg, 0xC000|uint16(begin[j]+len(p.names[j])-left))
		}
	}
	if rdata > 0 { // RDLENGTH depends on how the names in the RDATA are written
		const numbers = 20 // behind the two names (RFC 1035 §3.3.13)
		binary.BigEndian.PutUint16(msg[rdata-2:], uint16(len(msg)-rdata+numbers))
	}
	return append(msg, p.fixed[len(p.names)]...)
}
