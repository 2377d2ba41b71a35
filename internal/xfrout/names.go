package xfrout

import (
	"bytes"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// maxPointer is how far into a message a pointer reaches (RFC 1035 §4.1.4: 14 bits).
const maxPointer = 1<<14 - 1

// names compress the owners of one message against the owner before: records are in canonical order, so that is the one with
// which an owner has most in common. The question is the first. Ends of names are compared octet by octet: each goes out as it
// was received. A names is owned by one goroutine.
type names struct {
	last [wire.MaxName]byte
	n    int                      // octets of last
	at   [wire.MaxName + 1]uint16 // where in the message the end of last with so many octets stands; 0 for nowhere
}

// find returns how many octets of an owner have to be written, and where the rest of it stands; 0 if it is to be written whole.
func (s *names) find(owner wire.Name) (cut int, rest uint16) {
	for off := 0; owner[off] != 0; off += int(owner[off]) + 1 {
		n := len(owner) - off
		if n <= s.n && s.at[n] != 0 && bytes.Equal(owner[off:], s.last[s.n-n:s.n]) {
			return off, s.at[n]
		}
	}
	return len(owner), 0
}

// wrote notes that an owner is written of which find has returned cut, at this offset.
func (s *names) wrote(owner wire.Name, cut, offset int) {
	if cut == 0 && len(owner) == s.n {
		return // the same again
	}
	shared := len(owner) - cut
	for n := s.n; n > shared && n > 1; n -= int(s.last[s.n-n]) + 1 {
		s.at[n] = 0
	}
	for off := 0; off < cut && owner[off] != 0; off += int(owner[off]) + 1 {
		if offset+off <= maxPointer {
			s.at[len(owner)-off] = uint16(offset + off)
		}
	}
	s.n = copy(s.last[:], owner)
}

// reset forgets all names but that of the question.
func (s *names) reset(question wire.Name) {
	s.wrote(nil, 0, 0)
	s.wrote(question, len(question), wire.HeaderLen)
}
