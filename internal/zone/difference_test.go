package zone_test

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// apply makes contents from others and a difference, as a secondary would.
func apply(from *zone.Contents, d *zone.Difference) (*zone.Contents, error) {
	e := from.Edit(zone.Limits{})
	for rr := range d.Removed() {
		if err := e.Remove(rr); err != nil {
			return nil, err
		}
	}
	for rr := range d.Added() {
		if err := e.Add(rr); err != nil {
			return nil, err
		}
	}
	return e.Seal()
}

// compareDifference makes one version of another by way of their difference.
func compareDifference(t *rapid.T, from, to *zone.Contents) {
	d, err := to.Difference(from, 0)
	if err != nil {
		t.Fatal(err)
	}
	if d, err = zone.ParseDifference(d.Octets()); err != nil {
		t.Fatal(err)
	}
	if d.From() != from.Serial() || d.To() != to.Serial() {
		t.Fatalf("From %s to %s, want from %s to %s", d.From(), d.To(), from.Serial(), to.Serial())
	}
	made, err := apply(from, d)
	if err != nil {
		t.Fatal(err)
	}
	if err := made.Check(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(exact(to), exact(made)); diff != "" {
		t.Fatalf("contents (-want +made):\n%s", diff)
	}
	compareMinimal(t, from, to, d)
}

// compareMinimal compares a difference with a naive one: of two lists of records, what only one of them has. Owners whose
// spelling changes are left to compareDifference.
func compareMinimal(t *rapid.T, from, to *zone.Contents, d *zone.Difference) {
	spelling := map[string]string{}
	for rr := range from.All() {
		spelling[strings.ToLower(string(rr.Owner))] = string(rr.Owner)
	}
	changed := map[string]bool{}
	for rr := range to.All() {
		lower := strings.ToLower(string(rr.Owner))
		if was, there := spelling[lower]; there && was != string(rr.Owner) {
			changed[lower] = true
		}
	}
	only := func(in, notIn *zone.Contents) (lines []string) {
		for rr := range in.All() {
			if rr.Type != wire.TypeSOA && !changed[strings.ToLower(string(rr.Owner))] &&
				!slices.Contains(exact(notIn), exactLine(rr)) {
				lines = append(lines, exactLine(rr))
			}
		}
		return lines
	}
	listed := func(seq func(func(*wire.RR) bool)) (lines []string) {
		first := true
		for rr := range seq {
			if first != (rr.Type == wire.TypeSOA) {
				t.Fatalf("%s out of place: the SOA comes first, and once (RFC 1995 §4)", exactLine(rr))
			}
			if !first && !changed[strings.ToLower(string(rr.Owner))] {
				lines = append(lines, exactLine(rr))
			}
			first = false
		}
		return lines
	}
	if diff := cmp.Diff(only(from, to), listed(d.Removed())); diff != "" {
		t.Fatalf("removed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(only(to, from), listed(d.Added())); diff != "" {
		t.Fatalf("added (-want +got):\n%s", diff)
	}
}

// RFC 1995 §4: a difference applied to the old version gives the new one, and says no more than it has to. It is so for a
// version made by edits, for its way back, and for one that came whole.
func TestDifferencesMakeOneVersionOfAnother(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := dnstest.Zones().Draw(t, "zone")
		first := seal(t, z)
		last := first
		for range rapid.IntRange(1, 3).Draw(t, "versions") {
			s := newScript(t, z, last)
			for range rapid.IntRange(0, 12).Draw(t, "edits") {
				s.step()
			}
			edited := s.seal(dump(last))
			compareDifference(t, last, edited)
			compareDifference(t, edited, last)
			compareDifference(t, first, edited)
			compareDifference(t, last, seal(t, s.zone))
			last = edited
		}
	})
}

func TestDifferencesOfUnlikeVersions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := dnstest.Zones().Draw(t, "zone")
		b := dnstest.Zones().Filter(func(b dnstest.Zone) bool { return b.Origin.Equal(a.Origin) }).Draw(t, "another")
		compareDifference(t, seal(t, a), seal(t, b))
	})
}

// Differences of versions that have pages and nodes split, joined and emptied between them.
func TestDifferencesOfManyPages(t *testing.T) {
	dnstest.Alone(t)
	rng := rand.New(rand.NewPCG(9, 10))
	c := build(t, "example.", []wire.RR{record(soaRecord)})
	present := make([]bool, 20_000)
	for round := range 30 {
		next := editMany(t, rng, c, present)
		for _, pair := range [][2]*zone.Contents{{c, next}, {next, c}} {
			d, err := pair[1].Difference(pair[0], 0)
			if err != nil {
				t.Fatal(err)
			}
			made, err := apply(pair[0], d)
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			if !slices.Equal(exact(made), exact(pair[1])) {
				t.Fatalf("round %d: another version", round)
			}
		}
		c = next
	}
}

// RFC 1995 §4: a difference that is no smaller than the zone is of no use.
func TestDifferencesAreLimited(t *testing.T) {
	a := "a.example. 60 IN A 192.0.2.1"
	old := build(t, "example.", []wire.RR{record(soaRecord), record(a)})
	cur := build(t, "example.", []wire.RR{record(newerSOA), record("b.example. 60 IN A 192.0.2.1")})
	d, err := cur.Difference(old, 0)
	if err != nil {
		t.Fatal(err)
	}
	if want := old.Size() + cur.Size(); d.Size() != want {
		t.Errorf("Size is %d, want %d: all records of both", d.Size(), want)
	}
	if _, err := cur.Difference(old, d.Size()); err != nil {
		t.Error(err)
	}
	if d, err := cur.Difference(old, d.Size()-1); !errors.Is(err, zone.ErrDifferenceTooBig) || d != nil {
		t.Errorf("%v, %v", d, err)
	}
}

// An owner that is spelled another way is removed whole and comes again: added to what is there, it would keep its
// spelling.
func TestDifferencesCarrySpelling(t *testing.T) {
	old := build(t, "example.", []wire.RR{record(soaRecord), record("a.example. 60 IN A 192.0.2.1"),
		record("a.example. 60 IN TXT x"), record("b.example. 60 IN NS ns.example.")})
	cur := build(t, "example.", []wire.RR{record(newerSOA), record("A.example. 60 IN A 192.0.2.1"),
		record("A.example. 60 IN TXT x"), record("b.example. 60 IN NS NS.example.")})
	d, err := cur.Difference(old, 0)
	if err != nil {
		t.Fatal(err)
	}
	made, err := apply(old, d)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(exact(cur), exact(made)); diff != "" {
		t.Errorf("contents (-want +made):\n%s", diff)
	}
}

// The difference of one record costs a node of pages to look through, not the zone.
func TestDifferenceCostsWhatChanged(t *testing.T) {
	dnstest.Alone(t)
	c := build(t, "big.test.", mixedZone(1e5))
	e := c.Edit(zone.Limits{})
	rr := record("new.big.test. 60 IN A 10.0.0.1")
	if err := e.Add(&rr); err != nil {
		t.Fatal(err)
	}
	edited, err := e.Seal()
	if err != nil {
		t.Fatal(err)
	}
	allocations := testing.AllocsPerRun(10, func() {
		if d, err := edited.Difference(c, 0); err != nil || d.Size() > 500 {
			t.Fatal(d, err)
		}
	})
	if allocations > 100 {
		t.Errorf("%v allocations", allocations)
	}
}

func TestMalformedDifferencesAreRefused(t *testing.T) {
	soa := string(soaOctets(soaRecord))
	long := strings.Repeat("\x3f"+strings.Repeat("x", 63), 4) + "\x00"
	fixed := "\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00"
	for _, c := range []struct{ name, removed, added string }{
		{"nothing", "", ""},
		{"no old SOA", "", soa},
		{"no new SOA", soa, ""},
		{"another record for the SOA", "\x00" + fixed, soa},
		{"a short SOA", "\x00\x00\x06\x00\x01\x00\x00\x00\x00\x00\x01x", soa},
		{"a name without an end", soa, soa + "\x01a"},
		{"a name that is too long", soa, soa + long + fixed},
		{"a label that is too long", soa, soa + "\x40" + strings.Repeat("x", 64) + "\x00" + fixed},
		{"a record without RDATA", soa, soa + "\x00" + fixed[:9] + "\x01"},
		{"a third SOA", soa, soa + soa},
		{"half a record", soa, soa + "\x00" + fixed[:5]},
	} {
		if d, err := zone.ParseDifference([]byte(c.removed + c.added)); d != nil || !errors.Is(err, zone.ErrDifference) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// soaOctets is a SOA record on the wire.
func soaOctets(s string) []byte {
	rr := record(s)
	b := slices.Concat(rr.Owner, []byte{0, byte(rr.Type), 0, 1, 0, 0, 0, 0})
	return append(binary.BigEndian.AppendUint16(b, uint16(len(rr.Data))), rr.Data...)
}

// FuzzParseDifference reads anything: an error, or records that can be read and written again.
func FuzzParseDifference(f *testing.F) {
	old := build(f, "example.", []wire.RR{record(soaRecord), record("a.example. 60 IN A 192.0.2.1")})
	cur := build(f, "example.", []wire.RR{record(newerSOA), record("b.example. 60 IN A 192.0.2.1")})
	d, err := cur.Difference(old, 0)
	if err != nil {
		f.Fatal(err)
	}
	good := d.Octets()
	f.Add(good)
	for i := range good {
		f.Add(good[:i])
		f.Add(slices.Concat(good[:i], []byte{good[i] + 1}, good[i+1:]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := zone.ParseDifference(b)
		if err != nil {
			if d != nil || !errors.Is(err, zone.ErrDifference) {
				t.Fatalf("%v, %v", d, err)
			}
			return
		}
		var size int64
		for _, seq := range []func(func(*wire.RR) bool){d.Removed(), d.Added()} {
			for rr := range seq {
				size += int64(len(rr.Owner) + 10 + len(rr.Data))
			}
		}
		if size != d.Size() {
			t.Fatalf("Records of %d octets in %d", size, d.Size())
		}
	})
}

func BenchmarkDifference(b *testing.B) {
	c := build(b, "big.test.", mixedZone(1e6))
	e := c.Edit(zone.Limits{})
	rr := record("new.big.test. 60 IN A 10.0.0.1")
	if err := e.Add(&rr); err != nil {
		b.Fatal(err)
	}
	edited, err := e.Seal()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := edited.Difference(c, 0); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDifferenceOfWholeVersions is of two versions that came whole and differ in one record: there are no pages to share.
func BenchmarkDifferenceOfWholeVersions(b *testing.B) {
	records := mixedZone(1e6)
	old := build(b, "big.test.", records)
	cur := build(b, "big.test.", append(slices.Clone(records), record("new.big.test. 60 IN A 10.0.0.1")))
	for b.Loop() {
		if d, err := cur.Difference(old, 1<<18); err != nil || d.Size() > 500 {
			b.Fatal(d, err)
		}
	}
}
