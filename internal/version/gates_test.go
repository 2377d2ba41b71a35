package version_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// AL1: a serial outside 1..2^32-1 stops the synchronization, unless serial_zero says accept.
func TestSerialZeroStops(t *testing.T) {
	for _, n := range []uint32{0, 1, 1 << 31, 1<<32 - 1} {
		for _, accept := range []bool{false, true} {
			err := (&version.Policy{Limits: refresh.Limits{SerialZero: accept}}).CheckSerial(serial.New(n))
			if stops := err != nil; stops != (n == 0 && !accept) {
				t.Errorf("Serial %d, accepted %v: %v", n, accept, err)
			}
			if err != nil && (reason.Of(err) != reason.SerialZero || !strings.Contains(err.Error(), "SOA serial 0")) {
				t.Errorf("%+v", err)
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

// AL2: a refresh outside 30..2^32-1 is remarked upon, and nothing more.
func TestRefreshOutsideItsRangeIsRemarked(t *testing.T) {
	for refresh, outside := range map[uint32]bool{0: true, 5: true, 29: true, 30: false, 3600: false, 1<<32 - 1: false} {
		c, d := candidate(t, refresh, false)
		refused, remarks := version.Pass(c, nil, d, &zone.Losses{}, &version.Policy{})
		if refused != nil {
			t.Errorf("Refresh %d is refused: %v", refresh, refused)
		}
		if outside != slices.ContainsFunc(remarks, func(v version.Violation) bool { return v.Rule == reason.RefreshRange && v.Count == 1 }) {
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
			refused, remarks := version.Pass(contents, nil, discards, &zone.Losses{}, &version.Policy{})
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
		{&version.Violation{Rule: reason.SerialZero}, reason.SerialZero},
	} {
		for _, err := range []error{c.err, fmt.Errorf("wrapped: %w", c.err)} {
			if got := reason.Of(err); got != c.want || !got.Refuses() {
				t.Errorf("%v: rule %q; want %q", err, got, c.want)
			}
		}
	}
}

// conflicting are records of which one loses by rfc: an address, and a CNAME beside it.
func conflicting(t *testing.T, owner string) []wire.RR {
	t.Helper()
	return []wire.RR{
		{Owner: name(t, owner), Type: wire.TypeA, Class: wire.ClassIN, TTL: 60, Data: []byte{192, 0, 2, 1}},
		{Owner: name(t, owner), Type: wire.TypeCNAME, Class: wire.ClassIN, TTL: 60, Data: name(t, "host.test.")},
	}
}

// marked returns contents marked against what is served now, with what loses.
func marked(t *testing.T, by rules.Conflicts, now *zone.Contents, timers [3]uint32, rrs ...wire.RR) (*zone.Contents, *zone.Discards, *zone.Losses) {
	t.Helper()
	origin := name(t, "example.")
	soa := append(append([]byte{}, origin...), origin...)
	for _, n := range []uint32{1, timers[0], timers[1], timers[2], 300} {
		soa = append(soa, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	b := zone.NewBuilder(origin, zone.Limits{})
	b.Exclude(by.Exclusions(), now)
	for _, rr := range append(slices.Clone(rrs), wire.RR{Owner: origin, Type: wire.TypeSOA, Class: wire.ClassIN, Data: soa}) {
		if err := b.Add(&rr); err != nil {
			t.Fatal(err)
		}
	}
	c, err := b.Seal()
	if err != nil {
		t.Fatal(err)
	}
	return c, b.Discards(), b.Losses()
}

// sound are timers that no rule has anything to say of: refresh, retry, expire.
var sound = [3]uint32{3600, 900, 86400}

// dnskey makes a zone signed.
func dnskey(t *testing.T) wire.RR {
	t.Helper()
	return wire.RR{Owner: name(t, "example."), Type: wire.TypeDNSKEY, Class: wire.ClassIN, Data: []byte{1, 1, 3, 13, 0}}
}

// What excludes what is remarked upon in an unsigned zone; in a signed one it refuses the version unless all of it is served
// already (RFC 4035 §3.1.5).
func TestConflictsAreRemarkedOrRefused(t *testing.T) {
	one, two := conflicting(t, "a.example."), conflicting(t, "b.example.")
	plain, _, _ := marked(t, rules.ConflictsRFC, nil, sound)
	markedNow, _, _ := marked(t, rules.ConflictsRFC, nil, sound, one...)
	whole, _ := markedNow.WithMarks(nil, nil)
	signed := append([]wire.RR{dnskey(t)}, one...)
	for name, c := range map[string]struct {
		by      rules.Conflicts
		now     *zone.Contents
		rrs     []wire.RR
		count   int
		refused bool
	}{
		"none":                             {rules.ConflictsRFC, nil, one[:1], 0, false},
		"unsigned":                         {rules.ConflictsRFC, nil, one, 1, false},
		"unsigned, two":                    {rules.ConflictsRFC, plain, slices.Concat(one, two), 2, false},
		"unsigned, known":                  {rules.ConflictsRFC, whole, one, 1, false},
		"unsigned, off":                    {rules.ConflictsOff, nil, one, 0, false},
		"signed, the first version":        {rules.ConflictsRFC, nil, signed, 1, true},
		"signed, fresh":                    {rules.ConflictsRFC, plain, signed, 1, true},
		"signed, alibaba":                  {rules.ConflictsAlibaba, plain, signed, 1, true},
		"signed, off":                      {rules.ConflictsOff, plain, signed, 0, false},
		"signed, without a conflict":       {rules.ConflictsRFC, plain, signed[:2], 0, false},
		"signed, known":                    {rules.ConflictsRFC, whole, signed, 0, false}, // served whole
		"signed, known and fresh":          {rules.ConflictsRFC, whole, slices.Concat(signed, two), 2, true},
		"signed now, marked before":        {rules.ConflictsRFC, markedNow, signed, 1, true},
		"signed now, the conflict is over": {rules.ConflictsRFC, markedNow, signed[:2], 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			contents, d, l := marked(t, c.by, c.now, sound, c.rrs...)
			refused, remarks := version.Pass(contents, c.now, d, l, &version.Policy{})
			if (refused != nil) != c.refused {
				t.Fatalf("Refused: %v", refused)
			}
			if refused != nil && (refused.Rule != reason.CNAMEAndOther || !strings.Contains(refused.Detail, "leaving records out") || refused.Count < 1) {
				t.Errorf("Refused: %+v", refused)
			}
			n := 0
			for _, r := range remarks {
				if r.Rule == reason.CNAMEAndOther {
					n += r.Count
				}
			}
			if n != c.count && refused == nil {
				t.Errorf("%d records remarked upon; want %d: %v", n, c.count, remarks)
			}
		})
	}
}

// A signed zone whose differences touch nothing that conflicts is refused if records are left out of what is served.
func TestSignedByDifferencesIsRefusedWithMarks(t *testing.T) {
	for _, c := range []struct {
		rrs     []wire.RR
		refused bool
	}{{conflicting(t, "a.example."), true}, {conflicting(t, "a.example.")[:1], false}} {
		now, _, _ := marked(t, rules.ConflictsRFC, nil, sound, c.rrs...)
		e := now.Edit(zone.Limits{})
		e.Exclude(rules.ConflictsRFC.Exclusions())
		k := dnskey(t)
		if err := e.Add(&k); err != nil {
			t.Fatal(err)
		}
		next, err := e.Seal()
		if err != nil {
			t.Fatal(err)
		}
		if refused, _ := version.Pass(next, now, e.Discards(), e.Losses(), &version.Policy{}); (refused != nil) != c.refused {
			t.Errorf("%d records are marked; refused: %v", next.Marked(), refused)
		}
	}
}

// An EXPIRE below REFRESH and RETRY together, as they are in force, is remarked upon with what follows from it; their sum
// may be beyond 32 bits.
func TestTimersOutOfOrderAreRemarked(t *testing.T) {
	const (
		most   = 1<<32 - 1
		ahead  = " instead, ahead of its expiry"
		once   = "before a failed check is repeated"
		counts = "together and counts as "
	)
	all := version.Policy{}
	usual := version.Policy{Limits: refresh.Limits{
		Refresh: refresh.Clamp{Min: 30 * time.Second, Max: 672 * time.Hour},
		Retry:   refresh.Clamp{Min: 30 * time.Second, Max: 336 * time.Hour},
	}}
	limited := version.Policy{Limits: refresh.Limits{Expire: refresh.Clamp{Max: 30 * time.Minute}}}
	for _, c := range []struct {
		limits version.Policy
		timers [3]uint32
		want   string // in the remark; empty for none
	}{
		{all, [3]uint32{3600, 900, 4500}, ""},
		{all, [3]uint32{3600, 900, 4499}, counts + "1h15m0s"},
		{all, [3]uint32{3600, 900, 0}, "SOA expire 0 is below refresh 1h0m0s and retry 15m0s " + counts + "1h15m0s"},
		{all, [3]uint32{3600, 0, 3601}, ""}, // no timer is below a second
		{all, [3]uint32{3600, 0, 3600}, counts + "1h0m1s"},
		{limited, [3]uint32{3600, 900, 86400}, "checked every 15m0s" + ahead},
		{limited, [3]uint32{30, 1800, 1799}, once},
		{limited, [3]uint32{60, 60, 120}, ""},
		{all, [3]uint32{most, most, most}, ahead},
		{all, [3]uint32{1 << 31, 1 << 30, 10}, counts},
		{all, [3]uint32{5, 5, 60}, counts + "30m5s"},
		{all, [3]uint32{5, 5, 86400}, ""},
		{usual, [3]uint32{5, 5, 60}, counts + "30m30s"},
		{usual, [3]uint32{60, 5, 89}, counts + "1m30s"}, // with a RETRY of 5 s it would do
		{usual, [3]uint32{60, 5, 90}, ""},
		{usual, [3]uint32{1 << 31, 1 << 31, 1 << 31}, ""},
	} {
		contents, d, l := marked(t, rules.ConflictsRFC, nil, c.timers)
		refused, remarks := version.Pass(contents, nil, d, l, &c.limits)
		i := slices.IndexFunc(remarks, func(v version.Violation) bool { return v.Rule == reason.TimerOrder && v.Count == 1 })
		if (i >= 0) != (c.want != "") || refused != nil {
			t.Errorf("%v: %v; want %q; refused %v", c.timers, remarks, c.want, refused)
		} else if i >= 0 && !strings.Contains(remarks[i].Detail, c.want) {
			t.Errorf("%v: %q; want %q", c.timers, remarks[i].Detail, c.want)
		}
	}
}

// What is said of a REFRESH that is not used is the time that is used: within the limits, and ahead of expiry.
func TestRefreshOutsideItsRangeTellsTheTimeInForce(t *testing.T) {
	for want, limits := range map[string]refresh.Limits{
		"checked every 30m0s": {},
		"checked every 5m0s":  {Refresh: refresh.Clamp{Max: 5 * time.Minute}},
		"checked every 1m0s":  {Expire: refresh.Clamp{Max: 2 * time.Minute}, Retry: refresh.Clamp{Min: time.Minute}},
	} {
		contents, d, l := marked(t, rules.ConflictsRFC, nil, [3]uint32{5, 5, 86400})
		_, remarks := version.Pass(contents, nil, d, l, &version.Policy{Limits: limits})
		if len(remarks) == 0 || remarks[0].Rule != reason.RefreshRange || !strings.Contains(remarks[0].Detail, want) {
			t.Errorf("%v; want %q", remarks, want)
		}
	}
}

// What was found is remarked upon by rule, with how often and where.
func TestFindingsAreRemarked(t *testing.T) {
	mx := wire.RR{Owner: name(t, "m.example."), Type: 15, Class: wire.ClassIN, TTL: 60, Data: append([]byte{0, 1}, name(t, "alias.example.")...)}
	alias := wire.RR{Owner: name(t, "alias.example."), Type: wire.TypeCNAME, Class: wire.ClassIN, TTL: 60, Data: name(t, "host.test.")}
	contents, _, _ := marked(t, rules.ConflictsRFC, nil, sound, mx, alias)
	got := map[reason.Reason]version.Violation{}
	for _, r := range version.Remarks(contents.Findings(nil)) {
		got[r.Rule] = r
	}
	if len(got) != 2 || got[reason.NoApexNS].Count != 1 || got[reason.TargetIsAlias].Count != 1 || !strings.Contains(got[reason.TargetIsAlias].Detail, "m.example. MX") {
		t.Errorf("Remarks %+v", got)
	}
}

// A primary's serial is not the business of conflicts: nothing of it is remarked.
func TestSoundVersionIsNotRemarked(t *testing.T) {
	contents, d, l := marked(t, rules.ConflictsAlibaba, nil, sound, dnskey(t))
	if refused, remarks := version.Pass(contents, nil, d, l, &version.Policy{}); refused != nil || len(remarks) > 0 {
		t.Errorf("Refused %v, remarks %v", refused, remarks)
	}
	if contents.Serial() != serial.New(1) {
		t.Errorf("Serial %s", contents.Serial())
	}
}
