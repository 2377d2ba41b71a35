package xfr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"

	"github.com/secondaryplus/secondaryplus/internal/reason"
)

// Error is a failed conversation with a primary. It never holds a secret. It is immutable once returned and safe for
// concurrent use.
type Error struct {
	Reason reason.Reason
	Detail string // what was seen: lower case, no final stop, no advice
	Err    error  // the cause below, or nil

	// Stale reports whether the connection had served another question before, and nothing has come on it that answers this
	// one. That says little about the zone (RFC 7766 §6.2.4): the same question deserves a new connection.
	Stale bool

	// NoConn reports whether there was no connection to speak over.
	NoConn bool

	rcode  int  // of the answer; 0 for none
	mute   bool // the primary has closed the connection, or let the time pass, without an octet of an answer
	answer bool // the primary said so in a whole answer: the connection is at a message boundary
}

// Error returns the detail and the cause.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Detail
	}
	return e.Detail + ": " + e.Err.Error()
}

// unusable reports whether no answer to the question has come: the connection failed, or what came on it belongs to none or
// to another question.
func (e *Error) unusable() bool {
	switch e.Reason {
	case reason.Unreachable, reason.Timeout, reason.CutOff, reason.BadResponse, reason.TSIGBadKey, reason.TSIGBadSig, reason.TSIGMissing:
		return !e.answer
	default:
		return false
	}
}

// Why returns the reason.
func (e *Error) Why() reason.Reason { return e.Reason }

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error { return e.Err }

// MayTransfer reports whether a SOA query that failed with err leaves a transfer possible: the primary has answered, whatever
// it said, or it is there and silent. RFC 1995 §2: IXFR is a check as well.
func MayTransfer(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.NoConn {
		return false
	}
	switch e.Reason {
	case reason.Unreachable, reason.Local, reason.Canceled:
		return false
	case reason.ExpiredThere: // a transfer would say the same
		return false
	default:
		return true
	}
}

// MindsOPT reports whether a transfer that failed with err may be answered once the OPT record is left out: the primary does not
// understand the question (RFC 6891 §7), or has said nothing to it.
func MindsOPT(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.NoConn {
		return false
	}
	switch e.rcode {
	case rcodeFormErr, rcodeNotImp, rcodeBadVers:
		return true
	}
	return e.mute
}

// Silent reports whether err says that the primary is there and did not answer in time. It may be silent about one zone.
func Silent(err error) bool { return reason.Of(err) == reason.Timeout && MayTransfer(err) }

func failure(r reason.Reason, format string, args ...any) *Error {
	return &Error{Reason: r, Detail: fmt.Sprintf(format, args...)}
}

func malformed(err error) *Error {
	return &Error{Reason: reason.Malformed, Detail: "a message cannot be read", Err: err}
}

// The RCODEs that have a reason of their own (RFC 1035 §4.1.1, RFC 2136 §2.2).
const (
	rcodeFormErr  = 1
	rcodeServFail = 2
	rcodeNXDomain = 3
	rcodeNotImp   = 4
	rcodeRefused  = 5
	rcodeNotAuth  = 9
	rcodeBadVers  = 16 // RFC 6891 §9
)

// rcodeError returns the error of an answer with an RCODE other than 0. note says more about the answer, or is empty.
func rcodeError(rcode int, note string) *Error {
	e := &Error{answer: true, rcode: rcode}
	switch rcode {
	case rcodeFormErr:
		e.Reason, e.Detail = reason.FormatError, "the primary answers FORMERR: it does not understand the question"
	case rcodeServFail:
		e.Reason, e.Detail = reason.ServFail, "the primary answers SERVFAIL: it cannot serve the zone now"
	case rcodeNXDomain:
		e.Reason, e.Detail = reason.BadRcode, "the primary answers NXDOMAIN: it does not have the zone"
	case rcodeNotImp:
		e.Reason, e.Detail = reason.NotImplemented, "the primary answers NOTIMP: it does not do this kind of transfer"
	case rcodeRefused:
		e.Reason, e.Detail = reason.Refused, "the primary answers REFUSED"
	case rcodeNotAuth:
		e.Reason, e.Detail = reason.NotAuthoritative, "the primary answers NOTAUTH: it does not hold the zone, or not for this key"
	case rcodeBadVers:
		e.Reason, e.Detail = reason.BadRcode, "the primary answers BADVERS: it does not know this version of EDNS"
	default:
		e.Reason, e.Detail = reason.BadRcode, "the primary answers RCODE "+strconv.Itoa(rcode)
	}
	e.Detail += note
	return e
}

// connectionError returns the error of a connection that failed with err while what was being done.
func connectionError(ctx context.Context, err error, what string) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	e := &Error{Reason: reason.Unreachable, Detail: what, Err: err}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		e.Err = op.Err // who spoke with whom is known, but for our port, by which no failure would be like the one before
	}
	timeout, isTimeout := errors.AsType[net.Error](err)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		e.Reason, e.Err = reason.Canceled, context.Cause(ctx)
	case ctx.Err() != nil:
		e.Reason, e.Err = reason.Timeout, context.Cause(ctx)
	case isTimeout && timeout.Timeout():
		e.Reason = reason.Timeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		e.Reason = reason.CutOff
	}
	if text, local := localCause(err); local && e.Reason == reason.Unreachable {
		e.Reason, e.Detail = reason.Local, what+": "+text
	}
	return e
}

// localCause says what this host or process lacks where err is for that.
func localCause(err error) (text string, local bool) {
	for _, c := range []struct {
		errno syscall.Errno
		text  string
	}{
		{syscall.EMFILE, "all file descriptors of this process are in use"},
		{syscall.ENFILE, "all file descriptors of this host are in use"},
		{syscall.ENOBUFS, "this host has no room for another socket; it is short of memory, or of ephemeral ports"},
		{syscall.ENOMEM, "this host has no memory for another socket"},
		{syscall.EADDRNOTAVAIL, "the source address is not one of this host, or all its ports are in use"},
		{syscall.EADDRINUSE, "all ports of the source address are in use"},
		{syscall.ENETUNREACH, "this host has no route to the primary"},
		{syscall.EAFNOSUPPORT, "this host does not speak the IP version of the primary's address"},
		{syscall.EACCES, "this host does not permit it"},
		{syscall.EPERM, "this host does not permit it"},
	} {
		if errors.Is(err, c.errno) {
			return c.text, true
		}
	}
	return "", false
}
