package refresh

// ZoneState is how a zone stands with its primaries and towards its clients: the one value that exit codes, API, page and
// metrics are made of.
type ZoneState uint8

// The states of a zone.
const (
	ZoneUnknown  ZoneState = iota // no verdict yet, or nothing is served while some primary may still bring it
	ZoneNormal                    // it is served, and no link is Blocked
	ZoneDegraded                  // it is served and followed, and some link is Blocked
	ZoneBlocked                   // every link is Blocked, or a rule keeps the newest version out
)

// String returns the name of the state, as the API has it.
func (s ZoneState) String() string {
	switch s {
	case ZoneUnknown:
		return "Unknown"
	case ZoneNormal:
		return "Normal"
	case ZoneDegraded:
		return "Degraded"
	case ZoneBlocked:
		return "Blocked"
	}
	return "invalid"
}

// ZoneState returns how the zone stands. It is derived from the links and from what is served, never remembered.
func (m *Machine) ZoneState() ZoneState {
	blocked, normal := 0, 0
	for i := range m.links {
		switch m.links[i].shown() {
		case Blocked:
			blocked++
		case Normal:
			normal++
		case Unknown:
		}
	}
	switch {
	case blocked > 0 && (blocked == len(m.links) || m.stopped()):
		return ZoneBlocked
	case m.state != Current:
		return ZoneUnknown
	case blocked > 0:
		return ZoneDegraded
	case normal > 0:
		return ZoneNormal
	}
	return ZoneUnknown
}

// stopped reports whether a rule has refused the newest version that a primary told of, and no other primary offers one that
// is newer than ours.
func (m *Machine) stopped() bool {
	refused := false
	for i := range m.links {
		l := &m.links[i]
		if m.state != Current || !l.hasSerial || !l.serial.Newer(m.soa.Serial) {
			continue
		}
		if l.shown() != Blocked {
			return false
		}
		refused = refused || l.refuses() && l.refused.until != 0 // only a rule sets that
	}
	return refused
}
