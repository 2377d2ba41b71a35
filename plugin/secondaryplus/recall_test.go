package secondaryplus

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// starting gives a handler the zones that it has anew, by an engine that has them and many others in front, and is about to start
// them with the contents they have. begin starts them, and does not come to them until goOn is called, but for those that are asked
// for.
func starting(t *testing.T, h *SecondaryPlus) (begin, goOn func()) {
	t.Helper()
	e := engine.New()
	was, now := *h.zones.Load(), zoneTable{}
	zones := map[engine.ZoneID]engine.ZoneConfig{}
	for _, z := range was {
		zones[z.ID()] = engine.ZoneConfig{Origin: z.origin, Group: z.Standing().Group}
	}
	for i := range 200 {
		name := fmt.Sprintf("held%03d.test.", i)
		zones[engine.ZoneID{Name: name}] = engine.ZoneConfig{Origin: wireName(t, name), Group: h.zone("w.test.").Standing().Group}
	}
	a := e.Attach(zones)
	for key, z := range was {
		now[key] = &servedZone{Zone: a.Zone(z.ID()), origin: z.origin, group: z.group}
	}
	h.zones.Store(&now)
	disk, started := make(chan struct{}), make(chan struct{})
	begin = func() {
		defer close(started)
		a.Start(func(z *engine.Zone) engine.Found {
			if was[string(z.Origin())] == nil {
				<-disk
				return engine.Found{}
			}
			c, at := was[string(z.Origin())].Contents(), time.Now()
			return engine.Found{
				Contents: c, Edition: z.Standing().Group.Conflicts.Edition(), IsSaved: true,
				State: refresh.Saved{SOA: c.SOA(), CheckedAt: at, ExpireAt: at.Add(time.Hour), NextAt: at.Add(time.Hour)},
			}
		})
	}
	goOn = func() { close(disk) }
	t.Cleanup(func() {
		<-started
		e.Close()
	})
	return begin, goOn
}

// Whoever asks for a zone that is still to be read gets it, and does not wait for others: by a query, by an alias that leads there,
// and by a transfer. Nobody is told that it is not there because the start has not begun.
func TestZoneThatIsStillToComeIsRecalled(t *testing.T) {
	h := newZones(t, "", nil, zoneOf("w.test.", "www A 192.0.2.1"), zoneOf("x.test.", "to CNAME www.y.test."), zoneOf("y.test.", "www A 192.0.2.3"),
		zoneOf("z.test."))
	begin, goOn := starting(t, h)
	first := make(chan *dns.Msg)
	go func() {
		m, _ := ask(t, h, question("www.w.test.", dns.TypeA))
		first <- m
	}()
	select {
	case m := <-first:
		t.Errorf("Before the start the answer is %v", m)
		close(first)
	case <-time.After(50 * time.Millisecond):
	}
	go begin()
	defer goOn()
	if m := <-first; m == nil || m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1 {
		t.Errorf("The zone that was asked for: %v", m)
	}
	x := h.zone("x.test.")
	x.Recall()
	var l lookup // of the fast path, which waits for nobody
	if l.ask("to.x.test."); h.find(&l, x, zone.Query{Name: l.name, Type: dns.TypeA}) != notHere {
		t.Errorf("The fast path does not hand an alias over that leads to a zone to come: %v", l.answer)
	}
	if m, _ := ask(t, h, question("to.x.test.", dns.TypeA)); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 2 {
		t.Errorf("The zone that an alias leads to: %v", m)
	}
	if l.ask("to.x.test."); h.find(&l, x, zone.Query{Name: l.name, Type: dns.TypeA}) != found {
		t.Error("The fast path hands it over for ever")
	}
	if _, err := h.Transfer("z.test.", 0); err != nil {
		t.Errorf("A transfer: %v", err)
	}
}

// A NOTIFY for a zone that has been read and waits for its start is dropped, and the log says why.
func TestDroppedNotifyIsLoggedWithItsReason(t *testing.T) {
	h := newZones(t, "", nil, zoneOf("a.test."), zoneOf("w.test."))
	begin, goOn := starting(t, h)
	go begin()
	defer goOn()
	z := h.zone("a.test.")
	wait(t, "a zone that is read first", func() bool { return !z.IsToCome() })
	if z.Standing().Machine().Started() {
		t.Fatal("The zone does not wait for the others")
	}
	l := keepLog(t)
	wait(t, "a line about the NOTIFY", func() bool { // after the first few one in a second is logged
		w := dnstest.NewRecorder(&test.ResponseWriter{RemoteIP: "127.0.0.1"})
		if _, err := h.ServeDNS(t.Context(), w, new(dns.Msg).SetNotify("a.test.")); err != nil || w.Msg != nil {
			t.Fatalf("Reply %v, %v; want none", w.Msg, err)
		}
		return l.line("op=notify") != ""
	})
	want := "zone=a.test. op=notify from=127.0.0.1: dropped, the zone has not started yet; its sender tries again"
	if line := l.line("op=notify"); !strings.HasSuffix(line, want) {
		t.Errorf("Line is\n%s\nwant\n%s", line, want)
	}
}
