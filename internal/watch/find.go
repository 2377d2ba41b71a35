package watch

import (
	"errors"
	"fmt"
	"slices"

	"github.com/secondaryplus/secondaryplus/internal/engine"
)

// ErrAmbiguous is the error of Find for a name that has several zones.
var ErrAmbiguous = errors.New("the zone has several variants")

// Named returns the zones with a name, by variant.
func (w *Watch) Named(name string) []engine.ZoneID {
	var ids []engine.ZoneID
	for _, z := range w.engine.Variants(name) {
		ids = append(ids, z.ID())
	}
	slices.SortFunc(ids, engine.ZoneID.Compare)
	return ids
}

// Find returns the ID of the zone with a name and a variant, which may be left out where the name has one zone only. The
// error is engine.ErrNoZone or ErrAmbiguous.
func (w *Watch) Find(name, variant string) (engine.ZoneID, error) {
	id := engine.ZoneID{Name: name, Variant: variant}
	if w.engine.Lookup(id) != nil {
		return id, nil
	}
	found := w.Named(name)
	switch {
	case len(found) == 0 || variant != "":
		return id, fmt.Errorf("%w: %s", engine.ErrNoZone, id)
	case len(found) == 1:
		return found[0], nil
	}
	variants := make([]string, len(found))
	for i, id := range found {
		variants[i] = id.Variant
	}
	return engine.ZoneID{}, fmt.Errorf("%w: %s is there as %q", ErrAmbiguous, name, variants)
}
