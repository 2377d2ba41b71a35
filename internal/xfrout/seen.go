package xfrout

import (
	"container/list"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/serial"
)

// Secondary is what has been seen of a secondary of a zone. It is a plain value.
type Secondary struct {
	Addr    netip.Addr
	Key     string        // name of the key that its latest request was signed with; empty for none
	Asked   serial.Serial // that it had when it asked for IXFR last, at AskedAt
	AskedAt time.Time     // zero for never
	Sent    Sent          // to it, last
	LateAt  time.Time     // since when a version is served that it is not known to have; zero for not
}

// Has returns the serial that the secondary is known to have: what it was sent last, or, if it has asked since, what it asked from. It
// says so itself then, and may have failed to take what was sent.
func (s *Secondary) Has() (has serial.Serial, known bool) {
	switch {
	case s.AskedAt.After(s.Sent.At):
		return s.Asked, true
	default:
		return s.Sent.Serial, !s.Sent.At.IsZero()
	}
}

// Sent is a transfer that was sent whole. It is a plain value; the zero one is none.
type Sent struct {
	At          time.Time
	Serial      serial.Serial // of the version sent
	Incremental bool          // differences, else the whole zone
	Octets      int64
}

// Served is the version of a zone that is served. It is a plain value.
type Served struct {
	Serial serial.Serial
	At     time.Time // when it was published; zero where that was in an earlier process
}

// maxSeen is how many pairs of a zone and a secondary are remembered; of more, those seen last.
const maxSeen = 10_000

// Seen is what has been seen of the secondaries of all zones. Its zero value is empty, and it is safe for concurrent use.
type Seen struct {
	mu    sync.Mutex
	zones map[string]map[netip.Addr]*list.Element // of *seenPlace
	ages  list.List                               // seen last: at the back
}

// seenPlace is one pair of a zone and a secondary. Guarded by Seen.mu.
type seenPlace struct {
	zone      string
	secondary Secondary
}

// Asked notes that a secondary of a zone has asked for IXFR from a serial while a version was served, nil for none. Key names what
// the request was signed with.
func (s *Seen) Asked(zone string, addr netip.Addr, key string, have serial.Serial, served *Served, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.place(zone, addr)
	o.Key, o.Asked, o.AskedAt = key, have, now
	switch {
	case served == nil:
	case Current(have, served.Serial):
		o.LateAt = time.Time{}
	case !o.LateAt.IsZero():
	case served.At.IsZero():
		o.LateAt = now
	default:
		o.LateAt = served.At
	}
}

// Sent notes that a transfer of a zone has been sent to a secondary; served is what is served by then, nil for nothing.
func (s *Seen) Sent(zone string, addr netip.Addr, key string, t Sent, served *Served) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.place(zone, addr)
	o.Key, o.Sent, o.LateAt = key, t, time.Time{}
	if served != nil && !Current(t.Serial, served.Serial) {
		o.LateAt = served.At // it was published during the transfer
	}
}

// Published notes that another version of a zone is served.
func (s *Seen) Published(zone string, v Served) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.zones[zone] {
		o := &e.Value.(*seenPlace).secondary
		has, _ := o.Has() // each was seen
		switch {
		case Current(has, v.Serial): // the zone has gone back to it
			o.LateAt = time.Time{}
		case o.LateAt.IsZero():
			o.LateAt = v.At
		}
	}
}

// Removed forgets a zone.
func (s *Seen) Removed(zone string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.zones[zone] {
		s.ages.Remove(e)
	}
	delete(s.zones, zone)
}

// place returns the place of a pair, which is now the one seen last. mu is held.
func (s *Seen) place(zone string, addr netip.Addr) *Secondary {
	e := s.zones[zone][addr]
	if e != nil {
		s.ages.MoveToBack(e)
		return &e.Value.(*seenPlace).secondary
	}
	if s.ages.Len() == maxSeen {
		s.forget(s.ages.Front())
	}
	if s.zones == nil {
		s.zones = map[string]map[netip.Addr]*list.Element{}
	}
	if s.zones[zone] == nil {
		s.zones[zone] = map[netip.Addr]*list.Element{}
	}
	p := &seenPlace{zone, Secondary{Addr: addr}}
	s.zones[zone][addr] = s.ages.PushBack(p)
	return &p.secondary
}

// forget forgets a pair. mu is held.
func (s *Seen) forget(e *list.Element) {
	p := s.ages.Remove(e).(*seenPlace)
	delete(s.zones[p.zone], p.secondary.Addr)
	if len(s.zones[p.zone]) == 0 {
		delete(s.zones, p.zone)
	}
}

// Of returns the secondaries of a zone, by address.
func (s *Seen) Of(zone string) []Secondary {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.zones[zone]) == 0 {
		return nil
	}
	all := make([]Secondary, 0, len(s.zones[zone]))
	for _, e := range s.zones[zone] {
		all = append(all, e.Value.(*seenPlace).secondary)
	}
	slices.SortFunc(all, func(a, b Secondary) int { return a.Addr.Compare(b.Addr) })
	return all
}
