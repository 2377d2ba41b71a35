package corefile

import (
	"math"
	"strings"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/version"
)

const maxSOATimer = math.MaxUint32 * time.Second // the most a SOA can say (RFC 1035 §3.3.13)

// DefaultPolicy returns what is in force unless options say otherwise.
func DefaultPolicy() version.Policy {
	const day = 24 * time.Hour
	return version.Policy{
		MaxRecords: 10_000, MaxSize: 256 << 20, MaxRRset: 1000, MaxTypes: 100,
		History: version.HistoryLimits{Versions: 32, Octets: 256 << 10}, IXFRFromAXFR: true,
		Limits: refresh.Limits{
			Refresh: refresh.Clamp{Min: 30 * time.Second, Max: 28 * day},
			Retry:   refresh.Clamp{Min: 30 * time.Second, Max: 14 * day},
			Expire:  refresh.Clamp{Min: time.Second, Max: maxSOATimer},
		},
	}
}

// limit reads "N | unlimited"; 0 is unlimited.
func limit(l line) (int, error) {
	word := l.args()[0]
	if word == "unlimited" {
		return 0, nil
	}
	n, ok := parseCount(word, math.MaxInt)
	if !ok {
		return 0, l.wrong(word, "a whole number of at least 1, or unlimited")
	}
	return n, nil
}

func conflicts(l line) (rules.Conflicts, error) {
	word := l.args()[0]
	for _, c := range []rules.Conflicts{rules.ConflictsRFC, rules.ConflictsAlibaba, rules.ConflictsOff} {
		if c.String() == word {
			return c, nil
		}
	}
	return 0, l.wrong(word, "rfc, alibaba or off")
}

func serialZero(l line) (accept bool, err error) {
	switch word := l.args()[0]; word {
	case "stop":
		return false, nil
	case "accept":
		return true, nil
	default:
		return false, l.wrong(word, "stop or accept")
	}
}

// The most that the history of a zone may have. All histories together have no more octets.
const (
	maxHistory       = 10_000
	maxHistoryOctets = 64 << 20
)

// history reads "N [BYTES] | off".
func (r *reader) history(l line) error {
	h := &r.group.Policy.History
	words := l.args()
	if words[0] == "off" && len(words) == 1 {
		*h = version.HistoryLimits{}
		return nil
	}
	n, ok := parseCount(words[0], maxHistory)
	if !ok {
		return l.wrong(words[0], "a whole number of versions of at least 1 and at most %d, or off alone", maxHistory)
	}
	h.Versions, h.Octets = n, DefaultPolicy().History.Octets
	if len(words) == 1 {
		return nil
	}
	if h.Octets, ok = parseSize(words[1]); !ok || h.Octets > maxHistoryOctets {
		return l.wrong(words[1], "a whole number of bytes, of at least 1 and at most 64M, with an optional K or M, such as 256K")
	}
	return nil
}

func ixfrFromAXFR(l line) (on bool, err error) {
	switch word := l.args()[0]; word {
	case "on":
		return true, nil
	case "off":
		return false, nil
	default:
		return false, l.wrong(word, "on or off")
	}
}

// clamp reads "MIN MAX".
func clamp(l line) (c refresh.Clamp, err error) {
	for i, end := range []*time.Duration{&c.Min, &c.Max} {
		var ok bool
		if *end, ok = parseDuration(l.args()[i]); !ok {
			return c, l.wrong(l.args()[i],
				"a time of at least 1s and at most %ds, in whole seconds, such as 90s, 15m, 2h, 1d or 3600", uint32(math.MaxUint32))
		}
	}
	if c.Min > c.Max {
		return c, l.wrong(strings.Join(l.args(), " "), "the smaller time first: %s %s %s", l.option(), l.args()[1], l.args()[0])
	}
	return c, nil
}
