package version_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

const (
	ns    = "example. 60 IN NS ns.test."
	host  = "www.example. 60 IN A 192.0.2.1"
	alias = "www.example. 60 IN CNAME host.test."
	key   = "example. 60 IN DNSKEY 257 3 13 AAAA"
)

// plain are the terms of a zone of which nothing is served.
func plain() version.Terms {
	return version.Terms{Origin: origin, Policy: &version.Policy{MaxRecords: 10, MaxSize: 1 << 20, MaxRRset: 5, MaxTypes: 5}}
}

// serving are the terms of a zone that is served with a serial.
func serving(t *testing.T, n uint32, texts ...string) version.Terms {
	t.Helper()
	terms := plain()
	v, err := whole(terms, soa(t, n), records(t, texts...)...)
	if err != nil {
		t.Fatal(err)
	}
	terms.Served, terms.Before = v, v
	return terms
}

// Each gate refuses what it is there for, before the records come where the SOA alone tells.
func TestGates(t *testing.T) {
	refused := func(r reason.Reason) func(error) bool {
		return func(err error) bool { return reason.Of(err) == r }
	}
	is := func(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }
	demanding := func(d refresh.Demand, terms version.Terms) version.Terms {
		terms.Demand = d
		return terms
	}
	expired := serving(t, 5, ns)
	expired.Served = nil
	accepting := plain()
	accepting.Policy.SerialZero = true
	for name, c := range map[string]struct {
		terms   version.Terms
		serial  uint32
		texts   []string
		refused func(error) bool // nil: it is admitted
		early   bool             // before the records come
	}{
		"the first version":                   {plain(), 1, []string{ns}, nil, false},
		"serial 0":                            {plain(), 0, nil, refused(reason.SerialZero), true},
		"serial 0, accepted":                  {accepting, 0, nil, nil, false},
		"newer":                               {serving(t, 5, ns), 6, []string{ns}, nil, false},
		"newer, wrapped":                      {serving(t, 1<<32-1, ns), 1, []string{ns}, nil, false},
		"the same":                            {serving(t, 5, ns), 5, []string{ns}, is(version.ErrSame), true},
		"the same, on demand":                 {demanding(refresh.Again, serving(t, 5, ns)), 5, []string{ns}, nil, false},
		"older":                               {serving(t, 5, ns), 4, []string{ns}, refused(reason.SerialBehind), true},
		"older, again":                        {demanding(refresh.Again, serving(t, 5, ns)), 4, []string{ns}, refused(reason.SerialBehind), true},
		"older, by force":                     {demanding(refresh.Force, serving(t, 5, ns)), 4, []string{ns}, nil, false},
		"2^31 away":                           {serving(t, 5, ns), 5 + 1<<31, []string{ns}, refused(reason.SerialUndefined), true},
		"older, after expiry":                 {expired, 4, []string{ns}, nil, false},
		"too many records":                    {plain(), 1, slices.Concat(many(5), several("a"), several("b")), is(zone.ErrTooManyRecords), false},
		"too many of an RRset":                {plain(), 1, many(6), is(zone.ErrLargeRRset), false},
		"no NS, the first version":            {plain(), 1, []string{host}, nil, false},
		"NS lost":                             {serving(t, 5, ns), 6, []string{host}, refused(reason.ApexNSLost), false},
		"NS lost, after expiry":               {expired, 6, []string{host}, refused(reason.ApexNSLost), false},
		"NS lost, by force":                   {demanding(refresh.Force, serving(t, 5, ns)), 6, []string{host}, nil, false},
		"conflict":                            {plain(), 1, []string{host, alias}, nil, false},
		"conflict in a signed zone":           {plain(), 1, []string{key, host, alias}, refused(reason.CNAMEAndOther), false},
		"no SOA at the apex":                  {plain(), 1, []string{"www.example. 60 IN SOA a. b. 1 1 1 1 1"}, is(zone.ErrSOAOwner), false},
		"no conflict in a signed zone at all": {plain(), 1, []string{key, host}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			if c.early {
				first := soa(t, c.serial)
				if err := version.NewDraft(c.terms).Begin(xfr.AXFR, &first); err == nil || !c.refused(err) {
					t.Errorf("Begin: %v", err)
				}
				return
			}
			v, err := whole(c.terms, soa(t, c.serial), records(t, c.texts...)...)
			switch {
			case c.refused != nil && (err == nil || !c.refused(err)):
				t.Errorf("%v, %+v", err, v)
			case c.refused == nil && (err != nil || v.Contents.Serial() != number(c.serial)):
				t.Errorf("%v, %+v", err, v)
			}
		})
	}
}

// many returns so many records of one RRset.
func many(n int) (texts []string) {
	for i := range n {
		texts = append(texts, "example. 60 IN NS ns"+string(rune('a'+i))+".test.")
	}
	return texts
}

// several returns four records of a name.
func several(name string) (texts []string) {
	for i := range 4 {
		texts = append(texts, fmt.Sprintf("%s.example. 60 IN A 192.0.2.%d", name, i))
	}
	return texts
}

// What the rules leave out is remarked upon, and what no zone can hold.
func TestRemarks(t *testing.T) {
	terms := plain()
	d := version.NewDraft(terms)
	if d.Kind() != xfr.Undecided || d.Discarded() != 0 {
		t.Errorf("%s, %d discarded, before anything has come", d.Kind(), d.Discarded())
	}
	first := soa(t, 1)
	if err := d.Begin(xfr.AXFR, &first); err != nil {
		t.Fatal(err)
	}
	for _, rr := range append([]wire.RR{first}, records(t, ns, host, alias, "other.test. 60 IN A 192.0.2.1")...) {
		if err := d.Add(&rr); err != nil {
			t.Fatal(err)
		}
	}
	bad := record(t, host)
	if err := d.Discard(&bad, errors.New("malformed")); err != nil {
		t.Fatal(err)
	}
	v, err := version.Admit(d, version.Source{Kind: xfr.AXFR})
	if err != nil {
		t.Fatal(err)
	}
	var got []reason.Reason
	for _, r := range v.Remarks {
		got = append(got, r.Rule)
	}
	if want := []reason.Reason{reason.OutOfZone, reason.MalformedRecord, reason.CNAMEAndOther}; !slices.Equal(got, want) {
		t.Errorf("Remarks %v; want %v", got, want)
	}
	if d.Discarded() != 2 || v.Contents.Marked() != 1 || v.Contents.Lacks() != 1 {
		t.Errorf("%d discarded, %d marked, %d lacking", d.Discarded(), v.Contents.Marked(), v.Contents.Lacks())
	}
}

// A version says by which rules its records are marked: differences leave the marks of what they do not touch.
func TestEditions(t *testing.T) {
	terms := serving(t, 1, ns, host, alias)
	rfc, off := rules.ConflictsRFC.Edition(), rules.ConflictsOff.Edition()
	terms.Policy = &version.Policy{Conflicts: rules.ConflictsOff}
	byIXFR, err := differences(terms, step{[]wire.RR{soa(t, 1)}, []wire.RR{soa(t, 2)}})
	if err != nil {
		t.Fatal(err)
	}
	byAXFR, err := whole(terms, soa(t, 2), records(t, ns, host, alias)...)
	if err != nil {
		t.Fatal(err)
	}
	again := version.Readmit(byIXFR, terms.Policy)
	signed := version.Readmit(must(t, terms, key, host, alias), &version.Policy{})
	for _, c := range []struct {
		v       *version.Version
		edition string
		marked  int
	}{{terms.Served, rfc, 1}, {byIXFR, rfc, 1}, {byAXFR, off, 0}, {again, off, 0}, {signed, rfc, 0}} {
		if c.v.Edition != c.edition || c.v.Contents.Marked() != c.marked {
			t.Errorf("Edition %s, %d marked; want %s, %d", c.v.Edition, c.v.Contents.Marked(), c.edition, c.marked)
		}
	}
}

// must returns the version that terms admit.
func must(t *testing.T, terms version.Terms, texts ...string) *version.Version {
	t.Helper()
	terms.Served, terms.Before = nil, nil
	v, err := whole(terms, soa(t, 1), records(t, texts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Another policy that has come in force meanwhile forbids what it forbids anyway; what the operator demanded stands.
func TestRecheck(t *testing.T) {
	terms := plain()
	terms.Policy.SerialZero = true
	v, err := whole(terms, soa(t, 0), records(t, ns, host)...)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		policy version.Policy
		ok     bool
	}{
		{version.Policy{Limits: refresh.Limits{SerialZero: true}}, true},
		{version.Policy{Limits: refresh.Limits{SerialZero: true}, MaxRecords: 3}, true},
		{version.Policy{Limits: refresh.Limits{SerialZero: true}, MaxRecords: 2}, false},
		{version.Policy{Limits: refresh.Limits{SerialZero: true}, MaxSize: 10}, false},
		{version.Policy{}, false},
	} {
		if err := version.Recheck(v, &c.policy); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.policy, err)
		}
	}
}

// RFC 1995 §5: differences that are larger than the zone are not worth their transfer.
func TestDifferencesAreNoLargerThanTheZone(t *testing.T) {
	terms := serving(t, 1, ns)
	terms.Policy = &version.Policy{}
	d := version.NewDraft(terms)
	first, large := soa(t, 2), record(t, host)
	large.Data = make([]byte, 1<<15)
	large.Type = 65280
	if err := d.Begin(xfr.IXFR, &first); err != nil {
		t.Fatal(err)
	}
	var err error
	for i := 0; i < 3 && err == nil; i++ {
		large.Data[0] = byte(i)
		err = d.Add(&large)
	}
	if !errors.Is(err, version.ErrDifferences) {
		t.Error(err)
	}
}

// The draft tells what it holds, and ends where that is not to be.
func TestHold(t *testing.T) {
	terms, told, full := plain(), int64(0), errors.New("full")
	terms.Policy = &version.Policy{}
	terms.Hold = func(octets int64) error {
		if told = octets; octets > 1<<18 {
			return full
		}
		return nil
	}
	d := version.NewDraft(terms)
	first, large := soa(t, 2), record(t, host)
	large.Type = 65280
	if err := d.Begin(xfr.AXFR, &first); err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		large.Data = make([]byte, 1<<12)
		large.Data[0] = byte(i)
		if err := d.Add(&large); err != nil {
			if !errors.Is(err, full) || i < 30 {
				t.Errorf("After %d records: %v, %d octets", i, err, told)
			}
			return
		}
		if i > 200 {
			t.Fatalf("%d octets are held, nobody objects", told)
		}
	}
}

// A version brings the differences that came, or where it came whole what differs, unless no history wants it.
func TestVersionsBringTheirDifferences(t *testing.T) {
	added := record(t, host)
	for name, c := range map[string]struct {
		policy version.Policy
		ixfr   bool
		want   int
	}{
		"IXFR":                   {version.Policy{History: version.HistoryLimits{Versions: 5, Octets: 1000}}, true, 2},
		"IXFR, condensed":        {version.Policy{History: version.HistoryLimits{Versions: 1, Octets: 1000}}, true, 1},
		"IXFR, condensed to fit": {version.Policy{History: version.HistoryLimits{Versions: 5, Octets: 400}}, true, 1},
		"IXFR, no room":          {version.Policy{History: version.HistoryLimits{Versions: 5, Octets: 10}}, true, 0},
		"IXFR, no history":       {version.Policy{History: version.HistoryLimits{Octets: 1000}}, true, 0},
		"AXFR":                   {version.Policy{History: version.HistoryLimits{Versions: 5, Octets: 1000}, IXFRFromAXFR: true}, false, 1},
		"AXFR, no room":          {version.Policy{History: version.HistoryLimits{Versions: 5, Octets: 10}, IXFRFromAXFR: true}, false, 0},
		"AXFR, no history":       {version.Policy{History: version.HistoryLimits{Octets: 1000}, IXFRFromAXFR: true}, false, 0},
		"AXFR, nobody wants it":  {version.Policy{History: version.HistoryLimits{Versions: 5, Octets: 1000}}, false, 0},
		"AXFR of the same again": {version.Policy{History: version.HistoryLimits{Versions: 5, Octets: 1000}, IXFRFromAXFR: true}, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			terms, to := serving(t, 1, ns), uint32(3)
			terms.Policy = &c.policy
			if name == "AXFR of the same again" {
				terms.Demand, to = refresh.Again, 1
			}
			var v *version.Version
			var err error
			if c.ixfr {
				v, err = differences(terms, step{[]wire.RR{soa(t, 1)}, []wire.RR{soa(t, 2)}}, step{[]wire.RR{soa(t, 2)}, []wire.RR{soa(t, 3), added}})
			} else {
				v, err = whole(terms, soa(t, to), append(records(t, ns), added)...)
			}
			if err != nil || len(v.Differences) != c.want {
				t.Fatalf("%v, %d differences; want %d", err, len(v.Differences), c.want)
			}
			made, err := apply(terms.Served.Contents, v.Differences)
			if err != nil || c.want > 0 && !slices.Equal(lines(made), lines(v.Contents)) {
				t.Errorf("%v\n%q", err, lines(made))
			}
		})
	}
}
