//go:build e2e

package e2e_test

import (
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

func TestEveryRecordOfEachPrimaryIsServed(t *testing.T) {
	t.Parallel()
	eachPrimary(t, func(t *testing.T, start func(*testing.T, primarySpec) primary) {
		for name, key := range map[string]*tsigKey{"unsigned": nil, "signed": testKey("hmac-sha256")} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				sec, prim := syncedPair(t, start, key)
				rrs := axfr(t, prim.addr(), mixedOrigin, key)
				answersWith(t, sec.addr(), mixedOrigin, parse(t, rrs))
				sec.normal(t, mixedOrigin, prim.addr())
				reportsTransfer(t, sec, prim, len(rrs))
			})
		}
	})
}

// reportsTransfer checks what metrics and log say after the one transfer of a pair.
func reportsTransfer(t *testing.T, sec *secondary, prim primary, records int) {
	t.Helper()
	m := scrape(t, sec.Metrics)
	for _, complaint := range []string{
		m.is(1, "serial", "zone", mixedOrigin),
		m.is(1, "primary_serial", "zone", mixedOrigin, "primary", prim.addr()),
		m.is(float64(records), "zone_records", "zone", mixedOrigin),
		m.is(1, "transfers_total", "type", "axfr", "result", "ok"),
		m.is(1, "transfer_duration_seconds_count", "type", "axfr"),
	} {
		if complaint != "" {
			t.Error(complaint)
		}
	}
	if n := m.sum("transfer_bytes_total", "type", "axfr"); n < 1000 {
		t.Errorf("Octets transferred: %v", n)
	}
	if n := m.sum("zone_bytes", "zone", mixedOrigin); n < 1000 {
		t.Errorf("Octets of the zone: %v", n)
	}
	now := float64(time.Now().Unix())
	if at := m.sum("last_check_timestamp_seconds", "zone", mixedOrigin); math.Abs(now-at) > 60 {
		t.Errorf("Last check %v s ago", now-at)
	}
	if at := m.sum("expire_timestamp_seconds", "zone", mixedOrigin); math.Abs(at-now-1209600) > 60 {
		t.Errorf("Expires in %v s, want 1209600", at-now)
	}
	want := regexp.MustCompile(`mixed\.test\..*` + regexp.QuoteMeta(prim.addr()))
	if !want.MatchString(sec.proc.log(t)) {
		t.Errorf("No log line names zone and primary")
	}
}

// answersWith asks for every RRset of a zone and compares: the answers must be the RRsets; at and below a zone cut,
// referrals must have the NS records and the glue (RFC 1034 §4.3.2 step 3b). NSEC3 records, which no query by name
// finds (RFC 5155 §7.2.8), are left out, and so are the signatures and denials at zone cuts.
func answersWith(t *testing.T, addr, origin string, rrs []dns.RR) {
	t.Helper()
	sets, cuts := map[dns.Question][]dns.RR{}, map[string]bool{}
	hashed := map[string]bool{}
	for _, rr := range rrs {
		h := rr.Header()
		owner := dns.CanonicalName(h.Name)
		sets[dns.Question{Name: owner, Qtype: h.Rrtype}] = append(sets[dns.Question{Name: owner, Qtype: h.Rrtype}], rr)
		cuts[owner] = cuts[owner] || h.Rrtype == dns.TypeNS && owner != origin
		hashed[owner] = hashed[owner] || h.Rrtype == dns.TypeNSEC3
	}
	for q, set := range sets {
		if hashed[q.Name] || cuts[q.Name] && (q.Qtype == dns.TypeNSEC || q.Qtype == dns.TypeRRSIG) {
			continue
		}
		m := ask(t, addr, q.Name, q.Qtype)
		got, what := m.Answer, "answer"
		switch cut := cutAbove(q.Name, cuts); {
		case cut == q.Name && q.Qtype == dns.TypeNS:
			got, what = m.Ns, "referral"
		case cut != "" && cut != q.Name:
			got, what = ofName(m.Extra, q), "glue"
		}
		if m.Rcode != dns.RcodeSuccess {
			t.Errorf("%s %s: %s", q.Name, dns.TypeToString[q.Qtype], dns.RcodeToString[m.Rcode])
			continue
		}
		if diff := cmp.Diff(texts(set), texts(got)); diff != "" {
			t.Errorf("%s %s: %s (-primary +served):\n%s", q.Name, dns.TypeToString[q.Qtype], what, diff)
		}
	}
}

// cutAbove returns the highest zone cut at or above the name, empty when there is none.
func cutAbove(name string, cuts map[string]bool) (cut string) {
	for off, end := 0, false; !end; off, end = dns.NextLabel(name, off) {
		if cuts[name[off:]] {
			cut = name[off:]
		}
	}
	return cut
}

// ofName keeps the records of the question's name and type.
func ofName(rrs []dns.RR, q dns.Question) []dns.RR {
	var kept []dns.RR
	for _, rr := range rrs {
		if rr.Header().Rrtype == q.Qtype && dns.CanonicalName(rr.Header().Name) == q.Name {
			kept = append(kept, rr)
		}
	}
	return kept
}

func TestTransfersAndNotifiesWithEachAlgorithm(t *testing.T) {
	t.Parallel()
	for _, algorithm := range algorithms {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			sec, prim, w := notifiedPair(t, startBIND, testKey(algorithm))
			servedAfterNotify(t, sec, prim, w)
			sec.logs(t, `mixed\.test\..*test_key`)
			if n := scrape(t, sec.Metrics).sum("tsig_failures_total"); n != 0 {
				t.Errorf("%v TSIG failures", n)
			}
		})
	}
}

func TestKeyFileOfTSIGKeygenIsRead(t *testing.T) {
	t.Parallel()
	clause := run(t, "tsig-keygen", "-a", "hmac-sha384", "test_key")
	secret := regexp.MustCompile(`secret "([^"]+)"`).FindStringSubmatch(clause)
	if secret == nil {
		t.Fatalf("Output of tsig-keygen: %s", clause)
	}
	prim := startBIND(t, primarySpec{
		Zones: map[string]string{mixedOrigin: mixedZone(1)},
		Key:   &tsigKey{Name: "test_key", Algorithm: "hmac-sha384", Secret: secret[1]},
	})
	sec := newSecondary(t)
	file := filepath.Join(sec.Dir, "test.key")
	writeFile(t, file, clause)
	sec.start(t, secondarySpec{
		Zones: []string{mixedOrigin},
		Block: lines("key_file "+file, "primary "+prim.addr()+" key test_key"),
	})
	sec.serves(t, mixedOrigin, 1, syncLimit)
}

func TestStockSecondarySyntaxIsUnderstood(t *testing.T) {
	t.Parallel()
	prim := startKnot(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(1)}})
	sec := newSecondary(t)
	sec.start(t, secondarySpec{Zones: []string{mixedOrigin}, Block: "transfer from " + prim.addr()})
	sec.serves(t, mixedOrigin, 1, syncLimit)
}

func TestSourceAddressIsUsed(t *testing.T) {
	t.Parallel()
	prim := startBIND(t, primarySpec{
		Zones: map[string]string{mixedOrigin: mixedZone(1)}, AllowTransfer: "127.0.0.9",
	})
	sec := newSecondary(t)
	sec.start(t, secondarySpec{Zones: []string{mixedOrigin}, Block: "primary " + prim.addr() + " source 127.0.0.9"})
	sec.serves(t, mixedOrigin, 1, syncLimit)
}

func TestEachPrimaryHasItsOwnKey(t *testing.T) {
	t.Parallel()
	sha, md := testKey("hmac-sha512"), testKey("hmac-md5")
	md.Name = "other_key"
	zones := map[string]string{mixedOrigin: mixedZone(1)}
	first := startBIND(t, primarySpec{Zones: zones, Key: sha})
	second := startKnot(t, primarySpec{Zones: zones, Key: md})
	sec := newSecondary(t)
	sec.start(t, secondarySpec{
		Zones: []string{mixedOrigin},
		Block: lines(sha.line(), md.line(),
			"primary "+first.addr()+" key "+sha.Name, "primary "+second.addr()+" key "+md.Name),
	})
	sec.serves(t, mixedOrigin, 1, syncLimit)
	sec.normal(t, mixedOrigin, first.addr())
	sec.normal(t, mixedOrigin, second.addr())
}

func TestZonesFileGivesZonesAndIsWatched(t *testing.T) {
	t.Parallel()
	zones := map[string]string{}
	var names []string
	for i := range 5 {
		origin := fmt.Sprintf("z%d.test.", i)
		zones[origin] = plainZone(origin, 1, 3, longTimers)
		names = append(names, origin)
	}
	prim := startNSD(t, primarySpec{Zones: zones})
	sec := newSecondary(t)
	file := filepath.Join(sec.Dir, "zones")
	writeFile(t, file, strings.Join(names[:4], "\n")+"\n")
	sec.start(t, secondarySpec{Block: lines("zones_file "+file, "primary "+prim.addr())})
	for _, z := range names[:4] {
		sec.serves(t, z, 1, syncLimit)
	}
	writeFile(t, file, strings.Join(names[1:], "\n")+"\n")
	sec.serves(t, names[4], 1, 30*time.Second)
	eventually(t, 30*time.Second, "Zone that left the file is no longer served", func() string {
		if _, complaint := serialAt(sec.addr(), names[0]); complaint == "" {
			return "it is"
		}
		return ""
	})
}

func TestLargeZoneArrivesWhole(t *testing.T) {
	t.Parallel()
	const origin, records = "large.test.", 200_000
	prim := startKnot(t, primarySpec{Zones: map[string]string{origin: plainZone(origin, 1, records, longTimers)}})
	sec := newSecondary(t)
	sec.start(t, secondarySpec{Zones: []string{origin}, Block: lines("primary "+prim.addr(), "max_records unlimited")})
	sec.serves(t, origin, 1, time.Minute)
	eventually(t, settleLimit, "Count of records", func() string {
		return scrape(t, sec.Metrics).is(records, "zone_records", "zone", origin)
	})
	for _, i := range []int{0, 1, records / 2, records - 4} {
		if m := ask(t, sec.addr(), fmt.Sprintf("h%d.%s", i, origin), dns.TypeA); len(m.Answer) != 1 {
			t.Errorf("Host %d: %s, %d answers", i, dns.RcodeToString[m.Rcode], len(m.Answer))
		}
	}
}
