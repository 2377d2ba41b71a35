package store_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/store"
)

// mapped returns how many octets of a file are in the memory of the process because it has mapped them.
func mapped(t *testing.T, path string) (octets int64) {
	t.Helper()
	all, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skip(err)
	}
	of := false
	for line := range strings.Lines(string(all)) {
		var first, last, kilobytes int64
		if _, err := fmt.Sscanf(line, "%x-%x ", &first, &last); err == nil { // a mapping begins
			of = strings.HasSuffix(line, path+"\n")
		} else if _, err := fmt.Sscanf(line, "Rss: %d kB", &kilobytes); err == nil && of {
			octets += kilobytes << 10
		}
	}
	return octets
}

// A commit that changes every zone looks at the whole file. It does not stay in memory.
func TestMappedFileTakesNoMemory(t *testing.T) {
	s, path := start(t)
	var changes, states []store.Change
	for i := range 2000 {
		id := fmt.Appendf(nil, "z%04d.test.", i)
		changes = append(changes, store.Change{ID: id, Contents: version(string(id), 1, 50), State: []byte("a")})
		states = append(states, store.Change{ID: id, State: []byte("b")})
	}
	commit(t, s, changes...)
	commit(t, s, states...)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := mapped(t, path); n > info.Size()/8 {
		t.Errorf("%d octets of a file of %d stay in memory", n, info.Size())
	}
	expect(t, s, "z1000.test.", version("z1000.test.", 1, 50), "b")
}
