//go:build e2e

package e2e_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// graceTime is what CoreDNS has from a signal to its end: it waits so long for its servers.
const graceTime = 5 * time.Second

// run starts the binary with a Corefile, as start does; but it may be ended by the test, and launched again.
func (s *secondary) run(t *testing.T, spec secondarySpec) {
	t.Helper()
	s.secondarySpec = spec
	s.configure(t)
	s.launch(t, "start.test.")
}

// launch starts the binary with the Corefile at hand and returns the first answer for the zone's SOA.
func (s *secondary) launch(t *testing.T, zone string) (first *dns.Msg) {
	t.Helper()
	s.proc = startServer(t, s.up(zone, &first), s.Dir, binary(t), "-conf", "Corefile")
	return first
}

// up is content with any answer for the zone's SOA, and keeps the first.
func (s *secondary) up(zone string, first **dns.Msg) func() (complaint string) {
	return func() string {
		m, err := exchange(s.addr(), question(zone, dns.TypeSOA))
		if err != nil {
			return err.Error()
		}
		*first = m
		return ""
	}
}

// end sends a signal and waits for the end of the process, which asks for the zone until then: every answer has to be right.
func (s *secondary) end(t *testing.T, signal syscall.Signal, zone string) {
	t.Helper()
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			m, _, err := (&dns.Client{Timeout: 100 * time.Millisecond}).Exchange(question(zone, dns.TypeSOA), s.addr())
			if err == nil && (m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1) {
				t.Errorf("Answer after %s: %v", signal, m)
				return
			}
		}
	})
	began := time.Now()
	if err := s.proc.cmd.Process.Signal(signal); err != nil {
		t.Fatalf("%s: %v", signal, err)
	}
	select {
	case <-s.proc.ended:
	case <-time.After(graceTime):
		t.Errorf("The process has not ended %s after %s", graceTime, signal)
		s.proc.kill()
	}
	t.Logf("Ended %s after %s", time.Since(began).Round(time.Millisecond), signal)
	close(done)
	wg.Wait()
}

// saved waits until the store has the zone with the serial.
func (s *secondary) saved(t *testing.T, zone string, serial uint32, limit time.Duration) {
	t.Helper()
	eventually(t, limit, fmt.Sprintf("%s saved with serial %d", zone, serial), func() string {
		return scrape(t, s.Metrics).is(float64(serial), "saved_serial", "zone", zone)
	})
}

// dump is what a server answers to questions about all that is in a zone, and about some that is not: the octets of each
// answer but its ID, by question.
func dump(t *testing.T, addr, origin string, rrs []dns.RR) map[string]string {
	t.Helper()
	c, err := (&dns.Client{Net: "tcp", Timeout: queryTimeout}).Dial(addr)
	if err != nil {
		t.Fatalf("Dump of %s: %v", origin, err)
	}
	defer c.Close()
	answers := map[string]string{}
	ask := func(name string, qtype uint16) {
		q := question(name, qtype)
		q.IsEdns0().SetDo()
		what := name + " " + dns.TypeToString[qtype]
		if _, again := answers[what]; again {
			return
		}
		if err := c.WriteMsg(q); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		raw, err := c.ReadMsgHeader(nil)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		answers[what] = string(raw[2:])
	}
	for _, rr := range rrs {
		name := rr.Header().Name
		ask(name, rr.Header().Rrtype)
		ask(name, dns.TypeHINFO)
		ask("none."+name, dns.TypeA)
	}
	return answers
}

// sameDump fails the test unless all answers are octet for octet what they were.
func sameDump(t *testing.T, was, is map[string]string) {
	t.Helper()
	if len(was) < 20 || len(is) != len(was) {
		t.Errorf("%d answers; there were %d", len(is), len(was))
	}
	for _, what := range sortedKeys(was) {
		if is[what] != was[what] {
			t.Errorf("The answer to %s has changed:\n%q\n%q", what, was[what], is[what])
			return
		}
	}
}

// river is a scripted primary of some zones whose versions follow one another fast. Every version is made of its serial
// alone, so that any of them can be compared with later. It is safe for concurrent use.
type river struct {
	address string
	zones   []string
	serials []atomic.Uint32             // by zone
	deaf    atomic.Bool                 // everything is refused
	pause   atomic.Int64                // before each message of an AXFR
	axfrs   atomic.Int32                // begun
	queries atomic.Int32                // all of them
	to      atomic.Pointer[net.UDPAddr] // who is told of new versions
	notify  *net.UDPConn
}

func newRiver(t *testing.T, zones int) *river {
	t.Helper()
	r := &river{serials: make([]atomic.Uint32, zones)}
	for i := range zones {
		r.zones = append(r.zones, fmt.Sprintf("river%d.test.", i))
		r.serials[i].Store(1)
	}
	var err error
	if r.notify, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Fatalf("Socket: %v", err)
	}
	t.Cleanup(func() { r.notify.Close() })
	r.address = serveDNS(t, "127.0.0.1", nil, r.serve)
	return r
}

// tells makes the secondary hear of new versions.
func (r *river) tells(s *secondary) {
	r.to.Store(net.UDPAddrFromAddrPort(s.target()))
}

// flow makes a new version of a zone and tells the secondary.
func (r *river) flow(zone int) {
	r.serials[zone].Add(1)
	r.announce(zone)
}

// announce tells the secondary of the latest version. It does not wait for an answer.
func (r *river) announce(zone int) {
	m := new(dns.Msg).SetNotify(r.zones[zone])
	m.Answer = []dns.RR{r.version(zone, r.serials[zone].Load())[0]}
	b, err := m.Pack()
	if err != nil {
		panic(err) // a fault of the test itself
	}
	_, _ = r.notify.WriteToUDP(b, r.to.Load()) // it may just be dead
}

// version returns the records of a version, the SOA first.
func (r *river) version(zone int, serial uint32) []dns.RR {
	return slices.Concat(r.head(zone, serial), r.moving(zone, serial), r.still(zone))
}

func (r *river) head(zone int, serial uint32) []dns.RR {
	return []dns.RR{record("%s 3600 IN SOA ns1.%[1]s hostmaster.%[1]s %d 3600 900 1209600 300", r.zones[zone], serial)}
}

// moving are the records that no other version has.
func (r *river) moving(zone int, serial uint32) (rrs []dns.RR) {
	for i := range 1 + serial%7 {
		rrs = append(rrs, record("h%d-%d.%s 300 IN TXT \"%d\"", (serial*7919+i*104729)%1000, serial, r.zones[zone], serial))
	}
	return rrs
}

// still are the records that every version has.
func (r *river) still(zone int) []dns.RR {
	rrs := []dns.RR{record("%s 3600 IN NS ns1.%[1]s", r.zones[zone])}
	for i := range 10 * zone * zone {
		rrs = append(rrs, record("h%d.%s 3600 IN A 192.0.2.1", i, r.zones[zone]))
	}
	return rrs
}

func (r *river) serve(w dns.ResponseWriter, q *dns.Msg) {
	r.queries.Add(1)
	zone := slices.Index(r.zones, q.Question[0].Name)
	m := new(dns.Msg).SetReply(q)
	m.Authoritative = true
	if zone < 0 || r.deaf.Load() {
		_ = w.WriteMsg(m.SetRcode(q, dns.RcodeRefused))
		return
	}
	serial := r.serials[zone].Load()
	from := uint32(0)
	if len(q.Ns) == 1 {
		from = q.Ns[0].(*dns.SOA).Serial
	}
	soa := r.head(zone, serial)
	switch qtype := q.Question[0].Qtype; {
	case qtype == dns.TypeSOA, qtype == dns.TypeIXFR && from >= serial:
		m.Answer = soa
	case qtype == dns.TypeIXFR && serial%11 != 0: // RFC 1995 §4; now and then the whole zone
		m.Answer = slices.Concat(soa, r.head(zone, from), r.moving(zone, from), soa, r.moving(zone, serial), soa)
	default:
		r.axfr(w, q, append(r.version(zone, serial), soa...))
		return
	}
	_ = w.WriteMsg(m)
}

// axfr sends a whole zone.
func (r *river) axfr(w dns.ResponseWriter, q *dns.Msg, rrs []dns.RR) {
	r.axfrs.Add(1)
	for some := range slices.Chunk(rrs, 100) {
		time.Sleep(time.Duration(r.pause.Load()))
		m := new(dns.Msg).SetReply(q)
		m.Authoritative, m.Answer = true, some
		if w.WriteMsg(m) != nil {
			return
		}
	}
}

// held returns the serial with which a server has the zone, and fails the test unless all records are those of that version.
func (r *river) held(t *testing.T, addr string, zone int) uint32 {
	t.Helper()
	in, err := new(dns.Transfer).In(new(dns.Msg).SetAxfr(r.zones[zone]), addr)
	if err != nil {
		t.Fatalf("AXFR of %s: %v", r.zones[zone], err)
	}
	var got []dns.RR
	for e := range in {
		if e.Error != nil {
			t.Fatalf("AXFR of %s: %v", r.zones[zone], e.Error)
		}
		got = append(got, e.RR...)
	}
	soa, ok := got[0].(*dns.SOA)
	if !ok {
		t.Fatalf("AXFR of %s begins with %s", r.zones[zone], got[0])
	}
	if newest := r.serials[zone].Load(); soa.Serial > newest {
		t.Errorf("%s has serial %d; the primary is at %d", r.zones[zone], soa.Serial, newest)
	}
	want := texts(r.version(zone, soa.Serial))
	if have := texts(got[:len(got)-1]); !slices.Equal(have, want) {
		t.Errorf("%s with serial %d has %d records that are not those of the version:\n%s", r.zones[zone], soa.Serial, len(have),
			strings.Join(without(have, want), "\n"))
	}
	return soa.Serial
}

// without returns what of a is not in b, both sorted, and the other way round.
func without(a, b []string) (only []string) {
	for _, s := range a {
		if _, found := slices.BinarySearch(b, s); !found {
			only = append(only, "+"+s)
		}
	}
	for _, s := range b {
		if _, found := slices.BinarySearch(a, s); !found {
			only = append(only, "-"+s)
		}
	}
	return only
}

// openFiles counts the open files of the server, sockets included.
func (p *process) openFiles(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if err != nil {
		t.Fatalf("Open files of %s: %v", p.name, err)
	}
	return len(fds)
}

// storePath is where the secondary keeps its zones.
func (s *secondary) storePath() string { return filepath.Join(s.Dir, "secondaryplus.db") }

// relaunch is launch for a process that has been started before: what there is to clean up is known already.
func (s *secondary) relaunch(t *testing.T, zone string) {
	t.Helper()
	s.spawn(t)
	var first *dns.Msg
	eventually(t, startLimit, "The next process is up", func() string {
		if !s.proc.running() {
			t.Fatalf("The next process ended at its start:\n%s", tail(s.proc.log(t)))
		}
		return s.up(zone, &first)()
	})
}

// spawn is relaunch that does not wait.
func (s *secondary) spawn(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(s.proc.logPath, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatalf("Log: %v", err)
	}
	defer log.Close()
	was := s.proc.cmd
	cmd := exec.Command(was.Path, was.Args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = was.Dir, log, log, was.SysProcAttr
	if err := cmd.Start(); err != nil {
		t.Fatalf("Start: %v", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	s.proc.cmd, s.proc.ended = cmd, ended
}
