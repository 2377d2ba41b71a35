package fault

import (
	"slices"
	"strings"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/reason"
)

// Config is what a Machine has to know. It is a plain value.
type Config struct {
	After time.Duration // how long a zone has to be down before it is told
	Every time.Duration // how long until it is told again
	Mute  bool          // there is nobody to tell: nothing is told, and nothing forgotten
}

// DefaultConfig is in force until a configuration says otherwise.
var DefaultConfig = Config{After: time.Minute, Every: 24 * time.Hour, Mute: true}

// Bounds of what a machine remembers. A zone takes about 250 octets, a cause about 500.
const (
	maxZones  = 1 << 20 // zones that are down, or whose recovery is to be told; more are not told of
	maxCauses = 4096    // causes without zones, remembered because they flap
	maxLinks  = 16      // primaries of a cause
)

// The pace of messages. What has to wait is told with the next one.
const (
	maxBurst   = 4               // messages that may follow each other at once
	refillSpan = 5 * time.Minute // then one is allowed each; 288 a day

	// A cause whose zones are told in several batches waits paceMin before the second, twice that before the third, and so
	// on up to paceMax.
	paceMin = 5 * time.Minute
	paceMax = 30 * time.Minute

	// partSpan is how long a recovery waits for the zones that are still down. Their next attempts come with the SOA retry
	// and the back-off of the primary, which is at most 640 s.
	partSpan = 15 * time.Minute

	// A message that no sink took is made anew after failMin, then twice that, and so on.
	failMin = time.Minute
	failMax = time.Hour
)

// Damping: each time a cause comes back within calmSpan of its recovery, it has to last twice as long before it is told,
// and its recovery too. It is over once the cause has stayed away for calmSpan: what flaps for days is not told each hour.
const (
	calmSpan = time.Hour
	dampMax  = 15 * time.Minute
	holdMax  = time.Minute // an undamped recovery lasts at least After or this, whichever is less, before it is told
	maxFlaps = 8
)

// Machine decides what to tell of the faults of many zones. It belongs to whoever calls Step and is not safe for concurrent
// use.
type Machine struct {
	cfg    Config
	zones  map[string]*zone
	causes map[string]*cause
	seenAt time.Time // latest time it was told
	nextAt time.Time // nothing is due before; zero for never

	out      *parcel // the message that is out, nil for none
	failures int     // messages in a row that no sink took
	gateAt   time.Time
	tokens   int              // messages allowed at once
	refillAt time.Time        // when another is allowed; zero when tokens is maxBurst
	lastAt   [kinds]time.Time // when a message of the kind was made
	version  uint64           // of what State returns
	ignored  uint64           // zones left out because there were maxZones
}

// zone is one zone that is down or was told of. It belongs to its Machine.
type zone struct {
	name     string
	cause    *cause    // nil once it is forgotten
	downAt   time.Time // since when it is down
	toldAt   time.Time // when a message was last about it; zero for never
	backAt   time.Time // since when it is up; zero while it is down
	expireAt time.Time
	expire   time.Duration
	serial   uint32
	has      bool // contents, expired or not
	expired  bool
	warned   bool // of its coming expiry
	mourned  bool // its expiry was told
	counted  bool // up again, and covered by the announcement of its cause before
	out      bool // in the message that is out
}

// cause is why zones are down: their primaries, and what is wrong with each. It belongs to its Machine.
type cause struct {
	key      string
	links    []Link
	shared   bool // it lies with the primaries: a zone that joins later tells nothing new
	down     map[*zone]struct{}
	back     map[*zone]struct{} // told, up again, recovery not told
	toldAt   time.Time          // when zones of it were last told of, as they are told of again; zero for not
	joinedAt time.Time          // when a zone joined last
	nextAt   time.Time          // nothing of it is due before; zero for never
	pace     [kinds]pace
	flaps    int
	calmAt   time.Time // when flaps is forgotten
}

// pace spreads the batches of one kind that a cause is told in.
type pace struct {
	at time.Time // of the latest; zero for none
	n  int       // how many there were
}

// readyAt returns when the next batch may go.
func (p pace) readyAt() time.Time {
	if p.n == 0 {
		return time.Time{}
	}
	return p.at.Add(doubled(paceMin, p.n-1, paceMax))
}

// doubled returns d doubled n times, at most limit.
func doubled(d time.Duration, n int, limit time.Duration) time.Duration {
	for ; n > 0 && d < limit; n-- {
		d *= 2
	}
	return min(d, limit)
}

// New returns a machine that remembers what had been told when State returned s; the zero State is of one that told nothing.
// Zones of s that are not configured any more have to be reported Gone; see Zones.
func New(cfg Config, s State) *Machine {
	m := &Machine{cfg: cfg, zones: map[string]*zone{}, causes: map[string]*cause{}, tokens: maxBurst}
	m.restore(s)
	return m
}

// Configure changes the configuration.
func (m *Machine) Configure(cfg Config) {
	m.cfg = cfg
	for _, c := range m.causes {
		m.wakeCause(c, time.Unix(0, 1)) // at once, whatever the time is
	}
}

// Zones returns the names of all zones the machine remembers.
func (m *Machine) Zones() []string {
	names := make([]string, 0, len(m.zones))
	for name := range m.zones {
		names = append(names, name)
	}
	return names
}

// Version changes whenever State may have.
func (m *Machine) Version() uint64 { return m.version }

// Ignored returns how many times a zone was not taken up because there were too many.
func (m *Machine) Ignored() uint64 { return m.ignored }

// NextAt returns when a Due event is wanted; zero when none is.
func (m *Machine) NextAt() time.Time {
	if m.out != nil || m.cfg.Mute || m.nextAt.IsZero() {
		return time.Time{}
	}
	return latest(m.nextAt, m.openAt())
}

// openAt returns when the next message may go.
func (m *Machine) openAt() time.Time {
	if m.tokens > 0 {
		return m.gateAt
	}
	return latest(m.gateAt, m.refillAt)
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
			return m.sweep(now)
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
			m.ignored++
			return
		}
		z = &zone{name: ev.Zone, downAt: now}
		m.zones[z.name] = z
	}
	s := &ev.Status
	switch {
	case !s.SinceAt.IsZero() && s.SinceAt.Before(now) && z.cause == nil:
		z.downAt = s.SinceAt
	case !z.backAt.IsZero():
		z.downAt = now
	}
	z.serial, z.has, z.expired, z.expireAt, z.expire = s.Serial, s.HasContents, s.Expired, s.ExpireAt, s.Expire
	m.join(now, z, s.Links)
	m.wakeCause(z.cause, m.soonest(now, z))
}

// soonest returns a time before which nothing is due of a zone that is down.
func (m *Machine) soonest(now time.Time, z *zone) time.Time {
	at := z.downAt.Add(m.after(now, z.cause))
	if !z.toldAt.IsZero() {
		at = z.toldAt.Add(m.cfg.Every)
	}
	if w := z.warnAt(); !w.IsZero() && w.Before(at) {
		at = w
	}
	if z.expired && !z.mourned {
		at = earliest(at, earliest(z.expireAt, now).Add(m.gather()))
	}
	return at
}

// warnAt returns when a quarter of the zone's expire is left; zero when it is not to be warned of.
func (z *zone) warnAt() time.Time {
	if !z.has || z.expired || z.warned || z.expireAt.IsZero() {
		return time.Time{}
	}
	return z.expireAt.Add(-z.expire / 4)
}

// join makes z one of the zones that are down for this cause. Having been told of goes with it: a fault that changes its
// reason is still the fault that was told. Having been covered does not: people know of the primary, not of the zone.
func (m *Machine) join(now time.Time, z *zone, links []Link) {
	c := m.cause(links)
	if old := z.cause; old != nil && old != c {
		m.leave(now, z)
	}
	if len(c.down) == 0 && now.Before(c.calmAt) {
		c.calmAt = now.Add(calmSpan)
	}
	delete(c.back, z)
	z.backAt, z.cause, z.counted = time.Time{}, c, false
	if _, there := c.down[z]; !there {
		c.down[z], c.joinedAt = struct{}{}, now
	}
	if !z.toldAt.IsZero() && c.toldAt.IsZero() {
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
		c = &cause{key: key, links: slices.Clone(links), shared: shared, down: map[*zone]struct{}{}, back: map[*zone]struct{}{}}
		m.causes[key] = c
	}
	return c
}

// covered reports whether the zone needs no announcement of its own: its cause was told, and lies with the primaries.
func (m *Machine) covered(now time.Time, z *zone) bool {
	c := z.cause
	return c.shared && !c.toldAt.IsZero() && !now.Before(z.downAt.Add(m.after(now, c)))
}

// told reports whether people know that the zone is down.
func (m *Machine) told(now time.Time, z *zone) bool {
	return !z.toldAt.IsZero() || z.counted || m.covered(now, z)
}

// up notes that a zone can follow a primary. Nobody is told of the end of what nobody was told of.
func (m *Machine) up(now time.Time, name string) {
	z := m.zones[name]
	if z == nil || !z.backAt.IsZero() {
		return
	}
	if !m.told(now, z) && !z.out {
		m.forget(now, z)
		return
	}
	c := z.cause
	z.counted = m.covered(now, z)
	delete(c.down, z)
	c.back[z] = struct{}{}
	z.backAt = now
	z.expired, z.warned, z.mourned = false, false, false
	m.wakeCause(c, now.Add(m.hold(now, c)))
}

// forget drops a zone.
func (m *Machine) forget(now time.Time, z *zone) {
	if m.told(now, z) {
		m.version++
	}
	delete(m.zones, z.name)
	m.leave(now, z)
}

// leave takes a zone out of its cause, and drops the cause if that was its last.
func (m *Machine) leave(now time.Time, z *zone) {
	c := z.cause
	delete(c.down, z)
	delete(c.back, z)
	z.cause = nil
	if len(c.down) > 0 || len(c.back) > 0 {
		m.wakeCause(c, now.Add(m.calm())) // it may have been the one that a recovery waited for
		return
	}
	c.toldAt, c.pace = time.Time{}, [kinds]pace{}
	if c.flaps == 0 || len(m.causes) > maxCauses {
		delete(m.causes, c.key)
		return
	}
	m.wakeCause(c, c.calmAt)
}

// wakeCause has the cause looked at by at.
func (m *Machine) wakeCause(c *cause, at time.Time) {
	c.nextAt = earliest(c.nextAt, at)
	m.nextAt = earliest(m.nextAt, at)
}

// after returns how long a zone has to be down for the cause before it is told.
func (m *Machine) after(now time.Time, c *cause) time.Duration {
	return doubled(m.cfg.After, c.damping(now), max(m.cfg.After, dampMax))
}

// hold returns how long a zone has to be up before its recovery is told.
func (m *Machine) hold(now time.Time, c *cause) time.Duration {
	return doubled(min(m.cfg.After, holdMax), c.damping(now), dampMax)
}

// gather returns how long a message may wait for more zones: a quarter of After, but neither unnoticeable nor long.
func (m *Machine) gather() time.Duration { return min(max(m.cfg.After/4, time.Second), 15*time.Second) }

// calm returns for how long no zone must have joined a cause that is about to be told.
func (m *Machine) calm() time.Duration { return m.gather() / 5 }

// damping returns how often spans are doubled.
func (c *cause) damping(now time.Time) int {
	if !now.Before(c.calmAt) {
		return 0
	}
	return c.flaps
}

// earliest returns the earlier time; zero is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// latest returns the later time.
func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
