package fastpath_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/fastpath"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
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
		if msg := p.octets(); new(fastpath.Query).Parse(msg, supported) != fastpath.Plain {
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
		"an additional address":         with([]byte("\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04\xc0\x00\x02\x01")),
		"an extended RCODE":             edns(1 << 24),
		"a record of type 0":            with(append([]byte{0, 0, 0}, opt(1232, 0)[3:]...)),
		"an option CoreDNS sends back":  edns(0, option(supportedOption)...),
		"behind one that is ignored":    edns(0, slices.Concat(option(dns.EDNS0NSID), option(supportedOption))...),
	} {
		if kind := new(fastpath.Query).Parse(msg, supported); kind != fastpath.Other {
			t.Errorf("%s: %x is of kind %d", name, msg, kind)
		}
	}
}

// What breaks the rules for OPT and TSIG, or ends before its last record, is FORMERR; another version of EDNS BADVERS.
func TestMalformedQueriesAreRefused(t *testing.T) {
	counts := func(n ...uint16) []byte { p := plain(); copy(p.counts[:], n); return p.octets() }
	with := func(rr []byte) []byte { return plain().with(rr).octets() }
	edns := func(ttl uint32, options ...byte) []byte { return with(opt(1232, ttl, options...)) }
	spoiled := func(at int, b byte) []byte { rr := opt(1232, 0); rr[at] = b; return with(rr) }
	in := func(section int, rrs ...[]byte) []byte {
		p := plain()
		p.counts[1+section] = uint16(len(rrs))
		p.rest = slices.Concat(rrs...)
		return p.octets()
	}
	chaos, notify := plain().with(opt(0, 0)).with(opt(0, 0)), plain().with(opt(0, 0)).with(opt(0, 0))
	chaos.class, notify.flags = dns.ClassCHAOS, dns.OpcodeNotify<<11
	signed := tsig("\x01k\x00", dns.ClassANY, wholeTSIG)
	for name, msg := range map[string][]byte{
		"an answer":                   counts(1, 1),
		"an authority record":         counts(1, 0, 1),
		"additional record not there": counts(1, 0, 0, 1),
		"two OPT records":             plain().with(opt(512, 0)).with(opt(512, 0)).octets(),
		"TSIG":                        with([]byte("\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x00")),
		"OPT not at the root":         with(append([]byte("\x01a"), opt(1232, 0)...)),
		"OPT cut off":                 with(opt(1232, 0)[:10]),
		"OPT owned by no name":        spoiled(0, 1),
		"RDLENGTH beyond the end":     spoiled(10, 1),
		"RDLENGTH far beyond the end": spoiled(9, 0xff),
		"option cut off":              edns(0, 0, 12, 0),
		"option beyond the end":       edns(0, 0, 12, 0, 2, 1),
		"OPT as an answer":            in(0, opt(0, 0)),
		"OPT in the authority":        in(1, opt(0, 0)),
		"OPT that points to a name":   with(append([]byte("\xc0\x0c"), opt(0, 0)[1:]...)),
		"OPT that points to nothing":  with(append([]byte("\xff\xff"), opt(0, 0)[1:]...)),
		"two OPT, class CHAOS":        chaos.octets(),
		"two OPT, NOTIFY":             notify.octets(),
		"version of a zone":           edns(0, option(dns.EDNS0ZONEVERSION, 2, 0)...),
		"version of a zone, and EDNS": edns(1<<16, option(dns.EDNS0ZONEVERSION, 2, 0)...),
		"TSIG as an answer":           in(0, signed),
		"TSIG in the authority":       in(1, signed),
		"TSIG before OPT":             in(2, signed, opt(0, 0)),
		"two TSIG":                    in(2, signed, signed),
		"TSIG of class IN":            with(tsig("\x01k\x00", dns.ClassINET, wholeTSIG)),
		"TSIG without an algorithm":   with(tsig("\x01k\x00", dns.ClassANY, "")),
	} {
		if kind := new(fastpath.Query).Parse(msg, supported); kind != fastpath.Malformed {
			t.Errorf("%s: %x is of kind %d", name, msg, kind)
		}
	}
	for n := range len(wholeTSIG) + 2 { // cut off anywhere, or too long
		data := (wholeTSIG + "x")[:n]
		kind := new(fastpath.Query).Parse(with(tsig("\x01k\x00", dns.ClassANY, data)), supported)
		if want := n != len(wholeTSIG); (kind == fastpath.Malformed) != want || kind == fastpath.Plain {
			t.Errorf("TSIG of %d octets: kind %d", n, kind)
		}
	}
	for name, msg := range map[string][]byte{
		"version 1": edns(1 << 16), "version 255, DO": edns(255<<16 | do), "options": edns(1<<16, option(19)...),
		"beside TSIG": in(2, opt(512, 1<<16), signed),
	} {
		if kind := new(fastpath.Query).Parse(msg, supported); kind != fastpath.BadVersion {
			t.Errorf("EDNS %s: %x is of kind %d", name, msg, kind)
		}
	}
}

// wholeTSIG is the RDATA of a TSIG record: algorithm, time, fudge, a MAC of four octets, ID, error, six octets of other data.
const wholeTSIG = "\x03alg\x00" + "\x00\x00\x66\x00\x00\x00" + "\x01\x2c" + "\x00\x04macs" + "\xbe\xef" + "\x00\x00" + "\x00\x06others"

// tsig returns a TSIG record.
func tsig(key string, class uint16, data string) []byte {
	b := binary.BigEndian.AppendUint16([]byte(key), dns.TypeTSIG)
	b = append(binary.BigEndian.AppendUint16(b, class), 0, 0, 0, 0)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(data))), data...)
}

// The errors are answers of which nothing is left out (RFC 6891 §6.1.3, §7).
func TestRefusals(t *testing.T) {
	buf := make([]byte, fastpath.MaxQuery)
	p := plain().with(opt(0, 1<<16|do))
	p.flags |= dns.OpcodeNotify<<11 | 1<<4
	var q fastpath.Query
	kind := q.Parse(p.octets(), supported)
	q.Limit(1400)
	var m dns.Msg
	if err := m.Unpack(new(fastpath.Writer).Refuse(buf, &q, kind)); err != nil {
		t.Fatal(err)
	}
	o := m.IsEdns0()
	if m.Id != queryID || !m.Response || m.Opcode != dns.OpcodeNotify || m.Rcode != dns.RcodeBadVers || m.RecursionDesired ||
		len(m.Question) != 1 || o == nil || o.UDPSize() != 1400 || !o.Do() || o.Version() != 0 {
		t.Errorf("BADVERS: %v", &m)
	}
	p = plain().with(opt(0, 0)).with(opt(0, 0))
	kind = q.Parse(p.octets(), supported)
	if err := m.Unpack(new(fastpath.Writer).Refuse(buf, &q, kind)); err != nil {
		t.Fatal(err)
	}
	if m.Id != queryID || !m.Response || m.Rcode != dns.RcodeFormatError || !m.RecursionDesired || len(m.Question) != 1 || len(m.Extra) > 0 {
		t.Errorf("FORMERR: %v", &m)
	}
}

// RFC 7314 §2, §3.2: the expiry is told to who asks, whatever is in the option, with room for it and without memory.
func TestExpiryOfTheZone(t *testing.T) {
	var q fastpath.Query
	var m dns.Msg
	for value, asked := range map[string]bool{"": true, "\x01": true, "\x00\x01\x51\x80": true, "123456": true, "none": false} {
		query := plain().with(opt(1232, 0))
		if asked {
			query = plain().with(opt(1232, 0, option(9, []byte(value)...)...))
		}
		if q.Parse(query.octets(), supported) != fastpath.Plain || q.Expire != asked {
			t.Fatalf("%q: asked is %v", value, q.Expire)
		}
		if !asked {
			continue
		}
		q.SetExpire(0x01020304)
		q.Limit(1232)
		reply, ok := new(fastpath.Writer).Reply(make([]byte, 1232), &q, &zone.Answer{})
		if err := m.Unpack(reply); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if e, ok := m.IsEdns0().Option[0].(*dns.EDNS0_EXPIRE); !ok || e.Empty || e.Expire != 0x01020304 {
			t.Errorf("%q: %v", value, m.IsEdns0())
		}
		q.Room = len(reply) - 1
		if _, ok := new(fastpath.Writer).Reply(make([]byte, 1232), &q, &zone.Answer{}); ok {
			t.Error("The expiry is written where it has no room")
		}
	}
	msg, buf, w := plain().with(opt(1232, 0, option(9)...)).octets(), make([]byte, 1232), new(fastpath.Writer)
	if n := testing.AllocsPerRun(100, func() {
		q.Parse(msg, supported)
		q.SetExpire(7)
		w.Reply(buf, &q, &zone.Answer{})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// RFC 9660 §3: the version is told to who asks, with room for it.
func TestVersionOfTheZone(t *testing.T) {
	var q fastpath.Query
	var m dns.Msg
	for _, asked := range []bool{true, false} {
		msg := plain().with(opt(1232, 0)).octets()
		if asked {
			msg = plain().with(opt(1232, 0, option(19)...)).octets()
		}
		if q.Parse(msg, supported) != fastpath.Plain || q.Version != asked {
			t.Fatalf("Asked: %v", q.Version)
		}
		if asked {
			q.SetVersion(2, 0x01020304)
		}
		q.Limit(1232)
		reply, ok := new(fastpath.Writer).Reply(make([]byte, 1232), &q, &zone.Answer{})
		if err := m.Unpack(reply); !ok || err != nil {
			t.Fatal(ok, err)
		}
		options := m.IsEdns0().Option
		if !asked && len(options) == 0 {
			continue
		}
		if v, ok := options[0].(*dns.EDNS0_ZONEVERSION); !asked || !ok || v.LabelCount != 2 || v.Type != 0 || v.Version != "\x01\x02\x03\x04" {
			t.Errorf("Version: %v", m.IsEdns0())
		}
		q.Room = len(reply) - 1
		if _, ok := new(fastpath.Writer).Reply(make([]byte, 1232), &q, &zone.Answer{}); ok {
			t.Error("The version is written where it has no room")
		}
	}
}

// Options that miekg/dns does not take become padding, unless that would break a signature; all others stay.
func TestOddOptionsAreDisarmed(t *testing.T) {
	for _, c := range []struct {
		option []byte
		odd    bool
	}{
		{option(1), true}, {option(1, make([]byte, 18)...), false}, {option(2, 1), true}, {option(2, 1, 2, 3, 4), false},
		{option(8), true}, {option(8, 0, 1, 24, 0, 192, 0, 2), false}, {option(8, 0, 9, 24, 0, 192, 0, 2), true},
		{option(9), false}, {option(9, 1), true}, {option(10, 1), false}, {option(11, 1), true}, {option(15), true}, {option(18), true}, {option(19), true},
		{option(65001), false},
	} {
		for _, signed := range []bool{false, true} {
			p := plain().with(opt(1232, 0, slices.Concat(option(dns.EDNS0NSID), c.option)...))
			p.qtype = dns.TypeAXFR
			if signed {
				p = p.with(tsig("\x01k\x00", dns.ClassANY, wholeTSIG))
			}
			msg := p.octets()
			var q fastpath.Query
			if kind := q.Parse(msg, supported); kind != fastpath.Other {
				t.Errorf("%x is of kind %d", msg, kind)
			}
			q.Disarm()
			if changed := !bytes.Equal(msg, p.octets()); changed != (c.odd && !signed) {
				t.Errorf("Option %x, signed %v: changed %v", c.option, signed, changed)
			}
			if err := new(dns.Msg).Unpack(msg); err != nil && !signed {
				t.Errorf("Option %x: %v", c.option, err)
			}
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
		{65507, 65507, 0}, {65535, 65535, do},
	} {
		msg := plain().with(opt(uint16(c.size), c.ttl)).octets()
		if q.Parse(msg, supported) != fastpath.Plain || q.Room != c.room || q.DNSSEC != (c.ttl&do != 0) {
			t.Errorf("Size %d, TTL %#x: room %d, DNSSEC %v", c.size, c.ttl, q.Room, q.DNSSEC)
		}
		msg = plain().octets()
		same := q.Parse(msg, supported) == fastpath.Plain && q.Type == dns.TypeA && bytes.Equal(q.Name, plain().name)
		if !same || q.Room != 512 || q.DNSSEC {
			t.Errorf("Without EDNS: %+v", q)
		}
		if &q.Name[0] != &msg[12] {
			t.Error("The name is a copy")
		}
	}
}

// Options are ignored, whatever is in them, but for the version of a zone.
func TestOptionsAreIgnored(t *testing.T) {
	t.Parallel()
	var q fastpath.Query
	for code := range 1 << 16 {
		for _, n := range []int{0, 1, 2, 5, 13} {
			value := bytes.Repeat([]byte{0xff}, n)
			msg := plain().with(opt(1232, 0, option(uint16(code), value...)...)).octets()
			want := fastpath.Plain
			switch {
			case code == supportedOption:
				want = fastpath.Other
			case code == dns.EDNS0ZONEVERSION && n > 0:
				want = fastpath.Malformed
			}
			if kind := q.Parse(msg, supported); kind != want {
				t.Fatalf("Option %d with %x: kind %d, want %d", code, value, kind, want)
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
