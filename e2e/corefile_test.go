//go:build e2e

package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// wrongLines are refused; each is the wrong line and what the message must have of it.
var wrongLines = map[string]string{
	"masters 127.0.0.1":                  "masters",
	"primary":                            "primary",
	"primary example.net":                "example.net",
	"primary 192.0.2.1:99999":            "99999",
	"primary 192.0.2.1 key k":            `\bk\b`,
	"primary 192.0.2.1 source x":         `\bx\b`,
	"transfer to 192.0.2.1":              `\bto\b`,
	"key k hmac-sha3 c2VjcmV0":           "hmac-sha3",
	"key k hmac-sha256 %%%":              "secret",
	"key k hmac-sha256":                  "key",
	"key_file /nonexistent":              "/nonexistent",
	"allow_notify 192.0.2.9-192.0.2.1":   "192.0.2.9-192.0.2.1",
	"allow_notify 192.0.2.0/33":          "192.0.2.0/33",
	"allow_notify 192.0.2.1-2001:db8::1": "2001:db8::1",
	"max_records -1":                     "-1",
	"max_records many":                   "many",
	"max_size 10X":                       "10X",
	"serial_zero maybe":                  "maybe",
	"refresh 2h 1h":                      "2h|1h",
	"retry 1s":                           "retry",
	"expire soon later":                  "soon",
	"transfers_in 0":                     `\b0\b`,
	"soa_rate none":                      "none",
	"zones_file /nonexistent":            "/nonexistent",
	"store /nonexistent/zones.db":        "/nonexistent",
	"conflicts some":                     "some",
	"max_rrset none":                     "none",
	"fault_notify nobody":                "fault_notify",
	"fault_after never":                  "never",
	// Options of later work are unknown until they work.
	"catalog":                           "catalog",
	"zonemd require":                    "zonemd",
	"control 0.0.0.0:8080":              "loopback",
	"fastpath 0":                        "fastpath",
	"primary 192.0.2.1 tls example.net": "tls",
}

func TestWrongLineIsRefusedWithFileAndLine(t *testing.T) {
	t.Parallel()
	for line, want := range wrongLines {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			const at = 6
			out := refused(t, lines(
				".:0 {",
				"    bind 127.0.0.1",
				"    errors",
				"    secondaryplus example.org {",
				"        # a comment",
				"        "+line,
				"        primary 192.0.2.200",
				"    }",
				"}",
			))
			if !regexp.MustCompile(`Corefile:` + strconv.Itoa(at) + `\b`).MatchString(out) {
				t.Errorf("Message does not name Corefile:%d:\n%s", at, out)
			}
			if !regexp.MustCompile(want).MatchString(out) {
				t.Errorf("Message does not name what was read, %s:\n%s", want, out)
			}
		})
	}
}

func TestIncompleteOrContradictoryCorefileIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"no primary": {".:0 {\n secondaryplus example.org {\n }\n}\n", `Corefile:\d+.*primary`},
		"zone twice": {
			".:0 {\n secondaryplus example.org {\n primary 192.0.2.1\n }\n secondaryplus EXAMPLE.org {\n primary 192.0.2.2\n }\n}\n",
			`Corefile:\d+.*(?i:example\.org)`,
		},
		"two values of a process-wide setting": {
			".:0 {\n secondaryplus a.test {\n primary 192.0.2.1\n soa_rate 5\n }\n secondaryplus b.test {\n primary 192.0.2.2\n soa_rate 6\n }\n}\n",
			`Corefile:8(?s:.*)\b4\b`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if out := refused(t, c.text); !regexp.MustCompile(c.want).MatchString(out) {
				t.Errorf("Message does not match %s:\n%s", c.want, out)
			}
		})
	}
}

func TestCheckConfTakesWhatStarts(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	file := filepath.Join(dir, "Corefile")
	writeFile(t, file, ".:0 {\n bind 127.0.0.1\n secondaryplus example.org {\n primary 192.0.2.1\n store "+dir+"/store.db\n }\n}\n")
	out, complaints, code := splusctl(t, "check-conf", file)
	if want := file + " is good; server blocks: 1\n"; code != exitFine || out != want || complaints != "" {
		t.Errorf("check-conf ends with %d, %q and %q; want %q", code, out, complaints, want)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("Left are %v, %v; want the Corefile alone", left, err)
	}
}

// refused starts the binary with a Corefile that is wrong, which it must refuse, as check-conf must, and returns what it
// printed.
func refused(t *testing.T, corefile string) string {
	t.Helper()
	out, dir := refusedAtStart(t, corefile)
	if said, complaints, code := splusctl(t, "check-conf", filepath.Join(dir, "Corefile")); code != 2 {
		t.Errorf("check-conf ends with %d where the start is refused:\n%s%s", code, said, complaints)
	}
	return out
}

// refusedAtStart starts the binary with a Corefile, which it must refuse, and returns what it printed and where the Corefile is.
func refusedAtStart(t *testing.T, corefile string) (printed, dir string) {
	t.Helper()
	dir = tempDir(t)
	writeFile(t, filepath.Join(dir, "Corefile"), corefile)
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t), "-conf", "Corefile")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("CoreDNS starts with:\n%s\n%s", corefile, tail(string(out)))
	}
	if err == nil {
		t.Errorf("Exit status 0 with:\n%s", corefile)
	}
	return strings.TrimSpace(string(out)), dir
}
