package engine

import "github.com/secondaryplus/secondaryplus/internal/version"

// readmissions are zones whose versions were admitted by other rules than those in force: after a reload with other rules, or
// the start of a build with other editions of them. One goroutine works them off, since they may be all there are. Guarded by
// Engine.mu.
type readmissions struct {
	waiting []*Zone
	running bool
}

// readmitLater has what is served of a zone admitted again, by the rules in force. e.mu is held.
func (e *Engine) readmitLater(z *Zone) {
	if z.readmitting {
		return
	}
	z.readmitting = true
	q := &e.readmissions
	if q.waiting = append(q.waiting, z); !q.running {
		q.running = true
		e.running.Go(e.readmitAll)
	}
}

func (e *Engine) readmitAll() {
	q := &e.readmissions
	for {
		e.mu.Lock()
		if len(q.waiting) == 0 || e.ctx.Err() != nil {
			q.waiting, q.running = nil, false
			e.mu.Unlock()
			return
		}
		z := q.waiting[0]
		q.waiting = q.waiting[1:]
		z.readmitting = false
		e.mu.Unlock()
		e.readmit(z)
	}
}

// readmit has what is served of a zone served by the rules in force.
func (e *Engine) readmit(z *Zone) {
	s := z.Standing()
	by := s.Group.Conflicts
	if z.gone.Load() || s.Version == nil || s.Version.Edition == by.Edition() {
		return
	}
	again := version.Readmit(s.Version, &s.Group.Policy)
	e.mu.Lock()
	defer e.mu.Unlock()
	switch now := z.Standing(); {
	case z.gone.Load() || e.ctx.Err() != nil:
	case now.Version != s.Version || now.Group.Conflicts != by:
		e.readmitLater(z) // it has changed meanwhile
	default:
		z.change(func(s *Standing) { s.Version = again })
		e.emit(Fact{Kind: Readmitted, Zone: z})
	}
}
