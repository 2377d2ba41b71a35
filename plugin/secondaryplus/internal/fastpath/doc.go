// Package fastpath answers queries over UDP sockets of its own, which share an address with those of CoreDNS's server.
//
// The kernel gives every datagram to one of the sockets. Plain queries are answered from the pages of the zone without a
// detour over dns.RR, many datagrams in one system call; all others are handed to a server that treats them as CoreDNS's own
// does. So it does not matter for an answer which socket a query came to.
package fastpath

// Answer answers one query into buf, which it may extend up to its capacity, and returns the reply; nil hands the query
// over. v6 tells the family the client's address belongs to.
type Answer func(query, buf []byte, v6 bool) []byte
