package refresh

import (
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// soaReceived notes the SOA of a primary. It counts whenever it comes: after the round has gone on it may still bring a
// further transfer, and after the round has ended a newer serial opens another with this answer in.
func (s *step) soaReceived(ev *Event) {
	l := s.link(ev.Primary)
	if l == nil {
		return
	}
	if l.part != served {
		l.part = answered
	}
	s.told(l, ev)
	if s.stage == resting && s.wanted(l) {
		s.open()
		s.graceAt = s.now // the other answers still out have had theirs
	}
}

// told notes the SOA that the primary of l has told and returns what its serial means.
func (s *step) told(l *link, ev *Event) verdict {
	n := ev.SOA.Serial
	l.serial, l.hasSerial = n, true
	v := s.classify(n)
	switch v {
	case takeIt:
		if l.refuses() {
			// It answers, but the answer is the version that could not be had: Normal now would be Blocked again in a moment.
			l.enter(s.now, Blocked)
			l.reason = l.refused.reason
			return v
		}
		l.normal(s.now)
	case haveIt:
		l.refused = refusal{}
		l.normal(s.now)
		s.confirmed(l, ev)
	case behind:
		s.blocked(l, reason.SerialBehind)
	case undefined:
		s.blocked(l, reason.SerialUndefined)
	case zero:
		s.blocked(l, reason.SerialZero)
	}
	return v
}

// givesUp returns when the primary of l, which may be nil, gives up what it has vouched for; 0 for when the SOA says. Where it would
// have said so and has not heard the question, what others have said stands: a lost message must not put off the expiry.
func (s *step) givesUp(l *link, ev *Event) instant {
	at := s.at(ev.ExpireAt)
	switch {
	case l == nil:
	case at == 0 && ev.Unasked && l.tells && s.state == Current && s.now < s.expireAt:
		return s.expireAt
	default:
		l.tells = at != 0
	}
	return at
}

// confirmed notes that the primary of l has the version that is served. RFC 7314 §4: what it says about its expiry may put off that
// of the contents, and never bring it closer: another primary may have vouched for a later one.
func (s *step) confirmed(l *link, ev *Event) {
	till := s.givesUp(l, ev)
	if till != 0 {
		till = max(till, s.expireAt)
	}
	s.succeed(till)
}

// blocked notes a serial that is not acceptable. The primary is alive, so it is not left out of the next rounds.
func (s *step) blocked(l *link, why reason.Reason) {
	l.block(s.now, why)
	l.endBackOff()
}

// soaFailed notes that a primary did not tell its SOA. Once it has answered, or given a transfer, in the same round, the
// failure is that of an older query and says nothing. Where a transfer is possible all the same, that decides about the link;
// a failure that comes when the round has ended goes on with it, so that what the round achieved stands.
func (s *step) soaFailed(ev *Event) {
	l := s.link(ev.Primary)
	switch {
	case l == nil || l.part != asked:
	case !ev.MayTransfer:
		l.part = failed
		l.fail(s.now, ev.Reason)
	default:
		l.part, l.hint = unsure, ev.Reason
		if s.stage == resting && s.wanted(l) {
			s.stage, s.roundAt, s.graceAt = asking, s.now, s.now
		}
	}
}

// transferred notes that new contents are served, whoever they came from.
func (s *step) transferred(ev *Event) {
	l := s.link(ev.Primary)
	till := s.givesUp(l, ev)
	if till != 0 { // RFC 7314 §4: it counts in place of EXPIRE
		till = max(till, s.now+1) // what was published is withdrawn in another step
	}
	s.soa, s.state, s.demand = ev.SOA, Current, NoDemand
	if s.transfers < maxTransfersPerRound {
		s.transfers++
	}
	s.succeed(till)
	if l != nil {
		l.serial, l.hasSerial, l.refused = ev.SOA.Serial, true, refusal{}
		l.normal(s.now)
	}
	s.landed(ev.Primary)
}

// transferCurrent notes that the primary had nothing newer to give.
func (s *step) transferCurrent(ev *Event) {
	l := s.link(ev.Primary)
	switch {
	case l == nil:
	case s.state == Current && s.landing(ev.Primary) && !s.blind && l.hasSerial && s.classify(l.serial) == takeIt:
		// Its SOA has told of a newer version than its IXFR knows. What it confirms stays served, and it is asked again soon.
		if s.classify(ev.SOA.Serial) == haveIt {
			s.confirmed(l, ev)
		}
		s.refuse(l, reason.NotTransferred)
	case s.state == Current:
		if s.told(l, ev) == takeIt {
			s.refuse(l, reason.NotTransferred)
		}
	case s.state == Expired && !s.full && s.landing(ev.Primary):
		// The contents have expired while the primary confirmed them: the same version again, but whole.
		s.told(l, ev)
		l.part = answered
	default:
		l.fail(s.now, reason.NotTransferred)
	}
	s.landed(ev.Primary)
}

// transferFailed notes that no new contents came of a transfer.
func (s *step) transferFailed(ev *Event) {
	l := s.link(ev.Primary)
	switch {
	case l == nil:
	case ev.Rejected:
		// The primary did its part. Its version is at fault and would be again: it waits for another serial or for RETRY.
		l.serial, l.hasSerial = ev.SOA.Serial, true
		s.blocked(l, ev.Reason)
		hold := shortest(s.cfg.Spans(ev.SOA).Retry)
		l.refused = refusal{known: true, serial: ev.SOA.Serial, reason: ev.Reason, until: s.now.plus(hold)}
	case ev.SOA != (wire.SOA{}) && s.unacceptable(ev.SOA.Serial):
		s.told(l, ev)
	default:
		if ev.SOA != (wire.SOA{}) {
			l.serial, l.hasSerial = ev.SOA.Serial, true
		}
		s.refuse(l, ev.Reason)
	}
	s.landed(ev.Primary)
}

// unacceptable reports whether serial n is the reason that a transfer failed.
func (s *step) unacceptable(n serial.Serial) bool {
	switch s.classify(n) {
	case behind, undefined, zero:
		return true
	case takeIt, haveIt:
	}
	return false
}

// refuse blocks a link whose transfer failed on the way.
func (s *step) refuse(l *link, why reason.Reason) {
	l.fail(s.now, why)
	l.refused = refusal{known: l.hasSerial, serial: l.serial, reason: why}
}

// landing reports whether the running transfer is that from primary i.
func (s *step) landing(i int) bool { return s.stage == transferring && s.from == i }

// landed ends the running transfer if it is that from primary i. Answers still out have had their grace.
func (s *step) landed(i int) {
	if s.landing(i) {
		s.stage, s.graceAt = asking, s.now
	}
}
