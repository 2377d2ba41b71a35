package fault

import (
	"cmp"
	"slices"
	"time"
)

// parcel is a message that is out and the zones it is about. It belongs to its Machine.
type parcel struct {
	kind  Kind
	sent  bool
	parts []part
}

// part is what a message says of one cause.
type part struct {
	cause *cause
	zones []*zone
	rest  int // zones of the cause that people know to be down, of a Recovery
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

// sweep looks at every cause of which something may be due, and returns the most urgent message there is to send, if any.
func (m *Machine) sweep(now time.Time) *Message {
	m.refill(now)
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
			if at := m.lastAt[p.kind].Add(m.gather()); !m.lastAt[p.kind].IsZero() && now.Before(at) {
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
	if len(c.down) == 0 && len(c.back) == 0 {
		if !now.Before(c.calmAt) {
			delete(m.causes, c.key)
			return
		}
		c.nextAt = c.calmAt
		return
	}
	for _, p := range picks {
		at, zones := p.pick(m, c, now)
		if at.IsZero() {
			continue
		}
		if !now.Before(at) && len(zones) > 0 {
			due[p.kind] = append(due[p.kind], part{cause: c, zones: zones})
			at = latest(now, m.lastAt[p.kind].Add(m.gather())) // until it is told
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
		if z.toldAt.IsZero() {
			first = earliest(first, z.downAt)
			zones = append(zones, z)
		}
	}
	if len(zones) == 0 {
		return time.Time{}, nil
	}
	at := latest(first.Add(m.after(now, c)), c.pace[Fault].readyAt())
	calm := c.joinedAt.Add(m.calm())
	return latest(at, earliest(calm, at.Add(m.gather()))), zones
}

// pickReminder picks zones that were told of Every ago.
func pickReminder(m *Machine, c *cause, now time.Time) (at time.Time, zones []*zone) {
	for z := range c.down {
		told := z.toldAt
		if told.IsZero() && m.covered(now, z) {
			told = c.toldAt
		}
		if told.IsZero() {
			continue
		}
		next := told.Add(m.cfg.Every)
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
			at, expireAt = earliest(at, w), earliest(expireAt, z.expireAt)
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
	return latest(at, c.pace[Expiring].readyAt()), zones
}

// pickExpired picks zones that are not served any more, after a moment for others to join them.
func pickExpired(m *Machine, c *cause, now time.Time) (at time.Time, zones []*zone) {
	var first time.Time
	for z := range c.down {
		if z.expired && !z.mourned {
			zones = append(zones, z)
			first = earliest(first, earliest(z.expireAt, now))
		}
	}
	if len(zones) == 0 {
		return time.Time{}, nil
	}
	return latest(first.Add(m.gather()), c.pace[Expired].readyAt()), zones
}

// pickRecovery picks zones that have been up long enough. It waits for the zones of the cause that are still down, but not
// forever.
func pickRecovery(m *Machine, c *cause, now time.Time) (time.Time, []*zone) {
	if len(c.back) == 0 {
		return time.Time{}, nil
	}
	hold := m.hold(now, c)
	var first, last time.Time
	var zones []*zone
	for z := range c.back {
		first, last = earliest(first, z.backAt), latest(last, z.backAt)
		if !now.Before(z.backAt.Add(hold)) {
			zones = append(zones, z)
		}
	}
	part := latest(first.Add(partSpan), c.pace[Recovery].readyAt())
	if m.knownDown(now, c) > 0 {
		return part, zones
	}
	return earliest(last.Add(hold), part), zones
}

// knownDown returns how many zones of the cause are down that people know of.
func (m *Machine) knownDown(now time.Time, c *cause) (n int) {
	for z := range c.down {
		if m.told(now, z) {
			n++
		}
	}
	return n
}

// refill allows the messages that time has earned.
func (m *Machine) refill(now time.Time) {
	for m.tokens < maxBurst && !now.Before(m.refillAt) {
		m.tokens++
		m.refillAt = m.refillAt.Add(refillSpan)
	}
}

// send makes the message of a kind, and notes that it is out.
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
			z.out = true
		}
		msg.Sections = append(msg.Sections, p.section())
	}
	if m.tokens == maxBurst {
		m.refillAt = now.Add(refillSpan)
	}
	m.tokens--
	m.lastAt[kind] = now
	m.out = &parcel{kind: kind, parts: parts}
	return msg
}

// sent notes that people have been told what the message says.
func (m *Machine) sent(now time.Time) {
	if m.out == nil || m.out.sent {
		return
	}
	m.out.sent = true
	m.failures, m.gateAt = 0, time.Time{}
	m.version++
	for _, p := range m.out.parts {
		for _, z := range p.zones {
			if z.cause != nil {
				m.mark(now, m.out.kind, z)
			}
		}
		m.markCause(now, m.out.kind, p)
	}
}

// mark notes that people have been told of a zone.
func (m *Machine) mark(now time.Time, kind Kind, z *zone) {
	switch kind {
	case Fault, Reminder:
		z.toldAt = now
	case Expiring, Expired:
		if z.toldAt.IsZero() {
			z.toldAt = now
		}
		z.warned = z.warned || z.backAt.IsZero()
		z.mourned = z.mourned || (kind == Expired && z.backAt.IsZero())
	case Recovery:
		if z.backAt.IsZero() { // down again while the message was out: a new fault
			z.toldAt = time.Time{}
			return
		}
		m.forget(now, z)
	}
}

// markCause notes that people have been told of a cause.
func (m *Machine) markCause(now time.Time, kind Kind, p part) {
	c := p.cause
	c.pace[kind] = pace{now, c.pace[kind].n + 1}
	switch {
	case kind == Fault, kind == Reminder, kind != Recovery && c.toldAt.IsZero():
		c.toldAt = now
	case kind == Recovery && p.rest == 0:
		c.flaps = min(c.damping(now)+1, maxFlaps)
		c.calmAt = now.Add(calmSpan)
		c.toldAt, c.pace = time.Time{}, [kinds]pace{}
		if m.causes[c.key] == nil {
			m.causes[c.key] = c // its last zone has just been forgotten
		}
		m.wakeCause(c, c.calmAt)
	}
}

// finished notes that the message is no longer out. One that nobody took is made anew later, of what is true then.
func (m *Machine) finished(now time.Time) {
	if m.out == nil {
		return
	}
	out := m.out
	m.out = nil
	if !out.sent {
		m.gateAt = now.Add(doubled(failMin, m.failures, failMax))
		m.failures++
		m.tokens = min(m.tokens+1, maxBurst)
		m.lastAt[out.kind] = time.Time{}
	}
	for _, p := range out.parts {
		for _, z := range p.zones {
			z.out = false
			if z.cause != nil && !z.backAt.IsZero() && !m.told(now, z) {
				m.forget(now, z) // it came and went while nobody could be told
			}
		}
		m.wakeCause(p.cause, now)
	}
}
