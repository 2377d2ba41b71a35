package corefile

import (
	"fmt"
	"slices"
	"strings"
)

// Name is the word that begins a directive.
const Name = "secondaryplus"

// Tokens are those of the directives of a server block, as the Dispenser of package caddyfile hands them out.
type Tokens interface {
	Next() bool              // loads the next token; false at the end
	NextArg() bool           // loads the next token if it is on the same line
	RemainingArgs() []string // loads the tokens to the end of the line, or to an opening brace, and returns them
	Val() string             // of the token that is loaded
	File() string
	Line() int // from 1
}

// Position is a place in the Corefile or in a file it names; the zero one is none. It is a plain value.
type Position struct {
	File string
	Line int // from 1
}

// String returns, for example, "Corefile:7".
func (p Position) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Errorf returns an error at p in the form of caddy's own. Without a place it is the text alone.
func (p Position) Errorf(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if p == (Position{}) {
		return err
	}
	return fmt.Errorf("%v - Error during parsing: %w", p, err)
}

// line is one line of a directive: the words of an option, or of the directive itself. It is read-only.
type line struct {
	Position
	words []string // at least one
	usage string   // how the option is to be written
}

func (l line) option() string { return l.words[0] }
func (l line) args() []string { return l.words[1:] }

// wrong returns the error of a word that is not what the option wants.
func (l line) wrong(word, want string, args ...any) error {
	return l.Errorf("%s %q: want %s", l.option(), word, fmt.Sprintf(want, args...))
}

// misused returns the error of a line that is not as its usage says.
func (l line) misused() error { return l.wrong(strings.Join(l.args(), " "), "%s", l.usage) }

// tail splits the words after an option into those before the first of the given words and what follows each of these.
func (l line) tail(names ...string) (words []string, given map[string]string, err error) {
	given = map[string]string{}
	args := l.args()
	for i := 0; i < len(args); i++ {
		word := args[i]
		_, twice := given[word]
		switch {
		case !slices.Contains(names, word) && len(given) > 0:
			return nil, nil, l.wrong(word, "%s", l.usage)
		case !slices.Contains(names, word) && nearest(word, names) != "":
			return nil, nil, l.Errorf("%s %q, perhaps meant as %s: want %s", l.option(), word, nearest(word, names), l.usage)
		case !slices.Contains(names, word):
			words = append(words, word)
			continue
		case i+1 == len(args) || args[i+1] == "": // empty where an environment variable was not set
			return nil, nil, l.Errorf("%s: nothing after %s; want %s", l.option(), word, l.usage)
		case twice:
			return nil, nil, l.Errorf("%s: a second %s, %q beside %q; want %s", l.option(), word, args[i+1], given[word], l.usage)
		}
		i++
		given[word] = args[i]
	}
	return words, given, nil
}

// directive is one directive as it stands in the Corefile. It is read-only.
type directive struct {
	line
	options []line
}

// readDirective reads the directive whose first word was just loaded. It looks at braces itself: caddy's NextBlock takes the
// inside of a nested block for options, an unclosed block for a closed one and a } at the end of a line for a word.
func readDirective(c Tokens) (directive, error) {
	d := directive{line: readLine(c)}
	if d.option() != Name {
		return d, d.Errorf("unexpected %q after the block of %s; want it to begin a line", d.option(), Name)
	}
	if !c.NextArg() { // readLine stops at a { only
		return d, nil
	}
	for c.Next() {
		if c.Val() == "}" {
			return d, nil
		}
		l := readLine(c)
		if l.option() == "{" || c.NextArg() {
			return d, l.Errorf("unexpected {; want no block inside the block of %s", Name)
		}
		if slices.Contains(l.words, "}") {
			return d, l.Errorf("unexpected } at the end of a line; want it on a line of its own")
		}
		d.options = append(d.options, l)
	}
	return d, d.Errorf("the block of %s is not closed; want a } on a line of its own", Name)
}

// readLine returns the words from the one just loaded to the end of its line, or to an opening brace.
func readLine(c Tokens) line {
	l := line{Position: Position{c.File(), c.Line()}}
	l.words = append([]string{c.Val()}, c.RemainingArgs()...)
	return l
}
