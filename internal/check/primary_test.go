package check_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/check"
	"github.com/secondaryplus/secondaryplus/internal/corefile"
	"github.com/secondaryplus/secondaryplus/internal/dnstest"
)

func TestGoodPrimary(t *testing.T) {
	t.Parallel()
	p := dnstest.NewPrimary(t, dnstest.Serve(secret, version(7)...))
	o := options(p)
	o.KeyFile = keyFile(t, clause(keyName, "hmac-sha256", secret))
	r := run(t, o)
	for f := range r.All() {
		if f.Severity != check.OK {
			t.Errorf("unexpected: %+v", f)
		}
	}
	got := r.Primaries[0]
	if got.Key != keyName || got.Serial == nil || *got.Serial != 7 || got.IXFR != check.WholeZone {
		t.Errorf("primary: %+v", got)
	}
	tr := got.Transfer
	if tr == nil || !tr.Accepted || tr.Records != 4 || tr.Size == 0 || tr.Received == 0 || tr.Messages != 1 {
		t.Errorf("transfer: %+v", tr)
	}
	if r.Agreement != nil || r.Parent != nil || r.Mode != nil {
		t.Errorf("sections that were not asked for: %s", jsonOf(t, r))
	}
}

// Each kind of broken primary, and the name of its fault.
func TestFaultsAreNamed(t *testing.T) {
	t.Parallel()
	good := dnstest.Serve(secret, version(7)...)
	otherSecret := base64.StdEncoding.EncodeToString([]byte("not the secret of this test"))
	hang := func(r dnstest.Request, w *dnstest.Writer) {
		if !r.UDP {
			w.Hang()
		}
	}
	for name, c := range map[string]struct {
		script   dnstest.Handler
		change   func(*check.Options)
		key      bool
		severity check.Severity // a Problem if empty
		what     string
		words    []string
	}{
		"silent": {script: hang, change: func(o *check.Options) { o.Timeout = 300 * time.Millisecond }, what: "timeout"},
		"silent at AXFR": {
			script: except(dns.TypeAXFR, hang, good), change: func(o *check.Options) { o.Timeout = 300 * time.Millisecond },
			what: "too_slow", words: []string{"AXFR", "300ms"},
		},
		"REFUSED": {script: rcode(dns.RcodeRefused), what: "refused", words: []string{"SOA query", "REFUSED"}},
		"REFUSED at SOA": {
			script: except(dns.TypeSOA, rcode(dns.RcodeRefused), good), severity: check.Warning, what: "refused", words: []string{"SOA query"},
		},
		"REFUSED at AXFR": {script: except(dns.TypeAXFR, rcode(dns.RcodeRefused), good), what: "refused",
			words: []string{"AXFR"}},
		"SERVFAIL":          {script: rcode(dns.RcodeServerFailure), what: "servfail"},
		"NXDOMAIN":          {script: rcode(dns.RcodeNameError), what: "bad_rcode", words: []string{"does not have the zone"}},
		"not authoritative": {script: lame, what: "not_authoritative", words: []string{"lacks AA"}},
		"NOTAUTH":           {script: rcode(dns.RcodeNotAuth), what: "not_authoritative", words: []string{"NOTAUTH"}},
		"referral":          {script: referring, what: "not_authoritative"},
		"unknown key": {script: reporting(dns.RcodeBadKey), key: true, what: "tsig_bad_key", words: []string{keyName,
			"BADKEY"}},
		"other secret there": {script: reporting(dns.RcodeBadSig), key: true, what: "tsig_bad_sig", words: []string{"BADSIG"}},
		"signed with another secret": {
			script: dnstest.Serve(otherSecret, version(7)...), key: true, what: "tsig_bad_sig", words: []string{"signature is wrong"},
		},
		"spoilt signature": {
			script: signing(func(s *dnstest.Signer) { s.Corrupt = true }), key: true, what: "tsig_bad_sig",
		},
		"other clock": {
			script: signing(func(s *dnstest.Signer) { s.Time = hourAgo() }), key: true, what: "tsig_bad_time",
			words: []string{"clocks differ by 36"},
		},
		"unsigned answer": {
			script: func(r dnstest.Request, w *dnstest.Writer) { w.Send(r.Reply(soa(7))) }, key: true, what: "tsig_missing",
			words: []string{"not signed", keyName},
		},
		"serial 0": {script: dnstest.Serve(secret, version(0)...), what: "serial_zero"},
		"too many records": {
			script: good, change: func(o *check.Options) { o.MaxRecords = "3" }, what: "max_records", words: []string{"AXFR", "3"},
		},
		"too many records on the wire": {
			script: dnstest.Serve(secret, version(7, hosts(2100)...)...), change: func(o *check.Options) { o.MaxRecords = "500" },
			what: "max_records",
		},
		"too big":       {script: good, change: func(o *check.Options) { o.MaxSize = "100" }, what: "max_size"},
		"RRset too big": {script: dnstest.Serve(secret, version(7, crowd(1001)...)...), what: "rrset_size"},
		"cut stream":    {script: except(dns.TypeAXFR, cut, good), what: "cut_off", words: []string{"before the closing SOA"}},
		"SOA changes within the transfer": {
			script: except(dns.TypeAXFR, func(r dnstest.Request, w *dnstest.Writer) {
				w.Send(r.Reply(append(version(7), soa(8))...))
			}, good), what: "soa_mismatch",
		},
		"CNAME beside A": {
			script: dnstest.Serve(secret, version(7, "www."+origin+" 300 CNAME example.net.")...), severity: check.Warning,
			what: "cname_and_other_data", words: []string{"www.example.org. CNAME"},
		},
		"out of zone": {
			script: dnstest.Serve(secret, version(7, "www.example.com. 300 A 192.0.2.1")...), severity: check.Warning,
			what: "out_of_zone", words: []string{"www.example.com. A"},
		},
		"IXFR refused": {
			script: except(dns.TypeIXFR, rcode(dns.RcodeRefused), good), severity: check.Warning, what: "ixfr_refused",
			words: []string{"IXFR from serial 6", "REFUSED"},
		},
		"IXFR broken": {
			script: except(dns.TypeIXFR, func(r dnstest.Request, w *dnstest.Writer) {
				w.Send(r.Reply(soa(7), soa(5), soa(7), soa(7)))
			}, good), severity: check.Warning, what: "ixfr_broken",
		},
		"IXFR with the SOA alone": {
			script: except(dns.TypeIXFR, func(r dnstest.Request, w *dnstest.Writer) {
				w.Send(r.Reply(soa(7)))
				w.CloseConn()
			}, good), severity: check.Warning, what: "ixfr_soa_only",
		},
		"IXFR with an old SOA": {
			script:   except(dns.TypeIXFR, func(r dnstest.Request, w *dnstest.Writer) { w.Send(r.Reply(soa(6))) }, good),
			severity: check.Warning, what: "ixfr_up_to_date",
		},
		"first datagram lost": {script: losing(good), severity: check.Warning, what: "udp_lost"},
		"unclean zone": {
			script: dnstest.Serve(secret, soa(7), "www."+origin+" 300 A 192.0.2.80"), severity: check.Warning, what: "no_apex_ns",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(dnstest.NewPrimary(t, c.script))
			if c.key {
				o.KeyFile = keyFile(t, clause(keyName, "hmac-sha256", secret))
			}
			if c.change != nil {
				c.change(&o)
			}
			if c.severity == "" {
				c.severity = check.Problem
			}
			r := run(t, o)
			wantFinding(t, r.Primaries[0].Findings, c.severity, c.what, c.words...)
			accepted := r.Primaries[0].Transfer != nil && r.Primaries[0].Transfer.Accepted
			if accepted != (c.severity == check.Warning) {
				t.Errorf("accepted: %v, with %+v", accepted, r.Primaries[0].Findings)
			}
			if accepted == (r.Count(check.Problem) > 0) {
				t.Errorf("%d problems", r.Count(check.Problem))
			}
		})
	}
}

// lame answers like a resolver that has the SOA in its cache.
func lame(r dnstest.Request, w *dnstest.Writer) {
	m := r.Reply(soa(7))
	if m.Authoritative = false; r.Type != dns.TypeSOA {
		m = r.Rcode(dns.RcodeRefused)
	}
	w.Send(m)
}

// referring answers like a server of the parent zone.
func referring(r dnstest.Request, w *dnstest.Writer) {
	m := r.Reply()
	m.Authoritative = false
	m.Ns = dnstest.Records(origin + " 3600 NS ns1.example.net.")
	w.Send(m)
}

// cut breaks off after the first message of a zone.
func cut(r dnstest.Request, w *dnstest.Writer) {
	w.Send(r.Reply(version(7)...))
	w.CloseConn()
}

// losing drops the first datagram.
func losing(h dnstest.Handler) dnstest.Handler {
	var asked atomic.Bool
	return func(r dnstest.Request, w *dnstest.Writer) {
		if !r.UDP || asked.Swap(true) {
			h(r, w)
		}
	}
}

// hosts returns so many records with names of their own.
func hosts(n int) (records []string) {
	for i := range n {
		records = append(records, fmt.Sprintf("h%d.%s 300 A 192.0.2.1", i, origin))
	}
	return records
}

// crowd returns so many records of one RRset.
func crowd(n int) (records []string) {
	for i := range n {
		records = append(records, fmt.Sprintf("crowd.%s 300 A 10.0.%d.%d", origin, i>>8, i&255))
	}
	return records
}

func TestDeadPort(t *testing.T) {
	t.Parallel()
	p := dnstest.NewPrimary(t, rcode(dns.RcodeRefused))
	o := options(p)
	p.Close()
	r := run(t, o)
	wantFinding(t, r.Primaries[0].Findings, check.Problem, "unreachable", "SOA query")
	wantFinding(t, r.Findings, check.Warning, "not_checked")
	if r.Glue != nil {
		t.Errorf("glue without a zone: %+v", r.Glue)
	}
}

// RFC 1995: a primary with a history sends it.
func TestIncremental(t *testing.T) {
	t.Parallel()
	p := dnstest.NewPrimary(t, except(dns.TypeIXFR, func(r dnstest.Request, w *dnstest.Writer) {
		if r.Serial != 6 {
			t.Errorf("IXFR from %d; want the serial before 7", r.Serial)
		}
		w.Send(r.Reply(soa(7), soa(6), "old."+origin+" 300 A 192.0.2.1", soa(7), "www."+origin+" 300 A 192.0.2.80", soa(7)))
	}, dnstest.Serve(secret, version(7)...)))
	r := run(t, options(p))
	if r.Primaries[0].IXFR != check.Incremental {
		t.Errorf("IXFR: %s", r.Primaries[0].IXFR)
	}
	wantFinding(t, r.Primaries[0].Findings, check.OK, "ixfr", "6 records")
}

func TestRulesOfTheOptions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		records []string
		change  func(*check.Options)
		none    string // no such finding
	}{
		"serial 0 accepted": {version(0), func(o *check.Options) { o.SerialZero = "accept" }, "serial_zero"},
		"conflicts off": {version(7, "www."+origin+" 300 CNAME a.example."),
			func(o *check.Options) { o.Conflicts = "off" }, "cname_and_other_data"},
		"as many as are allowed": {version(7), func(o *check.Options) { o.MaxRecords = "4" }, "max_records"},
		"unlimited": {version(7, hosts(10_001)...), func(o *check.Options) { o.MaxRecords = "unlimited" },
			"max_records"},
		"serial 1, IXFR wraps":    {version(1), func(*check.Options) {}, "serial_zero"},
		"TTLs differ, still good": {version(7, "www."+origin+" 60 A 192.0.2.81"), func(*check.Options) {}, "contents_differ"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(dnstest.NewPrimary(t, dnstest.Serve(secret, c.records...)))
			c.change(&o)
			r := run(t, o)
			if r.Count(check.Problem) > 0 || !r.Primaries[0].Transfer.Accepted {
				t.Errorf("not accepted: %s", jsonOf(t, r))
			}
			wantNone(t, r.Primaries[0].Findings, c.none)
		})
	}
}

// A signed zone from which a record would have to be left out is refused, and compared and looked through all the same.
func TestRefusedContentsAreStillLookedAt(t *testing.T) {
	t.Parallel()
	records := version(7, origin+" 3600 DNSKEY 257 3 13 qqqq", "www."+origin+" 300 CNAME example.net.")
	r := run(t, options(dnstest.NewPrimary(t, dnstest.Serve(secret, records...))))
	wantFinding(t, r.Primaries[0].Findings, check.Problem, "cname_and_other_data", "signed")
	tr := r.Primaries[0].Transfer
	if tr.Accepted || !tr.Signed || tr.Records != len(records) || tr.Refused != "cname_and_other_data" {
		t.Errorf("transfer: %+v", tr)
	}
	if r.Glue == nil {
		t.Error("no glue section")
	}
}

func TestSeveralPrimaries(t *testing.T) {
	t.Parallel()
	serve := func(records ...string) dnstest.Handler { return dnstest.Serve(secret, records...) }
	for name, c := range map[string]struct {
		scripts  []dnstest.Handler
		severity check.Severity
		what     string
		words    []string
	}{
		"equal": {[]dnstest.Handler{serve(version(7)...), serve(version(7)...)}, check.OK, "contents_agree", nil},
		"serials differ": {[]dnstest.Handler{serve(version(7)...), serve(version(9)...)}, check.Problem, "serials_differ",
			[]string{"has 7", "has 9"}},
		"serials undefined": {
			[]dnstest.Handler{serve(version(7)...), serve(version(7 + 1<<31)...)}, check.Problem, "serials_differ", []string{"2^31"},
		},
		"equal serials, another record": {
			[]dnstest.Handler{serve(version(7)...), serve(version(7, "mail."+origin+" 300 A 192.0.2.25")...)},
			check.Problem, "contents_differ", []string{"serial 7", "1 records differ", "only at 127.0.0.1", "mail.example.org. A"},
		},
		"equal serials, another TTL": {
			[]dnstest.Handler{serve(version(7, "mail."+origin+" 300 A 192.0.2.25")...), serve(version(7,
				"mail."+origin+" 60 A 192.0.2.25")...)},
			check.Problem, "contents_differ", []string{"with another TTL mail.example.org. A"},
		},
		"equal serials, another SOA": {
			[]dnstest.Handler{serve(version(7)...), serve(append([]string{strings.Replace(soa(7), "7200", "7201", 1)},
				version(7)[1:]...)...)},
			check.Problem, "contents_differ", []string{"example.org. SOA"},
		},
		"equal serials, another NSEC3": {
			[]dnstest.Handler{
				serve(version(7, nsec3("0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"))...), serve(version(7,
					nsec3("2t7b4g4vsa5smi47k61mv5bv1a22bojr"))...),
			},
			check.Problem, "contents_differ", []string{"2 records differ", "NSEC3"},
		},
		"equal serials, a name before the NSEC3": {
			[]dnstest.Handler{
				serve(version(7, nsec3("0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"), "zz."+origin+" 300 A 192.0.2.1")...),
				serve(version(7, nsec3("0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"))...),
			},
			check.Problem, "contents_differ", []string{"1 records differ", "zz.example.org. A"},
		},
		"other spelling and order": {
			[]dnstest.Handler{
				serve(version(7, "mail."+origin+" 300 A 192.0.2.25", "a."+origin+" 300 MX 10 Mail.Example.ORG.")...),
				serve(version(7, "a."+origin+" 300 MX 10 mail.example.org.", "MAIL."+origin+" 300 A 192.0.2.25")...),
			}, check.OK, "contents_agree", nil,
		},
		"equal conflicts, one more record": {
			[]dnstest.Handler{
				serve(version(7, "c."+origin+" 300 CNAME a.example.", "c."+origin+" 300 CNAME b.example.")...),
				serve(version(7, "c."+origin+" 300 CNAME b.example.")...),
			}, check.Problem, "contents_differ", []string{"1 records differ"},
		},
		"one tells nothing": {[]dnstest.Handler{serve(version(7)...), rcode(dns.RcodeRefused)}, check.Warning, "not_checked", nil},
		"third is behind": {
			[]dnstest.Handler{serve(version(7)...), serve(version(7)...), serve(version(6)...)}, check.Problem, "serials_differ",
			[]string{"has 6"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var primaries []*dnstest.Primary
			for _, s := range c.scripts {
				primaries = append(primaries, dnstest.NewPrimary(t, s))
			}
			r := run(t, options(primaries...))
			wantFinding(t, r.Agreement, c.severity, c.what, c.words...)
			for i, p := range primaries {
				if r.Primaries[i].Address != p.Addr().String() {
					t.Errorf("primary %d is %s, want %s", i, r.Primaries[i].Address, p.Addr())
				}
			}
		})
	}
}

func nsec3(label string) string {
	return label + "." + origin + " 300 NSEC3 1 0 0 - 35mthgpgcu1qg68fab165klnsnk3dpvl A RRSIG"
}

// The zone that is looked at further is the newest accepted one.
func TestTheNewestVersionIsLookedAt(t *testing.T) {
	t.Parallel()
	old := dnstest.NewPrimary(t, dnstest.Serve(secret, version(7)...))
	newer := dnstest.NewPrimary(t, dnstest.Serve(secret, version(8)...))
	refused := dnstest.NewPrimary(t, dnstest.Serve(secret,
		version(9, origin+" 3600 DNSKEY 257 3 13 qqqq", "www."+origin+" 300 CNAME example.net.")...))
	r := run(t, options(refused, old, newer))
	if r.Glue == nil || r.Glue.Serial != 8 || r.Glue.Primary != newer.Addr().String() {
		t.Errorf("glue: %+v", r.Glue)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	two := keyFile(t, clause("other", "hmac-sha512", secret), clause(keyName, "hmac-sha256", secret))
	p := dnstest.NewPrimary(t, dnstest.Serve(secret, version(7)...))
	o := options(p)
	o.KeyFile, o.Key = two, "TRANSFER"
	if r := run(t, o); r.Primaries[0].Key != keyName || r.Count(check.Problem) > 0 {
		t.Errorf("report: %s", jsonOf(t, r))
	}
	const short = "c2hvcnQ="
	o.KeyFile, o.Key = keyFile(t, clause("weak", "hmac-md5", short)), ""
	r := run(t, o)
	wantFinding(t, r.Findings, check.Warning, "weak_key", "hmac-md5")
	if strings.Contains(jsonOf(t, r), short) {
		t.Error("the report holds the secret")
	}
	o.KeyFile = ""
	wantFinding(t, run(t, o).Findings, check.Warning, "no_key")
}

func TestWrongOptions(t *testing.T) {
	t.Parallel()
	two := keyFile(t, clause("a", "hmac-sha256", secret), clause("b", "hmac-sha256", secret))
	for name, c := range map[string]struct {
		change func(*check.Options)
		words  []string
	}{
		"no zone":            {func(o *check.Options) { o.Zone = "" }, []string{"zone"}},
		"malformed zone":     {func(o *check.Options) { o.Zone = "a..b" }, []string{"a..b"}},
		"no primary":         {func(o *check.Options) { o.Primaries = nil }, []string{"0 primaries"}},
		"too many primaries": {func(o *check.Options) { o.Primaries = make([]string, 17) }, []string{"17", "16"}},
		"primary by name": {func(o *check.Options) { o.Primaries = []string{"ns1.example.net"} },
			[]string{"ns1.example.net", "not resolved"}},
		"nobody's address": {func(o *check.Options) { o.Primaries = []string{"0.0.0.0"} }, []string{"0.0.0.0"}},
		"primary twice": {func(o *check.Options) { o.Primaries = []string{"192.0.2.1", "192.0.2.1:53"} },
			[]string{"once"}},
		"source of another family": {func(o *check.Options) { o.Source = "::1" }, []string{"IPv4", "IPv6"}},
		"no such file":             {func(o *check.Options) { o.KeyFile = "/nowhere/a.key" }, []string{"/nowhere/a.key"}},
		"key without a file":       {func(o *check.Options) { o.Key = "a" }, []string{"file"}},
		"two keys":                 {func(o *check.Options) { o.KeyFile = two }, []string{"2 keys", "a.", "b."}},
		"no such key":              {func(o *check.Options) { o.KeyFile, o.Key = two, "c" }, []string{`"c"`, "a., b."}},
		"conflicts":                {func(o *check.Options) { o.Conflicts = "x" }, []string{"rfc, alibaba or off"}},
		"max-records":              {func(o *check.Options) { o.MaxRecords = "0" }, []string{"at least 1"}},
		"max-size":                 {func(o *check.Options) { o.MaxSize = "2048G" }, []string{"1024G"}},
		"serial-zero":              {func(o *check.Options) { o.SerialZero = "yes" }, []string{"stop or accept"}},
		"parent":                   {func(o *check.Options) { o.Parent = "org" }, []string{`parent "org"`}},
		"self":                     {func(o *check.Options) { o.Self = []string{"a..b"} }, []string{"a..b"}},
		"timeout":                  {func(o *check.Options) { o.Timeout = 0 }, []string{"timeout 0s"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := check.DefaultOptions()
			o.Zone, o.Primaries = origin, []string{"127.0.0.1:1"}
			c.change(&o)
			r, err := check.Run(t.Context(), o)
			if err == nil {
				t.Fatalf("no error, but %+v", r)
			}
			for _, w := range c.words {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q; want %q in it", err, w)
				}
			}
			if strings.Contains(err.Error(), secret) {
				t.Error("the error holds the secret")
			}
		})
	}
}

// A check that is interrupted ends at once, whatever its timeout.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	p := dnstest.NewPrimary(t, func(dnstest.Request, *dnstest.Writer) { cancel() })
	r, err := check.Run(ctx, options(p))
	if err != nil {
		t.Fatal(err)
	}
	wantFinding(t, r.Primaries[0].Findings, check.Problem, "canceled")
}

// Without flags the dry run is by the rules of a Corefile without options.
func TestDefaultsAreThoseOfTheCorefile(t *testing.T) {
	o := check.DefaultOptions()
	g, err := corefile.ReadOptions([]string{"conflicts", o.Conflicts}, []string{"max_records", o.MaxRecords}, []string{"max_size", o.MaxSize},
		[]string{"serial_zero", o.SerialZero})
	if err != nil || g.Policy != corefile.DefaultPolicy() {
		t.Errorf("%v; got %+v, want %+v", err, g, corefile.DefaultPolicy())
	}
}
