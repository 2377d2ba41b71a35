package store

import (
	"bytes"
	"errors"
	"iter"
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
	// at their end that lead to Contents without a gap. Where Contents have the serial of Since they are taken for the same
	// version, of which other records are marked: the journal stays.
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
//
// Beside what it saves it holds about twice the octets of all changes, but of each zone no more than maxHeld.
func (s *Store) Commit(changes []Change, notes ...Note) error {
	s.committing.Lock()
	defer s.committing.Unlock()
	s.mu.Lock()
	err := s.ready()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	// bbolt puts ordered keys at the end of what it has, others in between.
	ordered := slices.SortedFunc(slices.Values(changes), func(a, b Change) int { return bytes.Compare(a.ID, b.ID) })
	saves, err := s.prepare(ordered)
	if err == nil {
		err = s.stage(saves)
	}
	if err != nil {
		return err
	}
	return s.transact(func(tx *bbolt.Tx) error { return write(tx, saves, notes) })
}

// stage writes the zones that are too large for one transaction into a bucket beside those that are saved, in several. It
// takes its place in the last transaction, without being copied. What a crash leaves there goes with the next commit.
func (s *Store) stage(saves []save) error {
	if !slices.ContainsFunc(saves, func(v save) bool { return v.staged }) {
		return nil
	}
	// What is left there is deleted first, so that its pages are free to be used: the disk may be full.
	err := s.transact(func(tx *bbolt.Tx) error {
		if err := unstage(tx); err != nil {
			return err
		}
		_, err := tx.CreateBucket(stagingBucket)
		return err
	})
	for i := range saves {
		if err == nil && saves[i].staged {
			err = s.stageZone(&saves[i])
		}
	}
	return err
}

func (s *Store) stageZone(v *save) error {
	values := make([]byte, 0, s.maxHeld/2+maxPage) // of one transaction; used again, as garbage is collected late
	next, stop := iter.Pull2(v.values(func(id, key, payload []byte) []byte {
		at := len(values)
		values = appendSealed(values, id, key, payload)
		return values[at:]
	}))
	defer stop()
	for more := true; more; {
		values = values[:0]
		err := s.transact(func(tx *bbolt.Tx) error {
			b, err := tx.Bucket(stagingBucket).CreateBucketIfNotExists(v.ID)
			if err != nil {
				return err
			}
			b.FillPercent = 1
			old := tx.Bucket(zonesBucket).Bucket(v.ID)
			for held := int64(0); held < s.maxHeld; {
				key, value, ok := next()
				if more = ok; !ok {
					return nil
				}
				if value == nil {
					value = old.Get(key)
				}
				if err := b.Put(key, value); err != nil {
					return err
				}
				held += 2 * int64(len(value))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// unstage deletes what is staged.
func unstage(tx *bbolt.Tx) error {
	if tx.Bucket(stagingBucket) == nil {
		return nil
	}
	return tx.DeleteBucket(stagingBucket)
}

// transact makes a transaction. Until it has succeeded everybody reads what was there before, of which it writes over nothing;
// when it fails, all is as it was. committing is held.
func (s *Store) transact(do func(tx *bbolt.Tx) error) error {
	before, err := readUndo(s.file, s.meta.pageSize)
	if err != nil {
		return s.errorf("%w", err)
	}
	_, err = guarded(func() (struct{}, error) {
		tx, err := s.db.Begin(true)
		if err != nil {
			return struct{}{}, err
		}
		if err := do(tx); err != nil {
			_ = tx.Rollback()
			return struct{}{}, err
		}
		return struct{}{}, tx.Commit()
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		err = s.refresh() // if this fails, where everything is now is not known
	}
	if err != nil {
		return s.failed(before, err)
	}
	// bbolt has looked at the pages that the commit replaces and at those that lead there. With many zones these are soon the
	// whole file, of which nobody reads the mapping until the next commit.
	giveBack(s.db.Info().Data, s.meta.high*uint64(s.meta.pageSize))
	return nil
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

// failed returns the error of a transaction that has failed with err, and sees to it that it has not happened.
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
