//go:build e2e

package e2e_test

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// Zones of the tests of secondaryplus beside other plugins. They have the same records, and one is signed.
const (
	plainOrigin  = "plain.test."
	signedOrigin = "signed.test."
)

var composeOrigins = []string{plainOrigin, signedOrigin}

// composeZone is mixedZone and what makes answers of several records, below another origin.
func composeZone(origin string) string {
	return strings.ReplaceAll(mixedZone(1), mixedOrigin, origin) + lines(
		"multi A 192.0.2.101", "multi A 192.0.2.102", "multi A 192.0.2.103", "multi A 192.0.2.104",
		"multi MX 10 mail", "multi MX 20 multi", "multi MX 30 ns1",
		"six AAAA 2001:db8::6",
		"svc HTTPS 1 . alpn=h2", "svc A 192.0.2.105",
		"secure NS ns.secure", "ns.secure A 192.0.2.106",
		"secure DS 12345 13 2 3490A6806D47F17A34C29E2CE80E8A999FFBE4BE7F2A9B1C1D1E1F2021222324",
	)
}

// composeProbes are asked of both zones: those of the zone's every part, and those that only a plugin is about.
var composeProbes = append(slices.Clone(probes), []probe{
	{"multi", dns.TypeA}, {"multi", dns.TypeMX}, {"six", dns.TypeAAAA}, {"ns1", dns.TypeAAAA}, {"multi", dns.TypeAAAA},
	{"multi", dns.TypeANY}, {"svc", dns.TypeHTTPS}, {"@", dns.TypeDNSKEY}, {"@", dns.TypeDS}, {"www.secure", dns.TypeA},
	{"mUlTi", dns.TypeA}, {"web", dns.TypeAAAA}, {"x.wild", dns.TypeAAAA}, {"nope", dns.TypeAAAA}, {"www.child", dns.TypeAAAA},
	{"multi", dns.TypeRRSIG}, {"multi", dns.TypeNSEC}, {"@", dns.TypeTXT},
}...)

// at is the probe's absolute name in a zone.
func (p probe) at(origin string) string {
	if p.name == "@" {
		return origin
	}
	return p.name + "." + origin
}

// signZone signs a zone with a fresh key, which is left in dir, and returns the master file and the name of the key's files.
func signZone(t *testing.T, dir, origin, text string, args ...string) (signed, key string) {
	t.Helper()
	key = composeKey(t, dir, origin)
	file := filepath.Join(dir, origin+"zone")
	writeFile(t, file, text)
	args = append([]string{"-S", "-z", "-q", "-K", dir, "-d", dir, "-o", origin, "-f", file + ".signed"}, args...)
	run(t, "dnssec-signzone", append(args, file)...)
	out, err := os.ReadFile(file + ".signed")
	if err != nil {
		t.Fatalf("Zone %s signed with %s: %v", origin, key, err)
	}
	return string(out), key
}

// composeKey makes a key in dir and returns the name of its files without what they end in.
func composeKey(t *testing.T, dir, origin string) string {
	t.Helper()
	name, err := exec.Command("dnssec-keygen", "-q", "-K", dir, "-a", "ECDSAP256SHA256", "-f", "KSK", origin).Output()
	if err != nil {
		t.Fatalf("dnssec-keygen: %v", err)
	}
	return strings.TrimSpace(string(name))
}

// startComposePrimary starts BIND with the two zones.
func startComposePrimary(t *testing.T) primary {
	t.Helper()
	signed, _ := signZone(t, tempDir(t), signedOrigin, composeZone(signedOrigin))
	return startBIND(t, primarySpec{Zones: map[string]string{plainOrigin: composeZone(plainOrigin), signedOrigin: signed}})
}

// serverBlock is one server block of a Corefile. It is a plain value.
type serverBlock struct {
	Scheme  string // such as "tls://", empty for DNS over UDP and TCP
	Port    int
	Beside  string // directives beside secondaryplus
	Zones   []string
	Primary string
	Options string // lines of the directive's block
}

func (b serverBlock) String() string {
	return lines(
		fmt.Sprintf("%s.:%d {", b.Scheme, b.Port), "bind 127.0.0.1", "errors", b.Beside,
		"secondaryplus "+strings.Join(b.Zones, " ")+" {", "primary "+b.Primary, b.Options, "}", "}",
	)
}

// shown is what two messages are compared by. It is a plain value.
type shown struct {
	Question, Rcode               string
	AA, TC, RD, RA, AD, CD        bool
	Answer, Authority, Additional []string // OPT and TSIG left out
	EDNS, DO                      bool
	Version, Size                 int
	Options                       []string
	Signed                        bool // with TSIG
}

// show makes of a message what it is compared by.
func show(m *dns.Msg) shown {
	s := shown{
		Rcode: dns.RcodeToString[m.Rcode], AA: m.Authoritative, TC: m.Truncated, RD: m.RecursionDesired, RA: m.RecursionAvailable,
		AD: m.AuthenticatedData, CD: m.CheckingDisabled, Signed: m.IsTsig() != nil,
		Answer: inOrder(m.Answer), Authority: inOrder(m.Ns), Additional: inOrder(m.Extra),
	}
	for _, q := range m.Question {
		s.Question += q.String()
	}
	if o := m.IsEdns0(); o != nil {
		s.EDNS, s.Version, s.Size, s.DO = true, int(o.Version()), int(o.UDPSize()), o.Do()
		for _, x := range o.Option {
			s.Options = append(s.Options, fmt.Sprintf("%d %s", x.Option(), x))
		}
	}
	return s
}

// inOrder returns the records of a section but OPT and TSIG as text.
func inOrder(rrs []dns.RR) []string {
	var all []string
	for _, rr := range rrs {
		switch rr.Header().Rrtype {
		case dns.TypeOPT, dns.TypeTSIG:
		default:
			all = append(all, strings.Join(strings.Fields(rr.String()), " "))
		}
	}
	return all
}

// sorted puts the records of each section in order.
func (s shown) sorted() shown {
	for _, section := range []*[]string{&s.Answer, &s.Authority, &s.Additional} {
		*section = slices.Sorted(slices.Values(*section))
	}
	return s
}

// composeQuery is a query with EDNS.
func composeQuery(name string, qtype uint16, do bool) *dns.Msg {
	m := new(dns.Msg).SetQuestion(name, qtype)
	m.RecursionDesired = false
	return m.SetEdns0(udpSize, do)
}

// over asks over UDP or TCP, and does not ask again when the answer is truncated.
func over(t *testing.T, network, addr string, m *dns.Msg) *dns.Msg {
	t.Helper()
	in, _, err := (&dns.Client{Net: network, Timeout: queryTimeout, UDPSize: dns.MaxMsgSize}).Exchange(m, addr)
	if err != nil {
		t.Fatalf("%s over %s from %s: %v", m.Question[0].String(), network, addr, err)
	}
	return in
}

// servesAll waits until all zones are served at the address.
func servesAll(t *testing.T, addr string, origins ...string) {
	t.Helper()
	for _, origin := range origins {
		eventually(t, syncLimit, origin+" served at "+addr, func() string {
			_, complaint := serialAt(addr, origin)
			return complaint
		})
	}
}

// sortedKeys returns the keys of a table of test cases.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
