//go:build e2e

package e2e_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// The crashes of one chain, and the chains.
const (
	crashChains = 4
	crashesEach = 55
	crashZones  = 6
	crashSpan   = 60 * time.Millisecond // of updates before a crash, at most
	startSpan   = 80 * time.Millisecond // within which the process starts
)

// crashSeed is the seed of the moments of crashes: random, or what SPLUS_SEED says to repeat a run.
func crashSeed(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("SPLUS_SEED")
	if text == "" {
		return rand.Uint64()
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("SPLUS_SEED: %v", err)
	}
	return seed
}

// Whenever the process is killed in a stream of updates to several zones, the next one has every zone in a version that
// the primary really had, not older than the last one that was said to be saved.
func TestCrashesLoseNothingThatWasSaved(t *testing.T) {
	t.Parallel()
	seed := crashSeed(t)
	t.Logf("SPLUS_SEED=%d", seed)
	var kills atomic.Int32
	t.Cleanup(func() {
		if n := kills.Load(); n < 200 && !t.Failed() {
			t.Errorf("%d times killed; want 200", n)
		}
	})
	for i := range uint64(crashChains) {
		t.Run(strconv.Itoa(int(i)), func(t *testing.T) {
			t.Parallel()
			c := newCrashes(t, rand.New(rand.NewPCG(seed, i)))
			for n := range crashesEach {
				c.stream(t)
				signal := syscall.SIGKILL
				if n%11 == 10 {
					signal = []syscall.Signal{syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGINT}[c.rng.IntN(3)]
				} else {
					kills.Add(1)
				}
				c.crash(t, signal)
				c.check(t)
			}
			c.catchUp(t)
		})
	}
}

// crashes is a secondary that dies again and again, and its primary. It belongs to the goroutine of its test.
type crashes struct {
	prim  *river
	sec   *secondary
	rng   *rand.Rand
	saved []uint32 // what was last said to be saved, by zone
	moved int      // how often a zone has come back with another serial than the time before
}

func newCrashes(t *testing.T, rng *rand.Rand) *crashes {
	t.Helper()
	c := &crashes{prim: newRiver(t, crashZones), sec: newSecondary(t), rng: rng, saved: make([]uint32, crashZones)}
	c.prim.tells(c.sec)
	c.sec.run(t, secondarySpec{Zones: c.prim.zones, Block: "primary " + c.prim.address, Chain: "transfer {\n to *\n}"})
	for _, z := range c.prim.zones {
		c.sec.saved(t, z, 1, syncLimit)
	}
	return c
}

// stream updates zones for a while and reads now and then what is saved.
func (c *crashes) stream(t *testing.T) {
	t.Helper()
	c.prim.deaf.Store(false)
	for i := range c.prim.zones {
		c.prim.announce(i) // what the last one still lacks, a restored zone would ask for within a minute only
	}
	scrapeAt := time.Now().Add(time.Duration(c.rng.Int64N(int64(crashSpan))))
	for end := time.Now().Add(time.Duration(c.rng.Int64N(int64(crashSpan)))); time.Now().Before(end); {
		c.prim.flow(c.rng.IntN(crashZones))
		time.Sleep(time.Duration(c.rng.Int64N(int64(2 * time.Millisecond))))
		if time.Now().After(scrapeAt) {
			c.note(t)
			scrapeAt = end.Add(time.Hour)
		}
	}
	if c.rng.IntN(2) == 0 {
		c.note(t)
	}
}

// note keeps what is said to be saved.
func (c *crashes) note(t *testing.T) {
	t.Helper()
	m := scrape(t, c.sec.Metrics)
	for i, z := range c.prim.zones {
		if n := uint32(m.sum("saved_serial", "zone", z)); n > c.saved[i] {
			c.saved[i] = n
			c.moved++
		}
	}
}

// crash ends the process and starts the next one, whose primary refuses to say anything.
func (c *crashes) crash(t *testing.T, signal syscall.Signal) {
	t.Helper()
	_ = c.sec.proc.cmd.Process.Signal(signal)
	select {
	case <-c.sec.proc.ended:
	case <-time.After(graceTime):
		t.Fatalf("The process has not ended %s after %s", graceTime, signal)
	}
	c.prim.deaf.Store(true)
	if c.rng.IntN(5) == 0 { // and once more, while it starts
		c.sec.spawn(t)
		time.Sleep(time.Duration(c.rng.Int64N(int64(startSpan))))
		c.sec.proc.kill()
	}
	c.sec.relaunch(t, c.prim.zones[0])
}

// check fails the test unless every zone is a version of the primary, and not older than what was saved.
func (c *crashes) check(t *testing.T) {
	t.Helper()
	for i, z := range c.prim.zones {
		if got := c.prim.held(t, c.sec.addr(), i); got < c.saved[i] {
			t.Errorf("%s has serial %d; %d had been saved", z, got, c.saved[i])
		}
	}
	if m := scrape(t, c.sec.Metrics); m.sum("store_errors_total") != 0 {
		t.Errorf("Store errors: %s", m.show("store_errors_total"))
	}
	if t.Failed() {
		t.FailNow()
	}
}

// catchUp fails the test unless the zones follow their primary after all that.
func (c *crashes) catchUp(t *testing.T) {
	t.Helper()
	c.prim.deaf.Store(false)
	for i, z := range c.prim.zones {
		c.prim.flow(i)
		c.sec.serves(t, z, c.prim.serials[i].Load(), settleLimit)
		c.prim.held(t, c.sec.addr(), i)
		c.sec.saved(t, z, c.prim.serials[i].Load(), settleLimit)
	}
	if c.moved < crashesEach {
		t.Errorf("Only %d times something new was saved in %d runs: the test has tested little", c.moved, crashesEach)
	}
	if strings.Contains(c.sec.proc.log(t), "panic") {
		t.Error("The log tells of a panic")
	}
}
