package secondary

import (
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/below"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/watch"
)

// What was seen of secondaries outlives an orderly stop, for zones that are still there; and nothing of it is left for a process that
// comes after a crash.
func TestWhatWasSeenOutlivesAStop(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "zones.db")
	addr := netip.MustParseAddr("192.0.2.7")
	s := New(quiet{}, watch.NewMetrics())
	a := attach(t, s, config(t, 1, file))
	s.Seen.Asked(example.String(), addr, "down.", serial.New(7), nil, time.Now())
	s.Seen.Asked("gone.", addr, "", serial.New(7), nil, time.Now())
	a.Detach()
	if n := len(s.Below(example)); n != 0 {
		t.Errorf("%d secondaries of a zone that is gone", n)
	}
	s.Close()

	s = New(quiet{}, watch.NewMetrics())
	a = attach(t, s, config(t, 1, file))
	all := s.Below(example)
	if len(all) != 1 || all[0].Addr.Addr() != addr || all[0].Key() != "down." || len(s.Seen.Of("gone.")) != 0 {
		t.Errorf("Secondaries after a restart: %+v", all)
	}
	if note := s.Note(seenNote); len(note) != 0 {
		t.Errorf("%d octets are left for a process after a crash", len(note))
	}
	found := 0
	s.AllBelow(func(id engine.ZoneID, all []below.Secondary) {
		if found += len(all); id != example {
			t.Errorf("Secondaries of %s", id)
		}
	})
	if found != 1 {
		t.Errorf("%d secondaries in all; want one", found)
	}
	a.Detach()
	s.Close()
}
