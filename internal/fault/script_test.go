package fault_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/dnstest/script"
	"github.com/secondaryplus/secondaryplus/internal/fault"
	"github.com/secondaryplus/secondaryplus/internal/reason"
)

// TestScripts runs testdata/*.txt.
func TestScripts(t *testing.T) {
	script.Run(t, func(t *testing.T) script.Player {
		cfg := fault.Config{After: time.Minute, Every: 24 * time.Hour}
		return &player{t: t, cfg: cfg, m: fault.New(cfg, fault.State{}), now: epoch, sinks: "take"}
	})
}

// epoch is when every script starts.
var epoch = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// player runs one script.
type player struct {
	t     *testing.T
	cfg   fault.Config
	m     *fault.Machine
	now   time.Time
	sinks string // take, fail or hold
	text  bool   // messages are written out
	out   strings.Builder
}

// Output returns the messages.
func (p *player) Output() string {
	defer p.out.Reset()
	return p.out.String()
}

// Run runs a command. A zone written as z*1000 stands for 1000 zones.
func (p *player) Run(c *script.Command) {
	switch c.Word {
	case "config":
		p.cfg.After, p.cfg.Every = c.Span("after", p.cfg.After), c.Span("every", p.cfg.Every)
		p.cfg.Mute = c.Text("mute") == "yes"
		p.m.Configure(p.cfg)
	case "sinks":
		if p.sinks == "hold" { // what was held has an end now
			p.sinks = c.Words[0]
			p.outcome()
		}
		p.sinks = c.Words[0]
	case "text":
		p.text = true
	case "advance":
		p.advance(c.ParseSpan(c.Words[0]))
	case "restart":
		text, err := json.Marshal(p.m.State(p.now))
		if err != nil {
			p.t.Fatal(err)
		}
		var s fault.State
		if err := json.Unmarshal(text, &s); err != nil {
			p.t.Fatal(err)
		}
		p.m = fault.New(p.cfg, s)
	case "down":
		p.eachZone(c, func(name string) { p.step(fault.Event{Kind: fault.Down, Zone: name, Status: p.status(c)}) })
	case "up":
		p.eachZone(c, func(name string) { p.step(fault.Event{Kind: fault.Up, Zone: name}) })
	case "gone":
		p.eachZone(c, func(name string) { p.step(fault.Event{Kind: fault.Gone, Zone: name}) })
	default:
		p.t.Fatalf("Unknown command %q", c.Line)
	}
}

// status reads links=ADDRESS:REASON,... serial=N expire=SPAN left=SPAN expired=yes; zones have contents if they have a serial.
func (p *player) status(c *script.Command) fault.Status {
	s := fault.Status{Expired: c.Text("expired") == "yes"}
	for l := range strings.SplitSeq(c.Text("links"), ",") {
		i := strings.LastIndex(l, ":")
		s.Links = append(s.Links, fault.Link{Primary: l[:i] + ":53", Reason: reason.Reason(l[i+1:])})
	}
	if c.Has("serial") {
		s.HasContents, s.Serial, s.Expire = true, uint32(c.Number("serial", 0)), c.Span("expire", 0)
		s.ExpireAt = p.now.Add(c.Span("left", s.Expire))
	}
	return s
}

// eachZone calls f for the zones a word stands for; with step=SPAN between them, time passes.
func (p *player) eachZone(c *script.Command, f func(string)) {
	name, count, many := strings.Cut(c.Words[0], "*")
	if !many {
		f(name + ".test.")
		return
	}
	n, err := strconv.Atoi(count)
	if err != nil {
		p.t.Fatal(err)
	}
	for i := range n {
		f(fmt.Sprintf("%s%04d.test.", name, i))
		if c.Has("step") {
			p.advance(c.Span("step", 0))
		}
	}
}

// advance lets time pass, with a Due event whenever one is wanted.
func (p *player) advance(d time.Duration) {
	end := p.now.Add(d)
	for dues := 0; ; dues++ {
		at := p.m.NextAt()
		if at.IsZero() || at.After(end) {
			break
		}
		if dues > 100_000 {
			p.t.Fatalf("At %s the machine wants to be called over and over", p.now.Sub(epoch))
		}
		if at.After(p.now) {
			p.now = at
		}
		p.step(fault.Event{Kind: fault.Due})
	}
	p.now = end
}

func (p *player) step(ev fault.Event) {
	msg := p.m.Step(p.now, ev)
	if msg == nil {
		return
	}
	at := p.now.Sub(epoch).Round(time.Millisecond)
	if p.text {
		fmt.Fprintf(&p.out, "%s\n%s", at, indent(msg.Text("ns2.example.net")))
	} else {
		for i, s := range msg.Sections {
			if i == 3 {
				fmt.Fprintf(&p.out, "%s %s: and %d sections more, %d zones in all\n", at, msg.Kind, len(msg.Sections)-i, msg.Count())
				break
			}
			fmt.Fprintf(&p.out, "%s %s: %d zones (%s): %s", at, msg.Kind, len(s.Zones), s.Names(), s.Reasons())
			if s.Rest > 0 {
				fmt.Fprintf(&p.out, "; %d still down", s.Rest)
			}
			p.out.WriteString("\n")
		}
	}
	p.outcome()
}

// outcome tells the machine what became of the message that is out.
func (p *player) outcome() {
	switch p.sinks {
	case "take":
		p.m.Step(p.now, fault.Event{Kind: fault.Sent})
		p.m.Step(p.now, fault.Event{Kind: fault.Finished})
	case "fail":
		p.out.WriteString("  (lost)\n")
		p.m.Step(p.now, fault.Event{Kind: fault.Finished})
	}
}

func indent(text string) string {
	return "  | " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  | ") + "\n"
}
