// Package control is the API by which secondaryplus is watched and steered: the JSON values that go over HTTP, and a
// client. openapi.json beside the server describes the routes. All values are plain; times are RFC 3339 in UTC and
// absent where there is none.
package control

import "time"

// State is how a zone or a link to a primary stands.
type State string

// The states. A link is Normal, Blocked or Unknown.
const (
	Normal   State = "Normal"   // of a zone: it is served, and no link is Blocked
	Degraded State = "Degraded" // the zone is served and followed, but some of its links are Blocked
	Blocked  State = "Blocked"  // of a zone: all of its links are, or a rule keeps the newest version out
	Unknown  State = "Unknown"  // no primary has answered yet, nor failed to; or nothing is served yet while one answers
)

// Counts says how many zones are in which state.
type Counts struct {
	Total     int `json:"total"`
	Normal    int `json:"normal"`
	Degraded  int `json:"degraded"`
	Blocked   int `json:"blocked"`
	Unknown   int `json:"unknown"`
	NotServed int `json:"notServed"` // never transferred, or expired: answered with SERVFAIL
	Behind    int `json:"behind"`    // a primary has a newer version than is served
}

// Overview is the answer to GET /v1/status.
type Overview struct {
	Host      string    `json:"host"`
	Version   string    `json:"version"` // of the program
	StartedAt time.Time `json:"startedAt"`
	Zones     Counts    `json:"zones"`
	Transfers Transfers `json:"transfers"`
	Store     Store     `json:"store"`
}

// Store says whether what is served outlives the process.
type Store struct {
	State   StoreState `json:"state"`
	Path    string     `json:"path,omitempty"`   // of the file; absent without one
	Error   string     `json:"error,omitempty"`  // why it fails
	SinceAt time.Time  `json:"sinceAt,omitzero"` // since when it fails
	Unsaved int        `json:"unsaved"`          // zones whose contents served are not in it
}

// StoreState is how the store stands.
type StoreState string

// The states of the store.
const (
	StoreOK      StoreState = "ok"
	StoreFailing StoreState = "failing" // zones are served from memory, and saved when it works again
	StoreOff     StoreState = "off"     // there is none: after a restart every zone is transferred again
)

// Transfers says how busy the engine is.
type Transfers struct {
	Running int `json:"running"`
	Waiting int `json:"waiting"`
	Limit   int `json:"limit"` // that may run at a time
}

// Summary is a zone in one line.
type Summary struct {
	Name     string   `json:"name"`              // presentation form, lower case, with a final dot
	Variant  string   `json:"variant,omitempty"` // tells zones of one name apart that come from different sources
	Blocks   []string `json:"blocks"`            // the server blocks that serve it
	State    State    `json:"state"`
	Reason   string   `json:"reason,omitempty"` // why it is Blocked or Degraded, of its first link that is Blocked
	Served   bool     `json:"served"`           // answered from contents
	Expired  bool     `json:"expired,omitempty"`
	Serial   *int64   `json:"serial,omitempty"` // served
	Records  int      `json:"records"`          // served
	Discards int      `json:"discards"`         // records of the zone that are not served because others exclude them

	SinceAt   time.Time `json:"sinceAt,omitzero"`   // when State began
	BehindAt  time.Time `json:"behindAt,omitzero"`  // since when a primary has had a newer version
	CheckedAt time.Time `json:"checkedAt,omitzero"` // when a primary last confirmed the contents
	ExpireAt  time.Time `json:"expireAt,omitzero"`
	NextAt    time.Time `json:"nextAt,omitzero"` // the next attempt; absent while one is running

	Transfer *Progress `json:"transfer,omitempty"` // the running transfer
}

// Progress is a transfer that is running.
type Progress struct {
	Primary string    `json:"primary"`
	Records int64     `json:"records"` // received
	Bytes   int64     `json:"bytes"`   // received
	BeganAt time.Time `json:"beganAt"`
}

// ZonePage is the answer to GET /v1/zones: the zones that need attention first, then by name.
type ZonePage struct {
	Zones    []Summary `json:"zones"`
	Offset   int       `json:"offset"`
	Matching int       `json:"matching"` // zones the filter leaves, on all pages
	Counts   Counts    `json:"counts"`   // of all zones, whatever the filter
}

// Zone is the answer to GET /v1/zones/{name}.
type Zone struct {
	Summary
	ServedSOA       *SOA        `json:"servedSOA,omitempty"`
	SavedSOA        *SOA        `json:"savedSOA,omitempty"`    // of what a restart brings back
	NotifiedSOA     *SOA        `json:"notifiedSOA,omitempty"` // of the latest NOTIFY that carried one; only its serial is told
	Bytes           int64       `json:"bytes"`                 // of the records, uncompressed on the wire
	Signed          bool        `json:"signed"`
	Timers          Timers      `json:"timers"`
	DifferAt        time.Time   `json:"differAt,omitzero"` // since when the primaries have had different serials
	RefusedNotifies int64       `json:"refusedNotifies"`   // since the start; the events say why
	Failures        int         `json:"failures"`          // rounds in a row that failed
	Links           []Link      `json:"links"`
	Secondaries     []Secondary `json:"secondaries"` // of our own, the worst first; the first MaxSecondaries of them
	Discarded       []Discard   `json:"discarded"`   // the first MaxDiscards of them
	Events          []Event     `json:"events"`      // newest first, at most MaxEvents, and fewer where there are very many zones
}

// The most that a Zone holds.
const (
	MaxSecondaries = 1000
	MaxDiscards    = 1000
	MaxEvents      = 50
)

// SOA is what a SOA record says. Of a NOTIFY only Serial and At are known.
type SOA struct {
	Serial  int64     `json:"serial"`
	Primary string    `json:"primary,omitempty"` // MNAME
	Mailbox string    `json:"mailbox,omitempty"` // RNAME
	Refresh int64     `json:"refresh,omitempty"` // seconds
	Retry   int64     `json:"retry,omitempty"`   // seconds
	Expire  int64     `json:"expire,omitempty"`  // seconds
	Minimum int64     `json:"minimum,omitempty"` // seconds
	At      time.Time `json:"at,omitzero"`       // when the NOTIFY came
}

// Timers are the spans in force, in seconds: those of the SOA within the limits of the configuration.
type Timers struct {
	Refresh int64 `json:"refresh"`
	Retry   int64 `json:"retry"`
	Expire  int64 `json:"expire"`
}

// Link is how a zone stands with one of its primaries.
type Link struct {
	Primary  string `json:"primary"`       // address and port
	Key      string `json:"key,omitempty"` // name of the TSIG key
	State    State  `json:"state"`
	Damped   bool   `json:"damped,omitempty"` // it fell so often of late that it stays Blocked until it holds
	Reason   string `json:"reason,omitempty"` // why it is Blocked, one of a closed list
	Advice   string `json:"advice,omitempty"` // what to do about Reason
	Serial   *int64 `json:"serial,omitempty"` // that the primary told last
	Failures int    `json:"failures"`         // in a row

	SinceAt  time.Time `json:"sinceAt,omitzero"`
	LastOKAt time.Time `json:"lastOkAt,omitzero"`
	FailedAt time.Time `json:"failedAt,omitzero"`
	RetryAt  time.Time `json:"retryAt,omitzero"` // until when it is in back-off
	Ways     []Way     `json:"ways,omitempty"`   // how it wants to be asked, where that is out of the ordinary
}

// Way is how a primary wants to be asked: one of a closed list, as it has shown of late.
type Way struct {
	Name   string    `json:"name"`   // no_opt, one_query, no_ixfr, transfers_only
	Text   string    `json:"text"`   // the same in words
	TillAt time.Time `json:"tillAt"` // until when it is remembered; then the primary is asked as any other
}

// SecondaryState is how a secondary of our own stands.
type SecondaryState string

// The states of a secondary.
const (
	SecondaryCurrent SecondaryState = "current" // it is known to have the version served, or a newer one
	SecondaryBehind  SecondaryState = "behind"  // it is known to have another one
	SecondaryFailing SecondaryState = "failing" // it is not known to have the version served, and NOTIFYs are unanswered or refused
	SecondaryUnknown SecondaryState = "unknown" // it was not seen to ask for a version or to take one, or none is served
)

// Secondary is one of our own secondaries of a zone: it is told of versions, or has been seen to ask for them.
type Secondary struct {
	Address  string         `json:"address"`       // with the port where NOTIFYs go to
	Key      string         `json:"key,omitempty"` // name of the TSIG key
	State    SecondaryState `json:"state"`
	Has      *int64         `json:"has,omitempty"`     // serial that it is known to have: that it asked from, or that was sent to it since
	BehindAt time.Time      `json:"behindAt,omitzero"` // since when a version is served that it is not known to have
	Asked    *Asked         `json:"asked,omitempty"`
	Sent     *Sent          `json:"sent,omitempty"`
	Notified *NotifyOut     `json:"notified,omitempty"` // absent where it gets no NOTIFYs
}

// Asked is the latest request for IXFR.
type Asked struct {
	Serial int64     `json:"serial"` // that it asked from
	At     time.Time `json:"at"`
}

// Sent is the latest transfer to a secondary that was sent whole.
type Sent struct {
	Serial int64     `json:"serial"`
	At     time.Time `json:"at"`
	Kind   EventKind `json:"kind"` // axfr or ixfr
	Bytes  int64     `json:"bytes"`
}

// NotifyResult is what a secondary says to NOTIFYs.
type NotifyResult string

// The results.
const (
	NotifyAcknowledged NotifyResult = "acknowledged" // it knows of the version
	NotifyWaiting      NotifyResult = "waiting"      // for the answer, or to be sent
	NotifyUnanswered   NotifyResult = "unanswered"
	NotifyRefused      NotifyResult = "refused"
	NotifyBadAnswer    NotifyResult = "bad_answer" // its answer does not count: the signature
	NotifyNone         NotifyResult = "none"       // there has been nothing to tell
)

// NotifyOut is the latest NOTIFY to a secondary.
type NotifyOut struct {
	Serial         *int64       `json:"serial,omitempty"` // that it told
	Result         NotifyResult `json:"result"`
	Answer         string       `json:"answer,omitempty"`        // RCODE of the latest answer that counts, or why the latest does not
	At             time.Time    `json:"at,omitzero"`             // of the acknowledgement, or of the latest message, since the start
	Attempts       int          `json:"attempts"`                // messages, while it has not acknowledged the version
	FailingSinceAt time.Time    `json:"failingSinceAt,omitzero"` // since when it has not answered, or has refused
}

// SecondaryLine is one address in one line, as the secondary of all zones it has to do with.
type SecondaryLine struct {
	Address  string    `json:"address"`
	Zones    int       `json:"zones"`   // one that it is told of at several ports counts more than once
	Current  int       `json:"current"` // zones in this state, as in all that follow
	Behind   int       `json:"behind"`
	Failing  int       `json:"failing"`
	Unknown  int       `json:"unknown"`
	BehindAt time.Time `json:"behindAt,omitzero"` // since when it has lacked the version served of some zone
	SentAt   time.Time `json:"sentAt,omitzero"`   // the latest transfer to it
	AnswerAt time.Time `json:"answerAt,omitzero"` // when it last acknowledged a NOTIFY
}

// SecondaryPage is the answer to GET /v1/secondaries: one line for each address, the worst first.
type SecondaryPage struct {
	Secondaries []SecondaryLine `json:"secondaries"`
	Offset      int             `json:"offset"`
	Matching    int             `json:"matching"` // on all pages
	Omitted     int             `json:"omitted"`  // pairs of a zone and an address that there is no line for: there are too many addresses
}

// Discard is an RRset, or some of its records, that is not served because another excludes it.
type Discard struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Records int    `json:"records"`
	Rule    string `json:"rule"`
}

// EventKind is what an event is about.
type EventKind string

// The kinds of events.
const (
	SOAChecked     EventKind = "soa"      // a primary was asked for its SOA
	AXFRed         EventKind = "axfr"     // a whole transfer
	IXFRed         EventKind = "ixfr"     // an incremental transfer
	Confirmed      EventKind = "current"  // a transfer that brought nothing newer
	Notified       EventKind = "notify"   // a NOTIFY came
	Expired        EventKind = "expired"  // the contents were withdrawn
	Restored       EventKind = "restored" // the contents of an earlier process are served
	Commanded      EventKind = "command"  // somebody asked for it by this API
	Remarked       EventKind = "remark"   // a rule has something to say of the version
	Began          EventKind = "began"    // a transfer begins; only in the stream of events
	Lost           EventKind = "lost"     // only in a stream: events are missing about here
	ResultOK                 = "ok"
	ResultExpired            = "expired"  // of contents that were withdrawn, or restored too late to be served
	ResultTaken              = "accepted" // of a NOTIFY or a command
	ResultUnsigned           = "unsigned" // of a NOTIFY that is taken as a hint: it should be signed, and is not
)

// Event is one thing that happened to a zone. Like ones in a row are one event with a Count.
type Event struct {
	ID      uint64    `json:"id"` // ascending over all zones
	At      time.Time `json:"at"` // the latest of them
	FirstAt time.Time `json:"firstAt,omitzero"`
	Count   int       `json:"count"`
	Zone    string    `json:"zone"`
	Variant string    `json:"variant,omitempty"`
	Kind    EventKind `json:"kind"`
	Result  string    `json:"result"`            // ok, accepted, expired, or the reason of the failure
	Primary string    `json:"primary,omitempty"` // or the sender of a NOTIFY
	From    *int64    `json:"from,omitempty"`    // serial before
	To      *int64    `json:"to,omitempty"`      // serial that the primary or the NOTIFY told
	Records int       `json:"records,omitempty"`
	Bytes   int64     `json:"bytes,omitempty"`
	Seconds float64   `json:"seconds,omitempty"` // it took
	Text    string    `json:"text,omitempty"`    // the cause of a failure, in words
	Advice  string    `json:"advice,omitempty"`  // what to do about it
}

// EventPage is the answer to GET /v1/zones/{name}/events.
type EventPage struct {
	Events []Event `json:"events"` // newest first
}

// Appointment is one entry of the printed schedule.
type Appointment struct {
	At      time.Time `json:"at"`
	Name    string    `json:"name"`
	Variant string    `json:"variant,omitempty"`
	Why     string    `json:"why"` // refresh, retry, notify, expire, running or start
}

// SchedulePage is the answer to GET /v1/schedule: what is due next, in order.
type SchedulePage struct {
	Appointments []Appointment `json:"appointments"`
	Matching     int           `json:"matching"` // zones in the schedule
	Offset       int           `json:"offset"`
}

// Command is the body of POST /v1/zones/{name}/retransfer. The other commands have none.
type Command struct {
	Force bool `json:"force"` // also accept a version whose serial is lower, or that lost its apex NS
}

// Done is the answer to a command: it has been taken; the events tell what comes of it.
type Done struct {
	EventID uint64 `json:"eventId"` // of the command; what follows from it has greater ones
}

// Problem is the answer to a bad request (RFC 9457), as application/problem+json.
type Problem struct {
	Type   string `json:"type"`   // about:blank
	Title  string `json:"title"`  // of the status
	Status int    `json:"status"` // of HTTP
	Detail string `json:"detail"` // what was wrong, and what would be right
}

// Error returns the problem in one line.
func (p *Problem) Error() string { return p.Title + ": " + p.Detail }
