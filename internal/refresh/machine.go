package refresh

import (
	"slices"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// Config is what the operator says of the zone. It is a plain value.
type Config struct {
	*Limits          // shared with zones that are kept alike; nil for none
	Primaries int    // how many there are; events and actions name them by index, in order of preference
	Seed      uint64 // from the zone name: what spreads the zones over time
}

// Limits are what the operator says of the SOA. They do not change once a machine has them.
type Limits struct {
	Refresh    Clamp // of the SOA refresh
	Retry      Clamp // of the SOA retry
	Expire     Clamp // of the SOA expire
	SerialZero bool  // serial 0 is accepted as any other
}

// noLimits is read-only.
var noLimits Limits

// limited returns the configuration with limits to read.
func (c Config) limited() Config {
	if c.Limits == nil {
		c.Limits = &noLimits
	}
	return c
}

// State is what the zone has to serve.
type State uint8

// The states of a zone.
const (
	Empty   State = iota // no contents yet
	Current              // contents within their expire time
	Expired              // contents too old to serve
)

// String returns the name of the state.
func (s State) String() string {
	switch s {
	case Empty:
		return "Empty"
	case Current:
		return "Current"
	case Expired:
		return "Expired"
	}
	return "invalid"
}

// Machine is the refresh protocol of one zone. It belongs to whoever calls Step. Nothing else changes it: one that is not
// stepped any more may be read by anybody.
//
// Invariant: once Started, NextAt is set and, after a Step at now, later than now.
type Machine struct {
	cfg    Config
	links  []link   // one for each primary
	soa    wire.SOA // of the latest contents; meaningless while Empty
	seenAt time.Time
	clock  instant // seenAt on the machine's own clock; never before the first Step

	checkedAt instant // latest successful check
	sourceAt  instant // when the primaries that vouched for the contents give them up; never where SOA and limits alone count
	expireAt  instant // when the contents expire; never while Empty
	nextAt    instant // when a round starts of itself
	roundAt   instant // start of the running round, else of the latest
	weakAt    instant // start of the latest round that only unsigned NOTIFYs asked for
	differAt  instant // since when the primaries have different serials; never when they have not
	graceAt   instant // when the running round stops waiting for answers; never for not yet

	announcedAt instant       // since when a NOTIFY has told of a version newer than the contents; never when none has
	announced   serial.Serial // the newest they told

	pending   hint
	draws     uint32
	failures  uint16 // failed rounds in a row
	from      int    // the primary asked first, then the one transferred from; see stage
	state     State
	stage     stage
	transfers uint8  // versions published in the running round, else in the latest
	full      bool   // the running transfer was to start from nothing
	blind     bool   // the running transfer is from a primary that has not told its serial
	demand    Demand // of the operator, for the running round until a version is published
	weak      bool   // the running round is only there because of unsigned NOTIFYs
	succeeded bool   // a primary confirmed our serial in the running round, or gave us a new one
	started   bool
	settled   bool
}

// New returns the machine of a zone without contents. It schedules nothing until Started.
func New(cfg Config) *Machine {
	return &Machine{cfg: cfg.limited(), links: make([]link, max(cfg.Primaries, 0))}
}

// Clone returns a machine that can be stepped while others still read this one.
func (m *Machine) Clone() *Machine {
	c := *m
	c.links = slices.Clone(m.links)
	return &c
}

// Step tells the machine what happened at now and returns what to do about it, in this order. It never fails and never
// waits. An event about a primary that does not exist changes no link.
func (m *Machine) Step(now time.Time, ev Event) []Action {
	s := step{Machine: m, now: m.tick(now)}
	// New contents were published before we hear of them, so an expiry that has come meanwhile must not withdraw them.
	if ev.Kind != Transferred {
		s.expire()
	}
	if m.started || ev.Kind == Started || ev.Kind == Restored || ev.Kind == Reconfigured {
		s.apply(&ev)
		s.compare()
	}
	if m.started {
		s.run()
	}
	return s.out
}

// NextAt returns when a Due event is wanted; zero when none is.
func (m *Machine) NextAt() time.Time {
	if !m.started {
		return time.Time{}
	}
	var at instant
	switch {
	case m.stage != resting:
		at = m.roundAt.plus(maxRound)
		if m.graceAt != 0 {
			at = min(at, m.graceAt)
		}
	case m.pending.set:
		at = min(m.nextAt, m.pendingAt())
	default:
		at = m.nextAt
	}
	if m.state == Current {
		at = min(at, m.expireAt)
	}
	return m.when(at)
}

// State returns what the zone has to serve.
func (m *Machine) State() State { return m.state }

// Started reports whether the machine has been told so: before, it takes no NOTIFYs and no demands.
func (m *Machine) Started() bool { return m.started }

// Running reports whether a round is running.
func (m *Machine) Running() bool { return m.stage != resting }

// Pending reports whether a check that a NOTIFY asked for is still to begin; those that nobody vouches for do not count.
func (m *Machine) Pending() bool { return m.pending.set && !m.pending.weak }

// Awaited reports whether a NOTIFY would add a check to those that are to begin anyway.
func (m *Machine) Awaited(ev Event) bool {
	h := m.hintOf(&ev)
	return h.set && !m.pending.set
}

// Settled reports whether a round has ended since Started, whatever came of it.
func (m *Machine) Settled() bool { return m.settled }

// Failures returns how many rounds in a row have failed.
func (m *Machine) Failures() int { return int(m.failures) }

// SOA returns the SOA of the latest contents, expired or not; false when there never were any.
func (m *Machine) SOA() (wire.SOA, bool) { return m.soa, m.state != Empty }

// CheckedAt returns when the contents were last known to be those of a primary; zero for never.
func (m *Machine) CheckedAt() time.Time { return m.when(m.checkedAt) }

// ExpireAt returns when the contents expire or expired; zero while there never were any.
func (m *Machine) ExpireAt() time.Time { return m.when(m.expireAt) }

// RefreshAt returns when the next round starts of itself; zero while one is running and before Started.
func (m *Machine) RefreshAt() time.Time {
	if m.stage != resting {
		return time.Time{}
	}
	return m.when(m.nextAt)
}

// step is one call of Step: the machine, the time and the actions so far. It does not outlive the call.
type step struct {
	*Machine
	now instant
	out []Action
}

func (s *step) do(a Action) { s.out = append(s.out, a) }

// link returns the link of primary i, nil when there is none.
func (s *step) link(i int) *link {
	if i < 0 || i >= len(s.links) {
		return nil
	}
	return &s.links[i]
}

// apply changes the state as ev says. What follows from the new state is left to run.
func (s *step) apply(ev *Event) {
	switch ev.Kind {
	case Started:
		s.start()
	case Restored:
		s.restore(ev.Saved)
	case Due: // run looks at every timer after every event
	case Notified:
		s.notified(ev)
	case Demanded:
		s.demanded(ev.Demand)
	case SOAReceived:
		s.soaReceived(ev)
	case SOAFailed:
		s.soaFailed(ev)
	case Transferred:
		s.transferred(ev)
	case TransferCurrent:
		s.transferCurrent(ev)
	case TransferFailed:
		s.transferFailed(ev)
	case Reconfigured:
		s.reconfigured(ev)
	}
}

// expire withdraws contents that no primary confirmed in time, also in the middle of a round.
// RFC 1034 §4.3.5: after EXPIRE without a successful check the copy is obsolete.
func (s *step) expire() {
	if s.state != Current || s.now < s.expireAt {
		return
	}
	s.state = Expired
	s.do(Action{Kind: Withdraw})
}

// succeed notes that the contents are those of a primary, which gives them up at till; 0 for when its SOA says.
// RFC 1034 §4.3.5: an equal serial restarts the refresh wait, and with it expire.
func (s *step) succeed(till instant) {
	s.succeeded, s.failures = true, 0
	s.checkedAt, s.sourceAt = s.now, till
	s.expireAt = s.expiry()
	s.nextAt = s.now.plus(s.refreshSpan())
	if s.lagging() {
		s.sooner(s.retrySpan())
	}
}

// lagging reports whether a primary or a NOTIFY has told of a version newer than what we serve.
func (s *step) lagging() bool {
	if s.state != Current {
		return false
	}
	if s.announces() {
		return true
	}
	for i := range s.links {
		if l := &s.links[i]; l.part >= answered && l.hasSerial && s.classify(l.serial) == takeIt {
			return true
		}
	}
	return false
}

// announce notes that a NOTIFY has told of serial n. That is a hint (RFC 1996 §3.8): it moves the next check, not the link.
func (s *step) announce(n serial.Serial) {
	switch {
	case s.state != Current || s.classify(n) != takeIt:
	case !s.announces():
		s.announced, s.announcedAt = n, s.now
	case n.Newer(s.announced):
		s.announced = n
	}
}

// announces reports whether a NOTIFY has told of a version newer than the contents. What the primaries deny for as long as a
// check lasts was wrong.
func (s *step) announces() bool {
	return s.announcedAt != 0 && s.state == Current && s.announced.Newer(s.soa.Serial) && s.now < s.announcedAt.plus(s.Spans().Check)
}

// sooner starts the next round after d at the latest. An earlier appointment stays: NOTIFYs whose checks fail must not put
// off the timer forever.
func (s *step) sooner(d time.Duration) {
	if at := s.now.plus(d); s.nextAt <= s.now || at < s.nextAt {
		s.nextAt = at
	}
}

// reconfigured takes over a new configuration. The timers follow new limits at once, but only to come earlier. A refused
// version may pass new rules, so it is tried again. New primaries end the running round, whose actions the engine cancels,
// and start another; a version published all the same is reported as Transferred with Primary -1.
func (s *step) reconfigured(ev *Event) {
	if ev.Config == nil {
		return
	}
	s.cfg = ev.Config.limited()
	again := s.relink(ev.Kept)
	for i := range s.links {
		again = again || s.links[i].refused.until > s.now
		s.links[i].refused = refusal{}
	}
	if !s.started {
		return
	}
	if s.state == Current {
		s.expireAt = s.expiry()
		s.nextAt = min(s.nextAt, s.checkedAt.plus(s.refreshSpan()))
	}
	if s.state != Empty && s.failures > 0 {
		s.sooner(s.retrySpan())
	}
	if again {
		s.nextAt = s.now
	}
	s.expire()
}

// relink makes the links of the new primaries and reports whether the primaries changed.
func (s *step) relink(kept []int) bool {
	links := make([]link, max(s.cfg.Primaries, 0))
	same := len(links) == len(s.links)
	for i := range links {
		old := i
		if kept != nil {
			old = -1
			if i < len(kept) {
				old = kept[i]
			}
		}
		if l := s.link(old); l != nil {
			links[i] = *l
			links[i].part = idle
		}
		same = same && old == i
	}
	if !same {
		s.links, s.stage, s.graceAt, s.pending = links, resting, 0, hint{}
	}
	return !same
}
