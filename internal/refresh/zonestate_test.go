package refresh_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/secondaryplus/secondaryplus/internal/dnstest/script"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
)

// The state of a zone, line by line of a script: "state" lines say what it is to be there.
func TestZoneState(t *testing.T) {
	for name, lines := range map[string][]string{
		"nobody has answered": {"config primaries=2", "start", "state Unknown"},
		"one of one dead":     {"config primaries=1", "start", "transferfail primary=0 reason=timeout", "state Blocked"},
		"one of two dead before the first transfer": {"config primaries=2", "start", "soafail primary=0 reason=timeout", "state Unknown",
			"soa primary=1 serial=8", "advance 2s", "state Unknown", "transferred primary=1 serial=8", "state Degraded"},
		"all is well": {"config primaries=2", "start", "soa primary=0 serial=8", "soa primary=1 serial=8",
			"transferred primary=0 serial=8", "state Normal"},
		"both dead": {"config primaries=2", "start", "soa primary=0 serial=8", "soa primary=1 serial=8",
			"transferred primary=0 serial=8", "advance 1h", "soafail primary=0 reason=timeout", "state Degraded",
			"soafail primary=1 reason=refused", "state Blocked"},
		"one of two is behind": {"config primaries=2", "start", "soa primary=0 serial=8", "soa primary=1 serial=7",
			"transferred primary=0 serial=8", "advance 1h", "soa primary=0 serial=8", "soa primary=1 serial=7", "state Degraded"},
		"a rule keeps the newest version out": {"config primaries=2", "start", "soa primary=0 serial=8", "soa primary=1 serial=8",
			"transferred primary=0 serial=8", "advance 1h", "soa primary=0 serial=9", "soa primary=1 serial=8",
			"reject primary=0 serial=9 reason=max_records", "state Blocked",
			"notify primary=1 serial=9", "advance 1s", "soa primary=1 serial=9", "transferred primary=1 serial=9", "state Degraded"},
		"the newest version does not arrive": {"config primaries=2", "start", "soa primary=0 serial=8", "soa primary=1 serial=8",
			"transferred primary=0 serial=8", "advance 1h", "soa primary=0 serial=9", "soa primary=1 serial=8",
			"transferfail primary=0 reason=timeout", "state Degraded"},
		"expired while a primary answers": {"timers refresh=40 retry=40 expire=80", "config primaries=2", "start", "soa primary=0 serial=8",
			"soa primary=1 serial=8", "transferred primary=0 serial=8", "state Normal", "advance 81s", "state Unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlayer(t)
			for _, line := range lines {
				if want, ok := strings.CutPrefix(line, "state "); !ok {
					p.Run(script.Parse(t, line))
				} else if got := p.m.ZoneState().String(); got != want {
					t.Errorf("%s: got %s; want %s\n%s%s", line, got, want, p.out.String(), p.status())
				}
			}
		})
	}
}

// checkZoneState fails the test where the state of a zone says more than its links and what is served.
func checkZoneState(rt *rapid.T, m *refresh.Machine) {
	blocked, normal := 0, 0
	for _, l := range m.Links() {
		switch l.State {
		case refresh.Blocked:
			blocked++
		case refresh.Normal:
			normal++
		case refresh.Unknown:
		}
	}
	served, state := m.State() == refresh.Current, m.ZoneState()
	switch {
	case state == refresh.ZoneNormal && (!served || blocked > 0 || normal == 0),
		state == refresh.ZoneDegraded && (!served || blocked == 0),
		state == refresh.ZoneBlocked && blocked == 0,
		state != refresh.ZoneBlocked && blocked > 0 && blocked == len(m.Links()),
		state == refresh.ZoneUnknown && served && blocked+normal > 0:
		rt.Fatalf("zone is %s, served %v, with links %+v", state, served, m.Links())
	}
}
