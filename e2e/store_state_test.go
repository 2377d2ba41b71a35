//go:build e2e

package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// storeFails waits until everything that shows the state of the store says that it fails, with the cause.
func (c *console) storeFails(sec *secondary, cause string) {
	c.t.Helper()
	eventually(c.t, storeLimit, "A store that fails: "+cause, func() string {
		out, _, code := splusctl(c.t, "--address", c.address, "status")
		if code != 1 || !strings.Contains(out, "failing") || !strings.Contains(out, cause) {
			return fmt.Sprintf("exit code %d and\n%s", code, out)
		}
		return scrape(c.t, sec.Metrics).is(0, "store_up")
	})
	c.wants(c.says(1, "status", "--output", "json"), `"state": "failing"`, `"sinceAt"`)
}

// storeWorks waits until nothing says that the store fails.
func (c *console) storeWorks(sec *secondary) {
	c.t.Helper()
	eventually(c.t, 2*storeLimit, "A store that works", func() string {
		out, _, code := splusctl(c.t, "--address", c.address, "status")
		if code != 0 || strings.Contains(out, "failing") {
			return fmt.Sprintf("exit code %d and\n%s", code, out)
		}
		out, _, _ = splusctl(c.t, "--address", c.address, "status", "--output", "json")
		if !strings.Contains(out, `"state": "ok"`) || !strings.Contains(out, `"unsaved": 0`) { // what waits is saved a moment later
			return out
		}
		return scrape(c.t, sec.Metrics).is(1, "store_up")
	})
}

// newStoreConsole returns a secondary of a BIND, not started, whose store is zones.db in the directory store.
func newStoreConsole(t *testing.T) (*console, *secondary) {
	t.Helper()
	prim := newBIND(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(5)}})
	sec := newSecondary(t)
	c := &console{t: t, address: "unix:" + filepath.Join(sec.Dir, "control")}
	sec.secondarySpec = secondarySpec{
		Zones: []string{mixedOrigin}, Block: lines("primary "+prim.addr(), "control "+c.address, "store store/zones.db"),
	}
	return c, sec
}

func TestFileThatIsNoStoreIsShown(t *testing.T) {
	t.Parallel()
	c, sec := newStoreConsole(t)
	dir := filepath.Join(sec.Dir, "store")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "zones.db"), strings.Repeat("no store\n", 1000))
	sec.start(t, sec.secondarySpec)
	sec.serves(t, mixedOrigin, 5, syncLimit)
	c.storeFails(sec, "not a store")
	c.wants(c.says(1, "status", "--output", "json"), `"unsaved": 1`)
	if err := os.Remove(filepath.Join(dir, "zones.db")); err != nil {
		t.Fatal(err)
	}
	c.storeWorks(sec)
}

func TestStoreRemovedBeneathIsShown(t *testing.T) {
	t.Parallel()
	c, sec := newStoreConsole(t)
	dir := filepath.Join(sec.Dir, "store")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	sec.start(t, sec.secondarySpec)
	sec.saved(t, mixedOrigin, 5, settleLimit)
	c.storeWorks(sec)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	c.storeFails(sec, "there is no directory")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c.storeWorks(sec)
	// Where the directory is still there the file is made again at once, with all that was in it.
	if err := os.Remove(filepath.Join(dir, "zones.db")); err != nil {
		t.Fatal(err)
	}
	eventually(t, storeLimit, "The file again", func() string {
		if info, err := os.Stat(filepath.Join(dir, "zones.db")); err != nil || info.Size() == 0 {
			return fmt.Sprint(info, err)
		}
		return ""
	})
	c.storeWorks(sec)
}

func TestStoreThatCannotBeWrittenIsShown(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(t *testing.T, c *console, sec *secondary, dir string){
		"no longer writable": func(t *testing.T, c *console, sec *secondary, dir string) {
			sec.saved(t, mixedOrigin, 5, settleLimit)
			c.storeWorks(sec)
			// Root may write whatever the mode says, and a file system with a file open is not remounted.
			if out, err := exec.Command("chattr", "+i", filepath.Join(dir, "zones.db")).CombinedOutput(); err != nil {
				t.Skipf("Files cannot be made immutable here: %v %s", err, out)
			}
			c.storeFails(sec, "not writable")
			run(t, "chattr", "-i", filepath.Join(dir, "zones.db"))
			c.storeWorks(sec)
		},
		"full": func(t *testing.T, c *console, sec *secondary, dir string) {
			c.storeFails(sec, "no space")
			if err := os.Remove(filepath.Join(dir, "filler")); err != nil {
				t.Fatal(err)
			}
			c.storeWorks(sec)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, sec := newStoreConsole(t)
			mount := `mount -t tmpfs -o size=8m none "$DIR"`
			if name == "full" {
				filler := filepath.Join(sec.Dir, "filler")
				if err := os.WriteFile(filler, bytes.Repeat([]byte("x"), 9<<20), 0o600); err != nil {
					t.Fatal(err)
				}
				mount += ` && ! cp ` + filler + ` "$DIR/filler"`
			}
			dir := mounted(t, sec, mount)
			sec.serves(t, mixedOrigin, 5, syncLimit)
			test(t, c, sec, dir)
		})
	}
}

// Without a store nothing fails, and nothing is said to be kept.
func TestStoreOffIsNoFailure(t *testing.T) {
	t.Parallel()
	c, sec := newStoreConsole(t)
	sec.Block = strings.Replace(sec.Block, "store store/zones.db", "store off", 1)
	sec.start(t, sec.secondarySpec)
	sec.serves(t, mixedOrigin, 5, syncLimit)
	c.wants(c.says(0, "status"), "Store      none")
	c.wants(c.says(0, "status", "--output", "json"), `"state": "off"`)
	if found := scrape(t, sec.Metrics).find("store_up"); len(found) > 0 {
		t.Errorf("Without a store there is %v", found)
	}
}
