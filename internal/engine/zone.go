package engine

import (
	"bytes"
	"cmp"
	"hash/fnv"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/secondaryplus/secondaryplus/internal/agenda"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// ZoneID tells zones of one engine apart. A zone is its name and where it comes from, not where CoreDNS listens. It is a
// plain value.
type ZoneID struct {
	Name    string // lower case with a final dot
	Variant string // tells zones of one name apart that come from different sources; empty for the only one
}

// String returns the name, and the variant if there is one.
func (id ZoneID) String() string {
	if id.Variant == "" {
		return id.Name
	}
	return id.Name + " (" + id.Variant + ")"
}

// Octets returns what names the zone in files.
func (id ZoneID) Octets() []byte { return []byte(id.Name + "\x00" + id.Variant) }

// ZoneIDOf is the inverse of Octets.
func ZoneIDOf(b []byte) (ZoneID, bool) {
	name, variant, ok := bytes.Cut(b, []byte{0})
	return ZoneID{Name: string(name), Variant: string(variant)}, ok
}

// Compare orders by name and then by variant.
func (id ZoneID) Compare(o ZoneID) int {
	return cmp.Or(strings.Compare(id.Name, o.Name), strings.Compare(id.Variant, o.Variant))
}

// Zone is a managed zone. Its exported methods are safe for concurrent use.
type Zone struct {
	engine   *Engine
	id       ZoneID
	origin   wire.Name                       // lower case
	standing atomic.Pointer[Standing]        // changed by Zone.change alone
	saved    atomic.Pointer[version.Version] // that the store has, nil for none; changed by whoever saves zones alone
	newcomer atomic.Pointer[newcomer]        // until it has what is left of it; nil from then on
	gone     atomic.Bool                     // no attachment has it any more

	differences version.History // that led to the latest version

	// Guarded by Engine.mu.
	holders     []holder            // attachments that have the zone, oldest first; the latest says how it is kept
	jobs        []*job              // transfers and SOA queries that run
	urgent      bool                // a NOTIFY has asked for the running round, or for the next
	readmitting bool                // it waits among readmissions
	due         agenda.Entry[*Zone] // in the schedule
}

// holder is an attachment that has a zone, and what it says of it. It is a plain value.
type holder struct {
	attachment *Attachment
	config     ZoneConfig
}

// Contents returns what is served, nil before the first transfer and after expiry. No lock.
func (z *Zone) Contents() *zone.Contents { return z.standing.Load().Contents() }

// ID returns what tells the zone from others.
func (z *Zone) ID() ZoneID { return z.id }

// Differences returns the differences that led to the latest version.
func (z *Zone) Differences() *version.History { return &z.differences }

// Origin returns the zone's name on the wire, in lower case. It is not to be changed.
func (z *Zone) Origin() wire.Name { return z.origin }

// Gone reports whether no attachment has the zone any more.
func (z *Zone) Gone() bool { return z.gone.Load() }

// Saved returns the version that the store has, nil for none.
func (z *Zone) Saved() *version.Version { return z.saved.Load() }

// SetSaved says which version the store has. Only whoever saves zones calls it.
func (z *Zone) SetSaved(v *version.Version) { z.saved.Store(v) }

// SetAcknowledged says what our own secondaries have acknowledged, as the standing has it from then on.
func (z *Zone) SetAcknowledged(octets []byte) {
	e := z.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if z.gone.Load() {
		return
	}
	z.change(func(s *Standing) { s.Acknowledged = octets })
	e.emit(Fact{Kind: Acknowledged, Zone: z})
}

// Name returns the zone's name in presentation form, lower case with a final dot.
func (z *Zone) Name() string { return z.id.Name }

// newZone returns a zone that has not been started.
func (e *Engine) newZone(id ZoneID, c ZoneConfig) *Zone {
	z := &Zone{engine: e, id: id, origin: c.Origin}
	z.due.Of = z
	z.standing.Store(&Standing{Group: c.Group, Blocks: c.Blocks, machine: refresh.New(e.refreshConfig(id.Name, c.Group))})
	return z
}

// refreshConfig returns what a zone's machine has to know. Its jitter depends on the host as well as on the zone: several
// secondaries of one zone do not ask together.
func (e *Engine) refreshConfig(name string, g *Group) refresh.Config {
	seed := fnv.New64a()
	seed.Write([]byte(e.host))
	seed.Write([]byte(name))
	return refresh.Config{Limits: &g.Limits, Primaries: len(g.Primaries), Seed: seed.Sum64()}
}

// configure has the zone kept as its latest holder says. e.mu is held.
func (e *Engine) configure(z *Zone) {
	c := &z.holders[len(z.holders)-1].config
	old, g := z.group(), c.Group
	if old.Equal(g) {
		g = old
	}
	if g == old && slices.Equal(z.Standing().Blocks, c.Blocks) {
		return
	}
	z.change(func(s *Standing) { s.Group, s.Blocks = g, c.Blocks })
	if g == old {
		return
	}
	kept := make([]int, len(g.Primaries))
	same := len(g.Primaries) == len(old.Primaries)
	for i, p := range g.Primaries {
		kept[i] = slices.IndexFunc(old.Primaries, p.Equal)
		same = same && kept[i] == i
	}
	if !same {
		e.use(g.Primaries, 1)
		e.use(old.Primaries, -1)
	}
	if old.Conflicts != g.Conflicts {
		e.readmitLater(z)
	}
	e.emit(Fact{Kind: Reconfigured, Zone: z, Kept: kept})
	r := e.refreshConfig(z.id.Name, g)
	e.step(z, refresh.Event{Kind: refresh.Reconfigured, Config: &r, Kept: kept})
	z.dropUnwanted()
}
