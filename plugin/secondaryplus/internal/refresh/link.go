package refresh

import (
	"math"
	"time"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/serial"
)

// LinkState is how a zone stands with one of its primaries.
type LinkState uint8

// The states of a link.
const (
	Unknown LinkState = iota // it has not answered yet, nor failed to
	Normal                   // it answers correctly for the zone
	Blocked                  // it does not; the reason says why
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

// The reasons this package itself blocks a link for; the others come with SOAFailed and TransferFailed.
const (
	ReasonSerialZero      = "serial_zero"      // the primary has serial 0, which is not accepted
	ReasonSerialBehind    = "serial_behind"    // the primary has an older version than we serve
	ReasonSerialUndefined = "serial_undefined" // its serial is exactly 2^31 from ours: neither is newer
	ReasonNotTransferred  = "not_transferred"  // it told that we are current, which its serial denies
	ReasonNoAnswer        = "no_answer"        // nothing was heard of a query or transfer within maxRound
)

// Link is what is known of one primary of the zone. It is a plain value, a copy of the machine's own.
type Link struct {
	State     LinkState
	HasSerial bool          // the primary has told its serial
	Serial    serial.Serial // as of its latest answer
	Reason    string        // why it is Blocked, else empty
	SinceAt   time.Time     // when State began; zero while Unknown
	LastOKAt  time.Time     // when it last answered correctly; zero for never
	FailedAt  time.Time     // when it last did not; zero for never
	RetryAt   time.Time     // until when it is in back-off; zero for not
	Failures  int           // queries and transfers that failed since it last answered correctly
}

// part is what a primary has done in the running round, or in the latest one when none is running.
type part uint8

const (
	idle     part = iota // it was not asked
	asked                // its SOA is awaited
	failed               // its SOA query failed
	answered             // its SOA is in
	served               // a transfer from it was tried, or none is to be
)

// refusal remembers the latest transfer that failed, for the serial it was about.
type refusal struct {
	reason string
	until  instant // no transfer of that serial before; never when the version itself was not at fault
	serial serial.Serial
	known  bool // there is one
}

// link is a Link in the making. It belongs to its Machine.
type link struct {
	reason    string
	sinceAt   instant
	lastOKAt  instant
	failedAt  instant
	retryAt   instant
	aheadAt   instant // since when its serial is newer than that of the contents; never when it is not
	refused   refusal
	serial    serial.Serial
	failures  uint16
	hasSerial bool
	state     LinkState
	part      part
}

// normal notes that the primary answered correctly at now.
func (l *link) normal(now instant) {
	if l.state != Normal {
		l.state, l.sinceAt = Normal, now
	}
	l.reason, l.lastOKAt = "", now
	l.forgive()
}

// block notes that the primary did not answer correctly at now.
func (l *link) block(now instant, reason string) {
	if l.state != Blocked {
		l.state, l.sinceAt = Blocked, now
	}
	l.reason, l.failedAt = reason, now
}

// fail blocks the link and lengthens its back-off.
func (l *link) fail(now instant, reason string) {
	l.block(now, reason)
	l.retryAt = now.plus(min(backOffMin<<min(l.failures, backOffSteps), backOffMax))
	if l.failures < math.MaxUint16 {
		l.failures++
	}
}

// forgive ends the back-off.
func (l *link) forgive() { l.failures, l.retryAt = 0, 0 }

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
	switch {
	case !differ:
		s.differAt = 0
	case s.differAt == 0:
		s.differAt = s.now
	}
}

// BehindAt returns since when a primary has told of a version newer than the contents; zero when none has.
func (m *Machine) BehindAt() time.Time {
	var at instant
	for i := range m.links {
		if a := m.links[i].aheadAt; a != 0 && (at == 0 || a < at) {
			at = a
		}
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
			State: l.state, HasSerial: l.hasSerial, Serial: l.serial, Reason: l.reason, Failures: int(l.failures),
			SinceAt: m.when(l.sinceAt), LastOKAt: m.when(l.lastOKAt), FailedAt: m.when(l.failedAt), RetryAt: m.when(l.retryAt),
		}
	}
	return out
}
