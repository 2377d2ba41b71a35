package store

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// Stored is one zone that the store knows. Owned by whoever asked for it.
type Stored struct {
	ID    []byte
	State []byte // nil if none was saved, or if it cannot be read
}

// Saved is what the store has of one zone. Owned by whoever asked for it; the zero value is of a zone it does not know.
type Saved struct {
	Contents *zone.Contents // nil if none were saved
	State    []byte         // nil if none was saved
	Journal  Journal
}

// Journal is what differences lead to the contents of a zone (RFC 1995). A plain value.
type Journal struct {
	From     serial.Serial // of the oldest version; meaningless without Versions
	Versions int           // differences, one behind the other, the last of which leads to the contents
	Octets   int64
}

// image returns an image of the file as it was after the last commit that succeeded, to be put back into images.
func (s *Store) image() *image {
	i, ok := s.images.Get().(*image)
	if !ok {
		i = &image{}
	}
	if i.file != s.file {
		i = &image{} // a page with the same number is another one
	}
	levels := i.levels
	*i = *newImage(s.file, s.size, s.meta)
	i.levels, i.suspect = levels, s.damage.Load() != nil
	return i
}

// reading calls read with an image and the bucket of all zones.
func (s *Store) reading(read func(i *image, zones tree) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch {
	case s.closed:
		return ErrClosed
	case s.file == nil:
		return errReopen
	case s.meta.high == 0:
		return s.Damage()
	}
	i := s.image()
	defer s.images.Put(i)
	zones, ok, err := i.find(i.root(), zonesBucket)
	if err == nil && ok {
		err = read(i, zones)
	}
	return s.found(err)
}

// All returns the zones the store knows, in order of ID. Along with an ErrDamaged these are some of them.
func (s *Store) All() (found []Stored, err error) {
	err = s.reading(func(i *image, zones tree) error {
		var damage error
		err := i.scan(zones, nil, func(e element, depth int) (bool, error) {
			zone, err := i.stored(e, depth)
			if zone.ID != nil {
				found = append(found, zone)
			}
			damage = errors.Join(damage, err)
			return true, nil
		})
		return errors.Join(damage, err)
	})
	if err != nil {
		return found, s.errorf("%w", err)
	}
	return found, nil
}

// stored returns the zone in an entry of the bucket of all zones. A state that is not right is as good as none; but if
// nothing is right, it may be the ID that is not, and another zone is missing.
func (m *image) stored(e element, depth int) (z Stored, err error) {
	if !e.bucket {
		return z, damagef("zone %q is no bucket", e.key)
	}
	z.ID = bytes.Clone(e.key)
	t, err := nested(e.value, depth)
	if err == nil {
		err = m.checkZone(t)
	}
	if err != nil {
		return z, err
	}
	var d *damaged
	if z.State, err = m.state(t, z.ID); err == nil && z.State != nil || errors.As(err, &d) {
		return z, err
	}
	if _, err = m.value(t, z.ID, headKey); err != nil && !errors.As(err, &d) {
		err = damagef("zone %q: %v", z.ID, err)
	}
	return z, err
}

// state returns the state of a zone, nil if there is none.
func (m *image) state(t tree, id []byte) (state []byte, err error) {
	value, err := m.value(t, id, stateKey)
	return bytes.Clone(value), err
}

// value returns what a key of a zone's bucket stands for, nil if it is not there. It is valid until the image is read
// again.
func (m *image) value(t tree, id, key []byte) (value []byte, err error) {
	err = m.scan(t, key, func(e element, _ int) (bool, error) {
		var err error
		if bytes.Equal(e.key, key) {
			value, err = opened(id, key, e.value)
		}
		return false, err
	})
	return value, err
}

// head returns the head of a zone, and whether there is one. Its views are copies.
func (m *image) head(t tree, id []byte) (h head, ok bool, err error) {
	value, err := m.value(t, id, headKey)
	if value == nil || err != nil {
		return h, false, err
	}
	if h, err = parseHead(value); err != nil {
		return h, false, err
	}
	h.origin, h.summary = h.origin.Clone(), bytes.Clone(h.summary)
	return h, true, nil
}

// Load returns what was saved of a zone. What is ErrDamaged of it does not concern other zones: the zone is to be
// transferred, and saved with Since nil.
func (s *Store) Load(id []byte) (saved Saved, err error) {
	err = s.reading(func(i *image, zones tree) error {
		t, ok, err := i.find(zones, id)
		if err == nil && ok {
			saved, err = i.load(t, id)
		}
		return err
	})
	if err != nil {
		return Saved{}, s.zoneError(id, err)
	}
	return saved, nil
}

// zoneError is the error of one zone.
func (s *Store) zoneError(id []byte, err error) error { return s.errorf("zone %q: %w", id, err) }

func (m *image) load(t tree, id []byte) (saved Saved, err error) {
	if err := m.checkZone(t); err != nil {
		return saved, err
	}
	h, ok, err := m.head(t, id)
	if err != nil {
		return saved, err
	}
	if saved.State, err = m.state(t, id); err != nil {
		return saved, err
	}
	if !ok {
		return saved, nil
	}
	if m.suspect && saved.State == nil {
		return saved, damagef("its state is not there, in a file that is not whole")
	}
	if saved.Contents, err = m.contents(t, id, &h); err != nil {
		return saved, err
	}
	saved.Journal = Journal{Versions: len(h.journal), Octets: h.octets()}
	if len(h.journal) > 0 {
		saved.Journal.From = h.journal[0].from
	}
	return saved, nil
}

// contents reads the pages of a zone.
func (m *image) contents(t tree, id []byte, h *head) (*zone.Contents, error) {
	var readErr error
	digest := uint64(0)
	c, err := zone.Restore(h.origin, h.summary, func(yield func(key, octets []byte) bool) {
		readErr = m.scan(t, pageKey, func(e element, _ int) (bool, error) {
			if !bytes.HasPrefix(e.key, pageKey) {
				return false, nil
			}
			octets, err := opened(id, e.key, e.value)
			if err != nil {
				return false, err
			}
			digest += uint64(sumOf(e.value))
			return yield(e.key[len(pageKey):], octets), nil
		})
	})
	switch {
	case readErr != nil:
		return nil, readErr
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	case digest != h.digest || c.Serial() != h.serial:
		return nil, fmt.Errorf("%w: pages of several versions", ErrDamaged)
	}
	return c, nil
}

// Note returns what was saved last under a name, nil if nothing was. It is ErrDamaged if that cannot be told.
func (s *Store) Note(name string) (octets []byte, err error) {
	err = s.reading(func(i *image, _ tree) error {
		t, ok, err := i.find(i.root(), notesBucket)
		if err != nil || !ok {
			return err
		}
		value, err := i.value(t, notesBucket, []byte(name))
		octets = bytes.Clone(value)
		return err
	})
	if err != nil {
		return nil, s.errorf("note %q: %w", name, err)
	}
	return octets, nil
}

// Differences returns the differences that lead from the version with this serial to the contents saved last (RFC 1995
// §4), in order; none if the journal does not go back to it.
func (s *Store) Differences(id []byte, from serial.Serial) (differences []*zone.Difference, err error) {
	err = s.reading(func(i *image, zones tree) error {
		t, ok, err := i.find(zones, id)
		if err != nil || !ok {
			return err
		}
		h, ok, err := i.head(t, id)
		if err != nil || !ok {
			return err
		}
		at := -1
		for n, e := range slices.Backward(h.journal) {
			if e.from == from {
				at = n
				break
			}
		}
		if at < 0 {
			return nil
		}
		differences, err = i.differences(t, id, &h, at)
		return err
	})
	if err != nil {
		return nil, s.zoneError(id, err)
	}
	return differences, nil
}

// differences reads the journal from entry number at on.
func (m *image) differences(t tree, id []byte, h *head, at int) (differences []*zone.Difference, err error) {
	var octets []byte
	sequence, part := h.first+uint64(at), 0
	err = m.scan(t, partKey(sequence, 0), func(e element, _ int) (bool, error) {
		if !bytes.Equal(e.key, partKey(sequence, part)) {
			return false, fmt.Errorf("%w: journal entry %d lacks part %d", ErrDamaged, sequence, part)
		}
		payload, err := opened(id, e.key, e.value)
		if err != nil {
			return false, err
		}
		octets = append(octets, payload...)
		if part++; part < h.journal[at].parts() {
			return true, nil
		}
		d, err := zone.ParseDifference(octets)
		if err != nil {
			return false, fmt.Errorf("%w: journal entry %d: %w", ErrDamaged, sequence, err)
		}
		differences = append(differences, d)
		octets, part = octets[:0], 0
		at, sequence = at+1, sequence+1
		return at < len(h.journal), nil
	})
	if err == nil && at < len(h.journal) {
		err = fmt.Errorf("%w: the journal is cut off", ErrDamaged)
	}
	return differences, err
}
