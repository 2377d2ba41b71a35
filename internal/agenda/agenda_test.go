package agenda

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Whatever is set, moved and removed, the first entry is one of those that are due next, and each is there once.
func TestAgendaIsInOrder(t *testing.T) {
	var a Agenda[int]
	all := make([]Entry[int], 50)
	due := map[int]time.Time{}
	random, begin := rand.New(rand.NewPCG(1, 2)), time.Now()
	for range 20_000 {
		i := random.IntN(len(all))
		all[i].Of = i
		if random.IntN(3) == 0 {
			a.Remove(&all[i])
			delete(due, i)
		} else {
			due[i] = begin.Add(time.Duration(random.IntN(100)))
			a.Set(&all[i], due[i])
		}
		if a.Len() != len(due) || !all[i].At().Equal(due[i]) {
			t.Fatalf("%d entries, want %d; %d is due at %s, want %s", a.Len(), len(due), i, all[i].At(), due[i])
		}
		first := a.First()
		if first == nil != (len(due) == 0) {
			t.Fatalf("First is %v of %d", first, len(due))
		}
		for _, at := range due {
			if at.Before(first.At()) {
				t.Fatalf("The first is due at %s, another at %s", first.At(), at)
			}
		}
	}
	var order []time.Time
	for e := a.First(); e != nil; e = a.First() {
		order = append(order, e.At())
		a.Remove(e)
	}
	if len(order) != len(due) || !slices.IsSortedFunc(order, time.Time.Compare) {
		t.Errorf("In the order %v", order)
	}
}
