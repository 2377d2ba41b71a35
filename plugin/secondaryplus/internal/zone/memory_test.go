package zone_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/zone"
)

const (
	memorySize = 2 << 20
	// mostHeld is how many times the limit of the size may be held: four times while records wait, a quarter of that in room
	// that append keeps, and the version itself. Making something of it takes no more than was held.
	mostHeld = 6
	wireSize = 2 * memorySize // the octets on the wire that the engine lets through
)

// held returns the octets in use.
func held() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// allocated returns the octets that f allocates: at least what it has in use at any time.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
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

// Whatever a primary sends, a transfer takes no more than a few times the memory of the largest version that is allowed.
func TestTransferTakesAFewTimesItsLimit(t *testing.T) {
	for name, next := range hostile {
		t.Run(name, func(t *testing.T) {
			before := held()
			b := zone.NewBuilder(wire.Name("\x07example\x00"), zone.Limits{Size: memorySize})
			soa := record(soaRecord)
			err := b.Add(&soa)
			for i, octets := 0, 0; err == nil && octets < wireSize; i++ {
				rr, n := next(i)
				octets += n
				err = b.Add(&rr)
			}
			most := held() - before
			if err == nil {
				most += allocated(func() { _, err = b.Seal() })
			}
			runtime.KeepAlive(b)
			if err != nil && !errors.Is(err, zone.ErrTooBig) {
				t.Fatal(err)
			}
			t.Logf("%.1f times the limit: %v", float64(most)/memorySize, err)
			if most > mostHeld*memorySize {
				t.Errorf("%d octets are held of a version that may have %d", most, memorySize)
			}
		})
	}
}

// Differences that touch many names are refused for the whole zone to be taken.
func TestDifferencesTakeAFewTimesTheLimit(t *testing.T) {
	c := build(t, "example.", records(soaRecord))
	before := held()
	e := c.Edit(zone.Limits{Size: memorySize})
	var err error
	n := 0
	for ; err == nil && n < 1<<20; n++ {
		rr := small(countedName(n, 0), nil)
		err = e.Add(&rr)
	}
	if !errors.Is(err, zone.ErrManyEdits) {
		t.Fatalf("After %d names: %v", n, err)
	}
	most := held() - before
	most += allocated(func() { _, err = e.Seal() })
	if runtime.KeepAlive(e); err != nil {
		t.Fatal(err)
	}
	t.Logf("%.1f times the limit with %d names", float64(most)/memorySize, n)
	if most > mostHeld*memorySize {
		t.Errorf("%d octets are held of a version that may have %d", most, memorySize)
	}
}

// A version that has just the size it may have is taken in whatever order its records come.
func TestVersionOfTheLimitIsTakenInAnyOrder(t *testing.T) {
	const origin = "\x00"
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
			exact := zone.Limits{Size: whole.Size(), Records: whole.Records()}
			take(exact, func(i int) *wire.RR { return &rrs[i] })
			take(exact, func(i int) *wire.RR { return &rrs[len(rrs)-1-i] })
			take(exact, func(i int) *wire.RR { return &rrs[(i*7919)%len(rrs)] })
		})
	}
}
