package zone

import "github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/wire"

// Outcome is what a lookup came to.
type Outcome uint8

// The outcomes of a lookup (RFC 1034 §4.3.2, RFC 2308 §2, RFC 6672 §3.2).
const (
	Success  Outcome = iota // the answer section answers the question, or ends where a CNAME leaves the zone
	NoData                  // the name exists, the type does not
	NXDomain                // the name does not exist
	Referral                // the name is at or below a zone cut
	YXDomain                // a DNAME makes the name too long
)

// Set is an RRset with its owner, as one section of an answer holds it.
type Set struct {
	Owner wire.Name
	RRset
}

// Answer is the outcome of one lookup. Its sets point into contents, into its own buffer and to the name that was asked
// for: they are read-only and valid until the Answer's next lookup, as long as that name is left alone. It is owned by one goroutine and is meant to be reused.
type Answer struct {
	Outcome    Outcome
	Answer     []Set
	Authority  []Set
	Additional []Set

	names []byte // owners that had to be put together
	key   []byte // scratch: the key asked for
	near  []byte // scratch: the key of the entry before it, of a wildcard or of a target
}

// reset empties a for the next lookup.
func (a *Answer) reset() {
	a.Outcome = Success
	a.Answer, a.Authority, a.Additional = a.Answer[:0], a.Authority[:0], a.Additional[:0]
	a.names = a.names[:0]
}

// keep copies a name into the answer's buffer.
func (a *Answer) keep(n wire.Name) wire.Name {
	start := len(a.names)
	a.names = append(a.names, n...)
	return a.names[start:len(a.names):len(a.names)]
}

// owner returns the name of an entry with this key, in its received case.
func (a *Answer) owner(c *Contents, e *entry, key []byte) wire.Name {
	if e.owner != nil {
		return e.owner
	}
	start := len(a.names)
	a.names = wire.AppendKeyName(a.names, key, c.origin)
	return a.names[start:len(a.names):len(a.names)]
}
