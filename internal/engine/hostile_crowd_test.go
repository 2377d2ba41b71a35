package engine_test

import (
	"context"
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// crowd is how many zones a bad primary has.
const crowd = 1000

// blackHole returns a primary whose host drops every SYN: its queue of connections is full.
func blackHole(t *testing.T) xfr.Primary {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { err = syscall.Listen(int(fd), 0) }); err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr).AddrPort()
	fill(t, addr)
	return xfr.Primary{Addr: addr}
}

// fill connects until nobody answers.
func fill(t *testing.T, addr netip.AddrPort) {
	t.Helper()
	for range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", addr.String())
		cancel()
		if err != nil {
			return
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Skip("The system answers connections that nobody accepts")
}

// followAll fails the test unless all zones, served with serial 1, follow a NOTIFY in time.
func (l *lab) followAll(at *secondary.Attachment, friend *actor, zones []string) {
	l.t.Helper()
	friend.play(serveAny(2))
	begin := time.Now()
	for _, z := range zones {
		announce(at.Zone(id(z)), friend, nil)
	}
	for _, z := range zones {
		l.eventually(z+" with serial 2", func() bool { return served(at.Zone(id(z))) == 2 })
	}
	if took := time.Since(begin); took > notifyLimit {
		l.t.Errorf("%d zones of a living primary follow their NOTIFYs after %s; want less than %s", len(zones), took, notifyLimit)
	}
}

// HP26: a thousand zones behind one bad primary; those of a living one are served at once and follow their NOTIFYs, and
// sockets and goroutines are few.
func TestThousandZonesOfABadPrimaryDelayNobody(t *testing.T) {
	played := func(script dnstest.Handler) func(*testing.T) xfr.Primary {
		return func(t *testing.T) xfr.Primary { return newSocketActor(t, script).primary() }
	}
	for name, bad := range map[string]func(*testing.T) xfr.Primary{
		"accepts and is silent": played(silent),
		"drips": played(func(r dnstest.Request, w *dnstest.Writer) {
			if !r.UDP {
				drip(w, dnstest.Pack(r.Reply(soa(r.Name, 1))))
			}
		}),
		"resets after a few octets": played(func(r dnstest.Request, w *dnstest.Writer) {
			if !r.UDP {
				w.Octets([]byte{1, 0, 1})
				w.Reset()
			}
		}),
		"black hole": blackHole,
		"nobody":     nobody,
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			friend := newSocketActor(t, serveAny(1))
			good := names("good", 10)
			c := config(group(bad(t)), names("bad", crowd)...)
			goroutines, sockets := runtime.NumGoroutine(), dnstest.OpenSockets()
			begin := time.Now()
			at := l.Attach(extend(c, group(friend.primary()), good...))
			l.within(begin, at, good)
			l.followAll(at, friend, good)
			// Of ours and of the primary: each end of a connection counts.
			const most = 100
			if g, s := runtime.NumGoroutine()-goroutines, dnstest.OpenSockets()-sockets; g > most || s > most {
				t.Errorf("%d goroutines and %d sockets more than before; want at most %d", g, s, most)
			}
		})
	}
}

// HP26, HP3: several such primaries do not take all the places there are for transfers.
func TestManySilentPrimariesDelayNobody(t *testing.T) {
	l := newLab(t)
	friend := newActor(t, serveAny(1))
	good := names("good", 10)
	c := config(group(friend.primary()), good...)
	at := l.Attach(c)
	for _, z := range good {
		l.serves(at.Zone(id(z)), 1)
	}
	places := engine.DefaultSettings.TransfersIn / engine.DefaultSettings.TransfersPerPrimary
	hung := make([]*actor, 2*places)
	for i := range hung {
		hung[i] = newActor(t, silent)
		c = extend(c, group(hung[i].primary()), names("silent"+string(rune('a'+i)), 10)...)
	}
	l.replace(at, c)
	l.eventually("transfers that hang", func() bool {
		n := 0
		for _, a := range hung {
			n += a.transfers()
		}
		return n >= 2*places
	})
	l.followAll(at, friend, good)
}
