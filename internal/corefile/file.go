package corefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxSecretFile is the largest file with a secret that is read, in octets: some 5,000 clauses of tsig-keygen.
const maxSecretFile = 1 << 20

// WatchedFile is a file that may change while the process runs. It is not safe for concurrent use.
type WatchedFile struct {
	Path  string
	tried fs.FileInfo // the file at the last read, good or bad; nil where it could not be opened
	seen  fs.FileInfo // the file at the last call of Changed; nil where it was not there
}

// Changed reports whether the file is another than at the last read and has not changed since the last call. A file that is
// being written is so left alone until it is complete: half of a list of zones would withdraw the other half. It costs one
// stat.
func (f *WatchedFile) Changed() bool {
	now, err := os.Stat(f.Path)
	if err != nil {
		now = nil
	}
	settled := sameFile(now, f.seen)
	f.seen = now
	return settled && !sameFile(now, f.tried)
}

// sameFile reports whether a and b, each perhaps nil, are the same file with the same contents as far as a stat tells.
func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// read returns the text of the file; what says what it should be, with its article. Errors name the file. After one, Changed
// reports false until the file is another.
func (f *WatchedFile) read(most int64, what string) ([]byte, error) {
	var err error
	if f.tried, err = os.Stat(f.Path); err != nil {
		return nil, unreadable(err, what)
	}
	if !f.tried.Mode().IsRegular() { // opening a named pipe would block, reading a device might not end
		return nil, fmt.Errorf("%s: not a regular file; want %s", f.Path, what)
	}
	file, err := os.Open(f.Path)
	if err != nil {
		return nil, unreadable(err, what)
	}
	defer file.Close()
	if f.tried, err = file.Stat(); err != nil { // before reading: a change meanwhile then counts as one
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s: larger than %d octets; want %s", f.Path, most, what)
	}
	return text, err
}

// unreadable returns an error of the file system with the full path of the file and what is wanted; others as they are.
func unreadable(err error, what string) error {
	failed, ok := errors.AsType[*fs.PathError](err)
	if !ok {
		return err
	}
	path, absErr := filepath.Abs(failed.Path)
	if absErr != nil {
		path = failed.Path
	}
	return fmt.Errorf("%s: %w; want %s that can be read", path, failed.Err, what)
}

// readSecret returns what is in a file that holds a secret; what says which, without an article. Errors do not show it.
func (r *reader) readSecret(l line, what, path string) ([]byte, error) {
	f := WatchedFile{Path: path}
	text, err := f.read(maxSecretFile, "a "+what)
	if err != nil {
		return nil, err
	}
	if mode := f.tried.Mode().Perm(); mode&0o077 != 0 {
		r.warn(l, "the %s %s can be read by others (its mode is %04o); chmod 600 keeps it secret", what, path, mode)
	}
	return text, nil
}
