package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// The two sides of a conflict, and what makes a zone signed.
const (
	address = "host." + example + " 60 IN A 192.0.2.7"
	alias   = "host." + example + " 60 IN CNAME www." + example
	dnskey  = example + " 60 IN DNSKEY 257 3 13 qg=="
)

// judgedPair is a zone by rules of conflicts, and its primary. It is used by one test.
type judgedPair struct {
	*lab
	prim   *historian
	at     *secondary.Attachment
	config secondary.Config
}

// newJudgedPair returns a zone that is served at serial 1 with these records more.
func newJudgedPair(t *testing.T, l *lab, store string, by rules.Conflicts, more ...string) *judgedPair {
	t.Helper()
	p := &judgedPair{lab: l, prim: newHistorian(t)}
	p.has(1, nil, more...)
	p.attach(store, by)
	return p
}

// attach puts a configuration with these rules in force, in place of the one before.
func (p *judgedPair) attach(store string, by rules.Conflicts) {
	p.t.Helper()
	old := p.at
	g := group(p.prim.primary())
	g.Conflicts = by
	p.config = kept(store, g, example)
	if p.at = p.Attach(p.config); old != nil {
		old.Detach()
	}
}

func (p *judgedPair) zone() *engine.Zone { return p.at.Zone(id(example)) }

// has makes the primary have a version with these records more, and answer IXFR by the script.
func (p *judgedPair) has(serial uint32, ixfr ixfrScript, more ...string) {
	p.prim.become(append(wholeOf(serial), wireRRs(more...)...), ixfr)
}

// notify tells the engine of the primary's version.
func (p *judgedPair) notify() {
	p.zone().Notify(engine.Notification{From: p.prim.Addr().Addr(), Serial: serial.New(p.prim.serial()), HasSerial: true})
}

// gets makes the primary have a version, and waits until it is served.
func (p *judgedPair) gets(serial uint32, ixfr ixfrScript, more ...string) {
	p.t.Helper()
	p.has(serial, ixfr, more...)
	p.notify()
	p.serves(p.zone(), serial)
}

// answers fails the test unless the records of a name and type are these.
func (p *judgedPair) answers(name string, rrtype uint16, want ...string) {
	p.t.Helper()
	var a zone.Answer
	q, err := wire.ParseName(name)
	if err != nil {
		p.t.Fatal(err)
	}
	p.zone().Contents().Lookup(zone.Query{Name: q, Type: rrtype}, &a)
	var got, wanted []string
	for _, s := range a.Answer {
		for data := range s.All() {
			got = append(got, dnstest.Line(&wire.RR{Owner: s.Owner, Type: s.Type, Class: wire.ClassIN, TTL: s.TTL, Data: data}))
		}
	}
	for _, s := range want {
		rr := wireRR(s)
		wanted = append(wanted, dnstest.Line(&rr))
	}
	if !slices.Equal(got, wanted) {
		p.t.Errorf("%s %s: %q; want %q", name, dns.Type(rrtype), got, wanted)
	}
}

// discarded waits until so many records are said not to be served.
func (p *judgedPair) discarded(n int) {
	p.t.Helper()
	p.eventually(fmt.Sprintf("%d records discarded", n), func() bool { return int(p.metric("zone_records_discarded")) == n })
}

// What loses is left out after AXFR and after IXFR, counted and named; it is served once the winner is gone.
func TestConflictsAreLeftOutCountedAndNamed(t *testing.T) {
	p := newJudgedPair(t, newLab(t), "", rules.ConflictsRFC, address, alias)
	p.serves(p.zone(), 1)
	p.answers("host."+example, dns.TypeA, address)
	p.answers("host."+example, dns.TypeCNAME)
	p.discarded(1)
	if n := p.metric("zone_records"); n != 5 {
		t.Errorf("%v records are said to be served; want 5", n)
	}
	rule := string(reason.CNAMEAndOther)
	p.eventually("a breach counted", func() bool { return p.metric("rule_violations_total", "rule", rule) == 1 })
	p.logged("warning", example, rule, "host."+example+" CNAME", "1 records")

	p.gets(2, sends(between(2, append(step(1, 2), "more."+example+" 60 IN CNAME a.test.", "more."+example+" 60 IN CNAME b.test."))...),
		address, alias, "more."+example+" 60 IN CNAME a.test.", "more."+example+" 60 IN CNAME b.test.")
	p.discarded(2)
	p.answers("more."+example, dns.TypeCNAME, "more."+example+" 60 IN CNAME a.test.")
	several := string(reason.SeveralCNAMEs)
	p.eventually("a breach counted", func() bool { return p.metric("rule_violations_total", "rule", several) == 1 })
	p.logged("warning", several, "more."+example+" CNAME")
	if n := p.metric("rule_violations_total", "rule", rule); n != 1 {
		t.Errorf("%v breaches by an owner that was not touched; want 1", n)
	}

	p.gets(3, sends(between(3, []string{soa(example, 2), www(2), address, soa(example, 3), www(3)})...),
		alias, "more."+example+" 60 IN CNAME a.test.", "more."+example+" 60 IN CNAME b.test.")
	p.discarded(1)
	p.answers("host."+example, dns.TypeCNAME, alias)
	if n := p.metric("transfers_total", "type", "ixfr", "result", "ok"); n != 2 {
		t.Errorf("%v IXFRs; want 2", n)
	}
	if l := p.link(example, 0); l.Reason != "" {
		t.Errorf("Link %+v", l)
	}
}

// From a signed zone nothing is left out (RFC 4035 §3.1.5): a version with a new conflict is refused as a whole, whether it
// comes whole or as differences. One with conflicts that are served already is served whole.
func TestSignedZoneWithConflicts(t *testing.T) {
	rule := string(reason.CNAMEAndOther)
	for name, ixfr := range map[string]ixfrScript{
		"AXFR": nil,
		"IXFR": sends(between(2, append(step(1, 2), address, alias))...),
	} {
		t.Run(name, func(t *testing.T) {
			p := newJudgedPair(t, newLab(t), "", rules.ConflictsRFC, dnskey)
			p.serves(p.zone(), 1)
			p.has(2, ixfr, dnskey, address, alias)
			p.notify()
			p.blocked(example, 0, rule)
			p.logged("warning", "serial=1->2", "the zone is signed", "host."+example+" CNAME", "conflicts off")
			if served(p.zone()) != 1 || p.zone().Contents().Marked() != 0 {
				t.Errorf("Serial %d is served", served(p.zone()))
			}
			if n := p.metric("rule_violations_total", "rule", rule); n < 1 {
				t.Errorf("%v breaches", n)
			}
		})
	}
	p := newJudgedPair(t, newLab(t), "", rules.ConflictsOff, dnskey, address, alias)
	p.serves(p.zone(), 1)
	p.answers("host."+example, dns.TypeA, address)
	p.attach("", rules.ConflictsRFC)
	p.gets(4, nil, dnskey, address, alias)
	p.gets(5, sends(between(5, append(step(4, 5), "more."+example+" 60 IN A 192.0.2.9"))...), dnskey, address, alias, "more."+example+" 60 IN A 192.0.2.9")
	p.discarded(0)
	p.answers("host."+example, dns.TypeA, address)
	p.answers("host."+example, dns.TypeCNAME, alias)
	p.has(6, nil, dnskey, address, alias, "new."+example+" 60 IN CNAME a.test.", "new."+example+" 60 IN TXT x")
	p.notify()
	p.blocked(example, 0, rule)
	if served(p.zone()) != 5 {
		t.Errorf("Serial %d is served; want 5", served(p.zone()))
	}
}

// An unsigned zone of which records are left out cannot become a signed one.
func TestZoneWithConflictsDoesNotBecomeSigned(t *testing.T) {
	t.Parallel()
	for name, ixfr := range map[string]ixfrScript{"AXFR": nil, "IXFR": sends(between(2, append(step(1, 2), dnskey))...)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newJudgedPair(t, startLab(t), "", rules.ConflictsRFC, address, alias)
				p.serves(p.zone(), 1)
				p.has(2, ixfr, dnskey, address, alias)
				p.notify()
				p.blocked(example, 0, string(reason.CNAMEAndOther))
				if served(p.zone()) != 1 {
					t.Errorf("Serial %d is served; want 1", served(p.zone()))
				}
				p.gets(3, nil, dnskey, address)
				p.discarded(0)
			})
		})
	}
}

// A reload with other rules judges what is served again, at once and without a transfer, and so does the next process.
func TestOtherRulesJudgeAgain(t *testing.T) {
	const apexAlias = example + " 60 IN CNAME www." + example
	const ns, more = "sub." + example + " 60 IN NS ns1.test.", "sub." + example + " 60 IN NS ns2.test."
	const beside = "sub." + example + " 60 IN TXT x"
	path := newFile(t)
	l := newLab(t)
	p := newJudgedPair(t, l, path, rules.ConflictsRFC, address, alias, apexAlias, ns, more, beside)
	p.serves(p.zone(), 1)
	want := map[rules.Conflicts]int{rules.ConflictsRFC: 2, rules.ConflictsAlibaba: 3, rules.ConflictsOff: 0}
	p.discarded(want[rules.ConflictsRFC])
	for _, by := range []rules.Conflicts{rules.ConflictsAlibaba, rules.ConflictsOff, rules.ConflictsRFC, rules.ConflictsOff, rules.ConflictsAlibaba} {
		p.attach(path, by)
		p.discarded(want[by])
		p.logged("info", "admitted again by conflicts "+by.String())
		if err := p.zone().Contents().Check(); err != nil {
			t.Fatal(err)
		}
	}
	p.saves(example, 1)
	for _, by := range []rules.Conflicts{rules.ConflictsAlibaba, rules.ConflictsRFC, rules.ConflictsRFC, rules.ConflictsOff, rules.ConflictsAlibaba} {
		p.eventually("everything saved", func() bool { s := p.status(example); return s.Saved != nil && s.Saved == s.Contents })
		p.lab, p.at = p.restart(), nil
		p.attach(path, by)
		p.serves(p.zone(), 1)
		p.discarded(want[by])
	}
	if n := len(p.prim.transfers()); n != 1 {
		t.Errorf("%d transfers; want 1", n)
	}
	if n := p.metric("store_errors_total"); n != 0 {
		t.Errorf("%v failures of the store", n)
	}
	// The next version is compared with what is served now.
	p.gets(2, sends(between(2, step(1, 2))...), address, alias, apexAlias, ns, more, beside)
	p.discarded(want[rules.ConflictsAlibaba])
}

// Contents are restored with their marks: nothing has to be admitted again by the same rules.
func TestMarksOutliveARestart(t *testing.T) {
	path := newFile(t)
	p := newJudgedPair(t, newLab(t), path, rules.ConflictsRFC, address, alias)
	p.serves(p.zone(), 1)
	p.saves(example, 1)
	p.lab, p.at = p.restart(), nil
	p.attach(path, rules.ConflictsRFC)
	if p.zone().Contents().Marked() != 1 {
		t.Errorf("%d records are marked at the start", p.zone().Contents().Marked())
	}
	p.answers("host."+example, dns.TypeA, address)
	p.answers("host."+example, dns.TypeCNAME)
	if lines := p.log.all("admitted again"); len(lines) > 0 {
		t.Errorf("Log: %q", lines)
	}
	// RFC 1995 §4: the loser is there to be removed.
	p.gets(2, sends(between(2, []string{soa(example, 1), www(1), alias, soa(example, 2), www(2)})...), address)
	p.discarded(0)
	if n := p.metric("transfers_total", "type", "ixfr", "result", "ok"); n != 1 {
		t.Errorf("%v IXFRs", n)
	}
}

// What another edition of the rules has admitted is admitted again at the start, though the set has the same name.
func TestOtherEditionJudgesAgain(t *testing.T) {
	path := newFile(t)
	p := newJudgedPair(t, newLab(t), path, rules.ConflictsRFC, address, alias)
	p.serves(p.zone(), 1)
	p.saves(example, 1)
	for _, saved := range []string{"rfc", "rfc 0", "rfc 9"} {
		p.Close()
		changeState(t, path, func(state map[string]any) { state["conflicts"] = saved }, example)
		p.lab, p.at = p.restart(), nil
		p.attach(path, rules.ConflictsRFC)
		p.logged("info", "admitted again by conflicts rfc")
		p.eventually("everything saved", func() bool { s := p.status(example); return s.Saved != nil && s.Saved == s.Contents })
	}
	p.discarded(1)
	p.answers("host."+example, dns.TypeCNAME)
}

// loadChecks are records by which each warning is found, and records near to them by which it is not.
var loadChecks = []struct {
	rule       reason.Reason
	odd, sound string
}{
	{rule: reason.NSWithoutAddress, odd: example + " 3600 IN NS gone." + example, sound: example + " 3600 IN NS ns.other.test."},
	{rule: reason.TargetIsAlias, odd: example + " 60 IN MX 1 alias." + example, sound: example + " 60 IN MX 1 gone." + example},
	{rule: reason.BelowCut, odd: "x.cut." + example + " 60 IN TXT x", sound: "x.cut." + example + " 60 IN A 192.0.2.3"},
	{rule: reason.BelowCut, odd: "cut." + example + " 60 IN DNAME x.test.", sound: "cut." + example + " 60 IN DS 1 13 2 " + strings.Repeat("00", 32)},
	{rule: reason.MixedTTL, odd: "www." + example + " 299 IN A 192.0.2.99", sound: "www." + example + " 299 IN TXT x"},
}

// Each load check finds what it looks for and nothing else, after AXFR and after IXFR, is counted and logged, and the zone is
// served.
func TestLoadChecksWarnAndServe(t *testing.T) {
	t.Parallel()
	rest := []string{"alias." + example + " 60 IN CNAME www." + example, "cut." + example + " 60 IN NS ns.cut." + example, "ns.cut." + example + " 60 IN A 192.0.2.2"}
	for _, c := range loadChecks {
		for _, kind := range []string{"axfr", "ixfr"} {
			t.Run(string(c.rule)+" "+kind, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					p := newJudgedPair(t, startLab(t), "", rules.ConflictsRFC, rest...)
					p.serves(p.zone(), 1)
					for i, text := range []string{c.sound, c.odd} {
						serial := uint32(2 + i)
						var script ixfrScript
						more := []string{c.sound, c.odd}[:i+1]
						if kind == "ixfr" {
							script = sends(between(serial, append(step(serial-1, serial), text))...)
						}
						p.gets(serial, script, append(more, rest...)...)
						if i == 1 {
							p.eventually("a breach counted", func() bool { return p.metric("rule_violations_total", "rule", string(c.rule)) == 1 })
							p.logged("warning", example, "serial=3", "rule "+string(c.rule))
						}
					}
					for _, r := range reason.All(reason.Rule, reason.Conflict, reason.Remark) {
						if n := p.metric("rule_violations_total", "rule", string(r)); n != 0 && r != c.rule {
							t.Errorf("%v breaches of %s", n, r)
						}
					}
					if n := p.metric("transfers_total", "type", kind, "result", "ok"); n < 2 {
						t.Errorf("%v transfers of type %s", n, kind)
					}
					if l := p.link(example, 0); l.Reason != "" {
						t.Errorf("Link %+v", l)
					}
				})
			})
		}
	}
}

// A SOA whose EXPIRE is below REFRESH and RETRY together is served as it is, with a warning; one that is just not is sound.
func TestTimerOrderIsWarnedOf(t *testing.T) {
	p := newPair(t)
	for serial, c := range map[uint32]struct {
		expire int
		breach float64
	}{2: {7199, 1}, 3: {7200, 0}} {
		before := p.metric("rule_violations_total", "rule", "timer_order")
		texts := version(example, serial)
		texts[0] = fmt.Sprintf("%s 3600 IN SOA ns.%s admin.%s %d 3600 3600 %d 300", example, example, example, serial, c.expire)
		p.prim.become(wireRRs(texts...), nil)
		p.notify()
		if !eventually(func() bool { return served(p.zone) >= serial }) {
			t.Fatalf("Serial %d is served", served(p.zone))
		}
		p.eventually("the end of the round", func() bool { return !p.Status()[0].NextAt.IsZero() && served(p.zone) >= serial })
		if served(p.zone) != serial {
			continue // the greater serial came first
		}
		p.Hold()() // what is served can be seen before all that follows from it has been told
		if n := p.metric("rule_violations_total", "rule", "timer_order") - before; n != c.breach {
			t.Errorf("EXPIRE %d: %v breaches; want %v", c.expire, n, c.breach)
		}
	}
}

// The limits of an RRset and of a name refuse a version as a whole, however it comes, for a reason on the link; unlimited is
// without end, and a reload with wider ones takes it.
func TestLimitsOfRRsetAndName(t *testing.T) {
	t.Parallel()
	var rrset, types []string
	for i := range 4 {
		rrset = append(rrset, fmt.Sprintf("many.%s 60 IN A 192.0.2.%d", example, i))
		types = append(types, fmt.Sprintf(`many.%s 60 IN TYPE%d \# 1 00`, example, 65280+i))
	}
	for _, c := range []struct {
		reason string
		more   []string
		limit  func(g *engine.Group, n int)
	}{
		{"rrset_size", rrset, func(g *engine.Group, n int) { g.MaxRRset = n }},
		{"name_types", types, func(g *engine.Group, n int) { g.MaxTypes = n }},
	} {
		for _, kind := range []string{"axfr", "ixfr"} {
			t.Run(c.reason+" "+kind, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					l, prim := startLab(t), newHistorian(t)
					attach := func(limit int) *secondary.Attachment {
						g := group(prim.primary())
						c.limit(g, limit)
						return l.Attach(config(g, example))
					}
					prim.become(append(wholeOf(1), wireRRs(c.more[:3]...)...), nil)
					at := attach(3)
					z := at.Zone(id(example))
					l.serves(z, 1)
					var script ixfrScript
					if kind == "ixfr" {
						script = sends(between(2, append(step(1, 2), c.more[3]))...)
					}
					prim.become(append(wholeOf(2), wireRRs(c.more...)...), script)
					z.Notify(engine.Notification{From: prim.Addr().Addr()})
					l.blocked(example, 0, c.reason)
					l.logged("warning", "many."+example, "more than 3")
					if n := l.metric("rule_violations_total", "rule", c.reason); n != 1 || served(z) != 1 {
						t.Errorf("%v breaches; serial %d is served", n, served(z))
					}
					next := attach(0)
					at.Detach()
					next.Zone(id(example)).Notify(engine.Notification{From: prim.Addr().Addr()})
					l.serves(z, 2)
				})
			})
		}
	}
}

// No log line about records that exclude each other is without name, type and rule.
func TestEveryRuleOfConflictsIsNamed(t *testing.T) {
	more := []string{
		"a." + example + " 60 IN CNAME x.test.", "a." + example + " 60 IN TXT x",
		"b." + example + " 60 IN CNAME x.test.", "b." + example + " 60 IN CNAME y.test.",
		"c." + example + " 60 IN DNAME x.test.", "c." + example + " 60 IN CNAME y.test.",
		"d." + example + " 60 IN DNAME x.test.", "d." + example + " 60 IN DNAME y.test.",
		"f." + example + " 60 IN NS x.test.", "f." + example + " 60 IN MX 1 y.test.",
		example + " 60 IN HTTPS 0 x.test.", example + " 60 IN HTTPS 1 y.test.",
	}
	p := newJudgedPair(t, newLab(t), "", rules.ConflictsAlibaba, more...)
	p.serves(p.zone(), 1)
	p.discarded(len(reason.All(reason.Conflict)))
	for i, r := range reason.All(reason.Conflict) {
		rr := strings.Fields(more[2*i])
		p.eventually("a breach of "+string(r), func() bool { return p.metric("rule_violations_total", "rule", string(r)) == 1 })
		line := p.logged("warning", "rule "+string(r)+":")
		if !strings.Contains(line, rr[0]+" ") {
			t.Errorf("%q does not name %s", line, rr[0])
		}
	}
}
