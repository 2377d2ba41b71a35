package fault

import (
	"cmp"
	"slices"
	"time"
)

// delivery is a message that is being sent and the zones it is about. It belongs to its Machine.
type delivery struct {
	kind  Kind
	sent  bool
	parts []part
}

// part is what a message says of one cause.
type part struct {
	cause *cause
	zones []*zone
	rest  int // zones of the cause that are known and still down, of a Recovery
}

// pick looks for what is to be told of one cause: the zones to tell of when at has come, else when to look again. A zero at
// is never. It changes nothing.
type pick func(m *Machine, c *cause, now time.Time) (at time.Time, zones []*zone)

// picks are the kinds of messages, the most urgent first.
var picks = [kinds]struct {
	kind Kind
	pick pick
}{
	{Expired, pickExpired},
	{Expiring, pickExpiring},
	{Fault, pickFault},
	{Recovery, pickRecovery},
	{Reminder, pickReminder},
}

// message looks at every cause of which something may be due, and returns the most urgent message there is to send, if any.
func (m *Machine) message(now time.Time) *Message {
	m.nextAt = time.Time{}
	var due [kinds][]part
	for _, c := range m.causes {
		if !c.nextAt.IsZero() && !now.Before(c.nextAt) {
			m.look(now, c, &due)
		}
		m.nextAt = earliest(m.nextAt, c.nextAt)
	}
	for _, p := range picks {
		if parts := due[p.kind]; len(parts) > 0 {
			if at := m.madeAt[p.kind].Add(m.gatherSpan()); now.Before(at) {
				m.nextAt = earliest(m.nextAt, at)
				continue
			}
			return m.send(now, p.kind, parts)
		}
	}
	return nil
}

// look adds what is due of a cause to due, and sets when it is to be looked at again.
func (m *Machine) look(now time.Time, c *cause, due *[kinds][]part) {
	c.nextAt = time.Time{}
	if c.empty() {
		if now.Before(c.damping.endAt) {
			c.nextAt = c.damping.endAt
		} else {
			delete(m.causes, c.key)
		}
		return
	}
	for _, p := range picks {
		at, zones := p.pick(m, c, now)
		if at.IsZero() {
			continue
		}
		if !now.Before(at) && len(zones) > 0 {
			due[p.kind] = append(due[p.kind], part{cause: c, zones: zones})
			at = latest(now, m.madeAt[p.kind].Add(m.gatherSpan())) // until it is told
		}
		c.nextAt = earliest(c.nextAt, at)
	}
}

// pickFault picks zones nobody knows of. The first that has been down for After brings the others of the cause with it, once
// no more have joined for a moment.
func pickFault(m *Machine, c *cause, now time.Time) (time.Time, []*zone) {
	if c.shared && !c.toldAt.IsZero() {
		return time.Time{}, nil
	}
	var first time.Time
	var zones []*zone
	for z := range c.down {
		if z.stage < announced {
			first = earliest(first, z.downAt)
			zones = append(zones, z)
		}
	}
	if len(zones) == 0 {
		return time.Time{}, nil
	}
	at := latest(first.Add(m.after(now, c)), c.batches[Fault].readyAt(batchMin, batchMax))
	quietAt := c.joinedAt.Add(m.quietSpan())
	return latest(at, earliest(quietAt, at.Add(m.gatherSpan()))), zones
}

// pickReminder picks zones that were told of Every ago.
func pickReminder(m *Machine, c *cause, now time.Time) (at time.Time, zones []*zone) {
	for z := range c.down {
		next := z.toldAt.Add(m.cfg.Every)
		if z.stage < announced {
			if !m.knownByCause(now, z) {
				continue
			}
			next = c.toldAt.Add(m.cfg.Every)
		}
		at = earliest(at, next)
		if !now.Before(next) {
			zones = append(zones, z)
		}
	}
	return at, zones
}

// pickExpiring picks zones with a quarter of their expire left, and those of the cause that follow within half of what then
// remains: the zones of a dead primary were confirmed one after the other, and would expire so.
func pickExpiring(_ *Machine, c *cause, now time.Time) (at time.Time, zones []*zone) {
	var expireAt time.Time
	for z := range c.down {
		if w := z.warnAt(); !w.IsZero() {
			at, expireAt = earliest(at, w), earliest(expireAt, z.status.ExpireAt)
		}
	}
	if at.IsZero() || now.Before(at) {
		return at, nil
	}
	horizon := now.Add(max(0, expireAt.Sub(now)/2))
	for z := range c.down {
		if w := z.warnAt(); !w.IsZero() && !horizon.Before(w) {
			zones = append(zones, z)
		}
	}
	return latest(at, c.batches[Expiring].readyAt(batchMin, batchMax)), zones
}

// pickExpired picks zones that are not served any more, after a moment for others to join them.
func pickExpired(m *Machine, c *cause, now time.Time) (at time.Time, zones []*zone) {
	var first time.Time
	for z := range c.down {
		if z.expiryUntold() {
			zones = append(zones, z)
			first = earliest(first, earliest(z.status.ExpireAt, now))
		}
	}
	if len(zones) == 0 {
		return time.Time{}, nil
	}
	return latest(first.Add(m.gatherSpan()), c.batches[Expired].readyAt(batchMin, batchMax)), zones
}

// pickRecovery picks zones that have been up long enough. It waits for the zones of the cause that are still down, but not
// forever.
func pickRecovery(m *Machine, c *cause, now time.Time) (time.Time, []*zone) {
	if len(c.up) == 0 {
		return time.Time{}, nil
	}
	span := m.upSpan(now, c)
	var first, last time.Time
	var zones []*zone
	for z := range c.up {
		first, last = earliest(first, z.upAt), latest(last, z.upAt)
		if !now.Before(z.upAt.Add(span)) {
			zones = append(zones, z)
		}
	}
	part := latest(first.Add(partSpan), c.batches[Recovery].readyAt(batchMin, batchMax))
	if m.knownDown(now, c) > 0 {
		return part, zones
	}
	return earliest(last.Add(span), part), zones
}

// knownDown returns how many zones of the cause are known and still down.
func (m *Machine) knownDown(now time.Time, c *cause) (n int) {
	for z := range c.down {
		if m.known(now, z) {
			n++
		}
	}
	return n
}

// send makes the message of a kind, and notes that it is being sent.
func (m *Machine) send(now time.Time, kind Kind, parts []part) *Message {
	slices.SortFunc(parts, func(a, b part) int {
		return cmp.Or(cmp.Compare(len(b.zones), len(a.zones)), cmp.Compare(a.cause.key, b.cause.key))
	})
	msg := &Message{Kind: kind, At: now}
	for i := range parts {
		p := &parts[i]
		if kind == Recovery {
			p.rest = m.knownDown(now, p.cause)
		}
		for _, z := range p.zones {
			z.sending = true
		}
		msg.Sections = append(msg.Sections, p.section())
	}
	m.spend(now)
	m.madeAt[kind] = now
	m.sending = &delivery{kind: kind, parts: parts}
	return msg
}

// sent notes that people have been told what the message says.
func (m *Machine) sent(now time.Time) {
	d := m.sending
	if d == nil || d.sent {
		return
	}
	d.sent = true
	m.lost = repeats{}
	m.version++
	for _, p := range d.parts {
		for _, z := range p.zones {
			if z.cause != nil {
				m.told(now, d.kind, z)
			}
		}
		m.causeTold(now, d.kind, p)
	}
}

// told notes that people have been told of a zone.
func (m *Machine) told(now time.Time, kind Kind, z *zone) {
	if kind == Recovery {
		if !z.upAt.IsZero() {
			m.forget(now, z)
			return
		}
		z.stage, z.toldAt = unannounced, time.Time{} // down again while the message was sent: a new fault
		return
	}
	if kind == Fault || kind == Reminder || z.stage < announced {
		z.toldAt = now
	}
	stage := announced
	switch {
	case !z.upAt.IsZero(): // an expiry that did not come, or is over, does not count
	case kind == Expiring:
		stage = warned
	case kind == Expired:
		stage = expiryAnnounced
	}
	z.stage = max(z.stage, stage)
}

// causeTold notes that people have been told of a cause.
func (m *Machine) causeTold(now time.Time, kind Kind, p part) {
	c := p.cause
	c.batches[kind].add(now)
	switch {
	case kind == Fault, kind == Reminder, kind != Recovery && c.toldAt.IsZero():
		c.toldAt = now
	case kind == Recovery && p.rest == 0:
		c.damping.recovered(now)
		c.ended()
		if m.causes[c.key] == nil {
			m.causes[c.key] = c // its last zone has just been forgotten
		}
		m.schedule(c, c.damping.endAt)
	}
}

// finished notes that the message is sent no more. One that nobody took is made anew later, of what is true then.
func (m *Machine) finished(now time.Time) {
	d := m.sending
	if d == nil {
		return
	}
	m.sending = nil
	if !d.sent {
		m.lost.add(now)
		m.left = min(m.left+1, maxBurst)
		m.madeAt[d.kind] = time.Time{}
	}
	for _, p := range d.parts {
		for _, z := range p.zones {
			z.sending = false
			if z.cause != nil && !z.upAt.IsZero() && !m.known(now, z) {
				m.forget(now, z) // it came and went while nobody could be told
			}
		}
		m.schedule(p.cause, now)
	}
}
