package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"

	"github.com/secondaryplus/secondaryplus/control"
)

// pollInterval is how long after one look at a zone that is waited for the next comes.
const pollInterval = 250 * time.Millisecond

// goal is what is waited for.
type goal int

const (
	upToDate        goal = iota // a primary says that the contents are its own, or they are transferred
	transferredAnew             // the contents are transferred
)

// await waits until it is known what came of the command, and writes it to d. The error is one of the server or of the user.
func (a *app) await(ctx context.Context, client *control.Client, g goal, d *outcome) error {
	meter := a.newMeter(d.Zone)
	defer meter.stop()
	for {
		z, err := client.Zone(ctx, control.Ref{Name: d.Zone, Variant: d.Variant})
		switch {
		case err == nil:
			if e := g.verdict(z, d.EventID); e != nil {
				d.decide(e)
				return nil
			}
			meter.draw(z)
		case !errors.Is(ctx.Err(), context.DeadlineExceeded):
			return unanswered(err)
		}
		select {
		case <-ctx.Done():
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return unanswered(context.Canceled)
			}
			d.Result, d.Detail, d.code = resultNoAnswer, "no outcome within --timeout; the server goes on with it", exitBadNews
			return nil
		case <-time.After(a.every):
		}
	}
}

// decide takes the event that ended the wait.
func (d *outcome) decide(e *control.Event) {
	d.Event, d.Result, d.Detail = e, e.Result, told(e)
	if failed(e) {
		d.code = exitBadNews
	}
}

// verdict returns the event that says what came of a command, nil while nothing does. A failure counts once the zone is not
// tried any more: IXFR may give way to AXFR, and one primary to the next.
func (g goal) verdict(z *control.Zone, command uint64) *control.Event {
	var newest, confirmed, transfer, check *control.Event
	for i := range slices.Backward(z.Events) { // oldest first
		e := &z.Events[i]
		if e.ID <= command {
			continue
		}
		newest = e
		switch e.Kind {
		case control.AXFRed, control.IXFRed, control.Confirmed:
			switch {
			case failed(e):
				transfer = e
			case g == upToDate, e.Kind != control.IXFRed: // a retransfer is whole: IXFR was under way before
				return e
			}
		case control.SOAChecked:
			if !failed(e) {
				confirmed = e
			} else {
				check = e
			}
		default: // not an attempt
		}
	}
	if newest == nil || trying(z, newest.At) {
		return nil
	}
	switch {
	case transfer != nil: // a newer version is out of reach, whatever other primaries say
		return transfer
	case confirmed != nil && g == upToDate:
		return confirmed
	case confirmed != nil:
		return untransferred(z, *confirmed)
	default:
		return check
	}
}

// untransferred returns the event of a check that no transfer followed, as the failure that it is of a command that wanted
// one.
func untransferred(z *control.Zone, e control.Event) *control.Event {
	e.Result, e.Text = "not_transferred", "the primary answered, and its version is not taken"
	for _, l := range z.Links {
		if l.Primary == e.Primary && l.Reason != "" {
			e.Result, e.Advice = l.Reason, l.Advice
		}
	}
	return &e
}

// trying reports whether a zone is being tried or due at a time, which is of the server's own clock.
func trying(z *control.Zone, now time.Time) bool {
	return z.Transfer != nil || z.NextAt.IsZero() || !z.NextAt.After(now)
}

// amount says how much a transfer has brought so far.
func amount(p *control.Progress) string {
	return fmt.Sprintf("%d records and %s", p.Records, progress.FormatBytes(p.Bytes))
}
