package zone_test

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

const (
	longZoneRecords = 10_000 // of the zone that is updated
	longZoneUpdates = 20_000 // of one record each
	halfRun         = longZoneUpdates / 2
)

// longRun is a zone under many small updates. It is used by one test.
type longRun struct {
	t        *testing.T
	contents *zone.Contents
	serial   uint32
	apex     wire.RR   // the SOA of some version
	present  []wire.RR // without the SOA
	rng      *rand.Rand
}

func newLongRun(t *testing.T) *longRun {
	r := &longRun{t: t, serial: 1, rng: rand.New(rand.NewPCG(1, 2))}
	r.apex = record("example. 3600 IN SOA ns.example. admin.example. 1 3600 3600 86400 300")
	for range longZoneRecords {
		r.present = append(r.present, r.record())
	}
	r.contents = r.fresh()
	return r
}

// record returns one that the zone has not.
func (r *longRun) record() wire.RR {
	const digits = "0123456789abcdefghijklmnopqrstuv"
	owner := wire.Name("\x0cxxxxxxxxxxxx\x07example\x00")
	for i, n := 0, r.rng.Uint64(); i < 12; i, n = i+1, n>>5 {
		owner[1+i] = digits[n&31]
	}
	return wire.RR{Owner: owner, Type: wire.TypeA, Class: wire.ClassIN, TTL: 300, Data: binary.BigEndian.AppendUint32(nil, r.rng.Uint32())}
}

// soa returns that of the newest version.
func (r *longRun) soa() wire.RR {
	rr := r.apex
	rr.Data = slices.Clone(rr.Data)
	binary.BigEndian.PutUint32(rr.Data[len(rr.Data)-20:], r.serial)
	return rr
}

// fresh returns contents built from the records, as an AXFR would.
func (r *longRun) fresh() *zone.Contents {
	r.t.Helper()
	origin, err := wire.ParseName("example.")
	if err != nil {
		r.t.Fatal(err)
	}
	b := zone.NewBuilder(origin, zone.Limits{})
	apex := r.soa()
	if err := b.Add(&apex); err != nil {
		r.t.Fatal(err)
	}
	for i := range r.present {
		if err := b.Add(&r.present[i]); err != nil {
			r.t.Fatal(err)
		}
	}
	c, err := b.Seal()
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// update applies one difference: records removed, records added, and the SOA.
func (r *longRun) update(removed, added []wire.RR) {
	r.t.Helper()
	e := r.contents.Edit(zone.Limits{})
	apply := func(edit func(*wire.RR) error, rr wire.RR) {
		if err := edit(&rr); err != nil {
			r.t.Fatal(err)
		}
	}
	apply(e.Remove, r.soa())
	for _, rr := range removed {
		apply(e.Remove, rr)
	}
	r.serial++
	apply(e.Add, r.soa())
	for _, rr := range added {
		apply(e.Add, rr)
	}
	var err error
	if r.contents, err = e.Seal(); err != nil {
		r.t.Fatal(err)
	}
}

// remove takes a random record away.
func (r *longRun) remove() {
	i := r.rng.IntN(len(r.present))
	r.update(r.present[i:i+1], nil)
	r.present[i] = r.present[len(r.present)-1]
	r.present = r.present[:len(r.present)-1]
}

// add puts a new record in.
func (r *longRun) add() {
	r.present = append(r.present, r.record())
	r.update(nil, r.present[len(r.present)-1:])
}

// replace gives a random record another TTL.
func (r *longRun) replace() {
	i := r.rng.IntN(len(r.present))
	old := r.present[i]
	r.present[i].TTL = r.rng.Uint32N(1 << 20)
	r.update([]wire.RR{old}, r.present[i:i+1])
}

// heap returns the octets in use after garbage has been collected.
func heap() int64 {
	var m runtime.MemStats
	for range 3 { // finalizers and pools take more than one round
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// size returns the octets that contents take in memory.
func size(build func() *zone.Contents) int64 {
	before := heap()
	c := build()
	after := heap()
	runtime.KeepAlive(c)
	return after - before
}

// However many updates there have been, the contents take about the room of contents built afresh, and nothing of the
// versions before is left. Pages may not be filled alike: they are split and joined.
func TestManyUpdatesLeaveMemoryWhereItWas(t *testing.T) {
	const (
		leftMax  = 1.05 // of the heap, between the middle and the end of a steady run
		looseMax = 1.30 // of the octets of fresh contents
	)
	for name, run := range map[string]func(r *longRun, n int){
		"adds, replaces and removes in turn": func(r *longRun, n int) {
			[]func(){r.add, r.replace, r.remove, r.replace}[n%4]()
		},
		"grows, then shrinks": func(r *longRun, n int) {
			if n < halfRun/2 {
				r.add()
			} else {
				r.remove()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newLongRun(t)
			var at [2]int64
			for half := range at {
				for n := range halfRun {
					run(r, n)
				}
				at[half] = heap()
			}
			if err := r.contents.Check(); err != nil {
				t.Fatal(err)
			}
			if fresh := r.fresh(); fresh.Records() != r.contents.Records() || fresh.Size() != r.contents.Size() {
				t.Errorf("%d records of %d octets; afresh %d of %d", r.contents.Records(), r.contents.Size(), fresh.Records(), fresh.Size())
			}
			afresh := size(r.fresh)
			with := heap()
			r.contents = nil
			edited := with - heap()
			runtime.KeepAlive(r) // the list of records is not to be counted
			if grown := float64(at[1]) / float64(at[0]); grown > leftMax {
				t.Errorf("The heap has %d octets after %d updates, %d after twice as many", at[0], halfRun, at[1])
			}
			t.Logf("%d octets in memory, %d afresh (%.2f)", edited, afresh, float64(edited)/float64(afresh))
			if float64(edited) > looseMax*float64(afresh) {
				t.Errorf("The contents take %d octets, afresh %d", edited, afresh)
			}
		})
	}
}
