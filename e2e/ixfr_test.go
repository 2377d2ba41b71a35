//go:build e2e

package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	editedOrigin = "edited.test."
	editedHosts  = 2000 // so many that a thousand changes are less than the zone, and worth an IXFR
	randomEdits  = 8    // versions of random edits behind those with one edit each
)

// editor makes versions of the edited zone. It belongs to the goroutine of its test.
type editor struct {
	version
	rng  *rand.Rand
	next int // number of the next host
}

func newEditor(seed uint64) *editor {
	e := &editor{version: version{serial: 1}, rng: rand.New(rand.NewPCG(seed, 0))}
	e.put("", "3600", "NS", "ns1."+editedOrigin)
	e.put("", "3600", "NS", "ns2.example.net.")
	e.put("ns1.", "3600", "A", "192.0.2.1")
	e.put("mail.", "3600", "A", "192.0.2.25")
	e.put("h.cut.", "3600", "A", "192.0.2.60") // below a zone cut that comes and goes
	e.put("ns.cut.", "3600", "A", "192.0.2.53")
	e.put("web.", "3600", "CNAME", "mail."+editedOrigin)
	e.hosts(editedHosts)
	return e
}

// put adds a record. The owner is relative.
func (e *editor) put(owner, ttl, rrtype, rdata string) {
	rr := strings.Join([]string{owner + editedOrigin, ttl, rrtype, rdata}, " ")
	if i, found := slices.BinarySearch(e.records, rr); !found {
		e.records = slices.Insert(slices.Clone(e.records), i, rr)
	}
}

// hosts adds n new hosts.
func (e *editor) hosts(n int) {
	e.records = slices.Clone(e.records) // the old version has them too
	for range n {
		e.records = append(e.records, fmt.Sprintf("h%d.%s 3600 A 10.%d.%d.%d", e.next, editedOrigin, e.next>>16&255, e.next>>8&255, e.next&255))
		e.next++
	}
	slices.Sort(e.records)
}

// drop removes the records that f chooses and reports whether there were any.
func (e *editor) drop(f func(owner, rest string) bool) bool {
	before := len(e.records)
	e.records = slices.DeleteFunc(slices.Clone(e.records), func(rr string) bool {
		owner, _, rest := split(rr)
		return f(strings.TrimSuffix(owner, editedOrigin), rest)
	})
	return len(e.records) < before
}

// toggle adds the records, "owner TYPE RDATA" with relative owners, or removes them if they are there.
func (e *editor) toggle(records ...string) {
	for _, rr := range records {
		f := strings.SplitN(rr, " ", 3)
		if !e.drop(func(owner, rest string) bool { return owner == f[0] && rest == f[1]+" "+f[2] }) {
			e.put(f[0], "3600", f[1], f[2])
		}
	}
}

// host returns the owner of a random host.
func (e *editor) host() string {
	for {
		owner, _, rest := split(e.records[e.rng.IntN(len(e.records))])
		if strings.HasPrefix(rest, "A 10.") {
			return strings.TrimSuffix(owner, editedOrigin)
		}
	}
}

// edits are the changes, by name; most undo themselves when they are made again.
var edits = []struct {
	name string
	make func(*editor)
}{
	{"add", func(e *editor) { e.hosts(1) }},
	{"delete the last record of a name", func(e *editor) {
		gone := e.host()
		e.drop(func(owner, _ string) bool { return owner == gone })
	}},
	{"second record of a set", func(e *editor) { e.put(e.host(), "3600", "A", fmt.Sprintf("10.200.0.%d", e.rng.IntN(256))) }},
	{"another type", func(e *editor) { e.put(e.host(), "60", "TXT", fmt.Sprintf(`"text %d"`, e.rng.IntN(100))) }},
	{"delete one record of a name", func(e *editor) { e.toggle(`mail. TXT "second"`) }},
	{"TTL only", func(e *editor) {
		name, ttl := e.host(), fmt.Sprint(60+e.rng.IntN(1000))
		e.records = slices.Clone(e.records)
		for i, rr := range e.records {
			if owner, _, rest := split(rr); owner == name+editedOrigin && strings.HasPrefix(rest, "A ") {
				e.records[i] = owner + " " + ttl + " " + rest
			}
		}
		slices.Sort(e.records)
	}},
	{"SOA only", func(*editor) {}},
	{"zone cut with glue", func(e *editor) { e.toggle("cut. NS ns.cut."+editedOrigin, "cut. NS ns.example.net.") }},
	{"glue", func(e *editor) { e.toggle("ns.cut. AAAA 2001:db8::53") }},
	{"zone cut", func(e *editor) { e.toggle("cut. NS ns.cut."+editedOrigin, "cut. NS ns.example.net.") }},
	{"wildcard", func(e *editor) { e.toggle("*.wild. A 192.0.2.7", `*.wild. TXT "synthesized"`) }},
	{"empty non-terminals", func(e *editor) { e.toggle("deep.below.empty.nonterminal. A 192.0.2.9") }},
	{"record at an empty non-terminal", func(e *editor) { e.toggle("empty.nonterminal. A 192.0.2.10") }},
	{"empty non-terminals gone", func(e *editor) { e.toggle("deep.below.empty.nonterminal. A 192.0.2.9") }},
	{"DNAME", func(e *editor) { e.toggle("old. DNAME mail." + editedOrigin) }},
	{"CNAME in place of data", func(e *editor) {
		name := e.host()
		e.drop(func(owner, _ string) bool { return owner == name })
		e.put(name, "3600", "CNAME", "mail."+editedOrigin)
	}},
	{"owner in another case", func(e *editor) {
		name := e.host()
		e.drop(func(owner, _ string) bool { return owner == name })
		e.put(strings.ToUpper(name), "3600", "A", fmt.Sprintf("10.100.0.%d", e.rng.IntN(256)))
	}},
	{"apex", func(e *editor) { e.toggle(` TXT "at the apex"`) }},
	{"unknown type", func(e *editor) { e.toggle(`unknown. TYPE65280 \# 4 0A000001`) }},
	{"1,000 at once", func(e *editor) { e.hosts(1000) }},
	{"1,000 gone", func(e *editor) {
		last := e.next
		e.drop(func(owner, rest string) bool {
			var n int
			_, err := fmt.Sscanf(owner, "h%d.", &n)
			return err == nil && n >= last-1000 && n%2 == 0
		})
	}},
}

// some makes a few changes, none of which is of many records.
func (e *editor) some() {
	for range 1 + e.rng.IntN(5) {
		if edit := edits[e.rng.IntN(len(edits))]; !strings.HasPrefix(edit.name, "1,000") {
			edit.make(e)
		}
	}
}

// ixfrPrimaries make differences in all the ways there are; the type is how their versions arrive.
var ixfrPrimaries = map[string]struct {
	start func(*testing.T, primarySpec) updated
	kind  string // axfr or ixfr; empty for whichever it is
}{
	"BIND nsupdate":              {startDynamicBIND, "ixfr"},
	"BIND ixfr-from-differences": {startComparingBIND, "ixfr"},
	"Knot knsupdate":             {startDynamicKnot(), "ixfr"},
	"Knot zonefile difference":   {startComparingKnot, "ixfr"},
	// NSD 4.6 puts into every difference all sets of the apex but NS, as additions; that is not exact.
	"NSD create-ixfr":            {startComparingNSD, ""},
	"PowerDNS":                   {startWholePowerDNS, "axfr"}, // RFC 1995 §4: an answer in the style of AXFR
	"Knot signing NSEC":          {startDynamicKnot("nsec3: off"), "ixfr"},
	"Knot signing NSEC3":         {startDynamicKnot("nsec3: on", "nsec3-salt-length: 4"), "ixfr"},
	"Knot signing opt-out":       {startDynamicKnot("nsec3: on", "nsec3-opt-out: on"), "ixfr"},
	"BIND dnssec-signzone NSEC":  {startSigning(startComparingBIND), "ixfr"},
	"NSD dnssec-signzone NSEC3":  {startSigning(startComparingNSD, "-3", "ABCD"), ""},
	"BIND dnssec-signzone NSEC3": {startSigning(startComparingBIND, "-3", "ABCD"), "ixfr"},
}

// RFC 1995 §4, RFC 5936 §3: after each update by IXFR our zone is the primary's, record for record.
func TestZoneIsThePrimarysAfterEachUpdate(t *testing.T) {
	t.Parallel()
	for name, p := range ixfrPrimaries {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEditor(1)
			sec := newSecondary(t)
			prim := p.start(t, primarySpec{
				Zones: map[string]string{editedOrigin: e.text()}, Notify: []netip.AddrPort{sec.target()},
			})
			sec.start(t, secondarySpec{
				Zones: []string{editedOrigin}, Block: lines("primary "+prim.addr(), "max_records 100000"), Chain: "transfer {\n to *\n}",
			})
			serial, complaint := serialAt(prim.addr(), editedOrigin)
			if complaint != "" {
				t.Fatal(complaint)
			}
			sec.serves(t, editedOrigin, serial, syncLimit)
			step := func(what string, change func()) {
				old := e.version
				if e.serial = serial + 1; old.serial > serial {
					e.serial = old.serial + 1
				}
				change()
				prim.update(t, old, e.version)
				serial = follows(t, sec, prim, serial, what, p.kind)
			}
			for _, edit := range edits {
				step(edit.name, func() { edit.make(e) })
			}
			for range randomEdits {
				var what []string
				step("several", func() {
					for range 1 + e.rng.IntN(5) {
						edit := edits[e.rng.IntN(len(edits))]
						what = append(what, edit.name)
						edit.make(e)
					}
				})
			}
		})
	}
}

// follows waits until the primary has a newer version than serial and we have it, compares the two and returns the
// serial; the version must have come as a transfer of the kind.
func follows(t *testing.T, sec *secondary, prim updated, serial uint32, what, kind string) uint32 {
	t.Helper()
	newest := serial
	eventually(t, settleLimit, "primary after "+what, func() string {
		s, complaint := serialAt(prim.addr(), editedOrigin)
		if complaint == "" && s == serial {
			complaint = fmt.Sprintf("serial %d still", s)
		}
		newest = s
		return complaint
	})
	sec.serves(t, editedOrigin, newest, syncLimit)
	want, got := lowerOwners(axfr(t, prim.addr(), editedOrigin, nil)), lowerOwners(axfr(t, sec.addr(), editedOrigin, nil))
	if !slices.Equal(want, got) {
		t.Fatalf("%s, serial %d to %d: AXFR (-primary +secondary):\n%s", what, serial, newest, cmp.Diff(want, got))
	}
	cameAs(t, sec, newest, what, kind)
	return newest
}

// cameAs fails the test unless the log says that the serial came as a transfer of the kind, without a failed IXFR before it.
func cameAs(t *testing.T, sec *secondary, serial uint32, what, kind string) {
	t.Helper()
	eventually(t, settleLimit, "log line of "+what, func() string {
		for l := range strings.Lines(sec.proc.log(t)) {
			if !strings.Contains(l, fmt.Sprintf("->%d ", serial)) || !strings.Contains(l, "published") {
				continue
			}
			if kind != "" && (!strings.Contains(l, "op="+kind+" ") || strings.Contains(l, "after IXFR")) {
				t.Errorf("%s: %s", what, l)
			}
			return ""
		}
		return fmt.Sprintf("none says that serial %d is published", serial)
	})
}

// lowerOwners returns the records, sorted, with owners in lower case: BIND keeps the case of each RRset, we that of the
// first of a name (RFC 4343 §4.1 leaves that open).
func lowerOwners(rrs []string) []string {
	lower := make([]string, 0, len(rrs))
	for _, rr := range rrs {
		owner, rest, _ := strings.Cut(rr, " ")
		lower = append(lower, strings.ToLower(owner)+" "+rest)
	}
	slices.Sort(lower)
	return lower
}

// NSD's differences of a zone whose apex has a SOA and NS records only are exact.
func TestNSDsDifferencesAreTaken(t *testing.T) {
	t.Parallel()
	e := newEditor(3)
	sec := newSecondary(t)
	prim := startComparingNSD(t, primarySpec{Zones: map[string]string{editedOrigin: e.text()}, Notify: []netip.AddrPort{sec.target()}})
	sec.start(t, secondarySpec{Zones: []string{editedOrigin}, Block: "primary " + prim.addr(), Chain: "transfer {\n to *\n}"})
	sec.serves(t, editedOrigin, 1, syncLimit)
	for _, edit := range edits {
		if edit.name == "apex" {
			continue
		}
		old := e.version
		e.serial++
		edit.make(e)
		prim.update(t, old, e.version)
		follows(t, sec, prim, old.serial, edit.name, "ixfr")
	}
}

// What an operator sees of a version that came by IXFR: the type of the transfer, the link, the serial.
func TestIXFRIsCounted(t *testing.T) {
	t.Parallel()
	e := newEditor(2)
	sec := newSecondary(t)
	prim := startDynamicBIND(t, primarySpec{Zones: map[string]string{editedOrigin: e.text()}, Notify: []netip.AddrPort{sec.target()}})
	sec.start(t, secondarySpec{Zones: []string{editedOrigin}, Block: "primary " + prim.addr()})
	sec.serves(t, editedOrigin, 1, syncLimit)
	old := e.version
	e.hosts(1)
	prim.update(t, old, e.version)
	sec.serves(t, editedOrigin, 2, syncLimit)
	sec.counts(t, 1, "transfers_total", "type", "ixfr", "result", "ok")
	m := scrape(t, sec.Metrics)
	for _, complaint := range []string{
		m.is(1, "transfers_total", "type", "axfr", "result", "ok"),
		m.is(1, "transfer_duration_seconds_count", "type", "ixfr"),
		m.is(2, "serial", "zone", editedOrigin),
		m.is(float64(len(e.records)+1), "zone_records", "zone", editedOrigin),
	} {
		if complaint != "" {
			t.Error(complaint)
		}
	}
	if n := m.sum("transfer_bytes_total", "type", "ixfr"); n < 100 || n > 1000 {
		t.Errorf("%v octets for one record", n)
	}
	sec.normal(t, editedOrigin, prim.addr())
}
