package engine

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/serial"
)

// What happens to a zone beside attempts, whose kinds are those of their log lines.
const (
	eventNotify   = "notify"   // a NOTIFY came
	eventExpired  = "expired"  // the contents were withdrawn
	eventRestored = "restored" // the contents of an earlier process are served
	eventCommand  = "command"  // the operator asked for something
	eventRemark   = "remark"   // a rule has something to say of the version
	eventBegan    = "began"    // a transfer begins; only watchers are told
)

// The results of NOTIFYs and commands that were acted on. Those of NOTIFYs that were not are told by whoever refuses them.
const (
	resultAccepted = "accepted"
	resultUnsigned = "unsigned" // a NOTIFY that is a hint
	resultRefused  = "refused"  // a NOTIFY from an address that may send none
)

// resultExpired is the result of contents that were withdrawn, or restored too late to be served.
const resultExpired = "expired"

// How many events are kept: maxHistory of a zone, unless there are so many zones that these are more than maxHistories
// together; but leastHistory in any case. An event takes about 250 octets.
const (
	maxHistory   = 50
	leastHistory = 10
	maxHistories = 200_000
)

// The most that watchers take.
const (
	MaxWatchers = 64
	maxBacklog  = 1000 // events a watcher is given at first
	watchBuffer = 1024 // events that wait for a slow watcher
	maxTold     = 50   // NOTIFYs that they are told of in a second; anybody can send those
)

// class is a kind of events in a history, by who can cause how many.
type class uint8

const (
	changes class = iota // transfers, expiry, commands, findings of rules: what a history is for
	checks               // SOA queries, and transfers that brought nothing
	notices              // NOTIFYs that were acted on
	denials              // NOTIFYs refused though their address may send some
	strays               // NOTIFYs from anybody else
	classes              // how many there are
)

// shares are the most tenths of a history that the events of a class take; half of it is for changes, which may have all.
var shares = [classes]int{checks: 2, notices: 1, denials: 1, strays: 1}

// class returns the class of an event.
func (v *Event) class() class {
	switch {
	case v.Kind == opSOA || v.Kind == opCurrent:
		return checks
	case v.Kind != eventNotify:
		return changes
	case v.Result == resultAccepted || v.Result == resultUnsigned:
		return notices
	case v.Result == resultRefused:
		return strays
	}
	return denials
}

// Event is one thing that happened to a zone. Like ones in a row are one event, which then has the ID and the time of the
// latest. It is a plain value.
type Event struct {
	ID      uint64 // ascending over all zones
	At      time.Time
	FirstAt time.Time // of those that are one event
	Count   int       // of those
	Zone    ZoneID
	Kind    string     // soa, axfr, ixfr, current, notify, expired, restored, command, remark, began
	Result  string     // ok, accepted, expired, or the reason of the failure
	Primary netip.Addr // or the sender of a NOTIFY; invalid for none
	Port    uint16     // 0 for none
	From    Serial     // before
	To      Serial     // that the primary or the NOTIFY told
	Records int
	Bytes   int64
	Took    time.Duration
	Text    string // the cause of a failure, in words
}

// Serial is a serial or none. It is a plain value.
type Serial struct {
	serial.Serial
	Known bool
}

func known(n serial.Serial) Serial { return Serial{n, true} }

// like reports whether two events are one. What NOTIFYs that nobody vouches for tell makes no difference.
func (v *Event) like(o *Event) bool {
	vague := v.Kind == eventNotify && v.Result != resultAccepted
	return v.Kind == o.Kind && v.Result == o.Result && v.Primary == o.Primary && v.Port == o.Port && v.From == o.From &&
		(v.To == o.To || vague) && v.Text == o.Text && v.Records == o.Records
}

// record puts an event into the history of its zone and gives it to the watchers. e.mu is held.
func (e *Engine) record(z *Zone, v Event) {
	e.eventID++
	v.ID, v.Zone, v.At, v.Count = e.eventID, z.id, time.Now(), 1
	v.FirstAt = v.At
	z.remember(&v, max(leastHistory, min(maxHistory, maxHistories/max(1, e.zones.count()))))
	if v.Kind == eventNotify && !e.notices.AllowN(v.At, 1) {
		for _, w := range e.watchers {
			w.lost = true
		}
		return
	}
	e.announce(v)
}

// remember puts an event at the end of the history, which has a limit. It becomes one with the latest of its class, of those
// about the same primary, if it is like that. Engine.mu is held.
func (z *Zone) remember(v *Event, limit int) {
	c := v.class()
	for i := len(z.history) - 1; i >= 0; i-- {
		o := &z.history[i]
		if o.class() != c || c != changes && o.Primary != v.Primary {
			continue
		}
		if o.like(v) {
			v.Count, v.FirstAt = o.Count+1, o.FirstAt
			z.history = slices.Delete(z.history, i, i+1)
		}
		break
	}
	for i := z.surplus(c, limit); i >= 0; i = z.surplus(c, limit) {
		z.forgotten = max(z.forgotten, z.history[i].ID)
		z.history = slices.Delete(z.history, i, i+1)
	}
	if n := len(z.history); n == cap(z.history) {
		// append would make it larger than it can become; of many zones there is one event
		z.history = append(make([]Event, 0, max(1, min(limit, 2*n))), z.history...)
	}
	z.history = append(z.history, *v)
}

// surplus returns the index of the event that gives way to one of a class, -1 if there is room: the oldest of the class if
// that has its share, else the oldest of the changes unless they are few.
func (z *Zone) surplus(c class, limit int) int {
	var first, count [classes]int
	for i := len(z.history) - 1; i >= 0; i-- {
		of := z.history[i].class()
		first[of] = i
		count[of]++
	}
	rest := limit
	for of, tenths := range shares {
		share := max(1, limit*tenths/10)
		if tenths > 0 && count[of] >= share && (class(of) == c || count[of] > share) {
			return first[of]
		}
		if tenths > 0 {
			rest -= share
		}
	}
	switch {
	case len(z.history) < limit:
		return -1
	case c != changes && count[changes] > rest:
		return first[changes]
	}
	return 0
}

// announce gives an event to the watchers. e.mu is held.
func (e *Engine) announce(v Event) {
	for _, w := range e.watchers {
		w.offer(v)
	}
}

// began tells the watchers that a transfer begins. e.mu is held.
func (e *Engine) began(j *job) {
	e.eventID++
	now := time.Now()
	e.announce(Event{
		ID: e.eventID, At: now, FirstAt: now, Count: 1, Zone: j.zone.id, Kind: eventBegan, Result: resultAccepted,
		Primary: j.primary.Addr.Addr(), Port: j.primary.Addr.Port(),
	})
}

// Watcher is given events as they happen. Its methods are safe for concurrent use.
type Watcher struct {
	C      <-chan Event
	engine *Engine
	events chan Event
	lost   bool // guarded by Engine.mu
}

// Watch returns a watcher, which has to be closed, and what happened after the event with an ID, oldest first; nil if there
// are MaxWatchers already. Where the past is longer than what is kept, the watcher has lost some.
func (e *Engine) Watch(after uint64) (*Watcher, []Event) {
	w, now := e.newWatcher()
	if w == nil || after >= now {
		return w, nil
	}
	var past []Event
	lost := false
	e.inStrides(e.zones.all(), func(z *Zone) {
		lost = lost || z.forgotten > after
		for _, v := range slices.Backward(z.history) {
			if v.ID <= after {
				break
			}
			if v.ID <= now { // else the watcher has been given it
				past = append(past, v)
			}
		}
		if len(past) > 2*maxBacklog {
			past, lost = latest(past), true
			after = past[0].ID // what is older is not wanted any more
		}
	})
	if lost || len(past) > maxBacklog {
		e.mu.Lock()
		w.lost = true
		e.mu.Unlock()
	}
	return w, latest(past)
}

// newWatcher returns a watcher, nil if there are too many, and the ID of the latest event before those it is given.
func (e *Engine) newWatcher() (*Watcher, uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.watchers) >= MaxWatchers {
		return nil, 0
	}
	c := make(chan Event, watchBuffer)
	w := &Watcher{C: c, engine: e, events: c}
	e.watchers = append(e.watchers, w)
	return w, e.eventID
}

// latest returns the latest maxBacklog of events, in order.
func latest(all []Event) []Event {
	slices.SortFunc(all, func(a, b Event) int { return cmp.Compare(a.ID, b.ID) })
	return append(all[:0], all[max(0, len(all)-maxBacklog):]...)
}

// EventIDs returns the ID that all events of this process are greater than, and that of the latest.
func (e *Engine) EventIDs() (before, last uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.firstID, e.eventID
}

// offer gives an event to the watcher unless too many wait already. Engine.mu is held.
func (w *Watcher) offer(v Event) {
	select {
	case w.events <- v:
	default:
		w.lost = true
	}
}

// Lost reports whether events have been lost since it was called last.
func (w *Watcher) Lost() bool {
	w.engine.mu.Lock()
	defer w.engine.mu.Unlock()
	lost := w.lost
	w.lost = false
	return lost
}

// Close ends the watcher; no event comes any more.
func (w *Watcher) Close() {
	w.engine.mu.Lock()
	defer w.engine.mu.Unlock()
	w.engine.watchers = slices.DeleteFunc(w.engine.watchers, func(o *Watcher) bool { return o == w })
}
