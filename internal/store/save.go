package store

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// save is a change made ready. It is owned by one commit.
type save struct {
	*Change
	known     bool               // there is a bucket
	whole     bool               // all is written anew, and what there is of the zone's contents and journal is deleted
	staged    bool               // it is written whole, and beside the saved zones
	old, head head               // as saved, and as it is to be; the digest is that of what has not been written anew yet
	added     []*zone.Difference // at the end of head.journal, and not in the file yet
}

// prepare finds out what is to be written of changes in order of ID.
func (s *Store) prepare(changes []Change) ([]save, error) {
	i := s.image()
	defer s.images.Put(i)
	zones, _, err := i.find(i.root(), zonesBucket)
	saves := make([]save, len(changes))
	for n := range changes {
		id := changes[n].ID
		switch {
		case err != nil:
		case len(id) == 0 || len(id) > MaxID:
			err = fmt.Errorf("ID of %d octets", len(id))
		case n > 0 && bytes.Equal(changes[n-1].ID, id):
			err = errors.New("changed twice in one commit")
		default:
			saves[n].Change = &changes[n]
			err = saves[n].prepare(i, zones, s.maxHeld)
		}
		if err != nil {
			return nil, s.zoneError(id, s.found(err))
		}
	}
	return saves, nil
}

func (v *save) prepare(i *image, zones tree, maxHeld int64) error {
	if err := v.lookUp(i, zones); err != nil || v.Remove || v.Contents == nil {
		return err
	}
	pages := 0 // that have changed
	if v.whole {
		v.old = head{}
	} else {
		for range v.Contents.Pages(v.Since) {
			pages++
		}
	}
	v.head = head{serial: v.Contents.Serial(), digest: v.old.digest, first: v.old.first, journal: v.old.journal,
		origin: v.Contents.Origin(), summary: v.Contents.Summary()}
	if v.whole || v.head.serial != v.old.serial || len(v.leading()) > 0 || v.Reset { // otherwise the journal leads to the contents already
		v.prepareJournal()
	}
	if v.staged = v.holds(pages) > maxHeld; v.staged {
		v.whole, v.head.digest = true, 0
	}
	return nil
}

// holds returns about how many octets it takes to write what is to change in one transaction: each value, and bbolt's page
// that it is in.
func (v *save) holds(pages int) int64 {
	n := 2 * v.Contents.Size()
	if !v.whole {
		n = min(n, int64(pages)*boltPage)
	}
	for _, d := range v.added {
		n += 2 * d.Size()
	}
	return n
}

// lookUp finds out what there is of a zone.
func (v *save) lookUp(i *image, zones tree) (err error) {
	t, ok, err := i.find(zones, v.ID)
	if err != nil || !ok {
		v.whole = true
		return err
	}
	v.known = true
	if v.Remove || v.Contents == nil {
		return nil
	}
	if v.old, ok, err = i.head(t, v.ID); err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	v.whole = !ok || v.Since == nil || v.Since.Serial() != v.old.serial || !bytes.Equal(v.Since.Summary(), v.old.summary)
	return nil
}

// prepareJournal finds out what becomes of the journal.
func (v *save) prepareJournal() {
	h := &v.head
	v.added = v.leading()
	if v.Reset || len(v.added) == 0 || v.added[0].From() != v.old.serial {
		h.drop(len(h.journal))
	}
	for _, d := range v.added {
		h.journal = append(h.journal, entry{d.From(), int(d.Size())})
	}
	limit := max(MinJournal, v.Contents.Size())
	for len(h.journal) > MaxVersions || h.octets() > limit {
		h.drop(1)
	}
	v.added = v.added[max(0, len(v.added)-len(h.journal)):]
}

// leading returns those of the differences, at their end, that lead to the contents without a gap.
func (v *save) leading() []*zone.Difference {
	first, to := len(v.Differences), v.Contents.Serial()
	for i, d := range slices.Backward(v.Differences) {
		if d.To() != to || !to.Newer(d.From()) {
			break
		}
		first, to = i, d.From()
	}
	return v.Differences[first:]
}

// drop drops the oldest journal entries.
func (h *head) drop(n int) { h.first, h.journal = h.first+uint64(n), h.journal[n:] }

// write makes all changes in one transaction.
func write(tx *bbolt.Tx, saves []save, notes []Note) error {
	zones, staging := tx.Bucket(zonesBucket), tx.Bucket(stagingBucket)
	zones.FillPercent = 0.9 // many zones at once come in order
	for i := range saves {
		if err := saves[i].write(zones, staging); err != nil {
			return err
		}
	}
	if err := unstage(tx); err != nil {
		return err
	}
	return writeNotes(tx, notes)
}

// writeNotes writes what is beside the zones.
func writeNotes(tx *bbolt.Tx, notes []Note) error {
	if len(notes) == 0 {
		return nil
	}
	b, err := tx.CreateBucketIfNotExists(notesBucket)
	for _, n := range notes {
		key := []byte(n.Name)
		switch {
		case err != nil:
			return err
		case n.Octets == nil:
			err = b.Delete(key)
		default:
			err = b.Put(key, sealed(notesBucket, key, n.Octets))
		}
	}
	return err
}

// write makes the changes of one zone.
func (v *save) write(zones, staging *bbolt.Bucket) error {
	var state []byte
	if v.State != nil {
		state = sealed(v.ID, stateKey, v.State)
	}
	if v.known && (v.Remove || v.whole) {
		if state == nil {
			state = bytes.Clone(zones.Bucket(v.ID).Get(stateKey))
		}
		if err := zones.DeleteBucket(v.ID); err != nil {
			return err
		}
	}
	if v.Remove || v.Contents == nil && state == nil {
		return nil
	}
	if v.staged {
		if err := staging.MoveBucket(v.ID, zones); err != nil {
			return err
		}
	}
	b, err := zones.CreateBucketIfNotExists(v.ID)
	if err == nil && v.Contents != nil {
		err = v.writeContents(b)
	}
	if err != nil || state == nil {
		return err
	}
	return b.Put(stateKey, state)
}

// writeContents writes the journal, the pages and then the head.
func (v *save) writeContents(b *bbolt.Bucket) error {
	switch {
	case v.staged:
	case v.whole:
		b.FillPercent = 1 // keys come in order, and changes will not all be in one place
		for key, value := range v.values(sealed) {
			if err := b.Put(key, value); err != nil {
				return err
			}
		}
	default:
		if err := v.update(b); err != nil {
			return err
		}
	}
	return b.Put(headKey, sealed(v.ID, headKey, v.head.append(nil)))
}

// values yields all that the journal and the pages are to be, in order of keys; nil for a part of the journal that is in the
// file already. The head has the digest of all when it ends.
func (v *save) values(seal sealer) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		for i, e := range v.head.journal[:len(v.head.journal)-len(v.added)] {
			for part := range e.parts() {
				if !yield(partKey(v.head.first+uint64(i), part), nil) {
					return
				}
			}
		}
		for key, value := range v.addedParts(seal) {
			if !yield(key, value) {
				return
			}
		}
		for key, octets := range v.Contents.Pages(nil) {
			key = slices.Concat(pageKey, key)
			value := seal(v.ID, key, octets)
			v.head.digest += uint64(sumOf(value))
			if !yield(key, value) {
				return
			}
		}
	}
}

// addedParts yields the values of the differences that are new in the journal.
func (v *save) addedParts(seal sealer) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		sequence := v.head.first + uint64(len(v.head.journal)-len(v.added))
		for i, d := range v.added {
			part := 0
			for octets := range slices.Chunk(d.Octets(), maxPart) {
				key := partKey(sequence+uint64(i), part)
				if !yield(key, seal(v.ID, key, octets)) {
					return
				}
				part++
			}
		}
	}
}

// update writes what differs from what is in the file: the entries that the journal has no longer or only now, and the pages
// that have changed.
func (v *save) update(b *bbolt.Bucket) error {
	for i, e := range v.old.journal[:min(uint64(len(v.old.journal)), v.head.first-v.old.first)] {
		for part := range e.parts() {
			if err := b.Delete(partKey(v.old.first+uint64(i), part)); err != nil {
				return err
			}
		}
	}
	for key, value := range v.addedParts(sealed) {
		if err := b.Put(key, value); err != nil {
			return err
		}
	}
	for key, octets := range v.Contents.Pages(v.Since) {
		key = slices.Concat(pageKey, key)
		v.head.digest -= uint64(sumOf(b.Get(key)))
		if octets == nil {
			if err := b.Delete(key); err != nil {
				return err
			}
			continue
		}
		value := sealed(v.ID, key, octets)
		v.head.digest += uint64(sumOf(value))
		if err := b.Put(key, value); err != nil {
			return err
		}
	}
	return nil
}
