package places

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/reason"
)

// crowd is places with transfers that note whether they were ended. Its methods are for one goroutine.
type crowd struct {
	*Places
	t     *testing.T
	ended []string
}

func newCrowd(t *testing.T, limit int, octets int64) *crowd {
	c := &crowd{Places: New(), t: t}
	c.Limit(limit, octets)
	return c
}

// begin begins a transfer, for which there is room.
func (c *crowd) begin(name string) *Transfer {
	c.t.Helper()
	if _, ok := c.Room(); !ok {
		c.t.Fatalf("There is no room for %s", name)
	}
	return c.Begin(func(cause error) { c.ended = append(c.ended, name+": "+cause.Error()) })
}

// Who has had its place for long while others wait goes on beside it, the slowest first.
func TestSlowestMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 2, 1000)
		quick, _ := c.begin("quick"), c.begin("slow")
		quick.Progress.Bytes.Store(1000)
		if wait, ok := c.Room(); ok || wait != placeSpan {
			t.Errorf("At once: room %v, wait %s; want none for %s", ok, wait, placeSpan)
		}
		time.Sleep(placeSpan)
		c.begin("third")
		if len(c.placed) != 2 || c.placed[0] != quick || len(c.beside) != 1 || c.Running() != 3 {
			t.Errorf("%d have a place, %d are beside", len(c.placed), len(c.beside))
		}
		if len(c.ended) > 0 {
			t.Errorf("Ended: %q", c.ended)
		}
	})
}

// Where too many are beside, the slowest is ended, and says why.
func TestTooManyBeside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 1, 1000)
		c.Most = 1
		first := c.begin("first")
		first.Progress.Bytes.Store(1000)
		time.Sleep(placeSpan)
		silent := c.begin("silent")
		time.Sleep(placeSpan)
		c.begin("third")
		if len(c.ended) != 1 || !strings.HasPrefix(c.ended[0], "silent: ") || !strings.Contains(c.ended[0], "others waited for its place") {
			t.Errorf("Ended: %q", c.ended)
		}
		if reason.Of(silent.GaveWay()) != reason.GaveWay || first.GaveWay() != nil {
			t.Errorf("Gave way: %v, %v", silent.GaveWay(), first.GaveWay())
		}
		if silent.End(); c.Running() != 2 {
			t.Errorf("%d run", c.Running())
		}
	})
}

// All together hold no more than they may; the last one goes on alone. Who has given way holds nothing any more, whatever it says.
func TestTransfersShareOctets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 3, 1000)
		c.begin("holds nothing")
		slow, quick := c.begin("slow"), c.begin("quick")
		time.Sleep(time.Millisecond)
		quick.Progress.Bytes.Store(10)
		if err := slow.Hold(600); err != nil {
			t.Error(err)
		}
		if err := quick.Hold(500); err != nil || reason.Of(slow.Hold(700)) != reason.GaveWay || c.Held() != 500 {
			t.Errorf("Error %v, %v, %d octets held", err, slow.GaveWay(), c.Held())
		}
		if err := quick.Hold(5000); err != nil || c.Held() != 5000 {
			t.Errorf("Alone: error %v, %d octets held", err, c.Held())
		}
		if quick.End(); c.Held() != 0 || c.Running() != 1 {
			t.Errorf("%d octets held, %d run", c.Held(), c.Running())
		}
		if len(c.ended) != 1 || !strings.Contains(c.ended[0], "transfer_memory was used up") {
			t.Errorf("Ended: %q", c.ended)
		}
	})
}
