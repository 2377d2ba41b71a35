// Package lane lines up jobs, so that no primary with many zones keeps the others waiting: there is a lane for each primary, and
// lanes are served in turn.
package lane

import "slices"

// Job is what waits in a lane. Urgent does not change while it waits.
type Job interface {
	Urgent() bool // it goes in front of those that are not
}

// Lane is jobs for one primary, in order. The zero value is empty. It is guarded by whoever has it, and bounded by what that puts
// into it.
type Lane[J Job] struct {
	urgent, normal []J // that wait
	running        int
	listed         bool // in Turns.ready
}

// Waiting returns how many jobs wait.
func (l *Lane[J]) Waiting() int { return len(l.urgent) + len(l.normal) }

// Running returns how many jobs have been taken and are not done.
func (l *Lane[J]) Running() int { return l.running }

// Drain takes all jobs that wait, in order. They do not count as running.
func (l *Lane[J]) Drain() []J {
	all := slices.Concat(l.urgent, l.normal)
	l.urgent, l.normal = nil, nil
	return all
}

// push puts a job at the end.
func (l *Lane[J]) push(j J) {
	if j.Urgent() {
		l.urgent = append(l.urgent, j)
	} else {
		l.normal = append(l.normal, j)
	}
}

// pop takes the next job; ok is false if there is none.
func (l *Lane[J]) pop() (j J, ok bool) {
	line := &l.urgent
	if len(*line) == 0 {
		line = &l.normal
	}
	if len(*line) == 0 {
		return j, false
	}
	var none J
	j, (*line)[0] = (*line)[0], none
	*line = (*line)[1:]
	return j, true
}

// hasUrgent reports whether an urgent job waits.
func (l *Lane[J]) hasUrgent() bool { return len(l.urgent) > 0 }

// Turns serve lanes in turn. The zero value has none. They are guarded together with their lanes.
type Turns[J Job] struct {
	ready []*Lane[J] // those with a job waiting and room to run it, each once
}

// Ready reports whether there may be a job to run.
func (t *Turns[J]) Ready() bool { return len(t.ready) > 0 }

// Urgent reports whether there is an urgent job to run.
func (t *Turns[J]) Urgent() bool { return slices.ContainsFunc(t.ready, (*Lane[J]).hasUrgent) }

// Add puts a job into a lane that runs at most limit at a time.
func (t *Turns[J]) Add(l *Lane[J], j J, limit int) {
	l.push(j)
	t.list(l, limit)
}

// Next takes the next job, an urgent one if there is any, and its lane, which runs it until Done; ok is false if there is none.
func (t *Turns[J]) Next(limit int) (j J, l *Lane[J], ok bool) {
	for len(t.ready) > 0 {
		i := max(0, slices.IndexFunc(t.ready, (*Lane[J]).hasUrgent))
		l := t.ready[i]
		t.ready = slices.Delete(t.ready, i, i+1)
		l.listed = false
		if l.running >= limit {
			continue // listed before the limit was lowered; the job that ends lists it again
		}
		if j, ok := l.pop(); ok {
			l.running++
			t.list(l, limit)
			return j, l, true
		}
	}
	return j, nil, false
}

// Done ends a job of a lane.
func (t *Turns[J]) Done(l *Lane[J], limit int) {
	l.running--
	t.list(l, limit)
}

// list puts a lane among those to be served, if it has a job waiting and runs less than limit.
func (t *Turns[J]) list(l *Lane[J], limit int) {
	if !l.listed && l.Waiting() > 0 && l.running < limit {
		l.listed = true
		t.ready = append(t.ready, l)
	}
}
