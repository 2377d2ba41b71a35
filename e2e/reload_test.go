//go:build e2e

package e2e_test

import (
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/miekg/dns"
)

func TestReloadOfTheSameCorefileTransfersNothingAndFailsNoQuery(t *testing.T) {
	t.Parallel()
	sec, prim := syncedPair(t, startKnot, testKey("hmac-sha256"))
	before := scrape(t, sec.Metrics)
	goroutines := sec.goroutines(t)
	stop := failures(t, sec.addr(), mixedOrigin)
	for range 3 {
		sec.reload(t)
	}
	if bad := stop(); len(bad) > 0 {
		t.Errorf("%d bad answers during the reloads, the first: %s", len(bad), bad[0])
	}
	after := scrape(t, sec.Metrics)
	if n := after.sum("transfers_total") - before.sum("transfers_total"); n != 0 {
		t.Errorf("The reloads caused %v transfers: %s", n, after.show("transfers_total"))
	}
	sec.normal(t, mixedOrigin, prim.addr())
	prim.publish(t, mixedOrigin, newer(2))
	sec.serves(t, mixedOrigin, 2, settleLimit)
	eventually(t, syncLimit, "No goroutine left behind", func() string {
		if g := sec.goroutines(t); g > goroutines+5 {
			return "more than before"
		}
		return ""
	})
}

func TestReloadAddsAndRemovesZonesAndKeepsTheOthers(t *testing.T) {
	t.Parallel()
	zones := map[string]string{mixedOrigin: mixedZone(1)}
	for _, z := range []string{"a.test.", "b.test."} {
		zones[z] = plainZone(z, 1, 5, longTimers)
	}
	prim := startNSD(t, primarySpec{Zones: zones})
	sec := newSecondary(t)
	sec.start(t, secondarySpec{Zones: []string{mixedOrigin, "a.test."}, Block: "primary " + prim.addr()})
	sec.serves(t, mixedOrigin, 1, syncLimit)
	sec.serves(t, "a.test.", 1, syncLimit)
	sec.Zones = []string{mixedOrigin, "b.test."}
	sec.configure(t)
	stop := failures(t, sec.addr(), mixedOrigin)
	sec.reload(t)
	sec.serves(t, "b.test.", 1, syncLimit)
	if bad := stop(); len(bad) > 0 {
		t.Errorf("%d bad answers of the zone that stayed, the first: %s", len(bad), bad[0])
	}
	if notReady(sec.addr(), "a.test.") == "" {
		t.Error("The zone that left is answered as one of ours")
	}
	if m := ask(t, sec.addr(), "a.test.", dns.TypeSOA); len(m.Answer) > 0 {
		t.Error("The zone that left is served")
	}
	m := scrape(t, sec.Metrics)
	if n := m.sum("transfers_total", "result", "ok"); n != 3 {
		t.Errorf("%v transfers, want one for each zone: %s", n, m.show("transfers_total"))
	}
	if left := m.find("link_state", "zone", "a.test."); len(left) > 0 {
		t.Error("The zone that left has metrics")
	}
}

func TestFailedReloadChangesNothing(t *testing.T) {
	t.Parallel()
	sec, prim := syncedPair(t, startKnot, nil)
	corefile := filepath.Join(sec.Dir, "Corefile")
	writeFile(t, corefile, strings.ReplaceAll(expand(t, "Corefile", sec), "primary ", "primery "))
	stop := failures(t, sec.addr(), mixedOrigin)
	if err := sec.proc.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatalf("SIGUSR1: %v", err)
	}
	sec.logs(t, `Corefile:\d+.*primery`)
	prim.publish(t, mixedOrigin, newer(2))
	sec.serves(t, mixedOrigin, 2, settleLimit)
	if bad := stop(); len(bad) > 0 {
		t.Errorf("%d bad answers, the first: %s", len(bad), bad[0])
	}
	sec.configure(t)
	sec.reload(t)
	prim.publish(t, mixedOrigin, newer(3))
	sec.serves(t, mixedOrigin, 3, settleLimit)
}

// failures asks without a pause until stop is called, which returns what was wrong with the answers. A lost datagram
// is no wrong answer.
func failures(t *testing.T, addr, zone string) (stop func() []string) {
	t.Helper()
	done := make(chan struct{})
	var wg sync.WaitGroup
	var bad []string
	asked := 0
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			m, err := exchange(addr, question("mail."+zone, dns.TypeA))
			if err != nil {
				continue
			}
			if asked++; m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1 {
				bad = append(bad, dns.RcodeToString[m.Rcode])
			}
		}
	})
	return func() []string {
		close(done)
		wg.Wait()
		if asked == 0 {
			t.Error("No answer at all")
		}
		return bad
	}
}
