// Package agenda has things in the order of the times at which they are due.
package agenda

import (
	"container/heap"
	"time"
)

// Agenda is some entries, the next first. The zero value is empty. It is guarded by whoever has it, together with its entries.
type Agenda[T any] struct{ due entries[T] }

// Entry is the place of one thing in an agenda. It belongs to the thing, and is in no agenda until Set.
type Entry[T any] struct {
	Of T

	at    time.Time
	index int // in Agenda.due, and one more; 0 for not there
}

// At returns when the entry is due; zero where it is in no agenda.
func (e *Entry[T]) At() time.Time { return e.at }

// Len returns how many entries there are.
func (a *Agenda[T]) Len() int { return len(a.due) }

// First returns the entry that is due next, nil if there is none.
func (a *Agenda[T]) First() *Entry[T] {
	if len(a.due) == 0 {
		return nil
	}
	return a.due[0]
}

// Set has an entry be due at a time, whether it is there already or not.
func (a *Agenda[T]) Set(e *Entry[T], at time.Time) {
	e.at = at
	if e.index == 0 {
		heap.Push(&a.due, e)
	} else {
		heap.Fix(&a.due, e.index-1)
	}
}

// Remove takes an entry out, if it is there.
func (a *Agenda[T]) Remove(e *Entry[T]) {
	if e.index > 0 {
		heap.Remove(&a.due, e.index-1)
	}
}

// entries are a heap.
type entries[T any] []*Entry[T]

func (s entries[T]) Len() int           { return len(s) }
func (s entries[T]) Less(i, j int) bool { return s[i].at.Before(s[j].at) }

func (s entries[T]) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i+1, j+1
}

// Push is for heap.
func (s *entries[T]) Push(x any) {
	e := x.(*Entry[T]) //nolint:forcetypeassert // nothing else is pushed
	*s = append(*s, e)
	e.index = len(*s)
}

// Pop is for heap.
func (s *entries[T]) Pop() any {
	n := len(*s) - 1
	e := (*s)[n]
	(*s)[n] = nil
	*s = (*s)[:n]
	e.index, e.at = 0, time.Time{}
	return e
}
