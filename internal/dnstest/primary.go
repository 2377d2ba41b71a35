// Package dnstest is what the tests of this project play against: a scripted primary with its signatures, random zones and a
// naive lookup. It takes nothing of the project but the types of records and names, so that no fault can hide by being on
// both sides. Tests only.
package dnstest

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// Handler scripts a primary: it is called for every request, in a goroutine of the connection (TCP) or of the socket
// (UDP), and answers through w, well or badly. When it returns, a TCP connection waits for its next request.
type Handler func(r Request, w *Writer)

// Primary is a scripted primary on one port of 127.0.0.1 or in memory, over TCP and UDP. It is safe for concurrent use.
type Primary struct {
	handler Handler
	tcp     net.Listener
	udp     socket
	done    chan struct{}
	running sync.WaitGroup

	mu       sync.Mutex
	conns    map[net.Conn]bool // guarded by mu
	accepted int               // guarded by mu
	closed   bool              // guarded by mu
}

// NewPrimary starts a primary that ends with the test, with all its connections and goroutines.
func NewPrimary(t testing.TB, h Handler) *Primary {
	t.Helper()
	p := &Primary{handler: h, done: make(chan struct{}), conns: make(map[net.Conn]bool)}
	p.listen(t)
	p.start(t)
	return p
}

// start has p answer until the end of the test.
func (p *Primary) start(t testing.TB) {
	p.running.Go(p.accept)
	p.running.Go(p.datagrams)
	t.Cleanup(p.Close)
}

// socket is the part of net.PacketConn that a primary uses.
type socket interface {
	ReadFrom(b []byte) (int, net.Addr, error)
	WriteTo(b []byte, to net.Addr) (int, error)
	Close() error
}

// listen takes a port that is free for both transports.
func (p *Primary) listen(t testing.TB) {
	t.Helper()
	const attempts = 20
	var lc net.ListenConfig
	var err error
	for range attempts {
		if p.tcp, err = lc.Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
			break
		}
		if p.udp, err = lc.ListenPacket(t.Context(), "udp", p.tcp.Addr().String()); err == nil {
			return
		}
		p.tcp.Close()
	}
	t.Fatalf("no port for the scripted primary: %v", err)
}

// Close ends the primary and waits for its goroutines. It may be called twice.
func (p *Primary) Close() {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.done)
		p.tcp.Close()
		p.udp.Close()
		for c := range p.conns {
			c.Close()
		}
	}
	p.mu.Unlock()
	p.running.Wait()
}

// CloseUDP leaves the primary with TCP only: datagrams are refused with ICMP. It may be called while the primary is in use.
func (p *Primary) CloseUDP() { p.udp.Close() }

// Addr returns the address and port.
func (p *Primary) Addr() netip.AddrPort { return p.tcp.Addr().(*net.TCPAddr).AddrPort() }

// Open returns how many TCP connections are open.
func (p *Primary) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// Accepted returns how many TCP connections there have been.
func (p *Primary) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

func (p *Primary) accept() {
	for {
		c, err := p.tcp.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			c.Close()
			return
		}
		p.conns[c] = true
		p.accepted++
		p.mu.Unlock()
		p.running.Go(func() { p.requests(c) })
	}
}

func (p *Primary) requests(c net.Conn) {
	defer func() {
		c.Close()
		p.mu.Lock()
		delete(p.conns, c)
		p.mu.Unlock()
	}()
	w := &Writer{done: p.done, tcp: c}
	for {
		var length [2]byte
		if _, err := io.ReadFull(c, length[:]); err != nil {
			return
		}
		msg := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(c, msg); err != nil {
			return
		}
		if r, ok := newRequest(msg, false); ok {
			p.handler(r, w)
		}
	}
}

func (p *Primary) datagrams() {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := p.udp.ReadFrom(buf)
		if err != nil {
			return
		}
		if r, ok := newRequest(slices.Clone(buf[:n]), true); ok {
			p.handler(r, &Writer{done: p.done, udp: p.udp, to: from})
		}
	}
}

// Request is one request to a scripted primary. It is a plain value.
type Request struct {
	Raw    []byte   // as received, TSIG included
	Msg    *dns.Msg // the same, taken apart
	Name   string   // the question
	Type   uint16
	Serial uint32 // of an IXFR: the version the client has
	UDP    bool
}

func newRequest(msg []byte, udp bool) (Request, bool) {
	m := new(dns.Msg)
	if m.Unpack(msg) != nil || len(m.Question) != 1 {
		return Request{}, false
	}
	r := Request{Raw: msg, Msg: m, Name: m.Question[0].Name, Type: m.Question[0].Qtype, UDP: udp}
	if len(m.Ns) == 1 {
		if soa, ok := m.Ns[0].(*dns.SOA); ok {
			r.Serial = soa.Serial
		}
	}
	return r, true
}

// Reply returns an authoritative answer to r with these records in presentation form.
func (r Request) Reply(records ...string) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(r.Msg)
	m.Authoritative = true
	m.Compress = true
	m.Answer = Records(records...)
	return m
}

// Rcode returns an answer to r with this RCODE and no records.
func (r Request) Rcode(rcode int) *dns.Msg {
	m := r.Reply()
	m.Rcode = rcode
	return m
}

// Records reads records in presentation form. It panics on a malformed one: the test is wrong.
func Records(records ...string) []dns.RR {
	rrs := make([]dns.RR, len(records))
	for i, s := range records {
		rr, err := dns.NewRR(s)
		if err != nil {
			panic(err)
		}
		rrs[i] = rr
	}
	return rrs
}

// Pack returns m in wire form. It panics if m has none: the test is wrong.
func Pack(m *dns.Msg) []byte {
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

// Writer answers one request, or with TCP the requests of one connection. Failures to write are ignored: a client that
// has gone away is part of many scripts. It is not safe for concurrent use.
type Writer struct {
	done <-chan struct{}
	tcp  net.Conn // nil for UDP
	udp  socket
	to   net.Addr
}

// Send sends each message; over TCP with its length in front.
func (w *Writer) Send(msgs ...*dns.Msg) {
	for _, m := range msgs {
		w.SendRaw(Pack(m))
	}
}

// SendRaw sends each message in wire form; over TCP with its length in front. It reports whether the client is there.
func (w *Writer) SendRaw(msgs ...[]byte) bool {
	for _, m := range msgs {
		if w.tcp != nil {
			m = append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...)
		}
		if !w.Octets(m) {
			return false
		}
	}
	return true
}

// Octets sends bare octets, for framing errors and slow primaries. It reports whether the client is there.
func (w *Writer) Octets(b []byte) bool {
	var err error
	if w.tcp != nil {
		_, err = w.tcp.Write(b)
	} else {
		_, err = w.udp.WriteTo(b, w.to)
	}
	return err == nil
}

// CloseConn ends the TCP connection in order (FIN).
func (w *Writer) CloseConn() { w.tcp.Close() }

// Reset breaks the TCP connection (RST).
func (w *Writer) Reset() {
	switch c := w.tcp.(type) {
	case *net.TCPConn:
		_ = c.SetLinger(0)
	case *memoryConn:
		c.reset()
	}
	w.tcp.Close()
}

// Hang keeps silent until the client closes the TCP connection or the test ends.
func (w *Writer) Hang() { _, _ = io.Copy(io.Discard, w.tcp) }

// Done is closed when the primary ends.
func (w *Writer) Done() <-chan struct{} { return w.done }
