package version

import (
	"container/list"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// Histories are the differences between the latest versions of all zones. They are bounded for each zone by its policy, and
// together: where they take too much, the oldest of any zone go. They are safe for concurrent use.
type Histories struct {
	mu    sync.Mutex
	limit int64     // octets
	held  int64     // octets, see octetsOf
	ages  list.List // of *link, the oldest first
}

// NewHistories returns histories that take up to limit octets together.
func NewHistories(limit int64) *Histories { return &Histories{limit: limit} }

// History is the differences between the latest versions of one zone. The zero value has none. Its methods are safe for
// concurrent use and take no lock. It is changed by Histories alone.
type History struct {
	links atomic.Pointer[[]*list.Element] // of *link: oldest first, each leads on from the one before it; nil for none
	epoch atomic.Uint32                   // changes whenever it begins anew, after the links have gone; 0 while it has no version
	to    serial.Serial                   // the latest version; guarded by Histories.mu
}

// link is a difference in a history. It never changes.
type link struct {
	of         *History
	difference *zone.Difference
}

// linkOctets is what a difference takes beside its records, about.
const linkOctets = 250

func octetsOf(d *zone.Difference) int64 { return d.Size() + linkOctets }

// Put takes the differences of a version that is about to be published, and returns it without them. Where they do not lead on
// from the version before, the history begins anew. The versions of a zone are put in order.
func (a *Histories) Put(h *History, v *Version, p *Policy) *Version {
	a.mu.Lock()
	defer a.mu.Unlock()
	to := v.Contents.Serial()
	differences := leading(v.Differences, to)
	if len(differences) == 0 || h.epoch.Load() == 0 || differences[0].From() != h.to {
		a.drop(h, h.load(), len(h.load()))
		h.epoch.Add(1)
	}
	h.to = to
	links := slices.Clone(h.load())
	for _, d := range differences {
		links = append(links, a.ages.PushBack(&link{h, d}))
		a.held += octetsOf(d)
	}
	a.drop(h, links, p.surplus(links, to))
	for a.held > a.limit {
		oldest := a.ages.Front().Value.(*link).of
		a.drop(oldest, oldest.load(), 1)
	}
	published := *v
	published.Differences, published.epoch = nil, h.epoch.Load()
	return &published
}

// Forget drops all differences of a zone that is no longer there.
func (a *Histories) Forget(h *History) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drop(h, h.load(), len(h.load()))
}

// Held returns the octets that all histories take.
func (a *Histories) Held() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.held
}

// drop leaves a history with all but the n oldest of its links. mu is held.
func (a *Histories) drop(h *History, links []*list.Element, n int) {
	for _, e := range links[:n] {
		a.held -= octetsOf(a.ages.Remove(e).(*link).difference)
	}
	if n == len(links) {
		h.links.Store(nil)
		return
	}
	rest := slices.Clone(links[n:])
	h.links.Store(&rest)
}

// leading returns those of the differences, at their end, that lead to a version without a gap.
func leading(differences []*zone.Difference, to serial.Serial) []*zone.Difference {
	first := len(differences)
	for i, d := range slices.Backward(differences) {
		if d.To() != to || !to.Newer(d.From()) {
			break
		}
		first, to = i, d.From()
	}
	return differences[first:]
}

// surplus returns how many links, the oldest, are more than a history may have. No serial in it is one that RFC 1982 does not
// order before the latest, so none is there twice.
func (p *Policy) surplus(links []*list.Element, latest serial.Serial) int {
	octets := int64(0)
	for i, e := range slices.Backward(links) {
		d := e.Value.(*link).difference
		octets += octetsOf(d)
		if len(links)-i > p.History.Versions || octets > p.History.Octets || !latest.Newer(d.From()) {
			return i + 1
		}
	}
	return 0
}

func (h *History) load() []*list.Element {
	if links := h.links.Load(); links != nil {
		return *links
	}
	return nil
}

// LeadingTo returns the differences that lead to a version which Put has returned, oldest first: those since an older one, nil
// for none, or where since is false all there are.
func (h *History) LeadingTo(v, older *Version) (differences []*zone.Difference, since bool) {
	links := h.load()
	if h.epoch.Load() != v.epoch {
		return nil, false // it has begun anew meanwhile
	}
	end := 1 + slices.IndexFunc(links, func(e *list.Element) bool { return e.Value.(*link).difference.To() == v.Contents.Serial() })
	differences = differencesOf(links[:end])
	if older == nil || older.epoch != v.epoch {
		return differences, false
	}
	from := older.Contents.Serial()
	if from == v.Contents.Serial() {
		return nil, true // the same records, of which others are served
	}
	first := slices.IndexFunc(differences, func(d *zone.Difference) bool { return d.From() == from })
	if first < 0 {
		return differences, false
	}
	return differences[first:], true
}

// Since returns the differences that lead from the version with a serial to the latest, oldest first (RFC 1995 §4). ok is false
// where the history does not go back to it, and for the latest itself.
func (h *History) Since(n serial.Serial) (differences []*zone.Difference, ok bool) {
	links := h.load()
	for i, e := range links {
		if e.Value.(*link).difference.From() == n {
			return differencesOf(links[i:]), true
		}
	}
	return nil, false
}

func differencesOf(links []*list.Element) []*zone.Difference {
	differences := make([]*zone.Difference, len(links))
	for i, e := range links {
		differences[i] = e.Value.(*link).difference
	}
	return differences
}
