package wire_test

import (
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// RFC 7314 §3: four octets; RFC 6891 §6.1.2: options stand one behind the other.
func TestParseExpire(t *testing.T) {
	for options, want := range map[string]wire.Expire{
		"":                                     {},
		"\x00\x09\x00\x04\x00\x01\x00\x02":     {Told: true, Seconds: 65538},
		"\x00\x09\x00\x04\x00\x00\x00\x00":     {Told: true},
		"\x00\x09\x00\x00":                     {},
		"\x00\x09\x00\x03\x00\x00\x01":         {},
		"\x00\x09\x00\x05\x00\x00\x01\x00\x00": {},
		"\x00\x09\x00\x04\x00\x00\x01":         {},
		"\x00\x09\x00":                         {},
		"\x00\x0a\x00\x02ab\x00\x09\x00\x04\x00\x00\x00\x07": {Told: true, Seconds: 7},
		"\x00\x0a\x00\xffab\x00\x09\x00\x04\x00\x00\x00\x07": {},
		"\x01\x09\x00\x04\x00\x00\x00\x07":                   {},
	} {
		if got := wire.ParseExpire([]byte(options)); got != want {
			t.Errorf("%q: %+v; want %+v", options, got, want)
		}
	}
	if got := wire.ParseExpire(wire.AppendExpire(nil, 1<<32-2)); got != (wire.Expire{Told: true, Seconds: 1<<32 - 2}) {
		t.Errorf("Written and read: %+v", got)
	}
}
