package secondary

import (
	"errors"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/notify"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/watch"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// quiet is a watch.Logger that keeps nothing.
type quiet struct{}

func (quiet) Debugf(string, ...any)   {}
func (quiet) Infof(string, ...any)    {}
func (quiet) Warningf(string, ...any) {}
func (quiet) Errorf(string, ...any)   {}

func newSecondary(t *testing.T) *Secondary {
	t.Helper()
	s := New(quiet{}, watch.NewMetrics())
	t.Cleanup(s.Close)
	return s
}

var example = engine.ZoneID{Name: "example."}

// config returns a configuration with one zone, whose primary does not answer, and so many transfers at a time.
func config(t *testing.T, transfers int, store string) Config {
	t.Helper()
	origin, err := wire.ParseName(example.Name)
	if err != nil {
		t.Fatal(err)
	}
	span := refresh.Clamp{Min: time.Second, Max: time.Hour}
	g := &engine.Group{Primaries: []xfr.Primary{{Addr: netip.MustParseAddrPort("127.0.0.1:1")}}}
	g.Refresh, g.Retry, g.Expire = span, span, span
	c := Config{Settings: Settings{Settings: engine.DefaultSettings, Store: store}}
	c.Settings.TransfersIn = transfers
	c.Zones = map[engine.ZoneID]engine.ZoneConfig{example: {Origin: origin, Group: g}}
	return c
}

func attach(t *testing.T, s *Secondary, c Config) *Attachment {
	t.Helper()
	a, err := s.Attach(c)
	if err != nil {
		t.Fatal(err)
	}
	a.Start()
	return a
}

// What the newest configuration says of the process is in force; when that goes, what the one before says.
func TestNewestConfigurationGoverns(t *testing.T) {
	t.Parallel()
	s, dir := newSecondary(t), t.TempDir()
	governs := func(want int) {
		t.Helper()
		file := filepath.Join(dir, string(rune('0'+want)))
		if n := s.Load().Limit; n != want || s.Store().Path != file {
			t.Errorf("%d transfers at a time, store %s; want %d, %s", n, s.Store().Path, want, file)
		}
	}
	var all []*Attachment
	for n := 1; n <= 3; n++ {
		all = append(all, attach(t, s, config(t, n, filepath.Join(dir, string(rune('0'+n))))))
		governs(n)
	}
	all[1].Detach()
	governs(3)
	all[0].Reinstate()
	governs(1)
	if all[0].Zone(example) == nil || len(s.Zones()) != 1 {
		t.Error("The zone is gone, which the configuration before has")
	}
	all[0].Detach()
	if len(s.Zones()) != 0 {
		t.Error("A zone of no configuration is there")
	}
}

// A configuration that has ended changes nothing any more.
func TestUpdateAfterDetach(t *testing.T) {
	t.Parallel()
	s := newSecondary(t)
	c := config(t, 1, "")
	a := attach(t, s, c)
	a.Detach()
	a.Detach()
	if a.Update(engine.Change{Zones: c.Zones}); len(s.Zones()) != 0 {
		t.Error("It has a zone again")
	}
}

// Our own secondaries are told again on order, if there are any.
func TestRenotify(t *testing.T) {
	t.Parallel()
	s := newSecondary(t)
	told := make(chan *engine.Zone, 1)
	s.Tell(engine.ObserverFunc(func(f *engine.Fact) {
		if f.Kind == engine.Retold {
			told <- f.Zone
		}
	}))
	a := attach(t, s, config(t, 1, ""))
	if _, err := s.Renotify(engine.ZoneID{Name: "other."}); !errors.Is(err, engine.ErrNoZone) {
		t.Errorf("No zone: %v", err)
	}
	if _, err := s.Renotify(example); !errors.Is(err, ErrNobody) {
		t.Errorf("Nobody to notify: %v", err)
	}
	s.Announce(map[engine.ZoneID][]notify.Target{example: {{Addr: netip.MustParseAddrPort("127.0.0.1:1")}}})
	if n := len(s.Below(example)); n != 1 {
		t.Errorf("%d secondaries", n)
	}
	if _, err := s.Renotify(example); err != nil {
		t.Error(err)
	}
	if z := <-told; z != a.Zone(example) {
		t.Errorf("Told of %s", z.Name())
	}
}
