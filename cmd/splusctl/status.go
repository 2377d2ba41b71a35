package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/secondaryplus/secondaryplus/control"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show how the server and its zones stand",
		Long: "Shows how the server and its zones stand. Exits with 1 when a zone is Blocked or not served,\n" +
			"or when the store fails.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			o, err := client.Status(c.Context())
			if err != nil {
				return unanswered(err)
			}
			bad := o.Zones.Blocked > 0 || o.Zones.NotServed > 0 || o.Store.State == control.StoreFailing
			return news(bad, show(a, o, a.drawStatus))
		},
	}
}

// news makes bad news of what was shown the exit code, unless err has one.
func news(bad bool, err error) error {
	if bad && err == nil {
		return &exitError{code: exitBadNews}
	}
	return err
}

func (a *app) drawStatus(o *control.Overview) {
	a.printf("%s  %s, started %s\n\n", orDash(o.Host), orDash(o.Version), a.when(o.StartedAt))
	z := o.Zones
	row := func(name string, n int, state control.State) []string {
		count := strconv.Itoa(n)
		if n > 0 {
			count = a.paint(state, count)
		}
		return []string{name, count}
	}
	a.table([]string{"ZONES", strconv.Itoa(z.Total) + " "}, [][]string{
		row("Normal", z.Normal, control.Normal),
		row("Degraded", z.Degraded, control.Degraded),
		row("Blocked", z.Blocked, control.Blocked),
		row("Unknown", z.Unknown, control.Unknown),
		row("not served", z.NotServed, control.Blocked),
		row("behind", z.Behind, control.Unknown),
	})
	a.printf("\nTransfers  %d running of %d, %d waiting\n", o.Transfers.Running, o.Transfers.Limit, o.Transfers.Waiting)
	a.drawStore(&o.Store)
	if z.Blocked > 0 {
		a.printf("\nMore: splusctl zones --state blocked, and splusctl zone NAME\n")
	} else if z.NotServed > 0 {
		a.printf("\nMore: splusctl zones --state notserved, and splusctl zone NAME\n")
	} else if z.Degraded > 0 {
		a.printf("\nMore: splusctl zones --state degraded, and splusctl zone NAME\n")
	}
}

// drawStore says whether what is served outlives the process.
func (a *app) drawStore(s *control.Store) {
	switch s.State {
	case control.StoreOff:
		a.printf("Store      none: after a restart every zone is transferred again\n")
	case control.StoreFailing:
		a.printf("Store      %s: %s%s; zones not saved: %d\n", s.Path, a.paint(control.Blocked, "failing"), a.began(s.SinceAt), s.Unsaved)
		a.printf("           %s\n", s.Error)
		a.printf("           Mend it before the next restart: what it lacks is transferred again then.\n")
	case control.StoreOK:
		a.printf("Store      %s\n", s.Path)
	}
}
