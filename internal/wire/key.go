package wire

import "bytes"

// A key is the sort form of a name relative to an origin: its labels from the origin outward, in lower case, each followed
// by keyEnd. Comparing two keys as bytes compares the names in canonical DNS order (RFC 4034 §6.1), and the key of an
// ancestor is a prefix of the keys of all its descendants. The key of the origin itself is empty.
//
// The two octets that would collide with the end mark are escaped: 0x00 as 0x01 0x01 and 0x01 as 0x01 0x02, which keeps
// the order because an end mark sorts before every octet of a label.
const (
	keyEnd    = 0x00
	keyEscape = 0x01
)

// MaxKey is the longest a key may be: every octet of a name escaped.
const MaxKey = 2 * MaxName

// AppendKey appends the key of name relative to origin, and reports whether name is within origin at all.
func AppendKey(dst []byte, name, origin Name) ([]byte, bool) {
	end, ok := name.cut(origin)
	if !ok {
		return dst, false
	}
	var starts [maxLabels]uint8
	n := 0
	for off := 0; off < end; off += int(name[off]) + 1 {
		starts[n] = uint8(off)
		n++
	}
	for n--; n >= 0; n-- {
		at := int(starts[n])
		dst = AppendKeyLabel(dst, name[at+1:at+1+int(name[at])])
	}
	return dst, true
}

// AppendKeyLabel appends one label (without its length octet) to a key: the key of a child of the name that dst is the key
// of.
func AppendKeyLabel(dst, label []byte) []byte {
	start := len(dst)
	dst = append(dst, label...)
	for i, b := range dst[start:] {
		if b <= keyEscape {
			return appendEscaped(dst[:start+i], label[i:])
		}
		dst[start+i] = lowered[b]
	}
	return append(dst, keyEnd)
}

// appendEscaped appends the rest of a label that holds an octet to be escaped, and the end mark.
func appendEscaped(dst, label []byte) []byte {
	for _, b := range label {
		if b <= keyEscape {
			dst = append(dst, keyEscape, b+1)
			continue
		}
		dst = append(dst, lowered[b])
	}
	return append(dst, keyEnd)
}

// AppendKeyName appends the name, in lower case, that has this key below origin.
func AppendKeyName(dst []byte, key []byte, origin Name) Name {
	var ends [maxLabels + 1]int
	n := 0
	for i, b := range key {
		if b == keyEnd {
			n++
			ends[n] = i + 1
		}
	}
	for ; n > 0; n-- {
		length := len(dst)
		dst = append(dst, 0)
		for label := key[ends[n-1] : ends[n]-1]; len(label) > 0; label = label[1:] {
			b := label[0]
			if b == keyEscape {
				label = label[1:]
				b = label[0] - 1
			}
			dst = append(dst, b)
		}
		dst[length] = byte(len(dst) - length - 1)
	}
	return append(dst, origin...)
}

// KeyLabels returns the number of labels in key.
func KeyLabels(key []byte) int { return bytes.Count(key, []byte{keyEnd}) }

// KeyPrefix returns the part of key that holds its first n labels, counted from the origin.
func KeyPrefix(key []byte, n int) []byte {
	off := 0
	for ; n > 0; n-- {
		off += bytes.IndexByte(key[off:], keyEnd) + 1
	}
	return key[:off]
}

// KeyCommon returns the length of the longest run of whole labels that a and b begin with.
func KeyCommon(a, b []byte) int {
	whole := 0
	for i := 0; i < len(a) && i < len(b) && a[i] == b[i]; i++ {
		if a[i] == keyEnd {
			whole = i + 1
		}
	}
	return whole
}

// KeyNameLen returns the length on the wire of the name that has this key below an origin of originLen octets.
func KeyNameLen(key []byte, originLen int) int {
	n := len(key) + originLen // a label's length octet and its end mark weigh the same
	for i := 0; i < len(key); i++ {
		if key[i] == keyEscape {
			i++
			n--
		}
	}
	return n
}
