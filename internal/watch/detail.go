package watch

import (
	"slices"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/engine"
)

// Detail is what an operator may want to know of one zone. It is a copy; nothing in it changes.
type Detail struct {
	engine.Detail
	Notified   Serial // the latest that a NOTIFY told
	NotifiedAt time.Time
	Refused    uint64   // NOTIFYs turned away since the start
	Strange    []string // by primary: the key, not configured here, that a NOTIFY from its address was signed with; empty for none
	History    []Event  // oldest first
	Forgotten  uint64   // ID of the latest event before History; 0 for none
}

// Detail returns how one zone stands, and what has happened to it. The error is engine.ErrNoZone.
func (w *Watch) Detail(id engine.ZoneID) (Detail, error) {
	z, of, err := w.engine.Detail(id)
	if err != nil {
		return Detail{}, err
	}
	d := Detail{Detail: of, Strange: make([]string, len(of.Primaries))}
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.records[z]
	if r == nil {
		return d, nil // it has just gone
	}
	d.Notified, d.NotifiedAt, d.Refused, d.History, d.Forgotten = r.notified, r.notifiedAt, r.refused, slices.Clone(r.history), r.forgotten
	for i, p := range of.Primaries {
		d.Strange[i] = r.strange[p.Addr.Addr().Unmap()]
	}
	return d, nil
}
