package zone

import (
	"crypto/sha1" // the one algorithm that NSEC3 has (RFC 5155 §11)
	"encoding/base32"
	"encoding/binary"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// maxIterations is how often a name is hashed once more for one proof. RFC 9276 §3.1 wants none at all; validators treat a
// zone with more than this as insecure or bogus (§3.2), so nothing is gained by working for such a one: its negative answers
// carry the record of the apex, which tells them the number.
const maxIterations = 150

// algorithmSHA1 is the hash algorithm of NSEC3 (RFC 5155 §11).
const algorithmSHA1 = 1

// nsec3 is one chain of NSEC3 records. It never changes once contents are sealed.
type nsec3 struct {
	iterations int
	salt       []byte
	params     []byte // what the RDATA of its records has behind the flags: iterations, length of the salt, salt

	// The record of the apex.
	owner    wire.Name
	set, sig RRset
}

// parseNSEC3 reads NSEC3PARAM, and what NSEC3 records begin with (RFC 5155 §3.2 and §4.2). ok is false for an unknown
// algorithm and for RDATA that ends before its salt does.
func parseNSEC3(data []byte) (_ nsec3, ok bool) {
	const saltAt = 5
	if len(data) < saltAt || data[0] != algorithmSHA1 {
		return nsec3{}, false
	}
	end := saltAt + int(data[saltAt-1])
	if len(data) < end {
		return nsec3{}, false
	}
	return nsec3{
		iterations: int(binary.BigEndian.Uint16(data[2:])), salt: data[saltAt:end:end], params: data[2:end:end],
	}, true
}

// base32Hex writes the hashes in owner names (RFC 5155 §1.3), in lower case as keys are.
var base32Hex = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// appendKey appends the key of the NSEC3 owner of the name with the key name (RFC 5155 §5).
func (n *nsec3) appendKey(dst, name []byte, origin wire.Name) []byte {
	var buf [2 * wire.MaxName]byte
	sum := sha1.Sum(append(wire.AppendKeyName(buf[:0], name, origin), n.salt...))
	for range n.iterations {
		sum = sha1.Sum(append(append(buf[:0], sum[:]...), n.salt...))
	}
	var label [32]byte
	base32Hex.Encode(label[:], sum[:])
	return wire.AppendKeyLabel(dst, label[:])
}
