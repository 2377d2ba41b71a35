package zone_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// crowds are zones with one owner of n records that have to be judged.
var crowds = map[string]func(n int) []wire.RR{
	"CNAME beside PTR": func(n int) []wire.RR {
		return append(crowd(n, "big.example.", dns.TypePTR), record("big.example. 60 IN CNAME www.example."))
	},
	"several CNAMEs": func(n int) []wire.RR { return crowd(n, "big.example.", dns.TypeCNAME) },
	"several DNAMEs": func(n int) []wire.RR { return crowd(n, "big.example.", dns.TypeDNAME) },
	"CNAME beside many types": func(n int) []wire.RR {
		rrs := []wire.RR{record("big.example. 60 IN CNAME www.example.")}
		for i := range min(n, 30000) {
			rrs = append(rrs, wire.RR{Owner: rrs[0].Owner, Type: uint16(30000 + i), Class: wire.ClassIN, TTL: 60, Data: []byte{1}})
		}
		return rrs
	},
	"services and aliases": func(n int) []wire.RR {
		rrs := crowd(n, "example.", dns.TypeHTTPS)
		for i := range rrs {
			rrs[i].Data = append(binary.BigEndian.AppendUint16(nil, uint16(i&1)), rrs[i].Data...)
		}
		return rrs
	},
}

// crowd returns n records whose RDATA is a name.
func crowd(n int, owner string, rrtype uint16) (rrs []wire.RR) {
	for i := range n {
		rrs = append(rrs, wire.RR{Owner: wireName(owner), Type: rrtype, Class: wire.ClassIN, TTL: 60, Data: wireName(fmt.Sprintf("host%06d.example.", i))})
	}
	return rrs
}

// received builds a zone from a transfer and judges it against what is served now.
func received(tb testing.TB, m rules.Conflicts, rrs []wire.RR, now *zone.Contents) *zone.Contents {
	b := zone.NewBuilder(wire.Name("\x07example\x00"), zone.Limits{})
	b.Exclude(m.Exclusions(), now)
	soa := record(soaRecord)
	err := b.Add(&soa)
	for i := range rrs {
		if err == nil {
			err = b.Add(&rrs[i])
		}
	}
	if err != nil {
		tb.Fatal(err)
	}
	c, err := b.Seal()
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// edited adds one record to the owner that is judged.
func edited(tb testing.TB, c *zone.Contents, rrs []wire.RR) *zone.Contents {
	e := c.Edit(zone.Limits{})
	e.Exclude(rules.ConflictsAlibaba.Exclusions())
	rr := wire.RR{Owner: rrs[0].Owner, Type: 65280, Class: wire.ClassIN, TTL: 60}
	if err := e.Add(&rr); err != nil {
		tb.Fatal(err)
	}
	c, err := e.Seal()
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// Judging an owner goes over it and over what is served of it once. A pass for each of so many records takes a hundred times
// as long.
func TestJudgingIsOnePass(t *testing.T) {
	dnstest.Alone(t)
	const n = 60000
	for name, of := range crowds {
		t.Run(name, func(t *testing.T) {
			rrs := of(n)
			start := time.Now()
			received(t, rules.ConflictsOff, rrs, nil)
			plain := time.Since(start)
			start = time.Now()
			now := received(t, rules.ConflictsAlibaba, rrs, nil)
			again := received(t, rules.ConflictsAlibaba, rrs, now)
			edited(t, again, rrs)
			took := time.Since(start)
			if t.Logf("%v; without rules %v", took, plain); took > 30*plain+2*time.Second {
				t.Errorf("%v; without rules one of the three takes %v", took, plain)
			}
			if again.Marked() == 0 || again.Marked() != now.Marked() {
				t.Errorf("%d records are marked, then %d", now.Marked(), again.Marked())
			}
		})
	}
}

// BenchmarkJudge shows that a transfer and a difference cost what the owner has, whatever is served: ns/record stays.
func BenchmarkJudge(b *testing.B) {
	for name, of := range crowds {
		for _, n := range []int{2000, 4000, 8000} {
			rrs := of(n)
			now := received(b, rules.ConflictsAlibaba, rrs, nil)
			for kind, f := range map[string]func(){
				"transfer": func() { received(b, rules.ConflictsAlibaba, rrs, now) }, "difference": func() { edited(b, now, rrs) },
			} {
				b.Run(fmt.Sprintf("%s/%s/%d", name, kind, n), func(b *testing.B) {
					for b.Loop() {
						f()
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/record")
				})
			}
		}
	}
}
