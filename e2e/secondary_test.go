//go:build e2e

package e2e_test

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const (
	syncLimit     = time.Minute      // from start to served, retries after a slow start of the primary included
	notifyLimit   = 30 * time.Second // from a NOTIFY to its serial served: far less than the timers of the zones
	settleLimit   = time.Minute      // for metrics and log to say what happened
	reloadMessage = "Reloading complete"
)

// secondarySpec is what the Corefile under test says. It is a plain value.
type secondarySpec struct {
	Zones []string // of the directive
	Block string   // lines of the directive's block
	Chain string   // directives beside it in the server block
	Rest  string   // more server blocks
}

// secondary is the CoreDNS binary under test. It belongs to the goroutine of its test.
type secondary struct {
	secondarySpec
	Dir            string
	Host           string // a loopback address
	Port           int
	Metrics, Ready string // addresses
	proc           *process
}

// binary returns the absolute path of the CoreDNS under test.
func binary(t *testing.T) string {
	t.Helper()
	path := os.Getenv("SPLUS_BINARY")
	if path == "" {
		path = filepath.Join("..", "coredns")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatalf("Binary: %v", err)
	}
	if _, err := os.Stat(abs); err != nil {
		t.Fatalf("Binary: %v; `make build` makes it, SPLUS_BINARY names another", err)
	}
	return abs
}

// newSecondary picks the addresses, which the primaries' configurations need before it starts.
func newSecondary(t *testing.T) *secondary {
	t.Helper()
	return &secondary{
		Dir: tempDir(t), Host: "127.0.0.1", Port: freePort(t), Metrics: loopback(freePort(t)), Ready: loopback(freePort(t)),
	}
}

func (s *secondary) addr() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// target is where a primary sends its NOTIFYs.
func (s *secondary) target() netip.AddrPort { return netip.MustParseAddrPort(s.addr()) }

// start runs the binary and waits until it listens.
func (s *secondary) start(t *testing.T, spec secondarySpec) {
	t.Helper()
	s.secondarySpec = spec
	s.configure(t)
	s.proc = startServer(t, func() string {
		if _, err := exchange(s.addr(), question("start.test.", dns.TypeSOA)); err != nil {
			return err.Error()
		}
		return ""
	}, s.Dir, binary(t), "-conf", "Corefile")
	// Registered after the process, so that it runs before the process is stopped.
	t.Cleanup(func() {
		if !s.proc.running() {
			t.Error("CoreDNS ended by itself")
			return
		}
		for _, x := range scrape(t, s.Metrics) {
			if x.name == "coredns_panics_total" && x.value != 0 {
				t.Errorf("CoreDNS recovered %v panics", x.value)
			}
		}
	})
}

// configure writes the Corefile.
func (s *secondary) configure(t *testing.T) {
	t.Helper()
	writeFile(t, filepath.Join(s.Dir, "Corefile"), expand(t, "Corefile", s))
}

// reload makes CoreDNS read its Corefile again and waits until it is done.
func (s *secondary) reload(t *testing.T) {
	t.Helper()
	before := strings.Count(s.proc.log(t), reloadMessage)
	if err := s.proc.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatalf("SIGUSR1: %v", err)
	}
	eventually(t, startLimit, "Reload", func() string {
		if strings.Count(s.proc.log(t), reloadMessage) == before {
			return "log does not say that it is complete"
		}
		return ""
	})
}

// serves waits until the zone is served with the serial and returns the time that took.
func (s *secondary) serves(t *testing.T, zone string, serial uint32, limit time.Duration) time.Duration {
	t.Helper()
	return eventually(t, limit, fmt.Sprintf("%s serial %d served", zone, serial), func() string {
		return s.differs(zone, serial)
	})
}

// differs complains unless the zone is served with the serial.
func (s *secondary) differs(zone string, serial uint32) (complaint string) {
	got, complaint := serialAt(s.addr(), zone)
	if complaint == "" && got != serial {
		complaint = fmt.Sprintf("serial %d, want %d", got, serial)
	}
	return complaint
}

// keeps fails the test unless the zone stays served with the serial for the span.
func (s *secondary) keeps(t *testing.T, zone string, serial uint32, span time.Duration) {
	t.Helper()
	always(t, span, fmt.Sprintf("%s stays at serial %d", zone, serial), func() string { return s.differs(zone, serial) })
}

// normal waits until the metrics say that the link is Normal.
func (s *secondary) normal(t *testing.T, zone, primary string) {
	t.Helper()
	eventually(t, settleLimit, "Link Normal", func() string {
		m := scrape(t, s.Metrics)
		if blocked := m.find("link_blocked", "zone", zone, "primary", primary); len(blocked) > 0 {
			return m.show("link_blocked")
		}
		return m.is(1, "link_state", "zone", zone, "primary", primary)
	})
}

// blocked waits until the metrics say that the link is Blocked for the reason, one of reasons.
func (s *secondary) blocked(t *testing.T, zone, primary string, reasons ...string) {
	t.Helper()
	eventually(t, settleLimit, "Link Blocked: "+strings.Join(reasons, " or "), func() string {
		m := scrape(t, s.Metrics)
		if complaint := m.is(0, "link_state", "zone", zone, "primary", primary); complaint != "" {
			return complaint
		}
		found := m.find("link_blocked", "zone", zone, "primary", primary)
		for _, r := range reasons {
			if len(found) == 1 && found[0].labels["reason"] == r && found[0].value == 1 {
				return ""
			}
		}
		return m.show("link_blocked")
	})
}

// counts waits until the counter with the labels is at least want.
func (s *secondary) counts(t *testing.T, want float64, name string, labels ...string) {
	t.Helper()
	eventually(t, settleLimit, "Counter "+name, func() string {
		m := scrape(t, s.Metrics)
		if got := m.sum(name, labels...); got < want {
			return fmt.Sprintf("%v, want %v of %s; have %s", got, want, strings.Join(labels, " "), m.show(name))
		}
		return ""
	})
}

// logs waits until a line of the log matches the pattern.
func (s *secondary) logs(t *testing.T, pattern string) {
	t.Helper()
	re := regexp.MustCompile(pattern)
	eventually(t, settleLimit, "Log line "+pattern, func() string {
		if !re.MatchString(s.proc.log(t)) {
			return "none"
		}
		return ""
	})
}

// ready reports whether the readiness endpoint says so.
func (s *secondary) ready(t *testing.T) bool {
	t.Helper()
	resp, err := http.Get("http://" + s.Ready + "/ready")
	if err != nil {
		t.Fatalf("Readiness: %v", err)
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// syncedPair starts a primary with mixedZone at serial 1, notifying, and a secondary that has it.
func syncedPair(t *testing.T, start func(*testing.T, primarySpec) primary, key *tsigKey) (*secondary, primary) {
	t.Helper()
	sec := newSecondary(t)
	prim := start(t, primarySpec{
		Zones:  map[string]string{mixedOrigin: mixedZone(1)},
		Key:    key,
		Notify: []netip.AddrPort{sec.target()},
	})
	sec.start(t, secondarySpec{Zones: []string{mixedOrigin}, Block: linkLines(prim.addr(), key)})
	sec.serves(t, mixedOrigin, 1, syncLimit)
	sec.normal(t, mixedOrigin, prim.addr()) // a version is served a moment before its transfer is counted
	return sec, prim
}

// linkLines are the lines of a Corefile for one primary and its key, which may be nil.
func linkLines(primary string, key *tsigKey) string {
	if key == nil {
		return "primary " + primary
	}
	return lines(key.line(), "primary "+primary+" key "+key.Name)
}
