package secondaryplus

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/engine"
)

// downstream is a secondary of our own that keeps the zones it is told of. It is safe for concurrent use.
type downstream struct {
	addr string
	mu   sync.Mutex
	told []string // guarded by mu
}

// newDownstream returns a downstream that answers NOTIFY until the test ends.
func newDownstream(t *testing.T) *downstream {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &downstream{addr: conn.LocalAddr().String()}
	started := make(chan struct{})
	server := &dns.Server{PacketConn: conn, NotifyStartedFunc: func() { close(started) }}
	server.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		d.mu.Lock()
		d.told = append(d.told, r.Question[0].Name)
		d.mu.Unlock()
		_ = w.WriteMsg(new(dns.Msg).SetReply(r))
	})
	go func() { _ = server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { _ = server.Shutdown() })
	return d
}

// zones returns what it was told so far.
func (d *downstream) zones() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.told)
}

// Server blocks on one address have secondaries of their own: those of one are not told of the zones of another, and every
// version is told, the first one too, which may be there before CoreDNS has started.
func TestNotifyGoesToTheSecondariesOfTheServerBlock(t *testing.T) {
	wantNothingLeft(t)
	open, big := newPrimaryOf(t, zoneOf("open.test.")...), newPrimaryOf(t, zoneOf("big.test.")...)
	ofOpen, ofBig := newDownstream(t), newDownstream(t)
	port := unusedPort(t)
	addr := "127.0.0.1:" + port
	runCoreDNS(t, fmt.Sprintf(`open.test:%[1]s {
		secondaryplus {
			primary %[2]s
		}
		transfer {
			to %[3]s
		}
	}
	.:%[1]s {
		secondaryplus big.test {
			primary %[4]s
		}
		transfer {
			to %[5]s
		}
	}`, port, open.Addr(), ofOpen.addr, big.Addr(), ofBig.addr))
	waitServed(t, addr, "open.test.", 7)
	waitServed(t, addr, "big.test.", 7)
	wait(t, "NOTIFY of the first versions", func() bool { return len(ofOpen.zones()) > 0 && len(ofBig.zones()) > 0 })

	// One zone after the other is told: behind the second NOTIFY of big.test. no other of open.test. is under way.
	for _, z := range []struct {
		name  string
		p     *primaryOf
		hears *downstream
	}{{"open.test.", open, ofOpen}, {"big.test.", big, ofBig}} {
		before := len(z.hears.zones())
		records := zoneOf(z.name)
		records[0] = strings.Replace(records[0], " 7 ", " 8 ", 1)
		z.p.serve(records...)
		if r := exchange(t, "udp", addr, new(dns.Msg).SetNotify(z.name)); r.Rcode != dns.RcodeSuccess {
			t.Fatalf("NOTIFY of %s: %v", z.name, r)
		}
		wait(t, "NOTIFY of the second version of "+z.name, func() bool { return len(z.hears.zones()) > before })
	}
	for _, c := range []struct {
		d    *downstream
		only string
	}{{ofOpen, "open.test."}, {ofBig, "big.test."}} {
		for _, zone := range c.d.zones() {
			if zone != c.only {
				t.Errorf("The secondary of %s is told of %s", c.only, zone)
			}
		}
	}
}

// Who is notified is the transfer plugin's own affair; the API tells how many, and refuses where there is nobody.
func TestSecondariesAreThoseOfTheTransferPlugin(t *testing.T) {
	for _, c := range []struct {
		transfer string
		want     int
	}{
		{"", 0},
		{"transfer {\nto *\n}", 0},
		{"transfer {\nto * 127.0.0.1:1 127.0.0.2:1\n}", 2},
		{"transfer example.org {\nto 127.0.0.1:1\n}\ntransfer {\nto 127.0.0.1:1 127.0.0.2:1 127.0.0.3:1\n}", 1},
		{"transfer other.test {\nto 127.0.0.1:1\n}", 0},
	} {
		t.Run(fmt.Sprint(c.want), func(t *testing.T) {
			p := newPrimaryOf(t, exampleOrg...)
			port := unusedPort(t)
			runCoreDNS(t, "example.org:"+port+" {\nsecondaryplus {\nprimary "+p.Addr().String()+"\n}\n"+c.transfer+"\n}")
			waitServed(t, "127.0.0.1:"+port, "example.org.", 7)
			e := engineNow()
			id, err := e.Find("example.org.", "")
			if err != nil {
				t.Fatal(err)
			}
			d, err := e.Detail(id)
			if err != nil || d.Secondaries != c.want {
				t.Errorf("%q: %d secondaries, error %v; want %d", c.transfer, d.Secondaries, err, c.want)
			}
			if _, err := e.Renotify(id); errors.Is(err, engine.ErrNobody) != (c.want == 0) {
				t.Errorf("%q: error %v", c.transfer, err)
			}
		})
	}
}

// A version that is published before its zone is handed out, as the first one may be, waits for that.
func TestNotifyWaitsForTheZoneToBeHandedOut(t *testing.T) {
	h := newHandler(t, "example.org", "", exampleOrg...)
	table, z := h.zones.Load(), h.zone("example.org.").Zone
	h.instance.mu.Lock() // as while an instance starts, or takes over a zones file
	h.zones.Store(&zoneTable{})
	answer := make(chan bool, 1)
	go func() { answer <- h.answersFor(z) }()
	select {
	case <-answer:
		t.Error("The answer does not wait")
		answer <- true
	case <-time.After(50 * time.Millisecond):
	}
	h.zones.Store(table)
	h.instance.mu.Unlock()
	if !<-answer {
		t.Error("The zone is not found")
	}
	if other := newHandler(t, "example.org", "variant other", exampleOrg...); h.answersFor(other.zone("example.org.").Zone) {
		t.Error("Answers for a zone of another server block")
	}
}
