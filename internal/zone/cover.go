package zone

import (
	"bytes"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// coverTracker finds, for owners given in key order, the topmost cut or DNAME above each. It is owned by one goroutine.
type coverTracker struct {
	key    []byte // of the topmost cut or DNAME last seen
	active bool
}

// appendBody appends what follows the key of an entry: flags, cover, owner and sets.
// flags are the owner's own.
func (t *coverTracker) appendBody(dst, key []byte, flags byte, owner wire.Name, sets []byte) []byte {
	covered := t.active && bytes.HasPrefix(key, t.key)
	if !covered {
		t.active = flags&(flagCut|flagDNAME) != 0
		t.key = append(t.key[:0], key...)
		return appendBody(dst, flags, 0, owner, sets)
	}
	return appendBody(dst, flags|flagCovered, wire.KeyLabels(t.key), owner, sets)
}

// appendBody packs an entry behind its key; cover counts only with flagCovered.
func appendBody(dst []byte, flags byte, cover int, owner wire.Name, sets []byte) []byte {
	if len(owner) > 0 {
		flags |= flagCase
	}
	dst = append(dst, flags)
	if flags&flagCovered != 0 {
		dst = append(dst, byte(cover))
	}
	if flags&flagCase != 0 {
		dst = append(dst, byte(len(owner)))
		dst = append(dst, owner...)
	}
	return append(dst, sets...)
}

// ownFlags returns the flags that an owner has by its own records.
func ownFlags(key, sets []byte) (flags byte) {
	e := entry{sets: sets}
	if _, ok := e.set(wire.TypeNS, 0); ok && len(key) > 0 {
		flags |= flagCut
	}
	if _, ok := e.set(wire.TypeDNAME, 0); ok {
		flags |= flagDNAME
	}
	return flags
}

// steering returns what an owner with these flags of its own adds to the counts that steer lookups.
func steering(key []byte, flags byte) (s stats) {
	if flags&flagCut != 0 {
		s.cuts = 1
	}
	if flags&flagDNAME != 0 {
		s.dnames = 1
	}
	if inWildcard(key) {
		s.wildcards = 1
	}
	return s
}

// wildcardLabel is the key of "*" below its parent (RFC 4592 §2.1.1).
var wildcardLabel = wire.AppendKeyLabel(nil, []byte("*"))

// inWildcard reports whether one of the labels of key is "*": the owner is a wildcard or makes one exist below it.
func inWildcard(key []byte) bool {
	for len(key) > 0 {
		if bytes.HasPrefix(key, wildcardLabel) {
			return true
		}
		key = key[bytes.IndexByte(key, 0)+1:]
	}
	return false
}
