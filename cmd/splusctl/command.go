package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/spf13/cobra"

	"github.com/secondaryplus/secondaryplus/control"
)

const defaultTimeout = 2 * time.Minute

// order is one command to the server for some zones, and whether to wait for what comes of it. It is a plain value.
type order struct {
	variant string
	wait    bool
	timeout time.Duration
	goal    goal
	send    func(*control.Client, context.Context, control.Ref) (*control.Done, error) // a method of the client
}

// What a command ends with for a zone where it is no reason of a failure.
const (
	resultRefused  = "refused"  // by the server
	resultNobody   = "nobody"   // there is nobody to notify
	resultNoAnswer = "too late" // nothing came of it in time
)

// outcome is what came of a command for one zone. It is a plain value; as JSON it is what --output json shows.
type outcome struct {
	Zone    string         `json:"zone"`
	Variant string         `json:"variant,omitempty"`
	EventID uint64         `json:"eventId,omitempty"` // of the command
	Result  string         `json:"result"`            // accepted, ok, refused, nobody, too late, or the reason of the failure
	Detail  string         `json:"detail,omitempty"`
	Event   *control.Event `json:"event,omitempty"` // that decided, if it was waited for
	code    int            // that the program exits with
}

func (a *app) refreshCommand() *cobra.Command {
	o := order{goal: upToDate, send: (*control.Client).Refresh}
	cmd := a.orderCommand(&o)
	cmd.Use, cmd.Short = "refresh NAME...", "Ask the primaries of zones now, and transfer what is newer"
	waitFlags(cmd, &o)
	return cmd
}

func (a *app) retransferCommand() *cobra.Command {
	var force bool
	o := order{goal: transferredAnew, send: func(c *control.Client, ctx context.Context, z control.Ref) (*control.Done, error) {
		return c.Retransfer(ctx, z, force)
	}}
	cmd := a.orderCommand(&o)
	cmd.Use, cmd.Short = "retransfer NAME", "Transfer a zone as a whole, even if its serial is the same"
	cmd.Args = cobra.ExactArgs(1)
	cmd.Flags().BoolVar(&force, "force", false, "also accept a version whose serial is lower, or that lost its apex NS")
	waitFlags(cmd, &o)
	cmd.Long += " If another\nprimary still has a higher serial than one that --force has taken, the zone follows that one again."
	return cmd
}

func (a *app) notifyCommand() *cobra.Command {
	cmd := a.orderCommand(&order{send: (*control.Client).Notify})
	cmd.Use, cmd.Short = "notify NAME...", "Notify our own secondaries of the versions that are served"
	return cmd
}

func (a *app) flushCommand() *cobra.Command {
	cmd := a.orderCommand(&order{send: (*control.Client).Flush})
	cmd.Use, cmd.Short = "flush NAME...", "End the back-off of the primaries of zones"
	return cmd
}

func waitFlags(cmd *cobra.Command, o *order) {
	cmd.Long = cmd.Short + ".\n\nWith --wait it ends when the outcome is known, and exits with 1 when that is a failure."
	cmd.Flags().BoolVar(&o.wait, "wait", false, "wait for the outcome")
	cmd.Flags().DurationVar(&o.timeout, "timeout", defaultTimeout, "how long to wait for all")
}

// orderCommand returns a command that carries out o for the zones it is given.
func (a *app) orderCommand(o *order) *cobra.Command {
	cmd := &cobra.Command{
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeZones,
		RunE: func(c *cobra.Command, args []string) error {
			refs := make([]control.Ref, len(args))
			for i, arg := range args {
				name, err := zoneArg(arg)
				if err != nil {
					return err
				}
				refs[i] = control.Ref{Name: name, Variant: o.variant}
			}
			if o.wait && o.timeout <= 0 {
				return &exitError{exitUsage, fmt.Sprintf("--timeout %v: want more than 0", o.timeout)}
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			return a.carryOut(c.Context(), client, o, refs)
		},
	}
	variantFlag(cmd, &o.variant)
	return cmd
}

// carryOut sends the command for all zones first, so that the server works at them together, and then waits for each. The
// error is that of the first zone that went wrong, after all have been tried; once the server is not reached, no more are.
func (a *app) carryOut(ctx context.Context, client *control.Client, o *order, refs []control.Ref) error {
	outcomes := make([]outcome, 0, len(refs))
	for _, ref := range refs {
		done, err := o.send(client, ctx, ref)
		if problem, ok := errors.AsType[*control.Problem](err); ok {
			d := outcome{Zone: ref.Name, Variant: ref.Variant, Result: resultRefused, Detail: problem.Error(), code: exitRefused}
			if problem.Status == http.StatusUnprocessableEntity { // it was understood, and there is nothing to do it with
				d.Result, d.Detail, d.code = resultNobody, problem.Detail, exitBadNews
			}
			outcomes = append(outcomes, d)
			continue
		}
		if err != nil {
			return unanswered(err)
		}
		d := outcome{Zone: ref.Name, Variant: ref.Variant, EventID: done.EventID, Result: control.ResultTaken}
		outcomes = append(outcomes, d)
	}
	wait := ctx
	if o.wait {
		var cancel context.CancelFunc
		wait, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	code := exitFine
	for i := range outcomes {
		d := &outcomes[i]
		if o.wait && d.code == exitFine {
			if err := a.await(wait, client, o.goal, d); err != nil {
				return err
			}
		}
		if code == exitFine {
			code = d.code
		}
		if a.output != "json" {
			a.printf("%s\n", d)
		}
	}
	if a.output == "json" {
		if err := a.json(outcomes, "  "); err != nil {
			return err
		}
	}
	if code != exitFine {
		return &exitError{code: code}
	}
	return nil
}

// String returns the outcome in one line, for a person.
func (d *outcome) String() string {
	line := d.Zone + ": " + d.Result
	if e := d.Event; e != nil {
		line += ", " + string(e.Kind)
		if e.Primary != "" {
			line += " from " + e.Primary
		}
		if s := serials(e); s != "-" {
			line += ", serial " + s
		}
		if e.Records > 0 || e.Bytes > 0 {
			line += fmt.Sprintf(", %d records and %s in %.3f s", e.Records, progress.FormatBytes(e.Bytes), e.Seconds)
		}
	}
	if d.Detail != "" {
		line += ": " + d.Detail
	}
	return scrubLine(line)
}
