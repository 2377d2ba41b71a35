package secondaryplus

import (
	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/fall"
	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/corefile"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// block is what the directives of one server block say. Only the zones files of its groups change after parse; the goroutine
// that reads those again is the only one to call origins then.
type block struct {
	*corefile.Block
	groups []*group // with the indices of Block.Groups
}

// group is one directive: some zones and how to keep them. It is immutable, but for its zones file.
type group struct {
	*corefile.Group
	engine     *engine.Group
	fall       fall.F
	recipients recipients // that it names
}

// parse reads the secondaryplus directives of the server block that c stands in.
func parse(c *caddy.Controller) (*block, error) {
	read, err := corefile.Parse(c, corefile.Place{
		Root:  dnsserver.GetConfig(c).Root,
		Zones: plugin.OriginsFromArgsOrServerBlock(nil, c.ServerBlockKeys),
		Names: func(word string) []string { return plugin.Host(word).NormalizeExact() },
	})
	if err != nil {
		return nil, err
	}
	b := &block{Block: read}
	for _, g := range read.Groups {
		b.groups = append(b.groups, &group{g, engineGroup(g), fall.F{Zones: g.Fallthrough}, recipients{targets: g.Notify}})
	}
	return b, nil
}

// engineGroup returns a group as the engine has it.
func engineGroup(g *corefile.Group) *engine.Group {
	return &engine.Group{Primaries: g.Primaries, AllowNotify: g.AllowNotify, Policy: g.Policy}
}

// processSettings returns the settings of the process.
func processSettings(s *corefile.Settings) secondary.Settings {
	return secondary.Settings{
		Settings: engine.Settings{
			TransfersIn: s.TransfersIn.Total, TransfersPerPrimary: s.TransfersIn.PerPrimary,
			TransferMemory: s.TransferMemory, SOARate: float64(s.SOARate),
		},
		Store:  s.Store,
		Faults: secondary.FaultSettings{URLs: s.FaultNotify, After: s.FaultAfter, Every: s.FaultEvery},
	}
}

// fallsThrough reports whether the next plugin is asked about a name that does not exist.
func (g *group) fallsThrough(name wire.Name) bool {
	return len(g.fall.Zones) > 0 && g.fall.Through(dns.CanonicalName(text(name)))
}

// origin is one zone, the group it belongs to and where it is listed. It is a plain value.
type origin struct {
	name  string // lower case with a final dot
	group *group
	pos   corefile.Position
}

// origins returns the zones of all groups, those of zones files as they were last read, in the order they are listed in.
func (b *block) origins() ([]origin, error) {
	zones, err := b.Zones()
	if err != nil {
		return nil, err
	}
	groups := map[*corefile.Group]*group{}
	for _, g := range b.groups {
		groups[g.Group] = g
	}
	all := make([]origin, len(zones))
	for i, z := range zones {
		all[i] = origin{z.Name, groups[z.Group], z.Position}
	}
	return all, nil
}
