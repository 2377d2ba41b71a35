package xfrout

import (
	"net/netip"
	"sync"
)

// Quota is how many transfers may run at a time, in all and for one client: an IPv4 address, or an IPv6 network of 64 bits.
// It is safe for concurrent use; the zero value has no places.
type Quota struct {
	mu               sync.Mutex
	total, perClient int
	running          int
	runningFor       map[netip.Prefix]int // those that are not 0
}

// clientBits are the bits of an IPv6 address that tell clients apart: a host has the others to itself (RFC 4291 §2.5.1).
const clientBits = 64

// Limit sets the limits; what runs goes on.
func (q *Quota) Limit(total, perClient int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.total, q.perClient = total, perClient
}

// Take takes a place for a client, which has to be given back once by release; ok is false if there is none.
func (q *Quota) Take(client netip.Addr) (release func(), ok bool) {
	bits := client.BitLen()
	if client.Is6() {
		bits = clientBits
	}
	network, _ := client.Prefix(bits) // an address that is none has a network that is none
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.running >= q.total || q.runningFor[network] >= q.perClient {
		return nil, false
	}
	if q.runningFor == nil {
		q.runningFor = map[netip.Prefix]int{}
	}
	q.running++
	q.runningFor[network]++
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.running--
		if q.runningFor[network]--; q.runningFor[network] == 0 {
			delete(q.runningFor, network)
		}
	}, true
}
