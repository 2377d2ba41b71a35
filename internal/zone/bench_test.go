package zone_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// mixedZone yields the records of a zone of about n records in canonical order of the first ten owners of each thousand:
// addresses, aliases, mail, text, services and delegations with glue, like a busy hosting zone.
func mixedZone(n int) []wire.RR {
	rrs := []wire.RR{
		record("big.test. 3600 IN SOA ns1.big.test. admin.big.test. 100 3600 900 1209600 300"),
		record("big.test. 3600 IN NS ns1.big.test."),
		record("big.test. 3600 IN NS ns2.big.test."),
		record("ns1.big.test. 3600 IN A 127.0.0.1"),
		record("ns2.big.test. 3600 IN A 127.0.0.2"),
	}
	add := func(name string, rrtype uint16, data []byte) {
		owner, err := wire.ParseName(name)
		if err != nil {
			panic(err)
		}
		rrs = append(rrs, wire.RR{Owner: owner, Type: rrtype, Class: wire.ClassIN, TTL: 3600, Data: data})
	}
	named := func(prefix []byte, name string) []byte {
		target, err := wire.ParseName(name)
		if err != nil {
			panic(err)
		}
		return append(prefix, target...)
	}
	for i := 0; len(rrs) < n; i++ {
		host := fmt.Sprintf("h%d.big.test.", i)
		switch k := i % 10; {
		case k < 6:
			add(host, wire.TypeA, []byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
			add(host, wire.TypeAAAA, []byte{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
		case k == 6:
			add(host, wire.TypeCNAME, named(nil, fmt.Sprintf("h%d.big.test.", i-6)))
		case k == 7:
			add(host, wire.TypeMX, named([]byte{0, 10}, fmt.Sprintf("h%d.big.test.", i-7)))
			add(host, dns.TypeTXT, append([]byte{29}, "v=spf1 ip4:10.0.0.123/32 -all"...))
		case k == 8:
			add(host, wire.TypeNS, named(nil, "ns."+host))
			add("ns."+host, wire.TypeA, []byte{10, 9, byte(i >> 8), byte(i)})
		default:
			add("_sip._udp."+host, wire.TypeSRV, named([]byte{0, 10, 0, 20, 19, 196}, fmt.Sprintf("h%d.big.test.", i-9)))
		}
	}
	return rrs
}

// record reads one record in presentation form.
func record(s string) wire.RR {
	rr, err := dns.NewRR(s)
	if err != nil {
		panic(err)
	}
	buf := make([]byte, 64<<10)
	off, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		panic(err)
	}
	var r wire.Reader
	if _, err := r.Reset(append(make([]byte, wire.HeaderLen), buf[:off]...)); err != nil {
		panic(err)
	}
	var out wire.RR
	if err := r.Next(&out); err != nil {
		panic(fmt.Sprintf("%s: %v", s, err))
	}
	out.Owner = out.Owner.Clone()
	out.Data = append([]byte(nil), out.Data...)
	return out
}

func build(tb testing.TB, origin string, rrs []wire.RR) *zone.Contents {
	tb.Helper()
	name, err := wire.ParseName(origin)
	if err != nil {
		tb.Fatal(err)
	}
	b := zone.NewBuilder(name, zone.Limits{})
	for i := range rrs {
		if err := b.Add(&rrs[i]); err != nil {
			tb.Fatal(err)
		}
	}
	c, err := b.Seal()
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func BenchmarkBuild(b *testing.B) {
	for _, n := range []int{1e3, 1e5, 1e6} {
		rrs := mixedZone(n)
		sorted := build(b, "big.test.", rrs)
		var inOrder []wire.RR
		for rr := range sorted.All() {
			inOrder = append(inOrder, wire.RR{Owner: rr.Owner.Clone(), Type: rr.Type, Class: rr.Class, TTL: rr.TTL, Data: rr.Data})
		}
		shuffled := append([]wire.RR(nil), inOrder...)
		rand.New(rand.NewPCG(1, 2)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		reversed := make([]wire.RR, len(inOrder))
		for i := range inOrder {
			reversed[len(inOrder)-1-i] = inOrder[i]
		}
		for _, c := range []struct {
			name string
			rrs  []wire.RR
		}{{"sorted", inOrder}, {"reversed", reversed}, {"shuffled", shuffled}} {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					build(b, "big.test.", c.rrs)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(c.rrs)), "ns/record")
			})
		}
	}
}

func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{1e3, 1e5, 1e6} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			rrs := mixedZone(n)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			c := build(b, "big.test.", rrs)
			runtime.GC()
			runtime.ReadMemStats(&after)
			for b.Loop() {
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(c.Records()), "bytes/record")
			runtime.KeepAlive(rrs)
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{1e3, 1e5, 1e6} {
		c := build(b, "big.test.", append(mixedZone(n), record("*.w.big.test. 3600 IN A 10.0.0.1")))
		hosts := n * 5 / 9
		for _, q := range []struct {
			name, format string
			step, add    int
		}{
			{"hit", "h%d.big.test.", 10, 0},
			{"miss", "nx%d.big.test.", 1, 0},
			{"wildcard", "x%d.w.big.test.", 1, 0},
			{"referral", "www.h%d.big.test.", 10, 8},
		} {
			b.Run(fmt.Sprintf("%s/%d", q.name, n), func(b *testing.B) {
				rng := rand.New(rand.NewPCG(1, 2))
				names := make([]wire.Name, 1<<14)
				for i := range names {
					names[i], _ = wire.ParseName(fmt.Sprintf(q.format, rng.IntN(hosts/10)*q.step+q.add))
				}
				var a zone.Answer
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					c.Lookup(zone.Query{Name: names[i&(1<<14-1)], Type: wire.TypeA}, &a)
					i++
				}
			})
		}
	}
}

func BenchmarkEdit(b *testing.B) {
	c := build(b, "big.test.", mixedZone(1e6))
	hosts := int(1e6) * 5 / 9
	for _, n := range []int{1, 10, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			rng := rand.New(rand.NewPCG(1, 2))
			cur := c
			for i := 0; b.Loop(); i++ {
				e := cur.Edit(zone.Limits{})
				for j := range n {
					owner, _ := wire.ParseName(fmt.Sprintf("u%d-%d-%d.h%d.big.test.", i, n, j, rng.IntN(hosts)))
					rr := wire.RR{Owner: owner, Type: wire.TypeA, Class: wire.ClassIN, TTL: 60, Data: []byte{10, 0, 0, 1}}
					if err := e.Add(&rr); err != nil {
						b.Fatal(err)
					}
				}
				next, err := e.Seal()
				if err != nil {
					b.Fatal(err)
				}
				cur = next
			}
			if err := cur.Check(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
