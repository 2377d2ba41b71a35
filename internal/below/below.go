// Package below tells how secondaries of our own stand: which versions of a zone they are known to have, by what they were seen to ask
// for and were sent, and what they say to NOTIFYs. It guesses nothing: a NOTIFY that was acknowledged says that the secondary knows of a
// version, not that it has it.
package below

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/notify"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/xfrout"
)

// State is how a secondary of a zone stands. It is the label of a metric.
type State string

// The states.
const (
	Current State = "current" // it is known to have the version served, or a newer one
	Behind  State = "behind"  // it is known to have another one
	Failing State = "failing" // it is not known to have the version served, and leaves NOTIFYs unanswered or refuses them
	Unknown State = "unknown" // it was not seen to ask for a version or to take one, or nothing is served
)

// states are all states, the worst first.
var states = [...]State{Failing, Behind, Unknown, Current}

// States returns all states, the worst first.
func States() []State { return slices.Clone(states[:]) }

// Secondary is how one secondary of a zone stands. It is a copy; nothing in it changes.
type Secondary struct {
	Addr  netip.AddrPort // of NOTIFYs; the port is 0 where none are sent to it
	State State
	Seen  *xfrout.Secondary // nil where it was not seen
	Told  *notify.Status    // nil where it gets no NOTIFYs
}

// LateAt returns since when a version is served that the secondary is not known to have; zero for not, and where nothing is known of it.
func (s *Secondary) LateAt() time.Time {
	if s.Seen == nil || s.State == Unknown {
		return time.Time{}
	}
	return s.Seen.LateAt
}

// Key names the key that the secondary is told with, or that it signs its requests with; empty for none.
func (s *Secondary) Key() string {
	switch {
	case s.Told != nil && s.Told.Target.Key != nil:
		return s.Told.Target.Key.Name()
	case s.Seen != nil:
		return s.Seen.Key
	}
	return ""
}

// Of returns the secondaries of a zone, the worst first, then by address: those that are told of versions, and those that were seen. Served
// is the version that is served, nil for none. What was seen of an address belongs to the one that is told there. Where several are
// told at one address it may be that of any, so it stands by itself.
func Of(served *xfrout.Served, told []notify.Status, seen []xfrout.Secondary) []Secondary {
	all := make([]Secondary, 0, len(told)+len(seen))
	for i := range told {
		all = append(all, Secondary{Addr: told[i].Target.Addr, Told: &told[i]})
	}
	for i := range seen {
		addr := seen[i].Addr
		at := func(s Secondary) bool { return s.Addr.Addr().Unmap() == addr }
		first := slices.IndexFunc(all[:len(told)], at)
		if first >= 0 && !slices.ContainsFunc(all[first+1:len(told)], at) {
			all[first].Seen = &seen[i]
		} else {
			all = append(all, Secondary{Addr: netip.AddrPortFrom(addr, 0), Seen: &seen[i]})
		}
	}
	for i := range all {
		all[i].State = all[i].state(served)
	}
	slices.SortFunc(all, func(a, b Secondary) int {
		return cmp.Or(slices.Index(states[:], a.State)-slices.Index(states[:], b.State), a.Addr.Compare(b.Addr))
	})
	return all
}

// state derives the state from the facts.
func (s *Secondary) state(served *xfrout.Served) State {
	var has serial.Serial
	known := false
	if s.Seen != nil {
		has, known = s.Seen.Has()
	}
	switch {
	case served == nil:
		return Unknown
	case known && xfrout.Current(has, served.Serial):
		return Current
	case s.Told != nil && !s.Told.FailedAt.IsZero():
		return Failing
	case !known:
		return Unknown
	}
	return Behind
}

// Line is how one address stands as the secondary of zones. It is a plain value.
type Line struct {
	Addr   netip.Addr
	States map[State]int // pairs of a zone and a secondary at the address
	LateAt time.Time     // since when it has lacked a version of some zone; zero for not
	SentAt time.Time     // the latest transfer; zero for none
	ToldAt time.Time     // the latest acknowledgement of a NOTIFY; zero for none since the start
}

// Zones returns of how many zones the address is a secondary; one that is told at several ports counts more than once.
func (l *Line) Zones() (n int) {
	for _, count := range l.States {
		n += count
	}
	return n
}

// Lines gathers lines: one for each address, at most a number of them. Its zero value has room for none. It is owned by one goroutine.
type Lines struct {
	Most    int
	Omitted int // pairs there was no line for
	lines   map[netip.Addr]*Line
}

// Add adds a secondary of a zone.
func (l *Lines) Add(s *Secondary) {
	addr := s.Addr.Addr().Unmap()
	o := l.lines[addr]
	switch {
	case o != nil:
	case len(l.lines) >= l.Most:
		l.Omitted++
		return
	default:
		if l.lines == nil {
			l.lines = map[netip.Addr]*Line{}
		}
		o = &Line{Addr: addr, States: map[State]int{}}
		l.lines[addr] = o
	}
	o.States[s.State]++
	if late := s.LateAt(); !late.IsZero() && (o.LateAt.IsZero() || late.Before(o.LateAt)) {
		o.LateAt = late
	}
	if s.Seen != nil && s.Seen.Sent.At.After(o.SentAt) {
		o.SentAt = s.Seen.Sent.At
	}
	if s.Told != nil && s.Told.ToldAt.After(o.ToldAt) {
		o.ToldAt = s.Told.ToldAt
	}
}

// Sorted returns the lines, the worst first: by the worst state of any zone, then by how many zones are in it, then by address.
func (l *Lines) Sorted() []*Line {
	all := make([]*Line, 0, len(l.lines))
	for _, o := range l.lines {
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b *Line) int {
		for _, s := range states {
			if n := cmp.Compare(b.States[s], a.States[s]); n != 0 {
				return n
			}
		}
		return a.Addr.Compare(b.Addr)
	})
	return all
}
