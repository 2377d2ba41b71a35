package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// The limits of what is kept.
const (
	MaxVersions   = 100      // differences in the journal of a zone
	MinJournal    = 64 << 10 // octets that a journal may always have; beyond them it is no larger than the zone
	MaxID         = 1 << 10  // octets of the ID of a zone
	maxDamaged    = 2        // damaged files that are not deleted
	maxHeld       = 64 << 20 // octets that are held of what a zone changes, beside its contents: values, and pages of bbolt
	maxPart       = 4000     // octets of one part of a journal entry: bbolt writes the neighbors of what it writes
	formatVersion = 2
)

// The buckets in the root, and the one key of the first.
var (
	storeBucket   = []byte("store")
	zonesBucket   = []byte("zones")
	notesBucket   = []byte("notes")   // once there has been a note
	stagingBucket = []byte("staging") // during a commit, and after a crash in one
	formatKey     = []byte("format")
)

// boltPage is the size of bbolt's pages in a new file. Seven full pages of contents go into one with little waste, and
// a zone of up to a quarter of it lies inline among others; with bbolt's usual 4 KB, two pages would take up four.
const boltPage = 16 << 10

// boltMap is how much bbolt maps to begin with, which takes address space and no memory: whenever a commit has to map
// more, bbolt first copies all that is to be written. boltGrowth is how much larger than it has to be a file becomes
// when it grows.
const (
	boltMap    = 256 << 20
	boltGrowth = 1 << 20
)

// Store is one open file. It is safe for concurrent use.
type Store struct {
	path    string
	maxHeld int64                   // but for tests
	damage  atomic.Pointer[damaged] // what is wrong with the structure of the file: set when it is found, cleared by Replace

	committing sync.Mutex // held by a commit from its beginning to its end, and before mu

	mu     sync.RWMutex // all that changes the fields below holds it
	closed bool
	file   *os.File  // nil when it could not be opened again after a failed commit
	size   int64     // of the file
	db     *bbolt.DB // of the same file; nil while it is damaged
	stuck  bool      // db has panicked and may hold its locks forever
	meta   meta      // of the last commit that succeeded
	undo   *undo     // of a commit that failed, until it has been undone

	images sync.Pool // *image, as they are costly to make
}

// Open opens the store in a file, which is made if it is not there. Its directory has to be. A file that is damaged can
// be opened nevertheless, see Damage. The errors are ErrInUse, ErrFormat, ErrNotStore, ErrReadOnly and those of the file
// system.
func Open(path string) (*Store, error) {
	s := &Store{path: path, maxHeld: maxHeld}
	if err := s.open(os.O_CREATE); err != nil {
		return nil, err
	}
	return s, nil
}

// errorf is the error of the whole file.
func (s *Store) errorf(format string, args ...any) error {
	return fmt.Errorf("store %s: "+format, append([]any{s.path}, args...)...)
}

// open opens the file, with O_CREATE if it may be made.
func (s *Store) open(create int) error {
	if dir := filepath.Dir(s.path); create != 0 {
		if info, err := os.Stat(dir); err == nil && !info.IsDir() || errors.Is(err, os.ErrNotExist) {
			return s.errorf("there is no directory %s: make it, or name another file", dir)
		}
	}
	f, err := os.OpenFile(s.path, os.O_RDWR|create, 0o600)
	if err != nil {
		if info, statErr := os.Stat(s.path); statErr == nil && info.IsDir() {
			return s.errorf("%w but a directory: name a file in it", ErrNotStore)
		}
		return s.errorf("%w", access(err))
	}
	s.file, s.stuck, s.undo, s.meta = f, false, nil, meta{}
	s.damage.Store(nil)
	if err := s.begin(); err != nil {
		s.shut()
		return s.errorf("%w", access(err))
	}
	return nil
}

// begin makes sure that nobody else has the file and that it is what it should be, and hands it to bbolt.
func (s *Store) begin() error {
	if err := lock(s.file); err != nil {
		return err
	}
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w but a device, pipe or socket: name another file", ErrNotStore)
	}
	if s.size = info.Size(); s.size > 0 {
		if err := s.inspect(); err != nil || s.damage.Load() != nil {
			return err
		}
	}
	if err := s.bolt(); err != nil || s.damage.Load() != nil {
		return err
	}
	return s.refresh()
}

// inspect looks through a file that is not empty before bbolt does.
func (s *Store) inspect() error {
	m, bolt, err := readMeta(s.file)
	if !bolt && (err == nil || errors.Is(err, ErrDamaged)) {
		return fmt.Errorf("%w: name another file, or move it away", ErrNotStore)
	}
	if err != nil {
		return s.foundOr(err)
	}
	s.meta = m
	i := newImage(s.file, s.size, m)
	if m.txid < firstCommit {
		s.size = 0 // it was being made when the process or the machine died, and never held anything
		return s.file.Truncate(0)
	}
	damage := i.check()
	if err := i.format(); err != nil && (damage == nil || errors.Is(err, ErrFormat)) {
		return s.foundOr(err)
	}
	return s.foundOr(damage)
}

// format makes sure that the file has the format of this build.
func (m *image) format() error {
	t, stored, err := m.find(m.root(), storeBucket)
	if err != nil {
		return err
	}
	value, formatErr := m.value(t, storeBucket, formatKey)
	value = bytes.Clone(value)
	_, zones, err := m.find(m.root(), zonesBucket)
	switch {
	case err != nil:
		return err
	case !stored && !zones:
		return fmt.Errorf("%w but a file of another program: name another file", ErrNotStore)
	case !stored || !zones || formatErr != nil || len(value) < 4:
		return damagef("it does not say its format")
	}
	if version := binary.BigEndian.Uint32(value); version != formatVersion {
		return fmt.Errorf("has format %d, this build has %d: use the build that wrote it, or move the file away (%w)", version,
			formatVersion, ErrFormat)
	}
	return nil
}

// foundOr takes note of damage to the structure of the file, and returns any other error.
func (s *Store) foundOr(err error) error {
	if _, ok := errors.AsType[*damaged](s.found(err)); ok {
		return nil
	}
	return err
}

// found takes note of err if it is damage to the structure of the file, and returns it.
func (s *Store) found(err error) error {
	if d, ok := errors.AsType[*damaged](err); ok {
		s.damage.CompareAndSwap(nil, d)
	}
	return err
}

// options are how the file is opened.
func (s *Store) options() *bbolt.Options {
	return &bbolt.Options{
		// The file has been opened, locked and checked.
		OpenFile: func(string, int, os.FileMode) (*os.File, error) { return s.file, nil },
		Timeout:  time.Second, // where lock does nothing
		PageSize: boltPage,
		// A list of free pages is not searched from its beginning: a zone that is transferred anew frees thousands.
		FreelistType: bbolt.FreelistMapType,
		// The list is in the file (NoFreelistSync is not set): without it the whole file is read when it is opened and whenever a
		// commit fails, by a goroutine of bbolt's own, where damage ends the process. Growing is synced (NoGrowSync is not set),
		// as ext4 wants it.
		InitialMmapSize: boltMap,
		NoStatistics:    true,
	}
}

// bolt hands the file to bbolt, and makes it a store if it is new.
func (s *Store) bolt() error {
	db, err := guarded(func() (*bbolt.DB, error) { return bbolt.Open(s.path, 0o600, s.options()) })
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return ErrInUse
	case err != nil:
		return s.foundOr(err)
	}
	s.db = db
	db.AllocSize = boltGrowth
	if s.size > 0 {
		return nil
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(storeBucket)
		if err != nil {
			return err
		}
		if err := b.Put(formatKey, sealed(storeBucket, formatKey, binary.BigEndian.AppendUint32(nil, formatVersion))); err != nil {
			return err
		}
		_, err = tx.CreateBucketIfNotExists(zonesBucket)
		return err
	})
	if err != nil {
		return err
	}
	return syncDir(s.path)
}

// syncDir makes sure that the name of a file outlives a crash.
func syncDir(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// guarded calls what bbolt does. It takes its file to be whole and panics when it is not, or reads where nothing is
// mapped; that becomes an error.
func guarded[T any](do func() (T, error)) (result T, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = damagef("%v", p)
		}
	}()
	return do()
}

// refresh reads where everything is in the file.
func (s *Store) refresh() error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	m, _, err := readMeta(s.file)
	if err != nil {
		return err
	}
	s.size, s.meta = info.Size(), m
	return nil
}

// shut lets go of the file.
func (s *Store) shut() {
	switch {
	case s.db != nil && !s.stuck:
		_ = s.db.Close() // and the file
	case s.file != nil:
		unlock(s.file)
		_ = s.file.Close()
	}
	s.db, s.file = nil, nil
}

// Damage returns nil, or an ErrDamaged when the structure of the file is not whole. What can be read of such a file
// still is; commits are refused until Replace.
func (s *Store) Damage() error {
	if d := s.damage.Load(); d != nil {
		return s.errorf("%w: %w", ErrDamaged, d)
	}
	return nil
}

// Replace moves the file out of the way, to FILE.damaged-TIME, and begins a new one, into which everything has to be
// saved again. Of the files moved away the newest few are kept.
func (s *Store) Replace(now time.Time) error {
	s.committing.Lock()
	defer s.committing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return s.errorf("%w", ErrClosed)
	}
	moved := s.path + ".damaged-" + now.UTC().Format("20060102T150405Z")
	if err := os.Rename(s.path, moved); err != nil && !errors.Is(err, os.ErrNotExist) {
		return s.errorf("%w", access(err))
	}
	s.shut()
	s.prune()
	return s.open(os.O_CREATE)
}

// prune deletes all but the newest of the files that Replace has moved away.
func (s *Store) prune() {
	entries, _ := os.ReadDir(filepath.Dir(s.path))
	var names []string // in order of time
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), filepath.Base(s.path)+".damaged-") {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	for _, name := range names[:max(0, len(names)-maxDamaged)] {
		_ = os.Remove(filepath.Join(filepath.Dir(s.path), name))
	}
}

// Close lets go of the file. Everything fails from then on, but Close itself.
func (s *Store) Close() error {
	s.committing.Lock()
	defer s.committing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	var err error
	if s.undo != nil {
		err = s.undo.apply(s.file)
	}
	s.shut()
	return err
}
