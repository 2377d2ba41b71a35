package store_test

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/store"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// faultZones are the zones of the children, with their hosts. The last is too large for one page of the file.
var faultZones = []string{"a", "b", "c"}

var faultHosts = map[string]int{"a": 3, "b": 30, "c": 300}

const faultCommits = 5

// heldBy makes every other commit write the largest zones in several transactions.
func heldBy[T uint32 | int](commit T) int64 { return []int64{64 << 20, 8 << 10}[commit%2] }

// origin is the origin of one of those zones.
func origin(id string) string { return id + ".example." }

// faulty commits versions to a store in which something may fail, and looks after each failure. It is used by one child.
type faulty struct {
	path   string
	store  *store.Store
	saved  map[string]*zone.Contents // by the last commit that succeeded
	reopen bool                      // after a failed commit, instead of trying again in the same store
}

// childFault commits one version after the other and says which commits returned. Of each failure it makes sure that
// nothing has changed, and that the next attempt succeeds once the cause is gone. The path begins with "once", "reopen"
// or "lasting".
func childFault(path string) error {
	runtime.LockOSThread() // strace counts the calls of each thread apart
	mode, path, _ := strings.Cut(path, " ")
	f := faulty{path: path, saved: map[string]*zone.Contents{}, reopen: mode == "reopen"}
	if err := f.open(); err != nil {
		fmt.Println("failed:", err)
		if mode == "lasting" {
			return nil
		}
		if err := f.open(); err != nil {
			return fmt.Errorf("open again: %w", err)
		}
	}
	for n := range uint32(faultCommits) {
		changes := f.changes(n + 1)
		f.store.SetMaxHeld(heldBy(n))
		err := f.store.Commit(changes)
		if err != nil {
			fmt.Println("failed:", err)
			if err = f.failed(changes, err); mode == "lasting" {
				if err != nil {
					return err
				}
				continue
			}
			if err == nil {
				f.store.SetMaxHeld(heldBy(n))
				err = f.store.Commit(changes)
			}
		}
		if err != nil {
			return fmt.Errorf("commit %d: %w", n+1, err)
		}
		for _, c := range changes {
			f.saved[string(c.ID)] = c.Contents
		}
		fmt.Println("saved", n+1)
		if err := f.verify(); err != nil {
			return err
		}
	}
	return f.store.Close()
}

func (f *faulty) open() (err error) {
	f.store, err = store.Open(f.path)
	return err
}

func (f *faulty) changes(n uint32) (changes []store.Change) {
	for _, id := range faultZones {
		c := store.Change{ID: []byte(id), State: fmt.Append(nil, n), Since: f.saved[id]}
		if c.Since == nil {
			c.Contents = version(origin(id), n, faultHosts[id])
		} else {
			c.Contents = next(c.Since, faultHosts[id])
			for c.Contents.Serial().Uint32() < n { // after commits that failed for good
				c.Contents = next(c.Contents, faultHosts[id])
			}
			c.Differences = differences(c.Since, c.Contents)
		}
		changes = append(changes, c)
	}
	return append(changes, store.Change{ID: []byte("ballast"), State: make([]byte, n<<20)}) // the file has to grow
}

// failed looks at the store after a commit that failed.
func (f *faulty) failed(changes []store.Change, err error) error {
	if errors.Is(err, store.ErrDamaged) { // what a reading error is taken for
		if err := f.store.Replace(time.Now()); err != nil {
			return fmt.Errorf("replace: %w", err)
		}
		clear(f.saved)
		for i := range changes {
			changes[i].Since, changes[i].Differences = nil, nil
		}
		return nil
	}
	if err := f.verify(); err != nil {
		return err
	}
	if f.reopen {
		if err := f.store.Close(); err != nil {
			return fmt.Errorf("close: %w", err)
		}
		if err := f.open(); err != nil {
			return fmt.Errorf("reopen: %w", err)
		}
		return f.verify()
	}
	return nil
}

// verify makes sure that the zones are those of the last commit that succeeded.
func (f *faulty) verify() error {
	for _, id := range faultZones {
		saved, err := f.store.Load([]byte(id))
		if errors.Is(err, store.ErrDamaged) && f.store.Damage() != nil {
			return nil // reading has failed too; the next commit will tell
		}
		if err != nil {
			return err
		}
		if !slices.Equal(exact(saved.Contents), exact(f.saved[id])) {
			return fmt.Errorf("zone %s is %v, want %v", id, saved.Contents, f.saved[id])
		}
	}
	return nil
}

// Every write, sync and growth of the file fails once, from some time on, or is the last thing the process does.
// Whatever happens, every zone is afterwards some version that was committed, and not one from before the last commit
// that succeeded.
func TestFaultsOfTheFileSystem(t *testing.T) {
	dnstest.Alone(t)
	t.Parallel()
	strace, err := exec.LookPath("strace")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("There is no strace here, and without it nothing fails")
		}
		t.Skip("There is no strace here, and without it nothing fails")
	}
	for _, c := range []struct{ calls, fault, mode string }{
		{"pwrite64", "error=ENOSPC", "once"},
		{"pwrite64", "error=EIO", "reopen"},
		{"pwrite64", "error=ENOSPC", "lasting"},
		{"pwrite64", "signal=KILL", "lasting"},
		{"fdatasync", "error=EIO", "once"},
		{"fdatasync", "error=EIO", "reopen"},
		{"fdatasync", "error=EIO", "lasting"},
		{"fdatasync", "signal=KILL", "lasting"},
		{"fsync", "error=EIO", "once"},
		{"fsync", "error=EIO", "lasting"},
		{"ftruncate", "error=ENOSPC", "once"},
		{"ftruncate", "error=ENOSPC", "lasting"},
		{"pread64", "error=EIO", "once"},
	} {
		t.Run(c.calls+" "+c.fault+" "+c.mode, func(t *testing.T) {
			t.Parallel()
			faults, step := 0, 1
			if c.calls == "pread64" {
				step = 5 // there are many
			}
			for n := 1; faultAt(t, strace, c.calls, c.fault, c.mode, n); n += step {
				faults++
			}
			t.Logf("%d faults", faults)
			if faults < faultCommits {
				t.Errorf("%d faults are not much of a test", faults)
			}
		})
	}
}

// faultAt runs a child in which the n-th of some calls fails, and reports whether one did.
func faultAt(t *testing.T, strace, calls, fault, mode string, n int) bool {
	t.Helper()
	dir := scratch(t)
	path, trace := filepath.Join(dir, "zones.db"), filepath.Join(dir, "trace")
	when := fmt.Sprint(n)
	if mode == "lasting" {
		when += "+"
	}
	c := child(t, "fault", mode+" "+path, strace, "-f", "-qq", "-o", trace, "-e", "trace="+calls,
		"-P", path, "-P", dir, "-e", "inject="+calls+":"+fault+":when="+when)
	out, err := c.Output()
	octets, readErr := os.ReadFile(trace)
	if readErr != nil {
		t.Fatalf("%v; strace: %v", readErr, err)
	}
	killed := err != nil && strings.Contains(fault, "KILL")
	injected := killed || strings.Contains(string(octets), "(INJECTED)")
	if err != nil && !killed {
		t.Fatalf("Fault %d: %v\n%s", n, err, out)
	}
	if injected && mode != "lasting" && !strings.Contains(string(out), "failed:") && calls != "pread64" {
		t.Errorf("Fault %d passed unnoticed", n)
	}
	saved := uint32(strings.Count(string(out), "saved"))
	if !injected && saved != faultCommits {
		t.Fatalf("Without a fault:\n%s", out)
	}
	s := open(t, path)
	defer s.Close()
	if err := s.Damage(); err != nil {
		t.Fatalf("Fault %d: %v", n, err)
	}
	for _, id := range faultZones {
		verifyVersion(t, s, id, faultHosts[id], saved, faultCommits)
	}
	return injected
}

// verifyVersion makes sure that a zone is one of its versions, none if the first may not have been saved, and that the
// journal leads to it. It returns the serial.
func verifyVersion(t *testing.T, s *store.Store, id string, hosts int, oldest, newest uint32) uint32 {
	t.Helper()
	saved := load(t, s, id)
	if saved.Contents == nil {
		if oldest > 0 {
			t.Fatalf("Zone %s is gone, of which version %d was saved", id, oldest)
		}
		return 0
	}
	is := saved.Contents.Serial().Uint32()
	if is < oldest || is > newest {
		t.Fatalf("Zone %s is version %d, want %d to %d", id, is, oldest, newest)
	}
	if !slices.Equal(exact(saved.Contents), exact(version(origin(id), is, hosts))) || string(saved.State) != fmt.Sprint(is) {
		t.Fatalf("Zone %s is not what its version %d was, with state %s", id, is, saved.State)
	}
	if saved.Journal.Versions > 0 {
		d, err := s.Differences([]byte(id), saved.Journal.From)
		if err != nil || len(d) != saved.Journal.Versions || d[len(d)-1].To() != saved.Contents.Serial() {
			t.Fatalf("Journal of %s: %d differences, %v", id, len(d), err)
		}
	}
	return is
}

// streamZones are how many zones the children that are killed have.
const streamZones = 6

// streamHosts is the number of hosts of a zone of those.
func streamHosts(i int) int { return 3 + i*i*20 }

// childStream commits new versions of several zones until it is killed, and says after each commit what it has saved.
func childStream(path string) error {
	s, err := store.Open(path)
	if err != nil {
		return err
	}
	if err := s.Damage(); err != nil {
		return err
	}
	last := make([]*zone.Contents, streamZones)
	for i := range last {
		saved, err := s.Load([]byte{'a' + byte(i)})
		if err != nil {
			return err
		}
		last[i] = saved.Contents
	}
	fmt.Println("open")
	for n := 0; ; n++ {
		s.SetMaxHeld(heldBy(n))
		var changes []store.Change
		said := "saved"
		for _, i := range rand.Perm(streamZones)[:1+rand.IntN(streamZones)] {
			id := string('a' + byte(i))
			c := store.Change{ID: []byte(id), Since: last[i]}
			if c.Since == nil {
				c.Contents = version(origin(id), 1, streamHosts(i))
			} else {
				c.Contents = next(c.Since, streamHosts(i))
				c.Differences = differences(c.Since, c.Contents)
			}
			c.State = fmt.Append(nil, c.Contents.Serial())
			last[i] = c.Contents
			changes = append(changes, c)
			said += fmt.Sprintf(" %d=%s", i, c.Contents.Serial())
		}
		if err := s.Commit(changes); err != nil {
			return err
		}
		fmt.Println(said)
	}
}

// A process may be killed at any moment: whatever it had said to be saved is, and everything that is saved is whole.
func TestKilledProcesses(t *testing.T) {
	dnstest.Alone(t)
	t.Parallel()
	const stores, kills = 4, 60
	for n := range stores {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(scratch(t), "zones.db")
			said := make([]uint32, streamZones)
			commits := 0
			for range kills {
				commits += killOne(t, path, said)
				s := open(t, path)
				if err := s.Damage(); err != nil {
					t.Fatal(err)
				}
				for i := range said {
					// At most one commit has happened without its process having said so.
					said[i] = verifyVersion(t, s, string('a'+byte(i)), streamHosts(i), said[i], said[i]+1)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("%d commits, %d kills", commits, kills)
			if commits < kills {
				t.Errorf("%d commits and %d kills are not much of a test", commits, kills)
			}
		})
	}
}

// killOne runs a child until a random moment, takes note of what it says to have saved, and returns the number of its
// commits.
func killOne(t *testing.T, path string, said []uint32) (commits int) {
	t.Helper()
	c := child(t, "stream", path)
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	enough := rand.IntN(6) // lines; without any it may be killed before the store is open
	for {
		if commits == enough {
			time.AfterFunc(rand.N(20*time.Millisecond), func() { _ = c.Process.Kill() })
		}
		if !lines.Scan() {
			break
		}
		if strings.HasPrefix(lines.Text(), "error") {
			t.Fatal(lines.Text())
		}
		for _, field := range strings.Fields(lines.Text())[1:] {
			var i int
			var serial uint32
			if _, err := fmt.Sscanf(field, "%d=%d", &i, &serial); err != nil {
				t.Fatalf("The child says %q", lines.Text())
			}
			said[i] = serial
		}
		commits++
	}
	err = c.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("The child ended with %v", err)
	}
	return commits
}
