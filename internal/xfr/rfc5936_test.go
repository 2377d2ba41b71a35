package xfr_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// §2.1: the query has opcode QUERY, QR 0, one question, no answer and no authority.
func TestAXFRQueryIsABareQuestion(t *testing.T) {
	var m dns.Msg
	if err := m.Unpack(xfr.Query{Origin: mustName(t, "Example."), ID: testID}.Message()); err != nil {
		t.Fatal(err)
	}
	q := dns.Question{Name: "Example.", Qtype: dns.TypeAXFR, Qclass: dns.ClassINET}
	if m.Response || m.Opcode != 0 || m.Id != testID || len(m.Question) != 1 || m.Question[0] != q {
		t.Errorf("query is %v", &m)
	}
	if len(m.Answer)+len(m.Ns) != 0 || len(m.Extra) != 1 || m.IsEdns0() == nil {
		t.Errorf("query holds records: %v", &m)
	}
}

// §2.2: the first message begins with the SOA of the zone, the last one ends with it.
func TestAXFROfOneMessage(t *testing.T) {
	axfr(t).says(soa(5), host("a", "192.0.2.1"), soa(5)).wantDone(xfr.AXFR,
		"begin AXFR example. SOA 5", "add example. SOA 5", "add a.example. A 192.0.2.1")
}

// §2.2: the client must accept any grouping, one record per message too.
func TestAXFROfOneRecordPerMessage(t *testing.T) {
	c := axfr(t).says(soa(5)).wantOpen().says(host("a", "192.0.2.1")).wantOpen().says(host("b", "192.0.2.2")).wantOpen().says(soa(5))
	c.wantDone(xfr.AXFR, "begin AXFR example. SOA 5", "add example. SOA 5", "add a.example. A 192.0.2.1", "add b.example. A 192.0.2.2")
	if c.x.Messages() != 4 || c.x.Records() != 4 {
		t.Errorf("%d messages, %d records; want 4, 4", c.x.Messages(), c.x.Records())
	}
}

// §2.2: the records may come in any order, and duplicates are no error; dropping them is the Receiver's part.
func TestAXFRPassesDuplicatesOn(t *testing.T) {
	axfr(t).says(soa(5), host("a", "192.0.2.1"), host("a", "192.0.2.1"), soa(5)).wantDone(xfr.AXFR,
		"begin AXFR example. SOA 5", "add example. SOA 5", "add a.example. A 192.0.2.1", "add a.example. A 192.0.2.1")
}

// §2.2: a zone may consist of nothing but its SOA.
func TestAXFROfALoneSOA(t *testing.T) {
	axfr(t).says(soa(5), soa(5)).wantDone(xfr.AXFR, "begin AXFR example. SOA 5", "add example. SOA 5")
}

// §2.2: the last SOA is the first one; names compare without case (RFC 4343).
func TestAXFREndsWithItsSOAInAnotherCase(t *testing.T) {
	last := strings.ReplaceAll(soa(5), "example", "EXAMPLE")
	axfr(t).says(soa(5), last).wantDone(xfr.AXFR, "begin AXFR example. SOA 5", "add example. SOA 5")
}

// §2.2.1: the message ID is that of the query in every message.
func TestAXFRWithAnotherIDFails(t *testing.T) {
	for _, at := range []string{"first", "later"} {
		t.Run(at, func(t *testing.T) {
			c := axfr(t)
			if at == "later" {
				c.says(soa(5)).wantOpen()
			}
			m := c.message(soa(5), soa(5))
			m.Id++
			c.raw(dnstest.Pack(m)).wantError(reason.BadResponse)
		})
	}
}

// §2.2.1: QR is 1 and the opcode is QUERY.
func TestAXFRAnswerThatIsNoneFails(t *testing.T) {
	for name, change := range map[string]func(*dns.Msg){
		"QR 0":          func(m *dns.Msg) { m.Response = false },
		"opcode NOTIFY": func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify },
	} {
		t.Run(name, func(t *testing.T) {
			c := axfr(t)
			m := c.message(soa(5), soa(5))
			change(m)
			c.raw(dnstest.Pack(m)).wantError(reason.BadResponse)
		})
	}
}

// §2.2.1 asks for QR in every message. In the first it tells an answer from a query; later on BIND and NSD do not look at it.
func TestQROfLaterMessagesIsIgnored(t *testing.T) {
	c := axfr(t)
	c.says(soa(5)).wantOpen()
	m := c.message(soa(5))
	m.Response = false
	c.raw(dnstest.Pack(m)).wantDone(xfr.AXFR, "begin AXFR example. SOA 5", "add example. SOA 5")

	c = axfr(t)
	c.says(soa(5)).wantOpen()
	m.Opcode = dns.OpcodeNotify
	c.raw(dnstest.Pack(m)).wantError(reason.BadResponse)
}

// Octets behind the last record are no records, whatever they look like: BIND and NSD pass over them.
func TestOctetsBehindTheLastRecordAreIgnored(t *testing.T) {
	record := dnstest.Pack(axfr(t).message(host("more", "192.0.2.9")))[12+9+4:]
	for name, rest := range map[string][]byte{
		"one octet": {0xFF}, "zeros": make([]byte, 100), "a record": record, "half a record": record[:7], "a pointer to itself": {0xC0, 12},
	} {
		for _, qtype := range []uint16{dns.TypeAXFR, dns.TypeIXFR} {
			c := axfr(t)
			if qtype == dns.TypeIXFR {
				c = ixfr(t, 3)
			}
			c.raw(append(dnstest.Pack(c.message(soa(5), host("a", "192.0.2.1"))), rest...)).wantOpen()
			c.raw(append(dnstest.Pack(c.message()), rest...)).wantOpen()
			c.raw(append(dnstest.Pack(c.message(soa(5))), rest...))
			c.wantDone(xfr.AXFR, "begin AXFR example. SOA 5", "add example. SOA 5", "add a.example. A 192.0.2.1")
			if t.Failed() {
				t.Fatalf("%s, %s", name, dns.TypeToString[qtype])
			}
		}
	}
}

// §2.2.1: AA, TC, RD, RA, AD and CD of the answer are ignored.
func TestAXFRIgnoresFlags(t *testing.T) {
	c := axfr(t)
	m := c.message(soa(5), soa(5))
	m.Authoritative, m.Truncated, m.RecursionDesired, m.RecursionAvailable = false, true, true, true
	m.AuthenticatedData, m.CheckingDisabled, m.Zero = true, true, true
	c.raw(dnstest.Pack(m)).wantDone(xfr.AXFR, "begin AXFR example. SOA 5", "add example. SOA 5")
}

// §2.2.1: an RCODE other than 0 ends the session as an error, in whichever message it comes.
func TestAXFRWithRcodeFails(t *testing.T) {
	for rcode, want := range map[int]reason.Reason{
		dns.RcodeFormatError: reason.FormatError, dns.RcodeServerFailure: reason.ServFail, dns.RcodeNotImplemented: reason.NotImplemented,
		dns.RcodeRefused: reason.Refused, dns.RcodeNotAuth: reason.NotAuthoritative, dns.RcodeNameError: reason.BadRcode, 14: reason.BadRcode,
	} {
		for _, at := range []string{"first", "later"} {
			t.Run(dns.RcodeToString[rcode]+" "+at, func(t *testing.T) {
				c := axfr(t)
				if at == "later" {
					c.says(soa(5)).wantOpen()
				}
				m := c.message()
				m.Rcode = rcode
				c.raw(dnstest.Pack(m)).wantError(want)
			})
		}
	}
}

// §2.2.1: the question is that of the query; later messages may go without.
func TestAXFRQuestionMayBeAbsentButNotAnother(t *testing.T) {
	c := axfr(t).says(soa(5)).wantOpen()
	m := c.message(soa(5))
	m.Question = nil
	c.raw(dnstest.Pack(m)).wantDone(xfr.AXFR, "begin AXFR example. SOA 5", "add example. SOA 5")

	for name, q := range map[string][]dns.Question{
		"name":  {{Name: "other.", Qtype: dns.TypeAXFR, Qclass: dns.ClassINET}},
		"type":  {{Name: "example.", Qtype: dns.TypeIXFR, Qclass: dns.ClassINET}},
		"class": {{Name: "example.", Qtype: dns.TypeAXFR, Qclass: dns.ClassCHAOS}},
		"two":   {{Name: "example.", Qtype: dns.TypeAXFR, Qclass: dns.ClassINET}, {Name: "example.", Qtype: dns.TypeAXFR, Qclass: dns.ClassINET}},
	} {
		for _, at := range []string{"first", "later"} {
			t.Run(name+" "+at, func(t *testing.T) {
				c := axfr(t)
				if at == "later" {
					c.says(soa(5)).wantOpen()
				}
				m := c.message(soa(5), soa(5))
				m.Question = q
				c.raw(dnstest.Pack(m)).wantError(reason.BadResponse)
			})
		}
	}
}

// §2.2.1, RFC 4343: the question is compared without case.
func TestAXFRQuestionInAnotherCase(t *testing.T) {
	c := axfr(t)
	m := c.message(soa(5), soa(5))
	m.Question[0].Name = "eXamPle."
	c.raw(dnstest.Pack(m)).wantDone(xfr.AXFR, "begin AXFR example. SOA 5", "add example. SOA 5")
}

// §2.2.2: the first record is the SOA of the zone.
func TestAXFRWithoutFirstSOAFails(t *testing.T) {
	axfr(t).says(host("a", "192.0.2.1"), soa(5)).wantError(reason.NoSOA)
	axfr(t).says().wantError(reason.NoSOA)
	axfr(t).says(strings.Replace(soa(5), " IN ", " CH ", 1), soa(5)).wantError(reason.NoSOA)
}

// §2.2: a SOA of the zone at any other place than the beginning and the end is an error.
func TestAXFRWithAnotherSOAFails(t *testing.T) {
	axfr(t).says(soa(5), host("a", "192.0.2.1"), soa(6), host("b", "192.0.2.1"), soa(5)).wantError(reason.SOAMismatch)
	// The serial alone does not make it the same.
	axfr(t).says(soa(5), strings.Replace(soa(5), "7200", "7201", 1)).wantError(reason.SOAMismatch)
	// Behind the second one there is nothing.
	axfr(t).says(soa(5), soa(5), host("a", "192.0.2.1")).wantError(reason.BadResponse)
	axfr(t).says(soa(5), soa(5), soa(5)).wantError(reason.BadResponse)
}

// §2.2, CVE-2021-25214: a SOA below or beside the apex is never part of a zone.
func TestAXFRWithSOAOfAnotherOwnerFails(t *testing.T) {
	foreign := "sub." + soa(5)
	axfr(t).says(foreign, foreign).wantError(reason.SOAOwner)
	axfr(t).says(soa(5), foreign, soa(5)).wantError(reason.SOAOwner)
	axfr(t).says(soa(5), strings.Replace(soa(5), "example.", "other.", 1)).wantError(reason.SOAOwner)
	ixfr(t, 4).says(soa(5), soa(4), foreign).wantError(reason.SOAOwner)
}

// §2.2, §6: a connection that ends before the last SOA is a failed transfer.
func TestAXFRCutOffFails(t *testing.T) {
	c := axfr(t)
	wantReason(t, c.x.Finish(), reason.CutOff)
	c.says(soa(5), host("a", "192.0.2.1")).wantOpen()
	wantReason(t, c.x.Finish(), reason.CutOff)
}

// §2.2.4, §2.2.5: authority and additional sections are not the zone; an OPT record may stand there.
func TestAXFRSkipsOtherSections(t *testing.T) {
	c := axfr(t)
	m := c.message(soa(5), soa(5))
	m.Ns = dnstest.Records(host("evil", "192.0.2.66"), soa(9))
	m.Extra = dnstest.Records(host("evil", "192.0.2.66"))
	m.SetEdns0(1232, false)
	c.raw(dnstest.Pack(m)).wantDone(xfr.AXFR, "begin AXFR example. SOA 5", "add example. SOA 5")
}

// But they must be readable.
func TestAXFRChecksTheFrameOfOtherSections(t *testing.T) {
	c := axfr(t)
	msg := dnstest.Pack(c.message(soa(5), soa(5)))
	binary.BigEndian.PutUint16(msg[8:], 1)
	c.raw(msg).wantError(reason.Malformed)
}

// §3.5: names of other zones and classes are the Receiver's to judge, glue and occluded names are kept.
func TestAXFRPassesForeignRecordsOn(t *testing.T) {
	axfr(t).says(soa(5), "elsewhere. 300 IN A 192.0.2.9", "a.example. 0 CH TXT x", "sub.example. 60 IN NS ns.sub.example.",
		"ns.sub.example. 60 IN A 192.0.2.7", soa(5)).wantDone(xfr.AXFR, "begin AXFR example. SOA 5", "add example. SOA 5",
		"add elsewhere. A 192.0.2.9", "add a.example. TXT class 3", "add sub.example. NS", "add ns.sub.example. A 192.0.2.7")
}

// A record with malformed RDATA does not end the transfer: it is shown to the Receiver. A malformed SOA does.
func TestAXFRDiscardsMalformedRDATA(t *testing.T) {
	c := axfr(t)
	m := c.message(soa(5), host("a", "192.0.2.1"), host("c", "192.0.2.2"), soa(5))
	m.Answer[1] = &dns.RFC3597{Hdr: dns.RR_Header{Name: "a.example.", Rrtype: dns.TypeA, Class: dns.ClassINET}, Rdata: "010203"}
	c.raw(dnstest.Pack(m)).wantDone(xfr.AXFR,
		"begin AXFR example. SOA 5", "add example. SOA 5", "discard a.example. A", "add c.example. A 192.0.2.2")

	for at := range 2 {
		c := axfr(t)
		m := c.message(soa(5), soa(5))
		// NSD 4.15, CVE-2026-42001: RDATA that ends before the numbers do.
		m.Answer[at] = &dns.RFC3597{Hdr: dns.RR_Header{Name: "example.", Rrtype: dns.TypeSOA, Class: dns.ClassINET}, Rdata: "000000000005"}
		c.raw(dnstest.Pack(m)).wantError(reason.Malformed)
	}
}

// Empty messages are allowed between others, but not without end.
func TestEmptyMessagesAreLimited(t *testing.T) {
	c := axfr(t).says(soa(5)).wantOpen()
	for range xfr.MaxEmptyMessages {
		c.says().wantOpen()
	}
	c.says(host("a", "192.0.2.1")).wantOpen()
	c.says().wantError(reason.BadResponse)
}

// What a Receiver returns ends the transfer as it is, whichever call it comes from.
func TestReceiverEndsTransfer(t *testing.T) {
	bad := &dns.RFC3597{Hdr: dns.RR_Header{Name: "a.example.", Rrtype: dns.TypeA, Class: dns.ClassINET}, Rdata: "01"}
	for name, begin := range map[string]func() (*conversation, *dns.Msg, int){
		"AXFR": func() (*conversation, *dns.Msg, int) {
			c := axfr(t)
			m := c.message(soa(5), host("a", "192.0.2.1"), host("b", "192.0.2.1"), soa(5))
			m.Answer[1] = bad
			return c, m, 4
		},
		"IXFR": func() (*conversation, *dns.Msg, int) {
			c := ixfr(t, 4)
			return c, c.message(soa(5), soa(4), host("a", "192.0.2.1"), soa(5), host("b", "192.0.2.1"), soa(5)), 5
		},
		"current": func() (*conversation, *dns.Msg, int) {
			c := ixfr(t, 4)
			return c, c.message(soa(4)), 1
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, calls := begin()
			for at := 1; at <= calls; at++ {
				c, m, _ := begin()
				c.rec.failAt, c.rec.fail = at, errors.New("enough")
				if c.raw(dnstest.Pack(m)); !errors.Is(c.err, c.rec.fail) || reason.Of(c.err) != reason.Other {
					t.Errorf("call %d: error %v; want the Receiver's", at, c.err)
				}
				if len(c.rec.events) != at {
					t.Errorf("call %d is followed by %q", at, c.rec.events[at:])
				}
			}
		})
	}
}

// An error is final, even behind the closing SOA.
func TestFailedAnswerStaysFailed(t *testing.T) {
	c := axfr(t)
	whole := dnstest.Pack(c.message(soa(5), soa(5)))
	more := bytes.Clone(whole)
	binary.BigEndian.PutUint16(more[8:], 1) // an authority record that is not there
	c.raw(more).wantError(reason.Malformed)
	wantReason(t, c.x.Finish(), reason.Malformed)
	done, err := c.x.Message(whole)
	wantReason(t, err, reason.Malformed)
	if done {
		t.Error("a failed answer is whole after all")
	}
	c = axfr(t).raw(whole)
	_, err = c.x.Message(whole)
	wantReason(t, err, reason.BadResponse)
}

// Every way to cut a message short is an error, never a panic and never a whole answer.
func TestCutMessagesAreMalformed(t *testing.T) {
	whole := dnstest.Pack(axfr(t).message(soa(5), host("a", "192.0.2.1"), soa(5)))
	for n := range whole {
		c := axfr(t).raw(whole[:n:n])
		c.wantError(reason.Malformed)
	}
}

func TestInterpreterTellsTheSOA(t *testing.T) {
	c := axfr(t).says(soa(5), soa(5))
	want := wire.SOA{Serial: c.x.SOA().Serial, Refresh: 7200, Retry: 900, Expire: 1209600, Minimum: 300}
	if got := c.x.SOA(); got != want || got.Serial.Uint32() != 5 {
		t.Errorf("SOA %+v; want %+v with serial 5", got, want)
	}
}
