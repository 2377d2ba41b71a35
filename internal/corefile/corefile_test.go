package corefile

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns/caddy/caddyfile"
	"github.com/coredns/coredns/plugin"
	"github.com/google/go-cmp/cmp"
	"go4.org/netipx"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// testSecret is base64 of 32 octets; no error may show it.
const testSecret = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IDEyMzQ="

// parseText parses the directives in text as they would stand in a server block for example.org and example.net.
func parseText(text string) (*Block, error) { return parseTextIn("", text) }

// parseTextIn is parseText with a directory that file names are relative to.
func parseTextIn(root, text string) (*Block, error) {
	return Parse(tokens(text), Place{Root: root, Zones: []string{"example.org.", "example.net."}, Names: names})
}

// tokens returns the tokens of a file, of which SECRET is replaced.
func tokens(text string) Tokens {
	d := caddyfile.NewDispenser("Testfile", strings.NewReader(strings.ReplaceAll(text, "SECRET", testSecret)))
	return &d
}

// names reads a word as CoreDNS does.
func names(word string) []string { return plugin.Host(word).NormalizeExact() }

// mustParse is parseText for text that is right.
func mustParse(t *testing.T, text string) *Block {
	t.Helper()
	b, err := parseText(text)
	if err != nil {
		t.Fatalf("Parsing %s: %v", text, err)
	}
	return b
}

// inBlock returns a directive with one primary and these lines, the first of which is line 3.
func inBlock(lines string) string {
	return "secondaryplus {\nprimary 192.0.2.1\n" + lines + "\n}"
}

// zonesOf returns the names of all zones of the block.
func zonesOf(t *testing.T, b *Block) []string {
	t.Helper()
	all, err := b.Zones()
	if err != nil {
		t.Fatalf("Listing the zones: %v", err)
	}
	var names []string
	for _, o := range all {
		names = append(names, o.Name)
	}
	return names
}

// primariesOf returns the primaries of the group in the form "address key source".
func primariesOf(g *Group) []string {
	var all []string
	for _, p := range g.Primaries {
		s := p.String()
		if p.Key != nil {
			s += " " + p.Key.Name()
		}
		if p.Source.IsValid() {
			s += " from " + p.Source.String()
		}
		all = append(all, s)
	}
	return all
}

func TestDefaults(t *testing.T) {
	b := mustParse(t, "secondaryplus {\nprimary 192.0.2.1\n}")
	if len(b.Groups) != 1 || len(b.Warnings) != 0 {
		t.Fatalf("Groups %d, warnings %q, want one and none", len(b.Groups), b.Warnings)
	}
	g := b.Groups[0]
	if g.Policy != DefaultPolicy() || len(g.AllowNotify) != 0 || g.Fallthrough != nil {
		t.Errorf("Group %+v", g)
	}
	if diff := cmp.Diff(DefaultSettings(), b.Settings, cmp.AllowUnexported(Settings{}, RateLimit{})); diff != "" {
		t.Errorf("Settings (-want +got):\n%s", diff)
	}
	if got, want := zonesOf(t, b), []string{"example.org.", "example.net."}; !slices.Equal(got, want) {
		t.Errorf("Zones %q, want %q", got, want)
	}
}

func TestPrimaries(t *testing.T) {
	const key = "\nkey Test_Key hmac-sha256 SECRET"
	tests := map[string][]string{
		"primary 192.0.2.1":                         {"192.0.2.1:53"},
		"primary 192.0.2.1:5353":                    {"192.0.2.1:5353"},
		"primary 2001:db8::1":                       {"[2001:db8::1]:53"},
		"primary [2001:db8::1]":                     {"[2001:db8::1]:53"},
		"primary [2001:db8::1]:5353":                {"[2001:db8::1]:5353"},
		"primary ::ffff:192.0.2.1":                  {"192.0.2.1:53"},
		"primary [::ffff:192.0.2.1]:54":             {"192.0.2.1:54"},
		"primary fe80::1%eth0":                      {"[fe80::1%eth0]:53"},
		"primary 192.0.2.2 192.0.2.1":               {"192.0.2.2:53", "192.0.2.1:53"},
		"primary 192.0.2.1 192.0.2.1:54":            {"192.0.2.1:53", "192.0.2.1:54"},
		"primary 192.0.2.9\nprimary 192.0.2.1":      {"192.0.2.9:53", "192.0.2.1:53"},
		"primary 192.0.2.1 key test_key" + key:      {"192.0.2.1:53 test_key."},
		"primary 192.0.2.1 key TEST_KEY." + key:     {"192.0.2.1:53 test_key."},
		key + "\nprimary 192.0.2.1 key test_key":    {"192.0.2.1:53 test_key."},
		"primary 192.0.2.1 source 10.0.0.1":         {"192.0.2.1:53 from 10.0.0.1"},
		"primary 2001:db8::1 source ::1":            {"[2001:db8::1]:53 from ::1"},
		"primary 192.0.2.1 source ::ffff:10.0.0.1":  {"192.0.2.1:53 from 10.0.0.1"},
		"transfer from 10.0.1.1 10.0.1.2":           {"10.0.1.1:53", "10.0.1.2:53"},
		"transfer from 10.0.1.1\nprimary 10.0.1.2":  {"10.0.1.1:53", "10.0.1.2:53"},
		"transfer from 10.0.1.1:54 [2001:db8::1]:5": {"10.0.1.1:54", "[2001:db8::1]:5"},
		"primary 192.0.2.1 192.0.2.2 source 10.0.0.1 key test_key\nprimary 192.0.2.3" + key: {
			"192.0.2.1:53 test_key. from 10.0.0.1", "192.0.2.2:53 test_key. from 10.0.0.1", "192.0.2.3:53",
		},
	}
	for text, want := range tests {
		b := mustParse(t, "secondaryplus {\n"+text+"\n}")
		if diff := cmp.Diff(want, primariesOf(b.Groups[0])); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestStockCorefileWorksAfterRenaming(t *testing.T) {
	b := mustParse(t, "secondaryplus example.org {\n    transfer from 10.0.1.1 10.0.1.2\n}")
	if got, want := zonesOf(t, b), []string{"example.org."}; !slices.Equal(got, want) {
		t.Errorf("Zones %q, want %q", got, want)
	}
	if got, want := primariesOf(b.Groups[0]), []string{"10.0.1.1:53", "10.0.1.2:53"}; !slices.Equal(got, want) {
		t.Errorf("Primaries %q, want %q", got, want)
	}
}

func TestAllowNotify(t *testing.T) {
	tests := []struct{ words, in, out string }{
		{"192.0.2.7", "192.0.2.7", "192.0.2.8"},
		{"::ffff:192.0.2.7", "192.0.2.7", "192.0.2.8"},
		{"192.0.2.0/24", "192.0.2.255", "192.0.3.0"},
		{"192.0.2.10-192.0.2.20", "192.0.2.20", "192.0.2.21"},
		{"192.0.2.10-192.0.2.10", "192.0.2.10", "192.0.2.9"},
		{"0.0.0.0/0", "203.0.113.1", "2001:db8::1"},
		{"2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"},
		{"2001:db8::5-2001:db8::9", "2001:db8::9", "2001:db8::a"},
		{"::/0", "2001:db8::1", "192.0.2.1"},
		{"198.51.100.1 192.0.2.7", "192.0.2.7", "192.0.2.8"},
	}
	for _, tt := range tests {
		g := mustParse(t, inBlock("allow_notify "+tt.words)).Groups[0]
		contains := func(addr string) bool {
			_, allowed := g.AllowNotify.Admits(netip.MustParseAddr(addr), nil)
			return allowed
		}
		if !contains(tt.in) || contains(tt.out) {
			t.Errorf("%s: %s %v, %s %v, want true and false", tt.words, tt.in, contains(tt.in), tt.out, contains(tt.out))
		}
	}
}

func TestAllowNotifyKeyIsOfItsOwnLine(t *testing.T) {
	g := mustParse(t, inBlock("allow_notify 192.0.2.7 192.0.2.8 key k\nallow_notify 192.0.2.9\nkey k hmac-sha256 SECRET")).Groups[0]
	want := []bool{true, true, false}
	for i, s := range g.AllowNotify {
		if s.Range != netipx.MustParseIPRange([]string{"192.0.2.7-192.0.2.7", "192.0.2.8-192.0.2.8", "192.0.2.9-192.0.2.9"}[i]) {
			t.Errorf("Source %d is %v", i, s.Range)
		}
		if got := s.Key.Equal(g.Keys[0]); got != want[i] {
			t.Errorf("Source %d has the key: %v, want %v", i, got, want[i])
		}
	}
	if len(g.AllowNotify) != 3 {
		t.Errorf("%d sources, want 3", len(g.AllowNotify))
	}
}

// Each line of allow_transfer stands for itself: its sources with its key. any is both families.
func TestAllowTransfer(t *testing.T) {
	g := mustParse(t, inBlock("allow_transfer 192.0.2.7 2001:db8::/32\nallow_transfer any key k\nallow_transfer ::/0 key l\n"+
		"key k hmac-sha256 SECRET\nkey l hmac-md5 SECRET")).Groups[0]
	want := []struct {
		source string
		key    *xfr.Key
	}{
		{"192.0.2.7-192.0.2.7", nil},
		{"2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", nil},
		{"0.0.0.0-255.255.255.255", g.Keys[0]},
		{"::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", g.Keys[0]},
		{"::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", g.Keys[1]},
	}
	if len(g.AllowTransfer) != len(want) || len(g.AllowNotify) != 0 {
		t.Fatalf("%d sources of requests, %d of NOTIFY; want %d and none", len(g.AllowTransfer), len(g.AllowNotify), len(want))
	}
	for i, s := range g.AllowTransfer {
		if s.Range.String() != want[i].source || !s.Key.Equal(want[i].key) {
			t.Errorf("source %d is %v with the key %v; want %v", i, s.Range, s.Key, want[i])
		}
	}
	for text, want := range map[string]int{"": 100, "ixfr_out 50": 50, "ixfr_out 1000": 1000, "ixfr_out off": 0} {
		if got := mustParse(t, inBlock(text)).Groups[0].IXFROut; got != want {
			t.Errorf("%q: %d %%; want %d", text, got, want)
		}
	}
}

func TestValues(t *testing.T) {
	minute := refresh.Clamp{Min: time.Minute, Max: 2 * time.Hour}
	tests := map[string]func(*version.Policy, *Settings) bool{
		"max_records 1":         func(p *version.Policy, _ *Settings) bool { return p.MaxRecords == 1 },
		"max_records 3000000":   func(p *version.Policy, _ *Settings) bool { return p.MaxRecords == 3_000_000 },
		"max_records unlimited": func(p *version.Policy, _ *Settings) bool { return p.MaxRecords == 0 },
		"max_size 1":            func(p *version.Policy, _ *Settings) bool { return p.MaxSize == 1 },
		"max_size 3K":           func(p *version.Policy, _ *Settings) bool { return p.MaxSize == 3<<10 },
		"max_size 3M":           func(p *version.Policy, _ *Settings) bool { return p.MaxSize == 3<<20 },
		"max_size 1024G":        func(p *version.Policy, _ *Settings) bool { return p.MaxSize == 1<<40 },
		"history 5": func(p *version.Policy, _ *Settings) bool {
			return p.History == version.HistoryLimits{Versions: 5, Octets: 256 << 10}
		},
		"history 10000 64M": func(p *version.Policy, _ *Settings) bool {
			return p.History == version.HistoryLimits{Versions: 10_000, Octets: 64 << 20}
		},
		"history off":        func(p *version.Policy, _ *Settings) bool { return p.History == version.HistoryLimits{} },
		"ixfr_from_axfr off": func(p *version.Policy, _ *Settings) bool { return !p.IXFRFromAXFR },
		"ixfr_from_axfr on":  func(p *version.Policy, _ *Settings) bool { return p.IXFRFromAXFR },
		"serial_zero accept": func(p *version.Policy, _ *Settings) bool { return p.SerialZero },
		"serial_zero stop":   func(p *version.Policy, _ *Settings) bool { return !p.SerialZero },
		"refresh 60 2h":      func(p *version.Policy, _ *Settings) bool { return p.Refresh == minute },
		"retry 1m 120m":      func(p *version.Policy, _ *Settings) bool { return p.Retry == minute },
		"expire 60s 7200":    func(p *version.Policy, _ *Settings) bool { return p.Expire == minute },
		"expire 49000d 7101w": func(p *version.Policy, _ *Settings) bool {
			return p.Expire == refresh.Clamp{Min: 49000 * 24 * time.Hour, Max: 7101 * 7 * 24 * time.Hour}
		},
		"retry 60 60":          func(p *version.Policy, _ *Settings) bool { return p.Retry.Min == p.Retry.Max },
		"refresh 1 4294967295": func(p *version.Policy, _ *Settings) bool { return p.Refresh.Max == maxSOATimer },
		"transfer_memory 300M": func(_ *version.Policy, s *Settings) bool { return s.TransferMemory == 300<<20 },
		"transfers_in 30": func(_ *version.Policy, s *Settings) bool {
			return s.TransfersIn == (TransfersIn{30, 4}) && s.SOARate == 50
		},
		"transfers_in 3": func(_ *version.Policy, s *Settings) bool { return s.TransfersIn == (TransfersIn{3, 3}) },
		"transfers_in 30 30": func(_ *version.Policy, s *Settings) bool {
			return s.TransfersIn == (TransfersIn{30, 30})
		},
		"transfers_out 30": func(_ *version.Policy, s *Settings) bool {
			return s.TransfersOut == TransfersOut{30, 4} && s.TransfersIn == defaultTransfersIn
		},
		"transfers_out 3":   func(_ *version.Policy, s *Settings) bool { return s.TransfersOut == TransfersOut{3, 3} },
		"transfers_out 9 9": func(_ *version.Policy, s *Settings) bool { return s.TransfersOut == TransfersOut{9, 9} },
		"soa_rate 1": func(_ *version.Policy, s *Settings) bool {
			return s.SOARate == 1 && s.TransfersIn == defaultTransfersIn
		},
	}
	for text, right := range tests {
		b := mustParse(t, inBlock(text))
		if !right(&b.Groups[0].Policy, &b.Settings) {
			t.Errorf("%s: %+v, %+v", text, b.Groups[0].Policy, b.Settings)
		}
	}
}

func TestFallthrough(t *testing.T) {
	for text, want := range map[string][]string{
		"": nil, "fallthrough": {"."}, "fallthrough Sub.example.org 192.0.2.0/24": {"sub.example.org.", "2.0.192.in-addr.arpa."},
	} {
		if got := mustParse(t, inBlock(text)).Groups[0].Fallthrough; !slices.Equal(got, want) {
			t.Errorf("%s: zones %q, want %q", text, got, want)
		}
	}
}

func TestZonesOfArguments(t *testing.T) {
	tests := map[string][]string{
		"Example.ORG":               {"example.org."},
		"example.org. b.test":       {"example.org.", "b.test."},
		".":                         {"."},
		"192.0.2.0/24":              {"2.0.192.in-addr.arpa."},
		"192.0.2.0/23":              {"2.0.192.in-addr.arpa.", "3.0.192.in-addr.arpa."},
		"0/25.2.0.192.in-addr.arpa": {"0/25.2.0.192.in-addr.arpa."},
		`ex\097mple.org`:            {"example.org."},
	}
	for args, want := range tests {
		b := mustParse(t, "secondaryplus "+args+" {\nprimary 192.0.2.1\n}")
		got := zonesOf(t, b)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: zones %q, want %q", args, got, want)
		}
	}
}

func TestServerBlockOnTwoPortsIsOneZone(t *testing.T) {
	at := Place{Zones: []string{"example.org.", "example.org."}, Names: names}
	b, err := Parse(tokens("secondaryplus {\nprimary 192.0.2.1\n}"), at)
	if err != nil {
		t.Fatal(err)
	}
	if got := zonesOf(t, b); !slices.Equal(got, []string{"example.org."}) {
		t.Errorf("Zones %q, want example.org. once", got)
	}
}

func TestSeveralDirectivesAreSeveralGroups(t *testing.T) {
	b := mustParse(t, `secondaryplus a.test {
	primary 192.0.2.1 key k
	key k hmac-sha256 SECRET
	transfers_in 7
}
secondaryplus b.test c.test {
	primary 192.0.2.2 key k
	key k hmac-sha512 SECRET
	transfers_in 7 4
	soa_rate 9
}`)
	if len(b.Groups) != 2 {
		t.Fatalf("%d groups, want 2", len(b.Groups))
	}
	if got := b.Groups[1].Primaries[0].Key.Algorithm().String(); got != "hmac-sha512" {
		t.Errorf("The key of the second group is %s: the first one's", got)
	}
	if b.Settings.TransfersIn != (TransfersIn{7, 4}) || b.Settings.SOARate != 9 {
		t.Errorf("Settings %+v", b.Settings)
	}
	if got := b.Groups[1].String(); got != "Testfile:6" {
		t.Errorf("The second group is at %s, want Testfile:6", got)
	}
	all, err := b.Zones()
	if err != nil || len(all) != 3 || all[2].Name != "c.test." || all[2].Group != b.Groups[1] {
		t.Errorf("Zones %v, error %v", all, err)
	}
}

func TestSettingsOfBlocksMerge(t *testing.T) {
	one := mustParse(t, inBlock("transfers_in 7\nfastpath 2")).Settings
	two := mustParse(t, inBlock("\nsoa_rate 9\nfastpath 3")).Settings
	three := mustParse(t, inBlock("\n\ntransfers_in 8")).Settings
	both := one
	if err := both.Add(&two); err != nil {
		t.Fatal(err)
	}
	if both.TransfersIn != (TransfersIn{7, 4}) || both.SOARate != 9 {
		t.Errorf("Merged %+v", both)
	}
	if _, given := one.At("soa_rate"); given || one.SOARate != 50 {
		t.Errorf("What was merged has changed: %+v", one)
	}
	if at, given := both.At("soa_rate"); !given || at.String() != "Testfile:4" {
		t.Errorf("soa_rate is at %v", at)
	}
	err := both.Add(&three)
	want := "Testfile:5 - Error during parsing: transfers_in differs from the one at Testfile:3; want one value, it is for the whole process"
	if err == nil || err.Error() != want {
		t.Errorf("Merging two values: %v, want %s", err, want)
	}
	_, err = parseText(inBlock("fastpath 2") + "\nsecondaryplus x.test {\nprimary 192.0.2.1\nfastpath off\n}")
	want = "Testfile:7 - Error during parsing: fastpath differs from the one at Testfile:3; want one value, it is for the server block"
	if err == nil || err.Error() != want {
		t.Errorf("Two values in a server block: %v, want %s", err, want)
	}
}

// Every option whose scope is wider than a directive takes two places that say the same, and names both where they differ.
func TestEverySettingIsForItsScope(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a", strings.Repeat("c00c1e5e", 4))
	values := map[string][2]string{
		"fastpath": {"auto", "off"}, "transfers_in": {"1", "2"}, "transfers_out": {"1", "2"}, "transfer_memory": {"1M", "2M"}, "soa_rate": {"1", "2"}, "max_udp": {"512", "1232"},
		"rate_limit": {"on", "off"}, "cookies": {"a", "off"}, "store": {"a", "off"}, "fault_after": {"1", "2"}, "fault_every": {"1h", "2h"},
		"fault_notify": {"generic+https://a.test/", "generic+https://b.test/"}, "control": {"127.0.0.1:1", "127.0.0.1:2"},
	}
	for i := range options {
		o := &options[i]
		v, listed := values[o.name()]
		if o.scope == zones {
			continue
		}
		if !listed {
			t.Errorf("%s is not tested", o.name())
		}
		two := func(second string) error {
			_, err := parseTextIn(dir, inBlock(o.name()+" "+v[0])+"\nsecondaryplus x.test {\nprimary 192.0.2.1\n"+o.name()+" "+second+"\n}")
			return err
		}
		if err := two(v[0]); err != nil {
			t.Errorf("%s twice the same: %v", o.name(), err)
		}
		want := fmt.Sprintf("Testfile:7 - Error during parsing: %s differs from the one at Testfile:3; want one value, it is for %s", o.name(), o.scope)
		if err := two(v[1]); err == nil || err.Error() != want {
			t.Errorf("%s: %v; want %s", o.name(), err, want)
		}
	}
}

func TestNearestOption(t *testing.T) {
	for word, want := range map[string]string{
		"primry": "primary", "Primary": "primary", "max_record": "max_records", "zonefile": "zones_file", "key-file": "key_file", "refres": "refresh",
		"catalog": "", "masters": "", "k": "", "": "", "maximum_records": "",
	} {
		err := unknown(line{words: []string{word}})
		if meant := strings.Contains(err.Error(), "perhaps meant as "+want+";"); want != "" && !meant || want == "" && strings.Contains(err.Error(), "perhaps") {
			t.Errorf("%q: %v; want %q", word, err, want)
		}
	}
}

// Options of a command line are those of the Corefile, without a place.
func TestOptionsOfACommandLine(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "k.key", `key "k" { algorithm hmac-sha256; secret "`+testSecret+`"; };`)
	g, err := ReadOptions([]string{"primary", "192.0.2.1", "key", "K"}, []string{"key_file", path}, []string{"max_records", "unlimited"})
	if err != nil {
		t.Fatal(err)
	}
	if got := primariesOf(g); !slices.Equal(got, []string{"192.0.2.1:53 k."}) || g.Policy.MaxRecords != 0 || g.Policy.MaxTypes != 100 {
		t.Errorf("Primaries %q, policy %+v", got, g.Policy)
	}
	for want, words := range map[string][]string{
		`max_records "ten": want a whole number of at least 1, or unlimited`: {"max_records", "ten"},
		`primary: no key "k" in this secondaryplus`:                          {"primary", "192.0.2.1", "key", "k"},
	} {
		if _, err := ReadOptions(words); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v; want %s", words, err, want)
		}
	}
}

func TestWeakKeysAreWarnedOf(t *testing.T) {
	b := mustParse(t, inBlock("key a hmac-md5 SECRET\nkey b hmac-sha256 MTIzNDU2Nzg5MDEyMzQ1\nkey c hmac-sha256 MTIzNDU2Nzg5MDEyMzQ1Ng=="))
	want := []string{
		"Testfile:3: key a. is hmac-md5, which RFC 8945 §6 keeps for old servers only; hmac-sha256 is better",
		"Testfile:4: key b. has 120 bits; a secret of at least 128 bits is better",
	}
	if diff := cmp.Diff(want, b.Warnings); diff != "" {
		t.Errorf("Warnings (-want +got):\n%s", diff)
	}
}

func TestSameKeyTwiceIsHarmless(t *testing.T) {
	g := mustParse(t, inBlock("key a hmac-sha256 SECRET\nkey A. HMAC-SHA256 SECRET")).Groups[0]
	if len(g.Keys) != 1 {
		t.Errorf("%d keys, want 1", len(g.Keys))
	}
}

func TestFilesAreRelativeToRoot(t *testing.T) {
	root := t.TempDir()
	write(t, root, "transfer.key", `key "k" { algorithm hmac-sha256; secret "`+testSecret+`"; };`)
	write(t, root, "zones", "a.test\n")
	b, err := parseTextIn(root, inBlock("key_file transfer.key\nzones_file zones\nallow_notify 192.0.2.2 key k"))
	if err != nil {
		t.Fatal(err)
	}
	if got := zonesOf(t, b); !slices.Equal(got, []string{"a.test."}) {
		t.Errorf("Zones %q: want those of the file and none of the server block", got)
	}
	if k := b.Groups[0].AllowNotify[0].Key; k == nil || k.Secret() != testSecret {
		t.Errorf("The key of the file is %v", k)
	}
	if _, err := parseText(inBlock("key_file " + filepath.Join(root, "transfer.key"))); err != nil {
		t.Errorf("An absolute name: %v", err)
	}
}

func TestZonesFileAddsToArguments(t *testing.T) {
	root := t.TempDir()
	write(t, root, "zones", "a.test\nb.test # two\n")
	b, err := parseTextIn(root, "secondaryplus c.test {\nzones_file zones\nprimary 192.0.2.1\n}")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := zonesOf(t, b), []string{"c.test.", "a.test.", "b.test."}; !slices.Equal(got, want) {
		t.Errorf("Zones %q, want %q", got, want)
	}
}

// write writes a file for a test and returns its path.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestServerBlockWithoutAKeyNeedsAZone(t *testing.T) {
	_, err := Parse(tokens("secondaryplus {\nprimary 192.0.2.1\n}"), Place{Names: names})
	if err == nil || !strings.Contains(err.Error(), "Testfile:1 - Error during parsing: secondaryplus without a zone; want secondaryplus ZONES...") {
		t.Errorf("Error %v", err)
	}
}
