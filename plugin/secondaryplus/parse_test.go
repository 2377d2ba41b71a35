package secondaryplus

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/caddy/caddyfile"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/google/go-cmp/cmp"
	"go4.org/netipx"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
)

// testSecret is base64 of 32 octets; no error may show it.
const testSecret = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IDEyMzQ="

// parseText parses the directives in text as they would stand in a server block for example.org and example.net.
func parseText(text string) (*block, error) {
	return parseTextIn("", text)
}

// parseTextIn is parseText with the root plugin's directory set.
func parseTextIn(root, text string) (*block, error) {
	c := caddy.NewTestController("dns", strings.ReplaceAll(text, "SECRET", testSecret))
	c.ServerBlockKeys = []string{"dns://example.org.:53", "dns://example.net.:53"}
	dnsserver.GetConfig(c).Root = root
	return parse(c)
}

// mustParse is parseText for text that is right.
func mustParse(t *testing.T, text string) *block {
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
func zonesOf(t *testing.T, b *block) []string {
	t.Helper()
	all, err := b.origins()
	if err != nil {
		t.Fatalf("Listing the zones: %v", err)
	}
	var names []string
	for _, o := range all {
		names = append(names, o.name)
	}
	return names
}

// primariesOf returns the primaries of the group in the form "address key source".
func primariesOf(g *engine.Group) []string {
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

func TestDefaultsAreThoseOfTheREADME(t *testing.T) {
	b := mustParse(t, "secondaryplus {\nprimary 192.0.2.1\n}")
	if len(b.groups) != 1 || len(b.warnings) != 0 {
		t.Fatalf("Groups %d, warnings %q, want one and none", len(b.groups), b.warnings)
	}
	g := b.groups[0].engine
	if g.MaxRecords != 10_000 || g.MaxSize != 268_435_456 || g.SerialZero || len(g.AllowNotify) != 0 {
		t.Errorf("Limits %d, %d, serial zero %v, sources %v", g.MaxRecords, g.MaxSize, g.SerialZero, g.AllowNotify)
	}
	clamps := []refresh.Clamp{g.Refresh, g.Retry, g.Expire}
	want := []refresh.Clamp{
		{Min: 30 * time.Second, Max: 2419200 * time.Second},
		{Min: 30 * time.Second, Max: 1209600 * time.Second},
		{Min: time.Second, Max: 4294967295 * time.Second},
	}
	if diff := cmp.Diff(want, clamps); diff != "" {
		t.Errorf("Clamps (-want +got):\n%s", diff)
	}
	defaults := engine.Settings{TransfersIn: 20, TransfersPerPrimary: 4, TransferMemory: 1 << 30, SOARate: 50, Store: inWorkingDirectory(t), Faults: engine.FaultSettings{After: time.Minute, Every: 24 * time.Hour}}
	if got, want := b.settings.engine(), defaults; got != want {
		t.Errorf("Settings %+v, want %+v", got, want)
	}
	if got, want := zonesOf(t, b), []string{"example.org.", "example.net."}; !slices.Equal(got, want) {
		t.Errorf("Zones %q, want %q", got, want)
	}
	if b.groups[0].fall.Through("www.example.org.") {
		t.Error("Falls through without fallthrough")
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
		if diff := cmp.Diff(want, primariesOf(b.groups[0].engine)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestStockCorefileWorksAfterRenaming(t *testing.T) {
	b := mustParse(t, "secondaryplus example.org {\n    transfer from 10.0.1.1 10.0.1.2\n}")
	if got, want := zonesOf(t, b), []string{"example.org."}; !slices.Equal(got, want) {
		t.Errorf("Zones %q, want %q", got, want)
	}
	if got, want := primariesOf(b.groups[0].engine), []string{"10.0.1.1:53", "10.0.1.2:53"}; !slices.Equal(got, want) {
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
		g := mustParse(t, inBlock("allow_notify "+tt.words)).groups[0].engine
		contains := func(addr string) bool {
			return slices.ContainsFunc(g.AllowNotify, func(s engine.NotifySource) bool {
				return s.Key == nil && s.Contains(netip.MustParseAddr(addr))
			})
		}
		if !contains(tt.in) || contains(tt.out) {
			t.Errorf("%s: %s %v, %s %v, want true and false", tt.words, tt.in, contains(tt.in), tt.out, contains(tt.out))
		}
	}
}

func TestAllowNotifyKeyIsOfItsOwnLine(t *testing.T) {
	g := mustParse(t, inBlock("allow_notify 192.0.2.7 192.0.2.8 key k\nallow_notify 192.0.2.9\nkey k hmac-sha256 SECRET")).groups[0]
	want := []bool{true, true, false}
	for i, s := range g.engine.AllowNotify {
		if s.Range != netipx.MustParseIPRange([]string{"192.0.2.7-192.0.2.7", "192.0.2.8-192.0.2.8", "192.0.2.9-192.0.2.9"}[i]) {
			t.Errorf("Source %d is %v", i, s.Range)
		}
		if got := s.Key.Equal(g.keys[0]); got != want[i] {
			t.Errorf("Source %d has the key: %v, want %v", i, got, want[i])
		}
	}
	if len(g.engine.AllowNotify) != 3 {
		t.Errorf("%d sources, want 3", len(g.engine.AllowNotify))
	}
}

func TestValues(t *testing.T) {
	minute := refresh.Clamp{Min: time.Minute, Max: 2 * time.Hour}
	tests := map[string]func(*engine.Group, engine.Settings) bool{
		"max_records 1":         func(g *engine.Group, _ engine.Settings) bool { return g.MaxRecords == 1 },
		"max_records 3000000":   func(g *engine.Group, _ engine.Settings) bool { return g.MaxRecords == 3_000_000 },
		"max_records unlimited": func(g *engine.Group, _ engine.Settings) bool { return g.MaxRecords == 0 },
		"max_size 1":            func(g *engine.Group, _ engine.Settings) bool { return g.MaxSize == 1 },
		"max_size 3K":           func(g *engine.Group, _ engine.Settings) bool { return g.MaxSize == 3<<10 },
		"max_size 3M":           func(g *engine.Group, _ engine.Settings) bool { return g.MaxSize == 3<<20 },
		"max_size 1024G":        func(g *engine.Group, _ engine.Settings) bool { return g.MaxSize == 1<<40 },
		"serial_zero accept":    func(g *engine.Group, _ engine.Settings) bool { return g.SerialZero },
		"serial_zero stop":      func(g *engine.Group, _ engine.Settings) bool { return !g.SerialZero },
		"refresh 60 2h":         func(g *engine.Group, _ engine.Settings) bool { return g.Refresh == minute },
		"retry 1m 120m":         func(g *engine.Group, _ engine.Settings) bool { return g.Retry == minute },
		"expire 60s 7200":       func(g *engine.Group, _ engine.Settings) bool { return g.Expire == minute },
		"retry 60 60":           func(g *engine.Group, _ engine.Settings) bool { return g.Retry.Min == g.Retry.Max },
		"refresh 1 4294967295":  func(g *engine.Group, _ engine.Settings) bool { return g.Refresh.Max == maxSOATimer },
		"transfer_memory 300M":  func(_ *engine.Group, s engine.Settings) bool { return s.TransferMemory == 300<<20 },
		"transfers_in 30": func(_ *engine.Group, s engine.Settings) bool {
			return s.TransfersIn == 30 && s.TransfersPerPrimary == 4 && s.SOARate == 50
		},
		"transfers_in 3": func(_ *engine.Group, s engine.Settings) bool { return s.TransfersIn == 3 && s.TransfersPerPrimary == 3 },
		"transfers_in 30 30": func(_ *engine.Group, s engine.Settings) bool {
			return s.TransfersIn == 30 && s.TransfersPerPrimary == 30
		},
		"soa_rate 1": func(_ *engine.Group, s engine.Settings) bool { return s.SOARate == 1 && s.TransfersIn == 20 },
	}
	for text, right := range tests {
		b := mustParse(t, inBlock(text))
		if !right(b.groups[0].engine, b.settings.engine()) {
			t.Errorf("%s: %+v, %+v", text, b.groups[0].engine, b.settings.engine())
		}
	}
}

func TestFallthrough(t *testing.T) {
	all := mustParse(t, inBlock("fallthrough")).groups[0].fall
	if !all.Through("www.example.org.") {
		t.Error("fallthrough without zones does not fall through")
	}
	one := mustParse(t, inBlock("fallthrough sub.example.org")).groups[0].fall
	if !one.Through("www.sub.example.org.") || one.Through("www.example.org.") {
		t.Errorf("fallthrough sub.example.org covers %q", one.Zones)
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
	c := caddy.NewTestController("dns", "secondaryplus {\nprimary 192.0.2.1\n}")
	c.ServerBlockKeys = []string{"dns://example.org.:53", "tls://example.org.:853"}
	b, err := parse(c)
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
	if len(b.groups) != 2 {
		t.Fatalf("%d groups, want 2", len(b.groups))
	}
	if got := b.groups[1].engine.Primaries[0].Key.Algorithm().String(); got != "hmac-sha512" {
		t.Errorf("The key of the second group is %s: the first one's", got)
	}
	if got, want := b.settings.engine(), (engine.Settings{TransfersIn: 7, TransfersPerPrimary: 4, TransferMemory: 1 << 30, SOARate: 9, Store: inWorkingDirectory(t), Faults: engine.DefaultSettings.Faults}); got != want {
		t.Errorf("Settings %+v, want %+v", got, want)
	}
	if got := b.groups[1].pos.String(); got != "Testfile:6" {
		t.Errorf("The second group is at %s, want Testfile:6", got)
	}
	all, err := b.origins()
	if err != nil || len(all) != 3 || all[2].name != "c.test." || all[2].group != &b.groups[1] {
		t.Errorf("Zones %v, error %v", all, err)
	}
}

// inWorkingDirectory returns where the store is if no option names it.
func inWorkingDirectory(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("secondaryplus.db")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSettingsOfBlocksMerge(t *testing.T) {
	one := mustParse(t, inBlock("transfers_in 7")).settings
	two := mustParse(t, inBlock("\nsoa_rate 9")).settings
	three := mustParse(t, inBlock("\n\ntransfers_in 8")).settings
	both, err := one.merge(two)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := both.engine(), (engine.Settings{TransfersIn: 7, TransfersPerPrimary: 4, TransferMemory: 1 << 30, SOARate: 9, Store: inWorkingDirectory(t), Faults: engine.DefaultSettings.Faults}); got != want {
		t.Errorf("Merged %+v, want %+v", got, want)
	}
	_, err = both.merge(three)
	want := "Testfile:5 - Error during parsing: transfers_in differs from the one at Testfile:3; want one value, it is for the whole process"
	if err == nil || err.Error() != want {
		t.Errorf("Merging two values: %v, want %s", err, want)
	}
}

func TestWeakKeysAreWarnedOf(t *testing.T) {
	b := mustParse(t, inBlock("key a hmac-md5 SECRET\nkey b hmac-sha256 MTIzNDU2Nzg5MDEyMzQ1\nkey c hmac-sha256 MTIzNDU2Nzg5MDEyMzQ1Ng=="))
	want := []string{
		"Testfile:3: key a. is hmac-md5, which RFC 8945 §6 keeps for old servers only; hmac-sha256 is better",
		"Testfile:4: key b. has 120 bits; at least 128 are better",
	}
	if diff := cmp.Diff(want, b.warnings); diff != "" {
		t.Errorf("Warnings (-want +got):\n%s", diff)
	}
}

func TestSameKeyTwiceIsHarmless(t *testing.T) {
	g := mustParse(t, inBlock("key a hmac-sha256 SECRET\nkey A. HMAC-SHA256 SECRET")).groups[0]
	if len(g.keys) != 1 {
		t.Errorf("%d keys, want 1", len(g.keys))
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
	if k := b.groups[0].engine.AllowNotify[0].Key; k == nil || k.Secret() != testSecret {
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
	_, err := parse(caddy.NewTestController("dns", "secondaryplus {\nprimary 192.0.2.1\n}"))
	if err == nil || !strings.Contains(err.Error(), "Testfile:1 - Error during parsing: secondaryplus without a zone; want secondaryplus ZONES...") {
		t.Errorf("Error %v", err)
	}
}

func TestErrorOfAnImportedFileNamesIt(t *testing.T) {
	imported := write(t, t.TempDir(), "limits", "\nmax_records ten\n")
	corefile := "example.org {\n secondaryplus {\n primary 192.0.2.1\n import " + imported + "\n }\n}\n"
	blocks, err := caddyfile.Parse("Corefile", strings.NewReader(corefile), nil)
	if err != nil {
		t.Fatal(err)
	}
	c := caddy.NewTestController("dns", "")
	c.Dispenser = caddyfile.NewDispenserTokens("Corefile", blocks[0].Tokens[directiveName])
	c.ServerBlockKeys = blocks[0].Keys
	_, err = parse(c)
	want := imported + `:2 - Error during parsing: max_records "ten"`
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Error %v, want %s", err, want)
	}
}
