package refresh

import (
	"strconv"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// EventKind says what has happened.
type EventKind uint8

// What a Machine can be told. Behind each stand the fields of Event it uses.
const (
	Started         EventKind = iota // the engine is ready to work for the zone
	Restored                         // contents of an earlier process are at hand: Saved
	Due                              // NextAt has come
	Notified                         // a NOTIFY was accepted: Primary, Serial, HasSerial, Signed, Weak, After
	Demanded                         // the operator wants a round now: Demand
	SOAReceived                      // an authoritative SOA answer: Primary, SOA, ExpireAt, Unasked
	SOAFailed                        // the SOA query failed: Primary, Reason, MayTransfer
	Transferred                      // new contents are published: Primary, SOA, ExpireAt, Unasked
	TransferCurrent                  // the primary answered the transfer with "you are current": as Transferred
	TransferFailed                   // no new contents: Primary, Reason, SOA if one came, and Rejected with SOA
	Reconfigured                     // the configuration was reloaded: Config, Kept
)

// Event is one thing that happened. It is a plain value.
//
// Every QuerySOA is answered by one SOAReceived or SOAFailed and every Transfer by one Transferred, TransferCurrent or
// TransferFailed, however late. A round whose answers never come is given up after maxRound; an action that is still queued
// then may be asked for again and is to be replaced, not doubled.
type Event struct {
	Kind        EventKind
	Unasked     bool          // without ExpireAt: the primary may only have failed to hear that it was to tell it
	Rejected    bool          // the version arrived and a rule refused it: the same serial would be refused again
	MayTransfer bool          // the primary failed to tell its SOA in a way that leaves a transfer possible
	HasSerial   bool          // the NOTIFY carried a SOA
	Signed      bool          // the key of Primary vouches for the NOTIFY
	Weak        bool          // nobody vouches for the NOTIFY: all it can cause is a check, when no back-off stands against it
	After       time.Duration // with Weak, how long the check has to wait at least
	Serial      serial.Serial // of the SOA in the NOTIFY; a hint only (RFC 1996 §3.8)
	Primary     int           // index of the primary; -1 when it is none of them
	SOA         wire.SOA      // as received; with Rejected, that of the refused version
	ExpireAt    time.Time     // when the primary itself gives the zone up (RFC 7314 §3.2); zero: as its SOA says
	Reason      reason.Reason // why it failed, from a bounded set; shown as the reason of the link
	Config      *Config       // the new configuration
	Saved       *Saved        // what the earlier process kept
	Kept        []int         // for each new primary its old index, -1 for a new one; nil: the primaries are the same
	Demand      Demand        // what the operator wants
}

// Demand is what an operator wants of a round. The greater one includes the lesser.
type Demand uint8

// The demands.
const (
	NoDemand Demand = iota // only end the back-off
	Check                  // ask the primaries now, and transfer what is newer
	Again                  // transfer the whole zone, even if its serial is the same
	Force                  // even if its serial is older
)

// ActionKind says what to do.
type ActionKind uint8

// What a Machine can ask for.
const (
	QuerySOA ActionKind = iota // ask Primary for the SOA of the zone
	Transfer                   // transfer from Primary, admit, publish, save
	Withdraw                   // the zone has expired: stop answering for it
)

// Action is one thing to do. It is a plain value.
type Action struct {
	Kind    ActionKind
	Demand  Demand        // Transfer: from Again, the serials of the versions that are accepted
	Full    bool          // Transfer: there is nothing to start from, or it is demanded, so AXFR
	Blind   bool          // Transfer: the primary has failed to tell its serial, so the transfer is its own check
	Primary int           // QuerySOA and Transfer
	Reason  reason.Reason // Transfer: with Blind, why the SOA query failed
}

// String returns the action as the scripts and the log write it.
func (a Action) String() string {
	switch a.Kind {
	case QuerySOA:
		return "query_soa " + strconv.Itoa(a.Primary)
	case Transfer:
		s := "transfer " + strconv.Itoa(a.Primary)
		switch {
		case a.Demand == Force:
			s += " force"
		case a.Full:
			s += " full"
		}
		if a.Blind {
			s += " blind"
		}
		return s
	case Withdraw:
		return "withdraw"
	}
	return "action " + strconv.Itoa(int(a.Kind))
}
