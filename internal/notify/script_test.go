package notify_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/dnstest/script"
	"github.com/secondaryplus/secondaryplus/internal/notify"
)

// TestScripts runs testdata/*.txt.
func TestScripts(t *testing.T) {
	script.Run(t, func(t *testing.T) script.Player { return &player{newWorld(t)} })
}

// player runs one script.
type player struct{ *world }

// Output returns what was sent and reported.
func (p *player) Output() string {
	defer p.out.Reset()
	if p.quiet {
		fmt.Fprintf(&p.out, "%s %d messages\n", p.since(), p.sent)
		p.sent = 0
	}
	return p.out.String()
}

// Run runs a command. A zone written as z*1000 stands for 1000 zones.
func (p *player) Run(c *script.Command) {
	switch c.Word {
	case "zone":
		p.eachZone(c, func(id string) {
			z := notify.Zone{Origin: name(p.t, id)}
			for a := range strings.SplitSeq(c.Text("to"), ",") {
				z.Targets = append(z.Targets, notify.Target{Addr: netip.MustParseAddrPort(a + ":53"), Delay: c.Span("delay", 0)})
			}
			p.zones[id] = z
			p.m.Configure(p.now, id, z)
		})
	case "gone":
		p.eachZone(c, func(id string) {
			delete(p.zones, id)
			delete(p.at, id)
			p.m.Remove(id)
		})
	case "publish":
		p.eachZone(c, func(id string) {
			p.at[id] = uint32(c.Number("serial", 0))
			p.publish(id, c.Has("again"))
		})
	case "peer":
		p.modes[netip.MustParseAddrPort(c.Words[0]+":53")] = c.Words[1]
	case "restart":
		p.start()
		p.servedAll()
	case "quiet":
		p.quiet, p.mute = true, c.Has("mute")
	case "counts":
		for _, r := range notify.Results() {
			if n := p.count[r]; n > 0 {
				fmt.Fprintf(&p.out, "%s %d\n", r, n)
			}
		}
	case "advance":
		p.advance(c.ParseSpan(c.Words[0]))
	case "status":
		for _, s := range p.m.Status(c.Words[0] + ".test.") {
			fmt.Fprintf(&p.out, "%s told=%s,%t serial=%s attempts=%d rcode=%d", s.Target.Addr, s.Told, s.HasTold, s.Serial, s.Attempts, s.Rcode)
			if !s.FailedAt.IsZero() {
				fmt.Fprintf(&p.out, " failing since %s", s.FailedAt.Sub(epoch))
			}
			if !s.NextAt.IsZero() {
				fmt.Fprintf(&p.out, " next at %s", s.NextAt.Sub(epoch))
			}
			p.out.WriteString("\n")
		}
	default:
		p.t.Fatalf("Unknown command %q", c.Line)
	}
	p.drain()
}

// eachZone calls f for the zones a word stands for.
func (p *player) eachZone(c *script.Command, f func(string)) {
	first, count, many := strings.Cut(c.Words[0], "*")
	if !many {
		f(first + ".test.")
		return
	}
	n, err := strconv.Atoi(count)
	if err != nil {
		p.t.Fatal(err)
	}
	for i := range n {
		f(fmt.Sprintf("%s%04d.test.", first, i))
	}
}
