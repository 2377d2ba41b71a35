package xfr

import (
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// This file is the part of the Interpreter that reads difference sequences (RFC 1995 §4): each is an old SOA, the records
// removed, a new SOA, the records added; the oldest comes first, and the first SOA of the answer comes again at its end.
//
// The chain must lead from our serial to the primary's, each step forward (RFC 1982) and none past the end. So no serial
// comes twice, and no chain is endless.

// beginDifferences takes the second record of the answer, a SOA.
func (x *Interpreter) beginDifferences(rr *wire.RR, soa wire.SOA) error {
	have := x.query.Have.Serial
	if !x.soa.Serial.Newer(have) {
		return failure(reason.IXFRBroken, "the differences lead to serial %s, which is not newer than ours, %s", x.soa.Serial, have)
	}
	// RFC 1995 §4: the first sequence begins with the version we asked from.
	if soa.Serial != have {
		return failure(reason.IXFRBroken, "the differences begin at serial %s; asked was from %s", soa.Serial, have)
	}
	x.kind, x.at = IXFR, have
	if err := x.recv.Begin(IXFR, &x.first); err != nil {
		return err
	}
	return x.beginDeletions(rr, soa)
}

// beginDeletions takes the old SOA of a sequence.
func (x *Interpreter) beginDeletions(rr *wire.RR, soa wire.SOA) error {
	// RFC 1995 §4: the sequences are contiguous.
	if soa.Serial != x.at {
		return failure(reason.IXFRBroken, "a difference begins at serial %s; the one before it leads to %s", soa.Serial, x.at)
	}
	if x.differences++; x.differences > maxDifferences {
		return failure(reason.IXFRBroken, "more than %d differences in one answer", maxDifferences)
	}
	x.position = inDeletions
	return x.recv.Remove(rr)
}

// beginAdditions takes the new SOA of a sequence.
func (x *Interpreter) beginAdditions(rr *wire.RR, soa wire.SOA) error {
	last := x.soa.Serial
	// RFC 1995 §4: the oldest difference comes first. RFC 1982 §3.2: newer is not greater.
	if !soa.Serial.Newer(x.at) || (soa.Serial != last && last.Compare(soa.Serial) != serial.Greater) {
		return failure(reason.IXFRBroken, "a difference leads from serial %s to %s, on the way to %s", x.at, soa.Serial, last)
	}
	// The contents get this SOA, and the answer's first SOA is the one announced: they must be the same.
	if soa.Serial == last && wire.CompareRDATA(wire.TypeSOA, x.first.Data, rr.Data) != 0 {
		return x.mismatch(rr)
	}
	x.position, x.at = inAdditions, soa.Serial
	return x.recv.Add(rr)
}
