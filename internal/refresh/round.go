package refresh

import (
	"math"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/serial"
)

// stage is how far the running round is.
type stage uint8

const (
	resting      stage = iota // no round is running
	askingSender              // the sender of the NOTIFY was asked first: Machine.from
	asking                    // primaries are asked, or about to be
	transferring              // a transfer is running: Machine.from
)

// hint is the pending check: what the NOTIFYs that wait for the running round, or for notifySpan, amount to together.
type hint struct {
	set       bool
	hasSerial bool          // serial says what they are about; else they are to be checked whatever it is
	signed    bool          // the key of sender vouches for serial
	weak      bool          // nobody vouches for any of them
	notBefore instant       // with weak, the earliest time of the check
	sender    int           // the primary to ask first; -1 for none
	serial    serial.Serial // the newest they carried
	demand    Demand        // of the operator, who does not want to wait for notifySpan
}

// run goes on with the round as far as it can, and starts the next one when that is due.
func (s *step) run() {
	if s.stage != resting && s.now >= s.roundAt.plus(maxRound) {
		s.giveUp()
	}
	s.proceed()
	if s.stage == resting && s.due() {
		s.begin()
		s.proceed()
	}
}

// due reports whether a round is to start, and forgets a pending check that has become needless.
func (s *step) due() bool {
	if s.pending.set && s.pending.hasSerial && !s.promising(s.pending.serial) {
		s.pending = hint{}
	}
	return s.now >= s.nextAt || s.pending.set && s.now >= s.pendingAt()
}

// pendingAt returns when the pending check may start. RFC 1996 §4.4: the deferred NOTIFY is acted on after the one in work.
// It follows at once when the latest round brought a version and the NOTIFY told of a newer one still.
func (m *Machine) pendingAt() instant {
	if m.pending.weak {
		return m.pendingWeakAt()
	}
	if m.transfers > 0 && m.pending.hasSerial || m.pending.demand > NoDemand {
		return m.roundAt
	}
	return m.roundAt.plus(notifySpan)
}

// pendingWeakAt returns when a check that only unsigned NOTIFYs ask for may start: whoever forges them must not make us ask a
// primary more often than its back-off allows.
func (m *Machine) pendingWeakAt() instant {
	retryAt := instant(math.MaxInt64)
	for i := range m.links {
		retryAt = min(retryAt, m.links[i].retryAt)
	}
	return max(m.roundAt.plus(notifySpan), m.weakAt.plus(weakSpan), m.pending.notBefore, retryAt)
}

// promising reports whether a NOTIFY with serial n is worth a check. The serial is a hint that can save the check of a
// version we have, never a reason to transfer (RFC 1996 §3.8).
func (m *Machine) promising(n serial.Serial) bool {
	if m.state != Current {
		return true
	}
	o := n.Compare(m.soa.Serial)
	return o == serial.Greater || o == serial.Incomparable
}

// notified merges a NOTIFY into the pending check (RFC 1996 §4.4). Its sender is alive, so its back-off ends, and with it
// that of a zone that has waited for its first contents; unless anybody may have sent it.
func (s *step) notified(ev *Event) {
	if ev.HasSerial && !ev.Weak {
		s.announce(ev.Serial)
	}
	if l := s.link(ev.Primary); l != nil && !ev.Weak {
		l.endBackOff()
		if s.state == Empty {
			s.failures = 0
		}
	}
	if h := s.hintOf(ev); h.set {
		s.pending = s.pending.merge(h)
	}
}

// hintOf returns what a NOTIFY amounts to; it is not set if that is nothing.
func (m *Machine) hintOf(ev *Event) hint {
	h := hint{hasSerial: ev.HasSerial, signed: ev.Signed && ev.HasSerial, weak: ev.Weak, notBefore: m.clock.plus(ev.After), sender: -1, serial: ev.Serial}
	if ev.Primary >= 0 && ev.Primary < len(m.links) {
		h.sender = ev.Primary
		// A primary that lagged behind the others, or was dead, tells that it has our version now. Without a check its link
		// would stay Blocked until the next refresh.
		if m.links[ev.Primary].state == Blocked && ev.Serial == m.soa.Serial {
			h.hasSerial, h.signed = false, false
		}
	}
	h.set = !h.hasSerial || m.promising(h.serial)
	return h
}

// merge returns what h and a later o amount to. The newer serial keeps its sender, else the earlier NOTIFY does; but one that
// somebody vouches for goes first.
func (h hint) merge(o hint) hint {
	m := h
	newer := h.hasSerial && o.hasSerial && o.serial.Newer(h.serial)
	switch {
	case !h.set:
		return o
	case o.sender < 0 || o.weak && !h.weak:
	case h.sender < 0 || h.weak && !o.weak || newer:
		m.sender = o.sender
	}
	m.weak = h.weak && o.weak
	m.hasSerial = h.hasSerial && o.hasSerial
	if o.serial.Newer(h.serial) {
		m.serial = o.serial
	}
	m.signed = m.hasSerial && (h.vouches(&m) || o.vouches(&m))
	m.demand = max(h.demand, o.demand)
	return m
}

// vouches reports whether the sender of h has signed what m says.
func (h *hint) vouches(m *hint) bool { return h.signed && h.sender == m.sender && h.serial == m.serial }

// demanded takes the operator's word that it is worth asking every primary again, back-off or not, and to try again what was
// refused: at once, or with NoDemand when they are due. A running round is followed by another.
func (s *step) demanded(d Demand) {
	s.endBackOffs()
	if d > NoDemand {
		s.pending = s.pending.merge(hint{set: true, sender: -1, demand: d})
	}
}

// endBackOffs ends the back-off of all links and of the zone.
func (s *step) endBackOffs() {
	for i := range s.links {
		s.links[i].endBackOff()
		s.links[i].refused = refusal{}
	}
	if s.state == Empty {
		s.failures = 0
	}
}

// open resets what a round knows, but for what the primaries did in the latest one.
func (s *step) open() {
	s.stage, s.roundAt, s.graceAt = asking, s.now, 0
	s.transfers, s.succeeded, s.demand, s.weak = 0, false, NoDemand, false
}

// begin starts a round, which serves the pending check as well. Unless it starts in a special way, proceed asks everybody.
func (s *step) begin() {
	h := s.pending
	s.pending = hint{}
	s.open()
	if s.weak = h.weak && s.now < s.nextAt; s.weak {
		s.weakAt = s.now
	}
	s.demand = h.demand
	for i := range s.links {
		s.links[i].part = idle
	}
	switch {
	case h.demand >= Again: // a whole transfer is wanted whatever the serial is, so asking for that would only hold it up
	case len(s.links) == 1 && s.state == Empty && s.now >= s.links[0].refused.until:
		// The first record of the transfer is the SOA. Asking for it before would only cost a round trip.
		s.transfer(0)
	case h.signed && h.sender >= 0 && s.transfersUnasked(&s.links[h.sender], h.serial):
		s.transfer(h.sender)
	case len(s.links) > 1 && h.set && h.sender >= 0 && (!s.weak || s.now >= s.links[h.sender].retryAt):
		// RFC 1996 §3.11: the sender of the NOTIFY is asked first, because it is sure to have heard of the change.
		s.stage, s.from = askingSender, h.sender
		s.query(h.sender)
		s.graceAt = s.now.plus(graceSpan)
	}
}

// transfersUnasked reports whether the primary of l, which has told of a serial and signed that, is asked for its differences
// without being asked for its SOA before: IXFR is its own check (RFC 1995 §2), and the round trip is saved. The SOA query is for a
// link that is not well, and for a version that could not be had.
func (s *step) transfersUnasked(l *link, n serial.Serial) bool {
	return s.state == Current && s.classify(n) == takeIt && l.state == Normal && !l.refused.known && s.now >= l.retryAt
}

// proceed goes on with the running round until it has to wait or has ended.
func (s *step) proceed() {
	if s.stage == askingSender {
		s.askedSender()
	}
	for s.stage == asking && !s.wait() {
		if best := s.best(); best >= 0 {
			s.transfer(best)
			return
		}
		// After the sender of a NOTIFY the others: it may be behind them. A primary in back-off is asked only when nobody else
		// was of use: RETRY is a promise to the zone that back-off must not break. An unsigned NOTIFY is none.
		if s.ask(false) || !s.succeeded && !s.weak && s.ask(true) {
			continue
		}
		s.end()
	}
}

// askedSender goes on once the sender of the NOTIFY has answered or kept silent for graceSpan.
func (s *step) askedSender() {
	l := &s.links[s.from]
	if l.part == asked && s.now < s.graceAt {
		return
	}
	s.stage, s.graceAt = asking, 0
	if !s.wanted(l) {
		s.ask(false)
	}
}

// wait reports whether the round waits for answers. Nothing useful in yet: for all of them, each of which ends by itself.
// Else for no longer than graceSpan, so that a dead primary does not hold up a living one.
func (s *step) wait() bool {
	waiting := false
	for i := range s.links {
		waiting = waiting || s.links[i].part == asked
	}
	switch {
	case !waiting:
		return false
	case !s.succeeded && s.best() < 0:
		s.graceAt = 0
		return true
	case s.graceAt == 0:
		s.graceAt = s.now.plus(graceSpan)
	}
	return s.now < s.graceAt
}

// ask queries the primaries that were not asked in this round, those in back-off only if all is set. It reports whether
// there was any.
func (s *step) ask(all bool) bool {
	found := false
	for i := range s.links {
		if l := &s.links[i]; l.part == idle && (all || s.now >= l.retryAt) {
			s.query(i)
			found = true
		}
	}
	if found {
		s.graceAt = 0
	}
	return found
}

func (s *step) query(i int) {
	s.links[i].part = asked
	s.do(Action{Kind: QuerySOA, Primary: i})
}

// transfer starts a transfer from primary i. Without contents to serve it is a whole one.
func (s *step) transfer(i int) {
	s.stage, s.graceAt = transferring, 0
	s.from, s.full, s.blind = i, s.state != Current || s.demand >= Again, s.links[i].part == unsure
	a := Action{Kind: Transfer, Primary: i, Full: s.full, Blind: s.blind, Demand: s.demand}
	if s.blind {
		a.Reason = s.links[i].hint
	}
	s.links[i].part = served
	s.do(a)
}

// best returns the primary to transfer from, -1 when there is none: the newest serial, and of equal ones the first. Those
// that have not told their serial come last.
func (s *step) best() int {
	best := -1
	if s.transfers >= maxTransfersPerRound {
		return best
	}
	for i := range s.links {
		l := &s.links[i]
		if s.wanted(l) && (best < 0 || s.prefers(l, &s.links[best])) {
			best = i
		}
	}
	return best
}

// prefers reports whether the version of l goes before that of o, an earlier one in the configuration. Force is for a
// version that we do not have; a demand is not held up by a primary that has failed, nor is a newer serial by one unknown.
func (s *step) prefers(l, o *link) bool {
	ours, demanded := s.soa.Serial, s.demand >= Again
	switch {
	case s.demand == Force && (l.serial == ours) != (o.serial == ours):
		return o.serial == ours
	case demanded && (l.state == Blocked) != (o.state == Blocked):
		return o.state == Blocked
	case !demanded && l.part != o.part:
		return l.part == answered
	case !demanded && l.part == unsure:
		return false
	}
	return l.serial.Newer(o.serial)
}

// wanted reports whether l is to be transferred from in this round: it has told of a newer version, it may have one without
// being able to tell, or the operator demands it.
func (s *step) wanted(l *link) bool {
	switch {
	case l.part == idle:
		return s.demand >= Again
	case l.held(s.now):
		return false
	case l.part == unsure:
		// RFC 1995 §2: IXFR is a check as well. The SOA query saves a transfer, it is no condition of one.
		return true
	case l.part != answered:
		return false
	}
	switch s.classify(l.serial) {
	case takeIt:
		return true
	case haveIt:
		return s.demand >= Again
	case behind, undefined:
		return s.demand == Force
	case zero:
	}
	return false
}

// verdict is what the serial of a primary means for the zone.
type verdict uint8

const (
	takeIt    verdict = iota // a version to transfer
	haveIt                   // the version we serve
	behind                   // older than ours
	undefined                // neither older nor newer
	zero                     // serial 0, which is not accepted
)

// classify returns what serial n at a primary means now.
func (s *step) classify(n serial.Serial) verdict {
	if n.Uint32() == 0 && !s.cfg.SerialZero {
		return zero
	}
	if s.state != Current {
		return takeIt // there is nothing to compare it with: also an older serial, or the same, brings the zone back
	}
	switch n.Compare(s.soa.Serial) {
	case serial.Equal:
		return haveIt
	case serial.Greater:
		return takeIt
	case serial.Lower:
		return behind
	case serial.Incomparable: // RFC 1982 §3.2: undefined, so hold and say so
	}
	return undefined
}

// end closes the round and appoints the next.
func (s *step) end() {
	first := !s.settled
	s.stage, s.graceAt, s.settled = resting, 0, true
	s.demand = NoDemand // or a late answer would open a round for it that has nothing to do, and has failed
	switch {
	case !s.succeeded:
		if s.failures < math.MaxUint16 && !s.weak { // or forged NOTIFYs would put off the first contents
			s.failures++
		}
		if first {
			s.sooner(firstRetry)
			return
		}
		s.sooner(s.retrySpan())
	case s.lagging():
		// A primary has confirmed what we serve, but another has a newer version that could not be had: keep at it.
		s.sooner(s.retrySpan())
	}
}

// giveUp ends a round whose answers never came.
func (s *step) giveUp() {
	for i := range s.links {
		if l := &s.links[i]; l.part == asked || s.stage == transferring && i == s.from {
			l.part = failed
			l.fail(s.now, reason.NoAnswer)
		}
	}
	s.end()
}
