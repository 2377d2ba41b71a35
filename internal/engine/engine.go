package engine

import (
	"context"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/secondaryplus/secondaryplus/internal/fault"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// Logger takes the engine's log lines. CoreDNS's plugin loggers are Loggers. It must be safe for concurrent use.
type Logger interface {
	Debugf(format string, v ...any)
	Infof(format string, v ...any)
	Warningf(format string, v ...any)
	Errorf(format string, v ...any)
}

// historyRoom is how many octets the histories of all zones take together.
const historyRoom = 64 << 20

// Engine runs zones. It is safe for concurrent use.
type Engine struct {
	log     Logger
	metrics *Metrics
	host    string          // the name of this host, "" if it has none
	ctx     context.Context //nolint:containedctx // the life of the engine's own goroutines
	stop    context.CancelFunc
	running sync.WaitGroup
	wake    chan struct{} // the schedule has changed; holds one
	soaWake chan struct{} // a SOA query is waiting; holds one
	firstID uint64        // less than that of any Event; the microseconds of the start, so that no process gives an ID again
	soaRate *rate.Limiter
	repeats *rate.Limiter // of soaRate, for the messages of a SOA query after its first
	memory  budget        // of running transfers
	weak    *rate.Limiter // checks that unsigned NOTIFYs ask for
	notices *rate.Limiter // NOTIFYs that watchers are told of
	limits  xfr.Limits    // of time, for a transfer
	pace    time.Duration // between commits to a store

	histories *version.Histories // the differences of all zones

	// configuring is held while the configuration changes, before mu and for as long as a disk takes.
	configuring sync.Mutex
	keepers     map[string]*keeper // by path; those that are stopping too

	zones *roster
	inbox inbox

	mu          sync.Mutex // guards everything below, and all of Zone and remote that says so
	settings    Settings
	attachments []*Attachment   // oldest first; changed with configuring held as well
	keeper      *keeper         // that of the newest attachment; nil without a store
	faults      *fault.Notifier // made once somebody is to be told; nil before
	remotes     map[remoteID]*remote
	schedule    schedule
	events      []event // that machines have not been told yet
	eventID     uint64  // of the latest Event
	watchers    []*Watcher
	stepping    bool // somebody is telling them

	readmissions  readmissions
	places        places // of running transfers
	transferTurns turns
	soaTurns      turns
	soaQueries    int // running
}

// event is something to tell the machine of a zone. A plain value.
type event struct {
	zone    *Zone
	what    refresh.Event
	version *version.Version // published with it; nil for nothing
	actions []refresh.Action // what the machine has decided already; it is not told what then
	silent  bool             // that the link is Blocked by it needs no line in the log
}

// New returns a running engine without zones. Close ends it.
func New(log Logger, m *Metrics) *Engine {
	ctx, stop := context.WithCancel(context.Background())
	host, _ := os.Hostname() // only part of a seed
	e := &Engine{
		log: log, metrics: m, host: host, firstID: uint64(time.Now().UnixMicro()), ctx: ctx, stop: stop,
		wake: make(chan struct{}, 1), soaWake: make(chan struct{}, 1),
		soaRate: rate.NewLimiter(0, 1), repeats: rate.NewLimiter(0, 1), weak: rate.NewLimiter(0, 1),
		notices: rate.NewLimiter(maxTold, maxTold),
		limits:  xfr.DefaultLimits(), pace: commitSpan, histories: version.NewHistories(historyRoom),
		zones: newRoster(), inbox: inbox{wake: make(chan struct{}, 1)}, keepers: make(map[string]*keeper), remotes: make(map[remoteID]*remote), settings: DefaultSettings,
	}
	e.eventID = e.firstID
	e.places.span, e.places.most = placeSpan, maxBeside
	e.setLimits(DefaultSettings)
	m.attach(e)
	e.running.Go(e.runSchedule)
	e.running.Go(e.runSOAQueries)
	e.running.Go(e.runInbox)
	return e
}

// Close stops all work and waits for it to end. Contents stay readable.
func (e *Engine) Close() {
	e.stop()
	e.configuring.Lock()
	e.closeFaults()
	for _, k := range e.keepers {
		k.users = min(k.users, 1) // whoever else uses it
		k.release()
	}
	e.configuring.Unlock()
	e.running.Wait()
	e.metrics.detach(e)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.remotes {
		r.closeIdle()
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
	z := v.zone
	if v.actions != nil {
		e.perform(z, v.actions)
		return
	}
	m := z.machine().Clone() // others may be reading this one
	actions := m.Step(time.Now(), v.what)
	withdraw := slices.ContainsFunc(actions, func(a refresh.Action) bool { return a.Kind == refresh.Withdraw })
	z.change(func(s *Standing) {
		s.machine = m
		if v.version != nil {
			s.Version, s.withdrawn = v.version, nil
		}
		if withdraw {
			s.Version, s.withdrawn = nil, s.Version
		}
	})
	if v.silent {
		z.told(v.what.Primary, v.what.Reason)
	}
	e.perform(z, actions)
}

// perform carries out the decisions of a zone's machine. e.mu is held.
func (e *Engine) perform(z *Zone, actions []refresh.Action) {
	for _, a := range actions {
		j := &job{zone: z, group: z.group(), urgent: z.urgent, full: a.Full, blind: a.Blind, hint: a.Reason, demand: a.Demand}
		if a.Kind != refresh.Withdraw {
			j.primary = z.group().Primaries[a.Primary]
		}
		switch a.Kind {
		case refresh.QuerySOA:
			e.queueSOA(j)
		case refresh.Transfer:
			e.queueTransfer(j)
		case refresh.Withdraw:
			e.withdrawn(z)
		}
	}
	if !z.machine().Running() && !z.machine().Pending() {
		z.urgent = false
	}
	e.keeper.save(z, false)
	e.observe(z, time.Now())
	e.reschedule(z)
}

// withdrawn tells that a zone has expired. e.mu is held.
func (e *Engine) withdrawn(z *Zone) {
	s := z.Standing()
	checkedAt := s.machine.CheckedAt()
	e.record(z, Event{
		Kind: eventExpired, Result: resultExpired, From: known(s.withdrawn.Contents.Serial()),
		Text: "no primary has confirmed it since " + checkedAt.UTC().Format(time.RFC3339) + "; queries get SERVFAIL until one does",
	})
	e.log.Errorf("zone=%s: expired, no primary has confirmed it since %s: answering SERVFAIL until one does; "+
		"the warnings about its attempts say what to mend", z.id, checkedAt.Format(time.RFC3339))
}
