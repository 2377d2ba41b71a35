package corefile

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
)

// Limits of a zones file.
const (
	maxZonesFileSize = 64 << 20 // octets: a million zones of 64
	maxZonesFileLine = 4 << 10  // octets: a name of 255 octets, all escaped as \DDD, and a comment
)

// ZonesFile is a file that lists zones, one a line. Blank lines and what follows a # are skipped. Its goroutine is the one
// that parses the Corefile, and after that the one that watches the file: it is not safe for concurrent use.
type ZonesFile struct {
	WatchedFile
	place  Place
	listed []listedZone // what the last good read found, in the order of the file
}

// listedZone is one zone of the file. It is a plain value.
type listedZone struct {
	name string // lower case with a final dot
	line int    // from 1
}

// Read takes over the zones that the file lists. On an error, which names the line where there is one, the list stays as it
// was. A file without a zone is an error: it is more likely cut short than meant.
func (f *ZonesFile) Read() error {
	text, err := f.read(maxZonesFileSize, "a file of zones, one a line,")
	if err != nil {
		return err
	}
	listed, err := f.zonesIn(text)
	if err == nil {
		f.listed = listed
	}
	return err
}

// zonesIn returns the zones that the lines of a text list.
func (f *ZonesFile) zonesIn(text []byte) ([]listedZone, error) {
	var listed []listedZone
	lines := bufio.NewScanner(bytes.NewReader(text))
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
			return nil, fmt.Errorf("%s:%d: %q: want one zone a line", f.Path, number, strings.TrimSpace(text))
		}
		names, err := f.place.zoneNames(words[0])
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", f.Path, number, err)
		}
		for _, name := range names {
			listed = append(listed, listedZone{name: name, line: number})
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: want lines of at most %d octets: %w", f.Path, number+1, maxZonesFileLine, err)
	}
	if len(listed) == 0 {
		return nil, fmt.Errorf("%s: no zone; want one a line", f.Path)
	}
	return listed, nil
}
