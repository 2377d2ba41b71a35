//go:build e2e

package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

const (
	corpusVersions = 2  // of every zone; the second comes by IXFR
	randomZones    = 6  // that are generated; the last third has occluded data
	randomSets     = 70 // RRsets of each of them, before those that exclude each other are left out
)

// corpusZone is a zone in its versions, as the servers get it. It is a plain value.
type corpusZone struct {
	origin  string          // absolute
	variant string          // how it is signed, see corpusVariants
	without string          // the reference that refuses it, empty if none does
	served  map[string]bool // the origins of all zones beside it and its own, lower case
	texts   [corpusVersions]string
	rrs     [corpusVersions][]dns.RR
}

// corpusVariant is a way to sign a zone: the arguments of dnssec-signzone for both versions. It is a plain value.
type corpusVariant struct {
	name   string // and the origin that its zones are below
	signed bool
	args   [corpusVersions][]string
}

// corpusVariants sign every zone in every way. The second version of a salted zone has another chain.
var corpusVariants = []corpusVariant{
	{name: "plain"},
	{name: "nsec", signed: true},
	{name: "nsec3", signed: true, args: [corpusVersions][]string{{"-3", "-"}, {"-3", "-"}}},
	{name: "salted", signed: true, args: [corpusVersions][]string{{"-3", "ABCD", "-H", "5"}, {"-3", "0123456789", "-H", "1"}}},
	{name: "optout", signed: true, args: [corpusVersions][]string{{"-3", "-", "-A"}, {"-3", "-", "-A"}}},
}

// forest returns every zone of testdata/zones and the generated ones in every variant.
func forest(t *testing.T) []*corpusZone {
	t.Helper()
	sources := map[string]string{"big": bigZone()}
	for seed := range randomZones {
		sources[fmt.Sprintf("random%d", seed)] = randomZone(uint64(seed), seed >= randomZones*2/3)
	}
	files, err := filepath.Glob(filepath.Join("..", "testdata", "zones", "*.zone"))
	if err != nil || len(files) == 0 {
		t.Fatalf("Zones: %d, %v", len(files), err)
	}
	for _, f := range files {
		sources[strings.TrimSuffix(filepath.Base(f), ".zone")] = readFile(t, f)
	}
	var zones []*corpusZone
	var signers sync.WaitGroup
	for _, v := range corpusVariants {
		of := make([]*corpusZone, 0, len(sources))
		for stem, source := range sources {
			of = append(of, newCorpusZone(stem+"."+v.name+".", v, source))
		}
		signers.Go(func() { signAll(t, v, of) })
		zones = append(zones, of...)
	}
	signers.Wait()
	return parsed(t, zones)
}

// rootZones returns the zones of RFC 1034 §6.1, signed with NSEC: a query without DO sees what the RFC shows.
func rootZones(t *testing.T) []*corpusZone {
	t.Helper()
	v := corpusVariant{name: "nsec", signed: true}
	zones := []*corpusZone{
		newCorpusZone(".", v, readFile(t, "../testdata/zones/root.root")),
		newCorpusZone("EDU.", v, readFile(t, "../testdata/zones/edu.root")),
	}
	signAll(t, v, zones)
	return parsed(t, zones)
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("File: %v", err)
	}
	return string(b)
}

// corpusWithout matches the line by which a zone says which reference refuses it.
var corpusWithout = regexp.MustCompile(`(?m)^; Without (\w+):`)

// newCorpusZone makes the unsigned versions of a zone.
func newCorpusZone(origin string, v corpusVariant, source string) *corpusZone {
	z := &corpusZone{origin: origin, variant: v.name}
	if m := corpusWithout.FindStringSubmatch(source); m != nil {
		z.without = m[1]
	}
	for i := range z.texts {
		z.texts[i] = "$ORIGIN " + origin + "\n" + versionOf(source, i)
	}
	return z
}

// corpusSerial matches the serial in the line of a SOA.
var corpusSerial = regexp.MustCompile(`(?m)( SOA .*) 1( \d+ \d+ \d+ \d+)$`)

// versionOf returns the version of a zone with the index: lines that end with ";1" or ";2" are in the first or the second.
func versionOf(source string, index int) string {
	mine, other := fmt.Sprintf(";%d", index+1), fmt.Sprintf(";%d", corpusVersions-index)
	var b strings.Builder
	for l := range strings.Lines(source) {
		if l = strings.TrimRight(l, "\n"); strings.HasSuffix(l, other) {
			continue
		}
		b.WriteString(strings.TrimSuffix(l, mine) + "\n")
	}
	return corpusSerial.ReplaceAllString(b.String(), fmt.Sprintf("$1 %d$2", index+1))
}

// signAll signs all versions of the zones, children before their parents, which get their DS records.
func signAll(t *testing.T, v corpusVariant, zones []*corpusZone) {
	if !v.signed {
		return
	}
	slices.SortFunc(zones, func(a, b *corpusZone) int { return dns.CountLabel(b.origin) - dns.CountLabel(a.origin) })
	dir := tempDir(t)
	for i, z := range zones {
		keygen := exec.Command("dnssec-keygen", "-q", "-K", dir, "-a", "ECDSAP256SHA256", "-f", "KSK", z.origin)
		if out, err := keygen.CombinedOutput(); err != nil {
			t.Errorf("dnssec-keygen %s: %v\n%s", z.origin, err, out)
			return
		}
		for version, text := range z.texts {
			file := filepath.Join(dir, fmt.Sprintf("%d.%d", i, version))
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Errorf("Zone %s: %v", z.origin, err)
				return
			}
			// One key for everything (-z); -S takes it from the directory, -g the DS records of the children.
			args := []string{"-S", "-z", "-g", "-P", "-q", "-K", dir, "-d", dir, "-o", z.origin, "-f", file + ".signed"}
			args = append(append(args, v.args[version]...), file)
			out, err := exec.Command("dnssec-signzone", args...).CombinedOutput()
			if err != nil {
				t.Errorf("dnssec-signzone %s: %v\n%s", z.origin, err, out)
				return
			}
			signed, err := os.ReadFile(file + ".signed")
			if err != nil {
				t.Errorf("Signed zone %s: %v", z.origin, err)
				return
			}
			z.texts[version] = string(signed)
		}
	}
}

// parsed reads the records of the zones.
func parsed(t *testing.T, zones []*corpusZone) []*corpusZone {
	t.Helper()
	if t.Failed() {
		t.FailNow()
	}
	served := map[string]bool{}
	for _, z := range zones {
		served[dns.CanonicalName(z.origin)], z.served = true, served
		for v, text := range z.texts {
			zp := dns.NewZoneParser(strings.NewReader(text), z.origin, "")
			for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
				z.rrs[v] = append(z.rrs[v], rr)
			}
			if err := zp.Err(); err != nil {
				t.Fatalf("Zone %s: %v", z.origin, err)
			}
		}
	}
	return zones
}

const corpusApex = "$TTL 3600\n@ SOA ns1 hostmaster 1 3600 900 1209600 300\n@ NS ns1\nns1 A 192.0.2.1\n"

// bigZone has RRsets that do not fit a UDP message, up to one that hardly fits a TCP message.
func bigZone() string {
	var b strings.Builder
	b.WriteString(corpusApex)
	fmt.Fprintf(&b, "txt3k TXT%s\n", strings.Repeat(` "`+strings.Repeat("x", 250)+`"`, 12))
	for i := range 200 {
		fmt.Fprintf(&b, "a200 A 10.0.0.%d\n", i)
	}
	for i := range 25 { // fits 512 octets without signatures
		fmt.Fprintf(&b, "a25 A 10.0.1.%d\n", i)
	}
	for i := range 240 {
		fmt.Fprintf(&b, `near64k TXT "%03d%s"`+"\n", i, strings.Repeat("y", 245))
	}
	for i := range 60 {
		fmt.Fprintf(&b, "mx60 MX %d host%d\nhost%d A 10.0.2.%d\nhost%d AAAA 2001:db8::%d\n", i, i, i, i, i, i)
	}
	for i := range 60 {
		fmt.Fprintf(&b, "ns60 NS ns%d.ns60\nns%d.ns60 A 10.0.3.%d\n", i, i, i)
	}
	b.WriteString("alias CNAME a200\n*.wild CNAME txt3k\nd DNAME big\na200.big A 10.0.4.1\n")
	for i := range 100 {
		fmt.Fprintf(&b, "a200.big A 10.0.5.%d\na200 A 10.0.0.%d ;2\n", i, 200+i%50)
	}
	return b.String()
}

// randomZone has few labels, so that its names meet in every way: wildcards, cuts, DNAMEs and CNAMEs above, below and
// beside each other. What every server refuses is left out, and unless occluded data below DNAMEs.
func randomZone(seed uint64, occluded bool) string {
	rng := rand.New(rand.NewPCG(seed, 1))
	labels := []string{"a", "b", "c", "d", "*"}
	name := func() string {
		n := labels[rng.IntN(len(labels))]
		for range rng.IntN(4) {
			n += "." + labels[rng.IntN(len(labels))]
		}
		return n
	}
	var b strings.Builder
	if occluded {
		b.WriteString("; Without Knot: it refuses data below a DNAME.\n")
	}
	b.WriteString(corpusApex)
	types := map[string]map[string]bool{}
	for i := range randomSets {
		owner, target := name(), name()
		rr := randomRecord(rng, owner, target, i)
		rrtype := strings.Fields(rr)[1]
		if types[owner] == nil {
			types[owner] = map[string]bool{}
		}
		if !compatible(types, owner, rrtype) || !occluded && belowDNAME(types, owner, rrtype) {
			continue
		}
		types[owner][rrtype] = true
		b.WriteString(rr + []string{"", "", "", " ;1", " ;2"}[rng.IntN(5)] + "\n")
	}
	return b.String()
}

// randomRecord is a record of a random type.
func randomRecord(rng *rand.Rand, owner, target string, i int) string {
	switch rng.IntN(10) {
	case 0, 1, 2:
		return fmt.Sprintf("%s A 192.0.2.%d", owner, i)
	case 3:
		return fmt.Sprintf(`%s TXT "%d"`, owner, i)
	case 4, 5:
		return fmt.Sprintf("%s CNAME %s", owner, target)
	case 6, 7:
		return fmt.Sprintf("%s NS %s", owner, target)
	case 8:
		return fmt.Sprintf("%s DNAME %s", owner, target)
	default:
		return fmt.Sprintf("%s MX 10 %s", owner, target)
	}
}

// compatible reports whether the owner may have one more type. NS, CNAME and DNAME records are the first of their owner, NS
// and CNAME the only ones, and there is no NS at a wildcard, which BIND refuses.
func compatible(types map[string]map[string]bool, owner, rrtype string) bool {
	have := types[owner]
	switch rrtype {
	case "CNAME", "DNAME":
		return len(have) == 0
	case "NS":
		return len(have) == 0 && !strings.HasPrefix(owner, "*.") && owner != "*"
	}
	return !have["CNAME"] && !have["NS"]
}

// belowDNAME reports whether the owner, with one more type, is below a DNAME or has one above another owner.
func belowDNAME(types map[string]map[string]bool, owner, rrtype string) bool {
	for other, have := range types {
		if len(have) == 0 {
			continue
		}
		if have["DNAME"] && strings.HasSuffix(owner, "."+other) || rrtype == "DNAME" && strings.HasSuffix(other, "."+owner) {
			return true
		}
	}
	return false
}
