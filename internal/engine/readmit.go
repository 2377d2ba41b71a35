package engine

import (
	"math"

	"github.com/secondaryplus/secondaryplus/internal/version"
)

// Zones whose versions were admitted by other rules than those in force, after a reload with other rules or the start of a build
// with other editions of them, wait among Engine.readmissions, each once. One goroutine works them off, since they may be all
// there are.

// readmitLater has what is served of a zone admitted again, by the rules in force. e.mu is held.
func (e *Engine) readmitLater(z *Zone) {
	if !z.readmitting {
		z.readmitting = true
		e.readmissions.Put(z, math.MaxInt)
	}
}

// runReadmissions admits zones again until the engine is closed.
func (e *Engine) runReadmissions() {
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-e.readmissions.Wake():
		}
		for _, z := range e.readmissions.TakeAll() {
			if e.ctx.Err() != nil {
				return
			}
			e.mu.Lock()
			z.readmitting = false
			e.mu.Unlock()
			e.readmit(z)
			e.readmissions.Done(1)
		}
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
