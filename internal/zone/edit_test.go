package zone_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// identity is what makes two records the same: all but the TTL.
func identity(rr wire.RR) string {
	rr.TTL = 0
	return dnstest.Line(&rr)
}

func index(rrs []wire.RR, rr wire.RR) int {
	return slices.IndexFunc(rrs, func(r wire.RR) bool { return identity(r) == identity(rr) })
}

// clone returns the records of contents, to be kept.
func clone(c *zone.Contents) (rrs []wire.RR) {
	for rr := range c.All() {
		rrs = append(rrs, wire.RR{Owner: rr.Owner.Clone(), Type: rr.Type, Class: rr.Class, TTL: rr.TTL,
			Data: bytes.Clone(rr.Data)})
	}
	return rrs
}

// script edits contents and a list of the same records alike. It is used by one test.
type script struct {
	t       *rapid.T
	zone    dnstest.Zone // of Records that are in the contents, without duplicates
	base    *zone.Contents
	editor  *zone.Editor
	touched []wire.RR
}

func newScript(t *rapid.T, z dnstest.Zone, base *zone.Contents) *script {
	return &script{t: t, zone: dnstest.Zone{Origin: z.Origin, Records: clone(base)}, base: base,
		editor: base.Edit(zone.Limits{})}
}

// remove takes a record away; its TTL and the case of its owner are not the ones received.
func (s *script) remove(i int) {
	rr := s.zone.Records[i]
	s.zone.Records = slices.Delete(s.zone.Records, i, i+1)
	s.touched = append(s.touched, rr)
	rr.Owner, rr.TTL = dnstest.UpperCase(rr.Owner), rr.TTL+1
	if err := s.editor.Remove(&rr); err != nil {
		s.t.Fatal(err)
	}
}

func (s *script) add(rr wire.RR) {
	s.zone.Records = append(s.zone.Records, rr)
	s.touched = append(s.touched, rr)
	if err := s.editor.Add(&rr); err != nil {
		s.t.Fatal(err)
	}
}

// notExact makes sure that an edit does not fit.
func (s *script) notExact(edit func(*wire.RR) error, rr wire.RR) {
	if err := edit(&rr); !errors.Is(err, zone.ErrNotExact) {
		s.t.Fatalf("%s: %v", dnstest.Line(&rr), err)
	}
}

// step draws one edit.
func (s *script) step() {
	records := s.zone.Records
	some := rapid.IntRange(0, len(records)-1).Draw(s.t, "which")
	soa := records[some].Type == wire.TypeSOA
	switch edit := rapid.IntRange(0, 9).Draw(s.t, "edit"); {
	case edit < 3 && !soa:
		s.remove(some)
	case edit < 7:
		rr := s.zone.Record().Draw(s.t, "record")
		if index(records, rr) < 0 {
			s.add(rr)
		}
	case edit == 7 && !soa: // only the TTL changes
		rr := records[some]
		s.remove(some)
		rr.TTL = rapid.Uint32Range(0, 400).Draw(s.t, "TTL")
		s.add(rr)
	case edit == 8:
		s.remove(slices.IndexFunc(records, func(r wire.RR) bool { return r.Type == wire.TypeSOA }))
		s.add(s.zone.SOA(rapid.Uint32().Draw(s.t, "serial"), 60))
	default: // what no zone holds is passed over on either side
		foreign := records[some]
		foreign.Class = 3
		if err := errors.Join(s.editor.Remove(&foreign), s.editor.Add(&foreign)); err != nil {
			s.t.Fatal(err)
		}
	}
}

// seal ends the script and compares what has become of the contents with contents built afresh.
func (s *script) seal(before []string) *zone.Contents {
	edited, err := s.editor.Seal()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := edited.Check(); err != nil {
		s.t.Fatalf("%v\nwas\n%s\nis%s", err, listing(clone(s.base)), listing(s.zone.Records))
	}
	if diff := cmp.Diff(before, dump(s.base)); diff != "" {
		s.t.Fatalf("contents edited from (-before +after):\n%s", diff)
	}
	fresh := seal(s.t, s.zone)
	if diff := cmp.Diff(dump(fresh), dump(edited)); diff != "" {
		s.t.Fatalf("contents (-built +edited):\n%s", diff)
	}
	if edited.Records() != fresh.Records() || edited.Size() != fresh.Size() || edited.SOA() != fresh.SOA() ||
		edited.Signed() != fresh.Signed() {
		s.t.Fatalf("%d records of %d octets, %+v; built: %d of %d, %+v",
			edited.Records(), edited.Size(), edited.SOA(), fresh.Records(), fresh.Size(), fresh.SOA())
	}
	for rr := range edited.All() {
		if !slices.ContainsFunc(s.touched, func(r wire.RR) bool { return r.Owner.Equal(rr.Owner) }) {
			if was := s.zone.Records[index(s.zone.Records, *rr)].Owner; !bytes.Equal(was, rr.Owner) {
				s.t.Fatalf("owner %s is now %s", was, rr.Owner)
			}
		}
	}
	return edited
}

// RFC 1995 §4: applying differences gives the same zone as transferring it whole. Several versions follow one another.
func TestEditedContentsAreThoseBuiltAfresh(t *testing.T) {
	rapid.Check(t, editsAgree)
}

// FuzzEdit makes a zone and edits of the octets.
func FuzzEdit(f *testing.F) { fuzz(f, editsAgree) }

func editsAgree(t *rapid.T) {
	z := dnstest.AnyZones().Draw(t, "zone")
	c := seal(t, z)
	for range rapid.IntRange(1, 3).Draw(t, "versions") {
		before := dump(c)
		s := newScript(t, z, c)
		for range rapid.IntRange(0, 12).Draw(t, "edits") {
			s.step()
		}
		c = s.seal(before)
		compareLookups(t, c, dnstest.NewOracle(z.Origin, s.zone.Records), variants(t, dnstest.NewOracle(z.Origin,
			append(clone(s.base), s.zone.Records...)).Questions()))
	}
}

// RFC 1995 §4: a difference that removes what is not there or adds what is does not fit.
func TestInexactEditsAreRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := dnstest.Zones().Draw(t, "zone")
		c := seal(t, z)
		before := dump(c)
		s := newScript(t, z, c)
		for range rapid.IntRange(0, 5).Draw(t, "edits") {
			s.step()
		}
		rr := s.zone.Record().Draw(t, "record")
		if index(s.zone.Records, rr) < 0 {
			s.notExact(s.editor.Remove, rr)
		} else {
			s.notExact(s.editor.Add, rr)
		}
		there := rapid.SampledFrom(s.zone.Records).Draw(t, "there")
		there.TTL++
		s.notExact(s.editor.Add, there)
		if err := s.editor.Remove(&there); err != nil {
			t.Fatal(err)
		}
		s.notExact(s.editor.Remove, there)
		if diff := cmp.Diff(before, dump(c)); diff != "" {
			t.Fatalf("contents edited from (-before +after):\n%s", diff)
		}
	})
}

// Edits of a large zone split, shrink, join and empty pages and nodes; after each the structure is whole and the
// records are those of a list that was edited alike.
func TestEditsOfManyPages(t *testing.T) {
	dnstest.Alone(t)
	const owners, rounds = 30_000, 40
	rng := rand.New(rand.NewPCG(5, 6))
	soa := record(soaRecord)
	c := build(t, "example.", []wire.RR{soa})
	present := make([]bool, owners)
	for round := range rounds {
		e := c.Edit(zone.Limits{})
		for range 1 + rng.IntN(3) {
			start := rng.IntN(owners)
			end := min(owners, start+1+rng.IntN([]int{1, 10, 500, owners / 2, owners}[rng.IntN(5)]))
			step := 1 + rng.IntN(1+rng.IntN(400))
			add := rng.IntN(5) < 3
			for i := start; i < end; i += step {
				if present[i] == add {
					continue
				}
				present[i] = add
				rr := pageRecord(uint32(i))
				edit := e.Remove
				if add {
					edit = e.Add
				}
				if err := edit(&rr); err != nil {
					t.Fatal(err)
				}
			}
		}
		var err error
		if c, err = e.Seal(); err != nil {
			t.Fatal(err)
		}
		if err := c.Check(); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		comparePresent(t, c, present)
	}
}

// pageRecord returns the record of one of many owners; some are large.
func pageRecord(i uint32) wire.RR {
	size := 4
	if i%97 == 0 {
		size = 1 + int(i%5000)
	}
	return wire.RR{Owner: numbered(i), Type: typePrivate, Class: wire.ClassIN, TTL: 60,
		Data: bytes.Repeat([]byte{byte(i)}, size)}
}

// comparePresent compares contents with the owners they should have, in order and one by one.
func comparePresent(t *testing.T, c *zone.Contents, present []bool) {
	t.Helper()
	i := -1
	for rr := range c.All() {
		if rr.Type == wire.TypeSOA {
			continue
		}
		for i++; i < len(present) && !present[i]; i++ {
		}
		if want := pageRecord(uint32(i)); !bytes.Equal(rr.Owner, want.Owner) || !bytes.Equal(rr.Data, want.Data) {
			t.Fatalf("%s where owner %d should be", rr.Owner, i)
		}
	}
	if rest := slices.Index(present[i+1:], true); rest >= 0 {
		t.Fatalf("owner %d is missing", i+1+rest)
	}
	var a zone.Answer
	for i, there := range present {
		if found(c, numbered(uint32(i)), typePrivate, &a) != there || !there && a.Outcome != zone.NXDomain {
			t.Fatalf("owner %d: %+v", i, a)
		}
	}
}

// An edit of one record copies a page, a node and the bounds of the nodes, not the zone.
func TestEditCostsWhatItTouches(t *testing.T) {
	const owners = 100_000
	rrs := []wire.RR{record(soaRecord)}
	for i := range uint32(owners) {
		rrs = append(rrs, wire.RR{Owner: numbered(i), Type: wire.TypeA, Class: wire.ClassIN, TTL: 60, Data: []byte{192, 0,
			2, 1}})
	}
	c := build(t, "example.", rrs)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	e := c.Edit(zone.Limits{})
	if err := e.Remove(&rrs[owners/2]); err != nil {
		t.Fatal(err)
	}
	edited, err := e.Seal()
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > uint64(c.Size())/50 {
		t.Errorf("%d octets allocated to edit %d of %d", n, edited.Size(), c.Size())
	}
	if edited.Records() != owners {
		t.Errorf("%d records", edited.Records())
	}
}
