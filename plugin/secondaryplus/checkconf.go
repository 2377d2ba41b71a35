package secondaryplus

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strconv"

	"github.com/coredns/caddy"
	"github.com/coredns/caddy/caddyfile"
	"github.com/coredns/coredns/core/dnsserver"
)

// The flag is of every CoreDNS that is built with this plugin, so that a Corefile is checked by the program that will read
// it, with the plugins that it has.
func init() {
	const usage = "Check the Corefile as a start does, and end before anything is started"
	flag.BoolFunc("check-conf", usage, func(text string) error {
		wanted, err := strconv.ParseBool(text)
		if err == nil && wanted {
			endWhenParsed() // flags are read when all plugins are registered
		}
		return err
	})
}

// endWhenParsed has the next start end once the Corefile is read and its servers are made, but not started. The startup
// functions of the plugins are taken out: what they open is none of a check. In their place stands what secondaryplus finds
// out at a start before it opens anything, and the end of the process. A mistake ends a start as it always does.
func endWhenParsed() {
	last := dnsserver.Directives[len(dnsserver.Directives)-1]
	caddy.RegisterParsingCallback("dns", last, func(caddy.Context) error {
		all := caddy.Instances()
		loading := all[len(all)-1]
		loading.OnFirstStartup = nil
		loading.OnStartup = []func() error{func() error {
			blocks, err := checkStart(loading)
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintf(os.Stdout, "%s is good; server blocks: %d\n", loading.Caddyfile().Path(), blocks)
			os.Exit(0)
			return nil
		}}
		return nil
	})
}

// checkStart returns how many server blocks a Corefile has, or why its start would be refused, as far as that can be known
// before anything is opened: no port, no store. CoreDNS has set up its plugins and made its servers.
func checkStart(c *caddy.Instance) (int, error) {
	if in := startedBy(c); in != nil {
		in.mu.Lock()
		defer in.mu.Unlock()
		if _, err := in.prepare(); err != nil {
			return 0, err
		}
	}
	blocks, err := caddyfile.Parse(c.Caddyfile().Path(), bytes.NewReader(c.Caddyfile().Body()), nil)
	if err == nil && len(blocks) == 0 {
		err = fmt.Errorf("%s: no server block; want at least one", c.Caddyfile().Path())
	}
	return len(blocks), err
}
