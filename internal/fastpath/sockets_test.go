//go:build linux

package fastpath_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/secondaryplus/secondaryplus/internal/fastpath"
)

// lab is sockets that answer queries whose ID is even by setting QR, and hand the others to a server that says NXDOMAIN.
type lab struct {
	*fastpath.Sockets
	addr           string
	fast, handedOn atomic.Int64
	dropped        atomic.Int64
}

func (l *lab) drop(_ string, n int) { l.dropped.Add(int64(n)) }

func newLab(t testing.TB, host string, sockets int) *lab {
	t.Helper()
	first := shared(t, net.JoinHostPort(host, "0")) // keeps the port, as CoreDNS's own socket does; it is never read
	l := &lab{addr: first.LocalAddr().String()}
	var err error
	l.Sockets, err = fastpath.Open(func() (net.PacketConn, error) { return listenShared(l.addr) }, sockets, l.answer, l.drop)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Steer(1, sockets); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); first.Close() })
	return l
}

func (l *lab) answer() fastpath.Answer {
	return func(query, buf []byte, _ netip.Addr) []byte {
		if query[1]&1 == 1 {
			return nil
		}
		l.fast.Add(1)
		buf = append(buf, query...)
		buf[2] |= 0x80
		return buf
	}
}

func (l *lab) server() *dns.Server {
	return &dns.Server{Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		l.handedOn.Add(1)
		_ = w.WriteMsg(new(dns.Msg).SetRcode(r, dns.RcodeNameError))
	})}
}

func listenShared(addr string) (net.PacketConn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	}}
	return lc.ListenPacket(context.Background(), "udp", addr)
}

func shared(t testing.TB, addr string) net.PacketConn {
	t.Helper()
	pc, err := listenShared(addr)
	if err != nil {
		t.Skipf("No socket at %s: %v", addr, err)
	}
	return pc
}

// ask sends one query and fails the test unless the reply has the code.
func ask(t testing.TB, addr string, id uint16, rcode int) {
	t.Helper()
	q := new(dns.Msg).SetQuestion("example.org.", dns.TypeA)
	q.Id = id
	m, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(q, addr)
	if err != nil || m.Rcode != rcode {
		t.Fatalf("Query %d at %s: %v, %v", id, addr, m, err)
	}
}

func TestEveryQueryIsAnsweredHereOrHandedOver(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.0.0.1", "::1"} {
		for _, sockets := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s %d", host, sockets), func(t *testing.T) {
				t.Parallel()
				l := newLab(t, host, sockets)
				l.Serve(l.server())
				for id := range uint16(200) {
					ask(t, l.addr, id, int(id&1)*dns.RcodeNameError)
				}
				if l.fast.Load() != 100 || l.handedOn.Load() != 100 {
					t.Errorf("%d answered, %d handed over; want 100 and 100", l.fast.Load(), l.handedOn.Load())
				}
			})
		}
	}
}

// What comes before the first Serve waits in the sockets.
func TestQueriesBeforeServeAreAnswered(t *testing.T) {
	t.Parallel()
	l := newLab(t, "127.0.0.1", 2)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ask(t, l.addr, 2, dns.RcodeSuccess)
	}()
	time.Sleep(20 * time.Millisecond)
	l.Serve(l.server())
	<-done
}

// Bound to every address, a reply comes from the one that was asked: a connected client takes no other.
func TestReplyComesFromTheAddressAsked(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"0.0.0.0", ""} {
		l := newLab(t, host, 2)
		l.Serve(l.server())
		_, port, _ := net.SplitHostPort(l.addr)
		clients := []string{"127.0.0.1", "127.0.0.77"}
		if host == "" && l.addr[0] == '[' {
			clients = append(clients, "::1")
		}
		for _, c := range clients {
			for id := range uint16(20) {
				ask(t, net.JoinHostPort(c, port), id, int(id&1)*dns.RcodeNameError)
			}
		}
	}
}

// Another server takes over without a query lost, and the sockets close without anything left behind.
func TestServerChangesUnderLoad(t *testing.T) {
	l := newLab(t, "127.0.0.1", 2)
	l.Serve(l.server())
	ask(t, l.addr, 1, dns.RcodeNameError)
	files := descriptors(t)
	stop, done := make(chan struct{}), make(chan struct{})
	var asked atomic.Int64
	go func() {
		defer close(done)
		for id := uint16(0); ; id++ {
			select {
			case <-stop:
				return
			default:
			}
			ask(t, l.addr, id, int(id&1)*dns.RcodeNameError)
			asked.Add(1)
		}
	}()
	for n := range int64(50) {
		l.Serve(l.server())
		for end := time.Now().Add(10 * time.Second); asked.Load() <= n && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
	}
	close(stop)
	<-done
	if n := asked.Load(); n < 50 {
		t.Errorf("Only %d queries", n)
	}
	l.Close()
	for end := time.Now().Add(5 * time.Second); descriptors(t) > files-2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d files are open; %d were while it served from two sockets", descriptors(t), files)
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// A query that makes the answering code panic is CoreDNS's, which lives through it; those after it are answered.
func TestPanicIsHandedOver(t *testing.T) {
	t.Parallel()
	first := shared(t, "127.0.0.1:0")
	defer first.Close()
	l := &lab{addr: first.LocalAddr().String()}
	var made atomic.Int64
	sockets, err := fastpath.Open(func() (net.PacketConn, error) { return listenShared(l.addr) }, 1, func() fastpath.Answer {
		made.Add(1)
		answer := l.answer()
		return func(query, buf []byte, client netip.Addr) []byte {
			if query[1] == 8 {
				panic("of the test")
			}
			return answer(query, buf, client)
		}
	}, l.drop)
	if err != nil {
		t.Fatal(err)
	}
	defer sockets.Close()
	if err := sockets.Steer(1, 1); err != nil {
		t.Fatal(err)
	}
	sockets.Serve(l.server())
	for range 3 {
		ask(t, l.addr, 8, dns.RcodeNameError)
		ask(t, l.addr, 6, dns.RcodeSuccess)
	}
	if made.Load() != 4 {
		t.Errorf("%d answerers; want one at first and one after each panic", made.Load())
	}
}
