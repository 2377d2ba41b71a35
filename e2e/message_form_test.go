//go:build e2e

package e2e_test

import (
	bigendian "encoding/binary" // the name is taken by the path of the server
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// form is a message put together octet by octet. It is a plain value.
type form struct {
	opcode, qtype, class uint16
	name                 string // of the question
	sections             [3][][]byte
	announced            [3]uint16 // records more than there are
	alone                bool      // CoreDNS's server answers it without a plugin, on its own sockets
}

func formOf(name string, qtype uint16) form {
	return form{name: name, qtype: qtype, class: dns.ClassINET}
}

// with returns the message with records in a section: 0 is the answer section.
func (f form) with(section int, rrs ...[]byte) form {
	f.sections[section] = slices.Concat(f.sections[section], rrs)
	return f
}

// announcing returns the message with more records announced in a section than it has.
func (f form) announcing(section int, more uint16) form {
	f.announced[section] = more
	return f.byCoreDNS()
}

func (f form) byCoreDNS() form { f.alone = true; return f }

func (f form) of(opcode, class uint16) form {
	f.opcode, f.class = opcode, class
	return f
}

func (f form) pack(t *testing.T) []byte {
	t.Helper()
	b := bigendian.BigEndian.AppendUint16(nil, 0x4711)
	b = bigendian.BigEndian.AppendUint16(b, f.opcode<<11)
	b = bigendian.BigEndian.AppendUint16(b, 1)
	for i, s := range f.sections {
		b = bigendian.BigEndian.AppendUint16(b, uint16(len(s))+f.announced[i])
	}
	name := make([]byte, 256)
	n, err := dns.PackDomainName(f.name, name, 0, nil, false)
	if err != nil {
		t.Fatalf("Name %s: %v", f.name, err)
	}
	b = append(b, name[:n]...)
	b = bigendian.BigEndian.AppendUint16(bigendian.BigEndian.AppendUint16(b, f.qtype), f.class)
	for _, s := range f.sections {
		b = append(b, slices.Concat(s...)...)
	}
	return b
}

// octetsOf returns a record whose owner and RDATA are as they stand in the message.
func octetsOf(owner string, rrtype, class uint16, ttl uint32, data string) []byte {
	b := bigendian.BigEndian.AppendUint16([]byte(owner), rrtype)
	b = bigendian.BigEndian.AppendUint16(b, class)
	b = bigendian.BigEndian.AppendUint32(b, ttl)
	return append(bigendian.BigEndian.AppendUint16(b, uint16(len(data))), data...)
}

func optOf(version uint32, options string) []byte {
	return octetsOf("\x00", dns.TypeOPT, udpSize, version<<16, options)
}

func optionOf(code byte, value string) string {
	return "\x00" + string([]byte{code, 0, byte(len(value))}) + value
}

// strangeTSIG returns a TSIG record of a key that nobody has, signed now.
func strangeTSIG(class uint16, change func(data string) string) []byte {
	signed := bigendian.BigEndian.AppendUint64(nil, uint64(time.Now().Unix()))
	data := "\x0bhmac-sha256\x00" + string(signed[2:]) + "\x01\x2c\x00\x20" + strings.Repeat("m", 32) + "\x47\x11\x00\x00\x00\x00"
	if change != nil {
		data = change(data)
	}
	return octetsOf("\x07strange\x00", dns.TypeTSIG, class, 0, data)
}

const formOrigin = "form.test."

// forms are messages that break rules, or look as if they did, by what is odd about them.
func forms() map[string]form {
	www, opt, tsig := formOf("www."+formOrigin, dns.TypeA), optOf(0, ""), strangeTSIG(dns.ClassANY, nil)
	cut := func(n int) []byte { return strangeTSIG(dns.ClassANY, func(data string) string { return data[:n] }) }
	all := map[string]form{
		"plain": www, "EDNS": www.with(2, opt), "no name": formOf("none."+formOrigin, dns.TypeA).with(2, opt),
		"no zone": formOf("www.none.test.", dns.TypeA), "no zone, EDNS": formOf("www.none.test.", dns.TypeA).with(2, opt),
		"no zone, ANY": formOf("www.none.test.", dns.TypeANY), "root": formOf(".", dns.TypeNS), "class CHAOS": www.of(0, dns.ClassCHAOS),
		"two OPT": www.with(2, opt, opt), "three OPT": www.with(2, opt, opt, opt), "two OPT, no zone": formOf("none.test.", dns.TypeA).with(2, opt, opt),
		"two OPT, one of version 1": www.with(2, optOf(1, ""), opt),
		"two OPT, class CHAOS":      www.of(0, dns.ClassCHAOS).with(2, opt, opt).byCoreDNS(),
		"OPT as answer":             www.with(0, opt), "OPT as authority": www.with(1, opt), "OPT thrice": www.with(0, opt).with(1, opt).with(2, opt),
		"OPT with an owner":              www.with(2, octetsOf("\x01a\x00", dns.TypeOPT, udpSize, 0, "")),
		"EDNS version 1":                 www.with(2, optOf(1, "")),
		"EDNS version 255, no zone":      formOf("none.test.", dns.TypeA).with(2, optOf(255, "")),
		"EDNS version 1, zone version":   www.with(2, optOf(1, optionOf(19, ""))).byCoreDNS(),
		"EDNS flags":                     www.with(2, octetsOf("\x00", dns.TypeOPT, udpSize, 0x7fff, "")),
		"extended RCODE":                 www.with(2, octetsOf("\x00", dns.TypeOPT, udpSize, 1<<24, "")),
		"option cut off":                 www.with(2, optOf(0, "\x00\x03\x00\x05a")),
		"option without a length":        www.with(2, optOf(0, "\x00\x03\x00")),
		"OPT cut off":                    www.with(2, opt[:8]),
		"additional record missing":      www.announcing(2, 1),
		"answer missing":                 www.announcing(0, 1),
		"authority record missing":       www.announcing(1, 1),
		"additional record missing, OPT": www.with(2, opt).announcing(2, 1),
		"unknown key":                    www.with(2, tsig),
		"unknown key, EDNS":              www.with(2, opt, tsig),
		"unknown key, NOTIFY":            formOf(formOrigin, dns.TypeSOA).of(dns.OpcodeNotify, dns.ClassINET).with(2, tsig),
		"unknown algorithm":              www.with(2, strangeTSIG(dns.ClassANY, func(data string) string { return "\x03foo" + data[12:] })),
		"TSIG before OPT":                www.with(2, tsig, opt),
		"two TSIG":                       www.with(2, tsig, tsig),
		"TSIG as answer":                 www.with(0, tsig),
		"TSIG as authority":              www.with(1, tsig),
		"TSIG of class IN":               www.with(2, strangeTSIG(dns.ClassINET, nil)),
		"TSIG with too much":             www.with(2, strangeTSIG(dns.ClassANY, func(data string) string { return data + "more" })),
		"opcode IQUERY":                  www.of(1, dns.ClassINET),
		"opcode STATUS":                  www.of(2, dns.ClassINET),
		"opcode 15":                      www.of(15, dns.ClassINET),
	}
	for n := range 51 { // all but the whole
		all[fmt.Sprintf("TSIG of %d octets", n)] = www.with(2, cut(n))
	}
	for _, code := range []byte{1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 200} {
		for i, value := range []string{"", "\x00", "ab", "\x00\x01\x00\x00", "12345678", "123456789012345678"} {
			if code == 19 && i > 0 {
				continue // FORMERR from servers that know ZONEVERSION, as Knot 3.5 and NSD 4.13 do, and ignored by all others
			}
			f := www.with(2, optOf(0, optionOf(code, value)))
			f.alone = code != 10
			all[fmt.Sprintf("option %d, %q", code, value)] = f
		}
	}
	return all
}

// verdict is what an answer says of a message. It is a plain value.
type verdict struct {
	rcode int // -1 for no answer
	opt   bool
	tsig  int // the error, -1 for no TSIG record
}

func (v verdict) String() string {
	if v.rcode < 0 {
		return "no answer"
	}
	return fmt.Sprintf("%s, OPT %v, TSIG %d", dns.RcodeToString[v.rcode], v.opt, v.tsig)
}

// judgedBy sends a message and reads the answer.
func judgedBy(t *testing.T, network, addr string, msg []byte) verdict {
	t.Helper()
	const patience = time.Second // some servers do not answer some messages
	var d net.Dialer
	c, err := d.DialContext(t.Context(), network, addr)
	if err != nil {
		t.Fatalf("Connection to %s: %v", addr, err)
	}
	defer c.Close()
	conn := dns.Conn{Conn: c, UDPSize: dns.MaxMsgSize}
	for range 3 {
		_, _ = conn.Write(msg)
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if m, err := conn.ReadMsg(); err == nil {
			v := verdict{rcode: m.Rcode, opt: m.IsEdns0() != nil, tsig: -1}
			if s := m.IsTsig(); s != nil {
				v.tsig = int(s.Error)
			}
			return v
		}
		if network == "tcp" {
			break // closed
		}
	}
	return verdict{rcode: -1}
}

// TestMessageFormIsJudgedAsByBINDKnotAndNSD sends odd messages to the three references and to us: where they agree on the
// RCODE we agree with them, over UDP by our own sockets and over TCP through the chain, but for what CoreDNS answers alone.
func TestMessageFormIsJudgedAsByBINDKnotAndNSD(t *testing.T) {
	t.Parallel()
	z := newCorpusZone(formOrigin, corpusVariants[0],
		"@ 300 SOA ns1 host 1 3600 900 1209600 300\n@ 300 NS ns1\nns1 300 A 192.0.2.1\nwww 300 A 192.0.2.2\n")
	c := startContest(t, []*corpusZone{z}, "fastpath")
	agreed, all := 0, forms()
	for name, f := range all {
		msg := f.pack(t)
		for _, network := range []string{"udp", "tcp"} {
			var said []verdict
			for _, r := range c.refs {
				said = append(said, judgedBy(t, network, r.addr(), msg))
			}
			if said[0].rcode != said[1].rcode || said[0].rcode != said[2].rcode {
				continue
			}
			agreed++
			got, want := judgedBy(t, network, c.sec.addr(), msg), said[0]
			alone := f.alone && network == "tcp"
			if got.rcode != want.rcode && !alone {
				t.Errorf("%s, over %s: %v; BIND, Knot and NSD say %v", name, network, got, said)
			}
			if sameOPT := said[0].opt == said[1].opt && said[0].opt == said[2].opt; sameOPT && got.opt != want.opt && !alone {
				t.Errorf("%s, over %s: %v; BIND, Knot and NSD say %v", name, network, got, said)
			}
			if want.rcode == dns.RcodeNotAuth && got.tsig != want.tsig { // BIND and NSD say why
				t.Errorf("%s, over %s: %v; BIND says %v", name, network, got, want)
			}
		}
	}
	t.Logf("BIND, Knot and NSD agree on %d of %d", agreed, 2*len(all))
	if agreed < len(all) {
		t.Errorf("BIND, Knot and NSD agree on %d of %d", agreed, 2*len(all))
	}
}
