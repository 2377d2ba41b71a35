package corefile

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestStoreOption(t *testing.T) {
	root, here := t.TempDir(), t.TempDir()
	t.Chdir(here)
	for text, want := range map[string]string{
		"":                                  filepath.Join(here, "secondaryplus.db"), // also with a root
		"store off":                         "",
		"store zones.db":                    filepath.Join(root, "zones.db"),
		"store ./sub/../zones.db":           filepath.Join(root, "zones.db"),
		"store " + here + "/zones.db":       filepath.Join(here, "zones.db"),
		"store \"" + here + "/with space\"": filepath.Join(here, "with space"),
		"store OFF":                         filepath.Join(root, "OFF"), // a word of the Corefile is lower case
	} {
		b, err := parseTextIn(root, inBlock(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := b.Settings.Store; got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	if b, err := parseTextIn("", inBlock("store zones.db")); err != nil || b.Settings.Store != filepath.Join(here, "zones.db") {
		t.Errorf("Without a root: %q, %v", b.Settings.Store, err)
	}
}

func TestWrongStoreOption(t *testing.T) {
	root := t.TempDir()
	t.Chdir(root)
	write(t, root, "file", "")
	directive := func(zone, option string) string {
		return "secondaryplus " + zone + " {\nprimary 192.0.2.1\n" + option + "\n}\n"
	}
	for text, want := range map[string]string{
		inBlock("store"):                  `3: store "": want store FILE | off`,
		inBlock("store a b"):              `3: store "a b": want store FILE | off`,
		inBlock("store off off"):          `3: store "off off": want store FILE | off`,
		inBlock("store a.db\nstore a.db"): "4: store is already given at Testfile:3; want it once in a directive",
		inBlock("store " + root):          `3: store "` + root + `": want a file, which is made if it is not there; this is a directory`,
		inBlock("store ."):                `3: store ".": want a file, which is made if it is not there; this is a directory`,
		inBlock("store none/zones.db"):    `3: store "none/zones.db": want a file in a directory that exists; make ` + root + `/none first`,
		inBlock("store file/zones.db"):    `3: store "file/zones.db": want a file in a directory that exists; make ` + root + `/file first`,
		inBlock(`store ""`):               `3: store "": want a file`,
		directive("a.test", "store a.db") + directive("b.test", "store b.db"): "7: store differs from the one at Testfile:3; want one value",
		directive("a.test", "store off") + directive("b.test", "store b.db"):  "7: store differs from the one at Testfile:3; want one value",
		directive("a.test", "store off") + directive("b.test", "store OFF"):   "7: store differs from the one at Testfile:3; want one value",
	} {
		line, rest, _ := strings.Cut(want, ": ")
		want = "Testfile:" + line + " - Error during parsing: " + rest
		if _, err := parseText(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nerror %v\nwant  %s", text, err, want)
		}
	}
	for _, text := range []string{
		directive("a.test", "store a.db") + directive("b.test", "store ./a.db") + directive("c.test", ""),
		directive("a.test", "") + directive("b.test", "store off"),
	} {
		if _, err := parseText(text); err != nil {
			t.Errorf("%s\nis refused: %v", text, err)
		}
	}
}
