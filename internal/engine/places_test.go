package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
)

// slowly answers a transfer of a zone with a message for each record, each of which waits for more; after that it is done.
func slowly(more <-chan struct{}) dnstest.Handler {
	return func(r dnstest.Request, w *dnstest.Writer) {
		if !transfer(r) {
			serve(r.Name, 1)(r, w)
			return
		}
		records := append(version(r.Name, 1), soa(r.Name, 1))
		for _, rr := range records {
			w.Send(r.Reply(rr))
			select {
			case <-more:
			case <-w.Done():
				return
			}
		}
	}
}

// However many primaries are slow or silent, a zone of another one gets its first version and follows its NOTIFYs; and what
// the slow ones have begun goes on beside it.
func TestSlowPrimariesDelayNobody(t *testing.T) {
	more := make(chan struct{})
	together(t, map[string]dnstest.Handler{
		"one record at a time": slowly(more),
		"silent":               silent,
		"octet by octet": spoilingAny(func(r dnstest.Request, w *dnstest.Writer) {
			drip(w, dnstest.Pack(r.Reply(soa(r.Name, 1))))
		}),
		"only a SOA": spoilingAny(func(r dnstest.Request, w *dnstest.Writer) {
			w.Send(r.Reply(soa(r.Name, 1), r.Name+" 60 IN NS ns."+r.Name))
			<-w.Done()
		}),
	}, func(t *testing.T, script dnstest.Handler) {
		l := startLab(t)
		const primaries, zones = 40, 4 // eight times as many transfers as there are places
		c := config(group())
		var slow []*actor
		for i := range primaries {
			a := newActor(t, script)
			slow = append(slow, a)
			c = extend(c, group(a.primary()), names(fmt.Sprintf("slow%d-", i), zones)...)
		}
		at := l.Attach(c)
		l.eventually("every slow primary is asked", func() bool {
			for _, a := range slow {
				if a.transfers() == 0 {
					return false
				}
			}
			return true
		})
		good := newActor(t, serveAny(1))
		begin := time.Now()
		l.replace(at, extend(c, group(good.primary()), example))
		l.serves(at.Zone(id(example)), 1)
		t.Logf("First version after %s", time.Since(begin))
		good.play(serveAny(2))
		begin = time.Now()
		announce(at.Zone(id(example)), good, nil)
		l.serves(at.Zone(id(example)), 2)
		t.Logf("NOTIFY followed after %s", time.Since(begin))
	})
	close(more)
}

// spoilingAny is spoiling for every zone.
func spoilingAny(spoil dnstest.Handler) dnstest.Handler {
	return func(r dnstest.Request, w *dnstest.Writer) { spoiling(r.Name, 1, spoil)(r, w) }
}

// A slow transfer that has made room for others goes on where it was.
func TestSlowTransferKeepsItsWork(t *testing.T) {
	l := newLab(t)
	l.SetPlaceSpan(time.Millisecond)
	more := make(chan struct{})
	slow, quick := newActor(t, slowly(more)), newActor(t, serveAny(1))
	c := config(group(slow.primary()), names("slow", 2)...)
	c.Settings.TransfersIn, c.Settings.TransfersPerPrimary = 2, 2
	at := l.Attach(c)
	l.eventually("both places are taken", func() bool { return slow.transfers() == 2 })
	others := names("quick", 20)
	l.replace(at, extend(c, group(quick.primary()), others...))
	for _, z := range others {
		l.serves(at.Zone(id(z)), 1)
	}
	close(more)
	for _, z := range names("slow", 2) {
		l.serves(at.Zone(id(z)), 1)
	}
	if n := slow.transfers(); n != 2 {
		t.Errorf("%d transfers of two slow zones", n)
	}
}

// Where more transfers are slow than may go on, the slowest is ended, and says why.
func TestSlowestTransferGivesWay(t *testing.T) {
	l := newLab(t)
	l.SetPlaceSpan(time.Millisecond)
	l.SetMaxBeside(1)
	more := make(chan struct{})
	started, mute, quick := newActor(t, slowly(more)), newActor(t, silent), newActor(t, serveAny(1))
	c := config(group(started.primary()), "started.example.")
	c = extend(c, group(mute.primary()), "mute.example.")
	c.Settings.TransfersIn, c.Settings.TransfersPerPrimary = 1, 1
	at := l.Attach(c)
	l.eventually("both are asked", func() bool { return started.transfers() == 1 && mute.transfers() == 1 })
	l.replace(at, extend(c, group(quick.primary()), example))
	l.serves(at.Zone(id(example)), 1)
	l.blocked("mute.example.", 0, "gave_way")
	l.logged("warning zone=mute.example.", "others waited for its place")
	close(more)
	l.serves(at.Zone(id("started.example.")), 1)
	if n := started.transfers(); n != 1 {
		t.Errorf("The transfer that had begun was ended: %d transfers", n)
	}
}

// Transfers hold no more than transfer_memory together: the slowest gives way, and comes when there is room. One that is alone
// goes on.
func TestTransfersShareTheirMemory(t *testing.T) {
	l := newLab(t)
	const large = 8000 // records, some 300 KB
	more := make(chan struct{})
	stalled := newActor(t, spoilingAny(func(r dnstest.Request, w *dnstest.Writer) {
		first, rest := sizable(r.Name, large)
		for _, m := range first {
			w.Send(r.Reply(m...))
		}
		select {
		case <-more:
		case <-w.Done():
			return
		}
		for _, m := range rest {
			w.Send(r.Reply(m...))
		}
	}))
	quick := newActor(t, spoilingAny(func(r dnstest.Request, w *dnstest.Writer) {
		first, rest := sizable(r.Name, large)
		for _, m := range append(first, rest...) {
			w.Send(r.Reply(m...))
		}
	}))
	c := config(group(stalled.primary()), "stalled.example.")
	c.Settings.TransferMemory = 128 << 10
	at := l.Attach(c)
	l.eventually("half of the zone held", func() bool { return l.HeldByTransfers() > 0 })
	l.replace(at, extend(c, group(quick.primary()), example))
	l.serves(at.Zone(id(example)), 1)
	l.blocked("stalled.example.", 0, "gave_way")
	close(more)
	if _, err := l.Order(id("stalled.example."), refresh.Check); err != nil {
		t.Fatal(err)
	}
	l.serves(at.Zone(id("stalled.example.")), 1)
	l.eventually("all is given back", func() bool { return l.HeldByTransfers() == 0 })
	if l.link("stalled.example.", 0).State != refresh.Normal {
		t.Error("The link is not Normal again")
	}
}

// sizable returns the messages of a zone of so many records in two halves.
func sizable(zone string, records int) (first, rest [][]string) {
	const inMessage = 500
	m := []string{soa(zone, 1), zone + " 60 IN NS ns." + zone}
	var all [][]string
	for i := range records {
		m = append(m, fmt.Sprintf("host%d.%s 60 IN A 192.0.2.1", i, zone))
		if len(m) >= inMessage {
			all, m = append(all, m), nil
		}
	}
	all = append(all, append(m, soa(zone, 1)))
	return all[:len(all)/2], all[len(all)/2:]
}
