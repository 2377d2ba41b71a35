package rules_test

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// conflicting are records of which one loses by rfc: an address, and a CNAME beside it.
func conflicting(t *testing.T, owner string) []wire.RR {
	t.Helper()
	return []wire.RR{
		{Owner: name(t, owner), Type: wire.TypeA, Class: wire.ClassIN, TTL: 60, Data: []byte{192, 0, 2, 1}},
		{Owner: name(t, owner), Type: wire.TypeCNAME, Class: wire.ClassIN, TTL: 60, Data: name(t, "host.test.")},
	}
}

// version returns contents judged against what is served now, with what loses.
func version(t *testing.T, by rules.Conflicts, now *zone.Contents, timers [3]uint32, rrs ...wire.RR) (*zone.Contents, *zone.Discards, *zone.Losses) {
	t.Helper()
	origin := name(t, "example.")
	soa := append(append([]byte{}, origin...), origin...)
	for _, n := range []uint32{1, timers[0], timers[1], timers[2], 300} {
		soa = append(soa, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	b := zone.NewBuilder(origin, zone.Limits{})
	b.Judge(by.ForZone(), now)
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

// key makes a zone signed.
func key(t *testing.T) wire.RR {
	t.Helper()
	return wire.RR{Owner: name(t, "example."), Type: wire.TypeDNSKEY, Class: wire.ClassIN, Data: []byte{1, 1, 3, 13, 0}}
}

// What excludes what is remarked upon in an unsigned zone; in a signed one it refuses the version unless all of it is served
// already (RFC 4035 §3.1.5).
func TestConflictsAreRemarkedOrRefused(t *testing.T) {
	one, two := conflicting(t, "a.example."), conflicting(t, "b.example.")
	plain, _, _ := version(t, rules.ConflictsRFC, nil, sound)
	marked, _, _ := version(t, rules.ConflictsRFC, nil, sound, one...)
	whole, _ := marked.Judged(nil, nil)
	signed := append([]wire.RR{key(t)}, one...)
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
		"signed now, marked before":        {rules.ConflictsRFC, marked, signed, 1, true},
		"signed now, the conflict is over": {rules.ConflictsRFC, marked, signed[:2], 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			contents, d, l := version(t, c.by, c.now, sound, c.rrs...)
			refused, remarks := rules.Judge(contents, c.now, d, l, spans(contents))
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
		now, _, _ := version(t, rules.ConflictsRFC, nil, sound, c.rrs...)
		e := now.Edit(zone.Limits{})
		e.Judge(rules.ConflictsRFC.ForZone())
		k := key(t)
		if err := e.Add(&k); err != nil {
			t.Fatal(err)
		}
		next, err := e.Seal()
		if err != nil {
			t.Fatal(err)
		}
		if refused, _ := rules.Judge(next, now, e.Discards(), e.Losses(), spans(next)); (refused != nil) != c.refused {
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
	all := refresh.Config{}
	usual := refresh.Config{
		Refresh: refresh.Clamp{Min: 30 * time.Second, Max: 672 * time.Hour},
		Retry:   refresh.Clamp{Min: 30 * time.Second, Max: 336 * time.Hour},
	}
	limited := refresh.Config{Expire: refresh.Clamp{Max: 30 * time.Minute}}
	for _, c := range []struct {
		limits refresh.Config
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
		contents, d, l := version(t, rules.ConflictsRFC, nil, c.timers)
		refused, remarks := rules.Judge(contents, nil, d, l, c.limits.Spans(contents.SOA()))
		i := slices.IndexFunc(remarks, func(v rules.Violation) bool { return v.Rule == reason.TimerOrder && v.Count == 1 })
		if (i >= 0) != (c.want != "") || refused != nil {
			t.Errorf("%v: %v; want %q; refused %v", c.timers, remarks, c.want, refused)
		} else if i >= 0 && !strings.Contains(remarks[i].Detail, c.want) {
			t.Errorf("%v: %q; want %q", c.timers, remarks[i].Detail, c.want)
		}
	}
}

// What is said of a REFRESH that is not used is the time that is used: within the limits, and ahead of expiry.
func TestRefreshOutsideItsRangeTellsTheTimeInForce(t *testing.T) {
	for want, limits := range map[string]refresh.Config{
		"checked every 30m0s": {},
		"checked every 5m0s":  {Refresh: refresh.Clamp{Max: 5 * time.Minute}},
		"checked every 1m0s":  {Expire: refresh.Clamp{Max: 2 * time.Minute}, Retry: refresh.Clamp{Min: time.Minute}},
	} {
		contents, d, l := version(t, rules.ConflictsRFC, nil, [3]uint32{5, 5, 86400})
		_, remarks := rules.Judge(contents, nil, d, l, limits.Spans(contents.SOA()))
		if len(remarks) == 0 || remarks[0].Rule != reason.RefreshRange || !strings.Contains(remarks[0].Detail, want) {
			t.Errorf("%v; want %q", remarks, want)
		}
	}
}

// Marks are in stores: what they stand for never changes, and one that is given up is not used again.
func TestMarksStandForRules(t *testing.T) {
	marks := map[zone.Mark]reason.Reason{
		1: "cname_and_other_data", 2: "several_cnames", 3: "dname_and_cname", 4: "several_dnames", 5: "ns_and_data", 6: "alias_and_service",
	}
	for m := range 256 {
		if got, want := rules.OfMark(zone.Mark(m)), marks[zone.Mark(m)]; got != want {
			t.Errorf("Mark %d is %q; want %q", m, got, want)
		}
	}
	of := func(name string, n int) zone.OwnerSet { return set(typ(t, name), n) }
	services := zone.OwnerSet{Type: typ(t, "HTTPS"), Records: [][]byte{{0, 0}, {0, 1}}}
	for m, sets := range map[zone.Mark][]zone.OwnerSet{
		1: {of("CNAME", 1), of("A", 1)}, 2: {of("CNAME", 2)}, 3: {of("CNAME", 1), of("DNAME", 1)}, 4: {of("DNAME", 2)},
		5: {of("NS", 1), of("TXT", 1)}, 6: {services},
	} {
		losses := rules.ConflictsAlibaba.ForZone().Losses(m == 6, sets)
		if len(losses) != 1 || losses[0].Mark != m {
			t.Errorf("%v: %v; want mark %d", sets, losses, m)
		}
	}
}

// What is judged otherwise than before needs another edition: by it a new build knows what an older one has judged.
func TestEditionOfTheRules(t *testing.T) {
	types := strings.Fields("SOA NS CNAME DNAME A AAAA MX TXT SRV CAA PTR SVCB HTTPS RRSIG NSEC DS DNSKEY KEY TYPE65280")
	h := fnv.New64a()
	for _, mode := range []rules.Conflicts{rules.ConflictsRFC, rules.ConflictsAlibaba, rules.ConflictsOff} {
		for i, a := range types {
			for _, b := range types[i:] {
				for n := range 16 {
					first, second := set(typ(t, a), 1+n&1), set(typ(t, b), 1+n>>1&1)
					first.Served, second.Served = n&4 != 0, n&8 != 0
					sets := []zone.OwnerSet{first, second}
					if a == b {
						sets = []zone.OwnerSet{set(typ(t, a), 2+n&1)}
					}
					fmt.Fprintln(h, mode.ForZone().Losses(false, sets), mode.ForZone().Losses(true, sets))
				}
			}
		}
	}
	const edition, sum = "rfc 1", 0xb79b4f09503c0703
	if got := h.Sum64(); rules.ConflictsRFC.Edition() != edition || got != sum {
		t.Errorf("Judgments sum up to %#x: raise the edition, which is %q, and put both here", got, rules.ConflictsRFC.Edition())
	}
}

// What was found is remarked upon by rule, with how often and where.
func TestFindingsAreRemarked(t *testing.T) {
	mx := wire.RR{Owner: name(t, "m.example."), Type: 15, Class: wire.ClassIN, TTL: 60, Data: append([]byte{0, 1}, name(t, "alias.example.")...)}
	alias := wire.RR{Owner: name(t, "alias.example."), Type: wire.TypeCNAME, Class: wire.ClassIN, TTL: 60, Data: name(t, "host.test.")}
	contents, _, _ := version(t, rules.ConflictsRFC, nil, sound, mx, alias)
	got := map[reason.Reason]rules.Violation{}
	for _, r := range rules.Remarks(contents.Findings(nil)) {
		got[r.Rule] = r
	}
	if len(got) != 2 || got[reason.NoApexNS].Count != 1 || got[reason.TargetIsAlias].Count != 1 || !strings.Contains(got[reason.TargetIsAlias].Detail, "m.example. MX") {
		t.Errorf("Remarks %+v", got)
	}
}

// A primary's serial is not the business of conflicts: nothing of it is remarked.
func TestSoundVersionIsNotRemarked(t *testing.T) {
	contents, d, l := version(t, rules.ConflictsAlibaba, nil, sound, key(t))
	if refused, remarks := rules.Judge(contents, nil, d, l, spans(contents)); refused != nil || len(remarks) > 0 {
		t.Errorf("Refused %v, remarks %v", refused, remarks)
	}
	if contents.Serial() != serial.New(1) {
		t.Errorf("Serial %s", contents.Serial())
	}
}
