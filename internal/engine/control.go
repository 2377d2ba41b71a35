package engine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
)

// What an operator can see and order.

// The errors of orders.
var (
	ErrNoZone    = errors.New("no such zone")
	ErrAmbiguous = errors.New("the zone has several variants")
	ErrNobody    = errors.New("there is nobody to notify")
)

// Find returns the ID of the zone with a name and a variant, which may be left out where the name has one zone only. The
// error is ErrNoZone or ErrAmbiguous.
func (e *Engine) Find(name, variant string) (ZoneID, error) {
	id := ZoneID{Name: name, Variant: variant}
	if e.zones.find(id) != nil {
		return id, nil
	}
	found := e.Named(name)
	switch {
	case len(found) == 0 || variant != "":
		return id, fmt.Errorf("%w: %s", ErrNoZone, id)
	case len(found) == 1:
		return found[0], nil
	}
	variants := make([]string, len(found))
	for i, id := range found {
		variants[i] = id.Variant
	}
	return ZoneID{}, fmt.Errorf("%w: %s is there as %q", ErrAmbiguous, name, variants)
}

// Detail is what an operator may want to know of one zone. It is a copy; nothing in it changes.
type Detail struct {
	Status
	Secondaries int           // of our own that are notified
	DifferAt    time.Time     // since when the primaries have had different serials; zero when they have the same
	Failures    int           // rounds in a row that failed
	Refresh     time.Duration // the spans in force
	Retry       time.Duration
	Expire      time.Duration
	Habits      [][]Habit // by primary
}

// Detail returns a zone and how it stands. The error is ErrNoZone.
func (e *Engine) Detail(id ZoneID) (*Zone, Detail, error) {
	z := e.zones.find(id)
	if z == nil {
		return nil, Detail{}, fmt.Errorf("%w: %s", ErrNoZone, id)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if z.gone.Load() {
		return nil, Detail{}, fmt.Errorf("%w: %s", ErrNoZone, id)
	}
	m, primaries := z.machine(), z.group().Primaries
	d := Detail{
		Status: z.status(), DifferAt: m.DifferAt(), Failures: m.Failures(), Secondaries: z.secondaries(),
		Habits: make([][]Habit, len(primaries)),
	}
	spans := m.Spans()
	d.Refresh, d.Retry, d.Expire = spans.Check, spans.Retry, spans.Expire
	for i, p := range primaries {
		d.Habits[i] = z.habits(p, time.Now())
	}
	return z, d, nil
}

// Load is how busy the engine is. It is a plain value.
type Load struct {
	Running, Waiting, Limit int // transfers
}

// Load returns how busy the engine is.
func (e *Engine) Load() Load {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := Load{Running: e.places.running(), Limit: e.settings.TransfersIn}
	for _, r := range e.remotes {
		l.Waiting += r.transfers.waiting.len()
	}
	return l
}

// Appointment is when a zone is next due, and why. It is a plain value.
type Appointment struct {
	At   time.Time
	Zone ZoneID
	Why  string // running, expire, notify, retry, start or refresh
}

// Schedule returns all appointments in the order of their times.
func (e *Engine) Schedule() []Appointment {
	var all []Appointment
	for _, z := range e.zones.all() {
		m := z.Standing().machine
		if at := m.NextAt(); !at.IsZero() {
			all = append(all, Appointment{at, z.id, m.Why()})
		}
	}
	slices.SortFunc(all, func(a, b Appointment) int { return cmp.Or(a.At.Compare(b.At), a.Zone.compare(b.Zone)) })
	return all
}

// Order has the primaries of a zone asked now, whatever their back-off, and from refresh.Again the whole zone transferred.
// It returns the ID of the fact of the order; what comes of it has greater ones. The error is ErrNoZone.
func (e *Engine) Order(id ZoneID, d refresh.Demand) (uint64, error) {
	return e.order(id, orders[d], func(z *Zone) {
		z.urgent = true
		e.step(z, refresh.Event{Kind: refresh.Demanded, Demand: d})
	})
}

// orders are what Order can ask for, as history and log name them.
var orders = [...]string{refresh.NoDemand: "flush", refresh.Check: "refresh", refresh.Again: "retransfer", refresh.Force: "retransfer with force"}

// Flush ends the back-off of a zone's primaries, which are asked when they are due without it, and forgets their ways. See
// Order for what it returns.
func (e *Engine) Flush(id ZoneID) (uint64, error) {
	return e.order(id, orders[refresh.NoDemand], func(z *Zone) {
		z.change(func(s *Standing) { s.Ways = nil })
		for _, p := range z.group().Primaries {
			clear(e.remote(p).ways)
		}
		e.step(z, refresh.Event{Kind: refresh.Demanded})
	})
}

// Renotify has our own secondaries notified of the version served. See Order for what it returns; the error is ErrNobody
// where there are none.
func (e *Engine) Renotify(id ZoneID) (uint64, error) {
	z := e.zones.find(id)
	if z != nil {
		e.mu.Lock()
		n := z.secondaries()
		e.mu.Unlock()
		if n == 0 {
			return 0, fmt.Errorf("%w of %s", ErrNobody, id)
		}
	}
	return e.order(id, "notify", func(z *Zone) { e.emit(Fact{Kind: Retold, Zone: z}) })
}

// secondaries returns how many secondaries of our own are notified of the zone. Engine.mu is held.
func (z *Zone) secondaries() (n int) {
	for _, h := range z.holders {
		if f := h.attachment.config.Secondaries; f != nil {
			n = max(n, f(z)) // they are the same in the instances of a reload
		}
	}
	return n
}

// order carries out what the operator wants of a zone.
func (e *Engine) order(id ZoneID, what string, do func(*Zone)) (uint64, error) {
	z := e.zones.find(id)
	if z == nil {
		return 0, fmt.Errorf("%w: %s", ErrNoZone, id)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if z.gone.Load() {
		return 0, fmt.Errorf("%w: %s", ErrNoZone, id)
	}
	e.emit(Fact{Kind: Ordered, Zone: z, Order: what})
	taken := e.factID
	for _, p := range z.group().Primaries {
		e.remote(p).up() // the operator may know that it is back
	}
	do(z)
	return taken, nil
}
