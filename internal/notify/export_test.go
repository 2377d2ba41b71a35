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
	open, tellings, flights := map[*peer]int{}, 0, 0
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
			if t.open {
				open[e.peer]++
			}
			if t.errand != e || t.stage == done || t.stage == ready && !t.queued || len(t.flights) > maxFlights {
				return fmt.Sprintf("%s to %s: %+v", z.id, e.target.Addr, *t)
			}
		}
	}
	if flights != len(m.flights) || m.due.Len() > tellings {
		return fmt.Sprintf("%d flights of %d, %d due of %d", len(m.flights), flights, m.due.Len(), tellings)
	}
	for _, p := range m.peers {
		// One that waited already when it was begun anew may go beyond what there is room for.
		if p.open != open[p] || p.errands != errands[p] || p.open > 2*maxOpen || p.tcp > maxTCPTo || !p.listed && p.maySend() {
			return fmt.Sprintf("peer %v: open %d of %d, errands %d of %d, tcp %d, listed %t", p.id, p.open, open[p], p.errands, errands[p], p.tcp, p.listed)
		}
	}
	if m.tcp < 0 || m.tcp > maxTCP || len(m.peers) != len(errands) {
		return fmt.Sprintf("tcp %d, peers %d of %d", m.tcp, len(m.peers), len(errands))
	}
	return ""
}

// Exchange sends a message over TCP and returns the answer.
func (s *Sender) Exchange(msg *Message) ([]byte, error) { return s.exchange(msg) }
