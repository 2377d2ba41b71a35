package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// The keys within a zone's bucket, or what they begin with.
var (
	headKey    = []byte("h")
	journalKey = []byte("j")
	pageKey    = []byte("p")
	stateKey   = []byte("s")
)

// knownKey reports whether a key has one of those forms. What it stands for would be taken for missing otherwise.
func knownKey(key []byte) bool {
	return bytes.Equal(key, headKey) || bytes.Equal(key, stateKey) || bytes.HasPrefix(key, pageKey) ||
		bytes.HasPrefix(key, journalKey) && len(key) == len(partKey(0, 0))
}

// sumLen is the length of the checksum at the end of a value.
const sumLen = 4

// castagnoli is the CRC that processors have instructions for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum covers where a value belongs too.
func checksum(id, key, payload []byte) uint32 {
	sum := crc32.Update(crc32.Checksum(id, castagnoli), castagnoli, key)
	return crc32.Update(sum, castagnoli, payload)
}

// sealer makes values: the payload and its checksum.
type sealer func(id, key, payload []byte) []byte

// sealed makes a value of its own.
func sealed(id, key, payload []byte) []byte {
	return appendSealed(make([]byte, 0, len(payload)+sumLen), id, key, payload)
}

func appendSealed(b, id, key, payload []byte) []byte {
	return binary.BigEndian.AppendUint32(append(b, payload...), checksum(id, key, payload))
}

// sumOf returns the checksum that a value ends in; it is 0 for none.
func sumOf(value []byte) uint32 {
	if len(value) < sumLen {
		return 0
	}
	return binary.BigEndian.Uint32(value[len(value)-sumLen:])
}

// opened returns the payload of a value.
func opened(id, key, value []byte) ([]byte, error) {
	if len(value) < sumLen {
		return nil, fmt.Errorf("%w: %q has %d octets", ErrDamaged, key, len(value))
	}
	payload := value[: len(value)-sumLen : len(value)-sumLen]
	if checksum(id, key, payload) != sumOf(value) {
		return nil, fmt.Errorf("%w: checksum of %q", ErrDamaged, key)
	}
	return payload, nil
}

// head describes what is kept of a zone's contents. A plain value.
type head struct {
	serial  serial.Serial
	digest  uint64 // the sum of the checksums of all pages
	first   uint64 // sequence number of the first journal entry
	journal []entry
	origin  wire.Name
	summary []byte // of the contents
}

// entry is one difference in the journal; it leads to the version the next one begins with, the last to the contents. A
// plain value.
type entry struct {
	from   serial.Serial
	octets int
}

// parts returns how many values an entry takes.
func (e entry) parts() int { return (e.octets + maxPart - 1) / maxPart }

// octets returns the size of the journal.
func (h *head) octets() (n int64) {
	for _, e := range h.journal {
		n += int64(e.octets)
	}
	return n
}

// partKey returns the key of one part of the journal entry with this sequence number.
func partKey(sequence uint64, part int) []byte {
	key := binary.BigEndian.AppendUint64(append(make([]byte, 0, 13), journalKey...), sequence)
	return binary.BigEndian.AppendUint32(key, uint32(part))
}

func (h *head) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, h.serial.Uint32())
	b = binary.BigEndian.AppendUint64(b, h.digest)
	b = binary.AppendUvarint(b, h.first)
	b = binary.AppendUvarint(b, uint64(len(h.journal)))
	for _, e := range h.journal {
		b = binary.BigEndian.AppendUint32(b, e.from.Uint32())
		b = binary.AppendUvarint(b, uint64(e.octets))
	}
	b = append(b, byte(len(h.origin)))
	b = append(b, h.origin...)
	return append(b, h.summary...)
}

// parseHead reads a head. Its origin and summary are views into b.
func parseHead(b []byte) (h head, err error) {
	r := numbers{rest: b}
	h.serial = serial.New(uint32(r.fixed(4)))
	h.digest = r.fixed(8)
	h.first = r.varying()
	count := r.varying()
	for range min(count, MaxVersions) {
		h.journal = append(h.journal, entry{serial.New(uint32(r.fixed(4))), int(r.varying())})
	}
	length := int(r.fixed(1))
	if r.cut || count > MaxVersions || length > len(r.rest) {
		return head{}, fmt.Errorf("%w: head of %d octets", ErrDamaged, len(b))
	}
	h.origin, h.summary = wire.Name(r.rest[:length]), r.rest[length:]
	return h, nil
}

// numbers reads numbers one after the other. It is owned by one goroutine.
type numbers struct {
	rest []byte
	cut  bool // there were less octets than asked for
}

func (n *numbers) fixed(size int) (v uint64) {
	if len(n.rest) < size {
		n.cut = true
		return 0
	}
	for _, b := range n.rest[:size] {
		v = v<<8 | uint64(b)
	}
	n.rest = n.rest[size:]
	return v
}

func (n *numbers) varying() uint64 {
	v, size := binary.Uvarint(n.rest)
	if size <= 0 {
		n.cut = true
		return 0
	}
	n.rest = n.rest[size:]
	return v
}
