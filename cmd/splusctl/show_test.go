package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/secondaryplus/secondaryplus/control"
)

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func testOverview(c control.Counts) control.Overview {
	return control.Overview{Host: "ns1", Version: "1.2.3", StartedAt: before(3 * 24 * time.Hour), Zones: c,
		Transfers: control.Transfers{Running: 2, Waiting: 5, Limit: 8}, Store: control.Store{State: control.StoreOK, Path: "/var/lib/splus.db"}}
}

// contains fails unless text holds every part.
func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("Want %q in:\n%s", part, text)
		}
	}
}

func TestStatusSaysHowAllIs(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.overview = testOverview(control.Counts{Total: 9, Normal: 9})
	out, err, code := f.run(t, "status")
	if code != exitFine || err != "" {
		t.Errorf("Got code %d and %q; want 0 and nothing", code, err)
	}
	contains(t, out, "ns1  1.2.3, started 3 d ago\n", "Normal      9\n", "Blocked     0\n",
		"Transfers  2 running of 8, 5 waiting\n", "Store      /var/lib/splus.db\n")
	if strings.Contains(out, "\x1b") {
		t.Errorf("Colors without a terminal: %q", out)
	}
}

func TestStatusIsBadNewsWhenAZoneIsBlockedOrNotServed(t *testing.T) {
	t.Parallel()
	for _, c := range []control.Counts{{Total: 2, Normal: 1, Blocked: 1}, {Total: 1, Normal: 1, NotServed: 1}} {
		f := newFake(t)
		f.overview = testOverview(c)
		for _, form := range []string{"table", "json"} {
			if _, err, code := f.run(t, "status", "-o", form); code != exitBadNews || err != "" {
				t.Errorf("%+v: got code %d and %q; want 1 and nothing", c, code, err)
			}
		}
	}
}

func TestZonesListsWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.zones["example.org."] = []control.Zone{blockedZone()}
	for i := range pageSize + 20 {
		name := fmt.Sprintf("z%04d.test.", i)
		f.zones[name] = []control.Zone{goodZone(name)}
	}
	out, _, code := f.run(t, "zones", "--state", "blocked")
	if code != exitFine {
		t.Errorf("Got code %d; want 0", code)
	}
	contains(t, out, "ZONE          STATE    SINCE", "example.org.  Blocked  12 min ago  yes", "12345",
		"refused; behind, began 60 min ago; 3 records not served")
	if strings.Contains(out, "z0000") || strings.Contains(out, "VARIANT") {
		t.Errorf("Want one zone and no column for the only variant:\n%s", out)
	}
	out, _, _ = f.run(t, "zones", "--search", "z000")
	if n := strings.Count(out, ".test."); n != 10 {
		t.Errorf("Search: got %d zones; want 10", n)
	}
	out, _, _ = f.run(t, "zones")
	contains(t, out, fmt.Sprintf("and %d more: --all or --limit N shows them", pageSize+21-defaultLimit))
	if out, _, _ = f.run(t, "zones", "--all"); strings.Count(out, ".test.") != pageSize+20 || strings.Contains(out, "more:") {
		t.Errorf("--all: got %d zones; want %d", strings.Count(out, ".test."), pageSize+20)
	}
	out, _, _ = f.run(t, "zones", "--all", "-o", "json")
	var page control.ZonePage
	if err := json.Unmarshal([]byte(out), &page); err != nil || len(page.Zones) != pageSize+21 || page.Matching != pageSize+21 {
		t.Errorf("JSON: got %d zones of %d, %v; want %d", len(page.Zones), page.Matching, err, pageSize+21)
	}
	out, _, _ = f.run(t, "zones", "--search", "nowhere")
	contains(t, out, fmt.Sprintf("No such zone among %d.", pageSize+21))
}

func TestZonesTellVariantsApart(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	a, b := goodZone("a.test."), goodZone("b.test.")
	b.Variant = "inside"
	f.zones = map[string][]control.Zone{"a.test.": {a}, "b.test.": {b}}
	out, _, _ := f.run(t, "zones")
	contains(t, out, "VARIANT", "a.test.           Normal", "b.test.  inside   Normal")
}

func TestZoneSaysWhyItIsBlockedAndWhatToDo(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.zones["example.org."] = []control.Zone{blockedZone()}
	out, err, code := f.run(t, "zone", "Example.ORG")
	if code != exitBadNews || err != "" {
		t.Errorf("Got code %d and %q; want 1 and nothing", code, err)
	}
	contains(t, out,
		"example.org. on dns://127.0.0.1:1053\nBlocked, began 12 min ago. "+
			"Served: serial 7, 12345 records, 1.50MB, confirmed 2 h ago, signed.\n",
		"What is wrong\n  192.0.2.1:53 is Blocked: refused, began 12 min ago, failures in a row: 4\n"+
			"    Seen:   answered REFUSED\n    Advice: Allow transfers to this server on the primary, with the key transfer.\n",
		"A primary has had a newer version, first seen 60 min ago",
		"The primaries have had different serials, first seen 40 min ago",
		"192.0.2.1:53     transfer.  Blocked  12 min ago  refused",
		"fell often: stays Blocked until it holds; asked for AXFR at once",
		"198.51.100.1:53  -          Normal   3 d ago",
		"served       7      1 h  10 min     7 d    5 min  ns.example.org.", "saved        6", "NOTIFY       9", "came 30 s ago",
		"refresh     1 h  in 5 min", "expire      7 d  in 6 d", "rounds failed in a row: 4",
		"Not served, because other records exclude them: 3 records", "www.example.org.  CNAME        3  cname_and_other_data",
		"60 s ago  axfr   refused  192.0.2.1:53  7->9", "ixfr   ok       192.0.2.1:53  6->7    12345 records, 1.50MB, 0.250 s")
	if i, j := strings.Index(out, "Advice"), strings.Index(out, "\nPrimaries"); i < 0 || i > j {
		t.Errorf("Want the trouble before everything else:\n%s", out)
	}
}

func TestZoneIsBadNewsOnlyWhenBlockedOrNotServed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change func(*control.Zone)
		code   int
		want   string
	}{
		{func(*control.Zone) {}, exitFine, "Served: serial 1"},
		{func(z *control.Zone) { z.State = control.Unknown }, exitFine, "Unknown"},
		{func(z *control.Zone) { z.Served = false }, exitBadNews, "Not served: nothing has been transferred yet."},
		{func(z *control.Zone) { z.Served, z.Expired = false, true }, exitBadNews, "Not served: the contents expired."},
		{func(z *control.Zone) {
			z.NextAt = time.Time{}
			z.Transfer = &control.Progress{Primary: "192.0.2.1:53", Records: 5, Bytes: 100, BeganAt: before(3 * time.Second)}
		}, exitFine, "A transfer from 192.0.2.1:53 is running, began 3 s ago: 5 records and 100B so far."},
	} {
		f := newFake(t)
		z := goodZone("a.test.")
		c.change(&z)
		f.zones["a.test."] = []control.Zone{z}
		out, _, code := f.run(t, "zone", "a.test")
		if code != c.code {
			t.Errorf("%s: got code %d; want %d", c.want, code, c.code)
		}
		contains(t, out, c.want)
	}
}

func TestColorsAreForTerminals(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.zones["example.org."] = []control.Zone{blockedZone()}
	a, out, _ := newTestApp()
	a.color = true
	a.run(t.Context(), []string{"--address", f.url, "zone", "example.org"})
	contains(t, out.String(), "\x1b[31mBlocked\x1b[0m", "\x1b[32mNormal\x1b[0m")
}

func TestScheduleShowsWhatIsDue(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	for i := range 5 {
		f.schedule = append(f.schedule, control.Appointment{At: testNow.Add(time.Duration(i) * time.Minute), Why: "refresh",
			Name: fmt.Sprintf("z%d.test.", i)})
	}
	out, _, code := f.run(t, "schedule", "--limit", "2")
	if code != exitFine {
		t.Errorf("Got code %d; want 0", code)
	}
	contains(t, out, "now      refresh  z0.test.", "in 60 s  refresh  z1.test.", "and 3 more")
}

func TestJSONIsWhatTheServerSaid(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	z := blockedZone()
	z.Links[0].Advice = "say \u009b, \U000e0001, <b> & \"\x1b[0m\""
	f.zones["example.org."] = []control.Zone{z}
	f.overview = testOverview(control.Counts{Total: 1, Blocked: 1})
	f.schedule = []control.Appointment{{At: testNow, Name: "example.org.", Why: "retry"}}
	same := func(want any, args ...string) {
		t.Helper()
		out, _, _ := f.run(t, append(args, "--output", "json")...)
		got := reflect.New(reflect.TypeOf(want).Elem()).Interface()
		if err := json.Unmarshal([]byte(out), got); err != nil {
			t.Fatalf("%v: %v in %s", args, err, out)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%v: %s", args, d)
		}
	}
	same(&f.overview, "status")
	same(&z, "zone", "example.org")
	same(&control.ZonePage{Zones: []control.Summary{z.Summary}, Matching: 1, Counts: control.Counts{Total: 1}}, "zones")
	same(&control.EventPage{Events: z.Events}, "events", "example.org")
	same(&control.SchedulePage{Appointments: f.schedule, Matching: 1}, "schedule")
	out, _, _ := f.run(t, "zone", "example.org", "-o", "json")
	contains(t, out, `"sinceAt": "2026-11-21T11:48:00Z"`)
}

func TestEventsAreATableNewestFirst(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.zones["example.org."] = []control.Zone{blockedZone()}
	out, _, code := f.run(t, "events", "example.org")
	if code != exitFine {
		t.Errorf("Got code %d; want 0", code)
	}
	contains(t, out, "60 s ago (2026-11-21T11:59:00Z)  axfr   refused", "2 h ago (2026-11-21T10:00:00Z)   ixfr   ok")
	if strings.Index(out, "axfr") > strings.Index(out, "ixfr") {
		t.Errorf("Want the newest first:\n%s", out)
	}
}

func TestEventsAreFollowedUntilInterrupted(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.zones["example.org."] = []control.Zone{blockedZone()} // with the events 9 and 3
	lost := control.Event{Kind: control.Lost, At: testNow}
	next := event(11, control.AXFRed, control.ResultOK)
	next.Zone = "example.org."
	elsewhere := next
	elsewhere.ID, elsewhere.Variant = 12, "inside"
	f.stream = []control.Event{lost, next, elsewhere}
	for _, c := range []struct {
		args []string
		want []string // lines, or how they begin
	}{
		{[]string{"events", "-f"}, []string{
			"", // lost, at the time the client learnt it
			"2026-11-21T12:00:00Z example.org. axfr ok primary=192.0.2.1:53 serial=1->2",
			"2026-11-21T12:00:00Z example.org. axfr ok primary=192.0.2.1:53 serial=1->2",
		}},
		{[]string{"events", "Example.org", "--follow"}, []string{
			"2026-11-21T10:00:00Z example.org. ixfr ok primary=192.0.2.1:53 serial=6->7 records=12345 bytes=1500000 took=0.250s",
			"2026-11-21T11:59:00Z example.org. axfr refused primary=192.0.2.1:53 serial=7->9 times=4: answered REFUSED",
			"", "", "",
		}},
		{[]string{"events", "example.org", "-f", "--variant", "inside", "-o", "json"}, []string{`{"id":0,`, `{"id":12,"at"`}},
	} {
		a, out, err := newTestApp()
		ctx, stop := contextWithStop(t)
		code := make(chan int, 1)
		go func() { code <- a.run(ctx, append([]string{"--address", f.url}, c.args...)) }()
		waitFor(t, "all events", func() bool { return strings.Count(out.String(), "\n") >= len(c.want) })
		stop()
		if got := <-code; got != exitFine || err.String() != "" {
			t.Errorf("%v: got code %d and %q; want 0 and nothing", c.args, got, err)
		}
		if strings.Count(out.String(), "lost") != 1 {
			t.Errorf("%v: want to be told once that events are lost:\n%s", c.args, out)
		}
		lines := strings.Split(out.String(), "\n")
		if len(lines) != len(c.want)+1 {
			t.Errorf("%v: got %d lines; want %d", c.args, len(lines)-1, len(c.want))
		}
		for i, want := range c.want {
			if !strings.HasPrefix(lines[i], want) {
				t.Errorf("%v: got %q; want %q", c.args, lines[i], want)
			}
		}
	}
	if !slices.Equal(f.resumed, []string{"", "9", "9"}) {
		t.Errorf("Got streams after %q; want none, and the latest event that was shown", f.resumed)
	}
}

func TestExportReplacesAFileWhole(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.export = func(w http.ResponseWriter) { _, _ = io.WriteString(w, "new\x1b") }
	file := write(t, "zone", "old")
	if out, err, code := f.run(t, "export", "example.org", "--file", file); code != exitFine || out+err != "" {
		t.Errorf("Got code %d, %q, %q; want 0 and nothing", code, out, err)
	}
	text := func() string {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if text() != "new\x1b" {
		t.Errorf("Got %q in the file; want the zone as it came", text())
	}
	f.export = func(w http.ResponseWriter) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	if _, err, code := f.run(t, "export", "example.org", "--file", file); code != exitNotReached || err == "" {
		t.Errorf("Broken off: got code %d and %q; want %d", code, err, exitNotReached)
	}
	if left, _ := os.ReadDir(filepath.Dir(file)); text() != "new\x1b" || len(left) != 1 {
		t.Errorf("Broken off: got %q and %d files; want the file as it was, and no other", text(), len(left))
	}
	_, err, code := f.run(t, "export", "example.org", "--file", "/nowhere/zone")
	if code != exitUsage || !strings.Contains(err, "/nowhere/zone") {
		t.Errorf("No directory: got code %d and %q; want %d", code, err, exitUsage)
	}
}

func TestExportCannotSteerATerminal(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.export = func(w http.ResponseWriter) { _, _ = io.WriteString(w, "a\tTXT \"\x1b]0;x\x07\u009b\"\n") }
	if out, _, _ := f.run(t, "export", "example.org"); !strings.Contains(out, "\x1b]0;x\x07\u009b") {
		t.Errorf("Got %q; want the zone as it came where no terminal is", out)
	}
	a, out, _ := newTestApp()
	a.screen = true
	a.run(t.Context(), []string{"--address", f.url, "export", "example.org"})
	if want := "a\tTXT \"?]0;x???\"\n"; out.String() != want {
		t.Errorf("Got %q; want %q", out, want)
	}
}

// evil is what a hostile zone might have a terminal do.
const evil = "a\x1b]0;owned\x07\r\n\x7f\u009b31m\u202eb\xff"

// poison puts evil into every string that v leads to, and makes every list one long.
func poison(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		poison(v.Elem())
	case reflect.Struct:
		if v.Type() != reflect.TypeFor[time.Time]() {
			for _, field := range v.Fields() {
				poison(field)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		poison(v.Index(0))
	case reflect.String:
		v.SetString(evil)
	case reflect.Int, reflect.Int64:
		v.SetInt(2)
	case reflect.Uint64:
		v.SetUint(11)
	default: // bools
	}
}

// obeyed reports whether a terminal might do something at r but show it.
func obeyed(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }

func TestNothingFromTheServerSteersATerminal(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	var z control.Zone
	poison(reflect.ValueOf(&z).Elem())
	z.State, z.Links[0].State, z.Served = control.Blocked, control.Blocked, true // to be drawn in full
	f.zones["example.org."] = []control.Zone{z, z, z}
	poison(reflect.ValueOf(&f.overview).Elem())
	f.schedule = make([]control.Appointment, 1)
	poison(reflect.ValueOf(&f.schedule[0]).Elem())
	waited := goodZone("example.net.")
	waited.Events = []control.Event{{ID: 11, Kind: control.AXFRed, Result: evil, Text: evil, Primary: evil}}
	f.zones["example.net."] = []control.Zone{waited}
	f.zones[evil] = f.zones["example.org."]
	for _, args := range [][]string{
		{"status"}, {"zones"}, {"zone", "example.org"}, {"events", "example.org"}, {"schedule"},
		{"refresh", "example.net", "--wait"}, {"__complete", "zone", ""},
	} {
		for _, form := range []string{"table", "json"} {
			out, err, code := f.run(t, append(args, "-o", form)...)
			if code > exitBadNews || out == "" {
				t.Errorf("%v: got code %d, %q; want output", args, code, err)
			}
			if i := strings.IndexFunc(out+err, obeyed); i >= 0 {
				t.Errorf("%v as %s: %q in the output", args, form, (out + err)[i:min(i+8, len(out+err))])
			}
		}
	}
	_, err, code := httpProblem(t, evil).run(t, "status")
	if strings.ContainsFunc(err, obeyed) || code != exitRefused {
		t.Errorf("A problem: got code %d and %q", code, err)
	}
}
