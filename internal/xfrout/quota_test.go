package xfrout_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/xfrout"
)

// now is a patience that is over.
func now() <-chan time.Time {
	c := make(chan time.Time)
	close(c)
	return c
}

// A place is for one client of all: an IPv4 address, or the 64 bits of an IPv6 network. What is given back can be taken again.
func TestQuota(t *testing.T) {
	var q xfrout.Quota
	take := func(client string, want bool) func() {
		t.Helper()
		release, ok := q.Take(netip.MustParseAddr(client), now())
		if ok != want {
			t.Errorf("%s: let in is %v; want %v", client, ok, want)
		}
		return release
	}
	take("192.0.2.1", false)
	q.Limit(4, 2)
	first := take("192.0.2.1", true)
	take("192.0.2.1", true)
	take("192.0.2.1", false)
	take("2001:db8::1", true)
	second := take("2001:db8::2", true)
	take("2001:db8:0:0:1::1", false)
	take("192.0.2.2", false)
	first()
	take("2001:db8::3", false)
	take("192.0.2.1", true)
	q.Limit(3, 1)
	second()
	take("192.0.2.9", false) // three run still
	q.Limit(5, 2)
	take("2001:db8::3", true)
	take("192.0.2.9", true)
}

// Who waits gets the next place in order, but for clients that have as many as they may; so many may wait, and no more.
func TestQuotaIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q xfrout.Quota
		q.Limit(2, 1)
		order := make(chan string, 3)
		wait := func(client string) {
			go func() {
				if _, ok := q.Take(netip.MustParseAddr(client), time.After(time.Minute)); ok {
					order <- client
				}
			}()
			synctest.Wait()
		}
		one, _ := q.Take(netip.MustParseAddr("192.0.2.1"), now())
		two, _ := q.Take(netip.MustParseAddr("192.0.2.2"), now())
		for _, client := range []string{"192.0.2.1", "192.0.2.3", "192.0.2.4"} {
			wait(client)
		}
		two()
		if got := <-order; got != "192.0.2.3" {
			t.Errorf("The place goes to %s first", got)
		}
		one()
		if got := <-order; got != "192.0.2.1" {
			t.Errorf("The next place goes to %s", got)
		}
		time.Sleep(time.Hour) // 192.0.2.4 loses its patience
		synctest.Wait()
		q.Limit(3, 1)
		synctest.Wait()
		if len(order) != 0 {
			t.Errorf("%s has a place after it has left", <-order)
		}
		q.Limit(0, 0)
		for i := range xfrout.MaxWaiting + 9 {
			go q.Take(netip.AddrFrom4([4]byte{10, 0, byte(i >> 7), 1}), time.After(time.Minute))
		}
		synctest.Wait()
		began := time.Now()
		if _, ok := q.Take(netip.MustParseAddr("192.0.2.9"), time.After(time.Minute)); ok || time.Since(began) > 0 {
			t.Errorf("One more waits for %s", time.Since(began))
		}
		time.Sleep(time.Hour)
		for range xfrout.MaxWaitingForOne {
			go q.Take(netip.MustParseAddr("192.0.2.9"), time.After(time.Minute))
		}
		synctest.Wait()
		began = time.Now()
		if _, ok := q.Take(netip.MustParseAddr("192.0.2.9"), time.After(time.Minute)); ok || time.Since(began) > 0 {
			t.Errorf("One more of a client waits for %s", time.Since(began))
		}
		go q.Take(netip.MustParseAddr("192.0.2.8"), time.After(time.Minute)) // another one may
		time.Sleep(time.Hour)
	})
}
