// Package serial is the arithmetic of SOA serials (RFC 1982, SERIAL_BITS 32).
//
// A Serial is a struct on purpose: < and > do not compile, so nobody can order two serials as plain numbers by accident.
package serial

import "strconv"

// Serial is a SOA serial. The zero value is serial 0. It is a plain value and safe to copy.
type Serial struct{ n uint32 }

// New returns the serial with the number n.
func New(n uint32) Serial { return Serial{n} }

// Uint32 returns the number of s, for the wire and for display; never for ordering.
func (s Serial) Uint32() uint32 { return s.n }

// String returns s in decimal.
func (s Serial) String() string { return strconv.FormatUint(uint64(s.n), 10) }

// Add returns s advanced by n, wrapping past 2^32-1 (RFC 1982 §3.1; n above 2^31-1 is undefined there).
func (s Serial) Add(n uint32) Serial { return Serial{s.n + n} }

// Ordering is how one serial stands to another.
type Ordering uint8

// The four outcomes of comparing serials.
const (
	Equal        Ordering = iota
	Lower                 // the first is older
	Greater               // the first is newer
	Incomparable          // exactly 2^31 apart: RFC 1982 §3.2 leaves it undefined
)

// Compare returns how s stands to o (RFC 1982 §3.2).
func (s Serial) Compare(o Serial) Ordering {
	const half = 1 << 31
	switch d := s.n - o.n; {
	case d == 0:
		return Equal
	case d == half:
		return Incomparable
	case d < half:
		return Greater
	default:
		return Lower
	}
}

// Newer reports whether s is newer than o.
func (s Serial) Newer(o Serial) bool { return s.Compare(o) == Greater }
