// Package host has what is known of a primary as a host: whether it lives, how it wants to be asked, and which connections to it
// are kept for the next transfer.
package host

import (
	"net/netip"
	"slices"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// A primary that is silent is not tried again for downFirst, doubled with every further failure up to downMax:
// however many zones wait for it, few connections are spent on it.
const (
	downFirst = 10 * time.Second
	downMax   = 640 * time.Second

	// slowFailure is how long an attempt has to hang before it counts as an outage.
	slowFailure = time.Second

	// maxRefusals is how many attempts in a row may fail faster than that before they count as one, of refusedFirst to
	// refusedMax: each costs little, but there may be tens of thousands of zones, and a host that refuses is there and may just
	// be starting.
	maxRefusals  = 16
	refusedFirst = time.Second
	refusedMax   = time.Minute
)

// MaxIdle is how long a connection is kept for the next transfer from the same primary (RFC 7766 §6.2.3).
const MaxIdle = 5 * time.Second

// ID is what makes two primaries the same host for limits and connections. It is a plain value.
type ID struct {
	addr   netip.AddrPort
	source netip.Addr
}

// IDOf returns the ID of a primary.
func IDOf(p xfr.Primary) ID { return ID{p.Addr, p.Source} }

// Host is what is known of one host. The zero value is one that nothing is known of. It is guarded by whoever has it.
type Host struct {
	Ways Ways // of all its zones

	idle      []idleConn
	seenAt    time.Time     // when it last answered
	failures  int           // in a row to reach it
	skipped   int           // jobs given up since it was last up, because it was down
	refusals  int           // of them that came at once, since it was last down
	downUntil time.Time     // no attempt before, unless it is known to live
	reason    reason.Reason // why it is down
	heeds     [2]heed       // of queries with an OPT record: SOA queries, and requests for a transfer
	witnesses [2]Witness    // the zones it answered last, which are not the same
	asking    bool          // about one of these
}

// heed is whether a host answers queries of a kind that have an OPT record. It is a plain value.
type heed struct {
	plain bool      // its latest answer came without OPT record only
	at    time.Time // when it last answered one with it; zero for never
}

// idleConn is a connection that waits for its next transfer.
type idleConn struct {
	primary xfr.Primary
	conn    *xfr.Conn
	till    time.Time
}

// Witness is a zone that a primary has answered a SOA query for. It is a plain value.
type Witness struct {
	Origin  wire.Name // nil for none
	Primary xfr.Primary
}

// AnsweredSOA draws the conclusions from a SOA query that was answered, noOPT: without OPT record only.
func (h *Host) AnsweredSOA(of Witness, noOPT bool, now time.Time) {
	w := &h.witnesses
	if !w[0].Origin.Equal(of.Origin) {
		w[1] = w[0]
	}
	w[0] = of
	h.heard(&h.heeds[0], noOPT, now)
}

// Transferred draws the conclusions from a transfer that was given, noOPT: without OPT record only.
func (h *Host) Transferred(noOPT bool, now time.Time) { h.heard(&h.heeds[1], noOPT, now) }

// heard learns from an answer to a question that the one before was, too: once may be chance, as where a message was lost; twice is
// a way. With many zones twice in a row is chance as well, so it is none of a host that has answered one with OPT for as long as a
// way would count.
func (h *Host) heard(k *heed, noOPT bool, now time.Time) {
	switch {
	case !noOPT && !h.Ways.Has(WayNoOPT, now): // else it was asked without
		k.at = now
	case noOPT && k.plain && now.Sub(k.at) >= waySpan:
		h.Ways.Learn(WayNoOPT, now)
	}
	k.plain = noOPT
}

// AskAbout returns a witness that is not this zone, without origin if there is none. Whoever gets one asks about it and calls
// Asked, unless busy says that somebody is doing so.
func (h *Host) AskAbout(notThis wire.Name) (w Witness, busy bool) {
	for _, w = range h.witnesses {
		if !w.Origin.Equal(notThis) {
			break
		}
		w = Witness{}
	}
	busy = h.asking
	h.asking = busy || w.Origin != nil
	return w, busy
}

// Asked ends what AskAbout has begun.
func (h *Host) Asked() { h.asking = false }

// Note draws the conclusion from an attempt that took so long and failed for a reason, empty for not: does the host live? It
// reports whether the host is down from now on.
func (h *Host) Note(now time.Time, took time.Duration, why reason.Reason) (down bool) {
	switch {
	case why == reason.Canceled, why == reason.Local:
		return false // it says nothing about the primary
	case why != reason.Unreachable && why != reason.Timeout:
		h.Up()
		h.seenAt = now
		return false
	}
	switch {
	case h.isDown(now):
		return false // many zones learn of one outage; it counts once
	case took < slowFailure && h.refusals < maxRefusals:
		h.refusals++
		return false
	case h.seenAt.After(now.Add(-took)):
		return false // it has answered others meanwhile: this zone is what it is silent about
	}
	span := min(downFirst<<min(h.failures, 10), downMax)
	if took < slowFailure {
		span = min(refusedFirst<<min(h.failures, 10), refusedMax)
	}
	h.downUntil = now.Add(span)
	h.failures++
	h.reason = why
	return true
}

// Up notes that the host was reached, or has shown that it lives.
func (h *Host) Up() { h.failures, h.refusals, h.skipped, h.downUntil = 0, 0, 0, time.Time{} }

// Down returns why the host is not to be tried now; down is false where it is.
func (h *Host) Down(now time.Time) (why reason.Reason, down bool) { return h.reason, h.isDown(now) }

func (h *Host) isDown(now time.Time) bool { return now.Before(h.downUntil) }

// Skip counts an attempt that is not made because the host is down, and returns the how-manieth in a row it is.
func (h *Host) Skip() int {
	h.skipped++
	return h.skipped
}

// TakeIdle returns a kept connection for p that is still good, nil if there is none.
func (h *Host) TakeIdle(p xfr.Primary, now time.Time) *xfr.Conn {
	h.DropStale(now)
	for i, c := range slices.Backward(h.idle) {
		if c.primary.Equal(p) {
			h.idle = slices.Delete(h.idle, i, i+1)
			return c.conn
		}
	}
	return nil
}

// Keep puts a connection aside; the oldest gives way when limit are kept already.
func (h *Host) Keep(p xfr.Primary, c *xfr.Conn, now time.Time, limit int) {
	if len(h.idle) >= limit {
		h.idle[0].conn.Close()
		h.idle = h.idle[1:]
	}
	h.idle = append(h.idle, idleConn{p, c, now.Add(MaxIdle)})
}

// CloseIdle closes all kept connections.
func (h *Host) CloseIdle() {
	for _, c := range h.idle {
		c.conn.Close()
	}
	h.idle = nil
}

// DropStale closes kept connections that have waited for MaxIdle.
func (h *Host) DropStale(now time.Time) {
	for len(h.idle) > 0 && !now.Before(h.idle[0].till) {
		h.idle[0].conn.Close()
		h.idle = h.idle[1:]
	}
}
