package engine

import (
	"errors"
	"runtime/debug"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/store"
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

// keeper saves zones to one store, on a goroutine of its own. Serving never waits for it.
type keeper struct {
	engine *Engine
	path   string
	wake   chan struct{} // there are contents to save; holds one
	stop   chan struct{} // closed when nobody uses the keeper any more
	done   chan struct{} // closed when it has let go of the file

	// Owned by the goroutine.
	committedAt time.Time
	garbage     int64     // octets that commits have left behind, about
	garbageAt   time.Time // when they last did
	retry       time.Duration
	orphanAt    time.Time // when orphans are looked at next

	// Guarded by Engine.mu.
	users   int
	failure error                // of the latest attempt to use the store; nil while it works
	since   time.Time            // of the first failure in a row
	store   *store.Store         // nil while the file cannot be opened
	dirty   map[*Zone]bool       // zones whose state is to be saved; true: and contents
	chores  map[ZoneID]chore     // by saved ID, of zones that are not configured
	orphans map[ZoneID]time.Time // zones, by saved ID, that are saved and not configured, since when
	faults  []byte               // what people were told, to be saved; nil for nothing new
	last    [][]saving           // what is left to save when the keeper is stopped, commit by commit
	known   []store.Stored       // until the first attachment has its zones
	told    []byte               // what people had been told when the file was opened
}

// kept is what of a zone is in the store. It is guarded by Engine.mu.
type kept struct {
	contents *zone.Contents // saved last, nil for none
	byIXFR   bool           // whatever was published since was made from it by differences
}

// chore is what is to be saved of a zone that is no longer configured, and what it had. It is guarded by Engine.mu.
type chore struct {
	saving
	contents *zone.Contents // published last; nil for none
	kept     kept
}

// saving is what a commit does for one zone.
type saving struct {
	zone   *Zone // nil for a chore
	id     ZoneID
	change store.Change
	state  savedZone // for change.State, unless that is there already
	byIXFR bool
	faults []byte // what people were told; nil but in a saving that is of no zone
}

// hire returns the keeper for a store, whose file is opened for the first user; nil for an empty path. A file that cannot be
// opened is tried again later, unless another process has it: two would undo each other's work. It is not called by several
// goroutines at a time.
func (e *Engine) hire(path string) (*keeper, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // no store is no fault
	}
	for {
		e.mu.Lock()
		k := e.keepers[path]
		if k != nil && k.users > 0 {
			k.users++
			e.mu.Unlock()
			return k, nil
		}
		e.mu.Unlock()
		if k == nil {
			break
		}
		<-k.done // it is just letting go of the file
	}
	k := &keeper{
		engine: e, path: path, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}), users: 1,
		dirty: map[*Zone]bool{}, chores: map[ZoneID]chore{}, orphans: map[ZoneID]time.Time{},
	}
	if err := k.open(); errors.Is(err, store.ErrInUse) {
		return nil, err
	} else if err != nil {
		k.fail(opOpen, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.keepers[path] = k
	e.running.Go(k.run)
	return k, nil
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
	k.engine.mu.Lock()
	defer k.engine.mu.Unlock()
	k.store, k.known, k.told = s, known, told
	return nil
}

// dismiss takes a user from a keeper and stops it with the last. Engine.mu is held.
func (k *keeper) dismiss() {
	if k == nil || k.users == 0 {
		return
	}
	if k.users--; k.users > 0 {
		return
	}
	k.collectAll()
	close(k.stop)
}

// employ makes k the keeper of all zones; nil for none. Engine.mu is held.
func (e *Engine) employ(k *keeper) {
	if e.keeper == k {
		return
	}
	if old := e.keeper; old != nil {
		old.collectAll()
		signal(old.wake)
	}
	e.keeper = k
	for _, z := range e.zones {
		z.kept = kept{}
		k.save(z, true)
	}
}

// save marks a zone to be saved, with its contents or only its state. Engine.mu is held.
func (k *keeper) save(z *Zone, contents bool) {
	if k == nil || z.Contents() == nil && z.kept.contents == nil {
		return
	}
	k.dirty[z] = k.dirty[z] || contents
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
		timer.Reset(k.flush())
	}
}

// close saves what is left and lets go of the file.
func (k *keeper) close() {
	e := k.engine
	e.mu.Lock()
	s, last := k.store, k.last
	e.mu.Unlock()
	if s != nil {
		for _, batch := range last {
			if err := commit(s, batch); err != nil {
				k.fail(opCommit, err)
			}
		}
		if err := s.Close(); err != nil {
			k.fail(opClose, err)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.keepers, k.path)
}

// flush saves all there is, commit by commit, and returns when to look again. What comes during the last commit waits.
func (k *keeper) flush() time.Duration {
	e := k.engine
	for more := true; more; {
		e.mu.Lock()
		if k.users == 0 {
			e.mu.Unlock()
			return stateDelay // close does the rest
		}
		k.dropOrphans(time.Now())
		s, batch := k.store, k.next()
		more = len(k.last)+len(k.dirty)+len(k.chores) > 0 || k.faults != nil
		e.mu.Unlock()
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
			k.saved(batch)
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

// next returns what is to be saved next. Engine.mu is held.
func (k *keeper) next() []saving {
	if len(k.last) == 0 {
		return k.collect(maxCommitZones)
	}
	batch := k.last[0]
	k.last = k.last[1:]
	return batch
}

// collect takes up to n zones, and what they weigh together, from what is to be saved. Engine.mu is held.
func (k *keeper) collect(n int) (batch []saving) {
	batch = k.collectFaults(nil)
	size := int64(0)
	for z, contents := range k.dirty {
		if len(batch) >= n || size > maxCommitSize {
			return batch
		}
		delete(k.dirty, z)
		v := z.saving(contents)
		if c := v.change.Contents; c != nil {
			size += c.Size()
		}
		batch = append(batch, v)
	}
	for id, c := range k.chores {
		if len(batch) >= n {
			break
		}
		delete(k.chores, id)
		batch = append(batch, c.saving)
	}
	return batch
}

// collectAll lines up everything that is to be saved, as it is now. Engine.mu is held.
func (k *keeper) collectAll() {
	for batch := k.collect(maxCommitZones); len(batch) > 0; batch = k.collect(maxCommitZones) {
		k.last = append(k.last, batch)
	}
}

// saving returns what is to be saved of a zone, with its contents or only its state. Engine.mu is held.
func (z *Zone) saving(contents bool) saving {
	v := saving{zone: z, id: z.id, state: z.savedZone(), change: store.Change{ID: z.id.octets()}}
	if c := z.Contents(); contents && c != nil && c != z.kept.contents {
		v.change.Contents, v.change.Since, v.byIXFR = c, z.kept.contents, z.kept.byIXFR
	}
	return v
}

// commit saves a batch. No lock is held: it takes as long as the disk does.
func commit(s *store.Store, batch []saving) error {
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
		if batch[i].byIXFR && c.Since != nil {
			// RFC 1995 §5: what is larger is no use; the journal begins anew.
			if d, err := c.Contents.Difference(c.Since, c.Contents.Size()); err == nil {
				c.Differences = []*zone.Difference{d}
			}
		}
		changes = append(changes, c)
	}
	return s.Commit(changes, notes...)
}

// garbageOf returns about how many octets the commit of a batch has left behind: what was written whole.
func garbageOf(batch []saving) (size int64) {
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

// saved notes that a batch has been committed.
func (k *keeper) saved(batch []saving) {
	k.committedAt = time.Now()
	if g := garbageOf(batch); g > 0 {
		k.garbage, k.garbageAt = k.garbage+g, k.committedAt
	}
	k.works()
	e := k.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.keeper != k {
		return
	}
	for i := range batch {
		z, c := batch[i].zone, batch[i].change.Contents
		if z == nil || c == nil {
			continue
		}
		if z.gone {
			k.leave(z, c)
			continue
		}
		// Published while the commit ran: what has come since was made from c, or the zone was transferred whole.
		z.kept = kept{contents: c, byIXFR: z.kept.byIXFR || z.Contents() == c}
	}
}

// leave makes an orphan of a zone that was let go while its first commit ran. Engine.mu is held.
func (k *keeper) leave(z *Zone, saved *zone.Contents) {
	_, waits := k.chores[z.id.saved()]
	if waits || k.engine.zones[z.id] != nil || len(k.engine.attachments) == 0 {
		return
	}
	z.kept.contents = saved
	k.forget(z)
}

// putBack marks the zones of a batch that was not committed.
func (k *keeper) putBack(batch []saving) {
	e := k.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range batch {
		v := &batch[i]
		switch {
		case v.faults != nil:
			if k.faults == nil {
				k.faults = v.faults
			}
		case v.zone == nil:
			if _, again := k.chores[v.id]; !again && !e.savedIDs()[v.id] {
				k.chores[v.id] = chore{saving: *v}
			}
		case !v.zone.gone:
			k.dirty[v.zone] = k.dirty[v.zone] || v.change.Contents != nil
		}
	}
}

// fail counts a failure and, for the first in a row, logs it. It is called by the goroutine, or before there is one.
func (k *keeper) fail(operation string, err error) {
	e := k.engine
	k.retry = min(max(minStoreRetry, 2*k.retry), maxStoreRetry)
	e.metrics.storeErrors.WithLabelValues(operation).Inc()
	e.mu.Lock()
	defer e.mu.Unlock()
	if k.failure == nil {
		k.since = time.Now()
		e.log.Errorf("%v; zones are served from memory, and saved when it works again: tried every %s to %s", err, minStoreRetry, maxStoreRetry)
	}
	k.failure = err
}

// failing reports whether the latest attempt to use the store failed.
func (k *keeper) failing() bool {
	k.engine.mu.Lock()
	defer k.engine.mu.Unlock()
	return k.failure != nil
}

// works notes that the store works, and says so if it did not.
func (k *keeper) works() {
	k.engine.mu.Lock()
	defer k.engine.mu.Unlock()
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
	k.engine.mu.Lock()
	k.store = nil
	k.engine.mu.Unlock()
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
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.keeper != k {
		return
	}
	k.settleIn()
	var empty []*Zone
	for _, z := range e.zones {
		z.kept = kept{}
		if z.machine.State() == refresh.Empty {
			empty = append(empty, z)
			continue
		}
		k.save(z, true)
	}
	e.restoreAll(empty)
	for _, z := range empty {
		e.reschedule(z)
	}
}

// dropOrphans removes what is saved of zones whose time of grace is over. Engine.mu is held.
func (k *keeper) dropOrphans(now time.Time) {
	if now.Before(k.orphanAt) {
		return
	}
	k.orphanAt = now.Add(orphanCheck)
	for id, since := range k.orphans {
		if now.Sub(since) > orphanGrace {
			delete(k.orphans, id)
			k.chores[id] = chore{saving: saving{id: id, change: store.Change{ID: id.octets(), Remove: true}}}
		}
	}
}
