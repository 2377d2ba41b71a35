package keep

import (
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/host"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// state is the state of a zone as the store has it: CBOR (RFC 8949), in which times are seconds since 1970. JSON takes
// twice as long to read, and was a quarter of the work of a start with many zones. It is a plain value.
type state struct {
	CheckedAt    time.Time            `cbor:"checked"`
	ExpireAt     time.Time            `cbor:"expire"`
	SourceAt     time.Time            `cbor:"source,omitzero"`
	NextAt       time.Time            `cbor:"next"`
	Failures     int                  `cbor:"failures,omitempty"`
	Links        map[string]savedLink `cbor:"links,omitempty"`        // by primary, as savedName has it
	Ways         host.ByPrimary       `cbor:"ways,omitempty"`         // that a primary has for the zone
	Conflicts    string               `cbor:"conflicts,omitempty"`    // the rules that admitted the contents, see rules.Conflicts.Edition
	Acknowledged []byte               `cbor:"acknowledged,omitempty"` // by our own secondaries, see engine.Standing
	OrphanedAt   time.Time            `cbor:"orphaned,omitzero"`      // since when the zone is not configured
}

// savedLink is a refresh.Link. It is a plain value.
type savedLink struct {
	State    string        `cbor:"state"`
	Reason   reason.Reason `cbor:"reason,omitempty"`
	Serial   *uint32       `cbor:"serial,omitempty"`
	SinceAt  time.Time     `cbor:"since,omitzero"`
	LastOKAt time.Time     `cbor:"ok,omitzero"`
	FailedAt time.Time     `cbor:"failed,omitzero"`
	RetryAt  time.Time     `cbor:"retry,omitzero"`
	Failures int           `cbor:"failures,omitempty"`
	Tells    bool          `cbor:"tells,omitempty"`
}

// savedName names a primary over restarts: by address, by the name of its key, and by where we speak from.
func savedName(p xfr.Primary) string {
	name := p.Addr.String()
	if p.Key != nil {
		name += " " + p.Key.Name()
	}
	if p.Source.IsValid() {
		name += " from " + p.Source.String() // who asks from elsewhere may be given another zone
	}
	return name
}

// stateOf returns what is to be saved of a zone beside its contents.
func stateOf(s *engine.Standing) state {
	v, _ := s.Machine().Saved()
	z := state{
		CheckedAt: v.CheckedAt, ExpireAt: v.ExpireAt, SourceAt: v.SourceAt, NextAt: v.NextAt, Failures: v.Failures,
		Conflicts: s.Edition(), Links: make(map[string]savedLink, len(v.Links)), Ways: s.Ways,
		Acknowledged: s.Acknowledged,
	}
	for i, l := range v.Links {
		k := savedLink{
			State: l.State.String(), Reason: l.Reason, SinceAt: l.SinceAt, LastOKAt: l.LastOKAt, FailedAt: l.FailedAt, RetryAt: l.RetryAt,
			Failures: l.Failures, Tells: l.Tells,
		}
		if l.HasSerial {
			n := l.Serial.Uint32()
			k.Serial = &n
		}
		z.Links[savedName(s.Group.Primaries[i])] = k
	}
	return z
}

// stateEncoding is how states are written; any CBOR is read.
var stateEncoding = must(cbor.EncOptions{Time: cbor.TimeUnixDynamic}.EncMode())

// must returns v. An error is one of the program.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// encode returns s as the store keeps it.
func (s state) encode() []byte { return must(stateEncoding.Marshal(s)) }

// maxStateError is how much is shown of why a state cannot be read, which may hold what stands there.
const maxStateError = 200

// decodeState is the inverse of encode.
func decodeState(b []byte) (s state, err error) {
	if len(b) == 0 {
		return s, errors.New("its state is not in the store")
	}
	if err := cbor.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("its state cannot be read: %.*q", maxStateError, err.Error())
	}
	return s, nil
}

// sharesPrimaries reports whether the state is that of a zone with these primaries.
func (s state) sharesPrimaries(primaries []xfr.Primary) bool {
	for _, p := range primaries {
		if _, ok := s.Links[savedName(p)]; !ok {
			return false
		}
	}
	return len(s.Links) == len(primaries)
}

// machine returns what a zone's machine is told of the state of contents with this SOA.
func (s state) machine(soa wire.SOA, primaries []xfr.Primary) refresh.Saved {
	v := refresh.Saved{
		SOA: soa, CheckedAt: s.CheckedAt, ExpireAt: s.ExpireAt, SourceAt: s.SourceAt, NextAt: s.NextAt, Failures: s.Failures,
	}
	for _, p := range primaries {
		k := s.Links[savedName(p)]
		l := refresh.Link{
			Reason: k.Reason, SinceAt: k.SinceAt, LastOKAt: k.LastOKAt, FailedAt: k.FailedAt, RetryAt: k.RetryAt, Failures: k.Failures,
			Tells: k.Tells,
		}
		for _, is := range []refresh.LinkState{refresh.Normal, refresh.Blocked} {
			if k.State == is.String() {
				l.State = is
			}
		}
		if k.Serial != nil {
			l.Serial, l.HasSerial = serial.New(*k.Serial), true
		}
		v.Links = append(v.Links, l)
	}
	return v
}
