package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/spf13/cobra"

	"github.com/secondaryplus/secondaryplus/control"
)

// What the table of a zone holds at most; JSON has all that the server tells.
const (
	maxShownDiscards = 20
	maxShownEvents   = 15
)

func (a *app) zoneCommand() *cobra.Command {
	var ref control.Ref
	cmd := &cobra.Command{
		Use:   "zone NAME",
		Short: "Show a zone: why it is Blocked and what to do, its primaries, secondaries, timers and events",
		Long: "Shows a zone: why it is Blocked and what to do about it, its primaries, our own secondaries, its timers, the\n" +
			"records that are not served and what happened of late. Exits with 1 when the zone is Blocked or not served.",
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
			z, err := client.Zone(c.Context(), ref)
			if err != nil {
				return unanswered(err)
			}
			bad := z.State == control.Blocked || !z.Served
			return news(bad, show(a, z, a.drawZone))
		},
	}
	variantFlag(cmd, &ref.Variant)
	return cmd
}

func (a *app) drawZone(z *control.Zone) {
	name := z.Name
	if z.Variant != "" {
		name += " (" + z.Variant + ")"
	}
	a.printf("%s on %s\n", name, strings.Join(z.Blocks, ", "))
	a.printf("%s%s. %s\n", a.paint(z.State, string(z.State)), a.began(z.SinceAt), a.contents(z))
	if z.Transfer != nil {
		p := z.Transfer
		a.printf("A transfer from %s is running%s: %s so far.\n", p.Primary, a.began(p.BeganAt), amount(p))
	}
	a.drawTrouble(z)
	a.section("Primaries")
	var links [][]string
	for i := range z.Links {
		l := &z.Links[i]
		links = append(links, []string{l.Primary, orDash(l.Key), a.paint(l.State, string(l.State)), a.when(l.SinceAt),
			orDash(l.Reason), number(l.Serial), a.when(l.LastOKAt), dashForNone(l.Failures), a.when(l.RetryAt), linkRemarks(l)})
	}
	a.table([]string{"PRIMARY", "KEY", "STATE", "SINCE", "REASON", "SERIAL ", "LAST GOOD", "FAILURES ", "BACK-OFF ENDS",
		"REMARKS"}, links)
	if z.RefusedNotifies > 0 {
		a.printf("NOTIFYs refused since the start: %d; see splusctl events %s\n", z.RefusedNotifies, z.Name)
	}
	if len(z.Secondaries) > 0 {
		a.section("Our own secondaries")
		a.drawSecondariesOf(z, z.Secondaries[:min(len(z.Secondaries), maxShownSecondaries)])
	}
	a.drawSOAs(z)
	a.section("Timers")
	a.table([]string{"TIMER", "SPAN ", "DUE"}, [][]string{
		{"refresh", timer(z.Timers.Refresh), a.due(z)},
		{"retry", timer(z.Timers.Retry), failures(z.Failures)},
		{"expire", timer(z.Timers.Expire), a.when(z.ExpireAt)},
	})
	a.drawDiscards(z)
	if len(z.Events) > 0 {
		a.section("Events, newest first")
		a.drawEvents(z.Events[:min(len(z.Events), maxShownEvents)], false)
	}
}

func (a *app) section(title string) { a.printf("\n%s\n", title) }

// contents says what is served of a zone.
func (a *app) contents(z *control.Zone) string {
	switch {
	case z.Expired:
		return "Not served: the contents expired."
	case !z.Served:
		return "Not served: nothing has been transferred yet."
	}
	s := fmt.Sprintf("Served: serial %s, %d records, %s, confirmed %s",
		number(z.Serial), z.Records, progress.FormatBytes(z.Bytes), a.when(z.CheckedAt))
	if z.Signed {
		s += ", signed"
	}
	return s + "."
}

// due says when the next attempt is.
func (a *app) due(z *control.Zone) string {
	if z.NextAt.IsZero() {
		return "running"
	}
	return a.when(z.NextAt)
}

// timer returns a span in force, a dash where there is none: before the first transfer.
func timer(n int64) string {
	if n == 0 {
		return "-"
	}
	return seconds(n)
}

// dashForNone returns n, or a dash for 0.
func dashForNone(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

// failures says how many rounds failed, a dash for none.
func failures(rounds int) string {
	if rounds == 0 {
		return "-"
	}
	return fmt.Sprintf("rounds failed in a row: %d", rounds)
}

// drawTrouble says what is wrong with a zone and what to do about it.
func (a *app) drawTrouble(z *control.Zone) {
	var b strings.Builder
	for i := range z.Links {
		l := &z.Links[i]
		if l.State != control.Blocked {
			continue
		}
		fmt.Fprintf(&b, "  %s is %s: %s%s", l.Primary, a.paint(l.State, string(l.State)), orDash(l.Reason), a.began(l.SinceAt))
		if l.Failures > 0 { // a primary that answers what cannot be used does not count as one that fails
			fmt.Fprintf(&b, ", failures in a row: %d", l.Failures)
		}
		b.WriteString("\n")
		if text := lastFailure(z, l); text != "" {
			fmt.Fprintf(&b, "    Seen:   %s\n", text)
		}
		if l.Advice != "" {
			fmt.Fprintf(&b, "    Advice: %s\n", l.Advice)
		}
	}
	if !z.BehindAt.IsZero() {
		fmt.Fprintf(&b, "  A primary has had a newer version, first seen %s\n", a.when(z.BehindAt))
	}
	if !z.DifferAt.IsZero() {
		fmt.Fprintf(&b, "  The primaries have had different serials, first seen %s\n", a.when(z.DifferAt))
	}
	if b.Len() > 0 {
		a.section("What is wrong")
		a.printf("%s", b.String())
	}
}

// lastFailure returns why a link is Blocked, in words, and nothing where that is not remembered.
func lastFailure(z *control.Zone, l *control.Link) string {
	for i := range z.Events {
		if e := &z.Events[i]; e.Primary == l.Primary && e.Result == l.Reason && failed(e) {
			return e.Text
		}
	}
	return ""
}

// linkRemarks says what else is out of the ordinary about a link.
func linkRemarks(l *control.Link) string {
	var all []string
	if l.Damped {
		all = append(all, "fell often: stays Blocked until it holds")
	}
	for _, w := range l.Ways {
		all = append(all, w.Text)
	}
	return strings.Join(all, "; ")
}

func (a *app) drawSOAs(z *control.Zone) {
	var rows [][]string
	add := func(what string, s *control.SOA) {
		if s != nil {
			rows = append(rows, []string{what, strconv.FormatInt(s.Serial, 10), seconds(s.Refresh), seconds(s.Retry),
				seconds(s.Expire), seconds(s.Minimum), s.Primary, s.Mailbox})
		}
	}
	add("served", z.ServedSOA)
	add("saved", z.SavedSOA)
	if s := z.NotifiedSOA; s != nil {
		rows = append(rows, []string{"NOTIFY", strconv.FormatInt(s.Serial, 10), "-", "-", "-", "-", "came " + a.when(s.At)})
	}
	if len(rows) > 0 {
		a.section("SOA")
		a.table([]string{"SOA", "SERIAL ", "REFRESH ", "RETRY ", "EXPIRE ", "MINIMUM ", "PRIMARY", "MAILBOX"}, rows)
	}
}

func (a *app) drawDiscards(z *control.Zone) {
	if len(z.Discarded) == 0 {
		return
	}
	a.section(fmt.Sprintf("Not served, because other records exclude them: %d records", z.Discards))
	var rows [][]string
	for _, d := range z.Discarded[:min(len(z.Discarded), maxShownDiscards)] {
		rows = append(rows, []string{d.Name, d.Type, strconv.Itoa(d.Records), d.Rule})
	}
	a.table([]string{"NAME", "TYPE", "RECORDS ", "RULE"}, rows)
	if len(z.Discarded) > maxShownDiscards {
		a.printf("and more: --output json shows them\n")
	}
}
