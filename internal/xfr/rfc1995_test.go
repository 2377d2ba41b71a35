package xfr_test

import (
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// §3: the query has type IXFR and our SOA in the authority section.
func TestIXFRQueryCarriesOurSOA(t *testing.T) {
	have := &wire.SOA{Serial: serial.New(1<<32 - 2), Refresh: 1, Retry: 2, Expire: 3, Minimum: 4}
	var m dns.Msg
	if err := m.Unpack(xfr.Query{Origin: mustName(t, "example."), ID: testID, Have: have}.Message()); err != nil {
		t.Fatal(err)
	}
	if len(m.Question) != 1 || m.Question[0].Qtype != dns.TypeIXFR || len(m.Answer) != 0 || len(m.Ns) != 1 || len(m.Extra) != 1 {
		t.Fatalf("query is %v", &m)
	}
	if s := m.Ns[0].(*dns.SOA); s.Hdr.Name != "example." || s.Serial != 1<<32-2 || s.Refresh != 1 || s.Minttl != 4 {
		t.Errorf("authority is %v", s)
	}
}

// §2: a single SOA with our serial, or an older one, says that we are current.
func TestIXFRSingleSOAIsCurrent(t *testing.T) {
	for name, theirs := range map[string]uint32{"same": 5, "older": 4, "incomparable": 5 + 1<<31} {
		t.Run(name, func(t *testing.T) {
			c := ixfr(t, 5).says(soa(theirs))
			c.wantDone(xfr.Current, "begin current example. SOA "+serial.New(theirs).String())
			if c.x.SOA().Serial != serial.New(theirs) {
				t.Errorf("SOA %+v", c.x.SOA())
			}
		})
	}
}

// RFC 1982 §3.2: 0 follows 2^32-1.
func TestIXFRSerialWraps(t *testing.T) {
	ixfr(t, 3).says(soa(1<<32-1)).wantDone(xfr.Current, "begin current example. SOA 4294967295")
	ixfr(t, 1<<32-1).says(soa(3), soa(1<<32-1), soa(3), soa(3)).wantDone(xfr.IXFR,
		"begin IXFR example. SOA 3", "remove example. SOA 4294967295", "add example. SOA 3")
}

// A single newer SOA begins an answer: PowerDNS sends it in a message of its own.
func TestIXFRSingleNewerSOAGoesOn(t *testing.T) {
	c := ixfr(t, 4).says(soa(5)).wantOpen()
	wantReason(t, c.x.Finish(), reason.CutOff)
	c.says(soa(4), host("a", "192.0.2.1"), soa(5), soa(5)).wantDone(xfr.IXFR,
		"begin IXFR example. SOA 5", "remove example. SOA 4", "remove a.example. A 192.0.2.1", "add example. SOA 5")
	ixfr(t, 4).says(soa(5)).wantOpen().says(host("a", "192.0.2.1"), soa(5)).wantDone(xfr.AXFR,
		"begin AXFR example. SOA 5", "add example. SOA 5", "add a.example. A 192.0.2.1")
}

// §4: the second record is not a SOA, so the answer is the whole zone.
func TestIXFRAnsweredWithTheWholeZone(t *testing.T) {
	ixfr(t, 4).says(soa(5), host("a", "192.0.2.1"), soa(5)).wantDone(xfr.AXFR,
		"begin AXFR example. SOA 5", "add example. SOA 5", "add a.example. A 192.0.2.1")
	// Whatever its serial: judging that is the caller's part.
	ixfr(t, 9).says(soa(5), host("a", "192.0.2.1"), soa(5)).wantDone(xfr.AXFR,
		"begin AXFR example. SOA 5", "add example. SOA 5", "add a.example. A 192.0.2.1")
}

// §4: the second record tells the kind, even one that cannot be read.
func TestIXFRWholeZoneBeginsWithMalformedRDATA(t *testing.T) {
	c := ixfr(t, 4)
	m := c.message(soa(5), host("a", "192.0.2.1"), soa(5))
	m.Answer[1] = &dns.RFC3597{Hdr: dns.RR_Header{Name: "a.example.", Rrtype: dns.TypeA, Class: dns.ClassINET}, Rdata: "01"}
	c.raw(dnstest.Pack(m)).wantDone(xfr.AXFR, "begin AXFR example. SOA 5", "add example. SOA 5", "discard a.example. A")
}

// §7: the example of the RFC, its two difference sequences, oldest first.
func TestIXFRExampleOfTheRFC(t *testing.T) {
	c := ixfr(t, 1).says(soa(3),
		soa(1), host("nezu", "133.69.136.5"), soa(2), host("jain-bb", "133.69.136.4"), host("jain-bb", "192.41.197.2"),
		soa(2), host("jain-bb", "133.69.136.4"), soa(3), host("jain-bb", "133.69.136.3"),
		soa(3))
	c.wantDone(xfr.IXFR, "begin IXFR example. SOA 3",
		"remove example. SOA 1", "remove nezu.example. A 133.69.136.5",
		"add example. SOA 2", "add jain-bb.example. A 133.69.136.4", "add jain-bb.example. A 192.41.197.2",
		"remove example. SOA 2", "remove jain-bb.example. A 133.69.136.4",
		"add example. SOA 3", "add jain-bb.example. A 133.69.136.3")
	if c.x.Records() != 11 {
		t.Errorf("%d records; want 11", c.x.Records())
	}
}

// §4, RFC 5936 §2.2: the sequences may be cut into messages anywhere.
func TestIXFROfOneRecordPerMessage(t *testing.T) {
	c := ixfr(t, 1)
	for _, r := range []string{soa(3), soa(1), soa(2), host("a", "192.0.2.1"), soa(2), host("a", "192.0.2.1"), soa(3)} {
		c.says(r).wantOpen()
	}
	c.says(soa(3)).wantDone(xfr.IXFR, "begin IXFR example. SOA 3", "remove example. SOA 1", "add example. SOA 2", "add a.example. A 192.0.2.1",
		"remove example. SOA 2", "remove a.example. A 192.0.2.1", "add example. SOA 3")
}

// §4: a malformed record in a sequence is shown to the Receiver, which has to give up or go on.
func TestIXFRDiscardsMalformedRDATA(t *testing.T) {
	c := ixfr(t, 1)
	m := c.message(soa(2), soa(1), host("a", "192.0.2.1"), soa(2), soa(2))
	m.Answer[2] = &dns.RFC3597{Hdr: dns.RR_Header{Name: "a.example.", Rrtype: dns.TypeA, Class: dns.ClassINET}, Rdata: "01"}
	c.raw(dnstest.Pack(m)).wantDone(xfr.IXFR, "begin IXFR example. SOA 2", "remove example. SOA 1", "discard a.example. A", "add example. SOA 2")
}

// §4: the first sequence begins with the version we asked from, each goes on where the one before it ended, and the last
// one leads to the SOA the answer began with. Serials only rise (RFC 1982) and never pass that SOA, so a loop ends, too.
func TestIXFRBrokenChainsFail(t *testing.T) {
	for name, c := range map[string]struct {
		have    uint32
		records []string
	}{
		"wrong start":         {1, []string{soa(3), soa(2), soa(3), soa(3)}},
		"start at the end":    {1, []string{soa(3), soa(3)}},
		"not newer":           {3, []string{soa(3), soa(3), soa(3)}},
		"older":               {5, []string{soa(3), soa(5), soa(3), soa(3)}},
		"gap":                 {1, []string{soa(4), soa(1), soa(2), soa(3), soa(4), soa(4)}},
		"step back":           {5, []string{soa(9), soa(5), soa(4), soa(4), soa(9), soa(9)}},
		"no step":             {5, []string{soa(9), soa(5), soa(5), soa(5), soa(9), soa(9)}},
		"loop":                {1, []string{soa(9), soa(1), soa(2), soa(2), soa(1), soa(1), soa(9), soa(9)}},
		"past the end":        {1, []string{soa(3), soa(1), soa(4), soa(4), soa(3), soa(3)}},
		"end before the last": {1, []string{soa(3), soa(1), soa(2), soa(3)}},
		"undefined step":      {1, []string{soa(1 << 31), soa(1), soa(1 + 1<<31)}},
	} {
		t.Run(name, func(t *testing.T) { ixfr(t, c.have).says(c.records...).wantError(reason.IXFRBroken) })
	}
}

// §4: the last SOA is the first one, in the last sequence and behind it.
func TestIXFRWithAnotherLastSOAFails(t *testing.T) {
	other := strings.Replace(soa(2), "7200", "7201", 1)
	ixfr(t, 1).says(soa(2), soa(1), other, other).wantError(reason.SOAMismatch)
	ixfr(t, 1).says(soa(2), soa(1), soa(2), other).wantError(reason.SOAMismatch)
	ixfr(t, 1).says(soa(2), soa(1), soa(2), soa(3)).wantError(reason.SOAMismatch)
	ixfr(t, 1).says(soa(2), soa(1), soa(2), soa(2), host("a", "192.0.2.1")).wantError(reason.BadResponse)
}

// A stump is not a version, at whichever record it ends (CVE-2022-27227).
func TestIXFRCutOffFails(t *testing.T) {
	records := []string{soa(3), soa(1), host("a", "192.0.2.1"), soa(2), host("a", "192.0.2.2"), soa(2), soa(3), host("b", "192.0.2.1"), soa(3)}
	for n := 1; n < len(records); n++ {
		c := ixfr(t, 1).says(records[:n]...).wantOpen()
		wantReason(t, c.x.Finish(), reason.CutOff)
	}
	ixfr(t, 1).says(records...).wantDone(xfr.IXFR, "begin IXFR example. SOA 3", "remove example. SOA 1", "remove a.example. A 192.0.2.1",
		"add example. SOA 2", "add a.example. A 192.0.2.2", "remove example. SOA 2", "add example. SOA 3", "add b.example. A 192.0.2.1")
}

// An answer without end, each step of which is in order, is limited.
func TestIXFRDifferencesAreLimited(t *testing.T) {
	var n counter
	x := xfr.NewInterpreter(xfr.Query{Origin: mustName(t, "example."), ID: testID, Have: &wire.SOA{}}, &n)
	c := &conversation{t: t, name: "example.", typ: dns.TypeIXFR, x: x}
	c.says(soa(1 << 30)).wantOpen()
	for i := range uint32(xfr.MaxDifferences) {
		c.says(soa(i), soa(i+1)).wantOpen()
	}
	if n.removed != xfr.MaxDifferences {
		t.Errorf("%d sequences; want %d", n.removed, xfr.MaxDifferences)
	}
	c.says(soa(xfr.MaxDifferences)).wantError(reason.IXFRBroken)
}

// §2, RFC 5936 §2.2.1: a primary that does not do IXFR says so with an RCODE; the caller then asks for AXFR.
func TestIXFRUnknownToThePrimary(t *testing.T) {
	for rcode, want := range map[int]reason.Reason{
		dns.RcodeFormatError: reason.FormatError, dns.RcodeNotImplemented: reason.NotImplemented, dns.RcodeRefused: reason.Refused, dns.RcodeServerFailure: reason.ServFail,
	} {
		c := ixfr(t, 1)
		m := c.message()
		m.Rcode, m.Question = rcode, nil
		c.raw(dnstest.Pack(m)).wantError(want)
	}
}
