package engine_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"go.etcd.io/bbolt"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
	"github.com/secondaryplus/secondaryplus/internal/store"
)

// savedZones makes a store of zones and returns their primary, which has transferred each once.
func savedZones(t *testing.T, zones ...string) (*actor, string) {
	t.Helper()
	l := startLab(t)
	a, path := newActor(t, serveAny(1)), newFile(t)
	at := l.Attach(kept(path, group(a.primary()), zones...))
	for _, z := range zones {
		l.serves(at.Zone(id(z)), 1)
		l.saves(z, 1)
	}
	l.Close()
	return a, path
}

// A zone that is damaged is transferred again, it alone; it is named and counted, and saved again.
func TestDamagedZoneAloneIsTransferred(t *testing.T) {
	t.Parallel()
	zones := names("z", 5)
	bad := zones[2]
	for name, damage := range map[string]func(path string){
		"page":          func(path string) { spoil(t, path, bad, "p", flip) },
		"cut page":      func(path string) { spoil(t, path, bad, "p", func(v []byte) []byte { return v[:len(v)/2] }) },
		"empty page":    func(path string) { spoil(t, path, bad, "p", func([]byte) []byte { return nil }) },
		"head":          func(path string) { spoil(t, path, bad, "h", flip) },
		"state":         func(path string) { spoil(t, path, bad, "s", flip) },
		"no state":      func(path string) { spoil(t, path, bad, "s", func([]byte) []byte { return nil }) },
		"strange state": func(path string) { changeState(t, path, func(s map[string]any) { s["checked"] = "yesterday" }, bad) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a, path := savedZones(t, zones...)
				damage(path)
				l := startLab(t)
				at := l.Attach(kept(path, group(a.primary()), zones...))
				for _, z := range zones {
					if z != bad && served(at.Zone(id(z))) != 1 {
						t.Errorf("%s is not served, though it is whole", z)
					}
				}
				l.serves(at.Zone(id(bad)), 1)
				l.saves(bad, 1)
				if got := a.transferred()[len(zones):]; !slices.Equal(got, []string{bad}) {
					t.Errorf("Transferred again: %q", got)
				}
				if n := l.metric("store_errors_total", "operation", "load"); n != 1 {
					t.Errorf("%v load errors are counted; want 1", n)
				}
				l.logged("error", bad, "transferred again")
				l.logged("info store", "4 zones restored, 0 too old to be served, 1 damaged")
				l = l.restart()
				at = l.Attach(kept(path, group(a.primary()), zones...))
				if served(at.Zone(id(bad))) != 1 || len(a.transferred()) != len(zones)+1 {
					t.Error("The zone has not been saved again")
				}
			})
		})
	}
}

// A zone that is not what its place says is not served: the store may have been put together by hand.
func TestZoneInAnothersPlaceIsTransferred(t *testing.T) {
	wantNothingLeft(t)
	a, path := savedZones(t, "a.example.")
	s := openStore(t, path)
	saved, err := s.Load(storeID("a.example."))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit([]store.Change{{ID: storeID("b.example."), Contents: saved.Contents, State: saved.State}}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	l := startLab(t)
	a.play(refusing(dns.RcodeServerFailure))
	z := l.Attach(kept(path, group(a.primary()), "b.example.")).Zone(id("b.example."))
	if served(z) != 0 {
		t.Error("Another zone is served in its place")
	}
	a.play(serveAny(1))
	l.serves(z, 1)
	l.logged("error", "b.example.", "another zone")
}

// trouble is an engine whose store is not what it should be. It is used by one test.
type trouble struct {
	*lab
	name  string
	prim  *actor
	path  string
	zones []string
	at    *secondary.Attachment
}

// newTrouble saves zones, makes trouble and starts the engine that has it.
func newTrouble(t *testing.T, name string, zones []string, make func(path string)) *trouble {
	t.Helper()
	p := &trouble{name: name, zones: zones}
	p.prim, p.path = savedZones(t, zones...)
	make(p.path)
	p.lab = startLab(t)
	p.at = p.Attach(kept(p.path, group(p.prim.primary()), zones...))
	for _, z := range zones {
		p.serves(p.at.Zone(id(z)), 1)
	}
	return p
}

// wantUsed waits until the store is used again and fails the test unless everything is saved, with the serial.
func (p *trouble) wantUsed(serial uint32) {
	p.t.Helper()
	p.eventually(p.name+": the store in use", func() bool { return len(p.log.all("info store "+p.path, "works again")) > 0 })
	for _, z := range p.zones {
		p.saves(z, serial)
	}
	if lines := p.log.all("error store "+p.path, "served from memory"); len(lines) != 1 {
		p.t.Errorf("%s: the fault is logged %d times: %q", p.name, len(lines), lines)
	}
	if p.metric("store_errors_total") == 0 {
		p.t.Errorf("%s: the fault is not counted", p.name)
	}
	p.prim.play(silent)
	asked := p.prim.transfers()
	p.lab = p.restart()
	p.at = p.Attach(kept(p.path, group(p.prim.primary()), p.zones...))
	for _, z := range p.zones {
		if served(p.at.Zone(id(z))) != serial {
			p.t.Fatalf("%s: %s is not served from the store", p.name, z)
		}
	}
	if n := p.prim.transfers() - asked; n != 0 || p.metric("store_errors_total") != 0 {
		p.t.Errorf("%s: %d transfers, %v errors", p.name, n, p.metric("store_errors_total"))
	}
	p.Close()
}

// What a damaged file still has is served; it is moved aside, and everything is saved into a new one.
func TestDamagedFileIsReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var all []*trouble
		for name, damage := range map[string]func([]byte) []byte{
			"cut in half":    func(b []byte) []byte { return b[:used(b)/2] },
			"last page gone": func(b []byte) []byte { return b[:used(b)-boltPage(b)] },
			"noise here and there": func(b []byte) []byte {
				for i := 1; i < 8; i++ { // some of it hits what is in use
					noise(b[:used(b)*i/8])
				}
				return b
			},
			"both metas": func(b []byte) []byte {
				b[56], b[56+boltPage(b)] = b[56]^1, b[56+boltPage(b)]^1
				return b
			},
		} {
			all = append(all, newTrouble(t, name, names("z", 300), func(path string) {
				b, err := os.ReadFile(path)
				if err == nil {
					err = os.WriteFile(path, damage(b), 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}))
		}
		for _, p := range all {
			again := p.prim.transfers() - len(p.zones)
			t.Logf("%s: %d of %d zones are transferred again", p.name, again, len(p.zones))
			p.wantUsed(1)
			if aside, _ := filepath.Glob(p.path + ".damaged-*"); len(aside) != 1 {
				t.Errorf("%s: moved aside are %q", p.name, aside)
			}
		}
	})
}

// boltPage returns the page size of a bbolt file.
func boltPage(file []byte) int { return int(binary.NativeEndian.Uint32(file[24:])) }

// used returns how much of a bbolt file is in use: it grows in large steps.
func used(file []byte) int {
	pages := max(binary.NativeEndian.Uint64(file[56:]), binary.NativeEndian.Uint64(file[56+boltPage(file):]))
	return int(pages) * boltPage(file)
}

// noise writes over the end of b.
func noise(b []byte) []byte {
	for i := max(0, len(b)-6_000); i < len(b); i++ {
		b[i] = byte(i * i / 7)
	}
	return b
}

// faults are what keeps a store from being opened; mend takes the cause away.
var faults = map[string]struct {
	make func(t *testing.T, path string)
	mend func(path string) error
	says string
}{
	"no directory": {
		func(t *testing.T, path string) { must(t, os.RemoveAll(filepath.Dir(path))) },
		func(path string) error { return os.Mkdir(filepath.Dir(path), 0o700) },
		"there is no directory",
	},
	"other format": {makeNewer, os.Remove, "use the build that wrote it, or move the file away"},
	"another program's file": {
		func(t *testing.T, path string) {
			must(t, os.WriteFile(path, bytes.Repeat([]byte("not a store\n"), 10_000), 0o600))
		},
		os.Remove, "not a store",
	},
	"a directory in its place": {
		func(t *testing.T, path string) {
			must(t, os.RemoveAll(path))
			must(t, os.Mkdir(path, 0o700))
		},
		os.Remove, "a directory",
	},
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// makeNewer makes a store one of a format to come.
func makeNewer(t *testing.T, path string) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	must(t, err)
	defer db.Close()
	must(t, db.Update(func(tx *bbolt.Tx) error {
		bucket, key := []byte("store"), []byte("format")
		v := binary.BigEndian.AppendUint32(nil, 1_000_000)
		sum := crc32.Checksum(slices.Concat(bucket, key, v), crc32.MakeTable(crc32.Castagnoli))
		return tx.Bucket(bucket).Put(key, binary.BigEndian.AppendUint32(v, sum))
	}))
}

// Serving does not stop for a store that cannot be opened: zones run from memory, the fault is logged once and counted,
// what is there is left as it is, and as soon as it can be everything is saved.
func TestStoreThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var all []*trouble
		for name, f := range faults {
			p := newTrouble(t, name, names("z", 3), func(path string) { f.make(t, path) })
			before, _ := os.ReadFile(p.path)
			p.logged("error store "+p.path, f.says)
			p.prim.play(serveAny(2))
			for _, z := range p.zones {
				p.at.Zone(id(z)).Notify(engine.Notification{From: p.prim.Addr().Addr()})
				p.serves(p.at.Zone(id(z)), 2)
			}
			if after, _ := os.ReadFile(p.path); !bytes.Equal(before, after) {
				t.Errorf("%s: the file has been changed", name)
			}
			if p.metric("store_errors_total", "operation", "open") == 0 || p.metric("saved_serial") != 0 {
				t.Errorf("%s: the fault is not counted, or something is said to be saved", name)
			}
			must(t, f.mend(p.path))
			all = append(all, p)
		}
		for _, p := range all {
			p.wantUsed(2)
		}
	})
}

// The end of the process is no later for a store that cannot be opened.
func TestCloseWithoutAStoreThatWorks(t *testing.T) {
	l := newLab(t)
	a, path := newActor(t, serve(example, 1)), filepath.Join(t.TempDir(), "none", "zones.db")
	l.serves(l.Attach(kept(path, group(a.primary()), example)).Zone(id(example)), 1)
	began := time.Now()
	l.Close()
	if took := time.Since(began); took > soon {
		t.Errorf("Close took %s", took)
	}
	if lines := l.log.all("error"); len(lines) != 1 || !strings.Contains(lines[0], path) {
		t.Errorf("Errors %q", lines)
	}
}
