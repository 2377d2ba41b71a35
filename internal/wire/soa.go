package wire

import (
	"encoding/binary"
	"errors"

	"github.com/secondaryplus/secondaryplus/internal/serial"
)

// SOA is the RDATA of a SOA record (RFC 1035 §3.3.13), without the two names. The timers are in seconds as received.
// It is a plain value.
type SOA struct {
	Serial                          serial.Serial
	Refresh, Retry, Expire, Minimum uint32
}

// soaFixed is the length of the five numbers behind the two names.
const soaFixed = 20

// ParseSOA reads uncompressed SOA RDATA.
func ParseSOA(data []byte) (SOA, error) {
	if len(data) < soaFixed+2 {
		return SOA{}, errors.New("SOA RDATA is too short")
	}
	n := data[len(data)-soaFixed:]
	u32 := func(i int) uint32 { return binary.BigEndian.Uint32(n[i:]) }
	return SOA{Serial: serial.New(u32(0)), Refresh: u32(4), Retry: u32(8), Expire: u32(12), Minimum: u32(16)}, nil
}
