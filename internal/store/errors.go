package store

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// The errors of a file that cannot be opened, and of one that cannot be written.
var (
	ErrInUse    = errors.New("in use")        // another process has it
	ErrFormat   = errors.New("other format")  // written by another build; it has been left as it is
	ErrNotStore = errors.New("not a store")   // a file of another kind; it has been left as it is
	ErrReadOnly = errors.New("not writable")  // the file, its directory or the file system
	ErrGone     = errors.New("gone")          // the file at the path is not the one that is open
	ErrDamaged  = errors.New("damaged")       // a zone that does not load, or a file that is not written any more
	ErrClosed   = errors.New("store is shut") // Close has been called
)

// errReopen is the error of reading while a file that had to be opened again could not be.
var errReopen = errors.New("could not be opened again after a commit had failed")

// damaged is the error of a file whose structure is not whole. What is wrong with one value is an ErrDamaged too, but
// no damaged.
type damaged struct{ what string }

func (d *damaged) Error() string        { return d.what }
func (d *damaged) Is(target error) bool { return target == ErrDamaged }

func damagef(format string, args ...any) error { return &damaged{fmt.Sprintf(format, args...)} }

// access gives an error of the file system its class.
func access(err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	}
	return err
}
