package check

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/corefile"
	"github.com/secondaryplus/secondaryplus/internal/serial"
)

const (
	maxAtOnce  = 4 // primaries that are asked at the same time
	maxSamples = 5 // records or names that one finding mentions
)

// Run checks a zone. An error says which option is wrong; what is wrong with the zone or its primaries is in the Report.
// Once ctx is done what is left of the check fails at once, and the Report is of no use.
func Run(ctx context.Context, o Options) (*Report, error) {
	p, err := o.plan()
	if err != nil {
		return nil, err
	}
	r := &Report{Zone: p.origin.String(), Findings: p.judgeKey()}
	checks := p.checkPrimaries(ctx)
	for _, c := range checks {
		r.Primaries = append(r.Primaries, c.report)
	}
	if len(checks) > 1 {
		r.Agreement = agreement(checks)
	}
	best := newest(checks)
	if best == nil {
		r.Findings = append(r.Findings, Finding{
			Warning, "not_checked", "glue, parent and deployment are not checked: no primary gave the zone", "",
		})
		return r, nil
	}
	servers := p.serversOf(best.contents)
	r.Glue = p.checkGlue(servers, best)
	if p.parent.IsValid() {
		r.Parent = p.checkParent(ctx, servers)
	}
	if len(p.self) > 0 {
		r.Mode = p.checkMode(servers, r.Parent)
	}
	return r, nil
}

// checkPrimaries checks all primaries, some at the same time, and returns the checks in the order of the options.
func (p *plan) checkPrimaries(ctx context.Context) []*primaryCheck {
	checks := make([]*primaryCheck, len(p.primaries))
	places := make(chan struct{}, maxAtOnce)
	var running sync.WaitGroup
	for i, primary := range p.primaries {
		checks[i] = &primaryCheck{plan: p, primary: primary}
		places <- struct{}{}
		running.Go(func() {
			checks[i].run(ctx)
			<-places
		})
	}
	running.Wait()
	return checks
}

// judgeKey returns what is to be said of the key itself.
func (p *plan) judgeKey() (found []Finding) {
	if p.key == nil {
		return append(found, Finding{
			Warning, "no_key", "no TSIG key: anybody on the way can change the zone", "Give the primaries and this server a key.",
		})
	}
	for _, w := range corefile.Weaknesses(p.key) {
		found = append(found, Finding{Warning, "weak_key", "key " + p.key.Name() + " " + w.What, "Take " + w.Better + "."})
	}
	if found == nil {
		detail := fmt.Sprintf("key %s, %s, %d bits", p.key.Name(), p.key.Algorithm(), p.key.SecretBits())
		found = append(found, Finding{OK, "key", detail, ""})
	}
	return found
}

// newest returns the check with the newest version (RFC 1982), of those the rules accept if there are any; nil if none has
// brought a zone.
func newest(checks []*primaryCheck) (best *primaryCheck) {
	for _, c := range checks {
		switch {
		case c.contents == nil:
		case best == nil, c.report.Transfer.Accepted && !best.report.Transfer.Accepted:
			best = c
		case c.report.Transfer.Accepted == best.report.Transfer.Accepted && c.contents.Serial().Newer(best.contents.Serial()):
			best = c
		}
	}
	return best
}

// stopwatch starts to run, and returns how to read it.
func stopwatch() func() time.Duration {
	began := time.Now()
	return func() time.Duration { return time.Since(began) }
}

// number returns a serial as reports have it.
func number(s serial.Serial) *int64 {
	n := int64(s.Uint32())
	return &n
}
