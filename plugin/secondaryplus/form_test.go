package secondaryplus

import (
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	scripted "github.com/secondaryplus/secondaryplus/internal/dnstest"
)

// rawMessage is a message put together from records in wire form. It is a plain value.
type rawMessage struct {
	opcode    uint16
	name      string // of the question
	qtype     uint16
	class     uint16
	counts    *[4]uint16 // instead of those of the sections; nil for those
	an, ns, x [][]byte
}

// asks returns a query for the name and type.
func asks(name string, qtype uint16) rawMessage {
	return rawMessage{name: name, qtype: qtype, class: dns.ClassINET}
}

func (m rawMessage) in(an ...[]byte) rawMessage   { m.an = an; return m }
func (m rawMessage) auth(ns ...[]byte) rawMessage { m.ns = ns; return m }
func (m rawMessage) with(x ...[]byte) rawMessage  { m.x = x; return m }
func (m rawMessage) of(opcode, class uint16) rawMessage {
	m.opcode, m.class = opcode, class
	return m
}

// saying returns m with other section counts than it has.
func (m rawMessage) saying(counts ...uint16) rawMessage {
	m.counts = (*[4]uint16)(counts)
	return m
}

func (m rawMessage) pack(t testing.TB) []byte {
	t.Helper()
	counts := [4]uint16{1, uint16(len(m.an)), uint16(len(m.ns)), uint16(len(m.x))}
	if m.counts != nil {
		counts = *m.counts
	}
	b := binary.BigEndian.AppendUint16(nil, 0x1234)
	b = binary.BigEndian.AppendUint16(b, m.opcode<<11)
	for _, n := range counts {
		b = binary.BigEndian.AppendUint16(b, n)
	}
	b = append(b, wireName(t, m.name)...)
	b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, m.qtype), m.class)
	return append(b, slices.Concat(slices.Concat(m.an, m.ns, m.x)...)...)
}

// signed returns the message signed with a key of the name.
func (m rawMessage) signed(t testing.TB, key, algorithm string, spoil func(*scripted.Signer)) []byte {
	t.Helper()
	s := scripted.NewSigner(key, algorithm, testSecret, nil)
	if spoil != nil {
		spoil(s)
	}
	return s.Sign(m.pack(t))
}

// rawRR returns a record in wire form; owner is as it stands in the message.
func rawRR(owner string, rrtype, class uint16, ttl uint32, data string) []byte {
	b := binary.BigEndian.AppendUint16([]byte(owner), rrtype)
	b = binary.BigEndian.AppendUint16(b, class)
	b = binary.BigEndian.AppendUint32(b, ttl)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}

func rawOPT(version byte, options string) []byte {
	return rawRR("\x00", dns.TypeOPT, 1232, uint32(version)<<16, options)
}

// rawTSIG returns a TSIG record of a key and algorithm nobody has; behind the algorithm stands data.
func rawTSIG(class uint16, data string) []byte {
	return rawRR("\x05nokey\x00", dns.TypeTSIG, class, 0, "\x0bhmac-sha256\x00"+data)
}

// unknownTSIG is a TSIG record in order.
func unknownTSIG() []byte { return rawTSIG(dns.ClassANY, anyTSIG) }

// anyTSIG is what stands behind the algorithm of a TSIG record: time, fudge, a MAC of four octets, ID, error, no other data.
const anyTSIG = "\x00\x00\x66\x00\x00\x00\x01\x2c\x00\x04macs\x12\x34\x00\x00\x00\x00"

// formCase is a message that breaks a rule of form and the RCODE that is its due. It is a plain value.
type formCase struct {
	msg   rawMessage
	rcode int
	tsig  int  // the error of the TSIG record of the answer, -1 for no record
	alone bool // CoreDNS's server answers it without a plugin, where it came by its own socket
}

// formCases are messages that are about example.org, by what is wrong with them.
func formCases() map[string]formCase {
	www := asks("www.example.org.", dns.TypeA)
	opt, tsig := rawOPT(0, ""), unknownTSIG()
	wrong := func(m rawMessage) formCase { return formCase{msg: m, rcode: dns.RcodeFormatError, tsig: -1} }
	alone := func(m rawMessage) formCase {
		return formCase{msg: m, rcode: dns.RcodeFormatError, tsig: -1, alone: true}
	}
	badKey := func(m rawMessage) formCase { return formCase{msg: m, rcode: dns.RcodeNotAuth, tsig: dns.RcodeBadKey} }
	return map[string]formCase{
		"two OPT":                         wrong(www.with(opt, opt)),
		"two OPT, one of version 1":       wrong(www.with(rawOPT(1, ""), opt)),
		"OPT in the answer section":       wrong(www.in(opt)),
		"OPT in the authority section":    wrong(www.auth(opt)),
		"OPT in two sections":             wrong(www.in(opt).with(opt)),
		"OPT with an owner":               wrong(www.with(rawRR("\x01a\x00", dns.TypeOPT, 1232, 0, ""))),
		"OPT with the question's name":    wrong(www.with(rawRR("\xc0\x0c", dns.TypeOPT, 1232, 0, ""))),
		"a zone version in a query":       wrong(www.with(rawOPT(0, "\x00\x13\x00\x02\x02\x00"))),
		"NOTIFY with two OPT":             wrong(asks("example.org.", dns.TypeSOA).of(dns.OpcodeNotify, 1).with(opt, opt)),
		"UPDATE with two OPT":             wrong(asks("example.org.", dns.TypeSOA).of(dns.OpcodeUpdate, 1).with(opt, opt)),
		"two OPT in no zone":              wrong(asks("www.example.net.", dns.TypeA).with(opt, opt)),
		"two OPT, for ANY":                wrong(asks("www.example.org.", dns.TypeANY).with(opt, opt)),
		"two OPT, for DS":                 wrong(asks("www.example.org.", dns.TypeDS).with(opt, opt)),
		"TSIG before OPT":                 wrong(www.with(tsig, opt)),
		"two TSIG":                        wrong(www.with(tsig, tsig)),
		"TSIG in the answer section":      wrong(www.in(tsig)),
		"TSIG in the authority section":   wrong(www.auth(tsig)),
		"TSIG of class IN":                wrong(www.with(rawTSIG(dns.ClassINET, anyTSIG))),
		"TSIG without data":               wrong(www.with(rawRR("\x05nokey\x00", dns.TypeTSIG, dns.ClassANY, 0, ""))),
		"TSIG with an algorithm only":     wrong(www.with(rawTSIG(dns.ClassANY, ""))),
		"TSIG that ends behind the time":  wrong(www.with(rawTSIG(dns.ClassANY, anyTSIG[:6]))),
		"TSIG that ends behind the fudge": wrong(www.with(rawTSIG(dns.ClassANY, anyTSIG[:8]))),
		"TSIG without other data":         wrong(www.with(rawTSIG(dns.ClassANY, anyTSIG[:len(anyTSIG)-1]+"\x06"))),
		"TSIG that ends in the MAC":       alone(www.with(rawTSIG(dns.ClassANY, anyTSIG[:12]))),
		"three OPT":                       alone(www.with(opt, opt, opt)),
		"an option cut off":               alone(www.with(rawOPT(0, "\x00\x03\x00\x05a"))),
		"a zone version of one octet":     alone(www.with(rawOPT(0, "\x00\x13\x00\x01\x02"))),
		"unknown key":                     badKey(www.with(tsig)),
		"unknown key and OPT":             badKey(www.with(opt, tsig)),
		"unknown key, for DS":             badKey(asks("www.example.org.", dns.TypeDS).with(tsig)),
		"unknown key in no zone":          badKey(asks("www.example.net.", dns.TypeA).with(tsig)),
		"unknown key, UPDATE":             badKey(asks("example.org.", dns.TypeSOA).of(dns.OpcodeUpdate, 1).with(tsig)),
		"unknown key, NOTIFY":             badKey(asks("example.org.", dns.TypeSOA).of(dns.OpcodeNotify, 1).with(tsig)),
		"algorithm as a pointer": badKey(www.with(
			rawRR("\x05nokey\x00", dns.TypeTSIG, dns.ClassANY, 0, "\xc0\x0c"+anyTSIG))),
	}
}

// exchangeRaw sends a message as it is and returns the reply taken apart.
func exchangeRaw(t *testing.T, network, addr string, msg []byte) *dns.Msg {
	t.Helper()
	if network == "udp" {
		return unpack(t, sendRaw(t, addr, msg))
	}
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	conn := &dns.Conn{Conn: c}
	_ = conn.SetDeadline(time.Now().Add(replyTime))
	if _, err := conn.Write(msg); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatalf("No reply: %v", err)
	}
	return unpack(t, buf[:n])
}

// replyTime is how long a reply may take on a busy machine.
const replyTime = 30 * time.Second

// formLab returns the address of a CoreDNS in whose block only secondaryplus answers, for example.org and another zone.
func formLab(t *testing.T, option string) (addr string) {
	t.Helper()
	p := newPrimaryOf(t, exampleOrg...)
	port := unusedPort(t)
	runCoreDNS(t, fmt.Sprintf(`.:%s {
		bind 127.0.0.1
		errors
		secondaryplus example.org {
			primary %s
			key known.key. hmac-sha256 SECRET
			key old.key. hmac-md5 SECRET
			%s
		}
		secondaryplus empty.example {
			primary %[2]s
		}
	}`, port, p.Addr(), option))
	addr = "127.0.0.1:" + port
	waitServed(t, addr, "example.org.", 7)
	return addr
}

// RFC 6891 §6.1.1 and RFC 8945 §5.2, wherever the plugin sees the message.
func TestMalformedRequestsAreRejected(t *testing.T) {
	addr := formLab(t, "fastpath off")
	for _, network := range []string{"udp", "tcp"} {
		for name, c := range formCases() {
			checkForm(t, network+", "+name, c, exchangeRaw(t, network, addr, c.msg.pack(t)))
		}
	}
}

// checkForm fails the test unless the answer to a message with a fault is as it should be.
func checkForm(t *testing.T, name string, c formCase, m *dns.Msg) {
	t.Helper()
	if m.Rcode != c.rcode || m.Authoritative || len(m.Answer)+len(m.Ns) > 0 || m.Opcode != int(c.msg.opcode) && !c.alone {
		t.Errorf("%s: %v\nwant %s", name, m, dns.RcodeToString[c.rcode])
	}
	got := -1
	if sig := m.IsTsig(); sig != nil {
		got = int(sig.Error)
		if sig.MACSize != 0 {
			t.Errorf("%s: the answer is signed", name) // RFC 8945 §5.2.1: with what?
		}
	}
	if got != c.tsig {
		t.Errorf("%s: TSIG error %d; want %d", name, got, c.tsig)
	}
	if c.rcode == dns.RcodeFormatError && m.IsEdns0() != nil {
		t.Errorf("%s: with an OPT record", name)
	}
}

// A query that is signed with a key of any directive gets a signed answer, whatever it is (RFC 8945 §5.3).
func TestSignedQueriesGetSignedAnswers(t *testing.T) {
	for _, option := range []string{"fastpath off", "fastpath 1"} {
		addr := formLab(t, option)
		for name, c := range map[string]struct {
			msg   rawMessage
			rcode int
		}{
			"answer":       {asks("www.example.org.", dns.TypeA), dns.RcodeSuccess},
			"with OPT":     {asks("www.example.org.", dns.TypeA).with(rawOPT(0, "")), dns.RcodeSuccess},
			"NXDOMAIN":     {asks("none.example.org.", dns.TypeA), dns.RcodeNameError},
			"no contents":  {asks("empty.example.", dns.TypeA).with(rawOPT(0, "")), dns.RcodeServerFailure},
			"no zone":      {asks("example.net.", dns.TypeA).with(rawOPT(0, "")), dns.RcodeRefused},
			"AXFR":         {asks("example.org.", dns.TypeAXFR), dns.RcodeRefused},
			"UPDATE":       {asks("example.org.", dns.TypeSOA).of(dns.OpcodeUpdate, 1), dns.RcodeRefused},
			"many records": {asks("many.example.org.", dns.TypeA), dns.RcodeNameError},
		} {
			for key, algorithm := range map[string]string{"known.key.": dns.HmacSHA256, "KNOWN.key.": dns.HmacSHA256, "old.key.": dns.HmacMD5} {
				s := scripted.NewSigner(key, algorithm, testSecret, nil)
				reply := sendRaw(t, addr, s.Sign(c.msg.pack(t)))
				m := unpack(t, reply)
				if m.Rcode != c.rcode || (m.IsEdns0() != nil) != (len(c.msg.x) > 0) {
					t.Errorf("%s, key %s: %v\nwant %s", name, key, m, dns.RcodeToString[c.rcode])
				}
				verifiedWith(t, reply, dns.CanonicalName(key), algorithm, s.MAC())
			}
		}
	}
}

// What is wrong with a signature is told, and the answer is not.
func TestQueriesWithWrongSignaturesGetNoAnswer(t *testing.T) {
	addr := formLab(t, "fastpath off")
	www := asks("www.example.org.", dns.TypeA)
	for name, c := range map[string]struct {
		msg  []byte
		code uint16
	}{
		"signature": {www.signed(t, "known.key.", dns.HmacSHA256, func(s *scripted.Signer) { s.Corrupt = true }), dns.RcodeBadSig},
		"time":      {www.signed(t, "known.key.", dns.HmacSHA256, func(s *scripted.Signer) { s.Time = time.Unix(1000, 0) }), dns.RcodeBadTime},
		"algorithm": {www.signed(t, "known.key.", dns.HmacSHA1, nil), dns.RcodeBadKey},
		"name":      {www.signed(t, "another.key.", dns.HmacSHA256, nil), dns.RcodeBadKey},
	} {
		m := unpack(t, sendRaw(t, addr, c.msg))
		if sig := m.IsTsig(); m.Rcode != dns.RcodeNotAuth || len(m.Answer) > 0 || sig == nil || sig.Error != c.code {
			t.Errorf("Wrong %s: %v", name, m)
		}
	}
}

// A name in no zone of ours is REFUSED where no plugin stands behind, NOTAUTH if it is to be transferred (RFC 5936 §2.2.1), without a
// line in the log.
func TestNamesInNoZoneAreRefused(t *testing.T) {
	zones := write(t, t.TempDir(), "zones", "a.test\nb.test\n")
	p := newPrimaryOf(t, exampleOrg...)
	block := "secondaryplus %s {\nprimary " + p.Addr().String() + "\n%s\n}"
	for name, directives := range map[string]string{
		"one zone":       fmt.Sprintf(block, "example.org", ""),
		"two directives": fmt.Sprintf(block+"\n"+block, "example.org", "", "a.test", "fallthrough"),
		"zones file":     fmt.Sprintf(block, "", "zones_file "+zones),
		"fallthrough":    fmt.Sprintf(block, "example.org", "fallthrough"),
		"fast path":      fmt.Sprintf(block, "example.org", "fastpath 1"),
		"transfer":       "transfer {\nto *\n}\n" + fmt.Sprintf(block, "example.org", ""),
		"cache":          "cache\n" + fmt.Sprintf(block, "example.org", ""),
	} {
		t.Run(name, func(t *testing.T) {
			port := unusedPort(t)
			runCoreDNS(t, fmt.Sprintf(".:%s {\nbind 127.0.0.1\nerrors\n%s\n}", port, directives))
			l := keepLog(t)
			for _, network := range []string{"udp", "tcp"} {
				for _, qtype := range []uint16{dns.TypeA, dns.TypeANY, dns.TypeSOA, dns.TypeDS, dns.TypeAXFR, dns.TypeIXFR, 65280} {
					for _, class := range []uint16{dns.ClassINET, dns.ClassCHAOS, dns.ClassANY, dns.ClassNONE} {
						q := question("www.none.test.", qtype)
						q.Question[0].Qclass = class
						if qtype == dns.TypeIXFR {
							q.Ns = recordsOf([]string{"www.none.test. 1 IN SOA a. b. 1 2 3 4 5"})
						}
						q.SetEdns0(1232, false)
						m := exchangeRaw(t, network, "127.0.0.1:"+port, scripted.Pack(q))
						want := dns.RcodeRefused
						if isTransfer(qtype) && class == dns.ClassINET && (name != "transfer" || network == "tcp") {
							want = dns.RcodeNotAuth // over UDP the transfer plugin refuses it
						}
						if m.Rcode != want || m.Authoritative || len(m.Answer) > 0 || m.IsEdns0() == nil {
							t.Errorf("%s %v: %v", network, q.Question[0], m)
						}
					}
				}
			}
			if line := l.line("ERROR"); line != "" {
				t.Errorf("It logs %s", line)
			}
		})
	}
}

// With nobody behind to ask, what would fall through does not exist.
func TestFallthroughToNobodyIsNXDOMAIN(t *testing.T) {
	h := newHandler(t, "example.org", "fallthrough", exampleOrg...)
	h.Next = nil
	if m, code := ask(t, h, question("none.example.org.", dns.TypeA)); code != dns.RcodeSuccess || m.Rcode != dns.RcodeNameError {
		t.Errorf("Code %d, %v", code, m)
	}
}

// Names that are not ours go to the plugin behind with all that the message has.
func TestOthersNamesArePassedOnAsTheyCame(t *testing.T) {
	h := newHandler(t, "example.org", "key known.key. hmac-sha256 SECRET", exampleOrg...)
	for name, msg := range map[string][]byte{
		"unknown key": asks("www.example.net.", dns.TypeA).with(unknownTSIG()).pack(t),
		"options":     asks("www.example.net.", dns.TypeA).with(rawOPT(0, "\x00\x0a\x00\x0812345678")).pack(t),
	} {
		r := unpack(t, msg)
		before := r.String()
		if m, code := ask(t, h, r); code != passedOn || m != nil || r.String() != before {
			t.Errorf("%s: code %d, %v, %v", name, code, m, r)
		}
	}
}

// manyAddresses is a zone with RRsets of many sizes: n5 has five addresses.
func manyAddresses() []string {
	rrs := slices.Clone(exampleOrg)
	for _, n := range []int{5, 25, 31, 32, 70, 72, 250, 900} {
		for i := range n {
			rrs = append(rrs, fmt.Sprintf("n%d.example.org. 600 IN A 10.0.%d.%d", n, i>>8, i&0xff))
		}
	}
	return rrs
}

// Whatever a client says it takes, no more than max_udp and bufsize allow is sent over UDP, and the OPT record says so.
func TestAnswersOverUDPHaveALimit(t *testing.T) {
	p := newPrimaryOf(t, manyAddresses()...)
	for _, c := range []struct {
		beside, option string
		limit          int
	}{
		{"", "", 1232}, {"", "max_udp 512", 512}, {"", "max_udp 4K", 4096}, {"bufsize 700", "", 700}, {"bufsize 4096", "max_udp 900", 900},
		{"log . {\nclass error\n}\nnsid here\nany", "", 1232},
	} {
		for _, fast := range []string{"fastpath off", "fastpath 1"} {
			if fast == "fastpath 1" && strings.Contains(c.beside, "log") {
				continue
			}
			port := unusedPort(t)
			addr := "127.0.0.1:" + port
			running := runCoreDNS(t, fastBlock(".:"+port, c.beside, p, "example.org", c.option+"\n"+fast))
			waitServed(t, addr, "example.org.", 7)
			if fast == "fastpath 1" {
				waitOpen(t, addr)
			}
			for _, size := range []int{0, 1, 512, 600, 1231, 1232, 1233, 4096, 65535} {
				checkLimit(t, fmt.Sprintf("%s, %s, %s", c.beside, c.option, fast), addr, size, c.limit)
			}
			stopCoreDNS(t, running)
		}
	}
}

// checkLimit asks for RRsets of many sizes with an EDNS size, 0 for none, and checks octets, TC and OPT.
func checkLimit(t *testing.T, name, addr string, size, limit int) {
	t.Helper()
	room := min(max(size, dns.MinMsgSize), limit)
	for _, n := range []int{5, 25, 31, 32, 70, 72, 250, 900} {
		q := question(fmt.Sprintf("n%d.example.org.", n), dns.TypeA)
		if size > 0 {
			q.SetEdns0(uint16(size), true)
			q.IsEdns0().Hdr.Ttl |= 0x4001 // flags nobody knows
		}
		reply := sendRaw(t, addr, scripted.Pack(q))
		m := unpack(t, reply)
		need := 12 + len(q.Question[0].Name) + 1 + 4 + 16*n
		if size > 0 {
			need += 11
		}
		if len(reply) > room || m.Truncated != (need > room) || m.Truncated == (len(m.Answer) == n) {
			t.Errorf("%s, size %d, %d records: %d octets, TC %v, %d records", name, size, n, len(reply), m.Truncated, len(m.Answer))
		}
		said := limit
		if size < limit && need+(len(m.Question[0].Name)-1)*len(m.Answer) > room && m.IsEdns0() != nil && int(m.IsEdns0().UDPSize()) == size {
			said = size // the server would not compress otherwise
		}
		checkOwnOPT(t, fmt.Sprintf("%s, size %d", name, size), m, size > 0, said)
		over := exchangeRaw(t, "tcp", addr, scripted.Pack(q))
		if over.Truncated || len(over.Answer) != n {
			t.Errorf("%s, size %d: %d of %d records over TCP", name, size, len(over.Answer), n)
		}
		checkOwnOPT(t, fmt.Sprintf("%s, size %d, TCP", name, size), over, size > 0, limit)
	}
	for _, name := range []string{"none.example.org.", "example.net.", "example.org."} { // NXDOMAIN, REFUSED, AXFR
		q := question(name, map[bool]uint16{true: dns.TypeAXFR, false: dns.TypeA}[name == "example.org."])
		q.SetEdns0(uint16(max(size, 1)), true)
		checkOwnOPT(t, name, unpack(t, sendRaw(t, addr, scripted.Pack(q))), true, limit)
	}
}

// checkOwnOPT checks that a message has the OPT record that is due, with no flag but DO.
func checkOwnOPT(t *testing.T, name string, m *dns.Msg, want bool, size int) {
	t.Helper()
	o := m.IsEdns0()
	if (o != nil) != want {
		t.Errorf("%s: OPT %v", name, o)
	}
	if o != nil && (int(o.UDPSize()) != size || o.Hdr.Ttl&0xffffff != flagDO) {
		t.Errorf("%s: OPT says %d, TTL %#x; want %d and DO", name, o.UDPSize(), o.Hdr.Ttl, size)
	}
}

// A plugin in front that makes answers longer must not make them longer than the client takes.
func TestOPTOfALongerAnswerKeepsTheClientsSize(t *testing.T) {
	p := newPrimaryOf(t, manyAddresses()...)
	port := unusedPort(t)
	runCoreDNS(t, fastBlock("example.org:"+port, "dnssec {\nkey file "+dnssecKey(t)+"\n}", p, "", ""))
	addr := "127.0.0.1:" + port
	waitServed(t, addr, "example.org.", 7)
	q := question("n25.example.org.", dns.TypeA)
	q.SetEdns0(512, true)
	if reply := sendRaw(t, addr, scripted.Pack(q)); len(reply) > 512 || unpack(t, reply).IsEdns0().UDPSize() != 512 {
		t.Errorf("%d octets: %v", len(reply), unpack(t, reply))
	}
}

// On our own sockets we decide about every message for our zones.
func TestFastPathRejectsMalformedRequestsItself(t *testing.T) {
	addr := formLab(t, "fastpath 1")
	waitOpen(t, addr)
	opt := rawOPT(0, "")
	cases := formCases()
	www := asks("www.example.org.", dns.TypeA)
	for name, m := range map[string]rawMessage{
		"no record where one is announced":     www.saying(1, 0, 0, 1),
		"no answer where one is announced":     www.saying(1, 1, 0, 0),
		"no authority where one is announced":  www.saying(1, 0, 1, 0),
		"one record of two":                    www.with(opt).saying(1, 0, 0, 2),
		"class CHAOS, two OPT":                 www.of(0, dns.ClassCHAOS).with(opt, opt),
		"two OPT, no zone, for what is for us": asks("nowhere.", dns.TypeA).with(opt, opt),
	} {
		cases[name] = formCase{msg: m, rcode: dns.RcodeFormatError, tsig: -1}
	}
	for name, c := range cases {
		checkForm(t, name, c, unpack(t, sendRaw(t, addr, c.msg.pack(t))))
	}
	if m := unpack(t, sendRaw(t, addr, www.pack(t)[:12])); m.Rcode != dns.RcodeFormatError {
		t.Errorf("A header only: %v", m)
	}
	for _, name := range []string{"www.example.org.", "example.net."} {
		m := unpack(t, sendRaw(t, addr, asks(name, dns.TypeA).with(rawOPT(1, "\x00\x13\x00\x00")).pack(t)))
		if o := m.IsEdns0(); m.Rcode != dns.RcodeBadVers || o == nil || o.UDPSize() != 1232 || o.Version() != 0 {
			t.Errorf("EDNS version 1: %v", m)
		}
	}
}

// Options that a server need not know are ignored on our own sockets, whatever is in them, also where CoreDNS gets the query.
func TestFastPathIgnoresOddOptions(t *testing.T) {
	addr := formLab(t, "fastpath 1")
	waitOpen(t, addr)
	for _, qtype := range []uint16{dns.TypeA, dns.TypeDS, dns.TypeANY, dns.TypeMAILB} {
		for _, code := range []byte{1, 2, 3, 5, 8, 9, 11, 12, 13, 15, 16, 17, 18, 20} {
			for _, value := range []string{"", "\x00", "ab", "\x00\x01\x21\x00", "12345678"} {
				m := asks("www.example.org.", qtype).with(rawOPT(0, "\x00"+string(code)+"\x00"+string(rune(len(value)))+value))
				if r := unpack(t, sendRaw(t, addr, m.pack(t))); r.Rcode != dns.RcodeSuccess || r.IsEdns0() == nil {
					t.Errorf("Type %d, option %d with %q: %v", qtype, code, value, r)
				}
			}
		}
	}
}

// RFC 9660: the zone that the name is in, and its serial, with every answer from its contents.
func TestFastPathTellsTheVersionOfTheZone(t *testing.T) {
	addr := formLab(t, "fastpath 1")
	waitOpen(t, addr)
	for name, want := range map[string]string{
		"www.example.org.": "\x00\x00\x00\x07", "none.example.org.": "\x00\x00\x00\x07", "x.sub.example.org.": "\x00\x00\x00\x07",
		"example.org.": "\x00\x00\x00\x07", "away.example.org.": "\x00\x00\x00\x07", "example.net.": "", "empty.example.": "",
	} {
		m := unpack(t, sendRaw(t, addr, asks(name, dns.TypeA).with(rawOPT(0, "\x00\x13\x00\x00")).pack(t)))
		got := ""
		for _, o := range m.IsEdns0().Option {
			if v, ok := o.(*dns.EDNS0_ZONEVERSION); ok && v.LabelCount == 2 && v.Type == 0 {
				got += v.Version
			}
		}
		if got != want {
			t.Errorf("%s: version %q, want %q: %v", name, got, want, m)
		}
	}
}
