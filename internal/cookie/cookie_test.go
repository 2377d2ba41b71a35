package cookie

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The test vectors of RFC 9018 appendix A: what a server of another make answers.
func TestRFC9018Vectors(t *testing.T) {
	const (
		first  = "e5e973e5a6b2a43f48e7dc849e37bfcf"
		second = "445536bcd2513298075a5d379663c962"
	)
	for _, c := range []struct {
		name, secret, from string
		query, answer      string
		at                 int64
		state              State
	}{
		{"A.1 learning a cookie", first, "198.51.100.100", "2464c4abcf10c957", "2464c4abcf10c957010000005cf79f111f8130c3eee29480", 1559731985, Unproven},
		{"A.2 the same, 40 minutes later", first, "198.51.100.100", "2464c4abcf10c957010000005cf79f111f8130c3eee29480",
			"2464c4abcf10c957010000005cf7a871d4a564a1442aca77", 1559734385, Valid},
		{"A.3 from another address", first, "203.0.113.203", "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5",
			"fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e", 1559734700, Unproven}, // it is older than an hour by then
		{"A.4 with the secret changed, IPv6", second, "2001:db8:220:1:59de:d0f4:8769:82b8", "22681ab97d52c298010000005cf7c57926556bd0934c72f8",
			"22681ab97d52c298010000005cf7c609a6bb79d16625507a", 1559741961, Valid},
	} {
		s := Secrets{Secret(unhex(t, c.secret))}
		if c.name[:3] == "A.4" { // the query's cookie was made with the secret before
			s = append(s, Secret(unhex(t, "dd3bdf9344b678b185a6f5cb60fca715")))
		}
		query, from, now := unhex(t, c.query), netip.MustParseAddr(c.from), time.Unix(c.at, 0)
		if got := s.Check(query, from, now); got != c.state {
			t.Errorf("%s: state %d, want %d", c.name, got, c.state)
		}
		if got := hex.EncodeToString(s.Append(nil, query, c.state, from, now)); got != c.answer {
			t.Errorf("%s: answer\n%s, want\n%s", c.name, got, c.answer)
		}
	}
}

func TestCheck(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	from := netip.MustParseAddr("192.0.2.1")
	s := Random()
	good := s.Append(nil, []byte("client 8"), Unproven, from, now)
	if len(good) != Len || s.Check(good, from, now) != Fresh {
		t.Fatalf("Our own cookie %x is not valid", good)
	}
	if got := s.Check(good, netip.MustParseAddr("::ffff:192.0.2.1"), now); got != Fresh {
		t.Errorf("The same address mapped into IPv6: %d", got)
	}
	for i := range good {
		bad := slices.Clone(good)
		bad[i] ^= 1
		if s.Check(bad, from, now).Proven() {
			t.Errorf("Valid with a changed octet %d", i)
		}
	}
	for what, got := range map[string]State{
		"another address":                   s.Check(good, netip.MustParseAddr("192.0.2.2"), now),
		"another secret":                    Random().Check(good, from, now),
		"no secret":                         Secrets{}.Check(good, from, now),
		"an hour and more":                  s.Check(good, from, now.Add(maxAge+time.Second)),
		"far in the future":                 s.Check(good, from, now.Add(-maxAhead-time.Second)),
		"client only":                       s.Check(good[:ClientLen], from, now),
		"a server cookie of another length": s.Check(append(slices.Clone(good), 0), from, now),
		"the longest":                       s.Check(make([]byte, ClientLen+maxServerLen), from, now),
		"the shortest":                      s.Check(make([]byte, ClientLen+minServerLen), from, now),
	} {
		if got != Unproven {
			t.Errorf("%s: state %d, want Unproven", what, got)
		}
	}
	for _, n := range []int{0, 1, 7, 9, 15, 41, 100} { // RFC 7873 §5.2.2
		if got := s.Check(make([]byte, n), from, now); got != Malformed {
			t.Errorf("%d octets: state %d, want Malformed", n, got)
		}
	}
}

// The hash covers the reserved octets, as they came (RFC 9018 appendix A.3).
func TestReservedOctets(t *testing.T) {
	s := Secrets{Secret(unhex(t, "e5e973e5a6b2a43f48e7dc849e37bfcf"))}
	option := unhex(t, "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5")
	if got := s.Check(option, netip.MustParseAddr("203.0.113.203"), time.Unix(1559727985, 0)); got != Fresh {
		t.Errorf("State %d, want Fresh", got)
	}
}

// A cookie that is valid and young comes back as it was; an older one is replaced.
func TestRenewal(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	from := netip.MustParseAddr("2001:db8::1")
	s := Random()
	made := s.Append(nil, []byte("client 8"), Unproven, from, now)
	young, old := now.Add(renewAge-time.Second), now.Add(renewAge)
	if again := s.Append(nil, made, s.Check(made, from, young), from, young); !bytes.Equal(again, made) {
		t.Errorf("A young cookie is replaced: %x, %x", made, again)
	}
	again := s.Append(nil, made, s.Check(made, from, old), from, old)
	if bytes.Equal(again, made) || s.Check(again, from, old) != Fresh {
		t.Errorf("An old cookie is not replaced by a valid one: %x", again)
	}
}

// Times outlive the 32 bits that a cookie has for them.
func TestTimeWraps(t *testing.T) {
	from, s := netip.MustParseAddr("192.0.2.1"), Random()
	before, after := time.Unix(1<<32-10, 0), time.Unix(1<<32+10, 0)
	if got := s.Check(s.Append(nil, make([]byte, 8), Unproven, from, before), from, after); got != Fresh {
		t.Errorf("State %d, want Fresh", got)
	}
}

// Rotation without a gap: the new secret makes cookies while the old one still checks them.
func TestRotation(t *testing.T) {
	now, from := time.Unix(1_800_000_000, 0), netip.MustParseAddr("192.0.2.1")
	old, next := Random(), Random()
	made := old.Append(nil, make([]byte, 8), Unproven, from, now)
	both := Secrets{next[0], old[0]}
	if both.Check(made, from, now) != Valid {
		t.Error("A cookie of the secret before is not valid")
	}
	if made := both.Append(nil, make([]byte, 8), Unproven, from, now); next.Check(made, from, now) != Fresh {
		t.Error("The first secret does not make the cookies")
	}
}

func TestParse(t *testing.T) {
	const a, b = "e5e973e5a6b2a43f48e7dc849e37bfcf", "DD3BDF9344B678B185A6F5CB60FCA715"
	for text, want := range map[string]int{
		a: 1, a + "\n": 1, a + "\r\n" + b: 2, "# the fleet's\n\n " + a + " # now\n" + b + "\n": 2,
		"": 0, "# none": 0, a[1:]: 0, a + "0": 0, "g" + a[1:]: 0, a + "\n" + b + "\n" + a: 0, "secret: " + a: 0,
	} {
		got, err := Parse(text)
		if len(got) != want || (err != nil) != (want == 0) {
			t.Errorf("%q: %d secrets, %v", text, len(got), err)
		}
		if err != nil && strings.Contains(err.Error(), a[1:]) {
			t.Errorf("The error holds the secret: %v", err)
		}
	}
	if got, _ := Parse(a + "\n" + b); got[0] != Secret(unhex(t, a)) {
		t.Error("The first line is not the first secret")
	}
}

func FuzzCheck(f *testing.F) {
	now, from := time.Unix(1_800_000_000, 0), netip.MustParseAddr("192.0.2.1")
	s := Random()
	f.Add([]byte{}, 0)
	f.Add(s.Append(nil, make([]byte, 8), Unproven, from, now), 100)
	f.Fuzz(func(t *testing.T, option []byte, later int) {
		now := now.Add(time.Duration(later%10000) * time.Second)
		state := s.Check(option, from, now)
		if malformed := len(option) != 8 && (len(option) < 16 || len(option) > 40); malformed != (state == Malformed) {
			t.Fatalf("%x: state %d", option, state)
		}
		if state == Malformed {
			return
		}
		if answer := s.Append(nil, option, state, from, now); s.Check(answer, from, now) != Fresh || !bytes.HasPrefix(answer, option[:8]) {
			t.Fatalf("%x: answer %x is not valid", option, answer)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	now, from := time.Unix(1_800_000_000, 0), netip.MustParseAddr("192.0.2.1")
	s := Random()
	option := s.Append(nil, make([]byte, 8), Unproven, from, now)
	buf := make([]byte, 0, Len)
	b.ReportAllocs()
	for b.Loop() {
		s.Append(buf, option, s.Check(option, from, now), from, now)
	}
}
