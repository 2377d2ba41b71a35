package dnstest

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/wire"
)

// oracleChain is how many names one answer of an Oracle looks up at most.
const oracleChain = 16

// oracleNameMax is the most octets a name has (RFC 1035 §2.3.4).
const oracleNameMax = 255

// root is the root's name as an Oracle writes names: wire form in lower case.
const root = "\x00"

// Reply is what a question comes to, one line of text for each record. It is a plain value.
type Reply struct {
	Outcome    string // NOERROR, NODATA, NXDOMAIN, REFERRAL or YXDOMAIN
	Answer     []string
	Authority  []string
	Additional []string

	Unspecified bool // the RFCs leave the answer open: do not compare
}

// Oracle answers from a zone as a list of records, read from end to end for every question. It is written from the RFCs
// to be compared with, so it is as simple as it can be, and all it has of the project are the types of a name and a
// record. It never changes and is safe for concurrent use.
type Oracle struct {
	origin  string
	records []fact // without duplicates, in canonical order
	nonIN   int
	outside int
	meta    int
}

// fact is one record. It is a plain value.
type fact struct {
	owner  string
	rrtype uint16
	covers uint16 // the type an RRSIG covers
	ttl    uint32
	data   string // RDATA in canonical form (RFC 4034 §6.2)
}

// NewOracle returns an oracle for the zone of a set of records with one SOA at the apex. What no zone can hold is left
// out.
func NewOracle(origin wire.Name, rrs []wire.RR) *Oracle {
	o := &Oracle{origin: lowerCase(origin)}
	for _, rr := range rrs {
		f := fact{owner: lowerCase(rr.Owner), rrtype: rr.Type, ttl: rr.TTL, data: canonicalRDATA(rr.Type, rr.Data)}
		if f.rrtype == dns.TypeRRSIG {
			f.covers = binary.BigEndian.Uint16(rr.Data)
		}
		switch {
		case rr.Class != dns.ClassINET:
			o.nonIN++
		case !below(f.owner, o.origin):
			o.outside++
		case !o.Holds(&rr):
			o.meta++
		default:
			o.include(f)
		}
	}
	slices.SortFunc(o.records, fact.compare)
	return o
}

// Holds reports whether the zone can hold a record: one of class IN within it, of a type that is data (RFC 6895 §3.1).
func (o *Oracle) Holds(rr *wire.RR) bool {
	meta := rr.Type == 0 || rr.Type == dns.TypeOPT || 128 <= rr.Type && rr.Type <= 255
	return rr.Class == dns.ClassINET && below(lowerCase(rr.Owner), o.origin) && !meta
}

// include takes a record unless it is there; of duplicates the lowest TTL counts (RFC 2181 §5.2).
func (o *Oracle) include(f fact) {
	for i, g := range o.records {
		if g.owner == f.owner && g.rrtype == f.rrtype && g.data == f.data {
			o.records[i].ttl = min(g.ttl, f.ttl)
			return
		}
	}
	o.records = append(o.records, f)
}

// Records returns the number of records, duplicates not counted.
func (o *Oracle) Records() int { return len(o.records) }

// Size returns the octets of all records, uncompressed on the wire (RFC 1035 §3.2.1).
func (o *Oracle) Size() (size int64) {
	for _, f := range o.records {
		size += int64(len(f.owner) + 2 + 2 + 4 + 2 + len(f.data))
	}
	return size
}

// Discarded returns how many records were left out: of another class, outside the zone, of a type that is no data.
func (o *Oracle) Discarded() (nonIN, outside, meta int) { return o.nonIN, o.outside, o.meta }

// Dump returns the whole zone: the SOA, the other records in canonical order, those that are no names behind them.
func (o *Oracle) Dump() []string {
	var first, names, hidden []string
	for _, f := range o.records {
		switch {
		case f.rrtype == dns.TypeSOA:
			first = append(first, f.line(f.owner, f.ttl))
		case f.hidden():
			hidden = append(hidden, f.line(f.owner, f.ttl))
		default:
			names = append(names, f.line(f.owner, f.ttl))
		}
	}
	return slices.Concat(first, names, hidden)
}

// Owners returns the names of the zone that exist, empty non-terminals too, and the owners that do not exist as names.
func (o *Oracle) Owners() []wire.Name {
	var owners []wire.Name
	seen := map[string]bool{}
	for _, f := range o.records {
		for n := f.owner; !seen[n]; n = parent(n) {
			seen[n] = true
			owners = append(owners, wire.Name(n))
			if n == o.origin {
				break
			}
		}
	}
	return owners
}

// Lookup answers a question about a name within the zone (RFC 1034 §4.3.2 steps 3 and 4, as RFC 4592 §3.3 and RFC 6672
// §3.2 have it).
func (o *Oracle) Lookup(qname wire.Name, qtype uint16) Reply {
	r := Reply{Outcome: "NOERROR"}
	n := lowerCase(qname)
	asked := map[string]bool{}
	for range oracleChain {
		asked[n] = true
		target := o.step(n, qtype, &r)
		if target == "" || !below(target, o.origin) || asked[target] {
			break
		}
		n = target
	}
	return r
}

// step answers for one name and returns the name to go on with, or "".
func (o *Oracle) step(n string, qtype uint16, r *Reply) string {
	// Step 3: match down, label by label, from the apex.
	for _, at := range o.path(n) {
		if ns := o.set(at, dns.TypeNS); len(ns) > 0 && at != o.origin {
			if at == n && qtype == dns.TypeDS {
				return o.parentSide(at, r)
			}
			o.refer(ns, r)
			return ""
		}
		if dname := o.set(at, dns.TypeDNAME); len(dname) > 0 && at != n {
			return substitute(n, qtype, dname, r)
		}
	}
	if o.exists(n) {
		return o.match(n, n, qtype, r)
	}
	// RFC 4592 §3.3.1: the source of synthesis is the wildcard of the closest encloser.
	encloser := parent(n)
	for !o.exists(encloser) {
		encloser = parent(encloser)
	}
	wildcard := "\x01*" + encloser
	if !o.exists(wildcard) {
		o.negative("NXDOMAIN", r)
		return ""
	}
	if len(o.set(wildcard, dns.TypeNS)) > 0 {
		r.Unspecified = true // RFC 4592 §4.2
	}
	return o.match(wildcard, n, qtype, r)
}

// path returns the names from the apex down to n.
func (o *Oracle) path(n string) []string {
	path := []string{n}
	for n != o.origin {
		n = parent(n)
		path = append(path, n)
	}
	slices.Reverse(path)
	return path
}

// exists reports whether a name has records, or a name below it has (RFC 4592 §2.2.2).
func (o *Oracle) exists(n string) bool {
	for _, f := range o.records {
		if !f.hidden() && below(f.owner, n) {
			return true
		}
	}
	return false
}

// set returns the records of one owner and type.
func (o *Oracle) set(owner string, rrtype uint16) (set []fact) {
	for _, f := range o.records {
		if f.owner == owner && f.rrtype == rrtype && !f.hidden() {
			set = append(set, f)
		}
	}
	return set
}

// match answers from the records of a node, under the name owner (step 3a).
func (o *Oracle) match(node, owner string, qtype uint16, r *Reply) string {
	if qtype == dns.TypeANY {
		qtype = o.firstType(node) // RFC 8482 §4.1: a subset is enough
	}
	if set := o.set(node, qtype); len(set) > 0 {
		r.Answer = append(r.Answer, lines(set, owner)...)
		return ""
	}
	cname := o.set(node, dns.TypeCNAME)
	if len(cname) == 0 || qtype == dns.TypeRRSIG || qtype == dns.TypeNSEC { // RFC 4035 §2.5: these stand beside a CNAME
		o.negative("NODATA", r)
		return ""
	}
	r.Answer = append(r.Answer, lines(cname, owner)...)
	return lowerCase([]byte(cname[0].data))
}

// firstType returns the lowest type of a node, RRSIG last; an empty node has 0.
func (o *Oracle) firstType(node string) uint16 {
	least := uint16(0)
	for _, f := range o.records {
		if f.owner == node && !f.hidden() && (least == 0 || least == dns.TypeRRSIG || f.rrtype < least &&
			f.rrtype != dns.TypeRRSIG) {
			least = f.rrtype
		}
	}
	return least
}

// parentSide answers a DS question at a cut: of the data there, this zone has authority over DS alone (RFC 4035
// §3.1.4.1).
func (o *Oracle) parentSide(cut string, r *Reply) string {
	ds := o.set(cut, dns.TypeDS)
	if len(ds) == 0 {
		o.negative("NODATA", r)
	}
	r.Answer = append(r.Answer, lines(ds, cut)...)
	return ""
}

// refer makes a referral (step 3b): the NS set, and what addresses the zone has of the name servers.
func (o *Oracle) refer(ns []fact, r *Reply) {
	r.Outcome = "REFERRAL"
	r.Authority = append(r.Authority, lines(ns, ns[0].owner)...)
	for _, f := range ns {
		r.Additional = append(r.Additional, lines(o.set(f.data, dns.TypeA), f.data)...)
		r.Additional = append(r.Additional, lines(o.set(f.data, dns.TypeAAAA), f.data)...)
	}
}

// substitute follows a DNAME (RFC 6672 §3.1 and §3.2): the DNAME, once, and the CNAME it makes.
func substitute(n string, qtype uint16, dname []fact, r *Reply) string {
	for _, l := range lines(dname, dname[0].owner) {
		if !slices.Contains(r.Answer, l) {
			r.Answer = append(r.Answer, l)
		}
	}
	target := strings.TrimSuffix(n, dname[0].owner) + dname[0].data
	if len(target) > oracleNameMax {
		r.Outcome = "YXDOMAIN"
		return ""
	}
	cname := fact{rrtype: dns.TypeCNAME, ttl: lowestTTL(dname), data: target}
	r.Answer = append(r.Answer, cname.line(n, cname.ttl))
	if qtype == dns.TypeCNAME || qtype == dns.TypeANY { // the CNAME is what was asked for
		return ""
	}
	return target
}

// negative adds what NODATA and NXDOMAIN carry (RFC 2308 §3): the SOA, its TTL no more than MINIMUM.
func (o *Oracle) negative(outcome string, r *Reply) {
	r.Outcome = outcome
	soa := o.set(o.origin, dns.TypeSOA)[0]
	minimum := binary.BigEndian.Uint32([]byte(soa.data[len(soa.data)-4:]))
	r.Authority = append(r.Authority, soa.line(o.origin, min(soa.ttl, minimum)))
}

// hidden reports whether a record does not make its owner a name of the zone (RFC 5155 §7.2.8).
func (f fact) hidden() bool { return f.rrtype == dns.TypeNSEC3 || f.covers == dns.TypeNSEC3 }

// compare orders records canonically (RFC 4034 §6).
func (f fact) compare(g fact) int {
	return cmp.Or(CompareNames(wire.Name(f.owner), wire.Name(g.owner)), cmp.Compare(f.rrtype, g.rrtype),
		cmp.Compare(f.covers, g.covers), strings.Compare(f.data, g.data))
}

func (f fact) line(owner string, ttl uint32) string {
	return Line(&wire.RR{Owner: wire.Name(owner), Type: f.rrtype, Class: dns.ClassINET, TTL: ttl, Data: []byte(f.data)})
}

// lines writes the records of a set, signatures set by set, with one TTL each (RFC 2181 §5.2).
func lines(set []fact, owner string) (lines []string) {
	for _, f := range set {
		var same []fact
		for _, g := range set {
			if g.covers == f.covers {
				same = append(same, g)
			}
		}
		lines = append(lines, f.line(owner, lowestTTL(same)))
	}
	return lines
}

func lowestTTL(set []fact) uint32 {
	ttl := set[0].ttl
	for _, f := range set {
		ttl = min(ttl, f.ttl)
	}
	return ttl
}

// Line returns a record in presentation form, in canonical case: two lines are equal if the records are.
func Line(rr *wire.RR) string {
	data := []byte(canonicalRDATA(rr.Type, rr.Data))
	h := dns.RR_Header{
		Name: presentation(rr.Owner), Rrtype: rr.Type, Class: rr.Class, Ttl: rr.TTL, Rdlength: uint16(len(data)),
	}
	parsed, _, err := dns.UnpackRRWithHeader(h, data, 0)
	if err != nil || len(data) == 0 {
		return fmt.Sprintf("%s %d %s \\# %d %x", h.Name, h.Ttl, dns.Type(h.Rrtype), len(data), data)
	}
	return strings.ReplaceAll(parsed.String(), "\t", " ")
}

// presentation returns a name in lower case as zone files write it (RFC 1035 §5.1).
func presentation(n []byte) string {
	s, _, err := dns.UnpackDomainName([]byte(lowerCase(n)), 0)
	if err != nil {
		panic(err)
	}
	return s
}

// lowerCase returns a name in lower case; octets of length are below 'A'.
func lowerCase(n []byte) string {
	lower := make([]byte, len(n))
	for i, b := range n {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		lower[i] = b
	}
	return string(lower)
}

// canonicalRDATA returns RDATA with the names of the types that random zones have in lower case (RFC 4034 §6.2).
func canonicalRDATA(rrtype uint16, data []byte) string {
	from, to := len(data), len(data)
	switch rrtype {
	case dns.TypeNS, dns.TypeCNAME, dns.TypeDNAME, dns.TypePTR:
		from = 0
	case dns.TypeMX:
		from = 2
	case dns.TypeSRV:
		from = 6
	case dns.TypeSOA:
		from, to = 0, len(data)-20
	case dns.TypeRRSIG:
		from = 18
		for to = from; data[to] != 0; to += 1 + int(data[to]) {
		}
	}
	return string(data[:from]) + lowerCase(data[from:to]) + string(data[to:])
}

// parent returns the name one label up.
func parent(n string) string { return n[1+int(n[0]):] }

// below reports whether n is ancestor or a name below it.
func below(n, ancestor string) bool {
	for n != ancestor {
		if n == root {
			return false
		}
		n = parent(n)
	}
	return true
}

// CompareNames orders names canonically, label by label from the root (RFC 4034 §6.1).
func CompareNames(a, b wire.Name) int { return slices.Compare(labels(a), labels(b)) }

// labels returns the labels of a name in lower case, the one nearest to the root first.
func labels(of wire.Name) (labels []string) {
	for n := lowerCase(of); n != root; n = parent(n) {
		labels = append(labels, n[1:1+int(n[0])])
	}
	slices.Reverse(labels)
	return labels
}
