package engine_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
)

// Variants of one name are several zones: what becomes of one says nothing of the others, and messages name the variant.
func TestZonesOfOneNameAreToldApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, path := startLab(t), newFile(t)
		good, bad, w := newActor(t, serveAny(1)), newActor(t, serveAny(1)), newWebhook(t, http.StatusOK)
		c := telling(kept(path, group(good.primary()), example), quick(w))
		c = extend(c, group(bad.primary()), "single.example.")
		plain := engine.ZoneID{Name: example, Variant: "outside"}
		inside := engine.ZoneID{Name: example, Variant: "inside"}
		for _, same := range []engine.ZoneID{plain, inside} {
			c.Zones[same] = engine.ZoneConfig{Origin: c.Zones[id(example)].Origin, Group: group(bad.primary())}
		}
		failing := []engine.ZoneID{plain, inside, id("single.example.")}
		notify := func(at *secondary.Attachment, from *actor, ids ...engine.ZoneID) {
			for _, z := range ids {
				at.Zone(z).Notify(engine.Notification{From: from.Addr().Addr()})
			}
		}
		const names = "example. variant inside, example. variant outside, single.example."

		at := l.Attach(c)
		for z := range c.Zones {
			l.serves(at.Zone(z), 1)
		}
		bad.play(refusing(dns.RcodeRefused))
		notify(at, bad, failing...)
		l.eventually("the refusals", func() bool { return l.metric("soa_queries_total", "result", "refused") == 3 })
		notify(at, good, id(example)) // this one is well, which is no news of its namesakes
		if m := w.next("fault"); m.Zones != "3" || m.Names != names {
			t.Errorf("Message %+v", m)
		}

		l = l.restart()
		at = l.Attach(c)
		notify(at, bad, failing...)
		notify(at, good, id(example))
		l.eventually("the refusals", func() bool { return l.metric("soa_queries_total", "result", "refused") >= 3 })
		w.quiet(time.Second)
		bad.play(serveAny(1))
		notify(at, bad, failing...)
		if m := w.next("recovery"); m.Zones != "3" || m.Names != names {
			t.Errorf("Message %+v", m)
		}
	})
}
