package secondaryplus

import (
	"slices"
	"strings"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/notify"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// plan is what an instance wants of the engine, and which zones its server blocks answer for. It is immutable.
type plan struct {
	zones   map[engine.ZoneID]engine.ZoneConfig
	targets map[engine.ZoneID][]notify.Target // whom to tell of new versions
	blocks  [][]listing                       // by server block
}

// listing is one zone as a server block lists it. It is immutable once its plan is made.
type listing struct {
	origin
	wire   wire.Name // lower case
	id     engine.ZoneID
	server *SecondaryPlus
	source *source
}

// source is where a zone comes from: listings of one name with the same settings, which are one zone. It belongs to plan.
type source struct {
	first   *listing
	variant string // as the option says; distinguish gives one to a source without
	blocks  []string

	recipients []*recipients // of all listings, each once
}

// plan finds out which listings are one zone. A zone is its name and where it comes from: listings of a name with the same
// settings share it. Others are told apart by the option variant, else by the view of their server block; one of them may have
// neither.
func (in *instance) plan() (*plan, error) {
	p := &plan{}
	listed := 0
	for i, b := range in.blocks {
		listings, err := in.listings(i, b)
		if err != nil {
			return nil, err
		}
		p.blocks = append(p.blocks, listings)
		listed += len(listings)
	}
	byName := make(map[string][]*source, listed)
	order := make([]*source, 0, listed)
	for _, listings := range p.blocks {
		for j := range listings {
			l := &listings[j]
			known := byName[l.name]
			sources, err := l.join(known)
			if err != nil {
				return nil, err
			}
			if len(sources) > len(known) {
				order, byName[l.name] = append(order, l.source), sources
			}
			l.source.add(l.server.recipients(l))
		}
	}
	for name, sources := range byName {
		if err := distinguish(name, sources); err != nil {
			return nil, err
		}
	}
	shared, told := blockLists{}, targetLists{}
	p.zones, p.targets = make(map[engine.ZoneID]engine.ZoneConfig, len(order)), map[engine.ZoneID][]notify.Target{}
	for i, s := range order {
		if len(s.recipients) > 0 {
			targets, err := told.one(s)
			if err != nil {
				return nil, err
			}
			p.targets[s.id()] = targets
		}
		p.zones[s.id()] = engine.ZoneConfig{Origin: s.first.wire, Group: s.first.group.engine, Blocks: shared.one(s.blocks), Order: i}
	}
	for _, listings := range p.blocks {
		for j := range listings {
			listings[j].id, listings[j].source = listings[j].source.id(), nil
		}
	}
	return p, nil
}

// listings returns the zones of a server block.
func (in *instance) listings(i int, b *block) ([]listing, error) {
	origins, err := b.origins()
	if err != nil {
		return nil, err
	}
	h := in.handlers[i]
	all := make([]listing, len(origins))
	for j, o := range origins {
		name, err := wire.ParseName(o.name)
		if err != nil {
			return nil, err
		}
		all[j] = listing{origin: o, wire: name, server: h}
	}
	return all, nil
}

// join finds the source of a listing among those of its name, and adds a new one if there is none.
func (l *listing) join(sources []*source) ([]*source, error) {
	variant := l.group.Variant
	for _, s := range sources {
		if slices.Contains(s.blocks, l.server.server) {
			return nil, l.pos.Errorf("zone %s is already listed at %v, on the same address; want every zone once for an address", l.name, s.first.pos)
		}
	}
	for _, s := range sources {
		same := s.first.group.engine.Equal(l.group.engine)
		switch {
		case variant != s.variant:
			continue
		case same:
			s.blocks = append(s.blocks, l.server.server)
			l.source = s
			return sources, nil
		case variant != "":
			return nil, l.pos.Errorf("zone %s has variant %s at %v, with other settings; want the same settings, or another variant",
				l.name, variant, s.first.pos)
		}
	}
	l.source = &source{first: l, variant: variant, blocks: []string{l.server.server}}
	return append(sources, l.source), nil
}

// distinguish gives the sources of a name variants that tell them apart.
func distinguish(name string, sources []*source) error {
	if len(sources) < 2 {
		return nil
	}
	taken := map[string]*source{}
	for _, s := range sources {
		if s.variant == "" {
			s.variant = s.first.server.view
		}
		if other := taken[s.variant]; other != nil {
			return s.first.pos.Errorf("zone %s is already listed at %v, with other settings; want the same settings, another view, or "+
				"variant NAME in one of the two", name, other.first.pos)
		}
		taken[s.variant] = s
	}
	return nil
}

// add adds whom a listing has told of its zone, nil for nobody.
func (s *source) add(r *recipients) {
	if r != nil && !slices.Contains(s.recipients, r) {
		s.recipients = append(s.recipients, r)
	}
}

func (s *source) id() engine.ZoneID { return engine.ZoneID{Name: s.first.name, Variant: s.variant} }

// blockLists has one list for all zones that are served by the same server blocks.
type blockLists map[string][]string

func (b blockLists) one(list []string) []string {
	slices.Sort(list)
	key := strings.Join(list, "\n")
	if b[key] == nil {
		b[key] = list
	}
	return b[key]
}

// changes returns what has to be changed to get from one plan to another.
func (p *plan) changes(from *plan) engine.Change {
	c := engine.Change{Zones: map[engine.ZoneID]engine.ZoneConfig{}}
	for id, z := range p.zones {
		if was, ok := from.zones[id]; !ok || was.Group != z.Group || !slices.Equal(was.Blocks, z.Blocks) {
			c.Zones[id] = z
		}
	}
	for id := range from.zones {
		if _, ok := p.zones[id]; !ok {
			c.Gone = append(c.Gone, id)
		}
	}
	return c
}
