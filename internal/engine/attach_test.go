package engine_test

import (
	"encoding/base64"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// A reload takes over what is there: the same contents, no transfer, no check.
func TestReloadKeepsContents(t *testing.T) {
	l := newLab(t)
	a := newActor(t, serveAny(1))
	zones := names("z", 5)
	old := l.Attach(config(group(a.primary()), zones...))
	var before []*zone.Contents
	for _, z := range zones {
		l.serves(old.Zone(id(z)), 1)
		before = append(before, old.Zone(id(z)).Contents())
	}
	l.eventually("rest", func() bool { return len(l.log.all("published")) == len(zones) })

	next := l.Attach(config(group(a.primary()), append(zones, "new.example.")...)) // a group of its own, as parsed anew
	old.Detach()
	old.Detach() // a second time does nothing
	l.serves(next.Zone(id("new.example.")), 1)
	for i, z := range zones {
		if next.Zone(id(z)).Contents() != before[i] {
			t.Errorf("%s has other contents after the reload", z)
		}
	}
	if a.transfers() != len(zones)+1 || a.soaQueries() != 0 {
		t.Errorf("%d transfers and %d SOA queries; want %d and none", a.transfers(), a.soaQueries(), len(zones)+1)
	}
	if len(l.Status()) != len(zones)+1 {
		t.Errorf("%d zones", len(l.Status()))
	}
}

// Zones that no configuration has are let go; those that hold them may still read.
func TestRemovedZoneIsLetGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a := newActor(t, serveAny(1))
		c := config(group(a.primary()), "kept.example.", "gone.example.")
		at := l.Attach(c)
		kept, gone := at.Zone(id("kept.example.")), at.Zone(id("gone.example."))
		l.serves(kept, 1)
		l.serves(gone, 1)

		l.replace(at, config(group(a.primary()), "kept.example."))
		if at.Zone(id("gone.example.")) != nil || at.Zone(id("kept.example.")) != kept {
			t.Error("The zones of the attachment are not those of its configuration")
		}
		if s := l.Status(); len(s) != 1 || s[0].ID.Name != "kept.example." {
			t.Errorf("Status has %v", s)
		}
		if served(gone) != 1 {
			t.Error("A query that still has the zone gets no answer")
		}
		a.play(serveAny(2))
		gone.Notify(engine.Notification{From: a.Addr().Addr()})
		kept.Notify(engine.Notification{From: a.Addr().Addr()})
		l.serves(kept, 2)
		if served(gone) != 1 || l.metric("serial", "zone", "gone.example.") != 0 {
			t.Error("The zone that is gone goes on")
		}
	})
}

// A failed reload leaves nothing of the new configuration: neither zones nor limits nor primaries.
func TestFailedReloadLeavesTheOldWhole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a, stranger := newActor(t, serveAny(1)), newActor(t, silent)
		c := config(group(a.primary()), "one.example.", "two.example.")
		old := l.Attach(c)
		one, two := old.Zone(id("one.example.")), old.Zone(id("two.example."))
		l.serves(one, 1)
		l.serves(two, 1)
		before := []*zone.Contents{one.Contents(), two.Contents()}

		g := group(stranger.primary())
		g.MaxRecords = 1
		failing := config(g, "one.example.", "three.example.")
		failing.Settings.TransfersIn = 1
		next := l.Attach(failing)
		l.eventually("work of the new configuration", func() bool { return stranger.soaQueries()+stranger.transfers() > 0 })
		old.Reinstate()
		old.Reinstate() // a second time does nothing
		next.Detach()   // nor does this, now

		if old.Zone(id("one.example.")) != one || old.Zone(id("two.example.")) != two || next.Zone(id("three.example.")) != nil {
			t.Error("The zones are not the old ones")
		}
		if one.Contents() != before[0] || two.Contents() != before[1] {
			t.Error("The contents are not the old ones")
		}
		for _, s := range l.Status() {
			if s.Primaries[0].Addr != a.Addr() || s.ID.Name == "three.example." {
				t.Errorf("%s has primary %s", s.ID.Name, s.Primaries[0])
			}
		}
		a.play(serveAny(2))
		one.Notify(engine.Notification{From: a.Addr().Addr()})
		two.Notify(engine.Notification{From: a.Addr().Addr()})
		l.serves(one, 2) // four records: the limit of 1 is gone
		l.serves(two, 2)
	})
}

// An attachment that was undone cannot come back.
func TestDetachedAttachmentDoesNothing(t *testing.T) {
	l := newLab(t)
	a := newActor(t, serveAny(1))
	at := l.Attach(config(group(a.primary()), example))
	at.Detach()
	l.replace(at, config(group(a.primary()), "other.example."))
	at.Reinstate()
	if s := l.Status(); len(s) != 0 {
		t.Errorf("Status has %v", s)
	}
}

// The limits in force are those of the reinstated configuration.
func TestFailedReloadLeavesTheOldLimits(t *testing.T) {
	l := newLab(t)
	l.SetPlaceSpan(time.Hour) // what is held up keeps its place
	g := newGate()
	a := newActor(t, silent)
	a.play(g.guard(&a, serveAny(1)))
	c := config(group(a.primary()))
	c.Settings = secondary.Settings{Settings: engine.Settings{TransfersIn: 3, TransfersPerPrimary: 3, SOARate: 50}}
	old := l.Attach(c)
	c.Settings = secondary.Settings{Settings: engine.Settings{TransfersIn: 1, TransfersPerPrimary: 1, SOARate: 50}}
	l.Attach(c)
	old.Reinstate()
	c.Settings = secondary.Settings{Settings: engine.Settings{TransfersIn: 3, TransfersPerPrimary: 3, SOARate: 50}}
	l.replace(old, extend(c, group(a.primary()), names("z", 3)...))
	l.eventually("three transfers at a time", func() bool { return g.held() == 3 })
	close(g.tokens)
}

// checking is the script of a primary that verifies requests with secret, as a real one does.
func checking(secret string, serial uint32) dnstest.Handler {
	return func(r dnstest.Request, w *dnstest.Writer) {
		if t := r.Msg.IsTsig(); t == nil || dns.TsigVerify(r.Raw, secret, "", false) != nil {
			s := r.Signer(secret)
			s.Error = dns.RcodeBadSig
			w.SendRaw(s.Append(dnstest.Pack(r.Rcode(dns.RcodeNotAuth)), nil))
			return
		}
		dnstest.Serve(secret, version(r.Name, serial)...)(r, w)
	}
}

// A key that is corrected takes effect at once, and so does one that is spoiled.
func TestChangedKeyTakesEffect(t *testing.T) {
	l := newLab(t)
	a := newActor(t, checking(secret, 1))
	keyed := func(secret string) secondary.Config {
		p := a.primary()
		p.Key = newKey(t, keyName, secret)
		return config(group(p), example)
	}
	wrong := base64.StdEncoding.EncodeToString([]byte("wrong"))
	at := l.Attach(keyed(wrong))
	l.blocked(example, 0, "tsig_bad_sig")
	l.replace(at, keyed(secret))
	z := at.Zone(id(example))
	l.serves(z, 1)
	before := z.Contents()
	l.replace(at, keyed(wrong))
	l.blocked(example, 0, "tsig_bad_sig")
	if z.Contents() != before {
		t.Error("A wrong key takes the contents away")
	}
}

// A version that the old limits forbid is fetched again under new ones.
func TestRaisedLimitTakesEffect(t *testing.T) {
	l := newLab(t)
	a := newActor(t, serve(example, 1))
	g := group(a.primary())
	g.MaxRecords = 3
	at := l.Attach(config(g, example))
	l.blocked(example, 0, "max_records")
	l.replace(at, config(group(a.primary()), example))
	l.serves(at.Zone(id(example)), 1)
}

// Variants of one name are two zones.
func TestVariantsAreZonesOfTheirOwn(t *testing.T) {
	l := newLab(t)
	a, b := newActor(t, serve(example, 1)), newActor(t, serve(example, 2))
	c := config(group(a.primary()), example)
	other := engine.ZoneID{Name: example, Variant: "outside"}
	c.Zones[other] = engine.ZoneConfig{Origin: c.Zones[id(example)].Origin, Group: group(b.primary())}
	at := l.Attach(c)
	l.serves(at.Zone(id(example)), 1)
	l.serves(at.Zone(other), 2)
	if l.metric("serial", "variant", "") != 1 || l.metric("serial", "variant", other.Variant) != 2 {
		t.Error("The metrics do not tell the variants apart")
	}
}

// What a configuration starts ends with it: a hundred reloads leave what one leaves.
func TestReloadsLeaveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		a := newActor(t, serveAny(1))
		goroutines := runtime.NumGoroutine()
		for i := range 100 {
			zones := names(fmt.Sprintf("r%dz", i), 3)
			at := l.Attach(config(group(a.primary(), nobody(t)), zones...))
			if i%2 == 0 {
				l.serves(at.Zone(id(zones[0])), 1)
			}
			at.Detach()
		}
		l.eventually("as many goroutines as before, and no connection", func() bool {
			return runtime.NumGoroutine() <= goroutines && a.Open() == 0
		})
		if len(l.Status()) != 0 {
			t.Errorf("%d zones", len(l.Status()))
		}
	})
}

// Everything may happen at once.
func TestConcurrentUse(t *testing.T) {
	l := newLab(t)
	a := newSocketActor(t, serveAny(1))
	zones := names("z", 20)
	c := config(group(a.primary()), zones...)
	base := l.Attach(c)
	var all sync.WaitGroup
	deadline := time.Now().Add(500 * time.Millisecond)
	for i := range 4 {
		all.Go(func() {
			for n := 0; time.Now().Before(deadline); n++ {
				switch z := zones[n%len(zones)]; i {
				case 0:
					l.Attach(extend(c, group(a.primary(), a.primary()), names("other", n%5)...)).Detach()
				case 1:
					base.Zone(id(z)).Notify(engine.Notification{From: a.Addr().Addr()})
				case 2:
					l.Status()
					l.Settled()
				case 3:
					if _, err := l.registry.Gather(); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	all.Wait()
	l.replace(base, c)
	for _, z := range zones {
		l.serves(base.Zone(id(z)), 1)
	}
}
