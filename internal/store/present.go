package store

import (
	"errors"
	"io/fs"
	"os"
)

// Present returns nil if what is committed will be found again: the file is still the one at its path, and may be written.
// Otherwise it is an ErrGone, an ErrReadOnly or an error of the file system. It writes nothing. A commit goes well all the same
// when the file has been removed, as far as the process that has it open can see.
func (s *Store) Present() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed || s.file == nil {
		return nil // Commit opens the file again, or says why not
	}
	there, err := os.Stat(s.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s.errorf("%w", access(err))
	}
	if own, ownErr := s.file.Stat(); err != nil || ownErr == nil && !os.SameFile(there, own) {
		return s.errorf("%w: it has been removed or replaced while in use", ErrGone)
	}
	if err := writable(s.path); err != nil {
		return s.errorf("%w", access(err))
	}
	return nil
}
