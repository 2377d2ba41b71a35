package main

import (
	"github.com/spf13/cobra"

	"github.com/secondaryplus/secondaryplus/control"
)

func (a *app) scheduleCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "schedule",
		Short: "Show what is due next",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := wrongLimit(limit); err != nil {
				return err
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			list := &control.SchedulePage{Appointments: []control.Appointment{}}
			err = pages(limit, func(offset, most int) (int, error) {
				page, err := client.Schedule(c.Context(), offset, most)
				if err != nil {
					return 0, unanswered(err)
				}
				list.Appointments, list.Matching = append(list.Appointments, page.Appointments...), page.Matching
				return len(page.Appointments), nil
			})
			if err != nil {
				return err
			}
			return show(a, list, a.drawSchedule)
		},
	}
	cmd.Flags().IntVar(&limit, "limit", defaultLimit, "at most `N` entries")
	return cmd
}

func (a *app) drawSchedule(p *control.SchedulePage) {
	var rows [][]string
	for _, e := range p.Appointments {
		rows = append(rows, []string{a.when(e.At), e.Why, e.Name, e.Variant})
	}
	a.table([]string{"WHEN", "WHAT", "ZONE", "VARIANT"}, rows)
	if more := p.Matching - len(p.Appointments); more > 0 {
		a.printf("\nand %d more: --limit N shows them\n", more)
	}
}
