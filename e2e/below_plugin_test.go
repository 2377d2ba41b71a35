//go:build e2e

package e2e_test

import (
	"fmt"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// RFC 1995, RFC 1996: the transfer plugin hands our differences to a server below, and we tell that of new versions in its
// place.
func TestServerBelowFollowsByTheTransferPlugin(t *testing.T) {
	t.Parallel()
	e := newEditor(11)
	hub := newSecondary(t)
	prim := startDynamicBIND(t, toldBy(hub, editedOrigin, e.text()))
	knot := slices.IndexFunc(belowMakes, func(m referenceMake) bool { return m.name == "Knot" })
	spec := primarySpec{Zones: map[string]string{editedOrigin: ""}}
	b := &below{reference{installed: install(t, spec), make: belowMakes[knot]}, "Knot"}
	hub.run(t, secondarySpec{
		Zones: []string{editedOrigin}, Block: lines("primary "+prim.addr(), "max_records 100000"),
		Chain: lines("transfer "+editedOrigin+" {", "to * "+b.addr(), "}"),
	})
	hub.serves(t, editedOrigin, 1, syncLimit)
	b.start(t, hub.addr())
	b.becomes(t, editedOrigin, 1)
	for _, edit := range edits {
		old := e.version
		e.serial++
		edit.make(e)
		prim.update(t, old, e.version)
		b.follows(t, editedOrigin, e.serial)
		want, got := lowerOwners(axfr(t, prim.addr(), editedOrigin, nil)), lowerOwners(axfr(t, b.addr(), editedOrigin, nil))
		if !slices.Equal(want, got) {
			t.Fatalf("%s (-primary +below):\n%s", edit.name, tail(cmp.Diff(want, got)))
		}
	}
	log := b.proc.log(t)
	for kind, want := range map[string]int{"AXFR": 1, "IXFR": len(edits)} {
		finished := regexp.MustCompile(fmt.Sprintf(`\[%s\] %s, incoming,.* finished,`, regexp.QuoteMeta(editedOrigin), kind))
		if n := len(finished.FindAllString(log, -1)); n != want {
			t.Errorf("%d times %s; want %d\n%s", n, kind, want, tail(log))
		}
	}
}
