//go:build e2e

package e2e_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// chainLength is how many servers stand one below the other, beneath the primary.
const chainLength = 3

// startChain starts servers, the first below the primary, each other below the one before it, which tells it of versions.
func startChain(t *testing.T, primary string, tiers []*secondary) {
	t.Helper()
	above := primary
	for i, s := range tiers {
		block := []string{"primary " + above, "max_records 100000", "allow_transfer 127.0.0.1", "history 100 1M"}
		if i+1 < len(tiers) {
			block = append(block, "notify "+tiers[i+1].addr())
		}
		s.run(t, secondarySpec{Zones: []string{editedOrigin}, Block: lines(block...)})
		s.serves(t, editedOrigin, 1, syncLimit)
		above = s.addr()
	}
}

// RFC 1995, RFC 1996: what the primary changes goes down a chain of servers by NOTIFYs and differences, whichever of them was
// away.
func TestChangesGoDownAChain(t *testing.T) {
	t.Parallel()
	e := newEditor(13)
	tiers := make([]*secondary, chainLength)
	for i := range tiers {
		tiers[i] = newSecondary(t)
	}
	prim := startDynamicBIND(t, toldBy(tiers[0], editedOrigin, e.text()))
	startChain(t, prim.addr(), tiers)
	change := func(edit func(*editor)) {
		t.Helper()
		old := e.version
		e.serial++
		edit(e)
		prim.update(t, old, e.version)
	}
	arrives := func(what string) {
		t.Helper()
		want := lowerOwners(axfr(t, prim.addr(), editedOrigin, nil))
		for i, s := range tiers {
			s.serves(t, editedOrigin, e.serial, notifyLimit)
			if got := lowerOwners(axfr(t, s.addr(), editedOrigin, nil)); !slices.Equal(want, got) {
				t.Fatalf("%s, tier %d (-primary +tier):\n%s", what, i+1, tail(cmp.Diff(want, got)))
			}
		}
	}
	for _, edit := range edits {
		change(edit.make)
		arrives(edit.name)
	}
	for range 20 {
		change((*editor).some)
	}
	arrives("many versions at once")
	first := 1.0 // transfers of the whole zone that a process may have made
	whole := func() {
		t.Helper()
		for i, s := range tiers {
			if n := scrape(t, s.Metrics).sum("transfers_total", "type", "axfr"); n > first {
				t.Errorf("Tier %d has transferred %v whole zones", i+1, n)
			}
		}
	}
	whole()
	for i, s := range tiers {
		s.proc.kill()
		change((*editor).some)
		s.launch(t, editedOrigin)
		change((*editor).some)
		arrives(fmt.Sprintf("tier %d was away", i+1))
	}
	first = 0 // each has another process
	whole()
}
