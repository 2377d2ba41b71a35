package httpapi

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// conns are the open connections. Beyond maxConns, each new one takes the place of another that is not being served: whoever
// opens many and is silent, or slow to ask, keeps nobody out. It is safe for concurrent use.
type conns struct {
	mu   sync.Mutex
	open map[net.Conn]*place // guarded by mu
}

// place is what is known of a connection.
type place struct {
	served  int       // requests that run; guarded by conns.mu
	sinceAt time.Time // when the last of them ended; guarded by conns.mu
}

// placeKey is the key of a request's *place in its context.
type placeKey struct{}

// enter makes room for a connection. It is http.Server.ConnContext.
func (c *conns) enter(ctx context.Context, conn net.Conn) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) >= maxConns {
		c.drop(conn)
	}
	p := &place{sinceAt: time.Now()}
	c.open[conn] = p
	return context.WithValue(ctx, placeKey{}, p)
}

// drop closes the connection that has been without a request for longest, or if all have one, the new one. mu is held.
func (c *conns) drop(newest net.Conn) {
	gone, since := newest, time.Now()
	for conn, p := range c.open {
		if p.served == 0 && p.sinceAt.Before(since) {
			gone, since = conn, p.sinceAt
		}
	}
	delete(c.open, gone)
	if t, ok := gone.(interface{ NetConn() net.Conn }); ok {
		gone = t.NetConn() // TLS would wait for the peer to take its farewell
	}
	gone.Close()
}

// changed forgets connections that have ended. It is http.Server.ConnState.
func (c *conns) changed(conn net.Conn, s http.ConnState) {
	if s == http.StateClosed || s == http.StateHijacked {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.open, conn)
	}
}

// serving notes that a request runs, until the function returned is called.
func (c *conns) serving(r *http.Request) (end func()) {
	p, ok := r.Context().Value(placeKey{}).(*place)
	if !ok {
		return func() {} // not by way of Serve
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p.served++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		p.served--
		p.sinceAt = time.Now()
	}
}
