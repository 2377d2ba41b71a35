package engine

import (
	"cmp"
	"slices"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// Config is one whole configuration. It is a plain value.
type Config struct {
	Settings    Settings
	Zones       map[ZoneID]ZoneConfig
	Secondaries func(*Zone) int // how many secondaries of our own are notified; must not block or take locks; nil for none

	// Published is called after a new version of one of the zones is served, and with again when the operator wants those told, too,
	// that know it. It must not block; nil for nothing.
	Published func(z *Zone, again bool)
}

// Attachment is one configuration in force. Zones are held by every attachment that has them; the newest one says how they
// are kept. Its methods are safe for concurrent use.
type Attachment struct {
	engine *Engine
	keeper *keeper // nil without a store
	config Config  // without zones; does not change

	zones map[ZoneID]*Zone // guarded by Engine.configuring
	live  bool             // guarded by Engine.configuring
}

// maxStride is how many zones are configured at a time: between strides the engine's lock is let go, so that a NOTIFY never
// waits long.
const maxStride = 32

// Attach puts a configuration in force: new zones start, zones that are held already go on as they are, by its word.
// Attachments before it keep holding their zones until they are detached. The error is that of a store that another process
// uses; nothing has changed then.
func (e *Engine) Attach(c Config) (*Attachment, error) {
	e.configuring.Lock()
	defer e.configuring.Unlock()
	k, err := e.useStore(c.Settings.Store)
	if err != nil {
		return nil, err
	}
	zones := c.Zones
	c.Zones = nil
	a := &Attachment{engine: e, keeper: k, config: c, zones: make(map[ZoneID]*Zone, len(zones)), live: true}
	e.mu.Lock()
	e.attachments = append(e.attachments, a)
	e.mu.Unlock()
	e.govern(a)
	e.take(a, zones)
	e.finishChange(nil)
	return a, nil
}

// Change is a difference between two configurations of an attachment. It is a plain value.
type Change struct {
	Zones map[ZoneID]ZoneConfig // added, or kept in another way from now on
	Gone  []ZoneID
}

// Update changes what zones an attachment has, and how they are kept.
func (a *Attachment) Update(c Change) {
	e := a.engine
	e.configuring.Lock()
	defer e.configuring.Unlock()
	if !a.live {
		return
	}
	e.take(a, c.Zones)
	e.finishChange(e.drop(a, c.Gone))
}

// Zone returns a zone of the attachment, nil if it has none by this ID.
func (a *Attachment) Zone(id ZoneID) *Zone {
	a.engine.configuring.Lock()
	defer a.engine.configuring.Unlock()
	return a.zones[id]
}

// Detach ends an attachment: zones that no other one has are let go. A second call does nothing.
func (a *Attachment) Detach() {
	e := a.engine
	e.configuring.Lock()
	defer e.configuring.Unlock()
	e.finishChange(e.detach(a))
}

// Reinstate undoes every attachment made after this one, whose configuration is in force again.
func (a *Attachment) Reinstate() {
	e := a.engine
	e.configuring.Lock()
	defer e.configuring.Unlock()
	if !a.live {
		return
	}
	var gone []*Zone
	for _, later := range slices.Backward(slices.Clone(e.attachments)) {
		if later == a {
			break
		}
		gone = append(gone, e.detach(later)...)
	}
	e.finishChange(gone)
	e.govern(a)
}

// govern puts the process-wide settings of the newest attachment in force. e.configuring is held.
func (e *Engine) govern(a *Attachment) {
	e.switchStore(a.keeper)
	e.mu.Lock()
	fresh := e.tellFaults(a.config.Settings.Faults)
	e.setLimits(a.config.Settings)
	e.mu.Unlock()
	if fresh {
		e.inStrides(e.zones.all(), func(z *Zone) { e.observe(z, time.Now()) })
	}
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

// take has an attachment hold zones. What is saved of new ones is read before anything waits for it. e.configuring is held.
func (e *Engine) take(a *Attachment, zones map[ZoneID]ZoneConfig) {
	var added []newcomer
	held := make([]*Zone, 0, len(zones))
	for id, c := range zones {
		z := e.zones.find(id)
		if z == nil {
			z = e.newZone(id, c)
			z.holders = []holder{{a, c}}
			added = append(added, newcomer{zone: z, order: c.Order})
		} else {
			held = append(held, z)
		}
		a.zones[id] = z
	}
	e.inStrides(held, func(z *Zone) {
		z.hold(a, zones[z.id])
		e.configure(z)
	})
	e.start(added)
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
	slices.SortStableFunc(z.holders, func(a, b holder) int { return cmp.Compare(a.attachment.rank(), b.attachment.rank()) })
}

// rank returns how many attachments are older. Engine.mu is held.
func (a *Attachment) rank() int { return slices.Index(a.engine.attachments, a) }

// start starts new zones with what is saved of them, if anything is; those due first come first. e.configuring is held.
func (e *Engine) start(added []newcomer) {
	k := e.currentKeeper()
	if k != nil {
		k.working.Lock() // what is read of the store is still there when the zones are known
		defer k.working.Unlock()
	}
	e.restore(k, added)
	for i := range added {
		added[i].dueAt = added[i].zone.machine().RefreshAt()
	}
	slices.SortFunc(added, func(a, b newcomer) int { return cmp.Or(a.dueAt.Compare(b.dueAt), cmp.Compare(a.order, b.order)) })
	for stride := range slices.Chunk(added, maxStride) {
		e.mu.Lock()
		for i := range stride {
			z := stride[i].zone
			e.zones.add(z)
			e.use(z.group().Primaries, 1)
			stride[i].install()
			e.step(z, refresh.Event{Kind: refresh.Started})
		}
		e.mu.Unlock()
	}
}

// drop has an attachment hold zones no longer, and returns those that nobody holds any more. e.configuring is held.
func (e *Engine) drop(a *Attachment, ids []ZoneID) (gone []*Zone) {
	dropped := make([]*Zone, 0, len(ids))
	for _, id := range ids {
		if z := a.zones[id]; z != nil {
			dropped = append(dropped, z)
			delete(a.zones, id)
		}
	}
	e.inStrides(dropped, func(z *Zone) {
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
	if len(e.attachments) > 0 { // else it is the process that ends, not the zone
		if e.faults != nil {
			e.faults.Gone(z.id.key())
		}
		e.keeper.forget(z)
		e.histories.Forget(&z.differences)
	}
	z.dropUnwanted()
	e.reschedule(z)
	e.use(z.group().Primaries, -1)
}

func (e *Engine) detach(a *Attachment) (gone []*Zone) {
	if !a.live {
		return nil
	}
	a.live = false
	e.mu.Lock()
	e.attachments = slices.DeleteFunc(slices.Clone(e.attachments), func(o *Attachment) bool { return o == a })
	last := len(e.attachments) == 0
	e.mu.Unlock()
	if last {
		e.closeFaults() // while what people have been told can still be saved
	}
	a.keeper.release() // before the zones go: without a user it takes their going for the end of the process
	ids := make([]ZoneID, 0, len(a.zones))
	for id := range a.zones {
		ids = append(ids, id)
	}
	return e.drop(a, ids)
}

// finishChange ends a change of configuration, by which zones have gone. e.configuring is held.
func (e *Engine) finishChange(gone []*Zone) {
	e.zones.remove(gone)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.forgetFaults()
	e.dispatch()
}

// use counts a zone more or less for each of these primaries. e.mu is held.
func (e *Engine) use(primaries []xfr.Primary, zones int) {
	for _, p := range primaries {
		e.remote(p).zones += zones
		e.forgetUnused(p)
	}
}

// forgetUnused forgets a remote that no zone has any more and that nothing is done with. e.mu is held.
func (e *Engine) forgetUnused(p xfr.Primary) {
	if r := e.remote(p); r.zones <= 0 && r.transfers.running+r.soa.running == 0 {
		r.closeIdle()
		delete(e.remotes, remoteID{p.Addr, p.Source})
	}
}

// Every calls f now and then until done or the engine is closed. The calls never overlap.
func (e *Engine) Every(interval time.Duration, done <-chan struct{}, f func()) {
	e.running.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-e.ctx.Done():
				return
			case <-done:
				return
			case <-ticker.C:
				f()
			}
		}
	})
}
