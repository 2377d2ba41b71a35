package fastpath

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// relay carries queries to CoreDNS's server and its replies back: to the server it is a connection. It is safe for
// concurrent use.
type relay struct {
	sockets *Sockets
	server  *dns.Server
	queue   chan datagram
	work    chan struct{} // holds one for each query that the server has read and not done with
	closed  chan struct{} // when the server is to stop reading
	once    sync.Once

	mu     sync.RWMutex // held for reading by who puts something in the queue
	ending bool         // guarded by mu: the server reads what is in the queue, and no more
}

// longAgo is before any deadline meant in earnest.
const longAgo = time.Hour

// maxWaiting is how many queries wait for CoreDNS's server to read them, maxInWork how many it works on at a time, each in a
// goroutine. What comes beyond them is dropped.
const (
	maxWaiting = 1024
	maxInWork  = 2048
)

func newRelay(s *Sockets, server *dns.Server) *relay {
	r := &relay{
		sockets: s, server: server,
		queue: make(chan datagram, maxWaiting), work: make(chan struct{}, maxInWork), closed: make(chan struct{}),
	}
	r.watch(server)
	server.PacketConn = r
	started := make(chan struct{})
	server.NotifyStartedFunc = func() { close(started) }
	go func() { _ = server.ActivateAndServe() }() // ends when the relay does
	<-started
	return r
}

// watch has the server tell when it is done with a query that it has read. Which of the three is called with one follows from
// serveDNS of miekg/dns: MsgInvalidFunc where its header or more cannot be read, else MsgAcceptFunc, which ends it or leads
// to the handler or to MsgInvalidFunc.
func (r *relay) watch(server *dns.Server) {
	handler, accept := server.Handler, server.MsgAcceptFunc
	if accept == nil {
		accept = dns.DefaultMsgAcceptFunc
	}
	server.MsgInvalidFunc = func([]byte, error) { r.done() }
	server.MsgAcceptFunc = func(h dns.Header) dns.MsgAcceptAction {
		action := accept(h)
		if action != dns.MsgAccept {
			r.done()
		}
		return action
	}
	server.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		defer r.done()
		handler.ServeDNS(w, m)
	})
}

func (r *relay) done() { <-r.work }

// put takes d for the server, or drops it where too many wait. It reports whether the relay is open.
func (r *relay) put(d datagram) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.ending {
		return false
	}
	select {
	case <-r.closed:
		return false
	case r.queue <- d:
	default:
		r.sockets.dropped(DropQueue, 1)
	}
	return true
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

// ReadFrom implements net.PacketConn. It waits until the server may begin with another query, too.
func (r *relay) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case r.work <- struct{}{}:
	case <-r.closed:
		return 0, nil, net.ErrClosed
	}
	select {
	case d := <-r.queue:
		return copy(b, d.octets), d.from, nil
	case <-r.closed:
		return 0, nil, net.ErrClosed
	}
}

// WriteTo implements net.PacketConn. It does not wait: what cannot leave is dropped.
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
