package xfr

import (
	"context"
	"net"
	"net/netip"
)

// Primary says how to reach one primary. It is a plain value, set once when the configuration is read.
type Primary struct {
	Addr   netip.AddrPort
	Key    *Key       // signs what we send and must sign what we get; nil for none
	Source netip.Addr // local address to speak from; invalid leaves the choice to the system
	Dialer Dialer     // opens connections to it, nil is the network of the system, from Source
}

// Dialer opens connections to primaries. network is "tcp" or "udp". *net.Dialer is one. It is comparable and safe for
// concurrent use.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// dialer returns what opens connections to p.
func (p Primary) dialer(network string) Dialer {
	if p.Dialer != nil {
		return p.Dialer
	}
	d := &net.Dialer{}
	switch from := netip.AddrPortFrom(p.Source, 0); {
	case !p.Source.IsValid():
	case network == "tcp":
		d.LocalAddr = net.TCPAddrFromAddrPort(from)
	default:
		d.LocalAddr = net.UDPAddrFromAddrPort(from)
	}
	return d
}

// String returns the address and port.
func (p Primary) String() string { return p.Addr.String() }

// Equal reports whether p and o are the same primary, spoken to in the same way.
func (p Primary) Equal(o Primary) bool {
	return p.Addr == o.Addr && p.Source == o.Source && p.Key.Equal(o.Key) && p.Dialer == o.Dialer
}
