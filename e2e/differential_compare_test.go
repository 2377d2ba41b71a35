//go:build e2e

package e2e_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// aspect is a part of an answer that is compared by itself.
type aspect int

const (
	aspectRcode aspect = iota
	aspectAA
	aspectTC
	aspectEDNS
	aspectAnswer
	aspectAuthority
	aspectAdditional
	aspects // how many there are
)

var aspectNames = [aspects]string{"RCODE", "AA", "TC", "EDNS", "answer", "authority", "additional"}

// answerText is an answer in a form that can be compared: the text of each aspect. It is a plain value.
type answerText struct {
	text [aspects]string
	msg  *dns.Msg
	size int // octets
}

// newAnswerText brings an answer into a form that can be compared.
func newAnswerText(wire []byte) *answerText {
	c := &answerText{msg: new(dns.Msg), size: len(wire)}
	if err := c.msg.Unpack(wire); err != nil {
		c.text[aspectRcode] = "unreadable: " + err.Error()
		return c
	}
	m := c.msg
	c.text[aspectRcode] = dns.RcodeToString[m.Rcode]
	c.text[aspectAA] = fmt.Sprint(m.Authoritative)
	c.text[aspectTC] = fmt.Sprint(m.Truncated)
	c.text[aspectEDNS] = "none"
	if o := m.IsEdns0(); o != nil {
		c.text[aspectEDNS] = fmt.Sprintf("version %d, DO %t", o.Version(), o.Do())
	}
	c.text[aspectAnswer] = sectionText(m.Answer)
	c.text[aspectAuthority] = sectionText(m.Ns)
	c.text[aspectAdditional] = sectionText(m.Extra)
	return c
}

// sectionText is the records of a section in canonical form, one a line, sorted.
func sectionText(rrs []dns.RR) string {
	texts := make([]string, 0, len(rrs))
	for _, rr := range rrs {
		if rr.Header().Rrtype != dns.TypeOPT {
			texts = append(texts, recordText(rr))
		}
	}
	slices.Sort(texts)
	return strings.Join(texts, "\n")
}

// recordText is a record in canonical form (RFC 4034 §6.2): names in lower case.
func recordText(rr dns.RR) string {
	switch rr := rr.(type) {
	case *dns.TXT, *dns.HINFO, *dns.NAPTR, *dns.CAA, *dns.URI, *dns.SPF, *dns.DNSKEY, *dns.CERT, *dns.OPENPGPKEY, *dns.DHCID:
		h := rr.Header()
		text := rr.String()
		return strings.ToLower(h.Name) + text[len(h.Name):]
	case *dns.RRSIG:
		s := *rr
		s.Hdr.Name, s.SignerName = strings.ToLower(s.Hdr.Name), strings.ToLower(s.SignerName)
		return s.String()
	default:
		return strings.ToLower(rr.String())
	}
}

// shape is the types of a section's records with their numbers, for grouping.
func shape(section string) string {
	if section == "" {
		return "nothing"
	}
	counts := map[string]int{}
	for l := range strings.Lines(section) {
		if f := strings.Fields(l); len(f) > 3 {
			counts[f[3]]++
		}
	}
	parts := make([]string, 0, len(counts))
	for t, n := range counts {
		if n > 1 {
			t = fmt.Sprintf("%d %s", n, t)
		}
		parts = append(parts, t)
	}
	slices.SortFunc(parts, func(a, b string) int {
		return cmp.Compare(strings.TrimLeft(a, "0123456789 "), strings.TrimLeft(b, "0123456789 "))
	})
	return strings.Join(parts, " ")
}

// shapeOf is the text of an aspect, a section shortened to its shape.
func (c *answerText) shapeOf(a aspect) string {
	if a < aspectAnswer {
		return c.text[a]
	}
	return shape(c.text[a])
}

// truncated reports whether the answer says so.
func (c *answerText) truncated() bool { return c.msg.Truncated }

// enoughRoom is octets for all answers, but those of a few zones made for it.
const enoughRoom = 4096

// tells reports whether the reference's answer counts for an aspect.
func (c *answerText) tells(a aspect, reference string, by manner) bool {
	switch {
	case !c.msg.Authoritative && (c.msg.Rcode == dns.RcodeNameError || c.msg.Rcode == dns.RcodeServerFailure):
		return false // Knot gives up on some proofs of opt-out zones, and on DNAMEs at wildcards
	case a >= aspectAnswer && c.truncated():
		return false // RFC 2181 §9: to be ignored
	case a == aspectAdditional && reference == "NSD" && c.msg.Authoritative:
		return false // by its minimal-responses it has none
	case a == aspectAdditional && !by.tcp:
		return int(by.size) >= enoughRoom // each leaves out something else where there is little room
	}
	return true
}
