package serial_test

import (
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/serial"
)

func TestCompareFollowsRFC1982(t *testing.T) {
	for _, c := range []struct {
		a, b uint32
		want serial.Ordering
	}{
		{0, 0, serial.Equal},
		{1, 0, serial.Greater},
		{0, 1, serial.Lower},
		{0, 1<<32 - 1, serial.Greater}, // 0 follows 2^32-1
		{1<<32 - 1, 0, serial.Lower},
		{1<<31 - 1, 0, serial.Greater}, // the largest defined step
		{1 << 31, 0, serial.Incomparable},
		{0, 1 << 31, serial.Incomparable},
		{1<<31 + 1, 0, serial.Lower},
		{5, 1<<31 + 5, serial.Incomparable},
	} {
		if got := serial.New(c.a).Compare(serial.New(c.b)); got != c.want {
			t.Errorf("Compare(%d, %d) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestAddWraps(t *testing.T) {
	s := serial.New(1<<32 - 1)
	if got := s.Add(1); got != serial.New(0) || !got.Newer(s) {
		t.Errorf("2^32-1 plus 1 = %s, newer %v; want 0, true", got, got.Newer(s))
	}
}
