package zone

import (
	"errors"
	"strconv"
	"strings"
)

// DefaultLimits are in force unless a configuration says otherwise.
var DefaultLimits = Limits{Records: 10_000, Size: 256 << 20, RRset: 1000, Types: 100}

// maxSize is the most that ParseSize takes, in octets.
const maxSize = 1 << 40

// WantSize says what ParseSize takes.
const WantSize = "a whole number of bytes, of at least 1 and at most 1024G, with an optional K, M or G, such as 256M"

var errSize = errors.New("not a size")

// ParseSize reads a number of octets with an optional K, M or G (powers of 1024).
func ParseSize(s string) (int64, error) {
	shift := 0
	for i, unit := range []string{"K", "M", "G"} {
		if number, ok := strings.CutSuffix(s, unit); ok {
			s, shift = number, 10*(i+1)
			break
		}
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || n < 1 || n > uint64(maxSize)>>shift {
		return 0, errSize
	}
	return int64(n) << shift, nil
}
