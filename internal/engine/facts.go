package engine

import (
	"time"

	"github.com/secondaryplus/secondaryplus/internal/allow"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// FactKind is what a Fact is about.
type FactKind uint8

// The kinds, each with the fields it has beside the zone.
const (
	Added        FactKind = iota // the zone is managed from now on, as its standing says
	Restored                     // it has what an earlier process has left, perhaps too old to be served
	Removed                      // it is not managed any more
	Reconfigured                 // it is kept in another way, and its machine is about to be told. Kept
	Stepped                      // its machine was told something and has done what follows. Cause, Said, Skipped
	Notified                     // a NOTIFY came, and its machine is about to be told. Notification, Verdict
	TurnedAway                   // a NOTIFY was turned away. Refusal
	Ordered                      // the operator wants something, which is about to be done. Order
	Began                        // a transfer begins. Primary
	Attempted                    // a SOA query or a transfer has ended, and its machine has been told. Attempt
	Remarked                     // a rule has something to say of a version that was transferred. Attempt, Remark
	Published                    // another version is served, and its difference is in the history. Version
	Readmitted                   // the version served was admitted again, by other rules
	Expired                      // the contents were withdrawn
	Retold                       // those who know the version served are to be told of it as well
	Acknowledged                 // our own secondaries know other versions than before
)

// Fact is one thing that happened to a zone. It is told once, to all observers. What does not belong to its kind is empty. It is
// not to be changed.
type Fact struct {
	ID   uint64 // ascending over all facts of all zones, and greater than that of any fact of an earlier process
	At   time.Time
	Kind FactKind
	Zone *Zone // whose standing is that after the fact

	Kept         []int              // of Reconfigured: the old place of each primary, -1 for a new one
	Cause        refresh.Event      // of Stepped; the zero value where the machine had decided before
	Said         bool               // of Stepped: an Attempted follows, which says why the link is Blocked
	Skipped      int                // of Stepped: its cause is a job that was given up because the primary is down, the how-manieth in a row; 0 for not
	Notification *Notification      // of Notified
	Verdict      allow.Verdict      // of Notified
	Refusal      *Refusal           // of TurnedAway
	Order        string             // of Ordered, as history and log name it
	Primary      *xfr.Primary       // of Began
	Attempt      *Attempt           // of Attempted and Remarked
	Remark       *version.Violation // of Remarked
	Version      *version.Version   // of Published: the standing may have another by the time it is told
}

// Observer is told facts in the order in which they happen, with the engine's lock held: it waits for nothing, and calls only
// what needs no lock of the engine.
type Observer interface{ Observe(f *Fact) }

// ObserverFunc is a function that observes.
type ObserverFunc func(f *Fact)

// Observe implements Observer.
func (o ObserverFunc) Observe(f *Fact) { o(f) }

// Op is what an attempt was, in the log and as the type label of transfers.
type Op string

// The attempts.
const (
	OpSOA     Op = "soa"
	OpAXFR    Op = "axfr"
	OpIXFR    Op = "ixfr"
	OpCurrent Op = "current" // a transfer that brought nothing new
)

// Attempt is one SOA query or transfer and what came of it. It is not changed once it is told.
type Attempt struct {
	Primary  xfr.Primary
	Place    int // of the primary in the zone's configuration
	Op       Op
	Took     time.Duration
	Before   *zone.Contents      // what was served; nil for nothing
	After    wire.SOA            // the primary's, if it told it
	Err      error               // why it failed; nil if it did not
	MayGoOn  bool                // a SOA query that failed and leaves a transfer possible, which is asked for next
	Result   xfr.Result          // of a transfer
	Unasked  bool                // a transfer that the primary has given without OPT record only
	FellBack error               // why IXFR gave way to AXFR
	Version  *version.Version    // published; nil for none
	Remarks  []version.Violation // on it, found before it was served
}

// emit tells the observers a fact. e.mu is held.
func (e *Engine) emit(f Fact) {
	e.factID++
	f.ID, f.At = e.factID, time.Now()
	for _, o := range e.observers {
		o.Observe(&f)
	}
}

// attempted tells how an attempt ended, and what rules say of what it brought. e.mu is held.
func (e *Engine) attempted(z *Zone, a *Attempt) {
	e.emit(Fact{Kind: Attempted, Zone: z, Attempt: a})
	e.remarked(z, a, a.Remarks)
}

// remarked tells what rules say of a version. e.mu is held.
func (e *Engine) remarked(z *Zone, a *Attempt, remarks []version.Violation) {
	for i := range remarks {
		e.emit(Fact{Kind: Remarked, Zone: z, Attempt: a, Remark: &remarks[i]})
	}
}

// FirstID returns what the IDs of all facts of this process are greater than.
func (e *Engine) FirstID() uint64 { return e.firstID }
