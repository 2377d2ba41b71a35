package secondaryplus

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Limits of a zones file.
const (
	maxZonesFileSize = 64 << 20 // octets: a million zones of 64
	maxZonesFileLine = 4 << 10  // octets: a name of 255 octets, all escaped as \DDD, and a comment
)

// zonesFile is a file that lists zones, one a line. Blank lines and what follows a # are skipped. Its goroutine is the one
// that parses the Corefile, and after that the one that watches the file: it is not safe for concurrent use.
type zonesFile struct {
	path   string
	listed []listedZone // what the last good read found, in the order of the file
	tried  fs.FileInfo  // the file at the last read, good or bad; nil where it could not be opened
	seen   fs.FileInfo  // the file at the last call of changed; nil where it was not there
}

// listedZone is one zone of the file. It is a plain value.
type listedZone struct {
	name string // lower case with a final dot
	line int    // from 1
}

func newZonesFile(path string) *zonesFile { return &zonesFile{path: path} }

// changed reports whether the file is another than at the last read and has not changed since the last call. A file that is
// being written is so left alone until it is complete: half of it would withdraw the other half of the zones. It costs one
// stat.
func (f *zonesFile) changed() bool {
	now, err := os.Stat(f.path)
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

// read reads the file into listed. On an error, which names the line where there is one, listed stays as it is, and changed
// reports false until the file is another. A file without a zone is an error: it is more likely cut short than meant.
func (f *zonesFile) read() error {
	const want = "a file of zones, one a line, that CoreDNS may read"
	var err error
	if f.tried, err = os.Stat(f.path); err != nil {
		return unreadable(err, want)
	}
	if !f.tried.Mode().IsRegular() { // opening a named pipe would block
		return fmt.Errorf("%s: not a regular file", f.path)
	}
	file, err := os.Open(f.path)
	if err != nil {
		return unreadable(err, want)
	}
	defer file.Close()
	if f.tried, err = file.Stat(); err != nil { // before reading: a change meanwhile then counts as one
		return err
	}
	if f.tried.Size() > maxZonesFileSize {
		return fmt.Errorf("%s: %d octets; want at most %d", f.path, f.tried.Size(), maxZonesFileSize)
	}
	listed, err := readZones(f.path, io.LimitReader(file, maxZonesFileSize))
	if err != nil {
		return err
	}
	f.listed = listed
	return nil
}

// unreadable returns an error of the file system with the full path of the file and what is wanted; others as they are.
func unreadable(err error, want string) error {
	failed, ok := errors.AsType[*fs.PathError](err)
	if !ok {
		return err
	}
	path, absErr := filepath.Abs(failed.Path)
	if absErr != nil {
		path = failed.Path
	}
	return fmt.Errorf("%s: %w; want %s", path, failed.Err, want)
}

// readZones reads the lines of a zones file.
func readZones(path string, r io.Reader) ([]listedZone, error) {
	var listed []listedZone
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxZonesFileLine)
	number := 0
	for lines.Scan() {
		number++
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		if len(words) > 1 {
			return nil, fmt.Errorf("%s:%d: %q: want one zone a line", path, number, strings.TrimSpace(text))
		}
		names, err := zoneNames(words[0])
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, number, err)
		}
		for _, name := range names {
			listed = append(listed, listedZone{name: name, line: number})
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: want lines of at most %d octets: %w", path, number+1, maxZonesFileLine, err)
	}
	if len(listed) == 0 {
		return nil, fmt.Errorf("%s: no zone; want one a line", path)
	}
	return listed, nil
}
