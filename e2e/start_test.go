//go:build e2e

package e2e_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// These tests are about a process with so many zones that it serves before it has read them all.

// manyStarting is how many zones they have: some times more than a start waits for.
const manyStarting = 4000

// crowd is a player of many zones and the secondary that has saved them all. It belongs to the goroutine of its test.
type crowd struct {
	*player
	*secondary
	names []string // the last one is read last
}

// savedCrowd returns a crowd whose primary has fallen silent, and whose secondary has ended.
func savedCrowd(t *testing.T, spec secondarySpec) *crowd {
	t.Helper()
	c := &crowd{player: newPlayer(t), secondary: newSecondary(t)}
	for i := range manyStarting {
		z := fmt.Sprintf("z%05d.test.", i)
		c.names = append(c.names, z)
		c.plays(z, role{records: simple(z, 1, hosts(z, 40)...)})
	}
	spec.Zones, spec.Block = c.names, lines("primary "+c.address, "transfers_in 40 40", spec.Block)
	c.run(t, spec)
	eventually(t, settleLimit, "All zones are saved", func() string {
		if n := scrape(t, c.Metrics).sum("saved_serial"); n != manyStarting {
			return fmt.Sprintf("%v of %d", n, manyStarting)
		}
		return ""
	})
	for _, z := range c.names {
		c.plays(z, role{query: silence, transfer: silence})
	}
	c.end(t, syscall.SIGTERM, c.names[0])
	return c
}

// patient asks until there is an answer: the process may be about to start.
func patient(t *testing.T, network, addr string, q *dns.Msg) *dns.Msg {
	t.Helper()
	var m *dns.Msg
	eventually(t, startLimit, "Answer over "+network, func() string {
		var err error
		if m, _, err = (&dns.Client{Net: network, Timeout: queryTimeout}).Exchange(q, addr); err != nil {
			return err.Error()
		}
		return ""
	})
	return m
}

// answersAll asks for all zones from the moment on at which the process answers at all, last ones first, and fails the test unless
// every answer is the saved SOA.
func (c *crowd) answersAll(t *testing.T) {
	t.Helper()
	var asking sync.WaitGroup
	for _, network := range []string{"udp", "tcp"} {
		asking.Go(func() {
			var conn *dns.Conn
			wrong := 0
			for i := len(c.names) - 1; i >= 0 && wrong < 5; {
				m, err := (*dns.Msg)(nil), error(nil)
				if conn == nil {
					conn, err = (&dns.Client{Net: network, Timeout: queryTimeout}).Dial(c.addr())
				}
				if err == nil {
					m, _, err = (&dns.Client{Net: network, Timeout: queryTimeout}).ExchangeWithConn(question(c.names[i], dns.TypeSOA), conn)
				}
				if err != nil { // the sockets are not open yet
					if conn != nil {
						conn.Close()
						conn = nil
					}
					if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, net.ErrClosed) {
						t.Logf("%s over %s: %v", c.names[i], network, err)
					}
					if !c.proc.running() {
						t.Errorf("The process has ended")
						return
					}
					time.Sleep(time.Millisecond)
					continue
				}
				if m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1 || m.Answer[0].(*dns.SOA).Serial != 1 {
					t.Errorf("%s over %s: %v", c.names[i], network, m)
					wrong++
				}
				i--
			}
			if conn != nil {
				conn.Close()
			}
		})
	}
	asking.Wait()
}

// startedWhole waits for the end of the start, and fails the test unless it has brought all zones.
func (c *crowd) startedWhole(t *testing.T) {
	t.Helper()
	eventually(t, startLimit, "The process is ready", func() string {
		if !c.ready(t) {
			return "no"
		}
		return ""
	})
	m := scrape(t, c.Metrics)
	for name, want := range map[string]float64{"saved_serial": manyStarting, "store_orphan_zones": 0, "store_errors_total": 0} {
		if got := m.sum(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if n := m.sum("transfers_total", "result", "ok"); n != 0 {
		t.Errorf("%v transfers", n)
	}
}

// Whoever asks first gets what was saved, over the fast path and through the chain, though there is no primary any more.
func TestManyZonesAreServedWhileTheyStart(t *testing.T) {
	t.Parallel()
	c := savedCrowd(t, secondarySpec{})
	for _, after := range []string{"SIGTERM", "SIGKILL"} {
		c.spawn(t)
		c.answersAll(t)
		c.startedWhole(t)
		want := fmt.Sprintf("%d zones restored, 0 too old to be served, 0 damaged", manyStarting)
		c.logs(t, want)
		if t.Failed() {
			t.Fatalf("After %s", after)
		}
		c.proc.kill()
	}
}

// A zone that is still to come is transferred to those who ask in the first moment, by either way.
func TestZoneThatIsStillToComeIsTransferred(t *testing.T) {
	t.Parallel()
	for name, spec := range map[string]secondarySpec{
		"allow_transfer":  {Block: "allow_transfer 127.0.0.1"},
		"transfer plugin": {Chain: lines("transfer {", "to *", "}")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := savedCrowd(t, spec)
			c.spawn(t)
			z := c.names[len(c.names)-1]
			if m := patient(t, "tcp", c.addr(), new(dns.Msg).SetAxfr(z)); m.Rcode != dns.RcodeSuccess || len(m.Answer) == 0 {
				t.Errorf("The first answer: %v", m)
			}
			for _, z := range slices.Backward(c.names[len(c.names)-20:]) {
				holds(t, c.addr(), z, simple(z, 1, hosts(z, 40)...))
			}
		})
	}
}

// A NOTIFY that comes before its zone has started is answered at last, and the zone follows.
func TestNotifyOfTheFirstMomentIsNotLost(t *testing.T) {
	t.Parallel()
	c := savedCrowd(t, secondarySpec{})
	z := c.names[len(c.names)-1]
	c.plays(z, role{records: simple(z, 2)})
	c.spawn(t)
	if m := patient(t, "udp", c.addr(), new(dns.Msg).SetNotify(z)); m.Rcode != dns.RcodeSuccess {
		t.Errorf("The NOTIFY: %v", m)
	}
	c.serves(t, z, 2, notifyLimit)
}

// The process ends in time also while it starts, and what is saved stays.
func TestEndDuringTheStartLosesNothing(t *testing.T) {
	t.Parallel()
	c := savedCrowd(t, secondarySpec{})
	for i := range 3 {
		c.spawn(t)
		patient(t, "udp", c.addr(), question(c.names[len(c.names)-1-i], dns.TypeSOA))
		began := time.Now()
		if err := c.proc.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		select {
		case <-c.proc.ended:
		case <-time.After(graceTime):
			t.Fatalf("The process has not ended after %s", graceTime)
		}
		t.Logf("Ended after %s", time.Since(began).Round(time.Millisecond))
	}
	c.spawn(t)
	c.answersAll(t)
	c.startedWhole(t)
	c.proc.stop(t)
}

// A reload during the start waits for it, and costs nobody an answer.
func TestReloadDuringTheStart(t *testing.T) {
	t.Parallel()
	c := savedCrowd(t, secondarySpec{})
	before := strings.Count(c.proc.log(t), reloadMessage)
	c.spawn(t)
	var asking sync.WaitGroup
	asking.Go(func() { c.answersAll(t) })
	patient(t, "udp", c.addr(), question(c.names[0], dns.TypeSOA))
	eventually(t, startLimit, "Reload", func() string {
		if strings.Count(c.proc.log(t), reloadMessage) > before {
			return ""
		}
		_ = c.proc.cmd.Process.Signal(syscall.SIGUSR1) // one that comes while CoreDNS begins is lost
		time.Sleep(20 * time.Millisecond)
		return "log does not say that it is complete"
	})
	asking.Wait()
	c.startedWhole(t)
	c.proc.stop(t)
}
