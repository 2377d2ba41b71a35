package corefile

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func newZonesFile(path string) *ZonesFile {
	return &ZonesFile{WatchedFile: WatchedFile{Path: path}, place: Place{Names: names}}
}

// namesIn returns the names of the zones the file listed at its last good read.
func namesIn(f *ZonesFile) []string {
	var all []string
	for _, z := range f.listed {
		all = append(all, z.name)
	}
	return all
}

func TestZonesFileSkipsCommentsAndBlankLines(t *testing.T) {
	f := newZonesFile(write(t, t.TempDir(), "zones", "# all zones\n\nExample.ORG\n  b.test.\t# the second\r\n192.0.2.0/24\n#c.test\nd.test"))
	if err := f.Read(); err != nil {
		t.Fatal(err)
	}
	want := []listedZone{{"example.org.", 3}, {"b.test.", 4}, {"2.0.192.in-addr.arpa.", 5}, {"d.test.", 7}}
	if !slices.Equal(f.listed, want) {
		t.Errorf("Listed %v, want %v", f.listed, want)
	}
}

func TestWrongZonesFiles(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	large := write(t, dir, "large", "a.test\n")
	if err := os.Truncate(large, maxZonesFileSize+1); err != nil { // sparse
		t.Fatal(err)
	}
	tests := map[string]string{
		filepath.Join(dir, "none"): "none: no such file or directory",
		dir:                        dir + ": not a regular file",
		fifo:                       fifo + ": not a regular file",
		large:                      "large: larger than 67108864 octets; want a file of zones",
		write(t, dir, "empty", ""): "empty: no zone; want one a line",
		write(t, dir, "comments", "# none yet\n\n"):           "comments: no zone; want one a line",
		write(t, dir, "words", "a.test\n\nb.test c.test"):     `words:3: "b.test c.test": want one zone a line`,
		write(t, dir, "dots", "a..test\n"):                    `dots:1: zone "a..test": want a domain name`,
		write(t, dir, "idn", "a.test\nbüro.test\n"):           `idn:2: zone "büro.test": want a domain name in ASCII`,
		write(t, dir, "nul", "a.test\x00\n"):                  "nul:1: zone",
		write(t, dir, "line", "a\n"+strings.Repeat("b", 1e4)): "line:2: want lines of at most 4096 octets",
	}
	for path, want := range tests {
		f := newZonesFile(path)
		if err := f.Read(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", path, err, want)
		}
		if f.listed != nil {
			t.Errorf("%s: listed %v", path, f.listed)
		}
	}
}

func TestWrongZonesFileLeavesTheListAsItWas(t *testing.T) {
	f := newZonesFile(write(t, t.TempDir(), "zones", "a.test\n"))
	if err := f.Read(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.Path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Read(); err == nil {
		t.Error("An emptied file is accepted")
	}
	if got := namesIn(f); !slices.Equal(got, []string{"a.test."}) {
		t.Errorf("Listed %q, want the old list", got)
	}
}

func TestChangedWaitsUntilTheFileIsSettled(t *testing.T) {
	f := newZonesFile(write(t, t.TempDir(), "zones", "a.test\n"))
	if err := f.Read(); err != nil {
		t.Fatal(err)
	}
	expect := func(want bool, when string) {
		t.Helper()
		if got := f.Changed(); got != want {
			t.Errorf("Changed is %v %s", got, when)
		}
	}
	expect(false, "after the read")
	expect(false, "a second time")

	text := "a.test\n"
	for i := range 3 { // somebody writes it, line by line
		text += fmt.Sprintf("b%d.test\n", i)
		if err := os.WriteFile(f.Path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		expect(false, "while the file is written")
	}
	expect(true, "when the file is complete")
	expect(true, "as long as it is not read")
	if err := f.Read(); err != nil {
		t.Fatal(err)
	}
	expect(false, "after the second read")
	if got := len(f.listed); got != 4 {
		t.Errorf("%d zones, want 4", got)
	}
}

func TestChangedSeesEveryKindOfChange(t *testing.T) {
	dir := t.TempDir()
	f := newZonesFile(write(t, dir, "zones", "a.test\n"))
	changes := map[string]func() error{
		"same size, other time": func() error { return os.Chtimes(f.Path, time.Time{}, time.Unix(1_000_000_000, 0)) },
		"same size and time, other file": func() error {
			old, err := os.Stat(f.Path)
			if err != nil {
				return err
			}
			next := write(t, dir, "next", "b.test\n")
			if err := os.Chtimes(next, time.Time{}, old.ModTime()); err != nil {
				return err
			}
			return os.Rename(next, f.Path)
		},
		"broken": func() error { return os.WriteFile(f.Path, []byte("a b\n"), 0o600) },
		"gone":   func() error { return os.Remove(f.Path) },
	}
	for name, change := range changes {
		write(t, dir, "zones", "a.test\n")
		if err := f.Read(); err != nil {
			t.Fatal(err)
		}
		f.Changed()
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if first := f.Changed(); first || !f.Changed() {
			t.Errorf("%s: want a change, at the second look", name)
		}
		_ = f.Read() // good or bad, the change is dealt with
		for range 2 {
			if f.Changed() {
				t.Errorf("%s: changed once more after the read", name)
			}
		}
	}
}

func TestZonesFileThatReturnsIsAChange(t *testing.T) {
	f := newZonesFile(write(t, t.TempDir(), "zones", "a.test\n"))
	if err := os.Rename(f.Path, f.Path+".away"); err != nil {
		t.Fatal(err)
	}
	if err := f.Read(); err == nil {
		t.Fatal("A file that is not there was read")
	}
	f.Changed()
	if err := os.Rename(f.Path+".away", f.Path); err != nil {
		t.Fatal(err)
	}
	if f.Changed() || !f.Changed() {
		t.Error("Want a change, at the second look")
	}
}
