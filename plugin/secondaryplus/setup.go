package secondaryplus

import (
	"slices"
	"strings"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	clog "github.com/coredns/coredns/plugin/pkg/log"
	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/corefile"
)

var log = clog.NewWithPlugin(corefile.Name)

func init() {
	// CoreDNS runs plugins in the order of dnsserver.Directives and reads it when the first Corefile is loaded.
	if !slices.Contains(dnsserver.Directives, corefile.Name) {
		before := max(0, slices.Index(dnsserver.Directives, "file"))
		if err := dnsserver.SetDirectives(slices.Insert(slices.Clone(dnsserver.Directives), before, corefile.Name)); err != nil {
			panic(err) // two directives of one name: the build is wrong
		}
	}
	plugin.Register(corefile.Name, setup)
	caddy.RegisterEventHook(corefile.Name, func(event caddy.EventName, info any) error {
		if c, ok := info.(*caddy.Instance); ok && event == caddy.InstanceStartupEvent {
			if in := startedBy(c); in != nil {
				in.serves()
			}
		}
		return nil
	})
}

// startedBy returns the instance that c has loaded, nil for a Corefile without one.
func startedBy(c *caddy.Instance) *instance {
	c.StorageMu.RLock()
	defer c.StorageMu.RUnlock()
	in, _ := c.Storage[instanceKey{}].(*instance)
	return in
}

// setup reads the directives of one server block. It opens nothing and starts nothing: a Corefile may still be rejected.
func setup(c *caddy.Controller) error {
	b, err := parse(c)
	if err != nil {
		return plugin.Error(corefile.Name, err)
	}
	conf := dnsserver.GetConfig(c)
	h := &SecondaryPlus{config: conf, keys: c.ServerBlockKeys, fast: fastpathOf(b), outgoing: b.transfersOut()}
	if err := instanceOf(c).add(h, b); err != nil {
		return plugin.Error(corefile.Name, err)
	}
	for _, w := range b.Warnings {
		log.Warning(w)
	}
	h.bypass = b.bypass(c.ServerBlockKeys)
	for _, g := range b.groups {
		shareKeys(conf, g.Keys)
		h.signers = append(h.signers, g.Keys...)
	}
	h.learnServers()
	h.watchFront()
	h.watchArrivals()
	conf.AllowOpcode(dns.OpcodeUpdate) // to refuse it: records are read-only here
	conf.AddPlugin(func(next plugin.Handler) plugin.Handler {
		h.Next = next
		return h
	})
	return nil
}

// bypass returns the zones that the cache plugin is to leave alone.
func (b *block) bypass(serverBlock []string) []string {
	var names []string
	for _, g := range b.groups {
		names = append(names, g.Zones...)
		if g.ZonesFile != nil {
			names = append(names, plugin.OriginsFromArgsOrServerBlock(nil, serverBlock)...)
		}
	}
	return names
}

// serverName names a server block by what tells it from others: its addresses and its view.
func serverName(conf *dnsserver.Config) string {
	name := conf.Transport + "://" + strings.Join(conf.ListenHosts, ",") + ":" + conf.Port
	if conf.ViewName != "" {
		name += " view=" + conf.ViewName
	}
	return name
}
