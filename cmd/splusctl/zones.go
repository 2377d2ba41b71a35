package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/secondaryplus/secondaryplus/control"
)

const (
	pageSize     = 500 // entries asked for at a time
	defaultLimit = 100 // entries shown
	unlimited    = 0
)

// pages fetches entries until there are limit of them or no more. fetch adds those at an offset, at most so many, and
// returns how many it added.
func pages(limit int, fetch func(offset, most int) (int, error)) error {
	for offset := 0; limit == unlimited || offset < limit; {
		most := pageSize
		if limit != unlimited {
			most = min(most, limit-offset)
		}
		n, err := fetch(offset, most)
		if err != nil || n == 0 {
			return err
		}
		offset += n
	}
	return nil
}

// wrongLimit returns the error of a --limit.
func wrongLimit(limit int) error {
	if limit < 1 {
		return &exitError{exitUsage, fmt.Sprintf("--limit %d: want at least 1", limit)}
	}
	return nil
}

func (a *app) zonesCommand() *cobra.Command {
	states := []string{"normal", "degraded", "blocked", "unknown", "notserved", "behind"}
	var query control.ZoneQuery
	var all bool
	var limit int
	cmd := &cobra.Command{
		Use:   "zones",
		Short: "List zones, those that need attention first",
		Example: "  splusctl zones --state blocked\n" +
			"  splusctl zones --all --output json | jq -r '.zones[] | select(.served | not) | .name'",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if query.State != "" && !slices.Contains(states, query.State) {
				return &exitError{exitUsage, fmt.Sprintf("--state %q: want one of %s", query.State, strings.Join(states, ", "))}
			}
			if err := wrongLimit(limit); err != nil {
				return err
			}
			if all {
				limit = unlimited
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			list := &control.ZonePage{Zones: []control.Summary{}}
			err = pages(limit, func(offset, most int) (int, error) {
				query.Offset, query.Limit = offset, most
				page, err := client.Zones(c.Context(), query)
				if err != nil {
					return 0, unanswered(err)
				}
				list.Zones = append(list.Zones, page.Zones...)
				list.Matching, list.Counts = page.Matching, page.Counts
				return len(page.Zones), nil
			})
			if err != nil {
				return err
			}
			return show(a, list, a.drawZones)
		},
	}
	f := cmd.Flags()
	f.StringVar(&query.State, "state", "", "only zones in this `STATE`: "+strings.Join(states, ", "))
	f.StringVar(&query.Search, "search", "", "only zones with this `TEXT` in the name")
	f.IntVar(&limit, "limit", defaultLimit, "at most `N` zones")
	f.BoolVar(&all, "all", false, "all zones")
	cmd.MarkFlagsMutuallyExclusive("all", "limit")
	complete(cmd, "state", states...)
	return cmd
}

func (a *app) drawZones(p *control.ZonePage) {
	if len(p.Zones) == 0 {
		a.printf("No such zone among %d.\n", p.Counts.Total)
		return
	}
	variants := slices.ContainsFunc(p.Zones, func(z control.Summary) bool { return z.Variant != p.Zones[0].Variant })
	header := []string{"ZONE", "STATE", "SINCE", "SERVED", "SERIAL ", "RECORDS ", "CHECKED", "NEXT", "REMARKS"}
	if variants {
		header = slices.Insert(header, 1, "VARIANT")
	}
	var rows [][]string
	for i := range p.Zones {
		z := &p.Zones[i]
		row := []string{z.Name, a.paint(z.State, string(z.State)), a.when(z.SinceAt), served(z), number(z.Serial),
			strconv.Itoa(z.Records), a.when(z.CheckedAt), a.when(z.NextAt), a.remarks(z)}
		if variants {
			row = slices.Insert(row, 1, z.Variant)
		}
		rows = append(rows, row)
	}
	a.table(header, rows)
	if more := p.Matching - len(p.Zones); more > 0 {
		a.printf("\nand %d more: --all or --limit N shows them\n", more)
	}
}

// served says whether a zone is answered for.
func served(z *control.Summary) string {
	switch {
	case z.Served:
		return "yes"
	case z.Expired:
		return "expired"
	default:
		return "no"
	}
}

// remarks says what else is out of the ordinary about a zone.
func (a *app) remarks(z *control.Summary) string {
	var all []string
	if z.Reason != "" {
		all = append(all, z.Reason)
	}
	if !z.BehindAt.IsZero() {
		all = append(all, "behind"+a.began(z.BehindAt))
	}
	if z.Discards > 0 {
		all = append(all, fmt.Sprintf("%d records not served", z.Discards))
	}
	if z.Transfer != nil {
		all = append(all, "transfer of "+amount(z.Transfer)+" so far")
	}
	return strings.Join(all, "; ")
}
