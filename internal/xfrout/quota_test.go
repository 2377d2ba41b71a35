package xfrout_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/xfrout"
)

// A place is for one client of all: an IPv4 address, or the 64 bits of an IPv6 network. What is given back can be taken again.
func TestQuota(t *testing.T) {
	var q xfrout.Quota
	take := func(client string, want bool) func() {
		t.Helper()
		release, ok := q.Take(netip.MustParseAddr(client))
		if ok != want {
			t.Errorf("%s: let in is %v; want %v", client, ok, want)
		}
		return release
	}
	take("192.0.2.1", false)
	q.Limit(4, 2)
	first := take("192.0.2.1", true)
	take("192.0.2.1", true)
	take("192.0.2.1", false)
	take("2001:db8::1", true)
	second := take("2001:db8::2", true)
	take("2001:db8:0:0:1::1", false)
	take("192.0.2.2", false)
	first()
	take("2001:db8::3", false)
	take("192.0.2.1", true)
	q.Limit(3, 1)
	second()
	take("192.0.2.9", false) // three run still
	q.Limit(5, 2)
	take("2001:db8::3", true)
	take("192.0.2.9", true)
}

// What has been seen of secondaries is kept for each zone; of too many, that of those seen last.
func TestSeen(t *testing.T) {
	var s xfrout.Seen
	now := time.Unix(1700000000, 0)
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	sent := xfrout.Sent{At: now, Serial: serial.New(7), Incremental: true, Octets: 120}
	s.Asked("example.", addr(2), serial.New(5), now)
	s.Sent("example.", addr(2), sent)
	s.Sent("example.", addr(1), sent)
	s.Asked("example.org.", addr(2), serial.New(9), now)
	want := fmt.Sprint([]xfrout.Secondary{
		{Addr: addr(1), Sent: sent}, {Addr: addr(2), Asked: serial.New(5), AskedAt: now, Sent: sent},
	})
	if got := fmt.Sprint(s.Of("example.")); got != want {
		t.Errorf("seen %s; want %s", got, want)
	}
	for i := range xfrout.MaxSeen - 1 {
		s.Asked("many.", addr(i), serial.New(1), now)
		s.Asked("example.", addr(2), serial.New(uint32(i)), now)
	}
	if got := s.Of("example."); len(got) != 1 || got[0].Addr != addr(2) || got[0].Sent != sent {
		t.Errorf("seen last %v; want %v alone, with all that is known", got, addr(2))
	}
	if n := len(s.Of("many.")); n != xfrout.MaxSeen-1 {
		t.Errorf("%d secondaries of another zone; want %d", n, xfrout.MaxSeen-1)
	}
}
