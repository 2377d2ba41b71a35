package notify_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/secondaryplus/secondaryplus/internal/notify"
)

// place is a target of a zone.
type place struct {
	to   netip.AddrPort
	zone string
}

// chaos is a world in which everything that may happen does, at random.
type chaos struct {
	*world
	rt    *rapid.T
	knows map[place]map[uint32]bool // serials of which an acknowledgement has arrived here
	rate  []time.Time               // when messages were sent
}

// TestEveryTargetEndsToldOfTheNewestAndNoneTwice runs random losses, versions, changes of configuration and restarts.
func TestEveryTargetEndsToldOfTheNewestAndNoneTwice(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := &chaos{world: newWorld(t), rt: rt, knows: map[place]map[uint32]bool{}}
		c.told, c.acked = c.isTold, c.note
		rt.Repeat(map[string]func(*rapid.T){
			"":        func(*rapid.T) { c.audit() },
			"zone":    c.configure,
			"publish": c.publish,
			"mode":    c.mode,
			"remove":  c.remove,
			"restart": func(*rapid.T) { c.start(); c.servedAll() },
			"moment": func(t *rapid.T) {
				c.pass(time.Duration(rapid.Int64Range(0, int64(300*time.Millisecond)).Draw(t, "span")))
			},
			"seconds":  func(t *rapid.T) { c.pass(time.Duration(rapid.Int64Range(0, int64(40*time.Second)).Draw(t, "span"))) },
			"advance":  func(t *rapid.T) { c.pass(time.Duration(rapid.Int64Range(0, int64(3*time.Hour)).Draw(t, "span"))) },
			"slowness": func(t *rapid.T) { c.delay = time.Duration(rapid.Int64Range(0, int64(3*time.Second)).Draw(t, "delay")) },
		})
		c.settle()
	})
}

var (
	zonesOfChaos = []string{"a.test.", "b.test.", "c.test."}
	peersOfChaos = []netip.AddrPort{
		netip.MustParseAddrPort("192.0.2.1:53"), netip.MustParseAddrPort("192.0.2.2:53"), netip.MustParseAddrPort("[2001:db8::1]:53"),
	}
)

// configure adds a zone, or changes its targets.
func (c *chaos) configure(t *rapid.T) {
	id := rapid.SampledFrom(zonesOfChaos).Draw(t, "zone")
	z := notify.Zone{Origin: name(c.t, id)}
	for _, addr := range peersOfChaos {
		if rapid.Bool().Draw(t, "has") {
			delay := rapid.SampledFrom([]time.Duration{0, 0, time.Second}).Draw(t, "delay")
			z.Targets = append(z.Targets, notify.Target{Addr: addr, Delay: delay})
		} else {
			delete(c.knows, place{addr, id})
		}
	}
	c.zones[id] = z
	c.m.Configure(c.now, id, z)
	c.saved[id] = c.m.Told(id)
	c.drain()
}

func (c *chaos) remove(t *rapid.T) {
	id := rapid.SampledFrom(zonesOfChaos).Draw(t, "zone")
	delete(c.zones, id)
	delete(c.saved, id)
	delete(c.at, id)
	for _, addr := range peersOfChaos {
		delete(c.knows, place{addr, id})
	}
	c.m.Remove(id)
	c.drain()
}

func (c *chaos) publish(t *rapid.T) {
	id := rapid.SampledFrom(zonesOfChaos).Draw(t, "zone")
	if _, there := c.zones[id]; !there {
		return
	}
	c.at[id] += uint32(rapid.IntRange(0, 2).Draw(t, "step"))
	c.world.publish(id, false)
	c.drain()
}

func (c *chaos) mode(t *rapid.T) {
	addr := rapid.SampledFrom(peersOfChaos).Draw(t, "peer")
	c.modes[addr] = rapid.SampledFrom([]string{
		"answers", "answers", "silent", "silent", "tcp", "udp", "ignores:[ab]*", "unsendable", "5", "9", "2",
	}).Draw(t, "mode")
}

// isTold checks that nobody is told what is known to be known, and that what is told is the newest.
func (c *chaos) isTold(to netip.AddrPort, zone string, n uint32) {
	p := place{to, zone}
	if c.knows[p][n] {
		c.rt.Fatalf("At %s %s is told of %s %d, which it has acknowledged\n%s", c.since(), to, zone, n, &c.out)
	}
	if n != c.at[zone] {
		c.rt.Fatalf("At %s %s is told of %s %d; %d is served", c.since(), to, zone, n, c.at[zone])
	}
	c.rate = append(c.rate, c.now)
}

// pass lets time pass, and notes what has been acknowledged.
func (c *chaos) pass(d time.Duration) {
	c.advance(d)
	c.audit()
}

// note notes what has been acknowledged of a zone.
func (c *chaos) note(id string) {
	for _, s := range c.m.Status(id) {
		if !s.HasTold {
			continue
		}
		p := place{s.Target.Addr, id}
		if c.knows[p] == nil {
			c.knows[p] = map[uint32]bool{}
		}
		c.knows[p][s.Told.Uint32()] = true
	}
}

func (c *chaos) audit() {
	if wrong := c.m.Audit(); wrong != "" {
		c.rt.Fatalf("At %s: %s\n%s", c.since(), wrong, &c.out)
	}
	c.out.Reset()
}

// settle has all peers answer: everybody ends told of the newest version, and nothing is left to do.
func (c *chaos) settle() {
	clear(c.modes)
	c.delay = 10 * time.Millisecond
	c.pass(2*notify.RestSpan + time.Minute)
	for id, z := range c.zones {
		n, served := c.at[id]
		if !served {
			continue
		}
		for i, s := range c.m.Status(id) {
			if s.Target.Addr != z.Targets[i].Addr || !s.HasTold || s.Told.Uint32() != n || !s.FailedAt.IsZero() {
				c.rt.Fatalf("%s: %+v; want serial %d told", id, s, n)
			}
		}
	}
	if at := c.m.NextAt(); !at.IsZero() {
		c.rt.Fatalf("Something is due at %s", at.Sub(epoch))
	}
	for i := notify.MaxBurst + notify.MaxRate; i < len(c.rate); i++ {
		if d := c.rate[i].Sub(c.rate[i-notify.MaxBurst-notify.MaxRate]); d < 990*time.Millisecond {
			c.rt.Fatalf("%d messages within %s", notify.MaxBurst+notify.MaxRate, d)
		}
	}
}

// What is not what Told has returned counts as nothing, or as what can be read of it, and never as more than a zone can have.
func TestOddSavedOctetsAreRead(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		z := notify.Zone{Origin: name(t, "a.test."), Targets: []notify.Target{{Addr: peersOfChaos[0]}, {Addr: peersOfChaos[2]}}}
		w.m.Configure(w.now, "a.test.", z)
		w.m.Publish(w.now, "a.test.", version(7), false)
		w.advance(time.Second)
		octets := w.m.Told("a.test.")
		if rapid.Bool().Draw(rt, "cut") {
			octets = octets[:rapid.IntRange(0, len(octets)).Draw(rt, "length")]
		} else {
			octets = rapid.SliceOf(rapid.Byte()).Draw(rt, "octets")
		}
		other := notify.NewMachine(counter(), func(notify.Result) {})
		other.Configure(w.now, "a.test.", z)
		other.Remember("a.test.", octets)
		if n := len(other.Status("a.test.")); n != len(z.Targets) {
			rt.Fatalf("%d targets", n)
		}
	})
}

// Results are told apart, and each is documented once.
func TestResultsAreWords(t *testing.T) {
	seen := map[notify.Result]bool{}
	for _, r := range notify.Results() {
		if seen[r] || strings.ContainsAny(fmt.Sprint(r), " -") || r == "" {
			t.Errorf("Result %q", r)
		}
		seen[r] = true
	}
}
