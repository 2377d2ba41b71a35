package engine

import (
	"time"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
)

// reschedule puts z where its machine wants it. e.mu is held.
func (e *Engine) reschedule(z *Zone) {
	at := z.machine().NextAt()
	switch {
	case z.gone.Load() || at.IsZero():
		e.schedule.Remove(&z.due)
		return
	case at.Equal(z.due.At()):
		return
	}
	e.schedule.Set(&z.due, at)
	if e.schedule.First() == &z.due {
		signal(e.wake)
	}
}

// maxDue is how many due zones are stepped before the lock is let go, so that a NOTIFY never waits long.
const maxDue = 256

// runSchedule steps zones when they are due, until the engine is closed.
func (e *Engine) runSchedule() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-timer.C:
		case <-e.wake:
		}
		if next, ok := e.stepDue(); ok {
			timer.Reset(max(0, time.Until(next)))
		}
	}
}

// stepDue steps the zones that are due and returns when the next one is; ok is false if none is scheduled.
func (e *Engine) stepDue() (next time.Time, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	for range maxDue {
		next := e.schedule.First()
		if next == nil {
			return time.Time{}, false
		}
		if next.At().After(now) {
			return next.At(), true
		}
		// The machine answers a Due with a later NextAt; step moves the zone there.
		e.schedule.Remove(next)
		e.step(next.Of, refresh.Event{Kind: refresh.Due})
	}
	return now, true
}
