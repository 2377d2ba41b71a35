package secondaryplus

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coredns/caddy"
	"github.com/coredns/caddy/caddyfile"
	"github.com/coredns/coredns/core/dnsserver"

	"github.com/secondaryplus/secondaryplus/internal/corefile"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
	"github.com/secondaryplus/secondaryplus/internal/wire"
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

// What options say comes to the engine, and without any its own defaults.
func TestEngineGetsWhatOptionsSay(t *testing.T) {
	b := mustParse(t, inBlock("store off"))
	if got := processSettings(&b.Settings); got.Settings != engine.DefaultSettings {
		t.Errorf("Settings %+v, want %+v", got.Settings, engine.DefaultSettings)
	}
	b = mustParse(t, inBlock("max_records 1\nmax_size 2\nmax_rrset 3\nmax_types 4\nconflicts off\nserial_zero accept\nrefresh 60 61\nretry 62 63\n"+
		"expire 64 65\nkey k hmac-sha256 SECRET\nallow_notify 192.0.2.7 key k\ntransfers_in 9 8\ntransfer_memory 7M\nsoa_rate 6\nstore /tmp/zones.db\n"+
		"fault_notify generic+https://sms.example.net/\nfault_after 5\nfault_every 4"))
	g := b.groups[0].engine
	for i, field := range []bool{
		g.MaxRecords == 1, g.MaxSize == 2, g.MaxRRset == 3, g.MaxTypes == 4, g.Conflicts == rules.ConflictsOff, g.SerialZero,
		g.Refresh == (refresh.Clamp{Min: 60e9, Max: 61e9}), g.Retry == (refresh.Clamp{Min: 62e9, Max: 63e9}), g.Expire == (refresh.Clamp{Min: 64e9, Max: 65e9}),
		len(g.Primaries) == 1, len(g.AllowNotify) == 1 && g.AllowNotify[0].Key == b.groups[0].Keys[0],
	} {
		if !field {
			t.Errorf("Field %d of group %+v", i, g)
		}
	}
	want := secondary.Settings{
		Settings: engine.Settings{TransfersIn: 9, TransfersPerPrimary: 8, TransferMemory: 7 << 20, SOARate: 6}, Store: "/tmp/zones.db",
		Faults: secondary.FaultSettings{URLs: "generic+https://sms.example.net/", After: 5e9, Every: 4e9},
	}
	if got := processSettings(&b.Settings); got != want {
		t.Errorf("Settings %+v, want %+v", got, want)
	}
}

func TestFallthroughOfSomeZones(t *testing.T) {
	for text, want := range map[string]string{"": "", "fallthrough": "sub other", "fallthrough sub.example.org": "sub"} {
		g, got := mustParse(t, inBlock(text)).groups[0], []string{}
		for _, label := range []string{"sub", "other"} {
			name, err := wire.ParseName("www." + label + ".example.org.")
			if err != nil {
				t.Fatal(err)
			}
			if g.fallsThrough(name) {
				got = append(got, label)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q fall through, want %q", text, got, want)
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

func TestErrorOfAnImportedFileNamesIt(t *testing.T) {
	imported := write(t, t.TempDir(), "limits", "\nmax_records ten\n")
	text := "example.org {\n secondaryplus {\n primary 192.0.2.1\n import " + imported + "\n }\n}\n"
	blocks, err := caddyfile.Parse("Corefile", strings.NewReader(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	c := caddy.NewTestController("dns", "")
	c.Dispenser = caddyfile.NewDispenserTokens("Corefile", blocks[0].Tokens[corefile.Name])
	c.ServerBlockKeys = blocks[0].Keys
	_, err = parse(c)
	want := imported + `:2 - Error during parsing: max_records "ten"`
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Error %v, want %s", err, want)
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
