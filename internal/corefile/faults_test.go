package corefile

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/rules"
)

// The options of faults are for the whole process; URLs may stand in one line or in several.
func TestFaultSettings(t *testing.T) {
	type faults struct {
		URLs         string
		After, Every time.Duration
	}
	const hook, mail = "generic+https://sms.example.net/send", "smtp://u:p@mail.example.net:587/?from=a@example.net&to=b@example.net"
	for name, c := range map[string]struct {
		text string
		want faults
	}{
		"none":        {inBlock(""), faults{After: time.Minute, Every: 24 * time.Hour}},
		"one":         {inBlock("fault_notify " + hook), faults{URLs: hook, After: time.Minute, Every: 24 * time.Hour}},
		"two":         {inBlock("fault_notify " + hook + " " + mail), faults{URLs: hook + "\n" + mail, After: time.Minute, Every: 24 * time.Hour}},
		"two lines":   {inBlock("fault_notify " + hook + "\nfault_notify " + mail), faults{URLs: hook + "\n" + mail, After: time.Minute, Every: 24 * time.Hour}},
		"spans":       {inBlock("fault_after 90s\nfault_every 12h"), faults{After: 90 * time.Second, Every: 12 * time.Hour}},
		"seconds":     {inBlock("fault_after 1\nfault_every 60"), faults{After: time.Second, Every: time.Minute}},
		"two blocks":  {inBlock("fault_notify "+hook) + "\nsecondaryplus x.test {\nprimary 192.0.2.1\nfault_notify " + hook + "\nfault_after 5m\n}", faults{URLs: hook, After: 5 * time.Minute, Every: 24 * time.Hour}},
		"in one only": {inBlock("") + "\nsecondaryplus x.test {\nprimary 192.0.2.1\nfault_notify " + hook + "\n}", faults{URLs: hook, After: time.Minute, Every: 24 * time.Hour}},
	} {
		s := mustParse(t, c.text).Settings
		if got := (faults{s.FaultNotify, s.FaultAfter, s.FaultEvery}); got != c.want {
			t.Errorf("%s: %+v; want %+v", name, got, c.want)
		}
	}
}

// A wrong line is refused with what would be right, and shows nothing of a URL but its scheme.
func TestWrongFaultSettings(t *testing.T) {
	const hidden = "Wh1sper"
	many := "fault_notify"
	for i := range maxSinks + 1 {
		many += fmt.Sprintf(" generic+https://host%d.example.net/%s", i, hidden)
	}
	hook := "fault_notify generic+https://sms.example.net/" + hidden
	for text, want := range map[string]string{
		inBlock("fault_notify"):                                          "fault_notify URL... | file FILE",
		inBlock("fault_notify " + hidden + ".example.net"):               "3: fault_notify: not a notification URL",
		inBlock("fault_notify https://example.net/" + hidden):            "3: fault_notify: ",
		inBlock("fault_notify logger://" + hidden):                       "3: fault_notify: ",
		inBlock("fault_notify smtp://u:" + hidden + "@mail.example.net"): "3: fault_notify: smtp: ",
		inBlock(many):                             fmt.Sprintf("3: fault_notify: %d URLs; want at most %d", maxSinks+1, maxSinks),
		inBlock("fault_after"):                    `3: fault_after "": want fault_after D`,
		inBlock("fault_after 0"):                  `3: fault_after "0": want a time of at least 1s`,
		inBlock("fault_after 500ms"):              `3: fault_after "500ms": want a time`,
		inBlock("fault_every 1y"):                 `3: fault_every "1y": want a time`,
		inBlock("fault_every 1h 2h"):              `3: fault_every "1h 2h": want fault_every D`,
		inBlock("fault_after 1m\nfault_after 2m"): "4: fault_after is already given at Testfile:3",
		inBlock(hook) + "\nsecondaryplus x.test {\nprimary 192.0.2.1\n" + hook + "x\n}":              "7: fault_notify differs from the one at Testfile:3; want one value",
		inBlock("fault_after 1m") + "\nsecondaryplus x.test {\nprimary 192.0.2.1\nfault_after 2m\n}": "7: fault_after differs from the one at Testfile:3",
		inBlock("fault_every 1h") + "\nsecondaryplus x.test {\nprimary 192.0.2.1\nfault_every 2h\n}": "7: fault_every differs from the one at Testfile:3",
		inBlock("conflicts"):                    `3: conflicts "": want conflicts rfc | alibaba | off`,
		inBlock("conflicts on"):                 "rfc, alibaba or off",
		inBlock("conflicts rfc\nconflicts rfc"): "4: conflicts is already given at Testfile:3",
		inBlock("max_rrset 0"):                  `3: max_rrset "0": want a whole number`,
		inBlock("max_rrset 1K"):                 `3: max_rrset "1K": want a whole number`,
		inBlock("max_types -1"):                 `3: max_types "-1": want a whole number`,
		inBlock("max_types"):                    `3: max_types "": want max_types N | unlimited`,
	} {
		_, err := parseText(text)
		if err == nil {
			t.Errorf("%s\nis accepted; want an error with %s", text, want)
			continue
		}
		if line, rest, numbered := strings.Cut(want, ": "); numbered && len(line) == 1 {
			want = "Testfile:" + line + " - Error during parsing: " + rest
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), hidden) {
			t.Errorf("%s\nerror %v\nwant  %s", text, err, want)
		}
	}
}

// The rules of conflicts and the limits of owners are of their group.
func TestConflictsAndLimitsOfOwners(t *testing.T) {
	type owners struct {
		conflicts    rules.Conflicts
		rrset, types int
	}
	for text, want := range map[string]owners{
		"":                  {rules.ConflictsRFC, 1000, 100},
		"conflicts rfc":     {rules.ConflictsRFC, 1000, 100},
		"conflicts alibaba": {rules.ConflictsAlibaba, 1000, 100},
		"conflicts off\nmax_rrset unlimited\nmax_types unlimited": {conflicts: rules.ConflictsOff},
		"max_rrset 1\nmax_types 7":                                {rrset: 1, types: 7},
	} {
		p := mustParse(t, inBlock(text)).Groups[0].Policy
		if got := (owners{p.Conflicts, p.MaxRRset, p.MaxTypes}); got != want {
			t.Errorf("%q: %v; want %v", text, got, want)
		}
	}
}
