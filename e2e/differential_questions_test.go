//go:build e2e

package e2e_test

import (
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// manners are the ways to ask.
var manners = []manner{
	{name: "UDP without EDNS"},
	{name: "UDP 1232", size: 1232},
	{name: "UDP 4096", size: 4096},
	{name: "TCP", tcp: true, size: 1232},
	{name: "UDP 512 DO", size: 512, do: true},
	{name: "UDP 1232 DO", size: 1232, do: true},
	{name: "UDP 4096 DO", size: 4096, do: true},
	{name: "TCP DO", tcp: true, size: 1232, do: true},
}

// ownerTypes are asked at every owner, each at one of two, beside the types that are there.
var ownerTypes = []uint16{
	dns.TypeA, dns.TypeAAAA, dns.TypeNS, dns.TypeSOA, dns.TypeMX, dns.TypeTXT, dns.TypeCNAME, dns.TypeDNAME, dns.TypeDS,
	dns.TypeDNSKEY, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeNSEC3PARAM, dns.TypeRRSIG, dns.TypeSRV, dns.TypeHTTPS, dns.TypeANY,
	65280,
}

// relatedTypes are asked at names around the owners, each at one of eight of these names.
var relatedTypes = []uint16{
	dns.TypeA, dns.TypeDS, dns.TypeTXT, dns.TypeCNAME, dns.TypeNS, dns.TypeANY, dns.TypeNSEC, dns.TypeRRSIG, dns.TypeMX,
}

// hashedOwners is at how many NSEC3 owners of a zone questions are asked.
const hashedOwners = 3

// inquiries returns the questions about a version of a zone. Which ways a question is asked depends on the question and on
// the version, so that all are asked in every way somewhere.
func inquiries(z *corpusZone, version int) []inquiry {
	var qs []inquiry
	types := typesOf(z, version)
	for _, name := range slices.Sorted(maps.Keys(types)) {
		for _, qtype := range union(ownerTypes, types[name]) {
			h := hashOf(z.origin, name, qtype, version)
			if h%2 == 0 || slices.Contains(types[name], qtype) {
				qs = append(qs, inquiry{z, name, qtype, manners[h/2%uint32(len(manners))]})
			}
		}
	}
	for _, name := range relatedNames(z, types) {
		for _, qtype := range relatedTypes {
			h := hashOf(z.origin, name, qtype, version)
			if h%8 == 0 {
				qs = append(qs, inquiry{z, name, qtype, manners[h/8%uint32(len(manners))]})
			}
		}
	}
	return qs
}

// hashOf spreads questions evenly and the same in every run.
func hashOf(origin, name string, qtype uint16, version int) uint32 {
	h := fnv.New32a()
	h.Write([]byte(origin + name))
	h.Write([]byte{byte(qtype >> 8), byte(qtype), byte(version)})
	return h.Sum32() >> 3
}

func union(a, b []uint16) []uint16 {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// typesOf returns the types at each owner, empty non-terminals included, and a few owners of NSEC3 records.
func typesOf(z *corpusZone, version int) map[string][]uint16 {
	types, hashed := map[string][]uint16{}, 0
	for _, rr := range z.rrs[version] {
		h := rr.Header()
		name := dns.CanonicalName(h.Name)
		if _, seen := types[name]; h.Rrtype == dns.TypeNSEC3 && !seen {
			if hashed++; hashed > hashedOwners {
				continue
			}
		}
		if covered, ok := rr.(*dns.RRSIG); ok && covered.TypeCovered == dns.TypeNSEC3 {
			continue
		}
		types[name] = append(types[name], h.Rrtype)
		for up := name; up != dns.CanonicalName(z.origin); up = parentOf(up) {
			if types[up] == nil {
				types[up] = []uint16{}
			}
		}
	}
	return types
}

// parentOf returns the name without its first label.
func parentOf(name string) string {
	off, end := dns.NextLabel(name, 0)
	if end {
		return "."
	}
	return name[off:]
}

// relatedNames returns names around the owners: below, before and behind them in canonical order, with other case, below
// their wildcards, and so long that a DNAME makes them too long.
func relatedNames(z *corpusZone, types map[string][]uint16) []string {
	related := map[string]bool{}
	for name := range types {
		below := name
		if below == "." {
			below = ""
		}
		names := []string{"z." + below, "*." + below, "www.host." + below, `\000.` + below, swapCase(name)}
		if name != dns.CanonicalName(z.origin) {
			first, rest := name[:len(name)-len(parentOf(name))-1], "."+parentOf(name)
			if parentOf(name) == "." {
				first, rest = name[:len(name)-1], "."
			}
			names = append(names, first+`\000`+rest, first+"-"+rest, before(first)+rest)
			if first == "*" {
				names = append(names, "any"+rest, "any.any"+rest, "*.any"+rest, "any.sub.*"+rest)
			}
		}
		if slices.Contains(types[name], dns.TypeDNAME) || slices.Contains(types[name], dns.TypeCNAME) {
			names = append(names, longBelow(below, 255), longBelow(below, 230), "cname."+below, "any.wt."+below)
		}
		for _, n := range names {
			if _, ok := dns.IsDomainName(n); ok && types[n] == nil && nameLen(n) <= 255 {
				related[n] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(related))
}

// before returns a label that sorts before the label and usually behind everything else that does.
func before(label string) string {
	last := label[len(label)-1]
	if last <= '0' || last > 'z' || strings.Contains(label, `\`) {
		return "0" + label
	}
	return label[:len(label)-1] + string(last-1) + `\255`
}

// swapCase turns lower case into upper case and the reverse.
func swapCase(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, name)
}

// nameLen is the length of the name on the wire.
func nameLen(name string) int {
	var buf [512]byte
	n, err := dns.PackDomainName(name, buf[:], 0, nil, false)
	if err != nil {
		return len(buf)
	}
	return n
}

// longBelow returns a name of so many octets below another, if there is room for one.
func longBelow(name string, octets int) string {
	for room := octets - nameLen("."+strings.TrimPrefix(name, ".")); room > 1; room = octets - nameLen(name) {
		name = strings.Repeat("l", min(room-1, 63)) + "." + name
		if room == 65 { // a label of 63 would leave room for none
			name = name[1:]
		}
	}
	return name
}
