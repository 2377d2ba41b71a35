package zone_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// Long records are found among many short ones and beside others of their owner, and as their owner
// is spelled.
func TestLongRecordsAreFound(t *testing.T) {
	rrs := mixedZone(5000)
	for i, owner := range []string{"Long.Big.test.", "h17.big.test.", "z.big.test."} {
		name, err := wire.ParseName(owner)
		if err != nil {
			t.Fatal(err)
		}
		rrs = append(rrs, wire.RR{Owner: name, Type: 65280, Class: wire.ClassIN, TTL: 1, Data: bytes.Repeat([]byte{1}, 3000+i)})
	}
	c := build(t, "big.test.", rrs)
	for limit, want := range map[int]int{2999: 3, 3000: 2, 3001: 1, 3002: 0} {
		var found []string
		for rr := range c.Longer(limit) {
			if rr.Type != 65280 || rr.Class != wire.ClassIN || rr.TTL != 1 || len(rr.Data) <= limit {
				t.Errorf("more than %d octets: %+v", limit, rr)
			}
			found = append(found, rr.Owner.String())
		}
		if len(found) != want {
			t.Errorf("more than %d octets: %s; want %d", limit, found, want)
		}
	}
	owners := ""
	for rr := range c.Longer(2999) {
		owners += fmt.Sprint(rr.Owner, " ")
	}
	if want := "h17.big.test. Long.Big.test. z.big.test. "; owners != want {
		t.Errorf("owners %s; want %s", owners, want)
	}
	for rr := range c.Longer(2999) {
		if rr.Owner != nil {
			break // no more is asked for
		}
	}
}
