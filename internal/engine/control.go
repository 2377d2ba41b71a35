package engine

import (
	"errors"
	"fmt"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
)

// What an operator can order.

// The errors of orders.
var (
	ErrNoZone = errors.New("no such zone")
	ErrEarly  = errors.New("the zone has not been started yet")
)

// Order has the primaries of a zone asked now, whatever their back-off, and from refresh.Again the whole zone transferred.
// It returns the ID of the fact of the order; what comes of it has greater ones. The error is ErrNoZone or ErrEarly.
func (e *Engine) Order(id ZoneID, d refresh.Demand) (uint64, error) {
	return e.order(id, orders[d], func(z *Zone) {
		z.urgent = true
		e.step(z, refresh.Event{Kind: refresh.Demanded, Demand: d})
	})
}

// orders are what Order can ask for, as history and log name them.
var orders = [...]string{refresh.NoDemand: "flush", refresh.Check: "refresh", refresh.Again: "retransfer", refresh.Force: "retransfer with force"}

// Flush ends the back-off of a zone's primaries, which are asked when they are due without it, and forgets their ways. See
// Order for what it returns.
func (e *Engine) Flush(id ZoneID) (uint64, error) {
	return e.order(id, orders[refresh.NoDemand], func(z *Zone) {
		z.change(func(s *Standing) { s.Ways = nil })
		for _, p := range z.group().Primaries {
			clear(e.remote(p).Ways)
		}
		e.step(z, refresh.Event{Kind: refresh.Demanded})
	})
}

// Retell has those who know the version served told of it again. See Order for what it returns.
func (e *Engine) Retell(id ZoneID) (uint64, error) {
	return e.order(id, "notify", func(z *Zone) { e.emit(Fact{Kind: Retold, Zone: z}) })
}

// order carries out what the operator wants of a zone.
func (e *Engine) order(id ZoneID, what string, do func(*Zone)) (uint64, error) {
	z := e.Lookup(id)
	if z == nil {
		return 0, fmt.Errorf("%w: %s", ErrNoZone, id)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if z.gone.Load() {
		return 0, fmt.Errorf("%w: %s", ErrNoZone, id)
	}
	if !z.machine().Started() {
		return 0, fmt.Errorf("%w: %s", ErrEarly, id)
	}
	e.emit(Fact{Kind: Ordered, Zone: z, Order: what})
	taken := e.factID
	for _, p := range z.group().Primaries {
		e.remote(p).Up() // the operator may know that it is back
	}
	do(z)
	return taken, nil
}
