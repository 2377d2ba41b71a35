//go:build e2e

package httpapi_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/control"
)

// policy is what the control API's server sends with the page: nothing inline, nothing from elsewhere.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// canned is a control API whose zones are made up, behind the true page. It is safe for concurrent use.
type canned struct {
	address string

	mu        sync.Mutex
	server    *httptest.Server
	zones     []control.Zone // in the order of the answer
	store     control.Store
	token     string // that requests need
	problem   *control.Problem
	asked     []string // requests to the API, as "METHOD URI body"
	headers   []http.Header
	listeners map[chan control.Event]string // of events, with their query
	eventID   uint64
}

func startCanned(t *testing.T, zones ...control.Zone) *canned {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &canned{address: l.Addr().String(), zones: zones,
		store: control.Store{State: control.StoreOK, Path: "/var/lib/coredns/secondaryplus.db"}, listeners: map[chan control.Event]string{}, eventID: 1000}
	c.serve(l)
	t.Cleanup(c.stop)
	return c
}

func (c *canned) serve(l net.Listener) {
	s := httptest.NewUnstartedServer(c.routes())
	s.Listener.Close()
	s.Listener = l
	c.mu.Lock()
	defer c.mu.Unlock()
	c.server = s
	s.Start()
}

// stop ends the server and all connections.
func (c *canned) stop() {
	c.mu.Lock()
	s := c.server
	c.server = nil
	c.mu.Unlock()
	if s != nil {
		s.CloseClientConnections()
		s.Close()
	}
}

// restart starts the server again at the same address.
func (c *canned) restart(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", c.address)
	if err != nil {
		t.Fatal(err)
	}
	c.serve(l)
}

func (c *canned) url() string { return "http://" + c.address + "/" }

func (c *canned) routes() http.Handler {
	files := http.FileServerFS(os.DirFS("page"))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		files.ServeHTTP(w, r)
	})
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { reply(w, c.overview()) })
	mux.HandleFunc("GET /v1/zones", func(w http.ResponseWriter, r *http.Request) { reply(w, c.page(r)) })
	mux.HandleFunc("GET /v1/zones/{name}", c.zone)
	mux.HandleFunc("GET /v1/zones/{name}/export", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Disposition", `attachment; filename="zone.txt"`)
		fmt.Fprintf(w, "; %s\n", r.PathValue("name"))
	})
	mux.HandleFunc("POST /v1/zones/{name}/{command}", func(w http.ResponseWriter, _ *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.eventID++
		reply(w, control.Done{EventID: c.eventID})
	})
	mux.HandleFunc("GET /v1/schedule", func(w http.ResponseWriter, r *http.Request) { reply(w, c.schedule(r)) })
	mux.HandleFunc("GET /v1/events", c.events)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/") && !c.admit(w, r) {
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// admit notes a request, and answers it if it gets a problem.
func (c *canned) admit(w http.ResponseWriter, r *http.Request) bool {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(body)))
	c.headers = append(c.headers, r.Header)
	switch {
	case c.token != "" && r.Header.Get("Authorization") != "Bearer "+c.token:
		refuse(w, http.StatusUnauthorized, "send the token of the control block")
	case c.problem != nil:
		refuse(w, c.problem.Status, c.problem.Detail)
	default:
		return true
	}
	return false
}

func refuse(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	encode(w, control.Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail})
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	encode(w, v)
}

// encode leaves <, > and & as they are, which is the worst that a page can get.
func encode(w io.Writer, v any) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(http.ErrAbortHandler)
	}
}

func (c *canned) overview() control.Overview {
	c.mu.Lock()
	defer c.mu.Unlock()
	return control.Overview{
		Host: "ns2.example.net", Version: "0.3.0", StartedAt: ago(50 * time.Hour), Zones: count(c.zones),
		Transfers: control.Transfers{Running: 1, Waiting: 12, Limit: 10}, Store: c.store,
	}
}

func count(zones []control.Zone) (n control.Counts) {
	n.Total = len(zones)
	for i := range zones {
		for state, tally := range map[string]*int{
			"normal": &n.Normal, "degraded": &n.Degraded, "blocked": &n.Blocked, "unknown": &n.Unknown,
			"notserved": &n.NotServed, "behind": &n.Behind,
		} {
			if in(&zones[i], state) {
				*tally++
			}
		}
	}
	return n
}

// in reports whether a zone is in the state of a filter.
func in(z *control.Zone, state string) bool {
	switch state {
	case "":
		return true
	case "notserved":
		return !z.Served
	case "behind":
		return !z.BehindAt.IsZero()
	}
	return strings.ToLower(string(z.State)) == state
}

func (c *canned) page(r *http.Request) control.ZonePage {
	c.mu.Lock()
	defer c.mu.Unlock()
	state, search := r.FormValue("state"), strings.ToLower(r.FormValue("search"))
	var all []control.Summary
	for i := range c.zones {
		if in(&c.zones[i], state) && strings.Contains(c.zones[i].Name, search) {
			all = append(all, c.zones[i].Summary)
		}
	}
	from, to := bounds(r, len(all))
	return control.ZonePage{
		Zones: append([]control.Summary{}, all[from:to]...), Offset: from, Matching: len(all), Counts: count(c.zones),
	}
}

func bounds(r *http.Request, n int) (from, to int) {
	offset, _ := strconv.Atoi(r.FormValue("offset"))
	limit, _ := strconv.Atoi(r.FormValue("limit"))
	if limit == 0 {
		limit = 100
	}
	from = min(offset, n)
	return from, min(from+limit, n)
}

func (c *canned) schedule(r *http.Request) control.SchedulePage {
	c.mu.Lock()
	defer c.mu.Unlock()
	from, to := bounds(r, len(c.zones))
	page := control.SchedulePage{Appointments: []control.Appointment{}, Offset: from, Matching: len(c.zones)}
	for i, z := range c.zones[from:to] {
		a := control.Appointment{At: z.NextAt, Name: z.Name, Variant: z.Variant, Why: "refresh"}
		if z.Transfer != nil {
			a.At, a.Why = ago(time.Second), "running"
		} else if i%3 == 1 {
			a.Why = "retry"
		}
		page.Appointments = append(page.Appointments, a)
	}
	return page
}

func (c *canned) zone(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if name == control.RootName {
		name = "."
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, z := range c.zones {
		if z.Name == name {
			reply(w, z)
			return
		}
	}
	refuse(w, http.StatusNotFound, "no zone "+name+" is configured here")
}

// events sends events as they come (server-sent events).
func (c *canned) events(w http.ResponseWriter, r *http.Request) {
	ch := make(chan control.Event, 100)
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	c.mu.Lock()
	c.listeners[ch] = r.URL.RawQuery
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.listeners, ch)
		c.mu.Unlock()
	}()
	for {
		select {
		case <-r.Context().Done():
			return
		case e := <-ch:
			if e.Kind == control.Lost {
				fmt.Fprint(w, "event: lost\ndata: {}\n\n")
			} else {
				fmt.Fprintf(w, "id: %d\ndata: ", e.ID)
				encode(w, e)
				fmt.Fprint(w, "\n")
			}
			w.(http.Flusher).Flush()
		}
	}
}

// followers returns the queries of the event streams that are open.
func (c *canned) followers() (queries []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, q := range c.listeners {
		queries = append(queries, q)
	}
	return queries
}

// set puts a zone in the place of the one of its name, and tells an event of it.
func (c *canned) set(z control.Zone, e control.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.eventID++
	e.ID, e.At, e.Count, e.Zone, e.Variant = c.eventID, time.Now().UTC(), 1, z.Name, z.Variant
	z.Events = append([]control.Event{e}, z.Events...)
	i := slices.IndexFunc(c.zones, func(o control.Zone) bool { return o.Name == z.Name })
	if i < 0 {
		c.zones = append(c.zones, z)
	} else {
		c.zones[i] = z
	}
	for ch := range c.listeners {
		ch <- e
	}
}

// change changes the server under its lock.
func (c *canned) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// requests returns the requests to the API that begin like this.
func (c *canned) requests(prefix string) (found []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.asked {
		if strings.HasPrefix(r, prefix) {
			found = append(found, r)
		}
	}
	return found
}

// header returns the header of the latest request that begins like this.
func (c *canned) header(prefix string) http.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, r := range slices.Backward(c.asked) {
		if strings.HasPrefix(r, prefix) {
			return c.headers[i]
		}
	}
	return http.Header{}
}

// The made-up zones have the same server block.
const (
	block       = "dns://.:53"
	variant     = "inside"
	adviceReach = "Check that the primary runs and that TCP and UDP reach its port from here."
)

func ago(d time.Duration) time.Time { return time.Now().Add(-d).UTC() }

func hence(d time.Duration) time.Time { return ago(-d) }

func normalZone(name string) control.Zone {
	serial := int64(2026112003)
	soa := control.SOA{
		Serial: serial, Primary: "ns1.example.net.", Mailbox: "hostmaster.example.net.",
		Refresh: 3600, Retry: 900, Expire: 1209600, Minimum: 300,
	}
	z := control.Zone{
		Secondaries: []control.Secondary{{
			Address: "198.51.100.8:53", State: control.SecondaryCurrent, Has: &serial,
			Sent:     &control.Sent{Serial: serial, At: ago(4 * time.Minute), Kind: control.IXFRed, Bytes: 712},
			Notified: &control.NotifyOut{Serial: &serial, Result: control.NotifyAcknowledged, At: ago(4 * time.Minute)},
		}},
		Summary: control.Summary{
			Name: name, Variant: variant, Blocks: []string{block}, State: control.Normal, Served: true, Serial: &serial, Records: 1234,
			SinceAt: ago(26 * time.Hour), CheckedAt: ago(4 * time.Minute),
			ExpireAt: hence(330 * time.Hour), NextAt: hence(56 * time.Minute),
		},
		ServedSOA: &soa, SavedSOA: &soa, NotifiedSOA: &control.SOA{Serial: serial, At: ago(4 * time.Minute)},
		Bytes: 48_211, Signed: true, Timers: control.Timers{Refresh: 3600, Retry: 900, Expire: 1209600},
		Links: []control.Link{
			{Primary: "192.0.2.1:53", Key: "transfer.example.", State: control.Normal, Serial: &serial,
				SinceAt: ago(26 * time.Hour), LastOKAt: ago(4 * time.Minute)},
			{Primary: "[2001:db8::1]:53", Key: "transfer.example.", State: control.Normal, Serial: &serial,
				SinceAt: ago(26 * time.Hour), LastOKAt: ago(4 * time.Minute)},
		},
	}
	z.Events = history(&z)
	return z
}

// history makes up a day of events.
func history(z *control.Zone) (events []control.Event) {
	id := uint64(500)
	for i := range int64(12) {
		at := 4*time.Minute + time.Duration(i)*37*time.Minute
		to, from := *z.Serial-i, *z.Serial-i-1-i%3
		add := func(e control.Event) {
			e.ID, e.At, e.Zone, e.Variant, e.Count = id, ago(at), z.Name, z.Variant, max(e.Count, 1)
			e.Primary, e.From, e.To = "192.0.2.1:53", &from, &to
			events = append(events, e)
			id--
		}
		switch i {
		case 3:
			add(control.Event{Kind: control.AXFRed, Result: "timeout", Seconds: 10, Text: "i/o timeout after 10 s"})
		case 7:
			add(control.Event{Kind: control.AXFRed, Result: control.ResultOK, Records: 1230, Bytes: 48_100, Seconds: 0.42})
		default:
			add(control.Event{Kind: control.IXFRed, Result: control.ResultOK, Records: 4 + int(i), Bytes: 612 + 90*i,
				Seconds: 0.03 + 0.01*float64(i)})
		}
		add(control.Event{Kind: control.SOAChecked, Result: control.ResultOK, Seconds: 0.002, Count: int(i%4) + 1,
			FirstAt: ago(at + time.Hour)})
		add(control.Event{Kind: control.Notified, Result: control.ResultTaken})
	}
	return events
}

func blockedZone(name string) control.Zone {
	z := normalZone(name)
	z.State, z.Reason, z.SinceAt, z.CheckedAt = control.Blocked, "tsig_bad_sig", ago(95*time.Minute), ago(98*time.Minute)
	z.ExpireAt, z.NextAt, z.Failures, z.Discards = hence(150*time.Hour), hence(7*time.Minute+12*time.Second), 9, 3
	z.BehindAt, z.DifferAt = ago(95*time.Minute), ago(3*time.Hour)
	notified := *z.Serial + 2
	z.NotifiedSOA = &control.SOA{Serial: notified, At: ago(95 * time.Minute)}
	z.Links[0] = control.Link{
		Primary: "192.0.2.1:53", Key: "transfer.example.", State: control.Blocked, Reason: "tsig_bad_sig", Failures: 9,
		Serial: &notified, Advice: "Compare the name, algorithm and secret of the key on both sides.",
		SinceAt: ago(95 * time.Minute), LastOKAt: ago(98 * time.Minute), FailedAt: ago(time.Minute),
		RetryAt: hence(7 * time.Minute),
	}
	z.Links[1] = control.Link{
		Primary: "[2001:db8::1]:53", Key: "transfer.example.", State: control.Blocked, Reason: "timeout", Failures: 31,
		Damped: true, Advice: adviceReach,
		SinceAt: ago(5 * time.Hour), LastOKAt: ago(5 * time.Hour), FailedAt: ago(time.Minute),
		RetryAt: hence(14 * time.Minute), Ways: []control.Way{{Name: "no_ixfr", Text: "asked for AXFR at once", TillAt: hence(20 * time.Hour)}},
	}
	old := *z.Serial - 3
	z.Secondaries = []control.Secondary{
		{Address: "198.51.100.7:53", Key: "down.example.", State: control.SecondaryFailing, Has: &old, BehindAt: ago(26 * time.Hour),
			Asked: &control.Asked{Serial: old - 1, At: ago(27 * time.Hour)},
			Sent:  &control.Sent{Serial: old, At: ago(27 * time.Hour), Kind: control.AXFRed, Bytes: 48_100},
			Notified: &control.NotifyOut{Serial: z.Serial, Result: control.NotifyRefused, Answer: "NOTAUTH", At: ago(time.Minute), Attempts: 14,
				FailingSinceAt: ago(2 * time.Hour)}},
		{Address: "203.0.113.2", State: control.SecondaryBehind, Has: &old, BehindAt: ago(2 * time.Hour),
			Asked: &control.Asked{Serial: old, At: ago(time.Minute)}},
		{Address: "[2001:db8::2]:53", State: control.SecondaryUnknown,
			Notified: &control.NotifyOut{Serial: z.Serial, Result: control.NotifyBadAnswer, Answer: "tsig_bad_key"}},
		z.Secondaries[0],
	}
	z.Discarded = []control.Discard{
		{Name: "www." + name, Type: "A", Records: 2, Rule: "cname_and_other"},
		{Name: "other.example.org.", Type: "TXT", Records: 1, Rule: "out_of_zone"},
	}
	failures := []control.Event{
		{ID: 903, At: ago(time.Minute), FirstAt: ago(95 * time.Minute), Count: 9, Zone: name, Variant: variant,
			Kind: control.SOAChecked, Result: "tsig_bad_sig", Primary: "192.0.2.1:53", Seconds: 0.004,
			Text: "the signature of the answer does not match key transfer.example."},
		{ID: 902, At: ago(time.Minute), FirstAt: ago(5 * time.Hour), Count: 31, Zone: name, Variant: variant,
			Kind: control.SOAChecked, Result: "timeout", Primary: "[2001:db8::1]:53", Seconds: 5, Text: "no answer in 5 s"},
		{ID: 901, At: ago(96 * time.Minute), Count: 1, Zone: name, Variant: variant,
			Kind: control.Remarked, Result: "ns_without_address",
			Text: "1 name servers in the zone have no address there: ns3." + name + " A"},
	}
	z.Events = append(failures, z.Events...)
	return z
}

func expiredZone(name string) control.Zone {
	z := blockedZone(name)
	z.Served, z.Expired, z.Serial, z.Records, z.ServedSOA = false, true, nil, 0, nil
	z.SavedSOA.Serial = 2026110100
	z.ExpireAt, z.SinceAt, z.Reason = ago(3*time.Hour), ago(340*time.Hour), "timeout"
	z.BehindAt = time.Time{}
	for i := range z.Links {
		z.Links[i].Reason, z.Links[i].Advice = "timeout", adviceReach
		z.Links[i].SinceAt, z.Links[i].LastOKAt, z.Links[i].Damped = ago(340*time.Hour), ago(340*time.Hour), false
	}
	expired := control.Event{
		ID: 950, At: ago(3 * time.Hour), Count: 1, Zone: name, Variant: variant,
		Kind: control.Expired, Result: control.ResultExpired,
	}
	z.Events = append([]control.Event{expired}, z.Events[1:]...)
	return z
}

func transferringZone(name string) control.Zone {
	z := normalZone(name)
	z.State, z.Served, z.Serial, z.Records = control.Unknown, false, nil, 0
	z.ServedSOA, z.SavedSOA, z.NotifiedSOA = nil, nil, nil
	z.ExpireAt, z.NextAt, z.CheckedAt, z.SinceAt = time.Time{}, time.Time{}, time.Time{}, ago(time.Minute)
	for i := range z.Links {
		z.Links[i] = control.Link{Primary: z.Links[i].Primary, State: control.Unknown, SinceAt: ago(time.Minute)}
	}
	z.Events = []control.Event{}
	z.Transfer = &control.Progress{
		Primary: "192.0.2.1:53", Records: 412_330, Bytes: 11_800_000, BeganAt: ago(9 * time.Second),
	}
	return z
}

func manyZones(n int) []control.Zone {
	zones := []control.Zone{
		blockedZone("broken.example."), expiredZone("expired.example."), transferringZone("new.example."),
	}
	like := normalZone("")
	for i := len(zones); i < n; i++ {
		z := like
		z.Name = fmt.Sprintf("zone-%05d.example.", i)
		zones = append(zones, z)
	}
	return zones[:n]
}
