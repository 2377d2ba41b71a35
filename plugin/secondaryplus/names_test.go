package secondaryplus

import (
	"bytes"
	"testing"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// anyNames draws names on the wire, of any octets and of ordinary ones.
func anyNames() *rapid.Generator[wire.Name] {
	return rapid.Custom(func(t *rapid.T) wire.Name {
		octet := rapid.Byte()
		if rapid.Bool().Draw(t, "ordinary") {
			octet = rapid.SampledFrom([]byte("abcXYZ019-_*"))
		}
		var n wire.Name
		for _, label := range rapid.SliceOfN(rapid.SliceOfN(octet, 1, 63), 0, 6).Draw(t, "labels") {
			if len(n)+1+len(label)+1 <= wire.MaxName {
				n = append(append(n, byte(len(label))), label...)
			}
		}
		return append(n, 0)
	})
}

func TestNamesAreWrittenAndReadAsByTheLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := anyNames().Draw(t, "name")
		want, _, err := dns.UnpackDomainName(n, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := text(n); got != want {
			t.Fatalf("%q is written %s, want %s", []byte(n), got, want)
		}
		var buf [wire.MaxName + 1]byte
		if back, ok := packName(want, &buf); !ok || !bytes.Equal(back, n) {
			t.Fatalf("%s is read as %q, want %q", want, []byte(back), []byte(n))
		}
	})
}

// FuzzPackName reads anything as a name: what the library takes we take, as the same octets.
func FuzzPackName(f *testing.F) {
	for _, s := range []string{".", "a.", "a", "", "..", "a..b.", `a\.b.`, `\000.`, `\`, "a b.", string(bytes.Repeat([]byte("a."), 127))} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got, want [wire.MaxName + 1]byte
		n, ok := packName(s, &got)
		end, err := dns.PackDomainName(s, want[:], 0, nil, false)
		if ok != (err == nil && end > 0 && end <= wire.MaxName) || ok && !bytes.Equal(n, want[:end]) {
			t.Errorf("%q is read as %q, %v; the library reads %q, %v", s, []byte(n), ok, want[:end], err)
		}
	})
}
