package wire_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// name returns the wire form of s.
func name(tb testing.TB, s string) wire.Name {
	tb.Helper()
	n, err := wire.ParseName(s)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// drawLabel draws a label from few octets, so that labels are often equal, prefixes of each other or differ in case only.
func drawLabel(t *rapid.T) []byte {
	octets := []byte{0x00, 0x01, 0x02, '*', '.', '\\', 'A', 'Z', 'a', 'z', '[', 0x80, 0xFF}
	label := rapid.SliceOfN(rapid.SampledFrom(octets), 1, 3)
	long := rapid.SliceOfN(rapid.Byte(), 50, 63)
	if rapid.IntRange(0, 9).Draw(t, "kind of label") == 0 {
		return long.Draw(t, "long label")
	}
	return label.Draw(t, "label")
}

// drawName draws a name below base of up to six labels, or fewer where the name would get too long.
func drawName(t *rapid.T, base wire.Name) wire.Name {
	n := base
	for range rapid.IntRange(0, 6).Draw(t, "labels") {
		label := drawLabel(t)
		if 1+len(label)+len(n) > wire.MaxName {
			break
		}
		n = append(append(wire.Name{byte(len(label))}, label...), n...)
	}
	return n
}

// labels returns the labels of n in lower case, the one nearest to the root first.
func labels(n wire.Name) [][]byte {
	var list [][]byte
	for len(n) > 1 {
		end := 1 + int(n[0])
		list = append([][]byte{wire.AppendLower(nil, n[1:end])}, list...)
		n = n[end:]
	}
	return list
}

func TestParseNameKeepsCaseAndEscapes(t *testing.T) {
	for s, want := range map[string]string{
		".":                  "\x00",
		"Example.COM":        "\x07Example\x03COM\x00",
		"example.com.":       "\x07example\x03com\x00",
		`a\.b.c.`:            "\x03a.b\x01c\x00",
		`\001\255.x`:         "\x02\x01\xff\x01x\x00",
		`a\\.`:               "\x02a\\\x00",
		"*.wild.":            "\x01*\x04wild\x00",
		`sp\032ace\000.test`: "\x07sp ace\x00\x04test\x00",
	} {
		n, err := wire.ParseName(s)
		if err != nil || string(n) != want {
			t.Errorf("ParseName(%q) = %q, %v; want %q", s, n, err, want)
		}
	}
}

func TestParseNameRefusesWhatIsNoName(t *testing.T) {
	label := strings.Repeat("a", 63) + "."
	for _, s := range []string{
		"", "..", ".a", "a..b", strings.Repeat("a", 64), `a\`,
		strings.Repeat(label, 3) + strings.Repeat("b", 62) + ".", // 256 octets
	} {
		if n, err := wire.ParseName(s); !errors.Is(err, wire.ErrName) {
			t.Errorf("ParseName(%q) = %q, %v; want ErrName", s, n, err)
		}
	}
	longest := strings.Repeat(label, 3) + strings.Repeat("b", 61) + "."
	if n, err := wire.ParseName(longest); err != nil || len(n) != wire.MaxName {
		t.Errorf("a name of %d octets: %v", len(n), err)
	}
}

func TestNameStringParsesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := drawName(t, wire.Name{0})
		back, err := wire.ParseName(n.String())
		if err != nil || !bytes.Equal(back, n) {
			t.Fatalf("%q: String %q parses as %q, %v", []byte(n), n.String(), []byte(back), err)
		}
		if dns.CountLabel(n.String()) != n.Labels() {
			t.Fatalf("%s has %d labels, not %d", n, dns.CountLabel(n.String()), n.Labels())
		}
	})
	if s := (wire.Name{5, 'a'}).String(); !strings.Contains(s, "malformed") {
		t.Errorf("a name that is cut off is %q", s)
	}
}

func TestNameEqualIgnoresCaseOfLettersOnly(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"Example.Com.", "eXAMPLE.cOM.", true},
		{".", ".", true},
		{"a.", "b.", false},
		{"a.", "a.b.", false},
		{"@.", "`.", false}, // the octets beside A and a, and beside Z and z
		{"[.", "{.", false},
		{`\193.`, `\225.`, false}, // RFC 4343 §3: only ASCII letters have case
	} {
		if got := name(t, c.a).Equal(name(t, c.b)); got != c.want {
			t.Errorf("%s equal %s: %v", c.a, c.b, got)
		}
	}
}

func TestNameWithinEndsAtLabels(t *testing.T) {
	for _, c := range []struct {
		n, origin string
		want      bool
	}{
		{"www.Example.com.", "example.COM.", true},
		{"example.com.", "example.com.", true},
		{"com.", ".", true},
		{".", ".", true},
		{"notexample.com.", "example.com.", false},
		{"com.", "example.com.", false},
		{`x\007example.com.`, "example.com.", false}, // the octets of the origin, but inside a label
	} {
		if got := name(t, c.n).Within(name(t, c.origin)); got != c.want {
			t.Errorf("%s within %s: %v", c.n, c.origin, got)
		}
	}
}

func TestCloneOutlivesItsMessage(t *testing.T) {
	buf := []byte("\x01a\x00")
	n := wire.Name(buf)
	kept := n.Clone()
	buf[1] = 'b'
	if kept.String() != "a." {
		t.Errorf("clone is %s", kept)
	}
}
