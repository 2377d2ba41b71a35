package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/spf13/cobra"

	"github.com/secondaryplus/secondaryplus/control"
)

func (a *app) eventsCommand() *cobra.Command {
	var ref control.Ref
	var follow bool
	cmd := &cobra.Command{
		Use:   "events [NAME]",
		Short: "Show what happened to a zone, or follow what happens to it or to all",
		Long: "Shows what happened to a zone, newest first. With --follow it shows the oldest first and goes on with what\n" +
			"happens until it is interrupted, without a name to all zones: one event a line, as JSON one object a line.",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeZones,
		RunE: func(c *cobra.Command, args []string) (err error) {
			if len(args) == 1 {
				if ref.Name, err = zoneArg(args[0]); err != nil {
					return err
				}
			} else if !follow {
				return &exitError{exitUsage, "events: want the name of a zone, or --follow for all zones"}
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			if follow {
				return a.follow(c, client, ref)
			}
			page, err := client.Events(c.Context(), ref)
			if err != nil {
				return unanswered(err)
			}
			return show(a, page, func(p *control.EventPage) { a.drawEvents(p.Events, true) })
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what happens")
	variantFlag(cmd, &ref.Variant)
	return cmd
}

// follow prints what happened to a zone, oldest first, and then each event that comes; of all zones only what comes.
func (a *app) follow(c *cobra.Command, client *control.Client, ref control.Ref) error {
	var last uint64
	each := func(e control.Event) error {
		last = max(last, e.ID)
		switch {
		case ref.Variant != "" && e.Kind != control.Lost && e.Variant != ref.Variant: // a stream is of a name
			return nil
		case a.output == "json":
			return a.json(&e, "")
		default:
			return show(a, &e, func(e *control.Event) { a.printf("%s\n", eventLine(e)) })
		}
	}
	if ref.Name != "" {
		page, err := client.Events(c.Context(), ref)
		if err != nil {
			return unanswered(err)
		}
		for _, e := range slices.Backward(page.Events) {
			if err := each(e); err != nil {
				return err
			}
		}
	}
	err := client.Follow(c.Context(), ref.Name, last, each)
	if c.Context().Err() != nil {
		return nil // the user has seen enough
	}
	return unanswered(err)
}

// failed reports whether an event is bad news. Remarks name a rule and stop nothing.
func failed(e *control.Event) bool {
	switch e.Result {
	case "", control.ResultOK, control.ResultTaken, control.ResultUnsigned:
		return false
	default:
		return e.Kind != control.Remarked
	}
}

// drawEvents writes a table of events, with the absolute time beside the relative one if it is wanted.
func (a *app) drawEvents(events []control.Event, absolute bool) {
	var rows [][]string
	for i := range events {
		e := &events[i]
		at := a.when(e.At)
		if absolute {
			at += " (" + e.At.UTC().Format(time.RFC3339) + ")"
		}
		result := e.Result
		if failed(e) {
			result = a.paint(control.Blocked, result)
		}
		rows = append(rows, []string{at, string(e.Kind), result, orDash(e.Primary), serials(e), transferred(e), times(e), told(e)})
	}
	a.table([]string{"WHEN", "EVENT", "RESULT", "PRIMARY", "SERIAL", "TRANSFERRED", "TIMES ", "MORE"}, rows)
}

// eventLine returns an event in one line, as it is written while following.
func eventLine(e *control.Event) string {
	words := []string{e.At.UTC().Format(time.RFC3339)}
	for _, word := range []string{e.Zone, string(e.Kind), e.Result} {
		if word != "" {
			words = append(words, word)
		}
	}
	add := func(name, value string) {
		if value != "" && value != "-" {
			words = append(words, name+"="+value)
		}
	}
	add("primary", e.Primary)
	add("serial", serials(e))
	if e.Records > 0 || e.Bytes > 0 {
		add("records", strconv.Itoa(e.Records))
		add("bytes", strconv.FormatInt(e.Bytes, 10))
	}
	if e.Seconds > 0 {
		add("took", fmt.Sprintf("%.3fs", e.Seconds))
	}
	if e.Count > 1 {
		add("times", strconv.Itoa(e.Count))
	}
	line := strings.Join(words, " ")
	if text := told(e); text != "" {
		line += ": " + text
	}
	return line
}

// told returns what an event says in words, and what to do about it.
func told(e *control.Event) string {
	if e.Text == "" || e.Advice == "" {
		return e.Text + e.Advice
	}
	return e.Text + ". " + e.Advice
}

// serials returns the serials before and after an event, as far as it has them.
func serials(e *control.Event) string {
	switch {
	case e.From != nil && e.To != nil && *e.From != *e.To:
		return number(e.From) + "->" + number(e.To)
	case e.To != nil:
		return number(e.To)
	default:
		return number(e.From)
	}
}

// transferred says what an event moved.
func transferred(e *control.Event) string {
	if e.Records == 0 && e.Bytes == 0 {
		return ""
	}
	return fmt.Sprintf("%d records, %s, %.3f s", e.Records, progress.FormatBytes(e.Bytes), e.Seconds)
}

// times says how often an event happened, if more than once.
func times(e *control.Event) string {
	if e.Count < 2 {
		return ""
	}
	return strconv.Itoa(e.Count)
}
