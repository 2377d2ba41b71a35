package keep

import (
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/store"
	"github.com/secondaryplus/secondaryplus/internal/version"
)

// The pace of saving. New contents are saved at once, together with whatever else there is to save by then, but for those
// that come within commitSpan of a commit: a commit costs about as much for a hundred zones as for one.
const (
	commitSpan     = 20 * time.Millisecond
	stateDelay     = 10 * time.Second // how long changed timers wait for others to share a commit with
	minStoreRetry  = 10 * time.Second // after a commit that failed
	maxStoreRetry  = 5 * time.Minute
	maxCommitZones = 1000               // in one commit
	maxCommitSize  = 64 << 20           // octets of records in one commit, but for one zone that has more
	orphanGrace    = 7 * 24 * time.Hour // how long what is saved of a zone outlives its configuration
	orphanCheck    = time.Hour
	maxGarbage     = 16 << 20    // octets that commits leave behind before they are given back after quietSpan
	minGarbage     = 1 << 20     // and after stateDelay
	quietSpan      = time.Second // since whole zones were saved last
	zoneGarbage    = 4 << 10     // octets that each zone leaves behind beside its records
	manyStates     = 10_000      // zones that are saved before memory is given back: the checks after a start have that of every zone saved
	maxLoadErrors  = 10          // zones of a damaged store that get a log line of their own
)

// What can fail, as the label of store errors.
const (
	opOpen    = "open"
	opLoad    = "load"
	opCheck   = "check" // is the file that is open still there, and writable
	opCommit  = "commit"
	opReplace = "replace"
	opClose   = "close"
)

// keeper saves zones to one store, on a goroutine of its own. Serving never waits for it. It has a lock of its own, which may
// be taken while that of the engine is held, and not the other way round.
type keeper struct {
	keep  *Keep
	path  string
	wake  chan struct{} // there are contents to save; holds one
	stop  chan struct{} // closed when nobody uses the keeper any more
	done  chan struct{} // closed when it has let go of the file
	users int           // leases that are not released; owned by whoever leases stores

	// Owned by the goroutine.
	committedAt time.Time
	garbage     int64     // octets that commits have left behind, about
	states      int       // that have been saved since memory was given back
	garbageAt   time.Time // when they last did
	retry       time.Duration

	// working is held while the file is used, and by whoever starts zones from what is in it: before any lock of the engine.
	working sync.Mutex

	mu       sync.Mutex                  // guards what follows
	current  bool                        // it is the one in use: Zone.Saved is about it
	stopped  bool                        // stop is closed
	orphanAt time.Time                   // when orphans are looked at next
	failure  error                       // of the latest attempt to use the store; nil while it works
	since    time.Time                   // of the first failure in a row
	store    *store.Store                // nil while the file cannot be opened
	dirty    map[*engine.Zone]bool       // zones that are to be saved
	orphans  map[engine.ZoneID]time.Time // zones that are saved, or are to be, and not configured, since when
	leaving  map[engine.ZoneID]*leaving  // what is to be written of them
	notes    map[string][]byte           // by name
	changed  map[string]bool             // notes that are to be saved
	last     [][]commission              // what is left to save when the keeper is stopped, commit by commit
	unknown  bool                        // which zones the file has has not been looked at since it was opened
	tally    *tally                      // of zones that are being started; nil for none
}

// commission is what a commit does for one zone. It is owned by the goroutine of the keeper.
type commission struct {
	zone    *engine.Zone     // nil for what is no zone of ours
	leaving *leaving         // nil for none
	id      engine.ZoneID    // of leaving
	version *version.Version // with its contents; nil for state alone
	note    *store.Note      // nil but in a commission that is of no zone
	change  store.Change
	state   state // for change.State, unless that is there already
}

// open opens the file.
func (k *keeper) open() error {
	s, err := store.Open(k.path)
	if err != nil {
		return err
	}
	notes := make(map[string][]byte, len(k.keep.noted))
	for _, name := range k.keep.noted {
		if notes[name], err = s.Note(name); err != nil {
			k.fail(opLoad, err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.store, k.unknown = s, true
	for name, octets := range notes {
		if k.notes[name] == nil { // else it has been opened again
			k.notes[name] = octets
		}
	}
	return nil
}

// release takes a user from a keeper and stops it with the last.
func (k *keeper) release() {
	if k.users == 0 {
		return
	}
	if k.users--; k.users > 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stopped = true
	k.collectAll()
	close(k.stop)
}

// save marks a zone to be saved, at once if it has new contents. It waits for nothing.
func (k *keeper) save(z *engine.Zone, contents bool) {
	if z.Contents() == nil && z.Saved() == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped || z.Gone() {
		return // it has been saved at the end; or forget has seen to it, or is about to
	}
	k.dirty[z] = true
	if contents {
		signal(k.wake)
	}
}

// run saves what there is to save until nobody uses the keeper.
func (k *keeper) run() {
	defer close(k.done)
	timer := time.NewTimer(stateDelay)
	defer timer.Stop()
	for {
		select {
		case <-k.stop:
			k.close()
			return
		case <-k.wake:
			if k.failing() {
				continue // the timer tells when to try again
			}
			if wait := time.Until(k.committedAt.Add(k.keep.Pace)); wait > 0 {
				timer.Reset(wait)
				continue
			}
		case <-timer.C:
		}
		timer.Reset(k.flush())
	}
}

// close saves what is left and lets go of the file.
func (k *keeper) close() {
	k.mu.Lock()
	k.collectAll() // what a commit could not write
	s, last := k.store, k.last
	// Who still has the keeper is not to hold all this.
	k.last, k.dirty, k.orphans, k.leaving = nil, map[*engine.Zone]bool{}, map[engine.ZoneID]time.Time{}, map[engine.ZoneID]*leaving{}
	k.mu.Unlock()
	if s == nil {
		return
	}
	for _, batch := range last {
		if err := commit(s, batch); err != nil {
			k.fail(opCommit, err)
		}
	}
	if err := s.Close(); err != nil {
		k.fail(opClose, err)
	}
}

// flush saves all there is, commit by commit, and returns when to look again. Whoever waits to start zones has a turn between
// two commits.
func (k *keeper) flush() time.Duration {
	for {
		k.working.Lock()
		wait, more := k.saveSome()
		k.working.Unlock()
		if !more {
			return wait
		}
	}
}

// saveSome makes one commit, and returns when to look again if there is no more to save now. k.working is held.
func (k *keeper) saveSome() (wait time.Duration, more bool) {
	k.mu.Lock()
	if k.stopped {
		k.mu.Unlock()
		return stateDelay, false // close does the rest
	}
	k.dropOrphans(time.Now())
	s, batch := k.store, k.next()
	more = len(k.last)+len(k.dirty)+len(k.changed) > 0 || k.hasLeaving()
	k.mu.Unlock()
	if s == nil {
		k.putBack(batch)
		return k.reopen(), false
	}
	if err := s.Present(); err != nil {
		k.putBack(batch)
		return k.miss(s, err), false
	}
	if len(batch) == 0 && s.Damage() == nil {
		k.works()
		return k.tidy(), false
	}
	err := commit(s, batch)
	switch {
	case err == nil && more:
		k.written(batch)
		return 0, true
	case err == nil:
		k.written(batch)
		return k.tidy(), false
	}
	k.putBack(batch)
	k.fail(opCommit, err)
	if errors.Is(err, store.ErrDamaged) {
		k.replace(s)
	}
	return k.retry, false
}

// next returns what is to be saved next. k.mu is held.
func (k *keeper) next() []commission {
	if len(k.last) == 0 {
		return k.collect(maxCommitZones)
	}
	batch := k.last[0]
	k.last = k.last[1:]
	return batch
}

// collect takes up to n zones, and what they weigh together, from what is to be saved. k.mu is held.
func (k *keeper) collect(n int) (batch []commission) {
	for name := range k.changed {
		batch = append(batch, commission{note: &store.Note{Name: name, Octets: k.notes[name]}})
	}
	clear(k.changed)
	size := int64(0)
	for z := range k.dirty {
		if len(batch) >= n || size > maxCommitSize {
			return batch
		}
		delete(k.dirty, z)
		v := commissionOf(z)
		if c := v.change.Contents; c != nil {
			size += c.Size()
		}
		batch = append(batch, v)
	}
	for id, l := range k.leaving {
		if len(batch) >= n {
			break
		}
		if !l.writing {
			l.writing = true
			batch = append(batch, commission{leaving: l, id: id, change: l.change, state: l.found.state})
		}
	}
	return batch
}

// collectAll lines up everything that is to be saved, as it is now. k.mu is held.
func (k *keeper) collectAll() {
	for batch := k.collect(maxCommitZones); len(batch) > 0; batch = k.collect(maxCommitZones) {
		k.last = append(k.last, batch)
	}
}

// commissionOf returns what is to be saved of a zone: its state, and its contents where the store has others.
func commissionOf(z *engine.Zone) commission {
	s, saved := z.Standing(), z.Saved()
	v := commission{zone: z, state: stateOf(s), change: store.Change{ID: z.ID().Octets()}}
	if s.Version == nil || s.Version == saved {
		return v
	}
	differences, since := z.Differences().LeadingTo(s.Version, saved)
	v.version = s.Version
	v.change.Contents = s.Version.Contents
	if saved != nil {
		v.change.Since = saved.Contents
	}
	v.change.Differences, v.change.Reset = differences, !since
	return v
}

// commit saves a batch. No lock is held: it takes as long as the disk does.
func commit(s *store.Store, batch []commission) error {
	changes := make([]store.Change, 0, len(batch))
	var notes []store.Note
	for i := range batch {
		if n := batch[i].note; n != nil {
			notes = append(notes, *n)
			continue
		}
		c := batch[i].change
		if c.State == nil && !c.Remove {
			c.State = batch[i].state.encode()
		}
		changes = append(changes, c)
	}
	return s.Commit(changes, notes...)
}

// garbageOf returns about how many octets the commit of a batch has left behind: what was written whole.
func garbageOf(batch []commission) (size int64) {
	for i := range batch {
		if c := &batch[i].change; c.Contents != nil && c.Since == nil {
			size += c.Contents.Size() + zoneGarbage
		}
	}
	return size
}

// tidy gives memory back once a lot has been saved and no more whole zones come: a collection of its own would come late,
// when the process is idle. It returns when to look again.
func (k *keeper) tidy() time.Duration {
	if k.garbage < minGarbage && k.states < manyStates {
		return stateDelay
	}
	span := stateDelay
	if k.garbage >= maxGarbage {
		span = quietSpan
	}
	if wait := time.Until(k.garbageAt.Add(span)); wait > 0 {
		return wait
	}
	k.garbage, k.states = 0, 0
	debug.FreeOSMemory()
	return stateDelay
}

// written notes that a batch has been committed.
func (k *keeper) written(batch []commission) {
	k.committedAt = time.Now()
	if g := garbageOf(batch); g > 0 || len(batch) >= maxCommitZones {
		k.garbage, k.garbageAt = k.garbage+g, k.committedAt
	}
	k.states += len(batch)
	k.works()
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range batch {
		v := &batch[i]
		switch {
		case v.leaving != nil:
			k.left(v)
		case v.zone == nil || v.version == nil || !k.current:
		case v.zone.Gone():
			k.leave(v.zone, v.version)
		default:
			v.zone.SetSaved(v.version)
		}
	}
}

// putBack marks the zones of a batch that was not committed.
func (k *keeper) putBack(batch []commission) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range batch {
		v := &batch[i]
		switch {
		case v.leaving != nil:
			v.leaving.writing = false
		case v.note != nil:
			k.changed[v.note.Name] = true
		case !v.zone.Gone():
			k.dirty[v.zone] = true
		case v.version != nil:
			k.stillToWrite(v)
		}
	}
}

// fail counts a failure and, for the first in a row, logs it. It is called by the goroutine, or before there is one.
func (k *keeper) fail(operation string, err error) {
	k.retry = min(max(minStoreRetry, 2*k.retry), maxStoreRetry)
	k.keep.failed(operation)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failure == nil {
		k.since = time.Now()
		k.keep.log.Errorf("%v; zones are served from memory, and saved when it works again: tried every %s to %s", err, minStoreRetry, maxStoreRetry)
	}
	k.failure = err
}

// failing reports whether the latest attempt to use the store failed.
func (k *keeper) failing() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failure != nil
}

// works notes that the store works, and says so if it did not.
func (k *keeper) works() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.retry = 0
	if k.failure != nil {
		k.failure, k.since = nil, time.Time{}
		k.keep.log.Infof("store %s: works again", k.path)
	}
}

// miss is called when the file is not what it was: one that is gone is let go and begun anew, one that may not be written is
// looked at again, which costs nothing. It returns when to look again.
func (k *keeper) miss(s *store.Store, err error) time.Duration {
	k.fail(opCheck, err)
	if !errors.Is(err, store.ErrGone) {
		return minStoreRetry
	}
	_ = s.Close() // nothing of it will be seen again
	k.mu.Lock()
	k.store = nil
	k.mu.Unlock()
	return k.reopen()
}

// reopen tries to open the file, and returns when to try again.
func (k *keeper) reopen() time.Duration {
	if err := k.open(); err != nil {
		k.fail(opOpen, err)
		return k.retry
	}
	k.saveAll()
	return 0
}

// replace begins a new file.
func (k *keeper) replace(s *store.Store) {
	if err := s.Replace(time.Now()); err != nil {
		k.fail(opReplace, err)
		return
	}
	k.keep.log.Warningf("store %s: was damaged, has been moved aside and is begun anew", k.path)
	k.retry = 0
	k.saveAll()
}

// saveAll marks everything to be saved, into a store that has nothing of it. Zones without contents get what it has.
func (k *keeper) saveAll() {
	k.mu.Lock()
	current := k.current
	for name, octets := range k.notes {
		if octets != nil {
			k.changed[name] = true
		}
	}
	k.mu.Unlock()
	if !current {
		return
	}
	k.findOrphans()
	k.saveAnew()
	k.reread()
}
