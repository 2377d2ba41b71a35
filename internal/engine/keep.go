package engine

import (
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"sync"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/store"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/zone"
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
// be taken while Engine.mu is held, and not the other way round.
type keeper struct {
	engine *Engine
	path   string
	wake   chan struct{} // there are contents to save; holds one
	stop   chan struct{} // closed when nobody uses the keeper any more
	done   chan struct{} // closed when it has let go of the file
	users  int           // guarded by Engine.configuring

	// Owned by the goroutine.
	committedAt time.Time
	garbage     int64     // octets that commits have left behind, about
	garbageAt   time.Time // when they last did
	retry       time.Duration

	// working is held while the file is used, and by whoever starts zones from what is in it: after Engine.configuring and before
	// Engine.mu.
	working sync.Mutex

	mu       sync.Mutex           // guards what follows
	current  bool                 // it is the engine's: Zone.saved is about it
	stopped  bool                 // stop is closed
	orphanAt time.Time            // when orphans are looked at next
	failure  error                // of the latest attempt to use the store; nil while it works
	since    time.Time            // of the first failure in a row
	store    *store.Store         // nil while the file cannot be opened
	dirty    map[*Zone]bool       // zones that are to be saved
	orphans  map[ZoneID]time.Time // zones that are saved, or are to be, and not configured, since when
	leaving  map[ZoneID]*leaving  // what is to be written of them
	faults   []byte               // what people were told, to be saved; nil for nothing new
	last     [][]commission       // what is left to save when the keeper is stopped, commit by commit
	known    []store.Stored       // until the first attachment has its zones
	told     []byte               // what people have been told
}

// leaving is what is to be written of an orphan, until it has been written. Its fields are guarded by keeper.mu.
type leaving struct {
	change  store.Change
	found   found // what the zone had; without contents: the store has them
	writing bool  // a commit has the change
}

// commission is what a commit does for one zone. It is owned by the goroutine of the keeper.
type commission struct {
	zone    *Zone            // nil for what is no zone of ours
	leaving *leaving         // nil for none
	id      ZoneID           // of leaving
	version *version.Version // with its contents; nil for state alone
	faults  []byte           // what people were told; nil but in a commission that is of no zone
	change  store.Change
	state   savedZone // for change.State, unless that is there already
}

// useStore returns the keeper for a store, whose file is opened for the first user; nil for an empty path. A file that cannot be
// opened is tried again later, unless another process has it: two would undo each other's work. e.configuring is held.
func (e *Engine) useStore(path string) (*keeper, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // no store is no fault
	}
	maps.DeleteFunc(e.keepers, func(_ string, k *keeper) bool {
		select {
		case <-k.done:
			return true
		default:
			return false
		}
	})
	if k := e.keepers[path]; k != nil {
		if k.users > 0 {
			k.users++
			return k, nil
		}
		<-k.done // it is just letting go of the file
	}
	k := &keeper{
		engine: e, path: path, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}), users: 1,
		dirty: map[*Zone]bool{}, orphans: map[ZoneID]time.Time{}, leaving: map[ZoneID]*leaving{},
	}
	if err := k.open(); errors.Is(err, store.ErrInUse) {
		return nil, err
	} else if err != nil {
		k.fail(opOpen, err)
	}
	e.keepers[path] = k
	e.running.Go(k.run)
	return k, nil
}

// currentKeeper returns the keeper of the newest attachment; nil without a store.
func (e *Engine) currentKeeper() *keeper {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.keeper
}

// open opens the file and finds out which zones are in it.
func (k *keeper) open() error {
	s, err := store.Open(k.path)
	if err != nil {
		return err
	}
	known, err := s.All()
	if err != nil {
		k.fail(opLoad, err)
	}
	told, err := s.Note(faultsNote)
	if err != nil {
		k.fail(opLoad, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.store, k.known = s, known
	if k.told == nil { // else it has been opened again
		k.told = told
	}
	return nil
}

// release takes a user from a keeper and stops it with the last. Engine.configuring is held.
func (k *keeper) release() {
	if k == nil || k.users == 0 {
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

// switchStore makes k the keeper of all zones; nil for none. Engine.configuring is held.
func (e *Engine) switchStore(k *keeper) {
	e.mu.Lock()
	old := e.keeper
	e.keeper = k
	e.mu.Unlock()
	if old == k {
		return
	}
	if old != nil {
		old.mu.Lock()
		if old.current = false; !old.stopped {
			old.collectAll()
		}
		old.mu.Unlock()
		signal(old.wake)
	}
	if told := old.faultState(); k != nil {
		k.mu.Lock()
		if k.current = true; told != nil {
			k.faults, k.told = told, told
		}
		k.mu.Unlock()
	}
	e.saveAnew(k)
}

// saveAnew marks all zones to be saved into a store that has nothing of them, as long as it is that of k; nil for none.
func (e *Engine) saveAnew(k *keeper) {
	e.inStrides(e.zones.all(), func(z *Zone) {
		if e.keeper == k {
			z.saved.Store(nil)
			k.save(z, true)
		}
	})
}

// save marks a zone to be saved, at once if it has new contents. It waits for nothing.
func (k *keeper) save(z *Zone, contents bool) {
	if k == nil || z.Contents() == nil && z.saved.Load() == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped || z.gone.Load() {
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
			if wait := time.Until(k.committedAt.Add(k.engine.pace)); wait > 0 {
				timer.Reset(wait)
				continue
			}
		case <-timer.C:
		}
		k.working.Lock()
		wait := k.flush()
		k.working.Unlock()
		timer.Reset(wait)
	}
}

// close saves what is left and lets go of the file.
func (k *keeper) close() {
	k.mu.Lock()
	k.collectAll() // what a commit could not write
	s, last := k.store, k.last
	// Who still has the keeper is not to hold all this.
	k.last, k.dirty, k.orphans, k.leaving, k.known = nil, map[*Zone]bool{}, map[ZoneID]time.Time{}, map[ZoneID]*leaving{}, nil
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

// flush saves all there is, commit by commit, and returns when to look again. What comes during the last commit waits.
func (k *keeper) flush() time.Duration {
	for more := true; more; {
		k.mu.Lock()
		if k.stopped {
			k.mu.Unlock()
			return stateDelay // close does the rest
		}
		k.dropOrphans(time.Now())
		s, batch := k.store, k.next()
		more = len(k.last)+len(k.dirty) > 0 || k.faults != nil || k.hasLeaving()
		k.mu.Unlock()
		if s == nil {
			k.putBack(batch)
			return k.reopen()
		}
		if err := s.Present(); err != nil {
			k.putBack(batch)
			return k.miss(s, err)
		}
		if len(batch) == 0 && s.Damage() == nil {
			k.works()
			break
		}
		err := commit(s, batch)
		if err == nil {
			k.written(batch)
			continue
		}
		k.putBack(batch)
		k.fail(opCommit, err)
		if errors.Is(err, store.ErrDamaged) {
			k.replace(s)
		}
		return k.retry
	}
	return k.tidy()
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
	if k.faults != nil {
		batch = append(batch, commission{faults: k.faults})
		k.faults = nil
	}
	size := int64(0)
	for z := range k.dirty {
		if len(batch) >= n || size > maxCommitSize {
			return batch
		}
		delete(k.dirty, z)
		v := z.commission()
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

// commission returns what is to be saved of a zone: its state, and its contents where the store has others.
func (z *Zone) commission() commission {
	s, saved := z.Standing(), z.saved.Load()
	v := commission{zone: z, state: s.saved(), change: store.Change{ID: z.id.octets()}}
	if s.Version == nil || s.Version == saved {
		return v
	}
	differences, since := z.differences.LeadingTo(s.Version, saved)
	v.version = s.Version
	v.change.Contents, v.change.Since = s.Version.Contents, contentsOf(saved)
	v.change.Differences, v.change.Reset = differences, !since
	return v
}

// commit saves a batch. No lock is held: it takes as long as the disk does.
func commit(s *store.Store, batch []commission) error {
	changes := make([]store.Change, 0, len(batch))
	var notes []store.Note
	for i := range batch {
		if faults := batch[i].faults; faults != nil {
			notes = append(notes, store.Note{Name: faultsNote, Octets: faults})
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
	if k.garbage < minGarbage {
		return stateDelay
	}
	span := stateDelay
	if k.garbage >= maxGarbage {
		span = quietSpan
	}
	if wait := time.Until(k.garbageAt.Add(span)); wait > 0 {
		return wait
	}
	k.garbage = 0
	debug.FreeOSMemory()
	return stateDelay
}

// written notes that a batch has been committed.
func (k *keeper) written(batch []commission) {
	k.committedAt = time.Now()
	if g := garbageOf(batch); g > 0 {
		k.garbage, k.garbageAt = k.garbage+g, k.committedAt
	}
	k.works()
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range batch {
		v := &batch[i]
		switch {
		case v.leaving != nil:
			k.left(v)
		case v.zone == nil || v.version == nil || !k.current:
		case v.zone.gone.Load():
			k.leave(v.zone, v.version)
		default:
			v.zone.saved.Store(v.version)
		}
	}
}

// left notes that what was to be written of an orphan has been. k.mu is held.
func (k *keeper) left(v *commission) {
	if k.leaving[v.id] != v.leaving {
		return // it has been configured again, and perhaps let go again
	}
	delete(k.leaving, v.id)
	if v.change.Remove {
		delete(k.orphans, v.id)
	}
}

// leave makes an orphan of a zone that was let go while its first commit ran. k.mu is held.
func (k *keeper) leave(z *Zone, saved *version.Version) {
	if _, is := k.orphans[z.id]; is || k.engine.zones.find(z.id) != nil || k.stopped {
		return
	}
	z.saved.Store(saved)
	k.orphan(z)
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
		case v.zone == nil: // the faults
			if k.faults == nil {
				k.faults = v.faults
			}
		case !v.zone.gone.Load():
			k.dirty[v.zone] = true
		case v.version != nil:
			k.stillToWrite(v)
		}
	}
}

// stillToWrite has what was not committed of a zone that went meanwhile written with what is to be written of the orphan. k.mu is
// held.
func (k *keeper) stillToWrite(v *commission) {
	l := k.leaving[v.zone.id]
	if l == nil || l.change.Contents != nil || l.change.Remove {
		return
	}
	state := l.change.State
	l.change = v.change
	l.change.State, l.found.isSaved = state, false
}

// fail counts a failure and, for the first in a row, logs it. It is called by the goroutine, or before there is one.
func (k *keeper) fail(operation string, err error) {
	e := k.engine
	k.retry = min(max(minStoreRetry, 2*k.retry), maxStoreRetry)
	e.metrics.storeErrors.WithLabelValues(operation).Inc()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failure == nil {
		k.since = time.Now()
		e.log.Errorf("%v; zones are served from memory, and saved when it works again: tried every %s to %s", err, minStoreRetry, maxStoreRetry)
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
		k.engine.log.Infof("store %s: works again", k.path)
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
	k.engine.log.Warningf("store %s: was damaged, has been moved aside and is begun anew", k.path)
	k.retry = 0
	k.saveAll()
}

// saveAll marks everything to be saved, into a store that has nothing of it. Zones without contents get what it has.
func (k *keeper) saveAll() {
	e := k.engine
	k.mu.Lock()
	current := k.current
	k.faults = k.told
	k.mu.Unlock()
	if !current {
		return
	}
	k.findOrphans(nil)
	e.saveAnew(k)
	e.reread(k)
}

// find returns what there is of a zone: what it had when it was let go, or what the store has.
func (k *keeper) find(id ZoneID) (f found) {
	if k == nil {
		return found{}
	}
	k.mu.Lock()
	s := k.store
	if l := k.leaving[id]; l != nil {
		f = l.found
	}
	k.mu.Unlock()
	if f.contents != nil || s == nil {
		return f
	}
	saved, err := s.Load(id.octets())
	if err != nil || saved.Contents == nil {
		return found{err: err}
	}
	state, err := decodeSavedZone(saved.State)
	if err != nil {
		return found{err: fmt.Errorf("zone %s: %w", id, err)}
	}
	return found{contents: saved.Contents, state: state, isSaved: true}
}

// journal returns the differences that lead from the version with a serial to the one that is saved of a zone; nil where they
// are not in the store.
func (k *keeper) journal(id ZoneID, from serial.Serial) []*zone.Difference {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	s := k.store
	k.mu.Unlock()
	if s == nil {
		return nil
	}
	differences, _ := s.Differences(id.octets(), from) // whoever asked gets the whole zone
	return differences
}

// adopt takes note that a zone is configured: it is no orphan any more.
func (k *keeper) adopt(z *Zone) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if l := k.leaving[z.id]; l != nil && l.change.Remove && z.saved.Load() != nil {
		z.saved.Store(nil) // it may just be going
		k.dirty[z] = true
	}
	delete(k.leaving, z.id)
	delete(k.orphans, z.id)
}

// forget is called when a zone is no longer configured: what is saved of it goes after a time of grace.
func (k *keeper) forget(z *Zone) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.dirty, z)
	if !k.stopped && (z.Contents() != nil || z.saved.Load() != nil) {
		k.orphan(z)
	}
}

// orphan makes an orphan of a zone, of which some may not be saved yet. k.mu is held.
func (k *keeper) orphan(z *Zone) {
	v := z.commission()
	v.state.OrphanedAt = time.Now()
	k.orphans[z.id] = v.state.OrphanedAt
	k.leaving[z.id] = &leaving{change: v.change, found: found{contents: z.Contents(), state: v.state, isSaved: v.change.Contents == nil}}
	signal(k.wake)
}

// orphansByName returns the orphans.
func (k *keeper) orphansByName() map[string][]ZoneID {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make(map[string][]ZoneID, len(k.orphans))
	for id := range k.orphans {
		all[id.Name] = append(all[id.Name], id)
	}
	return all
}

// findOrphans finds the orphans among the zones of a store that was just opened. Those that are about to be added are none.
func (k *keeper) findOrphans(added []newcomer) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.known) == 0 {
		return
	}
	configured := make(map[ZoneID]bool, len(added))
	for i := range added {
		configured[added[i].zone.id] = true
	}
	for _, s := range k.known {
		id, ok := savedIDOf(s.ID)
		if !ok || configured[id] || k.engine.zones.find(id) != nil {
			continue
		}
		state, _ := decodeSavedZone(s.State) // without it the time of grace begins now
		if state.OrphanedAt.IsZero() {
			state.OrphanedAt = time.Now()
			k.leaving[id] = &leaving{change: store.Change{ID: s.ID}, found: found{state: state}}
		}
		k.orphans[id] = state.OrphanedAt
	}
	k.known = nil
}

// hasLeaving reports whether something of an orphan is to be written. k.mu is held.
func (k *keeper) hasLeaving() bool {
	for _, l := range k.leaving {
		if !l.writing {
			return true
		}
	}
	return false
}

// dropOrphans removes what is saved of zones whose time of grace is over. k.mu is held.
func (k *keeper) dropOrphans(now time.Time) {
	if now.Before(k.orphanAt) {
		return
	}
	k.orphanAt = now.Add(orphanCheck)
	for id, since := range k.orphans {
		switch {
		case k.engine.zones.find(id) != nil:
			delete(k.orphans, id) // it is configured
		case now.Sub(since) > orphanGrace:
			k.leaving[id] = &leaving{change: store.Change{ID: id.octets(), Remove: true}}
		}
	}
}
