package store_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/store"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

func name(s string) wire.Name {
	n, err := wire.ParseName(s)
	if err != nil {
		panic(err)
	}
	return n
}

func soaRecord(origin wire.Name, version uint32) wire.RR {
	data := slices.Concat([]byte("\x02ns"), origin, []byte("\x04host"), origin)
	for _, n := range []uint32{version, 7200, 900, 86400, 300} {
		data = binary.BigEndian.AppendUint32(data, n)
	}
	return wire.RR{Owner: origin, Type: wire.TypeSOA, Class: wire.ClassIN, TTL: 3600, Data: data}
}

// host is record i of the version of a zone: of the n hosts, a version changes the one whose turn it is.
func host(origin wire.Name, version uint32, i, n int) wire.RR {
	changed := version - (version+uint32(n)-uint32(i))%uint32(n)
	if int64(version)-int64((version+uint32(n)-uint32(i))%uint32(n)) < 0 {
		changed = 0
	}
	label := fmt.Sprintf("h%05d", i)
	return wire.RR{Owner: slices.Concat([]byte{byte(len(label))}, []byte(label), origin), Type: wire.TypeA, Class: wire.ClassIN,
		TTL: 60, Data: binary.BigEndian.AppendUint32(nil, changed)}
}

// version makes a version of a zone of n hosts from nothing.
func version(origin string, serial uint32, n int) *zone.Contents {
	o := name(origin)
	b := zone.NewBuilder(o, zone.Limits{})
	rr := soaRecord(o, serial)
	err := b.Add(&rr)
	for i := range n {
		rr := host(o, serial, i, n)
		err = errors.Join(err, b.Add(&rr))
	}
	c, sealErr := b.Seal()
	if err = errors.Join(err, sealErr); err != nil {
		panic(err)
	}
	return c
}

// next makes the version behind c, which shares the pages that do not change.
func next(c *zone.Contents, n int) *zone.Contents {
	e := c.Edit(zone.Limits{})
	old := c.Serial().Uint32()
	i := int(old+1) % n
	oldSOA, newSOA := soaRecord(c.Origin(), old), soaRecord(c.Origin(), old+1)
	oldHost, newHost := host(c.Origin(), old, i, n), host(c.Origin(), old+1, i, n)
	err := errors.Join(e.Remove(&oldSOA), e.Add(&newSOA), e.Remove(&oldHost), e.Add(&newHost))
	edited, sealErr := e.Seal()
	if err = errors.Join(err, sealErr); err != nil {
		panic(err)
	}
	return edited
}

// dump returns all records to the octet.
func dump(c *zone.Contents) (lines []string) {
	if c == nil {
		return nil
	}
	for rr := range c.All() {
		lines = append(lines, fmt.Sprintf("%q %d %d %d %x", []byte(rr.Owner), rr.Type, rr.Class, rr.TTL, rr.Data))
	}
	return lines
}

// exact returns all records to the octet, in less time than dump.
func exact(c *zone.Contents) (records []string) {
	if c == nil {
		return nil
	}
	var b []byte
	for rr := range c.All() {
		b = binary.BigEndian.AppendUint32(append(b[:0], rr.Owner...), rr.TTL)
		b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, rr.Type), rr.Class)
		records = append(records, string(append(b, rr.Data...)))
	}
	return records
}

// differences returns what leads from each of the versions to the next.
func differences(versions ...*zone.Contents) (ds []*zone.Difference) {
	for i, c := range versions[1:] {
		d, err := c.Difference(versions[i], 0)
		if err != nil {
			panic(err)
		}
		ds = append(ds, d)
	}
	return ds
}

// fataler is what tests, benchmarks and properties have in common.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func open(tb fataler, path string) *store.Store {
	tb.Helper()
	s, err := store.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// start opens a new store that is closed at the end of the test.
func start(tb testing.TB) (s *store.Store, path string) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), "zones.db")
	s = open(tb, path)
	tb.Cleanup(func() { _ = s.Close() })
	return s, path
}

func commit(tb fataler, s *store.Store, changes ...store.Change) {
	tb.Helper()
	if err := s.Commit(changes); err != nil {
		tb.Fatal(err)
	}
}

func load(tb fataler, s *store.Store, id string) store.Saved {
	tb.Helper()
	saved, err := s.Load([]byte(id))
	if err != nil {
		tb.Fatal(err)
	}
	if saved.Contents != nil {
		if err := saved.Contents.Check(); err != nil {
			tb.Fatal(err)
		}
	}
	return saved
}

// expect compares what is saved of a zone.
func expect(tb fataler, s *store.Store, id string, want *zone.Contents, state string) {
	tb.Helper()
	saved := load(tb, s, id)
	if !slices.Equal(exact(want), exact(saved.Contents)) {
		tb.Fatalf("Zone %s (-want +saved):\n%s", id, cmp.Diff(dump(want), dump(saved.Contents)))
	}
	if string(saved.State) != state {
		tb.Fatalf("State of %s is %q, want %q", id, saved.State, state)
	}
}

func TestSavedZonesOutliveTheStore(t *testing.T) {
	t.Parallel()
	s, path := start(t)
	small, large := version("small.example.", 7, 3), version("large.example.", 8, 3000)
	commit(t, s, store.Change{ID: []byte("small"), Contents: small, State: []byte("of small")},
		store.Change{ID: []byte("large"), Contents: large}, store.Change{ID: []byte("none"), State: []byte("of none")})
	large2 := next(large, 3000)
	commit(t, s, store.Change{ID: []byte("large"), Contents: large2, Since: large, State: []byte("of large")})
	for range 2 {
		expect(t, s, "small", small, "of small")
		expect(t, s, "large", large2, "of large")
		expect(t, s, "none", nil, "of none")
		expect(t, s, "unknown", nil, "")
		all, err := s.All()
		want := []store.Stored{{ID: []byte("large"), State: []byte("of large")}, {ID: []byte("none"), State: []byte("of none")},
			{ID: []byte("small"), State: []byte("of small")}}
		if diff := cmp.Diff(want, all); diff != "" || err != nil {
			t.Fatalf("All (-want +got): %v\n%s", err, diff)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, path)
	}
	commit(t, s, store.Change{ID: []byte("large"), Remove: true}, store.Change{ID: []byte("unknown"), Remove: true})
	expect(t, s, "large", nil, "")
	expect(t, s, "small", small, "of small")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// State alone can be saved, and contents alone; what is not named stays.
func TestStateAndContentsAreSavedApart(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	id := []byte("z")
	one, two := version("example.", 1, 3), version("example.", 2, 500)
	commit(t, s, store.Change{ID: id, State: []byte("a")})
	expect(t, s, "z", nil, "a")
	commit(t, s, store.Change{ID: id, Contents: one})
	expect(t, s, "z", one, "a")
	commit(t, s, store.Change{ID: id, State: []byte{}})
	expect(t, s, "z", one, "")
	commit(t, s, store.Change{ID: id, Contents: two, State: []byte("b")})
	commit(t, s, store.Change{ID: id, Contents: one})
	expect(t, s, "z", one, "b")
	commit(t, s, store.Change{ID: id, Contents: one, Since: one})
	expect(t, s, "z", one, "b")
}

// Pages are left alone only where Since is what is saved; whatever the caller believes, what is loaded is what was saved.
func TestContentsSinceOthersAreSavedWhole(t *testing.T) {
	t.Parallel()
	const hosts = 2000
	one := version("example.", 1, hosts)
	later := one
	for range hosts / 2 {
		later = next(later, hosts)
	}
	larger := version("example.", 1, hosts+1)
	halved := touch(t, one, 1, hosts/2, hosts)
	touched := touch(t, halved, 2, hosts/2, hosts) // it has as many pages, and the same of everything else
	for _, c := range []struct {
		name                   string
		saved, since, contents *zone.Contents
	}{
		{"nothing is saved", nil, one, next(one, hosts)},
		{"another version is", one, later, next(later, hosts)},
		{"a version that differs in one place is", halved, touched, next(touched, hosts)},
		{"another version with the same serial is", one, larger, next(larger, hosts+1)},
		{"the version itself is", later, one, later},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, _ := start(t)
			commit(t, s, store.Change{ID: []byte("z"), Contents: c.saved, State: []byte("s")})
			commit(t, s, store.Change{ID: []byte("z"), Contents: c.contents, Since: c.since,
				Differences: differences(c.since, c.contents)})
			expect(t, s, "z", c.contents, "s")
			if j := load(t, s, "z").Journal; j.Versions != 1 || j.From != c.since.Serial() {
				t.Errorf("Journal is %+v, want the difference alone", j)
			}
		})
	}
}

// What is no zone is saved with the zones, or by itself, and is none of them.
func TestNotesAreSavedBesideZones(t *testing.T) {
	t.Parallel()
	s, path := start(t)
	want := func(name, octets string) {
		t.Helper()
		if got, err := s.Note(name); string(got) != octets || err != nil {
			t.Errorf("Note %s is %q, %v; want %q", name, got, err, octets)
		}
	}
	want("one", "")
	zones := []store.Change{{ID: []byte("one"), State: []byte("of the zone")}}
	large := strings.Repeat("x", 3*store.BoltPage)
	if err := s.Commit(zones, store.Note{Name: "one", Octets: []byte("1")}, store.Note{Name: "two", Octets: []byte(large)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	defer s.Close()
	want("one", "1")
	want("two", large)
	want("three", "")
	if err := s.Commit(nil, store.Note{Name: "one"}, store.Note{Name: "two", Octets: []byte("2")}); err != nil {
		t.Fatal(err)
	}
	want("one", "")
	want("two", "2")
	expect(t, s, "one", nil, "of the zone")
	if all, err := s.All(); len(all) != 1 || err != nil {
		t.Errorf("%d zones, %v", len(all), err)
	}
}

func TestWrongChangesAreRefused(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	c := version("example.", 1, 3)
	commit(t, s, store.Change{ID: []byte("z"), Contents: c})
	for _, changes := range [][]store.Change{
		{{ID: nil, Contents: c}},
		{{ID: make([]byte, store.MaxID+1), Contents: c}},
		{{ID: []byte("y"), Contents: c}, {ID: []byte("z"), Remove: true}, {ID: []byte("y"), Remove: true}},
	} {
		if err := s.Commit(changes); err == nil || errors.Is(err, store.ErrDamaged) {
			t.Errorf("%d changes: %v", len(changes), err)
		}
	}
	commit(t, s)
	commit(t, s, store.Change{ID: make([]byte, store.MaxID), Contents: c})
	expect(t, s, "z", c, "")
	expect(t, s, "y", nil, "")
}

func TestClosedStoreRefusesEverything(t *testing.T) {
	t.Parallel()
	s, path := start(t)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, allErr := s.All()
	_, loadErr := s.Load([]byte("z"))
	_, differencesErr := s.Differences([]byte("z"), serial.New(1))
	for _, err := range []error{allErr, loadErr, differencesErr, s.Commit(nil), s.Replace(time.Now())} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%v, want ErrClosed", err)
		}
	}
	again := open(t, path)
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

// model is what a store should hold of one zone.
type model struct {
	contents *zone.Contents
	state    string
	versions []*zone.Contents // those that the journal leads to contents from, oldest first
}

// Whatever is committed, in one process or several, is what is there.
func TestStoreAgreesWithAModel(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		path := filepath.Join(dir, fmt.Sprint(runs))
		s := open(t, path)
		defer func() {
			_ = s.Close()
			_ = os.Remove(path)
		}()
		want := map[string]model{}
		for range rapid.IntRange(1, 8).Draw(t, "commits") {
			changes := drawChanges(t, want)
			s.SetMaxHeld(rapid.SampledFrom([]int64{1, 4 << 10, 64 << 20}).Draw(t, "held"))
			if err := s.Commit(changes); err != nil {
				t.Fatal(err)
			}
			if rapid.IntRange(0, 3).Draw(t, "restart") == 0 {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = open(t, path)
			}
			compareModel(t, s, want)
		}
	})
}

// drawChanges draws changes of some zones and makes them to the model.
func drawChanges(t *rapid.T, want map[string]model) (changes []store.Change) {
	some := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "\x00", "\xff"}), 1, 3, rapid.ID)
	for _, id := range some.Draw(t, "zones") {
		c := store.Change{ID: []byte(id)}
		m, known := want[id]
		kind := rapid.IntRange(0, 9).Draw(t, "kind")
		if kind%2 == 0 {
			c.State = rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "state")
			m.state = string(c.State)
		}
		switch {
		case kind == 9:
			c.Remove = true
			delete(want, id)
			changes = append(changes, c)
			continue
		case kind < 4 && m.contents != nil:
			m = drawVersions(t, m, &c)
		case kind < 7 || !known:
			c.Contents = seal(t, dnstest.Zones().Draw(t, "contents"))
			m.contents, m.versions = c.Contents, nil
		}
		want[id] = m
		changes = append(changes, c)
	}
	return changes
}

// drawVersions draws some versions of which the last is saved, with the differences between them or some of those.
func drawVersions(t *rapid.T, m model, c *store.Change) model {
	c.Since = m.contents
	for range rapid.IntRange(1, 3).Draw(t, "versions") {
		later := drawEdit(t, m.contents)
		drawn := rapid.IntRange(0, 19).Draw(t, "difference")
		follows := later.Serial().Newer(m.contents.Serial())
		if drawn == 2 || !follows { // serials alone do not tell of a version that is left out and has that of another
			c.Reset, c.Differences, m.versions = true, nil, nil
		}
		if m.versions = append(slices.Clone(m.versions), m.contents); drawn > 1 && follows {
			c.Differences = append(c.Differences, differences(m.contents, later)...)
		} else {
			m.versions = nil
		}
		m.contents = later
	}
	c.Contents = m.contents
	return m
}

// drawEdit draws a later version of contents.
func drawEdit(t *rapid.T, c *zone.Contents) *zone.Contents {
	z := dnstest.Zone{Origin: c.Origin()}
	e := c.Edit(zone.Limits{})
	for rr := range c.All() {
		if rr.Type != wire.TypeSOA && rapid.IntRange(0, 5).Draw(t, "remove") > 0 {
			continue
		}
		if err := e.Remove(rr); err != nil {
			t.Fatal(err)
		}
	}
	soa := z.SOA(c.Serial().Uint32()+rapid.Uint32Range(0, 3).Draw(t, "later"), 300)
	if err := e.Add(&soa); err != nil {
		t.Fatal(err)
	}
	for _, rr := range rapid.SliceOfN(z.Record(), 0, 9).Draw(t, "records") {
		if err := e.Add(&rr); err != nil && !errors.Is(err, zone.ErrNotExact) {
			t.Fatal(err)
		}
	}
	edited, err := e.Seal()
	if err != nil {
		t.Fatal(err)
	}
	return edited
}

func seal(t *rapid.T, z dnstest.Zone) *zone.Contents {
	b := zone.NewBuilder(z.Origin, zone.Limits{})
	for i := range z.Records {
		if err := b.Add(&z.Records[i]); err != nil {
			t.Fatal(err)
		}
	}
	c, err := b.Seal()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func compareModel(t *rapid.T, s *store.Store, want map[string]model) {
	all, err := s.All()
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, z := range all {
		ids = append(ids, string(z.ID))
		if string(z.State) != want[string(z.ID)].state {
			t.Fatalf("All gives %q state %q, want %q", z.ID, z.State, want[string(z.ID)].state)
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), ids); diff != "" {
		t.Fatalf("Zones (-want +got):\n%s", diff)
	}
	for id, m := range want {
		expect(t, s, id, m.contents, m.state)
		if j := load(t, s, id).Journal; j.Versions != len(m.versions) || j.Versions > 0 && j.From != m.versions[0].Serial() {
			t.Fatalf("Journal of %q is %+v, want %d versions", id, j, len(m.versions))
		}
		compareJournal(t, s, id, m)
	}
}

// compareJournal makes the contents of each version in the journal.
func compareJournal(t *rapid.T, s *store.Store, id string, m model) {
	for i, from := range m.versions {
		differences, err := s.Differences([]byte(id), from.Serial())
		if err != nil || len(differences) != len(m.versions)-i {
			t.Fatalf("%d differences from %s, %v; want %d", len(differences), from.Serial(), err, len(m.versions)-i)
		}
		e := from.Edit(zone.Limits{})
		for _, d := range differences {
			for rr := range d.Removed() {
				err = errors.Join(err, e.Remove(rr))
			}
			for rr := range d.Added() {
				err = errors.Join(err, e.Add(rr))
			}
		}
		made, sealErr := e.Seal()
		if err = errors.Join(err, sealErr); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(sorted(dump(made)), sorted(dump(m.contents))) {
			t.Fatalf("From %s:\n%s", from.Serial(), cmp.Diff(dump(m.contents), dump(made)))
		}
	}
}

func sorted(lines []string) []string {
	slices.Sort(lines)
	return lines
}

// RFC 1995 §4 leaves how far back to go to the server: a hundred versions, and no more octets than the zone has.
func TestJournalIsBounded(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	id := []byte("z")
	const hosts, commits = 5000, store.MaxVersions + 20
	c := version("example.", 1, hosts)
	first := c
	commit(t, s, store.Change{ID: id, Contents: c})
	for range commits {
		later := next(c, hosts)
		commit(t, s, store.Change{ID: id, Contents: later, Since: c, Differences: differences(c, later)})
		c = later
	}
	j := load(t, s, "z").Journal
	if want := serial.New(1 + commits - store.MaxVersions); j.Versions != store.MaxVersions || j.From != want {
		t.Errorf("Journal is %+v, want %d from %s", j, store.MaxVersions, want)
	}
	if d, err := s.Differences(id, j.From); err != nil || len(d) != store.MaxVersions || d[0].From() != j.From {
		t.Errorf("%d differences, %v", len(d), err)
	}
	if d, err := s.Differences(id, first.Serial()); err != nil || d != nil {
		t.Errorf("%d differences from a version that is gone, %v", len(d), err)
	}
	versions := []*zone.Contents{c}
	for range commits { // all of them in one commit
		versions = append(versions, next(versions[len(versions)-1], hosts))
	}
	c = versions[commits]
	commit(t, s, store.Change{ID: id, Contents: c, Since: versions[0], Differences: differences(versions...)})
	if d, err := s.Differences(id, versions[commits-store.MaxVersions].Serial()); err != nil || len(d) != store.MaxVersions {
		t.Errorf("%d differences, %v", len(d), err)
	}
	// Versions of which each changes about a third of the zone: three of them are too much.
	for range 5 {
		e := c.Edit(zone.Limits{})
		soa, later := soaRecord(c.Origin(), c.Serial().Uint32()), soaRecord(c.Origin(), c.Serial().Uint32()+1)
		err := errors.Join(e.Remove(&soa), e.Add(&later))
		for i := range hosts / 6 {
			rr := wire.RR{Owner: host(c.Origin(), 1, i, hosts).Owner, Type: wire.TypeMX, Class: wire.ClassIN, TTL: 60,
				Data: append([]byte{0, byte(c.Serial().Uint32())}, name("m.example.")...)}
			err = errors.Join(err, e.Add(&rr))
		}
		edited, sealErr := e.Seal()
		if err = errors.Join(err, sealErr); err != nil {
			t.Fatal(err)
		}
		commit(t, s, store.Change{ID: id, Contents: edited, Since: c, Differences: differences(c, edited)})
		c = edited
		if j := load(t, s, "z").Journal; j.Octets > max(c.Size(), store.MinJournal) || j.Versions == 0 {
			t.Errorf("Journal is %+v of a zone of %d octets", j, c.Size())
		}
	}
	// One that is larger than the zone will be is of no use.
	small := version("example.", c.Serial().Uint32()+1, 3)
	commit(t, s, store.Change{ID: id, Contents: small, Since: c, Differences: differences(c, small)})
	if j := load(t, s, "z").Journal; j != (store.Journal{}) {
		t.Errorf("Journal is %+v", j)
	}
	expect(t, s, "z", small, "")
}

// A difference that does not lead from what is saved to what is to be does not go into the journal.
func TestJournalLeadsToTheContents(t *testing.T) {
	t.Parallel()
	one := version("example.", 1, 50)
	two := next(one, 50)
	three := next(two, 50)
	four := next(three, 50)
	five := next(four, 50)
	for _, c := range []struct {
		name     string
		change   store.Change
		versions int
	}{
		{"follows", store.Change{Contents: three, Since: two, Differences: differences(two, three)}, 2},
		{"none", store.Change{Contents: three, Since: two}, 0},
		{"several follow", store.Change{Contents: five, Since: two, Differences: differences(two, three, four, five)}, 4},
		{"several after a reset", store.Change{Contents: five, Since: two, Reset: true, Differences: differences(three, four, five)}, 2},
		{"one is missing", store.Change{Contents: five, Since: two,
			Differences: slices.Concat(differences(two, three), differences(four, five))}, 1},
		{"the first is missing", store.Change{Contents: five, Since: two, Differences: differences(three, four, five)}, 2},
		{"the last is missing", store.Change{Contents: five, Since: two, Differences: differences(two, three, four)}, 0},
		{"reset", store.Change{Contents: three, Since: two, Reset: true}, 0},
		{"reset and one", store.Change{Contents: three, Since: two, Reset: true, Differences: differences(two, three)}, 1},
		{"to another version", store.Change{Contents: three, Since: two, Differences: differences(one, two)}, 0},
		{"from another version", store.Change{Contents: three, Since: two, Differences: differences(one, three)}, 1},
		{"backward", store.Change{Contents: one, Since: two, Differences: differences(two, one)}, 0},
		{"same contents", store.Change{Contents: two, Since: two}, 1},
		{"same serial, other marks", store.Change{Contents: version("example.", 2, 51), Since: two}, 1},
		{"same serial, another version", store.Change{Contents: version("example.", 2, 51), Since: two, Reset: true}, 0},
		{"state", store.Change{State: []byte("x")}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, _ := start(t)
			commit(t, s, store.Change{ID: []byte("z"), Contents: one})
			commit(t, s, store.Change{ID: []byte("z"), Contents: two, Since: one, Differences: differences(one, two)})
			c.change.ID = []byte("z")
			commit(t, s, c.change)
			j := load(t, s, "z").Journal
			if j.Versions != c.versions {
				t.Fatalf("Journal is %+v, want %d versions", j, c.versions)
			}
			d, err := s.Differences([]byte("z"), j.From)
			if len(d) != c.versions || err != nil {
				t.Fatalf("%d differences, %v", len(d), err)
			}
			for i := range d {
				if want := j.From.Uint32() + uint32(i); d[i].From().Uint32() != want {
					t.Errorf("Difference %d leads from %s, want %d", i, d[i].From(), want)
				}
			}
		})
	}
}

// Zones are loaded while others, and they themselves, are saved.
func TestReadersAndWritersDoNotMeet(t *testing.T) {
	t.Parallel()
	const hosts, commits = 300, 60
	path := filepath.Join(scratch(t), "zones.db")
	s := open(t, path)
	defer s.Close()
	cur := version("example.", 1, hosts)
	commit(t, s, store.Change{ID: []byte("z"), Contents: cur, State: []byte("1")})
	var done atomic.Bool
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for last := uint32(1); !done.Load(); {
				saved, err := s.Load([]byte("z"))
				if err != nil || fmt.Sprint(saved.Contents.Serial()) != string(saved.State) || saved.Contents.Serial().Uint32() < last {
					t.Errorf("%+v, %v", saved, err)
					return
				}
				last = saved.Contents.Serial().Uint32()
				_, allErr := s.All()
				_, differencesErr := s.Differences([]byte("z"), saved.Journal.From)
				if err := errors.Join(allErr, differencesErr); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := range commits {
		later := next(cur, hosts)
		s.SetMaxHeld(heldBy(n))
		commit(t, s, store.Change{ID: []byte("z"), Contents: later, Since: cur, Differences: differences(cur, later),
			State: fmt.Append(nil, later.Serial())})
		cur = later
	}
	done.Store(true)
	readers.Wait()
	expect(t, s, "z", cur, fmt.Sprint(cur.Serial()))
}

// A state is the caller's; the store only keeps it.
func TestLargeValues(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	state := bytes.Repeat([]byte("state"), 100_000)
	o := name("example.")
	b := zone.NewBuilder(o, zone.Limits{})
	soa := soaRecord(o, 1)
	err := b.Add(&soa)
	for i := range 300 { // one owner alone takes up 64 KB
		rr := wire.RR{Owner: o, Type: 16, Class: wire.ClassIN, TTL: 1,
			Data: append([]byte{200, byte(i >> 8), byte(i)}, make([]byte, 198)...)}
		err = errors.Join(err, b.Add(&rr))
	}
	c, sealErr := b.Seal()
	if err = errors.Join(err, sealErr); err != nil {
		t.Fatal(err)
	}
	commit(t, s, store.Change{ID: []byte("z"), Contents: c, State: state})
	expect(t, s, "z", c, string(state))
	all, err := s.All()
	if err != nil || len(all) != 1 || !bytes.Equal(all[0].State, state) {
		t.Errorf("%d zones, %v", len(all), err)
	}
}
