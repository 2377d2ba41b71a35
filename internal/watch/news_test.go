package watch

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// A version is counted from the first NOTIFY that told of it; one that no NOTIFY told of is not.
func TestVersionsThatNotifiesToldOf(t *testing.T) {
	begin := time.Unix(1700000000, 0)
	type step = func(r *record, at time.Time) time.Duration
	const none = -1 * time.Second
	served := known(serial.New(5))
	notified := func(n uint32) step { // 0 for a NOTIFY without the SOA
		return func(r *record, at time.Time) time.Duration {
			r.heard(&engine.Notification{From: primary.Addr(), Serial: serial.New(n), HasSerial: n > 0}, served, at)
			return none
		}
	}
	published := func(n uint32) step {
		return func(r *record, at time.Time) time.Duration {
			if took, ok := r.fulfilled(serial.New(n), at); ok {
				return took
			}
			return none
		}
	}
	checked := func(from netip.AddrPort, n uint32, err error, v *version.Version) step {
		return func(r *record, _ time.Time) time.Duration {
			a := &engine.Attempt{Primary: xfr.Primary{Addr: from}, Op: engine.OpSOA, After: wire.SOA{Serial: serial.New(n)}, Err: err, Version: v}
			r.denied(a, served)
			return none
		}
	}
	other := netip.MustParseAddrPort("192.0.2.2:53")
	wait := func(*record, time.Time) time.Duration { return none }
	for what, c := range map[string]struct {
		steps []step // one a second
		want  []time.Duration
	}{
		"no NOTIFY":                         {[]step{published(6)}, nil},
		"a NOTIFY":                          {[]step{notified(6), published(6)}, []time.Duration{1}},
		"of a later version":                {[]step{notified(6), published(7)}, []time.Duration{1}},
		"repeated":                          {[]step{notified(6), notified(6), wait, published(6), published(7)}, []time.Duration{3}},
		"of what is served":                 {[]step{notified(5), published(6)}, nil},
		"of an older version":               {[]step{notified(4), published(6)}, nil},
		"across 2^32 (RFC 1982)":            {[]step{notified(1<<31 + 4), published(1<<31 + 4)}, []time.Duration{1}},
		"an older version comes":            {[]step{notified(8), published(6), published(7), published(8)}, []time.Duration{3}},
		"two, and a version for each":       {[]step{notified(6), notified(7), published(6), wait, published(7)}, []time.Duration{2, 3}},
		"without a serial":                  {[]step{notified(0), published(6), published(7)}, []time.Duration{1}},
		"it has nothing newer itself":       {[]step{notified(9), checked(primary, 5, nil, nil), published(6), published(9)}, nil},
		"another primary has nothing newer": {[]step{notified(6), checked(other, 5, nil, nil), published(6)}, []time.Duration{2}},
		"it has something newer":            {[]step{notified(6), checked(primary, 6, nil, nil), published(6)}, []time.Duration{2}},
		"a transfer fails":                  {[]step{notified(6), checked(primary, 0, errors.New("timeout"), nil), published(6)}, []time.Duration{2}},
	} {
		var r record
		var got []time.Duration
		for i, step := range c.steps {
			if took := step(&r, begin.Add(time.Duration(i)*time.Second)); took != none {
				got = append(got, took/time.Second)
			}
		}
		if len(got) != len(c.want) || len(got) > 0 && got[0] != c.want[0] || len(got) > 1 && got[1] != c.want[1] {
			t.Errorf("%s: %d; want %d", what, got, c.want)
		}
	}
	var r record
	notified(9)(&r, begin)
	if published(9)(&r, begin.Add(2*newsSpan)) != none || r.news != nil {
		t.Error("A NOTIFY counts after two hours")
	}
	notified(99)(&r, begin)
	notified(6)(&r, begin.Add(2*newsSpan))
	if took := published(6)(&r, begin.Add(2*newsSpan+time.Second)); took != time.Second {
		t.Errorf("After a NOTIFY of what never came: %s; want 1s", took)
	}
}
