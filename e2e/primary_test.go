//go:build e2e

package e2e_test

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"text/template"

	"github.com/miekg/dns"
)

// tsigKey is a shared secret. It is a plain value.
type tsigKey struct{ Name, Algorithm, Secret string }

// testKey returns a key of the algorithm, such as hmac-sha256, under the name that issue and README use.
func testKey(algorithm string) *tsigKey {
	return &tsigKey{Name: "test_key", Algorithm: algorithm, Secret: "c2Vjb25kYXJ5cGx1cyBlbmQgdG8gZW5kIHRlc3Q="}
}

// line is the key as the Corefile takes it.
func (k *tsigKey) line() string { return fmt.Sprintf("key %s %s %s", k.Name, k.Algorithm, k.Secret) }

// primary is a server of some make that is authoritative for zones and hands them out.
type primary interface {
	addr() string
	start(t *testing.T)                      // serves the zones; fails the test when it does not
	stop(t *testing.T)                       // may be started again
	publish(t *testing.T, zone, text string) // replaces the zone and tells the secondaries
}

// primarySpec is what a primary serves, the same for every make. It is a plain value.
type primarySpec struct {
	Zones         map[string]string // master file text by origin (absolute)
	Key           *tsigKey          // transfers must be signed with it, and NOTIFYs are; nil for neither
	Notify        []netip.AddrPort  // told of every new serial
	PlainNotify   bool              // the NOTIFYs of BIND are not signed, whatever Key says
	AllowTransfer string            // BIND's words for it; empty for what Key says
	AllowQuery    string            // the same for queries; empty for all
	SignedNotify  bool              // of a secondary: NOTIFYs to it must be signed with Key
	Host          string            // of a secondary, Knot or NSD: the address it is at and speaks from; empty for 127.0.0.1
}

// primaryMakes starts a primary of each make.
var primaryMakes = map[string]func(*testing.T, primarySpec) primary{
	"BIND":     startBIND,
	"Knot":     startKnot,
	"NSD":      startNSD,
	"PowerDNS": startPowerDNS,
}

// eachPrimary runs a subtest for every make of primary, at the same time.
func eachPrimary(t *testing.T, test func(t *testing.T, start func(*testing.T, primarySpec) primary)) {
	t.Helper()
	for name, start := range primaryMakes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start)
		})
	}
}

// installed is what the drivers of all makes share: a specification, a directory, a port and a process. It belongs to
// the goroutine of its test.
type installed struct {
	primarySpec
	Dir  string
	Port int
	proc *process // nil before the first start
}

func install(t *testing.T, spec primarySpec) installed {
	t.Helper()
	spec.Zones = maps.Clone(spec.Zones)
	return installed{primarySpec: spec, Dir: tempDir(t), Port: freePort(t)}
}

// At is the address that the server is at.
func (s *installed) At() string { return cmp.Or(s.Host, "127.0.0.1") }

func (s *installed) addr() string { return net.JoinHostPort(s.At(), strconv.Itoa(s.Port)) }

func (s *installed) path(file string) string { return filepath.Join(s.Dir, file) }

// zonePath is where the zone's master file is, which the template of each make names.
func (s *installed) zonePath(origin string) string { return s.path(origin + "zone") }

// KeyName is what NSD calls the key.
func (s *installed) KeyName() string {
	if s.Key == nil {
		return "NOKEY"
	}
	return s.Key.Name
}

// run starts the process and waits until it answers for every zone.
func (s *installed) run(t *testing.T, name string, args ...string) {
	t.Helper()
	s.proc = startServer(t, func() string {
		for origin := range s.Zones {
			if _, complaint := serialAt(s.addr(), origin); complaint != "" {
				return origin + ": " + complaint
			}
		}
		return ""
	}, s.Dir, name, args...)
}

func (s *installed) stop(t *testing.T) {
	t.Helper()
	s.proc.stop(t)
}

// configure writes a file of the server from its template in testdata/servers.
func (s *installed) configure(t *testing.T, file string, data any) {
	t.Helper()
	writeFile(t, s.path(file), expand(t, file, data))
}

// writeZones writes the master files.
func (s *installed) writeZones(t *testing.T) {
	t.Helper()
	for origin, text := range s.Zones {
		writeFile(t, s.zonePath(origin), text)
	}
}

// expand executes a template of testdata/servers.
func expand(t *testing.T, file string, data any) string {
	t.Helper()
	name := file + ".tmpl"
	tmpl, err := template.New(name).Funcs(template.FuncMap{"join": strings.Join}).
		ParseFiles(filepath.Join("..", "testdata", "servers", name))
	if err != nil {
		t.Fatalf("Template: %v", err)
	}
	var b bytes.Buffer
	if err := tmpl.Execute(&b, data); err != nil {
		t.Fatalf("Template: %v", err)
	}
	return b.String()
}

// serialAt asks a server for the zone's serial; the complaint says why there is none.
func serialAt(addr, zone string) (serial uint32, complaint string) {
	m, err := exchange(addr, question(zone, dns.TypeSOA))
	if err != nil {
		return 0, err.Error()
	}
	for _, rr := range m.Answer {
		if soa, ok := rr.(*dns.SOA); ok && m.Rcode == dns.RcodeSuccess {
			return soa.Serial, ""
		}
	}
	return 0, "answer " + dns.RcodeToString[m.Rcode]
}
