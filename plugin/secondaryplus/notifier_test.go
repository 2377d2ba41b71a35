package secondaryplus

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coredns/caddy"
	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
)

// downstream is a secondary of our own that keeps what it is told. It is safe for concurrent use.
type downstream struct {
	addr string
	mu   sync.Mutex
	told []heard // guarded by mu
}

// heard is what a NOTIFY told: a zone, its serial, and the key that has signed it rightly, empty for none. It is a plain value.
type heard struct {
	zone   string
	serial uint32
	key    string
}

// newDownstream returns a downstream that answers NOTIFY until the test ends, signed where it is.
func newDownstream(t *testing.T) *downstream {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &downstream{addr: conn.LocalAddr().String()}
	started := make(chan struct{})
	server := &dns.Server{PacketConn: conn, NotifyStartedFunc: func() { close(started) }, TsigSecret: map[string]string{"down.": testSecret}}
	server.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		h, answer := heard{zone: r.Question[0].Name}, new(dns.Msg).SetReply(r)
		if len(r.Answer) == 1 {
			h.serial = r.Answer[0].(*dns.SOA).Serial
		}
		if sig := r.IsTsig(); sig != nil && w.TsigStatus() == nil {
			h.key = sig.Hdr.Name
			answer.SetTsig(h.key, dns.HmacSHA256, 300, time.Now().Unix())
		}
		d.mu.Lock()
		d.told = append(d.told, h)
		d.mu.Unlock()
		_ = w.WriteMsg(answer)
	})
	go func() { _ = server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { _ = server.Shutdown() })
	return d
}

// all returns what it was told so far.
func (d *downstream) all() []heard {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.told)
}

// hears waits for a NOTIFY, however often it has come.
func (d *downstream) hears(t *testing.T, want heard) {
	t.Helper()
	wait(t, fmt.Sprintf("NOTIFY of %v", want), func() bool { return slices.Contains(d.all(), want) })
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
	ofOpen.hears(t, heard{"open.test.", 7, ""})
	ofBig.hears(t, heard{"big.test.", 7, ""})
	for _, z := range []struct {
		name  string
		p     *primaryOf
		hears *downstream
	}{{"open.test.", open, ofOpen}, {"big.test.", big, ofBig}} {
		z.p.next(t, addr, z.name, 8)
		z.hears.hears(t, heard{z.name, 8, ""})
	}
	for _, c := range []struct {
		d    *downstream
		only string
	}{{ofOpen, "open.test."}, {ofBig, "big.test."}} {
		for _, h := range c.d.all() {
			if h.zone != c.only {
				t.Errorf("The secondary of %s is told of %v", c.only, h)
			}
		}
	}
}

// next serves the next version of a zone of zoneOf, and tells the server at addr of it.
func (p *primaryOf) next(t *testing.T, addr, zone string, serial uint32) {
	t.Helper()
	records := zoneOf(zone)
	records[0] = strings.Replace(records[0], " 7 ", fmt.Sprintf(" %d ", serial), 1)
	p.serve(records...)
	if r := exchange(t, "udp", addr, new(dns.Msg).SetNotify(zone)); r.Rcode != dns.RcodeSuccess {
		t.Fatalf("NOTIFY of %s: %v", zone, r)
	}
}

// Secondaries that the Corefile names are told over a reload only if they are new, with the key of their line, and of both server blocks
// that share the zone.
func TestNotifyGoesToWhomTheCorefileNames(t *testing.T) {
	wantNothingLeft(t)
	p := newPrimaryOf(t, zoneOf("a.test.")...)
	plain, signed, other, added := newDownstream(t), newDownstream(t), newDownstream(t), newDownstream(t)
	port, second := unusedPort(t), unusedPort(t)
	addr := "127.0.0.1:" + port
	text := func(more string) string {
		return fmt.Sprintf(`a.test:%[1]s {
			secondaryplus {
				primary %[2]s
				key down hmac-sha256 %[3]s
				notify %[4]s %[2]s
				notify %[5]s key down source 127.0.0.1
			}
			transfer {
				to %[7]s
			}
		}
		a.test:%[8]s {
			secondaryplus {
				primary %[2]s
				notify %[6]s %[4]s %[9]s
			}
		}`, port, p.Addr(), testSecret, plain.addr, signed.addr, other.addr, newDownstream(t).addr, second, more)
	}
	running := begin(t, text(""))
	waitServed(t, addr, "a.test.", 7)
	waitServed(t, "127.0.0.1:"+second, "a.test.", 7) // CoreDNS does not stop a server that is about to begin
	plain.hears(t, heard{"a.test.", 7, ""})
	signed.hears(t, heard{"a.test.", 7, "down."})
	other.hears(t, heard{"a.test.", 7, ""})
	e := engineNow()
	if n := len(e.Below(engine.ZoneID{Name: "a.test."})); n != 3 {
		t.Errorf("%d secondaries; want 3", n)
	}
	wait(t, "acknowledgements", func() bool { return acknowledged("a.test.", 7) == 3 })

	if err := restart(t, running, text(added.addr)); err != nil {
		t.Fatal(err)
	}
	added.hears(t, heard{"a.test.", 7, ""})
	waitServed(t, "127.0.0.1:"+second, "a.test.", 7)
	p.next(t, addr, "a.test.", 8)
	for _, d := range []*downstream{plain, other, added} {
		d.hears(t, heard{"a.test.", 8, ""})
		if n := len(d.all()); n != 2 {
			t.Errorf("%d NOTIFYs: %v; want one for each version", n, d.all())
		}
	}
	wait(t, "acknowledgements", func() bool { return acknowledged("a.test.", 8) == 4 })
	if _, err := e.Renotify(engine.ZoneID{Name: "a.test."}); err != nil {
		t.Fatal(err)
	}
	wait(t, "NOTIFY on order", func() bool { return len(signed.all()) == 3 && len(plain.all()) == 3 })
}

// What a secondary has acknowledged it is not told of again after a restart; another that is there then is, and so is the version
// that comes next.
func TestNotifyGoesOnAfterARestart(t *testing.T) {
	p := newPrimaryOf(t, zoneOf("a.test.")...)
	known, added := newDownstream(t), newDownstream(t)
	port, file := unusedPort(t), filepath.Join(t.TempDir(), "zones.db")
	text := func(more string) string {
		return fmt.Sprintf("a.test:%s {\nsecondaryplus {\nprimary %s\nstore %s\nnotify %s %s\n}\n}", port, p.Addr(), file, known.addr, more)
	}
	first, err := caddy.Start(input(text("")))
	if err != nil {
		t.Fatal(err)
	}
	known.hears(t, heard{"a.test.", 7, ""})
	wait(t, "acknowledgement", func() bool { return acknowledged("a.test.", 7) == 1 })
	stopCoreDNS(t, first)
	runCoreDNS(t, text(added.addr))
	added.hears(t, heard{"a.test.", 7, ""})
	waitServed(t, "127.0.0.1:"+port, "a.test.", 7)
	p.next(t, "127.0.0.1:"+port, "a.test.", 8)
	known.hears(t, heard{"a.test.", 8, ""})
	if n := len(known.all()); n != 2 {
		t.Errorf("NOTIFYs %v; want one for each version", known.all())
	}
}

// acknowledged returns how many secondaries have acknowledged a version.
func acknowledged(zone string, serial uint32) (n int) {
	for _, o := range engineNow().Below(engine.ZoneID{Name: zone}) {
		if o.Told != nil && o.Told.HasTold && o.Told.Told.Uint32() == serial {
			n++
		}
	}
	return n
}

// Two blocks that share a zone say the same of a secondary that both have.
func TestSecondariesThatDifferAreRefused(t *testing.T) {
	for first, second := range map[string]string{
		"notify 192.0.2.7":                  "notify 192.0.2.7 source 192.0.2.2",
		"notify 192.0.2.7\nnotify_delay 5s": "notify 192.0.2.7",
	} {
		text := fmt.Sprintf("a.test:%s {\nsecondaryplus {\nprimary 127.0.0.1:1\n%s\n}\n}\na.test:%s {\nsecondaryplus {\nprimary 127.0.0.1:1\n%s\n}\n}",
			unusedPort(t), first, unusedPort(t), second)
		_, err := caddy.Start(caddy.CaddyfileInput{Contents: []byte(text), Filepath: "Corefile", ServerTypeName: "dns"})
		const want = "Corefile:2 - Error during parsing: zone a.test.: notify 192.0.2.7:53 has another key, source or notify_delay elsewhere"
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nerror %v; want %s", text, err, want)
		}
	}
}

// Where no notify line is, those are notified that the transfer plugin has; the API tells how many, and refuses where there is nobody.
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
			if n := len(e.Below(id)); n != c.want {
				t.Errorf("%q: %d secondaries; want %d", c.transfer, n, c.want)
			}
			if _, err := e.Renotify(id); errors.Is(err, secondary.ErrNobody) != (c.want == 0) {
				t.Errorf("%q: error %v", c.transfer, err)
			}
		})
	}
}

// Who lists an address of the server block itself is told so, whether the block has bind or not.
func TestOwnAddressIsWarnedOf(t *testing.T) {
	lines := keepLog(t)
	p := newPrimaryOf(t, exampleOrg...)
	for _, bind := range []string{"", "bind 127.0.0.1"} {
		port := unusedPort(t)
		own := "127.0.0.1:" + port
		runCoreDNS(t, fmt.Sprintf("example.org:%s {\n%s\nsecondaryplus {\nprimary %s\nnotify %s 127.0.0.1:1 192.0.2.1:%s\n}\n}", port, bind, p.Addr(), own, port))
		if lines.line("notify "+own+" is an address of this server block itself") == "" {
			t.Errorf("%q: nobody is warned of %s", bind, own)
		}
		for _, other := range []string{"127.0.0.1:1", "192.0.2.1:" + port} {
			if l := lines.line("notify " + other + " is"); l != "" {
				t.Errorf("%q: logged: %s", bind, l)
			}
		}
	}
}
