package dnstest

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// hashes are the TSIG algorithms by their name on the wire.
var hashes = map[string]func() hash.Hash{
	dns.HmacMD5:    md5.New,
	dns.HmacSHA1:   sha1.New,
	dns.HmacSHA224: sha256.New224,
	dns.HmacSHA256: sha256.New,
	dns.HmacSHA384: sha512.New384,
	dns.HmacSHA512: sha512.New,
}

// Signer signs the answers to one request, as RFC 8945 has it or, after a change of its fields, not quite. It is naive on
// purpose and shares no code with what it tests. It is not safe for concurrent use.
type Signer struct {
	Key       string // name
	Algorithm string // name on the wire
	Secret    []byte
	Fudge     uint16
	Time      time.Time // zero: now
	Error     uint16    // TSIG error code
	Other     []byte    // Other Data
	Corrupt   bool      // spoil the MAC
	Truncate  int       // octets of the MAC to send; 0: all
	Timers    bool      // digest the timers only, even in the first message

	prior  []byte // MAC of the request or of the last signed message
	since  []byte // messages left unsigned since
	signed int
}

// NewSigner returns the signer of the answers to a request with the MAC requestMAC, or of a request if that is nil.
// The secret is base64.
func NewSigner(key, algorithm, secret string, requestMAC []byte) *Signer {
	raw, err := base64.StdEncoding.DecodeString(secret)
	if err != nil {
		panic(err)
	}
	return &Signer{Key: dns.Fqdn(key), Algorithm: dns.Fqdn(algorithm), Secret: raw, Fudge: 300, prior: requestMAC}
}

// Signer returns the signer of the answers to r, a request signed with TSIG.
func (r Request) Signer(secret string) *Signer {
	t := r.Msg.IsTsig()
	mac, err := hex.DecodeString(t.MAC)
	if err != nil {
		panic(err)
	}
	return NewSigner(t.Hdr.Name, t.Algorithm, secret, mac)
}

// Sign returns msg with a TSIG record, and takes its MAC as the prior one of the next message.
func (s *Signer) Sign(msg []byte) []byte {
	if s.Time.IsZero() { // a second may end between the MAC and the record
		s.Time = time.Now()
		defer func() { s.Time = time.Time{} }()
	}
	mac := s.mac(msg)
	if s.Truncate > 0 {
		mac = mac[:s.Truncate] // RFC 8945 §4.3.1: the prior MAC is digested as it was sent
	}
	s.prior, s.since = mac, nil
	s.signed++
	if s.Corrupt {
		mac = slices.Clone(mac)
		mac[0] ^= 1
	}
	return s.Append(msg, mac)
}

// Skip returns msg as it is, and takes it into the digest of the next signed message.
func (s *Signer) Skip(msg []byte) []byte {
	s.since = append(s.since, msg...)
	return msg
}

// MAC returns the MAC of the last signed message.
func (s *Signer) MAC() []byte { return s.prior }

// Append returns msg with a TSIG record that holds mac, whatever that is.
func (s *Signer) Append(msg, mac []byte) []byte {
	out := slices.Clone(msg)
	binary.BigEndian.PutUint16(out[10:], binary.BigEndian.Uint16(out[10:])+1)
	out = append(out, name(s.Key)...)
	out = append(out, 0, 250, 0, 255, 0, 0, 0, 0) // TSIG, ANY, TTL 0
	data := append(name(s.Algorithm), s.timers()...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(mac)))
	data = append(data, mac...)
	data = append(data, msg[:2]...) // Original ID
	data = binary.BigEndian.AppendUint16(data, s.Error)
	data = binary.BigEndian.AppendUint16(data, uint16(len(s.Other)))
	data = append(data, s.Other...)
	out = binary.BigEndian.AppendUint16(out, uint16(len(data)))
	return append(out, data...)
}

func (s *Signer) mac(msg []byte) []byte {
	h := hmac.New(hashes[dns.CanonicalName(s.Algorithm)], s.Secret)
	if s.prior != nil {
		h.Write(binary.BigEndian.AppendUint16(nil, uint16(len(s.prior))))
		h.Write(s.prior)
	}
	h.Write(s.since)
	h.Write(msg)
	if s.signed > 0 || s.Timers {
		h.Write(s.timers())
		return h.Sum(nil)
	}
	h.Write(name(dns.CanonicalName(s.Key)))
	h.Write([]byte{0, 255, 0, 0, 0, 0}) // ANY, TTL 0
	h.Write(name(dns.CanonicalName(s.Algorithm)))
	h.Write(s.timers())
	h.Write(binary.BigEndian.AppendUint16(nil, s.Error))
	h.Write(binary.BigEndian.AppendUint16(nil, uint16(len(s.Other))))
	h.Write(s.Other)
	return h.Sum(nil)
}

func (s *Signer) timers() []byte {
	at := s.Time
	if at.IsZero() {
		at = time.Now()
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(at.Unix()))[2:]
	return binary.BigEndian.AppendUint16(b, s.Fudge)
}

// name returns a name in wire form.
func name(s string) []byte {
	b := make([]byte, 256)
	n, err := dns.PackDomainName(s, b, 0, nil, false)
	if err != nil {
		panic(err)
	}
	return b[:n:n]
}
