package zone_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// edit applies a difference, lines that begin with + or -, and returns the zone it makes.
func (s served) edit(t *testing.T, difference ...string) served {
	t.Helper()
	before := dump(s.Contents)
	e := s.Edit(zone.Limits{})
	rrs := clone(s.Contents)
	for _, line := range difference {
		rr := record(line[1:])
		apply := e.Add
		if line[0] == '-' {
			apply = e.Remove
			i := index(rrs, rr)
			rrs = append(rrs[:i:i], rrs[i+1:]...)
		} else {
			rrs = append(rrs, rr)
		}
		if err := apply(&rr); err != nil {
			t.Fatal(err)
		}
	}
	c, err := e.Seal()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, dump(s.Contents)); diff != "" {
		t.Errorf("contents edited from (-before +after):\n%s", diff)
	}
	o := dnstest.NewOracle(c.Origin(), rrs)
	if diff := cmp.Diff(o.Dump(), dump(c)); diff != "" {
		t.Errorf("contents (-want +got):\n%s", diff)
	}
	return served{c, o}
}

const newerSOA = "example. 3600 IN SOA ns.example. host.example. 8 7200 900 86400 300"

func TestSOAOnlyDifferenceChangesTheSerial(t *testing.T) {
	s := serve(t, "example.", soaRecord, "a.example. 60 IN A 192.0.2.1")
	newer := s.edit(t, "-"+soaRecord, "+"+newerSOA)
	if newer.Serial().Uint32() != 8 || s.Serial().Uint32() != 7 {
		t.Errorf("serial %v from %v", newer.Serial(), s.Serial())
	}
	newer.expect(t, "example. SOA", answer(newerSOA))
	want := nxdomain()
	want.Authority = text(strings.Replace(newerSOA, "3600", "300", 1))
	newer.expect(t, "nx.example. A", want)
	s.expect(t, "nx.example. A", nxdomain())
}

func TestTTLOnlyDifferenceChangesTheTTL(t *testing.T) {
	one, two := "a.example. 60 IN A 192.0.2.1", "a.example. 300 IN A 192.0.2.2"
	s := serve(t, "example.", soaRecord, one, two)
	raised := s.edit(t, "-"+one, "+a.example. 900 IN A 192.0.2.1")
	raised.expect(t, "a.example. A", answer("a.example. 300 IN A 192.0.2.1", "a.example. 300 IN A 192.0.2.2"))
	s.edit(t, "-"+one).expect(t, "a.example. A", answer(two))
}

func TestLastRecordOfANameTakesItAway(t *testing.T) {
	a := "x.a.example. 60 IN A 192.0.2.1"
	s := serve(t, "example.", soaRecord, a, "*.example. 60 IN TXT w", "b.example. 60 IN A 192.0.2.2")
	s.expect(t, "a.example. TXT", nodata())
	gone := s.edit(t, "-"+a)
	gone.expect(t, "x.a.example. TXT", answer("x.a.example. 60 IN TXT w"))
	gone.expect(t, "a.example. TXT", answer("a.example. 60 IN TXT w"))
	gone.edit(t, "+"+a).expect(t, "a.example. TXT", nodata())
}

func TestOpenedCutOccludes(t *testing.T) {
	a, ns := "www.sub.example. 60 IN A 192.0.2.1", "sub.example. 60 IN NS ns.example.net."
	s := serve(t, "example.", soaRecord, a, "deep.www.sub.example. 60 IN A 192.0.2.2", "tub.example. 60 IN A 192.0.2.3")
	cut := s.edit(t, "+"+ns)
	for _, q := range []string{"sub.example. A", "www.sub.example. A", "deep.www.sub.example. A", "nx.sub.example. A"} {
		cut.expect(t, q, referral([]string{ns}, nil))
	}
	cut.expect(t, "tub.example. A", answer("tub.example. 60 IN A 192.0.2.3"))
	closed := cut.edit(t, "-"+ns)
	closed.expect(t, "www.sub.example. A", answer(a))
	closed.expect(t, "nx.sub.example. A", nxdomain())
}

func TestOpenedDNAMERedirects(t *testing.T) {
	a, d := "www.d.example. 60 IN A 192.0.2.1", "d.example. 60 IN DNAME example.net."
	s := serve(t, "example.", soaRecord, a, "d.example. 60 IN TXT x")
	redirected := s.edit(t, "+"+d)
	redirected.expect(t, "www.d.example. A", answer(d, "www.d.example. 60 IN CNAME www.example.net."))
	redirected.edit(t, "-"+d).expect(t, "www.d.example. A", answer(a))
}

func TestApexDNAMECoversTheWholeZone(t *testing.T) {
	a, d := "www.example. 60 IN A 192.0.2.1", "example. 60 IN DNAME example.net."
	s := serve(t, "example.", soaRecord, a, "sub.example. 60 IN NS ns.example.net.", "a.sub.example. 60 IN A 192.0.2.2")
	redirected := s.edit(t, "+"+d)
	redirected.expect(t, "a.sub.example. A", answer(d, "a.sub.example. 60 IN CNAME a.sub.example.net."))
	opened := redirected.edit(t, "-"+d)
	opened.expect(t, "www.example. A", answer(a))
	opened.expect(t, "a.sub.example. A", referral([]string{"sub.example. 60 IN NS ns.example.net."}, nil))
}

// Of cuts below one another the topmost counts; when it goes, the next one does.
func TestCutsBelowCuts(t *testing.T) {
	top, inner, a := "a.example. 60 IN NS ns.top.", "b.a.example. 60 IN NS ns.inner.", "c.b.a.example. 60 IN A 192.0.2.1"
	s := serve(t, "example.", soaRecord, top, inner, a)
	s.expect(t, "c.b.a.example. A", referral([]string{top}, nil))
	one := s.edit(t, "-"+top)
	one.expect(t, "c.b.a.example. A", referral([]string{inner}, nil))
	none := one.edit(t, "-"+inner)
	none.expect(t, "c.b.a.example. A", answer(a))
	none.edit(t, "+"+inner, "+"+top).expect(t, "c.b.a.example. A", referral([]string{top}, nil))
	// A cut that becomes a DNAME in one difference covers as before.
	d := "a.example. 60 IN DNAME other."
	s.edit(t, "-"+top, "+"+d).expect(t, "c.b.a.example. A", answer(d, "c.b.a.example. 60 IN CNAME c.b.other."))
}

func TestWildcardComesAndGoes(t *testing.T) {
	w := "*.example. 60 IN TXT w"
	s := serve(t, "example.", soaRecord, "a.example. 60 IN A 192.0.2.1")
	wild := s.edit(t, "+"+w)
	wild.expect(t, "x.example. TXT", answer("x.example. 60 IN TXT w"))
	wild.edit(t, "-"+w).expect(t, "x.example. TXT", nxdomain())
	s.edit(t, "+a.*.example. 60 IN TXT w").expect(t, "x.example. TXT", nodata())
}

func TestNSEC3RecordsComeAndGo(t *testing.T) {
	s := serve(t, "example.", soaRecord)
	signed := s.edit(t, "+"+nsec3Record, "+"+sigOf(nsec3Owner, "NSEC3"))
	signed.expect(t, nsec3Owner+" NSEC3", nxdomain())
	signed.edit(t, "-"+sigOf(nsec3Owner, "NSEC3"), "-"+nsec3Record)
}

// RFC 1995 §4: what is removed and added again, or the other way round, in the sequences of one answer is as it was.
func TestEditsOfOneRecordFollowEachOther(t *testing.T) {
	a, b := "a.example. 60 IN A 192.0.2.1", "b.example. 60 IN A 192.0.2.1"
	s := serve(t, "example.", soaRecord, a)
	s.edit(t, "-"+a, "+"+a, "-"+a, "+"+a, "+"+b, "-"+b).expect(t, "b.example. A", nxdomain())
	s.edit(t).expect(t, "a.example. A", answer(a))
}

// A difference that leaves no zone, or one over its limits, is refused at the end and only there.
func TestEditedZoneHasToBeOne(t *testing.T) {
	a := "a.example. 60 IN A 192.0.2.1"
	s := serve(t, "example.", soaRecord, a, "b.example. 60 IN A 192.0.2.1")
	size := s.Size()
	for _, c := range []struct {
		name       string
		limits     zone.Limits
		difference []string
		want       error
	}{
		{"SOA removed", zone.Limits{}, []string{"-" + soaRecord}, zone.ErrNoSOA},
		{"everything removed", zone.Limits{}, []string{"-" + soaRecord, "-" + a, "-b.example. 60 IN A 192.0.2.1"},
			zone.ErrNoSOA},
		{"second SOA", zone.Limits{}, []string{"+" + newerSOA}, zone.ErrManySOAs},
		{"SOA below the apex", zone.Limits{}, []string{"+" + strings.Replace(newerSOA, "example.", "x.example.", 1)},
			zone.ErrSOAOwner},
		{"as many as before", zone.Limits{Records: 3, Size: size}, []string{"+c.example. 60 IN A 192.0.2.1", "-" + a}, nil},
		{"one more", zone.Limits{Records: 3}, []string{"+c.example. 60 IN A 192.0.2.1"}, zone.ErrTooManyRecords},
		{"one octet more", zone.Limits{Size: size}, []string{"-" + a, "+aa.example. 60 IN A 192.0.2.1"}, zone.ErrTooBig},
		{"limits that were lowered", zone.Limits{Records: 2}, []string{"-" + soaRecord, "+" + newerSOA},
			zone.ErrTooManyRecords},
	} {
		e := s.Edit(c.limits)
		var err error
		for _, line := range c.difference {
			rr := record(line[1:])
			if line[0] == '-' {
				err = errors.Join(err, e.Remove(&rr))
			} else {
				err = errors.Join(err, e.Add(&rr))
			}
		}
		if err == nil {
			_, err = e.Seal()
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// Records that the builder left out are passed over when a difference removes them: the primary has them, the contents
// never had.
func TestForeignRecordsArePassedOverByEdits(t *testing.T) {
	a := "a.example. 60 IN A 192.0.2.1"
	s := serve(t, "example.", soaRecord, a)
	e := s.Edit(zone.Limits{})
	rrs := records("a.example. 60 CH TXT x", "a.example.net. 60 IN A 192.0.2.1", "example.net. 60 IN SOA a. b. 1 2 3 4 5")
	rrs = append(rrs, wire.RR{Owner: wire.Name("\x01a\x07example\x00"), Type: wire.TypeOPT, Class: wire.ClassIN})
	for i := range rrs {
		if err := errors.Join(e.Remove(&rrs[i]), e.Add(&rrs[i]), e.Add(&rrs[i])); err != nil {
			t.Errorf("%s: %v", dnstest.Line(&rrs[i]), err)
		}
	}
	c, err := e.Seal()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(text(soaRecord, a), dump(c)); diff != "" {
		t.Errorf("contents (-want +got):\n%s", diff)
	}
}
