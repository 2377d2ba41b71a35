//go:build e2e

package e2e_test

import (
	"os"
	"os/exec"
	"testing"
)

// powerDNSSchema makes an empty database of PowerDNS's gsqlite3 backend; its Debian package has it.
const powerDNSSchema = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql"

// powerDNS is a PowerDNS pdns_server with an SQLite database. It belongs to the goroutine of its test.
type powerDNS struct{ installed }

func startPowerDNS(t *testing.T, spec primarySpec) primary {
	t.Helper()
	p := &powerDNS{install(t, spec)}
	p.configure(t, "pdns.conf", p)
	p.createDatabase(t)
	p.start(t)
	return p
}

func (p *powerDNS) createDatabase(t *testing.T) {
	t.Helper()
	schema, err := os.Open(powerDNSSchema)
	if err != nil {
		t.Fatalf("Schema of PowerDNS's database: %v; `make deps` installs it", err)
	}
	defer schema.Close()
	sqlite := exec.Command("sqlite3", p.path("zones.sqlite3"))
	sqlite.Stdin = schema
	if out, err := sqlite.CombinedOutput(); err != nil {
		t.Fatalf("Database of PowerDNS: %v\n%s", err, out)
	}
	if p.Key != nil {
		p.util(t, "import-tsig-key", p.Key.Name, p.Key.Algorithm, p.Key.Secret)
	}
	p.writeZones(t)
	for origin := range p.Zones {
		p.util(t, "load-zone", origin, p.zonePath(origin))
		p.util(t, "set-kind", origin, "primary")
		if p.Key != nil {
			p.util(t, "activate-tsig-key", origin, p.Key.Name, "primary") // signs the NOTIFYs, too
		}
	}
}

func (p *powerDNS) start(t *testing.T) {
	t.Helper()
	p.run(t, "pdns_server", "--config-dir="+p.Dir)
}

func (p *powerDNS) publish(t *testing.T, zone, text string) {
	t.Helper()
	p.Zones[zone] = text
	p.writeZones(t)
	p.util(t, "load-zone", zone, p.zonePath(zone))
	tool(t, "pdns_control", "--config-dir="+p.Dir, "notify", zone)
}

func (p *powerDNS) util(t *testing.T, command ...string) {
	t.Helper()
	run(t, "pdnsutil", append([]string{"--config-dir=" + p.Dir}, command...)...)
}
