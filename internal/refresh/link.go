package refresh

import (
	"math"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/serial"
)

// LinkState is how a zone stands with one of its primaries.
type LinkState uint8

// The states of a link.
const (
	Unknown LinkState = iota // it has not answered yet, nor failed to
	Normal                   // it answers correctly for the zone
	Blocked                  // it does not, or did not too often of late; the reason says why
)

// String returns the name of the state.
func (s LinkState) String() string {
	switch s {
	case Unknown:
		return "Unknown"
	case Normal:
		return "Normal"
	case Blocked:
		return "Blocked"
	}
	return "invalid"
}

// Link is what is known of one primary of the zone. It is a plain value, a copy of the machine's own.
type Link struct {
	State     LinkState
	Damped    bool          // it answers correctly now, and is Blocked only because it has failed so often of late
	HasSerial bool          // the primary has told its serial
	Serial    serial.Serial // as of its latest answer
	Reason    reason.Reason // why it is Blocked, else empty; of a Damped one its latest failure
	SinceAt   time.Time     // when State began; zero while Unknown
	LastOKAt  time.Time     // when it last answered correctly; zero for never
	FailedAt  time.Time     // when it last did not; zero for never
	RetryAt   time.Time     // until when it is in back-off; zero for not
	Failures  int           // queries and transfers that failed since it last answered correctly
	Tells     bool          // its latest answer said when it gives the zone up itself (RFC 7314 §4)
}

// Damping: a link that has become Blocked dampFalls times within dampSpan is shown as Blocked until it answers correctly and
// has not failed for calmSpan. What a primary is asked, and when, does not depend on it.
const (
	dampFalls = 4
	dampSpan  = time.Hour
	calmSpan  = 10 * time.Minute
)

// part is what a primary has done in the running round, or in the latest one when none is running.
type part uint8

const (
	idle     part = iota // it was not asked
	asked                // its SOA is awaited
	failed               // its SOA query failed
	unsure               // its SOA query failed, and it may give a transfer all the same
	answered             // its SOA is in
	served               // a transfer from it was tried, or none is to be
)

// refusal remembers the latest transfer that failed, for the serial it was about.
type refusal struct {
	reason reason.Reason
	until  instant // no transfer of that serial before; never when the version itself was not at fault
	serial serial.Serial
	known  bool // there is one
}

// link is a Link in the making. It belongs to its Machine.
type link struct {
	reason    reason.Reason
	hint      reason.Reason // why it has not told its SOA, while part is unsure
	sinceAt   instant
	lastOKAt  instant
	failedAt  instant
	retryAt   instant
	aheadAt   instant // since when its serial is newer than that of the contents; never when it is not
	refused   refusal
	serial    serial.Serial
	failures  uint16
	hasSerial bool
	tells     bool      // its latest answer said when it gives the zone up itself
	state     LinkState // without damping
	part      part
	damped    bool
	falls     [dampFalls - 1]uint32 // when it last became Blocked, the latest first, in seconds since epoch; 0 for never
}

// enter puts the link into a state.
func (l *link) enter(now instant, s LinkState) {
	was := l.shown()
	if s == Blocked && l.state != Blocked {
		l.fall(now)
	} else if s == Normal && now >= l.failedAt.plus(calmSpan) {
		l.damped = false
	}
	l.state = s
	if l.shown() != was {
		l.sinceAt = now
	}
}

// fall notes that the link becomes Blocked at now.
func (l *link) fall(now instant) {
	at := uint32(time.Duration(now-epoch)/time.Second) + 1
	if first := l.falls[len(l.falls)-1]; first != 0 && time.Duration(at-first)*time.Second <= dampSpan {
		l.damped = true
	}
	copy(l.falls[1:], l.falls[:])
	l.falls[0] = at
}

// shown returns the state as people see it.
func (l *link) shown() LinkState {
	if l.damped {
		return Blocked
	}
	return l.state
}

// normal notes that the primary answered correctly at now.
func (l *link) normal(now instant) {
	l.enter(now, Normal)
	if l.lastOKAt = now; !l.damped {
		l.reason = ""
	}
	l.endBackOff()
}

// block notes that the primary did not answer correctly at now.
func (l *link) block(now instant, why reason.Reason) {
	l.enter(now, Blocked)
	l.reason, l.failedAt = why, now
}

// fail blocks the link and lengthens its back-off.
func (l *link) fail(now instant, why reason.Reason) {
	l.block(now, why)
	l.retryAt = now.plus(min(backOffMin<<min(l.failures, backOffSteps), backOffMax))
	if l.failures < math.MaxUint16 {
		l.failures++
	}
}

// endBackOff ends the back-off.
func (l *link) endBackOff() { l.failures, l.retryAt = 0, 0 }

// refuses reports whether the serial of the link is the one whose transfer failed last.
func (l *link) refuses() bool { return l.refused.known && l.hasSerial && l.refused.serial == l.serial }

// held reports whether the serial of the link is not to be transferred yet.
// RFC 5936: a client that rejects a version remembers its serial, and may ask another primary for it.
func (l *link) held(now instant) bool { return l.refuses() && now < l.refused.until }

// compare notes how the serials of the primaries stand to that of the contents and to one another.
func (s *step) compare() {
	differ := false
	var first *link
	for i := range s.links {
		l := &s.links[i]
		if !l.hasSerial {
			continue
		}
		if first == nil {
			first = l
		}
		differ = differ || l.serial != first.serial
		switch ahead := s.state == Current && l.serial.Newer(s.soa.Serial); {
		case !ahead:
			l.aheadAt = 0
		case l.aheadAt == 0:
			l.aheadAt = s.now
		}
	}
	if s.announcedAt != 0 && !s.announces() {
		s.announcedAt = 0
	}
	switch {
	case !differ:
		s.differAt = 0
	case s.differAt == 0:
		s.differAt = s.now
	}
}

// BehindAt returns since when a primary or a NOTIFY has told of a version newer than the contents; zero when none has.
func (m *Machine) BehindAt() time.Time {
	var at instant
	for i := range m.links {
		if a := m.links[i].aheadAt; a != 0 && (at == 0 || a < at) {
			at = a
		}
	}
	if a := m.announcedAt; a != 0 && (at == 0 || a < at) {
		at = a
	}
	return m.when(at)
}

// DifferAt returns since when the primaries have had different serials; zero when they have the same.
func (m *Machine) DifferAt() time.Time { return m.when(m.differAt) }

// Links returns a copy of what is known of every primary, in the order of the configuration.
func (m *Machine) Links() []Link {
	out := make([]Link, len(m.links))
	for i := range m.links {
		l := &m.links[i]
		out[i] = Link{
			State: l.shown(), Damped: l.damped && l.state == Normal, HasSerial: l.hasSerial, Serial: l.serial, Reason: l.reason,
			Failures: int(l.failures), Tells: l.tells,
			SinceAt: m.when(l.sinceAt), LastOKAt: m.when(l.lastOKAt), FailedAt: m.when(l.failedAt), RetryAt: m.when(l.retryAt),
		}
	}
	return out
}
