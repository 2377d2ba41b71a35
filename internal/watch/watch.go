// Package watch sees what happens to zones: it keeps a history of each, gives events to those who follow them, counts for
// Prometheus, and writes the log.
//
// Start reading at Watch.Observe: each fact of the engine becomes events, counts and lines there.
package watch

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/secondaryplus/secondaryplus/internal/allow"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
)

// Logger takes log lines. CoreDNS's plugin loggers are Loggers. It must be safe for concurrent use.
type Logger interface {
	Debugf(format string, v ...any)
	Infof(format string, v ...any)
	Warningf(format string, v ...any)
	Errorf(format string, v ...any)
}

// Watch observes an engine. It is safe for concurrent use, and starts no goroutine. Its lock may be taken with that of the
// engine held, and not the other way round.
type Watch struct {
	engine  *engine.Engine
	log     Logger
	metrics *Metrics
	notices *rate.Limiter // NOTIFYs that watchers are told of

	mu       sync.Mutex // guards what follows, and all records
	last     uint64     // ID of the latest event
	records  map[*engine.Zone]*record
	watchers []*Watcher
}

// record is what has been seen of a zone. Its fields are guarded by Watch.mu.
type record struct {
	history    []Event // oldest first
	forgotten  uint64  // ID of the latest event that is no longer in history; 0 for none
	notified   Serial  // the latest that a NOTIFY told
	notifiedAt time.Time
	news       *news                 // that NOTIFYs have told and that is not served yet; nil for none
	refused    uint64                // NOTIFYs that were turned away
	strange    map[netip.Addr]string // keys that NOTIFYs of primaries named and we do not have; nil for none
	differ     bool                  // the log says that the primaries have different serials
	warnings   []reason.Reason       // by link, the reason for which the log says that it is Blocked; nil for none
}

// New returns what is to observe an engine.
func New(e *engine.Engine, log Logger, m *Metrics) *Watch {
	return &Watch{
		engine: e, log: log, metrics: m, notices: rate.NewLimiter(maxTold, maxTold),
		last: e.FirstID(), records: make(map[*engine.Zone]*record),
	}
}

// Observe takes note of a fact.
func (w *Watch) Observe(f *engine.Fact) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f.Kind == engine.Added {
		w.records[f.Zone] = &record{}
	}
	r := w.records[f.Zone]
	if r == nil {
		return // the zone is gone
	}
	v := view{watch: w, record: r, fact: f, zone: f.Zone, standing: f.Zone.Standing()}
	switch f.Kind {
	case engine.Restored:
		v.restored()
	case engine.Removed:
		delete(w.records, f.Zone)
	case engine.Reconfigured:
		r.strange = nil
		r.retell(f.Kept)
	case engine.Stepped:
		v.stepped()
	case engine.Notified:
		v.notified()
	case engine.TurnedAway:
		v.turnedAway()
	case engine.Ordered:
		w.log.Infof("zone=%s op=command: %s", f.Zone.ID(), f.Order)
		v.note(Event{Kind: eventCommand, Result: resultAccepted, Text: f.Order})
	case engine.Began:
		v.announce(&Event{
			FirstAt: f.At, Count: 1, Kind: eventBegan, Result: resultAccepted, Primary: f.Primary.Addr.Addr(), Port: f.Primary.Addr.Port(),
		})
	case engine.Attempted:
		r.denied(f.Attempt, v.served())
		v.attempted()
	case engine.Remarked:
		v.remarked()
	case engine.Readmitted:
		w.log.Infof("zone=%s: admitted again by conflicts %s: %d records are not served", f.Zone.ID(), v.standing.Group.Conflicts,
			v.standing.Contents().Marked())
	case engine.Expired:
		v.expired()
	case engine.Published:
		if took, ok := r.fulfilled(f.Version.Contents.Serial(), f.At); ok {
			w.metrics.propagation.WithLabelValues().Observe(took.Seconds())
		}
	case engine.Added, engine.Retold, engine.Acknowledged:
	}
}

// EventIDs returns the ID that all events of this process are greater than, and that of the latest.
func (w *Watch) EventIDs() (before, last uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.engine.FirstID(), w.last
}

// view is a fact with all that there is to see of its zone. It belongs to Watch.Observe, with Watch.mu held.
type view struct {
	watch    *Watch
	record   *record
	fact     *engine.Fact
	zone     *engine.Zone
	standing *engine.Standing
}

// note puts an event into the history of the zone and gives it to the watchers.
func (v *view) note(n Event) {
	n.Count, n.FirstAt = 1, v.fact.At
	n.ID, n.At, n.Zone = v.fact.ID, v.fact.At, v.zone.ID()
	v.watch.last = n.ID
	v.record.remember(&n, max(leastHistory, min(maxHistory, maxHistories/max(1, len(v.watch.records)))))
	if n.Kind == eventNotify && !v.watch.notices.AllowN(n.At, 1) {
		for _, w := range v.watch.watchers {
			w.lost = true
		}
		return
	}
	v.announce(&n)
}

// announce gives an event to the watchers.
func (v *view) announce(n *Event) {
	n.ID, n.At, n.Zone = v.fact.ID, v.fact.At, v.zone.ID()
	v.watch.last = n.ID
	for _, w := range v.watch.watchers {
		w.offer(*n)
	}
}

// restored tells what was restored. What links are Blocked for, the log of the earlier process has said.
func (v *view) restored() {
	for i, l := range v.machine().Links() {
		if l.State == refresh.Blocked {
			v.told(i, l.Reason)
		}
	}
	c, result := v.standing.Contents(), resultOK
	if c == nil {
		c, result = v.standing.Withdrawn.Contents, resultExpired
	}
	v.note(Event{Kind: eventRestored, Result: result, To: known(c.Serial()), Records: c.Records()})
}

// notified tells of a NOTIFY that is acted on.
func (v *view) notified() {
	n, r := v.fact.Notification, v.record
	said := Event{Kind: eventNotify, Result: resultAccepted, Primary: n.From}
	if n.HasSerial {
		said.To = known(n.Serial)
	}
	if v.fact.Verdict == allow.Hinted {
		said.Result = resultUnsigned
	} else if n.HasSerial {
		r.notified, r.notifiedAt = said.To, v.fact.At
	}
	if n.Key != nil { // without one it may be the repetition of what was turned away: BIND 9.20 leaves the signature out of that
		delete(r.strange, n.From)
	}
	r.heard(n, v.served(), v.fact.At)
	v.note(said)
}

// turnedAway tells of a NOTIFY that is not acted on, and notes the key that one of the primaries has and we have not.
func (v *view) turnedAway() {
	n, r := v.fact.Refusal, v.record
	r.refused++
	v.note(Event{Kind: eventNotify, Result: n.Result, Primary: n.From, Text: n.Text})
	if n.Key == "" {
		return
	}
	for _, p := range v.standing.Group.Primaries {
		if p.Addr.Addr().Unmap() == n.From {
			if r.strange == nil {
				r.strange = map[netip.Addr]string{} // at most one key for each primary
			}
			r.strange[n.From] = n.Key
		}
	}
}

// expired tells that the contents were withdrawn.
func (v *view) expired() {
	checkedAt := v.machine().CheckedAt()
	v.note(Event{
		Kind: eventExpired, Result: resultExpired, From: known(v.standing.Withdrawn.Contents.Serial()),
		Text: "no primary has confirmed it since " + checkedAt.UTC().Format(time.RFC3339) + "; queries get SERVFAIL until one does",
	})
	v.watch.log.Errorf("zone=%s: expired, no primary has confirmed it since %s: answering SERVFAIL until one does; "+
		"the warnings about its attempts say what to mend", v.zone.ID(), checkedAt.Format(time.RFC3339))
}

func (v *view) machine() *refresh.Machine { return v.standing.Machine() }
