package engine_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"go.etcd.io/bbolt"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
	"github.com/secondaryplus/secondaryplus/internal/store"
	"github.com/secondaryplus/secondaryplus/internal/watch"
)

// newFile returns the path of a store that is not there yet.
func newFile(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "zones.db")
}

// kept returns config with its zones kept in a file.
func kept(path string, g *engine.Group, zones ...string) secondary.Config {
	c := config(g, zones...)
	c.Settings.Store = path
	return c
}

// restart ends the engine as an orderly end of the process does, and returns the next one with nothing of it but the file.
func (l *lab) restart() *lab {
	l.t.Helper()
	l.Close()
	return startLab(l.t)
}

// saves waits until the version of the zone is in the store.
func (l *lab) saves(zone string, serial uint32) {
	l.t.Helper()
	l.eventually(fmt.Sprintf("%s saved with serial %d", zone, serial), func() bool {
		s := l.status(zone)
		return s.Saved != nil && s.Saved.Serial().Uint32() == serial
	})
}

// status returns how the zone stands.
func (l *lab) status(zone string) watch.Status {
	l.t.Helper()
	d, err := l.Detail(id(zone))
	if err != nil {
		l.t.Fatal(err)
	}
	return d.Status
}

// follow makes the primary have a version of every zone, says so, and waits until the zones are saved with it.
func (l *lab) follow(a *actor, at *secondary.Attachment, serial uint32, zones ...string) {
	l.t.Helper()
	a.play(serveAny(serial))
	for _, z := range zones {
		at.Zone(id(z)).Notify(engine.Notification{From: a.Addr().Addr()})
	}
	for _, z := range zones {
		l.serves(at.Zone(id(z)), serial)
		l.saves(z, serial)
	}
}

// storeID is the ID of a zone in the store.
func storeID(zone string) []byte { return []byte(zone + "\x00") }

// inStore returns the zones that are in a file that nobody has open.
func inStore(t *testing.T, path string) (zones []string) {
	t.Helper()
	s := openStore(t, path)
	defer s.Close()
	all, err := s.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, z := range all {
		name, _, _ := bytes.Cut(z.ID, []byte{0})
		zones = append(zones, string(name))
	}
	return zones
}

func openStore(t *testing.T, path string) *store.Store {
	t.Helper()
	s, err := store.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// changeState changes the state of zones in a file that nobody has open, as if they had been saved so.
func changeState(t *testing.T, path string, change func(state map[string]any), zones ...string) {
	t.Helper()
	s := openStore(t, path)
	defer s.Close()
	var changes []store.Change
	for _, z := range zones {
		saved, err := s.Load(storeID(z))
		if err != nil {
			t.Fatal(err)
		}
		state := map[string]any{}
		if err := cbor.Unmarshal(saved.State, &state); err != nil {
			t.Fatalf("State %q: %v", saved.State, err)
		}
		change(state)
		b, err := cbor.Marshal(state)
		if err != nil {
			t.Fatal(err)
		}
		changes = append(changes, store.Change{ID: storeID(z), State: b})
	}
	if err := s.Commit(changes); err != nil {
		t.Fatal(err)
	}
}

// spoil changes values of a zone in a file that nobody has open: those whose key begins with prefix.
func spoil(t *testing.T, path, zone, prefix string, change func(value []byte) []byte) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("zones")).Bucket(storeID(zone))
		values := map[string][]byte{}
		err := b.ForEach(func(k, v []byte) error {
			if len(k) >= len(prefix) && string(k[:len(prefix)]) == prefix {
				values[string(k)] = change(slices.Clone(v))
			}
			return nil
		})
		if len(values) == 0 {
			t.Errorf("%s has no value %q", zone, prefix)
		}
		for k, v := range maps.All(values) {
			if err := b.Put([]byte(k), v); err != nil {
				return err
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// flip is a change for spoil: one bit in the middle.
func flip(value []byte) []byte {
	value[len(value)/2] ^= 4
	return value
}

// openFiles returns how many files the process has open, sockets included.
func openFiles(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("The system does not tell which files are open")
	}
	return len(fds)
}

// near reports whether two times are the same, but for what is lost in writing them down.
func near(a, b time.Time) bool { return a.Sub(b).Abs() < 10*time.Millisecond }
