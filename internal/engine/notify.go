package engine

import (
	"net/netip"
	"slices"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/allow"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// Notification is what a NOTIFY said. It is a plain value.
type Notification struct {
	From      netip.Addr
	Key       *xfr.Key // that it was signed with, verified; nil if it was not signed
	Serial    serial.Serial
	HasSerial bool // the answer section held the zone's SOA
}

// MayNotify reports whether a NOTIFY from an address can be accepted at all, perhaps with a key. No lock.
func (z *Zone) MayNotify(from netip.Addr) bool {
	verdict, _ := z.Standing().Group.admit(from.Unmap(), nil)
	return verdict != allow.NotAllowed
}

// Notify takes a NOTIFY(SOA) and returns at once; a refresh follows if it is called for (RFC 1996 §3.11). No lock of the engine.
func (z *Zone) Notify(n Notification) allow.Verdict {
	n.From = n.From.Unmap()
	verdict, _ := z.Standing().Group.admit(n.From, n.Key)
	if verdict == allow.NotAllowed || verdict == allow.KeyRequired || z.gone.Load() {
		return verdict
	}
	if !z.Standing().machine.Started() {
		return allow.Dropped
	}
	if !z.engine.inbox.Put(notice{zone: z, notification: n}, maxNotices) {
		return allow.Dropped
	}
	return verdict
}

// maxNotices is how many NOTIFYs wait for the engine; refused ones, which anybody can send, leave half of that to others. maxTaken
// is how many of them it takes before it lets its lock go.
const (
	maxNotices = 16_384
	maxTaken   = 32
)

// notice is a NOTIFY that waits for the engine. It is a plain value.
type notice struct {
	zone         *Zone
	notification Notification
	refusal      Refusal // with a result: that of a NOTIFY that was turned away
}

// runInbox acts on NOTIFYs until the engine is closed.
func (e *Engine) runInbox() {
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-e.inbox.Wake():
		}
		for some := range slices.Chunk(e.inbox.TakeAll(), maxTaken) {
			e.mu.Lock()
			for i := range some {
				switch n := &some[i]; {
				case n.zone.gone.Load():
				case n.refusal.Result != "":
					e.emit(Fact{Kind: TurnedAway, Zone: n.zone, Refusal: &n.refusal})
				default:
					e.notified(n.zone, &n.notification)
				}
			}
			e.mu.Unlock()
			e.inbox.Done(len(some))
		}
	}
}

// notified acts on a NOTIFY. Who may send them may have changed since it came. e.mu is held.
func (e *Engine) notified(z *Zone, n *Notification) {
	verdict, primary := z.group().admit(n.From, n.Key)
	if verdict == allow.NotAllowed || verdict == allow.KeyRequired {
		return
	}
	e.emit(Fact{Kind: Notified, Zone: z, Notification: n, Verdict: verdict})
	what := refresh.Event{Kind: refresh.Notified, Primary: primary, Serial: n.Serial, HasSerial: n.HasSerial}
	what.Signed = n.Key != nil && primary >= 0 && n.Key.Equal(z.group().Primaries[primary].Key)
	if verdict == allow.Hinted {
		e.hint(z, what)
		return
	}
	z.urgent = true
	if primary >= 0 {
		e.remote(z.group().Primaries[primary]).Up() // it lives: do not hold an earlier failure against it
	}
	e.step(z, what)
}

// hint has a zone checked for a NOTIFY that anybody may have sent. It ends no back-off, does not go in front of other checks,
// and waits for its turn among all zones. e.mu is held.
func (e *Engine) hint(z *Zone, what refresh.Event) {
	what.Weak = true
	if z.machine().Awaited(what) {
		var ok bool
		if what.After, ok = e.pace.Hint(time.Now()); !ok {
			return
		}
	}
	e.step(z, what)
}

// Refusal is a NOTIFY that was turned away. It is a plain value.
type Refusal struct {
	From   netip.Addr
	Result string // refused, key_required, or the reason of a TSIG failure
	Text   string // why, and what to do; of bounded length
	Key    string // name and algorithm of the key that it was signed with, where that is not configured; else empty
}

// Refuse takes note of a NOTIFY that was turned away, and of the key that one of the primaries has and we have not. Too many are
// not noted.
func (z *Zone) Refuse(r Refusal) {
	r.From = r.From.Unmap()
	z.engine.inbox.Put(notice{zone: z, refusal: r}, maxNotices/2)
}

// admit decides about a NOTIFY from an address, signed with key or nil, and returns the primary it is from, or -1.
func (g *Group) admit(from netip.Addr, key *xfr.Key) (allow.Verdict, int) {
	return allow.Notify(g.Primaries, g.AllowNotify, from, key)
}
