package wire_test

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// key returns the key of n below origin.
func key(tb rapid.TB, n, origin wire.Name) []byte {
	tb.Helper()
	k, ok := wire.AppendKey(nil, n, origin)
	if !ok {
		tb.Fatalf("%s is not within %s", n, origin)
	}
	return k
}

// compareNames is RFC 4034 §6.1 to the letter: labels from the root outward, as octets in lower case, absent ones first.
func compareNames(a, b wire.Name) int { return slices.CompareFunc(labels(a), labels(b), bytes.Compare) }

// drawPair draws an origin and two names below it that often share labels.
func drawPair(t *rapid.T) (origin, a, b wire.Name) {
	origin = drawName(t, wire.Name{0})
	common := drawName(t, origin)
	return origin, drawName(t, common), drawName(t, common)
}

func TestKeysOfRFC4034Example(t *testing.T) {
	// RFC 4034 §6.1, in order.
	list := []string{
		"example", "a.example", "yljkjljk.a.example", "Z.a.example", "zABC.a.EXAMPLE", "z.example", `\001.z.example`,
		"*.z.example", `\200.z.example`,
	}
	for _, origin := range []string{".", "example."} {
		for i := range list[1:] {
			before, after := name(t, list[i]), name(t, list[i+1])
			if bytes.Compare(key(t, before, name(t, origin)), key(t, after, name(t, origin))) >= 0 {
				t.Errorf("below %s, %s does not sort before %s", origin, before, after)
			}
		}
	}
}

func TestKeyOrderIsCanonicalOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		origin, a, b := drawPair(t)
		got, want := bytes.Compare(key(t, a, origin), key(t, b, origin)), compareNames(a, b)
		if got != want {
			t.Fatalf("keys of %s and %s compare %d, names %d", a, b, got, want)
		}
		if (got == 0) != a.Equal(b) {
			t.Fatalf("keys of %s and %s compare %d, Equal is %v", a, b, got, a.Equal(b))
		}
	})
}

func TestKeyNameIsTheNameInLowerCase(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		origin, a, _ := drawPair(t)
		k := key(t, a, origin)
		below := a[:len(a)-len(origin)]
		want := append(wire.AppendLower(nil, below), origin...)
		if got := wire.AppendKeyName(nil, k, origin); !bytes.Equal(got, want) {
			t.Fatalf("key %x of %s is the key of %s", k, a, got)
		}
		if len(k) > wire.MaxKey {
			t.Fatalf("key of %d octets", len(k))
		}
		if n := wire.KeyNameLen(k, len(origin)); n != len(a) {
			t.Fatalf("key %x is of a name of %d octets, not %d", k, n, len(a))
		}
		if wire.KeyLabels(k) != a.Labels()-origin.Labels() {
			t.Fatalf("key of %s below %s has %d labels", a, origin, wire.KeyLabels(k))
		}
	})
}

func TestKeyAppends(t *testing.T) {
	k, ok := wire.AppendKey([]byte("before"), name(t, "B.a.test."), name(t, "test."))
	if !ok || string(k) != "beforea\x00b\x00" {
		t.Errorf("key %q, %v", k, ok)
	}
	n := wire.AppendKeyName([]byte("before"), k[len("before"):], name(t, "test."))
	if string(n) != "before\x01b\x01a\x04test\x00" {
		t.Errorf("name %q", []byte(n))
	}
}

func TestNameOutsideOriginHasNoKey(t *testing.T) {
	for _, n := range []string{"a.test.", "xexample.test.", "test.", "."} {
		if k, ok := wire.AppendKey([]byte("x"), name(t, n), name(t, "example.test.")); ok || string(k) != "x" {
			t.Errorf("key of %s is %q", n, k)
		}
	}
}

func TestKeyOfAncestorIsPrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		origin, a, b := drawPair(t)
		ka, kb := key(t, a, origin), key(t, b, origin)
		if bytes.HasPrefix(kb, ka) != b.Within(a) {
			t.Fatalf("%s within %s is %v, keys %x %x", b, a, b.Within(a), ka, kb)
		}
	})
}

func TestKeyOfChildAppendsLabel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		origin, parent, _ := drawPair(t)
		label := drawLabel(t)
		if 1+len(label)+len(parent) > wire.MaxName {
			t.Skip("no room for a child")
		}
		child := append(append(wire.Name{byte(len(label))}, label...), parent...)
		if got := wire.AppendKeyLabel(key(t, parent, origin), label); !bytes.Equal(got, key(t, child, origin)) {
			t.Fatalf("key %x for %s", got, child)
		}
	})
}

func TestKeyPrefixIsKeyOfAncestor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		origin, a, _ := drawPair(t)
		k, ancestor := key(t, a, origin), a
		for n := wire.KeyLabels(k); n >= 0; n-- {
			if got := wire.KeyPrefix(k, n); !bytes.Equal(got, key(t, ancestor, origin)) {
				t.Fatalf("%d labels of key %x are %x, not the key of %s", n, k, got, ancestor)
			}
			if n > 0 {
				ancestor = ancestor[1+int(ancestor[0]):]
			}
		}
	})
}

func TestKeyCommonIsKeyOfNearestCommonAncestor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		origin, a, b := drawPair(t)
		shared := 0
		la, lb := labels(a), labels(b)
		for shared < min(len(la), len(lb)) && bytes.Equal(la[shared], lb[shared]) {
			shared++
		}
		ka, kb := key(t, a, origin), key(t, b, origin)
		want := wire.KeyPrefix(ka, shared-origin.Labels())
		if got := wire.KeyCommon(ka, kb); got != len(want) {
			t.Fatalf("%x and %x have %d octets in common, want %d", ka, kb, got, len(want))
		}
	})
}
