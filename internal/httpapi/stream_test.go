package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/control"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/httpapi"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
)

// subscribe opens a stream by hand and returns its lines, and what ends it.
func (d *desk) subscribe(query string, headers ...string) (*bufio.Scanner, *http.Response, context.CancelFunc) {
	d.t.Helper()
	ctx, cancel := context.WithCancel(d.t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.address+"/v1/events?"+query, http.NoBody)
	if err != nil {
		d.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		cancel()
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { cancel(); resp.Body.Close() })
	return bufio.NewScanner(resp.Body), resp, cancel
}

// field reads lines up to one that begins with the words, and returns the rest of that.
func field(t testing.TB, lines *bufio.Scanner, begin string) string {
	t.Helper()
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), begin); ok {
			return rest
		}
	}
	t.Fatalf("the stream ends without %q: %v", begin, lines.Err())
	return ""
}

func TestStreamBringsEventsAndResumes(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	d.serve("example.", 1)
	d.serve("other.example.", 1)
	ctx, cancel := context.WithCancel(t.Context())
	all, one := d.follow(ctx, "", 0), d.follow(ctx, "EXAMPLE", 0)
	var first *control.Done
	eventuallyTrue(t, "an event for both followers", func() bool {
		var err error
		if first, err = d.Client.Flush(t.Context(), control.Ref{Name: "example."}); err != nil {
			t.Fatal(err)
		}
		return len(all.all()) > 0 && len(one.all()) > 0
	})
	if _, err := d.Client.Flush(t.Context(), control.Ref{Name: "other.example."}); err != nil {
		t.Fatal(err)
	}
	eventuallyTrue(t, "the event of the other zone", func() bool {
		return slices.ContainsFunc(all.all(), func(e control.Event) bool { return e.Zone == "other.example." })
	})
	for _, e := range one.all() {
		if e.Zone != "example." || e.Kind != control.Commanded {
			t.Errorf("The follower of one zone was given %+v", e)
		}
	}
	cancel()
	if err := <-all.done; !errors.Is(err, context.Canceled) {
		t.Errorf("Follow: %v; want that of the context", err)
	}
	<-one.done

	for _, zone := range []string{"", "example."} {
		ctx, cancel := context.WithCancel(t.Context())
		late := d.follow(ctx, zone, first.EventID-1)
		eventuallyTrue(t, "the events since", func() bool { return len(late.all()) > 0 })
		if got := late.all()[0].ID; got < first.EventID {
			t.Errorf("Zone %q after %d begins with %d", zone, first.EventID-1, got)
		}
		cancel()
		<-late.done
	}
}

func TestStreamOfAZoneHasEachEventOnce(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	d.serve("example.", 1)
	const orders = 200
	go func() {
		for range orders {
			_, _ = d.Engine.Flush(engine.ZoneID{Name: "example."})
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	f := d.follow(ctx, "example.", 1)
	eventuallyTrue(t, "the last order", func() bool {
		got := f.all()
		return len(got) > 0 && got[len(got)-1].ID == d.lastEvent() && got[len(got)-1].Count >= orders
	})
	cancel()
	<-f.done
	got := f.all()
	if !slices.IsSortedFunc(got, func(a, b control.Event) int { return int(int64(a.ID) - int64(b.ID)) }) {
		t.Error("The events are not in order")
	}
	if unique := slices.CompactFunc(slices.Clone(got), func(a,
		b control.Event) bool {
		return a.ID == b.ID
	}); len(unique) != len(got) {
		t.Errorf("%d events, %d of them different", len(got), len(unique))
	}
}

func TestStreamIsOneForBrowsers(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, func(e *secondary.Secondary, o httpapi.Options) *httpapi.Server {
		return httpapi.NewImpatient(e, o, 0, 0, 0, 10*time.Millisecond)
	})
	d.serve("example.", 1)
	last := d.lastEvent()
	lines, resp, _ := d.subscribe("zone=example")
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("Content-Type %q", got)
	}
	if got := field(t, lines, "id: "); got != fmt.Sprint(last) {
		t.Errorf("The stream begins with ID %s; want %d", got, last)
	}
	field(t, lines, ":") // a sign of life
	if _, err := d.Client.Flush(t.Context(), control.Ref{Name: "example."}); err != nil {
		t.Fatal(err)
	}
	if got := field(t, lines, "id: "); got != fmt.Sprint(last+1) {
		t.Errorf("ID %s; want %d", got, last+1)
	}
	if data := field(t, lines, "data: "); !strings.Contains(data, `"kind":"command"`) {
		t.Errorf("Data %s", data)
	}
	lines, _, _ = d.subscribe("after=1000000", "Last-Event-ID", fmt.Sprint(last)) // the header is the later word
	if got := field(t, lines, "id: "); got != fmt.Sprint(last) {
		t.Errorf("The stream resumes after %s; want %d", got, last)
	}
	if got := field(t, lines, "id: "); got != fmt.Sprint(last+1) {
		t.Errorf("After it comes %s", got)
	}
}

func TestStreamTellsOfLostEvents(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	d.serve("example.", 1)
	for _, query := range []string{"after=99999", "zone=example&after=99999"} {
		lines, _, _ := d.subscribe(query) // an ID of another process
		if got := field(t, lines, "event: "); got != "lost" {
			t.Errorf("%s: event %s", query, got)
		}
		if got := field(t, lines, "id: "); got != "0" {
			t.Errorf("%s: resumes after %s; want all that is kept", query, got)
		}
		field(t, lines, "data: {\"id\"")
	}
	ctx, cancel := context.WithCancel(t.Context())
	f := d.follow(ctx, "", 99999)
	eventuallyTrue(t, "a lost event and those that are kept", func() bool { return len(f.all()) > 1 })
	if got := f.all(); got[0].Kind != control.Lost || got[1].ID == 0 {
		t.Errorf("Follow gives %+v", got)
	}
	cancel()
	<-f.done
}

func TestStreamForSlowReadersIsCut(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, func(e *secondary.Secondary, o httpapi.Options) *httpapi.Server {
		return httpapi.NewImpatient(e, o, 0, 0, 200*time.Millisecond, 0)
	})
	d.serve("example.", 1)
	c := d.dial()
	fmt.Fprintf(c, "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
	eventuallyTrue(t, "a stream", func() bool { return d.server.Streams() == 1 })
	eventuallyTrue(t, "the end of the stream", func() bool {
		for range 100 { // two kinds in turn, which are not one event
			_, _ = d.Engine.Flush(engine.ZoneID{Name: "example."})
			_, _ = d.Renotify(engine.ZoneID{Name: "example."})
		}
		return d.server.Streams() == 0
	})
}

func TestStreamsAreBounded(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	d.serve("example.", 1)
	var last context.CancelFunc
	for range httpapi.MaxStreams {
		var resp *http.Response
		if _, resp, last = d.subscribe(""); resp.StatusCode != http.StatusOK {
			t.Fatalf("Status %d", resp.StatusCode)
		}
	}
	if resp := d.request(http.MethodGet, "/v1/events", ""); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("One more: status %d, headers %v; want 503 with Retry-After", resp.StatusCode, resp.Header)
	}
	last()
	eventuallyTrue(t, "a free place", func() bool {
		_, resp, _ := d.subscribe("")
		return resp.StatusCode == http.StatusOK
	})
}

func TestStreamEndsWithItsToken(t *testing.T) {
	d := newDesk(t, httpapi.Options{Token: "old"}, func(e *secondary.Secondary, o httpapi.Options) *httpapi.Server {
		return httpapi.NewImpatient(e, o, 0, 0, 0, 10*time.Millisecond)
	})
	lines, _, _ := d.subscribe("", "Authorization", "Bearer old")
	field(t, lines, ":")
	d.server.Configure(httpapi.Options{Token: "new"})
	for lines.Scan() {
	}
	if resp := d.request(http.MethodGet, "/v1/status", "", "Authorization", "Bearer old"); resp.StatusCode != 401 {
		t.Errorf("The old token gets %d", resp.StatusCode)
	}
	if resp := d.request(http.MethodGet, "/v1/status", "", "Authorization", "Bearer new"); resp.StatusCode != 200 {
		t.Errorf("The new token gets %d", resp.StatusCode)
	}
}

func TestFollowEndsAsItShould(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	d.serve("example.", 1)
	err := d.Follow(t.Context(), "other.", 0, nil)
	if problemOf(t, err).Status != 404 {
		t.Errorf("Of a zone that is not there: %v", err)
	}
	last, enough := d.lastEvent(), errors.New("enough")
	if _, err := d.Client.Flush(t.Context(), control.Ref{Name: "example."}); err != nil {
		t.Fatal(err)
	}
	if err := d.Follow(t.Context(), "example.", last, func(control.Event) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("Of somebody who has seen enough: %v", err)
	}
}
