package engine

import (
	"container/heap"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
)

// schedule is a heap of zones by the time they are due. Guarded by Engine.mu.
type schedule []*Zone

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].dueAt.Before(s[j].dueAt) }

func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].place, s[j].place = i, j
}

// Push and Pop are for container/heap.
func (s *schedule) Push(x any) {
	z := x.(*Zone)
	z.place = len(*s)
	*s = append(*s, z)
}

// Pop removes the last zone.
func (s *schedule) Pop() any {
	old := *s
	z := old[len(old)-1]
	old[len(old)-1] = nil
	*s = old[:len(old)-1]
	z.place = unscheduled
	return z
}

// unscheduled is the place of a zone that is not in the schedule.
const unscheduled = -1

// reschedule puts z where its machine wants it. e.mu is held.
func (e *Engine) reschedule(z *Zone) {
	at := z.machine().NextAt()
	switch {
	case z.gone.Load() || at.IsZero():
		if z.place != unscheduled {
			heap.Remove(&e.schedule, z.place)
		}
		return
	case z.place == unscheduled:
		z.dueAt = at
		heap.Push(&e.schedule, z)
	case at.Equal(z.dueAt):
		return
	default:
		z.dueAt = at
		heap.Fix(&e.schedule, z.place)
	}
	if z.place == 0 {
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
		if len(e.schedule) == 0 {
			return time.Time{}, false
		}
		z := e.schedule[0]
		if z.dueAt.After(now) {
			return z.dueAt, true
		}
		// The machine answers a Due with a later NextAt; step moves the zone there.
		heap.Pop(&e.schedule)
		e.step(z, refresh.Event{Kind: refresh.Due})
	}
	return now, true
}
