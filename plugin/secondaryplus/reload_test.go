package secondaryplus

import (
	"fmt"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/coredns/caddy"
	"github.com/miekg/dns"
)

// serverBlock returns a server block for zone with a directive for it.
func serverBlock(zone, port string, p *primaryOf, options string) string {
	return fmt.Sprintf("%s:%s {\nsecondaryplus {\nprimary %s\n%s\n}\n}\n", zone, port, p.Addr(), options)
}

// restart reloads, and replaces the instance that the test will stop.
func restart(t *testing.T, running **caddy.Instance, corefile string) error {
	t.Helper()
	next, err := (*running).Restart(input(corefile))
	*running = next
	return err
}

// begin runs a Corefile that restart may replace.
func begin(t *testing.T, corefile string) **caddy.Instance {
	t.Helper()
	instance, err := caddy.Start(input(corefile))
	if err != nil {
		t.Fatalf("Start: %v\n%s", err, corefile)
	}
	t.Cleanup(func() { stopCoreDNS(t, instance) })
	return &instance
}

// engineNow returns the engine of the process, nil if there is none.
func engineNow() *secondary.Secondary {
	process.mu.Lock()
	defer process.mu.Unlock()
	return process.secondary
}

// zonesNow returns the zones of the engine.
func zonesNow() []string {
	var all []string
	if e := engineNow(); e != nil {
		for _, s := range e.Status() {
			all = append(all, s.ID.Name)
		}
	}
	return all
}

// occupied returns a server block that cannot be started, for somebody has its port already.
func occupied(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return "occupied.test:" + port + " {\nerrors\n}\n"
}

// A reload transfers nothing again and answers all the time.
func TestReloadNeitherTransfersNorFails(t *testing.T) {
	wantNothingLeft(t)
	p, port := newPrimaryOf(t, exampleOrg...), unusedPort(t)
	running := begin(t, serverBlock("example.org", port, p, ""))
	addr := "127.0.0.1:" + port
	waitServed(t, addr, "example.org.", 7)
	e := engineNow()
	done, failed := make(chan struct{}), make(chan string, 1)
	go func() {
		defer close(failed)
		for {
			select {
			case <-done:
				return
			default:
			}
			m, _, err := new(dns.Client).Exchange(question("www.example.org.", dns.TypeA), addr)
			if err == nil && (m.Rcode != dns.RcodeSuccess || len(m.Answer) != 2) {
				failed <- m.String()
				return
			}
		}
	}()
	for range 5 {
		if err := restart(t, running, serverBlock("example.org", port, p, "max_records 500")); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	if m := <-failed; m != "" {
		t.Errorf("Answer during a reload: %s", m)
	}
	if p.transfers.Load() != 1 || p.checks.Load() != 0 {
		t.Errorf("%d transfers, %d checks; want one transfer", p.transfers.Load(), p.checks.Load())
	}
	if engineNow() != e {
		t.Error("The reload made a new engine")
	}
}

// Zones that a reload takes away are let go, those it adds are served.
func TestReloadChangesZones(t *testing.T) {
	wantNothingLeft(t)
	p, port := newPrimaryOf(t, exampleOrg...), unusedPort(t)
	other := newPrimaryOf(t, "example.net. 60 IN SOA a. b. 3 3600 3600 86400 60", "example.net. 60 IN NS a.")
	running := begin(t, serverBlock("example.org", port, p, ""))
	waitServed(t, "127.0.0.1:"+port, "example.org.", 7)
	if err := restart(t, running, serverBlock("example.net", port, other, "")); err != nil {
		t.Fatal(err)
	}
	waitServed(t, "127.0.0.1:"+port, "example.net.", 3)
	if got := zonesNow(); !slices.Equal(got, []string{"example.net."}) {
		t.Errorf("Zones are %q", got)
	}
}

// failures are Corefiles that a reload does not get through, and how far it gets.
func failures(t *testing.T, port string, p *primaryOf) map[string]string {
	changed := serverBlock("example.org", port, p, "max_records 1\ntransfers_in 1") + serverBlock("new.test", port, p, "")
	return map[string]string{
		"in the parser":          changed + "broken.test:" + port + " {\nsecondaryplus {\nnonsense\n}\n}\n",
		"when it is to listen":   changed + occupied(t),
		"with a watched file":    serverBlock("example.org", port, p, "zones_file "+write(t, t.TempDir(), "zones", "new.test\n")) + occupied(t),
		"with a transfer plugin": strings.ReplaceAll(changed, "{\nsecondaryplus", "{\ntransfer {\nto 127.0.0.1:9\n}\nsecondaryplus") + occupied(t),
	}
}

// After a reload that failed everything is as it was before, and goes on.
func TestFailedReloadLeavesEverythingAsItWas(t *testing.T) {
	for _, name := range []string{"in the parser", "when it is to listen", "with a watched file", "with a transfer plugin"} {
		t.Run(name, func(t *testing.T) {
			wantNoMore(t, "goroutines", runtime.NumGoroutine)
			p, port := newPrimaryOf(t, exampleOrg...), unusedPort(t)
			addr := "127.0.0.1:" + port
			running := begin(t, serverBlock("example.org", port, p, ""))
			waitServed(t, addr, "example.org.", 7)
			e, before := engineNow(), runtime.NumGoroutine()
			for range 3 {
				if err := restart(t, running, failures(t, port, p)[name]); err == nil {
					t.Fatal("The reload succeeds")
				}
			}
			if engineNow() != e || !slices.Equal(zonesNow(), []string{"example.org."}) {
				t.Errorf("Zones are %q", zonesNow())
			}
			wait(t, "as many goroutines as before", func() bool { return runtime.NumGoroutine() <= before })
			records := slices.Clone(exampleOrg)
			records[0] = strings.Replace(records[0], " 7 ", " 8 ", 1)
			p.serve(records...)
			if r := exchange(t, "udp", addr, new(dns.Msg).SetNotify("example.org.")); r.Rcode != dns.RcodeSuccess {
				t.Errorf("NOTIFY: %v", r)
			}
			waitServed(t, addr, "example.org.", 8)
		})
	}
}

// The engine ends with the last instance, also after reloads that failed.
func TestEngineEndsWithTheLastInstance(t *testing.T) {
	for name, corefile := range map[string]func(port string, p *primaryOf) string{
		"no failure":     nil,
		"failed in time": func(port string, p *primaryOf) string { return serverBlock("example.org", port, p, "nonsense") },
		"failed late":    func(port string, p *primaryOf) string { return serverBlock("example.org", port, p, "") + occupied(t) },
	} {
		t.Run(name, func(t *testing.T) {
			wantNoMore(t, "goroutines", runtime.NumGoroutine)
			p, port := newPrimaryOf(t, exampleOrg...), unusedPort(t)
			instance, err := caddy.Start(input(serverBlock("example.org", port, p, "")))
			if err != nil {
				t.Fatal(err)
			}
			waitServed(t, "127.0.0.1:"+port, "example.org.", 7)
			if corefile != nil {
				if _, err := instance.Restart(input(corefile(port, p))); err == nil {
					t.Error("The reload succeeds")
				}
			}
			stopCoreDNS(t, instance)
			if engineNow() != nil {
				t.Error("The engine goes on")
			}
		})
	}
}

// A first directive in a reload that fails has no older instance to undo it: the next start or reload does.
func TestAbandonedInstanceIsLetGo(t *testing.T) {
	wantNoMore(t, "goroutines", runtime.NumGoroutine)
	p, port := newPrimaryOf(t, exampleOrg...), unusedPort(t)
	running := begin(t, "example.org:"+port+" {\nerrors\n}\n")
	waitUp(t, "127.0.0.1:"+port)
	if err := restart(t, running, serverBlock("abandoned.test", port, p, "")+occupied(t)); err == nil {
		t.Fatal("The reload succeeds")
	}
	if err := restart(t, running, serverBlock("example.org", port, p, "")); err != nil {
		t.Fatal(err)
	}
	waitServed(t, "127.0.0.1:"+port, "example.org.", 7)
	wait(t, "end of the abandoned one", func() bool { return slices.Equal(zonesNow(), []string{"example.org."}) })
	stopCoreDNS(t, *running)
	if engineNow() != nil {
		t.Error("The engine goes on")
	}
}

// After SIGTERM CoreDNS calls OnShutdown first and goes on answering for a while.
func TestZoneIsAnsweredAfterShutdown(t *testing.T) {
	p, port := newPrimaryOf(t, exampleOrg...), unusedPort(t)
	instance := runCoreDNS(t, serverBlock("example.org", port, p, ""))
	addr := "127.0.0.1:" + port
	waitServed(t, addr, "example.org.", 7)
	for range 2 { // OnShutdown may come twice
		if errs := instance.ShutdownCallbacks(); len(errs) > 0 {
			t.Fatal(errs)
		}
	}
	if m := exchange(t, "udp", addr, question("www.example.org.", dns.TypeA)); len(m.Answer) != 2 {
		t.Errorf("Answer %v", m)
	}
	if m := exchange(t, "udp", addr, new(dns.Msg).SetNotify("example.org.")); m.Rcode == dns.RcodeServerFailure {
		t.Errorf("NOTIFY: %v", m)
	}
}

// The same name from two sources is two zones, and two sets of metrics.
func TestVariantsOfAZone(t *testing.T) {
	p, q := newPrimaryOf(t, exampleOrg...), newPrimaryOf(t, append([]string{strings.Replace(exampleOrg[0], " 7 ", " 9 ", 1)}, exampleOrg[1:]...)...)
	one, two := unusedPort(t), unusedPort(t)
	runCoreDNS(t, serverBlock("example.org", one, p, "")+serverBlock("example.org", two, q, "variant other"))
	waitServed(t, "127.0.0.1:"+one, "example.org.", 7)
	waitServed(t, "127.0.0.1:"+two, "example.org.", 9)
	if got := zonesNow(); len(got) != 2 {
		t.Errorf("Zones are %q", got)
	}
}
