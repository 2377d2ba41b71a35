package refresh_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/dnstest/script"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// TestScripts runs testdata/*.txt.
func TestScripts(t *testing.T) {
	script.Run(t, func(t *testing.T) script.Player { return newPlayer(t) })
}

// epoch is when every script starts.
var epoch = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// player runs one script.
type player struct {
	t       *testing.T
	m       *refresh.Machine
	now     time.Time
	soa     wire.SOA     // the timers of the SOAs to come
	dead    map[int]bool // primaries whose queries and transfers fail at once
	out     strings.Builder
	replies []refresh.Event
}

func newPlayer(t *testing.T) *player {
	return &player{t: t, now: epoch, soa: wire.SOA{Refresh: 3600, Retry: 900, Expire: 86400}, dead: map[int]bool{}}
}

// clamp returns limits as in 30s..1h.
func clamp(c *script.Command, name string, without refresh.Clamp) refresh.Clamp {
	if !c.Has(name) {
		return without
	}
	low, high, _ := strings.Cut(c.Text(name), "..")
	return refresh.Clamp{Min: c.ParseSpan(low), Max: c.ParseSpan(high)}
}

func config(c *script.Command) refresh.Config {
	const day = 24 * time.Hour
	return refresh.Config{
		Primaries: c.Number("primaries", 1),
		Seed:      uint64(c.Number("seed", 1)),
		Limits: &refresh.Limits{
			SerialZero: c.Text("serial_zero") == "accept",
			Refresh:    clamp(c, "refresh", refresh.Clamp{Min: 30 * time.Second, Max: 28 * day}),
			Retry:      clamp(c, "retry", refresh.Clamp{Min: 30 * time.Second, Max: 14 * day}),
			Expire:     clamp(c, "expire", refresh.Clamp{Min: 30 * time.Second}),
		},
	}
}

// Run runs a command.
func (p *player) Run(c *script.Command) {
	soa := p.soa
	soa.Serial = serial.New(uint32(c.Number("serial", 0)))
	primary := c.Number("primary", -1)
	ev := refresh.Event{Primary: primary, SOA: soa, Reason: reason.Reason(c.Text("reason"))}
	if c.Has("expires") { // from now
		ev.ExpireAt = p.now.Add(c.Span("expires", 0))
	}
	ev.Unasked = c.Has("unasked")
	switch c.Word {
	case "config":
		p.m = refresh.New(config(c))
		return
	case "timers":
		p.soa = wire.SOA{Refresh: uint32(c.Number("refresh", 3600)), Retry: uint32(c.Number("retry", 900)), Expire: uint32(c.Number("expire", 86400))}
		return
	case "dead", "alive":
		p.dead[primary] = c.Word == "dead"
		return
	case "advance":
		p.advance(c.ParseSpan(c.Words[0]))
		return
	case "start":
		ev.Kind = refresh.Started
	case "due":
		ev.Kind = refresh.Due
	case "notify":
		ev.Kind, ev.HasSerial, ev.Serial, ev.Weak = refresh.Notified, c.Has("serial"), soa.Serial, c.Has("weak")
		ev.Signed = c.Has("signed")
		if c.Has("after") {
			ev.After = c.Span("after", 0)
		}
	case "demand":
		ev.Kind = refresh.Demanded
		ev.Demand = map[string]refresh.Demand{"none": refresh.NoDemand, "check": refresh.Check, "again": refresh.Again, "force": refresh.Force}[c.Text("what")]
	case "soa":
		ev.Kind = refresh.SOAReceived
	case "soafail":
		ev.Kind, ev.MayTransfer = refresh.SOAFailed, c.Text("transfer") == "possible"
	case "transferred":
		ev.Kind = refresh.Transferred
	case "current":
		ev.Kind = refresh.TransferCurrent
	case "transferfail":
		ev.Kind = refresh.TransferFailed
		if !c.Has("serial") {
			ev.SOA = wire.SOA{} // it failed before one came
		}
	case "reject":
		ev.Kind, ev.Rejected = refresh.TransferFailed, true
	case "reconfigure":
		cfg := config(c)
		ev.Kind, ev.Config = refresh.Reconfigured, &cfg
		for s := range strings.SplitSeq(c.Text("kept"), ",") {
			if n, err := strconv.Atoi(s); err == nil {
				ev.Kept = append(ev.Kept, n)
			}
		}
	default:
		p.t.Fatalf("unknown command %q", c.Line)
	}
	for range c.Number("times", 1) {
		p.step(c.Word, ev)
	}
}

// step tells the machine of ev, writes what it did and lets the dead primaries fail.
func (p *player) step(name string, ev refresh.Event) {
	actions := p.m.Step(p.now, ev)
	if len(actions) > 0 {
		words := make([]string, len(actions))
		for i, a := range actions {
			words[i] = a.String()
			switch {
			case !p.dead[a.Primary] || a.Kind == refresh.Withdraw:
			case a.Kind == refresh.QuerySOA:
				p.replies = append(p.replies, refresh.Event{Kind: refresh.SOAFailed, Primary: a.Primary, Reason: "timeout"})
			case a.Kind == refresh.Transfer:
				p.replies = append(p.replies, refresh.Event{Kind: refresh.TransferFailed, Primary: a.Primary, Reason: "timeout"})
			}
		}
		fmt.Fprintf(&p.out, "%s %s: %s\n", p.at(p.now), name, strings.Join(words, ", "))
	}
	for len(p.replies) > 0 {
		ev := p.replies[0]
		p.replies = p.replies[1:]
		p.step("dead "+strconv.Itoa(ev.Primary), ev)
	}
}

// advance moves the clock by d and steps the machine whenever it wants that.
func (p *player) advance(d time.Duration) {
	end := p.now.Add(d)
	for range 1000 {
		next := p.m.NextAt()
		if next.IsZero() || next.After(end) {
			p.now = end
			return
		}
		if !next.After(p.now) {
			p.t.Fatalf("NextAt %s is not after now %s", p.at(next), p.at(p.now))
		}
		p.now = next
		p.step("due", refresh.Event{Kind: refresh.Due})
	}
	p.t.Fatal("advance: more than 1000 steps")
}

// at returns a time as the span since the start of the script.
func (p *player) at(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Sub(epoch).Round(time.Millisecond).String()
}

// Output returns what was done, and how the zone stands.
func (p *player) Output() string {
	done := p.out.String()
	p.out.Reset()
	return done + p.status()
}

// status returns the state of the zone and of its links.
func (p *player) status() string {
	var b strings.Builder
	fmt.Fprintf(&b, "= %s %s", p.at(p.now), p.m.State())
	if soa, ok := p.m.SOA(); ok {
		fmt.Fprintf(&b, " serial=%s checked=%s expire=%s", soa.Serial, p.at(p.m.CheckedAt()), p.at(p.m.ExpireAt()))
	}
	if p.m.Running() {
		b.WriteString(" running")
	}
	if n := p.m.Failures(); n > 0 {
		fmt.Fprintf(&b, " failures=%d", n)
	}
	if at := p.m.BehindAt(); !at.IsZero() {
		fmt.Fprintf(&b, " behind=%s", p.at(at))
	}
	fmt.Fprintf(&b, " next=%s\n", p.at(p.m.NextAt()))
	for i, l := range p.m.Links() {
		fmt.Fprintf(&b, "  %d %s", i, l.State)
		if l.Damped {
			b.WriteString(" damped")
		}
		if l.Reason != "" {
			b.WriteString(" " + string(l.Reason))
		}
		if l.HasSerial {
			b.WriteString(" serial=" + l.Serial.String())
		}
		for _, x := range []struct {
			name string
			at   time.Time
		}{{"since", l.SinceAt}, {"ok", l.LastOKAt}, {"failed", l.FailedAt}, {"backoff", l.RetryAt}} {
			if !x.at.IsZero() {
				b.WriteString(" " + x.name + "=" + p.at(x.at))
			}
		}
		if l.Failures > 0 {
			fmt.Fprintf(&b, " failures=%d", l.Failures)
		}
		b.WriteString("\n")
	}
	return b.String()
}
