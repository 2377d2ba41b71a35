//go:build e2e

package e2e_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// load asks for hosts of zones from several goroutines, over UDP and TCP, until stop. It is safe for concurrent use.
type load struct {
	addr string
	done chan struct{}
	wg   sync.WaitGroup

	mu    sync.Mutex
	asked map[string]int      // by network
	lost  map[string][]string // no answer, by network; guarded by mu, as all of this
	wrong []string
}

// startLoad asks for name.ZONE A, which is in every zone, without a pause.
func startLoad(t *testing.T, addr, name string, zones ...string) *load {
	t.Helper()
	l := &load{addr: addr, done: make(chan struct{}), asked: map[string]int{}, lost: map[string][]string{}}
	for range 2 {
		for _, network := range []string{"udp", "tcp", "fresh tcp"} {
			l.wg.Go(func() { l.ask(network, name, zones) })
		}
	}
	return l
}

// ask asks over one socket as long as it lasts; over a fresh one each time if the network says so.
func (l *load) ask(network, name string, zones []string) {
	kind := strings.TrimPrefix(network, "fresh ")
	var c *dns.Conn
	for i := 0; ; i++ {
		select {
		case <-l.done:
			return
		default:
		}
		var err error
		if c == nil {
			if c, err = (&dns.Client{Net: kind, Timeout: queryTimeout}).Dial(l.addr); err != nil {
				l.note(network, nil, err)
				continue
			}
		}
		q := question(name+"."+zones[i%len(zones)], dns.TypeA)
		m, _, err := (&dns.Client{Net: kind, Timeout: queryTimeout}).ExchangeWithConn(q, c)
		l.note(network, m, err)
		if err != nil || kind != network {
			c.Close()
			c = nil
		}
		time.Sleep(200 * time.Microsecond) // two cores are to answer as well
	}
}

func (l *load) note(network string, m *dns.Msg, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked[network]++
	switch {
	case err != nil:
		l.lost[network] = append(l.lost[network], err.Error())
	case m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1:
		l.wrong = append(l.wrong, m.String())
	}
}

// stop fails the test if an answer was wrong, or none came to a datagram. A connection that CoreDNS closes with the server
// of the old instance is no failure: the client finds it closed and opens another.
func (l *load) stop(t *testing.T) {
	t.Helper()
	close(l.done)
	l.wg.Wait()
	for _, network := range sortedKeys(l.asked) {
		t.Logf("%s: %d asked, %d without an answer %.100q", network, l.asked[network], len(l.lost[network]), l.lost[network])
		if l.asked[network] < 20 {
			t.Errorf("%s: only %d questions were asked", network, l.asked[network])
		}
	}
	if len(l.wrong) > 0 {
		t.Errorf("%d wrong answers, the first: %s", len(l.wrong), l.wrong[0])
	}
	if n := len(l.lost["udp"]); n > 0 {
		t.Errorf("%d questions over UDP without an answer, the first: %s", n, l.lost["udp"][0])
	}
	for network, all := range l.lost {
		for _, e := range all {
			if strings.Contains(e, "timeout") || strings.Contains(e, "refused") {
				t.Errorf("A question over %s: %s", network, e)
				break
			}
		}
	}
}

// steady are the zones that stay through all reloads.
var steady = []string{"one.test.", "two.test.", "three.test."}

// steadyPrimary serves the steady zones and some more; keys may sign, and need not.
func steadyPrimary(t *testing.T, start func(*testing.T, primarySpec) primary, notify ...netip.AddrPort) primary {
	t.Helper()
	zones := map[string]string{}
	for _, z := range append(slices.Clone(steady), "four.test.", "five.test.") {
		zones[z] = plainZone(z, 1, 20, longTimers)
	}
	return start(t, primarySpec{Zones: zones, Notify: notify})
}

// Every kind of change, by SIGUSR1 and under load: the zones that stay are answered all the time and not transferred
// again, and neither their checks nor their expiry begin anew.
func TestReloadsOfEveryKindUnderLoad(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T, primarySpec) primary{"BIND": startBIND, "Knot": startKnot} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prim, other := steadyPrimary(t, start), steadyPrimary(t, startNSD)
			sec := newSecondary(t)
			line := "primary " + prim.addr()
			sec.run(t, secondarySpec{Zones: steady, Block: line})
			for _, z := range steady {
				sec.serves(t, z, 1, syncLimit)
				sec.saved(t, z, 1, settleLimit)
			}
			before := scrape(t, sec.Metrics)
			l := startLoad(t, sec.addr(), "h3", steady...)
			block := func(zones string, lines ...string) string {
				return "secondaryplus " + zones + " {\n" + strings.Join(append(lines, line), "\n") + "\n}"
			}
			for _, change := range []secondarySpec{
				{Zones: append(slices.Clone(steady), "four.test."), Block: line},
				{Zones: append(slices.Clone(steady), "five.test."), Block: line},
				{Zones: steady, Block: lines(line, "primary "+other.addr())},
				{Zones: steady, Block: lines("primary "+other.addr(), line)},
				{Zones: steady, Block: lines(line, testKey("hmac-sha256").line())},
				{Zones: steady, Block: lines(line, "max_records 100", "max_size 1M", "refresh 1h 2h", "expire 300h 400h")},
				{Zones: steady, Block: lines(line, "allow_notify 127.0.0.0/8", "serial_zero accept")},
				{Zones: steady[:2], Block: lines(line, "transfers_in 7 2", "soa_rate 33"), Chain: block(steady[2])},
				{Zones: steady[:2], Block: line, Chain: block(steady[2], "transfers_in 7 2", "soa_rate 33")},
				{Zones: steady[:1], Block: line, Chain: block(steady[1]+" "+steady[2], "store "+filepath.Join(sec.Dir, "second.db"))},
				{Zones: steady, Block: lines(line, "store off"), Chain: "transfer {\n to *\n}"},
				{Zones: steady, Block: line},
			} {
				sec.secondarySpec = change
				sec.configure(t)
				sec.reload(t)
				time.Sleep(50 * time.Millisecond) // some questions to each instance
			}
			l.stop(t)
			after := scrape(t, sec.Metrics)
			for _, z := range steady {
				for _, timer := range []string{"expire_timestamp_seconds", "last_check_timestamp_seconds"} {
					// A new primary is asked at once, which may confirm the zone; nothing makes it younger.
					if was, is := before.sum(timer, "zone", z), after.sum(timer, "zone", z); is < was {
						t.Errorf("%s of %s went from %v to %v", timer, z, was, is)
					}
				}
				sec.saved(t, z, 1, settleLimit)
			}
			// four.test. and five.test. were there for a moment.
			if n := after.sum("transfers_total") - before.sum("transfers_total"); n > 2 {
				t.Errorf("%v transfers: %s", n, after.show("transfers_total"))
			}
			if n := after.sum("store_errors_total"); n != 0 {
				t.Errorf("Store errors %s", after.show("store_errors_total"))
			}
			prim.stop(t)
			sec.end(t, syscall.SIGTERM, steady[0])
			sec.relaunch(t, steady[0])
			for _, z := range steady {
				if complaint := sec.differs(z, 1); complaint != "" {
					t.Errorf("After a restart %s: %s", z, complaint)
				}
			}
		})
	}
}

// The reload plugin does the same as SIGUSR1.
func TestReloadPluginUnderLoad(t *testing.T) {
	t.Parallel()
	prim, sec := steadyPrimary(t, startKnot), newSecondary(t)
	sec.run(t, secondarySpec{Zones: steady, Block: "primary " + prim.addr(), Chain: "reload 2s 1s"})
	for _, z := range steady {
		sec.serves(t, z, 1, syncLimit)
	}
	l := startLoad(t, sec.addr(), "h3", steady...)
	for n, zones := range [][]string{append(slices.Clone(steady), "four.test."), steady} {
		sec.Zones = zones
		sec.configure(t)
		eventually(t, settleLimit, "Reload", func() string {
			if strings.Count(sec.proc.log(t), reloadMessage) <= n {
				return "log does not say that it is complete"
			}
			return ""
		})
	}
	l.stop(t)
	if n := scrape(t, sec.Metrics).sum("transfers_total"); n > 4 {
		t.Errorf("%v transfers; want one for each of four zones", n)
	}
	sec.end(t, syscall.SIGTERM, steady[0])
}

// A reload that fails leaves the old configuration whole, whichever step it fails at: answers, NOTIFY, timers, limits and
// store.
func TestReloadThatFailsAtAnyStepLeavesAllAsItWas(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	const occupiedBlock = " {\n bind 127.0.0.1\n whoami\n}\n"
	sec := newSecondary(t)
	prim := startKnot(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(1)}, Notify: []netip.AddrPort{sec.target()}})
	first := secondarySpec{Zones: []string{mixedOrigin}, Block: "primary " + prim.addr()}
	sec.run(t, first)
	sec.serves(t, mixedOrigin, 1, syncLimit)
	sec.saved(t, mixedOrigin, 1, settleLimit)
	holder := newSecondary(t) // of a store
	holder.run(t, secondarySpec{Zones: []string{"elsewhere.test."}, Block: "primary " + prim.addr()})

	writeFile(t, filepath.Join(sec.Dir, "bad.key"), "key k { algorithm hmac-sha256; };\n")
	elsewhere := lines("primary "+loopback(freePort(t)), "max_records 1", "store "+filepath.Join(sec.Dir, "other.db"))
	goroutines := sec.goroutines(t)
	expires := scrape(t, sec.Metrics).sum("expire_timestamp_seconds", "zone", mixedOrigin)
	l := startLoad(t, sec.addr(), "mail", mixedOrigin)
	serial := uint32(1)
	for _, c := range []struct {
		what string
		spec secondarySpec
		says string
	}{
		{"syntax", secondarySpec{Block: elsewhere, Rest: "broken.test {\n whoami\n"}, "Syntax error"},
		{"unknown option", secondarySpec{Block: elsewhere + "nonsense"}, "nonsense"},
		{"key file", secondarySpec{Block: elsewhere + "key_file bad.key"}, "bad.key.*secret"},
		{"plugin before ours", secondarySpec{Block: elsewhere, Chain: "health 127.0.0.1:" + port}, "address already in use"},
		{"port in use", secondarySpec{Block: elsewhere, Rest: "other.test:" + port + occupiedBlock}, "address already in use"},
		{"store in use", secondarySpec{Block: lines("primary "+loopback(freePort(t)), "store "+holder.storePath())}, "in use by process"},
		{"zone gone, port in use", secondarySpec{
			Zones: []string{"other.test."}, Block: lines("primary "+prim.addr(), "store off"), Rest: "another.test:" + port + occupiedBlock,
		}, "address already in use"},
	} {
		sec.secondarySpec = c.spec
		if sec.Zones == nil {
			sec.Zones = []string{mixedOrigin, "new.test."}
		}
		sec.configure(t)
		seen := len(sec.proc.log(t))
		if err := sec.proc.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
			t.Fatalf("SIGUSR1: %v", err)
		}
		eventually(t, settleLimit, "Log of the failed reload: "+c.what, func() string {
			log := sec.proc.log(t)[seen:]
			if !regexp.MustCompile(c.says).MatchString(log) || strings.Contains(log, reloadMessage) {
				return "the log has " + log
			}
			return ""
		})
		if got := scrape(t, sec.Metrics).sum("expire_timestamp_seconds", "zone", mixedOrigin); got < expires {
			t.Errorf("%s: expire went from %v to %v", c.what, expires, got)
		}
		serial++
		prim.publish(t, mixedOrigin, newer(serial))
		sec.serves(t, mixedOrigin, serial, settleLimit)
		sec.saved(t, mixedOrigin, serial, settleLimit)
		if m := scrape(t, sec.Metrics); len(m.find("zone_served")) != 1 || len(m.find("link_blocked")) > 0 {
			t.Errorf("%s: zones %s, links %s", c.what, m.show("zone_served"), m.show("link_blocked"))
		}
	}
	l.stop(t)
	eventually(t, settleLimit, "No goroutine left behind", func() string {
		if g := sec.goroutines(t); g > goroutines+5 {
			return fmt.Sprintf("%v; there were %v", g, goroutines)
		}
		return ""
	})
	sec.secondarySpec = first
	sec.configure(t)
	sec.reload(t)
	sec.proc.kill()
	prim.stop(t)
	sec.relaunch(t, mixedOrigin)
	if complaint := sec.differs(mixedOrigin, serial); complaint != "" {
		t.Errorf("From the store: %s", complaint)
	}
}

const manyReloads = 100

// A hundred reloads, some of which fail, leave goroutines, open files and memory where they were.
func TestManyReloadsLeaveNothing(t *testing.T) {
	t.Parallel()
	prim, sec := newRiver(t, 20), newSecondary(t)
	prim.tells(sec)
	pprof := loopback(freePort(t))
	spec := secondarySpec{
		Zones: prim.zones, Block: lines("primary "+prim.address, "allow_notify 127.0.0.1"),
		Chain: lines("transfer {", "to *", "}", "pprof "+pprof),
	}
	sec.run(t, spec)
	for _, z := range prim.zones {
		sec.serves(t, z, 1, syncLimit)
	}
	again := func(n int) {
		t.Helper()
		sec.secondarySpec = spec
		switch n % 4 {
		case 1:
			sec.Zones = prim.zones[:10]
		case 2:
			sec.Block += "store " + filepath.Join(sec.Dir, "other.db")
		}
		sec.configure(t)
		sec.reload(t)
	}
	for n := range 12 {
		again(n)
	}
	goroutines, files, memory := sec.goroutines(t), sec.proc.openFiles(t), heapOf(t, pprof)
	for n := range manyReloads {
		again(n)
	}
	eventually(t, settleLimit, "As many goroutines and open files as before", func() string {
		if g, f := sec.goroutines(t), sec.proc.openFiles(t); g > goroutines+5 || f > files+3 {
			return fmt.Sprintf("%v goroutines, %d files; there were %v, %d", g, f, goroutines, files)
		}
		return ""
	})
	now := heapOf(t, pprof)
	t.Logf("%v goroutines (%v), %d files (%d), %d KB of heap (%d KB)",
		sec.goroutines(t), goroutines, sec.proc.openFiles(t), files, now>>10, memory>>10)
	if now > memory+memory/4+2<<20 {
		t.Errorf("%d KB of heap in use after %d reloads; there were %d KB", now>>10, manyReloads, memory>>10)
	}
	prim.follows(t, sec)
}

// heapOf returns the octets of heap in use after garbage has been collected.
func heapOf(t *testing.T, pprof string) int {
	t.Helper()
	least := 0
	for range 3 { // finalizers and pools take more than one round
		resp, err := http.Get("http://" + pprof + "/debug/pprof/heap?gc=1&debug=1")
		if err != nil {
			t.Fatalf("Heap: %v", err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		found := regexp.MustCompile(`# HeapAlloc = (\d+)`).FindSubmatch(body)
		if err != nil || found == nil {
			t.Fatalf("Heap: %v in %d octets", err, len(body))
		}
		n, err := strconv.Atoi(string(found[1]))
		if err != nil {
			t.Fatalf("Heap: %v", err)
		}
		if least == 0 || n < least {
			least = n
		}
	}
	return least
}

// A key that a reload changes is in force at once: a spoiled one ends transfers and NOTIFY, a mended one brings them back.
func TestChangedKeyIsInForceAtOnce(t *testing.T) {
	t.Parallel()
	key := testKey("hmac-sha256")
	wrong := *key
	wrong.Secret = "c3BvaWxlZA=="
	sec := newSecondary(t)
	prim := startKnot(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(1)}, Key: key, Notify: []netip.AddrPort{sec.target()}})
	sec.run(t, secondarySpec{Zones: []string{mixedOrigin}, Block: linkLines(prim.addr(), &wrong)})
	sec.blocked(t, mixedOrigin, prim.addr(), "tsig_bad_sig", "tsig_bad_key", "not_authoritative")
	use := func(k *tsigKey) {
		t.Helper()
		sec.Block = linkLines(prim.addr(), k)
		sec.configure(t)
		sec.reload(t)
	}
	use(key)
	sec.serves(t, mixedOrigin, 1, settleLimit)
	use(&wrong)
	sec.blocked(t, mixedOrigin, prim.addr(), "tsig_bad_sig", "tsig_bad_key", "not_authoritative")
	if code := notify(t, "127.0.0.1", sec.addr(), mixedOrigin, key); code == dns.RcodeSuccess {
		t.Error("A NOTIFY signed with the key that was taken away is accepted")
	}
	prim.publish(t, mixedOrigin, newer(2))
	sec.keeps(t, mixedOrigin, 1, time.Second)
	use(key)
	sec.serves(t, mixedOrigin, 2, settleLimit)
	sec.normal(t, mixedOrigin, prim.addr())
	if code := notify(t, "127.0.0.1", sec.addr(), mixedOrigin, key); code != dns.RcodeSuccess {
		t.Errorf("A NOTIFY signed with the key is answered with %s", dns.RcodeToString[code])
	}
}

// A transfer that is running goes on through reloads that leave its zone and its primary; one whose primary is gone ends.
func TestTransferInFlightOutlivesAReload(t *testing.T) {
	t.Parallel()
	prim, sec := newRiver(t, 9), newSecondary(t)
	zone := prim.zones[8] // 649 records: seven messages
	prim.tells(sec)
	prim.pause.Store(int64(200 * time.Millisecond))
	sec.run(t, secondarySpec{Zones: []string{zone}, Block: "primary " + prim.address})
	eventually(t, settleLimit, "The transfer", func() string {
		if prim.axfrs.Load() == 0 {
			return "is not asked for"
		}
		return ""
	})
	for n := range 3 {
		sec.Block = lines("primary "+prim.address, fmt.Sprintf("max_records %d", 1000+n))
		sec.Zones = append([]string{zone}, prim.zones[:n]...)
		sec.configure(t)
		sec.reload(t)
	}
	if complaint := notReady(sec.addr(), zone); complaint != "" {
		t.Fatalf("The transfer was over before the reloads: %s", complaint)
	}
	sec.serves(t, zone, 1, syncLimit)
	if n := scrape(t, sec.Metrics).sum("transfers_total"); n > 3 {
		t.Errorf("%v transfers of three zones", n)
	}
	if n := prim.axfrs.Load(); n > 3 {
		t.Errorf("%d transfers of three zones were asked for", n)
	}
}
