package fault

import (
	"cmp"
	"slices"
	"time"
)

// State is what people have been told, so that a restart tells nobody again. It is a plain value, made for encoding/json;
// it holds the names of the zones that are known, and little else.
type State struct {
	Batches []Batch `json:"batches,omitempty"`
}

// Batch is zones that were told of together, for one cause. It is a plain value.
type Batch struct {
	Links   []Link    `json:"links"`
	ToldAt  time.Time `json:"told_at"`
	SinceAt time.Time `json:"since_at"` // since when the first of them is down
	Stage   Stage     `json:"stage"`    // implied: they are known by the announcement of their cause
	Zones   []string  `json:"zones"`
}

// State returns what people have been told by now.
func (m *Machine) State(now time.Time) State {
	var s State
	for _, c := range m.causes {
		batches := map[batchKey]*Batch{}
		for _, set := range []map[*zone]struct{}{c.down, c.up} {
			for z := range set {
				if m.known(now, z) {
					c.addTo(batches, z)
				}
			}
		}
		for _, b := range batches {
			slices.Sort(b.Zones)
			s.Batches = append(s.Batches, *b)
		}
	}
	slices.SortFunc(s.Batches, func(a, b Batch) int { return cmp.Compare(a.Zones[0], b.Zones[0]) })
	return s
}

// batchKey tells the batches of a cause apart. It is a plain value.
type batchKey struct {
	toldAt time.Time
	stage  Stage
}

// addTo adds a zone to the batch it was told of in.
func (c *cause) addTo(batches map[batchKey]*Batch, z *zone) {
	k := batchKey{plain(z.toldAt), z.stage}
	if z.stage < announced {
		k = batchKey{plain(c.toldAt), implied}
	}
	b := batches[k]
	if b == nil {
		b = &Batch{Links: c.links, ToldAt: k.toldAt, Stage: k.stage}
		batches[k] = b
	}
	b.SinceAt = earliest(b.SinceAt, plain(z.downAt))
	b.Zones = append(b.Zones, z.name)
}

// plain returns t without a monotonic clock reading, which means nothing to another process.
func plain(t time.Time) time.Time { return t.Round(0).UTC() }

// restore takes over what had been told. The zones count as down until an event says what they are.
func (m *Machine) restore(s State) {
	for _, b := range s.Batches {
		for _, name := range b.Zones {
			if m.zones[name] != nil || len(m.zones) >= maxZones || b.ToldAt.IsZero() {
				continue
			}
			z := &zone{name: name, downAt: b.SinceAt, stage: b.Stage}
			if z.stage >= announced {
				z.toldAt = b.ToldAt
			}
			m.zones[name] = z
			m.join(b.ToldAt, z, b.Links)
			z.cause.toldAt = latest(z.cause.toldAt, b.ToldAt)
			m.schedule(z.cause, m.soonest(b.ToldAt, z))
		}
	}
}
