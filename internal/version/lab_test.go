package version_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// fataler is what ends a test: a *testing.T or a *rapid.T.
type fataler interface {
	Helper()
	Fatal(args ...any)
}

// record reads a record in presentation form.
func record(t fataler, text string) wire.RR {
	t.Helper()
	rr, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, dns.Len(rr)+1)
	end, err := dns.PackRR(rr, b, 0, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	h := rr.Header()
	owner, err := wire.ParseName(h.Name)
	if err != nil {
		t.Fatal(err)
	}
	return wire.RR{Owner: owner, Type: h.Rrtype, Class: h.Class, TTL: h.Ttl, Data: b[len(owner)+10 : end]}
}

func soa(t fataler, n uint32) wire.RR {
	t.Helper()
	return record(t, fmt.Sprintf("example. 3600 IN SOA ns.test. host.test. %d 3600 900 864000 300", n))
}

func records(t fataler, texts ...string) (all []wire.RR) {
	t.Helper()
	for _, text := range texts {
		all = append(all, record(t, text))
	}
	return all
}

var origin = wire.Name("\x07example\x00")

// whole gives a draft a whole zone, and has it admitted.
func whole(terms version.Terms, soa wire.RR, rrs ...wire.RR) (*version.Version, error) {
	d := version.NewDraft(terms)
	if err := d.Begin(xfr.AXFR, &soa); err != nil {
		return nil, err
	}
	for _, rr := range append([]wire.RR{soa}, rrs...) {
		if err := d.Add(&rr); err != nil {
			return nil, err
		}
	}
	return version.Admit(d, version.Source{Kind: xfr.AXFR})
}

// step is one difference of an answer.
type step struct{ removed, added []wire.RR } // the SOA first

// differences gives a draft the answer to an IXFR, and has it admitted.
func differences(terms version.Terms, steps ...step) (*version.Version, error) {
	d := version.NewDraft(terms)
	if err := d.Begin(xfr.IXFR, &steps[len(steps)-1].added[0]); err != nil {
		return nil, err
	}
	for _, s := range steps {
		for _, rr := range s.removed {
			if err := d.Remove(&rr); err != nil {
				return nil, err
			}
		}
		for _, rr := range s.added {
			if err := d.Add(&rr); err != nil {
				return nil, err
			}
		}
	}
	return version.Admit(d, version.Source{Kind: xfr.IXFR})
}

// difference returns one between two serials, of at least so many octets.
func difference(t *testing.T, from, to uint32, octets int) *zone.Difference {
	t.Helper()
	one := func(dst []byte, rr wire.RR) []byte {
		dst = append(dst, rr.Owner...)
		dst = binary.BigEndian.AppendUint16(dst, rr.Type)
		dst = binary.BigEndian.AppendUint16(dst, rr.Class)
		dst = binary.BigEndian.AppendUint32(dst, rr.TTL)
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(rr.Data)))
		return append(dst, rr.Data...)
	}
	removed, added := one(nil, soa(t, from)), one(nil, soa(t, to))
	for i := 0; len(removed)+len(added) < octets; i++ {
		added = one(added, record(t, fmt.Sprintf("h%d.example. 60 IN A 192.0.2.1", i)))
	}
	d, err := zone.ParseDifference(slices.Concat(removed, added))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// lines returns the records of contents.
func lines(c *zone.Contents) (all []string) {
	for rr := range c.All() {
		all = append(all, dnstest.Line(rr))
	}
	return all
}

// apply makes contents of others and differences, as a secondary would.
func apply(from *zone.Contents, differences []*zone.Difference) (*zone.Contents, error) {
	for _, d := range differences {
		e := from.Edit(zone.Limits{})
		for rr := range d.Removed() {
			if err := e.Remove(rr); err != nil {
				return nil, err
			}
		}
		for rr := range d.Added() {
			if err := e.Add(rr); err != nil {
				return nil, err
			}
		}
		var err error
		if from, err = e.Seal(); err != nil {
			return nil, err
		}
	}
	return from, nil
}

func number(n uint32) serial.Serial { return serial.New(n) }
