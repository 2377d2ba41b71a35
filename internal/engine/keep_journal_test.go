package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// roomy is wholeOf with records that stay: differences larger than the zone are no use to anybody (RFC 1995 §5), so they
// are not kept.
func roomy(serial uint32) []wire.RR {
	whole := wholeOf(serial)
	for i := range 20 {
		whole = append(whole, wireRR(fmt.Sprintf("host%d.%s 3600 IN A 192.0.2.1", i, example)))
	}
	return whole
}

// keptPair is newPair with a store, and a zone that has room for differences: of versions that came whole, too, if whole says so.
func keptPair(t *testing.T, whole bool) (p *pair, path string) {
	t.Helper()
	p, path = &pair{lab: startLab(t), prim: newHistorian(t)}, newFile(t)
	p.prim.become(roomy(1), nil)
	p.attach(path, whole)
	p.serves(p.zone, 1)
	p.saves(example, 1)
	return p, path
}

// attach has the zone held with a store.
func (p *pair) attach(path string, whole bool) {
	g := group(p.prim.primary())
	g.IXFRFromAXFR = whole
	p.zone = p.Attach(kept(path, g, example)).Zone(id(example))
}

// to brings the zone to a version by IXFR, or by AXFR.
func (p *pair) to(serial uint32, incremental bool) {
	p.t.Helper()
	ixfr := says(dns.RcodeServerFailure)
	if incremental {
		ixfr = sends(between(serial, step(served(p.zone), serial))...)
	}
	p.prim.become(roomy(serial), ixfr)
	p.notify()
	p.serves(p.zone, serial)
	p.settled()
	p.saves(example, serial)
}

// wantJournal fails the test unless the differences in the store lead through these versions of the example zone, the last
// of which is saved.
func wantJournal(t *testing.T, path string, serials ...uint32) {
	t.Helper()
	s := openStore(t, path)
	defer s.Close()
	saved, err := s.Load(storeID(example))
	if err != nil {
		t.Fatal(err)
	}
	last := len(serials) - 1
	if got := saved.Contents.Serial().Uint32(); got != serials[last] || saved.Journal.Versions != last {
		t.Errorf("Serial %d is saved with %d differences; want %d with %d", got, saved.Journal.Versions, serials[last], last)
	}
	differences, err := s.Differences(storeID(example), serial.New(serials[0]))
	if err != nil || len(differences) != last {
		t.Fatalf("%d differences, %v; want %d", len(differences), err, last)
	}
	for i, d := range differences {
		var got []string
		for rr := range d.Removed() {
			got = append(got, "-"+dnstest.Line(rr))
		}
		for rr := range d.Added() {
			got = append(got, "+"+dnstest.Line(rr))
		}
		want := []string{
			"-" + lineOf(soa(example, serials[i])), "-" + lineOf(www(serials[i])), "+" + lineOf(soa(example, serials[i+1])), "+" + lineOf(www(serials[i+1])),
		}
		if !slices.Equal(got, want) { // RFC 1995 §4: the SOA first on either side
			t.Errorf("Difference %d is\n%q\nwant\n%q", i, got, want)
		}
	}
}

func lineOf(text string) string {
	rr := wireRR(text)
	return dnstest.Line(&rr)
}

// RFC 1995 §5: the differences that came by IXFR are kept, for others to be given. A version that came whole has none of its own.
func TestJournalHoldsWhatCameByIXFR(t *testing.T) {
	for name, test := range map[string]func(p *pair) []uint32{
		"AXFR": func(*pair) []uint32 { return []uint32{1} },
		"IXFRs": func(p *pair) []uint32 {
			p.to(2, true)
			p.to(5, true)
			p.to(9, true)
			return []uint32{1, 2, 5, 9}
		},
		"begun anew after AXFR": func(p *pair) []uint32 {
			p.to(2, true)
			p.to(3, false)
			return []uint32{3}
		},
		"after AXFR, IXFR": func(p *pair) []uint32 {
			p.to(2, false)
			p.to(3, true)
			p.to(4, true)
			return []uint32{2, 3, 4}
		},
		"serial wraps": func(p *pair) []uint32 { // RFC 1982
			p.to(1<<31, true)
			p.to(1<<32-1, true)
			p.to(3, true)
			return []uint32{1, 1 << 31, 1<<32 - 1, 3}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, path := keptPair(t, false)
			serials := test(p)
			p.Close()
			wantJournal(t, path, serials...)
		})
	}
}

// With ixfr_from_axfr it does not matter how versions came.
func TestJournalHoldsWhatDiffers(t *testing.T) {
	p, path := keptPair(t, true)
	p.to(2, false)
	p.to(3, true)
	p.to(4, false)
	p.Close()
	wantJournal(t, path, 1, 2, 3, 4)
}

// The journal goes on over a restart, also when the first thing to happen is an IXFR; an AXFR begins it anew, unless what differs
// is wanted. Whoever asks for differences gets those of the process before, too.
func TestJournalGoesOnOverARestart(t *testing.T) {
	for _, c := range []struct {
		incremental, whole bool
		serials            []uint32
	}{{true, true, []uint32{1, 2, 3}}, {false, true, []uint32{1, 2, 3}}, {false, false, []uint32{3}}} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			p, path := keptPair(t, c.whole)
			p.to(2, true)
			p.lab = p.restart()
			p.attach(path, c.whole)
			p.wantSince(1, 2)
			p.wantSince(2)
			p.to(3, c.incremental)
			p.wantSince(c.serials...)
			p.Close()
			wantJournal(t, path, c.serials...)
		})
	}
}

// Versions that come faster than commits are all in the journal, as far as the history goes back.
func TestJournalLacksNoVersionBetweenCommits(t *testing.T) {
	t.Parallel()
	for _, versions := range []int{32, 100} {
		t.Run(fmt.Sprint(versions), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const last = 51
				p, path := &pair{lab: startLab(t), prim: newHistorian(t)}, newFile(t)
				p.Pace = time.Hour
				p.prim.become(roomy(1), nil)
				g := group(p.prim.primary())
				g.History.Versions = versions
				p.zone = p.Attach(kept(path, g, example)).Zone(id(example))
				p.serves(p.zone, 1)
				p.saves(example, 1)
				for n := uint32(2); n <= last; n++ {
					p.prim.become(roomy(n), sends(between(n, step(n-1, n))...))
					p.zone.Notify(engine.Notification{From: p.prim.Addr().Addr(), Serial: serial.New(n), HasSerial: true})
					p.serves(p.zone, n)
				}
				p.Close()
				var serials []uint32
				for n := uint32(max(1, last-versions)); n <= last; n++ {
					serials = append(serials, n)
				}
				wantJournal(t, path, serials...)
			})
		})
	}
}

// A version of the serial that is saved, and of another line, begins the journal anew: what follows does not lead on from what
// is saved.
func TestJournalTellsVersionsOfOneSerialApart(t *testing.T) {
	p, path := keptPair(t, true)
	p.to(2, true)
	p.Close()
	p.lab = startLab(t)
	p.Pace = time.Hour
	p.attach(path, true)
	p.settled()
	p.to(3, true) // the first commit
	p.prim.become(append(roomy(3), wireRR("another."+example+" 60 IN A 192.0.2.1")), nil)
	p.order(refresh.Again)
	p.eventually("another version", func() bool { return p.chainSince(p.zone, 2) == nil })
	p.prim.become(append(roomy(4), wireRR("another."+example+" 60 IN A 192.0.2.1")), sends(between(4, step(3, 4))...))
	p.notify()
	p.serves(p.zone, 4)
	p.wantSince(3, 4)
	p.Close()
	wantJournal(t, path, 3, 4)
}

// A zone that expired came whole when it came back: there is no way from the version before.
func TestJournalBeginsAnewAfterExpiry(t *testing.T) {
	p, path := keptPair(t, true)
	p.to(2, true)
	p.Close()
	changeState(t, path, func(state map[string]any) { state["expire"] = time.Now().Add(-time.Hour) }, example)
	p.lab = startLab(t)
	p.prim.become(roomy(7), sends(between(7, step(2, 7))...))
	p.zone = p.Attach(kept(path, group(p.prim.primary()), example)).Zone(id(example))
	p.notify()
	p.serves(p.zone, 7)
	p.saves(example, 7)
	p.Close()
	wantJournal(t, path, 7)
}

// brook is a primary of many zones that are updated all the time. It is safe for concurrent use.
type brook struct {
	*actor
	mu      sync.Mutex
	serials map[string]uint32 // guarded by mu
}

// newBrook returns a brook whose zones begin with serial 1. It answers IXFR with differences, and now and then whole.
func newBrook(t *testing.T) *brook {
	s := &brook{serials: map[string]uint32{}}
	s.actor = newActor(t, func(r dnstest.Request, w *dnstest.Writer) {
		now := s.serial(r.Name)
		if r.Type != dns.TypeIXFR || r.Serial >= now || now%7 == 0 {
			dnstest.Serve(secret, streamed(r.Name, now)...)(r, w)
			return
		}
		answer := []string{soa(r.Name, now), soa(r.Name, r.Serial)}
		answer = append(append(answer, streamed(r.Name, r.Serial)[2:]...), soa(r.Name, now))
		answer = append(append(answer, streamed(r.Name, now)[2:]...), soa(r.Name, now))
		w.Send(r.Reply(answer...))
	})
	return s
}

// streamed returns a version; all records but the first two, which are SOA and NS, differ from serial to serial.
func streamed(zone string, serial uint32) []string {
	records := []string{soa(zone, serial), zone + " 3600 IN NS ns." + zone}
	for i := range serial%20 + 1 {
		records = append(records, fmt.Sprintf("host%d-%d.%s 300 IN TXT \"%d\"", serial, i, zone, serial))
	}
	return records
}

func (s *brook) serial(zone string) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(1, s.serials[zone])
}

func (s *brook) advance(zone string) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serials[zone] = max(1, s.serials[zone]) + 1
	return s.serials[zone]
}

// isStreamed fails the test unless contents are exactly a version of a brook.
func isStreamed(t *testing.T, name string, c *zone.Contents) {
	t.Helper()
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for rr := range c.All() {
		got = append(got, dnstest.Line(rr))
	}
	for _, text := range streamed(name, c.Serial().Uint32()) {
		want = append(want, lineOf(text))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s with serial %s is\n%q\nwant\n%q", name, c.Serial(), got, want)
	}
}

// Updates of many zones, commits, reloads, readers and a change of the file run at once; what is saved at the end is what
// was served, whole, and so is every difference.
func TestCommitsRunBesideEverything(t *testing.T) {
	const span = 2 * time.Second
	l := newLab(t)
	l.Pace = 0
	s, path, other, zones := newBrook(t), newFile(t), newFile(t), names("z", 12)
	c := kept(path, group(s.primary()), zones...)
	c.Settings.SOARate = 1e6
	at := l.Attach(c)
	for _, z := range zones {
		l.serves(at.Zone(id(z)), 1)
	}
	var all sync.WaitGroup
	deadline := time.Now().Add(span)
	during := func(work func(rng *rand.Rand)) {
		all.Go(func() {
			for rng := rand.New(rand.NewPCG(1, 1)); time.Now().Before(deadline); {
				work(rng)
			}
		})
	}
	for range 2 {
		during(func(rng *rand.Rand) {
			z := zones[rng.IntN(len(zones))]
			at.Zone(id(z)).Notify(engine.Notification{From: s.Addr().Addr(), Serial: serial.New(s.advance(z)), HasSerial: true})
			time.Sleep(time.Millisecond)
		})
	}
	during(func(rng *rand.Rand) {
		again := c
		if rng.IntN(2) == 0 {
			again.Settings.Store = other
		}
		next := l.Attach(extend(again, group(s.primary()), names("brief", rng.IntN(3))...))
		time.Sleep(time.Duration(rng.IntN(50)) * time.Millisecond)
		if rng.IntN(2) == 0 {
			at.Reinstate()
		}
		next.Detach()
	})
	during(func(*rand.Rand) {
		for _, z := range l.Status() {
			if z.Saved != nil && z.Contents != nil && z.Saved.Serial().Newer(z.Contents.Serial()) {
				t.Errorf("%s is saved with %s and served with %s", z.ID.Name, z.Saved.Serial(), z.Contents.Serial())
			}
		}
		if _, err := l.registry.Gather(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Millisecond)
	})
	all.Wait()
	at.Reinstate()
	want := map[string]uint32{}
	for _, z := range zones {
		at.Zone(id(z)).Notify(engine.Notification{From: s.Addr().Addr()})
		want[z] = s.serial(z)
		l.serves(at.Zone(id(z)), want[z])
	}
	if n := l.metric("store_errors_total"); n != 0 {
		t.Errorf("%v store errors: %q", n, l.log.all("error"))
	}
	l.Close()
	for _, z := range zones {
		wantStreamed(t, path, z, want[z])
	}
}

// wantStreamed fails the test unless a zone is saved with the serial, and its journal leads there.
func wantStreamed(t *testing.T, path, name string, n uint32) {
	t.Helper()
	s := openStore(t, path)
	defer s.Close()
	saved, err := s.Load(storeID(name))
	if err != nil || saved.Contents == nil {
		t.Errorf("%s: %v, contents %v", name, err, saved.Contents)
		return
	}
	if got := saved.Contents.Serial().Uint32(); got != n {
		t.Errorf("%s is saved with serial %d; want %d", name, got, n)
	}
	isStreamed(t, name, saved.Contents)
	if saved.Journal.Versions == 0 {
		return
	}
	differences, err := s.Differences(storeID(name), saved.Journal.From)
	if err != nil {
		t.Error(err)
	}
	at := saved.Journal.From
	for _, d := range differences {
		if d.From() != at {
			t.Errorf("%s: a difference from %s follows one to %s", name, d.From(), at)
		}
		at = d.To()
		wantDifference(t, name, d)
	}
	if at != saved.Contents.Serial() {
		t.Errorf("%s: the journal leads to %s", name, at)
	}
}

// wantDifference fails the test unless a difference is exactly that between two versions of a brook.
func wantDifference(t *testing.T, name string, d *zone.Difference) {
	t.Helper()
	for side, records := range map[serial.Serial]func(yield func(*wire.RR) bool){d.From(): d.Removed(), d.To(): d.Added()} {
		var got, want []string
		for rr := range records {
			got = append(got, dnstest.Line(rr))
		}
		for i, text := range streamed(name, side.Uint32()) {
			if i != 1 { // the NS stays
				want = append(want, lineOf(text))
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: a difference has of serial %s\n%q\nwant\n%q", name, side, got, want)
		}
	}
}
