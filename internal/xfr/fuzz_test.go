package xfr_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// split cuts octets into messages as a TCP connection does.
func split(octets []byte) (msgs [][]byte) {
	for len(octets) >= 2 {
		n := min(int(binary.BigEndian.Uint16(octets)), len(octets)-2)
		msgs = append(msgs, octets[2:2+n])
		octets = octets[2+n:]
	}
	return msgs
}

// orderly is a Receiver that checks what every Receiver relies on.
type orderly struct {
	t     testing.TB
	kind  xfr.Kind
	calls int
}

func (o *orderly) Begin(kind xfr.Kind, soa *wire.RR) error {
	if o.calls++; o.calls != 1 || kind == xfr.Undecided {
		o.t.Errorf("Begin(%s) is call %d", kind, o.calls)
	}
	o.kind = kind
	o.wantSOA(soa)
	return nil
}

func (o *orderly) Add(rr *wire.RR) error {
	if o.calls++; o.kind != xfr.AXFR && o.kind != xfr.IXFR {
		o.t.Errorf("Add in a transfer of kind %s", o.kind)
	}
	if o.kind == xfr.AXFR && o.calls == 2 {
		o.wantSOA(rr)
	}
	return nil
}

func (o *orderly) Remove(rr *wire.RR) error {
	if o.calls++; o.kind != xfr.IXFR {
		o.t.Errorf("Remove in a transfer of kind %s", o.kind)
	}
	if o.calls == 2 {
		o.wantSOA(rr)
	}
	return nil
}

func (o *orderly) Discard(rr *wire.RR, err error) error {
	if o.calls++; o.kind == xfr.Undecided || err == nil || len(rr.Owner) == 0 {
		o.t.Errorf("Discard(%v, %v) in a transfer of kind %s", rr, err, o.kind)
	}
	return nil
}

func (o *orderly) wantSOA(rr *wire.RR) {
	if rr.Type != wire.TypeSOA || !rr.Owner.Equal(wire.Name("\x07example\x00")) {
		o.t.Errorf("SOA is %v", rr)
	}
}

func FuzzInterpreter(f *testing.F) {
	for _, answers := range [][][]string{
		{{soa(5), host("a", "192.0.2.1"), soa(5)}},
		{{soa(5)}, {host("a", "192.0.2.1")}, {}, {soa(5)}},
		{{soa(5), soa(1), host("a", "192.0.2.1"), soa(3), host("b", "192.0.2.1"), soa(3), soa(5), soa(5)}},
		{{soa(5)}, {soa(1)}, {soa(5)}, {soa(5)}},
		{{soa(1)}},
	} {
		for _, begin := range []*conversation{axfr(f), ixfr(f, 1)} {
			var octets []byte
			for _, records := range answers {
				octets = append(octets, framed(dnstest.Pack(begin.message(records...)))...)
			}
			f.Add(octets, begin.typ == dns.TypeIXFR)
		}
	}
	f.Fuzz(func(t *testing.T, octets []byte, incremental bool) {
		q := xfr.Query{Origin: mustName(t, "example."), ID: testID}
		if incremental {
			q.Have = &wire.SOA{Serial: serial.New(1)}
		}
		recv := &orderly{t: t}
		x := xfr.NewInterpreter(q, recv)
		for _, msg := range split(octets) {
			done, err := x.Message(msg)
			if done != (x.Finish() == nil) || done && (err != nil || x.Kind() == xfr.Undecided || recv.calls == 0) {
				t.Fatalf("done %v, error %v, Finish %v, kind %s", done, err, x.Finish(), x.Kind())
			}
			if err != nil && reason.Of(err) == reason.Other {
				t.Fatalf("error without a reason: %v", err)
			}
			if done || err != nil {
				return
			}
		}
	})
}

// Whatever is done to a signed stream, only messages that the primary sent, in its order, are covered by a signature.
func FuzzTSIGStream(f *testing.F) {
	now := time.Unix(1700000000, 0)
	requestMAC := []byte("request")
	sent := func() [][]byte {
		s := dnstest.NewSigner(testKey, dns.HmacSHA256, testSecret, requestMAC)
		s.Time = now
		return [][]byte{s.Sign(plainMessage()), s.Skip(plainMessage()), s.Sign(plainMessage()), s.Sign(bare(plainMessage()))}
	}
	var whole []byte
	for _, msg := range sent() {
		whole = append(whole, framed(msg)...)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add(append(framed(sent()[2]), framed(sent()[0])...))
	f.Add(framed(append(sent()[0], "behind"...)))
	key, truth := newKey(f, hmacSHA256), sent()
	f.Fuzz(func(t *testing.T, octets []byte) {
		s := xfr.NewStream(key, requestMAC)
		for i, msg := range split(octets) {
			received := msg
			plain, err := s.VerifyAt(bytes.Clone(msg), now)
			if err != nil {
				if reason.Of(err) == reason.Other {
					t.Fatalf("error without a reason: %v", err)
				}
				return
			}
			if _, err := xfr.VerifyRequest(bytes.Clone(received), key, now); err == nil {
				t.Fatal("an answer passes as a request")
			}
			if s.Finish() == nil && (i >= len(truth) || !covers(received, truth[i])) {
				t.Fatalf("message %d passes:\n%x", i, received)
			}
			if len(plain) > len(received) || s.Finish() == nil && len(plain) >= len(truth[i]) {
				t.Fatal("the plain message is longer")
			}
		}
	})
}

// covers reports whether a message differs from the signed one in nothing the MAC covers: the ID on the wire, the case of
// names in the TSIG record and what is behind that are not.
func covers(received, signed []byte) bool {
	return len(received) >= len(signed) && bytes.EqualFold(received[2:len(signed)], signed[2:])
}

func FuzzSOAResponse(f *testing.F) {
	query := new(dns.Msg)
	query.SetQuestion("example.", dns.TypeSOA)
	query.Id = testID
	r := dnstest.Request{Msg: query}
	f.Add(dnstest.Pack(r.Reply(soa(5))))
	f.Add(dnstest.Pack(r.Rcode(dns.RcodeRefused)))
	f.Add(dnstest.Pack(r.Reply(soa(5), soa(6))))
	f.Fuzz(func(t *testing.T, msg []byte) {
		got, err := xfr.ReadSOAAnswer(bytes.Clone(msg), testID, mustName(t, "example."), nil)
		if err != nil {
			if reason.Of(err) == reason.Other || got != (wire.SOA{}) {
				t.Fatalf("SOA %+v, error %v", got, err)
			}
			return
		}
		// What we accept, another implementation reads the same way.
		var m dns.Msg
		if err := m.Unpack(msg); err != nil || m.Id != testID || !m.Response || !m.Authoritative || m.Rcode&15 != 0 {
			t.Skip() // miekg/dns is stricter about sections that we only walk over
		}
		for _, rr := range m.Answer {
			soa, ok := rr.(*dns.SOA)
			if ok && dns.CanonicalName(soa.Hdr.Name) == "example." && soa.Hdr.Class == dns.ClassINET && soa.Serial != got.Serial.Uint32() {
				t.Fatalf("serial %s; miekg/dns reads %d", got.Serial, soa.Serial)
			}
		}
	})
}
