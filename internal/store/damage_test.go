package store_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/store"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// history is a store with a past: zones of all sizes, journals, pages that are free again.
type history struct {
	octets []byte
	zones  map[string][]string // what was saved last of each
	before map[string][]string // and in the last commit but one
}

// write makes the file of a history.
func write(tb fataler, path string) *history {
	h := &history{zones: map[string][]string{}, before: map[string][]string{}}
	sizes := map[string]int{"tiny": 3, "small": 12, "medium": 150, "large": 1500}
	s := open(tb, path)
	last := map[string]*zone.Contents{}
	for i := range 12 {
		var changes []store.Change
		h.before = map[string][]string{}
		for id, n := range sizes {
			h.before[id] = h.zones[id]
			c := store.Change{ID: []byte(id), State: fmt.Appendf(nil, "state %d of %s", i, id), Since: last[id]}
			if c.Since == nil {
				c.Contents = version(id+".example.", 1, n)
			} else {
				c.Contents = next(c.Since, n)
				c.Differences = differences(c.Since, c.Contents)
			}
			last[id] = c.Contents
			h.zones[id] = append(exact(c.Contents), string(c.State))
			changes = append(changes, c)
		}
		s.SetMaxHeld(heldBy(i))
		commit(tb, s, changes...)
	}
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
	octets, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	h.octets = octets
	return h
}

// tally counts how damaged stores were found to be.
type tally struct {
	recovers                                     bool // everything is saved anew each time
	refused, whole, zones, right, missing, wrong int
}

// inspect opens a file that may be damaged in any way: each zone is either right, or an error, or missing from a file
// that is known to be damaged. What the last commit but one saved is right where a meta is damaged: that cannot be told
// from a crash.
func (h *history) inspect(t fataler, path string, n *tally) {
	s, err := store.Open(path)
	if err != nil {
		n.refused++
		if errors.Is(err, store.ErrInUse) || errors.Is(err, store.ErrReadOnly) {
			t.Fatal(err)
		}
		return
	}
	defer s.Close()
	if _, err := s.All(); err != nil && !errors.Is(err, store.ErrDamaged) {
		t.Fatal(err)
	}
	older := 0
	for id := range h.zones {
		n.zones++
		saved, err := s.Load([]byte(id))
		_, journalErr := s.Differences([]byte(id), serial.New(10))
		is := append(exact(saved.Contents), string(saved.State))
		switch {
		case err != nil || journalErr != nil:
			n.wrong++
			if err = errors.Join(err, journalErr); !errors.Is(err, store.ErrDamaged) {
				t.Fatalf("%s: %v", id, err)
			}
		case saved.Contents == nil:
			n.missing++
			if s.Damage() == nil {
				t.Fatalf("Zone %s is missing", id)
			}
		case slices.Equal(is, h.zones[id]):
			n.right++
		case slices.Equal(is, h.before[id]):
			n.right++
			older++
		default:
			t.Fatalf("Zone %s is neither right nor an error", id)
		}
	}
	if older > 0 && older < len(h.zones)-n.wrong-n.missing && s.Damage() == nil {
		t.Fatalf("%d zones of %d are those of the last commit but one", older, len(h.zones))
	}
	if s.Damage() == nil {
		n.whole++
	}
	if n.recovers {
		h.recover(t, s)
	}
}

// recover saves every zone anew, as an engine would that has transferred what it could not load, and finds them all.
func (h *history) recover(t fataler, s *store.Store) {
	var changes []store.Change
	for id := range h.zones {
		changes = append(changes, store.Change{ID: []byte(id), Contents: version(id+".example.", 100, 40), State: []byte("new")})
	}
	err := s.Commit(changes)
	if errors.Is(err, store.ErrDamaged) {
		if err := s.Replace(time.Now()); err != nil {
			t.Fatal(err)
		}
		err = s.Commit(changes)
	}
	if err != nil {
		t.Fatal(err)
	}
	for id := range h.zones {
		expect(t, s, id, version(id+".example.", 100, 40), "new")
	}
}

// Whatever bits of the file flip, nothing crashes, and no zone is taken for right that is not.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	path := filepath.Join(dir, "zones.db")
	h := write(t, path)
	rng := rand.New(rand.NewPCG(1, 2))
	n := tally{recovers: true}
	flip := func(octets []byte, from, to int) {
		octets[from+rng.IntN(to-from)] ^= 1 << rng.IntN(8)
	}
	pages := len(h.octets) / store.BoltPage
	for round := range dnstest.Rounds(1000) {
		octets := bytes.Clone(h.octets)
		switch round % 4 {
		case 0: // anywhere
			flip(octets, 0, len(octets))
		case 1: // where a page says what it is
			page := rng.IntN(pages) * store.BoltPage
			flip(octets, page, page+16)
		case 2: // where a page says where its entries are
			page := rng.IntN(pages) * store.BoltPage
			flip(octets, page+16, page+16+512)
		default:
			for range 1 + rng.IntN(100) {
				flip(octets, 0, len(octets))
			}
		}
		if err := os.WriteFile(path, octets, 0o600); err != nil {
			t.Fatal(err)
		}
		h.inspect(t, path, &n)
	}
	t.Logf("%d octets: %+v", len(h.octets), n)
	if n.right < n.zones/4 || n.wrong == 0 || n.whole == 0 {
		t.Errorf("%+v: not much of a test", n)
	}
}

// named is a test of which a part that fails says its name.
type named struct {
	*testing.T
	name string
}

func (n named) Fatalf(format string, args ...any) {
	n.Helper()
	n.T.Fatalf(n.name+": "+format, args...)
}

// Where pages say what they are and where their entries are, no checksum helps.
func TestFlippedBitsOfTheStructure(t *testing.T) {
	t.Parallel()
	path := filepath.Join(scratch(t), "zones.db")
	h := write(t, path)
	var places []int // all octets of headers and entries of pages in use, the first two apart
	const header, entry = 16, 16
	for page := 2 * store.BoltPage; page < len(h.octets); page += store.BoltPage {
		switch p := h.octets[page:]; binary.NativeEndian.Uint16(p[8:]) {
		case 1, 2: // branch, leaf
			for at := range header + entry*int(binary.NativeEndian.Uint16(p[10:])) {
				places = append(places, page+at)
			}
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rng := rand.New(rand.NewPCG(3, 4))
	var n tally
	for range dnstest.Rounds(4000) {
		at := places[rng.IntN(len(places))]
		flipped := h.octets[at] ^ 1<<rng.IntN(8)
		if _, err := f.WriteAt([]byte{flipped}, int64(at)); err != nil {
			t.Fatal(err)
		}
		what := fmt.Sprintf("Octet %d of page %d", at%store.BoltPage, at/store.BoltPage)
		h.inspect(named{t, what}, path, &n)
		if _, err := f.WriteAt(h.octets[at:at+1], int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d places: %+v", len(places), n)
	if n.right == 0 || n.wrong == 0 || n.whole == 0 {
		t.Errorf("%+v: not much of a test", n)
	}
}

// A page number that is another leads to no page, or to one that is told apart: also to what an earlier commit left there.
func TestFlippedPageNumbers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(scratch(t), "zones.db")
	h := write(t, path)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const header, entry, number, bits = 16, 16, 8, 8
	var n tally
	for page := 2 * store.BoltPage; page < len(h.octets); page += store.BoltPage {
		p := h.octets[page:]
		if binary.NativeEndian.Uint16(p[8:]) != 1 { // branch
			continue
		}
		for i := range int(binary.NativeEndian.Uint16(p[10:])) {
			for bit := range bits {
				at := page + header + i*entry + number
				if _, err := f.WriteAt([]byte{h.octets[at] ^ 1<<bit}, int64(at)); err != nil {
					t.Fatal(err)
				}
				h.inspect(named{t, fmt.Sprintf("Entry %d of page %d, bit %d", i, page/store.BoltPage, bit)}, path, &n)
				if _, err := f.WriteAt(h.octets[at:at+1], int64(at)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if n.wrong+n.missing == 0 {
		t.Errorf("%+v: not much of a test", n)
	}
}

func TestTruncatedFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(scratch(t), "zones.db")
	h := write(t, path)
	n := tally{recovers: true}
	for size := 0; size < len(h.octets); size += len(h.octets) / dnstest.Rounds(len(h.octets)/4096) {
		if err := os.WriteFile(path, h.octets[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		if size == 0 {
			continue // a new file
		}
		h.inspect(t, path, &n)
	}
	t.Logf("%+v", n)
	if n.right == 0 || n.wrong+n.missing == 0 {
		t.Errorf("%+v: not much of a test", n)
	}
}

// scratch returns a directory for files that need not outlive a crash, in memory where there is such a place.
func scratch(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "store") //nolint:usetesting // on another file system than the usual one
	if err != nil {
		return tb.TempDir()
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// A page of one zone that fails its checksum is an error of that zone alone, which is saved again in place.
func TestDamagedPageConcernsItsZone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "zones.db")
	s := open(t, path)
	good, bad := version("good.example.", 1, 500), version("bad.example.", 1, 500)
	commit(t, s, store.Change{ID: []byte("good"), Contents: good},
		store.Change{ID: []byte("bad"), Contents: bad, State: []byte("s")})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	octets, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(octets, []byte("h00017")[2:])
	for bytes.Contains(octets[max(0, at-3000):at], []byte("\x04good")) { // the SOA is in the first page
		at += 1 + bytes.Index(octets[at+1:], []byte("00017"))
	}
	octets[at] ^= 1
	if err := os.WriteFile(path, octets, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	defer s.Close()
	_, goodErr := s.Load([]byte("good"))
	_, badErr := s.Load([]byte("bad"))
	if (goodErr == nil) == (badErr == nil) || !errors.Is(errors.Join(goodErr, badErr), store.ErrDamaged) || s.Damage() != nil {
		t.Fatalf("%v, %v, %v", goodErr, badErr, s.Damage())
	}
	id, c, state := "bad", bad, "s"
	if goodErr != nil {
		id, c, state = "good", good, ""
	}
	commit(t, s, store.Change{ID: []byte(id), Contents: c})
	expect(t, s, id, c, state)
}

// A page that was right once, in an older version, passes its checksum; the digest tells.
func TestPagesOfSeveralVersionsAreDamage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "zones.db")
	s := open(t, path)
	one := touch(t, version("example.", 1, 500), 1, 400, 500)
	two := touch(t, one, 2, 400, 500) // of as many pages
	commit(t, s, store.Change{ID: []byte("z"), Contents: one})
	var page, old []byte // the last page that changes: the SOA is in the first
	for key := range two.Pages(one) {
		page = append([]byte("p"), key...)
	}
	behind(t, s, path, func(zone *bbolt.Bucket) error {
		old = bytes.Clone(zone.Get(page))
		return nil
	})
	s = open(t, path)
	commit(t, s, store.Change{ID: []byte("z"), Contents: two, Since: one})
	expect(t, s, "z", two, "")
	behind(t, s, path, func(zone *bbolt.Bucket) error { return zone.Put(page, old) })
	s = open(t, path)
	defer s.Close()
	if _, err := s.Load([]byte("z")); !errors.Is(err, store.ErrDamaged) || s.Damage() != nil {
		t.Fatalf("%v, %v", err, s.Damage())
	}
	commit(t, s, store.Change{ID: []byte("z"), Contents: two})
	expect(t, s, "z", two, "")
}

// behind closes the store and does something to the bucket of zone z behind its back.
func behind(t *testing.T, s *store.Store, path string, do func(zone *bbolt.Bucket) error) {
	t.Helper()
	bolt(t, s, path, func(tx *bbolt.Tx) error { return do(tx.Bucket([]byte("zones")).Bucket([]byte("z"))) })
}

// bolt closes the store and does something to its file.
func bolt(t *testing.T, s *store.Store, path string, do func(tx *bbolt.Tx) error) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, nil)
	if err == nil {
		err = db.Update(do)
	}
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// A zone whose ID has changed is missing under its own: that is known when it cannot be what it says.
func TestChangedIDIsDamage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "zones.db")
	s := open(t, path)
	commit(t, s, store.Change{ID: []byte("unmistakable"), Contents: version("example.", 1, 3), State: []byte("s")})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	octets, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, bytes.ReplaceAll(octets, []byte("unmistakable"), []byte("unmistakeble")), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	defer s.Close()
	if all, err := s.All(); len(all) != 1 || !errors.Is(err, store.ErrDamaged) || s.Damage() == nil {
		t.Errorf("%+v, %v, %v", all, err, s.Damage())
	}
}

// Where a page counts less entries than it has, or says another key to search by, zones would be missing that are there.
func TestZonesThatWouldBeMissingAreDamage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(scratch(t), "zones.db")
	s := open(t, path)
	var changes []store.Change
	for i := range 300 { // more than fit on one page
		changes = append(changes, store.Change{ID: fmt.Appendf(nil, "zone%03d", i), Contents: version("example.", 1, 1), State: []byte("s")})
	}
	commit(t, s, changes...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	octets, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const header, entry, bucket = 16, 16, 16
	u16, u32 := binary.NativeEndian.Uint16, binary.NativeEndian.Uint32
	changed := 0
	change := func(at int, to []byte) { // and back
		t.Helper()
		changed++
		if _, err := f.WriteAt(to, int64(at)); err != nil {
			t.Fatal(err)
		}
		s := open(t, path)
		defer s.Close()
		if s.Damage() == nil {
			t.Errorf("%x in place of %x at %d of page %d is no damage", to, octets[at:at+len(to)], at%store.BoltPage, at/store.BoltPage)
		}
		if _, err := f.WriteAt(octets[at:at+len(to)], int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	lower := func(page int) { // the count of its entries
		for _, n := range []uint16{0, 1, u16(octets[page+10:]) - 1} {
			change(page+10, binary.NativeEndian.AppendUint16(nil, n))
		}
	}
	for page := 2 * store.BoltPage; page < len(octets); page += store.BoltPage {
		kind, e := u16(octets[page+8:]), page+header
		if kind == 1 { // branch
			lower(page)
			for i := range int(u16(octets[page+10:])) {
				key := e + i*entry + int(u32(octets[e+i*entry:]))
				change(key, []byte{octets[key] ^ 4})
			}
		} else if key := e + int(u32(octets[e+4:])); kind == 2 && bytes.HasPrefix(octets[key:], []byte("zone")) { // leaf
			lower(page)
			lower(key + len("zone000") + bucket)
		}
	}
	if changed < 30 {
		t.Errorf("%d changes are not much of a test", changed)
	}
}

// A page that is in use and said to be free would be written over.
func TestFreePageThatIsInUseIsDamage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(scratch(t), "zones.db")
	octets := write(t, path).octets
	const header, rootBucket, freelist, txid = 16, 16, 32, 48
	u64 := binary.NativeEndian.Uint64
	meta := octets[header:]
	if other := octets[store.BoltPage+header:]; u64(other[txid:]) > u64(meta[txid:]) {
		meta = other
	}
	list := octets[u64(meta[freelist:])*store.BoltPage:]
	if n := binary.NativeEndian.Uint16(list[10:]); n == 0 {
		t.Fatal("There is no free page")
	}
	copy(list[header:], meta[rootBucket:rootBucket+8])
	if err := os.WriteFile(path, octets, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, path)
	defer s.Close()
	if s.Damage() == nil {
		t.Error("It is no damage")
	}
}

// A zone that seems to hold a bucket, and that bucket the pages of another zone, is not deleted: the other one would
// lose them.
func TestDamagedZoneTakesNoOtherWithIt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "zones.db")
	s := open(t, path)
	commit(t, s, store.Change{ID: []byte("other"), Contents: version("other.example.", 1, 500), State: []byte("s")})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	octets, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const header, entry = 16, 16
	u16, u32 := binary.NativeEndian.Uint16, binary.NativeEndian.Uint32
	id := uint64(bytes.LastIndex(octets, name("other.example.")) / store.BoltPage)
	state := append(binary.NativeEndian.AppendUint64(nil, id), make([]byte, 8)...)
	s = open(t, path)
	commit(t, s, store.Change{ID: []byte("z"), Contents: version("z.example.", 1, 500), State: state})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if octets, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndex(octets, append([]byte("s"), state...))
	page := at - at%store.BoltPage
	for i := range int(u16(octets[page+10:])) {
		if e := page + header + i*entry; e+int(u32(octets[e+4:])) == at {
			octets[e] = 1
		}
	}
	if err := os.WriteFile(path, octets, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	defer s.Close()
	err = s.Commit([]store.Change{{ID: []byte("z"), Remove: true}})
	if !errors.Is(err, store.ErrDamaged) || s.Damage() == nil {
		t.Errorf("%v, %v", err, s.Damage())
	}
	expect(t, s, "other", version("other.example.", 1, 500), "s")
}

// Pages that refer to themselves are not followed for ever.
func TestPagesInACircle(t *testing.T) {
	t.Parallel()
	path := filepath.Join(scratch(t), "zones.db")
	s := open(t, path)
	var changes []store.Change
	for i := range 2000 {
		changes = append(changes, store.Change{ID: fmt.Appendf(nil, "%04d", i), State: make([]byte, 500)})
	}
	commit(t, s, append(changes, store.Change{ID: []byte("z"), Contents: version("example.", 1, 3000)})...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	octets, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	branches := 0
	for id := uint64(2); id < uint64(len(octets)/store.BoltPage); id++ {
		page := octets[id*store.BoltPage : (id+1)*store.BoltPage]
		const header, entry, branch = 16, 16, 1
		if binary.NativeEndian.Uint16(page[8:]) != branch {
			continue
		}
		branches++
		for i := range int(binary.NativeEndian.Uint16(page[10:])) {
			binary.NativeEndian.PutUint64(page[header+i*entry+8:], id)
		}
	}
	if err := os.WriteFile(path, octets, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	defer s.Close()
	_, allErr := s.All()
	_, loadErr := s.Load([]byte("z"))
	if branches < 2 || s.Damage() == nil || !errors.Is(allErr, store.ErrDamaged) || !errors.Is(loadErr, store.ErrDamaged) {
		t.Errorf("%d branches: %v, %v", branches, allErr, loadErr)
	}
}

// Replace moves a file out of the way and begins a new one; the newest two are kept.
func TestReplacedFilesAreKept(t *testing.T) {
	t.Parallel()
	s, path := start(t)
	at := time.Date(2026, 11, 21, 9, 30, 0, 0, time.FixedZone("", 3600))
	for i := range 4 {
		c := version("example.", uint32(i), 3)
		commit(t, s, store.Change{ID: []byte("z"), Contents: c})
		expect(t, s, "z", c, "")
		if err := s.Replace(at.Add(time.Duration(i) * time.Second)); err != nil {
			t.Fatal(err)
		}
		expect(t, s, "z", nil, "")
	}
	moved, err := filepath.Glob(path + ".*")
	want := []string{path + ".damaged-20261121T083002Z", path + ".damaged-20261121T083003Z"}
	if err != nil || !slices.Equal(moved, want) {
		t.Errorf("%v, %v", moved, err)
	}
	old := open(t, want[1])
	defer old.Close()
	expect(t, old, "z", version("example.", 3, 3), "")
}

// While a damaged file is all there is, it is read and not written.
func TestDamagedFileIsReadAndNotWritten(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "zones.db")
	write(t, path)
	var s *store.Store
	for size := 2 << 20; s == nil; size -= store.BoltPage { // bbolt makes files larger than they have to be
		if err := os.Truncate(path, int64(size)); err != nil {
			t.Fatal(err)
		}
		if s = open(t, path); s.Damage() == nil {
			_ = s.Close()
			s = nil
		}
	}
	defer s.Close()
	if err := s.Damage(); !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), path) {
		t.Fatalf("%v", err)
	}
	before, _ := os.ReadFile(path)
	if err := s.Commit([]store.Change{{ID: []byte("z"), State: []byte("s")}}); !errors.Is(err, store.ErrDamaged) {
		t.Error(err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("The file has changed")
	}
	if err := s.Replace(time.Now()); err != nil || s.Damage() != nil {
		t.Fatal(err, s.Damage())
	}
	commit(t, s, store.Change{ID: []byte("z"), State: []byte("s")})
}

// bbolt reads its file where it is mapped into memory. What is no longer there must not end the process.
func TestFileIsCutOffWhileItIsOpen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(scratch(t), "zones.db")
	h := write(t, path)
	refused := 0
	for size := 2 * store.BoltPage; size < len(h.octets); size += store.BoltPage {
		if err := os.WriteFile(path, h.octets, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, path)
		if err := os.Truncate(path, int64(size)); err != nil {
			t.Fatal(err)
		}
		err := s.Commit([]store.Change{{ID: []byte("large"), Remove: true}, {ID: []byte("medium"), State: []byte("s")}})
		if err != nil {
			refused++
			if !errors.Is(err, store.ErrDamaged) || s.Damage() == nil {
				t.Fatalf("%v, %v", err, s.Damage())
			}
		}
		if err := s.Replace(time.Now()); err != nil {
			t.Fatal(err)
		}
		c := version("example.", 1, 3)
		commit(t, s, store.Change{ID: []byte("z"), Contents: c})
		expect(t, s, "z", c, "")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if refused == 0 {
		t.Error("No commit was refused, which is not much of a test")
	}
}

// A file of which next to nothing is left is a damaged store, not somebody else's file.
func TestFileCutToNextToNothingIsReplaced(t *testing.T) {
	t.Parallel()
	h := write(t, filepath.Join(scratch(t), "zones.db"))
	for _, n := range []int{1, 7, 8, 9, 15, 16, 19, 20, 21, 79, 80, 81, 4095, 4097} {
		path := filepath.Join(scratch(t), "zones.db")
		if err := os.WriteFile(path, h.octets[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(path)
		if err != nil {
			t.Errorf("%d octets: %v", n, err)
			continue
		}
		if !errors.Is(s.Damage(), store.ErrDamaged) {
			t.Errorf("%d octets: damage %v", n, s.Damage())
		}
		if err := s.Replace(time.Now()); err != nil {
			t.Errorf("%d octets: %v", n, err)
		}
		commit(t, s, store.Change{ID: []byte("z"), State: []byte("s")})
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// FuzzOpen opens a store of which some octets have been replaced, each given by where it is (three octets) and what: nothing
// crashes, hangs, or takes more memory than the file is worth, and no zone is taken for right that is not.
func FuzzOpen(f *testing.F) {
	h := write(f, filepath.Join(scratch(f), "zones.db"))
	f.Add([]byte{})
	f.Add([]byte{0, 0, 16, 0})
	f.Add([]byte{0, 0x40, 16, 0, 1, 0, 10, 7})
	f.Fuzz(func(t *testing.T, patch []byte) {
		octets := bytes.Clone(h.octets)
		for ; len(patch) >= 4; patch = patch[4:] {
			octets[(int(patch[0])<<16|int(patch[1])<<8|int(patch[2]))%len(octets)] = patch[3]
		}
		path := filepath.Join(scratch(t), "zones.db")
		if err := os.WriteFile(path, octets, 0o600); err != nil {
			t.Fatal(err)
		}
		h.inspect(t, path, &tally{recovers: true})
	})
}
