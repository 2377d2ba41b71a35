package corefile

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// maxSize is the most that a size may be, in octets.
const maxSize = 1 << 40

// size reads a number of octets with an optional K, M or G.
func size(l line) (int64, error) {
	n, ok := parseSize(l.args()[0])
	if !ok {
		return 0, l.wrong(l.args()[0],
			"a whole number of bytes, of at least 1 and at most 1024G, with an optional K, M or G, such as 256M")
	}
	return n, nil
}

// parseSize reads a number of octets with an optional K, M or G (powers of 1024), from 1 to maxSize.
func parseSize(s string) (int64, bool) {
	shift := 0
	for i, unit := range []string{"K", "M", "G"} {
		if number, ok := strings.CutSuffix(s, unit); ok {
			s, shift = number, 10*(i+1)
			break
		}
	}
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n) << shift, err == nil && n >= 1 && n <= uint64(maxSize)>>shift
}

// parseCount reads a whole number from 1 to limit.
func parseCount(s string, limit int) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	return int(n), err == nil && n >= 1 && n <= uint64(limit)
}

// span reads a time.
func span(l line) (time.Duration, error) {
	word := l.args()[0]
	d, ok := parseDuration(word)
	if !ok {
		return 0, l.wrong(word, "a time of at least 1s, in whole seconds, such as 90s, 15m, 2h, 1d or 3600")
	}
	return d, nil
}

// parseDuration reads a span of whole seconds, from one to the most a SOA can say: "90s", "15m", "2h", "1d", "1w" or bare
// seconds.
func parseDuration(s string) (time.Duration, bool) {
	d, err := time.ParseDuration(s)
	for unit, span := range map[string]time.Duration{"": time.Second, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		number, ok := strings.CutSuffix(s, unit)
		if n, err2 := strconv.ParseUint(number, 10, 32); ok && err2 == nil && n <= uint64(maxSOATimer/span) {
			d, err = time.Duration(n)*span, nil
		}
	}
	return d, err == nil && d >= time.Second && d <= maxSOATimer && d%time.Second == 0
}

// dnsPort is where a server listens that is given without a port (RFC 1035 §4.2).
const dnsPort = 53

// ParseAddr returns the address and port of a server. Host names, and addresses that are nobody's, are errors, which say
// what is right.
func ParseAddr(s string) (netip.AddrPort, error) {
	at, err := netip.ParseAddrPort(s)
	if err != nil {
		host := s
		if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
			host = strings.TrimSuffix(inner, "]")
		}
		var addr netip.Addr
		addr, err = netip.ParseAddr(host)
		at = netip.AddrPortFrom(addr, dnsPort)
	}
	nobody := nobodys(at.Addr())
	if err != nil || nobody != "" || at.Port() == 0 {
		return netip.AddrPort{}, errors.New(nobody + "want an IP address with an optional port, such as 192.0.2.1, " +
			"192.0.2.1:5353 or [2001:db8::1]:53; host names are not resolved")
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), nil
}

// parseLocal returns the local address that s says.
func parseLocal(s string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(s)
	if err != nil || nobodys(addr) != "" {
		return netip.Addr{}, fmt.Errorf("%swant an IP address of this machine, without a port", nobodys(addr))
	}
	return addr.Unmap(), nil
}

// nobodys says why no machine has an address, in words that go before what is wanted; empty for others and for none.
func nobodys(addr netip.Addr) string {
	switch {
	case addr.Unmap().IsUnspecified():
		return "this is the unspecified address, which no machine has; "
	case addr.Unmap().IsMulticast():
		return "this is a multicast address, not that of one machine; "
	}
	return ""
}
