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
	primary xfr.Primary
	urgent  bool           // goes in front of those that are not: somebody said that the zone has changed
	full    bool           // a transfer brings the whole zone
	blind   bool           // a transfer is the check as well: the SOA query failed
	hint    reason.Reason  // why the SOA query failed, with blind
	demand  refresh.Demand // what serials a transfer accepts

	running *places.Transfer // a transfer that runs; nil before, and for a SOA query

	cancel  context.CancelCauseFunc // ends the job while it runs; guarded by Engine.mu
	dropped bool                    // it has been ended because nobody wanted it; guarded by Engine.mu
}

// begin makes the context that a job runs in, which ends with it. e.mu is held.
func (e *Engine) begin(j *job) context.Context {
	ctx, cancel := context.WithCancelCause(e.ctx)
	j.cancel = cancel
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

// Urgent implements lane.Job.
func (j *job) Urgent() bool { return j.urgent }
