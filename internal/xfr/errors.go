package xfr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"syscall"
)

// Reason is why a conversation with a primary failed: one of a closed list, short and stable, fit for a metric label.
type Reason string

// The reasons, grouped by when they occur.
const (
	Local       Reason = "local"       // this host or process lacks what the conversation takes: it says nothing about the primary
	Unreachable Reason = "unreachable" // the network or the primary's host says no
	Timeout     Reason = "timeout"     // no connection, or no octet, within the limit
	CutOff      Reason = "cut_off"     // the connection ended before the answer did
	Canceled    Reason = "canceled"    // we ended it ourselves

	FormatError      Reason = "format_error"      // RCODE FORMERR
	ServFail         Reason = "servfail"          // RCODE SERVFAIL
	NotImplemented   Reason = "not_implemented"   // RCODE NOTIMP
	Refused          Reason = "refused"           // RCODE REFUSED
	NotAuthoritative Reason = "not_authoritative" // RCODE NOTAUTH, or a SOA answer without AA
	BadRcode         Reason = "bad_rcode"         // any other RCODE

	Malformed   Reason = "malformed"    // a message, or the SOA of the zone, that cannot be read
	BadResponse Reason = "bad_response" // well formed, but not an answer to what we asked
	NoSOA       Reason = "no_soa"       // no SOA of the zone where one has to be
	SOAOwner    Reason = "soa_owner"    // a SOA that belongs to another name
	SOAMismatch Reason = "soa_mismatch" // first and last SOA differ
	IXFRBroken  Reason = "ixfr_broken"  // differences that do not lead from our version to the primary's

	TooManyRecords Reason = "too_many_records" // more records on the wire than Limits.MaxRecords
	TooBig         Reason = "too_big"          // more octets on the wire than Limits.MaxBytes
	TooSlow        Reason = "too_slow"         // below Limits.MinRate, or longer than Limits.Total

	TSIGBadKey   Reason = "tsig_bad_key"   // key name or algorithm unknown on one side
	TSIGBadSig   Reason = "tsig_bad_sig"   // the MAC does not fit: the secrets differ
	TSIGBadTime  Reason = "tsig_bad_time"  // the clocks differ by more than the fudge
	TSIGBadTrunc Reason = "tsig_bad_trunc" // a MAC is shorter than the other side wants
	TSIGMissing  Reason = "tsig_missing"   // a message that has to be signed is not
)

// reasons is the closed list, in the order above.
var reasons = []Reason{
	Local, Unreachable, Timeout, CutOff, Canceled,
	FormatError, ServFail, NotImplemented, Refused, NotAuthoritative, BadRcode,
	Malformed, BadResponse, NoSOA, SOAOwner, SOAMismatch, IXFRBroken,
	TooManyRecords, TooBig, TooSlow,
	TSIGBadKey, TSIGBadSig, TSIGBadTime, TSIGBadTrunc, TSIGMissing,
}

// Reasons returns every Reason there is, so that a metric can name them all.
func Reasons() []Reason { return slices.Clone(reasons) }

// Error is a failed conversation with a primary. It never holds a secret. It is immutable once returned and safe for
// concurrent use.
type Error struct {
	Reason Reason
	Detail string // what a person can act on, lower case, no final stop
	Err    error  // the cause below, or nil

	// Stale reports whether the connection had served another question before, and nothing has come on it that answers this
	// one. That says little about the zone (RFC 7766 §6.2.4): the same question deserves a new connection.
	Stale bool

	// NoConn reports whether there was no connection to speak over.
	NoConn bool

	rcode  int  // of the answer; 0 for none
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
	case Unreachable, Timeout, CutOff, BadResponse, TSIGBadKey, TSIGBadSig, TSIGMissing:
		return !e.answer
	default:
		return false
	}
}

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error { return e.Err }

// ReasonOf returns the reason of err, or "" if err has none: nil, or an error of a Receiver.
func ReasonOf(err error) Reason {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return ""
}

// MayTransfer reports whether a SOA query that failed with err leaves a transfer possible: the primary has answered, whatever
// it said, or it is there and silent. RFC 1995 §2: IXFR is a check as well.
func MayTransfer(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && !e.NoConn && e.Reason != Unreachable && e.Reason != Local && e.Reason != Canceled
}

// Silent reports whether err says that the primary is there and did not answer in time. It may be silent about one zone.
func Silent(err error) bool { return ReasonOf(err) == Timeout && MayTransfer(err) }

func failure(r Reason, format string, args ...any) *Error {
	return &Error{Reason: r, Detail: fmt.Sprintf(format, args...)}
}

func malformed(err error) *Error {
	return &Error{Reason: Malformed, Detail: "a message cannot be read", Err: err}
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
		e.Reason, e.Detail = FormatError, "the primary answers FORMERR: it does not understand the question"
	case rcodeServFail:
		e.Reason, e.Detail = ServFail, "the primary answers SERVFAIL: it cannot serve the zone now, see its log"
	case rcodeNXDomain:
		e.Reason, e.Detail = BadRcode, "the primary answers NXDOMAIN: it does not have the zone"
	case rcodeNotImp:
		e.Reason, e.Detail = NotImplemented, "the primary answers NOTIMP: it does not do this kind of transfer"
	case rcodeRefused:
		e.Reason, e.Detail = Refused, "the primary answers REFUSED: let it allow this host's address, or this key, to transfer the zone"
	case rcodeNotAuth:
		e.Reason, e.Detail = NotAuthoritative, "the primary answers NOTAUTH: it does not hold the zone, or not for this key (Knot says so instead of REFUSED)"
	case rcodeBadVers:
		e.Reason, e.Detail = BadRcode, "the primary answers BADVERS: it does not know this version of EDNS"
	default:
		e.Reason, e.Detail = BadRcode, "the primary answers RCODE "+strconv.Itoa(rcode)
	}
	e.Detail += note
	return e
}

// connectionError returns the error of a connection that failed with err while what was being done.
func connectionError(ctx context.Context, err error, what string) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	e := &Error{Reason: Unreachable, Detail: what, Err: err}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		e.Err = op.Err // who spoke with whom is known, but for our port, by which no failure would be like the one before
	}
	timeout, isTimeout := errors.AsType[net.Error](err)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		e.Reason, e.Err = Canceled, context.Cause(ctx)
	case ctx.Err() != nil:
		e.Reason, e.Err = Timeout, context.Cause(ctx)
	case isTimeout && timeout.Timeout():
		e.Reason = Timeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		e.Reason = CutOff
	}
	if text, local := localCause(err); local && e.Reason == Unreachable {
		e.Reason, e.Detail = Local, what+": "+text
	}
	return e
}

// localCause says what this host or process lacks where err is for that, and what to do.
func localCause(err error) (text string, local bool) {
	for _, c := range []struct {
		errno syscall.Errno
		text  string
	}{
		{syscall.EMFILE, "all file descriptors of this process are in use; raise LimitNOFILE= of its service, or ulimit -n"},
		{syscall.ENFILE, "all file descriptors of this host are in use; raise the sysctl fs.file-max"},
		{syscall.ENOBUFS, "this host has no room for another socket; it is short of memory, or of ephemeral ports"},
		{syscall.ENOMEM, "this host has no memory for another socket"},
		{syscall.EADDRNOTAVAIL, "the source address is not one of this host, or all its ports are in use; compare `source` with ip address"},
		{syscall.EADDRINUSE, "all ports of the source address are in use; widen the sysctl net.ipv4.ip_local_port_range"},
		{syscall.ENETUNREACH, "this host has no route to the primary; see ip route get for its address"},
		{syscall.EAFNOSUPPORT, "this host does not speak the IP version of the primary's address"},
		{syscall.EACCES, "this host does not permit it; see its firewall and the restrictions of the service"},
		{syscall.EPERM, "this host does not permit it; see its firewall and the restrictions of the service"},
	} {
		if errors.Is(err, c.errno) {
			return c.text, true
		}
	}
	return "", false
}
