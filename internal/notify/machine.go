package notify

import (
	"container/list"
	"net/netip"
	"slices"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/agenda"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// The pace. RFC 1996 §3.6 leaves it to the sender, and names 60 s and five repetitions.
const (
	maxRate    = 5000                   // messages a second, of the whole process; they take a twentieth of a processor
	maxBurst   = 1000                   // messages that may go at once after a time of quiet
	spacing    = 100 * time.Millisecond // between messages of one errand while the one before is unanswered
	restSpan   = time.Hour              // after which a target that does not answer, or refuses, is told again
	tcpWait    = time.Second            // until a message finds out anew whether there is room for another connection
	unsentSpan = 5 * time.Second        // after which a message that this host could not send is tried again
	maxTCP     = 32                     // connections at a time
	maxTCPTo   = 2                      // of which to one target
)

// repeats are the spans between the messages of an errand: over UDP, and the last one until the one over TCP.
var repeats = [...]time.Duration{
	time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 5 * time.Second,
}

// What a target may have unanswered, in errands. One that has not answered for a while gets little until it does: what is meant
// for it must take no room from others, nor what it ignores from the rest that it is told.
const (
	maxOpen    = 64 // whose first message is under way, for the first of repeats at most
	maxOpenOff = 4  // of a target that is silent; beside those, of errands that are repeated to it or were ignored last time
	maxMissed  = 16 // unanswered messages in a row that make it silent
	maxDoubts  = 3  // messages of an errand whose answers are in doubt until that counts
	maxFlights = 8  // of one errand; the oldest is forgotten for another
)

// Machine decides what to send to whom. Random makes message IDs (RFC 5452 §9.2), Count is told of results. It is not safe for
// concurrent use.
type Machine struct {
	random     func() uint16
	count      func(Result)
	zones      map[string]*zone
	peers      map[peerID]*peer
	flights    map[FlightID]*flight
	due        agenda.Agenda[*telling]
	turns      []*peer // with something to send, the next first; each once
	tcp        int     // connections
	tokens     float64 // messages that may go at once
	tokenAt    time.Time
	reports    []Report
	unreported int // reports that there was no room for
}

// zone is one zone, with an errand for each target. It belongs to its Machine.
type zone struct {
	id      string
	config  Zone
	version Version
	served  bool // there is a version
	errands []errand
}

// errand is what one target knows of one zone. It belongs to its zone.
type errand struct {
	zone    *zone
	target  *Target // of the zone
	peer    *peer
	told    serial.Serial // the latest that was acknowledged, with hasTold
	toldAt  time.Time     // zero before the start
	telling *telling      // nil while there is nothing to tell
	hasTold bool
	logged  bool // it has been reported, and has not acknowledged since
	ignored bool // nothing that counts came last time, though the host answered for others, or answered wrongly
	rcode   int8 // of the latest answer that counts; -1 for none
}

// stage is where a telling is.
type stage uint8

const (
	done    stage = iota // nowhere
	waiting              // for its time, in Machine.due
	ready                // for the turn of its peer, in a queue
	talking              // over TCP
)

// telling is an errand while it goes on. It belongs to its errand.
type telling struct {
	errand   *errand
	stage    stage
	queue    *list.List             // of its peer, while ready; nil for none
	element  *list.Element          // there
	place    *int                   // that it counts in, of its peer; nil for none
	untried  bool                   // it went over TCP before all its messages over UDP had gone
	awaited  bool                   // the latest message may be answered, and has not been missed
	serial   serial.Serial          // that is told
	sent     int                    // messages that told it since it was left alone last
	doubts   int                    // of those messages, how many have been answered in a way that is in doubt
	attempts int                    // messages that told it
	sentAt   time.Time              // of the latest message, whatever it told
	beganAt  time.Time              // of the first message that told it
	failedAt time.Time              // since when messages have been unanswered or refused; zero for not
	failure  reason.Reason          // why the latest answer did not count
	flights  []FlightID             // that an answer may still come to, oldest first
	due      agenda.Entry[*telling] // while waiting
	resting  int                    // one more than the index in peer.resting; 0 for not there
}

// flight is a message that may still be answered. It belongs to its Machine.
type flight struct {
	telling *telling
	serial  serial.Serial
	mac     []byte // nil where it is not signed
	doubted bool   // it has been answered, and the answer is in doubt
}

// NewMachine returns a machine without zones.
func NewMachine(random func() uint16, count func(Result)) *Machine {
	return &Machine{
		random: random, count: count, zones: map[string]*zone{}, peers: map[peerID]*peer{}, flights: map[FlightID]*flight{},
		tokens: maxBurst,
	}
}

// Configure adds a zone, or changes whom to tell of it. Targets that are added are told of the version at hand, the others go on.
func (m *Machine) Configure(now time.Time, id string, config Zone) {
	old := m.zones[id]
	if old != nil && slices.EqualFunc(old.config.Targets, config.Targets, Target.Equal) {
		return
	}
	z := &zone{id: id, config: config, errands: make([]errand, len(config.Targets))}
	if old != nil {
		z.version, z.served = old.version, old.served
	}
	known := old.toldByAddr()
	m.zones[id] = z
	for i := range z.errands {
		e, t := &z.errands[i], &config.Targets[i]
		*e = errand{zone: z, target: t, rcode: -1}
		if old.carry(e) {
			continue
		}
		e.peer = m.peer(peerID{t.Addr, t.Source})
		e.told, e.hasTold = known[t.Addr]
	}
	if old != nil {
		m.drop(old)
	}
	for i := range z.errands {
		if e := &z.errands[i]; z.served && e.telling == nil && !e.knows() {
			m.begin(now, e)
		}
	}
}

// carry moves what goes on from the errand of the old zone, nil for none, with the same target, and reports whether there is one.
func (z *zone) carry(to *errand) bool {
	if z == nil {
		return false
	}
	i := slices.IndexFunc(z.errands, func(e errand) bool { return e.peer != nil && e.target.Equal(*to.target) })
	if i < 0 {
		return false
	}
	from := &z.errands[i]
	zone, target := to.zone, to.target
	*to = *from
	to.zone, to.target = zone, target
	if to.telling != nil {
		to.telling.errand = to
	}
	from.peer, from.telling = nil, nil
	return true
}

// drop ends the errands of a zone that were not carried over.
func (m *Machine) drop(z *zone) {
	for i := range z.errands {
		e := &z.errands[i]
		if e.peer == nil {
			continue
		}
		m.end(e)
		m.leave(e.peer)
	}
}

// Remove forgets a zone.
func (m *Machine) Remove(id string) {
	if z := m.zones[id]; z != nil {
		delete(m.zones, id)
		m.drop(z)
	}
}

// Zones returns the IDs of all zones.
func (m *Machine) Zones() []string {
	all := make([]string, 0, len(m.zones))
	for id := range m.zones {
		all = append(all, id)
	}
	return all
}

// Remember says what the targets of a zone have acknowledged in an earlier process, as Told returned it there. It counts before the
// first version is published.
func (m *Machine) Remember(id string, told []byte) {
	z := m.zones[id]
	if z == nil || z.served {
		return
	}
	known := readTold(told)
	for i := range z.errands {
		e := &z.errands[i]
		e.told, e.hasTold = known[e.target.Addr]
	}
}

// Publish has the targets of a zone told of a version, which takes the place of an older one that they are being told of; with again
// also those that know it. Of a zone that is not configured nobody is told.
func (m *Machine) Publish(now time.Time, id string, v Version, again bool) {
	z := m.zones[id]
	if z == nil {
		return
	}
	z.version, z.served = v, true
	for i := range z.errands {
		e := &z.errands[i]
		switch t := e.telling; {
		case again, t == nil && !e.knows():
			m.begin(now, e)
		case t == nil, t.serial == v.Serial:
		case e.knows() && len(t.flights) == 0:
			m.end(e) // the zone has gone back to what the target knows
		default:
			m.begin(now, e)
		}
	}
}

// knows reports whether the target has acknowledged the version at hand.
func (e *errand) knows() bool { return e.hasTold && e.told == e.zone.version.Serial }

// begin has a target told of the version at hand, from the beginning.
func (m *Machine) begin(now time.Time, e *errand) {
	t := e.telling
	if t == nil {
		t = &telling{errand: e}
		t.due.Of = t
		e.telling = t
	}
	fresh := t.sent == 0
	t.serial, t.sent, t.doubts, t.attempts = e.zone.version.Serial, 0, 0, 0
	t.failure, t.awaited = "", false
	at := now.Add(e.target.Delay)
	if len(t.flights) > 0 {
		at = latest(at, t.sentAt.Add(spacing))
	}
	if fresh && (t.stage == ready || t.stage == waiting && !at.Before(t.due.At())) {
		return // what waits already takes this along
	}
	e.peer.rouse(t)
	m.close(t)
	m.at(now, t, at)
}

// at has a telling go on at a time.
func (m *Machine) at(now time.Time, t *telling, at time.Time) {
	m.unschedule(t)
	if !at.After(now) {
		m.enqueue(t)
		return
	}
	t.stage = waiting
	m.due.Set(&t.due, at)
}

// unschedule takes a telling out of what waits, and out of its queue.
func (m *Machine) unschedule(t *telling) {
	m.due.Remove(&t.due)
	t.unqueue()
	t.stage = done
}

// end ends an errand for now: there is nothing to tell, or nobody to be told.
func (m *Machine) end(e *errand) {
	t := e.telling
	if t == nil {
		return
	}
	m.close(t)
	m.unschedule(t)
	m.ground(t)
	e.peer.rouse(t)
	e.telling = nil
}

// ground forgets the messages of a telling that are under way.
func (m *Machine) ground(t *telling) {
	for _, id := range t.flights {
		delete(m.flights, id)
	}
	t.flights = nil
}

// NextAt returns when Next may have a message; zero for never.
func (m *Machine) NextAt() (at time.Time) {
	if first := m.due.First(); first != nil {
		at = first.At()
	}
	if len(m.turns) > 0 {
		tokenAt := m.tokenAt
		if m.tokens < 1 {
			tokenAt = m.tokenAt.Add(time.Duration((1 - m.tokens) * float64(time.Second) / maxRate)).Add(1)
		}
		if at.IsZero() || tokenAt.Before(at) {
			at = tokenAt
		}
	}
	return at
}

// Next returns the next message to send now, nil for none. Each one over TCP is answered by one TCPEnded.
func (m *Machine) Next(now time.Time) *Message {
	for first := m.due.First(); first != nil && !first.At().After(now); first = m.due.First() {
		m.ripen(now, first.Of)
	}
	m.tokens = min(m.tokens+max(0, now.Sub(m.tokenAt).Seconds())*maxRate, maxBurst)
	m.tokenAt = now
	for len(m.turns) > 0 && m.tokens >= 1 {
		p := m.turns[0]
		m.turns = m.turns[1:]
		p.listed = false
		t := p.next()
		m.list(p)
		if t == nil {
			continue
		}
		if msg := m.send(now, t); msg != nil {
			m.tokens--
			return msg
		}
	}
	return nil
}

// ripen goes on with a telling whose time has come.
func (m *Machine) ripen(now time.Time, t *telling) {
	p := t.errand.peer
	p.rouse(t)
	if t.awaited {
		m.miss(t)
		if t.place == &p.early {
			m.close(t)
		}
	}
	m.at(now, t, now)
}

// send makes the next message of a telling; nil where none is to go.
func (m *Machine) send(now time.Time, t *telling) *Message {
	e, p := t.errand, t.errand.peer
	overTCP := p.overTCP || t.sent == len(repeats)
	switch {
	case overTCP && p.tcp >= maxTCPTo:
		t.stage = ready
		t.enter(&p.calls)
		return nil
	case overTCP && m.tcp >= maxTCP:
		m.at(now, t, now.Add(tcpWait))
		return nil
	}
	id := FlightID{To: e.target.Addr, Source: e.target.Source, TCP: overTCP}
	for taken := true; taken; _, taken = m.flights[id] {
		id.ID = m.random()
	}
	f := &flight{telling: t, serial: t.serial}
	octets := pack(id.ID, e.zone.config.Origin, e.zone.version)
	if k := e.target.Key; k != nil {
		octets, f.mac = xfr.Sign(octets, k, nil, now)
	}
	m.depart(id, f)
	if t.sent == 0 {
		t.beganAt = now
	} else {
		m.count(Repeated)
	}
	t.sentAt, t.awaited = now, true
	t.attempts++
	if overTCP {
		t.untried = t.sent < len(repeats)
		t.sent = len(repeats) + 1
		t.stage = talking
		m.tcp++
		p.tcp++
	} else {
		m.at(now, t, now.Add(repeats[t.sent]))
		t.sent++
	}
	return &Message{FlightID: id, Octets: octets}
}

// Unsent tells that the message over UDP that Next has returned could not be sent. It counts as never made, and is made again.
func (m *Machine) Unsent(now time.Time, id FlightID, cause error) {
	m.count(Unsent)
	f := m.flights[id]
	if f == nil {
		return
	}
	t := f.telling
	e, p := t.errand, t.errand.peer
	if !p.unsent {
		p.unsent = true
		m.report(Report{Zone: e.zone.id, To: e.target.Addr, Result: Unsent, Cause: cause.Error()})
	}
	delete(m.flights, id)
	last := t.flights[len(t.flights)-1] == id
	t.flights = slices.DeleteFunc(t.flights, func(o FlightID) bool { return o == id })
	if !last || !t.awaited {
		return // there is a newer version to be told since
	}
	t.sent--
	t.attempts--
	t.awaited = false
	m.at(now, t, now.Add(unsentSpan))
}

// miss notes that a message has not been answered. Where something has come from the host since, that says nothing of the host.
func (m *Machine) miss(t *telling) {
	t.awaited = false
	p := t.errand.peer
	p.unsent = false
	if p.answeredAt.Before(t.sentAt) {
		p.missed++
	}
	if t.failedAt.IsZero() {
		t.failedAt = t.beganAt
	}
}

// depart notes that a message is under way.
func (m *Machine) depart(id FlightID, f *flight) {
	t := f.telling
	if len(t.flights) == maxFlights {
		delete(m.flights, t.flights[0])
		t.flights = t.flights[1:]
	}
	t.flights = append(t.flights, id)
	m.flights[id] = f
}

// TCPEnded tells that the conversation that a message over TCP was for has ended, whatever came of it.
func (m *Machine) TCPEnded(now time.Time, id FlightID) {
	m.tcp--
	if p := m.peers[peerID{id.To, id.Source}]; p != nil {
		p.tcp = max(0, p.tcp-1)
		m.list(p)
	}
	f := m.flights[id]
	if f == nil {
		return
	}
	t := f.telling
	if t.stage != talking || t.flights[len(t.flights)-1] != id {
		return
	}
	p := t.errand.peer
	if t.untried && p.answeredAt.Before(t.sentAt) {
		p.overTCP = false // the host may have changed its ways
	}
	if t.untried && !p.overTCP {
		m.miss(t)
		m.anew(now, t)
		return
	}
	m.giveUp(now, t)
}

// anew has a telling go through all its messages again.
func (m *Machine) anew(now time.Time, t *telling) {
	t.sent = 0
	m.close(t)
	m.at(now, t, now)
}

// giveUp leaves a target alone that does not answer.
func (m *Machine) giveUp(now time.Time, t *telling) {
	e, p := t.errand, t.errand.peer
	m.miss(t)
	if p.backAt.After(t.sentAt) { // it could not answer before
		m.anew(now, t)
		return
	}
	m.count(Unanswered)
	m.rest(now, t)
	e.ignored = !p.answeredAt.Before(t.beganAt)
	if !e.ignored {
		p.leaveAlone(t) // nothing at all has come from there
		if p.logged {
			return
		}
		p.logged = true
	}
	m.reportUnanswered(t)
}

// reportUnanswered says once that a target does not answer for a zone.
func (m *Machine) reportUnanswered(t *telling) {
	e := t.errand
	if !e.logged {
		e.logged = true
		m.report(Report{Zone: e.zone.id, To: e.target.Addr, Result: Unanswered, Failure: t.failure, All: e.peer.logged})
	}
}

// rest leaves a target alone for a while.
func (m *Machine) rest(now time.Time, t *telling) {
	m.close(t)
	m.ground(t)
	t.sent, t.doubts, t.awaited = 0, 0, false
	m.at(now, t, now.Add(restSpan))
}

// Receive tells of a message that has come. It returns the zone of which a target has acknowledged another version now, whose
// Told is to be kept; empty for none.
func (m *Machine) Receive(now time.Time, from FlightID, octets []byte) (told string) {
	f := m.flights[from]
	if f == nil {
		return ""
	}
	t := f.telling
	e := t.errand
	rcode, w, err := read(octets, from.TCP, e.zone.config.Origin, e.target.Key, f.mac, now)
	switch {
	case w == nothing:
		return ""
	case w == life:
		m.answered(now, e.peer)
		return ""
	case err != nil:
		m.bad(now, f, reason.Of(err))
		return ""
	case stumbles(rcode) && !from.TCP && !m.doubt(now, f):
		return "" // told again; if it stays with that, RFC 1996 §3.10 has it count as any answer
	}
	e.rcode, e.ignored = int8(rcode), false
	e.peer.learn(t, from.TCP)
	m.answered(now, e.peer)
	if !refuses(rcode) {
		return m.acknowledged(now, f)
	}
	if t.failedAt.IsZero() {
		t.failedAt = t.sentAt
	}
	if f.serial != t.serial {
		return "" // the newer version is told all the same, once
	}
	m.count(Refused)
	m.rest(now, t)
	if !e.logged {
		e.logged = true
		m.report(Report{Zone: e.zone.id, To: e.target.Addr, Result: Refused, Rcode: rcode})
	}
	return ""
}

// bad notes an answer whose signature does not hold (RFC 8945 §5.3). Where several are wrong the target is left alone: repeating does
// not help.
func (m *Machine) bad(now time.Time, f *flight, why reason.Reason) {
	t := f.telling
	m.count(BadAnswer)
	t.failure = why
	if !m.doubt(now, f) {
		return
	}
	m.count(Unanswered)
	t.errand.ignored = true
	m.rest(now, t)
	m.reportUnanswered(t)
}

// doubt notes an answer that may be forged, or another one if the message is repeated, and reports whether it counts all the same:
// as many messages as that takes have been answered so.
func (m *Machine) doubt(now time.Time, f *flight) bool {
	t := f.telling
	if f.doubted {
		return false
	}
	f.doubted = true
	t.awaited = false
	m.answered(now, t.errand.peer)
	if t.failedAt.IsZero() {
		t.failedAt = t.beganAt
	}
	if f.serial != t.serial {
		return false
	}
	t.doubts++
	return t.doubts >= maxDoubts
}

// acknowledged notes that a target knows of a version.
func (m *Machine) acknowledged(now time.Time, f *flight) string {
	t := f.telling
	e := t.errand
	m.count(Told)
	e.told, e.hasTold, e.toldAt = f.serial, true, now
	if e.logged {
		e.logged = false
		m.report(Report{Zone: e.zone.id, To: e.target.Addr, Result: Told})
	}
	if f.serial == t.serial {
		m.end(e)
		return e.zone.id
	}
	m.ground(t) // that of an older version: nothing is unanswered any more, so the newer one may go
	t.failedAt = time.Time{}
	if at := now.Add(e.target.Delay); t.stage == waiting && t.sent == 0 && at.Before(t.due.At()) {
		m.at(now, t, at)
	}
	return e.zone.id
}

// Status returns how the targets of a zone stand, nil if there is no such zone.
func (m *Machine) Status(id string) []Status {
	z := m.zones[id]
	if z == nil {
		return nil
	}
	all := make([]Status, len(z.errands))
	for i := range z.errands {
		e := &z.errands[i]
		all[i] = Status{Target: *e.target, Told: e.told, HasTold: e.hasTold, ToldAt: e.toldAt, Rcode: int(e.rcode), Serial: e.told}
		if t := e.telling; t != nil {
			s := &all[i]
			s.Telling, s.Serial, s.Attempts, s.SentAt, s.FailedAt, s.Failure = true, t.serial, t.attempts, t.sentAt, t.failedAt, t.failure
			if t.stage == waiting {
				s.NextAt = t.due.At()
			}
		}
	}
	return all
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// peerID tells peers apart. It is a plain value.
type peerID struct {
	addr   netip.AddrPort
	source netip.Addr
}
