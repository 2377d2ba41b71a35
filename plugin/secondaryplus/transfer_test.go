package secondaryplus

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/coredns/coredns/plugin/transfer"
	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// allOf returns all records of a Transfer.
func allOf(t *testing.T, h *SecondaryPlus, zone string, have uint32) []dns.RR {
	t.Helper()
	c, err := h.Transfer(zone, have)
	if err != nil {
		t.Fatalf("Transfer of %s from %d: %v", zone, have, err)
	}
	var all []dns.RR
	for batch := range c {
		if len(batch) > transferBatch+1 {
			t.Errorf("A batch of %d records", len(batch))
		}
		all = append(all, batch...)
	}
	return all
}

// plain returns records of the primary in the form texts has.
func plain(records []string) []string {
	return texts(recordsOf(records))
}

func recordsOf(records []string) []dns.RR {
	var all []dns.RR
	for _, r := range records {
		rr, err := dns.NewRR(r)
		if err != nil {
			panic(err)
		}
		all = append(all, rr)
	}
	return all
}

func TestTransferIsTheWholeZone(t *testing.T) {
	for _, n := range []int{0, transferBatch - len(exampleOrg), transferBatch, 3 * transferBatch} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			records := slices.Clone(exampleOrg)
			for i := range n {
				records = append(records, fmt.Sprintf("h%d.example.org. %d IN A 192.0.2.1", i, i))
			}
			h := newHandler(t, "example.org", "", records...)
			got := allOf(t, h, "eXample.org.", 0)
			last := len(got) - 1
			if got[0].Header().Rrtype != dns.TypeSOA || got[last].String() != got[0].String() {
				t.Fatalf("%d records: it begins with %v and ends with %v", len(got), got[0], got[last])
			}
			if d := cmp.Diff(plain(records), texts(got[:last])); d != "" {
				t.Error(d)
			}
		})
	}
}

// RFC 1995 §2: a client that has our version, or a newer one, gets the SOA alone. Serials are compared by RFC 1982.
func TestTransferToACurrentClientIsTheSOA(t *testing.T) {
	for _, c := range []struct {
		ours, have uint32
		whole      bool
	}{
		{7, 7, false},
		{7, 8, false},
		{7, 7 + 1<<30, false},
		{7, 6, true},
		{7, 0, true}, // AXFR
		{7, 7 + 1<<31, true},
		{7, 1<<32 - 1, true},
		{1<<32 - 1, 1<<32 - 1, false},
		{1<<32 - 1, 3, false},
		{1<<32 - 1, 1<<32 - 2, true},
	} {
		t.Run(fmt.Sprintf("%d against %d", c.ours, c.have), func(t *testing.T) {
			records := slices.Clone(exampleOrg)
			records[0] = strings.Replace(records[0], " 7 ", fmt.Sprintf(" %d ", c.ours), 1)
			h := newHandler(t, "example.org", "", records...)
			got := allOf(t, h, "example.org.", c.have)
			if whole := len(got) == len(records)+1; whole != c.whole || !whole && (len(got) != 1 || got[0].Header().Rrtype != dns.TypeSOA) {
				t.Errorf("%d records, the first %v", len(got), got[0])
			}
		})
	}
}

func TestTransferOfAnotherZoneIsPassedOn(t *testing.T) {
	h := newHandler(t, "example.org", "", exampleOrg...)
	for _, zone := range []string{"example.net.", "sub.example.org.", "org.", "."} {
		if _, err := h.Transfer(zone, 0); err != transfer.ErrNotAuthoritative { //nolint:errorlint // the transfer plugin compares
			t.Errorf("%s: %v", zone, err)
		}
	}
	if _, err := new(SecondaryPlus).Transfer("example.org.", 0); err != transfer.ErrNotAuthoritative { //nolint:errorlint // as above
		t.Errorf("Before the start: %v", err)
	}
}

// Through CoreDNS, with the plugins that could spoil it in front: TTLs and signatures arrive intact.
func TestSecondariesOfOurOwnGetTheZone(t *testing.T) {
	wantNothingLeft(t)
	p := newPrimaryOf(t, exampleOrg...)
	port := unusedPort(t)
	addr := "127.0.0.1:" + port
	runCoreDNS(t, fmt.Sprintf(`example.org:%s {
		errors
		cache
		tsig {
			secret out.key. SECRET
			require AXFR
		}
		transfer {
			to *
		}
		secondaryplus {
			primary %s
		}
	}`, port, p.Addr()))
	waitServed(t, addr, "example.org.", 7)

	tr := &dns.Transfer{TsigSecret: map[string]string{"out.key.": testSecret}}
	axfr := new(dns.Msg).SetAxfr("example.org.")
	axfr.SetTsig("out.key.", dns.HmacSHA256, 300, 0)
	axfr.Extra[0].(*dns.TSIG).TimeSigned = now()
	in, err := tr.In(axfr, addr)
	if err != nil {
		t.Fatal(err)
	}
	var got []dns.RR
	for e := range in {
		if e.Error != nil {
			t.Fatal(e.Error)
		}
		got = append(got, e.RR...)
	}
	if d := cmp.Diff(plain(exampleOrg), texts(got[:len(got)-1])); d != "" {
		t.Error(d)
	}
	for have, want := range map[uint32]int{6: len(exampleOrg) + 1, 7: 1, 8: 1} {
		r := exchange(t, "tcp", addr, new(dns.Msg).SetIxfr("example.org.", have, "ns.example.org.", "x.example.org."))
		if len(r.Answer) != want {
			t.Errorf("IXFR from %d: %d records; want %d", have, len(r.Answer), want)
		}
	}
	if r := exchange(t, "udp", addr, new(dns.Msg).SetAxfr("example.org.")); r.Rcode != dns.RcodeRefused || len(r.Answer) != 0 {
		t.Errorf("AXFR over UDP: %v", r) // RFC 5936 §4.2
	}
}

// The cache plugin leaves our zones alone: the answer is new as soon as the zone is.
func TestCacheDoesNotHoldBackAnUpdate(t *testing.T) {
	p := newPrimaryOf(t, exampleOrg...)
	port := unusedPort(t)
	addr := "127.0.0.1:" + port
	runCoreDNS(t, fmt.Sprintf("example.org:%s {\ncache 3600\nsecondaryplus {\nprimary %s\n}\n}", port, p.Addr()))
	waitServed(t, addr, "example.org.", 7)
	records := slices.Clone(exampleOrg)
	records[0] = strings.Replace(records[0], " 7 ", " 8 ", 1)
	p.serve(records...)
	if r := exchange(t, "udp", addr, new(dns.Msg).SetNotify("example.org.")); r.Rcode != dns.RcodeSuccess {
		t.Fatalf("NOTIFY: %v", r)
	}
	waitServed(t, addr, "example.org.", 8)
}

func TestCacheIsToldTheZones(t *testing.T) {
	zonesFile := write(t, t.TempDir(), "zones", "member.example.org\n")
	for _, c := range []struct {
		directive string
		want      []string
	}{
		{"secondaryplus example.net a.example.net {\nprimary 192.0.2.1\n}", []string{"example.net.", "a.example.net."}},
		{"secondaryplus {\nprimary 192.0.2.1\n}", []string{"example.org."}},
		{"secondaryplus example.org {\nprimary 192.0.2.1\n}\nsecondaryplus example.net {\nprimary 192.0.2.1\n}", []string{"example.org.", "example.net."}},
		{"secondaryplus {\nprimary 192.0.2.1\nzones_file " + zonesFile + "\n}", []string{"example.org."}},
	} {
		t.Run(c.directive, func(t *testing.T) {
			h := newInstance(t, c.directive).handlers[0]
			if d := cmp.Diff(c.want, h.CacheBypassZones()); d != "" {
				t.Error(d)
			}
		})
	}
}
