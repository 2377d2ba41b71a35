package main

import (
	"fmt"
	"strconv"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/secondaryplus/secondaryplus/internal/check"
)

// maxDetailWidth is how many columns the sentences of a check may take: with what stands before them they fit a wide
// terminal.
const maxDetailWidth = 90

func newCheckCommand() *cobra.Command {
	o := check.DefaultOptions()
	cmd := &cobra.Command{
		Use:   "check ZONE --primary ADDRESS",
		Short: "Check a zone and its primaries before, or after, it is put into a Corefile",
		Long: "Asks each primary for the SOA, transfers the zone as a dry run under the rules, asks for differences, and\n" +
			"compares the primaries with one another. Prints the glue that the parent has to have, and with --parent\n" +
			"compares it with what the parent has. With --self says which deployment the name servers make.\n" +
			"Nothing is changed, and no server of secondaryplus is asked. Exits with 1 when there is a problem.",
		Example: "  splusctl check example.org --primary 192.0.2.1 --primary 198.51.100.1 --key-file transfer.key",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o.Zone = args[0]
			return runCheck(c, o)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.Primaries, "primary", nil, "`ADDRESS` of a primary, with an optional port; repeatable")
	f.StringVar(&o.KeyFile, "key-file", "", "`FILE` with the TSIG key: key clauses, or a file of dnssec-keygen")
	f.StringVar(&o.Key, "key", "", "`NAME` of the key, if the file holds several")
	f.StringVar(&o.Source, "source", "", "local `ADDRESS` to speak from")
	f.StringVar(&o.Conflicts, "conflicts", o.Conflicts, "`RULES` for records that exclude each other: rfc, alibaba or off")
	f.StringVar(&o.MaxRecords, "max-records", o.MaxRecords, "`NUMBER` of records that are accepted, or unlimited")
	f.StringVar(&o.MaxSize, "max-size", o.MaxSize, "`SIZE` in bytes that is accepted, with an optional K, M or G")
	f.StringVar(&o.SerialZero, "serial-zero", o.SerialZero, "`ANSWER` to serial 0: stop or accept")
	f.StringVar(&o.Parent, "parent", "", "`ADDRESS` of a name server of the parent zone, to compare NS records and glue")
	f.StringSliceVar(&o.Self, "self", nil, "`NAME` under which a server of ours stands in NS records; repeatable")
	f.DurationVar(&o.Timeout, "timeout", o.Timeout, "how long each step may take")
	complete(cmd, "conflicts", "rfc", "alibaba", "off")
	complete(cmd, "serial-zero", "stop", "accept")
	return cmd
}

func runCheck(c *cobra.Command, o check.Options) error {
	output, err := c.Flags().GetString("output")
	if err != nil {
		return err
	}
	r, err := check.Run(c.Context(), o)
	switch {
	case err != nil:
		return &exitError{exitUsage, err.Error()}
	case c.Context().Err() != nil:
		return &exitError{exitInterrupted, "interrupted"}
	}
	a := &app{out: c.OutOrStdout(), output: output}
	return news(r.Count(check.Problem) > 0, show(a, r, a.drawCheck))
}

func (a *app) drawCheck(r *check.Report) {
	a.printf("%s: problems %d, warnings %d\n", r.Zone, r.Count(check.Problem), r.Count(check.Warning))
	a.section("Primaries")
	var rows [][]string
	for i := range r.Primaries {
		rows = append(rows, primaryRow(&r.Primaries[i]))
	}
	a.table([]string{"PRIMARY", "KEY", "SERIAL ", "RECORDS ", "SIZE ", "SECONDS ", "ACCEPTED", "IXFR"}, rows)
	a.drawFindings("In general", r.Findings)
	for i := range r.Primaries {
		a.drawFindings("Primary "+r.Primaries[i].Address, r.Primaries[i].Findings)
	}
	a.drawFindings("The primaries together", r.Agreement)
	if g := r.Glue; g != nil {
		if len(g.Hosts) > 0 {
			a.section(fmt.Sprintf("Glue to register at the parent, by serial %d of %s", g.Serial, g.Primary))
			a.drawHosts(g.Hosts)
		}
		a.drawFindings("Name servers in the zone", g.Findings)
	}
	if p := r.Parent; p != nil {
		a.drawFindings("Parent, asked at "+p.Address, p.Findings)
	}
	if m := r.Mode; m != nil {
		a.drawFindings("Deployment", m.Findings)
	}
}

// primaryRow returns a primary in one line.
func primaryRow(p *check.Primary) []string {
	row := []string{p.Address, orDash(p.Key), number(p.Serial), "-", "-", "-", "no", orDash(string(p.IXFR))}
	if t := p.Transfer; t != nil {
		row[3], row[5] = strconv.Itoa(t.Records), strconv.FormatFloat(t.Seconds, 'f', 3, 64)
		if t.Size > 0 {
			row[4] = progress.FormatBytes(t.Size)
		}
		if t.Accepted {
			row[6] = "yes"
		}
	}
	return row
}

// drawFindings writes findings below a title, with their advice on lines of its own.
func (a *app) drawFindings(title string, found []check.Finding) {
	if len(found) == 0 {
		return
	}
	a.section(title)
	var rows [][]string
	for _, f := range found {
		cell := text.WrapSoft(f.Detail, maxDetailWidth)
		if f.Advice != "" {
			cell += "\n" + text.WrapSoft("Advice: "+f.Advice, maxDetailWidth)
		}
		rows = append(rows, []string{string(f.Severity), f.What, cell})
	}
	a.table([]string{"", "WHAT", "FOUND"}, rows)
}

// drawHosts writes one line for each address of each host, as registries ask for them.
func (a *app) drawHosts(hosts []check.Host) {
	var rows [][]string
	for _, h := range hosts {
		for _, address := range h.Addresses {
			rows = append(rows, []string{h.Name, address})
		}
		if len(h.Addresses) == 0 {
			rows = append(rows, []string{h.Name, "-"})
		}
	}
	a.table([]string{"HOST", "ADDRESS"}, rows)
}
