package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/store"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// mixed makes a zone of about n records of every kind, like a busy hosting zone.
func mixed(tb testing.TB, origin string, n int) *zone.Contents {
	tb.Helper()
	o := name(origin)
	b := zone.NewBuilder(o, zone.Limits{})
	records := 0
	add := func(label string, rrtype uint16, data ...[]byte) {
		rr := wire.RR{Owner: slices.Concat([]byte(label), o), Type: rrtype, Class: wire.ClassIN, TTL: 3600,
			Data: slices.Concat(data...)}
		if err := b.Add(&rr); err != nil {
			tb.Fatal(err)
		}
		records++
	}
	soa := soaRecord(o, 1)
	if err := b.Add(&soa); err != nil {
		tb.Fatal(err)
	}
	add("", wire.TypeNS, name("ns1.example."))
	label := func(s string) string { return string(byte(len(s))) + s }
	for i := 0; records < n; i++ {
		host := label(fmt.Sprintf("h%07d", i))
		number := []byte{byte(i >> 16), byte(i >> 8), byte(i)}
		switch k := i % 10; {
		case k < 6:
			add(host, wire.TypeA, []byte{10}, number)
			add(host, wire.TypeAAAA, make([]byte, 13), number)
		case k == 6:
			add(host, wire.TypeCNAME, []byte(label(fmt.Sprintf("h%07d", i-6))), o)
		case k == 7:
			add(host, wire.TypeMX, []byte{0, 10}, []byte(host), o)
			add(host, 16, []byte(label(fmt.Sprintf("v=spf1 ip4:10.0.0.%d -all", i&255))))
		case k == 8:
			add(host, wire.TypeNS, []byte("\x02ns"), []byte(host), o)
			add("\x02ns"+host, wire.TypeA, []byte{10}, number)
		default:
			add("\x04_sip\x04_udp"+host, wire.TypeSRV, []byte{0, 10, 0, 20, 19, 196}, []byte(label(fmt.Sprintf("h%07d", i-9))), o)
		}
	}
	c, err := b.Seal()
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// reportFile reports how large the file is beside what is in it.
func reportFile(b *testing.B, path string, wire int64) {
	b.Helper()
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size())/float64(wire), "file/wire")
	b.ReportMetric(float64(info.Size())/(1<<20), "MB")
}

func BenchmarkLargeZone(b *testing.B) {
	c := mixed(b, "big.test.", 1e6)
	id := []byte("big.test.")
	path := filepath.Join(b.TempDir(), "zones.db")
	s := open(b, path)
	commit(b, s, store.Change{ID: id, Contents: c, State: []byte("state")})
	b.Run("save", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			path := filepath.Join(b.TempDir(), fmt.Sprint(i))
			s := open(b, path)
			commit(b, s, store.Change{ID: id, Contents: c, State: []byte("state")})
			_ = s.Close()
			reportFile(b, path, c.Size())
			_ = os.Remove(path)
		}
	})
	b.Run("update", func(b *testing.B) {
		b.ReportAllocs()
		cur := c
		for i := 0; b.Loop(); i++ {
			e := cur.Edit(zone.Limits{})
			oldSOA, newSOA := soaRecord(c.Origin(), uint32(i+1)), soaRecord(c.Origin(), uint32(i+2))
			rr := wire.RR{Owner: slices.Concat(fmt.Appendf([]byte{9}, "u%08d", i), c.Origin()), Type: wire.TypeA,
				Class: wire.ClassIN, TTL: 1, Data: []byte{10, 0, 0, 1}}
			if err := e.Remove(&oldSOA); err != nil {
				b.Fatal(err)
			}
			_, _ = e.Add(&newSOA), e.Add(&rr)
			next, err := e.Seal()
			if err != nil {
				b.Fatal(err)
			}
			commit(b, s, store.Change{ID: id, Contents: next, Since: cur, Differences: differences(cur, next),
				State: []byte("state")})
			cur = next
		}
		reportFile(b, path, c.Size())
	})
	_ = s.Close()
	b.Run("load", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s := open(b, path)
			if saved, err := s.Load(id); err != nil || saved.Contents == nil {
				b.Fatal(err)
			}
			_ = s.Close()
		}
	})
}

func BenchmarkManyZones(b *testing.B) {
	const zones = 20_000
	var changes []store.Change
	size := int64(0)
	for i := range zones {
		origin := fmt.Sprintf("z%05d.test.", i)
		c := mixed(b, origin, 11)
		size += c.Size()
		changes = append(changes, store.Change{ID: append(name(origin), "dns://.:53"...), Contents: c, State: make([]byte, 60)})
	}
	path := filepath.Join(b.TempDir(), "zones.db")
	save := func(b *testing.B, path string, batch int) {
		b.Helper()
		s := open(b, path)
		for chunk := range slices.Chunk(changes, batch) {
			commit(b, s, chunk...)
		}
		_ = s.Close()
		reportFile(b, path, size)
	}
	for _, batch := range []int{zones, 500} {
		b.Run(fmt.Sprintf("save by %d", batch), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				path := filepath.Join(b.TempDir(), fmt.Sprint(i))
				save(b, path, batch)
				_ = os.Remove(path)
			}
		})
	}
	save(b, path, 500)
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			_ = open(b, path).Close()
		}
	})
	b.Run("all", func(b *testing.B) {
		s := open(b, path)
		defer s.Close()
		for b.Loop() {
			if all, err := s.All(); len(all) != zones || err != nil {
				b.Fatal(len(all), err)
			}
		}
	})
	b.Run("load", func(b *testing.B) {
		b.ReportAllocs()
		s := open(b, path)
		defer s.Close()
		for b.Loop() {
			for i := range changes {
				if saved, err := s.Load(changes[i].ID); err != nil || saved.Contents == nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("state", func(b *testing.B) {
		s := open(b, path)
		defer s.Close()
		for i := 0; b.Loop(); i++ {
			commit(b, s, store.Change{ID: changes[i%zones].ID, State: fmt.Appendf(nil, "%060d", i)})
		}
	})
	runtime.KeepAlive(changes)
}
