package watch

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/host"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// How zones stand, for people to see. All of it but Detail is read without a lock.

// Status is how a zone stands at one moment. It is a copy; nothing in it changes.
type Status struct {
	ID        engine.ZoneID
	Blocks    []string         // the server blocks that serve it
	Contents  *zone.Contents   // nil before the first transfer and after expiry
	Saved     *zone.Contents   // as the store has them; nil for none
	BehindAt  time.Time        // since when a primary has had a newer version; zero when none has
	CheckedAt time.Time        // when a primary last confirmed the contents; zero for never
	ExpireAt  time.Time        // zero without contents
	NextAt    time.Time        // the next attempt; zero while one is running
	Started   bool             // false while it may not have been looked for in the store yet
	Expired   bool             // there were contents, and they are too old to be served
	Transfer  *engine.Transfer // that runs; nil for none
	Primaries []xfr.Primary
	State     refresh.ZoneState // of links and contents together
	Links     []refresh.Link    // one for each primary
}

// Status returns how every zone stands, sorted by name.
func (w *Watch) Status() []Status {
	zones := w.engine.Zones()
	all := make([]Status, len(zones))
	for i, z := range zones {
		all[i] = statusOf(z, z.Standing())
	}
	slices.SortFunc(all, func(a, b Status) int { return a.ID.Compare(b.ID) })
	return all
}

// Statuses returns how zones stand, in their order; those that are gone are left out.
func (w *Watch) Statuses(ids []engine.ZoneID) []Status {
	some := make([]Status, 0, len(ids))
	for _, id := range ids {
		if z := w.engine.Lookup(id); z != nil {
			some = append(some, statusOf(z, z.Standing()))
		}
	}
	return some
}

// statusOf returns how a zone stands by its standing.
func statusOf(z *engine.Zone, of *engine.Standing) Status {
	m := of.Machine()
	s := Status{
		ID: z.ID(), Blocks: of.Blocks, Contents: of.Contents(),
		BehindAt: m.BehindAt(), CheckedAt: m.CheckedAt(), ExpireAt: m.ExpireAt(), NextAt: m.RefreshAt(),
		Started: m.Started(), Expired: m.State() == refresh.Expired, Transfer: of.Transfer, Primaries: of.Group.Primaries, State: m.ZoneState(), Links: m.Links(),
	}
	if v := z.Saved(); v != nil {
		s.Saved = v.Contents
	}
	return s
}

// Brief is how a zone stands, in so few words that there can be one of each zone at a time. It is a plain value.
type Brief struct {
	ID     engine.ZoneID
	State  refresh.ZoneState // of links and contents together
	Served bool              // it has contents
	Saved  bool              // and the store has them
	Behind bool              // a primary has a newer version
}

// Briefs returns how every zone stands, in no order.
func (w *Watch) Briefs() []Brief {
	zones := w.engine.Zones()
	all := make([]Brief, len(zones))
	for i, z := range zones {
		s := z.Standing()
		all[i] = Brief{
			ID: z.ID(), State: s.ZoneState(), Served: s.Version != nil, Saved: s.Version != nil && z.Saved() == s.Version,
			Behind: !s.BehindAt().IsZero(),
		}
	}
	return all
}

// Settled reports whether every zone has contents or has failed its first round: waiting longer will not help.
func (w *Watch) Settled() bool {
	return !slices.ContainsFunc(w.engine.Zones(), func(z *engine.Zone) bool {
		s := z.Standing()
		return s.Version == nil && !s.Machine().Settled()
	})
}

// Appointment is when a zone is next due, and why. It is a plain value.
type Appointment struct {
	At   time.Time
	Zone engine.ZoneID
	Why  string // running, expire, notify, retry, start or refresh
}

// Schedule returns all appointments in the order of their times.
func (w *Watch) Schedule() []Appointment {
	var all []Appointment
	for _, z := range w.engine.Zones() {
		m := z.Standing().Machine()
		if at := m.NextAt(); !at.IsZero() {
			all = append(all, Appointment{at, z.ID(), m.Why()})
		}
	}
	slices.SortFunc(all, func(a, b Appointment) int { return cmp.Or(a.At.Compare(b.At), a.Zone.Compare(b.Zone)) })
	return all
}

// Detail is what an operator may want to know of one zone. It is a copy; nothing in it changes.
type Detail struct {
	Status
	DifferAt   time.Time     // since when the primaries have had different serials; zero when they have the same
	Failures   int           // rounds in a row that failed
	Refresh    time.Duration // the spans in force
	Retry      time.Duration
	Expire     time.Duration
	Habits     [][]host.Habit // by primary
	Notified   Serial         // the latest that a NOTIFY told
	NotifiedAt time.Time
	Refused    uint64   // NOTIFYs turned away since the start
	Strange    []string // by primary: the key, not configured here, that a NOTIFY from its address was signed with; empty for none
	History    []Event  // oldest first
	Forgotten  uint64   // ID of the latest event before History; 0 for none
}

// Detail returns how one zone stands, and what has happened to it. The error is engine.ErrNoZone.
func (w *Watch) Detail(id engine.ZoneID) (Detail, error) {
	z := w.engine.Lookup(id)
	if z == nil {
		return Detail{}, fmt.Errorf("%w: %s", engine.ErrNoZone, id)
	}
	s := z.Standing()
	m, spans := s.Machine(), s.Machine().Spans()
	d := Detail{
		Status: statusOf(z, s), DifferAt: m.DifferAt(), Failures: m.Failures(),
		Refresh: spans.Check, Retry: spans.Retry, Expire: spans.Expire,
		Habits: w.engine.Habits(s), Strange: make([]string, len(s.Group.Primaries)),
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.records[z]
	if r == nil {
		return Detail{}, fmt.Errorf("%w: %s", engine.ErrNoZone, id) // it has just gone
	}
	d.Notified, d.NotifiedAt, d.Refused, d.History, d.Forgotten = r.notified, r.notifiedAt, r.refused, slices.Clone(r.history), r.forgotten
	for i, p := range s.Group.Primaries {
		d.Strange[i] = r.strange[p.Addr.Addr().Unmap()]
	}
	return d, nil
}
