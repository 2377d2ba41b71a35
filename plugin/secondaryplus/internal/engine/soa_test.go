package engine_test

import (
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/dnstest"
)

// soa_rate bounds what primaries get, also when each query takes several messages: with OPT, without, and over TCP.
func TestSOARateBoundsMessages(t *testing.T) {
	const (
		rate     = 40 // and the burst
		messages = 3 * rate
	)
	l := newLab(t)
	var mu sync.Mutex
	count := 0
	enough := make(chan time.Time, 1)
	difficult := func(r dnstest.Request, w *dnstest.Writer) {
		mu.Lock()
		defer mu.Unlock()
		if r.Type == dns.TypeSOA {
			if count++; count == messages {
				enough <- time.Now()
			}
		}
		m := r.Rcode(dns.RcodeFormatError)
		if r.UDP && r.Msg.IsEdns0() == nil {
			m = r.Reply()
			m.Truncated = true
		}
		w.Send(m)
	}
	// With two primaries a zone begins with SOA queries, not with a transfer.
	c := config(group(newActor(t, difficult).primary(), newActor(t, difficult).primary()), names("z", messages/4)...)
	c.Settings.SOARate = rate
	began := time.Now()
	l.Attach(c)
	select {
	case at := <-enough:
		// Nothing arrives before it is sent: the bound holds however slow the machine is.
		if least := time.Second * (messages - rate) / rate; at.Sub(began) < least {
			t.Errorf("%d messages in %s; at %d a second and as many at once they take %s", messages, at.Sub(began), rate, least)
		}
	case <-time.After(patience):
		mu.Lock()
		defer mu.Unlock()
		t.Fatalf("Only %d messages came", count)
	}
}
