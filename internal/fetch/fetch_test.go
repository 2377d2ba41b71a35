package fetch

import (
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

const ns = "example. 3600 IN NS ns.example."

func soa(serial int) string {
	return fmt.Sprintf("example. 3600 IN SOA ns.example. admin.example. %d 3600 3600 86400 300", serial)
}

// whole is the script of a primary that has a version.
func whole(serial int) dnstest.Handler {
	return dnstest.Serve("", soa(serial), ns, "ns.example. 3600 IN A 192.0.2.1")
}

// unlessIXFR is the script of a primary that has a version, and answers IXFR as the other script says.
func unlessIXFR(serial int, ixfr dnstest.Handler) dnstest.Handler {
	good := whole(serial)
	return func(r dnstest.Request, w *dnstest.Writer) {
		if r.Type == dns.TypeIXFR {
			ixfr(r, w)
			return
		}
		good(r, w)
	}
}

// fetch has a zone transferred from a primary that follows the script; served is what is there already, nil for nothing.
func fetch(t *testing.T, served *version.Version, script dnstest.Handler) (Outcome, *dnstest.Primary) {
	t.Helper()
	origin, err := wire.ParseName("example.")
	if err != nil {
		t.Fatal(err)
	}
	p := dnstest.NewPrimary(t, script)
	policy := &version.Policy{MaxRecords: 1000, MaxSize: 1 << 20}
	conn, o := Fetch{
		Terms:   version.Terms{Origin: origin, Served: served, Before: served, Policy: policy},
		Primary: &xfr.Primary{Addr: p.Addr()}, Incremental: served != nil, Limits: xfr.DefaultLimits(),
		Progress: &xfr.Progress{BeganAt: time.Now()},
	}.Run(t.Context(), nil)
	if conn != nil {
		conn.Close()
	}
	return o, p
}

// first returns the first version.
func first(t *testing.T) *version.Version {
	t.Helper()
	o, _ := fetch(t, nil, whole(1))
	if o.Err != nil || o.Version == nil || o.Incremental || o.Result.Kind != xfr.AXFR {
		t.Fatalf("%+v", o)
	}
	return o.Version
}

// RFC 1995 §4: a primary that does no IXFR is asked for the whole zone, on the same connection.
func TestAXFRWhereIXFRFails(t *testing.T) {
	t.Parallel()
	o, p := fetch(t, first(t), unlessIXFR(2, func(r dnstest.Request, w *dnstest.Writer) { w.Send(r.Rcode(dns.RcodeNotImplemented)) }))
	if o.Err != nil || o.Version == nil || o.Version.Contents.Serial().Uint32() != 2 {
		t.Fatalf("%+v", o)
	}
	if o.Incremental || reason.Of(o.FellBack) != reason.NotImplemented || p.Accepted() != 1 {
		t.Errorf("Incremental %v, fell back for %v, %d connections", o.Incremental, o.FellBack, p.Accepted())
	}
}

// The same version is none, however it was asked for.
func TestNothingNewer(t *testing.T) {
	t.Parallel()
	one := first(t)
	for name, script := range map[string]dnstest.Handler{
		"SOA alone":  whole(1),
		"whole zone": unlessIXFR(1, func(r dnstest.Request, w *dnstest.Writer) { w.Send(r.Rcode(dns.RcodeNotImplemented)) }),
	} {
		if o, _ := fetch(t, one, script); o.Err != nil || o.Version != nil || o.Result.Kind != xfr.Current {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

// A version that was refused is not left over where the whole zone turns out to be the version that is served.
func TestNothingIsLeftOfARefusedVersion(t *testing.T) {
	t.Parallel()
	o, _ := fetch(t, first(t), unlessIXFR(1, func(r dnstest.Request, w *dnstest.Writer) {
		w.Send(r.Reply(soa(2), soa(1), ns, soa(2), soa(2))) // without NS at the apex
	}))
	if reason.Of(o.FellBack) != reason.ApexNSLost {
		t.Fatalf("Fell back for %v", o.FellBack)
	}
	if o.Err != nil || o.Version != nil || o.Result.Kind != xfr.Current {
		t.Errorf("%+v", o)
	}
}
