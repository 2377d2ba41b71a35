//go:build e2e

package e2e_test

import (
	"bytes"
	bigendian "encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// rdataPart is a part of RDATA: octets, or a name. It is a plain value.
type rdataPart struct {
	octets  []byte // without a name in them
	name    []byte // uncompressed, nil for octets
	pointed []byte // the same name as the primary sends it
}

// rdataCase is one record that the primary sends, in a zone of its own. It is a plain value.
type rdataCase struct {
	rrtype uint16
	text   string // as in rdataCases
	origin string
	signed bool // the zone
	parts  []rdataPart
}

func (c *rdataCase) String() string { return fmt.Sprintf("%s %q", typeName(c.rrtype), c.text) }

// owner is the name of the record.
func (c *rdataCase) owner() string { return "r." + c.origin }

// typeName is the mnemonic of a type or TYPEnnn.
func typeName(t uint16) string {
	if t == 0 {
		return "TYPE0"
	}
	return dns.Type(t).String()
}

// longestRDATA is what an answer by TCP has room for, whose question is the owner.
func longestRDATA(owner string) int { return 1<<16 - 1 - 12 - (len(owner) + 1 + 4) - 12 }

// newRDATACase reads a text of rdataCases.
func newRDATACase(rrtype uint16, text, origin string) *rdataCase {
	c := &rdataCase{rrtype: rrtype, text: text, origin: origin}
	for at := 0; at < len(text); {
		rest := text[at:]
		switch rest[0] {
		case ' ':
			at++
		case '<', '[':
			end := strings.IndexAny(rest, ">]")
			c.addName(rest[1:end])
			at += end + 1
		default:
			end := strings.IndexAny(rest, " <[")
			if end < 0 {
				end = len(rest)
			}
			word := rest[:end]
			if more, ok := strings.CutPrefix(rest, "long "); ok && (more == "texts" || more == "items") {
				word, end = "long "+more, len(rest)
			}
			c.parts = append(c.parts, rdataPart{octets: c.octets(word)})
			at += end
		}
	}
	return c
}

// addName appends a name; from @ on it is the origin, which is sent as a pointer to the question.
func (c *rdataCase) addName(name string) {
	if prefix, ok := strings.CutSuffix(name, "@"); ok {
		labels := wireName(prefix)
		pointed := slices.Concat(labels[:len(labels)-1], []byte{0xC0, 12})
		c.parts = append(c.parts, rdataPart{name: wireName(prefix + c.origin), pointed: pointed})
		return
	}
	c.parts = append(c.parts, rdataPart{name: wireName(name), pointed: wireName(name)})
}

// wireName packs a name.
func wireName(name string) []byte {
	buf := make([]byte, 256)
	if name == "" {
		name = "."
	}
	n, err := dns.PackDomainName(name, buf, 0, nil, false)
	if err != nil {
		panic(fmt.Sprintf("name %q: %v", name, err)) // a fault of the test itself
	}
	return buf[:n]
}

// octets are what a word without a name stands for.
func (c *rdataCase) octets(word string) []byte {
	room := longestRDATA(c.owner()) - len(c.expected())
	switch word {
	case "long":
		return bytes.Repeat([]byte{0xAB}, room)
	case "long texts":
		var b []byte
		for ; room > 0; room -= min(room, 256) {
			b = append(append(b, byte(min(room, 256)-1)), bytes.Repeat([]byte{'t'}, min(room, 256)-1)...)
		}
		return b
	case "long items":
		return bytes.Repeat([]byte{0, 1, 0, 0}, room/4)
	case "longvalue":
		return append(bigendian.BigEndian.AppendUint16(nil, uint16(room-2)), bytes.Repeat([]byte{'v'}, room-2)...)
	case "allwindows":
		var b []byte
		for w := range 256 {
			b = append(append(b, byte(w), 32), bytes.Repeat([]byte{0xFF}, 32)...)
		}
		return b
	}
	digits, times, repeated := strings.Cut(word, "*")
	b, err := hex.DecodeString(digits)
	n := 1
	if repeated && err == nil {
		n, err = strconv.Atoi(times)
	}
	if err != nil {
		panic(fmt.Sprintf("RDATA %q: %v", word, err)) // a fault of the test itself
	}
	return bytes.Repeat(b, n)
}

// expected is the RDATA without compression.
func (c *rdataCase) expected() []byte {
	var b []byte
	for _, p := range c.parts {
		b = append(append(b, p.octets...), p.name...)
	}
	return b
}

// sent is the RDATA as the primary sends it.
func (c *rdataCase) sent() []byte {
	var b []byte
	for _, p := range c.parts {
		b = append(append(b, p.octets...), p.pointed...)
	}
	return b
}

// mayCompress reports whether the names of a type may be compressed in an answer: those of RFC 1035, and of some types that
// were defined when that was still the way (RFC 3597 §4).
func mayCompress(rrtype uint16) bool {
	switch rrtype {
	case dns.TypeRP, dns.TypeAFSDB, dns.TypeRT, dns.TypePX, dns.TypeSRV, dns.TypeNAPTR, dns.TypeKX:
		return true
	}
	return rrtype <= dns.TypeMX
}

// compare tells what the RDATA at msg[off:end] is. A server may have compressed names anew.
func (c *rdataCase) compare(msg []byte, off, end int, anyCase bool) outcome {
	data, want := msg[off:end], c.expected()
	switch {
	case bytes.Equal(data, want), anyCase && bytes.EqualFold(data, want):
		return serves
	case bytes.Equal(data, c.sent()):
		return asSent
	case !mayCompress(c.rrtype):
		return changes
	}
	for _, p := range c.parts {
		if p.name == nil {
			if !bytes.HasPrefix(msg[off:end], p.octets) {
				return changes
			}
			off += len(p.octets)
			continue
		}
		name, next, err := dns.UnpackDomainName(msg, off)
		if err != nil || next > end {
			return changes
		}
		got := wireName(name)
		if !bytes.Equal(got, p.name) && (!anyCase || !bytes.EqualFold(got, p.name)) {
			return changes
		}
		off = next
	}
	if off != end {
		return changes
	}
	return serves
}

// rawRecord is a record within a message. It is a plain value.
type rawRecord struct {
	owner    string
	rrtype   uint16
	off, end int // of its RDATA
}

// rawRecords takes a message apart without looking into RDATA.
func rawRecords(msg []byte) (records []rawRecord, err error) {
	if len(msg) < 12 {
		return nil, fmt.Errorf("message of %d octets", len(msg))
	}
	u16 := func(i int) int { return int(bigendian.BigEndian.Uint16(msg[i:])) }
	off := 12
	for range u16(4) {
		if _, off, err = dns.UnpackDomainName(msg, off); err != nil {
			return nil, err
		}
		off += 4
	}
	for range u16(6) + u16(8) + u16(10) {
		var r rawRecord
		if r.owner, off, err = dns.UnpackDomainName(msg, off); err != nil {
			return nil, err
		}
		if off+10 > len(msg) || off+10+u16(off+8) > len(msg) {
			return nil, fmt.Errorf("record of %s is cut off", r.owner)
		}
		r.rrtype, r.off, r.end = uint16(u16(off)), off+10, off+10+u16(off+8)
		off = r.end
		records = append(records, r)
	}
	return records, nil
}
