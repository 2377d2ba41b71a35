//go:build e2e

package e2e_test

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

const (
	ednsOrigin  = "edns.test."
	emptyOrigin = "empty.test." // the primary does not have it
)

// ednsZone has RRsets of many sizes: s1 has one record, s2 two, and so on.
func ednsZone() string {
	var b strings.Builder
	b.WriteString(plainZone(ednsOrigin, 1, 3, longTimers))
	for n := range maxSet {
		for i := range n + 1 {
			fmt.Fprintf(&b, "s%d A 192.0.2.%d\n", n+1, i+1)
		}
	}
	b.WriteString("s3 TXT three\n")
	return b.String()
}

const maxSet = 80

// longNSID is what an operator may well have for a name of a server: longer than what BIND, Knot and NSD send.
var longNSID = strings.Repeat("site-a.rack-b.host-c.", 6)

// ednsLab is a CoreDNS with a server block that has secondaryplus alone, and others: their addresses. It is a plain value.
type ednsLab struct{ plain, tsig, nsid, bufsize string }

func startEDNS(t *testing.T) ednsLab {
	t.Helper()
	prim := startKnot(t, primarySpec{Zones: map[string]string{ednsOrigin: ednsZone()}})
	sec := newSecondary(t)
	rest := ""
	block := func(beside string) string {
		b := serverBlock{Port: freePort(t), Beside: beside, Zones: []string{ednsOrigin, emptyOrigin}, Primary: prim.addr()}
		rest += b.String()
		return loopback(b.Port)
	}
	l := ednsLab{
		plain:   sec.addr(),
		tsig:    block("tsig {\nsecret " + longKey.Name + " " + longKey.Secret + "\nrequire none\n}"),
		nsid:    block("nsid " + longNSID),
		bufsize: block("bufsize 700"),
	}
	sec.start(t, secondarySpec{Zones: []string{ednsOrigin, emptyOrigin}, Block: "primary " + prim.addr(), Rest: rest})
	for _, addr := range []string{l.plain, l.tsig, l.nsid, l.bufsize} {
		servesAll(t, addr, ednsOrigin)
	}
	return l
}

// longKey has the longest MAC and a long name.
var longKey = &tsigKey{
	Name: strings.Repeat(strings.Repeat("k", 40)+".", 5), Algorithm: "hmac-sha512", Secret: testKey("hmac-sha512").Secret,
}

func TestEDNSIsAnsweredAsInRFC6891(t *testing.T) {
	t.Parallel()
	l := startEDNS(t)
	t.Run("version", l.badVersion)
	t.Run("flags", l.flags)
	t.Run("options", l.options)
	t.Run("sizes", l.sizes)
	t.Run("TSIG", l.signedSizes)
	t.Run("NSID", l.nsidSizes)
	t.Run("no contents", l.noContents)
	t.Run("ANY", l.any)
}

// RFC 6891 §6.1.3: BADVERS, with the version that is implemented.
func (l ednsLab) badVersion(t *testing.T) {
	q := composeQuery("s3."+ednsOrigin, dns.TypeA, true)
	q.IsEdns0().SetVersion(1)
	m := over(t, "udp", l.plain, q)
	if o := m.IsEdns0(); m.Rcode != dns.RcodeBadVers || o == nil || o.Version() != 0 || len(m.Answer) != 0 {
		t.Errorf("Version 1: %v", m)
	}
}

// RFC 3225 §3: DO is copied; RFC 6891 §7: no OPT for a client that sends none; RFC 4035 §3.1.6 and §3.2.2: CD is
// copied, AD is for those who validate; RFC 1035 §4.1.1: RD is copied, RA is for those who recurse.
func (l ednsLab) flags(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		for _, name := range []string{"s3." + ednsOrigin, "none." + ednsOrigin, emptyOrigin} {
			for bits := range 32 {
				q := new(dns.Msg).SetQuestion(name, dns.TypeA)
				edns, do := bits&1 != 0, bits&2 != 0
				q.RecursionDesired, q.CheckingDisabled, q.AuthenticatedData = bits&4 != 0, bits&8 != 0, bits&16 != 0
				if edns {
					q.SetEdns0(udpSize, do)
				}
				m := over(t, network, l.plain, q)
				if o := m.IsEdns0(); (o != nil) != edns || edns && o.Do() != do || edns && o.Version() != 0 {
					t.Errorf("%s, EDNS %v, DO %v: OPT is %v", name, edns, do, o)
				}
				if m.RecursionDesired != q.RecursionDesired || m.CheckingDisabled != q.CheckingDisabled || m.AuthenticatedData ||
					m.RecursionAvailable || m.Zero {
					t.Errorf("%s: flags %v of a query with %v", name, m.MsgHdr, q.MsgHdr)
				}
			}
		}
	}
}

// RFC 6891 §6.1.2: unknown options are ignored.
func (l ednsLab) options(t *testing.T) {
	want := show(over(t, "udp", l.plain, composeQuery("s3."+ednsOrigin, dns.TypeA, true)))
	for name, o := range map[string]dns.EDNS0{
		"unknown":       &dns.EDNS0_LOCAL{Code: 65001, Data: []byte("any")},
		"unassigned":    &dns.EDNS0_LOCAL{Code: 100, Data: nil},
		"client subnet": &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: []byte{192, 0, 2, 0}},
		"NSID":          &dns.EDNS0_NSID{Code: dns.EDNS0NSID},
		"padding":       &dns.EDNS0_PADDING{Padding: make([]byte, 200)},
	} {
		q := composeQuery("s3."+ednsOrigin, dns.TypeA, true)
		q.IsEdns0().Option = []dns.EDNS0{o}
		if diff := cmp.Diff(want, show(over(t, "udp", l.plain, q))); diff != "" {
			t.Errorf("%s (-without +with):\n%s", name, diff)
		}
	}
}

// sized asks over UDP with a buffer, 0 for a client without EDNS, and fails the test unless the answer is within limit
// and has its RRset whole, or not at all and says so.
func sized(t *testing.T, addr string, records int, edns uint16, limit int, change func(q *dns.Msg)) *dns.Msg {
	t.Helper()
	q := new(dns.Msg).SetQuestion(fmt.Sprintf("s%d.%s", records, ednsOrigin), dns.TypeA)
	if edns > 0 {
		q.SetEdns0(edns, false)
	}
	if change != nil {
		change(q)
	}
	c := &dns.Client{
		Timeout: queryTimeout, UDPSize: dns.MaxMsgSize, TsigSecret: map[string]string{longKey.Name: longKey.Secret},
	}
	m, _, err := c.Exchange(q, addr)
	if err != nil {
		t.Fatalf("%d records for %d octets: %v", records, edns, err)
	}
	m.Compress = true
	if n := m.Len(); n > limit {
		t.Errorf("%d records for %d octets: the answer has %d", records, edns, n)
	}
	if len(m.Answer) != records && len(m.Answer) != 0 || m.Truncated != (len(m.Answer) == 0) {
		t.Errorf("%d records for %d octets: %d records, TC %v", records, edns, len(m.Answer), m.Truncated)
	}
	return m
}

func (l ednsLab) sizes(t *testing.T) {
	for edns, limit := range map[uint16]int{0: 512, 100: 512, 512: 512, 1232: 1232, 4096: 1232, 65535: 1232} {
		for n := 1; n <= maxSet; n++ {
			m := sized(t, l.plain, n, edns, limit, nil)
			// 12 octets of header, 20 of question, 16 of each record, 11 of OPT.
			fits := 12+len(m.Question[0].Name)+1+4+16*n+11*len(m.Extra) <= limit
			if fits == m.Truncated {
				t.Errorf("%d records for %d octets: TC %v", n, edns, m.Truncated)
			}
			sized(t, l.bufsize, n, edns, min(limit, 700), nil)
		}
	}
}

// Nothing behind secondaryplus shortens a signed answer.
func (l ednsLab) signedSizes(t *testing.T) {
	for _, edns := range []uint16{0, 512, 700, 1232} {
		for n := 1; n <= maxSet; n++ {
			m := sized(t, l.tsig, n, edns, max(512, int(edns)), func(q *dns.Msg) {
				q.SetTsig(longKey.Name, dns.HmacSHA512, 300, time.Now().Unix())
			})
			if m.IsTsig() == nil {
				t.Errorf("%d records for %d octets: not signed", n, edns)
			}
			sized(t, l.tsig, n, edns, max(512, int(edns)), nil)
		}
	}
}

// RFC 5001 §2.1: NSID for those who ask.
func (l ednsLab) nsidSizes(t *testing.T) {
	asks := func(q *dns.Msg) {
		q.IsEdns0().Option = append(q.IsEdns0().Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID})
	}
	for _, edns := range []uint16{512, 1232} {
		for n := 1; n <= maxSet; n++ {
			m := sized(t, l.nsid, n, edns, int(edns), asks)
			o := m.IsEdns0()
			if len(o.Option) != 1 || o.Option[0].String() != hex.EncodeToString([]byte(longNSID)) {
				t.Errorf("%d records: options %v", n, o.Option)
			}
		}
	}
	if m := sized(t, l.nsid, 1, 1232, 1232, nil); len(m.IsEdns0().Option) != 0 {
		t.Errorf("NSID that nobody asked for: %v", m.IsEdns0())
	}
}

// RFC 8914 §4.15: Not Ready, from a zone that has not been transferred.
func (l ednsLab) noContents(t *testing.T) {
	for _, addr := range []string{l.plain, l.tsig, l.nsid, l.bufsize} {
		if complaint := notReady(addr, emptyOrigin); complaint != "" {
			t.Errorf("%s: %s", addr, complaint)
		}
	}
	q := new(dns.Msg).SetQuestion("www."+emptyOrigin, dns.TypeA)
	if m := over(t, "udp", l.plain, q); m.Rcode != dns.RcodeServerFailure || m.Authoritative || len(m.Extra) != 0 {
		t.Errorf("Without EDNS: %v", m)
	}
	q.SetTsig(longKey.Name, dns.HmacSHA512, 300, time.Now().Unix())
	c := &dns.Client{Timeout: queryTimeout, TsigSecret: map[string]string{longKey.Name: longKey.Secret}}
	if m, _, err := c.Exchange(q, l.tsig); err != nil || m.Rcode != dns.RcodeServerFailure || m.IsTsig() == nil {
		t.Errorf("Signed: %v, %v", m, err)
	}
}

// RFC 8482 §4.1 and §4.4: one RRset over UDP, all over TCP.
func (l ednsLab) any(t *testing.T) {
	for network, want := range map[string][]uint16{"udp": {dns.TypeA}, "tcp": {dns.TypeA, dns.TypeTXT}} {
		m := over(t, network, l.plain, composeQuery("s3."+ednsOrigin, dns.TypeANY, false))
		var got []uint16
		for _, rr := range m.Answer {
			got = append(got, rr.Header().Rrtype)
		}
		if got = slices.Compact(got); !slices.Equal(got, want) || m.Truncated {
			t.Errorf("ANY over %s: %v", network, m)
		}
	}
}
