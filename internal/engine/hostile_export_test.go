package engine

import "github.com/secondaryplus/secondaryplus/internal/xfr"

// SetLimits changes the limits of time of transfers. Call it before Attach.
func (e *Engine) SetLimits(l xfr.Limits) { e.limits = l }
