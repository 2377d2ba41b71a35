package main

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the manual pages to a directory",
		Hidden: true, // for those who make packages
		Args:   cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil { //nolint:gosec // G301: manual pages are for everybody
				return &exitError{exitUsage, err.Error()}
			}
			root := c.Root()
			root.DisableAutoGenTag = true // no date: the same pages from the same source
			header := &doc.GenManHeader{Section: "1", Source: "secondaryplus " + programVersion(), Manual: "secondaryplus"}
			if err := doc.GenManTree(root, header, args[0]); err != nil {
				return &exitError{exitUsage, err.Error()}
			}
			return nil
		},
	}
}
