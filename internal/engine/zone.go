package engine

import (
	"hash/fnv"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/zone"
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

	differences version.History // that led to the latest version

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
	refused    uint64                  // NOTIFYs that were turned away
	strange    map[netip.Addr]string   // keys that NOTIFYs of primaries named and we do not have; nil for none
	differ     bool                    // the log says that the primaries have different serials
	warnings   []reason.Reason         // by link, the reason for which the log says that it is Blocked; nil for none
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

// Since returns the differences that lead from the version with a serial to the latest, oldest first. ok is false where they are
// not known, and for the latest itself. No lock.
func (z *Zone) Since(n serial.Serial) (differences []*zone.Difference, ok bool) {
	return z.differences.Since(n)
}

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
		e.running.Go(func() { e.readmit(z, g) })
	}
	z.group, z.strange = g, nil
	z.retell(kept)
	c := e.refreshConfig(z.name, g)
	e.step(z, refresh.Event{Kind: refresh.Reconfigured, Config: &c, Kept: kept})
	z.dropUnwanted()
}

// version returns contents of the zone as the version they are; nil for none. Engine.mu is held.
func (z *Zone) version(c *zone.Contents) *version.Version {
	if c == nil {
		return nil
	}
	return &version.Version{Contents: c, Edition: z.judgedBy}
}

// readmit has what is served of a zone served by the policy of a group.
func (e *Engine) readmit(z *Zone, g *Group) {
	for {
		c := z.Contents()
		if c == nil {
			return
		}
		again := version.Readmit(&version.Version{Contents: c}, &g.Policy)
		e.mu.Lock()
		stale := z.Contents() != c
		if !stale && !z.gone && z.group.Conflicts == g.Conflicts && e.ctx.Err() == nil {
			z.contents.Store(again.Contents)
			z.judgedBy = again.Edition
			e.keeper.save(z, true)
			e.log.Infof("zone=%s: judged again by conflicts %s: %d records are not served", z.name, g.Conflicts, again.Contents.Marked())
		}
		e.mu.Unlock()
		if !stale {
			return
		}
	}
}
