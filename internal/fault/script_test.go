package fault_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secondaryplus/secondaryplus/internal/fault"
	"github.com/secondaryplus/secondaryplus/internal/reason"
)

var update = flag.Bool("update", false, "rewrite testdata; review the diff as a change of behavior")

// TestScripts runs testdata/*.txt: commands, a line of dashes, and what the machine sent.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("No scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(strings.Split(string(text), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		})
	}
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

func runScript(t *testing.T, text string) string {
	cfg := fault.Config{After: time.Minute, Every: 24 * time.Hour}
	p := &player{t: t, cfg: cfg, m: fault.New(cfg, fault.State{}), now: epoch, sinks: "take"}
	var script strings.Builder
	output := false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "----":
			output = true
			fmt.Fprintf(&script, "----\n%s", p.out.String())
			p.out.Reset()
		case output && (line == "" || strings.HasPrefix(line, "# ")):
			output = false
			script.WriteString("\n")
		case !output:
			script.WriteString(line + "\n")
			if line != "" && !strings.HasPrefix(line, "#") {
				p.command(line)
			}
		}
	}
	return script.String()
}

// command runs one line. A zone written as z*1000 stands for 1000 zones.
func (p *player) command(line string) {
	fields := strings.Fields(line)
	args := map[string]string{}
	for _, f := range fields[1:] {
		if name, value, ok := strings.Cut(f, "="); ok {
			args[name] = value
		}
	}
	switch fields[0] {
	case "config":
		if v, ok := args["after"]; ok {
			p.cfg.After = p.span(v)
		}
		if v, ok := args["every"]; ok {
			p.cfg.Every = p.span(v)
		}
		p.cfg.Mute = args["mute"] == "yes"
		p.m.Configure(p.cfg)
	case "sinks":
		if p.sinks == "hold" { // what was held has an end now
			p.sinks = fields[1]
			p.outcome()
		}
		p.sinks = fields[1]
	case "text":
		p.text = true
	case "advance":
		p.advance(p.span(fields[1]))
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
		p.eachZone(fields[1], func(name string) {
			p.step(fault.Event{Kind: fault.Down, Zone: name, Status: p.status(args)})
		}, args)
	case "up":
		p.eachZone(fields[1], func(name string) { p.step(fault.Event{Kind: fault.Up, Zone: name}) }, args)
	case "gone":
		p.eachZone(fields[1], func(name string) { p.step(fault.Event{Kind: fault.Gone, Zone: name}) }, args)
	default:
		p.t.Fatalf("Unknown command %q", line)
	}
}

func (p *player) span(s string) time.Duration {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil {
			p.t.Fatal(err)
		}
		return time.Duration(n) * 24 * time.Hour
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

// status reads links=ADDRESS:REASON,... serial=N expire=SPAN left=SPAN expired=yes; zones have contents if they have a serial.
func (p *player) status(args map[string]string) fault.Status {
	s := fault.Status{Expired: args["expired"] == "yes"}
	for l := range strings.SplitSeq(args["links"], ",") {
		i := strings.LastIndex(l, ":")
		s.Links = append(s.Links, fault.Link{Primary: l[:i] + ":53", Reason: reason.Reason(l[i+1:])})
	}
	if v, ok := args["serial"]; ok {
		n, err := strconv.Atoi(v)
		if err != nil {
			p.t.Fatal(err)
		}
		s.HasContents, s.Serial, s.Expire = true, uint32(n), p.span(args["expire"])
		s.ExpireAt = p.now.Add(s.Expire)
		if left, ok := args["left"]; ok {
			s.ExpireAt = p.now.Add(p.span(left))
		}
	}
	return s
}

// eachZone calls f for the zones a word stands for; with step=SPAN between them, time passes.
func (p *player) eachZone(word string, f func(string), args map[string]string) {
	name, count, many := strings.Cut(word, "*")
	if !many {
		f(word + ".test.")
		return
	}
	n, err := strconv.Atoi(count)
	if err != nil {
		p.t.Fatal(err)
	}
	for i := range n {
		f(fmt.Sprintf("%s%04d.test.", name, i))
		if step, ok := args["step"]; ok {
			p.advance(p.span(step))
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
