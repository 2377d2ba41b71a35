package zone_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// findingNames name what is looked for.
var findingNames = map[zone.Finding]string{
	zone.NoApexNS: "no apex NS", zone.NSWithoutAddress: "NS without address", zone.TargetIsAlias: "target is alias",
	zone.BelowCut: "below cut", zone.MixedTTL: "mixed TTL",
}

// foundIn returns how often each thing was found.
func foundIn(f *zone.Findings) map[string]int {
	found := map[string]int{}
	for kind, name := range findingNames {
		if n := f.Count(kind); n > 0 {
			found[name] = n
		}
	}
	return found
}

// soundZone has what is odd in none of its records, though much in it is near to it.
var soundZone = []string{
	soaRecord, "example. 60 IN NS ns.example.", "example. 60 IN NS ns.other.test.", "ns.example. 60 IN A 192.0.2.1",
	"example. 60 IN MX 10 mx.example.", "example. 60 IN MX 20 mx.other.test.", "mx.example. 60 IN AAAA 2001:db8::1",
	"sub.example. 60 IN NS ns.sub.example.", "sub.example. 60 IN NS ns.example.", "ns.sub.example. 60 IN A 192.0.2.2",
	"alias.example. 60 IN CNAME ns.example.", "www.example. 60 IN A 192.0.2.1",
	"www.example. 60 IN A 192.0.2.2", "www.example. 30 IN TXT x",
}

func TestFindings(t *testing.T) {
	found := func(pairs ...any) map[string]int {
		m := map[string]int{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i].(string)] = pairs[i+1].(int)
		}
		return m
	}
	for name, c := range map[string]struct {
		without string // a record of soundZone
		more    []string
		want    map[string]int
		sample  string
	}{
		"nothing":                      {"", nil, found(), ""},
		"RFC 1034 §4.2.1: no apex NS":  {"apex NS", nil, found("no apex NS", 1), "example. NS"},
		"NS without address":           {"", []string{"example. 60 IN NS gone.example."}, found("NS without address", 1), "example. NS"},
		"NS below itself, without":     {"", []string{"b.example. 60 IN NS ns.b.example."}, found("NS without address", 1), "b.example. NS"},
		"NS with an address elsewhere": {"", []string{"b.example. 60 IN NS ns.c.test."}, found(), ""},
		"NS with AAAA only":            {"", []string{"b.example. 60 IN NS mx.example."}, found(), ""},
		"NS by a wildcard":             {"", []string{"*.wild.example. 60 IN A 192.0.2.1", "b.example. 60 IN NS x.wild.example."}, found(), ""},
		"NS by a wildcard without address": {
			"", []string{"*.wild.example. 60 IN TXT x", "b.example. 60 IN NS x.wild.example."}, found("NS without address", 1), "b.example. NS"},
		"NS through a DNAME":              {"", []string{"d.example. 60 IN DNAME test.", "b.example. 60 IN NS x.d.example."}, found(), ""},
		"NS at TXT":                       {"", []string{"t.example. 60 IN TXT x", "b.example. 60 IN NS t.example."}, found("NS without address", 1), "b.example. NS"},
		"RFC 2181 §10.3: NS at an alias":  {"", []string{"b.example. 60 IN NS alias.example."}, found("target is alias", 1), "b.example. NS"},
		"RFC 2181 §10.3: MX at an alias":  {"", []string{"m.example. 60 IN MX 1 alias.example."}, found("target is alias", 1), "m.example. MX"},
		"MX without address":              {"", []string{"m.example. 60 IN MX 1 gone.example."}, found(), ""},
		"MX at the root: RFC 7505":        {"", []string{"m.example. 60 IN MX 0 ."}, found(), ""},
		"TXT below a cut":                 {"", []string{"x.sub.example. 60 IN TXT x"}, found("below cut", 1), "x.sub.example. TXT"},
		"TXT at a cut":                    {"", []string{"sub.example. 60 IN TXT x"}, found("below cut", 1), "sub.example. TXT"},
		"RFC 6672 §3.2: DNAME at a cut":   {"", []string{"sub.example. 60 IN DNAME test."}, found("below cut", 1), "sub.example. DNAME"},
		"addresses at a cut":              {"", []string{"sub.example. 60 IN A 192.0.2.1", "sub.example. 60 IN AAAA 2001:db8::1"}, found(), ""},
		"RFC 4035 §2.6: DS at a cut":      {"", []string{"sub.example. 60 IN NSEC t.example. NS DS"}, found(), ""},
		"a cut below a cut":               {"", []string{"x.sub.example. 60 IN NS ns.test."}, found("below cut", 1), "x.sub.example. NS"},
		"addresses below a cut":           {"", []string{"x.sub.example. 60 IN A 192.0.2.1", "x.sub.example. 60 IN AAAA 2001:db8::1"}, found(), ""},
		"RFC 6672 §2.4: MX below a DNAME": {"", []string{"d.example. 60 IN DNAME test.", "x.d.example. 60 IN MX 1 ns.example."}, found("below cut", 1), "x.d.example. MX"},
		"RFC 2181 §5.2: TTLs differ":      {"", []string{"www.example. 20 IN A 192.0.2.3"}, found("mixed TTL", 1), "www.example. A"},
		"everything": {"apex NS", []string{"b.example. 60 IN NS gone.example.", "m.example. 60 IN MX 1 alias.example.",
			"x.sub.example. 60 IN TXT x", "www.example. 20 IN A 192.0.2.3"},
			found("no apex NS", 1, "NS without address", 1, "target is alias", 1, "below cut", 1, "mixed TTL", 1), ""},
	} {
		t.Run(name, func(t *testing.T) {
			base := slices.Clone(soundZone)
			if c.without != "" {
				base = slices.DeleteFunc(base, func(s string) bool { return len(s) > 16 && s[:16] == "example. 60 IN N" })
			}
			f := build(t, "example.", records(append(base, c.more...)...)).Findings(nil)
			if diff := cmp.Diff(c.want, foundIn(f)); diff != "" {
				t.Errorf("Found (-want +got):\n%s", diff)
			}
			for kind := range findingNames {
				if c.sample != "" && f.Count(kind) > 0 && !slices.Equal(f.Samples(kind), []string{c.sample}) {
					t.Errorf("Samples %q; want %q", f.Samples(kind), c.sample)
				}
			}
			// What an edit brings is found as what came whole.
			if len(c.more) == 0 {
				return
			}
			s := served{Contents: build(t, "example.", records(base...))}
			var difference []string
			for _, line := range c.more {
				difference = append(difference, "+"+line)
			}
			after := s.edit(t, difference...).Contents
			if diff := cmp.Diff(c.want, foundIn(after.Findings(s.Contents))); diff != "" {
				t.Errorf("Found in what has changed (-want +got):\n%s", diff)
			}
		})
	}
}

// Of differences only the pages they touched are looked through: what was odd far from there is not said again.
func TestFindingsOfWhatHasChanged(t *testing.T) {
	rrs := records(append(slices.Clone(soundZone), "b.example. 60 IN NS gone.example.")...)
	for i := range uint32(3000) {
		rrs = append(rrs, numberedAddress(i))
	}
	s := served{Contents: build(t, "example.", rrs)}
	if got := foundIn(s.Findings(nil)); !maps.Equal(got, map[string]int{"NS without address": 1}) {
		t.Fatalf("Found %v", got)
	}
	far := numbered(2500).String()
	after := s.edit(t, "+"+far+" 20 IN A 192.0.2.77").Contents
	if got := foundIn(after.Findings(s.Contents)); !maps.Equal(got, map[string]int{"mixed TTL": 1}) {
		t.Errorf("Found in what has changed: %v", got)
	}
	if got := foundIn(after.Findings(after)); len(got) != 0 {
		t.Errorf("Found where nothing has changed: %v", got)
	}
}

// What is not served is not looked at: it neither is odd nor helps others.
func TestFindingsPassOverMarkedRecords(t *testing.T) {
	s := serveMarked(t, rules.ConflictsRFC, "example. 60 IN NS ns.example.", "ns.example. 60 IN A 192.0.2.1",
		"host.example. 60 IN A 192.0.2.2", "host.example. 60 IN CNAME ns.example.", "m.example. 60 IN MX 1 host.example.")
	if got := foundIn(s.Findings(nil)); len(got) != 0 {
		t.Errorf("Found %v: the CNAME is not served", got)
	}
	s = serveMarked(t, rules.ConflictsRFC, "example. 60 IN NS ns.example.", "ns.example. 60 IN A 192.0.2.1",
		"sub.example. 60 IN NS gone.example.", "sub.example. 60 IN CNAME ns.example.", "x.sub.example. 60 IN TXT x")
	if got := foundIn(s.Findings(nil)); len(got) != 0 {
		t.Errorf("Found %v: the zone cut is not served", got)
	}
}

// The first few places are named.
func TestFindingsAreSampled(t *testing.T) {
	rrs := records(soaRecord, "example. 60 IN NS ns.other.")
	for i := range uint32(2 * zone.MaxSamples) {
		rr := numberedAddress(i)
		other := rr
		other.TTL, other.Data = 30, []byte{192, 0, 2, 99}
		rrs = append(rrs, rr, other)
	}
	f := build(t, "example.", rrs).Findings(nil)
	if f.Count(zone.MixedTTL) != 2*zone.MaxSamples || len(f.Samples(zone.MixedTTL)) != zone.MaxSamples {
		t.Errorf("%d found, %d named", f.Count(zone.MixedTTL), len(f.Samples(zone.MixedTTL)))
	}
}

// numberedAddress returns an address of one of many owners.
func numberedAddress(i uint32) wire.RR {
	return wire.RR{Owner: numbered(i), Type: wire.TypeA, Class: wire.ClassIN, TTL: 60, Data: []byte{192, 0, 2, 1}}
}
