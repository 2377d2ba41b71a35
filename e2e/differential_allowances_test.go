//go:build e2e

package e2e_test

import (
	"regexp"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// allowance is a difference that is meant. It is owned by a differential.
type allowance struct {
	name, reason string
	covers       func(*difference) bool
	rare         bool // it may go unused: keys and signatures differ from run to run
	used         int
}

// justFits is how many octets better a reference may compress than we do.
const justFits = 24

// hashBelow matches a name below one whose first label is a hash.
var hashBelow = regexp.MustCompile(`(?i).\.[0-9a-v]{32}\.`)

// longChain is the number of CNAMEs from which servers end a chain: Knot at 5, BIND at 12, with SERVFAIL.
const longChain = 12

// allowances are the differences that are meant. The first that covers a difference is used.
func allowances() []*allowance {
	return []*allowance{
		{
			name:   "long chain",
			reason: "every server ends loops and long chains somewhere, and no RFC says where; BIND makes it SERVFAIL",
			covers: func(d *difference) bool {
				chain := countType(d.ours().msg.Answer, dns.TypeCNAME)
				return chain >= longChain || chain > 0 && d.of("BIND").msg.Rcode == dns.RcodeServerFailure
			},
		},
		{
			name: "chain across zones",
			reason: "RFC 1034 §4.3.2 step 3a goes back to step 1, which looks for the nearest zone again. NSD does so too, but " +
				"not for NSEC3, and with the wrong NSEC records; BIND and Knot end the answer at the border of the zone. What " +
				"follows there is asked by itself",
			covers: func(d *difference) bool {
				nsd := d.of("NSD").text
				return d.ours().crossesZones(d.zone) && (d.likeOurs("NSD") || d.qtype == dns.TypeNSEC3 || d.ours().truncated() ||
					d.aspect > aspectAnswer && nsd[aspectRcode] == d.ours().text[aspectRcode])
			},
		},
		{
			name: "ANY",
			reason: "RFC 8482 §4.1 leaves the choice of RRsets to the server: one over UDP, all over TCP. " +
				"BIND sends all, and their signatures without DO, but ends at a DNAME; Knot and NSD send one",
			covers: func(d *difference) bool {
				bind, nsd, ours := d.of("BIND"), d.of("NSD").text[aspectAnswer], d.ours().text[aspectAnswer]
				return d.qtype == dns.TypeANY && d.aspect != aspectAA && (d.aspect != aspectRcode || bind.truncated()) &&
					(bind.truncated() || within(ours, bind.text[aspectAnswer]) || nsd != "" && within(nsd, ours))
			},
		},
		{
			name: "wildcard that is an empty non-terminal",
			reason: "RFC 4035 §3.1.3.4: the answer has the proof that the wildcard has no such type. BIND and Knot forget it " +
				"where the wildcard has no NSEC of its own, NSD often",
			covers: func(d *difference) bool {
				return slices.ContainsFunc(d.ours().msg.Ns, leadsBelowWildcard) &&
					(d.aspect == aspectTC && d.ours().truncated() ||
						d.aspect == aspectAuthority && within(d.of("BIND").text[d.aspect], d.ours().text[d.aspect]))
			},
		},
		{
			name: "all glue or TC",
			reason: "RFC 9471 §3.1: a referral without all glue of in-domain name servers has TC set. Of the references " +
				"only Knot does",
			covers: func(d *difference) bool {
				return d.aspect == aspectTC && d.ours().truncated() && !d.ours().msg.Authoritative && d.likeOurs("Knot")
			},
		},
		{
			name:   "additional",
			rare:   true,
			reason: "RFC 1034 §4.3.2 step 6: what may be useful. We have all that BIND has, and nothing that Knot has not",
			covers: func(d *difference) bool {
				ours := d.ours().text[aspectAdditional]
				return d.aspect == aspectAdditional && d.ours().msg.Authoritative &&
					within(d.of("BIND").text[aspectAdditional], ours) && within(ours, d.of("Knot").text[aspectAdditional])
			},
		},
		{
			name:   "NSEC3 at an alias",
			rare:   true,
			reason: "RFC 1034 §3.6.2: a CNAME is followed for every type but its own. NSD does not for NSEC3",
			covers: func(d *difference) bool {
				return d.qtype == dns.TypeNSEC3 && countType(d.ours().msg.Answer, dns.TypeCNAME) > 0
			},
		},
		{
			name: "TTL of a SOA that was asked for",
			rare: true,
			reason: "RFC 2308 §3: the SOA of a negative answer has the lesser of its TTL and MINIMUM; BIND says 0 if SOA was " +
				"asked for",
			covers: func(d *difference) bool {
				return d.qtype == dns.TypeSOA && d.aspect == aspectAuthority &&
					strings.Contains(d.of("BIND").text[d.aspect], "\t0\tin\tsoa\t")
			},
		},
		{
			name: "below an NSEC3 owner",
			rare: true,
			reason: "RFC 5155 §7.2.8: owners of NSEC3 records do not exist for queries, so names below them have a closest " +
				"encloser elsewhere. Knot and NSD take them for existing",
			covers: func(d *difference) bool { return hashBelow.MatchString(d.name) && d.likeOurs("BIND") },
		},
		{
			name:   "large message",
			rare:   true,
			reason: "RFC 1035 §4.1.4: compression is a choice. The answer of a reference fits, but only just",
			covers: func(d *difference) bool {
				return d.aspect == aspectTC && d.ours().truncated() && slices.ContainsFunc(d.votes, func(i int) bool {
					return !d.texts[i].truncated() && d.texts[i].size >= d.by.limit()-justFits
				})
			},
		},
		{
			name:   "small message",
			rare:   true,
			reason: "RFC 1035 §4.1.4: compression is a choice. Our answer fits where that of others does not",
			covers: func(d *difference) bool {
				return d.aspect == aspectTC && !d.ours().truncated() && d.ours().size <= d.by.limit()
			},
		},
	}
}

// ours is the answer of the server under test.
func (d *difference) ours() *answerText { return d.texts[len(d.texts)-1] }

// of returns the answer of a reference.
func (d *difference) of(reference string) *answerText {
	return d.texts[slices.Index(contestants[:], reference)]
}

// likeOurs reports whether the reference has our answer in the aspect.
func (d *difference) likeOurs(reference string) bool {
	return d.of(reference).text[d.aspect] == d.ours().text[d.aspect]
}

// crossesZones reports whether a CNAME of the answer leads from one zone served beside z into another.
func (c *answerText) crossesZones(z *corpusZone) bool {
	return slices.ContainsFunc(c.msg.Answer, func(rr dns.RR) bool {
		alias, ok := rr.(*dns.CNAME)
		if !ok {
			return false
		}
		to := z.servedOrigin(alias.Target)
		return to != "" && to != z.servedOrigin(alias.Hdr.Name)
	})
}

// leadsBelowWildcard reports whether the record is an NSEC whose next name is below a wildcard.
func leadsBelowWildcard(rr dns.RR) bool {
	n, ok := rr.(*dns.NSEC)
	return ok && strings.Contains(n.NextDomain, ".*.")
}

// servedOrigin returns the origin of the zone that holds the name, of those served beside this one; empty for none.
func (z *corpusZone) servedOrigin(name string) string {
	for name = dns.CanonicalName(name); ; name = parentOf(name) {
		if z.served[name] {
			return name
		}
		if name == "." {
			return ""
		}
	}
}

// within reports whether every line of the text is in the other.
func within(text, other string) bool {
	in := strings.Split(other, "\n")
	for l := range strings.SplitSeq(text, "\n") {
		if !slices.Contains(in, l) && l != "" {
			return false
		}
	}
	return true
}
