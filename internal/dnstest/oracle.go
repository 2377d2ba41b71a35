package dnstest

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// oracleChain is how many names one answer of an Oracle looks up at most.
const oracleChain = 16

// Query is a question about a zone. It is a plain value.
type Query struct {
	Name   wire.Name
	Type   uint16
	DNSSEC bool // signatures and proofs are wanted
	All    bool // ANY wants every RRset
}

// String writes the question for the report of a failure.
func (q Query) String() string {
	s := presentation(q.Name) + " " + dns.Type(q.Type).String()
	if q.DNSSEC {
		s += " +do"
	}
	if q.All {
		s += " +all"
	}
	return s
}

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
	Glue       int    // records of Additional, the first ones, that are glue for name servers below the cut (RFC 9471 §3.1)
	Target     string // the name that an alias leads to outside the zone or below a cut, else ""

	Unspecified bool // the RFCs leave the answer open: do not compare
	Unproven    bool // the zone is not signed so that it can prove the answer: do not compare NSEC and NSEC3 records
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

// Holds reports whether the zone can hold a record: one of class IN within it, of a type that some server takes as data.
func (o *Oracle) Holds(rr *wire.RR) bool {
	meta := rr.Type == dns.TypeOPT || rr.Type == dns.TypeTSIG
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

// Lookup answers a question about a name within the zone (RFC 1034 §4.3.2 steps 3 to 6, as RFC 4592 §3.3 and RFC 6672
// §3.2 have it).
func (o *Oracle) Lookup(q Query) Reply {
	s := search{Oracle: o, Query: q, Reply: Reply{Outcome: "NOERROR"}}
	n := lowerCase(q.Name)
	asked := map[string]bool{}
	for range oracleChain {
		asked[n] = true
		target := s.step(n)
		if s.Outcome == "REFERRAL" && len(asked) > 1 {
			s.Target = presentation([]byte(n))
		}
		if target != "" && !below(target, o.origin) {
			s.Target = presentation([]byte(target))
		}
		if target == "" || s.Target != "" || asked[target] {
			break
		}
		n = target
	}
	if s.Outcome == "NOERROR" {
		s.addAddresses()
	}
	return s.Reply
}

// search is one lookup. It is used by one goroutine.
type search struct {
	*Oracle
	Query
	Reply
	pointers []pointer // of the RRsets in the answer section
}

// pointer is a name that a record of the answer leads to. It is a plain value.
type pointer struct {
	target string
	alias  bool // of service bindings of the type
	rrtype uint16
}

// step answers for one name and returns the name to go on with, or "".
func (s *search) step(n string) string {
	// Step 3: match down, label by label, from the apex.
	for _, at := range s.path(n) {
		if len(s.set(at, dns.TypeNS)) > 0 && at != s.origin {
			if at == n && s.Type == dns.TypeDS {
				s.parentSide(at)
			} else {
				s.refer(at)
			}
			return ""
		}
		if dname := s.set(at, dns.TypeDNAME); len(dname) > 0 && at != n {
			return s.substitute(n, dname)
		}
	}
	if s.exists(n) {
		return s.match(n, n)
	}
	// RFC 4592 §3.3.1: the source of synthesis is the wildcard of the closest encloser.
	encloser := parent(n)
	for !s.exists(encloser) {
		encloser = parent(encloser)
	}
	wildcard := "\x01*" + encloser
	if !s.exists(wildcard) {
		s.negative("NXDOMAIN")
		s.proveNameError(n, encloser)
		return ""
	}
	if len(s.set(wildcard, dns.TypeNS)) > 0 {
		s.Unspecified = true // RFC 4592 §4.2
	}
	return s.match(wildcard, n)
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

// signatures returns the signatures over the records of one owner and type.
func (o *Oracle) signatures(owner string, rrtype uint16) (sigs []fact) {
	for _, f := range o.records {
		if f.owner == owner && f.rrtype == dns.TypeRRSIG && f.covers == rrtype {
			sigs = append(sigs, f)
		}
	}
	return sigs
}

// put appends a set to a section under the name owner and, if they are wanted, the signatures over it (RFC 4035 §3.1.1).
func (s *search) put(section *[]string, set []fact, owner string) {
	*section = append(*section, lines(set, owner)...)
	if s.DNSSEC && set[0].rrtype != dns.TypeRRSIG {
		*section = append(*section, lines(s.signatures(set[0].owner, set[0].rrtype), owner)...)
	}
}

// match answers from the records of a node, under the name n (step 3a). A node of another name is the source of
// synthesis.
func (s *search) match(node, n string) string {
	types, target := s.wanted(node)
	for _, t := range types {
		set := s.set(node, t)
		if s.Type == dns.TypeANY && s.All { // signatures come by themselves (RFC 4035 §3.1: like any other data)
			s.Answer = append(s.Answer, lines(set, n)...)
		} else {
			s.put(&s.Answer, set, n)
		}
		for _, f := range set {
			s.pointers = append(s.pointers, f.pointer(n))
		}
	}
	switch {
	case len(types) == 0:
		s.negative("NODATA")
		s.proveNoData(node, n)
	case node != n:
		s.proveSynthesis(node, n)
	}
	return target
}

// wanted returns the types of a node that are the answer, and the name to go on with behind a CNAME.
func (s *search) wanted(node string) (types []uint16, target string) {
	cname := s.set(node, dns.TypeCNAME)
	switch {
	case s.Type == dns.TypeANY && s.All:
		return s.types(node), ""
	case s.Type == dns.TypeANY && len(cname) > 0: // RFC 8482 §4.2
		return []uint16{dns.TypeCNAME}, ""
	case s.Type == dns.TypeANY: // RFC 8482 §4.1: a subset is enough
		all := s.types(node)
		return all[:min(1, len(all))], ""
	case len(s.set(node, s.Type)) > 0:
		return []uint16{s.Type}, ""
	case len(cname) == 0 || s.Type == dns.TypeRRSIG || s.Type == dns.TypeNSEC: // RFC 4035 §2.5: these stand beside a CNAME
		return nil, ""
	}
	return []uint16{dns.TypeCNAME}, lowerCase([]byte(cname[0].data))
}

// types returns the types of a node, RRSIG last.
func (s *search) types(node string) (types []uint16) {
	for _, f := range s.records {
		if f.owner == node && !f.hidden() && f.rrtype != dns.TypeRRSIG && !slices.Contains(types, f.rrtype) {
			types = append(types, f.rrtype)
		}
	}
	if len(s.set(node, dns.TypeRRSIG)) > 0 {
		types = append(types, dns.TypeRRSIG)
	}
	return types
}

// parentSide answers a DS question at a cut: of the data there, this zone has authority over DS alone (RFC 4035
// §3.1.4.1).
func (s *search) parentSide(cut string) {
	if ds := s.set(cut, dns.TypeDS); len(ds) > 0 {
		s.put(&s.Answer, ds, cut)
		return
	}
	s.negative("NODATA")
	s.proveNoData(cut, cut)
}

// refer makes a referral (step 3b): the NS set, the DS set or the proof that there is none (RFC 4035 §3.1.4), and what
// addresses the zone has of the name servers, those at or below the cut first (RFC 9471).
func (s *search) refer(cut string) {
	s.Outcome = "REFERRAL"
	ns := s.set(cut, dns.TypeNS)
	s.Authority = append(s.Authority, lines(ns, cut)...) // not signed, whatever the zone has (RFC 4035 §2.2)
	switch ds := s.set(cut, dns.TypeDS); {
	case s.DNSSEC && len(s.signatures(s.origin, dns.TypeSOA)) == 0:
		s.Unproven = true // RFC 4035 §3.1.4 speaks of signed zones
	case s.DNSSEC && len(ds) > 0:
		s.put(&s.Authority, ds, cut)
	default:
		s.proveUnsigned(cut)
	}
	for _, within := range []bool{true, false} {
		for _, f := range ns {
			if below(f.data, cut) == within {
				s.addAddress(f.data)
			}
		}
		if within {
			s.Glue = len(s.Additional)
		}
	}
}

// addAddresses adds the addresses of what the answer points at (step 6), and the service bindings that it is an alias of
// (RFC 9460 §4.1).
func (s *search) addAddresses() {
	for _, p := range s.pointers {
		if p.alias {
			s.addSets(p.target, p.rrtype)
		}
		s.addAddress(p.target)
	}
}

func (s *search) addAddress(n string) { s.addSets(n, dns.TypeA, dns.TypeAAAA) }

// addSets adds what the zone has of a name, unless it is there: glue too, but not what a DNAME has taken the place of (RFC
// 6672 §2.4), and what a wildcard makes (RFC 4592 §3.3).
func (s *search) addSets(n string, types ...uint16) {
	if n == "" || !below(n, s.origin) {
		return
	}
	node := n
	for _, at := range s.path(n) {
		if len(s.set(at, dns.TypeNS)) > 0 && at != s.origin {
			break
		}
		if len(s.set(at, dns.TypeDNAME)) > 0 && at != n {
			return
		}
		if !s.exists(at) {
			node = "\x01*" + parent(at)
			break
		}
	}
	for _, t := range types {
		set := s.set(node, t)
		if len(set) > 0 && !slices.Contains(slices.Concat(s.Answer, s.Additional), lines(set, n)[0]) {
			s.put(&s.Additional, set, n)
		}
	}
}

// pointer returns where a record of the name owner leads to; its target is "" if it leads nowhere.
func (f fact) pointer(owner string) pointer {
	data := lowerCase([]byte(f.data))
	switch f.rrtype {
	case dns.TypeNS:
		return pointer{target: data}
	case dns.TypeMX:
		return pointer{target: data[2:]}
	case dns.TypeSRV:
		return pointer{target: data[6:]}
	case dns.TypeSVCB, dns.TypeHTTPS:
		alias, target := f.data[:2] == "\x00\x00", data[2:2+nameEnd(data[2:])]
		switch {
		case target == root && alias: // RFC 9460 §2.5.1: "." is no service at all
			return pointer{}
		case target == root: // RFC 9460 §2.5.2: "." is the owner
			return pointer{target: owner}
		}
		return pointer{target: target, alias: alias, rrtype: f.rrtype}
	}
	return pointer{}
}

// substitute follows a DNAME (RFC 6672 §3.1 and §3.2): the DNAME, once, and the CNAME it makes, which nobody has signed
// (§5.3.1).
func (s *search) substitute(n string, dname []fact) string {
	if !slices.Contains(s.Answer, lines(dname, dname[0].owner)[0]) {
		s.put(&s.Answer, dname, dname[0].owner)
	}
	target := strings.TrimSuffix(n, dname[0].owner) + dname[0].data
	if len(target) > oracleNameMax {
		s.Outcome = "YXDOMAIN"
		return ""
	}
	cname := fact{rrtype: dns.TypeCNAME, ttl: lowestTTL(dname), data: target}
	s.Answer = append(s.Answer, cname.line(n, cname.ttl))
	if s.Type == dns.TypeCNAME { // §3.1: the CNAME is what was asked for
		return ""
	}
	return target
}

// negative adds what NODATA and NXDOMAIN carry (RFC 2308 §3): the SOA, its TTL no more than MINIMUM, and that of its
// signatures the same (RFC 4034 §3).
func (s *search) negative(outcome string) {
	s.Outcome = outcome
	soa := s.set(s.origin, dns.TypeSOA)[0]
	minimum := binary.BigEndian.Uint32([]byte(soa.data[len(soa.data)-4:]))
	soa.ttl = min(soa.ttl, minimum)
	s.Authority = append(s.Authority, soa.line(s.origin, soa.ttl))
	if s.DNSSEC {
		for _, sig := range s.signatures(s.origin, dns.TypeSOA) {
			s.Authority = append(s.Authority, sig.line(s.origin, soa.ttl))
		}
	}
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
