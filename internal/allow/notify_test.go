package allow

import (
	"net/netip"
	"testing"

	"go4.org/netipx"

	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

const secret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"

func newKey(t *testing.T, name, secret string) *xfr.Key {
	t.Helper()
	k, err := xfr.NewKey(name, "hmac-sha256", secret)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// source returns a line of allow_notify.
func source(t *testing.T, first, last string, key *xfr.Key) Source {
	t.Helper()
	r := netipx.IPRangeFrom(netip.MustParseAddr(first), netip.MustParseAddr(last))
	if !r.IsValid() {
		t.Fatalf("Range %s-%s", first, last)
	}
	return Source{Range: r, Key: key}
}

// RFC 1996 §3.10: a NOTIFY from a host that is not a primary is ignored; allow_notify adds hosts, and keys.
func TestNotifyIsAcceptedFromPrimariesAndListedSources(t *testing.T) {
	k, k2 := newKey(t, "k.", secret), newKey(t, "other.key.", secret)
	same := newKey(t, "k.", secret) // another pointer to the same key
	impostor := newKey(t, "k.", "aW1wb3N0b3I=")
	at := func(addr string, key *xfr.Key) xfr.Primary {
		return xfr.Primary{Addr: netip.MustParseAddrPort(addr), Key: key}
	}
	plain, keyed := at("192.0.2.1:53", nil), at("192.0.2.2:53", k)
	six, mapped := at("[2001:db8:1::1]:53", nil), at("[::ffff:192.0.2.9]:53", nil)
	primaries := []xfr.Primary{plain, keyed, six, mapped}
	sources := List{
		source(t, "198.51.100.10", "198.51.100.20", nil),
		source(t, "2001:db8:2::", "2001:db8:2:ffff:ffff:ffff:ffff:ffff", nil),
		source(t, "203.0.113.0", "203.0.113.255", k2),
	}
	for _, c := range []struct {
		name    string
		sources List // nil: those above
		from    string
		key     *xfr.Key
		verdict Verdict
		primary int
	}{
		{"stranger", nil, "192.0.2.77", nil, NotAllowed, -1},
		{"stranger with a key", nil, "192.0.2.77", k, NotAllowed, -1},
		{"primary", nil, "192.0.2.1", nil, Accepted, 0},
		{"primary that signs without need", nil, "192.0.2.1", k2, Accepted, 0},
		{"primary with a key, unsigned", nil, "192.0.2.2", nil, Hinted, 1},
		{"primary with a key", nil, "192.0.2.2", k, Accepted, 1},
		{"primary with an equal key", nil, "192.0.2.2", same, Accepted, 1},
		{"primary with another key", nil, "192.0.2.2", k2, Hinted, 1},
		{"primary with another secret", nil, "192.0.2.2", impostor, Hinted, 1},
		{"IPv6 primary", nil, "2001:db8:1::1", nil, Accepted, 2},
		{"primary configured as mapped", nil, "192.0.2.9", nil, Accepted, 3},
		{"mapped primary", nil, "::ffff:192.0.2.1", nil, Accepted, 0},
		{"below the range", nil, "198.51.100.9", nil, NotAllowed, -1},
		{"first of the range", nil, "198.51.100.10", nil, Accepted, -1},
		{"last of the range", nil, "198.51.100.20", nil, Accepted, -1},
		{"above the range", nil, "198.51.100.21", nil, NotAllowed, -1},
		{"mapped in the range", nil, "::ffff:198.51.100.15", nil, Accepted, -1},
		{"mapped above the range", nil, "::ffff:198.51.100.21", nil, NotAllowed, -1},
		{"in the IPv6 range", nil, "2001:db8:2::53", nil, Accepted, -1},
		{"above the IPv6 range", nil, "2001:db8:3::", nil, NotAllowed, -1},
		{"range with a key, unsigned", nil, "203.0.113.5", nil, KeyRequired, -1},
		{"range with a key", nil, "203.0.113.5", k2, Accepted, -1},
		{"range with another key", nil, "203.0.113.5", k, KeyRequired, -1},

		// A line that names a primary's address takes the place of its key.
		{"primary listed without a key", List{source(t, "192.0.2.2", "192.0.2.2", nil)}, "192.0.2.2", nil, Accepted, 1},
		{"primary listed with a key, unsigned", List{source(t, "192.0.2.1", "192.0.2.1", k2)}, "192.0.2.1", nil, KeyRequired, 0},
		{"primary listed with a key", List{source(t, "192.0.2.1", "192.0.2.1", k2)}, "192.0.2.1", k2, Accepted, 0},
		{"primary listed with its own key, unsigned", List{source(t, "192.0.2.2", "192.0.2.2", k)}, "192.0.2.2", nil, KeyRequired, 1},
		{"primary listed with its own key, another", List{source(t, "192.0.2.2", "192.0.2.2", k)}, "192.0.2.2", k2, KeyRequired, 1},
		{"keyed primary in a range with a key, unsigned", List{source(t, "192.0.2.0", "192.0.2.255", k2)}, "192.0.2.2", nil, KeyRequired, 1},
		{"primary listed with another key, its own", List{source(t, "192.0.2.2", "192.0.2.2", k2)}, "192.0.2.2", k, Accepted, 1},
		{
			"listed twice, one without a key",
			List{source(t, "192.0.2.50", "192.0.2.60", k2), source(t, "192.0.2.55", "192.0.2.55", nil)},
			"192.0.2.55", nil, Accepted, -1,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.sources == nil {
				c.sources = sources
			}
			if verdict, primary := Notify(primaries, c.sources, netip.MustParseAddr(c.from), c.key); verdict != c.verdict || primary != c.primary {
				t.Errorf("Verdict %d, primary %d; want %d, %d", verdict, primary, c.verdict, c.primary)
			}
		})
	}
}

// Two primaries on one host are told apart by their keys.
func TestNotifyIsFromThePrimaryWhoseKeySignsIt(t *testing.T) {
	k, k2 := newKey(t, "k.", secret), newKey(t, "other.key.", secret)
	primaries := []xfr.Primary{
		{Addr: netip.MustParseAddrPort("192.0.2.1:53"), Key: k}, {Addr: netip.MustParseAddrPort("192.0.2.1:5353"), Key: k2},
	}
	for i, key := range []*xfr.Key{k, k2} {
		if verdict, primary := Notify(primaries, nil, netip.MustParseAddr("192.0.2.1"), key); verdict != Accepted || primary != i {
			t.Errorf("Verdict %d, primary %d; want %d", verdict, primary, i)
		}
	}
	if verdict, _ := Notify(primaries, nil, netip.MustParseAddr("192.0.2.1"), nil); verdict != Hinted {
		t.Errorf("Unsigned: verdict %d", verdict)
	}
}
