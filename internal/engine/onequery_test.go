package engine_test

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/host"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// once is the script of a primary that answers one query on a connection, and does then to every other what it should not. It
// counts those. It is safe for concurrent use.
type once struct {
	then dnstest.Handler

	mu     sync.Mutex
	answer dnstest.Handler          // guarded by mu
	asked  map[*dnstest.Writer]bool // guarded by mu
	more   int                      // questions on a connection that had answered one; guarded by mu
}

func (o *once) play(r dnstest.Request, w *dnstest.Writer) {
	o.mu.Lock()
	again, answer := o.asked[w], o.answer
	if !r.UDP {
		o.asked[w] = true
	}
	if again {
		o.more++
		answer = o.then
	}
	o.mu.Unlock()
	answer(r, w)
}

// become sets how first questions are answered, and begins to count anew.
func (o *once) become(answer dnstest.Handler) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answer, o.more = answer, 0
}

// seconds returns how many questions were asked on a connection that had answered one.
func (o *once) seconds() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.more
}

// noIXFR is the script of a primary that does AXFR only.
func noIXFR(serial uint32) dnstest.Handler {
	return byType(refusing(dns.RcodeNotImplemented), serve(example, serial))
}

// A primary that answers one query on a connection costs a new connection each time, and no trouble; where the second is
// followed by silence, that is waited for once.
func TestPrimaryThatAnswersOneQueryAConnection(t *testing.T) {
	wantNothingLeft(t)
	late := func(r dnstest.Request, w *dnstest.Writer) {
		m := r.Reply(soa(example, 1))
		m.Id++
		w.Send(m)
	}
	for name, then := range map[string]dnstest.Handler{
		"silent": silent, "closes": func(_ dnstest.Request, w *dnstest.Writer) { w.CloseConn() },
		"resets": func(_ dnstest.Request, w *dnstest.Writer) { w.Reset() }, "says something else": late,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := startLab(t)
			limits := xfr.DefaultLimits()
			limits.Reuse = 100 * time.Millisecond // silence costs it; Idle would be longer than the test waits
			limits.Idle = 10 * patience
			l.SetLimits(limits)
			script := &once{then: then, answer: serve(example, 1), asked: map[*dnstest.Writer]bool{}}
			a := newActor(t, script.play)
			z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
			l.serves(z, 1)
			for serial := uint32(2); serial < 6; serial++ {
				answer := serve(example, serial)
				if serial == 3 {
					answer = noIXFR(serial) // its AXFR would be the second question
				}
				script.become(answer)
				announce(z, a, nil)
				l.serves(z, serial)
				l.eventually("the link Normal", func() bool { return l.link(example, 0).State == refresh.Normal })
			}
			if name == "silent" {
				if n := script.seconds(); n > 0 {
					t.Errorf("%d second questions, though the primary is known not to answer them", n)
				}
				d, err := l.Detail(id(example))
				if err != nil {
					t.Fatal(err)
				}
				if h := d.Habits[0]; !slices.ContainsFunc(h, func(h host.Habit) bool { return h.Way == host.WayOneQuery }) {
					t.Errorf("Its ways are %v", h)
				}
			}
			if n := l.metric("transfers_total", "result", "timeout"); n != 0 {
				t.Errorf("%v transfers timed out", n)
			}
		})
	}
}

// A primary that is slow on every connection is asked again on a new one, where it has all the time there is.
func TestSlowPrimaryIsNotHarmedByTheShortWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		limits := xfr.DefaultLimits()
		limits.Reuse = 20 * time.Millisecond
		l.SetLimits(limits)
		slowly := func(serial uint32) dnstest.Handler {
			good := serve(example, serial)
			return spoiling(example, serial, func(r dnstest.Request, w *dnstest.Writer) {
				if sleep(w, 10*limits.Reuse) {
					good(r, w)
				}
			})
		}
		a := newActor(t, slowly(1))
		z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
		l.serves(z, 1)
		for serial := uint32(2); serial < 5; serial++ {
			a.play(slowly(serial))
			announce(z, a, nil)
			l.serves(z, serial)
		}
		if s := l.link(example, 0); s.State != refresh.Normal {
			t.Errorf("Link %+v", s)
		}
	})
}

// A primary that has gone away is not taken for one that answers one query a connection.
func TestSilenceOnEveryConnectionIsNoWay(t *testing.T) {
	l := newLab(t)
	limits := xfr.DefaultLimits()
	limits.Reuse, limits.Idle = 20*time.Millisecond, 100*time.Millisecond
	l.SetLimits(limits)
	a := newActor(t, serve(example, 1))
	z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
	l.serves(z, 1)
	a.play(spoiling(example, 2, silent))
	announce(z, a, nil)
	l.blocked(example, 0, "timeout")
	d, err := l.Detail(id(example))
	if err != nil {
		t.Fatal(err)
	}
	if h := d.Habits[0]; len(h) != 0 {
		t.Errorf("Its ways are %v", h)
	}
}

// What this host lacks is told as such, and not held against the primary: no zone there waits for another.
func TestLocalCauseIsNotThePrimarys(t *testing.T) {
	l := newLab(t)
	p := newSocketActor(t, serveAny(1)).primary()
	p.Source = netip.MustParseAddr("192.0.2.77") // not of this host
	var zones []string
	for i := range 40 {
		zones = append(zones, fmt.Sprintf("z%d.example.", i))
	}
	l.Attach(config(group(p), zones...))
	for _, z := range zones {
		l.blocked(z, 0, "local")
	}
	l.logged("warning", "source address is not one of this host")
	if lines := l.log.all("not tried"); len(lines) > 0 {
		t.Errorf("Zones wait for the primary: %s", lines[0])
	}
}
