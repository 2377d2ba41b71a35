package notify

import "time"

// peer is the host of targets at one address, told from one of ours: what is known of it for all zones. It belongs to its Machine.
type peer struct {
	id         peerID
	errands    int // that it has
	fresh      queue
	again      queue      // tellings that are open already
	open       int        // tellings of which messages are unanswered
	tcp        int        // connections
	missed     int        // messages in a row that were not answered
	answeredAt time.Time  // latest answer
	resting    []*telling // left alone because nothing at all has come from the host, in any order
	listed     bool       // in Machine.turns
	logged     bool       // it has been reported, and has not answered since
}

// queue is tellings in the order they came. It belongs to its peer.
type queue struct{ tellings []*telling }

// pop returns the first telling that is still ready, nil for none.
func (q *queue) pop() *telling {
	for len(q.tellings) > 0 {
		t := q.tellings[0]
		q.tellings[0] = nil
		q.tellings = q.tellings[1:]
		t.queued = false
		if t.stage == ready {
			return t
		}
	}
	return nil
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
	if !t.queued {
		t.queued = true
		q := &p.fresh
		if t.open {
			q = &p.again
		}
		q.tellings = append(q.tellings, t)
	}
	m.list(p)
}

// list has a peer take its turn, if it may send something.
func (m *Machine) list(p *peer) {
	if !p.listed && p.maySend() {
		p.listed = true
		m.turns = append(m.turns, p)
	}
}

// maySend reports whether something is queued that may go now.
func (p *peer) maySend() bool {
	return len(p.again.tellings) > 0 || len(p.fresh.tellings) > 0 && p.open < p.room()
}

// room returns how many errands may be open.
func (p *peer) room() int {
	if p.missed >= maxMissed {
		return maxOpenOff
	}
	return maxOpen
}

// next returns the telling whose turn it is, nil for none.
func (p *peer) next() *telling {
	if t := p.again.pop(); t != nil {
		return t
	}
	if p.open < p.room() {
		return p.fresh.pop()
	}
	return nil
}

// open counts a telling among those that are unanswered.
func (m *Machine) open(t *telling) {
	if !t.open {
		t.open = true
		t.errand.peer.open++
	}
}

// close takes it out again, which may make room for another.
func (m *Machine) close(t *telling) {
	if t.open {
		t.open = false
		t.errand.peer.open--
		m.list(t.errand.peer)
	}
}

// answered notes that a peer lives: what has been left alone because of its silence may go.
func (m *Machine) answered(now time.Time, p *peer) {
	p.missed, p.answeredAt, p.logged = 0, now, false
	for len(p.resting) > 0 {
		t := p.resting[len(p.resting)-1]
		p.rouse(t)
		m.at(now, t, now)
	}
	m.list(p)
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
