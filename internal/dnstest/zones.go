package dnstest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// Zone is a random zone as a primary might send it. It is a plain value.
type Zone struct {
	Origin  wire.Name // lower case
	Records []wire.RR // in any order, with duplicates and records that no zone can hold
	Proven  bool      // signed so that every negative answer can be proved
}

// GoString writes the zone for the report of a failure.
func (z Zone) GoString() string {
	var s strings.Builder
	s.WriteString("zone " + presentation(z.Origin))
	for i, rr := range z.Records {
		s.WriteString("\n\t" + Line(&z.Records[i]))
		if lower := lowerCase(rr.Owner); lower != string(rr.Owner) {
			fmt.Fprintf(&s, " ; as %q", []byte(rr.Owner))
		}
	}
	return s.String() + "\n"
}

const (
	maxRandomRecords = 40      // of one zone, so that a failure can be read
	maxRandomDepth   = 5       // labels below the apex
	maxRandomForeign = 3       // records that no zone can hold, out of ten
	largeRDATA       = 1 << 10 // pairs of octets: so much that a page holds one or two of them
)

// randomOrigins are the names random zones have; the octets of the last end other names too.
var randomOrigins = []string{"example.", ".", "a.", "b.a.", `\001a.a.`}

// plainLabels are the labels of most random names: few, so that names collide and stand below one another.
var plainLabels = []string{"a", "b", "*", "A"}

// randomLabels are the labels of the others: some are hard on keys.
var randomLabels = []string{"a", "B", "c", "ab", "*", "-", "\x00", "\x01", ".", "\x01\x01", "a\x00", "\xff", "a.b", "z\x01a"}

// randomTypes are the types of random records. Those that change how names are answered are frequent.
var randomTypes = []uint16{
	dns.TypeA, dns.TypeAAAA, dns.TypeNS, dns.TypeCNAME, dns.TypeDNAME, dns.TypeA, dns.TypeNS, dns.TypeCNAME, dns.TypeDNAME,
	dns.TypeMX, dns.TypeTXT, dns.TypeDS, dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeDNSKEY, dns.TypeSRV,
	dns.TypeSVCB, dns.TypeHTTPS, 65280, 65280,
}

// randomQTypes are the types random zones are asked for.
var randomQTypes = []uint16{
	dns.TypeA, dns.TypeAAAA, dns.TypeNS, dns.TypeCNAME, dns.TypeDNAME, dns.TypeSOA, dns.TypeMX, dns.TypeTXT, dns.TypeDS,
	dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeANY, dns.TypeHTTPS, 65280,
}

// passingQTypes are those asked for at names that nothing but a neighbor is known of.
var passingQTypes = []uint16{dns.TypeA, dns.TypeCNAME, dns.TypeDS, dns.TypeANY}

// Zones generates random zones: one SOA, the records in canonical order, in its reverse or in any order.
func Zones() *rapid.Generator[Zone] {
	return rapid.Custom(func(t *rapid.T) Zone {
		z := Zone{Origin: wireName(rapid.SampledFrom(randomOrigins).Draw(t, "origin"))}
		soa := z.SOA(rapid.Uint32Range(1, 9).Draw(t, "serial"), rapid.SampledFrom([]uint32{0, 300, 3600}).Draw(t, "minimum"))
		soa.TTL = rapid.SampledFrom([]uint32{0, 300, 900}).Draw(t, "TTL")
		z.Records = append(rapid.SliceOfN(z.record(), 0, maxRandomRecords).Draw(t, "records"), soa)
		again := rapid.SliceOfN(rapid.SampledFrom(z.Records), 0, 3).Draw(t, "again")
		for _, rr := range again {
			z.Records = append(z.Records, resent(t, rr))
		}
		z.order(t)
		return z
	})
}

// SOA returns a SOA record of the zone.
func (z Zone) SOA(serial, minimum uint32) wire.RR {
	data := slices.Concat([]byte("\x02ns"), z.Origin, []byte("\x04Host"), z.Origin)
	for _, n := range []uint32{serial, 7200, 900, 86400, minimum} {
		data = binary.BigEndian.AppendUint32(data, n)
	}
	return wire.RR{Owner: z.Origin, Type: dns.TypeSOA, Class: dns.ClassINET, TTL: 900, Data: data}
}

// Record generates records that the zone can hold.
func (z Zone) Record() *rapid.Generator[wire.RR] {
	return rapid.Custom(func(t *rapid.T) wire.RR {
		rr := wire.RR{
			Owner: z.Name().Draw(t, "owner"),
			Type:  rapid.SampledFrom(randomTypes).Draw(t, "type"),
			Class: dns.ClassINET,
			TTL:   rapid.SampledFrom([]uint32{60, 300, 60, 0}).Draw(t, "TTL"),
		}
		rr.Data = z.rdata(t, rr.Type)
		return rr
	})
}

// record generates records of which some cannot be held.
func (z Zone) record() *rapid.Generator[wire.RR] {
	return rapid.Custom(func(t *rapid.T) wire.RR {
		rr := z.Record().Draw(t, "record")
		if rapid.IntRange(0, 9).Draw(t, "foreign") >= maxRandomForeign {
			return rr
		}
		switch rapid.IntRange(0, 2).Draw(t, "how") {
		case 0:
			rr.Class = rapid.SampledFrom([]uint16{dns.ClassCHAOS, dns.ClassANY, 0}).Draw(t, "class")
		case 1:
			rr.Owner = z.outside(t)
		default:
			rr.Type = rapid.SampledFrom([]uint16{dns.TypeOPT, dns.TypeTSIG}).Draw(t, "meta")
		}
		return rr
	})
}

// Name generates names within the zone.
func (z Zone) Name() *rapid.Generator[wire.Name] {
	return rapid.Custom(func(t *rapid.T) wire.Name {
		var n wire.Name
		labels := plainLabels
		if rapid.IntRange(0, 3).Draw(t, "plain") == 3 {
			labels = randomLabels
		}
		for range rapid.IntRange(0, maxRandomDepth).Draw(t, "depth") {
			l := rapid.SampledFrom(labels).Draw(t, "label")
			n = append(append(n, byte(len(l))), l...)
		}
		return append(n, z.Origin...)
	})
}

// outside draws a name that is not within the zone, although its octets may end in the octets of the origin. The root's
// zone has no such name: it gives one within.
func (z Zone) outside(t *rapid.T) wire.Name {
	names := []string{"other.", ".", `x\007example.`, `b\001a.`, `x\001b.a.`, `x\002\001a.a.`}
	return wireName(rapid.SampledFrom(slices.DeleteFunc(names, func(s string) bool {
		return len(z.Origin) > 1 && below(lowerCase(wireName(s)), string(z.Origin))
	})).Draw(t, "outside"))
}

// target draws a name for RDATA: mostly one of the zone, sometimes one outside, sometimes so long that a DNAME cannot
// use it.
func (z Zone) target(t *rapid.T) []byte {
	switch rapid.IntRange(0, 9).Draw(t, "target") {
	case 0:
		return z.outside(t)
	case 1:
		return z.longName(longestTarget - rapid.IntRange(0, 5).Draw(t, "shorter"))
	}
	return z.Name().Draw(t, "name")
}

// longestTarget is the length of the longest random name: a DNAME can put few labels in front of it.
const longestTarget = 250

// longName returns a name within the zone of so many octets, which are more than 190.
func (z Zone) longName(octets int) wire.Name {
	label := slices.Concat([]byte{61}, bytes.Repeat([]byte("l"), 61))
	long := bytes.Repeat(label, 3)
	last := octets - len(long) - 1 - len(z.Origin)
	return slices.Concat(long, []byte{byte(last)}, bytes.Repeat([]byte("m"), last), z.Origin)
}

// rdata draws RDATA of one of the random types, of few values.
func (z Zone) rdata(t *rapid.T, rrtype uint16) []byte {
	n := byte(rapid.IntRange(1, 3).Draw(t, "value"))
	switch rrtype {
	case dns.TypeA:
		return []byte{192, 0, 2, n}
	case dns.TypeAAAA:
		return append(bytes.Repeat([]byte{0x20}, 15), n)
	case dns.TypeNS, dns.TypeCNAME, dns.TypeDNAME:
		return z.target(t)
	case dns.TypeMX:
		return append([]byte{0, n}, z.target(t)...)
	case dns.TypeSRV:
		return append([]byte{0, n, 0, 1, 0, 53}, z.target(t)...)
	case dns.TypeSVCB, dns.TypeHTTPS: // of both modes, and of those that point at "."
		if n == 3 {
			return []byte{0, byte(rapid.IntRange(0, 1).Draw(t, "mode")), 0}
		}
		return append([]byte{0, n - 1}, z.target(t)...)
	case dns.TypeTXT:
		return append([]byte{1, 'a' + n, n - 1}, bytes.Repeat([]byte("T"), int(n-1))...)
	case dns.TypeDS:
		return []byte{0, n, 13, 2, 0xab, n}
	case dns.TypeDNSKEY:
		return []byte{1, 1, 3, 13, 0xab, n}
	case dns.TypeNSEC:
		return append(z.Name().Draw(t, "next"), 0, 1, 0x40)
	case dns.TypeNSEC3:
		return []byte{1, 0, 0, n, 0, 2, 0xab, n, 0, 1, 0x40}
	case dns.TypeRRSIG:
		covered := rapid.SampledFrom([]uint16{dns.TypeA, dns.TypeNS, dns.TypeSOA, dns.TypeCNAME, dns.TypeNSEC3}).Draw(t,
			"covered")
		fixed := append(binary.BigEndian.AppendUint16(nil, covered), 13, 2, 0, 0, 1, 0, 1, 2, 3, 4, 1, 2, 3, 3, 0, n)
		return slices.Concat(fixed, z.Origin, []byte{0xab, n})
	}
	return bytes.Repeat([]byte{0xde, n}, 1+rapid.SampledFrom([]int{0, largeRDATA}).Draw(t, "large"))
}

// order brings the records into one of the orders primaries send.
func (z *Zone) order(t *rapid.T) {
	switch rapid.IntRange(0, 2).Draw(t, "order") {
	case 0:
		z.Records = Sorted(z.Records)
	case 1:
		z.Records = Sorted(z.Records)
		slices.Reverse(z.Records)
	default:
		z.Records = rapid.Permutation(z.Records).Draw(t, "permutation")
	}
}

// Sorted returns the records in canonical order of their owners.
func Sorted(rrs []wire.RR) []wire.RR {
	return slices.SortedStableFunc(slices.Values(rrs), func(a, b wire.RR) int { return CompareNames(a.Owner, b.Owner) })
}

// resent draws a duplicate of a record: names in another case, perhaps with another TTL.
func resent(t *rapid.T, rr wire.RR) wire.RR {
	rr.Owner = mixCase(t, rr.Owner)
	rr.TTL -= min(rr.TTL, rapid.SampledFrom([]uint32{0, 30}).Draw(t, "less"))
	switch rr.Type {
	case dns.TypeNS, dns.TypeCNAME, dns.TypeDNAME:
		rr.Data = mixCase(t, rr.Data)
	}
	return rr
}

// mixCase draws another case of a name.
func mixCase(t *rapid.T, n wire.Name) wire.Name {
	switch rapid.IntRange(0, 2).Draw(t, "case") {
	case 0:
		return wire.Name(lowerCase(n))
	case 1:
		return UpperCase(n)
	}
	return n
}

// UpperCase returns a name in upper case; octets of length are below 'a'.
func UpperCase(n wire.Name) wire.Name {
	upper := slices.Clone(n)
	for i, b := range upper {
		if 'a' <= b && b <= 'z' {
			upper[i] = b - 'a' + 'A'
		}
	}
	return upper
}

// Questions returns what is worth asking about a zone: every name that exists and, for each, other case, children, and
// the names just before and behind it.
func (o *Oracle) Questions() (questions []Query) {
	for _, n := range o.Owners() {
		for _, t := range randomQTypes {
			questions = append(questions, Query{Name: n, Type: t})
		}
		near := []wire.Name{UpperCase(n), child("a", n), child("*", n), child("zz", child("b", n))}
		if string(n) != o.origin {
			label, up := n[1:1+int(n[0])], wire.Name(parent(string(n)))
			before, behind := slices.Clone(label), string(label)+"\x00"
			before[len(before)-1]--
			near = append(near, child(string(before), up), child(behind, up))
		}
		for _, name := range near {
			for _, t := range passingQTypes {
				questions = append(questions, Query{Name: name, Type: t})
			}
		}
	}
	return slices.DeleteFunc(questions, func(q Query) bool { return len(q.Name) > oracleNameMax })
}

// Some draws one of so many questions, spread over all of them.
func Some(t *rapid.T, oneOf int, all []Query) (some []Query) {
	for i := rapid.IntRange(0, oneOf-1).Draw(t, "first question"); i < len(all); i += oneOf {
		some = append(some, all[i])
	}
	return some
}

// child returns the name one label below n.
func child(label string, n wire.Name) wire.Name {
	return append(append(wire.Name{byte(len(label))}, label...), n...)
}

// wireName returns the wire form of a name in presentation form.
func wireName(s string) wire.Name {
	buf := make([]byte, oracleNameMax)
	n, err := dns.PackDomainName(s, buf, 0, nil, false)
	if err != nil {
		panic(err)
	}
	return wire.Name(buf[:n:n])
}
