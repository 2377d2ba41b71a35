package engine

import (
	"time"
)

// SetPlaceSpan changes for how long a transfer keeps its place while others wait. Call it before Attach.
func (e *Engine) SetPlaceSpan(d time.Duration) { e.places.Span = d }

// SetMaxBeside changes how many transfers may go on beside the places. Call it before Attach.
func (e *Engine) SetMaxBeside(n int) { e.places.Most = n }

// HeldByTransfers returns how many octets all running transfers hold.
func (e *Engine) HeldByTransfers() int64 { return e.places.Held() }

// Hints returns how many checks unsigned NOTIFYs can still claim at once.
func (e *Engine) Hints() float64 { return e.pace.Hints() }

// Notices returns how many NOTIFYs have not been acted on.
func (e *Engine) Notices() int {
	return e.inbox.Held()
}

// MaxNotices is maxNotices.
const MaxNotices = maxNotices

// Hold holds the lock of the engine until the function it returns is called.
func (e *Engine) Hold() func() {
	e.mu.Lock()
	return e.mu.Unlock
}

// Remotes returns how many primaries the engine knows.
func (e *Engine) Remotes() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.remotes)
}
