package zone_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

const (
	memorySize = 4 << 20
	wireSize   = 2 * memorySize // the octets on the wire that the engine lets through
	heldSlack  = 512 << 10

	// measureSlack is what comes while the collector runs, and buffers.
	measureSlack = memorySize/4 + 1<<20
)

// held returns the octets in use.
func held() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// countedName returns a name that sorts as n does, with labels of so many octets between it and the origin.
func countedName(n, padding int) wire.Name {
	name := []byte(fmt.Sprintf("\x05%05x", n))
	for ; padding > 0; padding -= min(padding, 63) {
		label := min(padding, 63)
		name = append(append(name, byte(label)), strings.Repeat("x", label)...)
	}
	return append(name, "\x07example\x00"...)
}

// hostile yields records without end that are not packed as they come, or take more memory than octets. It returns the
// octets they have on the wire, with names compressed.
var hostile = map[string]func(i int) (wire.RR, int){
	"in order":             func(i int) (wire.RR, int) { return small(countedName(i, 0), nil), 18 },
	"out of order":         func(i int) (wire.RR, int) { return small(countedName(1<<20-1-i, 0), nil), 18 },
	"out of order, long":   func(i int) (wire.RR, int) { return small(countedName(1<<20-1-i, 200), nil), 18 },
	"one owner, repeated":  func(int) (wire.RR, int) { return small(countedName(1, 0), nil), 12 },
	"one owner, addresses": func(int) (wire.RR, int) { return small(countedName(1, 0), make([]byte, 4)), 16 },
	"one owner, distinct":  func(i int) (wire.RR, int) { return small(countedName(1, 0), counter(i)), 16 },
	"one owner, large": func(i int) (wire.RR, int) {
		return small(countedName(1, 0), append(counter(i), make([]byte, 60000)...)), 60016
	},
	"late, repeated": func(i int) (wire.RR, int) { return small(countedName(1-min(i, 1), 0), nil), 12 },
	"late, distinct": func(i int) (wire.RR, int) { return small(countedName(1-min(i, 1), 0), counter(i)), 16 },
	"late, large": func(i int) (wire.RR, int) {
		return small(countedName(1<<20-1-i, 0), append(counter(i), make([]byte, 60000)...)), 60022
	},
	"late, in capitals": func(i int) (wire.RR, int) {
		rr := small(countedName(1<<20-1-i, 200), nil)
		copy(rr.Owner[7:], strings.ToUpper(string(rr.Owner[7:])))
		return rr, 18
	},
	"half in order": func(i int) (wire.RR, int) { return small(countedName((i+1<<16)%(1<<17), 0), nil), 18 },
}

// small returns a record of a type that nothing is known of.
func small(owner wire.Name, data []byte) wire.RR {
	return wire.RR{Owner: owner, Type: 65280, Class: wire.ClassIN, TTL: 60, Data: data}
}

func counter(i int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(i)) }

// peak runs f and returns the most that the heap has held more than before, as far as a collector that runs all the time can
// tell.
func peak(f func()) (most int64) {
	before := held()
	done, sampled := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(sampled)
		for {
			most = max(most, held())
			select {
			case <-done:
				return
			default:
			}
		}
	}()
	f()
	close(done)
	<-sampled
	return most - before
}

// Whatever a primary sends, a transfer takes no more than half as much again as the largest version that is allowed, and what it
// says that it holds is what it holds.
func TestTransferTakesHalfAsMuchAgainAsItsLimit(t *testing.T) {
	dnstest.Alone(t)
	const most = memorySize*3/2 + heldSlack
	for name, next := range hostile {
		t.Run(name, func(t *testing.T) {
			before := held()
			b := zone.NewBuilder(wire.Name("\x07example\x00"), zone.Limits{Size: memorySize})
			soa := record(soaRecord)
			err := b.Add(&soa)
			for i, octets, looked := 0, 0, 0; err == nil && octets < wireSize; i++ {
				rr, n := next(i)
				err = b.Add(&rr)
				if octets += n; octets < looked {
					continue
				}
				looked += wireSize / 16
				if says, is := b.Held(), held()-before; says > most || is > says+heldSlack {
					t.Fatalf("After %d records %d octets are held, and %d are said to be", i+1, is, says)
				}
			}
			runtime.KeepAlive(b)
			if err != nil && !errors.Is(err, zone.ErrTooBig) {
				t.Fatal(err)
			}
		})
	}
}

// A zone that nearly fills its limit comes in any order, and takes no more than half as much again.
func TestZoneInAnyOrderTakesHalfAsMuchAgain(t *testing.T) {
	dnstest.Alone(t)
	for shape, owner := range map[string]func(i int) wire.Name{
		"one record per owner":  func(i int) wire.Name { return countedName(i, 0) },
		"long names":            func(i int) wire.Name { return countedName(i, 100) },
		"ten records per owner": func(i int) wire.Name { return countedName(i/10, 0) },
	} {
		record := func(i int) wire.RR { return small(owner(i), counter(i)) }
		first := record(0)
		n := memorySize * 9 / 10 / (len(first.Owner) + 10 + 4)
		for order, at := range map[string]func(i int) int{
			"ascending": func(i int) int { return i }, "descending": func(i int) int { return n - 1 - i },
			"random":      func(i int) int { return int(uint64(i) * 7368787 % uint64(n)) },
			"alternating": func(i int) int { return []int{i / 2, n - 1 - i/2}[i%2] },
		} {
			t.Run(shape+", "+order, func(t *testing.T) {
				var c *zone.Contents
				most := peak(func() {
					b := zone.NewBuilder(wire.Name("\x07example\x00"), zone.Limits{Size: memorySize})
					soa := wire.RR{Owner: wire.Name("\x07example\x00"), Type: wire.TypeSOA, Class: wire.ClassIN, Data: append([]byte{0, 0}, make([]byte, 20)...)}
					err := b.Add(&soa)
					for i := 0; err == nil && i < n; i++ {
						rr := record(at(i))
						err = b.Add(&rr)
					}
					if err == nil {
						c, err = b.Seal()
					}
					if err != nil {
						t.Fatal(err)
					}
				})
				if c.Records() != n+1 {
					t.Errorf("%d records; want %d", c.Records(), n+1)
				}
				t.Logf("%.2f times the limit", float64(most)/memorySize)
				if most > memorySize*3/2+measureSlack {
					t.Errorf("%d octets are held of a version that may have %d", most, memorySize)
				}
			})
		}
	}
}

// Differences that touch many names are refused for the whole zone to be taken.
func TestDifferencesTakeHalfAsMuchAgainAsTheLimit(t *testing.T) {
	c := build(t, "example.", records(soaRecord))
	n := 0
	most := peak(func() {
		e := c.Edit(zone.Limits{Size: memorySize})
		var err error
		for ; err == nil && n < 1<<20; n++ {
			rr := small(countedName(n, 0), nil)
			err = e.Add(&rr)
		}
		if !errors.Is(err, zone.ErrManyEdits) {
			t.Fatalf("After %d names: %v", n, err)
		}
		if _, err = e.Seal(); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%.2f times the limit with %d names", float64(most)/memorySize, n)
	if most > memorySize*3/2+measureSlack {
		t.Errorf("%d octets are held of a version that may have %d", most, memorySize)
	}
}

// A version that has the size it may have is taken in whatever order its records come: just that size, unless its records are so
// many and small, or all of one owner, that they take more than half as much again.
func TestVersionOfTheLimitIsTakenInAnyOrder(t *testing.T) {
	dnstest.Alone(t)
	const origin = "\x00"
	room := map[string]int64{"shortest names": 8, "capitals": 9, "one owner": 48} // eighths of its size
	for name, owner := range map[string]func(i int) wire.Name{
		"shortest names": func(i int) wire.Name { return wire.Name{3, byte(i>>14) | 0x80, byte(i>>7) | 0x80, byte(i) | 0x80, 0} },
		"capitals":       func(i int) wire.Name { return wire.Name(fmt.Sprintf("\x06A%05d\x00", i)) },
		"one owner":      func(int) wire.Name { return wire.Name("\x01a\x00") },
	} {
		t.Run(name, func(t *testing.T) {
			var rrs []wire.RR
			for i := range 100_000 {
				rr := small(owner(i), nil)
				if name == "one owner" {
					rr.Data = counter(i)
				}
				rrs = append(rrs, rr)
			}
			take := func(l zone.Limits, at func(i int) *wire.RR) *zone.Contents {
				t.Helper()
				b := zone.NewBuilder(wire.Name(origin), l)
				soa := record(strings.Replace(soaRecord, "example. ", ". ", 1))
				if err := b.Add(&soa); err != nil {
					t.Fatal(err)
				}
				for i := range rrs {
					if err := b.Add(at(i)); err != nil {
						t.Fatalf("Record %d: %v", i, err)
					}
				}
				c, err := b.Seal()
				if err != nil {
					t.Fatal(err)
				}
				return c
			}
			whole := take(zone.Limits{}, func(i int) *wire.RR { return &rrs[i] })
			exact := zone.Limits{Size: whole.Size() * room[name] / 8, Records: whole.Records()}
			take(exact, func(i int) *wire.RR { return &rrs[i] })
			take(exact, func(i int) *wire.RR { return &rrs[len(rrs)-1-i] })
			take(exact, func(i int) *wire.RR { return &rrs[(i*7919)%len(rrs)] })
		})
	}
}
