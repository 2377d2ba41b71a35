package xfr

import (
	"context"
	"net"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// NewConn puts a Conn on a connection that the test has made.
func NewConn(nc net.Conn, p Primary) *Conn { return newConn(nc, p) }

// ConnectionError returns the error of a connection that failed with err.
func ConnectionError(ctx context.Context, err error, what string) error {
	return connectionError(ctx, err, what)
}

// VerifyAt is Verify at the time now.
func (s *Stream) VerifyAt(msg []byte, now time.Time) ([]byte, error) { return s.verify(msg, now) }

// Message returns q in wire form.
func (q Query) Message() []byte { return q.message() }

// QuerySOA asks for a SOA as SOAQuery does.
func QuerySOA(ctx context.Context, p Primary, origin wire.Name, pace func(context.Context) error) (wire.SOA, error) {
	a, err := SOAQuery{Primary: p, Origin: origin, Pace: pace}.Ask(ctx)
	return a.SOA, err
}

// QuerySOAWithin is QuerySOA with other time limits, and with nothing to wait for between its messages.
func QuerySOAWithin(ctx context.Context, p Primary, origin wire.Name, udp, tcp time.Duration) (wire.SOA, error) {
	return QuerySOAPaced(ctx, p, origin, udp, tcp, func(context.Context) error { return nil })
}

// QuerySOAPaced is QuerySOA with other time limits.
func QuerySOAPaced(
	ctx context.Context, p Primary, origin wire.Name, udp, tcp time.Duration, pace func(context.Context) error,
) (wire.SOA, error) {
	q := soaQuery{primary: p, origin: origin, pace: pace, edns: true, timeoutUDP: udp, timeoutTCP: tcp}
	return q.ask(ctx)
}

// ReadSOAAnswer reads an answer to the SOA query for origin with this ID; s checks it, unless nil.
func ReadSOAAnswer(msg []byte, id uint16, origin wire.Name, s *Stream) (wire.SOA, error) {
	q := soaQuery{origin: origin}
	if _, err := q.match(msg, id); err != nil {
		return wire.SOA{}, err
	}
	return q.answer(msg, s)
}

// The limits that tests stand at the edge of.
const (
	MaxUnsigned      = maxUnsigned
	MaxEmptyMessages = maxEmptyMessages
	MaxDifferences   = maxDifferences
	ReadBuffer       = readBuffer
)
