//go:build e2e

package e2e_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const (
	corpusLimit = 60 * time.Second // for all servers to have all zones, on a busy machine
	remindAfter = 2 * time.Second
)

// reference is a server of another make that is a secondary of all zones. It belongs to the goroutine of its test.
type reference struct {
	installed
	Primary netip.AddrPort
	make    referenceMake
}

// referenceMake is how a make of server is run as a secondary. It is a plain value.
type referenceMake struct {
	name, file, command string
	args                []string // before the path of the configuration
}

// referenceMakes are the servers whose answers count. What two of them agree on is right.
var referenceMakes = []referenceMake{
	{"BIND", "named-secondary.conf", "named", []string{"-g", "-n", "1", "-c"}},
	{"Knot", "knot-secondary.conf", "knotd", []string{"-c"}},
	{"NSD", "nsd-secondary.conf", "nsd", []string{"-d", "-c"}},
}

// newReference picks the address, which the primary's configuration needs before the server starts.
func newReference(t *testing.T, m referenceMake, zones []*corpusZone) *reference {
	t.Helper()
	accepted := slices.DeleteFunc(slices.Clone(zones), func(z *corpusZone) bool { return z.without == m.name })
	return &reference{installed: install(t, primarySpec{Zones: versionTexts(accepted, 0)}), make: m}
}

// start runs the server and waits until it answers.
func (r *reference) start(t *testing.T, primary string) {
	t.Helper()
	r.Primary = netip.MustParseAddrPort(primary)
	r.configure(t, r.make.file, r)
	r.proc = startServer(t, func() string {
		if _, err := exchange(r.addr(), question("start.test.", dns.TypeSOA)); err != nil {
			return err.Error()
		}
		return ""
	}, r.Dir, r.make.command, append(slices.Clip(r.make.args), r.path(r.make.file))...)
}

// versionTexts are the master files of a version, by origin.
func versionTexts(zones []*corpusZone, version int) map[string]string {
	texts := map[string]string{}
	for _, z := range zones {
		texts[z.origin] = z.texts[version]
	}
	return texts
}

// contest is one primary and its four secondaries: the three references and, last, the server under test. It belongs to the
// goroutine of its test.
type contest struct {
	zones   []*corpusZone
	primary *bind
	refs    []*reference
	sec     *secondary
}

// startContest starts all servers, ours with further options, and waits until each serves all zones.
func startContest(t *testing.T, zones []*corpusZone, options string) *contest {
	t.Helper()
	c := &contest{zones: zones, sec: newSecondary(t)}
	notify := []netip.AddrPort{c.sec.target()}
	for _, m := range referenceMakes {
		r := newReference(t, m, zones)
		c.refs = append(c.refs, r)
		notify = append(notify, netip.MustParseAddrPort(r.addr()))
	}
	b := configureBIND(t, primarySpec{Zones: versionTexts(zones, 0), Notify: notify})
	c.primary = &b
	// The second versions go out as differences, although with renewed signatures these are larger than the zones; and an RRset
	// may have 300 records.
	b.amend(t, "named.conf", "check-integrity no;", "check-integrity no; ixfr-from-differences yes; max-ixfr-ratio unlimited;"+
		" max-records-per-type 0; transfers-out 400; tcp-clients 1000;")
	b.run(t, "named", "-g", "-n", "1", "-c", b.path("named.conf"))
	for _, r := range c.refs {
		r.start(t, b.addr())
	}
	origins := make([]string, 0, len(zones))
	for _, z := range zones {
		origins = append(origins, z.origin)
	}
	c.sec.start(t, secondarySpec{Zones: origins, Block: lines("primary "+b.addr(), "transfers_in 20 20", fmt.Sprintf("max_udp %d", enoughRoom), options)})
	c.serve(t, 1)
	return c
}

// update gives the primary the next version of all zones and waits until each server has it.
func (c *contest) update(t *testing.T) {
	t.Helper()
	c.primary.Zones = versionTexts(c.zones, 1)
	c.primary.writeZones(t)
	c.primary.rndc(t, "reload")
	c.serve(t, 2)
	// BIND makes some differences into a whole zone, when all NSEC3 records are others.
	if n := scrape(t, c.sec.Metrics).sum("transfers_total", "type", "ixfr", "result", "ok"); 10*int(n) < 9*len(c.zones) {
		t.Errorf("%v of %d zones came by IXFR", n, len(c.zones))
	}
}

// serve waits until each server serves the serial of all zones. A transfer that failed for want of time is not tried again
// soon by all servers, so the primary reminds them.
func (c *contest) serve(t *testing.T, serial uint32) {
	t.Helper()
	for i, addr := range c.addrs() {
		for _, z := range c.zones {
			if z.without == contestants[i] {
				continue
			}
			remindAt := time.Now().Add(remindAfter)
			eventually(t, corpusLimit, fmt.Sprintf("%s serves serial %d of %s", contestants[i], serial, z.origin), func() string {
				got, complaint := serialAt(addr, z.origin)
				if complaint == "" && got != serial {
					complaint = fmt.Sprintf("serial %d", got)
				}
				if complaint != "" && time.Now().After(remindAt) {
					c.primary.rndc(t, "notify", z.origin)
					remindAt = time.Now().Add(remindAfter)
				}
				return complaint
			})
		}
	}
}

// contestants are the names of the servers in the order of contest.addrs.
var contestants = [...]string{"BIND", "Knot", "NSD", "secondaryplus"}

// addrs returns the addresses of the references and of the server under test.
func (c *contest) addrs() []string {
	addrs := make([]string, 0, len(contestants))
	for _, r := range c.refs {
		addrs = append(addrs, r.addr())
	}
	return append(addrs, c.sec.addr())
}
