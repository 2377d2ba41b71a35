package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/store"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// peak runs do and returns by how much the objects on the heap, and the memory of the process that is of no file, were at
// most more than before.
func peak(do func()) (heap, anonymous int64) {
	runtime.GC()
	debug.FreeOSMemory()
	heapBefore, anonymousBefore := heapObjects(), anonymousMemory()
	var done atomic.Bool
	sampled := make(chan struct{})
	go func() {
		defer close(sampled)
		for !done.Load() {
			heap, anonymous = max(heap, heapObjects()-heapBefore), max(anonymous, anonymousMemory()-anonymousBefore)
			time.Sleep(time.Millisecond)
		}
	}()
	do()
	done.Store(true)
	<-sampled
	return heap, anonymous
}

func heapObjects() int64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64())
}

func anonymousMemory() (n int64) {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, "RssAnon: %d kB", &n); err == nil {
			return n << 10
		}
	}
	return 0
}

// Saving a zone holds no copy of it, neither when it comes whole nor when much of it changes.
func TestSavingALargeZoneHoldsLittle(t *testing.T) {
	dnstest.Alone(t)
	defer debug.SetGCPercent(debug.SetGCPercent(5))
	const limit = 1 << 20
	s, _ := start(t)
	s.SetMaxHeld(limit)
	c := mixed(t, "big.test.", 400_000)
	d := spread(t, c, 10_000)
	for _, change := range []store.Change{
		{ID: []byte("z"), Contents: c},
		{ID: []byte("z"), Contents: d, Since: c, Differences: differences(c, d)},
	} {
		heap, _ := peak(func() { commit(t, s, change) })
		t.Logf("%d octets for a zone of %d", heap, c.Size())
		if heap > 4*limit {
			t.Errorf("%d octets are held to save a zone of %d, with a limit of %d", heap, c.Size(), limit)
		}
	}
	expect(t, s, "z", d, "")
}

// spread makes the version after the first of a mixed zone, with n more records all over it.
func spread(t *testing.T, c *zone.Contents, n int) *zone.Contents {
	t.Helper()
	e := c.Edit(zone.Limits{})
	old, later := soaRecord(c.Origin(), 1), soaRecord(c.Origin(), 2)
	err := errors.Join(e.Remove(&old), e.Add(&later))
	for i := range n {
		rr := wire.RR{Owner: slices.Concat(fmt.Appendf([]byte{9}, "h%07dx", 20*i), c.Origin()), Type: wire.TypeA, Class: wire.ClassIN,
			TTL: 60, Data: []byte{10, 0, 0, 1}}
		err = errors.Join(err, e.Add(&rr))
	}
	edited, sealErr := e.Seal()
	if err = errors.Join(err, sealErr); err != nil {
		t.Fatal(err)
	}
	return edited
}

// What a crash has left of a zone that was being written goes with the next commit, and is never read.
func TestWhatACrashLeavesGoes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(scratch(t), "zones.db")
	c := version("example.", 1, 500)
	commits := map[string]func(s *store.Store){
		"a note":       func(s *store.Store) { commitNote(t, s) },
		"another zone": func(s *store.Store) { commit(t, s, store.Change{ID: []byte("y"), Contents: c}) },
		"in several transactions": func(s *store.Store) {
			s.SetMaxHeld(1)
			commit(t, s, store.Change{ID: []byte("z"), Contents: c})
		},
	}
	for name, again := range commits {
		s := open(t, path)
		commit(t, s, store.Change{ID: []byte("z"), Contents: c, State: []byte("s")})
		bolt(t, s, path, func(tx *bbolt.Tx) error {
			left, err := tx.CreateBucket([]byte("staging"))
			if err != nil {
				return err
			}
			z, err := left.CreateBucket([]byte("z"))
			return errors.Join(err, z.Put([]byte("pxyz"), make([]byte, 100_000)))
		})
		s = open(t, path)
		expect(t, s, "z", c, "s")
		again(s)
		expect(t, s, "z", c, "s")
		bolt(t, s, path, func(tx *bbolt.Tx) error {
			if tx.Bucket([]byte("staging")) != nil {
				t.Errorf("It is still there after a commit of %s", name)
			}
			return nil
		})
	}
}

func commitNote(t *testing.T, s *store.Store) {
	t.Helper()
	if err := s.Commit(nil, store.Note{Name: "n", Octets: []byte("1")}); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkMemory reports what saving a large zone takes beside its contents.
func BenchmarkMemory(b *testing.B) {
	for _, records := range []int{2_000_000, 10_000_000} {
		b.Run(fmt.Sprint(records), func(b *testing.B) {
			c := mixed(b, "big.test.", records)
			for b.Loop() {
				path := filepath.Join(b.TempDir(), "zones.db")
				s := open(b, path)
				heap, anonymous := peak(func() { commit(b, s, store.Change{ID: []byte("big"), Contents: c}) })
				_ = s.Close()
				reportFile(b, path, c.Size())
				b.ReportMetric(float64(heap)/(1<<20), "heap-MB")
				b.ReportMetric(float64(anonymous)/(1<<20), "anon-MB")
			}
			runtime.KeepAlive(c)
		})
	}
}
