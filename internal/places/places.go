// Package places bounds the transfers that run: how many there are, and what they hold together of versions that are not
// complete.
//
// A transfer has one of the places while it is quick, or while nobody waits. One that has had its place for long while others
// wait goes on beside the places, the slowest first: its connection and its work are kept, and it costs the others no time. So
// no set of slow or silent primaries keeps the zones of another one waiting. Where too many go on like that, or hold too much,
// the slowest is ended.
package places

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

const (
	placeSpan = 250 * time.Millisecond // far longer than a small zone takes; 80 primaries a second get their turn
	maxBeside = 256
)

// Places are all transfers that run. They are safe for concurrent use, and their lock is held for steps.
type Places struct {
	Span time.Duration // how long a transfer keeps its place while others wait; not changed after the first transfer
	Most int           // how many go on beside the places; not changed after the first transfer

	octets  atomic.Int64 // that all transfers hold
	maxHeld atomic.Int64 // the most octets

	mu     sync.Mutex  // guards what follows
	limit  int         // the most places
	placed []*Transfer // in the order in which they began
	beside []*Transfer
}

// New returns places for nobody, until Limit.
func New() *Places { return &Places{Span: placeSpan, Most: maxBeside} }

// Limit says how many places there are, and how many octets all transfers may hold together.
func (p *Places) Limit(places int, octets int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = places
	p.maxHeld.Store(octets)
}

// Running returns how many transfers run.
func (p *Places) Running() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.placed) + len(p.beside)
}

// Held returns how many octets all transfers hold.
func (p *Places) Held() int64 { return p.octets.Load() }

// Room reports whether there is a place, and makes one where a slow transfer can be put beside. Where there is none it returns
// after how long it may be worth while to ask again.
func (p *Places) Room() (wait time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.placed) < p.limit {
		return 0, true
	}
	now := time.Now()
	slow := slowest(p.placed, now, p.Span)
	if slow == nil {
		return max(time.Millisecond, p.placed[0].Progress.BeganAt.Add(p.Span).Sub(now)), false
	}
	p.remove(slow)
	p.beside = append(p.beside, slow)
	if len(p.beside) > p.Most {
		p.giveWay(slowest(p.beside, now, 0), "others waited for its place")
	}
	return 0, true
}

// Begin gives a transfer a place, for which there has to be room. end is called with the cause if the transfer has to give way;
// it waits for nothing.
func (p *Places) Begin(end func(cause error)) *Transfer {
	t := &Transfer{Progress: xfr.Progress{BeganAt: time.Now()}, places: p, end: end}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.placed = append(p.placed, t)
	return t
}

// Transfer is one that runs. It is safe for concurrent use.
type Transfer struct {
	Progress xfr.Progress

	places  *Places
	end     func(cause error)
	held    atomic.Int64                 // octets; below zero once they are given back for good
	gaveWay atomic.Pointer[reason.Error] // why it was ended for the sake of others; nil if it was not
}

// End gives back the place and all that is held.
func (t *Transfer) End() {
	t.release()
	t.places.mu.Lock()
	defer t.places.mu.Unlock()
	t.places.remove(t)
}

// Hold says how many octets the transfer holds now. Where all hold too much together, the slowest give way. The error is that of
// a transfer that has done so.
func (t *Transfer) Hold(octets int64) error {
	t.set(octets)
	if t.places.exceeded() {
		t.places.makeRoom()
	}
	return t.GaveWay()
}

// GaveWay returns why the transfer was ended for the sake of others; nil if it was not.
func (t *Transfer) GaveWay() error {
	if err := t.gaveWay.Load(); err != nil {
		return err
	}
	return nil
}

// set takes note of what the transfer holds, unless that has been given back for good.
func (t *Transfer) set(octets int64) {
	for was := t.held.Load(); was >= 0; was = t.held.Load() {
		if t.held.CompareAndSwap(was, octets) {
			t.places.octets.Add(octets - was)
			return
		}
	}
}

// release gives back what is held, for good.
func (t *Transfer) release() {
	if was := t.held.Swap(-1); was > 0 {
		t.places.octets.Add(-was)
	}
}

// exceeded reports whether the transfers hold more than they may.
func (p *Places) exceeded() bool { return p.octets.Load() > p.maxHeld.Load() }

// makeRoom has the slowest transfers give way until those that are left hold no more than they may together. The last one goes
// on alone: what it may hold is bounded by the limits of its zone.
func (p *Places) makeRoom() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.exceeded() {
		var holders []*Transfer
		for _, t := range slices.Concat(p.placed, p.beside) {
			if t.held.Load() > 0 {
				holders = append(holders, t)
			}
		}
		if len(holders) < 2 {
			return
		}
		p.giveWay(slowest(holders, time.Now(), 0), "transfer_memory was used up")
	}
}

// slowest returns the transfer that has brought the least in its time, of those that have run for at least so long; nil if
// there is none. Of several that have brought nothing it is the one that has run longest.
func slowest(all []*Transfer, now time.Time, atLeast time.Duration) (slow *Transfer) {
	var least float64
	for _, t := range all {
		ran := now.Sub(t.Progress.BeganAt)
		if ran < atLeast {
			continue
		}
		// An octet more than there are, so that of silent ones the time decides.
		if rate := float64(t.Progress.Bytes.Load()+1) / float64(max(ran, 1)); slow == nil || rate < least {
			slow, least = t, rate
		}
	}
	return slow
}

// giveWay ends a transfer for the sake of others, and gives back what it holds. p.mu is held.
func (p *Places) giveWay(t *Transfer, why string) {
	ran := time.Since(t.Progress.BeganAt)
	p.remove(t)
	err := &reason.Error{Reason: reason.GaveWay, Detail: fmt.Sprintf("the slowest transfer, %d octets in %s, was ended: %s",
		t.Progress.Bytes.Load(), ran.Round(10*time.Millisecond), why)}
	t.gaveWay.Store(err)
	t.release()
	t.end(err)
}

// remove takes a transfer away. p.mu is held.
func (p *Places) remove(t *Transfer) {
	isThis := func(o *Transfer) bool { return o == t }
	p.placed, p.beside = slices.DeleteFunc(p.placed, isThis), slices.DeleteFunc(p.beside, isThis)
}
