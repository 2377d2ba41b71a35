package xfr

import (
	"fmt"
	"net/netip"
	"strings"
)

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

// dnsPort is where a server listens that is given without a port (RFC 1035 §4.2).
const dnsPort = 53

// WantAddr says what ParseAddr takes.
const WantAddr = "an IP address with an optional port, such as 192.0.2.1, 192.0.2.1:5353 or [2001:db8::1]:53; " +
	"host names are not resolved"

// ParseAddr returns the address and port of a server. Host names, and addresses that are nobody's, are errors.
func ParseAddr(s string) (netip.AddrPort, error) {
	host := s
	if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
		host = strings.TrimSuffix(inner, "]")
	}
	addr, err := netip.ParseAddr(host)
	at := netip.AddrPortFrom(addr, dnsPort)
	if err != nil {
		if at, err = netip.ParseAddrPort(s); err != nil {
			return netip.AddrPort{}, err
		}
	}
	addr = at.Addr().Unmap()
	if addr.IsUnspecified() || addr.IsMulticast() || at.Port() == 0 {
		return netip.AddrPort{}, fmt.Errorf("%v is nobody's address", at)
	}
	return netip.AddrPortFrom(addr, at.Port()), nil
}
