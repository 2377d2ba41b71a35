package notify_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/notify"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// only is a machine with one zone and one target, and the first message of it.
func only(t *testing.T, k *xfr.Key) (*world, *notify.Message) {
	t.Helper()
	w := newWorld(t)
	w.m.Configure(w.now, "a.test.", notify.Zone{
		Origin:  name(t, "a.test."),
		Targets: []notify.Target{{Addr: netip.MustParseAddrPort("192.0.2.1:53"), Key: k, Source: netip.MustParseAddr("192.0.2.9")}},
	})
	w.m.Publish(w.now, "a.test.", version(7), false)
	msg := w.m.Next(w.now)
	if msg == nil || w.m.Next(w.now) != nil {
		t.Fatalf("Message %v; want one", msg)
	}
	return w, msg
}

// RFC 1996 §3.7: question, AA, and the new SOA as a hint.
func TestMessageIsThatOfTheRFC(t *testing.T) {
	_, msg := only(t, nil)
	var m dns.Msg
	if err := m.Unpack(msg.Octets); err != nil {
		t.Fatal(err)
	}
	want := "a.test.\t300\tIN\tSOA\tns. root. 7 3600 600 86400 300"
	if m.Id != msg.ID || m.Opcode != dns.OpcodeNotify || !m.Authoritative || m.RecursionDesired || len(m.Extra) != 0 ||
		len(m.Answer) != 1 || m.Answer[0].String() != want {
		t.Errorf("Message:\n%v\nwant the answer %s", &m, want)
	}
}

// A SOA that would make the message longer than every server takes is left out.
func TestLongSOAIsLeftOut(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("a", 63) + "." + strings.Repeat(strings.Repeat("b", 62)+".", 3)
	w.m.Configure(w.now, "long", notify.Zone{Origin: name(t, long), Targets: []notify.Target{{Addr: netip.MustParseAddrPort("192.0.2.1:53")}}})
	v := version(7)
	v.SOA = append([]byte(name(t, long)), append([]byte(name(t, long)), v.SOA[len(v.SOA)-20:]...)...)
	w.m.Publish(w.now, "long", v, false)
	var m dns.Msg
	if err := m.Unpack(w.m.Next(w.now).Octets); err != nil || len(m.Answer) != 0 || m.Question[0].Name != long {
		t.Errorf("Error %v, message\n%v", err, &m)
	}
}

// An answer is matched by message ID, address and question (RFC 1996 §3.6); what does not match is nothing.
func TestOnlyTheAnswerCounts(t *testing.T) {
	change := func(f func(*dns.Msg)) func(*testing.T, *notify.Message) (notify.FlightID, []byte) {
		return func(t *testing.T, msg *notify.Message) (notify.FlightID, []byte) {
			var m dns.Msg
			if err := m.Unpack(msg.Octets); err != nil {
				t.Fatal(err)
			}
			answer := new(dns.Msg).SetReply(&m)
			f(answer)
			octets, err := answer.Pack()
			if err != nil {
				t.Fatal(err)
			}
			return msg.FlightID, octets
		}
	}
	from := func(f func(*notify.FlightID)) func(*testing.T, *notify.Message) (notify.FlightID, []byte) {
		return func(t *testing.T, msg *notify.Message) (notify.FlightID, []byte) {
			id := msg.FlightID
			f(&id)
			return id, reply(t, msg.Octets, dns.RcodeSuccess)
		}
	}
	for what, c := range map[string]struct {
		answer func(*testing.T, *notify.Message) (notify.FlightID, []byte)
		counts bool
	}{
		"the answer":      {change(func(*dns.Msg) {}), true},
		"in another case": {change(func(m *dns.Msg) { m.Question[0].Name = "A.tesT." }), true},
		"with the SOA": {change(func(m *dns.Msg) {
			m.Answer = []dns.RR{&dns.SOA{Hdr: dns.RR_Header{Name: "a.test.", Rrtype: dns.TypeSOA, Class: 1}}}
		}), true},
		"without the question": {change(func(m *dns.Msg) { m.Question, m.Rcode = nil, dns.RcodeNameError }), false},
		"another zone":         {change(func(m *dns.Msg) { m.Question[0].Name = "b.test." }), false},
		"another type":         {change(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeNS }), false},
		"another class":        {change(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }), false},
		"no question":          {change(func(m *dns.Msg) { m.Question = nil }), false},
		"two questions":        {change(func(m *dns.Msg) { m.Question = append(m.Question, m.Question...) }), false},
		"a request":            {change(func(m *dns.Msg) { m.Response = false }), false},
		"a query":              {change(func(m *dns.Msg) { m.Opcode = dns.OpcodeQuery }), false},
		"another ID":           {from(func(id *notify.FlightID) { id.ID++ }), false},
		"over TCP":             {from(func(id *notify.FlightID) { id.TCP = true }), false},
		"another port":         {from(func(id *notify.FlightID) { id.To = netip.MustParseAddrPort("192.0.2.1:54") }), false},
		"to another address":   {from(func(id *notify.FlightID) { id.Source = netip.Addr{} }), false},
		"cut off": {func(t *testing.T, msg *notify.Message) (notify.FlightID, []byte) {
			return msg.FlightID, reply(t, msg.Octets, dns.RcodeSuccess)[:20]
		}, false},
		"no header": {func(_ *testing.T, msg *notify.Message) (notify.FlightID, []byte) { return msg.FlightID, nil }, false},
	} {
		w, msg := only(t, nil)
		id, octets := c.answer(t, msg)
		if told := w.m.Receive(w.now, id, octets); (told != "") != c.counts {
			t.Errorf("%s: told %q, want %t", what, told, c.counts)
		}
		if w.m.Receive(w.now, id, octets) != "" {
			t.Errorf("%s: counts a second time", what)
		}
	}
}

// FORMERR and SERVFAIL may be another answer if the message is repeated, so that it takes three of them, to different messages, until
// they count as received (RFC 1996 §3.10). What comes over UDP without the question may be forged, and says only that the host lives.
func TestStumblesAreRepeated(t *testing.T) {
	for _, rcode := range []int{dns.RcodeFormatError, dns.RcodeServerFailure} {
		w, msg := only(t, nil)
		for i, d := range []time.Duration{0, time.Second, 2 * time.Second} {
			if w.now = w.now.Add(d); i > 0 {
				msg = w.m.Next(w.now)
			}
			if msg == nil {
				t.Fatalf("Not repeated after %s", w.since())
			}
			for range 2 {
				if told := w.m.Receive(w.now, msg.FlightID, reply(t, msg.Octets, rcode)); told != "" && i < 2 {
					t.Errorf("%s: told by answer %d", dns.RcodeToString[rcode], i)
				}
			}
		}
		if s := w.m.Status("a.test.")[0]; !s.HasTold || s.Rcode != rcode || s.Telling {
			t.Errorf("Status %+v", s)
		}
	}
	w, msg := only(t, nil)
	w.m.Receive(w.now, msg.FlightID, reply(t, msg.Octets, dns.RcodeServerFailure))
	if w.m.Receive(w.now, msg.FlightID, reply(t, msg.Octets, dns.RcodeSuccess)) == "" {
		t.Error("The right answer does not count after a wrong one")
	}
}

// Over TCP an answer may have no question: nobody can guess what belongs to a connection.
func TestAnswerOverTCPMayHaveNoQuestion(t *testing.T) {
	w, msg := only(t, nil)
	for !msg.TCP {
		w.now = w.m.NextAt()
		if msg = w.m.Next(w.now); msg == nil {
			t.Fatalf("No message at %s", w.since())
		}
	}
	answer := reply(t, msg.Octets, dns.RcodeFormatError)[:12]
	answer[5] = 0 // questions
	if w.m.Receive(w.now, msg.FlightID, answer) == "" {
		t.Error("It does not count")
	}
}

// With a key the message is signed with it, and the answer has to be (RFC 8945 §5.3): one that is not says nothing, whatever it says,
// and the message is repeated.
func TestSignedTargetsSignTheirAnswers(t *testing.T) {
	k := key(t, "down.")
	for what, c := range map[string]struct {
		rcode  int
		by     *xfr.Key
		skew   time.Duration
		counts bool
		why    string
	}{
		"signed":         {0, k, 0, true, ""},
		"signed REFUSED": {dns.RcodeRefused, k, 0, false, ""},
		"another key":    {0, key(t, "other."), 0, false, "tsig_bad_key"},
		"not signed":     {0, nil, 0, false, "tsig_missing"},
		"NOTAUTH":        {dns.RcodeNotAuth, nil, 0, false, "not_authoritative"},
		"another time":   {0, k, time.Hour, false, "tsig_bad_time"},
	} {
		w, msg := only(t, k)
		mac, err := xfr.VerifyRequest(msg.Octets, k, w.now)
		if err != nil {
			t.Fatal(err)
		}
		answer := reply(t, msg.Octets[:len(msg.Octets)], c.rcode)
		if c.by != nil {
			answer, _ = xfr.Sign(answer, c.by, mac, w.now.Add(c.skew))
		}
		if told := w.m.Receive(w.now, msg.FlightID, answer); (told != "") != c.counts {
			t.Errorf("%s: told %q, want %t", what, told, c.counts)
		}
		s := w.m.Status("a.test.")[0]
		if string(s.Failure) != c.why || (w.count[notify.BadAnswer] > 0) != (c.why != "") || (w.count[notify.Refused] > 0) != (what == "signed REFUSED") {
			t.Errorf("%s: %+v, results %v", what, s, w.count)
		}
		if c.why == "" {
			continue
		}
		w.quiet = true
		w.advance(time.Second)
		if w.sent != 1 {
			t.Errorf("%s: %d messages; want it repeated", what, w.sent)
		}
	}
}

// Answers whose signatures do not hold end the wait, for repeating does not help; one alone may be forged, and does not. The next
// version is told all the same.
func TestAnswersWrongSignedEndTheWait(t *testing.T) {
	w, msg := only(t, key(t, "down."))
	w.quiet = true
	wrong := func(*notify.Message) []byte { return reply(t, msg.Octets, dns.RcodeSuccess) }
	for range 3 { // all of them the answer to one message
		w.m.Receive(w.now, msg.FlightID, wrong(msg))
	}
	for _, d := range []time.Duration{time.Second, 2 * time.Second} {
		w.now = w.now.Add(d)
		msg = w.m.Next(w.now)
		if msg == nil {
			t.Fatalf("Not repeated after %s", w.since())
		}
		w.m.Receive(w.now, msg.FlightID, wrong(msg))
	}
	s := w.m.Status("a.test.")[0]
	if want := w.now.Add(notify.RestSpan); !s.NextAt.Equal(want) || s.Failure != "tsig_missing" || w.count[notify.Unanswered] != 1 {
		t.Errorf("Status %+v, results %v; want the next at %s", s, w.count, want)
	}
	if reports, _ := w.m.Reports(); len(reports) != 1 || reports[0].Result != notify.Unanswered || reports[0].All {
		t.Errorf("Reports %+v", reports)
	}
	w.m.Publish(w.now, "a.test.", version(8), false)
	if w.m.Next(w.now) == nil {
		t.Error("The next version is not told")
	}
}

// A message ID is that of one message to a target at a time.
func TestMessageIDsAreNotTwiceUnderWay(t *testing.T) {
	ids := []uint16{5, 5, 5, 6}
	m := notify.NewMachine(func() uint16 { id := ids[0]; ids = ids[1:]; return id }, func(notify.Result) {})
	for _, id := range []string{"a.test.", "b.test."} {
		m.Configure(epoch, id, notify.Zone{Origin: name(t, id), Targets: []notify.Target{{Addr: netip.MustParseAddrPort("192.0.2.1:53")}}})
		m.Publish(epoch, id, version(7), false)
	}
	if a, b := m.Next(epoch), m.Next(epoch); a.ID != 5 || b.ID != 6 {
		t.Errorf("IDs %d and %d; want 5 and 6", a.ID, b.ID)
	}
}

// There are so many connections at a time; who finds no room gets some later.
func TestConnectionsAreFew(t *testing.T) {
	const peers = 3 * notify.MaxTCP
	w := newWorld(t)
	w.quiet = true
	z := notify.Zone{Origin: name(t, "a.test.")}
	for i := range peers {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 53)
		z.Targets = append(z.Targets, notify.Target{Addr: addr})
		w.modes[addr] = "silent"
	}
	w.m.Configure(w.now, "a.test.", z)
	w.m.Publish(w.now, "a.test.", version(7), false)
	w.advance(36 * time.Second)
	if want := 6*peers + notify.MaxTCP; w.sent != want {
		t.Errorf("%d messages; want %d over UDP and %d over TCP", w.sent, 6*peers, notify.MaxTCP)
	}
	for range 30 {
		w.advance(time.Second)
		if wrong := w.m.Audit(); wrong != "" {
			t.Fatal(wrong)
		}
	}
	if w.sent != 7*peers || w.count[notify.Unanswered] != peers {
		t.Errorf("%d messages, results %v; want %d given up after 7 messages each", w.sent, w.count, peers)
	}
}
