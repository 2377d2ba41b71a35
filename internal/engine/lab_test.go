package engine_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
	"github.com/secondaryplus/secondaryplus/internal/watch"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// patience is how long a test waits for what is to happen; only a failing one waits so long.
const patience = time.Minute

// journal is a Logger that keeps every line with its level in front. It is safe for concurrent use.
type journal struct {
	mu    sync.Mutex
	lines []string // guarded by mu
}

func (j *journal) note(level, format string, v ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, level+" "+fmt.Sprintf(format, v...))
}

func (j *journal) Debugf(format string, v ...any)   { j.note("debug", format, v...) }
func (j *journal) Infof(format string, v ...any)    { j.note("info", format, v...) }
func (j *journal) Warningf(format string, v ...any) { j.note("warning", format, v...) }
func (j *journal) Errorf(format string, v ...any)   { j.note("error", format, v...) }

// all returns the lines that hold every one of the words.
func (j *journal) all(words ...string) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var found []string
	for _, line := range j.lines {
		missing := false
		for _, w := range words {
			missing = missing || !strings.Contains(line, w)
		}
		if !missing {
			found = append(found, line)
		}
	}
	return found
}

// lab is an engine under test with what it logs and counts. Its methods are for the goroutine of the test.
type lab struct {
	*secondary.Secondary
	t        *testing.T
	log      *journal
	registry *prometheus.Registry
}

// newLab returns an engine that ends with the test, which fails if anything is left of it or of the primaries made later.
func newLab(t *testing.T) *lab {
	t.Helper()
	wantNothingLeft(t)
	return startLab(t)
}

// startLab is newLab for bubbles and parallel tests. What they leave is found by the bubble, by the parent of all, or by TestMain.
func startLab(t *testing.T) *lab {
	t.Helper()
	m := watch.NewMetrics()
	l := &lab{t: t, log: &journal{}, registry: prometheus.NewPedanticRegistry()}
	l.registry.MustRegister(m)
	l.Secondary = secondary.New(l.log, m)
	t.Cleanup(l.Close)
	return l
}

// Attach puts a configuration in force.
func (l *lab) Attach(c secondary.Config) *secondary.Attachment {
	l.t.Helper()
	a, err := l.Secondary.Attach(c)
	if err != nil {
		l.t.Fatal(err)
	}
	a.Start()
	if len(c.Zones) > 1000 {
		a.Update(engine.Change{}) // waits until they have started
	}
	return a
}

// replace gives an attachment another whole configuration of zones.
func (l *lab) replace(at *secondary.Attachment, c secondary.Config) {
	change := engine.Change{Zones: c.Zones}
	for _, z := range l.Zones() {
		if _, kept := c.Zones[z.ID()]; !kept && at.Zone(z.ID()) != nil {
			change.Gone = append(change.Gone, z.ID())
		}
	}
	at.Update(change)
}

// eventually fails the test unless cond comes true.
func (l *lab) eventually(what string, cond func() bool) {
	l.t.Helper()
	if !eventually(cond) {
		l.log.mu.Lock()
		defer l.log.mu.Unlock()
		l.t.Fatalf("%s does not come true; the log:\n%s", what, strings.Join(l.log.lines[max(0, len(l.log.lines)-10):], "\n"))
	}
}

// logged waits for a line with all of the words and returns the first.
func (l *lab) logged(words ...string) string {
	l.t.Helper()
	l.eventually(fmt.Sprintf("a log line with %q", words), func() bool { return len(l.log.all(words...)) > 0 })
	return l.log.all(words...)[0]
}

// acts waits until all NOTIFYs have been acted on.
func (l *lab) acts() {
	l.t.Helper()
	l.eventually("the end of all NOTIFYs", func() bool { return l.Notices() == 0 })
}

// serves waits until the zone is served with the serial.
func (l *lab) serves(z *engine.Zone, serial uint32) {
	l.t.Helper()
	l.eventually(fmt.Sprintf("%s with serial %d", z.Name(), serial), func() bool { return served(z) == serial })
	if err := z.Contents().Check(); err != nil {
		l.t.Fatal(err)
	}
}

// served returns the serial of what is served, 0 if nothing is.
func served(z *engine.Zone) uint32 {
	if c := z.Contents(); c != nil {
		return c.Serial().Uint32()
	}
	return 0
}

// link returns the link of a zone to a primary.
func (l *lab) link(zone string, primary int) refresh.Link {
	l.t.Helper()
	d, err := l.Detail(id(zone))
	if err != nil {
		l.t.Fatal(err)
	}
	return d.Links[primary]
}

// blocked waits until the link is Blocked for the reason.
func (l *lab) blocked(zone string, primary int, why string) {
	l.t.Helper()
	l.eventually(fmt.Sprintf("link of %s to primary %d Blocked: %s", zone, primary, why), func() bool {
		k := l.link(zone, primary)
		return k.State == refresh.Blocked && string(k.Reason) == why
	})
}

// metric returns the sum of the samples of a metric that have these labels, given as name, value, name, value.
func (l *lab) metric(name string, labels ...string) float64 {
	l.t.Helper()
	families, err := l.registry.Gather()
	if err != nil {
		l.t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != "coredns_secondaryplus_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			if hasLabels(m, labels) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

func hasLabels(m *dto.Metric, labels []string) bool {
	found := 0
	for _, p := range m.GetLabel() {
		for i := 0; i < len(labels); i += 2 {
			if p.GetName() == labels[i] && p.GetValue() == labels[i+1] {
				found++
			}
		}
	}
	return found == len(labels)/2
}

// group returns a group of these primaries whose limits do not matter.
func group(primaries ...xfr.Primary) *engine.Group {
	any := refresh.Clamp{Min: time.Second, Max: 1000 * time.Hour}
	g := &engine.Group{Primaries: primaries}
	g.MaxRecords, g.MaxSize = 10_000, 1<<20
	g.History.Versions, g.History.Octets, g.IXFRFromAXFR = 32, 256<<10, true
	g.Refresh, g.Retry, g.Expire = any, any, any
	return g
}

// config returns the configuration of these zones, all in one group.
func config(g *engine.Group, zones ...string) secondary.Config {
	c := secondary.Config{Settings: secondary.Settings{Settings: engine.DefaultSettings}, Zones: map[engine.ZoneID]engine.ZoneConfig{}}
	return extend(c, g, zones...)
}

// extend returns c with these zones in it.
func extend(c secondary.Config, g *engine.Group, zones ...string) secondary.Config {
	all := maps.Clone(c.Zones)
	for _, z := range zones {
		origin, err := wire.ParseName(z)
		if err != nil {
			panic(err)
		}
		all[id(z)] = engine.ZoneConfig{Origin: origin, Group: g, Order: len(all)}
	}
	c.Zones = all
	return c
}

func id(zone string) engine.ZoneID { return engine.ZoneID{Name: zone} }

// names returns n zone names.
func names(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s%d.example.", prefix, i)
	}
	return all
}

// eventually reports whether cond comes true. It looks every millisecond at first, and then less often: what takes longer need
// not be seen as soon.
func eventually(cond func() bool) bool {
	for began := time.Now(); !cond(); {
		waited := time.Since(began)
		if waited > patience {
			return cond()
		}
		time.Sleep(max(time.Millisecond, waited/100))
	}
	return true
}

// TestMain fails if all tests together leave goroutines or sockets behind.
func TestMain(m *testing.M) {
	http.DefaultClient.Transport = poster{}
	goroutines, sockets := runtime.NumGoroutine(), dnstest.OpenSockets()
	code := m.Run()
	if left := left(goroutines, sockets); code == 0 && left != "" {
		fmt.Println("FAIL: after all tests there are", left)
		code = 1
	}
	os.Exit(code)
}

// wantNothingLeft fails the test if, at its very end, there are more goroutines or sockets than now. Call it first, and not where
// other tests run at the same time. A bubble finds out about its goroutines without it.
func wantNothingLeft(t *testing.T) {
	t.Helper()
	goroutines, sockets := runtime.NumGoroutine(), dnstest.OpenSockets()
	t.Cleanup(func() {
		if left := left(goroutines, sockets); left != "" {
			t.Error(left)
		}
	})
}

// left waits until there are no more goroutines and sockets than these, and says what there is if that does not come true.
func left(goroutines, sockets int) string {
	if eventually(func() bool { return runtime.NumGoroutine() <= goroutines && dnstest.OpenSockets() <= sockets }) {
		return ""
	}
	buf := make([]byte, 1<<16)
	return fmt.Sprintf("%d goroutines, %d sockets; there were %d, %d\n%s", runtime.NumGoroutine(), dnstest.OpenSockets(), goroutines, sockets,
		buf[:runtime.Stack(buf, true)])
}
