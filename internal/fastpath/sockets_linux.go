package fastpath

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

const (
	maxBatch   = 32   // datagrams received or sent in one system call
	maxReply   = 4096 // octets of a reply that is made here; longer ones are CoreDNS's
	closeTime  = 5 * time.Second
	yieldEvery = 5 * time.Millisecond
)

// Octets asked for a socket's buffers. What is sent to clients that cannot be reached stays in the send buffer until the
// kernel has given up looking for them, which takes 3 s: answers for others have to find room beside it.
const (
	receiveBuffer = 1 << 20
	SendBuffer    = 4 << 20
)

// randomNumber is where a socket filter finds a random number: SKF_AD_OFF + SKF_AD_RANDOM of linux/filter.h.
const randomNumber = 1<<32 - 0x1000 + 56

// Supported says that there are sockets on this system.
const Supported = true

// Sockets are the UDP sockets of one address. Its methods are safe for concurrent use.
type Sockets struct {
	addr    net.Addr
	dropped Dropped
	workers []*worker
	start   sync.Once
	running sync.WaitGroup
	closing atomic.Bool

	relay atomic.Pointer[relay] // nil until the first Serve

	mu     sync.RWMutex // held for reading while a reply of the relay is sent
	closed bool         // guarded by mu: the sockets are no more
}

// Open opens so many sockets with listen, which binds them all to one address. They keep what they receive until Serve.
// newAnswer is called for every socket; one goroutine calls what it returns. dropped is called by any goroutine.
func Open(listen func() (net.PacketConn, error), sockets int, newAnswer func() Answer, dropped Dropped) (*Sockets, error) {
	s := &Sockets{dropped: dropped}
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

// SendBuffer returns how many octets of replies the kernel keeps for a socket. It gives less than SendBuffer where
// net.core.wmem_max says so.
func (s *Sockets) SendBuffer() int {
	n, err := unix.GetsockoptInt(s.workers[0].fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	if err != nil {
		return 0
	}
	return n / 2 // it doubles what it is asked for (socket(7))
}

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

// send sends one reply of the relay, or drops it.
func (s *Sockets) send(b []byte, to *net.UDPAddr) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return net.ErrClosed
	}
	err := s.workers[0].sendTo(b, to)
	if errno := unix.Errno(0); errors.As(err, &errno) {
		s.dropped(reasonOf(errno), 1)
		return nil // lost, as on the network; an error would be logged for each
	}
	return err
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
	w.buffer(unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, receiveBuffer)
	w.buffer(unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, SendBuffer)
	if unspecified && unix.SetsockoptInt(w.fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1) != nil { // no IPv6 socket
		if err := unix.SetsockoptInt(w.fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1); err != nil {
			return err
		}
	}
	w.in.init(MaxQuery)
	w.out.init(maxReply)
	return w.probe()
}

// probe returns an error where the system calls that the socket is read and written with do not work: some sandboxes lack
// them.
func (w *worker) probe() error {
	if _, err := w.in.receive(w.fd, unix.MSG_DONTWAIT|unix.MSG_PEEK); err != nil && !errors.Is(err, unix.EAGAIN) {
		return fmt.Errorf("recvmmsg: %w", err)
	}
	if _, errno := w.out.sendmmsg(w.fd, 0, 0); errno != 0 {
		return fmt.Errorf("sendmmsg: %w", errno)
	}
	return nil
}

// buffer asks for a buffer of size octets: more than the kernel's limit where the process may, else up to it.
func (w *worker) buffer(force, plain, size int) {
	if unix.SetsockoptInt(w.fd, unix.SOL_SOCKET, force, size) != nil {
		_ = unix.SetsockoptInt(w.fd, unix.SOL_SOCKET, plain, size) // a request
	}
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
		if reply := w.reply(query, w.out.bufs[answered][:0], w.in.client(i)); reply != nil {
			if len(reply) > 0 {
				w.out.set(answered, len(reply), &w.in, i)
				answered++
			}
			continue
		}
		w.others[over] = i
		over++
	}
	w.out.send(w.fd, answered, w.sockets.dropped)
	for _, i := range w.others[:over] {
		w.sockets.handOver(w.in.datagram(i))
	}
}

// reply answers one query. One that makes the code panic is handed over: CoreDNS lives through that, and counts it.
func (w *worker) reply(query, buf []byte, client netip.Addr) (reply []byte) {
	defer func() {
		if recover() != nil {
			reply, w.answer = nil, w.newAnswer()
		}
	}()
	return w.answer(query, buf, client)
}
