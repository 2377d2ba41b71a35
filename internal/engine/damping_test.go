package engine_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
)

// A link that flaps is shown as Blocked while its zone is followed, and nobody is told of that. A fault that lasts is told
// once, counted from its own beginning, and so is its end, damped or not.
func TestFlappingLinkIsOneFault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a, w := newActor(t, serve(example, 1)), newWebhook(t, http.StatusOK)
		f := quick(w)
		f.After = 2 * time.Second // checks that NOTIFYs ask for are half a second apart
		at := l.Attach(telling(config(group(a.primary()), example), f))
		l.serves(at.Zone(id(example)), 1)
		fail := func() {
			l.flip(a, at, refusing(dns.RcodeRefused), func(k refresh.Link) time.Time { return k.FailedAt })
		}
		heal := func() { l.flip(a, at, serve(example, 1), func(k refresh.Link) time.Time { return k.LastOKAt }) }
		for range 4 {
			fail()
			heal()
		}
		k, shown := l.link(example, 0), l.metric("link_state", "zone", example)
		if k.State != refresh.Blocked || !k.Damped || k.Reason != "refused" || shown != 0 {
			t.Errorf("After four falls the link is %+v, link_state %v", k, shown)
		}
		w.quiet(f.After + time.Second) // it is followed

		began := time.Now()
		fail()
		if k := l.link(example, 0); k.State != refresh.Blocked || k.Damped {
			t.Errorf("Of a dead primary the link is %+v", k)
		}
		if w.next("fault"); time.Since(began) < f.After {
			t.Errorf("The fault is told after %s; fault_after is %s", time.Since(began), f.After)
		}
		heal()
		w.next("recovery")
		if k := l.link(example, 0); !k.Damped {
			t.Errorf("Soon after a fault the link is %+v", k)
		}
		w.quiet(f.After)
	})
}

// flip changes the script of a primary, has its zone checked and waits until that shows.
func (l *lab) flip(a *actor, at *secondary.Attachment, script dnstest.Handler, shows func(refresh.Link) time.Time) {
	l.t.Helper()
	before := shows(l.link(example, 0))
	a.play(script)
	poke(at, a, example)
	l.eventually("the outcome of the check", func() bool { return shows(l.link(example, 0)).After(before) })
}
