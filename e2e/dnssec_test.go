//go:build e2e

package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

func TestSignedZonesTransferAndTheirRecordsCanBeQueried(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"NSEC":          nil,
		"NSEC3":         {"-3", "ABCD"},
		"NSEC3 opt-out": {"-3", "-", "-A"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signed := sign(t, args...)
			prim := startBIND(t, primarySpec{Zones: map[string]string{mixedOrigin: signed}})
			sec := newSecondary(t)
			sec.start(t, secondarySpec{
				Zones: []string{mixedOrigin}, Block: "primary " + prim.addr(), Chain: "transfer {\n to *\n}",
			})
			sec.serves(t, mixedOrigin, 1, syncLimit)
			want := axfr(t, prim.addr(), mixedOrigin, nil)
			rrs := parse(t, want)
			if n := countType(rrs, dns.TypeRRSIG); n < 20 {
				t.Fatalf("The primary has %d signatures", n)
			}
			answersWith(t, sec.addr(), mixedOrigin, rrs)
			if diff := cmp.Diff(want, axfr(t, sec.addr(), mixedOrigin, nil)); diff != "" {
				t.Errorf("AXFR (-primary +secondary):\n%s", diff)
			}
		})
	}
}

// sign signs mixedZone with a fresh key and returns the master file.
func sign(t *testing.T, args ...string) string {
	t.Helper()
	dir := tempDir(t)
	keygen := exec.Command("dnssec-keygen", "-q", "-K", dir, "-a", "ECDSAP256SHA256", "-f", "KSK", mixedOrigin)
	name, err := keygen.Output()
	if err != nil {
		t.Fatalf("dnssec-keygen: %v", err)
	}
	file := filepath.Join(dir, "zone")
	writeFile(t, file, mixedZone(1))
	// One key for everything (-z); -S takes it from the directory.
	args = append([]string{"-S", "-z", "-q", "-K", dir, "-d", dir, "-o", mixedOrigin, "-f", file + ".signed"}, args...)
	run(t, "dnssec-signzone", append(args, file)...)
	text, err := os.ReadFile(file + ".signed")
	if err != nil {
		t.Fatalf("Zone signed with %s: %v", strings.TrimSpace(string(name)), err)
	}
	return string(text)
}

func countType(rrs []dns.RR, rrtype uint16) int {
	n := 0
	for _, rr := range rrs {
		if rr.Header().Rrtype == rrtype {
			n++
		}
	}
	return n
}
