//go:build e2e

package e2e_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"testing"

	"github.com/miekg/dns"
)

// below is a server of another make that is a secondary of the CoreDNS under test. It belongs to the goroutine of its test.
type below struct {
	reference
	name string
}

// belowMakes are the makes of servers below.
var belowMakes = append(referenceMakes, referenceMake{"PowerDNS", "pdns-secondary.conf", "pdns_server", nil})

// startBelow starts a server of each make as a secondary of one zone of the hub; keys are theirs by make, nil for none.
func startBelow(t *testing.T, hub *secondary, zone string, keys map[string]*tsigKey, makes ...referenceMake) (all []*below) {
	t.Helper()
	return startSpecified(t, hub, zone, func(make string) primarySpec { return primarySpec{Key: keys[make]} }, makes...)
}

// startSpecified is startBelow with what a make is to be like.
func startSpecified(t *testing.T, hub *secondary, zone string, spec func(make string) primarySpec, makes ...referenceMake) (all []*below) {
	t.Helper()
	for _, m := range makes {
		s := spec(m.name)
		s.Zones = map[string]string{zone: ""}
		b := &below{reference{installed: install(t, s), make: m}, m.name}
		if m.name == "PowerDNS" {
			b.startPowerDNS(t, hub, zone)
		} else {
			b.start(t, hub.addr())
		}
		all = append(all, b)
	}
	return all
}

// startPowerDNS starts a PowerDNS, which has its zones and keys in a database.
func (b *below) startPowerDNS(t *testing.T, hub *secondary, zone string) {
	t.Helper()
	b.Primary = hub.target()
	b.configure(t, b.make.file, b)
	if err := os.Rename(b.path(b.make.file), b.path("pdns.conf")); err != nil {
		t.Fatal(err)
	}
	schema, err := os.Open(powerDNSSchema)
	if err != nil {
		t.Fatalf("Schema of PowerDNS's database: %v; `make deps` installs it", err)
	}
	defer schema.Close()
	sqlite := exec.Command("sqlite3", b.path("zones.sqlite3"))
	sqlite.Stdin = schema
	if out, err := sqlite.CombinedOutput(); err != nil {
		t.Fatalf("Database of PowerDNS: %v\n%s", err, out)
	}
	util := func(command ...string) {
		t.Helper()
		run(t, "pdnsutil", append([]string{"--config-dir=" + b.Dir}, command...)...)
	}
	util("create-secondary-zone", zone, hub.addr())
	util("set-meta", zone, "IXFR", "1")
	if b.Key != nil {
		util("import-tsig-key", b.Key.Name, b.Key.Algorithm, b.Key.Secret)
		util("activate-tsig-key", zone, b.Key.Name, "secondary")
	}
	b.proc = startServer(t, func() string {
		if _, err := exchange(b.addr(), question("start.test.", dns.TypeSOA)); err != nil {
			return err.Error()
		}
		return ""
	}, b.Dir, "pdns_server", "--config-dir="+b.Dir)
}

// follows waits until the server has a serial, which the hub has told it of.
func (b *below) follows(t *testing.T, zone string, serial uint32) {
	t.Helper()
	eventually(t, notifyLimit, fmt.Sprintf("%s below follows to %d", b.name, serial), func() string {
		got, complaint := serialAt(b.addr(), zone)
		if complaint == "" && got != serial {
			complaint = fmt.Sprintf("serial %d", got)
		}
		return complaint
	})
}

// tell sends a NOTIFY from where the hub is, and looks at no reply: it may be busy.
func (b *below) tell(zone string) {
	c := &dns.Client{Timeout: queryTimeout, Dialer: dialerFrom("127.0.0.1")}
	_, _, _ = c.Exchange(new(dns.Msg).SetNotify(zone), b.addr())
}

// becomes waits until the server has a serial, telling it of versions as often as a hub would.
func (b *below) becomes(t *testing.T, zone string, serial uint32) {
	t.Helper()
	tries := 0
	eventually(t, settleLimit, fmt.Sprintf("%s below has %d", b.name, serial), func() string {
		if tries%100 == 0 {
			b.tell(zone)
		}
		tries++
		got, complaint := serialAt(b.addr(), zone)
		if complaint == "" && got != serial {
			complaint = fmt.Sprintf("serial %d", got)
		}
		return complaint
	})
}

// sent returns how many requests of secondaries came to a result, over all zones of a hub.
func (s *secondary) sent(t *testing.T, result string) float64 {
	t.Helper()
	return scrape(t, s.Metrics).sum("transfers_out_total", "result", result)
}

// hubOf starts a CoreDNS that has a zone from a primary and hands it to servers below.
func hubOf(t *testing.T, hub *secondary, primary, zone string, block ...string) {
	t.Helper()
	hub.start(t, secondarySpec{Zones: []string{zone}, Block: lines(append([]string{"primary " + primary}, block...)...)})
}

// toldBy is the specification of a primary that tells the hub of new versions.
func toldBy(hub *secondary, zone, text string) primarySpec {
	return primarySpec{Zones: map[string]string{zone: text}, Notify: []netip.AddrPort{hub.target()}}
}
