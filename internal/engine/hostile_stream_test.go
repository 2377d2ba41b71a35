package engine_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// shortPeriods returns limits of time that a test can wait for.
func shortPeriods() xfr.Limits {
	l := xfr.DefaultLimits()
	l.Idle, l.RatePeriod = 5*time.Second, 300*time.Millisecond
	return l
}

// sleep waits and reports whether the primary still runs.
func sleep(w *dnstest.Writer, d time.Duration) bool {
	select {
	case <-w.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// drip sends b octet by octet, again and again.
func drip(w *dnstest.Writer, b []byte) {
	for i := 0; w.Octets(b[i%len(b):i%len(b)+1]) && sleep(w, 10*time.Millisecond); i++ {
	}
}

// HP3: an octet now and then keeps no transfer alive.
func TestDrippingPrimaryIsGivenUp(t *testing.T) {
	wantNothingLeft(t)
	withstandsWithin(t, besiegeWithin(t, shortPeriods(), nil, nil), &hostility{
		script: spoiling(example, 2, func(r dnstest.Request, w *dnstest.Writer) { drip(w, dnstest.Pack(r.Reply(after()...))) }),
		reason: "too_slow", log: "expected are 10240 or more", metric: transfersCounted("too_slow"),
	})
}

// HP1: a primary that keeps to every other limit is let go in the end.
func TestTransferHasATotalTime(t *testing.T) {
	wantNothingLeft(t)
	limits := xfr.DefaultLimits()
	limits.Total = 500 * time.Millisecond
	withstandsWithin(t, besiegeWithin(t, limits, nil, nil), &hostility{
		script: spoiling(example, 2, func(r dnstest.Request, w *dnstest.Writer) {
			w.Send(r.Reply(version(example, 2)...))
			for i := 0; sleep(w, 10*time.Millisecond); i++ {
				w.Send(r.Reply(fmt.Sprintf("h%d.example. 60 IN A 192.0.2.1", i)))
			}
		}),
		reason: "too_slow", log: "takes longer than 500ms", metric: transfersCounted("too_slow"),
	})
}

// HP6: the SOA again, and records behind it in the same message (RFC 5936 §2.2).
func TestAnswerThatGoesOnBehindItsSOAIsRefused(t *testing.T) {
	wantNothingLeft(t)
	withstands(t, &hostility{
		script: spoiling(example, 2, answering(append(after(), "more.example. 60 IN A 192.0.2.1", soa(example, 2))...)),
		reason: "bad_response", log: "behind its closing SOA", metric: transfersCounted("bad_response"),
	})
}

// HP6: the same in messages of their own. The answer is whole when its SOA has come, and nobody can tell that more was to
// follow; what comes behind it must not be taken for the answer to the next transfer on that connection.
func TestSOAInTheMiddleSpoilsNoOtherTransfer(t *testing.T) {
	wantNothingLeft(t)
	s := besiege(t, nil, nil)
	s.attacker.play(spoiling(example, 2, func(r dnstest.Request, w *dnstest.Writer) {
		w.Send(r.Reply(after()...))
		for i := range 20 {
			w.Send(r.Reply(fmt.Sprintf("late%d.example. 60 IN A 192.0.2.1", i), soa(example, 2)))
		}
	}))
	s.notify()
	s.serves(s.zone, 2)
	s.bystanderFollows(2)
	for serial := uint32(3); serial < 5; serial++ {
		s.attacker.play(serve(example, serial))
		s.notify()
		s.serves(s.zone, serial)
		if n := s.zone.Contents().Records(); n != len(version(example, serial)) {
			t.Errorf("%d records of serial %d; want %d", n, serial, len(version(example, serial)))
		}
	}
}

// HP20: messages that are no answers to what was asked (RFC 5936 §2.2.1).
func TestWrongHeadersAreRefused(t *testing.T) {
	changed := func(change func(*dns.Msg)) dnstest.Handler {
		return spoiling(example, 2, func(r dnstest.Request, w *dnstest.Writer) {
			m := r.Reply(after()...)
			change(m)
			w.Send(m)
		})
	}
	refused := func(name, log string, change func(*dns.Msg)) hostility {
		return hostility{name: name, script: changed(change), reason: "bad_response", log: log, metric: transfersCounted("bad_response")}
	}
	second := func(change func(*dns.Msg)) dnstest.Handler {
		return spoiling(example, 2, func(r dnstest.Request, w *dnstest.Writer) {
			m := r.Reply(soa(example, 2))
			change(m)
			w.Send(r.Reply(version(example, 2)...), m)
		})
	}
	withstandsAll(t, []hostility{
		refused("question of another name", "is to the question", func(m *dns.Msg) { m.Question[0].Name = "other.test." }),
		refused("question of another type", "is to the question", func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeSOA }),
		refused("question of another class", "is to the question", func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }),
		refused("two questions", "repeats 2 questions", func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }),
		refused("query", "QR is not set", func(m *dns.Msg) { m.Response = false }),
		refused("opcode", "opcode 4", func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }),
		{
			name: "RCODE in a later message", script: second(func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure }),
			reason: "servfail", log: "SERVFAIL", metric: transfersCounted("servfail"),
		},
		{
			name: "ID in a later message", script: second(func(m *dns.Msg) { m.Id++ }),
			reason: "bad_response", log: "message ID", metric: transfersCounted("bad_response"),
		},
	})
}

// HP20: AA, TC and the like say nothing in a transfer (RFC 5936 §2.2.1), and the question may be absent.
func TestFlagsWithoutMeaningAreOverlooked(t *testing.T) {
	together(t, map[string]func(*dns.Msg){
		"no AA": func(m *dns.Msg) { m.Authoritative = false },
		"TC":    func(m *dns.Msg) { m.Truncated = true },
		"RA AD CD Z": func(m *dns.Msg) {
			m.RecursionAvailable, m.AuthenticatedData, m.CheckingDisabled, m.Zero = true, true, true, true
		},
		"no question": func(m *dns.Msg) { m.Question = nil },
	}, func(t *testing.T, change func(*dns.Msg)) {
		s := besiege(t, nil, nil)
		s.attacker.play(spoiling(example, 2, func(r dnstest.Request, w *dnstest.Writer) {
			m := r.Reply(after()...)
			change(m)
			w.Send(m)
		}))
		s.notify()
		s.serves(s.zone, 2)
		s.eventually("the link Normal", func() bool { return s.link(example, 0).State == refresh.Normal })
	})
}

// HP20: what BIND and NSD both take: octets behind the last record, and later messages without QR; with TSIG and without.
func TestSloppyMessagesAreTaken(t *testing.T) {
	together(t, map[string]*xfr.Key{"unsigned": nil, "signed": newKey(t, keyName, secret)}, func(t *testing.T, key *xfr.Key) {
		s := besiege(t, key, nil)
		s.attacker.play(spoiling(example, 2, func(r dnstest.Request, w *dnstest.Writer) {
			sign := func(m []byte) []byte { return m }
			if key != nil {
				sign = r.Signer(secret).Sign
			}
			for i, records := range [][]string{version(example, 2), {soa(example, 2)}} {
				m := r.Reply(records...)
				m.Response = i == 0
				w.SendRaw(append(sign(dnstest.Pack(m)), 0, 0, 250, 0xFF))
			}
		}))
		s.notify()
		s.serves(s.zone, 2)
		s.eventually("the link Normal", func() bool { return s.link(example, 0).State == refresh.Normal })
	})
}

// HP21: messages that say nothing.
func TestEmptyMessagesAreRefused(t *testing.T) {
	withstandsAll(t, []hostility{
		{
			name: "first", script: spoiling(example, 2, func(r dnstest.Request, w *dnstest.Writer) { w.Send(r.Reply(), r.Reply(after()...)) }),
			reason: "no_soa", log: "first message of the answer is empty", metric: transfersCounted("no_soa"),
		},
		{
			name: "without end", script: spoiling(example, 2, func(r dnstest.Request, w *dnstest.Writer) {
				w.Send(r.Reply(version(example, 2)...))
				for empty := dnstest.Pack(r.Reply()); w.SendRaw(empty); {
				}
			}),
			reason: "bad_response", log: "more than 100 messages of the answer are empty", metric: transfersCounted("bad_response"),
		},
		{
			name: "of no octets", script: spoiling(example, 2, func(_ dnstest.Request, w *dnstest.Writer) {
				for w.Octets([]byte{0, 0}) {
				}
			}),
			reason: "malformed", log: "cannot be read", metric: transfersCounted("malformed"),
		},
		{
			name: "that claim records", script: messages(func(r dnstest.Request) [][]byte {
				m := dnstest.Pack(r.Reply(version(example, 2)...))
				binary.BigEndian.PutUint16(m[6:], 1<<16-1)
				return [][]byte{m}
			}),
			reason: "malformed", log: "cannot be read", metric: transfersCounted("malformed"),
		},
	})
}

// HP21: RFC 5936 §2.2: a record in each message is tiresome but right.
func TestOneRecordAMessageIsTaken(t *testing.T) {
	wantNothingLeft(t)
	s := besiege(t, nil, nil)
	const records = 9_000
	s.attacker.play(spoiling(example, 2, func(r dnstest.Request, w *dnstest.Writer) {
		all := version(example, 2)
		for i := range records - len(all) {
			all = append(all, fmt.Sprintf("h%d.example. 60 IN A 192.0.2.1", i))
		}
		for _, record := range append(all, all[0]) {
			if !w.SendRaw(dnstest.Pack(r.Reply(record))) {
				return
			}
		}
	}))
	begin := time.Now()
	s.notify()
	s.bystanderFollows(2)
	s.serves(s.zone, 2)
	if took := time.Since(begin); took > soon {
		t.Errorf("%d records took %s; want less than %s", records, took, soon)
	}
	if n := s.zone.Contents().Records(); n != records {
		t.Errorf("%d records; want %d", n, records)
	}
}

// HP22: names that cannot be expanded (RFC 1035 §4.1.4), in messages that cannot be read on behind them.
func TestBrokenCompressionIsRefused(t *testing.T) {
	const question = 12 // offset of the name there
	at := 12 + 9 + 4    // offset of the first record
	fixed := []byte{0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1}
	owner := func(name string, octets ...byte) hostility {
		return hostility{
			name: name, reason: "malformed", log: "cannot be read", metric: transfersCounted("malformed"),
			script: messages(func(r dnstest.Request) [][]byte {
				opening := dnstest.Pack(r.Reply(version(example, 2)...))
				return [][]byte{opening, response(r, 1, append(octets, fixed...)), dnstest.Pack(r.Reply(soa(example, 2)))}
			}),
		}
	}
	var long []byte // four labels of 63 octets and the zone's name
	for range 4 {
		long = append(append(long, 63), make([]byte, 63)...)
	}
	withstandsAll(t, []hostility{
		owner("pointer to itself", 0xC0, byte(at)),
		owner("pointer forward", 0xC0, byte(at+20)),
		owner("pointer past the end", 0xFF, 0xFF),
		owner("loop of a label and a pointer", 1, 'a', 0xC0, byte(at)),
		owner("label type 01", 0x41, 0),
		owner("label type 10", 0x81, 0),
		owner("more than 255 octets", append(long, 0xC0, question)...),
		owner("label past the end", 63),
	})
}
