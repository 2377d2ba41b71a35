//go:build e2e

package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// exitCodes of splusctl.
const (
	exitFine    = 0
	exitBadNews = 1
	exitUsage   = 2
)

// splusctl runs ../splusctl, or what SPLUSCTL_BINARY names, to its end.
func splusctl(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	path := os.Getenv("SPLUSCTL_BINARY")
	if path == "" {
		path = filepath.Join("..", "splusctl")
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("Binary: %v; `make build` makes it, SPLUSCTL_BINARY names another", err)
	}
	var out, complaints strings.Builder
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err := cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatalf("splusctl: %v", err)
	}
	return out.String(), complaints.String(), cmd.ProcessState.ExitCode()
}

// checkReport is what the tests read of the JSON of splusctl check.
type checkReport struct {
	Primaries []struct {
		Serial   int64
		IXFR     string `json:"ixfr"`
		Transfer *struct {
			Accepted bool
			Records  int
		}
		Findings []checkFinding
	}
	Agreement []checkFinding
	Glue      *struct {
		Hosts []struct {
			Name      string
			Addresses []string
		}
	}
	Mode *struct{ Mode string }
}

type checkFinding struct{ Severity, What, Detail string }

// checkZone runs splusctl check with JSON as its output, wants this exit code, and keeps the key's secret out of sight.
func checkZone(t *testing.T, wantCode int, zone string, key *tsigKey, args ...string) checkReport {
	t.Helper()
	args = append([]string{"check", zone, "--output", "json"}, args...)
	if key != nil {
		args = append(args, "--key-file", checkKeyFile(t, key))
	}
	out, complaints, code := splusctl(t, args...)
	if code != wantCode {
		t.Fatalf("Exit code %d, want %d:\n%s%s", code, wantCode, out, complaints)
	}
	if key != nil && strings.Contains(out+complaints, key.Secret) {
		t.Errorf("The secret is in the output:\n%s%s", out, complaints)
	}
	var r checkReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("JSON: %v\n%s", err, out)
	}
	return r
}

func checkKeyFile(t *testing.T, key *tsigKey) string {
	t.Helper()
	path := filepath.Join(tempDir(t), "transfer.key")
	writeFile(t, path, fmt.Sprintf("key %q { algorithm %s; secret %q; };\n", key.Name, key.Algorithm, key.Secret))
	return path
}

// named reports whether a problem of this name is among findings.
func named(found []checkFinding, what string) bool {
	return slices.ContainsFunc(found, func(f checkFinding) bool { return f.Severity == "problem" && f.What == what })
}

var checkedMakes = map[string]func(*testing.T, primarySpec) primary{"BIND": startBIND, "Knot": startKnot}

func TestCheckOfAGoodZone(t *testing.T) {
	t.Parallel()
	key := testKey("hmac-sha256")
	var addrs []string
	for _, start := range checkedMakes {
		prim := start(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(5)}, Key: key})
		addrs = append(addrs, "--primary", prim.addr())
	}
	r := checkZone(t, exitFine, "mixed.test", key, append(addrs, "--self", "ns2.mixed.test")...)
	for i, p := range r.Primaries {
		if p.Serial != 5 || p.Transfer == nil || !p.Transfer.Accepted || p.Transfer.Records != recordsOf(mixedZone(5)) {
			t.Errorf("Primary %d: %+v", i, p)
		}
		if p.IXFR != "whole_zone" && p.IXFR != "incremental" {
			t.Errorf("Primary %d: IXFR %q", i, p.IXFR)
		}
	}
	// Knot spells names in lower case, BIND as they are in the file: it is the same zone.
	if len(r.Primaries) != 2 || !slices.ContainsFunc(r.Agreement,
		func(f checkFinding) bool { return f.What == "contents_agree" }) {
		t.Errorf("Agreement of %d primaries: %+v", len(r.Primaries), r.Agreement)
	}
	if r.Glue == nil || len(r.Glue.Hosts) != 2 || !slices.Equal(r.Glue.Hosts[0].Addresses, []string{"192.0.2.1",
		"2001:db8::1"}) {
		t.Errorf("Glue: %+v", r.Glue)
	}
	if r.Mode == nil || r.Mode.Mode != "both" {
		t.Errorf("Mode: %+v", r.Mode)
	}
}

func TestCheckSeesHistory(t *testing.T) {
	t.Parallel()
	prim := startBIND(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(5)}})
	r := checkZone(t, exitFine, mixedOrigin, nil, "--primary", prim.addr())
	if p := r.Primaries[0]; p.IXFR != "whole_zone" {
		t.Errorf("IXFR without a history: %q", p.IXFR)
	}
}

func TestCheckNamesTheFault(t *testing.T) {
	t.Parallel()
	key := testKey("hmac-sha256")
	otherSecret, otherName := *key, *key
	otherSecret.Secret, otherName.Name = "bm90IHRoZSBzZWNyZXQgb2YgdGhlIHByaW1hcnk=", "other_key"
	for server, start := range checkedMakes {
		prim := start(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(5)}, Key: key})
		notAllowed := map[string]string{"BIND": "refused", "Knot": "not_authoritative"}[server]
		for name, c := range map[string]struct {
			zone  string
			key   *tsigKey
			fault string
		}{
			"another secret":                 {mixedOrigin, &otherSecret, "tsig_bad_sig"},
			"another name of the key":        {mixedOrigin, &otherName, "tsig_bad_key"},
			"no key":                         {mixedOrigin, nil, notAllowed},
			"zone that it does not have":     {"nothing.test.", nil, "refused"},
			"zone that it has delegated":     {"child." + mixedOrigin, nil, "not_authoritative"},
			"delegated zone, asked with key": {"child." + mixedOrigin, key, "not_authoritative"},
		} {
			t.Run(server+"/"+name, func(t *testing.T) {
				r := checkZone(t, exitBadNews, c.zone, c.key, "--primary", prim.addr())
				if !named(r.Primaries[0].Findings, c.fault) {
					t.Errorf("Findings: %+v, want %s", r.Primaries[0].Findings, c.fault)
				}
			})
		}
	}
}

func TestCheckForPeople(t *testing.T) {
	t.Parallel()
	prim := startKnot(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(5)}})
	out, complaints, code := splusctl(t, "check", "mixed.test", "--primary", prim.addr(), "--max-records", "10")
	if code != exitBadNews || complaints != "" {
		t.Errorf("Exit code %d, with %q", code, complaints)
	}
	for _, want := range []string{"mixed.test.: problems 1", prim.addr(), "max_records", "Advice: Raise max_records"} {
		if !strings.Contains(out, want) {
			t.Errorf("The output lacks %q:\n%s", want, out)
		}
	}
	for _, args := range [][]string{
		{"check", "mixed.test"}, {"check", "--primary", "192.0.2.1"}, {"check", "mixed.test", "--primary", "ns1.example.org"},
		{"check", "mixed.test", "--primary", "192.0.2.1", "--conflicts", "some"},
	} {
		if out, complaints, code := splusctl(t, args...); code != exitUsage || out != "" || complaints == "" {
			t.Errorf("%q: exit code %d, want %d; %q, %q", args, code, exitUsage, out, complaints)
		}
	}
}
