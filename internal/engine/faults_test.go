package engine_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
)

// token is what must not be seen anywhere: webhooks have it in their path and in their query.
const token = "T0psecret"

// told is a message as a webhook gets it. It is a plain value.
type told struct{ Event, Zones, Names, Primaries, Message string }

// webhook takes messages about faults, without a network.
type webhook struct {
	t        *testing.T
	host     string
	status   int
	messages chan told
}

// webhooks are all there are, by host; TestMain has HTTP clients post to them.
var (
	webhooks    sync.Map
	webhookPort atomic.Uint32 // the latest given
)

// newWebhook returns a webhook that answers with a status.
func newWebhook(t *testing.T, status int) *webhook {
	t.Helper()
	w := &webhook{t: t, host: fmt.Sprintf("127.0.0.1:%d", webhookPort.Add(1)), status: status, messages: make(chan told, 100)}
	webhooks.Store(w.host, w)
	t.Cleanup(func() { webhooks.Delete(w.host) })
	return w
}

// poster posts to webhooks.
type poster struct{}

// RoundTrip is http.RoundTripper's.
func (poster) RoundTrip(r *http.Request) (*http.Response, error) {
	w, ok := webhooks.Load(r.URL.Host)
	if !ok {
		return nil, syscall.ECONNREFUSED
	}
	rec := httptest.NewRecorder()
	w.(*webhook).ServeHTTP(rec, r)
	return rec.Result(), nil
}

// ServeHTTP is http.Handler's.
func (w *webhook) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	var m told
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	if err != nil {
		m.Event = err.Error()
	}
	w.messages <- m
	rw.WriteHeader(w.status)
}

// url returns the notification URL of the webhook.
func (w *webhook) url() string { return "generic+http://" + w.host + "/" + token + "?key=" + token }

// next returns the next message, which has to be of this event.
func (w *webhook) next(event string) told {
	w.t.Helper()
	select {
	case m := <-w.messages:
		if m.Event != event {
			w.t.Fatalf("Event %q; want %s: %+v", m.Event, event, m)
		}
		return m
	case <-time.After(patience):
		w.t.Fatalf("No message comes; want %s", event)
		return told{}
	}
}

// quiet fails the test if a message comes within span.
func (w *webhook) quiet(span time.Duration) {
	w.t.Helper()
	select {
	case m := <-w.messages:
		w.t.Fatalf("Message %+v", m)
	case <-time.After(span):
	}
}

// quick is a FaultSettings that tells soon.
func quick(w *webhook) secondary.FaultSettings {
	return secondary.FaultSettings{URLs: w.url(), After: 300 * time.Millisecond, Every: time.Hour}
}

// telling returns c with somebody to tell of faults.
func telling(c secondary.Config, f secondary.FaultSettings) secondary.Config {
	c.Settings.Faults = f
	return c
}

// poke has the zones checked now.
func poke(at *secondary.Attachment, a *actor, zones ...string) {
	for _, z := range zones {
		at.Zone(id(z)).Notify(engine.Notification{From: a.Addr().Addr()})
	}
}

// A fault is told once, again while it lasts, and once when it is over.
func TestFaultIsToldRemindedAndOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a, w := newActor(t, serve(example, 1)), newWebhook(t, http.StatusOK)
		f := quick(w)
		f.Every = time.Second
		at := l.Attach(telling(config(group(a.primary()), example), f))
		l.serves(at.Zone(id(example)), 1)
		w.quiet(200 * time.Millisecond)
		a.play(refusing(dns.RcodeRefused))
		poke(at, a, example)
		m := w.next("fault")
		if m.Zones != "1" || m.Names != example || m.Primaries != a.Addr().String()+" refused" || !strings.Contains(m.Message, "serial 1 until ") {
			t.Errorf("Message %+v", m)
		}
		if m = w.next("reminder"); m.Names != example {
			t.Errorf("Reminder %+v", m)
		}
		a.play(serve(example, 1))
		poke(at, a, example)
		if m = w.next("recovery"); m.Names != example {
			t.Errorf("Recovery %+v", m)
		}
		w.quiet(1300 * time.Millisecond)
		l.eventually("three messages counted", func() bool {
			return l.metric("fault_messages_total", "sink", "generic://127.0.0.1", "result", "delivered") == 3
		})
	})
}

// A thousand zones behind one dead primary are one message; the fault of another zone is another part, of its own cause.
func TestZonesOfOneDeadPrimaryAreOneMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		w, dead := newWebhook(t, http.StatusOK), nobody(t)
		other, living := newActor(t, refusing(dns.RcodeRefused)), newActor(t, serveAny(1))
		f := quick(w)
		f.After = time.Second
		c := config(group(dead), names("z", 1000)...)
		c = extend(c, group(other.primary()), "other.example.")
		at := l.Attach(telling(extend(c, group(living.primary()), "good.example."), f))
		l.serves(at.Zone(id("good.example.")), 1)
		text := w.next("fault").Message
		if !strings.Contains(text, "1000 zones: ") || !strings.Contains(text, "1 zone: ") {
			text += w.next("fault").Message // the causes may come due one after the other
		}
		for _, part := range []string{"1000 zones: primary " + dead.Addr.String() + " is unreachable", "1 zone: primary " + other.Addr().String() + " answers REFUSED"} {
			if strings.Count(text, part) != 1 {
				t.Errorf("%q is not there once:\n%s", part, text)
			}
		}
		if strings.Contains(text, "good.example.") {
			t.Errorf("A zone that is well is told of:\n%s", text)
		}
		w.quiet(time.Second)
	})
}

// A version that a rule forbids stops a zone as a dead primary does.
func TestRuleThatStopsAZoneIsAFault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a, w := newActor(t, serve(example, 1)), newWebhook(t, http.StatusOK)
		g := group(a.primary())
		g.MaxRecords = 4
		at := l.Attach(telling(config(g, example), quick(w)))
		l.serves(at.Zone(id(example)), 1)
		a.play(dnstest.Serve(secret, append(version(example, 2), "more."+example+" 60 IN A 192.0.2.1")...))
		poke(at, a, example)
		if m := w.next("fault"); m.Primaries != a.Addr().String()+" max_records" {
			t.Errorf("Message %+v", m)
		}
		a.play(serve(example, 3))
		poke(at, a, example)
		w.next("recovery")
	})
}

// A newer version that nobody can give is a fault although another primary, which has what is served, is Normal.
func TestNewerVersionThatNobodyGivesIsAFault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		old, ahead, w := newActor(t, serve(example, 1)), newActor(t, serve(example, 1)), newWebhook(t, http.StatusOK)
		g := group(old.primary(), ahead.primary())
		g.MaxRecords = 4
		at := l.Attach(telling(config(g, example), quick(w)))
		l.serves(at.Zone(id(example)), 1)
		ahead.play(dnstest.Serve(secret, append(version(example, 2), "more."+example+" 60 IN A 192.0.2.1")...))
		poke(at, ahead, example)
		m := w.next("fault")
		if m.Primaries != ahead.Addr().String()+" max_records" {
			t.Errorf("Message %+v", m)
		}
		if l.metric("zone_state", "zone", example) != 0 || l.metric("out_of_sync_seconds", "zone", example) <= 0 {
			t.Errorf("State %v, out of sync for %v s", l.metric("zone_state"), l.metric("out_of_sync_seconds"))
		}
		old.play(serve(example, 3))
		ahead.play(serve(example, 3))
		poke(at, old, example)
		w.next("recovery")
		l.eventually("in sync", func() bool { return l.metric("out_of_sync_seconds", "zone", example) == 0 })
	})
}

// Before a zone expires, and when it does, people are told, before fault_after has passed too.
func TestComingExpiryIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a, w := newActor(t, serve(example, 1)), newWebhook(t, http.StatusOK)
		f := quick(w)
		f.After = 8 * time.Second
		g := group(a.primary())
		g.Expire.Max = 4 * time.Second
		at := l.Attach(telling(config(g, example), f))
		l.serves(at.Zone(id(example)), 1)
		began := time.Now()
		a.play(refusing(dns.RcodeRefused))
		poke(at, a, example)
		w.next("expiring")
		if took := time.Since(began); took < 2*time.Second || served(at.Zone(id(example))) != 1 {
			t.Errorf("Warned after %s of 4 s, with serial %d served", took, served(at.Zone(id(example))))
		}
		w.next("expired")
		if served(at.Zone(id(example))) != 0 {
			t.Error("Told of its expiry, the zone is served")
		}
	})
}

// A restart tells nothing again, and tells the end of what was told before it.
func TestRestartDoesNotTellAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, path := startLab(t), newFile(t)
		a, w := newActor(t, serveAny(1)), newWebhook(t, http.StatusOK)
		zones := names("z", 3)
		c := telling(kept(path, group(a.primary()), zones...), quick(w))
		at := l.Attach(c)
		for _, z := range zones {
			l.serves(at.Zone(id(z)), 1)
			l.saves(z, 1)
		}
		a.play(refusing(dns.RcodeRefused))
		poke(at, a, zones...)
		if m := w.next("fault"); m.Zones != "3" {
			t.Errorf("Message %+v", m)
		}
		l = l.restart()
		at = l.Attach(c)
		poke(at, a, zones...)
		l.blocked(zones[0], 0, "refused")
		w.quiet(1300 * time.Millisecond)
		a.play(serveAny(1))
		poke(at, a, zones...)
		if m := w.next("recovery"); m.Zones != "3" {
			t.Errorf("Recovery %+v", m)
		}
		l.Close()
		for _, z := range inStore(t, path) {
			if z != "faults" && at.Zone(id(z)) == nil {
				t.Errorf("%q is in the store", z)
			}
		}
	})
}

// Reloads change whom to tell, and neither repeat nor forget what lasts.
func TestReloadKeepsFaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a, w, second := newActor(t, serve(example, 1)), newWebhook(t, http.StatusOK), newWebhook(t, http.StatusOK)
		c := config(group(a.primary()), example)
		at := l.Attach(telling(c, quick(w)))
		l.serves(at.Zone(id(example)), 1)
		a.play(refusing(dns.RcodeRefused))
		poke(at, a, example)
		w.next("fault")
		same := l.Attach(telling(config(group(a.primary()), example), quick(w)))
		at.Detach()
		w.quiet(time.Second)
		f := quick(second)
		f.Every = time.Second
		other := l.Attach(telling(config(group(a.primary()), example), f))
		same.Detach()
		second.next("reminder")
		a.play(serve(example, 1))
		poke(other, a, example)
		second.next("recovery")
		w.quiet(10 * time.Millisecond)
	})
}

// A zone that is removed while it is down is no fault, and no recovery.
func TestRemovedZoneIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		w, dead := newWebhook(t, http.StatusOK), nobody(t)
		f := quick(w)
		f.After = time.Second
		c := telling(config(group(dead), "stays.example."), f)
		at := l.Attach(extend(c, group(dead), "goes.example."))
		l.blocked("goes.example.", 0, "unreachable")
		l.replace(at, c)
		if m := w.next("fault"); m.Names != "stays.example." {
			t.Errorf("Message %+v", m)
		}
		l.replace(at, telling(config(group(dead)), f))
		w.quiet(1300 * time.Millisecond)
	})
}

// Without anybody to tell there is no goroutine for it.
func TestNobodyToTellCostsNoGoroutine(t *testing.T) {
	l := newLab(t)
	at := l.Attach(config(group(nobody(t)), example))
	l.blocked(example, 0, "unreachable")
	buf := make([]byte, 1<<20)
	if stacks := string(buf[:runtime.Stack(buf, true)]); strings.Contains(stacks, "fault.(*Notifier)") {
		t.Error("A notifier runs")
	}
	at.Detach()
}

// A sink that fails delays nobody, is counted, and its URL is seen nowhere.
func TestFailingSinkShowsNoSecret(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a, w := newActor(t, serveAny(1)), newWebhook(t, http.StatusInternalServerError)
		c := config(group(nobody(t)), example)
		at := l.Attach(telling(c, quick(w)))
		w.next("fault")
		began := time.Now()
		l.replace(at, extend(telling(c, quick(w)), group(a.primary()), "good.example."))
		l.within(began, at, []string{"good.example."})
		w.next("fault") // the second attempt
		l.eventually("a retry counted", func() bool {
			return l.metric("fault_messages_total", "sink", "generic://127.0.0.1", "result", "retried") > 0
		})
		families, err := l.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		texts := l.log.all()
		for _, f := range families {
			texts = append(texts, f.String())
		}
		for _, text := range texts {
			if strings.Contains(text, token) {
				t.Errorf("The token is in %s", text)
			}
		}
	})
}

// zone_state and out_of_sync_seconds follow the links.
func TestStateAndTimeOutOfSync(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a := newActor(t, serve(example, 1))
		g := group(a.primary())
		g.MaxRecords = 4
		at := l.Attach(extend(config(g, example), group(newActor(t, silent).primary()), "unknown.example."))
		l.serves(at.Zone(id(example)), 1)
		if n := l.metric("zone_state", "zone", example); n != 1 || l.metric("out_of_sync_seconds", "zone", example) != 0 {
			t.Errorf("State %v, out of sync for %v s", n, l.metric("out_of_sync_seconds", "zone", example))
		}
		l.absent("zone_state", "unknown.example.")
		began := time.Now()
		a.play(dnstest.Serve(secret, append(version(example, 2), "more."+example+" 60 IN A 192.0.2.1")...))
		poke(at, a, example)
		l.blocked(example, 0, "max_records")
		time.Sleep(50 * time.Millisecond)
		if n, most := l.metric("out_of_sync_seconds", "zone", example), time.Since(began).Seconds(); n < 0.05 || n > most {
			t.Errorf("Out of sync for %v s; want 0.05 to %v", n, most)
		}
		if n := l.metric("zone_state", "zone", example); n != 0 {
			t.Errorf("State %v; want 0: Blocked", n)
		}
		a.play(serve(example, 3))
		poke(at, a, example)
		l.serves(at.Zone(id(example)), 3)
		l.eventually("in sync", func() bool {
			return l.metric("out_of_sync_seconds", "zone", example) == 0 && l.metric("zone_state", "zone", example) == 1
		})
	})
}

// absent fails the test if a gauge has the zone.
func (l *lab) absent(name, zone string) {
	l.t.Helper()
	if l.has(name, zone) {
		l.t.Errorf("%s has %s", name, zone)
	}
}

// has reports whether a gauge has the zone.
func (l *lab) has(name, zone string) bool {
	l.t.Helper()
	families, err := l.registry.Gather()
	if err != nil {
		l.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "coredns_secondaryplus_"+name && hasLabels(m, []string{"zone", zone}) {
				return true
			}
		}
	}
	return false
}
