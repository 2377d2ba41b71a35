package fastpath

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

const (
	maxBatch     = 32      // datagrams received or sent in one system call
	maxReply     = 4096    // octets of a reply that is made here; longer ones are CoreDNS's
	receiveQueue = 1 << 20 // octets asked for a socket's receive buffer; the kernel may give less
	closeTime    = 5 * time.Second
	yieldEvery   = 5 * time.Millisecond
)

// randomNumber is where a socket filter finds a random number: SKF_AD_OFF + SKF_AD_RANDOM of linux/filter.h.
const randomNumber = 1<<32 - 0x1000 + 56

// Sockets are the UDP sockets of one address. Its methods are safe for concurrent use.
type Sockets struct {
	addr    net.Addr
	workers []*worker
	start   sync.Once
	running sync.WaitGroup
	closing atomic.Bool

	relay atomic.Pointer[relay] // nil until the first Serve

	mu     sync.RWMutex // held for reading while a reply of the relay is sent
	closed bool         // guarded by mu: the sockets are no more
}

// Open opens so many sockets with listen, which binds them all to one address. They keep what they receive until Serve.
// newAnswer is called for every socket; one goroutine calls what it returns.
func Open(listen func() (net.PacketConn, error), sockets int, newAnswer func() Answer) (*Sockets, error) {
	s := &Sockets{}
	for range sockets {
		w, err := newWorker(s, listen, newAnswer)
		if err != nil {
			s.Close()
			return nil, err
		}
		s.workers = append(s.workers, w)
	}
	return s, nil
}

// Steer has the kernel give every datagram for the address to one of n sockets, at random: to those that were bound to it
// behind the first so many, by whomever. Where it does not, all sockets get their share.
func (s *Sockets) Steer(first, n int) error {
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: randomNumber},
		{Code: unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K, K: uint32(n)},
		{Code: unix.BPF_ALU | unix.BPF_ADD | unix.BPF_K, K: uint32(first)},
		{Code: unix.BPF_RET | unix.BPF_A},
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return net.ErrClosed
	}
	return unix.SetsockoptSockFprog(s.workers[0].fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
}

// Serve begins to answer, or goes on with another server to hand queries to. The server is not started yet, and has no
// connection.
func (s *Sockets) Serve(server *dns.Server) {
	r := newRelay(s, server)
	if old := s.relay.Swap(r); old != nil {
		go old.close()
	}
	s.start.Do(func() {
		for _, w := range s.workers {
			s.running.Go(w.run)
		}
	})
}

// Close answers what has come and closes the sockets. What comes until it returns is lost, unless it was steered elsewhere.
func (s *Sockets) Close() {
	if s.closing.Swap(true) {
		return
	}
	for _, w := range s.workers {
		_ = unix.Shutdown(w.fd, unix.SHUT_RD) // says ENOTCONN, and wakes who waits to receive
	}
	s.running.Wait()
	if r := s.relay.Swap(nil); r != nil {
		r.close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for i, w := range s.workers {
		if i == len(s.workers)-1 {
			// The others at the address keep the filter, which would go on to count on these.
			_ = unix.SetsockoptInt(w.fd, unix.SOL_SOCKET, unix.SO_DETACH_REUSEPORT_BPF, 0)
		}
		_ = unix.Close(w.fd)
	}
}

// Addr returns the address of the sockets.
func (s *Sockets) Addr() net.Addr { return s.addr }

// handOver gives a query to CoreDNS's server.
func (s *Sockets) handOver(d datagram) {
	for r := s.relay.Load(); ; {
		if r.put(d) {
			return
		}
		next := s.relay.Load()
		if next == r {
			return // closed for good
		}
		r = next
	}
}

// send sends one reply of the relay.
func (s *Sockets) send(b []byte, to *net.UDPAddr) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return net.ErrClosed
	}
	return s.workers[0].sendTo(b, to)
}

// worker answers what comes to one socket. Its fields belong to the goroutine of run, but for fd, which does not change.
type worker struct {
	sockets *Sockets
	fd      int // blocking: one thread waits in the kernel, and is all there is to wake for a query
	in, out batch
	others  [maxBatch]int // indexes in the batch of what is handed over

	answer    Answer
	newAnswer func() Answer
}

func newWorker(s *Sockets, listen func() (net.PacketConn, error), newAnswer func() Answer) (*worker, error) {
	pc, err := listen()
	if err != nil {
		return nil, err
	}
	defer pc.Close()
	conn, ok := pc.(*net.UDPConn)
	if !ok {
		return nil, fmt.Errorf("%s: %T is not a UDP socket", pc.LocalAddr(), pc)
	}
	s.addr = conn.LocalAddr()
	fd, err := duplicate(conn)
	if err != nil {
		return nil, err
	}
	w := &worker{sockets: s, fd: fd, answer: newAnswer(), newAnswer: newAnswer}
	if err := w.prepare(conn.LocalAddr().(*net.UDPAddr).IP.IsUnspecified()); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return w, nil
}

// duplicate returns a descriptor of the socket that Go's poller does not know: it would wake a thread for every datagram.
func duplicate(conn *net.UDPConn) (fd int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	err2 := raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	return fd, errors.Join(err, err2)
}

// prepare sets the socket's options. Where it is bound to every address, it has to tell which of them a query came to.
func (w *worker) prepare(unspecified bool) error {
	if err := unix.SetNonblock(w.fd, false); err != nil {
		return err
	}
	_ = unix.SetsockoptInt(w.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveQueue)                      // a request
	if unspecified && unix.SetsockoptInt(w.fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1) != nil { // no IPv6 socket
		if err := unix.SetsockoptInt(w.fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1); err != nil {
			return err
		}
	}
	w.in.init(maxQuery)
	w.out.init(maxReply)
	return nil
}

// run answers until the sockets are closed, and then what has come until then.
//
// It yields now and then: Go takes the processor of a goroutine that has not for 10 ms away in every system call, and looks
// for somebody who wants it, which costs a lone query more than its answer.
func (w *worker) run() {
	yielded := time.Now()
	for flags := unix.MSG_WAITFORONE; ; {
		if time.Since(yielded) > yieldEvery {
			runtime.Gosched()
			yielded = time.Now()
		}
		if w.sockets.closing.Load() {
			flags = unix.MSG_DONTWAIT
		}
		n, err := w.in.receive(w.fd, flags)
		switch {
		case err == nil:
			w.handle(n)
		case errors.Is(err, unix.EINTR):
		case flags == unix.MSG_DONTWAIT:
			return
		default: // it passes, and must not keep a processor busy
			time.Sleep(time.Millisecond)
		}
	}
}

// handle answers the first n datagrams of the batch received.
func (w *worker) handle(n int) {
	answered, over := 0, 0
	for i := range n {
		query := w.in.octets(i)
		if len(query) == 0 {
			continue
		}
		if reply := w.reply(query, w.out.bufs[answered][:0], w.in.v6(i)); reply != nil {
			w.out.set(answered, len(reply), &w.in, i)
			answered++
			continue
		}
		w.others[over] = i
		over++
	}
	w.out.send(w.fd, answered)
	for _, i := range w.others[:over] { // last: CoreDNS's server may have to be waited for
		w.sockets.handOver(w.in.datagram(i))
	}
}

// reply answers one query. One that makes the code panic is handed over: CoreDNS lives through that, and counts it.
func (w *worker) reply(query, buf []byte, v6 bool) (reply []byte) {
	defer func() {
		if recover() != nil {
			reply, w.answer = nil, w.newAnswer()
		}
	}()
	return w.answer(query, buf, v6)
}

// relay carries queries to CoreDNS's server and its replies back: to the server it is a connection. It is safe for
// concurrent use.
type relay struct {
	sockets *Sockets
	server  *dns.Server
	queue   chan datagram
	closed  chan struct{} // when the server is to stop reading
	once    sync.Once

	mu     sync.RWMutex // held for reading by who puts something in the queue
	ending bool         // guarded by mu: the server reads what is in the queue, and no more
}

// longAgo is before any deadline meant in earnest.
const longAgo = time.Hour

// maxWaiting is how many queries wait for CoreDNS's server to read them.
const maxWaiting = 1024

func newRelay(s *Sockets, server *dns.Server) *relay {
	r := &relay{
		sockets: s, server: server,
		queue: make(chan datagram, maxWaiting), closed: make(chan struct{}),
	}
	server.PacketConn = r
	started := make(chan struct{})
	server.NotifyStartedFunc = func() { close(started) }
	go func() { _ = server.ActivateAndServe() }() // ends when the relay does
	<-started
	return r
}

// put reports whether the server will read d.
func (r *relay) put(d datagram) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.ending {
		return false
	}
	select {
	case r.queue <- d:
		return true
	case <-r.closed:
		return false
	}
}

// close ends the server once it has read what waits and replied to it.
func (r *relay) close() {
	r.mu.Lock()
	r.ending = true
	r.mu.Unlock()
	end := time.Now().Add(closeTime)
	for len(r.queue) > 0 && time.Now().Before(end) && !r.ended() {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	_ = r.server.ShutdownContext(ctx)
}

// ended reports whether the server reads no more.
func (r *relay) ended() bool {
	select {
	case <-r.closed:
		return true
	default:
		return false
	}
}

// ReadFrom implements net.PacketConn.
func (r *relay) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case d := <-r.queue:
		return copy(b, d.octets), d.from, nil
	case <-r.closed:
		return 0, nil, net.ErrClosed
	}
}

// WriteTo implements net.PacketConn.
func (r *relay) WriteTo(b []byte, to net.Addr) (int, error) {
	addr, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, errNotOurs
	}
	return len(b), r.sockets.send(b, addr)
}

// Close implements net.PacketConn.
func (r *relay) Close() error {
	r.once.Do(func() { close(r.closed) })
	return nil
}

// LocalAddr implements net.PacketConn.
func (r *relay) LocalAddr() net.Addr { return r.sockets.addr }

// SetReadDeadline implements net.PacketConn. A deadline long past is how the server stops reading. Before each reading it
// sets one of some seconds, which is of no use here, and may have passed where the process was halted.
func (r *relay) SetReadDeadline(t time.Time) error {
	if !t.IsZero() && time.Since(t) > longAgo {
		return r.Close()
	}
	return nil
}

// SetDeadline implements net.PacketConn.
func (r *relay) SetDeadline(t time.Time) error { return r.SetReadDeadline(t) }

// SetWriteDeadline implements net.PacketConn: writing does not wait.
func (r *relay) SetWriteDeadline(time.Time) error { return nil }
