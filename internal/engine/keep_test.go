package engine_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"go.etcd.io/bbolt"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/watch"
)

// Zones are served as they were as soon as they are configured again, before a primary is asked anything.
func TestRestartServesWhatWasSaved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a, path, zones := newActor(t, serveAny(1)), newFile(t), names("z", 5)
		at := l.Attach(kept(path, group(a.primary()), zones...))
		for _, z := range zones {
			l.serves(at.Zone(id(z)), 1)
		}
		l.follow(a, at, 2, zones[:2]...)
		before := map[string]watch.Status{}
		for _, z := range zones {
			l.eventually("the end of the round of "+z, func() bool { return !l.status(z).NextAt.IsZero() })
			before[z] = l.status(z)
		}
		asked := a.transfers() + a.soaQueries()

		l = l.restart()
		at = l.Attach(kept(path, group(a.primary()), zones...))
		for _, z := range zones {
			was, c := before[z], at.Zone(id(z)).Contents()
			if c == nil || dumpContents(c) != dumpContents(was.Contents) {
				t.Errorf("%s is not served as it was", z)
				continue
			}
			if err := c.Check(); err != nil {
				t.Error(err)
			}
			is := l.status(z)
			if !near(is.CheckedAt, was.CheckedAt) || !near(is.ExpireAt, was.ExpireAt) {
				t.Errorf("%s was checked %v and expires %v; want %v, %v", z, is.CheckedAt, is.ExpireAt, was.CheckedAt, was.ExpireAt)
			}
			if is.Saved != c {
				t.Errorf("%s is said to be saved with %v", z, is.Saved)
			}
			sameLink(t, is.Links[0], was.Links[0])
		}
		if !l.Settled() {
			t.Error("Zones that are served are not ready")
		}
		if n := a.transfers() + a.soaQueries(); n != asked {
			t.Errorf("The primary was asked %d times", n-asked)
		}
		l.logged("info store "+path, "5 zones restored, 0 too old to be served, 0 damaged")
		l.follow(a, at, 3, zones...)
	})
}

// sameLink fails the test unless a link is as it was.
func sameLink(t *testing.T, is, was refresh.Link) {
	t.Helper()
	times := near(is.SinceAt, was.SinceAt) && near(is.LastOKAt, was.LastOKAt) && near(is.FailedAt, was.FailedAt) && near(is.RetryAt, was.RetryAt)
	is.SinceAt, is.LastOKAt, is.FailedAt, is.RetryAt = was.SinceAt, was.LastOKAt, was.FailedAt, was.RetryAt
	if is != was || !times {
		t.Errorf("Link %+v\nwas  %+v", is, was)
	}
}

// RFC 1035 §3.3.13: RETRY is the time to wait after a check that failed, and a restart is no reason to wait less. Nor is
// it one to forget which primary failed, and why.
func TestRestartKeepsToBackOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a, b, path := newActor(t, serve(example, 1)), newActor(t, refusing(dns.RcodeServerFailure)), newFile(t)
		c := kept(path, group(a.primary(), b.primary()), example)
		z := l.Attach(c).Zone(id(example))
		l.serves(z, 1)
		a.play(refusing(dns.RcodeRefused))
		z.Notify(engine.Notification{From: a.Addr().Addr()})
		l.blocked(example, 0, "refused")
		l.blocked(example, 1, "servfail")
		l.eventually("the end of the round", func() bool { return !l.status(example).NextAt.IsZero() })
		was := l.status(example)
		if in := time.Until(was.NextAt); in < 40*time.Minute {
			t.Fatalf("The next attempt is in %s", in)
		}

		l = l.restart()
		l.Attach(c)
		is := l.status(example)
		sameLink(t, is.Links[0], was.Links[0])
		sameLink(t, is.Links[1], was.Links[1])
		if !near(is.NextAt, was.NextAt) {
			t.Errorf("The next attempt is at %v; want %v", is.NextAt, was.NextAt)
		}
	})
}

// Links belong to primaries, not to places in a list: they are found again in another order, and a new primary knows
// nothing.
func TestRestartFindsLinksByPrimary(t *testing.T) {
	l := newLab(t)
	good, bad, path := newActor(t, serve(example, 1)), newActor(t, refusing(dns.RcodeServerFailure)), newFile(t)
	l.serves(l.Attach(kept(path, group(good.primary(), bad.primary()), example)).Zone(id(example)), 1)
	l.blocked(example, 1, "servfail")
	l.eventually("the end of the round", func() bool { return !l.status(example).NextAt.IsZero() })
	was := l.status(example).Links

	l = l.restart()
	signed := good.primary()
	signed.Key = newKey(t, keyName, secret)
	l.Attach(kept(path, group(bad.primary(), signed, good.primary()), example))
	is := l.status(example).Links
	sameLink(t, is[0], was[1])
	sameLink(t, is[1], refresh.Link{})
	sameLink(t, is[2], was[0])
}

// Which primary cannot do IXFR is known after a restart too; and one that can is asked for what has come since.
func TestRestartKeepsWhoCannotIXFR(t *testing.T) {
	for want, ixfr := range map[string]ixfrScript{"AXFR": says(dns.RcodeNotImplemented), "IXFR": nil} {
		t.Run(want, func(t *testing.T) {
			l := newLab(t)
			h, path := newHistorian(t), newFile(t)
			h.become(wholeOf(1), nil)
			c := kept(path, group(h.primary()), example)
			p := &pair{lab: l, prim: h, zone: l.Attach(c).Zone(id(example))}
			l.serves(p.zone, 1)
			if ixfr == nil {
				ixfr = sends(between(2, step(1, 2))...)
			}
			p.update(2, ixfr)
			l.saves(example, 2)

			l = l.restart()
			p = &pair{lab: l, prim: h, zone: l.Attach(c).Zone(id(example))}
			h.transfers()
			p.update(3, sends(between(3, step(2, 3))...))
			p.wantAsked(want)
		})
	}
}

// RFC 1034 §4.3.5: what nobody has confirmed for EXPIRE is not served, however much of that time the process was down.
func TestRestartAfterExpiryServesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a, path := newActor(t, serve(example, 7)), newFile(t)
		g := group(a.primary())
		g.Expire = refresh.Clamp{Min: 1500 * time.Millisecond, Max: 1500 * time.Millisecond}
		c := kept(path, g, example)
		l.serves(l.Attach(c).Zone(id(example)), 7)
		expires := l.status(example).ExpireAt
		a.play(refusing(dns.RcodeServerFailure))

		l = l.restart()
		z := l.Attach(c).Zone(id(example))
		if served(z) != 7 || !near(l.status(example).ExpireAt, expires) {
			t.Errorf("Serial %d, expires %v; want 7, %v", served(z), l.status(example).ExpireAt, expires)
		}
		l.Close()
		time.Sleep(time.Until(expires))

		l = startLab(t)
		z = l.Attach(c).Zone(id(example))
		if served(z) != 0 {
			t.Errorf("Serial %d is served after its expiry", served(z))
		}
		if l.Settled() {
			t.Error("A zone that is not served is ready before anybody was asked")
		}
		l.logged("info store", "0 zones restored, 1 too old to be served")
		a.play(serve(example, 3)) // any serial brings an expired zone back
		z.Notify(engine.Notification{From: a.Addr().Addr()})
		l.serves(z, 3)
		l.saves(example, 3)
	})
}

// A clock that was set back while the process was down does not make a zone outlive its EXPIRE.
func TestRestartDoesNotTrustTimesToCome(t *testing.T) {
	l := newLab(t)
	a, path := newActor(t, serve(example, 7)), newFile(t)
	c := kept(path, group(a.primary()), example)
	l.serves(l.Attach(c).Zone(id(example)), 7)
	l.Close()
	changeState(t, path, func(state map[string]any) {
		later := time.Now().Add(10 * 365 * 24 * time.Hour)
		state["checked"], state["expire"], state["next"] = later, later, later
	}, example)

	l = startLab(t)
	l.Attach(c)
	s := l.status(example)
	if now := time.Now(); s.CheckedAt.After(now) || s.ExpireAt.After(now.Add(86400*time.Second)) || s.NextAt.After(now.Add(time.Minute)) {
		t.Errorf("Checked %v, next %v, expires %v", s.CheckedAt, s.NextAt, s.ExpireAt)
	}
}

// roll is a primary of every zone at serial 1 that notes whose SOA and whose transfer it is asked for.
type roll struct {
	*actor
	mu        sync.Mutex
	soas      []string // guarded by mu
	transfers []string // guarded by mu
}

func newRoll(t *testing.T) *roll {
	r := &roll{}
	r.actor = newActor(t, func(q dnstest.Request, w *dnstest.Writer) {
		r.mu.Lock()
		if q.Type == dns.TypeSOA {
			r.soas = append(r.soas, q.Name)
		} else {
			r.transfers = append(r.transfers, q.Name)
		}
		r.mu.Unlock()
		serveAny(1)(q, w)
	})
	return r
}

func (r *roll) called() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.soas)
}

// New zones are transferred in the order they are configured in, whatever order the store has.
func TestNewZonesComeInConfiguredOrder(t *testing.T) {
	for name, path := range map[string]string{"without a store": "", "with an empty store": newFile(t)} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			r, zones := newRoll(t), names("z", 30) // of which the names have another order
			slices.Reverse(zones)
			c := kept(path, group(r.primary()), zones...)
			c.Settings.TransfersIn, c.Settings.TransfersPerPrimary = 1, 1
			at := l.Attach(c)
			for _, z := range zones {
				l.serves(at.Zone(id(z)), 1)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if !slices.Equal(r.transfers, zones) {
				t.Errorf("Transferred are %q; want %q", r.transfers, zones)
			}
		})
	}
}

// Zones that come one after the other share commits: a few in a second, however many zones there are.
func TestBurstsShareCommits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const pace = 200 * time.Millisecond // so long that commits without it would be many more
		l := startLab(t)
		l.Pace = pace
		a, path, zones := newActor(t, serveAny(1)), newFile(t), names("z", 300)
		began := time.Now()
		at := l.Attach(kept(path, group(a.primary()), zones...))
		for _, z := range zones {
			l.serves(at.Zone(id(z)), 1)
			l.eventually(z+" is saved", func() bool { return l.status(z).Saved != nil })
		}
		took := time.Since(began)
		l.Close()
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		const others = 8 // making the file, what is left at the end
		err = db.View(func(tx *bbolt.Tx) error {
			if limit := int(took/pace) + others; tx.ID() > limit {
				t.Errorf("%d zones took %d transactions in %s; want at most %d", len(zones), tx.ID(), took, limit)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// After a restart the zones whose check is overdue are checked at once, the longest overdue first; the others within a
// minute, not together.
func TestChecksAfterARestartAreSpread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const count, overdue = 200, 3
		l := startLab(t)
		r, path, zones := newRoll(t), newFile(t), names("z", count)
		c := kept(path, group(r.primary()), zones...)
		at := l.Attach(c)
		for _, z := range zones {
			l.serves(at.Zone(id(z)), 1)
		}
		l.Close()
		late := []string{zones[150], zones[20], zones[77]}
		for i, z := range late {
			changeState(t, path, func(state map[string]any) { state["next"] = time.Now().Add(time.Duration(i-overdue) * time.Hour) }, z)
		}

		l = startLab(t)
		c.Settings.SOARate = 2 // so slow that the order can be seen
		began := time.Now()
		at = l.Attach(c)
		var waits []time.Duration
		for _, z := range zones {
			if served(at.Zone(id(z))) != 1 {
				t.Errorf("%s is not served", z)
			}
			if !slices.Contains(late, z) {
				waits = append(waits, l.status(z).NextAt.Sub(began)) // of one whose check is just running it is long ago
			}
		}
		slices.Sort(waits)
		if len(waits) < count-overdue || waits[len(waits)-1] > time.Minute {
			t.Fatalf("%d zones wait for their check, the last for %s; want all but the overdue, for less than a minute",
				len(waits), waits[len(waits)-1])
		}
		for i := range 6 {
			from, to := time.Duration(i)*10*time.Second, time.Duration(i+1)*10*time.Second
			n := 0
			for _, w := range waits {
				if from <= w && w < to {
					n++
				}
			}
			if n < count/15 || n > count/3 {
				t.Errorf("%d of %d checks are due between %s and %s", n, count, from, to)
			}
		}
		l.eventually("the overdue checks", func() bool { return len(r.called()) >= overdue })
		// Two may be sent at a time.
		if got := r.called()[:overdue]; !slices.Equal(got, late) && !slices.Equal(got, []string{late[1], late[0], late[2]}) {
			t.Errorf("First checked are %q; want %q", got, late)
		}
	})
}

// Without a store nothing is written, and every zone is transferred again.
func TestNothingIsKeptWithoutAStore(t *testing.T) {
	l := newLab(t)
	a := newActor(t, serve(example, 1))
	c := config(group(a.primary()), example)
	l.serves(l.Attach(c).Zone(id(example)), 1)
	if l.metric("saved_serial") != 0 || len(l.log.all("store")) > 0 {
		t.Errorf("Something is said of a store: %q", l.log.all("store"))
	}
	l = l.restart()
	a.play(refusing(dns.RcodeServerFailure))
	z := l.Attach(c).Zone(id(example))
	if served(z) != 0 {
		t.Error("The zone is served before it was transferred")
	}
	a.play(serve(example, 1))
	l.serves(z, 1)
}

// Variants of one name are saved apart.
func TestVariantsAreSavedApart(t *testing.T) {
	l := newLab(t)
	a, b, path := newActor(t, serve(example, 1)), newActor(t, serve(example, 2)), newFile(t)
	c := kept(path, group(a.primary()), example)
	other := engine.ZoneID{Name: example, Variant: "outside"}
	c.Zones[other] = engine.ZoneConfig{Origin: c.Zones[id(example)].Origin, Group: group(b.primary())}
	at := l.Attach(c)
	l.serves(at.Zone(id(example)), 1)
	l.serves(at.Zone(other), 2)

	l = l.restart()
	at = l.Attach(c)
	if one, two := served(at.Zone(id(example))), served(at.Zone(other)); one != 1 || two != 2 {
		t.Errorf("Serials %d, %d; want 1, 2", one, two)
	}
}

// Close saves what the next process has to know: timers that changed a moment ago, and contents.
func TestCloseSavesWhatIsLeft(t *testing.T) {
	l := newLab(t)
	a, path, zones := newActor(t, serveAny(1)), newFile(t), names("z", 50)
	c := kept(path, group(a.primary()), zones...)
	at := l.Attach(c)
	for _, z := range zones {
		l.serves(at.Zone(id(z)), 1)
	}
	l = l.restart() // at once, whatever has been saved by now
	at = l.Attach(c)
	for _, z := range zones {
		if served(at.Zone(id(z))) != 1 {
			t.Errorf("%s is not served", z)
		}
	}
	if a.transfers() != len(zones) {
		t.Errorf("%d transfers; want %d", a.transfers(), len(zones))
	}
	// A check that brings nothing new moves the timers, and they are saved as well.
	before := l.status(zones[0]).CheckedAt
	at.Zone(id(zones[0])).Notify(engine.Notification{From: a.Addr().Addr()})
	l.eventually("a check", func() bool { return l.status(zones[0]).CheckedAt.After(before) })
	checked := l.status(zones[0]).CheckedAt
	l = l.restart()
	l.Attach(c)
	if got := l.status(zones[0]).CheckedAt; !near(got, checked) {
		t.Errorf("Checked %v; want %v", got, checked)
	}
}

// What the engine opens it closes: files, sockets, goroutines, also of stores that a configuration has given up.
func TestStoresLeaveNothingOpen(t *testing.T) {
	files := openFiles(t)
	t.Cleanup(func() {
		if !eventually(func() bool { return openFiles(t) <= files }) {
			t.Errorf("%d files are open; there were %d", openFiles(t), files)
		}
	})
	l := newLab(t)
	a := newActor(t, serveAny(1))
	dir := t.TempDir()
	at := l.Attach(kept(dir+"/0", group(a.primary()), example))
	l.serves(at.Zone(id(example)), 1)
	for i := range 20 {
		next := l.Attach(kept(dir+"/"+string(rune('a'+i)), group(a.primary()), example))
		at.Detach()
		at = next
	}
	l.saves(example, 1)
	l.eventually("only one store open", func() bool { return openFiles(t) <= files+20 })
	if a.transfers() != 1 {
		t.Errorf("%d transfers; want 1", a.transfers())
	}
	l.Close()
	if got := inStore(t, dir+"/t"); !slices.Equal(got, []string{example}) {
		t.Errorf("The last store has %q", got)
	}
}
