package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/secondaryplus/secondaryplus/control"
)

// show writes a value of the server as the user wants it: as JSON just as it came, or by draw, with nothing left in it that
// a terminal would obey. T is a pointer.
func show[T any](a *app, v T, draw func(T)) error {
	if a.output == "json" {
		return a.json(v, "  ")
	}
	scrub(reflect.ValueOf(v))
	draw(v)
	return nil
}

// json writes v as JSON, on one line if indent is empty. What a terminal might obey is written as \u escapes, so it is the
// same value for a program.
func (a *app) json(v any, indent string) error {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return err
	}
	var out strings.Builder
	for _, r := range b.String() {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			out.WriteRune(r)
		default: // only strings hold such runes
			for _, u := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&out, `\u%04x`, u)
			}
		}
	}
	_, err := io.WriteString(a.out, out.String())
	return err
}

// scrub replaces what a terminal might obey in all strings that v leads to.
func scrub(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			scrub(v.Elem())
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for _, field := range v.Fields() {
			scrub(field)
		}
	case reflect.Slice:
		for i := range v.Len() {
			scrub(v.Index(i))
		}
	case reflect.String:
		if v.CanSet() {
			v.SetString(scrubLine(v.String()))
		}
	default: // numbers
	}
}

// scrubLine returns s with a question mark for everything that is not printable.
func scrubLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			return r
		}
		return '?'
	}, s)
}

// scrubText is scrubLine for text of several lines, perhaps indented.
func scrubText(s string) string {
	lines := strings.Split(strings.ReplaceAll(s, "\t", "    "), "\n")
	for i, line := range lines {
		lines[i] = scrubLine(line)
	}
	return strings.Join(lines, "\n")
}

// screenWriter passes zone files to a terminal: ASCII, and nothing that it would obey.
type screenWriter struct{ io.Writer }

func (w screenWriter) Write(b []byte) (int, error) {
	safe := make([]byte, len(b))
	for i, c := range b {
		if c != '\n' && c != '\t' && (c < ' ' || c > '~') {
			c = '?'
		}
		safe[i] = c
	}
	return w.Writer.Write(safe)
}

// printf writes to the output. Whoever closes it has seen enough.
func (a *app) printf(format string, args ...any) { _, _ = fmt.Fprintf(a.out, format, args...) }

// table writes rows below their header, and nothing without rows. A column whose header ends in a space is of numbers.
func (a *app) table(header []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	t := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	var configs []table.ColumnConfig
	head := make(table.Row, len(header))
	for i, h := range header {
		head[i] = strings.TrimSpace(h)
		if strings.HasSuffix(h, " ") {
			configs = append(configs, table.ColumnConfig{Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight})
		}
	}
	t.SetColumnConfigs(configs)
	t.AppendHeader(head)
	for _, row := range rows {
		cells := make(table.Row, len(row))
		for i, cell := range row {
			cells[i] = cell
		}
		t.AppendRow(cells)
	}
	a.printf("%s\n", t.Render())
}

// paint colors s by a state, where the output may have colors.
func (a *app) paint(state control.State, s string) string {
	if !a.color {
		return s
	}
	color := text.FgYellow
	switch state {
	case control.Normal:
		color = text.FgGreen
	case control.Blocked:
		color = text.FgRed
	case control.Degraded, control.Unknown:
	}
	return text.Colors{color}.EscapeSeq() + s + text.Colors{text.Reset}.EscapeSeq()
}

// when returns t as a person at the terminal sees it: "3 min ago", "in 2 h", or a dash where there is none.
func (a *app) when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	switch d := t.Sub(a.now()); {
	case d.Abs() < time.Second:
		return "now"
	case d < 0:
		return span(-d) + " ago"
	default:
		return "in " + span(d)
	}
}

// began returns when something did, as the end of a sentence, and nothing where that is not known.
func (a *app) began(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return ", began " + a.when(t)
}

const day = 24 * time.Hour

// span returns d in one unit, so that two digits tell it.
func span(d time.Duration) string {
	in := func(unit time.Duration, name string) string {
		return strconv.FormatInt(int64(math.Round(float64(d)/float64(unit))), 10) + " " + name
	}
	switch {
	case d < 90*time.Second:
		return in(time.Second, "s")
	case d < 90*time.Minute:
		return in(time.Minute, "min")
	case d < 2*day:
		return in(time.Hour, "h")
	default:
		return in(day, "d")
	}
}

// seconds returns a number of seconds, as the API has them, in the largest unit that tells it exactly.
func seconds(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{int64(day / time.Second), "d"}, {int64(time.Hour / time.Second), "h"}, {int64(time.Minute / time.Second), "min"}} {
		if n != 0 && n%unit.size == 0 {
			return fmt.Sprintf("%d %s", n/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%d s", n)
}

// number returns what n points at, or a dash for nil.
func number(n *int64) string {
	if n == nil {
		return "-"
	}
	return strconv.FormatInt(*n, 10)
}

// orDash returns s, or a dash where it is empty.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
