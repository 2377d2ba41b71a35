package allow

import (
	"net/netip"

	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// Verdict is what becomes of a NOTIFY.
type Verdict uint8

// The verdicts.
const (
	Accepted    Verdict = iota
	Hinted              // it comes from a primary whose key it is not signed with: it causes a check, bounded by rate
	NotAllowed          // the sender is neither a primary nor in allow_notify
	KeyRequired         // the sender has to sign with a key and did not
	Dropped             // whoever sent it: too many wait, or the zone has not been started yet. Its sender is to try again
)

// Notify decides about a NOTIFY from an address, signed with key or nil, for a zone with these primaries and with allow_notify,
// and returns the primary it is from, or -1.
//
// A primary may always notify; but one that has a key and does not sign with it can only hint: who knows the key of another
// one knows no more than who knows none. A line of allow_notify that names its address takes the place of that: it can ask
// for a key, and then refuses what is not signed with it, or for none.
func Notify(primaries []xfr.Primary, others List, from netip.Addr, key *xfr.Key) (Verdict, int) {
	from = from.Unmap()
	verdict := NotAllowed
	listed, allowed := others.Admits(from, key)
	switch {
	case allowed:
		verdict = Accepted
	case listed:
		verdict = KeyRequired
	}
	primary := -1
	for i, p := range primaries {
		if p.Addr.Addr().Unmap() != from {
			continue
		}
		signed := p.Key != nil && p.Key.Equal(key)
		if primary < 0 || signed {
			primary = i
		}
		switch {
		case signed, p.Key == nil && !listed:
			verdict = Accepted
		case verdict == NotAllowed:
			verdict = Hinted
		}
	}
	return verdict, primary
}
