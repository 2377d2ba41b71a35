package xfr_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// The time limits are tested with the defaults in fake time.

// paced transfers example. over a pipe from a primary that is told the query, and returns how long it took.
func paced(t *testing.T, recv xfr.Receiver, primary func(query *dns.Msg, send func([]byte) bool)) (took time.Duration, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		c := xfr.NewConn(ours, xfr.Primary{})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			buf := make([]byte, 512)
			// RFC 7766 §8: length and message come in one write, which on a pipe is one read.
			n, err := theirs.Read(buf)
			query := new(dns.Msg)
			if err != nil || n < 2 || int(buf[1]) != n-2 || query.Unpack(buf[2:n]) != nil {
				t.Errorf("query %x, error %v", buf[:n], err)
				theirs.Close()
				return
			}
			primary(query, func(b []byte) bool { _, err := theirs.Write(b); return err == nil })
			_, _ = io.Copy(io.Discard, theirs)
		}()
		begin := time.Now()
		_, err = c.Transfer(t.Context(), exampleQuery(t), recv, xfr.DefaultLimits())
		took = time.Since(begin)
		c.Close()
		<-ended
	})
	return took, err
}

func reply(query *dns.Msg, records ...string) []byte {
	return framed(dnstest.Pack(dnstest.Request{Msg: query}.Reply(records...)))
}

// HP26: silence is cut at the idle limit.
func TestSilentPrimaryTimesOut(t *testing.T) {
	took, err := paced(t, new(counter), func(*dns.Msg, func([]byte) bool) {})
	wantReason(t, err, reason.Timeout)
	if took != 60*time.Second {
		t.Errorf("took %s", took)
	}
}

// HP3: an octet every 50 s is never idle, and still too slow.
func TestDrippingPrimaryIsTooSlow(t *testing.T) {
	took, err := paced(t, new(counter), func(query *dns.Msg, send func([]byte) bool) {
		for _, octet := range reply(query, zoneRecords(100)...) {
			if !send([]byte{octet}) {
				return
			}
			time.Sleep(50 * time.Second)
		}
	})
	wantReason(t, err, reason.TooSlow)
	if took != 60*time.Second || !strings.Contains(err.Error(), "in 1m0s") {
		t.Errorf("took %s: %v", took, err)
	}
}

// A primary may be slow, as long as it keeps the rate: 600 records, about 11 KiB, a minute.
func TestSlowPrimaryPassesUntilTheTotalLimit(t *testing.T) {
	slow := func(minutes int) func(*dns.Msg, func([]byte) bool) {
		return func(query *dns.Msg, send func([]byte) bool) {
			some := reply(query, zoneRecords(600)[1:]...)
			send(reply(query, soa(5)))
			for range minutes {
				for part := range 10 {
					time.Sleep(6 * time.Second)
					if !send(some[part*len(some)/10 : (part+1)*len(some)/10]) {
						return
					}
				}
			}
			send(reply(query, soa(5)))
		}
	}
	took, err := paced(t, new(counter), slow(100))
	if err != nil || took != 100*time.Minute {
		t.Errorf("took %s: %v", took, err)
	}
	took, err = paced(t, new(counter), slow(130))
	wantReason(t, err, reason.TooSlow)
	if took != 2*time.Hour || !strings.Contains(err.Error(), "2h0m0s") {
		t.Errorf("took %s: %v", took, err)
	}
}

// The rate counts from the first octet: preparing a large zone takes time.
func TestPrimaryMayTakeItsTimeToBegin(t *testing.T) {
	took, err := paced(t, new(counter), func(query *dns.Msg, send func([]byte) bool) {
		time.Sleep(59 * time.Second)
		send(reply(query, soa(5)))
		time.Sleep(59 * time.Second)
		send(reply(query, soa(5)))
	})
	if err != nil || took != 118*time.Second {
		t.Errorf("took %s: %v", took, err)
	}
}

// sleeper is a Receiver that takes a minute for a record.
type sleeper struct{ counter }

func (s *sleeper) Add(rr *wire.RR) error {
	time.Sleep(time.Minute)
	return s.counter.Add(rr)
}

// The time we work is not held against the primary.
func TestSlowReceiverIsNotThePrimarysFault(t *testing.T) {
	var s sleeper
	_, err := paced(t, &s, func(query *dns.Msg, send func([]byte) bool) {
		send(reply(query, soa(5)))
		for range 5 {
			send(reply(query, host("a", "192.0.2.1")))
		}
		send(reply(query, soa(5)))
	})
	if err != nil || s.added != 6 {
		t.Errorf("%d records: %v", s.added, err)
	}
}
