package lane

import (
	"strings"
	"testing"
)

// job is urgent if it is written large.
type job string

func (j job) Urgent() bool { return strings.ToUpper(string(j)) == string(j) }

// take returns the next n jobs, which go on running; - where there is none.
func take(t *Turns[job], n, limit int) string {
	var all strings.Builder
	for range n {
		j, _, ok := t.Next(limit)
		if !ok {
			j = "-"
		}
		all.WriteString(string(j))
	}
	return all.String()
}

// Lanes take turns, however many jobs one of them has; urgent jobs go first, in the order of the lanes.
func TestTurns(t *testing.T) {
	var turns Turns[job]
	var long, short Lane[job]
	for _, j := range []job{"a", "b", "c", "D"} {
		turns.Add(&long, j, 9)
	}
	for _, j := range []job{"x", "Y"} {
		turns.Add(&short, j, 9)
	}
	if !turns.Urgent() || long.Waiting() != 4 {
		t.Errorf("Urgent %v, %d wait", turns.Urgent(), long.Waiting())
	}
	if got := take(&turns, 7, 9); got != "DYaxbc-" {
		t.Errorf("In the order %s", got)
	}
	if turns.Ready() || long.Running() != 4 {
		t.Errorf("Ready %v, %d run", turns.Ready(), long.Running())
	}
}

// A lane runs no more than its limit, also where that was lowered after it was listed.
func TestLaneHasALimit(t *testing.T) {
	var turns Turns[job]
	var l Lane[job]
	for _, j := range []job{"a", "b", "c"} {
		turns.Add(&l, j, 2)
	}
	if got := take(&turns, 3, 2); got != "ab-" {
		t.Errorf("In the order %s", got)
	}
	turns.Done(&l, 2)
	if got := take(&turns, 1, 1); got != "-" {
		t.Errorf("Beyond a lower limit: %s", got)
	}
	turns.Done(&l, 1)
	if got := take(&turns, 2, 1); got != "c-" {
		t.Errorf("Below it again: %s", got)
	}
}

// What is drained is not run; the lane goes on.
func TestDrain(t *testing.T) {
	var turns Turns[job]
	var l Lane[job]
	for _, j := range []job{"a", "B"} {
		turns.Add(&l, j, 1)
	}
	if all := l.Drain(); len(all) != 2 || all[0] != "B" || all[1] != "a" || l.Running() != 0 {
		t.Errorf("%v, %d run", all, l.Running())
	}
	if got := take(&turns, 1, 1); got != "-" {
		t.Errorf("After that there is %s", got)
	}
	turns.Add(&l, "c", 1)
	if got := take(&turns, 1, 1); got != "c" {
		t.Errorf("After that there is %s", got)
	}
}
