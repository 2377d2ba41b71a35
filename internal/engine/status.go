package engine

import (
	"cmp"
	"slices"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// Status is how a zone stands at one moment. It is a copy; nothing in it changes.
type Status struct {
	Name      string
	Server    string         // the server block, as ZoneID has it
	Contents  *zone.Contents // nil before the first transfer and after expiry
	Saved     *zone.Contents // as the store has them; nil for none
	BehindAt  time.Time      // since when a primary has had a newer version; zero when none has
	CheckedAt time.Time      // when a primary last confirmed the contents; zero for never
	ExpireAt  time.Time      // zero without contents
	NextAt    time.Time      // the next attempt; zero while one is running
	Expired   bool           // there were contents, and they are too old to be served
	Transfer  *Transfer      // that runs; nil for none
	Primaries []xfr.Primary
	State     refresh.ZoneState // of links and contents together
	Links     []refresh.Link    // one for each primary
}

// Transfer is one that runs. It is a copy; nothing in it changes.
type Transfer struct {
	Primary xfr.Primary
	BeganAt time.Time
	Records int64 // received
	Bytes   int64 // received
}

// Status returns how every zone stands, sorted by name.
func (e *Engine) Status() []Status {
	e.mu.Lock()
	all := make([]Status, 0, len(e.zones))
	for _, z := range e.zones {
		all = append(all, z.status())
	}
	e.mu.Unlock()
	slices.SortFunc(all, func(a, b Status) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// status returns how z stands. Engine.mu is held.
func (z *Zone) status() Status {
	m := z.machine
	return Status{
		Name: z.name, Server: z.id.Block, Contents: z.Contents(), Saved: z.kept.contents,
		BehindAt: m.BehindAt(), CheckedAt: m.CheckedAt(), ExpireAt: m.ExpireAt(), NextAt: m.RefreshAt(),
		Expired: m.State() == refresh.Expired, Transfer: z.transfer(), Primaries: z.group.Primaries, State: m.ZoneState(), Links: m.Links(),
	}
}

// transfer returns the transfer that runs, nil for none. Engine.mu is held.
func (z *Zone) transfer() *Transfer {
	for _, j := range z.running {
		if p := j.progress; p != nil {
			return &Transfer{Primary: j.primary, BeganAt: p.BeganAt, Records: p.Records.Load(), Bytes: p.Bytes.Load()}
		}
	}
	return nil
}

// Settled reports whether every zone has contents or has failed its first round.
func (e *Engine) Settled() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, z := range e.zones {
		if !z.settled() {
			return false
		}
	}
	return true
}

// settled reports whether waiting longer for z will not help. Engine.mu is held.
func (z *Zone) settled() bool { return z.Contents() != nil || z.machine.Settled() }
