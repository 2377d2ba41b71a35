package rules_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// AL1: a serial outside 1..2^32-1 stops the synchronization, unless serial_zero says accept.
func TestSerialZeroStops(t *testing.T) {
	for _, n := range []uint32{0, 1, 1 << 31, 1<<32 - 1} {
		for _, accept := range []bool{false, true} {
			v := rules.JudgeSOA(wire.SOA{Serial: serial.New(n)}, accept)
			if stops := v != nil; stops != (n == 0 && !accept) {
				t.Errorf("Serial %d, accepted %v: %v", n, accept, v)
			}
			if v != nil && (v.Rule != reason.SerialZero || v.Count != 1 || !strings.Contains(v.Error(), "SOA serial 0")) {
				t.Errorf("Violation %+v", v)
			}
		}
	}
}

// name returns a name on the wire.
func name(t *testing.T, s string) wire.Name {
	t.Helper()
	n, err := wire.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// candidate returns contents with this refresh, and what was discarded on the way. signed adds a DNSKEY record.
func candidate(t *testing.T, refresh uint32, signed bool, unfit ...wire.RR) (*zone.Contents, *zone.Discards) {
	t.Helper()
	origin := name(t, "example.")
	soa := append(append([]byte{}, origin...), origin...)
	for _, n := range []uint32{1, refresh, 3600, 86400, 300} {
		soa = append(soa, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	b := zone.NewBuilder(origin, zone.Limits{})
	add := func(rr wire.RR) {
		if err := b.Add(&rr); err != nil {
			t.Fatal(err)
		}
	}
	add(wire.RR{Owner: origin, Type: wire.TypeSOA, Class: wire.ClassIN, Data: soa})
	if signed {
		add(wire.RR{Owner: origin, Type: wire.TypeDNSKEY, Class: wire.ClassIN, Data: []byte{1, 1, 3, 13, 0}})
	}
	d := b.Discards()
	for _, rr := range unfit {
		if rr.Data == nil {
			b.Malformed(&rr)
			continue
		}
		add(rr)
	}
	c, err := b.Seal()
	if err != nil {
		t.Fatal(err)
	}
	return c, d
}

// spans returns the timers that are in force with contents where there are no limits.
func spans(c *zone.Contents) refresh.Spans {
	var limits refresh.Config
	return limits.Spans(c.SOA())
}

// AL2: a refresh outside 30..2^32-1 is remarked upon, and nothing more.
func TestRefreshOutsideItsRangeIsRemarked(t *testing.T) {
	for refresh, outside := range map[uint32]bool{0: true, 5: true, 29: true, 30: false, 3600: false, 1<<32 - 1: false} {
		c, d := candidate(t, refresh, false)
		refused, remarks := rules.Judge(c, nil, d, &zone.Losses{}, spans(c))
		if refused != nil {
			t.Errorf("Refresh %d is refused: %v", refresh, refused)
		}
		if outside != slices.ContainsFunc(remarks, func(v rules.Violation) bool { return v.Rule == reason.RefreshRange && v.Count == 1 }) {
			t.Errorf("Refresh %d: %v", refresh, remarks)
		}
		if c.SOA().Refresh != refresh {
			t.Errorf("The SOA has refresh %d; want %d", c.SOA().Refresh, refresh)
		}
	}
}

// AL4: records that do not belong are left out and counted by rule; malformed ones break a signed zone (RFC 4035 §3.1.5).
func TestDiscardsAreRemarked(t *testing.T) {
	foreign := wire.RR{Owner: name(t, "www.test."), Type: wire.TypeA, Class: wire.ClassIN, Data: []byte{192, 0, 2, 1}}
	chaos := wire.RR{Owner: name(t, "ch.example."), Type: 16, Class: 3, Data: []byte{1, 'x'}}
	malformed := wire.RR{Owner: name(t, "bad.example."), Type: wire.TypeA, Class: wire.ClassIN}
	for _, c := range []struct {
		name   string
		signed bool
		unfit  []wire.RR
		want   map[reason.Reason]int
		broken bool
	}{
		{"none", true, nil, map[reason.Reason]int{}, false},
		{"unsigned", false, []wire.RR{foreign, foreign, chaos, malformed}, map[reason.Reason]int{reason.OutOfZone: 2, reason.NonIN: 1, reason.MalformedRecord: 1}, false},
		{"signed", true, []wire.RR{foreign, chaos}, map[reason.Reason]int{reason.OutOfZone: 1, reason.NonIN: 1}, false},
		{"signed and malformed", true, []wire.RR{malformed, malformed}, map[reason.Reason]int{reason.MalformedRecord: 2}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			contents, discards := candidate(t, 3600, c.signed, c.unfit...)
			refused, remarks := rules.Judge(contents, nil, discards, &zone.Losses{}, spans(contents))
			got := map[reason.Reason]int{}
			for _, r := range remarks {
				got[r.Rule] += r.Count
				if !strings.Contains(r.Detail, fmt.Sprint(r.Count)) {
					t.Errorf("%q does not tell how many", r.Detail)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("Remarks %v; want %v", got, c.want)
			}
			switch {
			case c.broken != (refused != nil):
				t.Errorf("Refused: %v", refused)
			case refused != nil && (refused.Rule != reason.SignedBroken || refused.Count != 2 || !strings.Contains(refused.Detail, "bad.example. A")):
				t.Errorf("Refused: %+v", refused)
			}
		})
	}
}

func TestEveryRefusalHasItsRule(t *testing.T) {
	for _, c := range []struct {
		err  error
		want reason.Reason
	}{
		{zone.ErrTooManyRecords, reason.MaxRecords},
		{zone.ErrTooBig, reason.MaxSize},
		{zone.ErrLargeRRset, reason.RRsetSize},
		{zone.ErrManyTypes, reason.NameTypes},
		{zone.ErrSOAOwner, reason.SOAOwner},
		{zone.ErrNoSOA, reason.BadApex},
		{zone.ErrManySOAs, reason.BadApex},
		{&rules.Violation{Rule: reason.SerialZero}, reason.SerialZero},
	} {
		for _, err := range []error{c.err, fmt.Errorf("wrapped: %w", c.err)} {
			if got := reason.Of(err); got != c.want || !got.Refuses() {
				t.Errorf("%v: rule %q; want %q", err, got, c.want)
			}
		}
	}
}
