package refresh_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

var update = flag.Bool("update", false, "rewrite testdata; review the diff as a change of behavior")

// TestScripts runs testdata/*.txt: commands, a line of dashes, and what the machine did.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
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

// runScript returns the script with the output of its commands as it is now.
func runScript(t *testing.T, text string) string {
	p := newPlayer(t)
	var script strings.Builder
	output := false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "----":
			output = true
			fmt.Fprintf(&script, "----\n%s%s\n", p.out.String(), p.status())
			p.out.Reset()
		case line == "":
			if !output {
				script.WriteString("\n")
			}
			output = false
		case !output:
			script.WriteString(line + "\n")
			if !strings.HasPrefix(line, "#") {
				p.command(line)
			}
		}
	}
	return strings.TrimSuffix(script.String(), "\n")
}

// args are the name=value pairs behind a command.
type args struct {
	t    *testing.T
	line string
	m    map[string]string
}

func (a args) has(name string) bool { _, ok := a.m[name]; return ok }

func (a args) num(name string, unset int) int {
	if !a.has(name) {
		return unset
	}
	n, err := strconv.Atoi(a.m[name])
	if err != nil {
		a.t.Fatalf("%s: %v", a.line, err)
	}
	return n
}

func (a args) span(s string) time.Duration {
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		a.t.Fatalf("%s: %v", a.line, err)
	}
	return d
}

func (a args) clamp(name string, unset refresh.Clamp) refresh.Clamp {
	if !a.has(name) {
		return unset
	}
	low, high, _ := strings.Cut(a.m[name], "..")
	return refresh.Clamp{Min: a.span(low), Max: a.span(high)}
}

func (a args) config() refresh.Config {
	const day = 24 * time.Hour
	return refresh.Config{
		Primaries:  a.num("primaries", 1),
		Seed:       uint64(a.num("seed", 1)),
		SerialZero: a.m["serial_zero"] == "accept",
		Refresh:    a.clamp("refresh", refresh.Clamp{Min: 30 * time.Second, Max: 28 * day}),
		Retry:      a.clamp("retry", refresh.Clamp{Min: 30 * time.Second, Max: 14 * day}),
		Expire:     a.clamp("expire", refresh.Clamp{Min: 30 * time.Second}),
	}
}

// command runs one line.
func (p *player) command(line string) {
	fields := strings.Fields(line)
	a := args{p.t, line, map[string]string{}}
	for _, f := range fields[1:] {
		name, value, _ := strings.Cut(f, "=")
		a.m[name] = value
	}
	soa := p.soa
	soa.Serial = serial.New(uint32(a.num("serial", 0)))
	primary := a.num("primary", -1)
	ev := refresh.Event{Primary: primary, SOA: soa, Reason: reason.Reason(a.m["reason"])}
	switch fields[0] {
	case "config":
		p.m = refresh.New(a.config())
		return
	case "timers":
		p.soa = wire.SOA{Refresh: uint32(a.num("refresh", 3600)), Retry: uint32(a.num("retry", 900)), Expire: uint32(a.num("expire", 86400))}
		return
	case "dead", "alive":
		p.dead[primary] = fields[0] == "dead"
		return
	case "advance":
		p.advance(a.span(fields[1]))
		return
	case "start":
		ev.Kind = refresh.Started
	case "due":
		ev.Kind = refresh.Due
	case "notify":
		ev.Kind, ev.HasSerial, ev.Serial, ev.Weak = refresh.Notified, a.has("serial"), soa.Serial, a.has("weak")
		if a.has("after") {
			ev.After = a.span(a.m["after"])
		}
	case "demand":
		ev.Kind = refresh.Demanded
		ev.Demand = map[string]refresh.Demand{"none": refresh.NoDemand, "check": refresh.Check, "again": refresh.Again, "force": refresh.Force}[a.m["what"]]
	case "soa":
		ev.Kind = refresh.SOAReceived
	case "soafail":
		ev.Kind, ev.MayTransfer = refresh.SOAFailed, a.m["transfer"] == "possible"
	case "transferred":
		ev.Kind = refresh.Transferred
	case "current":
		ev.Kind = refresh.TransferCurrent
	case "transferfail":
		ev.Kind = refresh.TransferFailed
		if !a.has("serial") {
			ev.SOA = wire.SOA{} // it failed before one came
		}
	case "reject":
		ev.Kind, ev.Rejected = refresh.TransferFailed, true
	case "reconfigure":
		cfg := a.config()
		ev.Kind, ev.Config = refresh.Reconfigured, &cfg
		for s := range strings.SplitSeq(a.m["kept"], ",") {
			if n, err := strconv.Atoi(s); err == nil {
				ev.Kept = append(ev.Kept, n)
			}
		}
	default:
		p.t.Fatalf("unknown command %q", line)
	}
	for range a.num("times", 1) {
		p.step(fields[0], ev)
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
