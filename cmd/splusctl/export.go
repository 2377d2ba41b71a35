package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/secondaryplus/secondaryplus/control"
)

func (a *app) exportCommand() *cobra.Command {
	var ref control.Ref
	var file string
	cmd := &cobra.Command{
		Use:   "export NAME",
		Short: "Write a zone as a zone file",
		Long: "Writes a zone as it is served, as a zone file. With --file the file is replaced once the whole zone is written;\n" +
			"until then it stays as it is.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeZones,
		RunE: func(c *cobra.Command, args []string) (err error) {
			if ref.Name, err = zoneArg(args[0]); err != nil {
				return err
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			if file != "" {
				return exportTo(c.Context(), client, ref, file)
			}
			out := a.out
			if a.screen {
				out = screenWriter{out}
			}
			return unanswered(client.Export(c.Context(), ref, out))
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "write to this `FILE`")
	variantFlag(cmd, &ref.Variant)
	return cmd
}

// exportTo replaces file by the zone. The new file lies beside it, under a name of its own, until it is whole.
func exportTo(ctx context.Context, client *control.Client, ref control.Ref, file string) error {
	partial := fmt.Sprintf("%s.%d.tmp", file, os.Getpid())
	//nolint:gosec // G302: as private as the user's umask makes it, for name servers run as others
	f, err := os.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return &exitError{exitUsage, err.Error()}
	}
	defer func() { _ = os.Remove(partial) }() // which fails after success: then it has its final name
	w := &failWriter{w: f}
	err = client.Export(ctx, ref, w)
	if err == nil {
		w.err = f.Sync()
	}
	if e := f.Close(); w.err == nil && err == nil {
		w.err = e
	}
	if w.err == nil && err == nil {
		w.err = os.Rename(partial, file)
	}
	if w.err != nil {
		return &exitError{exitUsage, w.err.Error()}
	}
	return unanswered(err)
}

// failWriter remembers the error of a file, which is not one of the server. It belongs to one goroutine.
type failWriter struct {
	w   io.Writer
	err error
}

func (f *failWriter) Write(b []byte) (int, error) {
	n, err := f.w.Write(b)
	f.err = err
	return n, err
}
