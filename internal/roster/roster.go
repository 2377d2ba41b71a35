// Package roster has all things of one kind, in a list and by a name that several may share.
package roster

import (
	"slices"
	"sync"
)

// Roster has a lock of its own, so that whoever looks one up or goes through all of them does not wait for their owner. Its methods
// are safe for concurrent use, but that one goroutine at a time adds and removes.
type Roster[T comparable] struct {
	name   func(T) string
	mu     sync.RWMutex
	byName map[string][]T // in the order in which they came
	list   []T            // what is before its end does not change; Remove makes a new one
}

// New returns an empty roster of things that have these names.
func New[T comparable](name func(T) string) *Roster[T] {
	return &Roster[T]{name: name, byName: map[string][]T{}}
}

// All returns all of them, in no order. The slice is not to be changed.
func (r *Roster[T]) All() []T {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Clip(r.list)
}

// count returns how many there are.
func (r *Roster[T]) count() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.list)
}

// Named returns those with a name, in the order in which they came. The slice is not to be changed.
func (r *Roster[T]) Named(name string) []T {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byName[name]
}

// Expect makes room for n of them where there are none.
func (r *Roster[T]) Expect(n int) {
	if r.count() > 0 {
		return
	}
	byName := make(map[string][]T, n)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byName, r.list = byName, make([]T, 0, n)
}

// Add puts one at the end.
func (r *Roster[T]) Add(z T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, z)
	name := r.name(z)
	r.byName[name] = append(slices.Clip(r.byName[name]), z)
}

// Remove takes some away. It holds the lock for a time that does not grow with how many there are.
func (r *Roster[T]) Remove(gone []T) {
	if len(gone) == 0 {
		return
	}
	left := make(map[T]bool, len(gone))
	for _, z := range gone {
		left[z] = true
	}
	isGone := func(z T) bool { return left[z] }
	list := slices.DeleteFunc(slices.Clone(r.All()), isGone)
	r.mu.Lock()
	r.list = list
	r.mu.Unlock()
	for _, z := range gone {
		r.removeName(z)
	}
}

func (r *Roster[T]) removeName(z T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := r.name(z)
	rest := slices.DeleteFunc(slices.Clone(r.byName[name]), func(o T) bool { return o == z })
	if r.byName[name] = rest; len(rest) == 0 {
		delete(r.byName, name)
	}
}
