package corefile

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/allow"
	"github.com/secondaryplus/secondaryplus/internal/notify"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// Place is where directives stand, which says what some of their words mean. It is a plain value.
type Place struct {
	Root  string   // what names of files are relative to; empty is the working directory
	Zones []string // of the server block: those of directives that name none

	// Names returns the zones that a word stands for, as CoreDNS reads it: a domain name, or an address prefix for its reverse
	// zones. It returns none for other words.
	Names func(word string) []string
}

// Block is what the directives of one server block say. Only the ZonesFiles of its groups change after Parse; the goroutine
// that reads those again is the only one to call Zones then.
type Block struct {
	Groups   []*Group // one a directive, in the order of the Corefile
	Settings Settings
	Warnings []string // what is accepted and unwise, each with its place
}

// Group is one directive: some zones, where they come from, and how they are kept. It is set once by Parse.
type Group struct {
	Position
	Zones       []string      // lower case with a final dot; without those of ZonesFile
	ZonesFile   *ZonesFile    // nil for none
	Primaries   []xfr.Primary // in order of preference, at least one
	AllowNotify allow.List    // beside the primaries, which are always allowed

	AllowTransfer allow.List // who may transfer the zones from here; none for nobody
	IXFROut       int        // percent of the zone that differences may take when it is transferred; 0: they are not sent

	Notify      []notify.Target // our own secondaries
	NotifyDelay time.Duration   // of all of Notify

	Policy      version.Policy
	Variant     string     // tells its zones from others of their names that come from elsewhere; empty for none
	Fallthrough []string   // zones below which the next plugin is asked for names that do not exist; none for no fallthrough
	Keys        []*xfr.Key // all that the directive defines, used or not
}

// Zone is one zone, the group it belongs to and where it is listed. It is a plain value.
type Zone struct {
	Position
	Name  string // lower case with a final dot
	Group *Group
}

// Parse reads the directives of a server block, and the files they name.
func Parse(c Tokens, at Place) (*Block, error) {
	b := &Block{Settings: DefaultSettings()}
	for c.Next() {
		d, err := readDirective(c)
		if err != nil {
			return nil, err
		}
		r := newReader(at)
		r.group.Position = d.Position
		if err := r.directive(d); err != nil {
			return nil, err
		}
		if err := b.Settings.merge(&r.settings, serverBlock); err != nil {
			return nil, err
		}
		b.Groups = append(b.Groups, r.group)
		b.Warnings = append(b.Warnings, r.warnings...)
	}
	if _, err := b.Zones(); err != nil {
		return nil, err
	}
	return b, nil
}

// Zones returns the zones of all groups, those of zones files as they were last read, in the order they are listed in. The
// error names both places where one is listed twice.
func (b *Block) Zones() ([]Zone, error) {
	n := 0
	for _, g := range b.Groups {
		if n += len(g.Zones); g.ZonesFile != nil {
			n += len(g.ZonesFile.listed)
		}
	}
	all := make([]Zone, 0, n)
	for _, g := range b.Groups {
		for _, name := range g.Zones {
			all = append(all, Zone{g.Position, name, g})
		}
		if g.ZonesFile != nil {
			for _, z := range g.ZonesFile.listed {
				all = append(all, Zone{Position{g.ZonesFile.Path, z.line}, z.name, g})
			}
		}
	}
	first := make(map[string]int, n)
	for i := range all {
		z := &all[i]
		if at, ok := first[z.Name]; ok {
			return nil, z.Errorf("zone %s is already listed at %v; want every zone once in a server block", z.Name, all[at].Position)
		}
		first[z.Name] = i
	}
	return all, nil
}

// ReadOptions reads options that stand in no Corefile, such as those of a command line; the first word of each is its name.
// It takes what is said of zones, and leaves their names and the settings of the process to the caller.
func ReadOptions(options ...[]string) (*Group, error) {
	r := newReader(Place{})
	for _, words := range options {
		if err := r.option(line{words: words}); err != nil {
			return nil, err
		}
	}
	return r.group, r.resolveKeys()
}

// reader makes a group out of one directive. It belongs to one call of Parse.
type reader struct {
	Place
	group    *Group
	settings Settings
	warnings []string
	once     map[string]Position // where each option first stood
	keysAt   map[string]Position // where each key is defined, by name
	keyUses  []keyUse            // resolved last: a key may be used before it is defined
	notifyAt []line              // where each of group.Notify stands
}

func newReader(at Place) *reader {
	return &reader{
		Place: at, group: &Group{Policy: DefaultPolicy(), IXFROut: defaultIXFROut}, settings: DefaultSettings(),
		once: map[string]Position{}, keysAt: map[string]Position{},
	}
}

// directive reads the whole directive.
func (r *reader) directive(d directive) error {
	for _, l := range d.options {
		if err := r.option(l); err != nil {
			return err
		}
	}
	if err := r.resolveKeys(); err != nil {
		return err
	}
	r.finishNotify()
	if len(r.group.Primaries) == 0 {
		return d.Errorf("%s without a primary; want at least one line of the form %s", Name, primaryUsage)
	}
	return r.zones(d.line)
}

// zones takes the zones that the directive names, or those of the server block where neither it nor a zones file names any.
func (r *reader) zones(l line) error {
	for _, arg := range l.args() {
		names, err := r.zoneNames(arg)
		if err != nil {
			return l.Errorf("%w", err)
		}
		r.group.Zones = append(r.group.Zones, names...)
	}
	if len(l.args()) > 0 || r.group.ZonesFile != nil {
		return nil
	}
	for _, key := range r.Zones {
		names, err := r.zoneNames(key)
		if err != nil {
			return l.Errorf("%w", err)
		}
		// The server block may well serve one zone twice, on two ports or by two protocols.
		if !slices.Contains(r.group.Zones, names[0]) {
			r.group.Zones = append(r.group.Zones, names[0])
		}
	}
	if len(r.group.Zones) == 0 {
		return l.Errorf("%s without a zone; want %s ZONES..., or a zones_file", Name, Name)
	}
	return nil
}

// zoneNames returns the zones that a word stands for, lower case with a final dot: one for a domain name, one or more for an
// address prefix, which means its reverse zones.
func (p Place) zoneNames(word string) ([]string, error) {
	var names []string
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r > '~' }) {
		names = p.Names(word)
	}
	for i, name := range names {
		n, err := wire.ParseName(name)
		if err != nil {
			names = nil
			break
		}
		names[i] = wire.Name(wire.AppendLower(n[:0], n)).String() // one spelling for every way to escape
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("zone %q: want a domain name in ASCII, or an address prefix for its reverse zone", word)
	}
	return names, nil
}

func (r *reader) zonesFile(l line) error {
	r.group.ZonesFile = &ZonesFile{WatchedFile: WatchedFile{Path: r.path(l.args()[0])}, place: r.Place}
	if err := r.group.ZonesFile.Read(); err != nil {
		return l.Errorf("zones_file: %w", err)
	}
	return nil
}

func (r *reader) fallThrough(l line) error {
	if len(l.args()) == 0 {
		r.group.Fallthrough = []string{"."}
	}
	for _, word := range l.args() {
		names, err := r.zoneNames(word)
		if err != nil {
			return l.Errorf("fallthrough: %w", err)
		}
		r.group.Fallthrough = append(r.group.Fallthrough, names...)
	}
	return nil
}

// maxVariant is how long the name of a variant may be, in octets.
const maxVariant = 63

func (r *reader) variant(l line) error {
	word := l.args()[0]
	if len(word) > maxVariant || strings.ContainsFunc(word, func(c rune) bool {
		return c != '-' && c != '_' && c != '.' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	}) {
		return l.wrong(word, "at most %d letters, digits, dots, hyphens and underscores", maxVariant)
	}
	r.group.Variant = word
	return nil
}

// path returns the name of a file as CoreDNS's own plugins understand it.
func (p Place) path(name string) string {
	if filepath.IsAbs(name) || p.Root == "" {
		return name
	}
	return filepath.Join(p.Root, name)
}

// absolute is path for what is used later, when the working directory may be another.
func (p Place) absolute(name string) (string, error) { return filepath.Abs(p.path(name)) }

// warn notes what is accepted and unwise.
func (r *reader) warn(l line, format string, args ...any) {
	r.warnings = append(r.warnings, fmt.Sprintf("%v: %s", l.Position, fmt.Sprintf(format, args...)))
}
