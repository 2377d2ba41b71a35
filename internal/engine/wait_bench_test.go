package engine_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
	"github.com/secondaryplus/secondaryplus/internal/store"
	"github.com/secondaryplus/secondaryplus/internal/watch"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// manyZones is how many zones the benchmark of waiting has.
const manyZones = 100_000

// BenchmarkNotifyWaits measures how long a NOTIFY waits, at the longest, while something else goes on with 100,000 zones. A
// round takes as long as that does; what counts is wait-ms.
func BenchmarkNotifyWaits(b *testing.B) {
	path := filepath.Join(b.TempDir(), "zones.db")
	g := group(xfr.Primary{Addr: netip.MustParseAddrPort("127.0.0.1:9")}) // nobody is there
	zones := names("z", manyZones)
	fillStore(b, path, g, zones)
	registry := prometheus.NewRegistry()
	m := watch.NewMetrics()
	registry.MustRegister(m)
	e := secondary.New(quiet{}, m)
	defer e.Close()
	c := config(g, "busy.example.")
	c.Settings.Store, c.Settings.SOARate = path, 1e6
	busy, err := e.Attach(c)
	if err != nil {
		b.Fatal(err)
	}
	busy.Start()
	all := extend(c, g, zones...)
	var at *secondary.Attachment
	attach := func() {
		next, err := e.Attach(all)
		if err != nil {
			b.Fatal(err)
		}
		next.Start()
		if at != nil {
			at.Detach()
		}
		at = next
	}
	scrape := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	z := busy.Zone(id("busy.example."))
	from := g.Primaries[0].Addr.Addr()
	n := 0
	for _, during := range []struct {
		what string
		do   func()
	}{
		{"stored zones are added", func() {
			if at != nil {
				at.Detach()
				at = nil
			}
			attach()
		}},
		{"the same configuration is applied again", attach},
		{"one zone is added", func() {
			n++
			one := extend(config(g), g, fmt.Sprintf("new%d.example.", n))
			at.Update(engine.Change{Zones: one.Zones})
		}},
		{"metrics are read", func() {
			scrape.ServeHTTP(discard{httptest.NewRecorder()}, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		}},
		{"the status of all zones is read", func() {
			e.Briefs()
			e.Status()
			e.Schedule()
			e.Settled()
		}},
		{"events are asked for", func() {
			if w, _ := e.Follow(0); w != nil {
				w.Close()
			}
		}},
	} {
		b.Run(during.what, func(b *testing.B) {
			longest, ask := time.Duration(0), time.Duration(0)
			for b.Loop() {
				var done atomic.Bool
				go func() {
					defer done.Store(true)
					during.do()
				}()
				for !done.Load() {
					began := time.Now()
					z.MayNotify(from)
					ask = max(ask, time.Since(began))
					z.Notify(engine.Notification{From: from})
					longest = max(longest, time.Since(began))
					time.Sleep(100 * time.Microsecond)
				}
			}
			b.ReportMetric(float64(longest.Microseconds())/1000, "wait-ms")
			b.ReportMetric(float64(ask.Microseconds())/1000, "may-ms")
		})
	}
}

// fillStore makes a store that has these zones, five records each.
func fillStore(b *testing.B, path string, g *engine.Group, zones []string) {
	b.Helper()
	s, err := store.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var changes []store.Change
	now := time.Now()
	state, err := cbor.Marshal(map[string]any{
		"conflicts": g.Conflicts.Edition(), "checked": now, "expire": now.Add(24 * time.Hour), "next": now.Add(time.Hour),
	})
	if err != nil {
		b.Fatal(err)
	}
	for i, name := range zones {
		origin, _ := wire.ParseName(name)
		build := zone.NewBuilder(origin, zone.Limits{})
		for _, rr := range wireRRs(version(name, 1)...) {
			if err := build.Add(&rr); err != nil {
				b.Fatal(err)
			}
		}
		c, err := build.Seal()
		if err != nil {
			b.Fatal(err)
		}
		changes = append(changes, store.Change{ID: storeID(name), Contents: c, State: state})
		if len(changes) == 1000 || i == len(zones)-1 {
			if err := s.Commit(changes); err != nil {
				b.Fatal(err)
			}
			changes = nil
		}
	}
}

// discard is a writer of an answer that nobody reads.
type discard struct{ http.ResponseWriter }

func (discard) Write(p []byte) (int, error) { return io.Discard.Write(p) }

// quiet is a Logger that says nothing.
type quiet struct{}

func (quiet) Debugf(string, ...any)   {}
func (quiet) Infof(string, ...any)    {}
func (quiet) Warningf(string, ...any) {}
func (quiet) Errorf(string, ...any)   {}
