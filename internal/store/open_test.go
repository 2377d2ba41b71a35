package store_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/store"
)

// childVariable says, in the environment of a child process, what it is to do: these tests need a second process, or
// one that dies.
const childVariable = "STORE_TEST_CHILD"

// children are what child processes do with a store; they report on their standard output.
var children = map[string]func(path string) error{
	"hold":   childHold,
	"open":   childOpen,
	"fault":  childFault,
	"stream": childStream,
}

func TestMain(m *testing.M) {
	do, path, child := strings.Cut(os.Getenv(childVariable), " ")
	if !child {
		dnstest.Checks()
		os.Exit(m.Run())
	}
	if err := children[do](path); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

// child is the command of a process that does something with the store at path. arguments may stand in front of it.
func child(t *testing.T, do, path string, arguments ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	arguments = append(arguments, self)
	c := exec.Command(arguments[0], arguments[1:]...)
	c.Env = append(os.Environ(), childVariable+"="+do+" "+path)
	c.Stderr = os.Stderr
	c.WaitDelay = time.Second
	return c
}

// childHold holds the store until it is killed.
func childHold(path string) error {
	if _, err := store.Open(path); err != nil {
		return err
	}
	fmt.Println("open")
	for {
		time.Sleep(time.Hour) // select {} is a deadlock in a program without C
	}
}

// childOpen opens the store and says how it went.
func childOpen(path string) error {
	s, err := store.Open(path)
	if err != nil {
		return err
	}
	return s.Close()
}

func TestStoreOfAnotherProcessIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "zones.db")
	holder := child(t, "hold", path)
	out, err := holder.StdoutPipe()
	if err == nil {
		err = holder.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	stop := func() {
		_ = holder.Process.Kill()
		_ = holder.Wait()
	}
	defer stop()
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "open\n" {
		t.Fatalf("The child says %q", line)
	}
	begun := time.Now()
	s, err := store.Open(path)
	if s != nil || !errors.Is(err, store.ErrInUse) || !strings.Contains(err.Error(), path) {
		t.Errorf("%v, %v", s, err)
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("Refused after %v", took)
	}
	want := fmt.Sprintf("by process %d (", holder.Process.Pid)
	if runtime.GOOS == "linux" && !strings.Contains(fmt.Sprint(err), want) {
		t.Errorf("%v, want %q", err, want)
	}
	stop()
	if err := open(t, path).Close(); err != nil {
		t.Error(err)
	}
}

func TestStoreIsOpenedOnce(t *testing.T) {
	t.Parallel()
	_, path := start(t)
	if s, err := store.Open(path); s != nil || !errors.Is(err, store.ErrInUse) {
		t.Errorf("%v, %v", s, err)
	}
}

func TestNewStoreIsPrivate(t *testing.T) {
	t.Parallel()
	_, path := start(t)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestWrongPaths(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text, fifo, short := filepath.Join(dir, "text"), filepath.Join(dir, "fifo"), filepath.Join(dir, "short")
	other := filepath.Join(dir, "other.db")
	if err := errors.Join(os.WriteFile(text, []byte(strings.Repeat("example.org. SOA\n", 5000)), 0o600),
		os.WriteFile(short, []byte("x"), 0o600), syscall.Mkfifo(fifo, 0o600)); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(other, 0o600, nil)
	if err == nil {
		err = db.Update(func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucket([]byte("theirs"))
			return err
		})
	}
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path string
		want       error
		says       string
	}{
		{"directory", dir, store.ErrNotStore, "a directory"},
		{"text file", text, store.ErrNotStore, "name another file"},
		{"one octet", short, store.ErrNotStore, "name another file"},
		{"another program's", other, store.ErrNotStore, "another program"},
		{"pipe", fifo, store.ErrNotStore, "pipe"},
		{"missing directory", filepath.Join(dir, "missing", "zones.db"), nil,
			"there is no directory " + filepath.Join(dir, "missing")},
		{"file for a directory", filepath.Join(text, "zones.db"), nil, "there is no directory " + text},
	} {
		before, _ := os.ReadFile(text)
		s, err := store.Open(c.path)
		if s != nil || err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) ||
			!strings.Contains(err.Error(), c.path) {
			t.Errorf("%s: %v, want %v that says %q", c.name, err, c.want, c.says)
		}
		if after, _ := os.ReadFile(text); !slices.Equal(before, after) {
			t.Errorf("%s: the file has changed", c.name)
		}
	}
}

// A process without permission is told so. The superuser needs none, so that a child does it as somebody else.
func TestStoreThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "store") //nolint:usetesting // its parents have to be open to somebody else
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = os.Chmod(dir, 0o755)
		_ = os.RemoveAll(dir)
	}()
	path := filepath.Join(dir, "zones.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(path, 0o444), os.Chmod(dir, 0o555)); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, filepath.Join(dir, "new.db")} {
		c := child(t, "open", p)
		if os.Getuid() == 0 {
			copied := copyExecutable(t, dir)
			c.Path, c.Args = copied, []string{copied}
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		out, err := c.Output()
		if err == nil || !strings.Contains(string(out), store.ErrReadOnly.Error()) || !strings.Contains(string(out), p) {
			t.Errorf("%s: %v, %s", p, err, out)
		}
	}
}

// copyExecutable copies the test binary to where everybody can run it.
func copyExecutable(t *testing.T, dir string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	octets, err := os.ReadFile(self)
	path := filepath.Join(dir, "test")
	if err == nil {
		err = os.WriteFile(path, octets, 0o600)
	}
	if err = errors.Join(err, os.Chmod(path, 0o755)); err != nil {
		t.Fatal(err)
	}
	return path
}

// A file of a later build is left as it is.
func TestOtherFormatIsLeftAlone(t *testing.T) {
	t.Parallel()
	for _, by := range []int{-1, 6} {
		s, path := start(t)
		commit(t, s, store.Change{ID: []byte("z"), Contents: version("example.", 1, 3)})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		other := uint32(store.FormatVersion + by)
		db, err := bbolt.Open(path, 0o600, nil)
		if err == nil {
			err = db.Update(func(tx *bbolt.Tx) error {
				value := binary.BigEndian.AppendUint32(nil, other)
				sum := crc32.Checksum(slices.Concat([]byte("storeformat"), value), crc32.MakeTable(crc32.Castagnoli))
				return tx.Bucket([]byte("store")).Put([]byte("format"), binary.BigEndian.AppendUint32(value, sum))
			})
		}
		if err = errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		before, _ := os.ReadFile(path)
		s, err = store.Open(path)
		want := fmt.Sprintf("store %s: has format %d, this build has %d: use the build that wrote it, or move the file away", path, other,
			store.FormatVersion)
		if s != nil || !errors.Is(err, store.ErrFormat) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		if after, _ := os.ReadFile(path); !slices.Equal(before, after) {
			t.Error("The file has changed")
		}
	}
}

// A file that was being made when the process died never held anything: it is made again.
func TestHalfMadeStoreIsMadeAgain(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty.db")
	db, err := bbolt.Open(empty, 0o600, &bbolt.Options{PageSize: store.BoltPage})
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	octets, err := os.ReadFile(empty)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 4096, store.BoltPage, 3*store.BoltPage + 5, 4 * store.BoltPage, len(octets)} {
		path := filepath.Join(t.TempDir(), "zones.db")
		if err := os.WriteFile(path, octets[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, path)
		c := version("example.", 1, 3)
		commit(t, s, store.Change{ID: []byte("z"), Contents: c})
		expect(t, s, "z", c, "")
		if err := errors.Join(s.Damage(), s.Close()); err != nil {
			t.Errorf("%d octets: %v", size, err)
		}
	}
}

// A file that was removed or replaced while it is open takes commits that nobody will find again.
func TestPresentTellsOfAFileThatIsGone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "zones.db")
	s, err := store.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Present(); err != nil {
		t.Errorf("A file that is there: %v", err)
	}
	aside := filepath.Join(dir, "aside")
	if err := os.Rename(path, aside); err != nil {
		t.Fatal(err)
	}
	if err := s.Present(); !errors.Is(err, store.ErrGone) {
		t.Errorf("Moved away: %v; want ErrGone", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Present(); !errors.Is(err, store.ErrGone) {
		t.Errorf("Another in its place: %v; want ErrGone", err)
	}
	if err := os.Rename(aside, path); err != nil {
		t.Fatal(err)
	}
	if err := s.Present(); err != nil {
		t.Errorf("Back again: %v", err)
	}
}
