package fault

import "time"

// What spreads messages over time. What has to wait is told with the next one.
const (
	maxBurst   = 4               // messages that may follow each other at once
	refillSpan = 5 * time.Minute // then one is allowed each; 288 a day

	// A cause whose zones are told in several batches waits batchMin before the second, twice that before the third, and so
	// on up to batchMax.
	batchMin = 5 * time.Minute
	batchMax = 30 * time.Minute

	// partSpan is how long a recovery waits for the zones that are still down. Their next attempts come with the SOA retry
	// and the back-off of the primary, which is at most 640 s.
	partSpan = 15 * time.Minute

	// A message that no sink took is made anew after retryMin, then twice that, and so on.
	retryMin = time.Minute
	retryMax = time.Hour
)

// Damping: each time a cause comes back within dampSpan of its recovery, it has to last twice as long before it is told,
// and its recovery too. It is over once the cause has stayed away for dampSpan: what flaps for days is not told each hour.
const (
	dampSpan = time.Hour
	dampMax  = 15 * time.Minute
	upMax    = time.Minute // without damping a recovery lasts at least After or this, whichever is less, before it is told
	maxFlaps = 8
)

// damping is that of one cause. It belongs to its cause.
type damping struct {
	flaps int       // recoveries told, each within dampSpan of the one before
	endAt time.Time // when they are forgotten
}

// failed notes that the cause is there again.
func (d *damping) failed(now time.Time) {
	if now.Before(d.endAt) {
		d.endAt = now.Add(dampSpan)
	}
}

// recovered notes that people have been told that the cause is gone.
func (d *damping) recovered(now time.Time) {
	if !now.Before(d.endAt) {
		d.flaps = 0
	}
	d.flaps, d.endAt = min(d.flaps+1, maxFlaps), now.Add(dampSpan)
}

// span returns a span as damping lengthens it, at most limit.
func (d *damping) span(now time.Time, span, limit time.Duration) time.Duration {
	if !now.Before(d.endAt) {
		return min(span, limit)
	}
	return doubled(span, d.flaps, limit)
}

// after returns how long a zone has to be down for the cause before it is announced.
func (m *Machine) after(now time.Time, c *cause) time.Duration {
	return c.damping.span(now, m.cfg.After, max(m.cfg.After, dampMax))
}

// upSpan returns how long a zone has to be up before its recovery is told.
func (m *Machine) upSpan(now time.Time, c *cause) time.Duration {
	return c.damping.span(now, min(m.cfg.After, upMax), dampMax)
}

// gatherSpan returns how long a message may wait for more zones: a quarter of After, but neither unnoticeable nor long.
func (m *Machine) gatherSpan() time.Duration {
	return min(max(m.cfg.After/4, time.Second), 15*time.Second)
}

// quietSpan returns for how long no zone must have joined a cause that is about to be told.
func (m *Machine) quietSpan() time.Duration { return m.gatherSpan() / 5 }

// repeats is how often something has happened, which waits longer each time until it may again.
type repeats struct {
	n  int
	at time.Time // of the latest
}

// add notes that it has happened.
func (r *repeats) add(now time.Time) { r.n, r.at = r.n+1, now }

// readyAt returns when it may happen again: after least, then after twice that, and so on up to most.
func (r *repeats) readyAt(least, most time.Duration) time.Time {
	if r.n == 0 {
		return time.Time{}
	}
	return r.at.Add(doubled(least, r.n-1, most))
}

// readyAt returns when the next message may go.
func (m *Machine) readyAt() time.Time {
	at := m.lost.readyAt(retryMin, retryMax)
	if m.left == 0 {
		at = latest(at, m.refillAt)
	}
	return at
}

// spend takes a message from those that are left, after what time has earned was added.
func (m *Machine) spend(now time.Time) {
	for m.left < maxBurst && !now.Before(m.refillAt) {
		m.left++
		m.refillAt = m.refillAt.Add(refillSpan)
	}
	if m.left == maxBurst {
		m.refillAt = now.Add(refillSpan)
	}
	m.left--
}

// doubled returns d doubled n times, at most limit.
func doubled(d time.Duration, n int, limit time.Duration) time.Duration {
	for ; n > 0 && d < limit; n-- {
		d *= 2
	}
	return min(d, limit)
}

// earliest returns the earlier time; zero is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// latest returns the later time.
func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
