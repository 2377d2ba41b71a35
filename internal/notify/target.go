package notify

import (
	"net/netip"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// MaxTargets is how many targets a zone may have.
const MaxTargets = 256

// Target is one of our own secondaries, and how it is told. It is a plain value.
type Target struct {
	Addr   netip.AddrPort
	Key    *xfr.Key      // signs what we send and must sign what comes back; nil for none
	Source netip.Addr    // local address to speak from; invalid leaves the choice to the system
	Delay  time.Duration // from a publication to the message, into which those that follow meanwhile are merged
}

// Equal reports whether t and o are the same target, told in the same way.
func (t Target) Equal(o Target) bool {
	return t.Addr == o.Addr && t.Source == o.Source && t.Delay == o.Delay && t.Key.Equal(o.Key)
}

// Zone is a zone and whom to tell of it. It is a plain value; its slices are not changed.
type Zone struct {
	Origin  wire.Name // lower case
	Targets []Target  // each address once, at most MaxTargets; none of them a primary of the zone
}

// Version is what is told of a version. It is a plain value.
type Version struct {
	Serial serial.Serial
	SOA    []byte // RDATA, a hint for the target (RFC 1996 §3.7); nil for none
	TTL    uint32 // of the SOA
}

// Result is what became of a message, or of an errand. It is the label of a metric.
type Result string

// The results: of an errand, then of a message.
const (
	Told       Result = "told"       // the target has acknowledged the version
	Refused    Result = "refused"    // it answers that it does not want to know
	Unanswered Result = "unanswered" // it is left alone for an hour
	Repeated   Result = "repeated"   // a message after the first of an errand
	BadAnswer  Result = "bad_answer" // an answer that has to be signed and is not, or not rightly
	Unsent     Result = "unsent"     // this host cannot send
)

// Results are all results, in the order of the documents.
func Results() []Result { return []Result{Told, Refused, Unanswered, Repeated, BadAnswer, Unsent} }

// Status is how one target of a zone stands. It is a copy; nothing in it changes.
type Status struct {
	Target   Target
	Told     serial.Serial // the latest that was acknowledged
	HasTold  bool
	ToldAt   time.Time     // zero where that was before the start
	Rcode    int           // of the latest answer that counts; -1 for none since the start
	Serial   serial.Serial // that it is being told of; as Told where there is nothing to tell
	Telling  bool          // there is something to tell
	Attempts int           // messages that told of Serial, while there is something to tell
	SentAt   time.Time     // of the latest message while there is something to tell; zero for none
	FailedAt time.Time     // since when messages have been unanswered or refused; zero for not
	NextAt   time.Time     // when the next message is due; zero for none, or for now
	Failure  reason.Reason // why the latest answer did not count; empty for none
}

// RcodeName returns Rcode as people know it.
func (s *Status) RcodeName() string { return rcodeName(s.Rcode) }

// Refuses reports whether the latest answer says that the target does not want to know.
func (s *Status) Refuses() bool { return s.Rcode >= 0 && refuses(s.Rcode) }
