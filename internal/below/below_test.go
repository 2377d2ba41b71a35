package below_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/below"
	"github.com/secondaryplus/secondaryplus/internal/notify"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/xfrout"
)

var (
	here    = netip.MustParseAddr("192.0.2.1")
	begin   = time.Unix(1700000000, 0)
	version = xfrout.Served{Serial: serial.New(7), At: begin}
)

// told returns how somebody stands who has acknowledged a version, or leaves NOTIFYs unanswered.
func told(address string, acknowledged uint32, failing bool) notify.Status {
	s := notify.Status{Target: notify.Target{Addr: netip.MustParseAddrPort(address)}, Rcode: -1}
	if acknowledged > 0 {
		s.Told, s.HasTold, s.ToldAt = serial.New(acknowledged), true, begin
	}
	if failing {
		s.FailedAt, s.Telling = begin, true
	}
	return s
}

func asked(have uint32) xfrout.Secondary {
	return xfrout.Secondary{Addr: here, Asked: serial.New(have), AskedAt: begin.Add(time.Minute)}
}

func sent(n uint32) xfrout.Secondary {
	return xfrout.Secondary{Addr: here, Sent: xfrout.Sent{At: begin, Serial: serial.New(n)}}
}

// Each state follows from what was seen and what is said to NOTIFYs, and from nothing else.
func TestStates(t *testing.T) {
	answers, silent := told("192.0.2.1:53", 7, false), told("192.0.2.1:53", 0, true)
	fails := told("192.0.2.1:53", 6, true)
	seen := func(s xfrout.Secondary) *xfrout.Secondary { return &s }
	for what, c := range map[string]struct {
		served *xfrout.Served
		told   *notify.Status
		seen   *xfrout.Secondary
		want   below.State
	}{
		"acknowledges, and was never seen":           {&version, &answers, nil, below.Unknown},
		"leaves NOTIFYs unanswered, never seen":      {&version, &silent, nil, below.Failing},
		"has failed for an older version":            {&version, &fails, nil, below.Failing},
		"was sent what is served":                    {&version, nil, seen(sent(7)), below.Current},
		"was sent it, and leaves NOTIFYs unanswered": {&version, &silent, seen(sent(7)), below.Current},
		"asks from what is served":                   {&version, &answers, seen(asked(7)), below.Current},
		"asks from what is to come":                  {&version, &answers, seen(asked(8)), below.Current},
		"asks from before":                           {&version, nil, seen(asked(6)), below.Behind},
		"asks from before, and acknowledges":         {&version, &answers, seen(asked(6)), below.Behind},
		"asks from before, and does not answer":      {&version, &silent, seen(asked(6)), below.Failing},
		"asks across 2^32 (RFC 1982)":                {&version, nil, seen(asked(1<<32 - 1)), below.Behind},
		"asks from what nobody can compare":          {&version, nil, seen(asked(7 + 1<<31)), below.Behind},
		"nothing is served":                          {nil, &silent, seen(sent(7)), below.Unknown},
	} {
		var all []notify.Status
		if c.told != nil {
			all = append(all, *c.told)
		}
		var some []xfrout.Secondary
		if c.seen != nil {
			some = append(some, *c.seen)
		}
		for i := range some {
			some[i].LateAt = begin
		}
		got := below.Of(c.served, all, some)
		if late := got[0].LateAt(); c.served == nil && !late.IsZero() {
			t.Errorf("%s: late since %s", what, late)
		}
		if len(got) != 1 || got[0].State != c.want {
			t.Errorf("%s: %+v; want one, %s", what, got, c.want)
		}
	}
}

// Who is told and who was seen are one by address; where several are told at one address, nobody knows which of them was seen.
func TestSecondariesAreOneByAddress(t *testing.T) {
	key, err := xfr.NewKey("down.", "hmac-sha256", "c2VjcmV0")
	if err != nil {
		t.Fatal(err)
	}
	keyed := told("192.0.2.1:53", 7, false)
	keyed.Target.Key = key
	other := asked(7)
	other.Key = "up."
	for want, c := range map[string]struct {
		told []notify.Status
		seen []xfrout.Secondary
	}{
		"192.0.2.1:53 down. current":                     {[]notify.Status{keyed}, []xfrout.Secondary{other}},
		"192.0.2.1:53  unknown":                          {[]notify.Status{told("192.0.2.1:53", 7, false)}, nil},
		"192.0.2.1:0 up. current":                        {nil, []xfrout.Secondary{other}},
		"192.0.2.2:53  unknown, 192.0.2.1:0 up. current": {[]notify.Status{told("192.0.2.2:53", 7, false)}, []xfrout.Secondary{other}},
		"192.0.2.1:53 down. unknown, 192.0.2.1:54  unknown, 192.0.2.1:0 up. current": {[]notify.Status{keyed, told("192.0.2.1:54", 7, false)}, []xfrout.Secondary{other}},
		"": {nil, nil},
	} {
		got := ""
		for i, s := range below.Of(&version, c.told, c.seen) {
			if i > 0 {
				got += ", "
			}
			got += fmt.Sprintf("%s %s %s", s.Addr, s.Key(), s.State)
		}
		if got != want {
			t.Errorf("got %q; want %q", got, want)
		}
	}
}

// There is one line for each address over all zones, the worst first, and no more than there is room for.
func TestLines(t *testing.T) {
	lines := below.Lines{Most: 4}
	add := func(address string, n int, s below.State, seen *xfrout.Secondary) {
		for range n {
			lines.Add(&below.Secondary{Addr: netip.MustParseAddrPort(address), State: s, Seen: seen})
		}
	}
	add("192.0.2.4:53", 5, below.Current, &xfrout.Secondary{Sent: xfrout.Sent{At: begin}})
	add("192.0.2.4:0", 1, below.Current, &xfrout.Secondary{Sent: xfrout.Sent{At: begin.Add(time.Hour)}})
	add("192.0.2.3:53", 2, below.Unknown, nil)
	add("192.0.2.2:53", 3, below.Behind, &xfrout.Secondary{LateAt: begin.Add(time.Hour)})
	add("192.0.2.2:53", 1, below.Behind, &xfrout.Secondary{LateAt: begin})
	add("192.0.2.1:53", 1, below.Failing, nil)
	add("192.0.2.5:53", 3, below.Failing, nil)
	all := lines.Sorted()
	var got []string
	for _, l := range all {
		got = append(got, fmt.Sprintf("%s %d", l.Addr, l.Zones()))
	}
	if want := []string{"192.0.2.1 1", "192.0.2.2 4", "192.0.2.3 2", "192.0.2.4 6"}; !slices.Equal(got, want) || lines.Omitted != 3 {
		t.Errorf("lines %q, %d omitted; want %q, 3", got, lines.Omitted, want)
	}
	if l := all[1]; !l.LateAt.Equal(begin) {
		t.Errorf("late since %s; want the first, %s", l.LateAt, begin)
	}
	if l := all[3]; !l.SentAt.Equal(begin.Add(time.Hour)) {
		t.Errorf("last transfer %s; want the latest", l.SentAt)
	}
}
