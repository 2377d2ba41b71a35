package engine

import (
	"context"
	"slices"

	"github.com/secondaryplus/secondaryplus/internal/places"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// job is one thing to ask one primary for one zone. What is not said to be guarded does not change once it runs.
type job struct {
	zone    *Zone
	group   *Group // as it was when the job began
	primary xfr.Primary
	urgent  bool           // goes in front of those that are not: somebody said that the zone has changed
	full    bool           // a transfer brings the whole zone
	blind   bool           // a transfer is the check as well: the SOA query failed
	hint    reason.Reason  // why the SOA query failed, with blind
	noOPT   bool           // a SOA query goes without OPT record
	demand  refresh.Demand // what serials a transfer accepts

	running *places.Transfer // a transfer that runs; nil before, and for a SOA query

	cancel  context.CancelCauseFunc // ends the job while it runs; guarded by Engine.mu
	dropped bool                    // it has been ended because nobody wanted it; guarded by Engine.mu
}

// begin makes the context that a job runs in, which ends with it. e.mu is held.
func (e *Engine) begin(j *job) context.Context {
	ctx, cancel := context.WithCancelCause(e.ctx)
	j.cancel, j.group = cancel, j.zone.group()
	j.zone.jobs = append(j.zone.jobs, j)
	return ctx
}

// end ends a job that has run. e.mu is held.
func (j *job) end() {
	j.cancel(nil)
	if j.running != nil {
		j.zone.change(func(s *Standing) {
			if s.Transfer != nil && s.Transfer.Progress == &j.running.Progress {
				s.Transfer = nil
			}
		})
		j.running.End()
	}
	j.zone.jobs = slices.DeleteFunc(j.zone.jobs, func(o *job) bool { return o == j })
}

// dropUnwanted ends the zone's running jobs whose outcome nobody wants any more. Engine.mu is held.
func (z *Zone) dropUnwanted() {
	for _, j := range z.jobs {
		if _, wanted := j.index(); !wanted {
			j.dropped = true
			j.cancel(nil)
		}
	}
}

// index returns the place of the job's primary in the zone's configuration as it is now, and whether anybody still wants
// the job's outcome. Engine.mu is held.
func (j *job) index() (int, bool) {
	if j.zone.gone.Load() || j.dropped {
		return 0, false
	}
	for i, p := range j.zone.group().Primaries {
		if p.Equal(j.primary) {
			return i, true
		}
	}
	return 0, false
}

// shared returns the primary as the group of the job has it, for what outlives the job.
func (j *job) shared() *xfr.Primary {
	for i := range j.group.Primaries {
		if p := &j.group.Primaries[i]; p.Equal(j.primary) {
			return p
		}
	}
	return nil
}

// queue holds jobs in order, urgent ones first. A machine has at most one transfer and one SOA query for each primary
// outstanding, so queues are bounded by the zones configured. Guarded by Engine.mu.
type queue struct{ urgent, normal []*job }

func (q *queue) len() int { return len(q.urgent) + len(q.normal) }

func (q *queue) push(j *job) {
	if j.urgent {
		q.urgent = append(q.urgent, j)
	} else {
		q.normal = append(q.normal, j)
	}
}

// pop removes the next job; nil if there is none.
func (q *queue) pop() *job {
	line := &q.urgent
	if len(*line) == 0 {
		line = &q.normal
	}
	if len(*line) == 0 {
		return nil
	}
	j := (*line)[0]
	(*line)[0] = nil
	*line = (*line)[1:]
	return j
}

// lane is the jobs of one kind for one remote. Guarded by Engine.mu.
type lane struct {
	waiting queue
	running int
	listed  bool // in turns.ready
}

// turns serves lanes in turn, so that no primary with many zones keeps the others waiting. Guarded by Engine.mu.
type turns struct {
	ready []*lane // those with a job waiting and room to run it, each once
}

// list puts l among those to be served, if it has a job waiting and runs less than limit.
func (t *turns) list(l *lane, limit int) {
	if !l.listed && l.waiting.len() > 0 && l.running < limit {
		l.listed = true
		t.ready = append(t.ready, l)
	}
}

// next takes the next job, an urgent one if there is any, and its lane, which runs it until done; nil if there is none.
func (t *turns) next(limit int) (*job, *lane) {
	for len(t.ready) > 0 {
		i := max(0, slices.IndexFunc(t.ready, (*lane).urgent))
		l := t.ready[i]
		t.ready = slices.Delete(t.ready, i, i+1)
		l.listed = false
		if l.running >= limit {
			continue // listed before the limit was lowered; the job that ends lists it again
		}
		if j := l.waiting.pop(); j != nil {
			l.running++
			t.list(l, limit)
			return j, l
		}
	}
	return nil, nil
}

// urgent reports whether an urgent job waits in the lane.
func (l *lane) urgent() bool { return len(l.waiting.urgent) > 0 }

// done ends a job of l.
func (t *turns) done(l *lane, limit int) {
	l.running--
	t.list(l, limit)
}
