//go:build e2e

package e2e_test

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// Scenarios of the peers' suites about IXFR.

// short is a version of the edited zone with a few records; more are "owner TYPE RDATA" with relative owners.
func short(serial uint32, more ...string) version { return sizedAs(20, serial, more...) }

// sizedAs is short with that many hosts.
func sizedAs(hosts int, serial uint32, more ...string) version {
	e := &editor{version: version{serial: serial}}
	e.put("", "3600", "NS", "ns1.example.net.")
	e.hosts(hosts)
	e.toggle(more...)
	return e.version
}

// editedPair starts a primary of the edited zone, which notifies, and a secondary that has its version.
func editedPair(
	t *testing.T, start func(*testing.T, primarySpec) updated, v version, block ...string,
) (*secondary, updated) {
	t.Helper()
	sec := newSecondary(t)
	prim := start(t, primarySpec{Zones: map[string]string{editedOrigin: v.text()}, Notify: []netip.AddrPort{sec.target()}})
	sec.start(t, secondarySpec{
		Zones: []string{editedOrigin},
		Block: lines(append([]string{"primary " + prim.addr()}, block...)...),
		Chain: "transfer {\n to *\n}",
	})
	sec.serves(t, editedOrigin, v.serial, syncLimit)
	return sec, prim
}

// becomes gives the primary a version and waits until it is served, record for record; it must have come as kind.
func becomes(t *testing.T, sec *secondary, prim updated, old, new version, kind string) {
	t.Helper()
	prim.update(t, old, new)
	follows(t, sec, prim, old.serial, fmt.Sprintf("version %d", new.serial), kind)
}

// updates is one input of nsupdate for many versions, one after the other.
func updates(addr string, versions []version) string {
	var b strings.Builder
	for i, v := range versions[1:] {
		b.WriteString(script(addr, versions[i], v))
	}
	return b.String()
}

// successive returns versions that follow one another, each with a record of its own; the zone is so large that all their
// differences are worth an IXFR.
func successive(n int) []version {
	all := []version{sizedAs(1000, 1)}
	for i := 1; i < n; i++ {
		all = append(all, sizedAs(1000, uint32(i+1), fmt.Sprintf("at%d. TXT \"%d\"", i%7, i)))
	}
	return all
}

// BIND xfer "IXFR race", NSD xfr_alot: versions that follow one another faster than we can ask. The last one is served,
// and is the primary's.
func TestUpdatesInQuickSuccessionAreFollowed(t *testing.T) {
	t.Parallel()
	versions := successive(60)
	last := versions[len(versions)-1]
	for name, start := range map[string]func(*testing.T, primarySpec) updated{
		"BIND": startDynamicBIND, "Knot": startDynamicKnot(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sec, prim := editedPair(t, start, versions[0])
			feed(t, updates(prim.addr(), versions), "nsupdate")
			follows(t, sec, prim, 1, "60 versions", "")
			sec.serves(t, editedOrigin, last.serial, syncLimit)
			same(t, sec, prim)
			sec.normal(t, editedOrigin, prim.addr())
		})
	}
}

// same fails the test unless the secondary has the primary's records.
func same(t *testing.T, sec *secondary, prim updated) {
	t.Helper()
	want, got := axfr(t, prim.addr(), editedOrigin, nil), axfr(t, sec.addr(), editedOrigin, nil)
	if diff := cmp.Diff(lowerOwners(want), lowerOwners(got)); diff != "" {
		t.Errorf("AXFR (-primary +secondary):\n%s", tail(diff))
	}
}

// Knot ixfr/ixfr_merge, ixfr/one_by_one: what a secondary has slept through comes as one IXFR of many differences.
func TestManyVersionsComeAsOneIXFR(t *testing.T) {
	t.Parallel()
	versions := successive(30)
	for name, start := range map[string]func(*testing.T, primarySpec) updated{
		"BIND": startDynamicBIND, "Knot": startDynamicKnot(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prim := start(t, primarySpec{Zones: map[string]string{editedOrigin: versions[0].text()}})
			sec := newSecondary(t)
			sec.start(t, secondarySpec{
				Zones: []string{editedOrigin}, Block: "primary " + prim.addr(), Chain: "transfer {\n to *\n}",
			})
			sec.serves(t, editedOrigin, 1, syncLimit)
			feed(t, updates(prim.addr(), versions), "nsupdate")
			notify(t, "127.0.0.1", sec.addr(), editedOrigin, nil)
			sec.serves(t, editedOrigin, 30, settleLimit)
			sec.logs(t, `op=ixfr .*serial=1->30 `)
			same(t, sec, prim)
		})
	}
}

// NSD ixfr_superlong: an IXFR of thousands of differences is taken as long as it is smaller than the zone (RFC 1995 §5).
func TestLongestIXFRIsTaken(t *testing.T) {
	t.Parallel()
	const steps = 2000
	p := newPlayer(t)
	still := hosts(peersOrigin, 10*steps)
	whole := func(serial uint32) []dns.RR { return simple(peersOrigin, serial, still...) }
	p.plays(peersOrigin, role{records: whole(1)})
	sec := followed(t, p, peersOrigin, 1, "max_records unlimited")
	rrs := []dns.RR{soaOf(peersOrigin, steps)}
	for n := uint32(1); n < steps; n++ {
		old, new := simple(peersOrigin, n), simple(peersOrigin, n+1)
		rrs = append(rrs, old[0], old[2], new[0], new[2])
	}
	p.rises(t, sec, peersOrigin, role{records: whole(steps), transfer: func(w dns.ResponseWriter, q *dns.Msg) {
		if q.Question[0].Qtype == dns.TypeAXFR {
			t.Error("The zone is asked for as a whole")
		}
		sends(append(rrs, rrs[0])...)(w, q)
	}})
	holds(t, sec.addr(), peersOrigin, whole(steps))
}

// BIND ixfr "not exact", Knot ixfr/inconsistent_history, NSD ixfr_outsync: the primary has begun anew with other
// records under the serial we have. Its next difference does not fit, so the zone comes whole.
func TestPrimaryWithAnotherHistoryIsFollowed(t *testing.T) {
	t.Parallel()
	sec, prim := editedPair(t, startComparingBIND, short(5, "first. A 192.0.2.1"))
	b := prim.(*comparingBIND)
	b.stop(t)
	if err := os.Remove(b.zonePath(editedOrigin) + ".jnl"); err != nil && !os.IsNotExist(err) {
		t.Fatalf("Journal: %v", err)
	}
	rewritten, next := short(5, "second. A 192.0.2.2"), short(6, "third. A 192.0.2.3")
	b.Zones[editedOrigin] = rewritten.text()
	b.writeZones(t)
	b.run(t, "named", "-g", "-n", "1", "-c", b.path("named.conf"))
	becomes(t, sec, prim, rewritten, next, "")
	sec.logs(t, `op=axfr .*serial=5->6 .*after IXFR.*published`)
	becomes(t, sec, prim, next, short(7), "ixfr")
	sec.normal(t, editedOrigin, prim.addr())
}

// NSD ixfr_gone, BIND ixfr "fallback": the primary has lost its journal, and answers IXFR with the whole zone.
func TestPrimaryWithoutItsJournalSendsTheWholeZone(t *testing.T) {
	t.Parallel()
	sec, prim := editedPair(t, startComparingBIND, short(1))
	b := prim.(*comparingBIND)
	becomes(t, sec, prim, short(1), short(2, "x. A 192.0.2.1"), "ixfr")
	b.stop(t)
	if err := os.Remove(b.zonePath(editedOrigin) + ".jnl"); err != nil {
		t.Fatalf("Journal: %v", err)
	}
	b.Zones[editedOrigin] = short(4, "y. A 192.0.2.1").text()
	b.writeZones(t)
	b.run(t, "named", "-g", "-n", "1", "-c", b.path("named.conf")) // tells us at its start
	sec.serves(t, editedOrigin, 4, settleLimit)
	cameAs(t, sec, 4, "the whole zone", "axfr")
	same(t, sec, prim)
}

// NSD ixfr_and_restart, xfr_update: after a restart the differences since what was saved are asked for, and no more.
func TestRestartGoesOnWithIXFR(t *testing.T) {
	t.Parallel()
	sec, prim := editedPair(t, startDynamicKnot(), short(1))
	becomes(t, sec, prim, short(1), short(2, "x. A 192.0.2.1"), "ixfr")
	sec.saved(t, editedOrigin, 2, settleLimit)
	sec.proc.kill()
	prim.update(t, short(2, "x. A 192.0.2.1"), short(3, "y. A 192.0.2.2"))
	sec.relaunch(t, editedOrigin)
	notify(t, "127.0.0.1", sec.addr(), editedOrigin, nil)
	follows(t, sec, prim, 2, "restart", "ixfr")
	if n := scrape(t, sec.Metrics).sum("transfers_total", "type", "axfr"); n != 0 {
		t.Errorf("%v AXFRs after the restart", n)
	}
}

// BIND xfer "too many records" by IXFR, Knot ixfr/zone_size: differences that make the zone too large are refused, the
// version before stays served, and the zone is not asked for as a whole, which would be no smaller.
func TestIXFRBeyondALimitIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ line, reason, rule string }{
		"records": {"max_records 30", "max_records", "max_records"},
		"size":    {"max_size 2K", "max_size", "max_size"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var more []string
			for i := range 60 {
				more = append(more, fmt.Sprintf("more%d. A 10.1.0.%d", i, i))
			}
			sec, prim := editedPair(t, startDynamicBIND, short(1), c.line)
			prim.update(t, short(1), short(2, more...))
			sec.blocked(t, editedOrigin, prim.addr(), c.reason)
			sec.counts(t, 1, "rule_violations_total", "rule", c.rule)
			sec.keeps(t, editedOrigin, 1, 300*time.Millisecond)
			becomes(t, sec, prim, short(2, more...), short(3, "x. A 192.0.2.1"), "")
			sec.normal(t, editedOrigin, prim.addr())
		})
	}
}

// BIND zonechecks "big serial", Knot journal/serial_arithmetic: serials beyond 2^31 and over their end (RFC 1982), by IXFR.
func TestSerialsGoAroundByIXFR(t *testing.T) {
	t.Parallel()
	serials := []uint32{2147483640, 4294967280, 4294967295, 5, 2147483652, 4294967290, 7}
	at := func(i int) version { return short(serials[i], fmt.Sprintf("at%d. TXT %d", i, serials[i])) }
	for name, start := range map[string]func(*testing.T, primarySpec) updated{
		"BIND": startComparingBIND, "Knot": startComparingKnot,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sec, prim := editedPair(t, start, at(0))
			for i := range len(serials) - 1 {
				becomes(t, sec, prim, at(i), at(i+1), "ixfr")
			}
		})
	}
}

// changing are versions of the edited zone, each of which changes what names exist and how they are answered.
var changing = []struct {
	what    string
	records []string
}{
	{"as at first", nil},
	{"wildcard", []string{"*.wild. A 192.0.2.7", "*.wild. TXT text"}},
	{"name beside the wildcard", []string{"*.wild. A 192.0.2.7", "x.wild. TXT text"}},
	{"no wildcard", []string{"x.wild. TXT text"}},
	{"empty non-terminals", []string{"deep.below.ent. A 192.0.2.9"}},
	{"empty non-terminal with a record", []string{"deep.below.ent. A 192.0.2.9", "below.ent. TXT text"}},
	{"record below gone", []string{"below.ent. TXT text"}},
	{"zone cut", []string{"cut. NS ns.cut." + editedOrigin, "ns.cut. A 192.0.2.53"}},
	{"zone cut with DS", []string{
		"cut. NS ns.cut." + editedOrigin, "ns.cut. A 192.0.2.53",
		"cut. DS 12345 13 2 3490A6806D47F17A34C29E2CE80E8A999FFBE4BE7F2A9B1C1D1E1F2021222324",
	}},
	{"no zone cut", []string{"ns.cut. A 192.0.2.53"}},
	{"DNAME", []string{"old. DNAME new." + editedOrigin, "x.new. A 192.0.2.1"}},
	{"CNAME", []string{"old. CNAME h1." + editedOrigin, "x.new. A 192.0.2.1"}},
}

// changed are the names to ask for.
var changed = []string{
	"", "h1.", "h99.", "wild.", "*.wild.", "x.wild.", "y.wild.", "a.b.wild.", "ent.", "below.ent.", "deep.below.ent.", "x.ent.",
	"x.below.ent.", "cut.", "ns.cut.", "x.cut.", "old.", "x.old.", "y.old.", "new.", "zzz.",
}

// BIND nsec_ixfr, NSD ixfr_wildcard, nsec3_ixfr, nsec3_ixfr_neg, nsec3_parentaxfr: after each IXFR every answer, and
// every proof that there is none, is the primary's.
func TestAnswersAfterIXFRAreThePrimarys(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T, primarySpec) updated{
		"unsigned": startComparingBIND,
		"NSEC":     startSigning(startComparingBIND),
		"NSEC3":    startSigning(startComparingBIND, "-3", "ABCD"),
		"opt-out":  startSigning(startComparingBIND, "-3", "-", "-A"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := func(i int) version { return short(uint32(i+1), changing[i].records...) }
			sec, prim := editedPair(t, start, at(0))
			for i, c := range changing {
				if i > 0 {
					becomes(t, sec, prim, at(i-1), at(i), "ixfr")
				}
				for _, owner := range changed {
					for _, qtype := range []uint16{dns.TypeA, dns.TypeTXT, dns.TypeDS} {
						alike(t, c.what, prim.addr(), sec.addr(), owner+editedOrigin, qtype)
					}
				}
			}
		})
	}
}

// alike fails the test unless two servers answer a question with DO alike. The authority section of a positive answer is
// compared only if it has proofs: the NS records of the zone may stand there.
func alike(t *testing.T, what, want, got, name string, qtype uint16) {
	t.Helper()
	var seen [2]string
	for i, addr := range []string{want, got} {
		q := question(name, qtype)
		q.IsEdns0().SetDo()
		m, err := exchange(addr, q)
		if err != nil {
			t.Fatalf("%s: %s %s: %v", what, name, dns.TypeToString[qtype], err)
		}
		authority := slices.DeleteFunc(texts(m.Ns), func(rr string) bool {
			return len(m.Answer) > 0 && m.Authoritative && (strings.Contains(rr, " IN NS ") || strings.Contains(rr, " RRSIG NS "))
		})
		head := []string{dns.RcodeToString[m.Rcode], fmt.Sprint(m.Authoritative)}
		seen[i] = lines(slices.Concat(head, texts(m.Answer), authority)...)
	}
	if seen[0] != seen[1] {
		t.Errorf("%s: %s %s (-primary +secondary):\n%s", what, name, dns.TypeToString[qtype], cmp.Diff(seen[0], seen[1]))
	}
}

// startGenerousBIND is startComparingBIND whose differences may be larger than the zone.
func startGenerousBIND(t *testing.T, spec primarySpec) updated {
	t.Helper()
	b := &comparingBIND{configureBIND(t, spec)}
	b.amend(t, "named.conf", "type primary;", "type primary; ixfr-from-differences yes; max-ixfr-ratio unlimited;")
	b.run(t, "named", "-g", "-n", "1", "-c", b.path("named.conf"))
	return b
}

// NSD ixfr_del_rrsig_dnskey: a zone whose keys, signatures and proofs all go by IXFR; and come back, however that is sent.
func TestZoneIsUnsignedByIXFR(t *testing.T) {
	t.Parallel()
	sec, prim := editedPair(t, startSigning(startGenerousBIND), short(1))
	bare := prim.(*signing).updated
	becomes(t, sec, bare, short(1), short(2), "ixfr")
	q := question("none."+editedOrigin, dns.TypeA)
	q.IsEdns0().SetDo()
	m, err := exchange(sec.addr(), q)
	if err != nil || m.Rcode != dns.RcodeNameError || len(m.Ns) != 1 {
		t.Errorf("Unsigned: %v, error %v; want the SOA alone", m, err)
	}
	becomes(t, sec, prim, short(2), short(3), "")
	m, err = exchange(sec.addr(), q)
	if err != nil || countType(m.Ns, dns.TypeNSEC) == 0 || countType(m.Ns, dns.TypeRRSIG) < 2 {
		t.Errorf("Signed again: %v, error %v", m, err)
	}
}
