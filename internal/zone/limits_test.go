package zone_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// tryBuild returns the first error of building a zone example. of these records.
func tryBuild(l zone.Limits, rrs []wire.RR) (*zone.Contents, error) {
	b := zone.NewBuilder(wire.Name("\x07example\x00"), l)
	for i := range rrs {
		if err := b.Add(&rrs[i]); err != nil {
			return nil, err
		}
	}
	return b.Seal()
}

func records(texts ...string) (rrs []wire.RR) {
	for _, s := range texts {
		rrs = append(rrs, record(s))
	}
	return rrs
}

// limitZones has the same records in orders that the builder handles differently, each followed by duplicates of all.
func limitZones() map[string][]wire.RR {
	texts := []string{soaRecord, "a.example. 60 IN A 192.0.2.1", "a.example. 60 IN A 192.0.2.2", nsec3Record,
		"b.example. 60 IN TXT x"}
	sorted := records(texts...)
	reversed := records(texts[4], texts[3], texts[2], texts[1], texts[0])
	mixed := records(texts[2], texts[4], texts[0], texts[3], texts[1])
	zones := map[string][]wire.RR{"sorted": sorted, "reversed": reversed, "mixed": mixed}
	for name, rrs := range zones {
		zones[name+" with duplicates"] = append(append([]wire.RR{}, rrs...), rrs...)
		zones[name+" with duplicates side by side"] = beside(rrs)
	}
	return zones
}

func beside(rrs []wire.RR) (twice []wire.RR) {
	for _, rr := range rrs {
		twice = append(twice, rr, rr)
	}
	return twice
}

func TestLimitsAllowExactlyThemselves(t *testing.T) {
	const n = 5
	size := build(t, "example.", limitZones()["sorted"]).Size()
	for name, rrs := range limitZones() {
		for _, c := range []struct {
			limits zone.Limits
			want   error
		}{
			{zone.Limits{Records: n, Size: size}, nil},
			{zone.Limits{Records: n + 1}, nil},
			{zone.Limits{}, nil},
			{zone.Limits{Records: n - 1}, zone.ErrTooManyRecords},
			{zone.Limits{Records: 1}, zone.ErrTooManyRecords},
			{zone.Limits{Size: size - 1}, zone.ErrTooBig},
			{zone.Limits{Records: n, Size: 1}, zone.ErrTooBig},
		} {
			contents, err := tryBuild(c.limits, rrs)
			if !errors.Is(err, c.want) {
				t.Errorf("%s, %+v: %v, want %v", name, c.limits, err, c.want)
			}
			if err == nil && (contents.Records() != n || contents.Size() != size) {
				t.Errorf("%s: %d records of %d octets", name, contents.Records(), contents.Size())
			}
		}
	}
}

// An endless transfer in canonical order, which is the usual one, fails where it exceeds the limits, long before its
// end.
func TestLimitsHoldWhileRecordsArrive(t *testing.T) {
	const limit, size = 100, 18 + 10 + 4
	for _, limits := range []zone.Limits{{Records: limit}, {Size: limit * size}} {
		b := zone.NewBuilder(wire.Name("\x07example\x00"), limits)
		n := uint32(0)
		var err error
		for ; n < 2*limit && err == nil; n++ {
			err = b.Add(&wire.RR{Owner: numbered(n), Type: wire.TypeA, Class: wire.ClassIN, TTL: 60, Data: []byte{192, 0,
				2, 1}})
		}
		if err == nil || n > limit+2 { // one that is too many, and one that shows that it is whole
			t.Errorf("%+v: %v after %d records", limits, err, n)
		}
	}
}

// numbered returns names below example. that sort as their numbers do.
func numbered(n uint32) wire.Name {
	const digits = "0123456789abcdef"
	name := wire.Name("\x0800000000\x07example\x00")
	for i := 8; n > 0; i-- {
		name[i] = digits[n&15]
		n >>= 4
	}
	return name
}

// RFC 1035 §5.2: "Exactly one SOA RR should be present at the top of the zone."
func TestZoneHasOneSOAAtItsApex(t *testing.T) {
	a := "a.example. 60 IN A 192.0.2.1"
	other := strings.Replace(soaRecord, " 7 ", " 8 ", 1)
	below := strings.Replace(soaRecord, "example.", "a.example.", 1)
	outside := strings.Replace(soaRecord, "example.", "example.net.", 1)
	chaos := strings.Replace(soaRecord, " IN ", " CH ", 1)
	for _, c := range []struct {
		name string
		rrs  []wire.RR
		want error
	}{
		{"no records", nil, zone.ErrNoSOA},
		{"no SOA", records(a), zone.ErrNoSOA},
		{"no SOA at an apex that exists", records(a, "example. 60 IN NS ns.example.net."), zone.ErrNoSOA},
		{"two SOAs", records(soaRecord, a, other), zone.ErrManySOAs},
		{"two SOAs in reverse", records(other, soaRecord), zone.ErrManySOAs},
		{"the same SOA twice", records(soaRecord, a, soaRecord), nil},
		{"the same SOA in another case", records(soaRecord, strings.ToUpper(soaRecord)), nil},
		{"a SOA below the apex", records(soaRecord, below), zone.ErrSOAOwner},
		{"only a SOA below the apex", records(below), zone.ErrSOAOwner},
		{"a SOA outside the zone", records(soaRecord, outside), nil},
		{"only a SOA outside the zone", records(outside), zone.ErrNoSOA},
		{"only a SOA of another class", records(chaos), zone.ErrNoSOA},
	} {
		contents, err := tryBuild(zone.Limits{}, c.rrs)
		if !errors.Is(err, c.want) || (err == nil) != (contents != nil) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if err == nil && contents.Serial().Uint32() != 7 {
			t.Errorf("%s: serial %d", c.name, contents.Serial().Uint32())
		}
	}
}

// OPT and TSIG are no data (RFC 6895 §3.1). Knot and NSD keep type 0 and the other meta-types that a primary sends.
func TestMetaTypesAreDiscarded(t *testing.T) {
	b := zone.NewBuilder(wire.Name("\x07example\x00"), zone.Limits{})
	soa := record(soaRecord)
	if err := b.Add(&soa); err != nil {
		t.Fatal(err)
	}
	discarded := 0
	for n := range 1 << 16 {
		rrtype := uint16(n)
		if rrtype == wire.TypeSOA || rrtype == wire.TypeRRSIG {
			continue
		}
		if rrtype == wire.TypeOPT || rrtype == wire.TypeTSIG {
			discarded++
		}
		if err := b.Add(&wire.RR{Owner: wire.Name("\x01a\x07example\x00"), Type: rrtype, Class: wire.ClassIN,
			Data: []byte{0}}); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.Discards().Count(zone.Malformed); got != discarded || b.Discards().Total() != discarded {
		t.Errorf("%d discarded, want %d", got, discarded)
	}
	c, err := b.Seal()
	if err != nil {
		t.Fatal(err)
	}
	if want := 1<<16 - 1 - discarded; c.Records() != want { // one SOA, and RRSIG left out
		t.Errorf("%d records, want %d", c.Records(), want)
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
}

// A record whose RDATA could not be read is counted and named like the others.
func TestMalformedRecordsAreCounted(t *testing.T) {
	b := zone.NewBuilder(wire.Name("\x07example\x00"), zone.Limits{})
	for range 2 * zone.MaxSamples {
		rr := record("a.example. 60 IN A 192.0.2.1")
		b.Malformed(&rr)
	}
	d := b.Discards()
	if d.Count(zone.Malformed) != 2*zone.MaxSamples || len(d.Samples()) != zone.MaxSamples || d.Samples()[0] != "a.example. A" {
		t.Errorf("%d discarded, samples %q", d.Count(zone.Malformed), d.Samples())
	}
}

// Records that wait to be sorted in do not grow without end either.
func TestLimitsHoldForRecordsOutOfOrder(t *testing.T) {
	const limit = 2000
	b := zone.NewBuilder(wire.Name("\x07example\x00"), zone.Limits{Records: limit})
	var err error
	n := 0
	for ; err == nil && n < 100*limit; n++ {
		rr := record(fmt.Sprintf("h%06d.example. 60 IN A 192.0.2.1", 100*limit-n))
		err = b.Add(&rr)
	}
	if !errors.Is(err, zone.ErrTooManyRecords) || n > 5*limit {
		t.Errorf("After %d records: %v", n, err)
	}
}
