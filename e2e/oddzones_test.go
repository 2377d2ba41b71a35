//go:build e2e

package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const (
	oddZones      = 160             // that are generated
	oddSets       = 14              // records of each, before equal ones are left out
	oddAgreement  = 98              // percent of the questions on which two references agree that must be answered as they do
	oddReferences = 3 * time.Second // for references to take the last zones that they take at all
)

// oddTypes are asked at every name of an odd zone.
var oddTypes = []uint16{
	dns.TypeA, dns.TypeAAAA, dns.TypeNS, dns.TypeSOA, dns.TypeMX, dns.TypeTXT, dns.TypeCNAME, dns.TypeDNAME, dns.TypeDS,
	dns.TypeDNSKEY, dns.TypeNSEC, dns.TypePTR, dns.TypeSRV, 65280,
}

// oddZone returns records of a zone in which anything may stand beside, above and below anything. Names are few, so that they
// meet. With loads those are left out for which BIND refuses a transfer: CNAME beside data, several CNAMEs or DNAMEs, NS at a
// wildcard.
func oddZone(rng *rand.Rand, origin string, loads bool) (records []string) {
	labels := []string{"a", "b", "c", "*"}
	name := func() string {
		n := labels[rng.IntN(len(labels))] + "." + origin
		for range rng.IntN(3) {
			n = labels[rng.IntN(len(labels))] + "." + n
		}
		return n
	}
	owner := func() string {
		if rng.IntN(12) == 0 {
			return origin
		}
		return name()
	}
	types := map[string][]string{origin: {"SOA", "NS"}}
	last := owner()
	for i := range oddSets {
		if rng.IntN(5) < 3 { // as often as not beside what is there already
			last = owner()
		}
		target := fmt.Sprintf("t%d.elsewhere.test.", i)
		if rng.IntN(4) == 0 {
			target = name()
		}
		data := []string{
			fmt.Sprintf("A 192.0.2.%d", i), fmt.Sprintf("AAAA 2001:db8::%d", i), fmt.Sprintf(`TXT "%d"`, i), "MX 10 " + target, "NS " + target,
			"NS ns." + last, "CNAME " + target, "DNAME " + target, "PTR " + target, "SRV 1 1 53 " + target,
			fmt.Sprintf("DS %d 13 2 %064d", i, i), fmt.Sprintf(`TYPE65280 \# 1 %02x`, i), "CNAME " + target, "DNAME " + target, "NS " + target,
		}[rng.IntN(15)]
		rrtype, _, _ := strings.Cut(data, " ")
		if loads && refusedByBIND(last, types[last], rrtype) {
			continue
		}
		types[last] = append(types[last], rrtype)
		records = append(records, last+" 60 IN "+data)
		if glue := "ns." + last; data == "NS "+glue && rng.IntN(3) == 0 {
			records = append(records, glue+fmt.Sprintf(" 60 IN A 192.0.2.%d", 100+i))
		}
	}
	return records
}

// signable leaves out the DS records that dnssec-signzone refuses: those that are not at a zone cut.
func signable(records []string, origin string) []string {
	cuts := map[string]bool{}
	for _, r := range records {
		if f := strings.Fields(r); f[3] == "NS" && f[0] != origin {
			cuts[f[0]] = true
		}
	}
	return slices.DeleteFunc(records, func(r string) bool {
		f := strings.Fields(r)
		return f[3] == "DS" && !cuts[f[0]]
	})
}

// refusedByBIND reports whether BIND refuses a transfer that has one more type at an owner.
func refusedByBIND(owner string, have []string, rrtype string) bool {
	switch {
	case rrtype == "NS" && strings.HasPrefix(owner, "*."), slices.Contains(have, "CNAME"):
		return true
	case rrtype == "CNAME":
		return len(have) > 0
	case rrtype == "DNAME":
		return slices.Contains(have, "DNAME")
	}
	return false
}

// oddPairs are zones of one oddity each: every pair of types at one name below the apex, at the apex and at a wildcard, with
// records below it.
func oddPairs() map[string][]string {
	data := []string{"A 192.0.2.1", "TXT x", "MX 1 m.elsewhere.test.", "NS n.elsewhere.test.", "CNAME c.elsewhere.test.", "DNAME d.elsewhere.test.",
		"DS 1 13 2 " + strings.Repeat("00", 32), "PTR p.elsewhere.test.", "CNAME a.elsewhere.test.", "DNAME b.elsewhere.test.", "CNAME z.elsewhere.test."}
	zones := map[string][]string{}
	for i, first := range data {
		for j, second := range data[i+1:] {
			for place, prefix := range map[string]string{"below": "x.", "wild": "*.", "apex": ""} {
				origin := fmt.Sprintf("%s-%d-%d.pairs.test.", place, i, i+1+j)
				zones[origin] = []string{
					prefix + origin + " 60 IN " + first, prefix + origin + " 60 IN " + second,
					"y." + prefix + origin + " 60 IN A 192.0.2.9", "o.t." + prefix + origin + " 60 IN TXT below",
				}
			}
		}
	}
	return zones
}

// oddCorpus returns the odd zones. Of three generated ones two load everywhere but in Knot, and one of these is signed.
func oddCorpus(t *testing.T) []*corpusZone {
	t.Helper()
	records := oddPairs()
	var signed []*corpusZone
	for seed := range oddZones {
		origin := fmt.Sprintf("odd%d.test.", seed)
		rrs := oddZone(rand.New(rand.NewPCG(uint64(seed), 2)), origin, seed%3 > 0)
		if v := corpusVariants[1+seed/3%3]; seed%3 == 2 {
			signed = append(signed, newCorpusZone(origin, v, corpusApex+strings.Join(signable(rrs, origin), "\n")+"\n"))
			continue
		}
		records[origin] = rrs
	}
	for _, v := range corpusVariants {
		signAll(t, v, slices.DeleteFunc(slices.Clone(signed), func(z *corpusZone) bool { return z.variant != v.name }))
	}
	zones := parsed(t, signed)
	for _, origin := range sortedKeys(records) {
		z := &corpusZone{origin: origin, variant: "odd"}
		z.rrs[0] = shelved(origin, records[origin])
		zones = append(zones, z)
	}
	return zones
}

// oddManners are the ways to ask about odd zones.
var oddManners = []manner{{name: "UDP 4096", size: 4096}, {name: "UDP 4096 DO", size: 4096, do: true}}

// oddInquiries returns all questions about an odd zone: every type at every name and around it.
func oddInquiries(z *corpusZone) (qs []inquiry) {
	names := map[string]bool{z.origin: true, "absent." + z.origin: true}
	for _, rr := range z.rrs[0] {
		if t := rr.Header().Rrtype; t == dns.TypeNSEC3 || t == dns.TypeRRSIG {
			continue
		}
		for name := dns.CanonicalName(rr.Header().Name); name != z.origin; name = parentOf(name) {
			names[name], names["q."+name] = true, true
			if strings.HasPrefix(name, "*.") {
				names["any"+name[1:]], names["q.any"+name[1:]] = true, true
			}
		}
	}
	for _, name := range sortedKeys(names) {
		for i, qtype := range oddTypes {
			qs = append(qs, inquiry{z, name, qtype, oddManners[i&1]})
		}
	}
	return qs
}

// BIND, Knot, NSD and we have the same odd zones from one primary. NSD serves any that a transfer brings, BIND and Knot refuse
// some; where two of the three agree we answer as they do, but for the few differences that are meant.
func TestOddZonesAreServedAsBINDKnotAndNSDServeThem(t *testing.T) {
	t.Parallel()
	zones := oddCorpus(t)
	texts, rrs := map[string]string{}, map[string][]dns.RR{}
	for _, z := range zones {
		texts[z.origin], rrs[z.origin] = "", z.rrs[0]
	}
	prim := newShelfOf(t, rrs)
	sec := newSecondary(t)
	sec.start(t, secondarySpec{Zones: sortedKeys(rrs), Block: lines("primary "+prim.address, "transfers_in 20 20")})
	var addrs []string
	for _, m := range referenceMakes {
		r := &reference{installed: install(t, primarySpec{Zones: texts}), make: m}
		r.start(t, prim.address)
		addrs = append(addrs, r.addr())
	}
	for _, z := range zones {
		if z.variant == "odd" {
			sec.serves(t, z.origin, 1, syncLimit)
		}
	}
	addrs = append(addrs, sec.addr())
	for i, addr := range addrs {
		t.Logf("%s serves %d of %d zones", contestants[i], settled(t, addr, zones), len(zones))
	}
	d := &differential{allowances: oddAllowances(), groups: map[string]*differenceGroup{}}
	d.askOdd(t, addrs, zones)
}

// settled waits until a server takes no more of the zones, and returns how many it has.
func settled(t *testing.T, addr string, zones []*corpusZone) (served int) {
	t.Helper()
	since := time.Now()
	eventually(t, corpusLimit, "no more zones come", func() string {
		n := 0
		for _, z := range zones {
			if _, complaint := serialAt(addr, z.origin); complaint == "" {
				n++
			}
		}
		if n > served {
			served, since = n, time.Now()
		}
		if served == 0 || served < len(zones) && time.Since(since) < oddReferences {
			return fmt.Sprintf("%d of %d", served, len(zones))
		}
		return ""
	})
	return served
}

// oddAllowances are the differences that are meant.
func oddAllowances() []*allowance {
	return slices.DeleteFunc(allowances(), func(a *allowance) bool { return a.name != "wildcard that is an empty non-terminal" })
}

// askOdd asks all questions about odd zones and counts, of those on which two references agree in everything, how many we
// answer as they do.
func (d *differential) askOdd(t *testing.T, addrs []string, zones []*corpusZone) {
	t.Helper()
	var qs []inquiry
	for _, z := range zones {
		qs = append(qs, oddInquiries(z)...)
	}
	agreed, alike := 0, 0
	for batch := range slices.Chunk(qs, askBatch) {
		for i, texts := range d.answers(t, addrs, batch) {
			votes := agreeing(texts)
			if votes == nil {
				continue
			}
			agreed++
			ours := texts[len(texts)-1]
			a := aspect(0)
			for a < aspectAdditional && texts[votes[0]].text[a] == ours.text[a] {
				a++
			}
			if a == aspectAdditional {
				alike++
				continue
			}
			d.differs(difference{batch[i], a, texts, votes})
		}
	}
	t.Logf("%d questions, of which two references agree on %d; we answer %d of them (%.2f %%) as they do",
		len(qs), agreed, alike, 100*float64(alike)/float64(agreed))
	d.asked = minQuestions
	d.report(t)
	if agreed < minQuestions || 100*alike < oddAgreement*agreed {
		t.Errorf("%d of %d alike; want %d %% of at least %d", alike, agreed, oddAgreement, minQuestions)
	}
}

// agreeing returns the references that agree with another one in all but the additional section, nil if none do. Servers that
// do not serve the zone are none.
func agreeing(texts []*answerText) []int {
	for i, a := range texts[:len(texts)-1] {
		votes := []int{i}
		for j, b := range texts[i+1 : len(texts)-1] {
			if slices.Equal(a.text[:aspectAdditional], b.text[:aspectAdditional]) {
				votes = append(votes, i+1+j)
			}
		}
		if len(votes) > 1 && a.msg.Rcode != dns.RcodeServerFailure && a.msg.Rcode != dns.RcodeRefused {
			return votes
		}
	}
	return nil
}
