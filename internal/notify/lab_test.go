package notify_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/notify"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// epoch is when every script starts.
var epoch = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// key is a TSIG key of tests.
func key(t testing.TB, name string) *xfr.Key {
	t.Helper()
	k, err := xfr.NewKey(name, "hmac-sha256", "c2VjcmV0IG9mIHRlc3RzLCAzMiBvY3RldHMgbG9uZyE=")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// version returns what is told of a version of a zone.
func version(n uint32) notify.Version {
	soa := []byte("\x02ns\x00\x04root\x00")
	for _, field := range []uint32{n, 3600, 600, 86400, 300} {
		soa = binary.BigEndian.AppendUint32(soa, field)
	}
	return notify.Version{Serial: serial.New(n), SOA: soa, TTL: 300}
}

// name returns a name in wire form.
func name(t testing.TB, s string) wire.Name {
	t.Helper()
	n, err := wire.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// counter returns a source of message IDs that can be foreseen.
func counter() func() uint16 {
	n := uint16(0)
	return func() uint16 { n++; return n }
}

// told is what a NOTIFY tells.
type told struct {
	zone   string
	serial uint32
}

// parse returns what a NOTIFY tells, and checks its form (RFC 1996 §3.7).
func parse(t testing.TB, octets []byte) told {
	t.Helper()
	var msg dns.Msg
	if err := msg.Unpack(octets); err != nil {
		t.Fatalf("%x: %v", octets, err)
	}
	if msg.Opcode != dns.OpcodeNotify || !msg.Authoritative || msg.Response || len(msg.Question) != 1 || len(msg.Answer) != 1 {
		t.Fatalf("Message %v", msg)
	}
	soa, ok := msg.Answer[0].(*dns.SOA)
	if q := msg.Question[0]; !ok || q.Qtype != dns.TypeSOA || q.Qclass != dns.ClassINET || soa.Hdr.Name != q.Name {
		t.Fatalf("Message %v", msg)
	}
	return told{msg.Question[0].Name, soa.Serial}
}

// reply returns an answer to a NOTIFY.
func reply(t testing.TB, octets []byte, rcode int) []byte {
	t.Helper()
	var msg dns.Msg
	if err := msg.Unpack(octets); err != nil {
		t.Fatal(err)
	}
	answer, err := new(dns.Msg).SetRcode(&msg, rcode).Pack()
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// world is a machine, its peers and the time. It belongs to one test.
type world struct {
	t   testing.TB
	m   *notify.Machine
	now time.Time
	// answers, the default; silent; unsendable; ignores:PATTERN: of zones; tcp, udp: over that alone; an RCODE
	modes map[netip.AddrPort]string
	delay time.Duration // until an answer is there
	zones map[string]notify.Zone
	saved map[string][]byte
	at    map[string]uint32 // serials that are served
	count map[notify.Result]int

	coming []coming // in the order of their times
	out    strings.Builder
	quiet  bool // of what is sent, only how much
	mute   bool // nothing of reports
	sent   int
	told   func(to netip.AddrPort, zone string, n uint32) // a message is sent
	acked  func(zone string)                              // an acknowledgement has arrived
}

// coming is an answer that is under way, or the end of a conversation.
type coming struct {
	at     time.Time
	id     notify.FlightID
	octets []byte // nil for the end of a conversation
}

func newWorld(t testing.TB) *world {
	w := &world{
		t: t, now: epoch, modes: map[netip.AddrPort]string{}, zones: map[string]notify.Zone{}, saved: map[string][]byte{},
		at: map[string]uint32{}, count: map[notify.Result]int{}, delay: 10 * time.Millisecond,
	}
	w.start()
	return w
}

// start makes a machine that knows what was saved.
func (w *world) start() {
	w.m, w.coming = notify.NewMachine(counter(), func(r notify.Result) { w.count[r]++ }), nil
	for id, z := range w.zones {
		w.m.Configure(w.now, id, z)
	}
}

// servedAll has the machine know of what is served.
func (w *world) servedAll() {
	for _, id := range sorted(w.at) {
		w.publish(id, false)
	}
	w.drain()
}

// publish has the machine know of what is served of a zone.
func (w *world) publish(id string, again bool) {
	w.m.Remember(id, w.saved[id])
	w.m.Publish(w.now, id, version(w.at[id]), again)
}

func sorted[V any](m map[string]V) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// advance lets time pass.
func (w *world) advance(d time.Duration) {
	end := w.now.Add(d)
	for steps := 0; ; steps++ {
		if steps > 1_000_000 {
			w.t.Fatalf("At %s the machine wants to be called over and over", w.now.Sub(epoch))
		}
		w.drain()
		at := w.m.NextAt()
		if len(w.coming) > 0 && (at.IsZero() || !w.coming[0].at.After(at)) {
			c := w.coming[0]
			if c.at.After(end) {
				break
			}
			w.coming = w.coming[1:]
			w.now = later(w.now, c.at)
			w.arrive(c)
			continue
		}
		if at.IsZero() || at.After(end) {
			break
		}
		w.now = later(w.now, at)
	}
	w.now = end
	w.drain()
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// arrive has what was under way arrive.
func (w *world) arrive(c coming) {
	if c.octets == nil {
		w.m.TCPEnded(w.now, c.id)
	} else if zone := w.m.Receive(w.now, c.id, c.octets); zone != "" {
		w.saved[zone] = w.m.Told(zone)
		if w.acked != nil {
			w.acked(zone)
		}
	}
	w.reports()
}

// reports writes out what people are told.
func (w *world) reports() {
	reports, more := w.m.Reports()
	if w.mute {
		return
	}
	for _, r := range reports {
		fmt.Fprintf(&w.out, "%s report: %s %s %s", w.since(), r.Zone, r.To, r.Result)
		if r.Result == notify.Refused {
			fmt.Fprintf(&w.out, " %s", dns.RcodeToString[r.Rcode])
		}
		if r.Failure != "" {
			fmt.Fprintf(&w.out, " (%s)", r.Failure)
		}
		if r.Cause != "" {
			fmt.Fprintf(&w.out, " (%s)", r.Cause)
		}
		if r.All {
			w.out.WriteString(", and all else there")
		}
		w.out.WriteString("\n")
	}
	if more > 0 {
		fmt.Fprintf(&w.out, "%s %d reports more\n", w.since(), more)
	}
}

func (w *world) since() time.Duration { return w.now.Sub(epoch).Round(time.Millisecond) }

// drain has the machine send what it has to send now.
func (w *world) drain() {
	for msg := w.m.Next(w.now); msg != nil; msg = w.m.Next(w.now) {
		w.transmit(msg)
	}
	w.reports()
}

// transmit sends one message.
func (w *world) transmit(msg *notify.Message) {
	what := parse(w.t, msg.Octets)
	w.sent++
	over := "udp"
	if msg.TCP {
		over = "tcp"
	}
	if !w.quiet {
		fmt.Fprintf(&w.out, "%s %s %s %s %d\n", w.since(), over, msg.To, what.zone, what.serial)
	}
	if w.told != nil {
		w.told(msg.To, what.zone, what.serial)
	}
	mode := w.modes[msg.To]
	rcode := dns.RcodeSuccess
	if ignored, some := strings.CutPrefix(mode, "ignores:"); some {
		mode = "answers"
		if matches, err := path.Match(ignored, what.zone); err != nil || matches {
			mode = "silent"
		}
	}
	switch mode {
	case "", "answers":
	case "unsendable":
		w.m.Unsent(w.now, msg.FlightID, errors.New("no route"))
		return
	case "tcp":
		if !msg.TCP {
			return
		}
	case "udp":
		if msg.TCP {
			w.come(coming{w.now.Add(w.delay), msg.FlightID, nil})
			return
		}
	case "silent":
		if msg.TCP {
			w.come(coming{w.now.Add(5 * time.Second), msg.FlightID, nil})
		}
		return
	default:
		if _, err := fmt.Sscan(mode, &rcode); err != nil {
			w.t.Fatalf("Mode %q", mode)
		}
	}
	w.come(coming{w.now.Add(w.delay), msg.FlightID, reply(w.t, msg.Octets, rcode)})
	if msg.TCP {
		w.come(coming{w.now.Add(w.delay), msg.FlightID, nil})
	}
}

func (w *world) come(c coming) {
	w.coming = append(w.coming, c)
	slices.SortStableFunc(w.coming, func(a, b coming) int { return a.at.Compare(b.at) })
}
