package zone_test

import (
	"bytes"
	"fmt"
	"iter"
	"maps"
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

// kept are the pages of one zone outside of memory, by key.
type kept map[string]string

// save keeps c where since was kept, and returns how many pages changed.
func (k kept) save(c, since *zone.Contents) (changes int, err error) {
	var last []byte
	for key, octets := range c.Pages(since) {
		changes++
		switch _, there := k[string(key)]; {
		case last != nil && bytes.Compare(key, last) <= 0:
			return changes, fmt.Errorf("key %x behind key %x", key, last)
		case octets == nil && !there:
			return changes, fmt.Errorf("page %x is gone and was not there", key)
		case octets == nil:
			delete(k, string(key))
		default:
			k[string(key)] = string(octets)
		}
		last = append(last[:0], key...)
	}
	return changes, nil
}

// pages iterates over the pages in order. The octets do not outlive their turn.
func (k kept) pages() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, octets []byte) bool) {
		var key, octets []byte
		for _, s := range slices.Sorted(maps.Keys(k)) {
			key, octets = append(key[:0], s...), append(octets[:0], k[s]...)
			if !yield(key, octets) {
				return
			}
			clear(key)
			clear(octets)
		}
	}
}

// compare restores contents and compares them with c, and the pages with all pages of c.
func (k kept) compare(c *zone.Contents) error {
	all := kept{}
	if _, err := all.save(c, nil); err != nil {
		return err
	}
	if !maps.Equal(k, all) {
		return fmt.Errorf("%d pages are kept, %d are there, and not the same", len(k), len(all))
	}
	restored, err := zone.Restore(c.Origin(), c.Summary(), k.pages())
	if err != nil {
		return err
	}
	if err := restored.Check(); err != nil {
		return err
	}
	if diff := cmp.Diff(exact(c), exact(restored)); diff != "" {
		return fmt.Errorf("contents (-kept +restored):\n%s", diff)
	}
	if !bytes.Equal(c.Summary(), restored.Summary()) || c.SOA() != restored.SOA() || c.Lacks() != restored.Lacks() {
		return fmt.Errorf("summary is %x, was %x", restored.Summary(), c.Summary())
	}
	return nil
}

// exact returns all records to the octet.
func exact(c *zone.Contents) (lines []string) {
	for rr := range c.All() {
		lines = append(lines, exactLine(rr))
	}
	return lines
}

func exactLine(rr *wire.RR) string {
	return fmt.Sprintf("%q %d %d %d %x", []byte(rr.Owner), rr.Type, rr.Class, rr.TTL, rr.Data)
}

// What is saved and restored is what it was, whether it was saved whole or as it changed.
func TestSavedContentsAreRestored(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := dnstest.Zones().Draw(t, "zone")
		c := seal(t, z)
		k := kept{}
		if _, err := k.save(c, nil); err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(0, 3).Draw(t, "versions") {
			s := newScript(t, z, c)
			for range rapid.IntRange(0, 12).Draw(t, "edits") {
				s.step()
			}
			next := s.seal(dump(c))
			if _, err := k.save(next, c); err != nil {
				t.Fatal(err)
			}
			c = next
		}
		if err := k.compare(c); err != nil {
			t.Fatal(err)
		}
	})
}

// Contents that have nothing to do with one another can be saved over one another too.
func TestSavedContentsReplaceOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := kept{}
		var since *zone.Contents
		for range rapid.IntRange(1, 3).Draw(t, "versions") {
			c := seal(t, dnstest.Zones().Draw(t, "zone"))
			if _, err := k.save(c, since); err != nil {
				t.Fatal(err)
			}
			since = c
		}
		if err := k.compare(since); err != nil {
			t.Fatal(err)
		}
	})
}

// While edits split, shrink, join and empty pages and nodes, the saved pages follow, and edits of restored contents go on
// as those of the contents that were saved.
func TestSavedPagesFollowEdits(t *testing.T) {
	dnstest.Alone(t)
	const owners, rounds = 30_000, 60
	rng := rand.New(rand.NewPCG(7, 8))
	c := build(t, "example.", []wire.RR{record(soaRecord)})
	present := make([]bool, owners)
	k := kept{}
	if _, err := k.save(c, nil); err != nil {
		t.Fatal(err)
	}
	for round := range rounds {
		next := editMany(t, rng, c, present)
		if _, err := k.save(next, c); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		c = next
		if round%10 == 9 {
			if err := k.compare(c); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			restored, err := zone.Restore(c.Origin(), c.Summary(), k.pages())
			if err != nil {
				t.Fatal(err)
			}
			if changes, err := k.save(restored, c); changes == 0 || err != nil {
				t.Fatalf("round %d: %d changes, %v: restored contents share nothing with the others", round, changes, err)
			}
			c = restored
		}
	}
	comparePresent(t, c, present)
}

// editMany adds or removes a random run of owners.
func editMany(t *testing.T, rng *rand.Rand, c *zone.Contents, present []bool) *zone.Contents {
	t.Helper()
	owners := len(present)
	e := c.Edit(zone.Limits{})
	start := rng.IntN(owners)
	end := min(owners, start+1+rng.IntN([]int{1, 10, 500, owners / 2, owners}[rng.IntN(5)]))
	add := rng.IntN(5) < 3
	for i := start; i < end; i += 1 + rng.IntN(3) {
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
	next, err := e.Seal()
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Check(); err != nil {
		t.Fatal(err)
	}
	return next
}

// An edit of one record changes one page to be saved, or two if that one splits.
func TestSavingCostsWhatChanged(t *testing.T) {
	dnstest.Alone(t)
	const owners = 100_000
	rrs := []wire.RR{record(soaRecord)}
	for i := range uint32(owners) {
		rrs = append(rrs, wire.RR{Owner: numbered(i), Type: wire.TypeA, Class: wire.ClassIN, TTL: 60, Data: []byte{192, 0, 2, 1}})
	}
	c := build(t, "example.", rrs)
	k := kept{}
	if _, err := k.save(c, nil); err != nil {
		t.Fatal(err)
	}
	e := c.Edit(zone.Limits{})
	if err := e.Remove(&rrs[owners/2]); err != nil {
		t.Fatal(err)
	}
	edited, err := e.Seal()
	if err != nil {
		t.Fatal(err)
	}
	if changes, err := k.save(edited, c); changes < 1 || changes > 2 || err != nil {
		t.Errorf("%d changes, %v", changes, err)
	}
	if err := k.compare(edited); err != nil {
		t.Error(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range edited.Pages(c) {
	}
	runtime.ReadMemStats(&after)
	// Of one node in each version, a slice and a bound for each page.
	if n := after.TotalAlloc - before.TotalAlloc; n > 2*zone.MaxNode*200 {
		t.Errorf("%d octets allocated", n)
	}
}

// The first page of a node takes keys below its own bound, when the page that had them is gone. It is saved under the
// bound of the node: restored contents may have it in the middle of one.
func TestFirstPagesOfNodesAreFound(t *testing.T) {
	dnstest.Alone(t)
	const owners = 60_000
	rrs := []wire.RR{record(soaRecord)}
	for i := range uint32(owners) {
		rrs = append(rrs, wire.RR{Owner: numbered(i), Type: wire.TypeA, Class: wire.ClassIN, TTL: 60, Data: []byte{192, 0, 2, 1}})
	}
	c := build(t, "example.", rrs)
	bounds := boundsOf(c)
	if len(bounds) < 2*zone.MaxNode {
		t.Fatalf("%d pages are too few", len(bounds))
	}
	// The second page of the second node gets an owner for itself that is too large to join another page.
	for i := range rrs[1:] {
		if key, _ := wire.AppendKey(nil, rrs[1+i].Owner, c.Origin()); bytes.Compare(key, bounds[zone.MaxNode+1]) >= 0 {
			rrs[1+i].Type, rrs[1+i].Data = typePrivate, make([]byte, 2*zone.MaxPage)
			break
		}
	}
	c = build(t, "example.", rrs)
	bounds = boundsOf(c)
	edit := func(e *zone.Editor, apply func(*wire.RR) error, page int) (n int) {
		for i := range rrs[1:] {
			key, _ := wire.AppendKey(nil, rrs[1+i].Owner, c.Origin())
			if bytes.Compare(key, bounds[page]) >= 0 && bytes.Compare(key, bounds[page+1]) < 0 {
				n++
				if err := apply(&rrs[1+i]); err != nil {
					t.Fatal(err)
				}
			}
		}
		return n
	}
	seal := func(e *zone.Editor) *zone.Contents {
		c, err := e.Seal()
		if err == nil {
			err = c.Check()
		}
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	e := c.Edit(zone.Limits{})
	if edit(e, e.Remove, 5) == 0 || edit(e, e.Remove, zone.MaxNode) == 0 { // one within the first node, the first of the second
		t.Fatal("Nothing removed")
	}
	gone := seal(e)
	e = gone.Edit(zone.Limits{})
	edit(e, e.Add, zone.MaxNode)
	again := seal(e)
	k := kept{}
	for _, step := range [][2]*zone.Contents{{c, nil}, {gone, c}, {again, gone}} {
		if _, err := k.save(step[0], step[1]); err != nil {
			t.Fatal(err)
		}
		if err := k.compare(step[0]); err != nil {
			t.Fatal(err)
		}
	}
}

// boundsOf returns the lower bounds of the pages, all of names.
func boundsOf(c *zone.Contents) (bounds [][]byte) {
	for key := range c.Pages(nil) {
		bounds = append(bounds, bytes.Clone(key[1:]))
	}
	return bounds
}

// Pages that are not all there, or in the wrong place, are an error: a checksum of each does not show that.
func TestWrongPagesAreNotRestored(t *testing.T) {
	rrs := []wire.RR{record(soaRecord), record(nsec3Record)}
	for i := range uint32(500) {
		rrs = append(rrs, pageRecord(i))
	}
	c := build(t, "example.", rrs)
	type saved struct{ key, octets []byte }
	var good []saved
	for key, octets := range c.Pages(nil) {
		good = append(good, saved{bytes.Clone(key), octets})
	}
	last := len(good) - 1
	for _, w := range []struct {
		name  string
		pages []saved
	}{
		{"none", nil},
		{"without the first", good[1:]},
		{"without the last", good[:last]},
		{"without one", append(slices.Clone(good[:2]), good[3:]...)},
		{"one twice", append(append(slices.Clone(good[:3]), good[2]), good[3:last]...)},
		{"two swapped", append(append(slices.Clone(good[:1]), good[2], good[1]), good[3:]...)},
		{"one too many", append(append(slices.Clone(good[:last]), saved{[]byte{0, 0xff, 0xff}, good[1].octets}), good[last])},
		{"one of another tree", append(slices.Clone(good[:last]), saved{[]byte{2}, good[last].octets})},
		{"one without a key", append(slices.Clone(good[:last]), saved{nil, good[last].octets})},
		{"one without octets", append(slices.Clone(good[:last]), saved{good[last].key, nil})},
		{"without an apex", append([]saved{{good[0].key, good[1].octets}}, good[1:]...)},
	} {
		restored, err := zone.Restore(c.Origin(), c.Summary(), func(yield func(key, octets []byte) bool) {
			for _, p := range w.pages {
				if !yield(p.key, p.octets) {
					return
				}
			}
		})
		if err == nil || restored != nil {
			t.Errorf("%s: %v", w.name, err)
		}
	}
	k := kept{}
	if _, err := k.save(c, nil); err != nil {
		t.Fatal(err)
	}
	for cut := range c.Summary() {
		if _, err := zone.Restore(c.Origin(), c.Summary()[:cut], k.pages()); err == nil {
			t.Errorf("Restored from %d octets of the summary", cut)
		}
	}
}

// What has been left out of a version is known after a restart too.
func TestLacksAreRestored(t *testing.T) {
	origin, _ := wire.ParseName("example.")
	b := zone.NewBuilder(origin, zone.Limits{})
	soa, bad := record(soaRecord), record("a.example. 60 IN A 192.0.2.1")
	if err := b.Add(&soa); err != nil {
		t.Fatal(err)
	}
	b.Malformed(&bad)
	c, err := b.Seal()
	if err != nil {
		t.Fatal(err)
	}
	k := kept{}
	if _, err := k.save(c, nil); err != nil {
		t.Fatal(err)
	}
	if err := k.compare(c); err != nil || c.Lacks() != 1 {
		t.Errorf("%d lacks, %v", c.Lacks(), err)
	}
}

func BenchmarkRestore(b *testing.B) {
	for _, n := range []int{12, 1e6} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := build(b, "big.test.", mixedZone(n))
			k := kept{}
			if _, err := k.save(c, nil); err != nil {
				b.Fatal(err)
			}
			type saved struct{ key, octets []byte }
			var pages []saved
			for key, octets := range k.pages() {
				pages = append(pages, saved{bytes.Clone(key), bytes.Clone(octets)})
			}
			summary := c.Summary()
			b.ReportAllocs()
			for b.Loop() {
				_, err := zone.Restore(c.Origin(), summary, func(yield func(key, octets []byte) bool) {
					for _, p := range pages {
						if !yield(p.key, p.octets) {
							return
						}
					}
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(pages)), "pages")
		})
	}
}

func BenchmarkPages(b *testing.B) {
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
	for _, s := range []struct {
		name  string
		since *zone.Contents
	}{{"all", nil}, {"one", c}} {
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for range edited.Pages(s.since) {
				}
			}
		})
	}
}

// Deletions do not leave a trail of small pages: those that are left join their neighbors.
func TestSmallPagesAreJoined(t *testing.T) {
	rrs := mixedZone(20000)
	c := build(t, "big.test.", rrs)
	pages := func() (n, octets int) {
		for _, p := range c.Pages(nil) {
			n, octets = n+1, octets+len(p)
		}
		return n, octets
	}
	before, _ := pages()
	for share := range 10 { // in several versions, as a zone shrinks
		e := c.Edit(zone.Limits{})
		for i := range rrs {
			if rr := &rrs[i]; i%10 == share && i%100 != share && rr.Type != wire.TypeSOA {
				if err := e.Remove(rr); err != nil {
					t.Fatal(err)
				}
			}
		}
		var err error
		if c, err = e.Seal(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	after, octets := pages()
	t.Logf("%d pages, then %d of %d octets", before, after, octets/after)
	if after > before/2 {
		t.Errorf("%d pages are left of %d with a tenth of the records", after, before)
	}
}
