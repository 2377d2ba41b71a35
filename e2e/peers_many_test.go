//go:build e2e

package e2e_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Scenarios of the peers' suites about many zones, and about zones that get in each other's way.

// besideLimit is for a zone to follow its NOTIFY while another one is in trouble. It is below what the troubled one takes.
const besideLimit = 20 * time.Second

// manyZones returns small zones and their names, in order.
func manyZones(n int, serial uint32) (zones map[string]string, names []string) {
	zones = map[string]string{}
	for i := range n {
		origin := fmt.Sprintf("many%d.test.", i)
		zones[origin] = plainZone(origin, serial, 10, longTimers)
		names = append(names, origin)
	}
	return zones, names
}

// BIND xferquota: 300 zones of a primary that gives out three at a time, and refuses the others, all arrive; and strangers
// who ask for what they may not have do not hold them up.
func TestZonesOfAPrimaryWithAQuotaAllArrive(t *testing.T) {
	t.Parallel()
	zones, names := manyZones(300, 1)
	b := configureBIND(t, primarySpec{Zones: zones})
	b.amend(t, "named.conf", "notify-delay 0;", "notify-delay 0; transfers-out 3;")
	b.run(t, "named", "-g", "-n", "1", "-c", b.path("named.conf"))
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
			// The name is not the primary's: REFUSED, or NOTAUTH.
			if in, err := new(dns.Transfer).In(new(dns.Msg).SetAxfr("strange.test."), b.addr()); err == nil {
				for range in {
				}
			}
		}
	})
	sec := newSecondary(t)
	sec.start(t, secondarySpec{Zones: names, Block: lines("primary "+b.addr(), "transfers_in 40 20")})
	for _, z := range names {
		sec.serves(t, z, 1, time.Minute)
	}
	close(done)
	wg.Wait()
	if !strings.Contains(b.proc.log(t), "quota reached") {
		t.Error("The primary has refused nothing")
	}
}

// Knot ixfr/many_zones, NSD socketnotifylimit: a primary that tells of new versions of all its zones at once.
func TestManyZonesFollowTheirNotifies(t *testing.T) {
	t.Parallel()
	zones, names := manyZones(60, 1)
	sec := newSecondary(t)
	k := &knot{install(t, primarySpec{Zones: zones, Notify: []netip.AddrPort{sec.target()}})}
	k.configure(t, "knot.conf", k)
	k.amend(t, "knot.conf", "zonefile-load: whole", "zonefile-load: difference")
	k.amend(t, "knot.conf", "journal-content: none", "journal-content: changes")
	k.writeZones(t)
	k.run(t, "knotd", "-c", k.path("knot.conf"))
	sec.start(t, secondarySpec{Zones: names, Block: lines("primary "+k.addr(), "transfers_in 40 20", "soa_rate 500")})
	for _, z := range names {
		sec.serves(t, z, 1, syncLimit)
	}
	for _, z := range names {
		k.Zones[z] = plainZone(z, 2, 11, longTimers)
	}
	k.writeZones(t)
	tool(t, "knotc", "-c", k.path("knot.conf"), "zone-reload")
	for _, z := range names {
		sec.serves(t, z, 2, syncLimit)
	}
	sec.counts(t, float64(len(names)), "transfers_total", "type", "ixfr", "result", "ok")
}

// Knot ixfr/slow: a zone that trickles in does not hold up another one of the same primary, and arrives in the end.
func TestSlowTransferDoesNotDelayAnotherZone(t *testing.T) {
	t.Parallel()
	const slow, quick = "slow.test.", "quick.test."
	p := newPlayer(t)
	flood := make(chan struct{})
	rrs := simple(slow, 1, hosts(slow, 40)...)
	p.plays(slow, role{records: rrs, transfer: func(w dns.ResponseWriter, q *dns.Msg) {
		for _, rr := range append(slices.Clone(rrs), rrs[0]) {
			sends(rr)(w, q)
			select {
			case <-flood:
			case <-time.After(time.Second):
			}
		}
	}})
	p.plays(quick, role{records: simple(quick, 1)})
	sec := newSecondary(t)
	sec.start(t, secondarySpec{Zones: []string{slow, quick}, Block: "primary " + p.address, Chain: "transfer {\n to *\n}"})
	sec.serves(t, quick, 1, syncLimit)
	for serial := uint32(2); serial < 6; serial++ {
		p.plays(quick, role{records: simple(quick, serial)})
		p.tells(t, sec, quick)
		sec.serves(t, quick, serial, besideLimit)
		p.tells(t, sec, slow)
	}
	if complaint := notReady(sec.addr(), slow); complaint != "" {
		t.Errorf("The slow zone: %s", complaint)
	}
	close(flood)
	sec.serves(t, slow, 1, settleLimit)
	holds(t, sec.addr(), slow, rrs)
}

// NSD xfr_cross_fail, bad_xfr_with_other_tasks: whatever goes wrong with one zone of a primary, the others follow their
// NOTIFYs, and a reload in between changes nothing.
func TestZoneThatFailsDoesNotTouchTheOthers(t *testing.T) {
	t.Parallel()
	const bad = "bad.test."
	good := []string{"good0.test.", "good1.test.", "good2.test."}
	wrong := map[string]dns.HandlerFunc{
		"cut off":  func(w dns.ResponseWriter, q *dns.Msg) { sends(simple(bad, 9)...)(w, q); w.Close() },
		"closed":   func(w dns.ResponseWriter, _ *dns.Msg) { w.Close() },
		"refused":  rcode(dns.RcodeRefused),
		"other ID": func(w dns.ResponseWriter, q *dns.Msg) { q.Id++; sends(simple(bad, 9)...)(w, q) },
		"garbage":  func(w dns.ResponseWriter, _ *dns.Msg) { _, _ = w.Write([]byte("neither fish nor fowl")) },
		"silence":  silence,
	}
	p := newPlayer(t)
	p.plays(bad, role{records: simple(bad, 1)})
	for _, z := range good {
		p.plays(z, role{records: simple(z, 1)})
	}
	sec := newSecondary(t)
	sec.start(t, secondarySpec{Zones: append(slices.Clone(good), bad), Block: lines("primary "+p.address, "soa_rate 500")})
	for _, z := range append(slices.Clone(good), bad) {
		sec.serves(t, z, 1, syncLimit)
	}
	serial := uint32(1)
	for _, name := range sortedKeys(wrong) {
		serial++
		asked := p.transfers(bad)
		p.plays(bad, role{records: simple(bad, serial), transfer: wrong[name]})
		p.tells(t, sec, bad)
		eventually(t, settleLimit, "Transfer: "+name, func() string {
			if p.transfers(bad) == asked {
				return "not asked for"
			}
			return ""
		})
		for _, z := range good {
			p.plays(z, role{records: simple(z, serial)})
			p.tells(t, sec, z)
		}
		for _, z := range good {
			sec.serves(t, z, serial, besideLimit)
			sec.normal(t, z, p.address)
		}
		sec.reload(t)
		if complaint := sec.differs(bad, 1); complaint != "" {
			t.Errorf("%s: %s", name, complaint)
		}
	}
}

// NSD ixfr_excessive_logging: a primary that is wrong in a thousand records, again and again, gets a few lines of log
// for each attempt, of bounded length.
func TestWrongRecordsDoNotFloodTheLog(t *testing.T) {
	t.Parallel()
	const attempts = 3
	wrong := func(serial uint32) []dns.RR {
		rrs := simple(peersOrigin, serial)
		for i := range 3000 {
			rrs = append(rrs,
				record("h%d.elsewhere.test. 300 IN A 192.0.2.1", i),
				raw(fmt.Sprintf("m%d.%s", i, peersOrigin), dns.TypeA, 300, "c0"))
		}
		return rrs
	}
	p := newPlayer(t)
	p.plays(peersOrigin, role{records: wrong(1)})
	sec := followed(t, p, peersOrigin, 1)
	for serial := uint32(2); serial < 2+attempts; serial++ {
		p.rises(t, sec, peersOrigin, role{records: wrong(serial)})
	}
	sec.counts(t, 3000*attempts, "rule_violations_total", "rule", "out_of_zone")
	own := 0
	for l := range strings.Lines(sec.proc.log(t)) {
		if !strings.Contains(l, "zone="+peersOrigin) {
			continue
		}
		if own++; len(l) > 2000 {
			t.Errorf("A line of %d octets: %.200s...", len(l), l)
		}
	}
	if own == 0 || own > 10*(attempts+1) {
		t.Errorf("%d lines for %d transfers", own, attempts+1)
	}
}

// NSD xfr_huge: a large zone whose every message is signed.
func TestLargeSignedTransferArrivesWhole(t *testing.T) {
	t.Parallel()
	const origin, records = "large.test.", 50_000
	key := testKey("hmac-sha512")
	for name, start := range map[string]func(*testing.T, primarySpec) primary{
		"BIND": startBIND, "Knot": startKnot, "NSD": startNSD,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prim := start(t, primarySpec{Zones: map[string]string{origin: plainZone(origin, 1, records, longTimers)}, Key: key})
			sec := newSecondary(t)
			sec.start(t, secondarySpec{Zones: []string{origin}, Block: lines(linkLines(prim.addr(), key), "max_records unlimited")})
			sec.serves(t, origin, 1, time.Minute)
			eventually(t, settleLimit, "Count of records", func() string {
				return scrape(t, sec.Metrics).is(records, "zone_records", "zone", origin)
			})
		})
	}
}

// PowerDNS tsig-axfr*, tsig-ixfr*: a key of another algorithm, and one of another name, are no
// key; nothing is transferred and the link says so.
func TestKeyOfAnotherAlgorithmOrNameBlocksTheLink(t *testing.T) {
	t.Parallel()
	eachPrimary(t, func(t *testing.T, start func(*testing.T, primarySpec) primary) {
		right := testKey("hmac-sha256")
		prim := start(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(1)}, Key: right})
		for name, wrong := range map[string]tsigKey{
			"algorithm": {right.Name, "hmac-sha1", right.Secret},
			"name":      {"nobodys_key", right.Algorithm, right.Secret},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				sec := newSecondary(t)
				sec.start(t, secondarySpec{Zones: []string{mixedOrigin}, Block: linkLines(prim.addr(), &wrong)})
				sec.blocked(t, mixedOrigin, prim.addr(), "tsig_bad_key", "not_authoritative", "refused")
				if complaint := notReady(sec.addr(), mixedOrigin); complaint != "" {
					t.Error(complaint)
				}
			})
		}
	})
}

// Knot zone/reload_notify: a primary that reloads its zone again and again, while we are transferring the version before.
func TestReloadsOfThePrimaryInQuickSuccessionAreFollowed(t *testing.T) {
	t.Parallel()
	const last = 12
	eachPrimary(t, func(t *testing.T, start func(*testing.T, primarySpec) primary) {
		sec, prim := syncedPair(t, start, nil)
		for serial := uint32(2); serial <= last; serial++ {
			prim.publish(t, mixedOrigin, mixedZone(serial))
		}
		sec.serves(t, mixedOrigin, last, settleLimit)
		m := ask(t, sec.addr(), "version."+mixedOrigin, dns.TypeTXT)
		if len(m.Answer) != 1 || m.Answer[0].(*dns.TXT).Txt[0] != fmt.Sprint(last) {
			t.Errorf("Record of the last version: %v", m.Answer)
		}
	})
}

// NSD tsig_del_axfr: the key is taken out of the Corefile while a transfer signed with it is running. It ends without
// harm, and the zone follows its primary without a key.
func TestKeyTakenAwayDuringATransfer(t *testing.T) {
	t.Parallel()
	const origin = "keyed.test."
	key := testKey("hmac-sha256")
	var running atomic.Bool
	var slow atomic.Bool
	slow.Store(true)
	rrs := append(simple(origin, 1, hosts(origin, 30)...), soaOf(origin, 1))
	address := serveDNS(t, "127.0.0.1", sharedSecret{key.Secret}, func(w dns.ResponseWriter, q *dns.Msg) {
		if qtype := q.Question[0].Qtype; qtype != dns.TypeAXFR && qtype != dns.TypeIXFR {
			_ = w.WriteMsg(reply(q, rrs[0]))
			return
		}
		for _, rr := range rrs {
			m := reply(q, rr)
			if sig := q.IsTsig(); sig != nil {
				m.SetTsig(sig.Hdr.Name, sig.Algorithm, 300, time.Now().Unix())
			}
			if w.WriteMsg(m) != nil {
				return
			}
			running.Store(true)
			if slow.Load() {
				time.Sleep(300 * time.Millisecond)
			}
		}
	})
	sec := newSecondary(t)
	sec.start(t, secondarySpec{Zones: []string{origin}, Block: linkLines(address, key), Chain: "transfer {\n to *\n}"})
	eventually(t, settleLimit, "Transfer", func() string {
		if !running.Load() {
			return "not asked for"
		}
		return ""
	})
	sec.Block = "primary " + address
	sec.configure(t)
	sec.reload(t)
	if complaint := notReady(sec.addr(), origin); complaint != "" {
		t.Errorf("The transfer was over before the reload: %s", complaint)
	}
	slow.Store(false)
	sec.serves(t, origin, 1, settleLimit)
	holds(t, sec.addr(), origin, rrs[:len(rrs)-1])
	sec.normal(t, origin, address)
}
