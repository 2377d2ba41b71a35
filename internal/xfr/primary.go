package xfr

import "net/netip"

// Primary says how to reach one primary. It is a plain value, set once when the configuration is read.
type Primary struct {
	Addr   netip.AddrPort
	Key    *Key       // signs what we send and must sign what we get; nil for none
	Source netip.Addr // local address to speak from; invalid leaves the choice to the system
}

// String returns the address and port.
func (p Primary) String() string { return p.Addr.String() }

// Equal reports whether p and o are the same primary, spoken to in the same way.
func (p Primary) Equal(o Primary) bool {
	return p.Addr == o.Addr && p.Source == o.Source && p.Key.Equal(o.Key)
}
