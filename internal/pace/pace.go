// Package pace says when a SOA query may be sent: a process keeps to one rate, whoever asks for the checks.
package pace

import (
	"context"
	"time"

	"golang.org/x/time/rate"
)

const (
	// hintShare is the part of the rate that unsigned NOTIFYs can claim, the rest is for checks that are due and for signed ones.
	// With the default rate that is 25 a second, more than the 20 NOTIFYs a second that BIND sends (notify-rate).
	hintShare = 2

	// maxHintWait is how long the check for an unsigned NOTIFY waits for its turn in the process. Beyond that it is left to
	// REFRESH: whoever sends so many would not let it come sooner.
	maxHintWait = 10 * time.Minute
)

// Pace is the rate of SOA queries. It is safe for concurrent use.
type Pace struct {
	all     *rate.Limiter
	repeats *rate.Limiter // of all, for the messages of a query after its first
	hints   *rate.Limiter // checks that unsigned NOTIFYs ask for
}

// New returns a pace of nothing, until Limit.
func New() *Pace { return &Pace{rate.NewLimiter(0, 1), rate.NewLimiter(0, 1), rate.NewLimiter(0, 1)} }

// Limit says how many messages a second there may be.
func (p *Pace) Limit(perSecond float64) {
	p.all.SetLimit(rate.Limit(perSecond))
	p.all.SetBurst(max(1, int(perSecond)))
	// Repeated messages of queries to silent primaries take half of the rate at most: so a query that comes after them waits for
	// few of them.
	p.repeats.SetLimit(rate.Limit(perSecond / 2))
	p.hints.SetLimit(rate.Limit(perSecond / hintShare))
	p.hints.SetBurst(max(1, int(perSecond/hintShare)))
}

// Wait waits until the first message of a query may be sent. The error is that of the context.
func (p *Pace) Wait(ctx context.Context) error { return p.all.Wait(ctx) }

// WaitRepeat waits until a later message of a query may be sent. The error is that of the context.
func (p *Pace) WaitRepeat(ctx context.Context) error {
	if err := p.repeats.Wait(ctx); err != nil {
		return err
	}
	return p.all.Wait(ctx)
}

// Hint returns after how long there may be the check that an unsigned NOTIFY asks for; ok is false where there may be none.
func (p *Pace) Hint(now time.Time) (after time.Duration, ok bool) {
	turn := p.hints.ReserveN(now, 1)
	if after = turn.DelayFrom(now); after > maxHintWait {
		turn.CancelAt(now)
		return 0, false
	}
	return after, true
}

// Hints returns how many checks unsigned NOTIFYs can claim at once now.
func (p *Pace) Hints() float64 { return p.hints.Tokens() }
