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
	Asked   serial.Serial // that it had when it asked for IXFR last, at AskedAt
	AskedAt time.Time     // zero for never
	Sent    Sent          // to it, last
}

// Sent is a transfer that was sent whole. It is a plain value; the zero one is none.
type Sent struct {
	At          time.Time
	Serial      serial.Serial // of the version sent
	Incremental bool          // differences, else the whole zone
	Octets      int64
}

// maxSeen is how many pairs of a zone and a secondary are remembered; of more, those seen last.
const maxSeen = 10_000

// Seen is what has been seen of the secondaries of all zones. Its zero value is empty, and it is safe for concurrent use.
type Seen struct {
	mu     sync.Mutex
	places map[seenKey]*list.Element // of *seenPlace
	ages   list.List                 // seen last: at the back
}

type seenKey struct {
	zone string
	addr netip.Addr
}

type seenPlace struct {
	seenKey
	secondary Secondary
}

// Asked notes that a secondary of a zone has asked for IXFR from a serial.
func (s *Seen) Asked(zone string, addr netip.Addr, have serial.Serial, now time.Time) {
	s.note(zone, addr, func(o *Secondary) { o.Asked, o.AskedAt = have, now })
}

// Sent notes that a transfer of a zone has been sent to a secondary.
func (s *Seen) Sent(zone string, addr netip.Addr, t Sent) {
	s.note(zone, addr, func(o *Secondary) { o.Sent = t })
}

func (s *Seen) note(zone string, addr netip.Addr, f func(*Secondary)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := seenKey{zone, addr}
	e := s.places[key]
	switch {
	case e != nil:
		s.ages.MoveToBack(e)
	default:
		if s.places == nil {
			s.places = map[seenKey]*list.Element{}
		}
		if len(s.places) == maxSeen {
			delete(s.places, s.ages.Remove(s.ages.Front()).(*seenPlace).seenKey)
		}
		e = s.ages.PushBack(&seenPlace{key, Secondary{Addr: addr}})
		s.places[key] = e
	}
	f(&e.Value.(*seenPlace).secondary)
}

// Of returns the secondaries of a zone, by address.
func (s *Seen) Of(zone string) (all []Secondary) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := s.ages.Front(); e != nil; e = e.Next() {
		if p := e.Value.(*seenPlace); p.zone == zone {
			all = append(all, p.secondary)
		}
	}
	slices.SortFunc(all, func(a, b Secondary) int { return a.Addr.Compare(b.Addr) })
	return all
}
