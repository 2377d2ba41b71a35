package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// Change is what becomes of one zone in a commit. Its fields are read-only and kept until the commit returns.
type Change struct {
	ID []byte // 1 to MaxID octets that mean nothing to the store

	// Remove forgets the zone; nothing else counts then.
	Remove bool

	// Contents are to be saved; with nil the saved ones stay. Since are those saved last under this ID: pages that have
	// not changed since are left alone. With nil, or if something else is saved, all pages are written and the journal
	// begins anew.
	Contents, Since *zone.Contents

	// Differences lead from Since to Contents, each from the version that the one before leads to, and are put at the end
	// of the journal. The journal begins anew with Reset, and where they do not lead on from its last version: with those
	// at their end that lead to Contents without a gap.
	Differences []*zone.Difference
	Reset       bool

	// State is to be saved; with nil the saved one stays.
	State []byte
}

// Note is something beside the zones that is kept under a name. Its octets are read-only until the commit returns.
type Note struct {
	Name   string
	Octets []byte // nil deletes the note
}

// Commit makes all changes or, when it fails, none: all is as it was then, and the commit can be tried again. It
// returns when they outlive a crash of the machine. A failure is ErrDamaged if it is time for Replace.
func (s *Store) Commit(changes []Change, notes ...Note) error {
	s.committing.Lock()
	defer s.committing.Unlock()
	s.mu.Lock()
	err := s.ready()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	before, changed, err := s.change(changes, notes)
	if !changed {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		return s.failed(before, err)
	}
	if err := s.refresh(); err != nil {
		return s.failed(before, err) // where everything is now is not known
	}
	return nil
}

// change writes what changes. Until refresh everybody reads what was there before, of which a commit writes over nothing.
// changed is false when an error came before anything was written.
func (s *Store) change(changes []Change, notes []Note) (before *undo, changed bool, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed || s.db == nil {
		return nil, false, s.errorf("%w", ErrClosed)
	}
	// bbolt puts ordered keys at the end of what it has, others in between.
	ordered := slices.SortedFunc(slices.Values(changes), func(a, b Change) int { return bytes.Compare(a.ID, b.ID) })
	saves, err := s.prepare(ordered)
	if err != nil {
		return nil, false, err
	}
	if before, err = readUndo(s.file, s.meta.pageSize); err != nil {
		return nil, false, s.errorf("%w", err)
	}
	return before, true, s.write(saves, notes)
}

// ready makes sure that the file can be written, after a failed commit too.
func (s *Store) ready() error {
	switch {
	case s.closed:
		return s.errorf("%w", ErrClosed)
	case s.damage.Load() != nil:
		return s.Damage()
	case s.undo != nil:
		if err := s.undo.apply(s.file); err != nil {
			return s.errorf("%w", access(err))
		}
		s.undo = nil
		s.shut()
	}
	if s.file == nil {
		if err := s.open(0); err != nil {
			return err
		}
	}
	return s.Damage()
}

// failed returns the error of a commit that has failed with err, and sees to it that it has not happened.
func (s *Store) failed(before *undo, err error) error {
	if _, ok := errors.AsType[*damaged](err); ok {
		s.stuck = true
		_ = s.found(err)
		return s.Damage()
	}
	s.undo = before
	// The cause may be gone already. If not, the next commit tries again; only then does this one not fail for a second
	// reason.
	_ = s.ready()
	return s.errorf("%w", access(err))
}

// undo is what a failed commit must leave as it was: bbolt's two metas.
//
// bbolt writes the new meta last and then syncs. If that fails the commit is an error, but from then on bbolt, and
// everybody who opens the file, takes the new meta for the current one, while the disk may have the old one; bbolt even
// frees the pages that only the old one needs, and a crash during the next commit would find them overwritten. So the
// metas are put back before anything else is written, and bbolt reads the file again. A plain value.
type undo struct {
	pageSize int
	metas    [2][metaEnd]byte
}

func readUndo(f *os.File, pageSize int) (*undo, error) {
	u := &undo{pageSize: pageSize}
	for i := range u.metas {
		if _, err := f.ReadAt(u.metas[i][:], int64(i*pageSize)); err != nil {
			return nil, err
		}
	}
	return u, nil
}

// apply puts the metas back.
func (u *undo) apply(f *os.File) error {
	now, err := readUndo(f, u.pageSize)
	if err != nil || *now == *u {
		return err
	}
	for i := range u.metas {
		if _, err := f.WriteAt(u.metas[i][:], int64(i*u.pageSize)); err != nil {
			return err
		}
	}
	return f.Sync()
}

// save is a change made ready: whatever is to be asked of contents has been. It is owned by one commit.
type save struct {
	*Change
	known     bool // there is a bucket
	fresh     bool // what there is of the zone's contents and journal is deleted first
	old, head head // as saved, and as it is to be; the digest is that of old until pages are written
	pages     []value
	added     [][]byte // differences at the end of head.journal that are not in the file yet
}

// value is a key of a zone's bucket and the value it is to have, nil for none.
type value struct{ key, value []byte }

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
			err = saves[n].prepare(i, zones)
		}
		if err != nil {
			return nil, s.zoneError(id, s.found(err))
		}
	}
	return saves, nil
}

func (v *save) prepare(i *image, zones tree) error {
	if err := v.lookUp(i, zones); err != nil || v.Remove || v.Contents == nil {
		return err
	}
	since := v.Since
	if v.fresh {
		v.old, since = head{}, nil
	}
	for key, octets := range v.Contents.Pages(since) {
		key = slices.Concat(pageKey, key)
		if octets != nil {
			octets = sealed(v.ID, key, octets)
		}
		v.pages = append(v.pages, value{key, octets})
	}
	v.head = head{serial: v.Contents.Serial(), digest: v.old.digest, first: v.old.first, journal: v.old.journal,
		origin: v.Contents.Origin(), summary: v.Contents.Summary()}
	v.prepareJournal()
	return nil
}

// lookUp finds out what there is of a zone.
func (v *save) lookUp(i *image, zones tree) (err error) {
	t, ok, err := i.find(zones, v.ID)
	if err != nil || !ok {
		v.fresh = true
		return err
	}
	v.known = true
	if v.Remove || v.Contents == nil {
		return nil
	}
	if v.old, ok, err = i.head(t, v.ID); err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	v.fresh = !ok || v.Since == nil || v.Since.Serial() != v.old.serial || !bytes.Equal(v.Since.Summary(), v.old.summary)
	return nil
}

// prepareJournal finds out what becomes of the journal.
func (v *save) prepareJournal() {
	h, leading := &v.head, v.leading()
	if len(leading) == 0 && len(v.pages) == 0 && !v.Reset {
		return // the contents are saved already
	}
	if v.Reset || len(leading) == 0 || leading[0].From() != v.old.serial {
		h.drop(len(h.journal))
	}
	for _, d := range leading {
		octets, _ := d.AppendBinary(nil)
		v.added = append(v.added, octets)
		h.journal = append(h.journal, entry{d.From(), len(octets)})
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
func (s *Store) write(saves []save, notes []Note) error {
	_, err := guarded(func() (struct{}, error) {
		tx, err := s.db.Begin(true)
		if err != nil {
			return struct{}{}, err
		}
		zones := tx.Bucket(zonesBucket)
		zones.FillPercent = 0.9 // many zones at once come in order
		for i := range saves {
			if err := saves[i].write(zones); err != nil {
				_ = tx.Rollback()
				return struct{}{}, err
			}
		}
		if err := writeNotes(tx, notes); err != nil {
			_ = tx.Rollback()
			return struct{}{}, err
		}
		return struct{}{}, tx.Commit()
	})
	return err
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
func (v *save) write(zones *bbolt.Bucket) error {
	var state []byte
	if v.State != nil {
		state = sealed(v.ID, stateKey, v.State)
	}
	if v.known && (v.Remove || v.fresh) {
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
	b, err := zones.CreateBucketIfNotExists(v.ID)
	if err != nil {
		return err
	}
	if v.Contents != nil {
		if err := v.writeContents(b); err != nil {
			return err
		}
	}
	if state == nil {
		return nil
	}
	return b.Put(stateKey, state)
}

// writeContents writes the pages, the journal and then the head.
func (v *save) writeContents(b *bbolt.Bucket) error {
	if v.fresh {
		b.FillPercent = 1 // keys come in order, and changes will not all be in one place
	}
	if err := v.writeJournal(b); err != nil {
		return err
	}
	for _, p := range v.pages {
		v.head.digest += uint64(sumOf(p.value)) - uint64(sumOf(b.Get(p.key)))
		var err error
		if p.value == nil {
			err = b.Delete(p.key)
		} else {
			err = b.Put(p.key, p.value)
		}
		if err != nil {
			return err
		}
	}
	return b.Put(headKey, sealed(v.ID, headKey, v.head.append(nil)))
}

// writeJournal deletes the entries that are no longer in the journal and writes those that are new.
func (v *save) writeJournal(b *bbolt.Bucket) error {
	for i, e := range v.old.journal {
		sequence := v.old.first + uint64(i)
		if sequence >= v.head.first {
			break
		}
		for part := range e.parts() {
			if err := b.Delete(partKey(sequence, part)); err != nil {
				return err
			}
		}
	}
	sequence := v.head.first + uint64(len(v.head.journal)-len(v.added))
	for i, difference := range v.added {
		part := 0
		for octets := range slices.Chunk(difference, maxPart) {
			key := partKey(sequence+uint64(i), part)
			if err := b.Put(key, sealed(v.ID, key, octets)); err != nil {
				return err
			}
			part++
		}
	}
	return nil
}
