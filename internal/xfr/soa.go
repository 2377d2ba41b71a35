package xfr

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// The time limits of a SOA query: with a primary that is silent it ends after 9 s.
const (
	soaTries      = 2               // over UDP
	soaTimeoutUDP = 2 * time.Second // each
	soaTimeoutTCP = 5 * time.Second // connection, query and answer
)

// soaAnswerMax is the largest UDP answer read, in octets; a primary may send more than ednsPayload.
const soaAnswerMax = 4096

var (
	errTruncated = errors.New("truncated answer") // TC is set: ask over TCP
	errSilent    = errors.New("time is up")
)

// SOAQuery asks a primary for the SOA of a zone. It is a plain value.
type SOAQuery struct {
	Primary Primary
	Origin  wire.Name
	NoOPT   bool                        // leave out the OPT record, for a primary that is known not to answer with it
	Pace    func(context.Context) error // called before every message after the first; may wait, and an error ends the query
}

// SOAAnswer is what came of a SOAQuery. It is a plain value.
type SOAAnswer struct {
	SOA      wire.SOA
	ExpireAt time.Time // when the primary gives the zone up, where it has told so and is no primary itself; else zero (RFC 7314)
	NoOPT    bool      // the primary answered once the OPT record was left out, and not before
}

// Ask asks over UDP, and over TCP if UDP brings no answer or not all of it. The answer must be authoritative and, if the
// primary has a key, signed. The error is an *Error; see MayTransfer.
func (q SOAQuery) Ask(ctx context.Context) (SOAAnswer, error) {
	w := soaQuery{primary: q.Primary, origin: q.Origin, pace: q.Pace, edns: !q.NoOPT, timeoutUDP: soaTimeoutUDP, timeoutTCP: soaTimeoutTCP}
	soa, err := w.ask(ctx)
	return SOAAnswer{SOA: soa, ExpireAt: expireAt(w.askedAt, w.expire), NoOPT: w.plain && err == nil}, err
}

// soaQuery is one SOA query in work. It is not safe for concurrent use.
type soaQuery struct {
	primary    Primary
	origin     wire.Name
	pace       func(context.Context) error
	begun      bool // a message has been sent
	edns       bool // send an OPT record; off once that has brought no useful answer
	plain      bool // the answer came because the OPT record was left out
	timeoutUDP time.Duration
	timeoutTCP time.Duration
	askedAt    time.Time   // when the latest message was made
	expire     wire.Expire // what the answer says beside the SOA
	reader     wire.Reader
}

func (q *soaQuery) ask(ctx context.Context) (wire.SOA, error) {
	soa, err := q.overUDP(ctx)
	if q.tcpMayDoBetter(err) {
		soa, err = q.retryingEDNS(ctx, q.onceTCP)
	}
	return soa, err
}

// overUDP asks until an answer comes or the tries are used up.
func (q *soaQuery) overUDP(ctx context.Context) (soa wire.SOA, err error) {
	for range soaTries {
		soa, err = q.retryingEDNS(ctx, q.onceUDP)
		if reason.Of(err) != reason.Timeout || ctx.Err() != nil {
			return soa, err
		}
		// RFC 6891 §6.2.2: queries that have an OPT record may be dropped on the way, or by the primary.
		q.plain = q.plain || q.edns
		q.edns = false
	}
	q.plain = false // it is not for that
	return soa, err
}

// tcpMayDoBetter reports whether a failure over UDP is no last word.
func (q *soaQuery) tcpMayDoBetter(err error) bool {
	if errors.Is(err, errTruncated) {
		return true
	}
	switch reason.Of(err) {
	case reason.Timeout, reason.Unreachable, reason.Local:
		return true // UDP may be filtered where TCP is not: silently, or with ICMP in answer
	case reason.TSIGBadKey, reason.TSIGBadSig, reason.TSIGBadTime, reason.TSIGBadTrunc, reason.TSIGMissing:
		// RFC 8945 §5.4: an answer that fails the check is not the answer; the true one may still come. Over TCP it
		// cannot be overtaken by a forged one, so there we find out without waiting.
		return true
	default:
		return false
	}
}

// retryingEDNS asks with once, and again without OPT if that may be what the primary cannot do (RFC 6891 §6.2.2, §7).
func (q *soaQuery) retryingEDNS(ctx context.Context, once func(context.Context) (wire.SOA, error)) (wire.SOA, error) {
	soa, err := q.paced(ctx, once)
	if e, ok := errors.AsType[*Error](err); q.edns && ok {
		switch e.rcode {
		case rcodeFormErr, rcodeServFail, rcodeNotImp, rcodeBadVers:
			q.edns, q.plain = false, true
			return q.paced(ctx, once)
		}
	}
	return soa, err
}

// paced asks with once when it is time for another message.
func (q *soaQuery) paced(ctx context.Context, once func(context.Context) (wire.SOA, error)) (wire.SOA, error) {
	if q.begun {
		if err := q.pace(ctx); err != nil {
			return wire.SOA{}, connectionError(ctx, err, "the SOA query cannot be repeated")
		}
	}
	q.begun = true
	return once(ctx)
}

// message returns the query and what checks the answers to it.
func (q *soaQuery) message() (id uint16, msg []byte, stream *Stream) {
	id, q.askedAt = randomID(), time.Now()
	msg = question(id, q.origin, wire.TypeSOA)
	if q.edns {
		msg = addOPT(msg)
	}
	msg, stream = signRequest(msg, q.primary.Key)
	return id, msg, stream
}

func (q *soaQuery) onceUDP(parent context.Context) (wire.SOA, error) {
	ctx, cancel := context.WithTimeoutCause(parent, q.timeoutUDP, errSilent)
	defer cancel()
	// A connected socket takes datagrams of the primary only, and hears of ICMP errors.
	nc, err := dial(ctx, "udp", q.primary, q.timeoutUDP)
	if err != nil {
		return wire.SOA{}, err
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	id, msg, stream := q.message()
	if _, err := nc.Write(msg); err != nil {
		return wire.SOA{}, connectionError(ctx, err, "the SOA query cannot be sent over UDP")
	}
	buf := make([]byte, soaAnswerMax)
	for {
		n, err := nc.Read(buf)
		if err != nil {
			return wire.SOA{}, connectionError(ctx, err, "no answer to the SOA query over UDP")
		}
		answer := buf[:n]
		if h, err := q.match(answer, id); err != nil {
			continue // RFC 5452 §9.1: not to this query; the next one may be
		} else if h.Truncated() {
			return wire.SOA{}, errTruncated
		}
		return q.answer(answer, stream)
	}
}

func (q *soaQuery) onceTCP(parent context.Context) (wire.SOA, error) {
	ctx, cancel := context.WithTimeoutCause(parent, q.timeoutTCP, errSilent)
	defer cancel()
	nc, err := dial(ctx, "tcp", q.primary, q.timeoutTCP)
	if err != nil {
		return wire.SOA{}, err
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	id, msg, stream := q.message()
	if err := send(nc, msg, q.timeoutTCP); err != nil {
		return wire.SOA{}, connectionError(ctx, err, "the SOA query cannot be sent over TCP")
	}
	answer, err := receive(nc)
	if err != nil {
		return wire.SOA{}, connectionError(ctx, err, "no answer to the SOA query over TCP")
	}
	if _, err := q.match(answer, id); err != nil {
		return wire.SOA{}, err
	}
	return q.answer(answer, stream)
}

// receive reads one message with its length.
func receive(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	msg := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(r, msg)
	return msg, err
}

// match returns an error unless msg is an answer to this query, whatever it says (RFC 7766 §7: ID and question).
func (q *soaQuery) match(msg []byte, id uint16) (wire.Header, error) {
	h, err := q.reader.Reset(msg)
	if err != nil {
		return h, malformed(err)
	}
	if err := checkHeader(h, id); err != nil {
		return h, err
	}
	return h, checkQuestion(&q.reader, h, q.origin, wire.TypeSOA)
}

// answer reads an answer that matches. stream checks it, unless nil.
func (q *soaQuery) answer(msg []byte, stream *Stream) (soa wire.SOA, err error) {
	if stream != nil {
		if msg, err = stream.Verify(msg); err != nil {
			return soa, err
		}
	}
	h, err := q.reader.Reset(msg)
	if err != nil {
		return soa, malformed(err)
	}
	if rcode := fullRcode(msg); rcode != 0 {
		return soa, rcodeError(rcode, "")
	}
	if err := checkQuestion(&q.reader, h, q.origin, wire.TypeSOA); err != nil {
		return soa, err
	}
	soa, count, err := q.soas(h)
	if err != nil {
		return wire.SOA{}, err
	}
	o, err := readRest(&q.reader, msg, h)
	if err != nil {
		return wire.SOA{}, err
	}
	switch {
	case !h.Authoritative():
		return wire.SOA{}, failure(reason.NotAuthoritative, "the primary's answer lacks AA: it does not hold zone %s, or has let it expire", q.origin)
	case count != 1:
		return wire.SOA{}, failure(reason.NoSOA, "the primary's answer holds %d different SOA records of %s; expected is one", count, q.origin)
	}
	q.expire, err = ahead(o.expire, soa)
	return soa, err
}

// soas reads the answer section, and returns the last SOA of the zone and how many there are that differ from the one before.
// RFC 2181 §5: a record that comes twice is one.
func (q *soaQuery) soas(h wire.Header) (soa wire.SOA, count int, err error) {
	var rr wire.RR
	var last []byte
	for range h.Answers {
		err := q.reader.Next(&rr)
		bad := onlyRDATA(err)
		if err != nil && bad == nil {
			return soa, 0, malformed(err)
		}
		if rr.Type != wire.TypeSOA || rr.Class != wire.ClassIN || !rr.Owner.Equal(q.origin) {
			continue
		}
		if bad != nil {
			return soa, 0, malformed(bad)
		}
		if soa, err = wire.ParseSOA(rr.Data); err != nil {
			return soa, 0, malformed(err)
		}
		if count == 0 || wire.CompareRDATA(wire.TypeSOA, last, rr.Data) != 0 {
			count++
			last = append(last[:0], rr.Data...)
		}
	}
	return soa, count, nil
}
