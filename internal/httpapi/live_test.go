//go:build e2e

package httpapi_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/httpapi"
)

// The page over the true server and engine: what it says is so, and its buttons do what they say.

func (d *desk) url() string { return "http://" + d.address + "/" }

// An operator sees a link fall, why, and how it comes back, without reloading.
func TestPageFollowsAPrimaryDownAndBack(t *testing.T) {
	t.Parallel()
	d := newDesk(t, httpapi.Options{StartedAt: time.Now()}, nil)
	p := d.serve("example.", 5)
	b := startBrowser(t)
	b.open(t, d.url())
	b.wait(t, row("example.")+"?.innerText.includes('Normal')")
	b.wait(t, isLive)

	p.become(func(r dnstest.Request, w *dnstest.Writer) { w.Send(r.Rcode(dns.RcodeRefused)) })
	b.open(t, d.url()+"#/zone/example.")
	b.click(t, "#zone-actions [data-command=refresh]")
	b.waitFor(t, "Blocked")
	b.waitFor(t, "allow") // the advice: what the primary has to let us do
	b.open(t, d.url()+"#/")
	b.wait(t, row("example.")+"?.innerText.includes('Blocked')")

	p.become(dnstest.Serve("", exampleZone("example.", 6)...))
	b.open(t, d.url()+"#/zone/example.")
	b.click(t, "#zone-actions [data-command=refresh]")
	b.waitFor(t, "Normal")
	d.await("example.", 6)
	b.open(t, d.url()+"#/")
	b.wait(t, row("example.")+"?.innerText.includes('Normal')")
	b.wait(t, row("example.")+"?.innerText.includes('6')")
}

// Retransfer asks first, brings the whole zone, and takes a lower serial only where that is said.
func TestPageRetransfers(t *testing.T) {
	t.Parallel()
	d := newDesk(t, httpapi.Options{StartedAt: time.Now()}, nil)
	p := d.serve("example.", 5)
	p.requests()
	b := startBrowser(t)
	b.open(t, d.url()+"#/zone/example.")
	b.waitFor(t, "Normal")
	p.become(dnstest.Serve("", exampleZone("example.", 3)...))
	b.click(t, "[data-action=ask-retransfer]")
	b.click(t, "#retransfer [type=submit]")
	b.waitFor(t, "Blocked") // the serial is behind
	b.click(t, "[data-action=ask-retransfer]")
	b.click(t, "#retransfer-force")
	b.click(t, "#retransfer [type=submit]")
	d.await("example.", 3)
	b.waitFor(t, "Normal")
}

// With 20,000 true zones the page is there and moves from one part to the next; it costs the server nothing while nothing happens.
func TestPageOfManyTrueZones(t *testing.T) {
	t.Parallel()
	const zones = 20_000
	d := newDesk(t, httpapi.Options{StartedAt: time.Now()}, nil)
	d.config.Settings.SOARate = 1
	p := startSource(t, exampleZone("z00000.example.", 1)...)
	names := make([]string, zones)
	for i := range names {
		names[i] = fmt.Sprintf("z%05d.example.", i)
	}
	p.become(func(r dnstest.Request, w *dnstest.Writer) { dnstest.Serve("", exampleZone(r.Name, 1)...)(r, w) })
	d.hold("", []*source{p}, names...)
	eventuallyTrue(t, "all served", func() bool { return d.normal() == zones })
	b := startBrowser(t)
	b.open(t, d.url())
	b.waitFor(t, "1–50 of 20,000 zones")
	b.click(t, "[data-key=Last]")
	b.wait(t, row("z19999.example."))
}

// normal returns how many zones are Normal.
func (d *desk) normal() int {
	s, err := d.Client.Status(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	return s.Zones.Normal
}
