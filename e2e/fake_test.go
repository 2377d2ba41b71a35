//go:build e2e

package e2e_test

import (
	"crypto/sha256"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// fault is what a fake primary does wrong in a transfer.
type fault int

const (
	noFault         fault = iota
	cutOff                // closes the connection after the first message
	endless               // never ends
	outOfZone             // sends a record of another zone among the others
	otherClass            // sends a CHAOS record among the others
	lastSOADiffers        // ends with another serial than it began with
	foreignSOA            // begins and ends with the SOA of another name
	clockAhead            // signs 400 seconds in the future
	unsignedAnswers       // does not sign its answers to signed queries
	silent                // does not answer anything
)

const (
	faultOrigin = "fault.test."
	clockOffset = 400 * time.Second
)

// fakePrimary serves one small zone and does one thing wrong, as no real server would. Its serial and fault may be
// changed at any time.
type fakePrimary struct {
	address string
	key     *tsigKey // nil for none
	serial  atomic.Uint32
	fault   atomic.Int32
	asked   atomic.Int32 // queries received
}

func newFakePrimary(t *testing.T, key *tsigKey) *fakePrimary {
	t.Helper()
	p := &fakePrimary{key: key}
	p.serial.Store(1)
	var provider dns.TsigProvider
	if key != nil {
		provider = sharedSecret{key.Secret}
	}
	p.address = serveDNS(t, "127.0.0.1", provider, p.serve)
	return p
}

func (p *fakePrimary) become(f fault, serial uint32) {
	p.serial.Store(serial)
	p.fault.Store(int32(f))
}

func (p *fakePrimary) serve(w dns.ResponseWriter, q *dns.Msg) {
	defer p.asked.Add(1)
	f := fault(p.fault.Load())
	serial := p.serial.Load()
	soa := record("%s 3600 IN SOA ns1.%[1]s hostmaster.%[1]s %d 3600 900 1209600 300", faultOrigin, serial)
	host := record("host%d.%s 300 IN A 192.0.2.1", serial, faultOrigin)
	switch {
	case f == silent:
	case q.Question[0].Qtype != dns.TypeAXFR && q.Question[0].Qtype != dns.TypeIXFR:
		p.reply(w, q, f, soa)
	default:
		p.transfer(w, q, f, soa, host)
	}
}

func (p *fakePrimary) transfer(w dns.ResponseWriter, q *dns.Msg, f fault, soa, host dns.RR) {
	ns := record("%s 3600 IN NS ns1.%[1]s", faultOrigin)
	switch f {
	case cutOff:
		p.reply(w, q, f, soa, ns, host)
		w.Close()
	case endless:
		for i := 0; p.reply(w, q, f, soa, record("n%d.%s 300 IN A 192.0.2.1", i, faultOrigin)); i++ {
			soa = record("m%d.%s 300 IN A 192.0.2.1", i, faultOrigin) // the SOA is in the first message only
		}
	case outOfZone:
		p.reply(w, q, f, soa, ns, record("www.other.test. 300 IN A 192.0.2.66"), host, soa)
	case otherClass:
		p.reply(w, q, f, soa, ns, record("chaos.%s 300 CH TXT other", faultOrigin), host, soa)
	case lastSOADiffers:
		last := dns.Copy(soa).(*dns.SOA)
		last.Serial += 5
		p.reply(w, q, f, soa, ns, host, last)
	case foreignSOA:
		foreign := dns.Copy(soa)
		foreign.Header().Name = "other.test."
		p.reply(w, q, f, foreign, ns, host, foreign)
	default:
		p.reply(w, q, f, soa, ns, host, soa)
	}
}

func (p *fakePrimary) reply(w dns.ResponseWriter, q *dns.Msg, f fault, answer ...dns.RR) (sent bool) {
	m := new(dns.Msg).SetReply(q)
	m.Authoritative = true
	m.Answer = answer
	if p.key != nil && f != unsignedAnswers {
		signed := time.Now()
		if f == clockAhead {
			signed = signed.Add(clockOffset)
		}
		m.SetTsig(q.IsTsig().Hdr.Name, q.IsTsig().Algorithm, 300, signed.Unix())
	}
	return w.WriteMsg(m) == nil
}

// sharedSecret signs and verifies with one secret, whatever the name of the key; times are not looked at.
type sharedSecret struct{ secret string }

func (s sharedSecret) Generate(msg []byte, t *dns.TSIG) ([]byte, error) {
	if t.Algorithm != dns.HmacSHA256 {
		return nil, dns.ErrKeyAlg
	}
	return mac(sha256.New, s.secret, msg)
}

func (s sharedSecret) Verify([]byte, *dns.TSIG) error { return nil }

// record makes a record from presentation form.
func record(format string, args ...any) dns.RR {
	text := fmt.Sprintf(format, args...)
	rr, err := dns.NewRR(strings.TrimSpace(text))
	if err != nil || rr == nil {
		panic(fmt.Sprintf("record %q: %v", text, err)) // a fault of the test itself
	}
	return rr
}

// serveDNS runs a server on UDP and TCP at a free port of an IPv4 address until the test ends, and returns where.
func serveDNS(t *testing.T, host string, provider dns.TsigProvider, handler dns.HandlerFunc) (addr string) {
	t.Helper()
	l, pc := listenDNS(t, host)
	for _, s := range []*dns.Server{{Listener: l}, {PacketConn: pc}} {
		started := make(chan struct{})
		s.Handler, s.TsigProvider, s.NotifyStartedFunc = handler, provider, func() { close(started) }
		failed := make(chan error, 1)
		go func() { failed <- s.ActivateAndServe() }()
		select {
		case <-started:
		case err := <-failed:
			t.Fatalf("Test server: %v", err)
		}
		t.Cleanup(func() { _ = s.Shutdown() }) // waits for no client: it is the test's own
	}
	return pc.LocalAddr().String()
}

// listenDNS opens the sockets of a server: some other program may take a port that was free a moment ago.
func listenDNS(t *testing.T, host string) (l net.Listener, pc net.PacketConn) {
	t.Helper()
	var err error
	for range 10 {
		addr := net.JoinHostPort(host, strconv.Itoa(freePort(t)))
		if l, err = net.Listen("tcp4", addr); err != nil {
			continue
		}
		if pc, err = net.ListenPacket("udp4", addr); err == nil {
			return l, pc
		}
		l.Close()
	}
	t.Fatalf("Test server: %v", err)
	return nil, nil
}
