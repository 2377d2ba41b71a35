package zone

import (
	"fmt"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// DiscardKind is why a record cannot be part of a zone.
type DiscardKind uint8

// The kinds of discarded records.
const (
	OutOfZone DiscardKind = iota // the owner is not within the zone
	NonIN                        // the class is not IN
	Malformed                    // the RDATA cannot be delimited, or no server takes it, or the type is no data type
	discardKinds
)

// maxSamples is how many discarded records of one version are named; the others are only counted.
const maxSamples = 10

// Discards are the records of one version that were left out. Owned by whoever owns the builder.
type Discards struct {
	counts  [discardKinds]int
	samples []string
}

func (d *Discards) add(kind DiscardKind, rr *wire.RR) {
	d.counts[kind]++
	if len(d.samples) < maxSamples {
		d.samples = append(d.samples, fmt.Sprintf("%s %s", rr.Owner, wire.TypeName(rr.Type)))
	}
}

// Count returns how many records of one kind were discarded.
func (d *Discards) Count(kind DiscardKind) int { return d.counts[kind] }

// Total returns how many records were discarded.
func (d *Discards) Total() int { return d.counts[OutOfZone] + d.counts[NonIN] + d.counts[Malformed] }

// Samples returns owner and type of the first few.
func (d *Discards) Samples() []string { return d.samples }
