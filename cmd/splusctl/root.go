package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
	"github.com/spf13/cobra"

	"github.com/secondaryplus/secondaryplus/control"
)

const (
	defaultAddress = "http://127.0.0.1:9154"
	maxTokenFile   = 64 << 10        // octets
	maxCompletions = 100             // zone names a shell is offered
	maxPatience    = 2 * time.Second // that a shell waits for them
)

// app is what all commands share: where they write to, and the flags of the root. The command that runs owns it.
type app struct {
	out, err io.Writer
	getenv   func(string) string
	now      func() time.Time
	every    time.Duration // between looks at what is waited for
	screen   bool          // out is a terminal
	live     bool          // err is a terminal, so progress may be drawn there
	color    bool          // out may have colors
	self     string        // path of this program; empty if it is not known

	address, tokenFile, ca, output string
}

// environment names the variables that stand in for flags.
var environment = map[string]string{ //nolint:gosec // G101: names of variables
	"address":    "SPLUSCTL_ADDRESS",
	"token-file": "SPLUSCTL_TOKEN_FILE",
	"ca":         "SPLUSCTL_CA",
}

func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "splusctl",
		Short: "Watch and steer a DNS secondary that runs secondaryplus",
		Long: "splusctl watches and steers a CoreDNS with secondaryplus over its control API, and checks Corefiles\n" +
			"and zones.\n\n" + exitHelp,
		Args:              cobra.NoArgs,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: a.settle,
		RunE:              func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetOut(a.out)
	root.SetErr(a.err)
	f := root.PersistentFlags()
	f.StringVar(&a.address, "address", defaultAddress, "`URL` of the control API, or unix:PATH ($SPLUSCTL_ADDRESS)")
	f.StringVar(&a.tokenFile, "token-file", "", "`FILE` that holds the token of the control API ($SPLUSCTL_TOKEN_FILE)")
	f.StringVar(&a.ca, "ca", "", "`FILE` of the authorities that sign the server's certificate, in PEM ($SPLUSCTL_CA)")
	f.StringVarP(&a.output, "output", "o", "table", "`FORM` of the output: table or json")
	complete(root, "output", "table", "json")
	root.AddCommand(a.statusCommand(), a.zonesCommand(), a.zoneCommand(), a.secondariesCommand(), a.eventsCommand(), a.scheduleCommand(),
		a.refreshCommand(), a.retransferCommand(), a.notifyCommand(), a.flushCommand(), a.exportCommand(),
		newCheckCommand(), a.checkConfCommand(), a.manCommand(), a.versionCommand())
	return root
}

// complete offers words for a flag.
func complete(c *cobra.Command, flag string, words ...string) {
	offer := cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
	if err := c.RegisterFlagCompletionFunc(flag, offer); err != nil {
		panic(err) // no such flag: the build is wrong
	}
}

// settle takes flags that are not given from the environment, and checks those of the root.
func (a *app) settle(c *cobra.Command, _ []string) error {
	for name, variable := range environment {
		if value, flag := a.getenv(variable), c.Flag(name); value != "" && !flag.Changed {
			if err := flag.Value.Set(value); err != nil {
				return err
			}
		}
	}
	if !slices.Contains([]string{"table", "json"}, a.output) {
		return fmt.Errorf("--output %q: want table or json", a.output)
	}
	return nil
}

// client returns a client of the server that the flags name. It does not reach for the server yet.
func (a *app) client() (*control.Client, error) {
	o := control.Options{Address: a.address, CA: a.ca}
	if a.tokenFile != "" {
		token, err := readToken(a.tokenFile)
		if err != nil {
			return nil, err
		}
		o.Token = token
	}
	c, err := control.NewClient(o)
	if err != nil {
		return nil, &exitError{exitUsage, err.Error()}
	}
	return c, nil
}

// readToken returns the first word of a file.
func readToken(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", &exitError{exitUsage, "token: " + err.Error()}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxTokenFile))
	if err != nil {
		return "", &exitError{exitUsage, "token: " + err.Error()}
	}
	words := strings.Fields(string(text))
	if len(words) != 1 {
		return "", &exitError{exitUsage, fmt.Sprintf("token: %s holds %d words; want one", file, len(words))}
	}
	return words[0], nil
}

// zoneArg returns the zone name that a person wrote as the API spells it.
func zoneArg(s string) (string, error) {
	if _, ok := dns.IsDomainName(s); s == "" || !ok {
		return "", &exitError{exitUsage, fmt.Sprintf("zone %q: want a domain name", s)}
	}
	return dns.CanonicalName(s), nil
}

// completeZones offers the zones of the server whose names hold what is typed.
func (a *app) completeZones(c *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(c.Context(), maxPatience)
	defer cancel()
	if a.settle(c, nil) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	client, err := a.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	page, err := client.Zones(ctx, control.ZoneQuery{Search: typed, Limit: maxCompletions})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, z := range page.Zones {
		if strings.HasPrefix(z.Name, typed) && z.Name == scrubText(z.Name) {
			names = append(names, z.Name)
		}
	}
	return slices.Compact(names), cobra.ShellCompDirectiveNoFileComp
}

// variantFlag adds the flag that tells zones of one name apart.
func variantFlag(c *cobra.Command, variant *string) {
	c.Flags().StringVar(variant, "variant", "", "the `NAME` that zones shows, where a zone has several variants")
}
