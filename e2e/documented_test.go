//go:build e2e

package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// These tests run Corefiles as the README has them. Only names, addresses and ports are others: 192.0.2.0/24 is 127.0.0.0/24, so
// that the hidden primary is where all other servers of tests are, and 198.51.100.0/24 is 127.0.100.0/24.

// documented returns the Corefiles under a heading of the README.
func documented(t *testing.T, heading string) (corefiles []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatalf("README: %v", err)
	}
	_, section, _ := strings.Cut(string(text), "\n## "+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, m := range regexp.MustCompile("(?ms)^``` ?corefile\n(.*?)^```$").FindAllStringSubmatch(section, -1) {
		corefiles = append(corefiles, m[1])
	}
	return corefiles
}

// tiers are the servers that Corefiles of the README are about, by their addresses there. It belongs to the goroutine of its
// test.
type tiers struct {
	servers map[string]*secondary
	primary string              // where 192.0.2.1 is
	files   map[string]*tsigKey // of the Corefiles, by name
}

// newTiers picks the addresses of servers.
func newTiers(t *testing.T, documented ...string) *tiers {
	t.Helper()
	ts := &tiers{servers: map[string]*secondary{}, files: map[string]*tsigKey{}}
	for _, at := range documented {
		s := newSecondary(t)
		s.Host = strings.NewReplacer("192.0.2.", "127.0.0.", "198.51.100.", "127.0.100.").Replace(at)
		ts.servers[at] = s
	}
	return ts
}

// key makes a key and the file of it.
func (ts *tiers) key(file, name string) *tsigKey {
	k := &tsigKey{Name: name, Algorithm: "hmac-sha256", Secret: testKey("").Secret}
	ts.files[file] = k
	return k
}

// start runs a server with a Corefile that has zone in place of example.com.
func (ts *tiers) start(t *testing.T, at, corefile, zone string) *secondary {
	t.Helper()
	s := ts.servers[at]
	pairs := []string{
		"example.com {", fmt.Sprintf("%s:%d {\n    bind %s", zone, s.Port, s.Host),
		"127.0.0.1:9153", s.Metrics,
		"192.0.2.0/24", "127.0.0.0/24",
	}
	for at, s := range ts.servers {
		pairs = append(pairs, at, s.addr())
	}
	// Last: other addresses begin with it.
	text := strings.NewReplacer(append(pairs, "192.0.2.1 ", ts.primary+" ", "192.0.2.1\n", ts.primary+"\n")...).Replace(corefile)
	if left := regexp.MustCompile(`192\.0\.2\.|198\.51\.100\.|example\.com \{`).FindString(text); left != "" {
		t.Fatalf("The Corefile has %q still:\n%s", left, text)
	}
	writeFile(t, filepath.Join(s.Dir, "Corefile"), text)
	for file, k := range ts.files {
		writeFile(t, filepath.Join(s.Dir, file), fmt.Sprintf("key %q { algorithm %s; secret %q; };\n", k.Name, k.Algorithm, k.Secret))
	}
	s.launch(t, zone)
	return s
}

// down is a hidden primary, its hubs and their edges. It belongs to the goroutine of its test.
type down struct {
	*editor
	primary     *dynamicBIND
	key         *tsigKey // of primary and hubs
	hubs, edges []*secondary
}

// startDown starts what "A hidden primary, two hubs, edges" describes, and waits until all have the zone.
func startDown(t *testing.T) *down {
	t.Helper()
	hubs, edges := []string{"192.0.2.11", "192.0.2.12"}, []string{"198.51.100.21", "198.51.100.22"}
	ts := newTiers(t, append(hubs, edges...)...)
	corefiles := documented(t, "A hidden primary, two hubs, edges")
	if len(corefiles) != 2 {
		t.Fatalf("%d Corefiles; want those of a hub and of an edge", len(corefiles))
	}
	d := &down{editor: newEditor(17), key: ts.key("hubs.key", "hubs.example.com")}
	ts.key("edges.key", "edges.example.com")
	spec := primarySpec{Zones: map[string]string{editedOrigin: d.text()}, Key: d.key}
	for _, at := range hubs {
		spec.Notify = append(spec.Notify, ts.servers[at].target())
	}
	d.primary = &dynamicBIND{configureBIND(t, spec)}
	d.primary.amend(t, "named.conf", "type primary;", "type primary; allow-update { any; };")
	d.primary.amend(t, "named.conf", "allow-transfer { any; };", `allow-transfer { key "`+d.key.Name+`"; };`)
	d.primary.run(t, "named", "-g", "-n", "1", "-c", d.primary.path("named.conf"))
	ts.primary = d.primary.addr()
	for _, at := range hubs {
		d.hubs = append(d.hubs, ts.start(t, at, corefiles[0], editedOrigin))
	}
	for _, h := range d.hubs {
		h.serves(t, editedOrigin, 1, syncLimit)
	}
	for _, at := range edges {
		d.edges = append(d.edges, ts.start(t, at, corefiles[1], editedOrigin))
	}
	for _, e := range d.edges {
		e.serves(t, editedOrigin, 1, syncLimit)
		e.counts(t, 1, "transfers_total", "type", "axfr", "result", "ok")
	}
	return d
}

// changes has the primary make a version.
func (d *down) changes(t *testing.T, edit func(*editor)) {
	t.Helper()
	old := d.version
	d.serial++
	edit(d.editor)
	d.primary.update(t, old, d.version)
}

// arrives waits until all edges have the primary's version, record for record.
func (d *down) arrives(t *testing.T, what string) {
	t.Helper()
	want := lowerOwners(axfr(t, d.primary.addr(), editedOrigin, d.key))
	for i, e := range d.edges {
		e.serves(t, editedOrigin, d.serial, notifyLimit)
		if got := lowerOwners(axfr(t, e.addr(), editedOrigin, nil)); !slices.Equal(want, got) {
			t.Fatalf("%s, edge %d (-primary +edge):\n%s", what, i, tail(cmp.Diff(want, got)))
		}
	}
}

// RFC 1995, RFC 1996: what the primary changes reaches all edges by NOTIFYs and differences, while a hub is gone and when it is
// back.
func TestHubsAndEdgesOfTheREADME(t *testing.T) {
	t.Parallel()
	d := startDown(t)
	whole := d.hubs[0].sent(t, "whole") + d.hubs[1].sent(t, "whole")
	for _, edit := range edits {
		d.changes(t, edit.make)
		d.arrives(t, edit.name)
	}
	for range 20 {
		d.changes(t, (*editor).some)
	}
	d.arrives(t, "many versions at once")
	if n := d.hubs[0].sent(t, "whole") + d.hubs[1].sent(t, "whole"); n != whole {
		t.Errorf("%v whole zones were sent for updates", n-whole)
	}
	for i, h := range d.hubs {
		other := d.hubs[1-i]
		whole := other.sent(t, "whole")
		h.proc.kill()
		for range 3 {
			d.changes(t, (*editor).some)
			d.arrives(t, "one hub")
		}
		h.launch(t, editedOrigin)
		for range 3 {
			d.changes(t, (*editor).some)
			h.serves(t, editedOrigin, d.serial, notifyLimit)
			d.arrives(t, "the hub is back")
		}
		if n := scrape(t, h.Metrics).sum("transfers_total", "type", "axfr"); n != 0 {
			t.Errorf("The hub that is back has transferred %v whole zones", n)
		}
		if n := h.sent(t, "whole") + other.sent(t, "whole") - whole; n != 0 {
			t.Errorf("%v whole zones were sent since a hub was gone", n)
		}
	}
	for i, e := range d.edges {
		if n := scrape(t, e.Metrics).sum("transfers_total", "type", "axfr"); n != 1 {
			t.Errorf("Edge %d has transferred %v whole zones; want the first alone", i, n)
		}
	}
}

// RFC 5936, RFC 8945: clients that are no servers get the zone as the README says, from any address, by the key alone.
func TestReadersOfTheREADME(t *testing.T) {
	t.Parallel()
	ts := newTiers(t, "192.0.2.2")
	key := ts.key("transfer.key", "transfer.example.com")
	prim := newBIND(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(1)}})
	ts.primary = prim.addr()
	corefiles := documented(t, "Secondaries of your own")
	i := slices.IndexFunc(corefiles, func(c string) bool { return strings.HasPrefix(c, "example.com {") })
	if i < 0 {
		t.Fatal("No Corefile for readers")
	}
	s := ts.start(t, "192.0.2.2", corefiles[i], mixedOrigin)
	s.serves(t, mixedOrigin, 1, syncLimit)
	want := texts(parse(t, axfr(t, prim.addr(), mixedOrigin, nil)))
	same := func(client string, got []string) {
		t.Helper()
		if diff := cmp.Diff(want, slices.Compact(texts(parse(t, got)))); diff != "" { // the SOA is there twice
			t.Errorf("%s (-primary +read):\n%s", client, diff)
		}
	}
	same("dig", axfr(t, s.addr(), mixedOrigin, key))
	same("Go", readByGo(t, s.addr(), key))
	same("kdig", readByCommand(t, "kdig", "@"+s.Host, "-p", fmt.Sprint(s.Port), "-b", "127.0.0.77", "-y",
		key.Algorithm+":"+key.Name+":"+key.Secret, "+noall", "+answer", mixedOrigin, "AXFR"))
	if exec.Command("python3", "-c", "import dns.zone").Run() == nil {
		same("dnspython", readByCommand(t, "python3", "-c", dnspython, s.Host, fmt.Sprint(s.Port), mixedOrigin, key.Name, key.Secret))
	} else {
		t.Log("No dnspython here")
	}
	if out := dig(t, s.addr(), mixedOrigin, "AXFR", nil); !strings.Contains(out, "Transfer failed") {
		t.Errorf("AXFR without a key:\n%s", tail(out))
	}
}

// dnspython reads a zone as octoDNS does, and prints it.
const dnspython = `
import dns.query, dns.tsig, dns.tsigkeyring, dns.zone, sys
host, port, zone, name, secret = sys.argv[1:]
xfr = dns.query.xfr(host, zone, port=int(port), keyring=dns.tsigkeyring.from_text({name: secret}), keyname=name,
                    keyalgorithm=dns.tsig.HMAC_SHA256, relativize=False, lifetime=60, timeout=60)
for owner, ttl, data in dns.zone.from_xfr(xfr, relativize=False, check_origin=False).iterate_rdatas():
    print(owner, ttl, 'IN', dns.rdatatype.to_text(data.rdtype), data.to_text())
`

// readByCommand returns the records that a command prints, one a line.
func readByCommand(t *testing.T, name string, args ...string) (rrs []string) {
	t.Helper()
	for line := range strings.Lines(run(t, name, args...)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, ";") {
			rrs = append(rrs, line)
		}
	}
	return rrs
}

// readByGo transfers the zone as external-dns does.
func readByGo(t *testing.T, addr string, key *tsigKey) (rrs []string) {
	t.Helper()
	name := dns.Fqdn(key.Name)
	transfer := &dns.Transfer{TsigSecret: map[string]string{name: key.Secret}}
	q := new(dns.Msg).SetAxfr(mixedOrigin)
	q.SetTsig(name, dns.HmacSHA256, 300, time.Now().Unix())
	in, err := transfer.In(q, addr)
	if err != nil {
		t.Fatalf("Transfer: %v", err)
	}
	for e := range in {
		if e.Error != nil {
			t.Fatalf("Transfer: %v", e.Error)
		}
		for _, rr := range e.RR {
			rrs = append(rrs, rr.String())
		}
	}
	return rrs
}
