package fault_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/fault"
)

// A webhook gets JSON by itself, with the facts one by one; a gateway to SMS can make its own text of them.
func TestWebhookGetsTheFactsAsJSON(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"generic://%s/hook/SECRET?disabletls=yes&id=4", "generic+http://%s/hook/SECRET?id=4"} {
		w, log := newWebhook(t, nil), &journal{}
		n := start(t, log, fmt.Sprintf(form, w.address()))
		for i := range 1000 {
			n.Down(fmt.Sprintf("z%04d.example.", i), dead())
		}
		r := w.next(t)
		if r.method != http.MethodPost || r.path != "/hook/SECRET" || r.query != "id=4" || r.contentType != "application/json" {
			t.Errorf("Request %+v", r)
		}
		var got map[string]string
		if err := json.Unmarshal([]byte(r.body), &got); err != nil {
			t.Fatalf("%q: %v", r.body, err)
		}
		for key, want := range map[string]string{
			"event": "fault", "zones": "1000", "host": "ns2.example.net", "primaries": "192.0.2.1:53 unreachable",
			"names": "z0000.example., z0001.example., z0002.example., z0003.example., z0004.example. and 995 more",
			"title": "ns2.example.net: 1000 zones cannot follow their primary",
		} {
			if got[key] != want {
				t.Errorf("%s is %q; want %q", key, got[key], want)
			}
		}
		for _, part := range []string{"1000 zones: primary 192.0.2.1:53 is unreachable, since ", "all of them until ", "To do: Check that "} {
			if !strings.Contains(got["message"], part) {
				t.Errorf("The message lacks %q:\n%s", part, got["message"])
			}
		}
		for i := range 1000 {
			n.Up(fmt.Sprintf("z%04d.example.", i))
		}
		if r = w.next(t); !strings.Contains(r.body, `"event":"recovery"`) || !strings.Contains(r.body, `"zones":"1000"`) {
			t.Errorf("Recovery %s", r.body)
		}
		quiet(t, w.requests, 1500*time.Millisecond)
		if counts := n.Counts(); counts["generic://127.0.0.1"] != (fault.Count{Delivered: 2}) {
			t.Errorf("Counts %+v", counts)
		}
		if n.Close(); strings.Contains(log.text(), "SECRET") {
			t.Errorf("The log holds the secret:\n%s", log.text())
		}
	}
}

func TestMailIsSentOverSMTP(t *testing.T) {
	t.Parallel()
	s, log := newMailServer(t, nil), &journal{}
	n := start(t, log, s.url("robot", "PASSWORD"))
	n.Down("example.", dead())
	m := receive(t, s.mails)
	if want := "PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00robot\x00PASSWORD")); m.auth != want {
		t.Errorf("AUTH %q; want %q", m.auth, want)
	}
	if !strings.HasPrefix(m.from, "FROM:<ns2@example.net>") || len(m.to) != 1 || m.to[0] != "TO:<noc@example.net>" {
		t.Errorf("From %q to %q", m.from, m.to)
	}
	head, body, _ := strings.Cut(m.data, "\r\n\r\n")
	if !strings.Contains(head, "Subject: ns2.example.net: zone example. cannot follow its primary") {
		t.Errorf("Header:\n%s", head)
	}
	if !strings.Contains(body, "1 zone: primary 192.0.2.1:53 is unreachable") || !strings.Contains(body, "serial 7 until ") {
		t.Errorf("Body:\n%s", body)
	}
	n.Up("example.")
	if m = receive(t, s.mails); !strings.Contains(m.data, "zone example. follows its primary again") {
		t.Errorf("Recovery:\n%s", m.data)
	}
	if n.Close(); strings.Contains(log.text(), "PASSWORD") || strings.Contains(log.text(), "robot") {
		t.Errorf("The log holds the secret:\n%s", log.text())
	}
}

// A sink that fails is tried again, and does not keep the others from their messages.
func TestFailingSinkIsTriedAgain(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	failures := fault.MaxAttempts - 1
	bad := newWebhook(t, func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if failures--; failures >= 0 {
			http.Error(w, "not now", http.StatusServiceUnavailable)
		}
	})
	good, log := newWebhook(t, nil), &journal{}
	n := start(t, log, "generic+"+bad.URL+"/bad", "generic+"+good.URL+"/good")
	n.Down("example.", dead())
	good.next(t)
	for range fault.MaxAttempts {
		bad.next(t)
	}
	quiet(t, bad.requests, 300*time.Millisecond)
	n.Close()
	if c := n.Counts()["generic://127.0.0.1"]; c != (fault.Count{Delivered: 2, Retried: fault.MaxAttempts - 1}) {
		t.Errorf("Counts %+v", c)
	}
	if log.count("is lost") != 0 {
		t.Errorf("The log complains of what went well in the end:\n%s", log.text())
	}
}

// What is given up is logged once and counted.
func TestLostMessageIsLoggedOnce(t *testing.T) {
	t.Parallel()
	bad := newWebhook(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "TOKEN", http.StatusForbidden) })
	good, log := newWebhook(t, nil), &journal{}
	n := start(t, log, "generic+"+bad.URL+"/TOKEN", "generic+"+good.URL+"/good")
	n.Down("example.", dead())
	good.next(t)
	for range fault.MaxAttempts {
		bad.next(t)
	}
	waitFor(t, func() bool { return n.Counts()["generic://127.0.0.1"].Failed == 1 })
	n.Close()
	quiet(t, good.requests, 0)
	if log.count("to generic://127.0.0.1 is lost: HTTP 403 Forbidden, 4 attempts") != 1 || log.count("warning fault_notify op=fault: 1 zone: ") != 1 {
		t.Errorf("Log:\n%s", log.text())
	}
}

// waitFor waits until ok.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("It does not come true")
		}
	}
}

// Servers that never answer cost nobody else anything: callers return at once, attempts end, what hangs is bounded.
func TestHangingSinksDelayNobody(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	hang := newWebhook(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts through its backlog, and says nothing: the SMTP client waits forever
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	good, log := newWebhook(t, nil), &journal{}
	n := start(t, log, "generic+"+hang.URL+"/KEY", "smtp://user:KEY@"+l.Addr().String()+"/?from=a@example.net&to=b@example.net",
		"generic+"+good.URL)
	n.Down("example.", dead())
	good.next(t)
	begun := time.Now()
	for i := range 10_000 {
		n.Down(fmt.Sprintf("z%d.example.", i), dead())
	}
	if d := time.Since(begun); d > time.Second {
		t.Errorf("10,000 callers wait for %s", d)
	}
	waitFor(t, func() bool { return log.count("is lost: timeout, 4 attempts") == 2 })
	begun = time.Now()
	n.Close()
	if d := time.Since(begun); d > time.Second {
		t.Errorf("Close takes %s", d)
	}
	if strings.Contains(log.text(), "KEY") {
		t.Errorf("The log holds the secret:\n%s", log.text())
	}
}

// A restart tells nobody again, and the recovery of what had been told is told by the process that sees it.
func TestRestartTellsNobodyAgain(t *testing.T) {
	t.Parallel()
	w, log := newWebhook(t, nil), &journal{}
	var mu sync.Mutex
	var state []byte
	save := func(s []byte) error {
		mu.Lock()
		defer mu.Unlock()
		state = s
		return nil
	}
	n := fault.NewNotifier(log, nil, save, nil)
	configure(t, n, "generic+"+w.URL)
	n.Down("example.", dead())
	w.next(t)
	waitFor(t, func() bool { mu.Lock(); defer mu.Unlock(); return strings.Contains(string(state), `"example."`) })
	n.Close()

	n = fault.NewNotifier(log, state, save, nil)
	configure(t, n, "generic+"+w.URL)
	if zones := n.Zones(); len(zones) != 1 || zones[0] != "example." {
		t.Errorf("Zones %v are remembered", zones)
	}
	n.Down("example.", dead())
	quiet(t, w.requests, 1500*time.Millisecond)
	n.Up("example.")
	if r := w.next(t); !strings.Contains(r.body, `"event":"recovery"`) {
		t.Errorf("Recovery %s", r.body)
	}
	n.Close()
	if string(state) != "{}" {
		t.Errorf("State %s is left", state)
	}
}

// Zones that people call the same are not the same: the end of one is not that of another, and goes by what tells them apart
// over a restart too.
func TestZonesOfOneNameAreToldApart(t *testing.T) {
	t.Parallel()
	w, log := newWebhook(t, nil), &journal{}
	var mu sync.Mutex
	var state []byte
	save := func(s []byte) error {
		mu.Lock()
		defer mu.Unlock()
		state = s
		return nil
	}
	name := func(zones []string) []string {
		called := make([]string, len(zones))
		for i, z := range zones {
			called[i] = strings.ReplaceAll(z, "\x00", " in ")
		}
		return called
	}
	n := fault.NewNotifier(log, nil, save, name)
	configure(t, n, "generic+"+w.URL)
	n.Down("example.\x00inside", dead())
	n.Down("example.\x00outside", dead())
	n.Up("example.\x00inside")
	n.Gone("example.\x00inside")
	if r := w.next(t); !strings.Contains(r.body, `"names":"example. in outside"`) || strings.Contains(r.body, "\x00") {
		t.Errorf("Message %s", r.body)
	}
	n.Close()
	if log.count("example. in outside") != 1 {
		t.Errorf("Log:\n%s", log.text())
	}

	n = fault.NewNotifier(log, state, save, name)
	configure(t, n, "generic+"+w.URL)
	if zones := n.Zones(); len(zones) != 1 || zones[0] != "example.\x00outside" {
		t.Errorf("Zones %q are remembered", zones)
	}
	n.Up("example.\x00inside")
	n.Down("example.\x00outside", dead())
	quiet(t, w.requests, 500*time.Millisecond)
	n.Up("example.\x00outside")
	if r := w.next(t); !strings.Contains(r.body, `"event":"recovery"`) || !strings.Contains(r.body, `"names":"example. in outside"`) {
		t.Errorf("Recovery %s", r.body)
	}
	n.Close()
}

func TestDamagedStateAndFailingSaveAreSaidAndSurvived(t *testing.T) {
	t.Parallel()
	w, log := newWebhook(t, nil), &journal{}
	n := fault.NewNotifier(log, []byte("{damaged"), func([]byte) error { return errors.New("disk full") }, nil)
	configure(t, n, "generic+"+w.URL)
	n.Down("example.", dead())
	w.next(t)
	n.Close()
	if log.count("the saved state is damaged") != 1 || log.count("disk full") != 1 {
		t.Errorf("Log:\n%s", log.text())
	}
}

// Sinks of a new configuration get what the old ones did not, and a sink that stays keeps its counts.
func TestReconfiguredSinks(t *testing.T) {
	t.Parallel()
	w, other, log := newWebhook(t, nil), newWebhook(t, nil), &journal{}
	n := start(t, log)
	n.Down("example.", dead())
	time.Sleep(200 * time.Millisecond)
	configure(t, n, "generic+"+w.URL, "generic+"+w.URL)
	w.next(t)
	quiet(t, w.requests, 200*time.Millisecond)
	waitFor(t, func() bool { return n.Counts()["generic://127.0.0.1"].Delivered == 1 })
	configure(t, n, "generic+"+other.URL)
	n.Up("example.")
	other.next(t)
	quiet(t, w.requests, 0)
	waitFor(t, func() bool { return n.Counts()["generic://127.0.0.1"].Delivered == 2 })
	if err := n.Configure(fault.Settings{URLs: []string{"nowhere://TOKEN"}}); err == nil || strings.Contains(err.Error(), "TOKEN") {
		t.Errorf("A wrong URL: %v", err)
	}
}
