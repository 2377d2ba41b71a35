// Package allow says who may send a message: by the address that it comes from and the key that it is signed with.
package allow

import (
	"net/netip"
	"slices"

	"go4.org/netipx"

	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// Source is a range of addresses that a message may come from. It is a plain value.
type Source struct {
	Range netipx.IPRange // an address of IPv4 is one of IPv4 here, never mapped into IPv6
	Key   *xfr.Key       // that it must be signed with; nil for none
}

// List is some sources. It is not changed once it is in use, and then safe for concurrent use.
type List []Source

// Admits says what there is for a message from an address, perhaps an IPv4 one mapped into IPv6, with a key that has been
// verified, nil for none. It is listed if a source has the address, and allowed if one of those is content with the key.
func (l List) Admits(from netip.Addr, key *xfr.Key) (listed, allowed bool) {
	from = from.Unmap()
	for _, s := range l {
		if !s.Range.Contains(from) {
			continue
		}
		if s.Key == nil || s.Key.Equal(key) {
			return true, true
		}
		listed = true
	}
	return listed, false
}

// Equal reports whether two lists have the same sources in the same order.
func (l List) Equal(o List) bool {
	return slices.EqualFunc(l, o, func(a, b Source) bool { return a.Range == b.Range && a.Key.Equal(b.Key) })
}
