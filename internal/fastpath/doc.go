// Package fastpath answers queries over UDP sockets of its own, which share an address with those of CoreDNS's server.
//
// The kernel gives every datagram to one of the sockets. Plain queries are answered from the pages of the zone without a
// detour over dns.RR, many datagrams in one system call; all others are handed to a server that treats them as CoreDNS's own
// does. So it does not matter for an answer which socket a query came to.
package fastpath

import "net/netip"

// Answer answers one query into buf, which it may extend up to its capacity, and returns the reply; nil hands the query
// over, and an empty one leaves it without an answer. client is the address the query came from: an IPv4 one is in the form of IPv4 on every socket.
type Answer func(query, buf []byte, client netip.Addr) []byte

// Dropped is told how many datagrams were dropped, and why: nothing waits for whoever cannot take a reply, or asks too much.
type Dropped func(reason string, n int)

// Reasons for which datagrams are dropped.
const (
	DropBuffer = "send_buffer" // replies: the socket's send buffer is full of others
	DropError  = "send_error"  // replies: the kernel refuses to send them
	DropQueue  = "queue"       // queries: too many wait for CoreDNS's server
)
