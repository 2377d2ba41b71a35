package notify_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/notify"
	"github.com/secondaryplus/secondaryplus/internal/reason"
)

// patience is how long tests wait for what should come within milliseconds: the machine may be busy.
const patience = 30 * time.Second

// below is a secondary of ours on the loopback, which keeps what it is told. It is safe for concurrent use.
type below struct {
	addr netip.AddrPort
	told chan told
	deaf atomic.Bool
}

// newBelow returns a secondary that answers until the test ends.
func newBelow(t testing.TB) *below {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &below{addr: conn.LocalAddr().(*net.UDPAddr).AddrPort(), told: make(chan told, 1000)}
	var serving sync.WaitGroup
	serving.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if b.deaf.Load() {
				continue
			}
			_, _ = conn.WriteTo(reply(t, buf[:n], dns.RcodeSuccess), from)
			select {
			case b.told <- parse(t, buf[:n]):
			default:
			}
		}
	})
	t.Cleanup(func() {
		_ = conn.Close()
		serving.Wait()
	})
	return b
}

// hears waits for the next NOTIFY and fails unless it tells of a version.
func (b *below) hears(t testing.TB, zone string, serial uint32) {
	t.Helper()
	select {
	case got := <-b.told:
		if want := (told{zone, serial}); got != want {
			t.Fatalf("%s is told of %v; want %v", b.addr, got, want)
		}
	case <-time.After(patience):
		t.Fatalf("%s is not told of %s %d", b.addr, zone, serial)
	}
}

// hosted is a zone that has what it is given. It is safe for concurrent use.
type hosted struct {
	mu     sync.Mutex
	serial uint32 // 0 for none
	told   []byte
	saved  chan struct{}
}

func (h *hosted) Version() (notify.Version, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return version(h.serial), h.serial != 0
}

func (h *hosted) Told() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.told
}

func (h *hosted) SaveTold(told []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = told
	if h.saved != nil {
		h.saved <- struct{}{}
	}
}

func (h *hosted) serve(serial uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.serial = serial
}

// discard is a Logger.
type discard struct{}

func (discard) Infof(string, ...any)    {}
func (discard) Warningf(string, ...any) {}

// newSender returns a sender that ends with the test.
func newSender(t testing.TB, log notify.Logger) *notify.Sender {
	t.Helper()
	s := notify.NewSender(log, func(notify.Result) {})
	t.Cleanup(s.Close)
	return s
}

// tell is a configuration of one zone.
func tell(t testing.TB, id string, h *hosted, to ...netip.AddrPort) map[string]notify.ServedZone {
	z := notify.Zone{Origin: name(t, id)}
	for _, addr := range to {
		z.Targets = append(z.Targets, notify.Target{Addr: addr})
	}
	return map[string]notify.ServedZone{id: {Zone: z, Served: h}}
}

// What is served when the sender gets a zone is told, and each version that follows; after a restart nothing that was acknowledged.
func TestSenderTellsAndRemembers(t *testing.T) {
	t.Parallel()
	a, b := newBelow(t), newBelow(t)
	h := &hosted{serial: 7, saved: make(chan struct{}, 10)}
	first := newSender(t, discard{})
	first.Configure(tell(t, "a.test.", h, a.addr, b.addr))
	a.hears(t, "a.test.", 7)
	b.hears(t, "a.test.", 7)
	h.serve(8)
	first.Published("a.test.", false)
	a.hears(t, "a.test.", 8)
	b.hears(t, "a.test.", 8)
	for range 4 {
		<-h.saved
	}
	first.Close()

	c := newBelow(t)
	second := newSender(t, discard{})
	second.Configure(tell(t, "a.test.", h, a.addr, c.addr))
	c.hears(t, "a.test.", 8)
	<-h.saved
	second.Published("a.test.", true) // all of them, the next that a hears is this one
	a.hears(t, "a.test.", 8)
	c.hears(t, "a.test.", 8)
	if s := second.Status("a.test."); len(s) != 2 || s[0].Target.Addr != a.addr || !s[0].HasTold {
		t.Errorf("Status %+v", s)
	}
	if len(b.told) > 0 {
		t.Errorf("A target that has gone is told of %v", <-b.told)
	}
	second.Configure(nil)
	if s := second.Status("a.test."); s != nil {
		t.Errorf("Status of what has gone: %+v", s)
	}
}

// A message over TCP has its length before it, and brings the answer back.
func TestMessageOverTCP(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var skew atomic.Uint32 // of the ID in an answer
	server := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		answer := new(dns.Msg).SetReply(r)
		answer.Id += uint16(skew.Load())
		_ = w.WriteMsg(answer)
	}), MsgAcceptFunc: func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept }}
	started := make(chan struct{})
	server.NotifyStartedFunc = func() { close(started) }
	go func() { _ = server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { _ = server.Shutdown() })

	_, msg := only(t, nil)
	msg.To, msg.Source, msg.TCP = l.Addr().(*net.TCPAddr).AddrPort(), netip.MustParseAddr("127.0.0.1"), true
	s := newSender(t, discard{})
	answer, err := s.Exchange(msg)
	var m dns.Msg
	if err != nil || m.Unpack(answer) != nil || !m.Response || m.Id != msg.ID {
		t.Errorf("Answer %x, error %v", answer, err)
	}
	skew.Store(1)
	if answer, err := s.Exchange(msg); err == nil {
		t.Errorf("With another ID: answer %x", answer)
	}
}

// kept is a Logger that keeps what it is given. It is safe for concurrent use.
type kept struct{ lines chan string }

func (k kept) Infof(format string, v ...any)    { k.lines <- fmt.Sprintf(format, v...) }
func (k kept) Warningf(format string, v ...any) { k.lines <- fmt.Sprintf(format, v...) }

// A target that this host has no way to costs others nothing, and is said to be such once, whatever is sent to others meanwhile.
func TestTargetThatCannotBeReachedIsSaidSo(t *testing.T) {
	t.Parallel()
	a := newBelow(t)
	log := kept{make(chan string, 100)}
	s := newSender(t, log)
	const count = 20
	zones := map[string]notify.ServedZone{}
	for i := range count { // messages to one and to the other take turns
		id := fmt.Sprintf("%d.test.", i)
		z := tell(t, id, &hosted{serial: 7}, netip.MustParseAddrPort("192.0.2.1:53"), a.addr)[id]
		z.Targets[0].Source = netip.MustParseAddr("192.0.2.77") // not of this host
		zones[id] = z
	}
	s.Configure(zones)
	for range count {
		select {
		case <-a.told:
		case <-time.After(patience):
			t.Fatal("The target that can be reached is not told of all zones")
		}
	}
	select {
	case line := <-log.lines:
		if !strings.Contains(line, "to=192.0.2.1:53: this host cannot send: ") {
			t.Errorf("Said: %s", line)
		}
	case <-time.After(patience):
		t.Error("Nothing is said")
	}
	s.Close()
	if len(log.lines) > 0 {
		t.Errorf("Also said: %s", <-log.lines)
	}
}

// A line says what to do: a clock that is wrong is not mended by another key.
func TestLineSaysWhatIsWrongWithAnswers(t *testing.T) {
	t.Parallel()
	for why, want := range map[reason.Reason]string{
		"":                 "does not answer; ",
		reason.TSIGBadTime: "(tsig_bad_time): set the clocks of both sides right, by NTP; ",
		reason.TSIGMissing: "(tsig_missing): see whether the key is the same there; ",
	} {
		r := notify.Report{Zone: "a.test.", To: netip.MustParseAddrPort("192.0.2.1:53"), Result: notify.Unanswered, Failure: why}
		if !strings.Contains(r.String(), want) {
			t.Errorf("Said: %s; want %q in it", r, want)
		}
	}
}

// BenchmarkOneDeadAmongAHundred measures the time from a publication until the last of 100 living targets has heard of it, beside a
// dead one, which never delays them.
func BenchmarkOneDeadAmongAHundred(b *testing.B) {
	const living = 100
	h := &hosted{serial: 1}
	dead := newBelow(b)
	dead.deaf.Store(true)
	all := []netip.AddrPort{dead.addr}
	var heard sync.WaitGroup
	targets := make([]*below, living)
	for i := range targets {
		targets[i] = newBelow(b)
		all = append(all, targets[i].addr)
	}
	s := newSender(b, discard{})
	s.Configure(tell(b, "a.test.", h, all...))
	for _, x := range targets {
		x.hears(b, "a.test.", 1)
	}
	serial := uint32(1)
	for b.Loop() {
		b.StopTimer()
		time.Sleep(30 * time.Millisecond) // 5,000 messages a second are the rate
		serial++
		h.serve(serial)
		b.StartTimer()
		s.Published("a.test.", false)
		for _, x := range targets {
			heard.Go(func() { x.hears(b, "a.test.", serial) })
		}
		heard.Wait()
	}
}
