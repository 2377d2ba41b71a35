package refresh

import (
	"math"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// The pace of a zone. Spans come from its SOA, moved into the configured clamps; these bound what the clamps leave open.
const (
	// graceSpan is how long the slower primaries are waited for once an answer is in that can be acted on. One second is
	// several round trips around the world; a dead primary costs no more than this, and only until it is in back-off.
	graceSpan = time.Second

	// notifySpan is the least time between the starts of two checks that NOTIFYs cause while they bring nothing new. A burst
	// outlasts the fast check of a near primary, so merging alone would check once a round trip. Half a second keeps an
	// update that follows an idle check within the second an operator expects.
	notifySpan = 500 * time.Millisecond

	// weakSpan is the least time between the starts of two rounds that only unsigned NOTIFYs ask for: anybody can send those.
	// It is how long BIND waits between NOTIFYs of a zone (notify-delay), so an honest primary does not notice it.
	weakSpan = 5 * time.Second

	// maxRound is when a round is given up whose answers never came: twice the 2 h a transfer may take, the rest being for
	// its wait in the queue. Without it a lost answer would end the zone's refreshing for good.
	maxRound = 4 * time.Hour

	// maxTransfersPerRound bounds how often a round may find a still newer serial and fetch that as well.
	maxTransfersPerRound = 4

	// minSpan keeps a refresh, retry or expire of 0 from spinning when the clamp lets it through.
	minSpan = time.Second
)

// A SOA refresh below leastRefresh is taken for a mistake and defaultRefresh used as the timer; the SOA is served unchanged.
const (
	leastRefresh   = 30 * time.Second
	defaultRefresh = 1800 * time.Second
)

// sourceSpan is the least time to a check that is only there because the source is about to give the contents up. Who tells so all
// the time is asked as seldom as one that fails.
const sourceSpan = 10 * time.Second

// firstRetry is when a first round that failed is followed by another: the primary may be starting just now, too.
const firstRetry = 250 * time.Millisecond

// restartSpan is how long the checks of restored zones are spread over: NOTIFYs may have been missed meanwhile, so none
// waits for its refresh.
const restartSpan = time.Minute

// Without contents there is no SOA retry: round n, from the second one, is followed by bootstrapStep*(n-1)^2 and up to
// bootstrapJitter.
const (
	bootstrapStep   = 5 * time.Second
	bootstrapMax    = 30 * time.Minute // reached at n = 20: 5 * 19^2 s = 1805 s
	bootstrapRounds = 20
	bootstrapJitter = 5 * time.Second
)

// A primary that failed n times in a row is left out of rounds for backOffMin*2^(n-1): 10, 20, 40, ... 640 s.
const (
	backOffMin   = 10 * time.Second
	backOffMax   = 640 * time.Second
	backOffSteps = 6 // 10 s * 2^6 = 640 s
)

// Clamp keeps a SOA timer between Min and Max; a Max of 0 is no upper bound. It is a plain value.
type Clamp struct{ Min, Max time.Duration }

// of returns d moved into the clamp. The largest SOA timer, 2^32-1 s, is 4.3e18 ns and fits a Duration (9.2e18 ns).
func (c Clamp) of(d time.Duration) time.Duration {
	d = max(d, c.Min)
	if c.Max > 0 {
		d = min(d, c.Max)
	}
	return max(d, minSpan)
}

// instant is a time on the machine's own clock, in nanoseconds; 0 is never. It is a third of a time.Time, of which 20,000
// zones would hold ten each, and it does not move when the wall clock is set.
type instant int64

// epoch is what the machine's clock begins with: 73 years, so that times before its first Step have an instant too.
const epoch instant = 1 << 61

func (i instant) plus(d time.Duration) instant { return i + instant(d) }

// seconds returns a SOA timer as a span.
func seconds(n uint32) time.Duration { return time.Duration(n) * time.Second }

// tick moves the machine's clock to now and returns it. The clock never runs backwards.
func (m *Machine) tick(now time.Time) instant {
	if m.clock == 0 {
		m.clock = epoch
	} else if d := now.Sub(m.seenAt); d > 0 {
		m.clock = m.clock.plus(d)
	}
	m.seenAt = now
	return m.clock
}

// when returns i as the caller's clock showed it at the latest Step.
func (m *Machine) when(i instant) time.Time {
	if i == 0 {
		return time.Time{}
	}
	return m.seenAt.Add(time.Duration(i - m.clock))
}

// at returns t as the machine's clock shows it; 0 for the zero time and for what is too long ago.
func (m *Machine) at(t time.Time) instant {
	if t.IsZero() {
		return 0
	}
	return max(0, m.clock.plus(t.Sub(m.seenAt)))
}

// maxSpan is the longest timer a SOA can have.
const maxSpan = math.MaxUint32 * time.Second

// Spans are the timers in force: those of a SOA within the limits, without jitter. They are a plain value.
type Spans struct {
	Refresh, Retry, Expire time.Duration
	Check                  time.Duration // how long a successful check lasts: Refresh, or less where Expire would come first
	Raised                 bool          // the SOA's expire was below Refresh + Retry and counts as these
}

// Spans returns the timers that are in force with this SOA.
func (c *Limits) Spans(soa wire.SOA) Spans {
	d, _ := Timer(soa.Refresh)
	s := Spans{Refresh: c.Refresh.of(d), Retry: c.Retry.of(seconds(soa.Retry)), Expire: c.Expire.of(seconds(soa.Expire))}
	// A zone that expires before a failed check is repeated would go dark under a primary that lives; BIND does the same.
	if least := min(s.Refresh+s.Retry, maxSpan); s.Expire < least {
		s.Raised, s.Expire = true, c.Expire.of(least)
	}
	s.Check = min(s.Refresh, s.Expire-s.lead())
	return s
}

// lead returns how long before its expiry a zone is checked at the latest, where the operator's limit of expire is below
// refresh and retry together: a living primary must not let it expire. The check can fail and be repeated, unless RETRY is
// too long for that.
func (s Spans) lead() time.Duration { return min(s.Retry, s.Expire/2) }

// Spans returns the timers in force; zero without a SOA.
func (m *Machine) Spans() Spans {
	if m.state == Empty {
		return Spans{}
	}
	return m.cfg.Spans(m.soa)
}

// Why says in a word what the Due at NextAt is for.
func (m *Machine) Why() string {
	switch {
	case m.stage != resting:
		return "running"
	case m.state == Current && m.expireAt <= m.nextAt:
		return "expire"
	case m.pending.set:
		return "notify"
	case m.state == Empty && m.failures == 0:
		return "start"
	case m.failures > 0:
		return "retry"
	}
	return "refresh"
}

// Timer returns the span that a SOA's refresh, in seconds, stands for, and whether it is one used in its place because
// the refresh is outside 30..2^32-1.
func Timer(n uint32) (_ time.Duration, replaced bool) {
	if d := seconds(n); d >= leastRefresh {
		return d, false
	}
	return defaultRefresh, true
}

// refreshSpan returns how long a successful check lasts. Where a source gives the contents up before another check, it is asked
// while there is time: it may live on.
func (m *Machine) refreshSpan() time.Duration {
	s := m.Spans()
	if left := time.Duration(m.expireAt - m.checkedAt); left < s.Expire {
		s.Expire = left
		s.Check = min(s.Check, max(left-s.lead(), min(sourceSpan, s.Check/2)))
	}
	return m.jittered(s.Check)
}

// retrySpan returns how long to wait after a failed round.
func (m *Machine) retrySpan() time.Duration {
	if m.state == Empty {
		n := int64(max(1, min(m.failures, bootstrapRounds)-1))
		return min(time.Duration(n*n)*bootstrapStep, bootstrapMax) + time.Duration(m.draw()%uint64(bootstrapJitter))
	}
	return m.jittered(m.Spans().Retry)
}

// expiry returns when the contents expire: EXPIRE after the latest successful check, and no later than the primaries that vouched
// for them give them up (RFC 7314 §4). What these say counts as it is: the limits are for what is in the SOA.
func (m *Machine) expiry() instant {
	at := m.checkedAt.plus(m.Spans().Expire)
	if m.sourceAt != 0 {
		at = min(at, m.sourceAt)
	}
	return at
}

// Left returns for how many seconds the contents will still be served if no primary confirms them: what the EXPIRE option of an
// answer tells (RFC 7314 §3.2). It is never the EXPIRE of the SOA, which is what a primary tells: that has another meaning.
func (m *Machine) Left(now time.Time) uint32 {
	left := uint32(max(0, min(m.ExpireAt().Sub(now)/time.Second, math.MaxUint32)))
	switch {
	case left != m.soa.Expire:
		return left
	case left == 0:
		return 1 // less than a second of a zone whose EXPIRE is 0
	}
	return left - 1
}

// jittered returns d less 0 to 25 %. Zones that were loaded together would otherwise ask together forever, as nearly all
// have the same SOA timers. Earlier and never later: a refresh is a promise, and a wait cut short breaks none.
func (m *Machine) jittered(d time.Duration) time.Duration {
	const parts = 1024
	return d - d/(4*parts)*time.Duration(m.draw()%parts)
}

// shortest returns the least that jittered makes of d.
func shortest(d time.Duration) time.Duration { return d - d/4 }

// draw returns the next number of the zone's own sequence. It counts draws, not serials, so that the waits of one version
// differ; and it depends on nothing else, so that a run can be repeated (the mixing is that of splitmix64).
func (m *Machine) draw() uint64 {
	m.draws++
	z := m.cfg.Seed + uint64(m.draws)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
