package fastpath_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/fastpath"
	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/wire"
)

// parts are the parts of a query, for tests that spoil one of them. They are a plain value.
type parts struct {
	flags  uint16
	counts [4]uint16
	name   wire.Name
	qtype  uint16
	class  uint16
	rest   []byte // what follows the question
}

// plain returns the parts of a plain query.
func plain() parts {
	return parts{
		flags: 1 << 8, counts: [4]uint16{1},
		name: wire.Name("\x03wWw\x07example\x00"), qtype: dns.TypeA, class: dns.ClassINET,
	}
}

// queryID is the ID of the queries of tests.
const queryID = 0xbeef

func (p parts) octets() []byte {
	b := binary.BigEndian.AppendUint16(nil, queryID)
	b = binary.BigEndian.AppendUint16(b, p.flags)
	for _, n := range p.counts {
		b = binary.BigEndian.AppendUint16(b, n)
	}
	b = append(b, p.name...)
	b = binary.BigEndian.AppendUint16(b, p.qtype)
	b = binary.BigEndian.AppendUint16(b, p.class)
	return append(b, p.rest...)
}

// with returns p with one additional record.
func (p parts) with(rr []byte) parts {
	p.counts[3]++
	p.rest = append(slices.Clip(p.rest), rr...)
	return p
}

// opt returns an OPT record.
func opt(size uint16, ttl uint32, options ...byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0, 0, byte(dns.TypeOPT)}, size)
	b = binary.BigEndian.AppendUint32(b, ttl)
	b = binary.BigEndian.AppendUint16(b, uint16(len(options)))
	return append(b, options...)
}

// option returns an EDNS option.
func option(code uint16, value ...byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, code)
	b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
	return append(b, value...)
}

// supportedOption is an option that CoreDNS may answer with, as far as these tests go.
const supportedOption = 65001

func supported(option uint16) bool { return option == supportedOption }

// do is the TTL of an OPT record with DO set.
const do = 1 << 15

func TestPlainQueries(t *testing.T) {
	flags := func(f uint16) parts { p := plain(); p.flags |= f; return p }
	named := func(n string) parts { p := plain(); p.name = wire.Name(n); return p }
	typed := func(qtype uint16) parts { p := plain(); p.qtype = qtype; return p }
	edns := func(ttl uint32, options ...byte) parts { return plain().with(opt(1232, ttl, options...)) }
	for name, p := range map[string]parts{
		"as they come":                   plain(),
		"no recursion desired":           {counts: [4]uint16{1}, name: wire.Name("\x01a\x00"), qtype: 1, class: 1},
		"AD, CD and Z make no odds":      flags(1<<4 | 1<<5 | 1<<6),
		"root":                           named("\x00"),
		"longest name":                   named(longestName),
		"longest label":                  named("\x3f" + longLabel + "\x00"),
		"type behind those of questions": typed(256),
		"type before those of questions": typed(127),
		"unknown type":                   typed(65280),
		"signatures":                     typed(dns.TypeRRSIG),
		"EDNS":                           edns(0),
		"DO":                             edns(do),
		"unknown EDNS flags":             edns(0x7fff),
		"cookie":                         edns(0, option(dns.EDNS0COOKIE, 1, 2, 3, 4, 5, 6, 7, 8)...),
		"padding up to the limit":        edns(0, option(dns.EDNS0PADDING, make([]byte, 512-12-17-11-4)...)...),
		"two options":                    edns(0, slices.Concat(option(dns.EDNS0NSID), option(65002, 0))...),
	} {
		if msg := p.octets(); !new(fastpath.Query).Parse(msg, supported) {
			t.Errorf("%s: %x is not plain", name, msg)
		}
	}
}

const (
	longLabel   = "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-ABCDEFGHI"
	longestName = "\x3f" + longLabel + "\x3f" + longLabel + "\x3f" + longLabel +
		"\x3d" + "lmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQR" + "\x00"
)

func TestOtherQueriesAreHandedOver(t *testing.T) {
	flags := func(f uint16) []byte { p := plain(); p.flags |= f; return p.octets() }
	counts := func(n ...uint16) []byte { p := plain(); copy(p.counts[:], n); return p.octets() }
	named := func(n string) []byte { p := plain(); p.name = wire.Name(n); return p.octets() }
	typed := func(qtype uint16) []byte { p := plain(); p.qtype = qtype; return p.octets() }
	with := func(rr []byte) []byte { return plain().with(rr).octets() }
	edns := func(ttl uint32, options ...byte) []byte { return with(opt(1232, ttl, options...)) }
	chaos := plain()
	chaos.class = dns.ClassCHAOS
	spoiled := func(at int, b byte) []byte { rr := opt(1232, 0); rr[at] = b; return with(rr) }
	for name, msg := range map[string][]byte{
		"nothing":                       {},
		"less than a header":            plain().octets()[:11],
		"a header only":                 plain().octets()[:12],
		"question cut off":              plain().octets()[:12+13+3],
		"name cut off":                  plain().octets()[:12+5],
		"a response":                    flags(1 << 15),
		"NOTIFY":                        flags(dns.OpcodeNotify << 11),
		"UPDATE":                        flags(dns.OpcodeUpdate << 11),
		"unknown opcode":                flags(15 << 11),
		"AA":                            flags(1 << 10),
		"TC":                            flags(1 << 9),
		"RA":                            flags(1 << 7),
		"an RCODE":                      flags(dns.RcodeRefused),
		"no question":                   counts(0),
		"two questions":                 counts(2),
		"an answer":                     counts(1, 1),
		"an authority record":           counts(1, 0, 1),
		"additional record not there":   counts(1, 0, 0, 1),
		"two OPT records":               plain().with(opt(512, 0)).with(opt(512, 0)).octets(),
		"something behind the question": append(plain().octets(), 0),
		"something behind the OPT":      append(edns(0), 0),
		"a compression pointer":         named("\x01a\xc0\x0c"),
		"a label of an unknown kind":    named("\x41" + longLabel + "ab\x00"),
		"a name too long":               named("\x01a" + longestName),
		"a name without an end":         append(plain().octets()[:12], longestName[:200]...),
		"another class":                 chaos.octets(),
		"type 0":                        typed(0),
		"OPT asked for":                 typed(dns.TypeOPT),
		"DS":                            typed(dns.TypeDS),
		"the first type of questions":   typed(128),
		"TKEY":                          typed(dns.TypeTKEY),
		"TSIG asked for":                typed(dns.TypeTSIG),
		"IXFR":                          typed(dns.TypeIXFR),
		"AXFR":                          typed(dns.TypeAXFR),
		"MAILA":                         typed(dns.TypeMAILA),
		"ANY":                           typed(dns.TypeANY),
		"TSIG":                          with([]byte("\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x00")),
		"an additional address":         with([]byte("\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04\xc0\x00\x02\x01")),
		"OPT not at the root":           with(append([]byte("\x01a"), opt(1232, 0)...)),
		"OPT cut off":                   with(opt(1232, 0)[:10]),
		"EDNS version 1":                edns(1 << 16),
		"an extended RCODE":             edns(1 << 24),
		"OPT owned by no name":          spoiled(0, 1),
		"RDLENGTH beyond the end":       spoiled(10, 1),
		"RDLENGTH far beyond the end":   spoiled(9, 0xff),
		"a record of type 0":            spoiled(2, 0),
		"option cut off":                edns(0, 0, 12, 0),
		"option beyond the end":         edns(0, 0, 12, 0, 2, 1),
		"an option CoreDNS sends back":  edns(0, option(supportedOption)...),
		"behind one that is ignored":    edns(0, slices.Concat(option(dns.EDNS0NSID), option(supportedOption))...),
		"a client subnet":               edns(0, option(dns.EDNS0SUBNET, 0, 1, 24, 0, 192, 0, 2)...),
		"more than CoreDNS reads":       edns(0, option(dns.EDNS0PADDING, make([]byte, 512-12-17-11-4+1)...)...),
	} {
		if new(fastpath.Query).Parse(msg, supported) {
			t.Errorf("%s: %x is plain", name, msg)
		}
	}
}

func TestParsedQuery(t *testing.T) {
	var q fastpath.Query // one for all: nothing of a query may be left over in the next
	for _, c := range []struct {
		size, room int
		ttl        uint32
	}{
		{0, 512, do}, {511, 512, 0}, {512, 512, do}, {513, 513, 0}, {1232, 1232, do | 1},
		{65507, 65507, 0}, {65508, 65507, 0}, {65535, 65507, do},
	} {
		msg := plain().with(opt(uint16(c.size), c.ttl)).octets()
		if !q.Parse(msg, supported) || q.Room != c.room || q.DNSSEC != (c.ttl&do != 0) {
			t.Errorf("Size %d, TTL %#x: room %d, DNSSEC %v", c.size, c.ttl, q.Room, q.DNSSEC)
		}
		msg = plain().octets()
		same := q.Parse(msg, supported) && q.Type == dns.TypeA && bytes.Equal(q.Name, plain().name)
		if !same || q.Room != 512 || q.DNSSEC {
			t.Errorf("Without EDNS: %+v", q)
		}
		if &q.Name[0] != &msg[12] {
			t.Error("The name is a copy")
		}
	}
}

// What miekg/dns finds at fault, whatever the option, is for CoreDNS to answer.
func TestPlainOptionsAreNeverAtFault(t *testing.T) {
	t.Parallel()
	var q fastpath.Query
	var m dns.Msg
	for code := range 1 << 16 {
		for _, n := range []int{0, 1, 2, 5, 13} {
			value := bytes.Repeat([]byte{0xff}, n)
			msg := plain().with(opt(1232, 0, option(uint16(code), value...)...)).octets()
			if !q.Parse(msg, supported) {
				continue
			}
			if err := m.Unpack(msg); err != nil {
				t.Fatalf("Option %d with %x is plain: %v", code, value, err)
			}
		}
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	var q fastpath.Query
	for name, p := range map[string]parts{
		"plain":    plain(),
		"EDNS":     plain().with(opt(1232, do, option(dns.EDNS0COOKIE, make([]byte, 8)...)...)),
		"response": {flags: 1 << 15},
	} {
		msg := p.octets()
		if n := testing.AllocsPerRun(100, func() { q.Parse(msg, supported) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
