package main

import (
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// These tests are not parallel: CoreDNS keeps Corefiles, and logs, in one place for the process.

func checkConf(t *testing.T, file string) (out, err string, code int) {
	t.Helper()
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	return (&fake{}).run(t, "check-conf", file)
}

func TestCheckConfTakesTheExample(t *testing.T) {
	t.Chdir("../..")
	out, err, code := checkConf(t, "Corefile.example")
	if want := "Corefile.example is good; server blocks: 2\n"; code != exitFine || out != want {
		t.Errorf("Got code %d, %q and %q; want 0 and %q", code, out, err, want)
	}
}

func TestCheckConfStartsNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	file := write(t, "Corefile", "")
	dir := filepath.Dir(file)
	text := fmt.Sprintf(`(common) {
    errors
    prometheus 127.0.0.1:%[1]s
    health 127.0.0.1:%[1]s
}
.:%[1]s {
    bind 127.0.0.1
    import common
    secondaryplus example.org {
        primary 127.0.0.1
        store %[2]s/store.db
    }
}
`, port, dir)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err, code := checkConf(t, file); code != exitFine || !strings.HasSuffix(out, "server blocks: 1\n") {
		t.Errorf("Got code %d, %q and %q; want 0", code, out, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("Got %v; want the Corefile alone", left)
	}
}

func TestCheckConfSaysWhatIsWrongAndWhere(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"an option": {".:53 {\n  secondaryplus example.org {\n    primry 192.0.2.1\n  }\n}\n",
			`Corefile:3 - Error during parsing: unknown option "primry"`},
		"a directive":    {".:53 {\n  errors\n  bogus\n}\n", "Corefile:3 - Error during parsing: Unknown directive 'bogus'"},
		"a brace":        {".:53 {\n  errors\n", "Corefile:2 - Syntax error"},
		"a stock plugin": {".:53 {\n  loadbalance bogus\n}\n", "plugin/loadbalance: "},
		"two blocks for one": {".:53 {\n  whoami\n}\n.:53 {\n  erratic\n}\n",
			"Corefile: cannot serve dns://.:53 - it is already defined"},
		"fastpath beside a plugin that would be missed": {".:53 {\n  bind 127.0.0.1\n  log\n  secondaryplus example.org {\n    primary 192.0.2.1\n    fastpath 2\n  }\n}\n",
			"fastpath: most queries would not pass through log"},
		"fastpath beside proxyproto on its port": {".:53 {\n  bind 127.0.0.1\n  secondaryplus example.org {\n    primary 192.0.2.1\n    fastpath 2\n  }\n}\n" +
			"example.net:53 {\n  bind 127.0.0.1\n  proxyproto {\n    allow 192.0.2.0/24\n  }\n  whoami\n}\n", "proxyproto"},
		"one zone in two blocks of an address": {"a.test b.test {\n  secondaryplus a.test {\n    primary 192.0.2.1\n  }\n}\n" +
			"c.test {\n  secondaryplus a.test {\n    primary 192.0.2.1\n  }\n}\n", "zone a.test. is already listed at"},
		"nothing":              {"# later\n", "Corefile: no server block; want at least one"},
		"hostile zone \x1b[0m": {".:53 {\n  secondaryplus \x1b[31m {\n    primary 192.0.2.1\n  }\n}\n", "Corefile:2"},
	} {
		out, err, code := checkConf(t, write(t, "Corefile", c.text))
		if code != exitUsage || out != "" || !strings.Contains(err, c.want) || strings.Contains(err, "\x1b") {
			t.Errorf("%q: got code %d, %q and %q; want %d and %q", name, code, out, err, exitUsage, c.want)
		}
	}
}
