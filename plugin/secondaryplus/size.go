package secondaryplus

import (
	"net"
	"sort"

	"github.com/coredns/coredns/plugin/pkg/edns"
	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// maxSignature is what a TSIG record takes beside the name of its key: the longest algorithm name and MAC, and the fixed
// fields (RFC 8945 §4.2).
const maxSignature = 10 + 25 + 16 + 64

// overUDP reports whether the query came in a datagram.
func overUDP(w dns.ResponseWriter) bool {
	_, udp := w.RemoteAddr().(*net.UDPAddr)
	return udp
}

// maxDatagram is what a datagram holds: the length of an IP packet has 16 bits, and IPv4 and UDP have headers in it.
const maxDatagram = 1<<16 - 1 - 20 - 8

// room returns how many octets a reply may have before other plugins and CoreDNS add their options, OPT and TSIG to it. limit
// is what we send over UDP at most; opt is the query's, nil for none; signer is the name of the key that the reply is signed
// with, empty for none; nsid is the length of the identifier that the nsid plugin adds.
func room(signer string, udp bool, limit int, opt *dns.OPT, nsid int) int {
	n := dns.MaxMsgSize
	if udp {
		n = dns.MinMsgSize
		if opt != nil {
			n = min(max(n, int(opt.UDPSize())), limit) // RFC 6891 §6.2.3
		}
	}
	if opt != nil {
		n -= optLen(opt, nsid)
	}
	if signer != "" {
		n -= len(signer) + maxSignature
	}
	return n
}

// optLen returns the octets of the OPT record in the reply to a query with this one: CoreDNS sends back the options it
// knows.
func optLen(opt *dns.OPT, nsid int) int {
	if len(opt.Option) == 0 {
		return dns.Len(opt)
	}
	reply := dns.OPT{Hdr: opt.Hdr}
	n := 0
	for _, o := range opt.Option {
		if o.Option() == dns.EDNS0NSID {
			n = optionHeader + nsid
		}
		if edns.SupportedOption(o.Option()) {
			reply.Option = append(reply.Option, o)
		}
	}
	return n + dns.Len(&reply)
}

// optionHeader is the length of code and length of an EDNS option (RFC 6891 §6.1.2).
const optionHeader = 4

// sections are the sets of an answer in the order in which they matter: what does not fit is left out from the end, whole
// sets at a time (RFC 2181 §9).
type sections [3]*[]zone.Set

func sectionsOf(a *zone.Answer) sections { return sections{&a.Answer, &a.Authority, &a.Additional} }

// keep leaves only the first n sets.
func (s sections) keep(n int) {
	for _, section := range s {
		*section = (*section)[:min(n, len(*section))]
		n -= len(*section)
	}
}

// trim leaves out the sets behind the first that cannot fit, however well the names compress, and reports whether what is
// left is sure to fit. It saves making records that are not sent.
func (s sections) trim(question, room int) (fits bool) {
	least, most, sets := minHeader, minHeader+question, 0
	for _, section := range s {
		for i := range *section {
			set := &(*section)[i]
			if least += set.MinLen(); least > room {
				s.keep(sets)
				return false
			}
			most += set.MaxLen()
			sets++
		}
	}
	return most <= room
}

const minHeader = 12 // RFC 1035 §4.1.1

// fit makes the reply to r from an answer, with what fits into room octets. TC is set if more is left out than what may be:
// additional data that is no glue (RFC 2181 §9, RFC 9471 §3.1).
func fit(r *dns.Msg, qname []byte, a *zone.Answer, room int) *dns.Msg {
	all := sectionsOf(a)
	needed := len(a.Answer) + len(a.Authority) + a.Glue
	var m *dns.Msg
	if all.trim(len(qname)+4, room) {
		m = reply(r, qname, a, record)
	} else {
		m = reply(r, qname, a, measured)
		m.Compress = true
		if m.Len() > room {
			shrink(m, a, room)
		}
	}
	m.Truncated = len(a.Answer)+len(a.Authority)+len(a.Additional) < needed
	return m
}

// shrink leaves out the last sets of a message until it fits. What trim has left nearly fits, so it begins at the end: most
// messages are measured once or twice.
func shrink(m *dns.Msg, a *zone.Answer, room int) {
	answer, ns, extra := m.Answer, m.Ns, m.Extra
	cut := func(sets int) {
		for _, s := range []struct {
			from *[]zone.Set
			rrs  *[]dns.RR
			all  []dns.RR
		}{{&a.Answer, &m.Answer, answer}, {&a.Authority, &m.Ns, ns}, {&a.Additional, &m.Extra, extra}} {
			n := min(sets, len(*s.from))
			sets -= n
			records := 0
			for i := range n {
				records += (*s.from)[i].Count
			}
			*s.rrs = s.all[:records:records]
		}
	}
	sets := len(a.Answer) + len(a.Authority) + len(a.Additional)
	fits := func(n int) bool {
		cut(n)
		return m.Len() <= room
	}
	over, kept := sets, max(0, sets-1) // the least that is known not to fit, and the next to be tried
	for step := 1; kept > 0 && !fits(kept); step *= 2 {
		over, kept = kept, max(0, kept-step)
	}
	kept += sort.Search(max(0, over-kept-1), func(n int) bool { return !fits(kept + n + 1) })
	cut(kept)
	sectionsOf(a).keep(kept)
}
