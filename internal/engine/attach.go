package engine

import (
	"slices"
	"time"
)

// Config is one whole configuration. It is a plain value.
type Config struct {
	Settings    Settings
	Zones       map[ZoneID]ZoneConfig
	Secondaries func(ZoneID) int // how many secondaries of our own are notified; must not block or take locks; nil for none
	Published   func(ZoneID)     // called after a new version of one of the zones is served; must not block; nil for nothing
}

// Attachment is one configuration in force. Zones are held by every attachment that has them; the newest one says how they
// are kept. Its methods are safe for concurrent use.
type Attachment struct {
	engine *Engine

	keeper *keeper // nil without a store
	config Config  // guarded by Engine.mu
	live   bool    // guarded by Engine.mu
}

// Attach puts a configuration in force: new zones start, zones that are held already go on as they are, by its word.
// Attachments before it keep holding their zones until they are detached. The error is that of a store that another process
// uses; nothing has changed then. It is not called by several goroutines at a time.
func (e *Engine) Attach(c Config) (*Attachment, error) {
	k, err := e.hire(c.Settings.Store)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	a := &Attachment{engine: e, keeper: k, live: true}
	e.attachments = append(e.attachments, a)
	e.apply(a, c)
	return a, nil
}

// Update replaces the configuration of an attachment: zones that are no longer in it are let go.
func (a *Attachment) Update(c Config) {
	e := a.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if a.live {
		e.apply(a, c)
	}
}

// Zone returns a zone of the attachment, nil if it has none by this ID.
func (a *Attachment) Zone(id ZoneID) *Zone {
	a.engine.mu.Lock()
	defer a.engine.mu.Unlock()
	if _, ok := a.config.Zones[id]; !ok {
		return nil
	}
	return a.engine.zones[id]
}

// Detach ends an attachment: zones that no other one has are let go. A second call does nothing.
func (a *Attachment) Detach() {
	e := a.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	e.detach(a)
}

// Reinstate undoes every attachment made after this one, whose configuration is in force again.
func (a *Attachment) Reinstate() {
	e := a.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if !a.live {
		return
	}
	for _, later := range slices.Backward(slices.Clone(e.attachments)) {
		if later == a {
			break
		}
		e.detach(later)
	}
	e.apply(a, a.config)
}

// apply makes c the configuration of a. e.mu is held.
func (e *Engine) apply(a *Attachment, c Config) {
	old := a.config
	a.config = c
	later := e.attachments[slices.Index(e.attachments, a)+1:]
	if len(later) == 0 {
		e.employ(a.keeper)
		e.tellFaults(c.Settings.Faults)
		e.setLimits(c.Settings)
	}
	var added []newcomer
	for id, zc := range c.Zones {
		z := e.zones[id]
		_, held := old.Zones[id]
		switch {
		case z == nil:
			z = e.newZone(id, zc)
			z.holders = 1
			e.zones[id] = z
			added = append(added, newcomer{zone: z, order: zc.Order})
			continue
		case !held:
			z.holders++
		}
		if !slices.ContainsFunc(later, func(l *Attachment) bool { _, has := l.config.Zones[id]; return has }) {
			e.reconfigure(z, zc.Group)
		}
	}
	e.revive(added)
	for id := range old.Zones {
		if _, kept := c.Zones[id]; !kept {
			e.release(id)
		}
	}
	e.forgetFaults()
	e.pruneRemotes()
	e.dispatch()
}

// pruneRemotes forgets the remotes that no zone has any more and that nothing is done with. e.mu is held.
func (e *Engine) pruneRemotes() {
	used := make(map[remoteID]bool)
	for _, z := range e.zones {
		for _, p := range z.group.Primaries {
			used[remoteID{p.Addr, p.Source}] = true
		}
	}
	for id, r := range e.remotes {
		if !used[id] && r.transfers.running+r.soa.running == 0 {
			r.closeIdle()
			delete(e.remotes, id)
		}
	}
}

func (e *Engine) detach(a *Attachment) {
	if !a.live {
		return
	}
	a.live = false
	e.attachments = slices.DeleteFunc(e.attachments, func(o *Attachment) bool { return o == a })
	a.keeper.dismiss() // before the zones go: without a user it takes their going for the end of the process
	for id := range a.config.Zones {
		e.release(id)
	}
}

// release takes one holder from a zone and lets the zone go with the last. e.mu is held.
func (e *Engine) release(id ZoneID) {
	z := e.zones[id]
	if z.holders--; z.holders > 0 {
		return
	}
	z.gone = true
	e.histories.Forget(&z.differences)
	if len(e.attachments) > 0 { // else it is the process that ends, not the zone
		if e.faults != nil {
			e.faults.Gone(z.id.key())
		}
		e.keeper.forget(z)
	}
	z.dropUnwanted()
	e.reschedule(z)
	delete(e.zones, id)
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
