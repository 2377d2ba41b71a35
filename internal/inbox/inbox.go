// Package inbox is a line in which what many bring waits for the one who takes it, so that nobody who brings something waits.
package inbox

import "sync"

// Inbox is such a line. It is safe for concurrent use.
type Inbox[T any] struct {
	wake chan struct{} // holds one

	mu      sync.Mutex // guards what follows
	waiting []T
	held    int // that wait, or have been taken and are not done
}

// New returns an empty inbox.
func New[T any]() *Inbox[T] { return &Inbox[T]{wake: make(chan struct{}, 1)} }

// Put takes something at the end, unless that many are held.
func (b *Inbox[T]) Put(v T, limit int) (ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held >= limit {
		return false
	}
	b.held++
	b.waiting = append(b.waiting, v)
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return true
}

// Wake returns what tells that there may be something to take.
func (b *Inbox[T]) Wake() <-chan struct{} { return b.wake }

// TakeAll returns all that wait, in order. They are held until Done.
func (b *Inbox[T]) TakeAll() []T {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.waiting
	b.waiting = nil
	return all
}

// Done takes note that n of those taken are held no longer.
func (b *Inbox[T]) Done(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held -= n
}

// Held returns how many wait, or have been taken and are not done.
func (b *Inbox[T]) Held() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held
}
