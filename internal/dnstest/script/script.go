// Package script runs scripts that test a state machine. A script is commands, one a line, and after a line of dashes what
// they have put out since the dashes before, up to an empty line:
//
//	# A comment.
//	down zone=a
//	repeat 3: advance 1m; up zone=a; down zone=a
//	----
//	1m0s fault of a
//
// With -update the tests of a package rewrite its scripts.
package script

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite testdata; review the diff as a change of behavior")

// Player is a machine under test.
type Player interface {
	Run(c *Command)
	Output() string // since the call before: lines
}

// Run runs testdata/*.txt, each with a player of its own.
func Run(t *testing.T, start func(t *testing.T) Player) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("No scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, start(t), string(text))
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

// play returns the script with what its commands put out now.
func play(t *testing.T, p Player, text string) string {
	var script strings.Builder
	output := false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "----":
			output = true
			script.WriteString("----\n" + p.Output() + "\n")
		case output:
			output = line != ""
		default:
			script.WriteString(line + "\n")
			if line != "" && !strings.HasPrefix(line, "#") {
				run(t, p, line)
			}
		}
	}
	return strings.TrimSuffix(script.String(), "\n")
}

// run runs a line.
func run(t *testing.T, p Player, line string) {
	rest, ok := strings.CutPrefix(line, "repeat ")
	if !ok {
		p.Run(Parse(t, line))
		return
	}
	times, commands, _ := strings.Cut(rest, ": ")
	n, err := strconv.Atoi(times)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	for range n {
		for c := range strings.SplitSeq(commands, "; ") {
			p.Run(Parse(t, c))
		}
	}
}

// Command is a word, then more words and values of the form name=value in any order.
type Command struct {
	Line  string
	Word  string
	Words []string // after the first, without the values

	t      *testing.T
	values map[string]string
}

// Parse reads one line.
func Parse(t *testing.T, line string) *Command {
	c := &Command{Line: line, t: t, values: map[string]string{}}
	for i, word := range strings.Fields(line) {
		name, value, valued := strings.Cut(word, "=")
		switch {
		case i == 0:
			c.Word = word
			continue
		case !valued:
			c.Words = append(c.Words, word)
		}
		c.values[name] = value
	}
	return c
}

// Has reports whether there is a value of this name, or the bare word.
func (c *Command) Has(name string) bool { _, ok := c.values[name]; return ok }

// Text returns a value, empty without.
func (c *Command) Text(name string) string { return c.values[name] }

// Number returns a value, or what is to be without.
func (c *Command) Number(name string, without int) int {
	if !c.Has(name) {
		return without
	}
	n, err := strconv.Atoi(c.values[name])
	if err != nil {
		c.t.Fatalf("%s: %v", c.Line, err)
	}
	return n
}

// Span returns a value, or what is to be without.
func (c *Command) Span(name string, without time.Duration) time.Duration {
	if !c.Has(name) {
		return without
	}
	return c.ParseSpan(c.values[name])
}

// ParseSpan returns a duration as Go writes it, or days as in 3d; 0 for nothing.
func (c *Command) ParseSpan(s string) time.Duration {
	if s == "" {
		return 0
	}
	days, isDays := strings.CutSuffix(s, "d")
	if isDays {
		n, err := strconv.Atoi(days)
		if err != nil {
			c.t.Fatalf("%s: %v", c.Line, err)
		}
		return time.Duration(n) * 24 * time.Hour
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		c.t.Fatalf("%s: %v", c.Line, err)
	}
	return d
}
