package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/reason"
)

// A transfer holds one of the places that TransfersIn gives while it is quick, or while nobody waits. One that has held its
// place for placeSpan while others wait goes on beside the places, the slowest first: its connection and its work are kept,
// and it costs the others no time. So no set of slow or silent primaries keeps the zones of another one waiting. Where more
// than maxBeside go on like that, the slowest of them is ended.
const (
	placeSpan = 250 * time.Millisecond // far longer than a small zone takes; 80 primaries a second get their turn
	maxBeside = 256
)

// places holds the running transfers. Guarded by Engine.mu.
type places struct {
	held   []*job // at most TransfersIn, in the order in which they began
	beside []*job
	waking bool          // a timer is set for when the next transfer may be put beside
	span   time.Duration // placeSpan, but in tests
	most   int           // maxBeside, but in tests
}

// leave ends a transfer.
func (p *places) leave(j *job) {
	isThis := func(o *job) bool { return o == j }
	p.held, p.beside = slices.DeleteFunc(p.held, isThis), slices.DeleteFunc(p.beside, isThis)
}

// running returns how many transfers run.
func (p *places) running() int { return len(p.held) + len(p.beside) }

// makePlace reports whether another transfer may begin, and makes room for it where a slow one can be put beside. e.mu is
// held.
func (e *Engine) makePlace() bool {
	p := &e.places
	if len(p.held) < e.settings.TransfersIn {
		return true
	}
	now := time.Now()
	slow := slowest(p.held, now, p.span)
	if slow == nil {
		e.dispatchAfter(p.held[0].progress.BeganAt.Add(p.span).Sub(now))
		return false
	}
	p.leave(slow)
	p.beside = append(p.beside, slow)
	if len(p.beside) > p.most {
		e.giveWay(slowest(p.beside, now, 0), "others waited for its place")
	}
	return true
}

// dispatchAfter has dispatch look again after d. e.mu is held.
func (e *Engine) dispatchAfter(d time.Duration) {
	if e.places.waking {
		return
	}
	e.places.waking = true
	time.AfterFunc(max(time.Millisecond, d), func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.places.waking = false
		e.dispatch()
	})
}

// slowest returns the transfer that has brought the least in its time, of those that have run for at least so long; nil if
// there is none. Of several that have brought nothing it is the one that has run longest.
func slowest(jobs []*job, now time.Time, atLeast time.Duration) (slow *job) {
	var least float64
	for _, j := range jobs {
		ran := now.Sub(j.progress.BeganAt)
		if ran < atLeast {
			continue
		}
		// An octet more than there are, so that of silent ones the time decides.
		if rate := float64(j.progress.Bytes.Load()+1) / float64(max(ran, 1)); slow == nil || rate < least {
			slow, least = j, rate
		}
	}
	return slow
}

// giveWay ends a transfer for the sake of others, and gives back what it holds. e.mu is held.
func (e *Engine) giveWay(j *job, why string) {
	ran := time.Since(j.progress.BeganAt)
	octets := j.progress.Bytes.Load()
	e.places.leave(j)
	err := &reason.Error{
		Reason: reason.GaveWay, Detail: fmt.Sprintf("the slowest transfer, %d octets in %s, was ended: %s", octets, ran.Round(10*time.Millisecond), why),
	}
	j.gaveWay.Store(err)
	j.memory.release()
	j.cancel(err)
}

// Load is how busy the engine is. It is a plain value.
type Load struct {
	Running, Waiting, Limit int // transfers
}

// Load returns how busy the engine is.
func (e *Engine) Load() Load {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := Load{Running: e.places.running(), Limit: e.settings.TransfersIn}
	for _, r := range e.remotes {
		l.Waiting += r.transfers.waiting.len()
	}
	return l
}
