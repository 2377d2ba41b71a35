package secondaryplus

import (
	"slices"
	"strings"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	clog "github.com/coredns/coredns/plugin/pkg/log"
	"github.com/miekg/dns"
)

var log = clog.NewWithPlugin(directiveName)

func init() {
	// CoreDNS runs plugins in the order of dnsserver.Directives and reads it when the first Corefile is loaded.
	if !slices.Contains(dnsserver.Directives, directiveName) {
		before := max(0, slices.Index(dnsserver.Directives, "file"))
		if err := dnsserver.SetDirectives(slices.Insert(slices.Clone(dnsserver.Directives), before, directiveName)); err != nil {
			panic(err) // two directives of one name: the build is wrong
		}
	}
	plugin.Register(directiveName, setup)
}

// setup reads the directives of one server block. It opens nothing and starts nothing: a Corefile may still be rejected.
func setup(c *caddy.Controller) error {
	b, err := parse(c)
	if err != nil {
		return plugin.Error(directiveName, err)
	}
	conf := dnsserver.GetConfig(c)
	h := &SecondaryPlus{config: conf, server: serverName(conf), keys: c.ServerBlockKeys, fast: b.fast, maxUDP: defaultMaxUDP}
	if err := instanceOf(c).add(h, b); err != nil {
		return plugin.Error(directiveName, err)
	}
	for _, w := range b.warnings {
		log.Warning(w)
	}
	h.bypass = b.bypass(c.ServerBlockKeys)
	for i := range b.groups {
		shareKeys(conf, b.groups[i].keys)
		h.signers = append(h.signers, b.groups[i].keys...)
	}
	h.learnServers()
	h.watchFront()
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
	for i := range b.groups {
		names = append(names, b.groups[i].zones...)
		if b.groups[i].zonesFile != nil {
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
