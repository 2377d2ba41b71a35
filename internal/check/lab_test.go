package check_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/check"
	"github.com/secondaryplus/secondaryplus/internal/dnstest"
)

const (
	origin  = "example.org."
	keyName = "transfer."
	secret  = "c2Vjb25kYXJ5cGx1cyBjaGVjayB0ZXN0cyBzZWNyZXQ="
)

// version returns a zone of two name servers outside it, with more records.
func version(serial uint32, more ...string) []string {
	return append([]string{
		soa(serial), origin + " 3600 NS ns1.example.net.", origin + " 3600 NS ns2.example.net.",
		"www." + origin + " 300 A 192.0.2.80",
	}, more...)
}

func soa(serial uint32) string {
	return fmt.Sprintf("%s 3600 SOA ns1.example.net. hostmaster.example.net. %d 7200 900 1209600 300", origin, serial)
}

// keyFile writes a key file and returns its path.
func keyFile(t *testing.T, clauses ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "transfer.key")
	if err := os.WriteFile(path, []byte(strings.Join(clauses, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func clause(name, algorithm, secret string) string {
	return fmt.Sprintf("key %q { algorithm %s; secret %q; };\n", name, algorithm, secret)
}

// options returns options for these primaries.
func options(primaries ...*dnstest.Primary) check.Options {
	o := check.DefaultOptions()
	o.Zone = origin
	for _, p := range primaries {
		o.Primaries = append(o.Primaries, p.Addr().String())
	}
	return o
}

// run checks, and fails the test if the report holds the secret.
func run(t *testing.T, o check.Options) *check.Report {
	t.Helper()
	r, err := check.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if text := jsonOf(t, r); strings.Contains(text, secret) {
		t.Errorf("the report holds the secret:\n%s", text)
	}
	return r
}

func jsonOf(t *testing.T, r *check.Report) string {
	t.Helper()
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// wantFinding fails the test unless there is a finding of this severity and name whose detail holds each of the words.
func wantFinding(t *testing.T, found []check.Finding, severity check.Severity, what string, words ...string) {
	t.Helper()
	for _, f := range found {
		if f.Severity == severity && f.What == what {
			for _, w := range words {
				if !strings.Contains(f.Detail, w) {
					t.Errorf("%s: detail is %q; want %q in it", what, f.Detail, w)
				}
			}
			return
		}
	}
	t.Errorf("no %s %s; findings: %+v", severity, what, found)
}

// wantOnlyOK fails the test at the first finding that is not OK.
func wantOnlyOK(t *testing.T, found []check.Finding) {
	t.Helper()
	for _, f := range found {
		if f.Severity != check.OK {
			t.Errorf("unexpected: %+v", f)
		}
	}
}

// wantNone fails the test if there is a finding of this name.
func wantNone(t *testing.T, found []check.Finding, what string) {
	t.Helper()
	for _, f := range found {
		if f.What == what {
			t.Errorf("unexpected: %+v", f)
		}
	}
}

// rcode answers everything with one RCODE.
func rcode(code int) dnstest.Handler {
	return func(r dnstest.Request, w *dnstest.Writer) { w.Send(r.Rcode(code)) }
}

// except answers questions of one type with h, the others with base.
func except(qtype uint16, h, base dnstest.Handler) dnstest.Handler {
	return func(r dnstest.Request, w *dnstest.Writer) {
		if r.Type == qtype {
			h(r, w)
			return
		}
		base(r, w)
	}
}

// signing answers every question with the SOA, signed as change makes it.
func signing(change func(*dnstest.Signer)) dnstest.Handler {
	return func(r dnstest.Request, w *dnstest.Writer) {
		s := r.Signer(secret)
		change(s)
		w.SendRaw(s.Sign(dnstest.Pack(r.Reply(soa(7)))))
	}
}

// reporting answers as a server does that cannot sign: with a TSIG error and no MAC (RFC 8945 §5.3.2).
func reporting(code uint16) dnstest.Handler {
	return func(r dnstest.Request, w *dnstest.Writer) {
		s := r.Signer(secret)
		s.Error = code
		w.SendRaw(s.Append(dnstest.Pack(r.Rcode(dns.RcodeNotAuth)), nil))
	}
}

// hourAgo is a clock that is an hour slow.
func hourAgo() time.Time { return time.Now().Add(-time.Hour) }
