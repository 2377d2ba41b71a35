package ratelimit

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go4.org/netipx"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
)

var (
	start  = time.Unix(1_800_000_000, 0)
	victim = netip.MustParseAddr("192.0.2.1")
	zone   = []byte("\x07example\x03org\x00")
)

func newLimiter(rate int) *Limiter { return New(Config{Rate: rate, IPv4Bits: 24, IPv6Bits: 56}) }

// flood asks for n answers in the course of a span and counts the verdicts.
func flood(l *Limiter, to netip.Addr, class Class, scope []byte, n int, from time.Time, span time.Duration) (counts [3]int) {
	for i := range n {
		counts[l.Check(to, class, scope, 1, from.Add(span*time.Duration(i)/time.Duration(n)))]++
	}
	return counts
}

// What stays within the rate is never refused, at once or evenly.
func TestWithinTheRate(t *testing.T) {
	for _, rate := range []int{1, 5, 50, 1000} {
		l := newLimiter(rate)
		for s := range 100 {
			at := start.Add(time.Duration(s) * time.Second)
			if c := flood(l, victim, Positive, zone, rate, at, time.Duration(s%2)*time.Second); c[Send] != rate {
				t.Errorf("Rate %d, second %d: %v", rate, s, c)
			}
		}
	}
}

// A flood gets the first answers, then none but truncated ones, every second of those refused; and it owes for DebtSpan.
func TestFlood(t *testing.T) {
	l := newLimiter(50)
	c := flood(l, victim, Positive, zone, 10_000, start, 10*time.Second)
	if c[Send] < 50 || c[Send] > 55 { // 50, and what was paid for while they came
		t.Errorf("%d of 10,000 answers sent", c[Send])
	}
	if d := c[Truncate] - c[Drop]; d < 0 || d > 1 {
		t.Errorf("%d truncated, %d dropped; want every second one truncated", c[Truncate], c[Drop])
	}
	end := start.Add(10 * time.Second)
	if v := l.Check(victim, Positive, zone, 1, end.Add(DebtSpan-time.Second)); v == Send {
		t.Error("The flood is forgotten before DebtSpan is over")
	}
	if v := l.Check(victim, Positive, zone, 1, end.Add(DebtSpan+2*time.Second)); v != Send {
		t.Error("The flood is not forgotten after DebtSpan")
	}
}

// A flood of one kind silences only its own kind, for its own network.
func TestFloodSilencesNobodyElse(t *testing.T) {
	l := newLimiter(10)
	other := []byte("\x05other\x03org\x00")
	for _, c := range Classes() {
		flood(l, victim, c, zone, 1000, start, time.Second)
		now := start.Add(time.Second)
		if v := l.Check(netip.MustParseAddr("192.0.2.200"), c, zone, 1, now); v == Send {
			t.Errorf("%s: another address of the network is answered", c)
		}
		if v := l.Check(netip.MustParseAddr("192.0.3.1"), c, zone, 1, now); v != Send {
			t.Errorf("%s: another network is refused", c)
		}
		if v := l.Check(victim, c, other, 1, now); v != Send {
			t.Errorf("%s: another scope is refused", c)
		}
		if v := l.Check(victim, c, zone, 2, now); v != Send {
			t.Errorf("%s: another type is refused", c)
		}
		for _, later := range Classes()[c+1:] {
			if v := l.Check(victim, later, append([]byte{1}, zone...), 1, now); v != Send {
				t.Errorf("Flood of %s: %s is refused", c, later)
			}
		}
	}
}

func TestNetworks(t *testing.T) {
	l := newLimiter(1)
	for _, c := range []struct {
		first, second string
		same          bool
	}{
		{"192.0.2.0", "192.0.2.255", true}, {"192.0.2.1", "192.0.3.1", false}, {"192.0.2.1", "::ffff:192.0.2.9", true},
		{"2001:db8:0:ff::1", "2001:db8:0:0::2", true}, {"2001:db8:0:100::1", "2001:db8::1", false},
		{"fe80::1%eth0", "fe80::2%eth1", true},
	} {
		first, second := netip.MustParseAddr(c.first), netip.MustParseAddr(c.second)
		scope := []byte(c.first + c.second)
		l.Check(first, NXDomain, scope, 0, start)
		if got := l.Check(second, NXDomain, scope, 0, start) != Send; got != c.same {
			t.Errorf("%s and %s: one network %t, want %t", first, second, got, c.same)
		}
	}
}

func TestExempt(t *testing.T) {
	var b netipx.IPSetBuilder
	b.AddPrefix(netip.MustParsePrefix("198.51.100.0/28"))
	exempt, err := b.IPSet()
	if err != nil {
		t.Fatal(err)
	}
	l := New(Config{Rate: 1, IPv4Bits: 24, IPv6Bits: 56, Exempt: exempt})
	for _, a := range []string{"127.0.0.1", "::1", "::ffff:127.0.0.1", "198.51.100.15", "::ffff:198.51.100.1"} {
		if c := flood(l, netip.MustParseAddr(a), Error, nil, 100, start, 0); c[Send] != 100 {
			t.Errorf("%s is limited: %v", a, c)
		}
	}
	if c := flood(l, netip.MustParseAddr("198.51.100.16"), Error, nil, 100, start, 0); c[Send] != 1 {
		t.Errorf("A neighbor of an exempt network: %v", c)
	}
}

// Accounts that owe much outlast a flood from a million networks.
func TestTableIsBounded(t *testing.T) {
	dnstest.Alone(t)
	l := newLimiter(5)
	flood(l, victim, Positive, zone, 1000, start, time.Second)
	now := start.Add(time.Second)
	for i := range 1_000_000 {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		l.Check(a, Positive, fmt.Append(nil, i), 1, now)
	}
	if v := l.Check(victim, Positive, zone, 1, now); v == Send {
		t.Error("The account that owes most has been given up")
	}
}

func TestRefusalsAreCounted(t *testing.T) {
	l := newLimiter(1)
	if _, first := l.Refused(); first != nil {
		t.Error("An example before any refusal")
	}
	flood(l, victim, Referral, zone, 11, start, 0)
	counts, first := l.Refused()
	if counts[Referral] != 10 || counts[Positive] != 0 {
		t.Errorf("Refused: %v", counts)
	}
	if want := (Refusal{netip.MustParsePrefix("192.0.2.0/24"), Referral}); first == nil || *first != want {
		t.Errorf("Example %v, want %v", first, want)
	}
	if counts, first := l.Refused(); first != nil || counts != nil {
		t.Errorf("Counted twice: %v", counts)
	}
}

// A clock that is set back does not refuse for longer than a debt lasts.
func TestClockSetBack(t *testing.T) {
	l := newLimiter(5)
	l.Check(victim, Positive, zone, 1, start.Add(time.Hour))
	for range 3 {
		l.Check(victim, Positive, zone, 1, start)
	}
	if v := l.Check(victim, Positive, zone, 1, start.Add(DebtSpan+2*time.Second)); v != Send {
		t.Error("Refused after DebtSpan")
	}
}

func TestConcurrentUse(t *testing.T) {
	l := newLimiter(100)
	var wg sync.WaitGroup
	var sent [4]int
	for i := range sent {
		wg.Go(func() {
			for range 1000 {
				if l.Check(victim, Positive, zone, 1, start) == Send {
					sent[i]++
				}
			}
		})
	}
	wg.Wait()
	if n := sent[0] + sent[1] + sent[2] + sent[3]; n != 100 {
		t.Errorf("%d answers sent, want 100", n)
	}
}

func BenchmarkCheck(b *testing.B) {
	l := newLimiter(50)
	b.ReportAllocs()
	now := start
	for i := 0; b.Loop(); i++ {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		now = now.Add(time.Microsecond)
		l.Check(a, Positive, zone, 1, now)
	}
}
