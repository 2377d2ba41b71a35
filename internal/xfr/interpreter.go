package xfr

import (
	"errors"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

const (
	// maxEmptyMessages is how many messages of an answer may hold no answer record. RFC 9103 allows them as padding;
	// a primary that sends nothing else keeps us busy for no gain.
	maxEmptyMessages = 100

	// maxDifferences is how many difference sequences one IXFR answer may hold. One update a second for 18 hours makes as
	// many, and after so many the whole zone is the better answer.
	maxDifferences = 1 << 16
)

// Kind is what the answer to a transfer turned out to be.
type Kind uint8

// The kinds. Undecided is the zero value: the answer did not come far enough.
const (
	Undecided Kind = iota
	AXFR           // the whole zone, whatever was asked for
	IXFR           // differences
	Current        // no newer version than ours
)

// String returns the name of k.
func (k Kind) String() string {
	return [...]string{"undecided", "AXFR", "IXFR", "current"}[k]
}

// Receiver takes what the primary says, in the order it says it. Records are borrowed: they are valid until the method
// returns. An error ends the transfer and is returned from it as it is.
//
// What a Receiver is given is complete only once the transfer has returned without an error. Records that lie outside
// the zone, are not of class IN or come twice are passed on like all others: judging them is the Receiver's part.
type Receiver interface {
	// Begin is called once, before the others, as soon as the kind is known. soa is the primary's SOA. After
	// Begin(Current, soa) there are no more calls.
	Begin(kind Kind, soa *wire.RR) error

	// Add takes a record of the zone (AXFR: the SOA first, the closing SOA not again), or one that the current sequence
	// of differences adds (IXFR: first its new SOA).
	Add(rr *wire.RR) error

	// Remove takes a record that the next sequence of differences removes (IXFR: first its old SOA).
	Remove(rr *wire.RR) error

	// Discard takes a record whose RDATA is malformed as err says; owner, type, class and TTL of rr are set.
	Discard(rr *wire.RR, err error) error
}

// position is where in an answer the Interpreter stands.
type position uint8

const (
	atStart       position = iota // nothing has come
	behindSOA                     // IXFR was asked for, the first SOA has come; the next record tells the kind
	inZone                        // in the records of the whole zone
	inDeletions                   // in the records that a difference sequence removes
	inAdditions                   // in the records that it adds
	behindLastSOA                 // the answer is whole
)

// Interpreter reads the answer to one transfer query, message by message (RFC 5936 §2.2, RFC 1995 §4). It has no socket
// and no clock, knows no TSIG and allocates nothing for a record. It is not safe for concurrent use.
type Interpreter struct {
	query Query
	recv  Receiver

	position position
	kind     Kind
	first    wire.RR       // the first SOA, owner and RDATA copied
	soa      wire.SOA      // its numbers
	at       serial.Serial // differences: the serial of the latest SOA

	messages, records  int
	empty, differences int
	failed             error // of the message that ended the answer
	authoritative      bool  // the latest message has AA
	expire             wire.Expire

	reader wire.Reader
	rr     wire.RR
}

// NewInterpreter returns the Interpreter of the answer to q, which gives the records to recv.
func NewInterpreter(q Query, recv Receiver) *Interpreter {
	return &Interpreter{query: q, recv: recv}
}

// Messages returns how many messages have been read.
func (x *Interpreter) Messages() int { return x.messages }

// Records returns how many records of answer sections have been read, every SOA included.
func (x *Interpreter) Records() int { return x.records }

// Kind returns what the answer is, as far as is known.
func (x *Interpreter) Kind() Kind { return x.kind }

// SOA returns the numbers of the primary's SOA; they are zero until it has come.
func (x *Interpreter) SOA() wire.SOA { return x.soa }

// Expire returns what the EXPIRE option of the first message says beside the SOA.
func (x *Interpreter) Expire() wire.Expire { return x.expire }

// Message reads the next message and reports whether the answer is whole. Once it has reported that, or an error, another
// message is an error.
func (x *Interpreter) Message(msg []byte) (done bool, err error) {
	switch {
	case x.failed != nil:
	case x.position == behindLastSOA:
		x.failed = behindEnd()
	default:
		done, x.failed = x.read(msg)
	}
	return done, x.failed
}

func (x *Interpreter) read(msg []byte) (done bool, err error) {
	h, err := x.reader.Reset(msg)
	if err != nil {
		return false, malformed(err)
	}
	x.messages++
	x.authoritative = h.Authoritative()
	check := checkHeader
	if x.messages > 1 {
		check = checkLaterHeader
	}
	if err := check(h, x.query.ID); err != nil {
		return false, err
	}
	if h.Rcode() != 0 || h.Answers == 0 { // else it is found with the OPT record, which is behind the records
		if rcode := fullRcode(msg); rcode != 0 {
			return false, rcodeError(rcode, "") // RFC 5936 §2.2.1: in a later message, too
		}
	}
	// RFC 5936 §2.2.1: TC has no meaning; the client ignores AA, RA, AD and CD.
	if err := checkQuestion(&x.reader, h, x.query.Origin, x.query.qtype()); err != nil {
		return false, err
	}
	if h.Answers == 0 {
		if err := x.emptyMessage(); err != nil {
			return false, err
		}
	}
	for range h.Answers {
		if err := x.record(); err != nil {
			return false, err
		}
	}
	if err := x.readRest(msg, h); err != nil {
		return false, err
	}
	if x.position == behindSOA {
		return x.loneSOA()
	}
	return x.position == behindLastSOA, nil
}

// readRest reads what is behind the answer section. RFC 7314 §4: the EXPIRE option comes with the response; all messages of one say
// the same, and the first is the one that a signature is sure to cover.
func (x *Interpreter) readRest(msg []byte, h wire.Header) error {
	o, err := readRest(&x.reader, msg, h)
	switch {
	case err != nil:
		return err
	case o.rcode != 0:
		return rcodeError(o.rcode, "")
	case x.messages == 1:
		x.expire, err = ahead(o.expire, x.soa)
	}
	return err
}

// Finish returns an error unless the answer is whole; it is for the end of the connection.
func (x *Interpreter) Finish() error {
	switch {
	case x.failed != nil:
		return x.failed
	case x.position == behindLastSOA:
		return nil
	case x.messages == 0:
		return failure(reason.CutOff, "the primary closed the connection without an answer")
	}
	// RFC 5936 §2.2: an answer without its last SOA is a failed transfer, however much of it has come.
	return failure(reason.CutOff, "the primary closed the connection after %d messages with %d records, before the closing SOA",
		x.messages, x.records)
}

func (x *Interpreter) emptyMessage() error {
	if x.position == atStart {
		return failure(reason.NoSOA, "the first message of the answer is empty; expected is the SOA of %s", x.query.Origin)
	}
	if x.empty++; x.empty > maxEmptyMessages {
		return failure(reason.BadResponse, "more than %d messages of the answer are empty", maxEmptyMessages)
	}
	return nil
}

// record reads the next record of the answer section.
func (x *Interpreter) record() error {
	rr := &x.rr
	var bad error
	if err := x.reader.Next(rr); err != nil {
		if bad = onlyRDATA(err); bad == nil {
			return malformed(err)
		}
	}
	x.records++
	if rr.Type == wire.TypeSOA && rr.Class == wire.ClassIN {
		return x.soaRecord(rr, bad)
	}
	switch x.position {
	case atStart:
		// RFC 5936 §2.2: the first record is the SOA.
		return failure(reason.NoSOA, "the answer begins with %s %s; expected is the SOA of %s", rr.Owner, wire.TypeName(rr.Type), x.query.Origin)
	case behindSOA:
		// RFC 1995 §4: the second record is not a SOA, so this is the whole zone.
		if err := x.beginZone(); err != nil {
			return err
		}
	case behindLastSOA:
		return behindEnd()
	case inZone, inDeletions, inAdditions:
	}
	switch {
	case bad != nil:
		return x.recv.Discard(rr, bad)
	case x.position == inDeletions:
		return x.recv.Remove(rr)
	default:
		return x.recv.Add(rr)
	}
}

// soaRecord takes a SOA of class IN: the joints of every answer.
func (x *Interpreter) soaRecord(rr *wire.RR, bad error) error {
	if !rr.Owner.Equal(x.query.Origin) {
		return failure(reason.SOAOwner, "the answer holds a SOA of %s; the zone is %s", rr.Owner, x.query.Origin)
	}
	if bad != nil {
		return malformed(bad)
	}
	soa, err := wire.ParseSOA(rr.Data)
	if err != nil {
		return malformed(err)
	}
	switch x.position {
	case atStart:
		return x.open(rr, soa)
	case behindSOA:
		return x.beginDifferences(rr, soa)
	case inZone:
		return x.end(rr)
	case inDeletions:
		return x.beginAdditions(rr, soa)
	case inAdditions:
		if x.at == x.soa.Serial {
			return x.end(rr)
		}
		return x.beginDeletions(rr, soa)
	default:
		return behindEnd()
	}
}

// open takes the first SOA of the answer.
func (x *Interpreter) open(rr *wire.RR, soa wire.SOA) error {
	x.soa = soa
	x.first = *rr
	x.first.Owner = rr.Owner.Clone()
	x.first.Data = append([]byte(nil), rr.Data...)
	if x.query.Have != nil {
		x.position = behindSOA
		return nil
	}
	return x.beginZone()
}

func (x *Interpreter) beginZone() error {
	x.position, x.kind = inZone, AXFR
	if err := x.recv.Begin(AXFR, &x.first); err != nil {
		return err
	}
	return x.recv.Add(&x.first)
}

// loneSOA decides at the end of a message when nothing but the first SOA has come.
func (x *Interpreter) loneSOA() (done bool, err error) {
	if x.soa.Serial.Newer(x.query.Have.Serial) {
		// RFC 1995 §2 knows a single newer SOA only over UDP. Over TCP it is the start of an answer: PowerDNS sends the
		// SOA in a message of its own.
		return false, nil
	}
	// RFC 1995 §2: a single SOA that is not newer says that we are current.
	x.position, x.kind = behindLastSOA, Current
	if x.query.Strict && !x.authoritative {
		return false, failure(reason.NotAuthoritative, "the primary says that there is nothing newer, and lacks AA: it does not hold zone %s, or has let it expire", x.query.Origin)
	}
	return true, x.recv.Begin(Current, &x.first)
}

// end takes the SOA that closes the answer.
func (x *Interpreter) end(rr *wire.RR) error {
	// RFC 5936 §2.2: the last SOA is the first one again; a SOA of the zone anywhere else is an error.
	if wire.CompareRDATA(wire.TypeSOA, x.first.Data, rr.Data) != 0 {
		return x.mismatch(rr)
	}
	x.position = behindLastSOA
	return nil
}

func (x *Interpreter) mismatch(rr *wire.RR) error {
	soa, err := wire.ParseSOA(rr.Data)
	if err != nil {
		return malformed(err)
	}
	return failure(reason.SOAMismatch, "the last SOA (serial %s) is not the first one (serial %s): the zone changed during the transfer", soa.Serial, x.soa.Serial)
}

func behindEnd() error {
	return failure(reason.BadResponse, "the answer goes on behind its closing SOA")
}

// onlyRDATA returns err if it leaves the message readable behind one record, or nil.
func onlyRDATA(err error) error {
	if bad, ok := errors.AsType[*wire.RDATAError](err); ok {
		return bad
	}
	return nil
}

// checkHeader returns an error unless h is the header of an answer to the query with this ID.
func checkHeader(h wire.Header, id uint16) error {
	if err := checkLaterHeader(h, id); err != nil {
		return err
	}
	if !h.Response() {
		return failure(reason.BadResponse, "the answer is a query: QR is not set")
	}
	return nil
}

// checkLaterHeader is checkHeader for the messages of a transfer behind the first one. QR says nothing there: the connection is
// ours, and its first message was an answer. BIND 9.18 and NSD do not look at it.
func checkLaterHeader(h wire.Header, id uint16) error {
	switch {
	case h.ID != id: // RFC 5936 §2.2.1, RFC 7766 §7
		return failure(reason.BadResponse, "the answer has message ID %d; expected is %d", h.ID, id)
	case h.Opcode() != 0:
		return failure(reason.BadResponse, "the answer has opcode %d; expected is 0", h.Opcode())
	}
	return nil
}

// checkQuestion reads the question section, which may be empty (RFC 5936 §2.2.1), and returns an error if it asks for
// anything else.
func checkQuestion(r *wire.Reader, h wire.Header, origin wire.Name, qtype uint16) error {
	if h.Questions == 0 {
		return nil
	}
	if h.Questions > 1 {
		return failure(reason.BadResponse, "the answer repeats %d questions; expected is one", h.Questions)
	}
	name, gotType, class, err := r.Question()
	if err != nil {
		return malformed(err)
	}
	if !name.Equal(origin) || gotType != qtype || class != wire.ClassIN {
		return failure(reason.BadResponse, "the answer is to the question %s %s class %d; asked was %s %s class IN",
			name, wire.TypeName(gotType), class, origin, wire.TypeName(qtype))
	}
	return nil
}
