package engine

import "time"

// Observe has a zone looked at as after a step of its machine, at the time now.
func (z *Zone) Observe(now time.Time) {
	z.engine.mu.Lock()
	defer z.engine.mu.Unlock()
	z.engine.observe(z, now)
}
