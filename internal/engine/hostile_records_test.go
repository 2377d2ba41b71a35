package engine_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// raw is a record with RDATA of any octets.
func raw(owner string, rrtype uint16, data []byte) dns.RR {
	h := dns.RR_Header{Name: owner, Rrtype: rrtype, Class: dns.ClassINET, Ttl: 60}
	return &dns.RFC3597{Hdr: h, Rdata: hex.EncodeToString(data)}
}

// HP7: a SOA whose RDATA ends too soon, wherever one has to be.
func TestBrokenSOAIsRefused(t *testing.T) {
	short := func(octets int) dns.RR { return raw(example, dns.TypeSOA, make([]byte, octets)) }
	sending := func(change func([]dns.RR) []dns.RR) dnstest.Handler {
		return spoiling(example, 2, func(r dnstest.Request, w *dnstest.Writer) {
			m := r.Reply(after()...)
			m.Answer = change(m.Answer)
			w.Send(m)
		})
	}
	last := len(after()) - 1
	broken := func(name string, change func([]dns.RR) []dns.RR) hostility {
		return hostility{name: name, script: sending(change), reason: "malformed", log: "cannot be read", metric: transfersCounted("malformed")}
	}
	withstandsAll(t, []hostility{
		broken("first", func(all []dns.RR) []dns.RR { return slices.Replace(all, 0, 1, short(21)) }),
		broken("first, no RDATA", func(all []dns.RR) []dns.RR { return slices.Replace(all, 0, 1, short(0)) }),
		broken("first, too long", func(all []dns.RR) []dns.RR { return slices.Replace(all, 0, 1, short(23)) }),
		broken("in the middle", func(all []dns.RR) []dns.RR { return slices.Insert(all, 2, short(21)) }),
		broken("last", func(all []dns.RR) []dns.RR { return slices.Replace(all, last, last+1, short(21)) }),
		{
			name: "in the answer to the query", reason: "malformed", metric: []string{"soa_queries_total", "result", "malformed"},
			script: func(r dnstest.Request, w *dnstest.Writer) {
				m := r.Reply()
				m.Answer = []dns.RR{short(21)}
				w.Send(m)
			},
		},
	})
}

// HP8: a zone of another class than IN is none.
func TestAnswerOfAnotherClassIsRefused(t *testing.T) {
	wantNothingLeft(t)
	withstands(t, &hostility{
		script: spoiling(example, 2, func(r dnstest.Request, w *dnstest.Writer) {
			m := r.Reply(after()...)
			for _, rr := range m.Answer {
				rr.Header().Class = dns.ClassCHAOS
			}
			w.Send(m)
		}),
		reason: "no_soa", log: "begins with", metric: transfersCounted("no_soa"),
	})
}

// limitedTo changes the limits of RRsets and names.
func limitedTo(records, types int) func(*engine.Group) {
	return func(g *engine.Group) { g.MaxRRset, g.MaxTypes = records, types }
}

// unlimitedTo leaves the octets of a version as its only limit.
func unlimitedTo(size int64) func(*engine.Group) {
	return func(g *engine.Group) { g.MaxRecords, g.MaxSize = 0, size }
}

// manyTypes returns n types at one name.
func manyTypes(owner string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(`%s 60 IN TYPE%d \# 1 00`, owner, 10_000+i)
	}
	return all
}

// manyAddresses returns an RRset of n records.
func manyAddresses(owner string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s 60 IN A 10.%d.%d.%d", owner, i>>16, i>>8&255, i&255)
	}
	return all
}

// HP13: one name that costs every query dear (CVE-2024-1737).
func TestHugeRRsetAndManyTypesAreRefused(t *testing.T) {
	const records, types = 100, 10
	allowed := append(manyAddresses("big.example.", records), manyTypes("many.example.", types)...)
	refused := func(name, reason, log string, more ...string) hostility {
		return hostility{
			name: name, group: limitedTo(records, types), script: dnstest.Serve(secret, append(version(example, 2), more...)...),
			reason: reason, log: log, metric: violationsCounted(reason),
		}
	}
	withstandsAll(t, []hostility{
		refused("RRset", "rrset_size", "more than 100 records of big.example. A", manyAddresses("big.example.", records+1)...),
		refused("RRset far too large", "rrset_size", "more than 100 records", manyAddresses("big.example.", 9_000)...),
		refused("types", "name_types", "more than 10 at many.example.", manyTypes("many.example.", types+1)...),
		refused("types at the apex", "name_types", "more than 10 at example.", manyTypes(example, types+1)...),
	})
	t.Run("as many as are allowed", func(t *testing.T) {
		s := besiege(t, nil, limitedTo(records, types))
		s.attacker.play(dnstest.Serve(secret, append(version(example, 2), allowed...)...))
		s.notify()
		s.serves(s.zone, 2)
	})
}

// HP13: where no limit is set the work stays in proportion, and a query costs no more than elsewhere.
func TestHugeRRsetIsServedWhereAllowed(t *testing.T) {
	wantNothingLeft(t)
	const records, types = 100_000, 5_000
	s := besiege(t, nil, unlimitedTo(64<<20))
	all := append(version(example, 2), manyTypes("many.example.", types)...)
	all = append(all, manyAddresses("big.example.", records)...)
	rrs := wireRRs(all...)
	s.attacker.play(spoiling(example, 2, func(r dnstest.Request, w *dnstest.Writer) { sendRecords(r, w, append(rrs, rrs[0])) }))
	s.notify()
	s.bystanderFollows(2)
	s.serves(s.zone, 2)
	for _, name := range []string{"big.example.", "many.example."} {
		for _, qtype := range []uint16{dns.TypeA, dns.TypeANY, dns.TypeMX, 12_345} {
			quickly(t, s.zone.Contents(), name, qtype)
		}
	}
}

// quickly fails the test unless a lookup ends at once, and returns what it found. The best of several counts: others use the
// processor, too.
func quickly(t *testing.T, c *zone.Contents, name string, qtype uint16) *zone.Answer {
	t.Helper()
	const limit = 2 * time.Millisecond
	qname, err := wire.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	var a zone.Answer
	best := time.Hour
	for range 5 {
		begin := time.Now()
		c.Lookup(zone.Query{Name: qname, Type: qtype, DNSSEC: true}, &a)
		best = min(best, time.Since(begin))
	}
	if best > limit {
		t.Errorf("%s %s: the lookup takes %s; want less than %s", name, dns.TypeToString[qtype], best, limit)
	}
	return &a
}

// HP14: CVE-2021-25215 and its kin: aliases without end.
func TestChainsAndLoopsAreAnsweredAtOnce(t *testing.T) {
	wantNothingLeft(t)
	const links = 9_000
	all := version(example, 2)
	for i := range links {
		all = append(all, fmt.Sprintf("c%d.example. 60 IN CNAME c%d.example.", i, i+1))
	}
	all = append(all,
		"self.example. 60 IN CNAME self.example.",
		"ping.example. 60 IN CNAME pong.example.", "pong.example. 60 IN CNAME ping.example.",
		"*.wild.example. 60 IN CNAME x.wild.example.",
		"d.example. 60 IN DNAME d.d.example.", "up.example. 60 IN DNAME example.", "e.example. 60 IN DNAME f.example.",
		"f.example. 60 IN DNAME e.example.", "last.example. 60 IN CNAME x.d.example.",
	)
	s := besiege(t, nil, nil)
	s.attacker.play(dnstest.Serve(secret, all...))
	s.notify()
	s.serves(s.zone, 2)
	for _, name := range []string{
		"c0.example.", "self.example.", "ping.example.", "a.wild.example.", "a.d.example.", "up.up.up.up.example.", "a.e.example.",
		"last.example.", strings.Repeat("a.", 100) + "d.example.",
	} {
		for _, qtype := range []uint16{dns.TypeA, dns.TypeANY, dns.TypeCNAME, dns.TypeDNAME, dns.TypeDS} {
			if a := quickly(t, s.zone.Contents(), name, qtype); len(a.Answer) > 100 {
				t.Errorf("%s %s: %d RRsets in the answer", name, dns.TypeToString[qtype], len(a.Answer))
			}
		}
	}
}

// oddRDATA is RDATA in hexadecimal. It is a plain value.
type oddRDATA struct {
	rrtype uint16
	data   string
}

// malformedRDATA is RDATA of some types that cannot be delimited or that no server takes, of which several have crashed servers.
var malformedRDATA = map[string]oddRDATA{
	"A of 3 octets":                {dns.TypeA, "C00002"},
	"AAAA of 17":                   {dns.TypeAAAA, "20010db80000000000000000000000000000"},
	"EUI48 of 5":                   {dns.TypeEUI48, "0000000000"},
	"MX without a name":            {dns.TypeMX, "000A"},
	"TXT past its end":             {dns.TypeTXT, "05616263"},
	"SRV cut off":                  {dns.TypeSRV, "00010002"},
	"NAPTR cut off":                {dns.TypeNAPTR, "000100020161"},
	"CAA tag past its end":         {dns.TypeCAA, "00FF69"},
	"DNSKEY of nothing":            {dns.TypeDNSKEY, ""},
	"RRSIG cut off":                {dns.TypeRRSIG, "00010D0200000E10"},
	"NSEC window past its end":     {dns.TypeNSEC, "0000200102"},
	"NSEC3PARAM salt past its end": {dns.TypeNSEC3PARAM, "01000001FF00"},
	"SVCB parameter past its end":  {dns.TypeSVCB, "0001000001FFFF61"},
	"APL past its end":             {dns.TypeAPL, "0001180FC000"},
	"HIP keys past their end":      {dns.TypeHIP, "FF02FFFF0000"},
	"NS with a pointer forward":    {dns.TypeNS, "FFFF"},
	"CNAME with octets behind":     {dns.TypeCNAME, "000000"},
	"PTR cut off":                  {dns.TypePTR, "0361"},
}

// strangeRDATA is RDATA that means nothing, but has its end where it ends.
var strangeRDATA = map[string]oddRDATA{
	"TXT of nothing":                  {dns.TypeTXT, ""},
	"LOC of another length":           {dns.TypeLOC, "00000000"},
	"DNSKEY of 2 octets":              {dns.TypeDNSKEY, "0101"},
	"DS of 2 octets":                  {dns.TypeDS, "0001"},
	"NSEC window of no octets":        {dns.TypeNSEC, "000000"},
	"NSEC3PARAM of 2 octets":          {dns.TypeNSEC3PARAM, "0100"},
	"HTTPS parameters in disorder":    {dns.TypeHTTPS, "00010000030002005000010000"},
	"HTTPS ipv6hint of an IPv4 addr.": {dns.TypeHTTPS, "0001000006001000000000000000000000ffffc0000201"},
	"OPENPGPKEY of nothing":           {dns.TypeOPENPGPKEY, ""},
	"CERT of 3 octets":                {dns.TypeCERT, "000100"},
	"SSHFP of 1 octet":                {dns.TypeSSHFP, "01"},
	"TLSA of 2 octets":                {dns.TypeTLSA, "0300"},
	"CAA value of 1,050 octets":       {dns.TypeCAA, "00056973737565" + strings.Repeat("61", 1050)},
	"URI value of 1,200 octets":       {dns.TypeURI, "000A0001" + strings.Repeat("61", 1200)},
	"AMTRELAY with the D bit":         {dns.TypeAMTRELAY, "0A8220010db8000000000000000000000015"},
	"APL of another family":           {dns.TypeAPL, "0003080101"},
	"type 0":                          {0, "00"},
	"a type for questions":            {dns.TypeMAILB, "00"},
}

// RDATA is octets: what can be delimited is kept, signed zone or not.
func TestStrangeRDATAIsKept(t *testing.T) {
	together(t, strangeRDATA, func(t *testing.T, c oddRDATA) {
		data, err := hex.DecodeString(c.data)
		if err != nil {
			t.Fatal(err)
		}
		s := besiege(t, nil, nil)
		s.attacker.play(spoiling(example, 2, func(r dnstest.Request, w *dnstest.Writer) {
			m := r.Reply(after(example + " 3600 IN DNSKEY 257 3 13 aGVsbG8=")...)
			m.Answer = slices.Insert(m.Answer, 2, raw("strange.example.", c.rrtype, data))
			w.Send(m)
		}))
		s.notify()
		s.serves(s.zone, 2)
		for rr := range s.zone.Contents().All() {
			if rr.Type == c.rrtype && rr.Owner.String() == "strange.example." && bytes.Equal(rr.Data, data) {
				return
			}
		}
		t.Error("the record is not there")
	})
}

// HP15: a record that cannot be read is left out, named and counted; what came before and after it is served.
func TestMalformedRDATAOfEveryFormIsDiscarded(t *testing.T) {
	together(t, malformedRDATA, func(t *testing.T, c oddRDATA) {
		data, err := hex.DecodeString(c.data)
		if err != nil {
			t.Fatal(err)
		}
		s := besiege(t, nil, nil)
		s.attacker.play(spoiling(example, 2, func(r dnstest.Request, w *dnstest.Writer) {
			m := r.Reply(after("behind.example. 60 IN A 192.0.2.1")...)
			m.Answer = slices.Insert(m.Answer, 2, raw("bad.example.", c.rrtype, data))
			w.Send(m)
		}))
		s.notify()
		s.serves(s.zone, 2)
		if n := s.zone.Contents().Records(); n != len(version(example, 2))+1 {
			t.Errorf("%d records; want %d", n, len(version(example, 2))+1)
		}
		s.logged("warning zone=example.", "rule malformed_record", "1 records", "bad.example. "+wire.TypeName(c.rrtype))
		if n := s.metric("rule_violations_total", "rule", "malformed_record"); n != 1 {
			t.Errorf("%v malformed records counted", n)
		}
	})
}

// HP15: CVE-2016-2120: a length that goes on behind the message is no matter of one record.
func TestRDATAPastTheMessageIsRefused(t *testing.T) {
	wantNothingLeft(t)
	withstands(t, &hostility{
		script: messages(func(r dnstest.Request) [][]byte {
			body := []byte{0xC0, 12, 0, 16, 0, 1, 0, 0, 0, 60, 0xFF, 0xFF, 1, 'x'}
			return [][]byte{dnstest.Pack(r.Reply(version(example, 2)...)), response(r, 1, body)}
		}),
		reason: "malformed", log: "cannot be read", metric: transfersCounted("malformed"),
	})
}

// generic is a record in the presentation form of RFC 3597 §5.
func generic(owner string, rrtype uint16, hexadecimal string) string {
	return fmt.Sprintf(`%s 300 IN TYPE%d \# %d %s`, owner, rrtype, len(hexadecimal)/2, hexadecimal)
}

// nsec3Zones are signed zones whose NSEC3 records are odd in some way.
func nsec3Zones() map[string][]string {
	const key, sig = " 3600 IN DNSKEY 257 3 13 aGVsbG8=", " 3600 IN RRSIG A 13 2 3600 20300101000000 20200101000000 1 %s aGVsbG8="
	const hash, next, types = "2t7b4g4vsa5smi47k61mv5bv1a22bojr", "174eb2409fe28bcb4887a1836f957f0a8425e27b", "000122"
	signed := func(origin string, more ...string) []string {
		return append(append(version(origin, 2), origin+key, "www."+origin+fmt.Sprintf(sig, origin)), more...)
	}
	chain := func(origin string, iterations int, salt string) []string {
		parameters := fmt.Sprintf("0100%04x%02x%s", iterations, len(salt)/2, salt)
		return signed(origin, generic(origin, dns.TypeNSEC3PARAM, parameters),
			generic(hash+"."+origin, dns.TypeNSEC3, parameters+fmt.Sprintf("%02x%s%s", len(next)/2, next, types)))
	}
	label := strings.Repeat("a", 63)
	deep := label + "." + label + "." + label + "."
	return map[string][]string{
		"plain":                   chain(example, 1, "ab"),
		"65,535 iterations":       chain(example, 65_535, "ab"),
		"salt of 255 octets":      chain(example, 0, strings.Repeat("ab", 255)),
		"no chain":                signed(example, "example. 0 IN NSEC3PARAM 1 0 0 -"),
		"chain without parameter": signed(example, hash+".example. 300 IN NSEC3 1 0 0 - "+hash+" NS SOA"),
		"unknown hash":            signed(example, "example. 0 IN NSEC3PARAM 9 0 0 -", hash+".example. 300 IN NSEC3 9 0 0 - "+hash+" A"),
		"owner that is no hash":   signed(example, "example. 0 IN NSEC3PARAM 1 0 0 -", "not-base32!.example. 300 IN NSEC3 1 0 0 - "+hash+" A"),
		"owner at the apex":       signed(example, "example. 0 IN NSEC3PARAM 1 0 0 -", "example. 300 IN NSEC3 1 0 0 - "+hash+" A"),
		"owner two labels down":   signed(example, "example. 0 IN NSEC3PARAM 1 0 0 -", "x."+hash+".example. 300 IN NSEC3 1 0 0 - "+hash+" A"),
		"owner of 63 octets":      signed(example, "example. 0 IN NSEC3PARAM 1 0 0 -", label+".example. 300 IN NSEC3 1 0 0 - "+hash+" A"),
		"next hash of one octet":  signed(example, "example. 0 IN NSEC3PARAM 1 0 0 -", generic(hash+".example.", dns.TypeNSEC3, "01000000000100"+types)),
		// RFC 5155 §8.3 needs 33 octets for the hash: names below these apexes have none.
		"apex of 222 octets": chain(deep+strings.Repeat("b", 28)+".", 1, "ab"),
		"apex of 224 octets": signed(deep+strings.Repeat("b", 30)+".", deep+strings.Repeat("b", 30)+". 0 IN NSEC3PARAM 1 0 1 ab"),
	}
}

// HP16: a chain that proves nothing costs no more than one that does, and never the zone (CVE-2026-1519).
func TestOddNSEC3IsAnswered(t *testing.T) {
	together(t, nsec3Zones(), func(t *testing.T, records []string) {
		l := startLab(t)
		origin, _, _ := strings.Cut(records[0], " ")
		a := newActor(t, dnstest.Serve(secret, records...))
		z := l.Attach(config(group(a.primary()), origin)).Zone(id(origin))
		l.serves(z, 2)
		for _, owner := range []string{"", "www.", "absent.", "*.", "ns.", "a.b.c.d."} {
			if len(owner)+len(origin) > 254 {
				continue
			}
			for _, qtype := range []uint16{dns.TypeA, dns.TypeDS, dns.TypeNSEC3, dns.TypeANY, dns.TypeNSEC3PARAM} {
				quickly(t, z.Contents(), owner+origin, qtype)
			}
		}
		if a := quickly(t, z.Contents(), "www."+origin, dns.TypeA); len(a.Answer) != 2 {
			t.Errorf("www.%s A: %d RRsets; want the addresses and their signature", origin, len(a.Answer))
		}
	})
}
