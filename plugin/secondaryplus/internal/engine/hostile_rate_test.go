package engine_test

import (
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/engine"
)

// HC1, HP20: whatever a primary answers, and however often it is said to have something new, it gets no more SOA queries than
// configured.
func TestPrimaryGetsNoMoreSOAQueriesThanConfigured(t *testing.T) {
	const perSecond, span = 20, time.Second
	truncated := func(r dnstest.Request, w *dnstest.Writer) {
		m := r.Reply(soa(r.Name, 1))
		m.Truncated = r.UDP
		w.Send(m)
	}
	together(t, map[string]dnstest.Handler{
		"answers":      serveAny(1),
		"knows no OPT": refusing(dns.RcodeFormatError), // RFC 6891 §7: it is asked again without
		"truncates":    truncated,                      // it is asked again over TCP
		"REFUSED":      refusing(dns.RcodeRefused),
	}, func(t *testing.T, script dnstest.Handler) {
		l := startLab(t)
		a := newActor(t, serveAny(1))
		zones := names("z", 200)
		c := config(group(a.primary()), zones...)
		c.Settings.SOARate = perSecond
		at := l.Attach(c)
		for _, z := range zones {
			l.serves(at.Zone(id(z)), 1)
		}
		a.play(script)
		begin := time.Now()
		for time.Since(begin) < span {
			for _, z := range zones {
				at.Zone(id(z)).Notify(engine.Notification{From: a.Addr().Addr()})
			}
			time.Sleep(10 * time.Millisecond)
		}
		queries := a.soaQueries()
		if most := int(perSecond * (time.Since(begin).Seconds() + 1)); queries > most { // a second's worth may come at once
			t.Errorf("%d SOA queries in %s; want at most %d", queries, time.Since(begin), most)
		}
		if queries < perSecond {
			t.Errorf("%d SOA queries in %s", queries, time.Since(begin))
		}
	})
}
