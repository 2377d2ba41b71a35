package engine_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
)

// gate lets transfers through one by one and counts them. It is safe for concurrent use.
type gate struct {
	tokens chan struct{} // one for each transfer that may go on; closed: all may

	mu      sync.Mutex
	running map[*actor]int // guarded by mu
	total   int            // guarded by mu
	most    map[*actor]int // guarded by mu
	mostAll int            // guarded by mu
}

func newGate() *gate {
	return &gate{tokens: make(chan struct{}), running: map[*actor]int{}, most: map[*actor]int{}}
}

// guard returns the script with its transfers behind the gate.
func (g *gate) guard(a **actor, script dnstest.Handler) dnstest.Handler {
	return func(r dnstest.Request, w *dnstest.Writer) {
		if transfer(r) {
			g.count(*a, 1)
			select {
			case <-g.tokens:
			case <-w.Done():
			}
			g.count(*a, -1) // before the answer: the engine may start the next one as soon as it has that
		}
		script(r, w)
	}
}

func (g *gate) count(a *actor, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running[a] += n
	g.total += n
	g.most[a] = max(g.most[a], g.running[a])
	g.mostAll = max(g.mostAll, g.total)
}

// held returns how many transfers are held.
func (g *gate) held() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.total
}

// No more transfers run than are allowed, in all and from one primary, and no fewer.
func TestTransfersAreLimited(t *testing.T) {
	l := newLab(t)
	l.SetPlaceSpan(time.Hour) // what is held up keeps its place
	g := newGate()
	c := config(group())
	c.Settings = secondary.Settings{Settings: engine.Settings{TransfersIn: 5, TransfersPerPrimary: 2, SOARate: 50}}
	actors := make([]*actor, 4)
	var zones []string
	for i := range actors {
		actors[i] = newActor(t, silent)
		actors[i].play(g.guard(&actors[i], serveAny(1)))
		own := names(fmt.Sprintf("p%dz", i), 8)
		zones = append(zones, own...)
		c = extend(c, group(actors[i].primary()), own...)
	}
	at := l.Attach(c)
	for range len(zones) / 2 { // enough are left to go on with, whichever come first
		l.eventually("as many transfers as are allowed", func() bool { return g.held() == c.Settings.TransfersIn })
		g.tokens <- struct{}{}
	}
	close(g.tokens)
	for _, z := range zones {
		l.serves(at.Zone(id(z)), 1)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mostAll != c.Settings.TransfersIn {
		t.Errorf("%d transfers ran at a time; want %d", g.mostAll, c.Settings.TransfersIn)
	}
	reached := 0
	for _, a := range actors {
		reached = max(reached, g.most[a])
	}
	if want := c.Settings.TransfersPerPrimary; reached != want { // five transfers, four primaries
		t.Errorf("%d transfers from one primary ran at a time; want %d", reached, want)
	}
}

// A primary with few zones does not wait for all those of another.
func TestPrimariesTakeTurns(t *testing.T) {
	l := newLab(t)
	l.SetPlaceSpan(time.Hour) // what is held up keeps its place
	g := newGate()
	var many, few *actor
	many, few = newActor(t, silent), newActor(t, serveAny(1))
	many.play(g.guard(&many, serveAny(1)))
	c := config(group(many.primary()), names("many", 50)...)
	c.Settings = secondary.Settings{Settings: engine.Settings{TransfersIn: 2, TransfersPerPrimary: 2, SOARate: 50}}
	at := l.Attach(c)
	l.eventually("transfers of the many", func() bool { return g.held() == 2 })
	l.replace(at, extend(c, group(few.primary()), "few.example."))
	for range 2 { // one of them may have been in turn already
		g.tokens <- struct{}{}
		l.eventually("the next transfer", func() bool { return g.held() == 2 || few.transfers() > 0 })
	}
	l.serves(at.Zone(id("few.example.")), 1)
	if n := many.transfers(); n > 5 {
		t.Errorf("%d transfers of the many went before", n)
	}
}

// A zone that has changed goes before those that are merely new.
func TestNotifiedZoneGoesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		l.SetPlaceSpan(time.Hour) // what is held up keeps its place
		g := newGate()
		a := newActor(t, serveAny(1))
		c := config(group(a.primary()), "urgent.example.")
		c.Settings = secondary.Settings{Settings: engine.Settings{TransfersIn: 1, TransfersPerPrimary: 1, SOARate: 50}}
		at := l.Attach(c)
		urgent := at.Zone(id("urgent.example."))
		l.serves(urgent, 1)

		a.play(g.guard(&a, serveAny(2)))
		l.replace(at, extend(c, c.Zones[id("urgent.example.")].Group, names("new", 20)...))
		l.eventually("the transfer of a new zone", func() bool { return g.held() == 1 })
		urgent.Notify(engine.Notification{From: a.Addr().Addr()})
		l.logged("op=soa", "zone=urgent.example.", "1->2")
		g.tokens <- struct{}{}
		l.eventually("the next transfer", func() bool { return a.transfers() == 3 })
		if order := a.transferred(); order[2] != "urgent.example." {
			t.Errorf("Transfers in the order %q; want urgent.example. the third", order)
		}
	})
}

// The limit of records is exact: the SOA and every record count once, however often they come.
func TestLimitOfRecordsIsExact(t *testing.T) {
	t.Parallel()
	const limit = 10_000
	// In canonical order, and out of it.
	ordered := func(i int) string { return fmt.Sprintf("h%05d.example. 60 IN A 192.0.2.1", i) }
	reversed := func(i int) string { return ordered(limit - i) }
	for _, c := range []struct {
		name    string
		record  func(int) string
		n       int
		repeats int
		fits    bool
	}{
		{"10,000", ordered, limit, 1, true},
		{"10,000 in disorder", reversed, limit, 1, true},
		{"10,000 twice", ordered, limit, 2, true},
		{"10,000 twice in disorder", reversed, limit, 2, true},
		{"10,001", ordered, limit + 1, 1, false},
		{"10,001 in disorder", reversed, limit + 1, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := startLab(t)
				records := version(example, 1)
				for i := range c.n - len(records) {
					records = append(records, c.record(i))
				}
				own := records[1:]
				for range c.repeats - 1 {
					records = append(records, own...)
				}
				a := newActor(t, dnstest.Serve(secret, records...))
				z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
				if !c.fits {
					l.blocked(example, 0, "max_records")
					if z.Contents() != nil {
						t.Error("The zone is served")
					}
					return
				}
				l.serves(z, 1)
				if got := z.Contents().Records(); got != limit {
					t.Errorf("%d records; want %d", got, limit)
				}
			})
		})
	}
}

// A limit of 0 is none.
func TestNoLimit(t *testing.T) {
	l := newLab(t)
	records := version(example, 1)
	for i := range 15_000 {
		records = append(records, fmt.Sprintf("h%d.example. 60 IN A 192.0.2.1", i))
	}
	a := newActor(t, dnstest.Serve(secret, slices.Clone(records)...))
	g := group(a.primary())
	g.MaxRecords, g.MaxSize = 0, 0
	z := l.Attach(config(g, example)).Zone(id(example))
	l.serves(z, 1)
	if got := z.Contents().Records(); got != len(records) {
		t.Errorf("%d records; want %d", got, len(records))
	}
}
