package fault

import (
	"time"

	"github.com/secondaryplus/secondaryplus/internal/reason"
)

// EventKind says what has happened.
type EventKind uint8

// What a Machine can be told. Behind each stand the fields of Event it uses.
const (
	Due      EventKind = iota // NextAt has come; the only event that makes a message
	Down                      // no primary of the zone can be followed: Zone, Status. Repeated when the status changes
	Up                        // a primary of the zone can be followed: Zone. Repeating it does no harm
	Gone                      // the zone is no longer configured: Zone
	Sent                      // a sink took the message that is being sent
	Finished                  // no sink is tried with that message any more; without Sent, none took it
)

// Event is one thing that happened. It is a plain value.
type Event struct {
	Kind   EventKind
	Zone   string // tells zones apart; what messages call them is up to the Notifier
	Status Status // Down
}

// Status is how a zone stands that cannot follow its primaries. It is a plain value.
type Status struct {
	Links       []Link        // every primary of the zone, each blocked; not kept by the machine
	SinceAt     time.Time     // since when; zero for now
	HasContents bool          // there is a version, expired or not
	Expired     bool          // it is too old to be served
	Serial      uint32        // of that version
	ExpireAt    time.Time     // until when it is served
	Expire      time.Duration // how long it may be served without a successful check (RFC 1034 §4.3.5)
}

// served reports whether queries are answered.
func (s *Status) served() bool { return s.HasContents && !s.Expired }

// Link is one primary and why it cannot be followed. It is a plain value.
type Link struct {
	Primary string        `json:"primary"` // address and port
	Reason  reason.Reason `json:"reason"`
}
