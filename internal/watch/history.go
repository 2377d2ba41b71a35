package watch

import (
	"net/netip"
	"slices"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/serial"
)

// What happens to a zone beside attempts, whose kinds are their operations.
const (
	eventNotify   = "notify"   // a NOTIFY came
	eventExpired  = "expired"  // the contents were withdrawn
	eventRestored = "restored" // the contents of an earlier process are served
	eventCommand  = "command"  // the operator asked for something
	eventRemark   = "remark"   // a rule has something to say of the version
	eventBegan    = "began"    // a transfer begins; only watchers are told
)

// The results of NOTIFYs and commands that were acted on. Those of NOTIFYs that were not are told by whoever refuses them.
const (
	resultAccepted = "accepted"
	resultUnsigned = "unsigned" // a NOTIFY that is a hint
	resultRefused  = "refused"  // a NOTIFY from an address that may send none
)

// resultExpired is the result of contents that were withdrawn, or restored too late to be served.
const resultExpired = "expired"

// How many events are kept: maxHistory of a zone, unless there are so many zones that these are more than maxHistories
// together; but leastHistory in any case. An event takes about 250 octets.
const (
	maxHistory   = 50
	leastHistory = 10
	maxHistories = 200_000
)

// class is a kind of events in a history, by who can cause how many.
type class uint8

const (
	changes class = iota // transfers, expiry, commands, findings of rules: what a history is for
	checks               // SOA queries, and transfers that brought nothing
	notices              // NOTIFYs that were acted on
	denials              // NOTIFYs refused though their address may send some
	strays               // NOTIFYs from anybody else
	classes              // how many there are
)

// shares are the most tenths of a history that the events of a class take; half of it is for changes, which may have all.
var shares = [classes]int{checks: 2, notices: 1, denials: 1, strays: 1}

// class returns the class of an event.
func (v *Event) class() class {
	switch {
	case v.Kind == string(engine.OpSOA) || v.Kind == string(engine.OpCurrent):
		return checks
	case v.Kind != eventNotify:
		return changes
	case v.Result == resultAccepted || v.Result == resultUnsigned:
		return notices
	case v.Result == resultRefused:
		return strays
	}
	return denials
}

// Event is one thing that happened to a zone. Like ones in a row are one event, which then has the ID and the time of the
// latest. It is a plain value.
type Event struct {
	ID      uint64 // of the fact: ascending over all zones
	At      time.Time
	FirstAt time.Time // of those that are one event
	Count   int       // of those
	Zone    engine.ZoneID
	Kind    string     // soa, axfr, ixfr, current, notify, expired, restored, command, remark, began
	Result  string     // ok, accepted, expired, or the reason of the failure
	Primary netip.Addr // or the sender of a NOTIFY; invalid for none
	Port    uint16     // 0 for none
	From    Serial     // before
	To      Serial     // that the primary or the NOTIFY told
	Records int
	Bytes   int64
	Took    time.Duration
	Text    string // the cause of a failure, in words
}

// Serial is a serial or none. It is a plain value.
type Serial struct {
	serial.Serial
	Known bool
}

func known(n serial.Serial) Serial { return Serial{n, true} }

// like reports whether two events are one. What NOTIFYs that nobody vouches for tell makes no difference.
func (v *Event) like(o *Event) bool {
	vague := v.Kind == eventNotify && v.Result != resultAccepted
	return v.Kind == o.Kind && v.Result == o.Result && v.Primary == o.Primary && v.Port == o.Port && v.From == o.From &&
		(v.To == o.To || vague) && v.Text == o.Text && v.Records == o.Records
}

// remember puts an event at the end of the history, which has a limit. It becomes one with the latest of its class, of those
// about the same primary, if it is like that. Watch.mu is held.
func (r *record) remember(v *Event, limit int) {
	c := v.class()
	for i := len(r.history) - 1; i >= 0; i-- {
		o := &r.history[i]
		if o.class() != c || c != changes && o.Primary != v.Primary {
			continue
		}
		if o.like(v) {
			v.Count, v.FirstAt = o.Count+1, o.FirstAt
			r.history = slices.Delete(r.history, i, i+1)
		}
		break
	}
	for i := r.surplus(c, limit); i >= 0; i = r.surplus(c, limit) {
		r.forgotten = max(r.forgotten, r.history[i].ID)
		r.history = slices.Delete(r.history, i, i+1)
	}
	if n := len(r.history); n == cap(r.history) {
		// append would make it larger than it can become; of many zones there is one event
		r.history = append(make([]Event, 0, max(1, min(limit, 2*n))), r.history...)
	}
	r.history = append(r.history, *v)
}

// surplus returns the index of the event that gives way to one of a class, -1 if there is room: the oldest of the class if
// that has its share, else the oldest of the changes unless they are few.
func (r *record) surplus(c class, limit int) int {
	var first, count [classes]int
	for i := len(r.history) - 1; i >= 0; i-- {
		of := r.history[i].class()
		first[of] = i
		count[of]++
	}
	rest := limit
	for of, tenths := range shares {
		share := max(1, limit*tenths/10)
		if tenths > 0 && count[of] >= share && (class(of) == c || count[of] > share) {
			return first[of]
		}
		if tenths > 0 {
			rest -= share
		}
	}
	switch {
	case len(r.history) < limit:
		return -1
	case c != changes && count[changes] > rest:
		return first[changes]
	}
	return 0
}
