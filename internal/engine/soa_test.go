package engine_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
)

// soa_rate bounds what primaries get, also when each query takes several messages: with OPT, without, and over TCP.
func TestSOARateBoundsMessages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const (
			rate     = 40 // and the burst
			messages = 3 * rate
		)
		l := startLab(t)
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
	})
}

// A firewall may refuse datagrams with ICMP where TCP gets through: the zone is followed all the same.
func TestPrimaryThatRefusesUDPIsFollowed(t *testing.T) {
	l := newLab(t)
	a := newSocketActor(t, serve(example, 1))
	z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
	l.serves(z, 1)
	a.CloseUDP()
	a.play(serve(example, 2))
	z.Notify(engine.Notification{From: a.Addr().Addr()})
	l.serves(z, 2)
	if k := l.link(example, 0); k.State != refresh.Normal || l.metric("soa_queries_total", "result", "unreachable") != 0 {
		t.Errorf("The link is %+v", k)
	}
}

// A primary that refuses at once is not taken for one that is silent, however long its queries wait for the rate.
func TestWaitingForTheRateIsNoSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		c := config(group(nobody(t), nobody(t)), names("z", 2)...)
		c.Settings.SOARate = 2
		l.Attach(c)
		for _, z := range names("z", 2) {
			for i := range 2 {
				l.blocked(z, i, "unreachable")
			}
			d, err := l.Detail(id(z))
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range d.History {
				if strings.Contains(v.Text, "not tried") {
					t.Errorf("%s: %s", z, v.Text)
				}
			}
		}
	})
}
