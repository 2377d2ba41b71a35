package notify

import (
	"container/list"
	"time"
)

// peer is the host of targets at one address, told from one of ours: what is known of it for all zones. It belongs to its Machine.
type peer struct {
	id         peerID
	errands    int        // that it has
	again      list.List  // tellings that have a place, or need none
	known      list.List  // those without one, of errands that were acknowledged before
	fresh      list.List  // of those that never were
	slow       list.List  // of those that were not answered
	calls      list.List  // that wait for a connection
	early      int        // places taken by tellings whose first message is under way
	late       int        // places taken by tellings out of slow
	tcp        int        // connections
	overTCP    bool       // UDP does not reach it, so that it is told over TCP at once
	missed     int        // messages in a row after which nothing at all has come
	answeredAt time.Time  // latest answer
	backAt     time.Time  // the first answer after it was silent
	resting    []*telling // left alone because nothing at all has come from the host, in any order
	listed     bool       // in Machine.turns
	unsent     bool       // it has been reported that nothing can be sent there, and nothing has been since
	logged     bool       // it has been reported, and has not answered since
}

// peer returns the peer of an errand that is added.
func (m *Machine) peer(id peerID) *peer {
	p := m.peers[id]
	if p == nil {
		p = &peer{id: id}
		m.peers[id] = p
	}
	p.errands++
	return p
}

// leave takes an errand from a peer, which is forgotten with the last.
func (m *Machine) leave(p *peer) {
	if p.errands--; p.errands == 0 {
		delete(m.peers, p.id)
	}
}

// enqueue lines a telling up for the turn of its peer.
func (m *Machine) enqueue(t *telling) {
	p := t.errand.peer
	t.stage = ready
	t.enter(p.queue(t))
	m.list(p)
}

// enter puts a telling at the end of a queue.
func (t *telling) enter(q *list.List) { t.queue, t.element = q, q.PushBack(t) }

// queue returns where a telling waits for its turn. What a host that lives does not answer is repeated without a place, so that it
// takes none from other zones; from one that is silent, and of zones that it ignored before, few are repeated at a time.
func (p *peer) queue(t *telling) *list.List {
	switch {
	case t.place != nil:
		return &p.again
	case t.errand.ignored, t.sent > 0 && p.silent():
		return &p.slow
	case t.sent > 0:
		return &p.again
	case t.errand.hasTold:
		return &p.known
	default:
		return &p.fresh
	}
}

// list has a peer take its turn, if it may send something.
func (m *Machine) list(p *peer) {
	if !p.listed && p.turn() != nil {
		p.listed = true
		m.turns = append(m.turns, p)
	}
}

// silent reports whether nothing has come from the peer for a while.
func (p *peer) silent() bool { return p.missed >= maxMissed }

// room returns how many first messages may be under way.
func (p *peer) room() int {
	if p.silent() {
		return maxOpenOff
	}
	return maxOpen
}

// turn returns the queue whose first telling may go now, nil for none.
func (p *peer) turn() *list.List {
	switch {
	case p.calls.Len() > 0 && p.tcp < maxTCPTo:
		return &p.calls
	case p.again.Len() > 0:
		return &p.again
	case p.known.Len() > 0 && p.early < p.room():
		return &p.known
	case p.fresh.Len() > 0 && p.early < p.room():
		return &p.fresh
	case p.slow.Len() > 0 && p.late < maxOpenOff:
		return &p.slow
	default:
		return nil
	}
}

// next takes the telling whose turn it is out of its queue, and gives it a place; nil for none.
func (p *peer) next() *telling {
	q := p.turn()
	if q == nil {
		return nil
	}
	t := q.Front().Value.(*telling) //nolint:forcetypeassert // nothing else is pushed
	t.unqueue()
	switch q {
	case &p.known, &p.fresh:
		t.take(&p.early)
	case &p.slow:
		t.take(&p.late)
	}
	return t
}

// unqueue takes a telling out of its queue, if it is in one.
func (t *telling) unqueue() {
	if t.queue != nil {
		t.queue.Remove(t.element)
		t.queue, t.element = nil, nil
	}
}

// take gives a telling a place.
func (t *telling) take(place *int) {
	*place++
	t.place = place
}

// close takes it back, which may make room for another.
func (m *Machine) close(t *telling) {
	if t.place != nil {
		*t.place--
		t.place = nil
		m.list(t.errand.peer)
	}
}

// answered notes that a peer lives: what has been left alone because of its silence may go.
func (m *Machine) answered(now time.Time, p *peer) {
	wasSilent := p.silent()
	p.missed, p.answeredAt, p.logged, p.unsent = 0, now, false, false
	for len(p.resting) > 0 {
		t := p.resting[len(p.resting)-1]
		p.rouse(t)
		m.at(now, t, now)
	}
	if wasSilent {
		p.backAt = now
		m.unslow(now, p)
	}
	m.list(p)
}

// unslow has those go on that wait because the host was silent; those that it ignores stay.
func (m *Machine) unslow(now time.Time, p *peer) {
	for e := p.slow.Front(); e != nil; {
		t := e.Value.(*telling) //nolint:forcetypeassert // nothing else is pushed
		e = e.Next()
		if !t.errand.ignored {
			m.at(now, t, now)
		}
	}
}

// learn notes by which way the answer that a telling waited for has come; answered is told of it afterwards.
func (p *peer) learn(t *telling, overTCP bool) {
	if !overTCP {
		p.overTCP = false
	} else if p.answeredAt.Before(t.beganAt) {
		p.overTCP = true // all that went over UDP meanwhile was lost
	}
}

// leaveAlone adds a telling to those that are left alone because nothing at all has come from the host.
func (p *peer) leaveAlone(t *telling) {
	p.resting = append(p.resting, t)
	t.resting = len(p.resting)
}

// rouse takes it out again, if it is there.
func (p *peer) rouse(t *telling) {
	if t.resting == 0 {
		return
	}
	last := p.resting[len(p.resting)-1]
	p.resting[t.resting-1], last.resting = last, t.resting
	p.resting, t.resting = p.resting[:len(p.resting)-1], 0
}
