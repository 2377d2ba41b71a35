package engine_test

import (
	"encoding/base64"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/watch"
	"github.com/secondaryplus/secondaryplus/internal/xfrout"
)

// busyLab returns a lab in which everything that can be counted has happened.
func busyLab(t *testing.T) *lab {
	t.Helper()
	l := startLab(t)
	good, bad := newActor(t, serveAny(1)), newActor(t, unknownKey)
	keyed := bad.primary()
	keyed.Key = newKey(t, keyName, secret)
	c := config(group(good.primary()), example, "twin.example.")
	c = extend(c, group(keyed), "bad.example.")
	c.Zones[engine.ZoneID{Name: example, Variant: "outside"}] = c.Zones[id(example)]
	c.Zones[engine.ZoneID{Name: example, Variant: "inside"}] = c.Zones[id(example)]
	c = extend(c, group(newActor(t, serve("zero.example.", 0)).primary()), "zero.example.")
	c.Settings.Store = filepath.Join(t.TempDir(), "zones.db")
	c.Settings.Faults.URLs = "generic+http://127.0.0.1:1/"
	at := l.Attach(c)
	l.serves(at.Zone(id(example)), 1)
	l.eventually("a saved zone", func() bool { return l.metric("saved_serial") > 0 })
	l.blocked("bad.example.", 0, "tsig_bad_key")
	l.blocked("zero.example.", 0, "serial_zero")
	l.Seen.Asked(example, netip.MustParseAddr("192.0.2.77"), "", serial.New(1<<32-1), secondary.ServedBy(at.Zone(id(example))), time.Now())
	at.Zone(id(example)).Notify(engine.Notification{From: good.Addr().Addr()})
	l.serves(at.Zone(id("twin.example.")), 1)
	good.play(serveAny(2))
	at.Zone(id("twin.example.")).Notify(engine.Notification{From: good.Addr().Addr(), Serial: serial.New(2), HasSerial: true})
	l.eventually("a version that a NOTIFY told of", func() bool { return l.metric("notify_to_served_seconds") == 1 })
	l.eventually("a SOA query", func() bool { return l.metric("soa_queries_total", "result", "ok") > 0 })
	return l
}

func TestMetricsPassPromlint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := busyLab(t)
		m := watch.NewMetrics()
		m.NotifyReceived("accepted")
		m.NotifySent("told")
		m.FastpathQueries("answered").Inc()
		m.FastpathDropped("queue").Inc()
		m.RateLimited("positive", "dropped").Inc()
		m.TransfersOut("whole").Inc()
		m.TransferOutBytes(1)
		e := secondary.New(&journal{}, m)
		t.Cleanup(e.Close)
		c := config(group(nobody(t)))
		c.Settings.Store = filepath.Join(t.TempDir(), "missing", "zones.db")
		if _, err := e.Attach(c); err != nil {
			t.Fatal(err)
		}
		notifies := prometheus.NewPedanticRegistry()
		notifies.MustRegister(m)

		families, err := l.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		others, err := notifies.Gather() // apart: what has no labels is in both
		if err != nil {
			t.Fatal(err)
		}
		families = append(families, others...)
		problems, err := promlint.NewWithMetricFamilies(families).Lint()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
		seen := map[string]bool{}
		for _, f := range families {
			seen[f.GetName()] = true
		}
		for name := range described(m) {
			if !seen[name] {
				t.Errorf("%s was never seen: nothing lints it", name)
			}
		}
	})
}

// described returns the names of all metrics.
func described(m *watch.Metrics) map[string]bool {
	c := make(chan *prometheus.Desc)
	go func() {
		defer close(c)
		m.Describe(c)
	}()
	fqName := regexp.MustCompile(`fqName: "([^"]+)"`)
	found := map[string]bool{}
	for d := range c {
		found[fqName.FindStringSubmatch(d.String())[1]] = true
	}
	return found
}

func TestNothingShowsASecret(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := busyLab(t)
		raw, err := base64.StdEncoding.DecodeString(secret)
		if err != nil {
			t.Fatal(err)
		}
		families, err := l.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, f := range families {
			texts = append(texts, f.String())
		}
		for _, text := range append(texts, l.log.all()...) {
			if strings.Contains(text, secret) || strings.Contains(text, string(raw)) {
				t.Errorf("A secret is in %s", text)
			}
		}
	})
}

// The reasons are a closed list: a label has a few dozen values, whatever a primary does.
func TestReasonsAreBounded(t *testing.T) {
	m := watch.NewMetrics()
	for _, r := range reason.All() {
		m.TSIGFailed(r)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if len(families) != 1 || len(families[0].GetMetric()) != 5 {
		t.Errorf("TSIG failures are %v; want the five reasons", families)
	}
}

// How our own secondaries stand is four gauges, whatever their number, and one for each zone that has some.
func TestSecondariesAreCounted(t *testing.T) {
	l := newLab(t)
	a := newActor(t, serveAny(7))
	at := l.Attach(config(group(a.primary()), example, "other.example."))
	l.serves(at.Zone(id(example)), 7)
	l.serves(at.Zone(id("other.example.")), 7)
	if l.metric("secondaries") != 0 || l.metric("secondaries_behind_seconds") != 0 {
		t.Error("There are secondaries before any was seen")
	}
	hour := time.Now().Add(-time.Hour)
	for i := range byte(100) {
		have := uint32(7)
		if i >= 90 {
			have = 6
		}
		served := &xfrout.Served{Serial: serial.New(7), At: hour.Add(time.Duration(i) * time.Second)}
		l.Seen.Asked(example, netip.AddrFrom4([4]byte{192, 0, 2, i}), "", serial.New(have), served, time.Now())
	}
	if c, b, all := l.metric("secondaries", "state", "current"), l.metric("secondaries", "state", "behind"), l.metric("secondaries"); c != 90 || b != 10 || all != 100 {
		t.Errorf("%v current, %v behind, %v in all; want 90, 10 and 100", c, b, all)
	}
	if s := l.metric("secondaries_behind_seconds", "zone", example); s < 3510 || s > 3600+600 {
		t.Errorf("Behind for %v s; want as long as the one that is for longest", s)
	}
	families, err := l.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if n := len(f.GetMetric()); f.GetName() == "coredns_secondaryplus_secondaries" && n != 4 || f.GetName() == "coredns_secondaryplus_secondaries_behind_seconds" && n != 1 {
			t.Errorf("%d series of %s", n, f.GetName())
		}
	}
}

// A zone that is in the store and has not been read yet is answered when somebody asks for it: no gauge says that it is not served.
func TestNoGaugeOfAZoneThatIsToCome(t *testing.T) {
	l := newLab(t)
	at := l.Engine.Attach(config(group(newActor(t, silent).primary()), example).Zones)
	l.absent("zone_served", example)
	l.absent("zone_state", example)
	at.Start(nil)
	if !l.has("zone_served", example) || l.metric("zone_served", "zone", example) != 0 {
		t.Error("Once it is known that the store has nothing, no gauge says that it is not served")
	}
}

// Gauges end with their zone, and with the engine; counters stay.
func TestGaugesEndWithTheirZone(t *testing.T) {
	l := newLab(t)
	a := newActor(t, serveAny(1))
	at := l.Attach(config(group(a.primary()), example, "other.example."))
	l.serves(at.Zone(id(example)), 1)
	l.serves(at.Zone(id("other.example.")), 1)
	l.replace(at, config(group(a.primary()), example))
	if l.metric("zone_served", "zone", "other.example.") != 0 || l.metric("zone_served", "zone", example) != 1 {
		t.Error("The gauges are not those of the zones there are")
	}
	l.Close()
	if l.metric("zone_served") != 0 || l.metric("transfers_total") != 2 {
		t.Error("After Close there are gauges, or counters are lost")
	}
}
