package engine_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/watch"
)

// The line about a version that a rule forbids has the zone, the primary, the cause and what to do, and so has the event.
func TestRefusalSaysWhatToDo(t *testing.T) {
	t.Parallel()
	limits := func(g *engine.Group) { g.MaxRecords, g.MaxSize, g.MaxRRset, g.MaxTypes = 200, 20_000, 100, 10 }
	var many []string
	for i := range 201 {
		many = append(many, fmt.Sprintf("h%d.example. 60 IN A 192.0.2.1", i))
	}
	endless := spoiling(example, 2, stream(func(i int) string { return fmt.Sprintf("h%d.example. 60 IN A 192.0.2.1", i) }))
	huge := func(i int) string { return fmt.Sprintf("h%d.example. 60 IN TXT %s", i, strings.Repeat("x", 200)) }
	large := make([]string, 110)
	for i := range large {
		large[i] = huge(i)
	}
	for name, c := range map[string]struct {
		script     dnstest.Handler
		cause, act string
	}{
		"records": {
			dnstest.Serve(secret, append(version(example, 2), many...)...),
			"too many records: more than 200", "raise max_records here, or make the zone smaller",
		},
		"records on the wire": {endless, "the answer has more than 1400 records", "raise max_records here, or make the zone smaller"},
		"octets": {
			dnstest.Serve(secret, append(version(example, 2), large...)...),
			"zone too big: more than 20000 octets", "raise max_size here, or make the zone smaller",
		},
		"octets on the wire": {
			spoiling(example, 2, stream(func(int) string { return huge(0) })),
			"the answer is larger than 41000 octets", "raise max_size here, or make the zone smaller",
		},
		"RRset": {
			dnstest.Serve(secret, append(version(example, 2), manyAddresses("big.example.", 101)...)...),
			"RRset too large: more than 100 records of big.example. A", "raise max_rrset here, or make the RRset smaller",
		},
		"types": {
			dnstest.Serve(secret, append(version(example, 2), manyTypes("many.example.", 11)...)...),
			"too many types at one name: more than 10 at many.example.", "raise max_types here, or spread the records over more names",
		},
		"SOA owner": {
			spoiling(example, 2, answering(after(soa("sub.example.", 2))...)),
			"SOA of sub.example.", "correct the zone on the primary and give it a higher serial",
		},
		"serial 0": {serve(example, 0), "SOA serial 0", "give the zone another serial, or set serial_zero accept"},
		"malformed in a signed zone": {
			spoiling(example, 2, misshaping(after("example. 60 IN DNSKEY 257 3 13 aGVsbG8="), "bad.example.")),
			"malformed: bad.example. A", "correct the records on the primary and sign the zone again",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := startLab(t)
				a := newActor(t, serve(example, 1))
				g := group(a.primary())
				limits(g)
				z := l.Attach(config(g, example)).Zone(id(example))
				l.serves(z, 1)
				a.play(c.script)
				z.Notify(engine.Notification{From: a.Addr().Addr()})
				line := l.logged("warning zone=example.", "primary="+a.primary().String(), c.cause, "next attempt in")
				if !strings.Contains(line, c.act+"; next attempt in") || strings.Count(line, c.act) != 1 {
					t.Errorf("The line does not say once what to do, which is to %s:\n%s", c.act, line)
				}
				d, err := l.Detail(id(example))
				if err != nil {
					t.Fatal(err)
				}
				said := func(v watch.Event) bool {
					return strings.Contains(v.Text, c.cause) && !strings.Contains(v.Text, c.act) // the advice stands beside it
				}
				if !slices.ContainsFunc(d.History, said) {
					t.Errorf("No event says so: %+v", d.History)
				}
			})
		})
	}
}

// The line about a primary that is not there says what to do, and a next attempt that comes in less than a second is not said
// to come in none.
func TestDeadPrimaryIsLoggedWithWhatToDo(t *testing.T) {
	l := newLab(t)
	l.Attach(config(group(nobody(t)), example))
	line := l.logged("next attempt in")
	if act := "; check that the primary runs and that TCP and UDP reach its port from here; "; !strings.Contains(line, "connection refused"+act) {
		t.Errorf("The line does not say what to do: %s", line)
	}
	if !regexp.MustCompile(`next attempt in [1-9]\d*ms$`).MatchString(line) {
		t.Errorf("The first attempt is followed by another after a quarter of a second; the line is\n%s", line)
	}
}
