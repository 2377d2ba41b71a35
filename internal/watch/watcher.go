package watch

import (
	"cmp"
	"slices"
)

// The most that watchers take.
const (
	MaxWatchers = 64
	maxBacklog  = 1000 // events a watcher is given at first
	watchBuffer = 1024 // events that wait for a slow watcher
	maxTold     = 50   // NOTIFYs that they are told of in a second; anybody can send those
	maxStride   = 256  // zones whose histories are looked through before the lock is let go: the engine may wait for it
)

// Watcher is given events as they happen. Its methods are safe for concurrent use.
type Watcher struct {
	C      <-chan Event
	watch  *Watch
	events chan Event
	lost   bool // guarded by Watch.mu
}

// Follow returns a watcher, which has to be closed, and what happened after the event with an ID, oldest first; nil if there
// are MaxWatchers already. Where the past is longer than what is kept, the watcher has lost some.
func (w *Watch) Follow(after uint64) (*Watcher, []Event) {
	a, now := w.newWatcher()
	if a == nil || after >= now {
		return a, nil
	}
	var past []Event
	lost := false
	for stride := range slices.Chunk(w.engine.Zones(), maxStride) {
		w.mu.Lock()
		for _, z := range stride {
			r := w.records[z]
			if r == nil {
				continue
			}
			lost = lost || r.forgotten > after
			past = append(past, r.between(after, now)...) // the watcher is given what comes later
		}
		w.mu.Unlock()
		if len(past) > 2*maxBacklog {
			past, lost = latest(past), true
			after = past[0].ID // what is older is not wanted any more
		}
	}
	if lost || len(past) > maxBacklog {
		w.mu.Lock()
		a.lost = true
		w.mu.Unlock()
	}
	return a, latest(past)
}

// between returns the events after one, up to another.
func (r *record) between(after, last uint64) []Event {
	from, _ := slices.BinarySearchFunc(r.history, after+1, byID)
	to, _ := slices.BinarySearchFunc(r.history, last+1, byID)
	return r.history[from:to]
}

func byID(v Event, id uint64) int { return cmp.Compare(v.ID, id) }

// newWatcher returns a watcher, nil if there are too many, and the ID of the latest event before those it is given.
func (w *Watch) newWatcher() (*Watcher, uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.watchers) >= MaxWatchers {
		return nil, 0
	}
	c := make(chan Event, watchBuffer)
	a := &Watcher{C: c, watch: w, events: c}
	w.watchers = append(w.watchers, a)
	return a, w.last
}

// latest returns the latest maxBacklog of events, in order.
func latest(all []Event) []Event {
	slices.SortFunc(all, func(a, b Event) int { return cmp.Compare(a.ID, b.ID) })
	return append(all[:0], all[max(0, len(all)-maxBacklog):]...)
}

// offer gives an event to the watcher unless too many wait already. Watch.mu is held.
func (w *Watcher) offer(v Event) {
	select {
	case w.events <- v:
	default:
		w.lost = true
	}
}

// Lost reports whether events have been lost since it was called last.
func (w *Watcher) Lost() bool {
	w.watch.mu.Lock()
	defer w.watch.mu.Unlock()
	lost := w.lost
	w.lost = false
	return lost
}

// Close ends the watcher; no event comes any more.
func (w *Watcher) Close() {
	w.watch.mu.Lock()
	defer w.watch.mu.Unlock()
	w.watch.watchers = slices.DeleteFunc(w.watch.watchers, func(o *Watcher) bool { return o == w })
}
