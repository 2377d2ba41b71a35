package xfr

import (
	"crypto/hmac"
	"encoding/binary"
	"hash"
	"time"
)

// Signer signs the messages that answer one signed request, one after the other (RFC 8945 §5.3.1): it is what Stream is on
// the other side. It is not safe for concurrent use.
type Signer struct {
	key    *Key
	digest hash.Hash // of the prior MAC
	mac    int       // octets of each MAC that are sent
	later  bool      // a message has been signed
	sum    []byte
	timers []byte // scratch
}

// NewSigner returns the Signer of the answer to a request that was signed with k and has the MAC requestMAC.
func NewSigner(k *Key, requestMAC []byte) *Signer {
	s := &Signer{key: k, digest: hmac.New(k.algorithm.hash, k.secret), mac: k.macLen(requestMAC), sum: make([]byte, 0, maxMAC)}
	digestMAC(s.digest, requestMAC)
	return s
}

// Len returns the octets by which Sign makes a message longer.
func (s *Signer) Len() int {
	return len(s.key.name) + fixedLen + len(s.key.algorithm.name) + 16 + s.mac
}

// Sign appends to msg, the next one, a TSIG record made at the time now. The array under msg is used if it has room.
func (s *Signer) Sign(msg []byte, now time.Time) []byte {
	t := tsig{signed: uint64(now.Unix()), fudge: tsigFudge, originalID: binary.BigEndian.Uint16(msg)}
	s.digest.Write(msg)
	if s.timers = s.timers[:0]; s.later {
		s.timers = appendTimers(s.timers, &t) // RFC 8945 §5.3.1: later messages digest the timers only
	} else {
		s.timers = appendVariables(s.timers, s.key, &t)
	}
	s.later = true
	s.digest.Write(s.timers)
	s.sum = s.digest.Sum(s.sum[:0])[:s.mac]
	s.digest.Reset()
	digestMAC(s.digest, s.sum)
	return s.key.appendTSIG(msg, &t, s.sum)
}
