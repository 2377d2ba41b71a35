package xfrout_test

import (
	"testing"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/xfrout"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// What a request is answered with, case by case; each line differs from a request that is served in one thing, or in two to
// show which comes first.
func TestPlan(t *testing.T) {
	type (
		request = xfrout.Request
		facts   = xfrout.Zone
	)
	axfr := func(f func(*request)) request {
		r := request{Type: dns.TypeAXFR, Class: dns.ClassINET, Questions: 1}
		f(&r)
		return r
	}
	ixfr := func(have uint32, f func(*request)) request {
		return axfr(func(r *request) {
			r.Type, r.Have, r.HasSOA = dns.TypeIXFR, serial.New(have), true
			f(r)
		})
	}
	good := facts{Ours: true, Allowed: true, Served: true, Serial: serial.New(10)}
	but := func(f func(*facts)) facts {
		z := good
		f(&z)
		return z
	}
	same := func(*request) {}
	udp := func(r *request) { r.Single = true }
	for _, c := range []struct {
		what string
		r    request
		z    facts
		want xfrout.Step
	}{
		{"AXFR", axfr(same), good, xfrout.Transfer},
		{"IXFR", ixfr(9, same), good, xfrout.Transfer},
		{"IXFR of the version there is (RFC 1995 §2)", ixfr(10, same), good, xfrout.TellSOA},
		{"IXFR from the future", ixfr(11, same), good, xfrout.TellSOA},
		{"IXFR across 2^32 (RFC 1982)", ixfr(1<<32-5, same), good, xfrout.Transfer},
		{"IXFR from a serial that cannot be compared (RFC 1982 §3.2)", ixfr(10+1<<31, same), good, xfrout.Transfer},
		{"AXFR over UDP (RFC 5936 §4.2)", axfr(udp), good, xfrout.NoStream},
		{"IXFR over UDP (RFC 1995 §2)", ixfr(9, udp), good, xfrout.TellSOA},
		{"no question", axfr(func(r *request) { r.Questions = 0 }), good, xfrout.FormErr},
		{"two questions", axfr(func(r *request) { r.Questions = 2 }), good, xfrout.FormErr},
		{"another class", axfr(func(r *request) { r.Class = dns.ClassCHAOS }), good, xfrout.FormErr},
		{"IXFR without SOA (RFC 1995 §3)", ixfr(9, func(r *request) { r.HasSOA = false }), good, xfrout.FormErr},
		{"AXFR needs no SOA", axfr(func(r *request) { r.HasSOA = false }), good, xfrout.Transfer},
		{"another zone", axfr(same), but(func(z *facts) { z.Ours = false }), xfrout.NotAuth},
		{"another zone, and not allowed", axfr(same), facts{}, xfrout.NotAuth},
		{"not allowed", ixfr(9, same), but(func(z *facts) { z.Allowed = false }), xfrout.Refuse},
		{"not allowed, expired", axfr(same), facts{Ours: true}, xfrout.Refuse},
		{"not allowed, over UDP", axfr(udp), but(func(z *facts) { z.Allowed = false }), xfrout.Refuse},
		{"expired", axfr(same), but(func(z *facts) { z.Served = false }), xfrout.NotReady},
		{"expired, over UDP", ixfr(9, udp), but(func(z *facts) { z.Served = false }), xfrout.NotReady},
		{"expired, from the future", ixfr(11, same), facts{Ours: true, Allowed: true}, xfrout.NotReady},
	} {
		if got := xfrout.Plan(c.r, c.z); got != c.want {
			t.Errorf("%s: step %d; want %d", c.what, got, c.want)
		}
	}
}

// A chain ends at the contents that the answer is about, and is no longer than so many percent of them.
func TestChain(t *testing.T) {
	versions, since := history(t, 4, 100)
	size := since[0].Size() + since[1].Size()
	all := int(size*100/versions[2].Size()) + 1 // percent
	for _, c := range []struct {
		what    string
		c       *zone.Contents
		since   []*zone.Difference
		percent int
		want    int
	}{
		{"to the latest", versions[3], since, 100, 3},
		{"a newer version came meanwhile", versions[2], since, 100, 2},
		{"not known", versions[3], nil, 100, 0},
		{"ends before", versions[3], since[:2], 100, 0},
		{"as long as it may be", versions[2], since[:2], all, 2},
		{"longer than it may be", versions[2], since[:2], all - 1, 0},
		{"off", versions[3], since, 0, 0},
	} {
		if got := len(xfrout.Chain(c.c, c.since, c.percent)); got != c.want {
			t.Errorf("%s: %d differences; want %d", c.what, got, c.want)
		}
	}
}
