package refresh

import (
	"math"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// Saved is what outlives the process of a zone that has contents, in the times of the wall clock: expiry goes on while
// nobody counts. It is a plain value.
type Saved struct {
	SOA       wire.SOA // of the contents
	CheckedAt time.Time
	ExpireAt  time.Time
	SourceAt  time.Time // when the primaries give the contents up; zero where the SOA alone counts
	NextAt    time.Time // of the next round
	Failures  int       // failed rounds in a row
	Links     []Link    // one for each primary; the zero Link for one that nothing is known of
}

// Saved returns what is to be kept; false when there are no contents. Damping is not: a restart is no failure.
func (m *Machine) Saved() (Saved, bool) {
	if m.state == Empty {
		return Saved{}, false
	}
	links := m.Links()
	for i := range links {
		if l := &links[i]; l.Damped {
			l.State, l.Damped, l.Reason, l.SinceAt = Normal, false, "", l.LastOKAt
		}
	}
	return Saved{
		SOA: m.soa, CheckedAt: m.when(m.checkedAt), ExpireAt: m.when(m.expireAt), SourceAt: m.when(m.sourceAt), NextAt: m.when(m.nextAt),
		Failures: int(m.failures), Links: links,
	}, true
}

// start begins to work for the zone. Restored contents are checked soon, but not before the end of a back-off.
func (s *step) start() {
	if s.started {
		return
	}
	s.started = true
	s.appoint()
}

// appoint appoints the first round. The limits may be others than those the saved time was for.
func (s *step) appoint() {
	switch {
	case s.state == Empty:
		s.nextAt = s.now
	case s.failures > 0:
		s.nextAt = min(s.nextAt, s.now.plus(s.Spans().Retry))
	default:
		soon := s.now.plus(time.Duration(s.draw() % uint64(restartSpan)))
		s.nextAt = min(s.nextAt, soon, s.expireAt.plus(-s.Spans().lead()))
	}
}

// restore takes over what an earlier process kept, unless there are contents already. The wall clock may have been set
// since, and the limits changed: no time is taken for later than it can be.
func (s *step) restore(v *Saved) {
	if s.state != Empty || v == nil {
		return
	}
	s.soa, s.state = v.SOA, Current
	s.failures = clampFailures(v.Failures)
	s.checkedAt = min(s.at(v.CheckedAt), s.now)
	s.sourceAt = s.at(v.SourceAt)
	s.expireAt = min(s.at(v.ExpireAt), s.expiry())
	s.nextAt = s.at(v.NextAt)
	for i := range min(len(s.links), len(v.Links)) {
		s.links[i] = s.restoreLink(&v.Links[i])
	}
	if s.now >= s.expireAt {
		s.state = Expired
	}
	if s.started {
		s.appoint()
	}
}

func (s *step) restoreLink(l *Link) link {
	return link{
		reason: l.Reason, sinceAt: min(s.at(l.SinceAt), s.now), lastOKAt: min(s.at(l.LastOKAt), s.now), failedAt: min(s.at(l.FailedAt), s.now),
		retryAt: min(s.at(l.RetryAt), s.now.plus(backOffMax)), serial: l.Serial, failures: clampFailures(l.Failures),
		hasSerial: l.HasSerial, tells: l.Tells, state: l.State,
	}
}

func clampFailures(n int) uint16 { return uint16(max(0, min(n, math.MaxUint16))) }
