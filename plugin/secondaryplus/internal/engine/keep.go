package engine

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/store"
	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/zone"
)

// The pace of saving. New contents are saved at once, together with whatever else there is to save by then.
const (
	stateDelay     = 10 * time.Second // how long changed timers wait for others to share a commit with
	minStoreRetry  = 10 * time.Second // after a commit that failed
	maxStoreRetry  = 5 * time.Minute
	maxCommitZones = 1000               // in one commit
	maxCommitSize  = 64 << 20           // octets of records in one commit, but for one zone that has more
	orphanGrace    = 7 * 24 * time.Hour // how long what is saved of a zone outlives its configuration
	orphanCheck    = time.Hour
	bigCommit      = 16 << 20 // octets of records; a commit of so many leaves so much garbage that it is given back at once
	maxLoadErrors  = 10       // zones of a damaged store that get a log line of their own
)

// What can fail, as the label of store errors.
const (
	opOpen    = "open"
	opLoad    = "load"
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
	failing  bool // the last attempt failed, and the log says so
	retry    time.Duration
	orphanAt time.Time // when orphans are looked at next

	// Guarded by Engine.mu.
	users   int
	store   *store.Store         // nil while the file cannot be opened
	dirty   map[*Zone]bool       // zones whose state is to be saved; true: and contents
	chores  map[ZoneID]chore     // of zones that are not configured
	orphans map[ZoneID]time.Time // zones that are saved and not configured, since when
	faults  []byte               // what people were told, to be saved; nil for nothing new
	last    [][]saving           // what is left to save when the keeper is stopped, commit by commit
	known   []store.Stored       // until the first attachment has its zones
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
	k.engine.mu.Lock()
	defer k.engine.mu.Unlock()
	k.store, k.known = s, known
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
	k.last = append(k.last, k.collectAll())
	close(k.stop)
}

// employ makes k the keeper of all zones; nil for none. Engine.mu is held.
func (e *Engine) employ(k *keeper) {
	if e.keeper == k {
		return
	}
	if old := e.keeper; old != nil {
		old.last = append(old.last, old.collectAll())
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

// forget is called when a zone is no longer configured: what is saved of it goes after a time of grace. Engine.mu is held.
func (k *keeper) forget(z *Zone) {
	if k == nil {
		return
	}
	unsaved := k.dirty[z]
	delete(k.dirty, z)
	if z.Contents() == nil && z.kept.contents == nil {
		return
	}
	c := chore{saving: z.saving(unsaved), contents: z.Contents(), kept: z.kept}
	c.zone, c.state.OrphanedAt = nil, time.Now()
	k.chores[z.id], k.orphans[z.id] = c, c.state.OrphanedAt
	signal(k.wake)
}

// restore gives a new zone what is saved of it. It reports how it stands. Engine.mu is held.
func (e *Engine) restore(z *Zone) (refresh.State, error) {
	k := e.keeper
	if k == nil {
		return refresh.Empty, nil
	}
	c, ok := k.chores[z.id] // it has just been let go
	delete(k.orphans, z.id)
	delete(k.chores, z.id)
	if !ok || c.contents == nil {
		if k.store == nil {
			return refresh.Empty, nil
		}
		saved, err := k.store.Load(z.id.octets())
		if err != nil || saved.Contents == nil {
			return refresh.Empty, err
		}
		if c.state, err = decodeSavedZone(saved.State); err != nil {
			return refresh.Empty, fmt.Errorf("zone %s: %w", z.name, err)
		}
		c.contents, c.kept = saved.Contents, kept{contents: saved.Contents, byIXFR: true}
	}
	return e.reinstate(z, &c)
}

// reinstate gives a zone contents and state. Engine.mu is held.
func (e *Engine) reinstate(z *Zone, c *chore) (refresh.State, error) {
	if !bytes.Equal(c.contents.Origin(), z.origin) {
		return refresh.Empty, fmt.Errorf("zone %s: the store has another zone in its place", z.name)
	}
	v := c.state.machine(c.contents.SOA(), z.group.Primaries)
	z.machine.Step(time.Now(), refresh.Event{Kind: refresh.Restored, Saved: &v})
	z.noIXFR, z.kept = c.state.NoIXFR, c.kept
	if z.machine.State() == refresh.Current {
		z.contents.Store(c.contents)
	}
	if by := z.group.Conflicts; c.state.Conflicts != by.String() {
		e.running.Go(func() { e.rejudge(z, by) })
	}
	e.keeper.save(z, c.contents != c.kept.contents) // it may have been an orphan
	return z.machine.State(), nil
}

// revive starts new zones, with what is saved of them if anything is; those due first come first. e.mu is held.
func (e *Engine) revive(zones []*Zone) {
	began := time.Now()
	restored, expired, lost := 0, 0, 0
	for _, z := range zones {
		state, err := e.restore(z)
		switch {
		case err != nil:
			e.metrics.storeErrors.WithLabelValues(opLoad).Inc()
			if lost++; lost <= maxLoadErrors {
				e.log.Errorf("%v; it is transferred again", err)
			}
		case state == refresh.Current:
			restored++
		case state == refresh.Expired:
			expired++
		}
	}
	if restored+expired+lost > 0 {
		e.log.Infof("store %s: %d zones restored, %d too old to be served, %d damaged, in %.3fs", e.keeper.path, restored, expired, lost, time.Since(began).Seconds())
	}
	slices.SortFunc(zones, func(a, b *Zone) int {
		return cmp.Or(a.machine.RefreshAt().Compare(b.machine.RefreshAt()), cmp.Compare(a.name, b.name))
	})
	for _, z := range zones {
		e.step(z, refresh.Event{Kind: refresh.Started})
	}
}

// settleIn finds the orphans among the zones of a store that was just opened. Engine.mu is held.
func (k *keeper) settleIn() {
	if k == nil {
		return
	}
	for _, s := range k.known {
		id, ok := zoneIDOf(s.ID)
		if !ok || k.engine.zones[id] != nil {
			continue
		}
		state, _ := decodeSavedZone(s.State) // without it the time of grace begins now
		if state.OrphanedAt.IsZero() {
			state.OrphanedAt = time.Now()
			k.chores[id] = chore{saving: saving{id: id, state: state, change: store.Change{ID: s.ID}}}
		}
		k.orphans[id] = state.OrphanedAt
	}
	k.known = nil
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
			if k.failing {
				continue // the timer tells when to try again
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

// flush saves all there is, commit by commit, and returns when to look again.
func (k *keeper) flush() time.Duration {
	e := k.engine
	for {
		e.mu.Lock()
		if k.users == 0 {
			e.mu.Unlock()
			return stateDelay // close does the rest
		}
		k.dropOrphans(time.Now())
		s, batch := k.store, k.next()
		e.mu.Unlock()
		if s == nil {
			k.putBack(batch)
			return k.reopen()
		}
		if len(batch) == 0 && s.Damage() == nil {
			return stateDelay
		}
		err := commit(s, batch)
		if err == nil {
			k.saved(batch)
			if sizeOf(batch) > bigCommit {
				debug.FreeOSMemory()
			}
			continue
		}
		k.putBack(batch)
		k.fail(opCommit, err)
		if errors.Is(err, store.ErrDamaged) {
			k.replace(s)
		}
		return k.retry
	}
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

// collectAll takes everything. Engine.mu is held.
func (k *keeper) collectAll() (all []saving) {
	for batch := k.collect(maxCommitZones); len(batch) > 0; batch = k.collect(maxCommitZones) {
		all = append(all, batch...)
	}
	return all
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
	changes := make([]store.Change, len(batch))
	for i := range batch {
		c := batch[i].change
		if c.State == nil && !c.Remove {
			c.State = batch[i].state.encode()
		}
		if batch[i].byIXFR && c.Since != nil {
			c.Difference, _ = c.Contents.Difference(c.Since, c.Contents.Size()) // RFC 1995 §5: what is larger is no use; the journal begins anew
		}
		changes[i] = c
	}
	return s.Commit(changes)
}

// sizeOf returns the octets of all records of the contents in a batch.
func sizeOf(batch []saving) (size int64) {
	for i := range batch {
		if c := batch[i].change.Contents; c != nil {
			size += c.Size()
		}
	}
	return size
}

// saved notes that a batch has been committed.
func (k *keeper) saved(batch []saving) {
	e := k.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if k.failing {
		k.failing, k.retry = false, 0
		e.log.Infof("store %s: works again", k.path)
	}
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
	_, waits := k.chores[z.id]
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
		case v.id.Name == faultsID:
			if k.faults == nil {
				k.faults = v.change.State
			}
		case v.zone == nil:
			if _, again := k.chores[v.id]; !again && e.zones[v.id] == nil {
				k.chores[v.id] = chore{saving: *v}
			}
		case !v.zone.gone:
			k.dirty[v.zone] = k.dirty[v.zone] || v.change.Contents != nil
		}
	}
}

// fail counts a failure and, for the first in a row, logs it. It is called by the goroutine, or before there is one.
func (k *keeper) fail(operation string, err error) {
	k.retry = min(max(minStoreRetry, 2*k.retry), maxStoreRetry)
	k.engine.metrics.storeErrors.WithLabelValues(operation).Inc()
	if !k.failing {
		k.engine.log.Errorf("%v; zones are served from memory, and saved when it works again: tried every %s to %s", err, minStoreRetry, maxStoreRetry)
	}
	k.failing = true
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

// saveAll marks everything to be saved, into a store that has nothing of it.
func (k *keeper) saveAll() {
	e := k.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	k.settleIn()
	if e.keeper != k {
		return
	}
	for _, z := range e.zones {
		z.kept = kept{}
		k.save(z, true)
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
