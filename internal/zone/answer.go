package zone

import "github.com/secondaryplus/secondaryplus/internal/wire"

// Query is a question about a name. It is a plain value.
type Query struct {
	Name   wire.Name // in any case
	Type   uint16
	DNSSEC bool // signatures and proofs are wanted (RFC 4035 §3.1: DO)
	All    bool // ANY asks for every RRset; otherwise one is enough (RFC 8482 §4.1)
}

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

// MinLen returns the octets that the set takes at least in a message, however well its names compress.
func (s *Set) MinLen() int {
	const pointer, perRecord = 2, ttlLen + 3 // what stands in the block beside the RDATA, at most
	n := s.Count * (pointer + rrHeader)
	if s.Type <= wire.TypeOPT && s.Type != wire.TypeTXT {
		return n // names of the old types may compress (RFC 3597 §4)
	}
	return n + max(0, len(s.block)-s.Count*perRecord)
}

// MaxLen returns the octets that the set takes at most in a message: uncompressed.
func (s *Set) MaxLen() int { return s.Count*(len(s.Owner)+rrHeader) + len(s.block) }

// Answer is the outcome of one lookup. Its sets point into contents, into its own buffer and to the name that was asked
// for: they are read-only and valid until the Answer's next lookup, as long as that name is left alone. It is owned by one
// goroutine and is meant to be reused.
type Answer struct {
	Outcome    Outcome
	Answer     []Set
	Authority  []Set
	Additional []Set // what may be left out for want of room last, see Glue

	// Glue is how many sets of Additional, counted from its first, are glue without which the referral leads nowhere: TC must
	// be set if one of them is left out (RFC 9471 §3.1).
	Glue int

	// Synthesized reports whether a wildcard or a DNAME has made records of the answer: then any number of names have the same.
	Synthesized bool

	// Target is the name that an alias leads to when this zone cannot say what is there, else nil: the name is outside the
	// zone or below a cut. Resume goes on with it in another zone.
	Target wire.Name

	query   Query
	hashes  int // hash iterations that proofs have cost so far
	passed  int // owners that proofs have passed over so far
	steps   int // names that have been looked up
	aliases int // sets of Authority that belong to the aliases, not to where they lead

	names []byte // owners that had to be put together
	key   []byte // scratch: the key asked for
	near  []byte // scratch: the key of the entry before it, of a wildcard or of a target
	proof []byte // scratch: the key that a proof is about
	hash  []byte // scratch: the key of an NSEC3 owner
}

// reset empties a for the next lookup.
func (a *Answer) reset(q Query) {
	a.Outcome = Success
	a.Answer, a.Authority, a.Additional = a.Answer[:0], a.Authority[:0], a.Additional[:0]
	a.Glue, a.Target, a.Synthesized = 0, nil, false
	a.query, a.steps, a.aliases, a.hashes, a.passed = q, 0, 0, 0, 0
	a.names = a.names[:0]
}

// put appends a set of an entry to a section and, if they are wanted, the signatures over it (RFC 4035 §3.1.1).
func (a *Answer) put(section *[]Set, e *entry, owner wire.Name, s RRset) {
	*section = append(*section, Set{owner, s})
	if !a.query.DNSSEC {
		return
	}
	if sig, ok := e.set(wire.TypeRRSIG, s.Type); ok {
		*section = append(*section, Set{owner, sig})
	}
}

// has reports whether a section has a set.
func has(section []Set, owner wire.Name, rrtype uint16) bool {
	for i := range section {
		if section[i].Type == rrtype && section[i].Owner.Equal(owner) {
			return true
		}
	}
	return false
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
