package zone_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// shapes are zones unlike a hosting zone: each gives the n-th owner, type and RDATA.
var shapes = []struct {
	name   string
	origin string
	rr     func(n int) (owner string, rrtype uint16, data []byte)
}{
	{"reverse_ip6", "8.b.d.0.1.0.0.2.ip6.arpa.", func(n int) (string, uint16, []byte) {
		var b strings.Builder
		for v, i := uint64(n)*0x9e3779b97f4a7c15, 0; i < 24; i++ {
			fmt.Fprintf(&b, "%x.", v>>(i*2)&15)
		}
		return b.String() + "8.b.d.0.1.0.0.2.ip6.arpa.", dns.TypePTR, wireName(fmt.Sprintf("h%d.example.net.", n))
	}},
	{"long_names", "big.test.", func(n int) (string, uint16, []byte) {
		return fmt.Sprintf("%s.%s.h%d.big.test.", strings.Repeat("a", 60), strings.Repeat("b", 60), n), wire.TypeA, []byte{10, 0, byte(n >> 8), byte(n)}
	}},
	{"huge_RRsets", "big.test.", func(n int) (string, uint16, []byte) {
		return fmt.Sprintf("h%d.big.test.", n/1000), wire.TypeA, []byte{10, byte(n >> 16), byte(n >> 8), byte(n)}
	}},
	{"many_types", "big.test.", func(n int) (string, uint16, []byte) {
		return fmt.Sprintf("h%d.big.test.", n/50), uint16(40000 + n%50), []byte{1, 2, 3, 4}
	}},
	{"signed", "big.test.", func(n int) (string, uint16, []byte) {
		owner := fmt.Sprintf("h%d.big.test.", n/3)
		switch n % 3 {
		case 0:
			return owner, wire.TypeA, []byte{10, byte(n >> 16), byte(n >> 8), byte(n)}
		case 1: // ECDSA P-256: 64 octets of signature behind the signer's name
			head := []byte{0, 1, 13, 3, 0, 0, 14, 16, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1}
			return owner, wire.TypeRRSIG, append(append(head, wireName("big.test.")...), make([]byte, 64)...)
		default:
			return owner, wire.TypeNSEC, append(wireName(fmt.Sprintf("h%d.big.test.", n/3+1)), 0, 6, 0x40, 0, 0, 0, 0, 3)
		}
	}},
	{"wildcards", "big.test.", func(n int) (string, uint16, []byte) {
		return fmt.Sprintf("*.h%d.big.test.", n), wire.TypeA, []byte{10, byte(n >> 16), byte(n >> 8), byte(n)}
	}},
}

func wireName(s string) wire.Name {
	n, err := wire.ParseName(s)
	if err != nil {
		panic(err)
	}
	return n
}

func shaped(i, n int) []wire.RR {
	s := shapes[i]
	rrs := []wire.RR{record(s.origin + " 3600 IN SOA ns. admin. 1 3600 900 1209600 300")}
	for k := range n {
		owner, rrtype, data := s.rr(k)
		rrs = append(rrs, wire.RR{Owner: wireName(owner), Type: rrtype, Class: wire.ClassIN, TTL: 3600, Data: data})
	}
	return rrs
}

// BenchmarkShapes reports what a record of each shape costs in memory, and a lookup of one.
func BenchmarkShapes(b *testing.B) {
	const n = 600_000
	for i, s := range shapes {
		b.Run(s.name, func(b *testing.B) {
			rrs := shaped(i, n)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			c := build(b, s.origin, rrs)
			runtime.GC()
			runtime.ReadMemStats(&after)
			rng := rand.New(rand.NewPCG(1, 2))
			var a zone.Answer
			b.ReportAllocs()
			for b.Loop() {
				rr := &rrs[1+rng.IntN(n)]
				c.Lookup(zone.Query{Name: rr.Owner, Type: rr.Type}, &a)
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(c.Records()), "bytes/record")
			b.ReportMetric(float64(c.Size())/float64(c.Records()), "wire-bytes/record")
		})
	}
}

// BenchmarkPublish is a one-record update of a million records, published under sixteen readers.
func BenchmarkPublish(b *testing.B) {
	var served atomic.Pointer[zone.Contents]
	served.Store(build(b, "big.test.", mixedZone(1e6)))
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for i := range 16 {
		readers.Go(func() {
			var a zone.Answer
			name := wireName(fmt.Sprintf("h%d.big.test.", i*10))
			for {
				select {
				case <-stop:
					return
				default:
					served.Load().Lookup(zone.Query{Name: name, Type: wire.TypeA}, &a)
					runtime.Gosched()
				}
			}
		})
	}
	for i := 0; b.Loop(); i++ {
		e := served.Load().Edit(zone.Limits{})
		rr := wire.RR{Owner: wireName(fmt.Sprintf("u%d.big.test.", i)), Type: wire.TypeA, Class: wire.ClassIN, TTL: 60, Data: []byte{10, 0, 0, 1}}
		if err := e.Add(&rr); err != nil {
			b.Fatal(err)
		}
		next, err := e.Seal()
		if err != nil {
			b.Fatal(err)
		}
		served.Store(next)
	}
	close(stop)
	readers.Wait()
}
