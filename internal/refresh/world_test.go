package refresh_test

import (
	"container/heap"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// world is a zone with its primaries in simulated time. It does what the machine asks for and checks every step against
// what may be asked.
type world struct {
	t         failer
	m         *refresh.Machine
	now       time.Time
	primaries []primary
	signed    map[int][]serial.Serial // of NOTIFYs that a primary has signed
	mail      mail
	running   int       // transfers under way
	transfers int       // asked for in all
	queries   int       // SOA queries and transfers asked for in all
	expireAt  time.Time // by the events alone; zero before the first contents
	withdrawn bool
	failAfter time.Duration // how long a dead primary takes to fail
	delay     func() time.Duration
}

// failer is what testing.T and rapid.T have in common here.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// primary is one primary of the world.
type primary struct {
	serial  serial.Serial
	dead    bool
	rejects bool // its versions break a rule
	mute    bool // it does not tell its SOA, and gives transfers
}

// letter is an event on its way to the machine.
type letter struct {
	at time.Time
	n  int // order of sending
	ev refresh.Event
}

// mail is a heap of letters by time.
type mail []letter

func (q mail) Len() int { return len(q) }
func (q mail) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].n < q[j].n
}
func (q mail) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *mail) Push(x any)   { *q = append(*q, x.(letter)) }
func (q *mail) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

const (
	worldRefresh = 600 * time.Second
	worldRetry   = 300 * time.Second
	worldExpire  = 3600 * time.Second
)

func worldSOA(n serial.Serial) wire.SOA {
	return wire.SOA{Serial: n, Refresh: 600, Retry: 300, Expire: 3600}
}

func newWorld(t failer, primaries int) *world {
	w := &world{t: t, now: epoch, signed: map[int][]serial.Serial{}, primaries: make([]primary, primaries), delay: func() time.Duration { return time.Millisecond }}
	w.m = refresh.New(refresh.Config{Primaries: primaries, Seed: 7})
	for i := range w.primaries {
		w.primaries[i].serial = serial.New(8)
	}
	return w
}

func (w *world) send(after time.Duration, ev refresh.Event) {
	heap.Push(&w.mail, letter{w.now.Add(after), w.queries + len(w.mail), ev})
}

// step tells the machine of ev, checks what it wants and sets it going.
func (w *world) step(ev refresh.Event) {
	w.t.Helper()
	served, _ := w.m.SOA()
	switch ev.Kind { //nolint:exhaustive // the others change nothing here
	case refresh.Transferred:
		w.running--
		w.expireAt, w.withdrawn = w.now.Add(worldExpire), false
	case refresh.TransferFailed:
		w.running--
	case refresh.TransferCurrent:
		w.running--
		w.confirmed(ev.SOA, served)
	case refresh.SOAReceived:
		w.confirmed(ev.SOA, served)
	case refresh.Started, refresh.Due, refresh.Notified, refresh.SOAFailed, refresh.Reconfigured:
	}
	for _, a := range w.m.Step(w.now, ev) {
		w.act(a)
	}
	if next := w.m.NextAt(); !next.After(w.now) {
		w.t.Fatalf("NextAt is %s at %s: the zone is forgotten or spins", next, w.now)
	}
	expired := !w.expireAt.IsZero() && !w.now.Before(w.expireAt)
	if expired != (w.m.State() == refresh.Expired) || expired != w.withdrawn {
		w.t.Fatalf("at %s: expire at %s, state %s, withdrawn %v", w.now, w.expireAt, w.m.State(), w.withdrawn)
	}
}

// confirmed notes that a primary has told a SOA.
func (w *world) confirmed(told, served wire.SOA) {
	if w.m.State() == refresh.Current && w.now.Before(w.expireAt) && told.Serial == served.Serial && told.Serial.Uint32() != 0 {
		w.expireAt = w.now.Add(worldExpire)
	}
}

func (w *world) act(a refresh.Action) {
	w.t.Helper()
	switch a.Kind {
	case refresh.Withdraw:
		if w.withdrawn || w.now.Before(w.expireAt) {
			w.t.Fatalf("withdrawn at %s, expires at %s", w.now, w.expireAt)
		}
		w.withdrawn = true
	case refresh.QuerySOA:
		w.queries++
		p := w.primaries[a.Primary]
		if p.dead {
			w.send(w.failAfter, refresh.Event{Kind: refresh.SOAFailed, Primary: a.Primary, Reason: "timeout"})
			return
		}
		if p.mute {
			w.send(w.delay(), refresh.Event{Kind: refresh.SOAFailed, Primary: a.Primary, Reason: "refused", MayTransfer: true})
			return
		}
		w.send(w.delay(), refresh.Event{Kind: refresh.SOAReceived, Primary: a.Primary, SOA: worldSOA(p.serial)})
	case refresh.Transfer:
		w.queries++
		w.transfer(a)
	}
}

func (w *world) transfer(a refresh.Action) {
	w.t.Helper()
	w.transfers++
	if w.running++; w.running > 1 {
		w.t.Fatalf("%d transfers at a time", w.running)
	}
	served, has := w.m.SOA()
	if a.Full != (!has || w.m.State() == refresh.Expired) {
		w.t.Fatalf("transfer full=%v while %s", a.Full, w.m.State())
	}
	told := append(w.signed[a.Primary], w.m.Links()[a.Primary].Serial)
	newer := func(n serial.Serial) bool { return n.Newer(served.Serial) }
	if !a.Full && !a.Blind && !slices.ContainsFunc(told, newer) {
		w.t.Fatalf("transfer of serials %v while serving %s", told, served.Serial)
	}
	p := w.primaries[a.Primary]
	ev := refresh.Event{Primary: a.Primary, SOA: worldSOA(p.serial)}
	switch {
	case p.dead:
		ev.Kind, ev.Reason = refresh.TransferFailed, "timeout"
		w.send(w.failAfter, ev)
		return
	case p.rejects:
		ev.Kind, ev.Reason, ev.Rejected = refresh.TransferFailed, "max_records", true
	case a.Full || p.serial.Newer(served.Serial):
		ev.Kind = refresh.Transferred
	case p.serial == served.Serial:
		ev.Kind = refresh.TransferCurrent
	default:
		ev.Kind, ev.Reason = refresh.TransferFailed, "older"
	}
	w.send(w.delay(), ev)
}

// run lets d pass.
func (w *world) run(d time.Duration) {
	w.t.Helper()
	end := w.now.Add(d)
	for {
		next := w.m.NextAt()
		ev := refresh.Event{Kind: refresh.Due}
		if len(w.mail) > 0 && (next.IsZero() || !w.mail[0].at.After(next)) {
			if w.mail[0].at.After(end) {
				break
			}
			l := heap.Pop(&w.mail).(letter)
			next, ev = l.at, l.ev
		}
		if next.IsZero() || next.After(end) {
			break
		}
		w.now = next
		w.step(ev)
	}
	w.now = end
}

// TestRandomWorldConverges checks every step of random histories, and that the zone is in step once the world is calm.
func TestRandomWorldConverges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt, rapid.IntRange(1, 4).Draw(rt, "primaries"))
		w.delay = func() time.Duration {
			return time.Duration(rapid.SampledFrom([]int{0, 1, 40, 900, 1500, 90_000}).Draw(rt, "delay ms")) * time.Millisecond
		}
		w.failAfter = time.Duration(rapid.SampledFrom([]int{0, 5, 15}).Draw(rt, "fail s")) * time.Second
		w.step(refresh.Event{Kind: refresh.Started})
		for range rapid.IntRange(0, 60).Draw(rt, "steps") {
			w.disturb(rt)
		}
		newest := serial.New(1)
		if soa, ok := w.m.SOA(); ok {
			newest = soa.Serial.Add(1)
		}
		if newest.Uint32() == 0 {
			newest = serial.New(1)
		}
		w.delay = func() time.Duration { return time.Millisecond }
		for i := range w.primaries {
			w.primaries[i] = primary{serial: newest, mute: w.primaries[i].mute}
		}
		w.run(3 * time.Hour) // the longest back-off, bootstrap pace and refresh, several times
		soa, _ := w.m.SOA()
		if w.m.State() != refresh.Current || soa.Serial != newest {
			rt.Fatalf("%s with serial %s, want %s", w.m.State(), soa.Serial, newest)
		}
		for i, l := range w.m.Links() {
			if l.State != refresh.Normal || l.Serial != newest {
				rt.Fatalf("link %d is %+v", i, l)
			}
		}
	})
}

// disturb changes one thing in the world, or lets time pass.
func (w *world) disturb(rt *rapid.T) {
	p := &w.primaries[rapid.IntRange(0, len(w.primaries)-1).Draw(rt, "primary")]
	switch rapid.IntRange(0, 7).Draw(rt, "what") {
	case 0:
		p.dead = !p.dead
	case 1:
		p.rejects = !p.rejects
	case 2:
		p.serial = p.serial.Add(rapid.SampledFrom([]uint32{1, 2, 1 << 31, 1<<32 - 1}).Draw(rt, "add"))
	case 7:
		p.mute = !p.mute
	case 3, 4:
		ev := refresh.Event{
			Kind: refresh.Notified, Primary: rapid.IntRange(-1, len(w.primaries)-1).Draw(rt, "sender"),
			HasSerial: rapid.Bool().Draw(rt, "has"), Signed: rapid.Bool().Draw(rt, "signed"), Serial: p.serial,
		}
		if ev.Signed && ev.HasSerial {
			w.signed[ev.Primary] = append(w.signed[ev.Primary], ev.Serial)
		}
		w.step(ev)
	default:
		w.run(time.Duration(rapid.SampledFrom([]int{0, 1, 700, 11_000, 400_000, 4_000_000}).Draw(rt, "ms")) * time.Millisecond)
	}
}

// TestRandomEventsNeverBreak feeds events that make no sense. Whatever comes, the zone stays scheduled.
func TestRandomEventsNeverBreak(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		number := rapid.SampledFrom([]uint32{0, 1, 2, 29, 30, 600, 1 << 31, 1<<31 + 1, 1<<32 - 1})
		draw := func(primaries int) refresh.Event {
			ev := refresh.Event{
				Kind:     refresh.EventKind(rapid.IntRange(0, int(refresh.Reconfigured)).Draw(rt, "kind")),
				Primary:  rapid.IntRange(-1, primaries).Draw(rt, "primary"),
				Rejected: rapid.Bool().Draw(rt, "rejected"), MayTransfer: rapid.Bool().Draw(rt, "may"), HasSerial: rapid.Bool().Draw(rt, "has"),
				Serial: serial.New(number.Draw(rt, "hint")), Reason: "timeout",
				SOA: wire.SOA{
					Serial: serial.New(number.Draw(rt, "serial")), Refresh: number.Draw(rt, "refresh"),
					Retry: number.Draw(rt, "retry"), Expire: number.Draw(rt, "expire"),
				},
			}
			ev.Demand = refresh.Demand(rapid.IntRange(0, int(refresh.Force)).Draw(rt, "demand"))
			if ev.Kind == refresh.Reconfigured && rapid.Bool().Draw(rt, "config") {
				n := rapid.IntRange(0, 3).Draw(rt, "n")
				ev.Config = &refresh.Config{Primaries: n, Limits: &refresh.Limits{SerialZero: rapid.Bool().Draw(rt, "zero")}}
				ev.Kept = rapid.SliceOfN(rapid.IntRange(-1, 3), 0, 4).Draw(rt, "kept")
			}
			return ev
		}
		primaries, now := rapid.IntRange(0, 3).Draw(rt, "primaries"), epoch
		m := refresh.New(refresh.Config{Primaries: primaries})
		m.Step(now, refresh.Event{Kind: refresh.Started})
		for range rapid.IntRange(1, 100).Draw(rt, "events") {
			now = now.Add(time.Duration(number.Draw(rt, "ms")) * time.Millisecond)
			ev := draw(primaries)
			if ev.Config != nil {
				primaries = ev.Config.Primaries
			}
			actions := m.Step(now, ev)
			if m.State() != refresh.Current && m.ZoneState() == refresh.ZoneNormal {
				rt.Fatalf("The zone is %s and Normal", m.State())
			}
			for _, a := range actions {
				if a.Kind != refresh.Withdraw && (a.Primary < 0 || a.Primary >= primaries) {
					rt.Fatalf("%s with %d primaries", a, primaries)
				}
			}
			if !m.NextAt().After(now) {
				rt.Fatalf("NextAt is %s at %s", m.NextAt(), now)
			}
			checkZoneState(rt, m)
		}
	})
}

// TestFailingPrimaryIsNotHammered counts what a primary that fails at once has to bear in a day.
func TestFailingPrimaryIsNotHammered(t *testing.T) {
	const day = 24 * time.Hour
	t.Run("without contents", func(t *testing.T) {
		w := newWorld(t, 1)
		w.primaries[0].dead = true
		w.step(refresh.Event{Kind: refresh.Started})
		w.run(day)
		if w.queries < 48 || w.queries > 70 {
			t.Errorf("%d attempts, want one each half hour and the first ones", w.queries)
		}
	})
	t.Run("with contents", func(t *testing.T) {
		w := newWorld(t, 1)
		w.step(refresh.Event{Kind: refresh.Started})
		w.run(time.Minute)
		w.primaries[0].dead = true
		w.run(day)
		if low, high := int(day/worldRetry), int(day/(worldRetry*3/4)); w.queries < low || w.queries > high {
			t.Errorf("%d attempts, want %d to %d", w.queries, low, high)
		}
	})
	t.Run("rejected version", func(t *testing.T) {
		w := newWorld(t, 1)
		w.primaries[0].rejects = true
		w.step(refresh.Event{Kind: refresh.Started})
		for range int(time.Hour / time.Second) {
			w.step(refresh.Event{Kind: refresh.Notified, Primary: 0})
			w.run(time.Second)
		}
		low, high := int(time.Hour/worldRetry), int(time.Hour/(worldRetry*3/4))+1
		if w.transfers < low || w.transfers > high {
			t.Errorf("%d transfers of a rejected version in an hour of NOTIFYs, want %d to %d", w.transfers, low, high)
		}
	})
	t.Run("notify flood", func(t *testing.T) {
		w := newWorld(t, 1)
		w.primaries[0].dead = true
		w.step(refresh.Event{Kind: refresh.Started})
		for range 36_000 {
			w.step(refresh.Event{Kind: refresh.Notified, Primary: 0, HasSerial: true, Serial: serial.New(99)})
			w.run(10 * time.Millisecond)
		}
		// One for each half second, and the bootstrap's own that the NOTIFYs keep at its first step of 5 s.
		if most := int(360*time.Second/refresh.NotifySpan) + 360/5; w.queries > most {
			t.Errorf("%d attempts in 6 minutes, want at most %d", w.queries, most)
		}
	})
}
