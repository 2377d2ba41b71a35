package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/coredns/caddy"
	"github.com/coredns/caddy/caddyfile"
	"github.com/coredns/coredns/core/dnsserver"
	_ "github.com/coredns/coredns/core/plugin" // every stock plugin
	"github.com/spf13/cobra"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus"
)

const (
	serverType  = "dns"
	maxCorefile = 64 << 20 // octets
)

func (a *app) checkConfCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check-conf COREFILE",
		Short: "Check a Corefile without starting a server",
		Long: "Reads a Corefile as CoreDNS does at a start, with every stock plugin and secondaryplus, and ends before\n" +
			"anything is started: no server, no socket, no store. Files that it names are read; plugins for clouds and\n" +
			"clusters may ask these already, as at a start. File names are relative to the working directory.\n" +
			"Exits with 2 when there is a mistake, and says what and where.",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			n, err := checkCorefile(args[0], a.err)
			if err != nil {
				return &exitError{exitUsage, err.Error()}
			}
			c := &checkedConf{File: args[0], ServerBlocks: n}
			return show(a, c, func(c *checkedConf) { a.printf("%s is good; server blocks: %d\n", c.File, c.ServerBlocks) })
		},
	}
}

// checkedConf is what check-conf says of a Corefile without mistakes. It is a plain value.
type checkedConf struct {
	File         string `json:"file"`
	ServerBlocks int    `json:"serverBlocks"`
}

// errChecked ends a start that was only for checking.
var errChecked = errors.New("checked")

// checkCorefile returns how many server blocks a Corefile has, or its first mistake. Warnings of plugins go to w.
//
// It is a start, which has the startup functions of the plugins taken out: what they open is none of a check. In their place
// stands what secondaryplus finds out at a start before it opens anything, and the end.
func checkCorefile(file string, w io.Writer) (int, error) {
	body, err := readCorefile(file)
	if err != nil {
		return 0, err
	}
	log.SetFlags(0)
	log.SetOutput(w)
	last := dnsserver.Directives[len(dnsserver.Directives)-1]
	caddy.RegisterParsingCallback(serverType, last, func(caddy.Context) error {
		all := caddy.Instances()
		loading := all[len(all)-1]
		loading.OnFirstStartup = nil
		loading.OnStartup = []func() error{func() error {
			if err := secondaryplus.CheckStart(loading); err != nil {
				return err
			}
			return errChecked
		}}
		return nil
	})
	input := caddy.CaddyfileInput{Contents: body, Filepath: file, ServerTypeName: serverType}
	if _, err := caddy.Start(input); !errors.Is(err, errChecked) {
		if !strings.Contains(err.Error(), filepath.Base(file)+":") {
			err = fmt.Errorf("%s: %w", file, err)
		}
		return 0, err
	}
	blocks, err := caddyfile.Parse(file, bytes.NewReader(body), nil)
	if err == nil && len(blocks) == 0 {
		err = fmt.Errorf("%s: no server block; want at least one", file)
	}
	return len(blocks), err
}

func readCorefile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, maxCorefile+1))
	if err == nil && len(body) > maxCorefile {
		err = fmt.Errorf("%s: larger than %d octets; want a Corefile", name, maxCorefile)
	}
	return body, err
}
