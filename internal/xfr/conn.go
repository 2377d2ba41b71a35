package xfr

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// readBuffer is the octets read from a connection at a time: two messages of the largest size, so that every message can
// be read in place.
const readBuffer = 2 * (2 + 1<<16)

// loneSOATimeout is how long an answer may stop behind its first SOA. Some primaries send that in a message of its own and
// go on at once; others have nothing more to say, and then the whole zone has to be asked for.
const loneSOATimeout = 3 * time.Second

// Limits bound one transfer. They are a plain value.
type Limits struct {
	Connect    time.Duration // to get a connection; positive
	Idle       time.Duration // without an octet from the primary; positive
	First      time.Duration // without the first octet of the answer, where that is less than Idle; 0 is Idle
	Reuse      time.Duration // without the first octet of the answer, on a connection that has served another question; positive
	Total      time.Duration // from the query to the last octet; positive
	MinRate    int64         // octets that have to come in each RatePeriod, once the answer has begun; 0 is none
	RatePeriod time.Duration // counts the time we wait for the primary, not the time we work
	MaxBytes   int64         // octets of the answer on the wire; 0 is unlimited
	MaxRecords int           // records of the answer on the wire, every SOA included; 0 is unlimited
}

// DefaultLimits returns limits that an honest primary does not meet. They do not bound the size of the answer.
func DefaultLimits() Limits {
	return Limits{
		Connect: 10 * time.Second,
		Idle:    60 * time.Second,
		// Some primaries, and boxes in front of them, answer one query on a connection and then keep silent on it. One that is
		// merely slow is asked again on a new connection, and has all of Idle there.
		Reuse:      3 * time.Second,
		Total:      2 * time.Hour,
		MinRate:    10 << 10,
		RatePeriod: 60 * time.Second,
	}
}

// A primary may repeat records (RFC 5936 §2.2 wants duplicates ignored), so the limits on the wire are wider than those of a
// zone: wireSlack times as many records or octets, and wireExtra more. They only end streams that would never end.
const (
	wireSlack = 2
	wireExtra = 1000
)

// ForVersion returns l with the limits of the answer that follow from those of a version of the zone, in records and octets;
// 0 is unlimited.
func (l Limits) ForVersion(records int, size int64) Limits {
	if records > 0 {
		l.MaxRecords = records*wireSlack + wireExtra
	}
	if size > 0 {
		l.MaxBytes = size*wireSlack + wireExtra
	}
	return l
}

// Result is how far a transfer came. It is a plain value.
type Result struct {
	Kind     Kind
	SOA      wire.SOA  // the primary's; zero if none came
	ExpireAt time.Time // when the primary gives the zone up, where it has told so and is no primary itself; else zero (RFC 7314)
	Messages int
	Records  int   // on the wire, every SOA included
	Bytes    int64 // on the wire, message lengths included
}

// Conn is a TCP connection to a primary, for one transfer after the other (RFC 5936 §4.1). It is not safe for concurrent
// use; to end a transfer from elsewhere, cancel its context.
type Conn struct {
	primary  Primary
	nc       net.Conn
	pace     pace
	r        *bufio.Reader // reads from pace
	used     bool          // a question has been asked on it
	reusable bool
}

// Dial connects to p, within l.Connect.
func Dial(ctx context.Context, p Primary, l Limits) (*Conn, error) {
	nc, err := dial(ctx, "tcp", p, l.Connect)
	if err != nil {
		return nil, err
	}
	return newConn(nc, p), nil
}

// dial opens a connection or a connected UDP socket to p.
func dial(ctx context.Context, network string, p Primary, timeout time.Duration) (net.Conn, error) {
	dialing, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	nc, err := p.dialer(network).DialContext(dialing, network, p.Addr.String())
	if err != nil {
		e := connectionError(ctx, err, "no connection to the primary")
		e.NoConn = true
		return nil, e
	}
	return nc, nil
}

func newConn(nc net.Conn, p Primary) *Conn {
	c := &Conn{primary: p, nc: nc}
	c.pace.nc = nc
	c.r = bufio.NewReaderSize(&c.pace, readBuffer)
	return c
}

// Close closes the connection.
func (c *Conn) Close() error {
	c.reusable = false
	return c.nc.Close()
}

// Reusable reports whether another transfer may follow on the connection: the last one ended at the end of a message,
// whole or with the primary's refusal, and nothing has come behind it.
func (c *Conn) Reusable() bool { return c.reusable }

// Transfer asks the primary for q and gives what it answers to recv. q.ID is not looked at.
//
// The Result says how far it came, also with an error. The error is an *Error, or what recv returned. After an error of
// the connection, or once ctx is done, the connection is of no more use; see Reusable.
func (c *Conn) Transfer(ctx context.Context, q Query, recv Receiver, l Limits) (Result, error) {
	c.reusable = false
	if err := ctx.Err(); err != nil {
		return Result{}, connectionError(ctx, err, "transfer not begun")
	}
	stop := context.AfterFunc(ctx, func() { c.nc.Close() })
	used := c.used
	if c.used = true; used && (l.First == 0 || l.Reuse < l.First) {
		l.First = l.Reuse
	}
	c.pace.begin(l)
	q.ID = randomID()
	x := NewInterpreter(q, recv)
	asked := time.Now()
	bytes, err := c.converse(ctx, q, x, l)
	res := Result{
		Kind: x.Kind(), SOA: x.SOA(), ExpireAt: expireAt(asked, x.Expire()), Messages: x.Messages(), Records: x.Records(), Bytes: bytes,
	}

	e, isOurs := errors.AsType[*Error](err)
	if isOurs && used && x.SOA() == (wire.SOA{}) {
		e.Stale = e.unusable()
	}
	if isOurs && !c.pace.begun {
		e.mute = e.Reason == reason.CutOff || e.Reason == reason.Timeout
	}
	refused := isOurs && e.answer && x.Messages() <= 1
	c.reusable = stop() && (err == nil || refused) && c.r.Buffered() == 0
	return res, err
}

// converse sends q and reads the answer to its end. It returns the octets of the answer that were read.
func (c *Conn) converse(ctx context.Context, q Query, x *Interpreter, l Limits) (int64, error) {
	msg, stream := signRequest(q.message(), c.primary.Key)
	if err := send(c.nc, msg, l.Idle); err != nil {
		return 0, connectionError(ctx, err, "the query cannot be sent")
	}
	var bytes int64
	for {
		msg, err := c.next()
		if err != nil {
			return bytes, c.broken(ctx, err, x)
		}
		bytes += 2 + int64(len(msg))
		if l.MaxBytes > 0 && bytes > l.MaxBytes {
			return bytes, failure(reason.MaxSize, "the answer is larger than %d octets", l.MaxBytes)
		}
		if stream != nil {
			if msg, err = stream.Verify(msg); err != nil {
				return bytes, err
			}
		}
		done, err := x.Message(msg)
		q.Progress.set(x.Records(), bytes)
		if c.pace.limits.Idle = l.Idle; x.position == behindSOA {
			c.pace.limits.Idle = min(l.Idle, loneSOATimeout)
		}
		switch {
		case err != nil:
			return bytes, err
		case l.MaxRecords > 0 && x.Records() > l.MaxRecords:
			return bytes, failure(reason.MaxRecords, "the answer has more than %d records", l.MaxRecords)
		case done && stream != nil:
			return bytes, stream.Finish()
		case done:
			return bytes, nil
		}
	}
}

// next returns the next message. It borrows the buffer of c.r until the next call.
func (c *Conn) next() ([]byte, error) {
	length, err := c.r.Peek(2)
	if err != nil {
		return nil, err
	}
	n := 2 + int(binary.BigEndian.Uint16(length))
	framed, err := c.r.Peek(n) // RFC 7766 §8: a short read is not the end
	if err != nil {
		return nil, err
	}
	_, err = c.r.Discard(n)
	return framed[2:], err
}

// broken returns the error of a connection that failed with err while the answer was being read.
func (c *Conn) broken(ctx context.Context, err error, x *Interpreter) error {
	e := connectionError(ctx, err, "the connection broke during the answer")
	if e.Reason == reason.CutOff {
		if cut, ok := errors.AsType[*Error](x.Finish()); ok {
			e.Detail = cut.Detail
		}
	}
	return e
}

// pace reads from a connection within the limits of one transfer after the other. It is not safe for concurrent use.
type pace struct {
	nc     net.Conn
	limits Limits
	end    time.Time     // of the whole transfer
	begun  bool          // an octet of the answer has come
	waited time.Duration // for the primary, in this rate period
	octets int64         // in this rate period
}

// begin starts the limits of a new transfer.
func (p *pace) begin(l Limits) {
	*p = pace{nc: p.nc, limits: l, end: time.Now().Add(l.Total)}
}

// Read reads what there is, and waits as long as the limits allow. Their errors are an *Error.
func (p *pace) Read(b []byte) (int, error) {
	patience := p.limits.Idle
	if p.limits.First > 0 && !p.begun {
		patience = min(patience, p.limits.First)
	}
	idle := time.Now().Add(patience)
	for {
		begin := time.Now()
		if err := p.nc.SetReadDeadline(p.deadline(begin, idle)); err != nil {
			return 0, err
		}
		n, err := p.nc.Read(b)
		now := time.Now()
		if slow := p.count(n, now.Sub(begin)); slow != nil {
			return n, slow
		}
		switch {
		case !now.Before(p.end):
			return n, failure(reason.TooSlow, "the transfer takes longer than %s", p.limits.Total)
		case n > 0:
			return n, nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return 0, err
		case !now.Before(idle):
			return 0, failure(reason.Timeout, "the primary sent nothing for %s", patience)
		}
	}
}

// deadline returns when to look at the limits again.
func (p *pace) deadline(now, idle time.Time) time.Time {
	d := earlier(idle, p.end)
	if p.begun && p.limits.MinRate > 0 {
		d = earlier(d, now.Add(p.limits.RatePeriod-p.waited))
	}
	return d
}

// count adds n octets that came in a wait of d to the rate period, and returns an error if the period ends with too few.
func (p *pace) count(n int, d time.Duration) error {
	if !p.begun { // the rate counts from the first octet: the primary may take its time to prepare the answer
		p.begun = n > 0
		return nil
	}
	p.octets += int64(n)
	p.waited += d
	if p.limits.MinRate == 0 || p.waited < p.limits.RatePeriod {
		return nil
	}
	if p.octets < p.limits.MinRate {
		return failure(reason.TooSlow, "the primary sent %d octets in %s; expected are %d or more", p.octets, p.limits.RatePeriod, p.limits.MinRate)
	}
	p.octets, p.waited = 0, 0
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// send sends one message with its length in one write (RFC 7766 §8), within d.
func send(nc net.Conn, msg []byte, d time.Duration) error {
	if err := nc.SetWriteDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(msg)), uint16(len(msg)))
	_, err := nc.Write(append(framed, msg...))
	return err
}
