package allow

import (
	"net/netip"
	"testing"

	"go4.org/netipx"

	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

func key(t *testing.T, name string) *xfr.Key {
	t.Helper()
	return newKey(t, name, secret)
}

func prefix(s string) netipx.IPRange { return netipx.RangeOfPrefix(netip.MustParsePrefix(s)) }

// All that one source says has to hold; of several that have the address one is enough.
func TestListAdmits(t *testing.T) {
	k, other := key(t, "k."), key(t, "other.")
	l := List{{prefix("192.0.2.0/24"), k}, {prefix("192.0.2.7/32"), nil}, {prefix("2001:db8::/32"), k}}
	for _, c := range []struct {
		from            string
		key             *xfr.Key
		listed, allowed bool
	}{
		{"192.0.2.1", k, true, true},
		{"192.0.2.1", other, true, false},
		{"192.0.2.1", nil, true, false},
		{"::ffff:192.0.2.1", k, true, true},
		{"192.0.2.7", nil, true, true},
		{"192.0.2.7", other, true, true},
		{"192.0.3.1", k, false, false},
		{"2001:db8::1", k, true, true},
		{"2001:db8::1", nil, true, false},
		{"2001:db9::1", k, false, false},
	} {
		if listed, allowed := l.Admits(netip.MustParseAddr(c.from), c.key); listed != c.listed || allowed != c.allowed {
			t.Errorf("%s with key %v: listed %v, allowed %v; want %v, %v", c.from, c.key != nil, listed, allowed, c.listed, c.allowed)
		}
	}
	if listed, _ := List(nil).Admits(netip.Addr{}, nil); listed {
		t.Error("Nobody is listed")
	}
}

func TestListsAreEqual(t *testing.T) {
	l := List{{prefix("192.0.2.0/24"), key(t, "k.")}}
	if !l.Equal(List{{prefix("192.0.2.0/24"), key(t, "k.")}}) {
		t.Error("The same list read again is another one")
	}
	for _, o := range []List{nil, {{prefix("192.0.2.0/24"), nil}}, {{prefix("192.0.2.0/25"), key(t, "k.")}}, append(l[:1:1], l[0])} {
		if l.Equal(o) {
			t.Errorf("%v is equal to %v", l, o)
		}
	}
}
