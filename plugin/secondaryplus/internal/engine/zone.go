package engine

import (
	"hash/fnv"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/zone"
)

// ZoneID tells zones of one engine apart: the same name may be served by several server blocks, each with contents of its
// own. It is a plain value.
type ZoneID struct {
	Name  string // lower case with a final dot
	Block string // the server block: its listen addresses and its view
}

// Zone is a managed zone. Its exported methods are safe for concurrent use.
type Zone struct {
	engine   *Engine
	id       ZoneID
	name     string // id.Name, as logged and as a metric label
	contents atomic.Pointer[zone.Contents]

	// Guarded by Engine.mu.
	origin     []byte // on the wire, lower case
	group      *Group
	machine    *refresh.Machine
	kept       kept
	judgedBy   string         // the rules that the contents were judged by, see rules.Conflicts.Edition
	withdrawn  *zone.Contents // what was served before it expired; nil for nothing
	history    []Event        // oldest first
	forgotten  uint64         // ID of the latest event that is no longer in history; 0 for none
	notified   Serial         // the latest that a NOTIFY told
	notifiedAt time.Time
	differ     bool                    // the log says that the primaries have different serials
	trouble    string                  // what the fault notifier was told last; empty for nothing
	holders    int                     // attachments that have the zone
	gone       bool                    // no attachment has it any more
	ways       map[netip.AddrPort]ways // that a primary has for this zone
	running    []*job                  // transfers and SOA queries
	urgent     bool                    // a NOTIFY has asked for the running round, or for the next
	dueAt      time.Time               // its time in the schedule
	place      int                     // its index there
}

// Contents returns what is served, nil before the first transfer and after expiry. One atomic load, no lock.
func (z *Zone) Contents() *zone.Contents { return z.contents.Load() }

// Name returns the zone's name in presentation form, lower case with a final dot.
func (z *Zone) Name() string { return z.name }

// newZone returns a zone that has not been started.
func (e *Engine) newZone(id ZoneID, c ZoneConfig) *Zone {
	z := &Zone{engine: e, id: id, name: id.Name, origin: c.Origin, group: c.Group, place: unscheduled}
	z.machine = refresh.New(e.refreshConfig(id.Name, c.Group))
	return z
}

// refreshConfig returns what a zone's machine has to know. Its jitter depends on the host as well as on the zone: several
// secondaries of one zone do not ask together.
func (e *Engine) refreshConfig(name string, g *Group) refresh.Config {
	seed := fnv.New64a()
	seed.Write([]byte(e.host))
	seed.Write([]byte(name))
	return refresh.Config{
		Primaries: len(g.Primaries), SerialZero: g.SerialZero, Seed: seed.Sum64(),
		Refresh: g.Refresh, Retry: g.Retry, Expire: g.Expire,
	}
}

// reconfigure gives the zone a new group. e.mu is held.
func (e *Engine) reconfigure(z *Zone, g *Group) {
	if z.group == g {
		return
	}
	kept := make([]int, len(g.Primaries))
	for i, p := range g.Primaries {
		kept[i] = slices.IndexFunc(z.group.Primaries, p.Equal)
	}
	if z.group.Conflicts != g.Conflicts {
		e.running.Go(func() { e.rejudge(z, g.Conflicts) })
	}
	z.group = g
	c := e.refreshConfig(z.name, g)
	e.step(z, refresh.Event{Kind: refresh.Reconfigured, Config: &c, Kept: kept})
	z.dropUnwanted()
}

// rejudge has the contents of a zone judged by other rules of conflicts.
func (e *Engine) rejudge(z *Zone, by rules.Conflicts) {
	for {
		c := z.Contents()
		if c == nil {
			return
		}
		judge := by.ForZone()
		again := c
		if !c.Signed() { // of a signed zone nothing is left out
			again, _ = c.Judged(&judge, c)
		}
		e.mu.Lock()
		stale := z.Contents() != c
		if !stale && !z.gone && z.group.Conflicts == by && e.ctx.Err() == nil {
			z.contents.Store(again)
			z.judgedBy = by.Edition()
			e.keeper.save(z, true)
			e.log.Infof("zone=%s: judged again by conflicts %s: %d records are not served", z.name, by, again.Marked())
		}
		e.mu.Unlock()
		if !stale {
			return
		}
	}
}

// Notification is what a NOTIFY said. It is a plain value.
type Notification struct {
	From      netip.Addr
	Key       *xfr.Key // that it was signed with, verified; nil if it was not signed
	Serial    serial.Serial
	HasSerial bool // the answer section held the zone's SOA
}

// Verdict is what became of a NOTIFY.
type Verdict uint8

// The verdicts.
const (
	Accepted    Verdict = iota
	NotAllowed          // the sender is neither a primary nor in allow_notify
	KeyRequired         // the sender has to sign with a key and did not
)

// MayNotify reports whether a NOTIFY from an address can be accepted at all, perhaps with a key.
func (z *Zone) MayNotify(from netip.Addr) bool {
	z.engine.mu.Lock()
	defer z.engine.mu.Unlock()
	verdict, _ := z.group.admit(from.Unmap(), nil)
	return verdict != NotAllowed
}

// Notify takes a NOTIFY(SOA) and returns at once; a refresh follows if it is called for (RFC 1996 §3.11).
func (z *Zone) Notify(n Notification) Verdict {
	e := z.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	verdict, primary := z.group.admit(n.From.Unmap(), n.Key)
	if verdict != Accepted || z.gone {
		return verdict
	}
	z.urgent = true
	said := Event{Kind: eventNotify, Result: resultAccepted, Primary: n.From.Unmap()}
	if n.HasSerial {
		said.To, z.notified, z.notifiedAt = known(n.Serial), known(n.Serial), time.Now()
	}
	e.record(z, said)
	if primary >= 0 {
		e.remote(z.group.Primaries[primary]).up() // it lives: do not hold an earlier failure against it
	}
	e.step(z, refresh.Event{Kind: refresh.Notified, Primary: primary, Serial: n.Serial, HasSerial: n.HasSerial})
	return Accepted
}

// admit decides about a NOTIFY from an address, signed with key or nil, and returns the primary it is from, or -1.
//
// A primary may always notify; one that has a key must sign with it. A line of allow_notify that names its address takes
// the place of that: it can ask for another key, or for none.
func (g *Group) admit(from netip.Addr, key *xfr.Key) (Verdict, int) {
	verdict, listed := NotAllowed, false
	for _, s := range g.AllowNotify {
		if !s.Contains(from) {
			continue
		}
		listed = true
		if s.Key != nil && !s.Key.Equal(key) {
			verdict = KeyRequired
			continue
		}
		verdict = Accepted
		break
	}
	primary := -1
	for i, p := range g.Primaries {
		if p.Addr.Addr().Unmap() != from {
			continue
		}
		signed := p.Key != nil && p.Key.Equal(key)
		if primary < 0 || signed {
			primary = i
		}
		switch {
		case signed, p.Key == nil && !listed:
			verdict = Accepted
		case verdict == NotAllowed:
			verdict = KeyRequired
		}
	}
	return verdict, primary
}
