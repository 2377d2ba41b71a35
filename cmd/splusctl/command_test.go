package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secondaryplus/secondaryplus/control"
)

func contextWithStop(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(t.Context())
}

// httpProblem returns a fake that refuses everything.
func httpProblem(t *testing.T, detail string) *fake {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusConflict, detail)
	}))
	t.Cleanup(server.Close)
	return &fake{url: server.URL}
}

func TestCommandsSendTheZonesTheyAreGiven(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args, want []string
	}{
		{[]string{"refresh", "A.test", "b.test."}, []string{"refresh a.test.  false", "refresh b.test.  false"}},
		{[]string{"notify", "a.test", "--variant", "tls://:853"}, []string{"notify a.test. tls://:853 false"}},
		{[]string{"flush", "a.test"}, []string{"flush a.test.  false"}},
		{[]string{"retransfer", "a.test"}, []string{"retransfer a.test.  false"}},
		{[]string{"retransfer", "a.test", "--force"}, []string{"retransfer a.test.  true"}},
	} {
		f := newFake(t)
		f.zones = map[string][]control.Zone{"a.test.": {goodZone("a.test.")}, "b.test.": {goodZone("b.test.")}}
		out, err, code := f.run(t, c.args...)
		if code != exitFine || err != "" {
			t.Errorf("%v: got code %d and %q; want 0 and nothing", c.args, code, err)
		}
		if d := cmp.Diff(c.want, f.commands); d != "" {
			t.Errorf("%v: %s", c.args, d)
		}
		contains(t, out, "a.test.: accepted\n")
	}
}

func TestNotifyOfNobodyIsBadNews(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusUnprocessableEntity, "there is nobody to notify of a.test.")
	}))
	t.Cleanup(server.Close)
	out, _, code := (&fake{url: server.URL}).run(t, "notify", "a.test")
	if code != exitBadNews {
		t.Errorf("Code %d", code)
	}
	contains(t, out, "a.test.: nobody: there is nobody to notify of a.test.\n")
}

func TestOneRefusedZoneDoesNotKeepTheOthers(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.zones["b.test."] = []control.Zone{goodZone("b.test.")}
	out, _, code := f.run(t, "refresh", "a.test", "b.test")
	if code != exitRefused {
		t.Errorf("Got code %d; want %d", code, exitRefused)
	}
	contains(t, out, "a.test.: refused: Not Found: no zone a.test.\n", "b.test.: accepted\n")
	out, _, _ = f.run(t, "refresh", "a.test", "b.test", "-o", "json")
	var got []outcome
	err := json.Unmarshal([]byte(out), &got)
	if err != nil || len(got) != 2 || got[0].Result != resultRefused || got[1].EventID != 10 {
		t.Errorf("JSON: got %+v, %v", got, err)
	}
}

// running is a zone that is being transferred.
func running(records int64, events ...control.Event) control.Zone {
	z := goodZone("a.test.")
	z.NextAt, z.Events = time.Time{}, events
	z.Transfer = &control.Progress{Primary: "192.0.2.1:53", Records: records, Bytes: 100 * records}
	return z
}

// idle is a zone that waits for its next refresh.
func idle(events ...control.Event) control.Zone {
	z := goodZone("a.test.")
	z.Events = events
	return z
}

// due is a zone that is about to be tried.
func due(events ...control.Event) control.Zone {
	z := idle(events...)
	z.NextAt = testNow
	return z
}

// event is one of a.test., at testNow.
func event(id uint64, kind control.EventKind, result string) control.Event {
	return control.Event{ID: id, At: testNow, Count: 1, Kind: kind, Result: result, Primary: "192.0.2.1:53",
		From: new(int64(1)), To: new(int64(2))}
}

func TestWaitEndsWithWhatCameOfIt(t *testing.T) {
	t.Parallel()
	command := event(10, control.Commanded, control.ResultTaken)
	older := event(9, control.AXFRed, control.ResultOK)
	soa, badSOA := event(11, control.SOAChecked, control.ResultOK), event(11, control.SOAChecked, "timeout")
	axfr, badAXFR := event(13, control.AXFRed, control.ResultOK), event(13, control.AXFRed, "refused")
	ixfr := event(11, control.IXFRed, control.ResultOK)
	badIXFR, current := event(12, control.IXFRed, "not_exact"), event(12, control.Confirmed, control.ResultOK)
	notify := event(12, control.Notified, control.ResultTaken)
	badAXFR.Text = "answered REFUSED"
	refresh, retransfer := []string{"refresh"}, []string{"retransfer"}
	soon := []string{"retransfer", "--timeout", "50ms"}
	type script = []control.Zone
	for _, c := range []struct {
		name  string
		args  []string
		zones script
		code  int
		want  string
	}{
		{"a transfer", refresh, script{due(command, older), running(0, soa, command), running(5, soa), idle(axfr, soa, command)},
			exitFine, "a.test.: ok, axfr from 192.0.2.1:53, serial 1->2\n"},
		{"nothing newer", refresh, script{due(command), idle(soa, command)}, exitFine, "a.test.: ok, soa from"},
		{"a transfer without news", retransfer, script{idle(current, command)}, exitFine, "a.test.: ok, current"},
		{"IXFR gives way to AXFR", refresh, script{running(1, badIXFR, soa, command), idle(axfr, badIXFR, soa, command)},
			exitFine, "a.test.: ok, axfr"},
		{"one primary gives way to the next", refresh, script{due(badSOA, command), idle(current, badSOA, command)},
			exitFine, "a.test.: ok, current"},
		{"no primary answers", refresh, script{due(command), idle(badSOA, command)}, exitBadNews, "a.test.: timeout, soa"},
		{"a newer version out of reach", refresh, script{idle(badAXFR, soa, command)}, exitBadNews,
			"a.test.: refused, axfr from 192.0.2.1:53, serial 1->2: answered REFUSED\n"},
		{"a retransfer refused", retransfer, script{running(1), idle(badAXFR, command)}, exitBadNews, "a.test.: refused, axfr"},
		{"what ran before a retransfer", retransfer, script{running(1, ixfr, command), idle(axfr, ixfr, command)}, exitFine,
			"a.test.: ok, axfr"},
		{"nothing in time", soon, script{due(command)}, exitBadNews, "a.test.: too late: no outcome"},
		{"only older events", soon, script{idle(older)}, exitBadNews, "a.test.: too late"},
		{"only a NOTIFY", soon, script{idle(notify, command)}, exitBadNews, "a.test.: too late"},
		{"a SOA is no retransfer", soon, script{idle(soa, command)}, exitBadNews, "a.test.: not_transferred"},
	} {
		f := newFake(t)
		f.zones["a.test."] = append([]control.Zone{idle()}, c.zones...) // the first is for the command
		out, err, code := f.run(t, append(c.args, "a.test", "--wait")...)
		if code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("%s: got code %d and %q; want %d and %q (%s)", c.name, code, out, c.code, c.want, err)
		}
	}
}

func TestWaitTellsTheEventAsJSON(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	axfr := event(13, control.AXFRed, control.ResultOK)
	f.zones["a.test."] = []control.Zone{idle(axfr)}
	out, _, _ := f.run(t, "retransfer", "a.test", "--wait", "-o", "json")
	var got []outcome
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	want := []outcome{{Zone: "a.test.", EventID: 10, Result: control.ResultOK, Event: &axfr}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(outcome{})); d != "" {
		t.Error(d)
	}
}

func TestWaitIsInterrupted(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.zones["a.test."] = []control.Zone{due()}
	a, _, _ := newTestApp()
	ctx, stop := contextWithStop(t)
	code := make(chan int, 1)
	go func() { code <- a.run(ctx, []string{"--address", f.url, "refresh", "a.test", "--wait"}) }()
	waitFor(t, "a second look", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.asked["a.test."] > 2
	})
	stop()
	if got := <-code; got != exitInterrupted {
		t.Errorf("Got code %d; want %d", got, exitInterrupted)
	}
}

func TestProgressIsLinesWithoutATerminalAndBarsOnOne(t *testing.T) {
	t.Parallel()
	script := []control.Zone{idle(), running(3), running(5)}
	for i := int64(1); i <= 40; i++ { // time for the bars to be drawn
		script = append(script, running(5+i))
	}
	script = append(script, idle(event(13, control.AXFRed, control.ResultOK)))
	f := newFake(t)
	f.zones["a.test."] = script
	_, err, code := f.run(t, "retransfer", "a.test", "--wait")
	if want := "a.test.: 3 records and 300B from 192.0.2.1:53\n"; code != exitFine || err != want {
		t.Errorf("Lines: got code %d and %q; want 0 and %q, for a clock that stands", code, err, want)
	}
	f = newFake(t)
	f.zones["a.test."] = script
	a, out, bars := newTestApp()
	a.live, a.every = true, 5*time.Millisecond
	if code := a.run(t.Context(), []string{"--address", f.url, "retransfer", "a.test", "--wait"}); code != exitFine {
		t.Errorf("Bars: got code %d; want 0", code)
	}
	contains(t, bars.String(), "a.test. records", "a.test. bytes", "#", "4.50KB")
	contains(t, out.String(), "a.test.: ok, axfr")
}

func TestBarsEndEvenBeforeTheyAreDrawn(t *testing.T) {
	t.Parallel()
	a, _, _ := newTestApp()
	a.live, a.every = true, time.Millisecond
	z := running(3)
	for range 50 {
		m := a.newMeter("a.test.")
		m.draw(&z)
		m.stop()
	}
}
