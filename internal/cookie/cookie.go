package cookie

import (
	"crypto/subtle"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/dchest/siphash"
)

// Lengths in octets (RFC 7873 §4, RFC 9018 §4).
const (
	ClientLen = 8
	ServerLen = 16 // of the server cookies made here
	Len       = ClientLen + ServerLen
	SecretLen = 16

	minServerLen = 8 // of the server cookies that others make
	maxServerLen = 32
)

// version is the only one of RFC 9018 §4.1. Three octets after it are reserved.
const version = 1

// How old a server cookie may be, how far ahead its time may be, and the age at which its client gets a new one (RFC 9018
// §4.3).
const (
	maxAge   = time.Hour
	maxAhead = 5 * time.Minute
	renewAge = 30 * time.Minute
)

// Secret is what the servers of a fleet share. It is a plain value.
type Secret [SecretLen]byte

// Secrets are those in use: the first makes cookies, every one checks them. They are immutable.
type Secrets []Secret

// State is what a COOKIE option says of its sender.
type State uint8

// The states of a COOKIE option.
const (
	Malformed State = iota // of no length that an option may have: the answer is FORMERR (RFC 7873 §5.2.2)
	Unproven               // only a client cookie, or a server cookie that is not ours, or no longer (RFC 7873 §5.2.3, §5.2.4)
	Valid                  // the sender has received an answer of the fleet at its address (RFC 7873 §5.2.5)
	Fresh                  // Valid, young, and made with the first secret: it need not be replaced (RFC 9018 §4.3)
)

// Proven reports whether the sender is at the address that the query came from.
func (s State) Proven() bool { return s >= Valid }

// Check returns what the value of a COOKIE option from an address says.
func (s Secrets) Check(option []byte, from netip.Addr, now time.Time) State {
	theirs := len(option) - ClientLen
	switch {
	case theirs == 0:
		return Unproven
	case theirs < minServerLen || theirs > maxServerLen:
		return Malformed
	case theirs != ServerLen || option[ClientLen] != version || !current(option, now):
		return Unproven
	}
	hashed := option[:Len-hashLen]
	for i := range s {
		want := s[i].hash(hashed, from)
		switch {
		case subtle.ConstantTimeCompare(want[:], option[Len-hashLen:]) == 0:
		case i == 0 && age(option, now) < renewAge:
			return Fresh
		default:
			return Valid
		}
	}
	return Unproven
}

// Append appends the value of the COOKIE option of an answer: the client cookie, and a server cookie for its sender. One that
// is Fresh is sent back as it came. option is what the query has, and is not Malformed.
func (s Secrets) Append(to, option []byte, state State, from netip.Addr, now time.Time) []byte {
	if state == Fresh {
		return append(to, option...)
	}
	start := len(to)
	to = append(to, option[:ClientLen]...)
	to = append(to, version, 0, 0, 0)
	to = binary.BigEndian.AppendUint32(to, uint32(now.Unix())) // serial number arithmetic: it may wrap
	hash := s[0].hash(to[start:], from)
	return append(to, hash[:]...)
}

// timeAt is where the time stands in an option, hashLen the length of the hash that ends it.
const (
	timeAt  = ClientLen + 4
	hashLen = 8
)

// age returns how long ago a server cookie was made, below zero if in the future. Times are compared as serial numbers (RFC
// 9018 §4.3, RFC 1982), so that they outlive the year 2106.
func age(option []byte, now time.Time) time.Duration {
	made := binary.BigEndian.Uint32(option[timeAt:])
	return time.Duration(int32(uint32(now.Unix())-made)) * time.Second
}

func current(option []byte, now time.Time) bool {
	a := age(option, now)
	return a <= maxAge && a >= -maxAhead
}

// hash returns SipHash-2-4 of the client cookie, version, reserved octets and time, and the address (RFC 9018 §4.4), as it is
// written: its lowest octet first.
func (s *Secret) hash(cookie []byte, from netip.Addr) (sum [hashLen]byte) {
	var buf [Len - hashLen + 16]byte
	input := append(buf[:0], cookie...)
	if from = from.Unmap(); from.Is4() {
		a := from.As4()
		input = append(input, a[:]...)
	} else {
		a := from.As16()
		input = append(input, a[:]...)
	}
	k0, k1 := binary.LittleEndian.Uint64(s[:8]), binary.LittleEndian.Uint64(s[8:])
	binary.LittleEndian.PutUint64(sum[:], siphash.Hash(k0, k1, input))
	return sum
}
