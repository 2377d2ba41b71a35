//go:build linux

package secondaryplus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/miekg/dns"
)

// stumbling is a directive of these tests, under a name that CoreDNS keeps for a plugin that is not in the binary: its
// shutdown fails.
const stumbling = "nomad"

// lingering is another: a plugin that answers nothing until it is let.
const lingering = "erratic"

// lingerer is the plugin. It is safe for concurrent use.
type lingerer struct{ begun, let chan struct{} }

var lingers = lingerer{begun: make(chan struct{}, 1), let: make(chan struct{})}

func (lingerer) Name() string { return lingering }

func (l lingerer) ServeDNS(context.Context, dns.ResponseWriter, *dns.Msg) (int, error) {
	l.begun <- struct{}{}
	<-l.let
	return dns.RcodeServerFailure, nil
}

func init() {
	plugin.Register(lingering, func(c *caddy.Controller) error {
		dnsserver.GetConfig(c).AddPlugin(func(plugin.Handler) plugin.Handler { return lingers })
		return nil
	})
	plugin.Register(stumbling, func(c *caddy.Controller) error {
		c.OnShutdown(func() error { return errors.New("stumbled") })
		return nil
	})
}

// traffic is some clients that each ask one question after the other. It is safe for concurrent use.
type traffic struct {
	done       chan struct{}
	all        sync.WaitGroup
	asked      atomic.Int64
	lost       atomic.Int64
	wrong      atomic.Int64
	firstWrong atomic.Pointer[string]
}

const trafficClients = 4

// askAll begins to ask for www.example.org in ways that are answered fast and in one that is handed over.
func askAll(t testing.TB, addr string) *traffic {
	t.Helper()
	tr := &traffic{done: make(chan struct{})}
	for i := range trafficClients {
		tr.all.Go(func() { tr.ask(addr, uint16(i)<<12) })
	}
	t.Cleanup(tr.stop)
	return tr
}

func (tr *traffic) ask(addr string, id uint16) {
	c, err := net.Dial("udp", addr)
	if err != nil {
		tr.fault(err.Error())
		return
	}
	defer c.Close()
	const patience = 5 * time.Second // a busy machine pauses
	buf := make([]byte, 1<<12)
	for ; ; id++ {
		select {
		case <-tr.done:
			return
		default:
		}
		m := question("www.example.org.", dns.TypeA)
		if id%8 == 0 {
			m = question("www.example.org.", dns.TypeANY)
		}
		m.Id = id
		msg, err := m.Pack()
		if err != nil {
			tr.fault(err.Error())
			return
		}
		tr.asked.Add(1)
		if _, err := c.Write(msg); err != nil {
			tr.lost.Add(1) // an ICMP error for the one before
			continue
		}
		tr.await(c, buf, m, patience)
	}
}

// await reads the reply to m; others come late.
func (tr *traffic) await(c net.Conn, buf []byte, m *dns.Msg, patience time.Duration) {
	for deadline := time.Now().Add(patience); ; {
		_ = c.SetReadDeadline(deadline)
		n, err := c.Read(buf)
		if err != nil {
			tr.lost.Add(1)
			return
		}
		r := new(dns.Msg)
		if err := r.Unpack(buf[:n]); err != nil {
			tr.fault(err.Error())
			return
		}
		if r.Id != m.Id {
			continue
		}
		if r.Rcode != dns.RcodeSuccess || len(r.Answer) != 2 || !r.Authoritative {
			tr.fault(r.String())
		}
		return
	}
}

func (tr *traffic) fault(what string) {
	tr.wrong.Add(1)
	tr.firstWrong.CompareAndSwap(nil, &what)
}

func (tr *traffic) stop() {
	select {
	case <-tr.done:
	default:
		close(tr.done)
	}
	tr.all.Wait()
}

// more waits until so many more questions have been asked.
func (tr *traffic) more(t testing.TB, n int64) {
	t.Helper()
	until := tr.asked.Load() + n
	wait(t, "questions", func() bool { return tr.asked.Load() >= until })
}

// report stops the clients and fails the test for wrong replies, and for more lost ones than may be.
func (tr *traffic) report(t testing.TB, mayLose int64) {
	t.Helper()
	tr.stop()
	t.Logf("%d asked, %d lost, %d wrong", tr.asked.Load(), tr.lost.Load(), tr.wrong.Load())
	if n := tr.wrong.Load(); n > 0 {
		t.Errorf("%d wrong replies, such as\n%s", n, *tr.firstWrong.Load())
	}
	if n := tr.lost.Load(); n > mayLose {
		t.Errorf("%d of %d queries were lost; want at most %d", n, tr.asked.Load(), mayLose)
	}
}

// udpSockets returns how many UDP sockets of IPv4 are bound to a port.
func udpSockets(t testing.TB, port string) (n int) {
	t.Helper()
	table, err := os.ReadFile("/proc/net/udp")
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", number)) {
			n++
		}
	}
	return n
}

// waitClosed waits until no address of a port has a fast path, and CoreDNS's own UDP socket is the only one. The one that a
// failed reload leaves behind is CoreDNS's too, and counts as the same.
func waitClosed(t testing.TB, port string) {
	t.Helper()
	wait(t, "CoreDNS's own socket alone", func() bool {
		process.mu.Lock()
		defer process.mu.Unlock()
		for addr := range process.fast {
			if strings.HasSuffix(addr, ":"+port) {
				return false
			}
		}
		return udpSockets(t, port) == 1
	})
}

// Reloads that keep the sockets lose nothing, whatever else they change. Where the number of sockets changes a datagram may
// be in one that is closed, one of each client.
func TestFastPathOutlivesReloads(t *testing.T) {
	for name, c := range map[string]struct {
		sockets [3]int
		mayLose int64
	}{"same sockets": {[3]int{2, 2, 2}, 0}, "other sockets": {[3]int{2, 4, 1}, 20 * trafficClients}} {
		t.Run(name, func(t *testing.T) { reloadUnderTraffic(t, c.sockets, c.mayLose) })
	}
}

func reloadUnderTraffic(t *testing.T, sockets [3]int, mayLose int64) {
	wantNothingLeft(t)
	p, port, metricsPort := newPrimaryOf(t, exampleOrg...), unusedPort(t), unusedPort(t)
	second := newPrimaryOf(t, exampleOrg...)
	other := newPrimaryOf(t, "example.net. 60 IN SOA a. b. 3 3600 3600 86400 60", "example.net. 60 IN NS a.")
	key := "example.org:" + port
	var option [3]string
	for i, n := range sockets {
		option[i] = fmt.Sprintf("fastpath %d", n)
	}
	corefiles := []string{
		fastBlock(key, "", p, "", option[0]),
		fastBlock(key, "prometheus 127.0.0.1:"+metricsPort, p, "", option[0]),
		fastBlock(key, "", p, "", option[1]+"\nmax_records 500"),
		fastBlock(key, "errors", second, "", option[2]),
		fastBlock(".:"+port, "", p, "example.org", option[0]),
		fastBlock(key, "", p, "", option[0]) + fastBlock("example.net:"+port, "", other, "", option[1]),
		fastBlock(key, "", p, "", option[0]) + fastBlock("example.net:"+port, "", other, "", ""),
	}
	running := begin(t, corefiles[0])
	addr := "127.0.0.1:" + port
	waitServed(t, addr, "example.org.", 7)
	waitOpen(t, addr)
	answered, tr := fastQueries(t, "answered"), askAll(t, addr)
	for i := range 20 {
		tr.more(t, 50)
		if err := restart(t, running, corefiles[(i+1)%len(corefiles)]); err != nil {
			t.Fatal(err)
		}
	}
	tr.more(t, 50)
	tr.report(t, mayLose)
	if n := fastQueries(t, "answered") - answered; int64(n) < tr.asked.Load()/4 {
		t.Errorf("%d of %d queries were answered fast", n, tr.asked.Load())
	}
}

// The fast path may come and go, and may have to leave all answers to the plugins. What its sockets have is answered before
// they close; a datagram that the kernel is about to give to one of them then may be lost, one of each client.
func TestFastPathComesAndGoes(t *testing.T) {
	wantNothingLeft(t)
	p, port := newPrimaryOf(t, exampleOrg...), unusedPort(t)
	key, addr := "example.org:"+port, "127.0.0.1:"+port
	off, auto, carrying := fastBlock(key, "", p, "", "fastpath off"), fastBlock(key, "", p, "", ""), fastBlock(key, "loadbalance", p, "", "")
	running := begin(t, off)
	waitServed(t, addr, "example.org.", 7)
	tr := askAll(t, addr)
	const rounds = 7
	for range rounds {
		for _, next := range []string{auto, carrying, off} {
			if err := restart(t, running, next); err != nil {
				t.Fatal(err)
			}
			if next == off {
				waitClosed(t, port)
			} else {
				waitOpen(t, addr)
			}
			tr.more(t, 50)
		}
	}
	tr.report(t, rounds*trafficClients)
	answered := fastQueries(t, "answered")
	for range 10 {
		exchange(t, "udp", addr, question("www.example.org.", dns.TypeA))
	}
	if fastQueries(t, "answered") != answered {
		t.Error("Queries are still answered fast")
	}
}

// How many sockets an address has is decided once.
func TestFastPathReloadKeepsSockets(t *testing.T) {
	wantNothingLeft(t)
	p, port := newPrimaryOf(t, exampleOrg...), unusedPort(t)
	block := func(n int) string { return fastBlock("example.org:"+port, "", p, "", fmt.Sprintf("fastpath %d", n)) }
	running := begin(t, block(3))
	addr := "127.0.0.1:" + port
	waitServed(t, addr, "example.org.", 7)
	waitOpen(t, addr)
	for _, n := range []int{4, 2} {
		if err := restart(t, running, block(n)); err != nil {
			t.Fatal(err)
		}
		if got := udpSockets(t, port); got != 1+3 {
			t.Errorf("fastpath %d after 3: %d UDP sockets have the port; want CoreDNS's and three", n, got)
		}
		askedFast(t, addr, question("www.example.org.", dns.TypeA), true)
	}
}

// A zone that a reload takes away is not answered any more, one that it adds is.
func TestFastPathReloadChangesZones(t *testing.T) {
	wantNothingLeft(t)
	p, port := newPrimaryOf(t, exampleOrg...), unusedPort(t)
	other := newPrimaryOf(t, "example.net. 60 IN SOA a. b. 3 3600 3600 86400 60", "example.net. 60 IN NS a.")
	addr := "127.0.0.1:" + port
	org, net := fastBlock("example.org:"+port, "", p, "", "fastpath"), fastBlock("example.net:"+port, "", other, "", "fastpath")
	running := begin(t, org)
	waitServed(t, addr, "example.org.", 7)
	waitOpen(t, addr)
	if err := restart(t, running, org+net); err != nil {
		t.Fatal(err)
	}
	waitServed(t, addr, "example.net.", 3)
	for _, zone := range []string{"example.org.", "example.net."} {
		askedFast(t, addr, question(zone, dns.TypeSOA), true)
	}
	if err := restart(t, running, net); err != nil {
		t.Fatal(err)
	}
	if r := askedFast(t, addr, question("example.org.", dns.TypeSOA), false); r.Rcode != dns.RcodeRefused {
		t.Errorf("Zone that is gone: %v", r)
	}
	askedFast(t, addr, question("example.net.", dns.TypeSOA), true)
	newer := newPrimaryOf(t, "example.net. 60 IN SOA a. b. 4 3600 3600 86400 60", "example.net. 60 IN NS a.")
	if err := restart(t, running, fastBlock("example.net:"+port, "", newer, "", "fastpath")); err != nil {
		t.Fatal(err)
	}
	if r := askedFast(t, addr, question("example.net.", dns.TypeSOA), true); len(r.Answer) != 1 {
		t.Errorf("After a change of the primary: %v", r)
	}
	exchange(t, "udp", addr, new(dns.Msg).SetNotify("example.net."))
	waitServed(t, addr, "example.net.", 4)
}

// After a reload that failed the fast path is as it was: the same zones, and their changes.
func TestFastPathSurvivesFailedReloads(t *testing.T) {
	for name, failing := range map[string]func(port string, p *primaryOf) string{
		"syntax error": func(port string, p *primaryOf) string { return fastBlock("new.test:"+port, "", p, "", "fastpath 7 7") },
		"other zones": func(port string, p *primaryOf) string {
			return fastBlock("new.test:"+port, "", p, "", "fastpath 3") + occupied(t)
		},
		"without fastpath": func(port string, p *primaryOf) string {
			return fastBlock("example.org:"+port, "", p, "", "") + occupied(t)
		},
		"another address": func(port string, p *primaryOf) string {
			return fastBlock("example.org:"+unusedPort(t), "", p, "", "fastpath") + occupied(t)
		},
		"with log": func(port string, p *primaryOf) string {
			return fastBlock("example.org:"+port, "log", p, "", "fastpath 2")
		},
	} {
		t.Run(name, func(t *testing.T) {
			wantNoMore(t, "goroutines", runtime.NumGoroutine)
			p, port := newPrimaryOf(t, exampleOrg...), unusedPort(t)
			addr := "127.0.0.1:" + port
			running := begin(t, fastBlock("example.org:"+port, "", p, "", "fastpath 2"))
			waitServed(t, addr, "example.org.", 7)
			waitOpen(t, addr)
			tr := askAll(t, addr)
			for range 3 {
				tr.more(t, 40)
				if err := restart(t, running, failing(port, p)); err == nil {
					t.Fatal("The reload succeeds")
				} else if name == "with log" && !strings.Contains(err.Error(), "log") {
					t.Errorf("Error is %v", err)
				}
			}
			tr.more(t, 40)
			tr.report(t, 0)
			process.mu.Lock()
			if len(process.fast) != 1 || len(process.fast["dns://"+addr].users) != 1 {
				t.Errorf("%d addresses have a fast path; want one, of one instance", len(process.fast))
			}
			process.mu.Unlock()
			p.serve(append([]string{strings.Replace(exampleOrg[0], " 7 ", " 8 ", 1)}, exampleOrg[1:]...)...)
			if r := askedFast(t, addr, new(dns.Msg).SetNotify("example.org."), false); r.Rcode != dns.RcodeSuccess {
				t.Errorf("NOTIFY: %v", r)
			}
			waitServed(t, addr, "example.org.", 8)
			if r := askedFast(t, addr, question("example.org.", dns.TypeSOA), true); r.Answer[0].(*dns.SOA).Serial != 8 {
				t.Errorf("Fast path: %v", r)
			}
		})
	}
}

// An instance that failed to start and that nobody undoes is let go by the next one in force, also if that answers all
// queries fast. Else its claim would keep the sockets open once fastpath is taken away, with what was served then.
func TestFastPathLetsAbandonedInstancesGo(t *testing.T) {
	wantNoMore(t, "goroutines", runtime.NumGoroutine)
	p, port := newPrimaryOf(t, exampleOrg...), unusedPort(t)
	addr := "127.0.0.1:" + port
	running := begin(t, "example.org:"+port+" {\nbind 127.0.0.1\nerrors\n}\n")
	waitUp(t, addr)
	block := fastBlock("example.org:"+port, "", p, "", "fastpath")
	if err := restart(t, running, block+occupied(t)); err == nil {
		t.Fatal("The reload succeeds")
	}
	if err := restart(t, running, block); err != nil {
		t.Fatal(err)
	}
	waitContents(t)
	waitOpen(t, addr)
	for range 20 {
		askedFast(t, addr, question("www.example.org.", dns.TypeA), true)
	}
	wait(t, "one instance", func() bool {
		process.mu.Lock()
		defer process.mu.Unlock()
		return len(process.instances) == 1
	})
	if err := restart(t, running, fastBlock("example.org:"+port, "", p, "", "fastpath off")); err != nil {
		t.Fatal(err)
	}
	waitClosed(t, port)
	askedFast(t, addr, question("www.example.org.", dns.TypeA), false)
}

// If only the old instance fails, to shut down, the new one is in force for CoreDNS: its zones are served, and follow their
// primaries.
func TestFastPathOutlivesAFailedShutdown(t *testing.T) {
	t.Cleanup(forgetEngine)
	p, port := newPrimaryOf(t, exampleOrg...), unusedPort(t)
	addr := "127.0.0.1:" + port
	old, err := caddy.Start(input(fastBlock("example.org:"+port, stumbling, p, "", "fastpath 2")))
	if err != nil {
		t.Fatal(err)
	}
	waitServed(t, addr, "example.org.", 7)
	waitOpen(t, addr)
	tr := askAll(t, addr)
	tr.more(t, 50)
	added := newPrimaryOf(t, "example.net. 60 IN SOA a. b. 3 3600 3600 86400 60", "example.net. 60 IN NS a.")
	next := fastBlock("example.org:"+port, "", p, "", "fastpath 2") +
		fastBlock("example.net:"+port, "", added, "", "fastpath 2")
	if _, err := old.Restart(input(next)); err == nil {
		t.Fatal("The shutdown of the old instance does not fail")
	}
	wait(t, "the new zone over TCP", func() bool {
		r, _, err := (&dns.Client{Net: "tcp"}).Exchange(question("example.net.", dns.TypeSOA), addr)
		return err == nil && len(r.Answer) == 1
	})
	if r := exchange(t, "udp", addr, question("example.net.", dns.TypeSOA)); len(r.Answer) != 1 {
		t.Errorf("The new zone over UDP: %v", r)
	}
	tr.more(t, 50)
	p.serve(append([]string{strings.Replace(exampleOrg[0], " 7 ", " 8 ", 1)}, exampleOrg[1:]...)...)
	exchange(t, "udp", addr, new(dns.Msg).SetNotify("example.org."))
	serial := uint32(0)
	const patience = 20 * time.Second
	for deadline := time.Now().Add(patience); serial != 8 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if r := exchange(t, "udp", addr, question("example.org.", dns.TypeSOA)); len(r.Answer) == 1 {
			serial = r.Answer[0].(*dns.SOA).Serial
		}
	}
	if serial != 8 {
		t.Errorf("Serial is %d after a NOTIFY; want 8", serial)
	}
	tr.report(t, trafficClients)
	for _, instance := range caddy.Instances() { // the new one is nobody's
		if err := instance.Stop(); err != nil {
			t.Error(err)
		}
	}
}

// CoreDNS goes on for a while after its shutdown callbacks.
func TestFastPathIsNotNeededAfterShutdown(t *testing.T) {
	wantNothingLeft(t)
	p, port := newPrimaryOf(t, exampleOrg...), unusedPort(t)
	addr := "127.0.0.1:" + port
	instance := runCoreDNS(t, fastBlock("example.org:"+port, "", p, "", "fastpath 3"))
	waitServed(t, addr, "example.org.", 7)
	waitOpen(t, addr)
	for range 2 {
		if errs := instance.ShutdownCallbacks(); len(errs) > 0 {
			t.Fatal(errs)
		}
	}
	waitClosed(t, port)
	for range 10 {
		if r := askedFast(t, addr, question("www.example.org.", dns.TypeA), false); len(r.Answer) != 2 {
			t.Errorf("%v", r)
		}
	}
}

// Sockets that close wait for what they have handed over. Until then the others answer what comes: one slow query must not
// keep an address silent.
func TestFastPathClosesWithoutSilence(t *testing.T) {
	for name, option := range map[string]string{"taken away": "fallthrough", "other sockets": "fallthrough\nfastpath 1"} {
		t.Run(name, func(t *testing.T) {
			wantNothingLeft(t)
			p, port := newPrimaryOf(t, exampleOrg...), unusedPort(t)
			addr := "127.0.0.1:" + port
			running := begin(t, fastBlock("example.org:"+port, lingering, p, "", "fallthrough\nfastpath 3"))
			waitServed(t, addr, "example.org.", 7)
			waitOpen(t, addr)
			slow := make(chan struct{})
			go func() {
				defer close(slow)
				_, _, _ = (&dns.Client{Timeout: 10 * time.Second}).Exchange(question("slow.example.org.", dns.TypeA), addr)
			}()
			<-lingers.begun
			reloaded := make(chan error, 1)
			go func() { reloaded <- restart(t, running, fastBlock("example.org:"+port, "", p, "", option)) }()
			answered, lost := 0, 0
			const patience = 2500 * time.Millisecond // less than sockets wait before they close
			for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
				c := &dns.Client{Timeout: 250 * time.Millisecond}
				if _, _, err := c.Exchange(question("www.example.org.", dns.TypeA), addr); err != nil {
					lost++
				} else {
					answered++
				}
				time.Sleep(5 * time.Millisecond)
			}
			lingers.let <- struct{}{}
			<-slow
			if err := <-reloaded; err != nil {
				t.Error(err)
			}
			t.Logf("%d answered, %d lost", answered, lost)
			if lost > answered/4 { // a busy machine pauses; silence loses all
				t.Errorf("%d of %d queries were lost while one was slow", lost, answered+lost)
			}
		})
	}
}
