package fault

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/reason"
)

// Config is what a Machine has to know. It is a plain value.
type Config struct {
	After time.Duration // how long a zone has to be down before it is announced
	Every time.Duration // how long until people are reminded
	Mute  bool          // there is nobody to tell: nothing is sent, and nothing forgotten
}

// DefaultConfig is in force until a configuration says otherwise.
var DefaultConfig = Config{After: time.Minute, Every: 24 * time.Hour, Mute: true}

// Bounds of what a machine remembers. A zone takes about 300 octets, a cause about 500.
const (
	maxZones  = 1 << 20 // zones that are down, or whose recovery is to be told; more are not told of
	maxCauses = 4096    // causes without zones, remembered because they flap
	maxLinks  = 16      // primaries of a cause
)

// Machine decides what to tell of the faults of many zones. It belongs to whoever calls Step and is not safe for concurrent
// use.
type Machine struct {
	cfg      Config
	zones    map[string]*zone
	causes   map[string]*cause
	seenAt   time.Time        // latest time it was told
	nextAt   time.Time        // nothing is due before; zero for never
	sending  *delivery        // the message that is being sent, nil for none
	left     int              // messages that may go at once
	refillAt time.Time        // when one more may; of no meaning when maxBurst are left
	lost     repeats          // messages in a row that no sink took
	madeAt   [kinds]time.Time // when a message of the kind was made
	version  uint64           // of what State returns
}

// Stage is how much people have been told of a zone.
type Stage uint8

// The stages. A zone that is unannounced may be known all the same, see Machine.known.
const (
	unannounced     Stage = iota // no message has named it
	implied                      // as before, it is up again, and was known by its cause while it was down
	announced                    // a message has named it; so in the stages that follow, which end when it is up again
	warned                       // its coming expiry was told
	expiryAnnounced              // its expiry was told
)

// zone is one zone that is down, or whose recovery is to be told. It belongs to its Machine.
type zone struct {
	name    string
	cause   *cause    // nil once it is forgotten
	status  Status    // without links
	downAt  time.Time // since when it is down
	upAt    time.Time // since when it is up; zero while it is down
	toldAt  time.Time // when a message was last about it; zero before announced
	stage   Stage
	sending bool // in the message that is being sent
}

// cause is why zones are down: their primaries, and what is wrong with each. It belongs to its Machine.
type cause struct {
	key      string
	links    []Link
	shared   bool // it lies with the primaries: a zone that joins later tells nothing new
	down     map[*zone]struct{}
	up       map[*zone]struct{} // known, up again, recovery not told
	toldAt   time.Time          // when zones of it were last told of, as they are told of again; zero for not
	joinedAt time.Time          // when a zone joined last
	nextAt   time.Time          // nothing of it is due before; zero for never
	batches  [kinds]repeats     // by kind of the messages that told of it
	damping  damping
}

// New returns a machine that remembers what had been told when State returned s; the zero State is of one that told nothing.
// Zones of s that are not configured any more have to be reported Gone; see Zones.
func New(cfg Config, s State) *Machine {
	m := &Machine{cfg: cfg, zones: map[string]*zone{}, causes: map[string]*cause{}, left: maxBurst}
	m.restore(s)
	return m
}

// Configure changes the configuration.
func (m *Machine) Configure(cfg Config) {
	m.cfg = cfg
	for _, c := range m.causes {
		m.schedule(c, time.Unix(0, 1)) // at once, whatever the time is
	}
}

// Zones returns the names of all zones the machine remembers.
func (m *Machine) Zones() []string { return slices.Collect(maps.Keys(m.zones)) }

// Version changes whenever State may have.
func (m *Machine) Version() uint64 { return m.version }

// NextAt returns when a Due event is wanted; zero when none is.
func (m *Machine) NextAt() time.Time {
	if m.sending != nil || m.cfg.Mute || m.nextAt.IsZero() {
		return time.Time{}
	}
	return latest(m.nextAt, m.readyAt())
}

// Step tells the machine what happened at now and returns the message to send, nil for none. It never fails and never waits.
// Each message is answered by at most one Sent and then one Finished.
func (m *Machine) Step(now time.Time, ev Event) *Message {
	if now.Before(m.seenAt) {
		now = m.seenAt // a clock set back must not make a span negative
	}
	m.seenAt = now
	switch ev.Kind {
	case Due:
		if at := m.NextAt(); !at.IsZero() && !now.Before(at) {
			return m.message(now)
		}
	case Down:
		m.down(now, &ev)
	case Up:
		m.up(now, ev.Zone)
	case Gone:
		if z := m.zones[ev.Zone]; z != nil {
			m.forget(now, z)
		}
	case Sent:
		m.sent(now)
	case Finished:
		m.finished(now)
	}
	return nil
}

// down notes how a zone stands that cannot follow its primaries.
func (m *Machine) down(now time.Time, ev *Event) {
	z := m.zones[ev.Zone]
	if z == nil {
		if len(m.zones) >= maxZones {
			return
		}
		z = &zone{name: ev.Zone, downAt: now}
		m.zones[z.name] = z
	}
	z.status = ev.Status
	z.status.Links = nil
	switch since := ev.Status.SinceAt; {
	case z.cause == nil && !since.IsZero() && since.Before(now):
		z.downAt = since
	case !z.upAt.IsZero():
		z.downAt = now
	}
	m.join(now, z, ev.Status.Links)
	m.schedule(z.cause, m.soonest(now, z))
}

// soonest returns a time before which nothing is due of a zone that is down.
func (m *Machine) soonest(now time.Time, z *zone) time.Time {
	at := z.downAt.Add(m.after(now, z.cause))
	if z.stage >= announced {
		at = z.toldAt.Add(m.cfg.Every)
	}
	if w := z.warnAt(); !w.IsZero() && w.Before(at) {
		at = w
	}
	if z.expiryUntold() {
		at = earliest(at, earliest(z.status.ExpireAt, now).Add(m.gatherSpan()))
	}
	return at
}

// warnAt returns when a quarter of the zone's expire is left; zero when it is not to be warned of.
func (z *zone) warnAt() time.Time {
	if !z.status.served() || z.stage >= warned || z.status.ExpireAt.IsZero() {
		return time.Time{}
	}
	return z.status.ExpireAt.Add(-z.status.Expire / 4)
}

// expiryUntold reports whether the zone has expired and nobody has been told.
func (z *zone) expiryUntold() bool { return z.status.Expired && z.stage < expiryAnnounced }

// join makes z one of the zones that are down for the cause of these links. A zone stays announced when its cause changes:
// it is still the fault that was told. It does not stay implied: that announcement named the primaries only.
func (m *Machine) join(now time.Time, z *zone, links []Link) {
	c := m.cause(links)
	if old := z.cause; old != nil && old != c {
		m.leave(now, z)
	}
	if len(c.down) == 0 {
		c.damping.failed(now)
	}
	delete(c.up, z)
	z.upAt, z.cause = time.Time{}, c
	if z.stage == implied {
		z.stage = unannounced
	}
	if _, there := c.down[z]; !there {
		c.down[z], c.joinedAt = struct{}{}, now
	}
	if c.toldAt.IsZero() {
		c.toldAt = z.toldAt
	}
	if !c.toldAt.IsZero() {
		m.version++
	}
}

// cause returns the cause that these links make.
func (m *Machine) cause(links []Link) *cause {
	if len(links) > maxLinks {
		links = links[:maxLinks]
	}
	parts := make([]string, len(links))
	shared := len(links) > 0
	for i, l := range links {
		why := l.Reason
		switch why.Class() {
		case reason.Silence:
			why = reason.Unreachable // which of its reasons a zone meets is chance
		case reason.Host:
		default:
			shared = false
		}
		parts[i] = l.Primary + " " + string(why)
	}
	slices.Sort(parts)
	key := strings.Join(parts, ", ")
	c := m.causes[key]
	if c == nil {
		c = &cause{key: key, links: slices.Clone(links), shared: shared, down: map[*zone]struct{}{}, up: map[*zone]struct{}{}}
		m.causes[key] = c
	}
	return c
}

// knownByCause reports whether the zone needs no announcement of its own: its cause was told, and lies with the primaries.
func (m *Machine) knownByCause(now time.Time, z *zone) bool {
	c := z.cause
	return c.shared && !c.toldAt.IsZero() && !now.Before(z.downAt.Add(m.after(now, c)))
}

// known reports whether people know that the zone is or was down.
func (m *Machine) known(now time.Time, z *zone) bool {
	return z.stage > unannounced || m.knownByCause(now, z)
}

// up notes that a zone can follow a primary. Nobody is told of the end of what nobody knows of.
func (m *Machine) up(now time.Time, name string) {
	z := m.zones[name]
	if z == nil || !z.upAt.IsZero() {
		return
	}
	if !m.known(now, z) && !z.sending {
		m.forget(now, z)
		return
	}
	switch {
	case z.stage >= announced:
		z.stage = announced
	case m.knownByCause(now, z):
		z.stage = implied
	}
	c := z.cause
	delete(c.down, z)
	c.up[z] = struct{}{}
	z.upAt, z.status.Expired = now, false
	m.schedule(c, now.Add(m.upSpan(now, c)))
}

// forget drops a zone.
func (m *Machine) forget(now time.Time, z *zone) {
	if m.known(now, z) {
		m.version++
	}
	delete(m.zones, z.name)
	m.leave(now, z)
}

// leave takes a zone out of its cause, and drops the cause if that was its last.
func (m *Machine) leave(now time.Time, z *zone) {
	c := z.cause
	delete(c.down, z)
	delete(c.up, z)
	z.cause = nil
	if !c.empty() {
		m.schedule(c, now.Add(m.quietSpan())) // it may have been the one that a recovery waited for
		return
	}
	c.ended()
	if c.damping.flaps == 0 || len(m.causes) > maxCauses {
		delete(m.causes, c.key)
		return
	}
	m.schedule(c, c.damping.endAt)
}

// empty reports whether no zone has the cause.
func (c *cause) empty() bool { return len(c.down) == 0 && len(c.up) == 0 }

// ended notes that what was told of the cause is over.
func (c *cause) ended() { c.toldAt, c.batches = time.Time{}, [kinds]repeats{} }

// schedule has the cause looked at by at.
func (m *Machine) schedule(c *cause, at time.Time) {
	c.nextAt = earliest(c.nextAt, at)
	m.nextAt = earliest(m.nextAt, at)
}
