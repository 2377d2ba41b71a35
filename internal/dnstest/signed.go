package dnstest

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// Denial is how a random zone denies existence.
type Denial string

// The ways in which random zones are signed, or are not.
const (
	Plain Denial = "plain" // not signed, but perhaps with stray records of DNSSEC
	NSEC  Denial = "NSEC"
	NSEC3 Denial = "NSEC3"
	Odd   Denial = "odd" // signed, and then spoiled
)

// signedTypes are the types that signing makes; a zone is signed without those it had before.
var signedTypes = []uint16{dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeDNSKEY, dns.TypeNSEC3PARAM}

// AnyZones generates random zones, as Zones does, signed in one of these ways, or in any way if none is named. Signatures
// are made up; everything else is as RFC 4035 §2 and RFC 5155 §7.1 have it.
func AnyZones(ways ...Denial) *rapid.Generator[Zone] {
	if len(ways) == 0 {
		ways = []Denial{Plain, NSEC, NSEC3, NSEC3, Odd}
	}
	return rapid.Custom(func(t *rapid.T) Zone {
		z := Zones().Draw(t, "zone")
		return z.Sign(t, rapid.SampledFrom(ways).Draw(t, "denial"))
	})
}

// Sign returns the zone signed in one of the ways.
func (z Zone) Sign(t *rapid.T, way Denial) Zone {
	spoil := way == Odd
	if spoil {
		way = rapid.SampledFrom([]Denial{NSEC, NSEC3}).Draw(t, "spoiled")
	}
	switch way {
	case NSEC:
		z.Records = newSigner(t, z).signNSEC()
	case NSEC3:
		z.Records = newSigner(t, z).signNSEC3()
	default:
		return z
	}
	z.Proven = !spoil
	if spoil {
		z.spoil(t)
	}
	z.order(t)
	return z
}

// spoil takes records of DNSSEC away from a zone and adds stray records.
func (z *Zone) spoil(t *rapid.T) {
	for range rapid.IntRange(0, 4).Draw(t, "losses") {
		i := rapid.IntRange(0, len(z.Records)-1).Draw(t, "lost")
		if slices.Contains(signedTypes, z.Records[i].Type) {
			z.Records = slices.Delete(z.Records, i, i+1)
		}
	}
	z.Records = append(z.Records, rapid.SliceOfN(z.Record(), 0, 3).Draw(t, "strays")...)
}

// zoneSigner signs one zone. It is used by one goroutine.
type zoneSigner struct {
	t    *rapid.T
	zone Zone
	*Oracle
	sent []wire.RR // the records so far
	keys int       // signatures of an RRset
}

// newSigner returns a signer of a zone, whose former records of DNSSEC it leaves out. Some cuts get DS records.
func newSigner(t *rapid.T, z Zone) *zoneSigner {
	z.Records = slices.DeleteFunc(slices.Clone(z.Records), func(rr wire.RR) bool {
		return slices.Contains(signedTypes, rr.Type)
	})
	for _, rr := range z.Records {
		if rr.Type == dns.TypeNS && lowerCase(rr.Owner) != string(z.Origin) && rapid.IntRange(0, 2).Draw(t, "secure") == 0 {
			rr.Type, rr.Data = dns.TypeDS, []byte{0, 1, 13, 2, 0xab, 0xcd}
			z.Records = append(z.Records, rr)
		}
	}
	z.Records = append(z.Records, wire.RR{
		Owner: z.Origin, Type: dns.TypeDNSKEY, Class: dns.ClassINET, TTL: 300, Data: []byte{1, 1, 3, 13, 0xab, 0xcd},
	})
	return &zoneSigner{t: t, zone: z, sent: z.Records, keys: rapid.SampledFrom([]int{1, 1, 2}).Draw(t, "keys")}
}

// add adds a record whose owner has some case.
func (s *zoneSigner) add(owner string, rrtype uint16, ttl uint32, data []byte) {
	s.sent = append(s.sent, wire.RR{
		Owner: mixCase(s.t, wire.Name(owner)), Type: rrtype, Class: dns.ClassINET, TTL: ttl, Data: data,
	})
}

// signNSEC returns the records of the zone signed with NSEC records.
func (s *zoneSigner) signNSEC() []wire.RR {
	s.Oracle = NewOracle(s.zone.Origin, s.zone.Records)
	s.chainNSEC()
	s.signAll()
	return s.sent
}

// chainNSEC adds an NSEC record to every name that has authoritative data or is a cut (RFC 4035 §2.3).
func (s *zoneSigner) chainNSEC() {
	var owners []string
	for _, n := range s.names() {
		if len(s.typesOf(n)) > 0 {
			owners = append(owners, n)
		}
	}
	for i, n := range owners {
		types := append(s.typesOf(n), dns.TypeNSEC, dns.TypeRRSIG)
		next := mixCase(s.t, wire.Name(owners[(i+1)%len(owners)]))
		s.add(n, dns.TypeNSEC, s.negativeTTL(), slices.Concat(next, bitmap(types)))
	}
}

// signNSEC3 returns the records of the zone signed with one or two chains of NSEC3 records.
func (s *zoneSigner) signNSEC3() []wire.RR {
	chains := rapid.SliceOfNDistinct(rapid.Custom(drawHashing), 1, 2, rapid.ID[hashing]).Draw(s.t, "chains")
	partial := len(chains) > 1 && rapid.Bool().Draw(s.t, "partial")
	for i, h := range chains {
		s.announce(h, i > 0 && partial)
	}
	s.Oracle = NewOracle(s.zone.Origin, s.sent)
	for i, h := range chains {
		s.chainNSEC3(h, i > 0 && partial)
	}
	if rapid.IntRange(0, 7).Draw(s.t, "both") == 0 { // a change from one to the other that is under way
		s.chainNSEC()
	}
	s.signAll()
	return s.sent
}

// drawHashing draws the parameters of a chain; few have more iterations than a server computes.
func drawHashing(t *rapid.T) hashing {
	return hashing{
		iterations: rapid.SampledFrom([]uint16{0, 1, 2, 3, 0, 0, oracleIterations + 1}).Draw(t, "iterations"),
		salt:       rapid.SampledFrom([]string{"", "\xab", "\xaa\xbb\xcc\xdd"}).Draw(t, "salt"),
	}
}

// announce adds the NSEC3PARAM record of a chain. That of a partial chain is none that a server may use, or is missing.
func (s *zoneSigner) announce(h hashing, partial bool) {
	data := append([]byte{1, 0, byte(h.iterations >> 8), byte(h.iterations), byte(len(h.salt))}, h.salt...)
	if partial {
		switch rapid.IntRange(0, 3).Draw(s.t, "announced") {
		case 0:
			return
		case 1:
			data[0] = 2 // an algorithm that nobody knows
		case 2:
			data[1] = 1 // RFC 5155 §4.1.2: flags other than zero
		}
	}
	s.add(string(s.zone.Origin), dns.TypeNSEC3PARAM, 0, data)
}

// chainNSEC3 adds an NSEC3 record for every name that has authoritative data, is a cut or an empty non-terminal, but with
// Opt-Out not for every cut without DS records (RFC 5155 §7.1). A partial chain has none at the apex.
func (s *zoneSigner) chainNSEC3(h hashing, partial bool) {
	flags := byte(rapid.IntRange(0, 1).Draw(s.t, "opt-out"))
	names := s.names()
	if flags == 1 {
		names = s.optOut(names)
	}
	owners := map[string]string{}
	for _, n := range names {
		owners[h.hash(n)] = n
	}
	hashes := slices.Sorted(maps.Keys(owners))
	for i, hash := range hashes {
		n := owners[hash]
		if partial && (n == s.origin || rapid.Bool().Draw(s.t, "missing")) {
			continue
		}
		next, err := base32hex.DecodeString(hashes[(i+1)%len(hashes)][1:])
		if err != nil {
			panic(err)
		}
		types := s.typesOf(n)
		if len(types) > 0 && !slices.Equal(types, []uint16{dns.TypeNS}) { // something here is signed
			types = append(types, dns.TypeRRSIG)
		}
		data := append([]byte{1, flags, byte(h.iterations >> 8), byte(h.iterations), byte(len(h.salt))}, h.salt...)
		data = append(append(data, byte(len(next))), next...)
		s.add(hash+s.origin, dns.TypeNSEC3, s.negativeTTL(), append(data, bitmap(types)...))
	}
}

// optOut leaves out some of the cuts that have no DS records, and the empty non-terminals that are there for them alone.
func (s *zoneSigner) optOut(names []string) []string {
	left := slices.DeleteFunc(slices.Clone(names), func(n string) bool {
		return slices.Equal(s.typesOf(n), []uint16{dns.TypeNS}) && rapid.IntRange(0, 3).Draw(s.t, "insecure") > 0
	})
	return slices.DeleteFunc(slices.Clone(left), func(n string) bool {
		return len(s.typesOf(n)) == 0 && !slices.ContainsFunc(left, func(m string) bool {
			return len(s.typesOf(m)) > 0 && below(m, n)
		})
	})
}

// names returns the names that exist, empty non-terminals too, in canonical order: none that is occluded.
func (s *zoneSigner) names() (names []string) {
	for _, n := range s.Owners() {
		if !s.occluded(string(n)) {
			names = append(names, string(n))
		}
	}
	slices.SortFunc(names, func(a, b string) int { return CompareNames(wire.Name(a), wire.Name(b)) })
	return names
}

// typesOf returns the types at a name that this zone has authority over, and NS at a cut.
func (s *zoneSigner) typesOf(n string) (types []uint16) {
	cut := n != s.origin && len(s.set(n, dns.TypeNS)) > 0
	for _, f := range s.records {
		ours := !cut || f.rrtype == dns.TypeNS || f.rrtype == dns.TypeDS
		if f.owner == n && ours && !slices.Contains(types, f.rrtype) {
			types = append(types, f.rrtype)
		}
	}
	return types
}

// signAll adds signatures over everything but NS records at cuts (RFC 4035 §2.2).
func (s *zoneSigner) signAll() {
	s.Oracle = NewOracle(s.zone.Origin, s.sent)
	var signed []fact
	for _, f := range s.records {
		cut := f.owner != s.origin && len(s.set(f.owner, dns.TypeNS)) > 0
		ours := !s.occluded(f.owner) && (!cut || f.rrtype == dns.TypeDS || f.rrtype == dns.TypeNSEC)
		same := func(g fact) bool { return g.owner == f.owner && g.rrtype == f.rrtype }
		if (ours || f.rrtype == dns.TypeNSEC3) && !slices.ContainsFunc(signed, same) {
			signed = append(signed, f)
			f.ttl = lowestTTL(slices.DeleteFunc(slices.Clone(s.records), func(g fact) bool { return !same(g) }))
			s.sign(f)
		}
	}
}

// sign adds signatures over the RRset that a record belongs to (RFC 4034 §3.1).
func (s *zoneSigner) sign(f fact) {
	labels := len(labels(wire.Name(f.owner)))
	if strings.HasPrefix(f.owner, "\x01*") {
		labels--
	}
	data := binary.BigEndian.AppendUint16(nil, f.rrtype)
	data = append(data, 13, byte(labels))
	data = binary.BigEndian.AppendUint32(data, f.ttl)
	data = append(data, 0x75, 0, 0, 0, 0x65, 0, 0, 0) // expiration and inception
	for key := range byte(s.keys) {
		s.add(f.owner, dns.TypeRRSIG, f.ttl, slices.Concat(data, []byte{0x12, key}, s.zone.Origin, []byte{0xab, key}))
	}
}

// negativeTTL is the TTL of records that prove (RFC 9077 §3).
func (s *zoneSigner) negativeTTL() uint32 {
	soa := s.set(s.origin, dns.TypeSOA)[0]
	return min(soa.ttl, binary.BigEndian.Uint32([]byte(soa.data[len(soa.data)-4:])))
}

// bitmap returns types as NSEC and NSEC3 records have them (RFC 4034 §4.1.2).
func bitmap(types []uint16) (data []byte) {
	for window := range 256 {
		bits := make([]byte, 32)
		for _, t := range types {
			if int(t>>8) == window {
				bits[t&0xff>>3] |= 0x80 >> (t & 7)
			}
		}
		if bits = bytes.TrimRight(bits, "\x00"); len(bits) > 0 {
			data = append(append(data, byte(window), byte(len(bits))), bits...)
		}
	}
	return data
}
