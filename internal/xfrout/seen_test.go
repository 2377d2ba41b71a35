package xfrout_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/xfrout"
)

// client returns an address, another one for each number.
func client(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

// What has been seen of secondaries is kept for each zone; of too many, that of those seen last.
func TestSeen(t *testing.T) {
	var s xfrout.Seen
	now := time.Unix(1700000000, 0)
	sent := xfrout.Sent{At: now, Serial: serial.New(7), Incremental: true, Octets: 120}
	s.Asked("example.", client(2), "", serial.New(5), nil, now)
	s.Sent("example.", client(2), "down.", sent, nil)
	s.Sent("example.", client(1), "", sent, nil)
	s.Asked("example.org.", client(2), "", serial.New(9), nil, now)
	want := []xfrout.Secondary{
		{Addr: client(1), Sent: sent}, {Addr: client(2), Key: "down.", Asked: serial.New(5), AskedAt: now, Sent: sent},
	}
	if diff := cmp.Diff(want, s.Of("example."), cmpopts.EquateComparable(netip.Addr{}, serial.Serial{})); diff != "" {
		t.Errorf("seen (-want +got):\n%s", diff)
	}
	for i := range xfrout.MaxSeen - 1 {
		s.Asked("many.", client(i), "", serial.New(1), nil, now)
		s.Asked("example.", client(2), "", serial.New(uint32(i)), nil, now)
	}
	if got := s.Of("example."); len(got) != 1 || got[0].Addr != client(2) || got[0].Sent != sent {
		t.Errorf("seen last %v; want %v alone, with all that is known", got, client(2))
	}
	if n := len(s.Of("many.")); n != xfrout.MaxSeen-1 {
		t.Errorf("%d secondaries of another zone; want %d", n, xfrout.MaxSeen-1)
	}
	s.Removed("many.")
	if n := len(s.Of("many.")) + len(s.Of("example.org.")); n != 0 {
		t.Errorf("%d secondaries of zones that are gone", n)
	}
	s.Asked("many.", client(1), "", serial.New(1), nil, now)
	if n := len(s.Of("many.")); n != 1 {
		t.Errorf("%d secondaries of a zone that is there again; want one", n)
	}
}

// What a secondary has is what was sent to it last, or what it has asked from since; and it is late from the first version on that it
// has not, however many follow.
func TestSecondaryIsLateFromTheFirstVersionThatItHasNot(t *testing.T) {
	begin := time.Unix(1700000000, 0)
	at := func(s int) time.Time { return begin.Add(time.Duration(s) * time.Second) }
	served := func(n uint32, s int) *xfrout.Served { return &xfrout.Served{Serial: serial.New(n), At: at(s)} }
	asked := func(have uint32, v *xfrout.Served, s int) func(*xfrout.Seen) {
		return func(o *xfrout.Seen) { o.Asked("a.", client(1), "", serial.New(have), v, at(s)) }
	}
	sent := func(n uint32, v *xfrout.Served, s int) func(*xfrout.Seen) {
		return func(o *xfrout.Seen) {
			o.Sent("a.", client(1), "", xfrout.Sent{At: at(s), Serial: serial.New(n), Octets: 1}, v)
		}
	}
	published := func(n uint32, s int) func(*xfrout.Seen) {
		return func(o *xfrout.Seen) { o.Published("a.", *served(n, s)) }
	}
	const never = -1
	for what, c := range map[string]struct {
		steps []func(*xfrout.Seen)
		has   uint32
		late  int // seconds
	}{
		"it asks from what is served":        {[]func(*xfrout.Seen){asked(5, served(5, 0), 1)}, 5, never},
		"it asks from before":                {[]func(*xfrout.Seen){asked(4, served(5, 3), 9)}, 4, 3},
		"from before, of an earlier process": {[]func(*xfrout.Seen){asked(4, &xfrout.Served{Serial: serial.New(5)}, 9)}, 4, 9},
		"across 2^32 (RFC 1982)":             {[]func(*xfrout.Seen){asked(1<<32-1, served(2, 3), 9)}, 1<<32 - 1, 3},
		"a serial that nobody can compare":   {[]func(*xfrout.Seen){asked(5+1<<31, served(5, 3), 9)}, 5 + 1<<31, 3},
		"nothing is served":                  {[]func(*xfrout.Seen){asked(4, nil, 9)}, 4, never},
		"it is sent what is served":          {[]func(*xfrout.Seen){asked(4, served(5, 3), 9), sent(5, served(5, 3), 10)}, 5, never},
		"one comes while it is sent another": {[]func(*xfrout.Seen){asked(4, served(5, 3), 9), sent(5, served(6, 10), 11)}, 5, 10},
		"it asks again from before what it is sent": {[]func(*xfrout.Seen){
			asked(4, served(5, 3), 9), sent(5, served(5, 3), 10), asked(4, served(5, 3), 12),
		}, 4, 3},
		"versions follow": {[]func(*xfrout.Seen){sent(5, served(5, 0), 1), published(6, 20), published(7, 40)}, 5, 20},
		"and it asks":     {[]func(*xfrout.Seen){sent(5, served(5, 0), 1), published(6, 20), published(7, 40), asked(5, served(7, 40), 41)}, 5, 20},
		"a version is taken back": {[]func(*xfrout.Seen){
			sent(5, served(5, 0), 1), published(6, 20), published(5, 40),
		}, 5, never},
		"nothing was seen, and versions follow": {[]func(*xfrout.Seen){published(6, 20), asked(6, served(6, 20), 21)}, 6, never},
	} {
		var s xfrout.Seen
		for _, step := range c.steps {
			step(&s)
		}
		var late time.Time
		if c.late != never {
			late = at(c.late)
		}
		o := s.Of("a.")[0]
		if has, known := o.Has(); !known || has != serial.New(c.has) || !o.LateAt.Equal(late) {
			t.Errorf("%s: it has %s, %t, late since %s; want %d, %s", what, has, known, o.LateAt, c.has, late)
		}
	}
}

// What was seen outlives a process, for the zones that are still there; what cannot be read counts as nothing.
func TestSeenIsSavedAndRecalled(t *testing.T) {
	var before xfrout.Seen
	now := time.UnixMilli(1700000000123)
	served := &xfrout.Served{Serial: serial.New(9), At: now.Add(-time.Hour)}
	for i := range xfrout.MaxSeen - 1 {
		before.Asked("many.", client(i), "", serial.New(9), served, now)
	}
	before.Asked("example.", client(1), "down.", serial.New(1<<32-1), served, now)
	before.Sent("example.", client(1), "down.", xfrout.Sent{At: now, Serial: serial.New(8), Incremental: true, Octets: 1 << 40}, served)
	octets := before.Saved()
	if len(octets) > 2<<20 {
		t.Errorf("%d octets of %d pairs", len(octets), xfrout.MaxSeen)
	}
	var after xfrout.Seen
	after.Recall(octets, func(zone string) bool { return zone == "example." })
	if diff := cmp.Diff(before.Of("example."), after.Of("example."), cmpopts.EquateComparable(netip.Addr{}, serial.Serial{})); diff != "" {
		t.Errorf("recalled (-saved +recalled):\n%s", diff)
	}
	if n := len(after.Of("many.")); n != 0 {
		t.Errorf("%d secondaries of a zone that is gone", n)
	}
	after.Recall(octets, func(string) bool { return true })
	if n := len(after.Of("many.")); n != xfrout.MaxSeen-1 {
		t.Errorf("%d secondaries recalled; want %d", n, xfrout.MaxSeen-1)
	}
	for _, damaged := range [][]byte{nil, {}, octets[:len(octets)/2], {0x81, 0xa0}, []byte("nonsense")} {
		var s xfrout.Seen
		s.Recall(damaged, func(string) bool { return true })
		if n := len(s.Of("many.")) + len(s.Of("")); n != 0 {
			t.Errorf("%d secondaries of %.10x", n, damaged)
		}
	}
	var empty, none xfrout.Seen
	none.Recall(empty.Saved(), func(string) bool { return true })
	if n := len(none.Saved()); n != len(empty.Saved()) {
		t.Errorf("%d octets of nothing", n)
	}
}
