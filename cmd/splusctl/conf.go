package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) checkConfCommand() *cobra.Command {
	var coredns string
	cmd := &cobra.Command{
		Use:   "check-conf COREFILE",
		Short: "Check a Corefile without starting a server",
		Long: "Has coredns read a Corefile as it does at a start, with the plugins that it is built with, and end before\n" +
			"anything is started: no server, no socket, no store. It is the coredns beside splusctl, else the one in PATH,\n" +
			"else what --coredns names. Files that the Corefile names are read; plugins for clouds and clusters may ask\n" +
			"these already, as at a start. File names are relative to the working directory.\n" +
			"Exits with 2 when there is a mistake, and says what and where.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if coredns == "" {
				var err error
				if coredns, err = a.findCoreDNS(); err != nil {
					return err
				}
			}
			c, err := a.checkCorefile(cmd.Context(), coredns, args[0])
			if err != nil {
				return err
			}
			return show(a, c, func(c *checkedConf) { a.printf("%s is good; server blocks: %d\n", c.File, c.ServerBlocks) })
		},
	}
	cmd.Flags().StringVar(&coredns, "coredns", "", "`PATH` of a CoreDNS that is built with secondaryplus")
	return cmd
}

// checkedConf is what check-conf says of a Corefile without mistakes. It is a plain value.
type checkedConf struct {
	File         string `json:"file"`
	ServerBlocks int    `json:"serverBlocks"`
}

const wantCoreDNS = "want --coredns PATH, a CoreDNS that is built with secondaryplus"

// findCoreDNS returns the path of the coredns beside this program, or of the one in PATH.
func (a *app) findCoreDNS() (string, error) {
	if self, err := filepath.EvalSymlinks(a.self); err == nil {
		beside := filepath.Join(filepath.Dir(self), "coredns")
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() {
			return beside, nil
		}
	}
	path, err := exec.LookPath("coredns")
	if err != nil {
		return "", &exitError{exitUsage, "no coredns beside splusctl, and none in PATH; " + wantCoreDNS}
	}
	return path, nil
}

// checkCorefile has coredns check a file. Its warnings are passed on; the error is the first mistake.
func (a *app) checkCorefile(ctx context.Context, coredns, file string) (*checkedConf, error) {
	named := file
	if file == "stdin" || file == "" { // coredns takes these for something else than a file
		named = "./" + file
	}
	var out, complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, coredns, "-check-conf", "-conf", named) //nolint:gosec // G204: the operator names it
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err := cmd.Run()
	said, wrong := out.String(), strings.TrimSpace(complaints.String())
	var ended *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, &exitError{exitInterrupted, "interrupted"}
	case err != nil && !errors.As(err, &ended):
		return nil, &exitError{exitUsage, fmt.Sprintf("%v; %s", err, wantCoreDNS)}
	case strings.HasPrefix(wrong, "flag provided but not defined"):
		return nil, &exitError{exitUsage, fmt.Sprintf(
			"%s is built without secondaryplus, or with an older one: it cannot check; %s", coredns, wantCoreDNS)}
	}
	for line := range strings.Lines(said) {
		if strings.HasPrefix(line, "[") { // the rest is not of a level that matters
			_, _ = fmt.Fprintln(a.err, scrubLine(strings.TrimSpace(line)))
		}
	}
	if err != nil {
		wrong = cmp.Or(wrong, err.Error())
		if !strings.Contains(wrong, filepath.Base(file)+":") {
			wrong = file + ": " + wrong
		}
		return nil, &exitError{exitUsage, wrong}
	}
	_, count, _ := strings.Cut(said, " is good; server blocks: ")
	blocks, err := strconv.Atoi(strings.TrimSpace(count))
	if err != nil {
		return nil, &exitError{exitUsage, fmt.Sprintf("%s does not say whether %s is good; %s", coredns, file, wantCoreDNS)}
	}
	return &checkedConf{File: file, ServerBlocks: blocks}, nil
}
