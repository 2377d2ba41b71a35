package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// versions are those of what the program is made of. It is a plain value; as JSON it is what version --output json shows.
type versions struct {
	Program string `json:"splusctl"`
	Go      string `json:"go"`
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version of this program",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := &versions{Program: programVersion(), Go: runtime.Version()}
			return show(a, v, func(v *versions) { a.printf("splusctl %s\n%s\n", v.Program, v.Go) })
		},
	}
}

// programVersion returns the version that Go stamped on the program: of a tag, of a commit, or "(devel)".
func programVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
