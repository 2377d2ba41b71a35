package secondaryplus

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/store"
)

// The store is one for the whole process, whichever server block names it.
func TestStoreOfTwoServerBlocks(t *testing.T) {
	p, port, dir := newPrimaryOf(t, exampleOrg...), unusedPort(t), t.TempDir()
	two := func(a, b string) string {
		return serverBlock("example.org", port, p, "store "+dir+"/"+a) + serverBlock("example.net", port, p, "store "+dir+"/"+b)
	}
	_, err := caddy.Start(input(two("a.db", "b.db")))
	if err == nil || !strings.Contains(err.Error(), "Corefile:10") || !strings.Contains(err.Error(), "Corefile:4") {
		t.Errorf("Two stores: %v; want an error that names both lines", err)
	}
	runCoreDNS(t, two("a.db", "a.db"))
	waitServed(t, "127.0.0.1:"+port, "example.org.", 7)
}

// take opens a store as another process would have it, until the test ends or release is called.
func take(t *testing.T) (path string, release func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "taken.db")
	s, err := store.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	release = func() { _ = s.Close() }
	t.Cleanup(release)
	return path, release
}

// Two processes on one file would undo each other's work: the second does not start, and says why.
func TestStartWithAStoreInUseFails(t *testing.T) {
	wantNothingLeft(t)
	path, release := take(t)
	p, port := newPrimaryOf(t, exampleOrg...), unusedPort(t)
	corefile := serverBlock("example.org", port, p, "store "+path)
	for range 3 {
		_, err := caddy.Start(input(corefile))
		if want := fmt.Sprintf("store %s: in use by process %d ", path, os.Getpid()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Start: %v; want an error that names the file and the process", err)
		}
	}
	if engineNow() != nil || p.transfers.Load() != 0 {
		t.Errorf("There is an engine, and %d transfers", p.transfers.Load())
	}
	release()
	runCoreDNS(t, corefile)
	waitServed(t, "127.0.0.1:"+port, "example.org.", 7)
}

// A reload to a file that is in use fails, and all is as it was: zones, store, NOTIFY, and nothing is left of the attempts.
func TestReloadToAStoreInUseFails(t *testing.T) {
	for name, chain := range map[string]string{"alone": "", "with a transfer plugin": "transfer {\nto 127.0.0.1:9\n}\n"} {
		t.Run(name, func(t *testing.T) {
			wantNothingLeft(t)
			taken, _ := take(t)
			path := filepath.Join(t.TempDir(), "zones.db")
			p, port := newPrimaryOf(t, exampleOrg...), unusedPort(t)
			corefile := func(path, options string) string {
				return strings.Replace(serverBlock("example.org", port, p, "store "+path+options), "{\nsecondaryplus", "{\n"+chain+"secondaryplus", 1)
			}
			addr := "127.0.0.1:" + port
			running := begin(t, corefile(path, ""))
			waitServed(t, addr, "example.org.", 7)
			e, before := engineNow(), runtime.NumGoroutine()
			for range 3 {
				if err := restart(t, running, corefile(taken, "\nmax_records 1")); err == nil || !strings.Contains(err.Error(), taken) {
					t.Fatalf("Reload: %v; want an error that names the file", err)
				}
			}
			if engineNow() != e {
				t.Error("The engine is another")
			}
			wait(t, "as many goroutines as before", func() bool { return runtime.NumGoroutine() <= before })
			p.serve(append([]string{strings.Replace(exampleOrg[0], " 7 ", " 8 ", 1)}, exampleOrg[1:]...)...)
			exchange(t, "udp", addr, new(dns.Msg).SetNotify("example.org."))
			waitServed(t, addr, "example.org.", 8)
			stopCoreDNS(t, *running)
			if got := savedSerial(t, path); got != 8 {
				t.Errorf("Serial %d is saved; want 8", got)
			}
		})
	}
}

// failing is a plugin behind ours that does not start.
const failing = "failstart"

func init() {
	if err := dnsserver.SetDirectives(append(slices.Clone(dnsserver.Directives), failing)); err != nil {
		panic(err) // two directives of one name: the test is wrong
	}
	plugin.Register(failing, func(c *caddy.Controller) error {
		c.OnStartup(func() error { return errors.New(failing + ": does not start") })
		return nil
	})
}

// savedSerial returns the serial of example.org in a store that nobody has open; 0 if it has none.
func savedSerial(t *testing.T, path string) uint32 {
	t.Helper()
	s, err := store.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all, err := s.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, z := range all {
		if saved, err := s.Load(z.ID); err == nil && strings.HasPrefix(string(z.ID), "example.org.") && saved.Contents != nil {
			return saved.Contents.Serial().Uint32()
		}
	}
	return 0
}

// A reload that fails after the store was opened leaves the old one in use: whatever comes is saved there.
func TestFailedReloadLeavesTheStore(t *testing.T) {
	late := func(*testing.T) string { return "late.test:0 {\n" + failing + "\n}\n" }
	for name, c := range map[string]struct {
		option string
		fault  func(*testing.T) string // more of the Corefile
	}{
		"another file, port in use":     {"store %s/other.db", occupied},
		"another file, a later plugin":  {"store %s/other.db", late},
		"off, port in use":              {"store off", occupied},
		"off, a later plugin":           {"store off", late},
		"the same file, port in use":    {"store %s/zones.db", occupied},
		"the same file, a later plugin": {"store %s/zones.db", late},
		"the same file, a wrong line":   {"store %s/zones.db\nnonsense", occupied},
	} {
		t.Run(name, func(t *testing.T) {
			wantNoMore(t, "goroutines", runtime.NumGoroutine)
			dir := t.TempDir()
			p, port := newPrimaryOf(t, exampleOrg...), unusedPort(t)
			addr := "127.0.0.1:" + port
			running := begin(t, serverBlock("example.org", port, p, "store "+dir+"/zones.db"))
			waitServed(t, addr, "example.org.", 7)
			for range 3 {
				failing := serverBlock("example.org", port, p, strings.Replace(c.option, "%s", dir, 1)) + c.fault(t)
				if err := restart(t, running, failing); err == nil {
					t.Fatal("The reload succeeds")
				}
			}
			p.serve(append([]string{strings.Replace(exampleOrg[0], " 7 ", " 8 ", 1)}, exampleOrg[1:]...)...)
			exchange(t, "udp", addr, new(dns.Msg).SetNotify("example.org."))
			waitServed(t, addr, "example.org.", 8)
			stopCoreDNS(t, *running)
			if got := savedSerial(t, dir+"/zones.db"); got != 8 {
				t.Errorf("Serial %d is saved; want 8", got)
			}
		})
	}
}

// A restart serves from the store what the next start finds there, before the primary is asked; after SIGTERM the zone is
// answered on though the store is closed.
func TestRestartServesFromTheStore(t *testing.T) {
	wantNothingLeft(t)
	dir := t.TempDir()
	p, port := newPrimaryOf(t, exampleOrg...), unusedPort(t)
	addr, corefile := "127.0.0.1:"+port, serverBlock("example.org", port, p, "store "+dir+"/zones.db")
	instance, err := caddy.Start(input(corefile))
	if err != nil {
		t.Fatal(err)
	}
	waitServed(t, addr, "example.org.", 7)
	for _, err := range instance.ShutdownCallbacks() {
		t.Error(err)
	}
	if got := savedSerial(t, dir+"/zones.db"); got != 7 { // nobody has the file open any more
		t.Errorf("Serial %d is saved; want 7", got)
	}
	waitServed(t, addr, "example.org.", 7)
	stopCoreDNS(t, instance)
	p.Close()
	runCoreDNS(t, corefile)
	if m := exchange(t, "udp", addr, question("www.example.org.", dns.TypeA)); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 2 {
		t.Errorf("The first answer is %v", m)
	}
}
