package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secondaryplus/secondaryplus/control"
)

func TestExitCodes(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.zones["a.test."] = []control.Zone{goodZone("a.test.")}
	unreached := "unix:" + filepath.Join(t.TempDir(), "nobody")
	for _, c := range []struct {
		args string
		code int
		err  string
	}{
		{"status", exitFine, ""},
		{"version", exitFine, ""},
		{"help", exitFine, ""},
		{"nonsense", exitUsage, `unknown command "nonsense"`},
		{"zones --nonsense", exitUsage, "unknown flag: --nonsense"},
		{"zones --state broken", exitUsage, `--state "broken": want one of normal, degraded, blocked, unknown, notserved, behind`},
		{"zones --limit 0", exitUsage, "--limit 0: want at least 1"},
		{"zones --limit 5 --all", exitUsage, "none of the others can be"},
		{"schedule --limit -1", exitUsage, "want at least 1"},
		{"zone", exitUsage, "accepts 1 arg"},
		{"zone a..b", exitUsage, `zone "a..b": want a domain name`},
		{"retransfer a.test b.test", exitUsage, "accepts 1 arg"},
		{"refresh", exitUsage, "requires at least 1 arg"},
		{"refresh a.test --wait --timeout 0", exitUsage, "--timeout 0s: want more than 0"},
		{"events", exitUsage, "want the name of a zone, or --follow"},
		{"status --output xml", exitUsage, `--output "xml": want table or json`},
		{"status --address ftp://x", exitUsage, "ftp://x"},
		{"status --token-file /nowhere", exitUsage, "/nowhere"},
		{"check-conf /nowhere --coredns /nowhere/coredns", exitUsage, "/nowhere/coredns"},
		{"status --address " + unreached, exitNotReached, "the server was not reached: "},
		{"refresh a.test --address " + unreached, exitNotReached, "the server was not reached: "},
		{"events --follow --address " + unreached, exitNotReached, "the server was not reached: "},
		{"zone b.test", exitRefused, "the server refused: Not Found: no zone b.test."},
		{"events b.test", exitRefused, "no zone b.test."},
	} {
		_, err, code := f.run(t, strings.Fields(c.args)...)
		if code != c.code || (c.err == "") != (err == "") || !strings.Contains(err, c.err) {
			t.Errorf("%s: got code %d and %q; want %d and %q", c.args, code, err, c.code, c.err)
		}
	}
}

func TestHelpTellsTheExitCodes(t *testing.T) {
	t.Parallel()
	out, _, _ := (&fake{}).run(t, "help")
	contains(t, out, "3  the server was not reached", "4  the server refused", "check-conf", "completion")
	if strings.Contains(out, "man ") {
		t.Errorf("Want man hidden:\n%s", out)
	}
}

func TestEnvironmentStandsInForFlags(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.token = "s3cret"
	variables := map[string]string{"SPLUSCTL_ADDRESS": f.url, "SPLUSCTL_TOKEN_FILE": write(t, "token", "s3cret\n")}
	run := func(args ...string) (string, int) {
		a, _, err := newTestApp()
		a.getenv = func(name string) string { return variables[name] }
		code := a.run(t.Context(), args)
		return err.String(), code
	}
	if err, code := run("status"); code != exitFine {
		t.Errorf("Got code %d and %q; want 0", code, err)
	}
	err, code := run("status", "--token-file", write(t, "token", "wrong"))
	if code != exitRefused || strings.Contains(err, "wrong") {
		t.Errorf("The flag has to win, and no token to be shown: got code %d and %q", code, err)
	}
	if _, code := run("status", "--address", "unix:/nowhere/sock"); code != exitNotReached {
		t.Errorf("The flag has to win: got code %d; want %d", code, exitNotReached)
	}
	err, code = run("status", "--token-file", write(t, "token", "two words"))
	if code != exitUsage || strings.Contains(err, "two words") {
		t.Errorf("Two words: got code %d and %q; want %d", code, err, exitUsage)
	}
	variables["SPLUSCTL_CA"] = write(t, "ca.pem", "none")
	if err, code := run("status"); code != exitUsage || !strings.Contains(err, "CA") {
		t.Errorf("CA: got code %d and %q; want %d", code, err, exitUsage)
	}
}

func TestShellsAreOfferedWords(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	for _, name := range []string{"a.test.", "alpha.test.", "b.a.test.", "evil\x1b.test."} {
		f.zones[name] = []control.Zone{goodZone(name)}
	}
	for args, want := range map[string]string{
		"zone a":              "a.test.\nalpha.test.\n:4\n",
		"refresh alpha":       "alpha.test.\n:4\n",
		"zone evil":           ":4\n",
		"zones --state b":     "blocked\n",
		"status --output j":   "table\njson\n",
		"che":                 "check-conf\t",
		"zone --address=x: a": ":4\n",
	} {
		words := append([]string{"__complete"}, strings.Fields(args)...)
		if out, _, code := f.run(t, words...); code != exitFine || !strings.Contains(out, want) {
			t.Errorf("%s: got code %d and %q; want %q", args, code, out, want)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out, _, code := f.run(t, "completion", shell); code != exitFine || !strings.Contains(out, "splusctl") {
			t.Errorf("%s: got code %d and %d octets; want a script", shell, code, len(out))
		}
	}
}

func TestManualPages(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "man")
	if _, err, code := (&fake{}).run(t, "man", dir); code != exitFine {
		t.Fatalf("Got code %d and %q; want 0", code, err)
	}
	for name, want := range map[string]string{
		"splusctl.1":      "the server was not reached",
		"splusctl-zone.1": "why it is Blocked",
	} {
		page, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		contains(t, string(page), want)
	}
}

func TestVersionAsJSON(t *testing.T) {
	t.Parallel()
	out, _, _ := (&fake{}).run(t, "version", "-o", "json")
	var v versions
	if err := json.Unmarshal([]byte(out), &v); err != nil || v.Program == "" || v.Go == "" {
		t.Errorf("Got %q, %v; want versions", out, err)
	}
}

func TestAnInterruptIsNoUnreachedServer(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	f := newFake(t)
	a, _, _ := newTestApp()
	if code := a.run(ctx, []string{"--address", f.url, "status"}); code != exitInterrupted {
		t.Errorf("Got code %d; want %d", code, exitInterrupted)
	}
}
