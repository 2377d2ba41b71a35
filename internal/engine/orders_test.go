package engine_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/watch"
)

// history returns the events of the zone in these tests, oldest first.
func (l *lab) history() []watch.Event {
	l.t.Helper()
	d, err := l.Detail(id(example))
	if err != nil {
		l.t.Fatal(err)
	}
	return d.History
}

// happens waits for an event of the kind with the result after the one with an ID, and returns it.
func (l *lab) happens(after uint64, kind, result string) (found watch.Event) {
	l.t.Helper()
	l.eventually(fmt.Sprintf("event %s %s", kind, result), func() bool {
		for _, v := range l.history() {
			if v.ID > after && v.Kind == kind && v.Result == result {
				found = v
				return true
			}
		}
		return false
	})
	return found
}

// order gives an order and returns the ID of its event.
func (l *lab) order(d refresh.Demand) uint64 {
	l.t.Helper()
	n, err := l.Order(id(example), d)
	if err != nil {
		l.t.Fatal(err)
	}
	return n
}

// The operator's orders: a check, the whole zone with the same serial, and with a lower one only if forced.
func TestOrders(t *testing.T) {
	l := newLab(t)
	a := newActor(t, serve(example, 7))
	z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
	l.serves(z, 7)

	done := l.order(refresh.Check)
	if v := l.happens(done, "soa", "ok"); v.To.Uint32() != 7 || v.From.Uint32() != 7 || v.Primary != a.Addr().Addr() {
		t.Errorf("Check: %+v", v)
	}
	before, transfers := z.Contents(), a.transfers()
	done = l.order(refresh.Again)
	if v := l.happens(done, "axfr", "ok"); v.Records != 4 || v.Bytes == 0 {
		t.Errorf("Retransfer: %+v", v)
	}
	if z.Contents() == before || a.transfers() != transfers+1 {
		t.Errorf("%d transfers, the same contents: %v", a.transfers()-transfers, z.Contents() == before)
	}

	a.play(serve(example, 3))
	done = l.order(refresh.Again)
	l.blocked(example, 0, "serial_behind")
	l.happens(done, "axfr", "serial_behind")
	if served(z) != 7 {
		t.Errorf("Serial %d is served without force", served(z))
	}
	done = l.order(refresh.Force)
	l.happens(done, "axfr", "ok")
	l.serves(z, 3)
	l.logged("info", "op=command", "retransfer with force")
}

// An order makes a primary in back-off be asked at once, also when the address is known to be down.
func TestOrderEndsBackOff(t *testing.T) {
	l := newLab(t)
	a := newActor(t, refusing(dns.RcodeServerFailure))
	l.Attach(config(group(a.primary()), example))
	l.blocked(example, 0, "servfail")
	a.play(serve(example, 5))
	done := l.order(refresh.Check)
	l.happens(done, "axfr", "ok")
}

// A version that a rule has refused is not tried again of itself, but on order.
func TestOrderTriesRefusedVersionAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a := newActor(t, serve(example, 7))
		g := group(a.primary())
		g.MaxRecords = 4
		z := l.Attach(config(g, example)).Zone(id(example))
		l.serves(z, 7)
		many := append(version(example, 8), "more."+example+" 60 IN A 192.0.2.1")
		a.play(dnstest.Serve(secret, many...))
		z.Notify(engine.Notification{From: a.Addr().Addr()})
		l.blocked(example, 0, "max_records")
		transfers := a.transfers()
		done := l.order(refresh.Check)
		if v := l.happens(done, "ixfr", "max_records"); v.Text == "" {
			t.Errorf("No cause: %+v", v)
		}
		if a.transfers() == transfers {
			t.Error("It was not tried again")
		}
	})
}

// A refusal is counted when the version is refused, and not once more with each check that finds the version still there.
func TestRefusedVersionIsCountedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a := newActor(t, serve(example, 7))
		g := group(a.primary())
		g.MaxRecords = 4
		z := l.Attach(config(g, example)).Zone(id(example))
		l.serves(z, 7)
		a.play(dnstest.Serve(secret, append(version(example, 8), "more."+example+" 60 IN A 192.0.2.1")...))
		z.Notify(engine.Notification{From: a.Addr().Addr()})
		l.blocked(example, 0, "max_records")
		counted := l.metric("rule_violations_total", "rule", "max_records")
		_, last := l.EventIDs()
		z.Notify(engine.Notification{From: a.Addr().Addr()})
		l.happens(last, "soa", "max_records")
		if n := l.metric("rule_violations_total", "rule", "max_records"); n != counted || n == 0 {
			t.Errorf("%v refusals are counted; want %v", n, counted)
		}
	})
}

// Orders for what is not there say so.
func TestOrderForUnknownZone(t *testing.T) {
	l := newLab(t)
	for name, err := range map[string]error{
		"order":    second(l.Order(id(example), refresh.Check)),
		"flush":    second(l.Flush(id(example))),
		"renotify": second(l.Renotify(id(example))),
		"find":     second(l.Find(example, "")),
		"detail":   second(l.Detail(id(example))),
	} {
		if !errors.Is(err, engine.ErrNoZone) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// Of several variants one has to be named, unless one of them has no name.
func TestFindTellsVariantsApart(t *testing.T) {
	l := newLab(t)
	a := newActor(t, serve(example, 1))
	c := config(group(a.primary()), example, "single.example.")
	for _, v := range []engine.ZoneID{
		{Name: example, Variant: "inside"}, {Name: "two.example.", Variant: "inside"}, {Name: "two.example.", Variant: "outside"},
		{Name: "one.example.", Variant: "inside"},
	} {
		c.Zones[v] = c.Zones[id(example)]
	}
	l.Attach(c)
	for _, asked := range []struct {
		id, want engine.ZoneID
		err      error
	}{
		{id(example), id(example), nil},
		{engine.ZoneID{Name: example, Variant: "inside"}, engine.ZoneID{Name: example, Variant: "inside"}, nil},
		{engine.ZoneID{Name: example, Variant: "outside"}, engine.ZoneID{}, engine.ErrNoZone},
		{id("one.example."), engine.ZoneID{Name: "one.example.", Variant: "inside"}, nil},
		{id("two.example."), engine.ZoneID{}, watch.ErrAmbiguous},
		{id("none.example."), engine.ZoneID{}, engine.ErrNoZone},
	} {
		if got, err := l.Find(asked.id.Name, asked.id.Variant); !errors.Is(err, asked.err) || err == nil && got != asked.want {
			t.Errorf("Find %v: %v, %v", asked.id, got, err)
		}
	}
}

// What happens to a zone is kept, like things as one, and given to watchers.
func TestHistory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a := newActor(t, serve(example, 7))
		w, past := l.Follow(0)
		defer w.Close()
		if len(past) != 0 {
			t.Errorf("A past of %v", past)
		}
		z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
		l.serves(z, 7)
		if v := <-w.C; v.Kind != "began" || v.Zone != id(example) {
			t.Errorf("First event %+v", v)
		}
		if v := <-w.C; v.Kind != "axfr" || v.Result != "ok" || v.To.Uint32() != 7 || v.From.Known || v.Zone != id(example) || v.Count != 1 {
			t.Errorf("Second event %+v", v)
		}
		for range 3 {
			done := l.order(refresh.Check)
			l.happens(done, "soa", "ok")
		}
		a.play(serve(example, 8))
		z.Notify(engine.Notification{From: a.Addr().Addr(), Serial: serial.New(8), HasSerial: true})
		l.serves(z, 8)
		v := l.happens(0, "notify", "accepted")
		if v.To.Uint32() != 8 || v.Primary != a.Addr().Addr() {
			t.Errorf("NOTIFY %+v", v)
		}
		d, err := l.Detail(id(example))
		if err != nil || d.Notified.Uint32() != 8 || d.NotifiedAt.IsZero() || d.Refresh != time.Hour || d.Expire != 24*time.Hour {
			t.Errorf("Detail %+v, %v", d, err)
		}
		last := uint64(0)
		for range 3 {
			l.eventually("watched", func() bool { return len(w.C) > 0 })
			v := <-w.C
			if v.ID <= last {
				t.Errorf("Event %d after %d", v.ID, last)
			}
			last = v.ID
		}
		again, past := l.Follow(last)
		defer again.Close()
		if len(past) == 0 || past[0].ID <= last {
			t.Errorf("After event %d: %+v", last, past)
		}
	})
}

// The primary that holds up a transfer sees how far it has come.
func TestProgress(t *testing.T) {
	l := newLab(t)
	hold := make(chan struct{})
	a := newActor(t, spoiling(example, 7, func(r dnstest.Request, w *dnstest.Writer) {
		w.Send(r.Reply(version(example, 7)...))
		<-hold
		w.Send(r.Reply(soa(example, 7)))
	}))
	z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
	l.eventually("progress", func() bool {
		tr := l.Status()[0].Transfer
		return tr != nil && tr.Progress.Records.Load() == 4 && tr.Progress.Bytes.Load() > 100 && tr.Primary.Equal(a.primary()) &&
			!tr.Progress.BeganAt.IsZero()
	})
	close(hold)
	l.serves(z, 7)
	l.eventually("no transfer", func() bool { return l.Status()[0].Transfer == nil })
}

// The schedule names the zones in the order of their times.
func TestSchedule(t *testing.T) {
	l := newLab(t)
	a := newActor(t, serveAny(1))
	zones := names("z", 20)
	at := l.Attach(config(group(a.primary()), zones...))
	for _, z := range zones {
		l.serves(at.Zone(id(z)), 1)
	}
	l.eventually("rest", func() bool { return len(l.log.all("published")) == len(zones) })
	all := l.Schedule()
	if len(all) != len(zones) {
		t.Fatalf("%d appointments", len(all))
	}
	for i, p := range all {
		if p.Why != "refresh" || i > 0 && p.At.Before(all[i-1].At) {
			t.Errorf("%d: %+v", i, p)
		}
	}
}

// A signed zone with conflicts that were served is served again after it has expired, as it was.
func TestSignedZoneWithConflictsAfterExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a := newActor(t, dnstest.Serve(secret, append(version(example, 7), dnskey, address, alias)...))
		g := hasty(a)
		g.Conflicts = rules.ConflictsOff
		at := l.Attach(config(g, example))
		l.serves(at.Zone(id(example)), 7)
		strict := *g
		strict.Conflicts = rules.ConflictsRFC
		l.replace(at, config(&strict, example))
		a.play(refusing(dns.RcodeServerFailure))
		l.eventually("expiry", func() bool { return at.Zone(id(example)).Contents() == nil })
		l.happens(0, "expired", "expired")
		a.play(dnstest.Serve(secret, append(version(example, 8), dnskey, address, alias)...))
		l.serves(at.Zone(id(example)), 8)
	})
}

// A primary whose host says no, each time to another of our ports, fails in one and the same way.
func TestHistoryTakesRefusalsForOne(t *testing.T) {
	l := newLab(t)
	a := newSocketActor(t, serve(example, 7))
	l.serves(l.Attach(config(group(a.primary()), example)).Zone(id(example)), 7)
	a.Close()
	var first watch.Event
	for n := range 3 {
		v := l.happens(l.order(refresh.Check), "soa", "unreachable")
		if n == 0 {
			first = v
		}
		if v.Text == "" || v.Text != first.Text {
			t.Errorf("%q; the first was %q", v.Text, first.Text)
		}
	}
}

// A zone that is to be transferred again is, also if a reload has it judged by other rules meanwhile.
func TestRetransferDuringReload(t *testing.T) {
	l := newLab(t)
	a := newActor(t, serve(example, 7))
	g := group(a.primary())
	at := l.Attach(config(g, example))
	z := at.Zone(id(example))
	l.serves(z, 7)
	records := z.Contents().Records()
	hold := make(chan struct{})
	a.play(spoiling(example, 7, func(r dnstest.Request, w *dnstest.Writer) {
		w.Send(r.Reply(version(example, 7)...))
		<-hold
		w.Send(r.Reply("more."+example+" 60 IN A 192.0.2.1", soa(example, 7)))
	}))
	done := l.order(refresh.Again)
	l.eventually("the transfer", func() bool { return l.Status()[0].Transfer != nil })
	other := *g
	other.Conflicts = rules.ConflictsAlibaba
	l.replace(at, config(&other, example))
	l.logged("admitted again by conflicts")
	close(hold)
	l.happens(done, "axfr", "ok")
	l.eventually("the new record", func() bool { return z.Contents().Records() == records+1 })
}
