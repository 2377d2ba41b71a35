package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/control"
	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/httpapi"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/watch"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// apiBlock is the server block of the zones in these tests.
const apiBlock = "dns://:53"

// apiPatience is how long a test waits for what is to happen; only a failing one waits so long.
const apiPatience = 2 * time.Minute

// quietLog is an watch.Logger that keeps the errors. It is safe for concurrent use.
type quietLog struct {
	mu     sync.Mutex
	errors []string // guarded by mu
}

func (*quietLog) Debugf(string, ...any)   {}
func (*quietLog) Infof(string, ...any)    {}
func (*quietLog) Warningf(string, ...any) {}

func (l *quietLog) Errorf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errors = append(l.errors, fmt.Sprintf(format, v...))
}

// source is a primary of one zone that can be changed. It is safe for concurrent use.
type source struct {
	*dnstest.Primary

	mu     sync.Mutex
	answer dnstest.Handler // guarded by mu
	asked  []string        // the types of the requests; guarded by mu
}

// startSource starts a primary of a zone, or without records one that refuses.
func startSource(t testing.TB, records ...string) *source {
	s := &source{answer: func(r dnstest.Request, w *dnstest.Writer) { w.Send(r.Rcode(dns.RcodeRefused)) }}
	if len(records) > 0 {
		s.answer = dnstest.Serve("", records...)
	}
	s.Primary = dnstest.NewPrimary(t, func(r dnstest.Request, w *dnstest.Writer) {
		s.mu.Lock()
		s.asked = append(s.asked, dns.TypeToString[r.Type])
		answer := s.answer
		s.mu.Unlock()
		answer(r, w)
	})
	return s
}

func (s *source) become(h dnstest.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = h
}

// requests returns the types of the requests there were, and forgets them.
func (s *source) requests() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.asked = nil }()
	return strings.Join(s.asked, " ")
}

// exampleZone returns a zone of the name with a serial.
func exampleZone(name string, serial int) []string {
	return []string{
		fmt.Sprintf("%s 3600 IN SOA ns.%s hostmaster.%s %d 3600 600 86400 60", name, name, name, serial),
		fmt.Sprintf("%s 3600 IN NS ns.%s", name, name),
		fmt.Sprintf("ns.%s 3600 IN A 192.0.2.1", name),
	}
}

// desk is an engine with its control API and a client of it. Its methods are for the goroutine of the test.
type desk struct {
	*secondary.Secondary
	*control.Client
	t       testing.TB
	server  *httpapi.Server
	log     *quietLog
	address string // host:port
	config  secondary.Config
	live    *secondary.Attachment
}

// newDesk starts an engine without zones and its control API; make is httpapi.New unless the test wants other limits.
func newDesk(t testing.TB, o httpapi.Options, newServer func(*secondary.Secondary, httpapi.Options) *httpapi.Server) *desk {
	t.Helper()
	wantNothingMore(t)
	d := &desk{t: t, log: &quietLog{}, config: secondary.Config{Settings: secondary.Settings{Settings: engine.DefaultSettings},
		Zones: map[engine.ZoneID]engine.ZoneConfig{}}}
	d.Secondary = secondary.New(d.log, watch.NewMetrics())
	t.Cleanup(d.Close)
	if newServer == nil {
		newServer = httpapi.New
	}
	o.Log = d.log
	d.server = newServer(d.Secondary, o)
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.address = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- d.server.Serve(l) }()
	t.Cleanup(func() {
		d.server.Close()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	d.Client, err = control.NewClient(control.Options{Address: "http://" + d.address, Token: o.Token})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// hold has the engine hold zones in a block, from these primaries.
func (d *desk) hold(variant string, primaries []*source, names ...string) {
	d.t.Helper()
	clamp := refresh.Clamp{Min: time.Second, Max: 1000 * time.Hour}
	g := &engine.Group{Policy: version.Policy{
		MaxRecords: 200_000, MaxSize: 1 << 26, Conflicts: rules.ConflictsRFC,
		Limits: refresh.Limits{Refresh: clamp, Retry: clamp, Expire: clamp},
	}}
	for _, p := range primaries {
		g.Primaries = append(g.Primaries, xfr.Primary{Addr: p.Addr()})
	}
	for _, n := range names {
		origin, err := wire.ParseName(n)
		if err != nil {
			d.t.Fatal(err)
		}
		d.config.Zones[engine.ZoneID{Name: n, Variant: variant}] = engine.ZoneConfig{Origin: origin, Group: g, Blocks: []string{apiBlock}}
	}
	if d.live != nil {
		d.live.Update(engine.Change{Zones: d.config.Zones})
		return
	}
	var err error
	if d.live, err = d.Attach(d.config); err != nil {
		d.t.Fatal(err)
	}
	d.live.Start()
}

// serve has the engine hold a zone of its own primary and waits until it is served.
func (d *desk) serve(name string, serial int) *source {
	d.t.Helper()
	p := startSource(d.t, exampleZone(name, serial)...)
	d.hold("", []*source{p}, name)
	d.await(name, int64(serial))
	return p
}

// await waits until a zone is served with a serial.
func (d *desk) await(name string, serial int64) *control.Zone {
	d.t.Helper()
	var z *control.Zone
	eventuallyTrue(d.t, fmt.Sprintf("%s with serial %d", name, serial), func() bool {
		var err error
		if z, err = d.Zone(d.t.Context(), control.Ref{Name: name}); err != nil {
			d.t.Fatal(err)
		}
		return z.Serial != nil && *z.Serial == serial
	})
	return z
}

// request sends a request of which everything can be said, and returns its answer without the body.
func (d *desk) request(method, path, body string, headers ...string) *http.Response {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, "http://"+d.address+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		d.t.Fatal(err)
	}
	return resp
}

// dial opens a bare connection that ends with the test.
func (d *desk) dial() net.Conn {
	d.t.Helper()
	var dialer net.Dialer
	c, err := dialer.DialContext(d.t.Context(), "tcp", d.address)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(apiPatience))
	return c
}

// problemOf returns the problem in an error.
func problemOf(t testing.TB, err error) *control.Problem {
	t.Helper()
	p, ok := errors.AsType[*control.Problem](err)
	if !ok {
		t.Fatalf("error %v; want a problem", err)
	}
	return p
}

// eventuallyTrue fails the test unless cond comes true.
func eventuallyTrue(t testing.TB, what string, cond func() bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(apiPatience); !cond(); <-ticker.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not come true", what)
		}
	}
}

// wantNothingMore fails the test if, at its very end, there are more goroutines than now. Call it first.
func wantNothingMore(t testing.TB) {
	t.Helper()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for deadline := time.Now().Add(apiPatience); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
			http.DefaultTransport.(*http.Transport).CloseIdleConnections()
			if time.Now().After(deadline) {
				buf := make([]byte, 1<<16)
				t.Errorf("%d goroutines; there were %d\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
				return
			}
		}
	})
}

// follow collects the events of a zone until the test ends.
func (d *desk) follow(ctx context.Context, zone string, after uint64) *events {
	e := &events{done: make(chan error, 1)}
	go func() {
		e.done <- d.Follow(ctx, zone, after, func(v control.Event) error {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.got = append(e.got, v)
			return nil
		})
	}()
	return e
}

// events are what a follower was given. They are safe for concurrent use.
type events struct {
	done chan error
	mu   sync.Mutex
	got  []control.Event // guarded by mu
}

func (e *events) all() []control.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clip(e.got)
}

// lastEvent returns the ID of the latest event.
func (d *desk) lastEvent() uint64 {
	_, last := d.EventIDs()
	return last
}
