package main

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/spf13/cobra"

	"github.com/secondaryplus/secondaryplus/control"
)

// maxShownSecondaries is how many secondaries the table of a zone has; the command secondaries has all.
const maxShownSecondaries = 10

func (a *app) secondariesCommand() *cobra.Command {
	var variant string
	var limit int
	cmd := &cobra.Command{
		Use:   "secondaries [ZONE]",
		Short: "Show how our own secondaries stand: by address, or those of a zone",
		Long: "Shows how our own secondaries stand: those that are told of new versions, and those that were seen to ask\n" +
			"for them. Without a zone there is one line for each address, the worst first.\n\n" +
			"    current  it is known to have the version served, or a newer one\n" +
			"    behind   it is known to have another one\n" +
			"    failing  it is not known to have the version served, and leaves NOTIFYs unanswered or refuses them\n" +
			"    unknown  it was not seen to ask for a version or to take one, or none is served\n\n" +
			"Exits with 1 when one is failing.",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeZones,
		RunE: func(c *cobra.Command, args []string) error {
			if err := wrongLimit(limit); err != nil {
				return err
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return a.secondariesByAddress(c, client, limit)
			}
			name, err := zoneArg(args[0])
			if err != nil {
				return err
			}
			z, err := client.Zone(c.Context(), control.Ref{Name: name, Variant: variant})
			if err != nil {
				return unanswered(err)
			}
			all := z.Secondaries
			some := all[:min(len(all), limit)]
			return news(anyFails(all), show(a, &some, func(*[]control.Secondary) { a.drawSecondariesOf(z, some) }))
		},
	}
	variantFlag(cmd, &variant)
	cmd.Flags().IntVar(&limit, "limit", defaultLimit, "at most `N` secondaries")
	return cmd
}

func anyFails(all []control.Secondary) bool {
	return slices.ContainsFunc(all, func(s control.Secondary) bool { return s.State == control.SecondaryFailing })
}

func (a *app) secondariesByAddress(c *cobra.Command, client *control.Client, limit int) error {
	list := &control.SecondaryPage{Secondaries: []control.SecondaryLine{}}
	err := pages(limit, func(offset, most int) (int, error) {
		page, err := client.Secondaries(c.Context(), offset, most)
		if err != nil {
			return 0, unanswered(err)
		}
		list.Secondaries = append(list.Secondaries, page.Secondaries...)
		list.Matching, list.Omitted = page.Matching, page.Omitted
		return len(page.Secondaries), nil
	})
	if err != nil {
		return err
	}
	bad := slices.ContainsFunc(list.Secondaries, func(l control.SecondaryLine) bool { return l.Failing > 0 })
	return news(bad, show(a, list, a.drawSecondaries))
}

func (a *app) drawSecondaries(p *control.SecondaryPage) {
	if len(p.Secondaries) == 0 {
		a.printf("Nobody is told of new versions, and nobody has asked for any.\n")
		return
	}
	var rows [][]string
	for _, l := range p.Secondaries {
		count := func(n int, s control.SecondaryState) string {
			if n == 0 {
				return "-"
			}
			return a.paint(likeState(s), strconv.Itoa(n))
		}
		rows = append(rows, []string{
			l.Address, strconv.Itoa(l.Zones), count(l.Failing, control.SecondaryFailing), count(l.Behind, control.SecondaryBehind),
			count(l.Unknown, control.SecondaryUnknown), count(l.Current, control.SecondaryCurrent),
			a.when(l.BehindAt), a.when(l.SentAt), a.when(l.AnswerAt),
		})
	}
	a.table([]string{"SECONDARY", "ZONES ", "FAILING ", "BEHIND ", "UNKNOWN ", "CURRENT ", "BEHIND SINCE", "LAST TRANSFER",
		"LAST ANSWER"}, rows)
	if more := p.Matching - len(p.Secondaries); more > 0 {
		a.printf("\nand %d more: --limit N shows them\n", more)
	}
	if p.Omitted > 0 {
		a.printf("\nNot counted: %d zones of more addresses than there is room for\n", p.Omitted)
	}
}

// drawSecondariesOf shows some of the secondaries of a zone.
func (a *app) drawSecondariesOf(z *control.Zone, some []control.Secondary) {
	if len(some) == 0 {
		a.printf("Nobody is told of new versions, and nobody has asked for any.\n")
		return
	}
	var rows [][]string
	for i := range some {
		s := &some[i]
		rows = append(rows, []string{
			s.Address, orDash(s.Key), a.paint(likeState(s.State), string(s.State)), number(s.Has), a.when(s.BehindAt),
			a.asked(s), a.lastTransfer(s), a.lastNotify(s),
		})
	}
	a.table([]string{"SECONDARY", "KEY", "STATE", "HAS ", "BEHIND SINCE", "LAST ASKED", "LAST TRANSFER", "LAST NOTIFY"}, rows)
	if more := len(z.Secondaries) - len(some); more > 0 {
		a.printf("and %d more: splusctl secondaries %s --limit N shows them\n", more, z.Name)
	}
}

// likeState returns the state of a zone that has the color of a secondary's.
func likeState(s control.SecondaryState) control.State {
	switch s {
	case control.SecondaryCurrent:
		return control.Normal
	case control.SecondaryFailing:
		return control.Blocked
	case control.SecondaryBehind, control.SecondaryUnknown:
	}
	return control.Unknown
}

func (a *app) asked(s *control.Secondary) string {
	if s.Asked == nil {
		return "-"
	}
	return fmt.Sprintf("from %d, %s", s.Asked.Serial, a.when(s.Asked.At))
}

func (a *app) lastTransfer(s *control.Secondary) string {
	if s.Sent == nil {
		return "-"
	}
	return fmt.Sprintf("%s of %d, %s, %s", s.Sent.Kind, s.Sent.Serial, progress.FormatBytes(s.Sent.Bytes), a.when(s.Sent.At))
}

// lastNotify says what became of the latest NOTIFY.
func (a *app) lastNotify(s *control.Secondary) string {
	n := s.Notified
	if n == nil {
		return "-"
	}
	line := string(n.Result)
	if n.Serial != nil {
		line = number(n.Serial) + " " + line
	}
	if n.Answer != "" {
		line += " (" + n.Answer + ")"
	}
	switch {
	case !n.FailingSinceAt.IsZero():
		return line + fmt.Sprintf(", %d attempts%s", n.Attempts, a.began(n.FailingSinceAt))
	case !n.At.IsZero():
		return line + ", " + a.when(n.At)
	}
	return line
}
