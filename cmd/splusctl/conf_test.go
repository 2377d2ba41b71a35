package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeCoreDNS writes a program called coredns to a directory of its own, and returns its path. These tests are not parallel: a
// process that another test starts may have the program open for writing for a moment, and it cannot run then.
func fakeCoreDNS(t *testing.T, script string) string {
	t.Helper()
	path := write(t, "coredns", "#!/bin/sh\n"+script+"\n")
	if err := os.Chmod(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCheckConfHasCoreDNSCheck(t *testing.T) {
	for name, c := range map[string]struct {
		script, file string
		code         int
		out, err     string
	}{
		"good": {`echo "maxprocs: 2"; echo "[WARNING] plugin/x: \033[0mbeware"; echo "$3 is good; server blocks: 7"`, "a/Corefile", exitFine,
			"a/Corefile is good; server blocks: 7\n", "[WARNING] plugin/x: ?[0mbeware\n"},
		"asked":                 {`[ "$*" = "-check-conf -conf Corefile.new" ] && echo "x is good; server blocks: 1"`, "Corefile.new", exitFine, "Corefile.new is good; server blocks: 1\n", ""},
		"called stdin":          {`[ "$3" = ./stdin ] && echo "x is good; server blocks: 1"`, "stdin", exitFine, "stdin is good; server blocks: 1\n", ""},
		"a mistake":             {`echo "a/Corefile:3 - Error during parsing: x" >&2; exit 1`, "a/Corefile", exitUsage, "", "splusctl: a/Corefile:3 - Error during parsing: x\n"},
		"a mistake of no line":  {`echo "cannot serve dns://.:53" >&2; exit 1`, "Corefile", exitUsage, "", "splusctl: Corefile: cannot serve dns://.:53\n"},
		"octets of a terminal":  {`printf "Corefile:2 - \033[31m\n" >&2; exit 1`, "Corefile", exitUsage, "", "splusctl: Corefile:2 - ?[31m\n"},
		"a warning and mistake": {`echo "[ERROR] y"; echo "Corefile:1 - x" >&2; exit 1`, "Corefile", exitUsage, "", "[ERROR] y\nsplusctl: Corefile:1 - x\n"},
		"killed":                {`kill -9 $$`, "Corefile", exitUsage, "", "splusctl: Corefile: signal: killed\n"},
		"without the plugin":    {`echo "flag provided but not defined: -check-conf" >&2; exit 2`, "Corefile", exitUsage, "", "coredns is built without secondaryplus, or with an older one: it cannot check; want --coredns PATH"},
		"something else":        {`echo hello`, "Corefile", exitUsage, "", "coredns does not say whether Corefile is good; want --coredns PATH"},
	} {
		out, err, code := (&fake{}).run(t, "check-conf", c.file, "--coredns", fakeCoreDNS(t, c.script))
		if code != c.code || out != c.out || !strings.Contains(err, c.err) || (c.err == "") != (err == "") {
			t.Errorf("%s: got code %d, %q and %q; want %d, %q and %q", name, code, out, err, c.code, c.out, c.err)
		}
	}
	good := fakeCoreDNS(t, `echo "x is good; server blocks: 2"`)
	if out, _, code := (&fake{}).run(t, "check-conf", "Corefile", "--output", "json", "--coredns", good); code != exitFine ||
		strings.Join(strings.Fields(out), "") != `{"file":"Corefile","serverBlocks":2}` {
		t.Errorf("As JSON: %q", out)
	}
}

// The coredns beside splusctl comes first, also where splusctl is a link, then the one in PATH.
func TestCheckConfFindsCoreDNS(t *testing.T) {
	beside, inPath := fakeCoreDNS(t, `echo "x is good; server blocks: 1"`), fakeCoreDNS(t, `echo "x is good; server blocks: 2"`)
	self := filepath.Join(filepath.Dir(beside), "splusctl")
	if err := os.WriteFile(self, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "splusctl")
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ self, path, want string }{
		{self, filepath.Dir(inPath), "blocks: 1\n"},
		{link, filepath.Dir(inPath), "blocks: 1\n"},
		{filepath.Join(t.TempDir(), "splusctl"), filepath.Dir(inPath), "blocks: 2\n"},
		{"", filepath.Dir(inPath), "blocks: 2\n"},
		{"", t.TempDir(), "no coredns beside splusctl, and none in PATH; want --coredns PATH, a CoreDNS that is built with secondaryplus\n"},
	} {
		t.Setenv("PATH", c.path)
		a, out, err := newTestApp()
		a.self = c.self
		code := a.run(t.Context(), []string{"check-conf", "Corefile"})
		if said := out.String() + err.String(); !strings.HasSuffix(said, c.want) || (code == exitFine) != (out.String() != "") {
			t.Errorf("splusctl at %q, PATH %s: got code %d and %q; want %q", c.self, c.path, code, said, c.want)
		}
	}
	a, _, err := newTestApp()
	if code := a.run(t.Context(), []string{"check-conf", "Corefile", "--coredns", "/nowhere/coredns"}); code != exitUsage ||
		!strings.Contains(err.String(), "/nowhere/coredns: no such file or directory; want --coredns PATH") {
		t.Errorf("Got code %d and %q", code, err.String())
	}
}

func TestCheckConfIsInterrupted(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	a, _, _ := newTestApp()
	if code := a.run(ctx, []string{"check-conf", "Corefile", "--coredns", fakeCoreDNS(t, "exec sleep 60")}); code != exitInterrupted {
		t.Errorf("Got code %d; want %d", code, exitInterrupted)
	}
}
