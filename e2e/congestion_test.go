//go:build e2e && linux

package e2e_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// Clients that a reply cannot reach, or not fast enough: the server is in one network namespace, its clients in another.

const (
	congestedPort  = 5300
	chainedPort    = 5301
	congestedAddr  = "10.77.0.1"
	realClients    = 8   // that are there and ask a question each
	nobodies       = 200 // addresses on the link that nobody has
	congestionSpan = 8 * time.Second
	maxThreads     = 50
	maxMemory      = 100 << 20 // octets above rest
)

// twoNamespaces makes two network namespaces with a link between them, and skips the test where they cannot be made.
func twoNamespaces(t *testing.T) (server, clients string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("Network namespaces need root")
	}
	base := fmt.Sprintf("splus%d", os.Getpid())
	server, clients = base+"s", base+"c"
	ip := func(args ...string) {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Skipf("No network namespaces here: ip %s: %v %s", strings.Join(args, " "), err, out)
		}
	}
	for _, ns := range []string{server, clients} {
		ip("netns", "add", ns)
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", ns).Run() })
		ip("-n", ns, "link", "set", "lo", "up")
	}
	ip("-n", server, "link", "add", "link0", "type", "veth", "peer", "name", "link0", "netns", clients)
	ip("-n", server, "addr", "add", congestedAddr+"/16", "dev", "link0")
	for i := range realClients + 1 {
		ip("-n", clients, "addr", "add", realClient(i)+"/16", "dev", "link0")
	}
	for _, ns := range []string{server, clients} {
		ip("-n", ns, "link", "set", "link0", "up")
	}
	return server, clients
}

// realClient returns the address of a client; the first one is the one that asks too much.
func realClient(i int) string { return fmt.Sprintf("10.77.0.%d", 10+i) }

// inNamespace runs f, which opens sockets, in a network namespace.
func inNamespace(t *testing.T, namespace string, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatalf("Namespace: %v", err)
	}
	defer home.Close()
	there, err := os.Open(filepath.Join("/run/netns", namespace))
	if err != nil {
		t.Fatalf("Namespace: %v", err)
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		t.Fatalf("Namespace: %v", err)
	}
	defer func() {
		if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
			t.Fatalf("Namespace: %v", err) // the thread is lost, the test with it
		}
	}()
	f()
}

// dialAs returns a socket of an address that the host need not have.
func dialAs(t *testing.T, from string, port int) net.Conn {
	t.Helper()
	d := net.Dialer{
		LocalAddr: net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0)),
		Control: func(_, _ string, c syscall.RawConn) (err error) {
			err2 := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_TRANSPARENT, 1) })
			if err2 != nil {
				return err2
			}
			return err
		},
	}
	c, err := d.DialContext(t.Context(), "udp", fmt.Sprintf("%s:%d", congestedAddr, port))
	if err != nil {
		t.Fatalf("Socket of %s: %v", from, err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestRepliesThatCannotLeaveHoldNobodyUp floods a server with queries whose replies cannot leave, or not as fast as they
// come, and asks questions from other addresses meanwhile.
func TestRepliesThatCannotLeaveHoldNobodyUp(t *testing.T) {
	t.Parallel()
	serverSpace, clientSpace := twoNamespaces(t)
	p := congestedServer(t, serverSpace, congestedPort, "")
	chained := congestedServer(t, serverSpace, chainedPort, "log") // its plugins see every query
	c, d := clientsOf(t, clientSpace, congestedPort), clientsOf(t, clientSpace, chainedPort)
	questions := map[string][]byte{ // none of the names is asked for by the others
		"plain":       pack(t, question("small.test.", dns.TypeA)),
		"large":       pack(t, question("large.test.", dns.TypeTXT).SetEdns0(4096, false)),
		"handed over": pack(t, question("large.test.", dns.TypeANY).SetEdns0(4096, false)),
	}
	for kind, q := range questions {
		t.Run("unreachable, "+kind, func(t *testing.T) { flooded(t, p, c.unreachable, 300, q, c.others) })
	}
	t.Run("unreachable, chain", func(t *testing.T) { flooded(t, chained, d.unreachable, 300, questions["large"], d.others) })
	thin := []string{"netns", "exec", serverSpace, "tc", "qdisc", "add", "dev", "link0", "root", "tbf", "rate", "20mbit", "burst", "64kb", "limit", "1mb"}
	if out, err := exec.Command("ip", thin...).CombinedOutput(); err != nil {
		t.Skipf("No thin link here: ip %s: %v %s", strings.Join(thin, " "), err, out)
	}
	for kind, q := range questions {
		t.Run("thin, "+kind, func(t *testing.T) { flooded(t, p, c.thin, 3000, q, c.others) })
	}
	t.Run("thin, chain", func(t *testing.T) { flooded(t, chained, d.thin, 3000, questions["large"], d.others) })
}

// congestedClients are the sockets of the clients of one server. It is a plain value.
type congestedClients struct {
	unreachable []net.Conn // of addresses that nobody has
	thin        []net.Conn // of the client that asks too much
	others      []net.Conn
}

// clientsOf opens the sockets of clients in a namespace. The server is at rest once it has answered all of them.
func clientsOf(t *testing.T, namespace string, port int) congestedClients {
	t.Helper()
	var c congestedClients
	inNamespace(t, namespace, func() {
		for i := range nobodies {
			c.unreachable = append(c.unreachable, dialAs(t, fmt.Sprintf("10.77.1.%d", 1+i), port))
		}
		c.thin = append(c.thin, dialAs(t, realClient(0), port))
		for i := range realClients {
			c.others = append(c.others, dialAs(t, realClient(1+i), port))
		}
	})
	for _, o := range c.others {
		if !askedAgain(o, 5, 2*time.Second) {
			t.Fatal("No answer before the floods")
		}
	}
	return c
}

// congestedServer starts a secondary in a namespace, with its primary beside it.
func congestedServer(t *testing.T, namespace string, port int, chain string) *process {
	t.Helper()
	var prim *anyPrimary
	inNamespace(t, namespace, func() {
		prim = newAnyPrimary(t, func(zone string) []dns.RR {
			large := fmt.Sprintf("large.%s 300 IN TXT", zone)
			for i := range 11 {
				large += fmt.Sprintf(" \"%s%d\"", strings.Repeat("x", 240), i)
			}
			return []dns.RR{record("small.%s 300 IN A 192.0.2.3", zone), record("%s", large)}
		})
	})
	dir := tempDir(t)
	writeFile(t, filepath.Join(dir, "Corefile"), fmt.Sprintf(
		"test.:%d {\nbind %s\nerrors\n%s\nsecondaryplus {\nprimary %s\nstore off\n}\n}\n", port, congestedAddr, chain, prim.address))
	p := startProcess(t, dir, "ip", "netns", "exec", namespace, binary(t), "-conf", "Corefile")
	eventually(t, startLimit, "Zone served", func() string {
		if log := p.log(t); !strings.Contains(log, "published") || !strings.Contains(log, "CoreDNS-") { // it listens
			return "log is " + tail(log)
		}
		return ""
	})
	return p
}

// flooded sends a query from the sources in turn, so many a second, asks for a name from each of the others meanwhile, and
// fails the test unless all of them get an answer and the server stays small.
func flooded(t *testing.T, p *process, sources []net.Conn, rate int, query []byte, others []net.Conn) {
	threads, memory := p.threads(t), p.memory(t)
	var sent atomic.Int64
	var flooding sync.WaitGroup
	begin := time.Now()
	flooding.Go(func() {
		for n := 0; time.Since(begin) < congestionSpan; time.Sleep(2 * time.Millisecond) {
			for due := int(time.Since(begin).Seconds() * float64(rate)); n < due; n++ {
				_, _ = sources[n%len(sources)].Write(query)
				sent.Add(1)
			}
		}
	})
	eventually(t, 10*congestionSpan, "Half of the flood", func() string {
		if n := sent.Load(); time.Since(begin) < congestionSpan/2 || n < int64(rate) {
			return fmt.Sprintf("%d queries sent", n)
		}
		threads, memory := p.threads(t), p.memory(t)-memory
		if threads >= maxThreads || memory >= maxMemory {
			t.Fatalf("%d threads, %d octets more in memory", threads, memory)
		}
		return ""
	})
	var answered atomic.Int64
	var asking sync.WaitGroup
	for _, c := range others {
		asking.Go(func() {
			if askedAgain(c, 5, 2*time.Second) {
				answered.Add(1)
			}
		})
	}
	asking.Wait()
	flooding.Wait()
	if n := answered.Load(); n != realClients {
		t.Errorf("%d of %d clients got an answer while %d queries came", n, realClients, sent.Load())
	}
	more, grown := p.threads(t), p.memory(t)-memory
	if more >= maxThreads || grown >= maxMemory {
		t.Errorf("%d threads, %d before; %d octets more in memory", more, threads, grown)
	}
	t.Logf("%d queries, %d threads, %d octets more in memory", sent.Load(), more, grown)
}

// askedAgain asks as a stub resolver does, so many times, and reports whether an answer came.
func askedAgain(c net.Conn, tries int, wait time.Duration) bool {
	buf := make([]byte, dns.MaxMsgSize)
	for range tries {
		q := question("www.test.", dns.TypeA)
		packed, err := q.Pack()
		if err != nil {
			return false
		}
		_, _ = c.Write(packed)
		_ = c.SetReadDeadline(time.Now().Add(wait))
		for {
			n, err := c.Read(buf)
			if err != nil {
				break
			}
			if m := new(dns.Msg); m.Unpack(buf[:n]) == nil && m.Id == q.Id && len(m.Answer) == 1 {
				return true
			}
		}
	}
	return false
}

// threads returns how many threads the process has.
func (p *process) threads(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.cmd.Process.Pid))
	if err != nil {
		t.Fatalf("Threads: %v", err)
	}
	return len(all)
}
