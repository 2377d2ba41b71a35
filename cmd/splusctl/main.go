// Command splusctl watches and steers a CoreDNS with secondaryplus over its control API, and checks Corefiles and zones.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	a := &app{
		out:    os.Stdout,
		err:    os.Stderr,
		getenv: os.Getenv,
		now:    time.Now, // the only clock of this program
		every:  pollInterval,
		screen: term.IsTerminal(int(os.Stdout.Fd())),
		live:   term.IsTerminal(int(os.Stderr.Fd())),
	}
	a.self, _ = os.Executable() // without, coredns is looked for in PATH
	a.color = a.screen && os.Getenv("NO_COLOR") == ""
	code := a.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// run does what args say and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := newRootCommand(a)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && err.Error() != "" {
		_, _ = fmt.Fprintln(a.err, "splusctl: "+strings.TrimSpace(scrubText(err.Error())))
	}
	return exitCode(err)
}
