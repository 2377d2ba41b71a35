package xfrout

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// Limits of those that wait for a place: in all, and of one client. A secondary with many zones asks for them all at once, over
// some hundred connections; turned away, it would come back after minutes.
const (
	maxWaiting       = 1024
	maxWaitingForOne = 256
)

// Quota is how many transfers may run at a time, in all and for one client: an IPv4 address, or an IPv6 network of 64 bits.
// It is safe for concurrent use; the zero value has no places.
type Quota struct {
	mu               sync.Mutex
	total, perClient int
	running          int
	clients          map[netip.Prefix]*quotaClient // those that run or wait
	waiting          list.List                     // of *quotaWaiter, oldest first
}

// quotaClient counts what one client has. Guarded by Quota.mu.
type quotaClient struct{ running, waiting int }

// quotaWaiter waits for a place. It never changes.
type quotaWaiter struct {
	network netip.Prefix
	placed  chan struct{} // closed once it has its place
}

// clientBits are the bits of an IPv6 address that tell clients apart: a host has the others to itself (RFC 4291 §2.5.1).
const clientBits = 64

// Limit sets the limits; what runs goes on.
func (q *Quota) Limit(total, perClient int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.total, q.perClient = total, perClient
	q.place()
}

// Take takes a place for a client, which has to be given back once by release. Where there is none it waits for one until patience
// tells that it is over; ok is false then, and at once if too many wait.
func (q *Quota) Take(client netip.Addr, patience <-chan time.Time) (release func(), ok bool) {
	bits := client.BitLen()
	if client.Is6() {
		bits = clientBits
	}
	network, _ := client.Prefix(bits) // an address that is none has a network that is none
	w := &quotaWaiter{network, make(chan struct{})}
	e := q.wait(w)
	if e == nil {
		return nil, false
	}
	select {
	case <-w.placed:
		return func() { q.release(network) }, true
	case <-patience:
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-w.placed: // at this very moment
		return func() { q.release(network) }, true
	default:
		q.waiting.Remove(e)
		q.count(network, 0, -1)
		return nil, false
	}
}

// wait puts w behind those that wait, and gives it a place if there is one; nil if too many wait.
func (q *Quota) wait(w *quotaWaiter) *list.Element {
	q.mu.Lock()
	defer q.mu.Unlock()
	if c := q.clients[w.network]; q.waiting.Len() >= maxWaiting || c != nil && c.waiting >= maxWaitingForOne {
		return nil
	}
	q.count(w.network, 0, 1)
	e := q.waiting.PushBack(w)
	q.place()
	return e
}

func (q *Quota) release(network netip.Prefix) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running--
	q.count(network, -1, 0)
	q.place()
}

// place gives places to those that wait, in order, but for clients that have as many as they may. mu is held.
func (q *Quota) place() {
	for e := q.waiting.Front(); e != nil && q.running < q.total; {
		w, next := e.Value.(*quotaWaiter), e.Next()
		if q.clients[w.network].running < q.perClient {
			q.waiting.Remove(e)
			q.running++
			q.count(w.network, 1, -1)
			close(w.placed)
		}
		e = next
	}
}

// count adds to what a client has. mu is held.
func (q *Quota) count(network netip.Prefix, running, waiting int) {
	c := q.clients[network]
	if c == nil {
		if q.clients == nil {
			q.clients = map[netip.Prefix]*quotaClient{}
		}
		c = &quotaClient{}
		q.clients[network] = c
	}
	c.running += running
	c.waiting += waiting
	if *c == (quotaClient{}) {
		delete(q.clients, network)
	}
}
