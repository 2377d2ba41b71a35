package secondaryplus

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"
)

// signed returns a record and a signature over its RRset, as long as one of RSA with 2048 bits.
func signed(rr string) []string {
	f := strings.Fields(rr)
	return []string{rr, fmt.Sprintf("%s %s IN RRSIG %s 8 2 %s 20400101000000 20200101000000 12345 example.org. %s",
		f[0], f[1], f[3], f[1], base64.StdEncoding.EncodeToString(make([]byte, 256)))}
}

// bulkyText is a TXT record of 2305 octets of RDATA.
func bulkyText(owner string, i int) string {
	return fmt.Sprintf("%s 60 IN TXT %04d%s", owner, i, strings.Repeat("x", 251)) +
		strings.Repeat(" "+strings.Repeat("y", 255), 8) + " z"
}

// Owners of RRsets of nearly 64 KB and of more. The first is that much only as long as its owner is written once.
var (
	nearlyOwner = strings.Repeat(strings.Repeat("n", 50)+".", 4) + "example.org."
	beyondOwner = "beyond.example.org."
)

// bulky is a zone whose answers are large.
func bulky() []string {
	records := slices.Concat(
		signed("example.org. 3600 IN SOA ns.example.org. hostmaster.example.org. 7 3600 3600 86400 300"),
		signed("example.org. 3600 IN NS ns.example.org."),
		signed("example.org. 300 IN NSEC many.example.org. NS SOA RRSIG NSEC"),
		signed("ns.example.org. 3600 IN A 192.0.2.53"),
		signed("text.example.org. 300 IN NSEC example.org. TXT RRSIG NSEC"),
		signed("text.example.org. 60 IN TXT "+strings.Repeat("t", 200)),
		signed("many.example.org. 60 IN A 192.0.2.1"),
		signed("mx.example.org. 60 IN MX 1 m1.example.org."),
		signed("alias.example.org. 60 IN CNAME many.example.org."),
		signed("*.wild.example.org. 60 IN TXT "+strings.Repeat("w", 200)),
		[]string{"d.example.org. 60 IN DNAME e.example.org.", "deep.e.example.org. 60 IN CNAME many.example.org."},
		[]string{"sub.example.org. 60 IN DS 1 8 2 " + strings.Repeat("ab", 32)},
	)
	for i := range 60 {
		records = append(records, fmt.Sprintf("many.example.org. 60 IN A 192.0.2.%d", i+1),
			fmt.Sprintf("many.example.org. 60 IN AAAA 2001:db8::%x", i+1))
	}
	for i := range 8 {
		records = append(records, fmt.Sprintf("mx.example.org. 60 IN MX %d m%d.example.org.", i, i),
			fmt.Sprintf("m%d.example.org. 60 IN A 192.0.2.1", i), fmt.Sprintf("m%d.example.org. 60 IN AAAA 2001:db8::1", i),
			fmt.Sprintf("text.example.org. 60 IN TXT %d%s", i, strings.Repeat("u", 100)))
	}
	for i := range 6 { // half of the name servers are in the domain of the delegation, half of them beside it
		records = append(records, fmt.Sprintf("sub.example.org. 60 IN NS ns%d.sub.example.org.", i),
			fmt.Sprintf("sub.example.org. 60 IN NS ns%d.sibling.example.org.", i),
			fmt.Sprintf("ns%d.sub.example.org. 60 IN A 192.0.2.1", i), fmt.Sprintf("ns%d.sub.example.org. 60 IN AAAA 2001:db8::1", i),
			fmt.Sprintf("ns%d.sibling.example.org. 60 IN A 192.0.2.1", i),
			fmt.Sprintf("ns%d.sibling.example.org. 60 IN AAAA 2001:db8::1", i))
	}
	records = append(records, "sibling.example.org. 60 IN NS ns0.sibling.example.org.")
	for i := range 28 {
		records = append(records, bulkyText(nearlyOwner, i), bulkyText(beyondOwner, i))
	}
	return append(records, bulkyText(beyondOwner, 28))
}

// bulkyQuestions have answers that outgrow some buffer.
var bulkyQuestions = []dns.Question{
	{Name: "many.example.org.", Qtype: dns.TypeA},
	{Name: "many.example.org.", Qtype: dns.TypeANY},
	{Name: "text.example.org.", Qtype: dns.TypeTXT},
	{Name: "text.example.org.", Qtype: dns.TypeRRSIG},
	{Name: "mx.example.org.", Qtype: dns.TypeMX},
	{Name: "alias.example.org.", Qtype: dns.TypeAAAA},
	{Name: "deep.d.example.org.", Qtype: dns.TypeA},
	{Name: "x.wild.example.org.", Qtype: dns.TypeTXT},
	{Name: "none.example.org.", Qtype: dns.TypeA},
	{Name: "many.example.org.", Qtype: dns.TypeTXT},
	{Name: "x.sub.example.org.", Qtype: dns.TypeA},
	{Name: "sub.example.org.", Qtype: dns.TypeDS},
	{Name: "example.org.", Qtype: dns.TypeNS},
}

// sent returns the reply as CoreDNS sends it: with its OPT record, and made to fit by it if that is still needed.
func sent(t *testing.T, h *SecondaryPlus, r *dns.Msg, tcp bool) (m *dns.Msg, octets int) {
	t.Helper()
	w := dnstest.NewRecorder(&test.ResponseWriter{TCP: tcp})
	if _, err := h.ServeDNS(context.Background(), request.NewScrubWriter(r, w), r); err != nil {
		t.Fatal(err)
	}
	packed, err := w.Msg.Pack()
	if err != nil {
		t.Fatalf("%v: %v", r.Question, err)
	}
	return unpack(t, packed), len(packed)
}

// replySet is one RRset of a reply. It is a plain value.
type replySet struct {
	section int
	owner   string
	rrtype  uint16
	covered uint16 // of RRSIG
	records []string
}

// setsOf returns the RRsets of a reply in order, and the signatures over each, without OPT.
func setsOf(m *dns.Msg) (sets []replySet) {
	for i, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			s := replySet{section: i, owner: rr.Header().Name, rrtype: rr.Header().Rrtype}
			if s.rrtype == dns.TypeOPT {
				continue
			}
			if sig, ok := rr.(*dns.RRSIG); ok { // RFC 4035 §2.2: signatures of one owner are no RRset
				s.covered = sig.TypeCovered
			}
			if n := len(sets); n > 0 && sets[n-1].sameAs(s) {
				sets[n-1].records = append(sets[n-1].records, rr.String())
				continue
			}
			s.records = []string{rr.String()}
			sets = append(sets, s)
		}
	}
	return sets
}

func (s replySet) sameAs(o replySet) bool {
	return s.section == o.section && s.owner == o.owner && s.rrtype == o.rrtype && s.covered == o.covered
}

// required counts the sets of a whole reply that a truncated one must not be without silently: answer, authority, and the
// addresses of the name servers within the delegated domain (RFC 2181 §9, RFC 9471 §3.1; §3.2 leaves out the others).
func required(sets []replySet) int {
	cut, n := "", 0
	for _, s := range sets {
		if s.section == 1 && s.rrtype == dns.TypeNS {
			cut = s.owner
		}
		if s.section < 2 || cut != "" && dns.IsSubDomain(cut, s.owner) {
			n++
		}
	}
	return n
}

// Whatever the buffer, a reply has whole RRsets, as many as there is room for, and TC if one is missing that must not be.
func TestRepliesAreCutBetweenRRsets(t *testing.T) {
	h := newZones(t, "", nil, bulky())
	h.maxUDP = maxDatagram
	const step = 11 // not every size is needed: the number of RRsets is compared with what fits
	for i, q := range bulkyQuestions {
		for _, dnssec := range []bool{false, true} {
			whole := question(q.Name, q.Qtype)
			whole.SetEdns0(dns.MaxMsgSize, dnssec)
			m, octets := sent(t, h, whole, false)
			sets := setsOf(m)
			if m.Truncated {
				t.Fatalf("%s: does not fit anywhere", q.String())
			}
			for size := dns.MinMsgSize + i%step; size < octets+step; size += step {
				r := question(q.Name, q.Qtype)
				r.SetEdns0(uint16(size), dnssec)
				wantWholeSets(t, h, r, size, sets)
			}
		}
	}
}

// wantWholeSets fails the test unless the reply to r has the first of the sets, as many as go into limit octets.
func wantWholeSets(t *testing.T, h *SecondaryPlus, r *dns.Msg, limit int, sets []replySet) {
	t.Helper()
	what := fmt.Sprintf("%s with %d octets", r.Question[0].String(), limit)
	opt := dns.Copy(r.IsEdns0())
	m, octets := sent(t, h, r, false)
	got := setsOf(m)
	if octets > limit {
		t.Fatalf("%s: %d octets", what, octets)
	}
	if len(got) > len(sets) {
		t.Fatalf("%s: %d sets; want some of %d", what, len(got), len(sets))
	}
	for i, s := range got {
		if !s.sameAs(sets[i]) || !slices.Equal(s.records, sets[i].records) {
			t.Fatalf("%s: set %d is %v; want %v", what, i, s, sets[i])
		}
	}
	if want := len(got) < required(sets); m.Truncated != want {
		t.Fatalf("%s: TC %v with %d of %d sets, %d required", what, m.Truncated, len(got), len(sets), required(sets))
	}
	if len(got) < len(sets) {
		next := sets[len(got)]
		m.Extra = slices.DeleteFunc(m.Extra, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeOPT })
		section := []*[]dns.RR{&m.Answer, &m.Ns, &m.Extra}[next.section]
		*section = append(*section, recordsOf(next.records)...)
		m.Extra = append(m.Extra, opt)
		m.Compress = true
		if n := m.Len(); n <= limit {
			t.Fatalf("%s: %d sets; one more makes %d octets", what, len(got), n)
		}
	}
}

// RFC 6891 §6.2.3 and §6.2.5: a client without EDNS, or with a smaller buffer than that, has 512 octets.
func TestSmallestBufferIs512(t *testing.T) {
	h := newZones(t, "", nil, bulky())
	for _, size := range []uint16{0, 1, 511, 512} {
		r := question("many.example.org.", dns.TypeA)
		if size > 0 {
			r.SetEdns0(size, false)
		}
		if m, octets := sent(t, h, r, false); !m.Truncated || len(m.Answer) != 0 || octets > dns.MinMsgSize {
			t.Errorf("Buffer %d: %d octets, %d records, TC %v", size, octets, len(m.Answer), m.Truncated)
		}
	}
	r := question("mx.example.org.", dns.TypeMX) // fits, but not with all addresses
	if m, octets := sent(t, h, r, false); m.Truncated || len(m.Answer) != 8 || len(m.Extra) == 0 || octets > dns.MinMsgSize {
		t.Errorf("MX: %d octets, %d records, %d additional, TC %v", octets, len(m.Answer), len(m.Extra), m.Truncated)
	}
}

func TestLargestMessageIs64KB(t *testing.T) {
	h := newZones(t, "", nil, bulky())
	for _, edns := range []bool{false, true} {
		ask := func(name string) (*dns.Msg, int) {
			r := question(name, dns.TypeTXT)
			if edns {
				r.SetEdns0(1232, true)
			}
			return sent(t, h, r, true)
		}
		m, octets := ask(nearlyOwner)
		if m.Truncated || len(m.Answer) != 28 || octets > dns.MaxMsgSize || octets < 64000 {
			t.Errorf("Nearly 64 KB: %d octets, %d records, TC %v", octets, len(m.Answer), m.Truncated)
		}
		m, octets = ask(beyondOwner)
		if !m.Truncated || len(m.Answer) != 0 || octets > dns.MinMsgSize {
			t.Errorf("More than 64 KB: %d octets, %d records, TC %v", octets, len(m.Answer), m.Truncated)
		}
	}
}

// RFC 8482 §4.1 and §4.4: one RRset over UDP, with its signatures if they are wanted; all of them over TCP.
func TestANYIsOneRRsetOverUDP(t *testing.T) {
	h := newZones(t, "", nil, bulky())
	h.maxUDP = maxDatagram
	for _, c := range []struct {
		tcp, dnssec bool
		want        []string
	}{
		{false, false, []string{"TXT"}},
		{false, true, []string{"TXT", "RRSIG TXT"}},
		{true, false, []string{"TXT", "RRSIG TXT", "RRSIG NSEC", "NSEC"}}, // RFC 4035 §3.1: asked for as any other data
		{true, true, []string{"TXT", "RRSIG TXT", "RRSIG NSEC", "NSEC"}},
	} {
		r := question("text.example.org.", dns.TypeANY)
		r.SetEdns0(dns.MaxMsgSize, c.dnssec)
		m, _ := sent(t, h, r, c.tcp)
		var got []string
		for _, s := range setsOf(m) {
			kind := dns.TypeToString[s.rrtype]
			if s.covered != 0 {
				kind += " " + dns.TypeToString[s.covered]
			}
			got = append(got, kind)
		}
		if !slices.Equal(got, c.want) || m.Truncated {
			t.Errorf("TCP %v, DO %v: %q, TC %v; want %q", c.tcp, c.dnssec, got, m.Truncated, c.want)
		}
	}
	// Where the one RRset does not fit, another is not put in its place.
	r := question("many.example.org.", dns.TypeANY)
	if m, _ := sent(t, h, r, false); !m.Truncated || len(m.Answer) != 0 {
		t.Errorf("ANY that does not fit: %d records, TC %v", len(m.Answer), m.Truncated)
	}
}
