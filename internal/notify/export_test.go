package notify

import "fmt"

// Limits that tests compare with.
const (
	MaxRate    = maxRate
	MaxBurst   = maxBurst
	MaxTCP     = maxTCP
	MaxOpen    = maxOpen
	MaxFlights = maxFlights
	RestSpan   = restSpan
)

// Audit returns what is wrong with the books of a machine, empty for nothing.
func (m *Machine) Audit() string {
	places, tellings, flights := map[*int]int{}, 0, 0
	errands := map[*peer]int{}
	for _, z := range m.zones {
		for i := range z.errands {
			e := &z.errands[i]
			errands[e.peer]++
			t := e.telling
			if t == nil {
				continue
			}
			tellings++
			flights += len(t.flights)
			if t.place != nil {
				places[t.place]++
			}
			if t.errand != e || t.stage == done || (t.stage == ready) != (t.queue != nil) || len(t.flights) > maxFlights {
				return fmt.Sprintf("%s to %s: %+v", z.id, e.target.Addr, *t)
			}
		}
	}
	if flights != len(m.flights) || m.due.Len() > tellings {
		return fmt.Sprintf("%d flights of %d, %d due of %d", len(m.flights), flights, m.due.Len(), tellings)
	}
	for _, p := range m.peers {
		if p.early != places[&p.early] || p.late != places[&p.late] || p.early > maxOpen || p.late > maxOpenOff ||
			p.errands != errands[p] || p.tcp > maxTCPTo || !p.listed && p.turn() != nil {
			return fmt.Sprintf("peer %v: places %d of %d and %d of %d, errands %d of %d, tcp %d, listed %t", p.id,
				p.early, places[&p.early], p.late, places[&p.late], p.errands, errands[p], p.tcp, p.listed)
		}
	}
	if m.tcp < 0 || m.tcp > maxTCP || len(m.peers) != len(errands) {
		return fmt.Sprintf("tcp %d, peers %d of %d", m.tcp, len(m.peers), len(errands))
	}
	return ""
}

// Exchange sends a message over TCP and returns the answer.
func (s *Sender) Exchange(msg *Message) ([]byte, error) { return s.exchange(msg) }
