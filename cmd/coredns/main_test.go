package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// asCoreDNS, set in the environment, makes the test binary what is tested.
const asCoreDNS = "TEST_AS_COREDNS"

func TestMain(m *testing.M) {
	if os.Getenv(asCoreDNS) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// checkConf runs coredns -check-conf in a directory, and returns what it prints and its exit code.
func checkConf(t *testing.T, dir, file string) (out, complaints string, code int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), self, "-check-conf", "-conf", file)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(os.Environ(), asCoreDNS+"=1"), &stdout, &stderr
	var ended *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// write writes a Corefile to a directory of its own, which it returns.
func write(t *testing.T, text string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Corefile"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestCheckConfTakesTheExample(t *testing.T) {
	t.Parallel()
	out, complaints, code := checkConf(t, "../..", "Corefile.example")
	if want := "Corefile.example is good; server blocks: 2\n"; code != 0 || !strings.HasSuffix(out, want) || complaints != "" {
		t.Errorf("Got code %d, %q and %q; want 0 and %q", code, out, complaints, want)
	}
}

func TestCheckConfStartsNothing(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	dir := write(t, fmt.Sprintf(`(common) {
    errors
    prometheus 127.0.0.1:%[1]s
    health 127.0.0.1:%[1]s
}
.:%[1]s {
    bind 127.0.0.1
    import common
    secondaryplus example.org {
        primary 127.0.0.1
        store store.db
        control 127.0.0.1:%[1]s
    }
}
`, port))
	if out, complaints, code := checkConf(t, dir, "Corefile"); code != 0 || !strings.HasSuffix(out, "server blocks: 1\n") {
		t.Errorf("Got code %d, %q and %q; want 0", code, out, complaints)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("Got %v; want the Corefile alone", left)
	}
}

func TestCheckConfSaysWhatIsWrongAndWhere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"an option": {".:53 {\n  secondaryplus example.org {\n    primry 192.0.2.1\n  }\n}\n",
			`Corefile:3 - Error during parsing: unknown option "primry"`},
		"a directive":    {".:53 {\n  errors\n  bogus\n}\n", "Corefile:3 - Error during parsing: Unknown directive 'bogus'"},
		"a brace":        {".:53 {\n  errors\n", "Corefile:2 - Syntax error"},
		"a stock plugin": {".:53 {\n  loadbalance bogus\n}\n", "plugin/loadbalance: "},
		"two blocks for one": {".:53 {\n  whoami\n}\n.:53 {\n  erratic\n}\n",
			"cannot serve dns://.:53 - it is already defined"},
		"fastpath beside a plugin that would be missed": {".:53 {\n  bind 127.0.0.1\n  log\n  secondaryplus example.org {\n    primary 192.0.2.1\n    fastpath 2\n  }\n}\n",
			"fastpath: most queries would not pass through log"},
		"fastpath beside proxyproto on its port": {".:53 {\n  bind 127.0.0.1\n  secondaryplus example.org {\n    primary 192.0.2.1\n    fastpath 2\n  }\n}\n" +
			"example.net:53 {\n  bind 127.0.0.1\n  proxyproto {\n    allow 192.0.2.0/24\n  }\n  whoami\n}\n", "proxyproto"},
		"one zone in two blocks of an address": {"a.test b.test {\n  secondaryplus a.test {\n    primary 192.0.2.1\n  }\n}\n" +
			"c.test {\n  secondaryplus a.test {\n    primary 192.0.2.1\n  }\n}\n", "zone a.test. is already listed at"},
		"nothing": {"# later\n", "Corefile: no server block; want at least one"},
	} {
		_, complaints, code := checkConf(t, write(t, c.text), "Corefile")
		if code != 1 || !strings.Contains(complaints, c.want) || strings.Count(complaints, "\n") != 1 {
			t.Errorf("%s: got code %d and %q; want 1 and %q in one line", name, code, complaints, c.want)
		}
	}
}
