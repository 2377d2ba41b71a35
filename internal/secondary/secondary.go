// Package secondary is a DNS secondary put together: an engine, and what observes it.
//
// Start reading at New, which says who is told of what happens, then Secondary.Attach.
package secondary

import (
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/fault"
	"github.com/secondaryplus/secondaryplus/internal/keep"
	"github.com/secondaryplus/secondaryplus/internal/notify"
	"github.com/secondaryplus/secondaryplus/internal/watch"
	"github.com/secondaryplus/secondaryplus/internal/xfrout"
)

// Secondary keeps zones in step with their primaries, saves them, tells how they stand, and tells secondaries of its own. It is safe
// for concurrent use.
type Secondary struct {
	*engine.Engine
	*watch.Watch
	*keep.Keep

	Quota xfrout.Quota // of transfers to secondaries of our own
	Seen  xfrout.Seen  // of them

	sender  *notify.Sender // to them
	faults  *watch.Faults
	unwatch func() // ends what metrics show

	mu          sync.Mutex    // held while the configuration changes and new zones start, before any lock of the parts
	attachments []*Attachment // oldest first
}

// The notes in the store: what people have been told, and what was seen of secondaries of our own.
const (
	faultsNote = "faults"
	seenNote   = "secondaries"
)

// New returns a running secondary without zones. Close ends it.
func New(log watch.Logger, m *watch.Metrics) *Secondary {
	e := engine.New()
	s := &Secondary{Engine: e, Watch: watch.New(e, log, m), Keep: keep.New(e, log, m.StoreFailed, faultsNote, seenNote)}
	s.faults = watch.NewFaults(log, watch.FaultMemory{
		Load: func() []byte { return s.Note(faultsNote) },
		Save: func(state []byte) { s.SetNote(faultsNote, state) },
	})
	s.sender = notify.NewSender(log, func(r notify.Result) { m.NotifySent(string(r)) })
	s.unwatch = m.Show(&watch.Source{Zones: s.Status, Store: s.Store, Faults: s.faults.Counts, Secondaries: s.AllBelow})
	e.Tell(s.Keep, s.Watch, s.faults, engine.ObserverFunc(s.observe))
	return s
}

// Close stops all work, saves what is left and waits for the end of both. Contents stay readable.
func (s *Secondary) Close() {
	s.sender.Close() // while what has been acknowledged can still be saved
	s.Engine.Close() // without the lock, which a start of many zones holds
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.Close()
	s.Keep.Close()
	s.unwatch()
}

// Settings are the process-wide settings. They are a plain value.
type Settings struct {
	engine.Settings

	Store  string // absolute path of the file that keeps zones over a restart; empty for none
	Faults FaultSettings
}

// FaultSettings say whom to tell of zones that cannot follow their primaries. They are a plain value.
type FaultSettings struct {
	URLs  string        // of sinks, as shoutrrr has them, one a line; they hold secrets. Empty: nobody is told
	After time.Duration // how long it has to last
	Every time.Duration // between reminders while it lasts
}

// settings returns what a notifier is told.
func (f FaultSettings) settings() fault.Settings {
	host, _ := os.Hostname() // for people to read; "" is no worse
	s := fault.Settings{After: f.After, Every: f.Every, Host: host}
	if f.URLs != "" {
		s.URLs = strings.Split(f.URLs, "\n")
	}
	return s
}

// Config is one whole configuration. It is a plain value.
type Config struct {
	Settings Settings
	Zones    map[engine.ZoneID]engine.ZoneConfig
}

// Attachment is one configuration in force, see engine.Attachment. Its methods are safe for concurrent use.
type Attachment struct {
	zones     *engine.Attachment
	secondary *Secondary
	lease     keep.Lease
	settings  Settings
	patient   bool // Start waits until zones have started
}

// maxAwaited is how many zones of a process that has just begun are started before it serves. Of more, those that are asked for
// come first, and the others after them.
const maxAwaited = 1000

// Attach puts a configuration in force: new zones are known and wait for Start, zones that are held already go on as they are, by
// its word. The error is that of a store that another process uses; nothing has changed then.
func (s *Secondary) Attach(c Config) (*Attachment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lease, err := s.Lease(c.Settings.Store)
	if err != nil {
		return nil, err
	}
	a := &Attachment{
		secondary: s, lease: lease, settings: c.Settings, patient: len(s.attachments) > 0 || len(c.Zones) <= maxAwaited,
	}
	s.attachments = append(s.attachments, a)
	s.govern()
	a.zones = s.Engine.Attach(c.Zones)
	if len(s.attachments) == 1 {
		s.recallSeen()
	}
	return a, nil
}

// Start starts new zones with what is saved of them. It is called once. Where a process has just begun and has many zones it
// returns before they have started: nobody else answers for them, and each of them is there as soon as somebody asks, see
// engine.Zone.Recall.
func (a *Attachment) Start() {
	s := a.secondary
	s.mu.Lock()
	start := func() {
		defer s.mu.Unlock()
		s.Around(a.zones.Start)
		s.faults.Keep(s.has)
	}
	if a.patient {
		start()
		return
	}
	go func() {
		start()
		debug.FreeOSMemory() // as much as is kept has been garbage, and the process may be idle now
	}()
}

// govern puts what the newest attachment says of the process in force. s.mu is held.
func (s *Secondary) govern() {
	a := s.attachments[len(s.attachments)-1]
	s.Limit(a.settings.Settings)
	s.Use(a.lease)
	s.faults.Configure(a.settings.Faults.settings(), s.Zones())
}

func (s *Secondary) has(id engine.ZoneID) bool { return s.Lookup(id) != nil }

// Update changes what zones an attachment has, and how they are kept. After Detach it does nothing.
func (a *Attachment) Update(c engine.Change) {
	s := a.secondary
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.attachments, a) {
		return
	}
	s.Around(func(restore engine.Restore) {
		c.Restore = restore
		a.zones.Update(c)
	})
	s.faults.Keep(s.has)
}

// Zone returns a zone of the attachment, nil if it has none by this ID.
func (a *Attachment) Zone(id engine.ZoneID) *engine.Zone { return a.zones.Zone(id) }

// Detach ends an attachment: zones that no other one has are let go. It does not wait for a start of many zones: that others have
// those by then is not possible, for they wait for it. A second call does nothing.
func (a *Attachment) Detach() {
	s := a.secondary
	a.zones.Abandon()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.detach(a)
}

// Reinstate undoes every attachment made after this one, whose configuration is in force again.
func (a *Attachment) Reinstate() {
	s := a.secondary
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.attachments, a)
	if i < 0 {
		return
	}
	for _, later := range slices.Backward(slices.Clone(s.attachments[i+1:])) {
		s.detach(later)
	}
}

// detach ends an attachment. s.mu is held.
func (s *Secondary) detach(a *Attachment) {
	i := slices.Index(s.attachments, a)
	if i < 0 {
		return
	}
	s.attachments = slices.Delete(s.attachments, i, i+1)
	if len(s.attachments) > 0 {
		s.govern() // by the one before, where this was the newest
	} else {
		s.faults.Close() // while what people have been told can still be saved
		s.SetNote(seenNote, s.Seen.Saved())
	}
	s.Release(a.lease)
	a.zones.Detach()
	s.faults.Keep(s.has)
}
