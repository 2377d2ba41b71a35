//go:build e2e

package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// updated is a primary whose zone can be changed record by record, or as a whole; either way the primary makes
// differences of it. It belongs to the goroutine of its test.
type updated interface {
	addr() string

	// update brings the zone from one version to another. A primary that numbers its versions itself does not look at
	// the serials.
	update(t *testing.T, old, new version)
}

// amend changes a configuration written from a template.
func (s *installed) amend(t *testing.T, file, old, new string) {
	t.Helper()
	text, err := os.ReadFile(s.path(file))
	if err != nil {
		t.Fatalf("Configuration: %v", err)
	}
	if strings.Count(string(text), old) != 1 {
		t.Fatalf("Configuration %s has %q %d times:\n%s", file, old, strings.Count(string(text), old), text)
	}
	writeFile(t, s.path(file), strings.Replace(string(text), old, new, 1))
}

// script is the input of nsupdate and knsupdate that brings the zone from one version to another.
func script(addr string, old, new version) string {
	host, port, _ := strings.Cut(addr, ":")
	var b strings.Builder
	fmt.Fprintf(&b, "server %s %s\nzone %s\n", host, port, editedOrigin)
	for _, rr := range old.without(new) {
		owner, _, rest := split(rr)
		fmt.Fprintf(&b, "update delete %s %s\n", owner, rest)
	}
	for _, rr := range new.without(old) {
		owner, ttl, rest := split(rr)
		fmt.Fprintf(&b, "update add %s %s %s\n", owner, ttl, rest)
	}
	if old.same(new) {
		fmt.Fprintf(&b, "update add %s\n", new.soa()) // its serial alone
	}
	b.WriteString("send\n")
	return b.String()
}

// feed runs a command with an input.
func feed(t *testing.T, input, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "failed") {
		t.Fatalf("%s: %v\n%s\n%s", name, err, out, tail(input))
	}
}

// dynamicBIND is updated by nsupdate (RFC 2136).
type dynamicBIND struct{ bind }

func startDynamicBIND(t *testing.T, spec primarySpec) updated {
	t.Helper()
	b := &dynamicBIND{configureBIND(t, spec)}
	b.amend(t, "named.conf", "type primary;", "type primary; allow-update { any; };")
	b.run(t, "named", "-g", "-n", "1", "-c", b.path("named.conf"))
	return b
}

func (b *dynamicBIND) update(t *testing.T, old, new version) {
	t.Helper()
	feed(t, script(b.addr(), old, new), "nsupdate", "-v") // one message, over TCP: it may be large
}

// comparingBIND makes differences of the master files it loads.
type comparingBIND struct{ bind }

func startComparingBIND(t *testing.T, spec primarySpec) updated {
	t.Helper()
	b := &comparingBIND{configureBIND(t, spec)}
	b.amend(t, "named.conf", "type primary;", "type primary; ixfr-from-differences yes;")
	b.run(t, "named", "-g", "-n", "1", "-c", b.path("named.conf"))
	return b
}

func (b *comparingBIND) update(t *testing.T, _, new version) {
	t.Helper()
	b.publish(t, editedOrigin, new.text())
}

// configureBIND is newBIND without the start.
func configureBIND(t *testing.T, spec primarySpec) bind {
	t.Helper()
	b := bind{installed: install(t, spec), ControlPort: freePort(t), ControlSecret: "Y29udHJvbCBrZXkgb2YgdGhlIHRlc3Q="}
	b.AllowTransfer = "any"
	b.configure(t, "rndc.conf", b)
	b.configure(t, "named.conf", b)
	b.writeZones(t)
	return b
}

// dynamicKnot is updated by knsupdate, and signs what signing says.
type dynamicKnot struct{ knot }

func startDynamicKnot(signing ...string) func(*testing.T, primarySpec) updated {
	return func(t *testing.T, spec primarySpec) updated {
		t.Helper()
		k := &dynamicKnot{knot{install(t, spec)}}
		k.configure(t, "knot.conf", k)
		k.amend(t, "knot.conf", "action: transfer", "action: [transfer, update]")
		k.amend(t, "knot.conf", "journal-content: none", "journal-content: changes")
		if len(signing) > 0 {
			policy := "policy:\n  - id: edited\n    single-type-signing: on\n    algorithm: ecdsap256sha256\n    " +
				strings.Join(signing, "\n    ") + "\ntemplate:\n"
			k.amend(t, "knot.conf", "template:\n", policy)
			k.amend(t, "knot.conf", "semantic-checks: off", "semantic-checks: off\n    dnssec-signing: on\n    dnssec-policy: edited")
		}
		k.writeZones(t)
		k.run(t, "knotd", "-c", k.path("knot.conf"))
		return k
	}
}

func (k *dynamicKnot) update(t *testing.T, old, new version) {
	t.Helper()
	feed(t, script(k.addr(), old, new), "knsupdate", "-v")
}

// comparingKnot makes differences of the master files it loads.
type comparingKnot struct{ knot }

func startComparingKnot(t *testing.T, spec primarySpec) updated {
	t.Helper()
	k := &comparingKnot{knot{install(t, spec)}}
	k.configure(t, "knot.conf", k)
	k.amend(t, "knot.conf", "zonefile-load: whole", "zonefile-load: difference")
	k.amend(t, "knot.conf", "journal-content: none", "journal-content: changes")
	k.writeZones(t)
	k.run(t, "knotd", "-c", k.path("knot.conf"))
	return k
}

func (k *comparingKnot) update(t *testing.T, _, new version) {
	t.Helper()
	k.publish(t, editedOrigin, new.text())
}

// comparingNSD makes differences of the master files it loads.
type comparingNSD struct{ nsd }

func startComparingNSD(t *testing.T, spec primarySpec) updated {
	t.Helper()
	n := &comparingNSD{nsd{install(t, spec)}}
	n.configure(t, "nsd.conf", n)
	n.amend(t, "nsd.conf", "    provide-xfr:", "    store-ixfr: yes\n    create-ixfr: yes\n    ixfr-size: 100000000\n    provide-xfr:")
	n.writeZones(t)
	n.run(t, "nsd", "-d", "-c", n.path("nsd.conf"))
	return n
}

func (n *comparingNSD) update(t *testing.T, _, new version) {
	t.Helper()
	n.publish(t, editedOrigin, new.text())
}

// wholePowerDNS answers IXFR with the whole zone.
type wholePowerDNS struct{ powerDNS }

func startWholePowerDNS(t *testing.T, spec primarySpec) updated {
	t.Helper()
	return &wholePowerDNS{*startPowerDNS(t, spec).(*powerDNS)}
}

func (p *wholePowerDNS) update(t *testing.T, _, new version) {
	t.Helper()
	p.publish(t, editedOrigin, new.text())
}

// signing is a primary whose versions are signed by dnssec-signzone before it gets them: with the same key and times,
// so that only what has changed is signed anew.
type signing struct {
	updated
	dir  string
	args []string
}

func startSigning(start func(*testing.T, primarySpec) updated, args ...string) func(*testing.T, primarySpec) updated {
	return func(t *testing.T, spec primarySpec) updated {
		t.Helper()
		s := &signing{dir: tempDir(t), args: args}
		run(t, "dnssec-keygen", "-q", "-K", s.dir, "-a", "RSASHA256", "-b", "1024", "-f", "KSK", editedOrigin)
		spec.Zones = map[string]string{editedOrigin: s.sign(t, spec.Zones[editedOrigin])}
		s.updated = start(t, spec)
		return s
	}
}

// sign returns a master file with signatures, which RSA makes the same for the same records.
func (s *signing) sign(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(s.dir, "zone")
	writeFile(t, file, text)
	args := append([]string{
		"-S", "-z", "-q", "-s", "20260101000000", "-e", "20360101000000", "-K", s.dir, "-d", s.dir, "-o", editedOrigin,
		"-O", "full", "-f", file + ".signed",
	}, s.args...)
	run(t, "dnssec-signzone", append(args, file)...)
	signed, err := os.ReadFile(file + ".signed")
	if err != nil {
		t.Fatalf("Signed zone: %v", err)
	}
	return string(signed)
}

func (s *signing) update(t *testing.T, old, new version) {
	t.Helper()
	new.master = s.sign(t, new.text())
	s.updated.update(t, old, new)
}

// version is one version of the edited zone: a set of records without the SOA. It is a plain value.
type version struct {
	serial  uint32
	records []string // sorted, each "owner TTL TYPE RDATA" with absolute names
	master  string   // the master file; empty for one made of the records
}

func (v version) soa() string {
	return fmt.Sprintf("%s 7200 SOA ns1.%[1]s hostmaster.%[1]s %d 3600 900 1209600 300", editedOrigin, v.serial)
}

// text returns the master file.
func (v version) text() string {
	if v.master != "" {
		return v.master
	}
	return lines(append([]string{v.soa()}, v.records...)...)
}

// without returns the records of v that o has not.
func (v version) without(o version) []string {
	var only []string
	for _, rr := range v.records {
		if _, found := slices.BinarySearch(o.records, rr); !found {
			only = append(only, rr)
		}
	}
	return only
}

func (v version) same(o version) bool { return slices.Equal(v.records, o.records) }

// split returns the owner, the TTL, and type and RDATA of a record.
func split(rr string) (owner, ttl, rest string) {
	f := strings.SplitN(rr, " ", 3)
	return f[0], f[1], f[2]
}
