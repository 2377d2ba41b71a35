package xfr_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// zoneRecords returns a zone with serial 5 and n records, the SOA one of them.
func zoneRecords(n int) []string {
	records := []string{soa(5)}
	for i := 1; i < n; i++ {
		records = append(records, host(fmt.Sprintf("h%d", i), "192.0.2.1"))
	}
	return records
}

func dial(t *testing.T, p xfr.Primary, l xfr.Limits) *xfr.Conn {
	t.Helper()
	c, err := xfr.Dial(t.Context(), p, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func exampleQuery(t *testing.T) xfr.Query {
	t.Helper()
	return xfr.Query{Origin: mustName(t, "example.")}
}

// transferFrom transfers example. from a primary with this script.
func transferFrom(t *testing.T, script dnstest.Handler, key *xfr.Key, l xfr.Limits) (*xfr.Conn, counter, xfr.Result, error) {
	t.Helper()
	c := dial(t, xfr.Primary{Addr: dnstest.NewPrimary(t, script).Addr(), Key: key}, l)
	var got counter
	res, err := c.Transfer(t.Context(), exampleQuery(t), &got, l)
	return c, got, res, err
}

// short are limits for tests in which the primary is to run into one.
func short() xfr.Limits {
	l := xfr.DefaultLimits()
	l.Idle = 100 * time.Millisecond
	return l
}

func TestTransferWithAndWithoutTSIG(t *testing.T) {
	const size = 1234
	for _, algorithm := range append(xfr.AlgorithmNames(), "no key") {
		t.Run(algorithm, func(t *testing.T) {
			wantNothingLeft(t)
			var key *xfr.Key
			if algorithm != "no key" {
				key = newKey(t, algorithm)
			}
			c, got, res, err := transferFrom(t, dnstest.Serve(testSecret, zoneRecords(size)...), key, xfr.DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(counter{begun: 1, added: size}, got, cmp.AllowUnexported(counter{})); d != "" {
				t.Error(d)
			}
			if res.Kind != xfr.AXFR || res.Records != size+1 || res.Messages != 13 || res.SOA.Serial != serial.New(5) || res.Bytes < 20*size {
				t.Errorf("result %+v", res)
			}
			if !c.Reusable() {
				t.Error("the connection is not reusable after a whole transfer")
			}
		})
	}
}

// RFC 5936 §4.1, RFC 7766 §6.2.1: one transfer after the other on one connection, of whatever kind.
func TestConnIsReused(t *testing.T) {
	wantNothingLeft(t)
	serve := dnstest.Serve(testSecret, zoneRecords(300)...)
	refused := false
	p := dnstest.NewPrimary(t, func(r dnstest.Request, w *dnstest.Writer) {
		if r.Type == dns.TypeIXFR && r.Serial == 3 && !refused {
			refused = true
			w.Send(r.Rcode(dns.RcodeNotImplemented))
			return
		}
		serve(r, w)
	})
	c := dial(t, xfr.Primary{Addr: p.Addr(), Key: newKey(t, hmacSHA256)}, xfr.DefaultLimits())
	for i, step := range []struct {
		have   *wire.SOA
		kind   xfr.Kind
		reason reason.Reason
	}{
		{nil, xfr.AXFR, ""},
		{&wire.SOA{Serial: serial.New(5)}, xfr.Current, ""},
		{&wire.SOA{Serial: serial.New(3)}, xfr.Undecided, reason.NotImplemented}, // RFC 1995 §4, I16: then AXFR, on the same connection
		{nil, xfr.AXFR, ""},
		{&wire.SOA{Serial: serial.New(3)}, xfr.AXFR, ""},
	} {
		q := exampleQuery(t)
		q.Have = step.have
		res, err := c.Transfer(t.Context(), q, new(counter), xfr.DefaultLimits())
		wantReason(t, err, step.reason)
		if res.Kind != step.kind || !c.Reusable() {
			t.Errorf("step %d: %+v, reusable %v; want %s, true", i, res, c.Reusable(), step.kind)
		}
	}
	if p.Accepted() != 1 {
		t.Errorf("%d connections; want 1", p.Accepted())
	}
}

// What the primary does wrong, what we call it, and that nothing is left behind. HP numbers are the hostile primaries'.
func TestBadPrimaries(t *testing.T) {
	big := xfr.DefaultLimits()
	big.MaxBytes, big.MaxRecords = 1<<20, 0
	many := xfr.DefaultLimits()
	many.MaxRecords = 10_000
	for name, c := range map[string]struct {
		script   dnstest.Handler
		limits   xfr.Limits
		want     reason.Reason
		reusable bool
	}{
		"HP1 endless AXFR, octets":  {script: endless, limits: big, want: reason.MaxSize},
		"HP1 endless AXFR, records": {script: endless, limits: many, want: reason.MaxRecords},
		"HP4 cut between messages": {want: reason.CutOff, script: func(r dnstest.Request, w *dnstest.Writer) {
			w.Send(r.Reply(soa(5), host("a", "192.0.2.1")))
			w.CloseConn()
		}},
		"HP4 cut within a message": {want: reason.CutOff, script: func(r dnstest.Request, w *dnstest.Writer) {
			w.Octets([]byte{1, 0, 1, 2, 3})
			w.CloseConn()
		}},
		"HP4 cut within a length": {want: reason.CutOff, script: func(_ dnstest.Request, w *dnstest.Writer) {
			w.Octets([]byte{1})
			w.CloseConn()
		}},
		"closed without an answer":     {want: reason.CutOff, script: func(_ dnstest.Request, w *dnstest.Writer) { w.CloseConn() }},
		"HP26 reset without an answer": {want: reason.CutOff, script: func(_ dnstest.Request, w *dnstest.Writer) { w.Reset() }},
		"HP26 silent from the start": {want: reason.Timeout, limits: short(),
			script: func(_ dnstest.Request, w *dnstest.Writer) { w.Hang() }},
		"HP26 silent in the middle": {want: reason.Timeout, limits: short(), script: func(r dnstest.Request, w *dnstest.Writer) {
			w.Send(r.Reply(soa(5)))
			w.Hang()
		}},
		"HP10 first and last SOA differ": {want: reason.SOAMismatch, script: func(r dnstest.Request, w *dnstest.Writer) { w.Send(r.Reply(soa(5), soa(6))) }},
		"HP20 another ID": {want: reason.BadResponse, script: func(r dnstest.Request, w *dnstest.Writer) {
			m := r.Reply(soa(5), soa(5))
			m.Id++
			w.Send(m)
		}},
		"HP20 the query echoed": {want: reason.BadResponse, script: func(r dnstest.Request, w *dnstest.Writer) { w.SendRaw(r.Raw) }},
		"HP20 RCODE in a later message": {want: reason.ServFail, script: func(r dnstest.Request, w *dnstest.Writer) {
			w.Send(r.Reply(soa(5)), r.Rcode(dns.RcodeServerFailure))
		}},
		"HP21 empty messages": {want: reason.BadResponse, script: func(r dnstest.Request, w *dnstest.Writer) {
			w.Send(r.Reply(soa(5)))
			for empty := dnstest.Pack(r.Reply()); w.SendRaw(empty); {
			}
		}},
		"HP21 no octets at all": {want: reason.Malformed, script: func(_ dnstest.Request, w *dnstest.Writer) {
			for w.Octets([]byte{0, 0}) {
			}
		}},
		"refused": {want: reason.Refused, reusable: true, script: func(r dnstest.Request, w *dnstest.Writer) { w.Send(r.Rcode(dns.RcodeRefused)) }},
		"goes on behind its refusal": {want: reason.Refused, script: func(r dnstest.Request, w *dnstest.Writer) {
			no := dnstest.Pack(r.Rcode(dns.RcodeRefused))
			frame := append(binary.BigEndian.AppendUint16(nil, uint16(len(no))), no...)
			w.Octets(append(frame, frame...))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			wantNothingLeft(t)
			if c.limits == (xfr.Limits{}) {
				c.limits = xfr.DefaultLimits()
			}
			conn, _, res, err := transferFrom(t, c.script, nil, c.limits)
			wantReason(t, err, c.want)
			if e, _ := errors.AsType[*xfr.Error](err); e.Stale || conn.Reusable() != c.reusable {
				t.Errorf("stale %v, reusable %v; want false, %v (%v)", e.Stale, conn.Reusable(), c.reusable, err)
			}
			if c.want == reason.MaxSize && res.Bytes > big.MaxBytes+1<<16 || c.want == reason.MaxRecords && res.Records > many.MaxRecords+1<<13 {
				t.Errorf("read on past the limit: %+v", res)
			}
		})
	}
}

// endless begins a zone and never ends it.
func endless(r dnstest.Request, w *dnstest.Writer) {
	w.Send(r.Reply(soa(5)))
	for more := dnstest.Pack(r.Reply(zoneRecords(500)[1:]...)); w.SendRaw(more); {
	}
}

// The TSIG of a transfer, as primaries get it wrong (HP11, HP12).
func TestBadTSIGOverTheConnection(t *testing.T) {
	// sends answers with as many messages as marks: s signed, u unsigned, b with a bad MAC.
	sends := func(marks string) dnstest.Handler {
		return func(r dnstest.Request, w *dnstest.Writer) {
			s := r.Signer(testSecret)
			for i, mark := range marks {
				records := []string{host("a", "192.0.2.1")}
				if i == 0 {
					records = append([]string{soa(5)}, records...)
				}
				if i == len(marks)-1 {
					records = append(records, soa(5))
				}
				msg := dnstest.Pack(r.Reply(records...))
				s.Corrupt = mark == 'b'
				if mark == 'u' {
					w.SendRaw(s.Skip(msg))
				} else {
					w.SendRaw(s.Sign(msg))
				}
			}
		}
	}
	says := func(code uint16, other []byte) dnstest.Handler {
		return func(r dnstest.Request, w *dnstest.Writer) {
			s := r.Signer(testSecret)
			s.Error, s.Other = code, other
			w.SendRaw(s.Append(dnstest.Pack(r.Rcode(dns.RcodeNotAuth)), nil))
		}
	}
	for name, c := range map[string]struct {
		script   dnstest.Handler
		want     reason.Reason
		reusable bool
	}{
		"every message":       {sends("ssss"), "", true},
		"every hundredth":     {sends("s" + strings.Repeat("u", 99) + "s" + strings.Repeat("u", 99) + "s"), "", true},
		"100 unsigned":        {sends("s" + strings.Repeat("u", 100) + "s"), reason.TSIGMissing, false},
		"first unsigned":      {sends("uss"), reason.TSIGMissing, false},
		"last unsigned":       {sends("ssu"), reason.TSIGMissing, false},
		"none signed":         {sends("uuu"), reason.TSIGMissing, false},
		"bad MAC at first":    {sends("bss"), reason.TSIGBadSig, false},
		"bad MAC at last":     {sends("ssb"), reason.TSIGBadSig, false},
		"BADKEY":              {says(dns.RcodeBadKey, nil), reason.TSIGBadKey, true},
		"BADSIG":              {says(dns.RcodeBadSig, nil), reason.TSIGBadSig, true},
		"BADTIME":             {says(dns.RcodeBadTime, []byte{0, 0, 0, 0, 0, 1}), reason.TSIGBadTime, true},
		"REFUSED, not signed": {func(r dnstest.Request, w *dnstest.Writer) { w.Send(r.Rcode(dns.RcodeRefused)) }, reason.Refused, true},
		"REFUSED, signed": {func(r dnstest.Request, w *dnstest.Writer) {
			w.SendRaw(r.Signer(testSecret).Sign(dnstest.Pack(r.Rcode(dns.RcodeRefused))))
		}, reason.Refused, true},
	} {
		t.Run(name, func(t *testing.T) {
			wantNothingLeft(t)
			conn, _, _, err := transferFrom(t, c.script, newKey(t, hmacSHA256), xfr.DefaultLimits())
			wantReason(t, err, c.want)
			if !eventually(func() bool { return conn.Reusable() == c.reusable }) {
				t.Errorf("reusable %v; want %v", conn.Reusable(), c.reusable)
			}
		})
	}
}

func TestCanceledTransferEndsAtOnce(t *testing.T) {
	wantNothingLeft(t)
	ctx, cancel := context.WithCancel(t.Context())
	p := dnstest.NewPrimary(t, func(r dnstest.Request, w *dnstest.Writer) {
		w.Send(r.Reply(soa(5)))
		cancel()
		w.Hang()
	})
	c := dial(t, xfr.Primary{Addr: p.Addr()}, xfr.DefaultLimits())
	_, err := c.Transfer(ctx, exampleQuery(t), new(counter), xfr.DefaultLimits())
	wantReason(t, err, reason.Canceled)
	if !errors.Is(err, context.Canceled) || c.Reusable() {
		t.Errorf("error %v, reusable %v", err, c.Reusable())
	}
	_, err = c.Transfer(ctx, exampleQuery(t), new(counter), xfr.DefaultLimits())
	wantReason(t, err, reason.Canceled)
	_, err = xfr.Dial(ctx, xfr.Primary{Addr: p.Addr()}, xfr.DefaultLimits())
	wantReason(t, err, reason.Canceled)
}

// RFC 7766 §6.2.4: what goes wrong on a connection that has served another question, before anything answers this one, says
// that the connection is stale. A refusal, or the beginning of an answer, does not.
func TestConnThatHasServedIsStaleWithoutAnAnswer(t *testing.T) {
	serve := dnstest.Serve(testSecret, zoneRecords(3)...)
	for name, c := range map[string]struct {
		second dnstest.Handler
		key    bool
		want   reason.Reason
		stale  bool
	}{
		"closed": {second: func(_ dnstest.Request, w *dnstest.Writer) { w.CloseConn() }, want: reason.CutOff, stale: true},
		"reset":  {second: func(_ dnstest.Request, w *dnstest.Writer) { w.Reset() }, want: reason.CutOff, stale: true},
		"silent": {second: func(_ dnstest.Request, w *dnstest.Writer) { w.Hang() }, want: reason.Timeout, stale: true},
		"silent in the first message": {want: reason.Timeout, stale: true, second: func(_ dnstest.Request, w *dnstest.Writer) {
			w.Octets([]byte{1})
			w.Hang()
		}},
		"the rest of another answer": {want: reason.BadResponse, stale: true, second: func(r dnstest.Request, w *dnstest.Writer) {
			m := r.Reply(soa(5))
			m.Id++
			w.Send(m)
		}},
		"the rest of another answer, signed": {want: reason.TSIGBadSig, stale: true, key: true, second: func(r dnstest.Request, w *dnstest.Writer) {
			s := r.Signer(testSecret)
			s.Corrupt = true
			w.SendRaw(s.Sign(dnstest.Pack(r.Reply(soa(5)))))
		}},
		"no message":    {want: reason.Malformed, second: func(_ dnstest.Request, w *dnstest.Writer) { w.Octets([]byte{0, 1, 0}) }},
		"refused":       {want: reason.Refused, second: func(r dnstest.Request, w *dnstest.Writer) { w.Send(r.Rcode(dns.RcodeRefused)) }},
		"an empty zone": {want: reason.NoSOA, second: func(r dnstest.Request, w *dnstest.Writer) { w.Send(r.Reply()) }},
		"closed in the answer": {want: reason.CutOff, second: func(r dnstest.Request, w *dnstest.Writer) {
			w.Send(r.Reply(soa(5)))
			w.CloseConn()
		}},
		"silent in the answer": {want: reason.Timeout, second: func(r dnstest.Request, w *dnstest.Writer) {
			w.Send(r.Reply(soa(5)))
			w.Hang()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			wantNothingLeft(t)
			asked := false
			p := dnstest.NewPrimary(t, func(r dnstest.Request, w *dnstest.Writer) {
				if asked {
					c.second(r, w)
					return
				}
				asked = true
				serve(r, w)
			})
			at := xfr.Primary{Addr: p.Addr()}
			if c.key {
				at.Key = newKey(t, hmacSHA256)
			}
			conn := dial(t, at, short())
			if _, err := conn.Transfer(t.Context(), exampleQuery(t), new(counter), xfr.DefaultLimits()); err != nil {
				t.Fatal(err)
			}
			_, err := conn.Transfer(t.Context(), exampleQuery(t), new(counter), short())
			wantReason(t, err, c.want)
			if e, ok := errors.AsType[*xfr.Error](err); !ok || e.Stale != c.stale {
				t.Errorf("stale %v; want %v: %v", e.Stale, c.stale, err)
			}
		})
	}
}

// The short wait for the first octet is for connections that have served a question, and ends with that octet.
func TestOnlyAUsedConnIsWaitedForBriefly(t *testing.T) {
	wantNothingLeft(t)
	const slow = 300 * time.Millisecond // longer than Reuse, shorter than Idle
	l := xfr.DefaultLimits()
	l.Reuse = slow / 10
	serve := dnstest.Serve(testSecret, zoneRecords(3)...)
	p := dnstest.NewPrimary(t, func(r dnstest.Request, w *dnstest.Writer) {
		if r.Type == dns.TypeIXFR { // the answer begins at once, and stops in its first message
			m := framed(dnstest.Pack(r.Reply(soa(5))))
			w.Octets(m[:5])
			time.Sleep(slow)
			w.Octets(m[5:])
			return
		}
		time.Sleep(slow)
		serve(r, w)
	})
	c := dial(t, xfr.Primary{Addr: p.Addr()}, l)
	if _, err := c.Transfer(t.Context(), exampleQuery(t), new(counter), l); err != nil {
		t.Errorf("On a new connection: %v", err)
	}
	q := exampleQuery(t)
	q.Have = &wire.SOA{Serial: serial.New(5)}
	if _, err := c.Transfer(t.Context(), q, new(counter), l); err != nil {
		t.Errorf("Begun at once on a used connection: %v", err)
	}
	_, err := c.Transfer(t.Context(), exampleQuery(t), new(counter), l)
	wantReason(t, err, reason.Timeout)
}

func TestReceiverErrorComesBackAsItIs(t *testing.T) {
	wantNothingLeft(t)
	p := dnstest.NewPrimary(t, endless)
	c := dial(t, xfr.Primary{Addr: p.Addr()}, xfr.DefaultLimits())
	stop := errors.New("enough")
	_, err := c.Transfer(t.Context(), exampleQuery(t), &recorder{failAt: 100, fail: stop}, xfr.DefaultLimits())
	if !errors.Is(err, stop) || reason.Of(err) != reason.Other || c.Reusable() {
		t.Errorf("error %v, reusable %v", err, c.Reusable())
	}
}

func TestDialErrors(t *testing.T) {
	wantNothingLeft(t)
	p := dnstest.NewPrimary(t, nil)
	p.Close()
	_, err := xfr.Dial(t.Context(), xfr.Primary{Addr: p.Addr()}, xfr.DefaultLimits())
	wantReason(t, err, reason.Unreachable)

	l := xfr.DefaultLimits()
	l.Connect = time.Nanosecond // no connection is that fast
	_, err = xfr.Dial(t.Context(), xfr.Primary{Addr: p.Addr()}, l)
	wantReason(t, err, reason.Timeout)
}

// What this host lacks is told as such: it says nothing about the primary.
func TestLocalCausesAreToldApart(t *testing.T) {
	for errno, word := range map[syscall.Errno]string{
		syscall.EMFILE: "of this process", syscall.ENFILE: "of this host", syscall.ENOBUFS: "room", syscall.ENOMEM: "memory",
		syscall.EADDRNOTAVAIL: "source", syscall.EADDRINUSE: "ports", syscall.ENETUNREACH: "route", syscall.EAFNOSUPPORT: "IP version",
		syscall.EACCES: "does not permit", syscall.EPERM: "does not permit",
	} {
		err := xfr.ConnectionError(t.Context(), &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", errno)}, "no connection to the primary")
		wantReason(t, err, reason.Local)
		if text := err.Error(); !strings.Contains(text, word) || !strings.Contains(text, errno.Error()) {
			t.Errorf("%v: %s", errno, text)
		}
	}
	for _, errno := range []syscall.Errno{syscall.ECONNREFUSED, syscall.EHOSTUNREACH} {
		wantReason(t, xfr.ConnectionError(t.Context(), &net.OpError{Op: "dial", Err: errno}, "no connection"), reason.Unreachable)
	}
	wantReason(t, xfr.ConnectionError(t.Context(), &net.OpError{Op: "dial", Err: syscall.ETIMEDOUT}, "no connection"), reason.Timeout)

	// And as the system says it: an address that is not of this host.
	p := xfr.Primary{Addr: netip.MustParseAddrPort("127.0.0.1:53"), Source: netip.MustParseAddr("192.0.2.77")}
	_, err := xfr.Dial(t.Context(), p, xfr.DefaultLimits())
	wantReason(t, err, reason.Local)
	_, err = xfr.QuerySOAWithin(t.Context(), p, mustName(t, "example."), time.Second, time.Second)
	wantReason(t, err, reason.Local)
}

func TestSourceAddressIsUsed(t *testing.T) {
	wantNothingLeft(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	p := xfr.Primary{Addr: listener.Addr().(*net.TCPAddr).AddrPort(), Source: netip.MustParseAddr("127.0.0.9")}
	dial(t, p, xfr.DefaultLimits())
	c, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if from := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(); from != p.Source {
		t.Errorf("connection from %s; want %s", from, p.Source)
	}
}

// RFC 7766 §8: messages of the largest size are read, and octets may come one by one.
func TestFramingOfAnySize(t *testing.T) {
	wantNothingLeft(t)
	const size = 1<<16 - 1
	c, got, res, err := transferFrom(t, func(r dnstest.Request, w *dnstest.Writer) {
		for _, octet := range framed(dnstest.Pack(r.Reply(soa(5)))) {
			w.Octets([]byte{octet})
		}
		for range 5 {
			m := r.Reply("example. 60 IN TYPE65280 \\# 0")
			m.Compress = false
			room := size - len(dnstest.Pack(m))
			m.Answer[0].(*dns.RFC3597).Rdata = strings.Repeat("00", room)
			w.Send(m)
		}
		w.Send(r.Reply(soa(5)))
	}, nil, xfr.DefaultLimits())
	if err != nil || got.added != 6 || res.Bytes < 5*size || !c.Reusable() {
		t.Errorf("error %v, %+v, result %+v", err, got, res)
	}
}

func framed(msg []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)
}
