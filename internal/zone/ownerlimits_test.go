package zone_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// crowded returns a zone with n addresses and types TXT, MX... at one name: n records in its largest RRset.
func crowded(n, types int) []wire.RR {
	rrs := records(soaRecord)
	for i := range n {
		rrs = append(rrs, wire.RR{Owner: numbered(1), Type: wire.TypeA, Class: wire.ClassIN, TTL: 60, Data: []byte{192, 0, byte(i >> 8), byte(i)}})
	}
	for i := range types - 1 {
		rrs = append(rrs, wire.RR{Owner: numbered(1), Type: uint16(60000 + i), Class: wire.ClassIN, TTL: 60, Data: []byte{1}})
	}
	return append(rrs, wire.RR{Owner: numbered(2), Type: wire.TypeA, Class: wire.ClassIN, TTL: 60, Data: []byte{192, 0, 2, 1}})
}

// The limits of an owner allow exactly themselves, in whatever order records come, and duplicates do not count.
func TestLimitsOfAnOwnerAllowExactlyThemselves(t *testing.T) {
	const n, types = 20, 7
	sorted := crowded(n, types)
	reversed := slices.Clone(sorted)
	slices.Reverse(reversed)
	for name, rrs := range map[string][]wire.RR{
		"sorted": sorted, "reversed": reversed, "duplicates": append(slices.Clone(sorted), sorted...), "duplicates side by side": beside(sorted),
	} {
		for _, c := range []struct {
			limits zone.Limits
			want   error
		}{
			{zone.Limits{RRset: n, Types: types}, nil},
			{zone.Limits{RRset: n - 1}, zone.ErrLargeRRset},
			{zone.Limits{Types: types - 1}, zone.ErrManyTypes},
			{zone.Limits{RRset: 1, Types: types}, zone.ErrLargeRRset},
			{zone.Limits{}, nil},
		} {
			contents, err := tryBuild(c.limits, rrs)
			if !errors.Is(err, c.want) {
				t.Errorf("%s, %+v: %v; want %v", name, c.limits, err, c.want)
			}
			if err != nil && (contents != nil || !strings.Contains(err.Error(), numbered(1).String())) {
				t.Errorf("%s, %+v: %v does not name the owner", name, c.limits, err)
			}
		}
	}
}

// Differences are bounded by the same limits (RFC 1995 §4); what is removed makes room.
func TestLimitsOfAnOwnerHoldForDifferences(t *testing.T) {
	const n, types = 5, 4
	c := build(t, "example.", crowded(n, types))
	one := wire.RR{Owner: numbered(1), Type: wire.TypeA, Class: wire.ClassIN, TTL: 60, Data: []byte{192, 0, 2, 99}}
	other := wire.RR{Owner: numbered(1), Type: 61000, Class: wire.ClassIN, TTL: 60, Data: []byte{9}}
	first := wire.RR{Owner: numbered(1), Type: wire.TypeA, Class: wire.ClassIN, TTL: 60, Data: []byte{192, 0, 0, 0}}
	for _, tt := range []struct {
		name   string
		limits zone.Limits
		edit   func(e *zone.Editor) error
		want   error
	}{
		{"within", zone.Limits{RRset: n + 1, Types: types + 1}, func(e *zone.Editor) error { return errors.Join(e.Add(&one), e.Add(&other)) }, nil},
		{"a record more", zone.Limits{RRset: n}, func(e *zone.Editor) error { return e.Add(&one) }, zone.ErrLargeRRset},
		{"a type more", zone.Limits{Types: types}, func(e *zone.Editor) error { return e.Add(&other) }, zone.ErrManyTypes},
		{"exchanged", zone.Limits{RRset: n}, func(e *zone.Editor) error { return errors.Join(e.Add(&one), e.Remove(&first)) }, nil},
		{"another owner", zone.Limits{RRset: n - 1, Types: types - 1}, func(e *zone.Editor) error {
			return e.Add(&wire.RR{Owner: numbered(3), Type: wire.TypeA, Class: wire.ClassIN, Data: []byte{192, 0, 2, 1}})
		}, nil},
	} {
		e := c.Edit(tt.limits)
		if err := tt.edit(e); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if _, err := e.Seal(); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v; want %v", tt.name, err, tt.want)
		}
	}
}

// Signatures of each type are an RRset of their own (RFC 4034 §3.1.1).
func TestSignaturesOfEachTypeAreAnRRset(t *testing.T) {
	rrs := records(soaRecord)
	for _, covered := range []string{"A", "TXT", "MX"} {
		for i := range 3 {
			rrs = append(rrs, records(fmt.Sprintf("a.example. 60 IN RRSIG %s 13 2 60 20300101000000 20200101000000 %d example. qg==", covered, i))...)
		}
	}
	if _, err := tryBuild(zone.Limits{RRset: 3, Types: 3}, rrs); err != nil {
		t.Error(err)
	}
	if _, err := tryBuild(zone.Limits{RRset: 2}, rrs); !errors.Is(err, zone.ErrLargeRRset) {
		t.Errorf("%v; want %v", err, zone.ErrLargeRRset)
	}
	// Together they are one type.
	if _, err := tryBuild(zone.Limits{Types: 1}, rrs); err != nil {
		t.Error(err)
	}
}

// What is too large is found while records arrive, not at the end of an endless transfer.
func TestLimitsOfAnOwnerHoldWhileRecordsArrive(t *testing.T) {
	b := zone.NewBuilder(wire.Name("\x07example\x00"), zone.Limits{RRset: 10})
	var err error
	n := 0
	for i := uint32(0); i < 1000 && err == nil; i++ {
		for j := range byte(11) {
			if err = b.Add(&wire.RR{Owner: numbered(i), Type: wire.TypeA, Class: wire.ClassIN, Data: []byte{192, 0, 2, j}}); err != nil {
				break
			}
			n++
		}
	}
	if !errors.Is(err, zone.ErrLargeRRset) || n > 12 {
		t.Errorf("%v after %d records", err, n)
	}
}
