package store_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/store"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// Pages that are free again are used again: after thousands of updates of one page each, and after a zone has come
// anew, the file is about as large as it was after the first few.
func TestFileDoesNotGrow(t *testing.T) {
	dnstest.Alone(t)
	t.Parallel()
	const zones, hosts, commits, updates = 500, 100, 100, 500
	path := filepath.Join(scratch(t), "zones.db")
	s := open(t, path)
	defer s.Close()
	rng := rand.New(rand.NewPCG(3, 4))
	large := mixed(t, "large.", 20_000)
	cur := make([]*zone.Contents, zones)
	var changes []store.Change
	for i := range cur {
		cur[i] = version(fmt.Sprintf("z%d.", i), 1, hosts)
		changes = append(changes, store.Change{ID: fmt.Append(nil, i), Contents: cur[i]})
	}
	commit(t, s, append(changes, store.Change{ID: []byte("large"), Contents: large})...)
	var early int64
	for n := range commits {
		changes := changes[:0]
		for i := range zones {
			next := touch(t, cur[i], uint32(n+1), rng.IntN(hosts), hosts)
			changes = append(changes, store.Change{ID: fmt.Append(nil, i), Contents: next, Since: cur[i], State: fmt.Append(nil, n)})
			cur[i] = next
		}
		if n%10 == 5 { // a zone is transferred anew
			changes = append(changes, store.Change{ID: []byte("large"), Contents: large})
		}
		commit(t, s, changes...)
		if n == commits/20 {
			early = fileSize(t, path)
		}
	}
	late := fileSize(t, path)
	t.Logf("%d updates: %d octets, %d after a twentieth of them", commits*updates, late, early)
	if late > early*3/2 {
		t.Errorf("File has %d octets, and had %d after a twentieth of the updates", late, early)
	}
	for i := range cur {
		expect(t, s, fmt.Sprint(i), cur[i], fmt.Sprint(commits-1))
	}
}

// touch makes a version in which one host has another TTL. It changes the page of the SOA too, which may be the same.
func touch(t *testing.T, c *zone.Contents, serial uint32, i, n int) *zone.Contents {
	t.Helper()
	e := c.Edit(zone.Limits{})
	old, later := soaRecord(c.Origin(), serial), soaRecord(c.Origin(), serial+1)
	rr := host(c.Origin(), 1, i, n)
	again := rr
	again.TTL = serial
	for _, err := range []error{e.Remove(&old), e.Add(&later), e.Remove(&rr), e.Add(&again)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	next, err := e.Seal()
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func fileSize(tb testing.TB, path string) int64 {
	tb.Helper()
	info, err := os.Stat(path)
	if err != nil {
		tb.Fatal(err)
	}
	return info.Size()
}

// The file is little larger than what is in it.
func TestFileIsLittleLargerThanItsContents(t *testing.T) {
	dnstest.Alone(t)
	t.Parallel()
	path := filepath.Join(scratch(t), "zones.db")
	s := open(t, path)
	defer s.Close()
	c := mixed(t, "large.", 100_000)
	commit(t, s, store.Change{ID: []byte("large"), Contents: c})
	if size := fileSize(t, path); size > c.Size()*5/4 {
		t.Errorf("File has %d octets for records of %d", size, c.Size())
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for n := range 200 {
		e := c.Edit(zone.Limits{})
		for i := range 20 {
			rr := wire.RR{Owner: slices.Concat(fmt.Appendf([]byte{12}, "h%07d-%02d-", rng.IntN(60_000), i)[:13], c.Origin()),
				Type: wire.TypeA, Class: wire.ClassIN, TTL: uint32(n), Data: []byte{10, byte(n), byte(n >> 8), byte(i)}}
			if err := e.Add(&rr); err != nil {
				t.Fatal(err)
			}
		}
		next, err := e.Seal()
		if err != nil {
			t.Fatal(err)
		}
		commit(t, s, store.Change{ID: []byte("large"), Contents: next, Since: c})
		c = next
	}
	if size := fileSize(t, path); size > c.Size()*2 {
		t.Errorf("File has %d octets for records of %d", size, c.Size())
	}
	expect(t, s, "large", c, "")
}
