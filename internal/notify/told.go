package notify

import (
	"encoding/binary"
	"net/netip"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/serial"
)

// toldFormat is the first octet of what Told returns. Behind it stand, for each target that has acknowledged a version, the length
// of its address, the address and port as package netip has them in binary, and the serial.
const toldFormat = 1

// Told returns which versions of a zone its targets have acknowledged, for Remember in another process: at most some 12 KB.
func (m *Machine) Told(id string) []byte {
	z := m.zones[id]
	if z == nil {
		return nil
	}
	octets := []byte{toldFormat}
	for i := range z.errands {
		e := &z.errands[i]
		addr, err := e.target.Addr.MarshalBinary()
		if !e.hasTold || err != nil || len(addr) > 255 {
			continue
		}
		octets = append(octets, byte(len(addr)))
		octets = append(octets, addr...)
		octets = binary.BigEndian.AppendUint32(octets, e.told.Uint32())
	}
	return octets
}

// readTold is the inverse of Told. What cannot be read counts as not told.
func readTold(octets []byte) map[netip.AddrPort]serial.Serial {
	if len(octets) == 0 || octets[0] != toldFormat {
		return nil
	}
	known := map[netip.AddrPort]serial.Serial{}
	for octets = octets[1:]; len(octets) > 0 && len(known) < MaxTargets; {
		n := 1 + int(octets[0])
		var addr netip.AddrPort
		if len(octets) < n+4 || addr.UnmarshalBinary(octets[1:n]) != nil {
			break
		}
		known[addr] = serial.New(binary.BigEndian.Uint32(octets[n:]))
		octets = octets[n+4:]
	}
	return known
}

// toldByAddr returns what Told says of a zone, nil for none, as readTold does.
func (z *zone) toldByAddr() map[netip.AddrPort]serial.Serial {
	if z == nil {
		return nil
	}
	known := make(map[netip.AddrPort]serial.Serial, len(z.errands))
	for i := range z.errands {
		if e := &z.errands[i]; e.hasTold {
			known[e.target.Addr] = e.told
		}
	}
	return known
}

// maxReports is how many reports wait to be taken.
const maxReports = 64

// Report is something that people should hear of, once while it lasts. It is a plain value.
type Report struct {
	Zone    string
	To      netip.AddrPort
	Result  Result        // Refused, Unanswered, or Told: it is over; Unsent, for all zones
	Rcode   int           // of Refused
	Failure reason.Reason // of Unanswered: why an answer did not count; empty for none
	Cause   string        // of Unsent
	All     bool          // of Unanswered: nothing at all has come from the target, so other zones are not reported
}

func (m *Machine) report(r Report) {
	if len(m.reports) == maxReports {
		m.unreported++
		return
	}
	m.reports = append(m.reports, r)
}

// Reports takes the reports there are, and the number of those that there was no room for.
func (m *Machine) Reports() (reports []Report, more int) {
	reports, more = m.reports, m.unreported
	m.reports, m.unreported = nil, 0
	return reports, more
}
