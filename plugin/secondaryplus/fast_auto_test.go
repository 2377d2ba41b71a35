//go:build linux

package secondaryplus

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/corefile"
	scripted "github.com/secondaryplus/secondaryplus/internal/dnstest"
)

// impostor is a plugin of somebody else that calls itself as one of CoreDNS's does, and as one behind us does.
type impostor struct {
	next plugin.Handler
	name string
}

func (i impostor) Name() string { return i.name }

func (i impostor) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	return plugin.NextOrFailure(i.name, i.next, ctx, w, r)
}

func init() {
	at := slices.Index(dnsserver.Directives, "errors")
	if err := dnsserver.SetDirectives(slices.Insert(slices.Clone(dnsserver.Directives), at, "impostor")); err != nil {
		panic(err)
	}
	plugin.Register("impostor", func(c *caddy.Controller) error {
		c.Next()
		names := c.RemainingArgs()
		dnsserver.GetConfig(c).AddPlugin(func(next plugin.Handler) plugin.Handler { return impostor{next, names[0]} })
		return nil
	})
}

// Without a word about it in the Corefile queries are answered fast, on every address, and as `fastpath auto` says it.
func TestFastPathIsOnByItself(t *testing.T) {
	p := newPrimaryOf(t, exampleOrg...)
	for _, option := range []string{"", "fastpath auto"} {
		one, two := unusedPort(t), unusedPort(t)
		addr := begunAt(t, one, fastBlock("example.org:"+one+" example.org:"+two, "nsid here\nerrors", p, "example.org", option))
		waitOpen(t, "127.0.0.1:"+two)
		for _, a := range []string{addr, "127.0.0.1:" + two} {
			askedFast(t, a, question("www.example.org.", dns.TypeA), true)
		}
		if got, want := udpSockets(t, one), 1+max(corefile.FastSockets()/2, 1); got != want {
			t.Errorf("%d UDP sockets have one of two ports; want %d with CoreDNS's", got, want)
		}
	}
}

// Beside a plugin that would be bypassed nothing is answered fast, and one line says which plugin that is, whatever its name.
// The sockets carry queries to CoreDNS's server.
func TestFastPathByItselfBypassesNobody(t *testing.T) {
	p := newPrimaryOf(t, exampleOrg...)
	for directive, name := range map[string]string{
		"log": "log", "acl {\nallow net 127.0.0.0/8\n}": "acl", "bufsize 1232\nloadbalance": "loadbalance", "view v {\nexpr true\n}": "view",
		"impostor errors": "errors (github.com/secondaryplus/", "impostor file": "file (github.com/secondaryplus/",
		"impostor whatever\nerrors": "whatever (github.com/secondaryplus/",
	} {
		t.Run(directive, func(t *testing.T) {
			said, port := keepLog(t), unusedPort(t)
			addr := begunAt(t, port, fastBlock("example.org:"+port, directive, p, "", ""))
			carried := fastQueries(t, "handed_over")
			askedFast(t, addr, question("www.example.org.", dns.TypeA), false)
			if fastQueries(t, "handed_over") == carried {
				t.Error("The query did not come to a socket of ours")
			}
			if line := said.line("fastpath: off"); !strings.Contains(line, "example.org.") || !strings.Contains(line, name) {
				t.Errorf("%q does not say %s", line, name)
			}
		})
	}
	t.Run("off", func(t *testing.T) {
		said, port := keepLog(t), unusedPort(t)
		runCoreDNS(t, fastBlock("example.org:"+port, "log", p, "", "fastpath off"))
		waitContents(t)
		askedFast(t, "127.0.0.1:"+port, question("www.example.org.", dns.TypeA), false)
		if line := said.line("fastpath"); line != "" {
			t.Errorf("It says %q, though the Corefile does", line)
		}
		if isOpen("127.0.0.1:" + port) {
			t.Error("There are sockets")
		}
	})
	t.Run("insisting", func(t *testing.T) {
		text := startError(t, fastBlock("example.org:"+unusedPort(t), "impostor errors", p, "", "fastpath 1"))
		if !strings.Contains(text, "errors (github.com/secondaryplus/") {
			t.Errorf("Error is %q", text)
		}
	})
}

// What another server block on the port has keeps it off there, and the start goes on; so does one that cannot be fast.
func TestFastPathByItselfNeverFailsToStart(t *testing.T) {
	p := newPrimaryOf(t, exampleOrg...)
	port := unusedPort(t)
	said := keepLog(t)
	runCoreDNS(t, fastBlock("example.org:"+port, "", p, "", "")+"example.net:"+port+" {\nbind 127.0.0.1\nshed\n}\n")
	waitContents(t)
	askedFast(t, "127.0.0.1:"+port, question("www.example.org.", dns.TypeA), false)
	if line := said.line("fastpath: off"); !strings.Contains(line, "shed") {
		t.Errorf("%q does not name shed", line)
	}
	cert, key := scripted.Certificate(t, t.TempDir(), "server")
	runCoreDNS(t, fastBlock("tls://example.org:"+unusedPort(t), "tls "+cert+" "+key, p, "", ""))
}

// A server block that has to pass through a plugin shares an address with one that has not: each gets what it wants.
func TestFastPathByItselfTellsServerBlocksApart(t *testing.T) {
	p, other := newPrimaryOf(t, exampleOrg...), newPrimaryOf(t, "example.net. 60 IN SOA a. b. 1 2 3 4 5", "example.net. 60 IN NS a.")
	port := unusedPort(t)
	addr := begunAt(t, port, fastBlock("example.org:"+port, "", p, "", "")+fastBlock("example.net:"+port, "log", other, "", ""))
	askedFast(t, addr, question("www.example.org.", dns.TypeA), true)
	askedFast(t, addr, question("example.net.", dns.TypeNS), false)
}
