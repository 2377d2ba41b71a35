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

// batches are those of one kind that a cause was told in.
type batches struct {
	n      int
	lastAt time.Time
}

// add notes another batch.
func (b *batches) add(now time.Time) { b.n, b.lastAt = b.n+1, now }

// readyAt returns when the next batch may go.
func (b *batches) readyAt() time.Time {
	if b.n == 0 {
		return time.Time{}
	}
	return b.lastAt.Add(doubled(batchMin, b.n-1, batchMax))
}

// budget is how many messages of all kinds may be sent.
type budget struct {
	left     int
	refillAt time.Time // when one more is allowed; of no meaning when maxBurst are left
	failures int       // messages in a row that no sink took
	retryAt  time.Time // none before, for the sake of these
}

// readyAt returns when the next message may go.
func (b *budget) readyAt() time.Time {
	if b.left > 0 {
		return b.retryAt
	}
	return latest(b.retryAt, b.refillAt)
}

// spend takes one message, after those that time has earned were added.
func (b *budget) spend(now time.Time) {
	for b.left < maxBurst && !now.Before(b.refillAt) {
		b.left++
		b.refillAt = b.refillAt.Add(refillSpan)
	}
	if b.left == maxBurst {
		b.refillAt = now.Add(refillSpan)
	}
	b.left--
}

// delivered notes that a sink took the message.
func (b *budget) delivered() { b.failures, b.retryAt = 0, time.Time{} }

// lost gives the message back that no sink took.
func (b *budget) lost(now time.Time) {
	b.retryAt = now.Add(doubled(retryMin, b.failures, retryMax))
	b.failures++
	b.left = min(b.left+1, maxBurst)
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
