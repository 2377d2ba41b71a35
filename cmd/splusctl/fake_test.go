package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/control"
)

// testNow is the time at which all tests run.
var testNow = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// before returns the time d before testNow.
func before(d time.Duration) time.Time { return testNow.Add(-d) }

// fake is a server with values that a test sets before the first request. mu guards what follows it.
type fake struct {
	url      string
	token    string
	overview control.Overview
	zones    map[string][]control.Zone // by name; each request for a zone gets the next, the last for ever
	schedule []control.Appointment
	below    []control.SecondaryLine
	stream   []control.Event
	export   func(http.ResponseWriter)

	mu       sync.Mutex
	commands []string // "verb name server force"
	asked    map[string]int
	resumed  []string // after which event each stream began
}

func newFake(t *testing.T) *fake {
	f := &fake{zones: map[string][]control.Zone{}, asked: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { answer(w, &f.overview) })
	mux.HandleFunc("GET /v1/zones", f.list)
	mux.HandleFunc("GET /v1/zones/{name}", f.named(func(w http.ResponseWriter, z *control.Zone) { answer(w, z) }))
	mux.HandleFunc("GET /v1/zones/{name}/events", f.named(func(w http.ResponseWriter, z *control.Zone) {
		answer(w, control.EventPage{Events: z.Events})
	}))
	mux.HandleFunc("GET /v1/zones/{name}/export", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/dns")
		f.export(w)
	})
	mux.HandleFunc("POST /v1/zones/{name}/{verb}", f.command)
	mux.HandleFunc("GET /v1/schedule", func(w http.ResponseWriter, r *http.Request) {
		page := control.SchedulePage{Matching: len(f.schedule)}
		page.Appointments, page.Offset = cut(r, f.schedule)
		answer(w, page)
	})
	mux.HandleFunc("GET /v1/secondaries", func(w http.ResponseWriter, r *http.Request) {
		page := control.SecondaryPage{Matching: len(f.below), Omitted: 3}
		page.Secondaries, page.Offset = cut(r, f.below)
		answer(w, page)
	})
	mux.HandleFunc("GET /v1/events", f.events)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.token != "" && r.Header.Get("Authorization") != "Bearer "+f.token {
			refuse(w, http.StatusUnauthorized, "want the token")
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(control.Problem{Title: http.StatusText(status), Status: status, Detail: detail})
}

// cut returns the page of all that a request wants.
func cut[T any](r *http.Request, all []T) (page []T, offset int) {
	offset, _ = strconv.Atoi(r.FormValue("offset"))
	limit, _ := strconv.Atoi(r.FormValue("limit"))
	offset = min(offset, len(all))
	return all[offset:min(offset+limit, len(all))], offset
}

func (f *fake) list(w http.ResponseWriter, r *http.Request) {
	page := control.ZonePage{Zones: []control.Summary{}}
	var all []control.Summary
	for _, name := range sorted(f.zones) {
		z := f.zones[name][0].Summary
		page.Counts.Total++
		state := r.FormValue("state")
		if (state == "" || strings.EqualFold(state, string(z.State))) && strings.Contains(name, r.FormValue("search")) {
			all = append(all, z)
		}
	}
	page.Matching = len(all)
	page.Zones, page.Offset = cut(r, all)
	answer(w, page)
}

// named calls then with the zone of the request.
func (f *fake) named(then func(http.ResponseWriter, *control.Zone)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		all := f.zones[name]
		if len(all) == 0 {
			refuse(w, http.StatusNotFound, "no zone "+name)
			return
		}
		f.mu.Lock()
		i := min(f.asked[name], len(all)-1)
		f.asked[name]++
		f.mu.Unlock()
		then(w, &all[i])
	}
}

func (f *fake) command(w http.ResponseWriter, r *http.Request) {
	var c control.Command
	_ = json.NewDecoder(r.Body).Decode(&c)
	f.mu.Lock()
	command := fmt.Sprintf("%s %s %s %v", r.PathValue("verb"), r.PathValue("name"), r.FormValue("variant"), c.Force)
	f.commands = append(f.commands, command)
	f.mu.Unlock()
	f.named(func(w http.ResponseWriter, _ *control.Zone) { answer(w, control.Done{EventID: 10}) })(w, r)
}

func (f *fake) events(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.resumed = append(f.resumed, r.FormValue("after"))
	f.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream")
	for _, e := range f.stream {
		text, _ := json.Marshal(e)
		_, _ = fmt.Fprintf(w, "id: %d\nevent: %s\ndata: %s\n\n", e.ID, e.Kind, text)
	}
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// screen is what a command has written. It is safe for concurrent use.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// newTestApp returns an app without terminal and environment.
func newTestApp() (a *app, out, err *screen) {
	out, err = &screen{}, &screen{}
	return &app{
		out: out, err: err, getenv: func(string) string { return "" },
		now: func() time.Time { return testNow }, every: time.Millisecond,
	}, out, err
}

// run carries out a command against the fake and returns what it wrote and its exit code.
func (f *fake) run(t *testing.T, args ...string) (out, err string, code int) {
	t.Helper()
	a, o, e := newTestApp()
	code = a.run(t.Context(), append([]string{"--address", f.url}, args...))
	return o.String(), e.String(), code
}

// waitFor waits until ok holds.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("Not within 20 s: %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

// write makes a file in a directory of the test and returns its name.
func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// blockedZone is a zone with all there is to say about one.
func blockedZone() control.Zone {
	since := before(12 * time.Minute)
	return control.Zone{
		Summary: control.Summary{
			Name: "example.org.", Blocks: []string{"dns://127.0.0.1:1053"}, State: control.Blocked, Reason: "refused", Served: true,
			Serial: new(int64(7)), Records: 12345, Discards: 3,
			SinceAt: since, BehindAt: before(time.Hour), CheckedAt: before(2 * time.Hour),
			ExpireAt: testNow.Add(6 * 24 * time.Hour), NextAt: testNow.Add(5 * time.Minute),
		},
		ServedSOA: &control.SOA{Serial: 7, Primary: "ns.example.org.", Mailbox: "hostmaster.example.org.",
			Refresh: 3600, Retry: 600, Expire: 604800, Minimum: 300},
		SavedSOA:    &control.SOA{Serial: 6, Primary: "ns.example.org.", Mailbox: "hostmaster.example.org.", Refresh: 3600},
		NotifiedSOA: &control.SOA{Serial: 9, At: before(30 * time.Second)},
		Bytes:       1500000, Signed: true, Failures: 4, DifferAt: before(40 * time.Minute),
		Timers: control.Timers{Refresh: 3600, Retry: 600, Expire: 604800},
		Links: []control.Link{
			{Primary: "192.0.2.1:53", Key: "transfer.", State: control.Blocked, Damped: true, Reason: "refused",
				Advice: "Allow transfers to this server on the primary, with the key transfer.", Serial: new(int64(9)), Failures: 4,
				SinceAt: since, LastOKAt: before(2 * time.Hour), FailedAt: before(time.Minute),
				RetryAt: testNow.Add(5 * time.Minute), Ways: []control.Way{{Name: "no_ixfr", Text: "asked for AXFR at once", TillAt: testNow.Add(time.Hour)}}},
			{Primary: "198.51.100.1:53", State: control.Normal, SinceAt: before(3 * 24 * time.Hour)},
		},
		Secondaries: belowBlocked(),
		Discarded:   []control.Discard{{Name: "www.example.org.", Type: "CNAME", Records: 3, Rule: "cname_and_other_data"}},
		Events: []control.Event{
			{ID: 9, At: before(time.Minute), FirstAt: since, Count: 4, Zone: "example.org.",
				Kind: control.AXFRed, Result: "refused", Primary: "192.0.2.1:53", From: new(int64(7)), To: new(int64(9)),
				Text: "answered REFUSED"},
			{ID: 3, At: before(2 * time.Hour), Count: 1, Zone: "example.org.",
				Kind: control.IXFRed, Result: control.ResultOK, Primary: "192.0.2.1:53", From: new(int64(6)), To: new(int64(7)),
				Records: 12345, Bytes: 1500000, Seconds: 0.25},
		},
	}
}

// belowBlocked are secondaries in all states.
func belowBlocked() []control.Secondary {
	has := func(n int64) *int64 { return &n }
	return []control.Secondary{
		{Address: "203.0.113.1:53", Key: "down.", State: control.SecondaryFailing, Has: has(5), BehindAt: before(26 * time.Hour),
			Asked: &control.Asked{Serial: 4, At: before(27 * time.Hour)},
			Sent:  &control.Sent{Serial: 5, At: before(27 * time.Hour), Kind: control.IXFRed, Bytes: 1500},
			Notified: &control.NotifyOut{Serial: has(7), Result: control.NotifyUnanswered, At: before(time.Minute), Attempts: 14,
				FailingSinceAt: before(2 * time.Hour)}},
		{Address: "203.0.113.2", State: control.SecondaryBehind, Has: has(6), BehindAt: before(2 * time.Hour),
			Asked: &control.Asked{Serial: 6, At: before(time.Minute)}},
		{Address: "[2001:db8::1]:5353", State: control.SecondaryUnknown,
			Notified: &control.NotifyOut{Serial: has(7), Result: control.NotifyAcknowledged, Answer: "SERVFAIL", At: before(time.Hour)}},
		{Address: "203.0.113.3:53", State: control.SecondaryCurrent, Has: has(7),
			Sent:     &control.Sent{Serial: 7, At: before(time.Hour), Kind: control.AXFRed, Bytes: 1500000},
			Notified: &control.NotifyOut{Serial: has(7), Result: control.NotifyAcknowledged}},
	}
}

// goodZone is a zone without trouble.
func goodZone(name string) control.Zone {
	return control.Zone{
		Summary: control.Summary{Name: name, Blocks: []string{"dns://127.0.0.1:1053"}, State: control.Normal, Served: true,
			Serial: new(int64(1)), Records: 10, SinceAt: before(time.Hour),
			CheckedAt: before(time.Minute), NextAt: testNow.Add(time.Hour)},
		Links:     []control.Link{{Primary: "192.0.2.1:53", State: control.Normal}},
		Discarded: []control.Discard{}, Events: []control.Event{},
	}
}
