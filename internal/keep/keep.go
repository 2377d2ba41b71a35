// Package keep saves what zones have, and gives it back to them after a restart.
//
// A Keep observes an engine. What changes is noted with the fact and written by a goroutine of its own, one for each store:
// serving never waits for a disk. Start reading at Keep.Observe, then keeper.run.
package keep

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/store"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// Logger takes log lines. It must be safe for concurrent use.
type Logger interface {
	Infof(format string, v ...any)
	Warningf(format string, v ...any)
	Errorf(format string, v ...any)
}

// Keep saves the zones of an engine to the store in use. Lease, Release, Use and Close are called one after the other; the
// other methods are safe for concurrent use.
type Keep struct {
	Pace time.Duration // between commits; not changed after the first Lease

	engine *engine.Engine
	log    Logger
	failed func(operation string) // counts a failure of the store
	noted  []string               // names of notes

	stores  map[string]*keeper // by path; those that are stopping too
	current atomic.Pointer[keeper]
	running sync.WaitGroup
}

// New returns what is to observe an engine. failed is told of what a store fails to do: open, load, check, commit, replace or
// close. Of notes there are those with these names.
func New(e *engine.Engine, log Logger, failed func(operation string), notes ...string) *Keep {
	return &Keep{engine: e, log: log, failed: failed, noted: notes, Pace: commitSpan, stores: map[string]*keeper{}}
}

// Lease is the right to use a store. It belongs to whoever leased it.
type Lease struct{ keeper *keeper }

// Lease returns a lease of the store with a path, whose file is opened for the first one; for an empty path, one of no store.
// A file that cannot be opened is tried again later, unless another process has it: two would undo each other's work.
func (k *Keep) Lease(path string) (Lease, error) {
	if path == "" {
		return Lease{}, nil
	}
	maps.DeleteFunc(k.stores, func(_ string, o *keeper) bool {
		select {
		case <-o.done:
			return true
		default:
			return false
		}
	})
	if o := k.stores[path]; o != nil {
		if o.users > 0 {
			o.users++
			return Lease{o}, nil
		}
		<-o.done // it is just letting go of the file
	}
	o := &keeper{
		keep: k, path: path, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}), users: 1,
		dirty: map[*engine.Zone]bool{}, orphans: map[engine.ZoneID]time.Time{}, leaving: map[engine.ZoneID]*leaving{},
		notes: map[string][]byte{}, changed: map[string]bool{},
	}
	if err := o.open(); errors.Is(err, store.ErrInUse) {
		return Lease{}, err
	} else if err != nil {
		o.fail(opOpen, err)
	}
	k.stores[path] = o
	k.running.Go(o.run)
	return Lease{o}, nil
}

// Release ends a lease. With the last one of a store, what is left is saved and the file is let go. It is called before the
// zones go: of a store without leases, their going is the end of the process and not theirs.
func (k *Keep) Release(l Lease) {
	if l.keeper != nil {
		l.keeper.release()
	}
}

// Use has all zones saved to a leased store from now on.
func (k *Keep) Use(l Lease) {
	old, next := k.current.Swap(l.keeper), l.keeper
	if old == next {
		return
	}
	var notes map[string][]byte
	if old != nil {
		old.mu.Lock()
		if old.current = false; !old.stopped {
			old.collectAll()
		}
		notes = maps.Clone(old.notes)
		old.mu.Unlock()
		signal(old.wake)
	}
	if next == nil {
		for _, z := range k.engine.Zones() {
			z.SetSaved(nil)
		}
		return
	}
	next.mu.Lock()
	next.current = true
	for name, octets := range notes {
		if octets != nil {
			next.notes[name], next.changed[name] = octets, true
		}
	}
	next.mu.Unlock()
	next.saveAnew()
}

// Close saves what is left to all stores, whoever has leased them, and lets go of them.
func (k *Keep) Close() {
	for _, o := range k.stores {
		o.users = min(o.users, 1)
		o.release()
	}
	k.running.Wait()
}

// Observe has what has changed of a zone saved.
func (k *Keep) Observe(f *engine.Fact) {
	in := k.current.Load()
	if in == nil {
		return
	}
	switch f.Kind {
	case engine.Restored: // the store has it, and its first check is soon: of many zones nothing is to be saved until then
		in.restored(f.Zone)
		in.adopt(f.Zone)
		if f.Zone.Saved() == nil {
			in.save(f.Zone, true)
		}
	case engine.Stepped:
		if f.Cause.Kind == refresh.Started { // it has what there was of it
			in.adopt(f.Zone)
			return
		}
		in.save(f.Zone, false)
	case engine.Acknowledged:
		in.save(f.Zone, false)
	case engine.Published, engine.Readmitted:
		in.save(f.Zone, true)
	case engine.Removed:
		in.forget(f.Zone)
	default:
	}
}

// Note returns what was last noted under a name, in this process or in an earlier one; nil for nothing.
func (k *Keep) Note(name string) []byte {
	in := k.current.Load()
	if in == nil {
		return nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.notes[name]
}

// SetNote has something saved under a name. It does not wait for that.
func (k *Keep) SetNote(name string, octets []byte) {
	in := k.current.Load()
	if in == nil {
		return
	}
	in.mu.Lock()
	in.notes[name], in.changed[name] = octets, true
	in.mu.Unlock()
	signal(in.wake)
}

// Status is how the store in use stands. It is a plain value.
type Status struct {
	Path     string    // empty for none
	Failure  string    // of the latest attempt to use it; empty while it works
	FailedAt time.Time // since when it fails
	Orphans  int       // zones that are saved and not configured any more
}

// Store returns how the store in use stands.
func (k *Keep) Store() Status {
	in := k.current.Load()
	if in == nil {
		return Status{}
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	s := Status{Path: in.path, FailedAt: in.since, Orphans: len(in.orphans)}
	if in.failure != nil {
		s.Failure = in.failure.Error()
	}
	return s
}

// Since returns the differences that lead from the version of a zone with a serial to the latest, oldest first (RFC 1995 §4).
// ok is false where they are not known, and for the latest itself. What the history does not have, because the process is
// young, is read from the store.
func (k *Keep) Since(z *engine.Zone, n serial.Serial) (differences []*zone.Difference, ok bool) {
	s, saved := z.Standing(), z.Saved()
	if differences, ok = z.Differences().Since(n); ok && s.Version != nil {
		return differences, true
	}
	in := k.current.Load()
	if in == nil || s.Version == nil || saved == nil || s.Group.History.Versions == 0 || !s.Version.Contents.Serial().Newer(n) {
		return nil, false
	}
	rest, since := z.Differences().LeadingTo(s.Version, saved)
	if !since {
		return nil, false
	}
	differences = in.journal(z.ID(), n)
	if len(differences) == 0 || differences[len(differences)-1].To() != saved.Contents.Serial() {
		return nil, false
	}
	return append(differences, rest...), true
}

// maxStride is how many zones are marked before the lock is let go: the engine may wait for it.
const maxStride = 256

// saveAnew marks all zones to be saved into a store that has nothing of them, as long as it is in use.
func (k *keeper) saveAnew() {
	for stride := range slices.Chunk(k.keep.engine.Zones(), maxStride) {
		k.mu.Lock()
		for _, z := range stride {
			if !k.current || k.stopped || z.Gone() {
				continue
			}
			if z.SetSaved(nil); z.Contents() != nil {
				k.dirty[z] = true
				signal(k.wake)
			}
		}
		k.mu.Unlock()
	}
}

// isCurrent reports whether the keeper's store is the one in use.
func (k *keeper) isCurrent() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.current
}

// journal returns the differences that lead from the version with a serial to the one that is saved of a zone; nil where they
// are not in the store.
func (k *keeper) journal(id engine.ZoneID, from serial.Serial) []*zone.Difference {
	k.mu.Lock()
	s := k.store
	k.mu.Unlock()
	if s == nil {
		return nil
	}
	differences, _ := s.Differences(id.Octets(), from) // whoever asked gets the whole zone
	return differences
}

// signal wakes the goroutine that waits on c, if it is not awake already.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
