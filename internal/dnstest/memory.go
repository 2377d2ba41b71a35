package dnstest

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// NewMemoryPrimary is NewPrimary without sockets, for a bubble of testing/synctest: the primary itself dials the connections
// to it, which are in memory.
func NewMemoryPrimary(t testing.TB, h Handler) *Primary {
	t.Helper()
	at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(memoryPort.Add(1)))
	p := &Primary{handler: h, done: make(chan struct{}), conns: make(map[net.Conn]bool)}
	p.tcp = &memoryListener{at: at, conns: make(chan net.Conn), closing: newClosing()}
	p.udp = &memorySocket{packets: make(chan memoryPacket, maxPackets), closing: newClosing()}
	p.start(t)
	return p
}

// memoryPort is the latest port that a primary in memory was given: no two have the same, as one engine tells them apart by it.
var memoryPort atomic.Uint32

// DialContext connects to a primary that is in memory, whatever the address.
func (p *Primary) DialContext(ctx context.Context, network, _ string) (net.Conn, error) {
	if network == "udp" {
		return p.udp.(*memorySocket).dial(), nil
	}
	return p.tcp.(*memoryListener).dial(ctx)
}

// closing is a channel that may be closed twice.
type closing struct {
	once sync.Once
	done chan struct{}
}

func newClosing() *closing { return &closing{done: make(chan struct{})} }

// Close closes the channel.
func (c *closing) Close() error {
	c.once.Do(func() { close(c.done) })
	return nil
}

// memoryListener takes connections.
type memoryListener struct {
	*closing
	at    netip.AddrPort
	conns chan net.Conn
}

// dial returns a new connection.
func (l *memoryListener) dial(ctx context.Context) (net.Conn, error) {
	there, back := newQueue(), newQueue()
	select {
	case l.conns <- &memoryConn{in: there, out: back}:
		return &memoryConn{in: back, out: there}, nil
	case <-l.done:
		return nil, syscall.ECONNREFUSED
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept is net.Listener's.
func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Addr is net.Listener's.
func (l *memoryListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.at) }

// memoryConn is an end of a connection. It is safe for concurrent use.
type memoryConn struct {
	net.Conn // nil: nobody asks for the addresses
	in, out  *queue
}

// Read is net.Conn's.
func (c *memoryConn) Read(b []byte) (int, error) { return c.in.read(b) }

// Write is net.Conn's.
func (c *memoryConn) Write(b []byte) (int, error) { return len(b), c.out.write(b) }

// SetReadDeadline is net.Conn's.
func (c *memoryConn) SetReadDeadline(at time.Time) error {
	c.in.setDeadline(at)
	return nil
}

// SetWriteDeadline does nothing: what a client sends always has room.
func (c *memoryConn) SetWriteDeadline(time.Time) error { return nil }

// Close ends the connection in order (FIN).
func (c *memoryConn) Close() error {
	c.out.end(io.EOF)
	c.in.abandon(net.ErrClosed)
	return nil
}

// reset breaks the connection (RST). What was written is read first, as with Linux.
func (c *memoryConn) reset() {
	c.out.end(syscall.ECONNRESET)
	c.in.abandon(net.ErrClosed)
}

// memorySocket takes datagrams.
type memorySocket struct {
	*closing
	packets chan memoryPacket
}

// memoryPacket is a datagram and where an answer to it goes.
type memoryPacket struct {
	data []byte
	from *memoryDatagrams
}

// maxPackets is how many datagrams wait; more are lost.
const maxPackets = 256

// dial returns a socket that is connected to s.
func (s *memorySocket) dial() net.Conn {
	return &memoryDatagrams{memoryConn: memoryConn{in: newQueue()}, to: s}
}

// ReadFrom is net.PacketConn's.
func (s *memorySocket) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case p := <-s.packets:
		return copy(b, p.data), p.from, nil
	case <-s.done:
		return 0, nil, net.ErrClosed
	}
}

// WriteTo is net.PacketConn's.
func (s *memorySocket) WriteTo(b []byte, to net.Addr) (int, error) {
	return len(b), to.(*memoryDatagrams).in.write(b)
}

// memoryDatagrams is a connected socket, and its own address.
type memoryDatagrams struct {
	memoryConn
	to *memorySocket
}

// Write sends one datagram. Where nobody listens the next read fails, as after ICMP.
func (c *memoryDatagrams) Write(b []byte) (int, error) {
	select {
	case <-c.to.done:
		c.in.end(syscall.ECONNREFUSED)
		return len(b), nil
	default:
	}
	select {
	case c.to.packets <- memoryPacket{slices.Clone(b), c}:
	default:
	}
	return len(b), nil
}

// Close is net.Conn's.
func (c *memoryDatagrams) Close() error {
	c.in.abandon(net.ErrClosed)
	return nil
}

// Network is net.Addr's.
func (c *memoryDatagrams) Network() string { return "udp" }

// String is net.Addr's.
func (c *memoryDatagrams) String() string { return "memory" }

// maxQueued is how many octets wait in one direction of a connection before the writer does, as in the buffers of a kernel.
const maxQueued = 1 << 20

// queue is one direction of a connection: what one write wrote is read alone. It is safe for concurrent use.
type queue struct {
	mu       sync.Mutex
	changed  *sync.Cond
	written  [][]byte    // guarded by mu
	octets   int         // in written; guarded by mu
	ended    error       // what is read behind what was written; nil while more may come; guarded by mu
	deadline time.Time   // of reading; zero is none; guarded by mu
	timer    *time.Timer // for that; guarded by mu
}

func newQueue() *queue {
	q := &queue{}
	q.changed = sync.NewCond(&q.mu)
	return q
}

// read reads of one write what fits.
func (q *queue) read(b []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		switch {
		case !q.deadline.IsZero() && !time.Now().Before(q.deadline):
			return 0, os.ErrDeadlineExceeded
		case len(q.written) > 0:
			n := copy(b, q.written[0])
			q.octets -= n
			if q.written[0] = q.written[0][n:]; len(q.written[0]) == 0 {
				q.written = q.written[1:]
			}
			q.changed.Broadcast()
			return n, nil
		case q.ended != nil:
			return 0, q.ended
		}
		q.changed.Wait()
	}
}

// write waits for room.
func (q *queue) write(b []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.ended == nil && q.octets > maxQueued {
		q.changed.Wait()
	}
	if q.ended != nil {
		return syscall.EPIPE
	}
	q.written, q.octets = append(q.written, slices.Clone(b)), q.octets+len(b)
	q.changed.Broadcast()
	return nil
}

// end ends writing, and reading with err once all is read.
func (q *queue) end(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended == nil {
		q.ended = err
	}
	q.changed.Broadcast()
}

// abandon ends writing, and reading with err at once.
func (q *queue) abandon(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended, q.written, q.octets, q.deadline = err, nil, 0, time.Time{}
	if q.timer != nil {
		q.timer.Stop()
	}
	q.changed.Broadcast()
}

// setDeadline changes when reading ends.
func (q *queue) setDeadline(at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.timer != nil {
		q.timer.Stop()
	}
	if q.deadline = at; !at.IsZero() {
		q.timer = time.AfterFunc(time.Until(at), q.tell)
	}
	q.changed.Broadcast()
}

// tell wakes whoever waits, to look again.
func (q *queue) tell() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.changed.Broadcast()
}
