//go:build e2e

package e2e_test

import (
	"bytes"
	octets "encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// storeLimit is how long it may take until a store that works again is used again: it is tried every 10 s at first.
const storeLimit = 40 * time.Second

// riverPair starts a river and a secondary that has its zones saved.
func riverPair(t *testing.T, zones int, lines string) (*secondary, *river) {
	t.Helper()
	prim, sec := newRiver(t, zones), newSecondary(t)
	prim.tells(sec)
	sec.run(t, secondarySpec{Zones: prim.zones, Block: "primary " + prim.address + "\n" + lines, Chain: "transfer {\n to *\n}"})
	for _, z := range prim.zones {
		sec.serves(t, z, 1, syncLimit)
		sec.saved(t, z, 1, settleLimit)
	}
	return sec, prim
}

// follows makes a new version of each zone and waits until it is served, exactly.
func (r *river) follows(t *testing.T, sec *secondary) {
	t.Helper()
	for i, z := range r.zones {
		r.flow(i)
		sec.serves(t, z, r.serials[i].Load(), settleLimit)
		r.held(t, sec.addr(), i)
	}
}

// damages change a store that nobody has open.
var damages = map[string]func(t *testing.T, rng *rand.Rand, path string){
	"bits flipped": func(t *testing.T, rng *rand.Rand, path string) {
		edit(t, path, func(b []byte) []byte {
			for range 1 + rng.IntN(20) {
				b[rng.IntN(inUse(b))] ^= 1 << rng.IntN(8)
			}
			return b
		})
	},
	"cut off": func(t *testing.T, rng *rand.Rand, path string) {
		edit(t, path, func(b []byte) []byte { return b[:min(len(b), rng.IntN(inUse(b)))] })
	},
	"a part of zeros": func(t *testing.T, rng *rand.Rand, path string) {
		edit(t, path, func(b []byte) []byte {
			from := rng.IntN(inUse(b))
			clear(b[from:min(len(b), from+rng.IntN(100_000))])
			return b
		})
	},
	"noise": func(t *testing.T, rng *rand.Rand, path string) {
		edit(t, path, func(b []byte) []byte {
			from := rng.IntN(inUse(b))
			for i := from; i < min(len(b), from+5000); i++ {
				b[i] = byte(rng.Uint32())
			}
			return b
		})
	},
	"empty": func(t *testing.T, _ *rand.Rand, path string) { edit(t, path, func([]byte) []byte { return nil }) },
	"gone": func(t *testing.T, _ *rand.Rand, path string) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	},
}

// edit changes a file, unless it is empty.
func edit(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil && len(b) > 0 {
		err = os.WriteFile(path, change(b), 0o600)
	}
	if err != nil {
		t.Fatalf("Store: %v", err)
	}
}

// inUse returns how much of a bbolt file is in use, as it grows in large steps; all of it when it does not tell.
func inUse(b []byte) int {
	if len(b) < 1<<16 {
		return max(1, len(b))
	}
	page := int(octets.NativeEndian.Uint32(b[24:]))
	if page < 1<<10 || page > 1<<15 {
		return len(b)
	}
	return min(len(b), page*int(max(octets.NativeEndian.Uint32(b[56:]), octets.NativeEndian.Uint32(b[page+56:]))))
}

// Whatever has become of the file, the next process starts, never serves what the primary had not, and transfers what it
// lacks.
func TestDamagedStoreIsServedThroughAndReplaced(t *testing.T) {
	t.Parallel()
	seed := crashSeed(t)
	t.Logf("SPLUS_SEED=%d", seed)
	for i, name := range sortedKeys(damages) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			sec, prim := riverPair(t, 6, "")
			prim.follows(t, sec)
			for n := range 4 {
				sec.end(t, []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}[n%2], prim.zones[0])
				damages[name](t, rng, sec.storePath())
				sec.relaunch(t, prim.zones[0])
				for i, z := range prim.zones {
					if _, complaint := serialAt(sec.addr(), z); complaint == "" {
						prim.held(t, sec.addr(), i) // perhaps an older version: of two metas the damaged one may be the newer
					}
					prim.announce(i)
					sec.serves(t, z, prim.serials[i].Load(), syncLimit)
					prim.held(t, sec.addr(), i)
				}
				prim.follows(t, sec) // also where the damage is found only when something is written
				if t.Failed() {
					return
				}
			}
			if name != "noise" && name != "cut off" { // it takes 10 s
				return
			}
			for i, z := range prim.zones {
				sec.saved(t, z, prim.serials[i].Load(), storeLimit)
			}
			prim.deaf.Store(true)
			sec.end(t, syscall.SIGTERM, prim.zones[0])
			sec.relaunch(t, prim.zones[0])
			for i := range prim.zones {
				prim.held(t, sec.addr(), i)
			}
		})
	}
}

// A store of a newer build is left as it is; the zones run from memory.
func TestNewerStoreIsLeftAlone(t *testing.T) {
	t.Parallel()
	sec, prim := riverPair(t, 3, "")
	sec.end(t, syscall.SIGTERM, prim.zones[0])
	makeNewer(t, sec.storePath())
	before := readFile(t, sec.storePath())
	sec.relaunch(t, prim.zones[0])
	prim.follows(t, sec)
	sec.logs(t, `\[ERROR\].*`+"format 1000000.*move the file away")
	sec.counts(t, 1, "store_errors_total", "operation", "open")
	sec.end(t, syscall.SIGTERM, prim.zones[0])
	if readFile(t, sec.storePath()) != before {
		t.Error("The file has been changed")
	}
}

// makeNewer makes a store one of a format to come.
func makeNewer(t *testing.T, path string) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatalf("Store: %v", err)
	}
	defer db.Close()
	err = db.Update(func(tx *bbolt.Tx) error {
		bucket, key := []byte("store"), []byte("format")
		v := octets.BigEndian.AppendUint32(nil, 1_000_000)
		sum := crc32.Checksum(slices.Concat(bucket, key, v), crc32.MakeTable(crc32.Castagnoli))
		return tx.Bucket(bucket).Put(key, octets.BigEndian.AppendUint32(v, sum))
	})
	if err != nil {
		t.Fatalf("Store: %v", err)
	}
}

// mounted starts the secondary with a file system of its own, which the mount command makes at DIR, for its store. The
// test is skipped where that is not allowed.
func mounted(t *testing.T, sec *secondary, mount string) (dir string) {
	t.Helper()
	if out, err := exec.Command("unshare", "-m", "sh", "-c", "mount -t tmpfs none /mnt").CombinedOutput(); err != nil {
		t.Skipf("No mounts of our own here: %v %s", err, out)
	}
	dir = filepath.Join(sec.Dir, "store")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	sec.configure(t)
	begin := `DIR="$1"; shift; ` + mount + ` && exec "$@"`
	up := func() string {
		_, err := exchange(sec.addr(), question("start.test.", 6))
		if err != nil {
			return err.Error()
		}
		return ""
	}
	sec.proc = startServer(t, up, sec.Dir, "unshare", "-m", "sh", "-c", begin, "sh", dir, binary(t), "-conf", "Corefile")
	return fmt.Sprintf("/proc/%d/root%s", sec.proc.cmd.Process.Pid, dir) // as the process sees it
}

// A directory that cannot be written is no reason not to serve.
func TestReadOnlyDirectory(t *testing.T) {
	t.Parallel()
	prim, sec := newRiver(t, 3), newSecondary(t)
	prim.tells(sec)
	sec.secondarySpec = secondarySpec{
		Zones: prim.zones, Block: lines("primary "+prim.address, "store store/zones.db"), Chain: "transfer {\n to *\n}",
	}
	mounted(t, sec, `mount -t tmpfs -o ro none "$DIR"`)
	for _, z := range prim.zones {
		sec.serves(t, z, 1, syncLimit)
	}
	prim.follows(t, sec)
	sec.logs(t, `\[ERROR\].*store/zones.db: not writable.*served from memory`)
	sec.counts(t, 1, "store_errors_total", "operation", "open")
	sec.end(t, syscall.SIGTERM, prim.zones[0])
}

// A disk that is full in the middle of an update stops nothing but saving, is counted and said; and when there is room again
// everything is saved.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	prim, sec := newRiver(t, 6), newSecondary(t)
	prim.tells(sec)
	sec.secondarySpec = secondarySpec{
		Zones: prim.zones, Block: lines("primary "+prim.address, "store store/zones.db"), Chain: "transfer {\n to *\n}",
	}
	dir := mounted(t, sec, `mount -t tmpfs -o size=3m none "$DIR"`)
	for _, z := range prim.zones {
		sec.serves(t, z, 1, syncLimit)
		sec.saved(t, z, 1, settleLimit)
	}
	// bbolt takes room in steps of 1 MB: some updates may still find some.
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, bytes.Repeat([]byte("x"), 4<<20), 0o600); err == nil {
		t.Fatal("The disk is not full")
	}
	failed := func() bool { return scrape(t, sec.Metrics).sum("store_errors_total", "operation", "commit") > 0 }
	for range 2000 {
		if failed() {
			break
		}
		for range 20 {
			prim.flow(len(prim.zones) - 1)
			time.Sleep(time.Millisecond)
		}
	}
	if !failed() {
		t.Fatal("The store can still be written")
	}
	sec.logs(t, `\[ERROR\].*store/zones.db.*(no space|too large).*served from memory`)
	prim.follows(t, sec)
	last := len(prim.zones) - 1
	if n := scrape(t, sec.Metrics).sum("saved_serial", "zone", prim.zones[last]); uint32(n) >= prim.serials[last].Load() {
		t.Errorf("Serial %v is said to be saved", n)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	for i, z := range prim.zones {
		sec.saved(t, z, prim.serials[i].Load(), storeLimit)
	}
	sec.logs(t, `\[INFO\].*store/zones.db.*works again`)
	prim.follows(t, sec)
}
