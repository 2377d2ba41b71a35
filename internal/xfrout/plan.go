package xfrout

import (
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// Request is what a secondary asks for. It is a plain value.
type Request struct {
	Type, Class uint16
	Questions   int
	Have        serial.Serial // that an IXFR begins from
	HasSOA      bool          // its authority section has one SOA, and that is of the name asked about
	Single      bool          // the answer may have one message: over UDP
}

// Zone is what the plan has to know of a zone. It is a plain value.
type Zone struct {
	Ours    bool // the name is the apex of a zone of ours
	Allowed bool // the secondary may transfer it
	Served  bool // it has contents
	Serial  serial.Serial
}

// Step is what is to be done about a request.
type Step uint8

// The steps.
const (
	FormErr  Step = iota // answer FORMERR
	NotAuth              // answer NOTAUTH: no zone of ours
	Refuse               // answer REFUSED: not for this secondary
	NoStream             // answer REFUSED: not over UDP
	NotReady             // answer SERVFAIL: there is nothing to transfer
	TellSOA              // answer with the SOA alone
	Transfer             // answer with differences, or with the whole zone
)

// Plan returns what is to be done about a request.
func Plan(r Request, z Zone) Step {
	switch {
	case r.Questions != 1, r.Class != wire.ClassIN: // RFC 5936 §2.1.2, RFC 1995 §3
		return FormErr
	case r.Type == wire.TypeIXFR && !r.HasSOA: // RFC 1995 §3; FORMERR is what BIND and Knot say
		return FormErr
	case !z.Ours: // RFC 5936 §2.2.1
		return NotAuth
	case !z.Allowed: // RFC 5936 §5
		return Refuse
	case r.Type == wire.TypeAXFR && r.Single: // RFC 5936 §4.2: not defined
		return NoStream
	case !z.Served: // RFC 5936 §2.2.1: a zone that has expired
		return NotReady
	case r.Type == wire.TypeIXFR && (r.Single || Current(r.Have, z.Serial)):
		// RFC 1995 §2: whoever has the version, or a newer one, and whoever cannot take the answer over UDP, gets the SOA.
		return TellSOA
	}
	return Transfer
}

// Current reports whether a secondary that has one serial needs nothing of a zone with another. A serial that cannot be compared
// (RFC 1982 §3.2) says nothing.
func Current(have, serves serial.Serial) bool {
	o := have.Compare(serves)
	return o == serial.Equal || o == serial.Greater
}

// Chain returns those of the differences since the version of a secondary that lead to c: a newer version may have been
// published meanwhile. It returns none where they do not, and where together they have more than so many percent of the octets
// of the zone (RFC 1995 §4: then the whole zone is sent); a percent of 0 is for none at all.
func Chain(c *zone.Contents, since []*zone.Difference, percent int) []*zone.Difference {
	octets := int64(0)
	for i, d := range since {
		if octets += d.Size(); octets > c.Size()*int64(percent)/100 {
			return nil
		}
		if d.To() == c.Serial() {
			return since[:i+1]
		}
	}
	return nil
}
