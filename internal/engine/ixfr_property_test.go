package engine_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// chronicle is a zone as its primary knows it: a list of records, and the differences that led to it. It is as simple as it
// can be, to be compared with. It is used by one test.
type chronicle struct {
	t    *rapid.T
	zone dnstest.Zone // the newest version, what no zone can hold left out, no record twice

	differences [][]wire.RR // since the version that is served, as RFC 1995 §4 has them
}

// same reports whether two records differ in the TTL at most.
func same(a, b wire.RR) bool {
	a.TTL, b.TTL = 0, 0
	return dnstest.Line(&a) == dnstest.Line(&b)
}

// newChronicle begins with what a primary first sends: whole, duplicates and foreign records included.
func newChronicle(t *rapid.T) (c *chronicle, whole []wire.RR) {
	z := dnstest.Zones().Draw(t, "zone")
	c = &chronicle{t: t, zone: dnstest.Zone{Origin: z.Origin}}
	o := dnstest.NewOracle(z.Origin, z.Records)
	for i := range z.Records {
		rr := z.Records[i]
		if !o.Holds(&rr) {
			continue
		}
		if j := c.index(rr); j >= 0 {
			c.zone.Records[j].TTL = min(rr.TTL, c.zone.Records[j].TTL) // RFC 2181 §5.2
			continue
		}
		c.zone.Records = append(c.zone.Records, rr)
	}
	// Types that are no data are left out: no signed zone can have them (RFC 4035 §3.1.5).
	whole = slices.DeleteFunc(slices.Clone(z.Records), func(rr wire.RR) bool {
		inside := rr
		inside.Class, inside.Owner = dns.ClassINET, z.Origin
		return isApexSOA(rr) || !o.Holds(&inside)
	})
	return c, append([]wire.RR{c.soa()}, whole...)
}

func isApexSOA(rr wire.RR) bool { return rr.Type == dns.TypeSOA && rr.Class == dns.ClassINET }

// lastApexNS reports whether rr is the only NS record of the apex: a version without it would be refused.
func (c *chronicle) lastApexNS(rr wire.RR) bool {
	apexNS := func(r wire.RR) bool { return r.Type == dns.TypeNS && r.Owner.Equal(c.zone.Origin) }
	return apexNS(rr) && !slices.ContainsFunc(c.zone.Records, func(r wire.RR) bool { return apexNS(r) && !same(r, rr) })
}

func (c *chronicle) index(rr wire.RR) int {
	return slices.IndexFunc(c.zone.Records, func(r wire.RR) bool { return same(r, rr) })
}

func (c *chronicle) soa() wire.RR {
	return c.zone.Records[slices.IndexFunc(c.zone.Records, isApexSOA)]
}

func (c *chronicle) serial() uint32 {
	soa, err := wire.ParseSOA(c.soa().Data)
	if err != nil {
		c.t.Fatal(err)
	}
	return soa.Serial.Uint32()
}

// whole returns the newest version, the SOA first.
func (c *chronicle) whole() []wire.RR {
	return append([]wire.RR{c.soa()}, slices.DeleteFunc(slices.Clone(c.zone.Records), isApexSOA)...)
}

// dump returns the newest version in canonical form.
func (c *chronicle) dump() string {
	return strings.Join(dnstest.NewOracle(c.zone.Origin, c.zone.Records).Dump(), "\n")
}

// next draws the next version.
func (c *chronicle) next() {
	was, old := c.soa(), c.serial()
	newer := old + rapid.Uint32Range(1, 1<<31-1).Draw(c.t, "step")
	if newer == 0 {
		newer = 1 // 0 is not accepted
	}
	soa := c.zone.SOA(newer, rapid.SampledFrom([]uint32{0, 300}).Draw(c.t, "minimum"))
	c.zone.Records[c.index(was)] = soa
	var removed, added, again []wire.RR
	for range rapid.IntRange(0, 8).Draw(c.t, "removals") {
		rr := rapid.SampledFrom(c.zone.Records).Draw(c.t, "removed")
		if isApexSOA(rr) || c.lastApexNS(rr) {
			continue
		}
		c.zone.Records = slices.Delete(c.zone.Records, c.index(rr), c.index(rr)+1)
		removed = append(removed, rr)
		if rapid.IntRange(0, 2).Draw(c.t, "TTL only") == 0 {
			rr.TTL = rapid.Uint32Range(0, 400).Draw(c.t, "TTL")
			again = append(again, rr)
		}
	}
	c.zone.Records, added = append(c.zone.Records, again...), again
	for range rapid.IntRange(0, 8).Draw(c.t, "additions") {
		rr := c.zone.Record().Draw(c.t, "added")
		if c.index(rr) < 0 {
			c.zone.Records = append(c.zone.Records, rr)
			added = append(added, rr)
		}
	}
	c.differences = append(c.differences, slices.Concat([]wire.RR{was}, removed, []wire.RR{soa}, added))
}

// answer is the answer to an IXFR from the served version.
func (c *chronicle) answer() []wire.RR {
	return slices.Concat([]wire.RR{c.soa()}, slices.Concat(c.differences...), []wire.RR{c.soa()})
}

// script draws how IXFR is answered, and names it.
func (c *chronicle) script() (s ixfrScript, how string) {
	all := c.answer()
	how = rapid.SampledFrom([]string{"exact", "exact", "exact", "exact", "whole", "cut", "SERVFAIL", "inexact", "one each"}).Draw(c.t, "answer")
	switch how {
	case "whole":
		return nil, how
	case "cut":
		all = all[:rapid.IntRange(0, len(all)-1).Draw(c.t, "cut")]
		return func(_ *historian, r dnstest.Request, w *dnstest.Writer) {
			sendRecords(r, w, all)
			w.CloseConn()
		}, how
	case "SERVFAIL":
		return says(dns.RcodeServerFailure), how
	case "inexact":
		all = slices.Insert(slices.Clone(all), 2, wire.RR{
			Owner: c.zone.Origin, Type: 65281, Class: dns.ClassINET, Data: []byte("removed and never there"),
		})
	case "one each":
		return func(_ *historian, r dnstest.Request, w *dnstest.Writer) {
			for i := range all {
				sendRecords(r, w, all[i:i+1])
			}
		}, how
	}
	return func(_ *historian, r dnstest.Request, w *dnstest.Writer) { sendRecords(r, w, all) }, how
}

// compare compares what is served with the newest version, and with contents built from it afresh.
func (c *chronicle) compare(served *zone.Contents) {
	if err := served.Check(); err != nil {
		c.t.Fatal(err)
	}
	if got, want := dumpContents(served), c.dump(); got != want {
		c.t.Fatalf("served is\n%s\nwant\n%s", got, want)
	}
	b := zone.NewBuilder(c.zone.Origin, zone.Limits{})
	whole := c.whole()
	for i := range whole {
		if err := b.Add(&whole[i]); err != nil {
			c.t.Fatal(err)
		}
	}
	fresh, err := b.Seal()
	if err != nil {
		c.t.Fatal(err)
	}
	if got, want := dumpContents(served), dumpContents(fresh); got != want {
		c.t.Fatalf("served is\n%s\nbuilt afresh\n%s", got, want)
	}
	if served.Records() != fresh.Records() || served.Size() != fresh.Size() || served.SOA() != fresh.SOA() || served.Signed() != fresh.Signed() {
		c.t.Fatalf("%d records of %d octets; built afresh %d of %d", served.Records(), served.Size(), fresh.Records(), fresh.Size())
	}
	if !bytes.Equal(served.Origin(), fresh.Origin()) {
		c.t.Fatalf("origin %s", served.Origin())
	}
}

func dumpContents(c *zone.Contents) string {
	var lines []string
	for rr := range c.All() {
		lines = append(lines, dnstest.Line(rr))
	}
	return strings.Join(lines, "\n")
}

// RFC 1995 §4, RFC 5936 §3: whatever way a version came, it is the same: random zones and edits, taken by IXFR of one to
// four versions or by AXFR, with answers that are broken among them.
func TestContentsAreTheSameHoweverTheyCame(t *testing.T) {
	l := newLab(t)
	h := newHistorian(t)
	seen := map[string]int{}
	rounds := 0
	rapid.Check(t, func(t *rapid.T) {
		rounds++
		c, whole := newChronicle(t)
		h.become(whole, nil)
		settings := engine.DefaultSettings
		settings.SOARate = 1e6
		g := group(h.primary())
		g.Conflicts = rules.ConflictsOff // random zones have conflicts, for which a signed one is refused
		zid := engine.ZoneID{Name: fmt.Sprintf("round%d.", rounds)}
		a := l.Attach(secondary.Config{Settings: secondary.Settings{Settings: settings}, Zones: map[engine.ZoneID]engine.ZoneConfig{zid: {Origin: c.zone.Origin, Group: g}}})
		defer a.Detach()
		z := a.Zone(zid)
		follow := func() {
			if !eventually(func() bool { return served(z) == c.serial() }) {
				t.Fatalf("serial %d is served, not %d; the log ends %q", served(z), c.serial(), l.log.all(zid.Name))
			}
			c.compare(z.Contents())
		}
		follow()
		for range rapid.IntRange(1, 4).Draw(t, "updates") {
			c.differences = nil
			have, versions := c.serial(), rapid.IntRange(1, 4).Draw(t, "versions")
			for range versions {
				before := c.zone.Records
				differences := c.differences
				c.zone.Records = slices.Clone(before)
				if c.next(); int32(c.serial()-have) <= 0 { // too far for the client (RFC 1982 §3.2)
					c.zone.Records, c.differences = before, differences
				}
			}
			if len(c.differences) == 0 {
				continue
			}
			script, how := c.script()
			seen[how]++
			h.become(c.whole(), script)
			before, ixfrs := z.Contents(), ixfrsOf(l)
			old := dumpContents(before)
			z.Notify(engine.Notification{From: h.Addr().Addr(), Serial: serial.New(c.serial()), HasSerial: true})
			follow()
			if exact := how == "exact" || how == "one each"; exact && sizeOf(c.answer()) < minIXFR && ixfrsOf(l) == ixfrs {
				t.Fatalf("differences that fit were not taken: %q", l.log.all(zid.Name, "after IXFR"))
			}
			if dumpContents(before) != old {
				t.Fatal("the version before has changed")
			}
		}
	})
	ixfrs := ixfrsOf(l)
	if ixfrs == 0 || seen["cut"] == 0 || seen["whole"] == 0 || seen["inexact"] == 0 {
		t.Errorf("%v transfers by IXFR; answers %v", ixfrs, seen)
	}
	t.Logf("%v by IXFR, %v by AXFR, answers %v", ixfrs, l.metric("transfers_total", "type", "axfr", "result", "ok"), seen)
}

// minIXFR is the octets that differences may always have, however small the zone.
const minIXFR = 64 << 10

// ixfrsOf returns how many differences have been published.
func ixfrsOf(l *lab) float64 {
	l.Load() // a transfer is published and counted with one lock held, which this waits for
	return l.metric("transfers_total", "type", "ixfr", "result", "ok")
}

// sizeOf returns the octets of records on the wire, with room for message headers.
func sizeOf(rrs []wire.RR) (octets int) {
	for i := range rrs {
		octets += len(appendRecord(nil, &rrs[i])) + 300
	}
	return octets
}
