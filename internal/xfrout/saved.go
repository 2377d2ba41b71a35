package xfrout

import (
	"net/netip"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/secondaryplus/secondaryplus/internal/serial"
)

// savedPair is a pair of a zone and a secondary as Saved writes it; times are in milliseconds, 0 for none. It is a plain value.
type savedPair struct {
	Zone        string     `cbor:"zone"`
	Addr        netip.Addr `cbor:"addr"`
	Key         string     `cbor:"key,omitempty"`
	Asked       uint32     `cbor:"asked,omitempty"`
	AskedAt     int64      `cbor:"askedAt,omitempty"`
	Sent        uint32     `cbor:"sent,omitempty"`
	SentAt      int64      `cbor:"sentAt,omitempty"`
	Incremental bool       `cbor:"incremental,omitempty"`
	Octets      int64      `cbor:"octets,omitempty"`
	LateAt      int64      `cbor:"lateAt,omitempty"`
}

// Saved returns what has been seen of all zones, for Recall in another process: at most some 2 MB.
func (s *Seen) Saved() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	pairs := make([]savedPair, 0, s.ages.Len())
	for e := s.ages.Front(); e != nil; e = e.Next() {
		p := e.Value.(*seenPlace)
		o := &p.secondary
		pairs = append(pairs, savedPair{
			Zone: p.zone, Addr: o.Addr, Key: o.Key, Asked: o.Asked.Uint32(), AskedAt: millis(o.AskedAt), Sent: o.Sent.Serial.Uint32(),
			SentAt: millis(o.Sent.At), Incremental: o.Sent.Incremental, Octets: o.Sent.Octets, LateAt: millis(o.LateAt),
		})
	}
	octets, err := cbor.Marshal(pairs)
	if err != nil {
		panic(err) // all of it is plain
	}
	return octets
}

// Recall takes over what Saved has returned, for the zones that there are. What cannot be read counts as not seen.
func (s *Seen) Recall(octets []byte, has func(zone string) bool) {
	var pairs []savedPair
	if cbor.Unmarshal(octets, &pairs) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range pairs {
		p := &pairs[i]
		if !p.Addr.IsValid() || p.AskedAt == 0 && p.SentAt == 0 || !has(p.Zone) {
			continue
		}
		*s.place(p.Zone, p.Addr) = Secondary{
			Addr: p.Addr, Key: p.Key, Asked: serial.New(p.Asked), AskedAt: moment(p.AskedAt), LateAt: moment(p.LateAt),
			Sent: Sent{At: moment(p.SentAt), Serial: serial.New(p.Sent), Incremental: p.Incremental, Octets: p.Octets},
		}
	}
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
