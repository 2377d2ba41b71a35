package corefile

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/notify"
)

func TestSecondariesToNotify(t *testing.T) {
	b, err := parseText(inBlock("notify 192.0.2.7 [2001:db8::7]:5353 key down\nnotify 192.0.2.8:54 source 192.0.2.2\n" +
		"key down hmac-sha256 SECRET\nnotify_delay 5s"))
	if err != nil {
		t.Fatal(err)
	}
	g := b.Groups[0]
	if len(g.Keys) != 1 {
		t.Fatalf("%d keys", len(g.Keys))
	}
	want := []notify.Target{
		{Addr: netip.MustParseAddrPort("192.0.2.7:53"), Key: g.Keys[0], Delay: 5 * time.Second},
		{Addr: netip.MustParseAddrPort("[2001:db8::7]:5353"), Key: g.Keys[0], Delay: 5 * time.Second},
		{Addr: netip.MustParseAddrPort("192.0.2.8:54"), Source: netip.MustParseAddr("192.0.2.2"), Delay: 5 * time.Second},
	}
	if len(g.Notify) != len(want) {
		t.Fatalf("Secondaries %v; want %v", g.Notify, want)
	}
	for i, w := range want {
		if !g.Notify[i].Equal(w) {
			t.Errorf("Secondary %+v; want %+v", g.Notify[i], w)
		}
	}
	if len(b.Warnings) != 0 {
		t.Errorf("Warnings %q", b.Warnings)
	}
}

func TestNotifyDelay(t *testing.T) {
	for word, want := range map[string]time.Duration{"0s": 0, "0": 0, "1s": time.Second, "90": 90 * time.Second, "1h": time.Hour} {
		b, err := parseText(inBlock("notify_delay " + word + "\nnotify 192.0.2.7"))
		if err != nil || b.Groups[0].Notify[0].Delay != want {
			t.Errorf("%s: %v, error %v", word, b.Groups[0].Notify, err)
		}
	}
}

// A primary has what it would be told of: that is accepted, for a line may be the same everywhere, and said.
func TestPrimaryToNotifyIsWarnedOf(t *testing.T) {
	b, err := parseText(inBlock("notify 192.0.2.1 192.0.2.7"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "Testfile:3: notify 192.0.2.1:53: this is a primary"; len(b.Warnings) != 1 || !strings.HasPrefix(b.Warnings[0], want) {
		t.Errorf("Warnings %q; want %s", b.Warnings, want)
	}
}
