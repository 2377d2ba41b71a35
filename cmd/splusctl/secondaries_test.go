package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secondaryplus/secondaryplus/control"
)

func TestSecondariesOfAZone(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.zones["example.org."] = []control.Zone{blockedZone()}
	f.zones["good.test."] = []control.Zone{goodZone("good.test.")}
	out, err, code := f.run(t, "secondaries", "Example.ORG")
	if code != exitBadNews || err != "" {
		t.Errorf("Got code %d and %q; want 1 and nothing", code, err)
	}
	want := strings.Join([]string{
		"SECONDARY           KEY    STATE    HAS  BEHIND SINCE  LAST ASKED        LAST TRANSFER                  LAST NOTIFY",
		"203.0.113.1:53      down.  failing    5  26 h ago      from 4, 27 h ago  ixfr of 5, 1.50KB, 27 h ago    7 unanswered, 14 attempts, began 2 h ago",
		"203.0.113.2         -      behind     6  2 h ago       from 6, 60 s ago  -                              -",
		"[2001:db8::1]:5353  -      unknown    -  -             -                 -                              7 acknowledged (SERVFAIL), 60 min ago",
		"203.0.113.3:53      -      current    7  -             -                 axfr of 7, 1.50MB, 60 min ago  7 acknowledged",
	}, "\n") + "\n"
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	out, _, code = f.run(t, "secondaries", "example.org", "--limit", "2")
	if code != exitBadNews {
		t.Errorf("Got code %d; want 1", code)
	}
	contains(t, out, "and 2 more: splusctl secondaries example.org. --limit N shows them")
	out, _, code = f.run(t, "secondaries", "example.org", "-o", "json")
	var all []control.Secondary
	if err := json.Unmarshal([]byte(out), &all); err != nil || code != exitBadNews {
		t.Errorf("Code %d, error %v", code, err)
	}
	if diff := cmp.Diff(belowBlocked(), all); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	out, _, _ = f.run(t, "zone", "example.org")
	contains(t, out, "\nOur own secondaries\n"+want)
	out, _, code = f.run(t, "secondaries", "good.test")
	if code != exitFine || out != "Nobody is told of new versions, and nobody has asked for any.\n" {
		t.Errorf("Got code %d and %q", code, out)
	}
	if _, _, code = f.run(t, "secondaries", "nowhere.test"); code != exitRefused {
		t.Errorf("Got code %d for no zone; want %d", code, exitRefused)
	}
	if _, _, code = f.run(t, "secondaries", "a.test", "b.test"); code != exitUsage {
		t.Errorf("Got code %d for two zones; want %d", code, exitUsage)
	}
}

func TestSecondariesByAddress(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	out, _, code := f.run(t, "secondaries")
	if code != exitFine || !strings.Contains(out, "Nobody is told") {
		t.Errorf("Got code %d and %q", code, out)
	}
	f.below = []control.SecondaryLine{
		{Address: "203.0.113.1", Zones: 7, Failing: 2, Behind: 1, Unknown: 1, Current: 3, BehindAt: before(26 * time.Hour),
			SentAt: before(time.Hour), AnswerAt: before(time.Minute)},
	}
	for i := range pageSize {
		f.below = append(f.below, control.SecondaryLine{Address: fmt.Sprintf("2001:db8::%x", i), Zones: 1, Current: 1})
	}
	out, _, code = f.run(t, "secondaries")
	if code != exitBadNews {
		t.Errorf("Got code %d; want 1", code)
	}
	contains(t, out, "SECONDARY     ZONES  FAILING  BEHIND  UNKNOWN  CURRENT  BEHIND SINCE  LAST TRANSFER  LAST ANSWER\n"+
		"203.0.113.1       7        2       1        1        3  26 h ago      60 min ago     60 s ago\n"+
		"2001:db8::0       1        -       -        -        1  -             -              -\n",
		fmt.Sprintf("and %d more: --limit N shows them", pageSize+1-defaultLimit), "Not counted: 3 zones")
	out, _, _ = f.run(t, "secondaries", "--limit", "1000", "-o", "json")
	var page control.SecondaryPage
	if err := json.Unmarshal([]byte(out), &page); err != nil || len(page.Secondaries) != pageSize+1 || page.Omitted != 3 {
		t.Errorf("JSON: %d lines, %d omitted, error %v", len(page.Secondaries), page.Omitted, err)
	}
	f.below = f.below[1:]
	if _, _, code = f.run(t, "secondaries"); code != exitFine {
		t.Errorf("Got code %d where none fails; want 0", code)
	}
}
