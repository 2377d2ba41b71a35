package notify

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// opcode is that of NOTIFY (RFC 1996 §3.1).
const opcode = 4

// maxUnsigned is how long a message may become by the SOA, before it is signed: 512 octets is what every server takes over
// UDP (RFC 1035 §4.2.1), and the SOA is only a hint.
const maxUnsigned = 512

// The RCODEs by which a target says that it does not want to know of the zone, and before them those of one that could not read the
// message, or not act upon it (RFC 1035 §4.1.1, RFC 2136 §2.2). RFC 1996 §3.10 has every other answer end the errand.
const (
	rcodeFormErr  = 1
	rcodeServFail = 2
	rcodeNotImp   = 4
	rcodeRefused  = 5
	rcodeNotAuth  = 9
)

// refuses reports whether an RCODE is such.
func refuses(rcode int) bool {
	return rcode == rcodeNotImp || rcode == rcodeRefused || rcode == rcodeNotAuth
}

// stumbles reports whether an RCODE may be another one if the message is repeated.
func stumbles(rcode int) bool { return rcode == rcodeFormErr || rcode == rcodeServFail }

// FlightID tells a message that is under way from the others. It is a plain value.
type FlightID struct {
	To     netip.AddrPort
	Source netip.Addr // invalid for the choice of the system
	ID     uint16
	TCP    bool
}

// Message is one to be sent now. It belongs to who has it.
type Message struct {
	FlightID
	Octets []byte // without the length that goes before it over TCP
}

// pack returns a NOTIFY (RFC 1996 §3.7): one question, AA, and the SOA in the answer section.
func pack(id uint16, origin wire.Name, v Version) []byte {
	const (
		usual  = 512
		flagAA = 1 << 10
	)
	msg := make([]byte, wire.HeaderLen, usual)
	binary.BigEndian.PutUint16(msg, id)
	binary.BigEndian.PutUint16(msg[2:], opcode<<11|flagAA)
	binary.BigEndian.PutUint16(msg[4:], 1)
	msg = append(msg, origin...)
	msg = binary.BigEndian.AppendUint16(msg, wire.TypeSOA)
	msg = binary.BigEndian.AppendUint16(msg, wire.ClassIN)
	const fixed = 2 + 2 + 2 + 4 + 2 // a pointer for the owner, type, class, TTL and length
	if v.SOA == nil || len(msg)+fixed+len(v.SOA) > maxUnsigned {
		return msg
	}
	binary.BigEndian.PutUint16(msg[6:], 1)
	msg = binary.BigEndian.AppendUint16(msg, 0xC000|wire.HeaderLen) // RFC 1035 §4.1.4: the name in the question
	msg = binary.BigEndian.AppendUint16(msg, wire.TypeSOA)
	msg = binary.BigEndian.AppendUint16(msg, wire.ClassIN)
	msg = binary.BigEndian.AppendUint32(msg, v.TTL)
	msg = binary.BigEndian.AppendUint16(msg, uint16(len(v.SOA)))
	return append(msg, v.SOA...)
}

// worth is what a message that has come may count for.
type worth uint8

const (
	nothing worth = iota
	life          // its sender lives
	answer        // it answers what was asked
)

// read returns the RCODE of an answer to the NOTIFY of a zone, and what it is worth. With a key an answer must be signed over requestMAC;
// err says why that does not hold, and nothing of it counts then.
//
// One that has taken a NOTIFY repeats its question (RFC 1996 §3.7); servers that do not understand it may leave that out. Over UDP such
// an answer counts for a sign of life only: the message ID alone can be guessed (RFC 5452 §9.1).
func read(
	msg []byte, overTCP bool, origin wire.Name, k *xfr.Key, requestMAC []byte, now time.Time,
) (rcode int, w worth, err error) {
	var r wire.Reader
	h, err := r.Reset(msg)
	switch {
	case err != nil || !h.Response() || h.Opcode() != opcode || h.Questions > 1:
		return 0, nothing, nil
	case h.Questions == 0 && h.Rcode() == 0:
		return 0, nothing, nil
	case h.Questions == 0 && !overTCP:
		return 0, life, nil
	}
	if h.Questions == 1 {
		name, qtype, class, err := r.Question()
		if err != nil || qtype != wire.TypeSOA || class != wire.ClassIN || !name.Equal(origin) {
			return 0, nothing, nil
		}
	}
	if k != nil {
		if err := xfr.VerifyAnswer(msg, k, requestMAC, now); err != nil {
			return 0, answer, err
		}
	}
	return h.Rcode(), answer, nil
}
