package engine

import (
	"cmp"
	"slices"

	"github.com/secondaryplus/secondaryplus/internal/host"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// Restore returns what earlier processes have left of a zone. It is called without Engine.mu, and must be safe for concurrent
// use.
type Restore func(*Zone) Found

// Found is what an earlier process has left of a zone. It is a plain value.
type Found struct {
	Contents *zone.Contents // nil for nothing
	State    refresh.Saved  // with the links to the primaries as they are now
	Ways     host.ByPrimary
	Edition  string // of the rules that admitted the contents

	Acknowledged []byte // as the standing has it
	IsSaved      bool   // the store has the contents under the ID of the zone
}

// Attachment is the zones of one configuration in force. Zones are held by every attachment that has them; the newest one says
// how they are kept. Its methods are safe for concurrent use.
type Attachment struct {
	engine *Engine
	number int // greater than that of any before it

	offer *offer      // to the zones that Start is to start
	added []*newcomer // those zones, until it has; guarded by Engine.configuring
}

// maxStride is how many zones are configured at a time: between strides the engine's lock is let go, so that a NOTIFY never
// waits long.
const maxStride = 32

// Attach puts zones in force: new ones are known and wait for Start, those that are held already go on as they are, by its word.
// Attachments before it keep holding their zones until they are detached.
func (e *Engine) Attach(zones map[ZoneID]ZoneConfig) *Attachment {
	e.configuring.Lock()
	defer e.configuring.Unlock()
	e.attached++
	a := &Attachment{engine: e, number: e.attached, offer: newOffer()}
	a.added = e.take(a, zones, a.offer)
	return a
}

// Start gives the new zones what is left of them, and starts them. Until then a zone that somebody asks for gets it at once,
// see Zone.Recall. It takes as long as a disk does, and is called once.
func (a *Attachment) Start(restore Restore) {
	e := a.engine
	e.configuring.Lock()
	defer e.configuring.Unlock()
	a.offer.make(restore)
	e.start(a.added, a.offer)
	a.added = nil
	e.finishChange(nil)
}

// Abandon has Start, which may be at work, end without those zones that it has not come to. Nothing but Detach may follow.
func (a *Attachment) Abandon() { a.offer.abandoned.Store(true) }

// Change is a difference between two configurations of an attachment. It is a plain value.
type Change struct {
	Zones map[ZoneID]ZoneConfig // added, or kept in another way from now on
	Gone  []ZoneID

	Restore Restore // of new zones; nil for nothing
}

// Update changes what zones an attachment has, and how they are kept. It is not called after Detach.
func (a *Attachment) Update(c Change) {
	e := a.engine
	e.configuring.Lock()
	defer e.configuring.Unlock()
	o := newOffer()
	o.make(c.Restore)
	e.start(e.take(a, c.Zones, o), o)
	dropped := make([]*Zone, 0, len(c.Gone))
	for _, id := range c.Gone {
		if z := e.Lookup(id); z != nil {
			dropped = append(dropped, z)
		}
	}
	e.finishChange(e.drop(a, dropped))
}

// Zone returns a zone of the attachment, nil if it has none by this ID.
func (a *Attachment) Zone(id ZoneID) *Zone {
	z := a.engine.Lookup(id)
	if z == nil {
		return nil
	}
	a.engine.mu.Lock()
	defer a.engine.mu.Unlock()
	if !z.isHeldBy(a) {
		return nil
	}
	return z
}

// Detach ends an attachment: zones that no other one has are let go.
func (a *Attachment) Detach() {
	e := a.engine
	e.configuring.Lock()
	defer e.configuring.Unlock()
	e.finishChange(e.drop(a, e.zones.All()))
}

// inStrides calls f for all zones with the lock held, and lets it go now and then.
func (e *Engine) inStrides(zones []*Zone, f func(*Zone)) {
	for stride := range slices.Chunk(zones, maxStride) {
		e.mu.Lock()
		for _, z := range stride {
			f(z)
		}
		e.mu.Unlock()
	}
}

// take has an attachment hold zones, and returns the new ones, which are known from now on and are to be started with what is
// offered. e.configuring is held.
func (e *Engine) take(a *Attachment, zones map[ZoneID]ZoneConfig, o *offer) []*newcomer {
	var held []*Zone
	added := make([]*newcomer, 0, len(zones))
	for id, c := range zones {
		if z := e.Lookup(id); z != nil {
			held = append(held, z)
			continue
		}
		z := e.newZone(id, c)
		z.holders = []holder{{a, c}}
		added = append(added, &newcomer{zone: z, order: c.Order, offer: o})
	}
	e.inStrides(held, func(z *Zone) {
		z.hold(a, zones[z.id])
		e.configure(z)
	})
	e.zones.Expect(len(added))
	for stride := range slices.Chunk(added, maxStride) {
		e.mu.Lock()
		for _, n := range stride {
			n.zone.newcomer.Store(n)
			e.zones.Add(n.zone)
			e.use(n.zone.group().Primaries, 1)
			e.emit(Fact{Kind: Added, Zone: n.zone})
		}
		e.mu.Unlock()
	}
	return added
}

// isHeldBy reports whether an attachment has the zone. Engine.mu is held.
func (z *Zone) isHeldBy(a *Attachment) bool {
	return slices.ContainsFunc(z.holders, func(h holder) bool { return h.attachment == a })
}

// hold has an attachment hold the zone, or changes what it says of it. Engine.mu is held.
func (z *Zone) hold(a *Attachment, c ZoneConfig) {
	for i := range z.holders {
		if z.holders[i].attachment == a {
			z.holders[i].config = c
			return
		}
	}
	z.holders = append(slices.Clip(z.holders), holder{a, c})
	slices.SortStableFunc(z.holders, func(a, b holder) int { return cmp.Compare(a.attachment.number, b.attachment.number) })
}

// start starts new zones with what is left of them, if anything is; those due first come first. e.configuring is held.
func (e *Engine) start(added []*newcomer, o *offer) {
	restoreAll(added)
	if o.abandoned.Load() || e.ctx.Err() != nil {
		return
	}
	for _, n := range added {
		n.dueAt = n.zone.machine().RefreshAt()
	}
	slices.SortFunc(added, func(a, b *newcomer) int { return cmp.Or(a.dueAt.Compare(b.dueAt), cmp.Compare(a.order, b.order)) })
	for stride := range slices.Chunk(added, maxStride) {
		e.mu.Lock()
		for _, n := range stride {
			if !n.zone.machine().Started() { // nobody has asked for it
				e.step(n.zone, refresh.Event{Kind: refresh.Started})
			}
		}
		e.mu.Unlock()
	}
}

// drop has an attachment hold zones no longer, and returns those that nobody holds any more. e.configuring is held.
func (e *Engine) drop(a *Attachment, zones []*Zone) (gone []*Zone) {
	e.inStrides(zones, func(z *Zone) {
		if !z.isHeldBy(a) {
			return
		}
		z.holders = slices.DeleteFunc(slices.Clone(z.holders), func(h holder) bool { return h.attachment == a })
		if len(z.holders) > 0 {
			e.configure(z)
			return
		}
		e.letGo(z)
		gone = append(gone, z)
	})
	return gone
}

// letGo ends a zone that nobody holds. e.mu is held.
func (e *Engine) letGo(z *Zone) {
	z.gone.Store(true)
	e.emit(Fact{Kind: Removed, Zone: z})
	e.histories.Forget(&z.differences)
	z.dropUnwanted()
	e.reschedule(z)
	e.use(z.group().Primaries, -1)
}

// finishChange ends a change of configuration, by which zones have gone. e.configuring is held.
func (e *Engine) finishChange(gone []*Zone) {
	e.zones.Remove(gone)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dispatch()
}
