package engine

import (
	"context"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/agenda"
	"github.com/secondaryplus/secondaryplus/internal/host"
	"github.com/secondaryplus/secondaryplus/internal/inbox"
	"github.com/secondaryplus/secondaryplus/internal/lane"
	"github.com/secondaryplus/secondaryplus/internal/pace"
	"github.com/secondaryplus/secondaryplus/internal/places"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/roster"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// historyRoom is how many octets the histories of all zones take together.
const historyRoom = 64 << 20

// Engine runs zones. It is safe for concurrent use.
type Engine struct {
	host    string          // the name of this host, "" if it has none
	ctx     context.Context //nolint:containedctx // the life of the engine's own goroutines
	stop    context.CancelFunc
	running sync.WaitGroup
	wake    chan struct{} // the schedule has changed; holds one
	soaWake chan struct{} // a SOA query is waiting; holds one
	firstID uint64        // less than that of any Fact; the microseconds of the start, so that no process gives an ID again
	pace    *pace.Pace    // of SOA queries
	limits  xfr.Limits    // of time, for a transfer

	observers []Observer // set before the first attachment

	histories *version.Histories // the differences of all zones
	places    *places.Places     // of running transfers

	// configuring is held while the configuration changes, before mu and for as long as a disk takes.
	configuring sync.Mutex
	attached    int // attachments so far; guarded by configuring

	zones        *roster.Roster[*Zone] // added and removed by whoever holds configuring
	inbox        *inbox.Inbox[notice]
	readmissions *inbox.Inbox[*Zone]
	recalls      chan struct{} // holds one for each zone that is read because somebody asks for it

	mu       sync.Mutex // guards everything below, and all of Zone and remote that says so
	settings Settings
	remotes  map[host.ID]*remote
	schedule agenda.Agenda[*Zone] // of zones that are due
	events   []event              // that machines have not been told yet
	factID   uint64               // of the latest Fact
	stepping bool                 // somebody is telling them

	placeAwaited  bool // a timer is set for when there may be a place
	transferTurns lane.Turns[*job]
	soaTurns      lane.Turns[*job]
	soaQueries    int // running
}

// event is something to tell the machine of a zone. A plain value.
type event struct {
	zone    *Zone
	what    refresh.Event
	version *version.Version // published with it; nil for nothing
	actions []refresh.Action // what the machine has decided already; it is not told what then
	said    bool             // as Fact.Said
	skipped int              // as Fact.Skipped
}

// New returns a running engine without zones. Close ends it.
func New() *Engine {
	ctx, stop := context.WithCancel(context.Background())
	name, _ := os.Hostname() // only part of a seed
	e := &Engine{
		host: name, firstID: uint64(time.Now().UnixMicro()), ctx: ctx, stop: stop,
		wake: make(chan struct{}, 1), soaWake: make(chan struct{}, 1),
		pace:   pace.New(),
		limits: xfr.DefaultLimits(), histories: version.NewHistories(historyRoom), places: places.New(),
		recalls: make(chan struct{}, maxRecalls),
		zones:   roster.New((*Zone).Name), inbox: inbox.New[notice](), readmissions: inbox.New[*Zone](), remotes: make(map[host.ID]*remote),
	}
	e.factID = e.firstID
	e.Limit(DefaultSettings)
	e.running.Go(e.runSchedule)
	e.running.Go(e.runSOAQueries)
	e.running.Go(e.runInbox)
	e.running.Go(e.runReadmissions)
	return e
}

// Tell has observers told of everything that happens, in this order. It is called before the first Attach.
func (e *Engine) Tell(all ...Observer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.observers = append(e.observers, all...)
}

// Close stops all work and waits for it to end. Contents stay readable.
func (e *Engine) Close() {
	e.stop()
	e.configuring.Lock()   // a start of zones ends by itself
	e.configuring.Unlock() //nolint:staticcheck // nothing is to be done meanwhile
	e.running.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.remotes {
		r.CloseIdle()
	}
}

// signal wakes the goroutine that waits on c, if it is not awake already.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// step tells a zone's machine what happened and does what it decides. What comes of that at once, such as a query that fails
// because its primary is known to be down, is told afterwards, so that no machine is stepped inside its own step. e.mu is
// held.
func (e *Engine) step(z *Zone, what refresh.Event) {
	e.happens(event{zone: z, what: what})
}

// happens does what step does. e.mu is held.
func (e *Engine) happens(v event) {
	e.events = append(e.events, v)
	if e.stepping {
		return
	}
	e.stepping = true
	for len(e.events) > 0 {
		next := e.events[0]
		e.events = e.events[1:]
		if !next.zone.gone.Load() {
			e.tell(&next)
		}
	}
	e.events, e.stepping = nil, false
}

// tell tells a machine what happened, and does what it decides. e.mu is held.
func (e *Engine) tell(v *event) {
	z, actions := v.zone, v.actions
	if actions == nil {
		actions = z.step(v)
	}
	if v.version != nil {
		e.emit(Fact{Kind: Published, Zone: z, Version: v.version}) // before the machine goes on: it may expire at once
	}
	e.perform(z, actions)
	e.emit(Fact{Kind: Stepped, Zone: z, Cause: v.what, Said: v.said, Skipped: v.skipped})
}

// step tells the zone's machine what happened, and returns what that decides. Engine.mu is held.
func (z *Zone) step(v *event) []refresh.Action {
	m := z.machine().Clone() // others may be reading this one
	actions := m.Step(time.Now(), v.what)
	withdraw := slices.ContainsFunc(actions, func(a refresh.Action) bool { return a.Kind == refresh.Withdraw })
	z.change(func(s *Standing) {
		s.machine = m
		if v.version != nil {
			s.Version, s.Withdrawn = v.version, nil
		}
		if withdraw {
			s.Version, s.Withdrawn = nil, s.Version
		}
	})
	return actions
}

// perform carries out the decisions of a zone's machine. e.mu is held.
func (e *Engine) perform(z *Zone, actions []refresh.Action) {
	for _, a := range actions {
		j := &job{zone: z, urgent: z.urgent, full: a.Full, blind: a.Blind, hint: a.Reason, demand: a.Demand}
		if a.Kind != refresh.Withdraw {
			j.primary = z.group().Primaries[a.Primary]
		}
		switch a.Kind {
		case refresh.QuerySOA:
			e.queueSOA(j)
		case refresh.Transfer:
			e.queueTransfer(j)
		case refresh.Withdraw:
			e.emit(Fact{Kind: Expired, Zone: z})
		}
	}
	if !z.machine().Running() && !z.machine().Pending() {
		z.urgent = false
	}
	e.reschedule(z)
}

// Zones returns all zones, in no order. The slice is not to be changed.
func (e *Engine) Zones() []*Zone { return e.zones.All() }

// Variants returns the zones with a name, lower case with a final dot. The slice is not to be changed.
func (e *Engine) Variants(name string) []*Zone { return e.zones.Named(name) }

// Lookup returns a zone, nil if there is none by this ID.
func (e *Engine) Lookup(id ZoneID) *Zone {
	for _, z := range e.zones.Named(id.Name) {
		if z.id == id {
			return z
		}
	}
	return nil
}
