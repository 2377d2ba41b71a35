//go:build !linux

package fastpath

import (
	"errors"
	"net"

	"github.com/miekg/dns"
)

// Supported says that there are no sockets on this system.
const Supported = false

// Sockets are the UDP sockets of one address; there are none on this system.
type Sockets struct{}

// Open returns an error.
func Open(func() (net.PacketConn, error), int, func() Answer, Dropped) (*Sockets, error) {
	return nil, errors.New("only Linux shares a UDP port in this way")
}

// Steer does nothing.
func (*Sockets) Steer(first, n int) error { return nil }

// Serve does nothing.
func (*Sockets) Serve(*dns.Server) {}

// Addr returns nothing.
func (*Sockets) Addr() net.Addr { return nil }

// SendBuffer is the size of no buffer.
const SendBuffer = 0

// SendBuffer returns 0.
func (*Sockets) SendBuffer() int { return 0 }

// Close does nothing.
func (*Sockets) Close() {}
