package xfr_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// brief is a time limit for tests in which it is reached, long is one that is not.
const (
	brief = 100 * time.Millisecond
	long  = 10 * time.Second
)

// unpaced lets every message go at once.
func unpaced(context.Context) error { return nil }

func TestQuerySOA(t *testing.T) {
	for _, algorithm := range append(xfr.AlgorithmNames(), "no key") {
		t.Run(algorithm, func(t *testing.T) {
			wantNothingLeft(t)
			serve := dnstest.Serve(testSecret, soa(5))
			p := dnstest.NewPrimary(t, func(r dnstest.Request, w *dnstest.Writer) {
				if o := r.Msg.IsEdns0(); o == nil || o.UDPSize() != 1232 || r.Msg.RecursionDesired || !r.UDP {
					t.Errorf("query over UDP %v is %v", r.UDP, r.Msg)
				}
				serve(r, w)
			})
			primary := xfr.Primary{Addr: p.Addr()}
			if algorithm != "no key" {
				primary.Key = newKey(t, algorithm)
			}
			got, err := xfr.QuerySOA(t.Context(), primary, mustName(t, "example."), unpaced)
			if err != nil || got.Serial.Uint32() != 5 || got.Refresh != 7200 || got.Minimum != 300 {
				t.Errorf("SOA %+v, error %v", got, err)
			}
		})
	}
}

// What the primary answers over UDP, and what becomes of it.
func TestSOAAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		change func(m *dns.Msg)
		want   reason.Reason
	}{
		"good":                      {func(*dns.Msg) {}, ""},
		"REFUSED":                   {rcode(dns.RcodeRefused), reason.Refused},
		"SERVFAIL":                  {rcode(dns.RcodeServerFailure), reason.ServFail},
		"NOTAUTH":                   {rcode(dns.RcodeNotAuth), reason.NotAuthoritative},
		"NXDOMAIN":                  {rcode(dns.RcodeNameError), reason.BadRcode},
		"no AA":                     {func(m *dns.Msg) { m.Authoritative = false }, reason.NotAuthoritative},
		"nothing":                   {func(m *dns.Msg) { m.Answer = nil }, reason.NoSOA},
		"two SOAs":                  {func(m *dns.Msg) { m.Answer = append(m.Answer, dnstest.Records(soa(6))...) }, reason.NoSOA},
		"only a CNAME":              {func(m *dns.Msg) { m.Answer = dnstest.Records("example. 1 IN CNAME other.") }, reason.NoSOA},
		"other owner":               {func(m *dns.Msg) { m.Answer = dnstest.Records("sub." + soa(5)) }, reason.NoSOA},
		"SOA in the authority only": {func(m *dns.Msg) { m.Ns, m.Answer = m.Answer, nil }, reason.NoSOA},
		"NSD xfrd_short_soa_response": {func(m *dns.Msg) {
			m.Answer[0] = &dns.RFC3597{Hdr: dns.RR_Header{Name: "example.", Rrtype: dns.TypeSOA, Class: dns.ClassINET}, Rdata: "0000000000"}
		}, reason.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			wantNothingLeft(t)
			p := dnstest.NewPrimary(t, func(r dnstest.Request, w *dnstest.Writer) {
				m := r.Reply(soa(5))
				c.change(m)
				w.Send(m)
			})
			got, err := xfr.QuerySOAWithin(t.Context(), xfr.Primary{Addr: p.Addr()}, mustName(t, "example."), long, long)
			wantReason(t, err, c.want)
			if err != nil && got != (wire.SOA{}) {
				t.Errorf("SOA %+v with the error %v", got, err)
			}
			if p.Accepted() != 0 {
				t.Error("asked over TCP although UDP brought an answer")
			}
		})
	}
}

func rcode(n int) func(*dns.Msg) {
	return func(m *dns.Msg) { m.Rcode, m.Answer = n, nil }
}

// RFC 6891 §7: a primary that does not know OPT says FORMERR, an old one NOTIMP; it is asked again without.
func TestSOAQueryWithoutEDNSAfterFormErr(t *testing.T) {
	for _, code := range []int{dns.RcodeFormatError, dns.RcodeNotImplemented} {
		wantNothingLeft(t)
		serve := dnstest.Serve(testSecret, soa(5))
		asked := 0
		p := dnstest.NewPrimary(t, func(r dnstest.Request, w *dnstest.Writer) {
			asked++
			if r.Msg.IsEdns0() != nil {
				m := r.Rcode(code)
				m.Question = nil
				w.Send(m) // it knows no TSIG in this case either
				return
			}
			serve(r, w)
		})
		for _, key := range []*xfr.Key{nil, newKey(t, hmacSHA256)} {
			got, err := xfr.QuerySOA(t.Context(), xfr.Primary{Addr: p.Addr(), Key: key}, mustName(t, "example."), unpaced)
			if err != nil || got.Serial.Uint32() != 5 {
				t.Errorf("SOA %+v, error %v", got, err)
			}
		}
		p.Close()
		if asked != 4 {
			t.Errorf("asked %d times; want 2 for each query", asked)
		}
	}
	wantNothingLeft(t)
	p := dnstest.NewPrimary(t, func(r dnstest.Request, w *dnstest.Writer) { w.Send(r.Rcode(dns.RcodeFormatError)) })
	_, err := xfr.QuerySOA(t.Context(), xfr.Primary{Addr: p.Addr()}, mustName(t, "example."), unpaced)
	wantReason(t, err, reason.FormatError)
}

// Every message but the first waits for its turn, whatever the reason it is sent for.
func TestEveryFurtherSOAMessageIsPaced(t *testing.T) {
	wantNothingLeft(t)
	formErr := func(r dnstest.Request, w *dnstest.Writer) { w.Send(r.Rcode(dns.RcodeFormatError)) }
	truncated := func(r dnstest.Request, w *dnstest.Writer) {
		m := r.Reply()
		m.Truncated = true
		w.Send(m)
	}
	mute := func(dnstest.Request, *dnstest.Writer) {}
	for name, c := range map[string]struct {
		script []dnstest.Handler // of the first messages; the others get the SOA
		paced  int
	}{
		"answered at once":           {nil, 0},
		"FORMERR":                    {[]dnstest.Handler{formErr}, 1},
		"FORMERR, TC":                {[]dnstest.Handler{formErr, truncated}, 2},
		"TC, FORMERR over TCP":       {[]dnstest.Handler{truncated, formErr}, 2},
		"silence":                    {[]dnstest.Handler{mute}, 1},
		"silence, silence, over TCP": {[]dnstest.Handler{mute, mute}, 2},
		"silence, TC":                {[]dnstest.Handler{mute, truncated}, 2},
		"FORMERR, silence, TC":       {[]dnstest.Handler{formErr, mute, truncated}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			wantNothingLeft(t)
			var messages atomic.Int32
			serve := dnstest.Serve(testSecret, soa(5))
			p := dnstest.NewPrimary(t, func(r dnstest.Request, w *dnstest.Writer) {
				if n := int(messages.Add(1)); n <= len(c.script) {
					c.script[n-1](r, w)
					return
				}
				serve(r, w)
			})
			patience := long
			if strings.Contains(name, "silence") {
				patience = 5 * brief
			}
			paced := 0
			pace := func(context.Context) error {
				if paced++; int(messages.Load()) != paced {
					t.Errorf("Asked for the turn of message %d after %d", paced+1, messages.Load())
				}
				return nil
			}
			_, err := xfr.QuerySOAPaced(t.Context(), xfr.Primary{Addr: p.Addr()}, mustName(t, "example."), patience, long, pace)
			if err != nil || paced != c.paced || int(messages.Load()) != c.paced+1 {
				t.Errorf("%d messages, %d of them paced; want %d, %d; error %v", messages.Load(), paced, c.paced+1, c.paced, err)
			}
		})
	}
}

// A query that is canceled while it waits for its turn sends nothing more.
func TestSOAQueryCanceledWhileItWaitsForItsTurn(t *testing.T) {
	wantNothingLeft(t)
	var messages atomic.Int32
	p := dnstest.NewPrimary(t, func(r dnstest.Request, w *dnstest.Writer) {
		messages.Add(1)
		w.Send(r.Rcode(dns.RcodeFormatError))
	})
	ctx, cancel := context.WithCancel(t.Context())
	_, err := xfr.QuerySOA(ctx, xfr.Primary{Addr: p.Addr()}, mustName(t, "example."), func(ctx context.Context) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	})
	wantReason(t, err, reason.Canceled)
	if p.Close(); messages.Load() != 1 {
		t.Errorf("%d messages; want 1", messages.Load())
	}
}

// RFC 5452 §9.1: answers that are not to our query are passed over, the next one may be.
func TestSOAQueryIgnoresStrayAnswers(t *testing.T) {
	wantNothingLeft(t)
	p := dnstest.NewPrimary(t, func(r dnstest.Request, w *dnstest.Writer) {
		id, query, name, notify := r.Reply(soa(9)), r.Reply(soa(9)), r.Reply(soa(9)), r.Reply(soa(9))
		id.Id++
		query.Response = false
		name.Question[0].Name = "other."
		notify.Opcode = dns.OpcodeNotify
		w.Send(id, query, name, notify)
		w.SendRaw([]byte{1}, nil)
		w.Send(r.Reply(soa(5)))
	})
	got, err := xfr.QuerySOAWithin(t.Context(), xfr.Primary{Addr: p.Addr()}, mustName(t, "example."), long, long)
	if err != nil || got.Serial.Uint32() != 5 {
		t.Errorf("SOA %+v, error %v", got, err)
	}
}

// A primary that is silent over UDP, or says little, is asked over TCP (coredns#6768).
func TestSOAQueryGoesOverTCP(t *testing.T) {
	for name, script := range map[string]dnstest.Handler{
		"silence": func(dnstest.Request, *dnstest.Writer) {},
		"truncated": func(r dnstest.Request, w *dnstest.Writer) {
			m := r.Reply()
			m.Truncated = true
			w.Send(m)
		},
		"strays only": func(r dnstest.Request, w *dnstest.Writer) {
			m := r.Reply(soa(9))
			m.Id++
			w.Send(m)
		},
		"forged": func(r dnstest.Request, w *dnstest.Writer) { w.Send(r.Reply(soa(9))) }, // RFC 8945 §5.4: the true answer may still come
		"bad MAC": func(r dnstest.Request, w *dnstest.Writer) {
			s := r.Signer(testSecret)
			s.Corrupt = true
			w.SendRaw(s.Sign(dnstest.Pack(r.Reply(soa(9)))))
		},
	} {
		t.Run(name, func(t *testing.T) {
			wantNothingLeft(t)
			serve := dnstest.Serve(testSecret, soa(5))
			udp := make(chan bool, 10)
			p := dnstest.NewPrimary(t, func(r dnstest.Request, w *dnstest.Writer) {
				if r.UDP {
					udp <- true
					script(r, w)
					return
				}
				serve(r, w)
			})
			got, err := xfr.QuerySOAWithin(t.Context(), xfr.Primary{Addr: p.Addr(), Key: newKey(t, hmacSHA256)}, mustName(t, "example."), brief, long)
			if err != nil || got.Serial.Uint32() != 5 {
				t.Errorf("SOA %+v, error %v", got, err)
			}
			want := 1
			if name == "silence" || name == "strays only" {
				want = 2
			}
			if len(udp) != want {
				t.Errorf("asked %d times over UDP; want %d", len(udp), want)
			}
		})
	}
}

// A primary whose datagrams are refused with ICMP, as firewalls do it, is asked over TCP: once, and when its turn has come.
func TestSOAQueryRefusedOverUDPGoesOverTCP(t *testing.T) {
	wantNothingLeft(t)
	p := dnstest.NewPrimary(t, dnstest.Serve(testSecret, soa(5)))
	p.CloseUDP()
	paced := 0
	pace := func(context.Context) error {
		paced++
		return nil
	}
	got, err := xfr.QuerySOAPaced(t.Context(), xfr.Primary{Addr: p.Addr()}, mustName(t, "example."), long, long, pace)
	if err != nil || got.Serial.Uint32() != 5 || p.Accepted() != 1 || paced != 1 {
		t.Errorf("SOA %+v, %d connections, %d messages paced, error %v", got, p.Accepted(), paced, err)
	}
}

// A key the primary does not accept is named as such, over UDP and TCP alike.
func TestSOAQueryTSIGErrors(t *testing.T) {
	reports := func(code uint16) dnstest.Handler {
		return func(r dnstest.Request, w *dnstest.Writer) {
			s := r.Signer(testSecret)
			s.Error = code
			w.SendRaw(s.Append(dnstest.Pack(r.Rcode(dns.RcodeNotAuth)), nil))
		}
	}
	for name, c := range map[string]struct {
		script dnstest.Handler
		want   reason.Reason
	}{
		"BADKEY":           {reports(dns.RcodeBadKey), reason.TSIGBadKey},
		"BADSIG":           {reports(dns.RcodeBadSig), reason.TSIGBadSig},
		"BADTIME":          {reports(dns.RcodeBadTime), reason.TSIGBadTime},
		"unsigned answer":  {func(r dnstest.Request, w *dnstest.Writer) { w.Send(r.Reply(soa(5))) }, reason.TSIGMissing},
		"unsigned REFUSED": {func(r dnstest.Request, w *dnstest.Writer) { w.Send(r.Rcode(dns.RcodeRefused)) }, reason.Refused},
		"wrong secret":     {dnstest.Serve("d3Jvbmc=", soa(5)), reason.TSIGBadSig},
		"clock 400 s ahead": {func(r dnstest.Request, w *dnstest.Writer) {
			s := r.Signer(testSecret)
			s.Time = time.Now().Add(400 * time.Second)
			w.SendRaw(s.Sign(dnstest.Pack(r.Reply(soa(5)))))
		}, reason.TSIGBadTime},
	} {
		t.Run(name, func(t *testing.T) {
			wantNothingLeft(t)
			p := dnstest.NewPrimary(t, c.script)
			_, err := xfr.QuerySOAWithin(t.Context(), xfr.Primary{Addr: p.Addr(), Key: newKey(t, hmacSHA256)}, mustName(t, "example."), long, long)
			wantReason(t, err, c.want)
		})
	}
}

func TestSOAQueryToADeadPrimary(t *testing.T) {
	wantNothingLeft(t)
	p := dnstest.NewPrimary(t, func(_ dnstest.Request, w *dnstest.Writer) {})
	_, err := xfr.QuerySOAWithin(t.Context(), xfr.Primary{Addr: p.Addr()}, mustName(t, "example."), brief, brief)
	wantReason(t, err, reason.Timeout)
	if p.Accepted() != 1 {
		t.Errorf("%d TCP connections; want 1", p.Accepted())
	}

	// ICMP says so at once, over UDP and then over TCP: no waiting.
	p.Close()
	begin := time.Now()
	_, err = xfr.QuerySOAWithin(t.Context(), xfr.Primary{Addr: p.Addr()}, mustName(t, "example."), long, long)
	wantReason(t, err, reason.Unreachable)
	if took := time.Since(begin); took > long/2 {
		t.Errorf("took %s", took)
	}
}

// Over TCP the same checks hold, and the connection may break.
func TestBadSOAAnswersOverTCP(t *testing.T) {
	for name, c := range map[string]struct {
		script dnstest.Handler
		want   reason.Reason
	}{
		"another ID": {func(r dnstest.Request, w *dnstest.Writer) {
			m := r.Reply(soa(5))
			m.Id++
			w.Send(m)
		}, reason.BadResponse},
		"too short":            {func(_ dnstest.Request, w *dnstest.Writer) { w.SendRaw([]byte{1, 2}) }, reason.Malformed},
		"closed":               {func(_ dnstest.Request, w *dnstest.Writer) { w.CloseConn() }, reason.CutOff},
		"reset":                {func(_ dnstest.Request, w *dnstest.Writer) { w.Reset() }, reason.CutOff},
		"cut":                  {func(_ dnstest.Request, w *dnstest.Writer) { w.Octets([]byte{0, 99, 1}); w.CloseConn() }, reason.CutOff},
		"silent":               {func(_ dnstest.Request, w *dnstest.Writer) { w.Hang() }, reason.Timeout},
		"a drip":               {drip, reason.Timeout},
		"no OPT, please, ever": {func(r dnstest.Request, w *dnstest.Writer) { w.Send(r.Rcode(dns.RcodeFormatError)) }, reason.FormatError},
	} {
		t.Run(name, func(t *testing.T) {
			wantNothingLeft(t)
			p := dnstest.NewPrimary(t, func(r dnstest.Request, w *dnstest.Writer) {
				if !r.UDP {
					c.script(r, w)
				}
			})
			_, err := xfr.QuerySOAWithin(t.Context(), xfr.Primary{Addr: p.Addr()}, mustName(t, "example."), time.Millisecond, brief)
			wantReason(t, err, c.want)
		})
	}
}

// drip sends an octet now and then, so that no single read waits long.
func drip(_ dnstest.Request, w *dnstest.Writer) {
	tick := time.NewTicker(brief / 10)
	defer tick.Stop()
	for w.Octets([]byte{1}) {
		select {
		case <-tick.C:
		case <-w.Done():
			return
		}
	}
}

func TestCanceledSOAQueryEndsAtOnce(t *testing.T) {
	wantNothingLeft(t)
	for _, transport := range []string{"UDP", "TCP"} {
		ctx, cancel := context.WithCancel(t.Context())
		p := dnstest.NewPrimary(t, func(r dnstest.Request, w *dnstest.Writer) {
			if r.UDP && transport == "TCP" {
				m := r.Reply()
				m.Truncated = true
				w.Send(m)
				return
			}
			cancel()
		})
		begin := time.Now()
		_, err := xfr.QuerySOAWithin(ctx, xfr.Primary{Addr: p.Addr()}, mustName(t, "example."), long, long)
		wantReason(t, err, reason.Canceled)
		if took := time.Since(begin); took > long/2 {
			t.Errorf("over %s: took %s", transport, took)
		}
	}
}

func TestSOAQueryUsesTheSourceAddress(t *testing.T) {
	wantNothingLeft(t)
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	from := make(chan string, 1)
	go func() {
		_, addr, err := socket.ReadFrom(make([]byte, 512))
		if err == nil {
			from <- addr.String()
		}
		close(from)
	}()
	p := xfr.Primary{Addr: socket.LocalAddr().(*net.UDPAddr).AddrPort(), Source: netip.MustParseAddr("127.0.0.9")}
	_, err = xfr.QuerySOAWithin(t.Context(), p, mustName(t, "example."), brief, brief)
	wantReason(t, err, reason.Unreachable) // over TCP nobody listens
	if got := <-from; !strings.HasPrefix(got, "127.0.0.9:") {
		t.Errorf("query from %s", got)
	}
}

// RFC 6891 §6.2.2: where a query with OPT brings no useful answer, or none, it is asked without; the next one need not begin
// with OPT again.
func TestSOAQueryWithoutEDNSWhereOPTDoesNotGetThrough(t *testing.T) {
	for name, spoil := range map[string]func(dnstest.Request, *dnstest.Writer){
		"dropped":  func(dnstest.Request, *dnstest.Writer) {},
		"SERVFAIL": func(r dnstest.Request, w *dnstest.Writer) { w.Send(r.Rcode(dns.RcodeServerFailure)) },
		"BADVERS":  func(r dnstest.Request, w *dnstest.Writer) { w.Send(badVers(r)) },
		"NOTIMP":   func(r dnstest.Request, w *dnstest.Writer) { w.Send(r.Rcode(dns.RcodeNotImplemented)) },
	} {
		t.Run(name, func(t *testing.T) {
			wantNothingLeft(t)
			var plain, withOPT atomic.Int32
			p := dnstest.NewPrimary(t, func(r dnstest.Request, w *dnstest.Writer) {
				if r.Msg.IsEdns0() != nil {
					withOPT.Add(1)
					spoil(r, w)
					return
				}
				plain.Add(1)
				w.Send(r.Reply(soa(5)))
			})
			for _, known := range []bool{false, true} {
				q := xfr.SOAQuery{Primary: xfr.Primary{Addr: p.Addr()}, Origin: mustName(t, "example."), NoOPT: known, Pace: unpaced}
				got, err := q.Ask(t.Context())
				if err != nil || got.SOA.Serial.Uint32() != 5 || got.NoOPT == known {
					t.Errorf("Known %v: %+v, error %v", known, got, err)
				}
			}
			if withOPT.Load() != 1 || plain.Load() != 2 || p.Accepted() != 0 {
				t.Errorf("%d queries with OPT, %d without, %d connections", withOPT.Load(), plain.Load(), p.Accepted())
			}
		})
	}
}

// badVers answers RCODE 16, of which the header has nothing.
func badVers(r dnstest.Request) *dns.Msg {
	m := r.Rcode(dns.RcodeBadVers)
	m.SetEdns0(1232, false)
	return m
}

// RFC 6891 §6.1.3: an RCODE has 12 bits, and the upper eight are in the OPT record.
func TestExtendedRcodes(t *testing.T) {
	example := mustName(t, "example.")
	for _, code := range []int{dns.RcodeBadVers, dns.RcodeBadCookie, 0x7f0, 0x800, 0xff0, 0xfff} {
		m := new(dns.Msg).SetQuestion("example.", dns.TypeSOA)
		m.Id, m.Response, m.Authoritative, m.Rcode = 7, true, true, code
		m.Answer = dnstest.Records(soa(5))
		m.SetEdns0(1232, false)
		_, err := xfr.ReadSOAAnswer(dnstest.Pack(m), 7, example, nil)
		if reason.Of(err) != reason.BadRcode {
			t.Errorf("SOA with RCODE %d: %v", code, err)
		}
		m.Question[0].Qtype = dns.TypeAXFR
		x := xfr.NewInterpreter(xfr.Query{Origin: example, ID: 7}, &recorder{})
		if _, err := x.Message(dnstest.Pack(m)); reason.Of(err) != reason.BadRcode {
			t.Errorf("Transfer with RCODE %d: %v", code, err)
		}
	}
}

// RFC 2181 §5: a record that comes twice is one; two that differ are an error.
func TestRepeatedSOAIsOne(t *testing.T) {
	for name, c := range map[string]struct {
		answer []string
		want   reason.Reason
	}{
		"twice":        {[]string{soa(5), soa(5)}, ""},
		"three times":  {[]string{soa(5), soa(5), soa(5)}, ""},
		"other serial": {[]string{soa(5), soa(6)}, reason.NoSOA},
		"in between":   {[]string{soa(5), soa(6), soa(5)}, reason.NoSOA},
	} {
		m := new(dns.Msg).SetQuestion("example.", dns.TypeSOA)
		m.Id, m.Response, m.Authoritative = 7, true, true
		m.Answer = dnstest.Records(c.answer...)
		got, err := xfr.ReadSOAAnswer(dnstest.Pack(m), 7, mustName(t, "example."), nil)
		wantReason(t, err, c.want)
		if err == nil && got.Serial.Uint32() != 5 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// Where a primary has answered, or is there and silent, a transfer may do what the SOA query did not; where it cannot be
// reached it may not.
func TestWhatLeavesATransferPossible(t *testing.T) {
	wantNothingLeft(t)
	hang := func(dnstest.Request, *dnstest.Writer) {}
	for name, c := range map[string]struct {
		h    dnstest.Handler
		want bool
	}{
		"REFUSED": {func(r dnstest.Request, w *dnstest.Writer) { w.Send(r.Rcode(dns.RcodeRefused)) }, true},
		"BADVERS": {func(r dnstest.Request, w *dnstest.Writer) { w.Send(badVers(r)) }, true},
		"no SOA":  {func(r dnstest.Request, w *dnstest.Writer) { w.Send(r.Reply()) }, true},
		"silent":  {hang, true},
		"cut off": {func(r dnstest.Request, w *dnstest.Writer) {
			if !r.UDP {
				w.CloseConn()
			}
		}, true},
		"unreachable": {hang, false},
	} {
		p := dnstest.NewPrimary(t, c.h)
		if name == "unreachable" {
			p.Close()
		}
		_, err := xfr.QuerySOAWithin(t.Context(), xfr.Primary{Addr: p.Addr()}, mustName(t, "example."), brief, brief)
		if got := xfr.MayTransfer(err); got != c.want {
			t.Errorf("%s: %v after %v", name, got, err)
		}
		if got := xfr.Silent(err); got != (name == "silent") {
			t.Errorf("%s: silent is %v", name, got)
		}
	}
}
