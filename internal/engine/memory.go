package engine

import (
	"sync/atomic"
	"time"
)

// budget is what all transfers together hold of versions that are not complete. It is safe for concurrent use.
type budget struct {
	held  atomic.Int64 // octets
	limit atomic.Int64 // Settings.TransferMemory
}

// share is what one transfer holds of a budget. It is safe for concurrent use.
type share struct {
	of   *budget
	held atomic.Int64 // octets; below zero once they are given back for good
}

// set says how many octets the transfer holds now; ok is false once they have been given back for good.
func (s *share) set(octets int64) (ok bool) {
	for {
		was := s.held.Load()
		if was < 0 {
			return false
		}
		if s.held.CompareAndSwap(was, octets) {
			s.of.held.Add(octets - was)
			return true
		}
	}
}

// release gives back what is held, for good.
func (s *share) release() {
	if was := s.held.Swap(-1); was > 0 {
		s.of.held.Add(-was)
	}
}

// exceeded reports whether the transfers hold more than they may.
func (b *budget) exceeded() bool { return b.held.Load() > b.limit.Load() }

// makeRoom has the slowest transfers give way until those that are left hold no more than they may together. The last one
// goes on alone: what it may hold is bounded by the limits of its zone.
func (e *Engine) makeRoom() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.memory.exceeded() {
		var holders []*job
		for _, running := range [][]*job{e.places.held, e.places.beside} {
			for _, j := range running {
				if j.memory.held.Load() > 0 {
					holders = append(holders, j)
				}
			}
		}
		if len(holders) < 2 {
			return
		}
		e.giveWay(slowest(holders, time.Now(), 0), "transfer_memory was used up")
	}
}
