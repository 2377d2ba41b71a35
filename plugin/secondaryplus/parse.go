package secondaryplus

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/fall"
	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// directiveName is the word that begins a directive of this plugin.
const directiveName = "secondaryplus"

// block is what the secondaryplus directives of one server block say. Only its groups' zonesFiles change after parse; the
// goroutine that reads those again is the only one to call origins then.
type block struct {
	groups   []group  // one a directive, in the order of the Corefile
	settings settings // process-wide ones
	fast     setting[int]
	warnings []string // what is accepted and unwise, each with its place
}

// group is one directive: some zones and how to keep them. It is set once in parse.
type group struct {
	pos       position
	zones     []string   // lower case with a final dot; without those of zonesFile
	zonesFile *zonesFile // nil for none
	engine    *engine.Group
	fall      fall.F
	keys      []*xfr.Key // all keys the directive defines, used or not
}

// fallsThrough reports whether the next plugin is asked about a name that does not exist.
func (g *group) fallsThrough(name wire.Name) bool {
	return len(g.fall.Zones) > 0 && g.fall.Through(dns.CanonicalName(text(name)))
}

// origin is one zone, the group it belongs to and where it is listed. It is a plain value.
type origin struct {
	name  string // lower case with a final dot
	group *group
	pos   position
}

// origins returns the zones of all groups, those of zones files as they were last read, in the order they are listed in.
// The error names both places where one is listed twice.
func (b *block) origins() ([]origin, error) {
	var all []origin
	for i := range b.groups {
		g := &b.groups[i]
		for _, name := range g.zones {
			all = append(all, origin{name: name, group: g, pos: g.pos})
		}
		if g.zonesFile != nil {
			for _, z := range g.zonesFile.listed {
				all = append(all, origin{name: z.name, group: g, pos: position{g.zonesFile.path, z.line}})
			}
		}
	}
	first := make(map[string]position, len(all))
	for _, o := range all {
		if at, ok := first[o.name]; ok {
			return nil, o.pos.errorf("zone %s is already listed at %v; want every zone once in a server block", o.name, at)
		}
		first[o.name] = o.pos
	}
	return all, nil
}

// parse reads the secondaryplus directives of the server block that c stands in. It reads the zones and key files they name
// and does nothing else. Errors name the line of the Corefile, what was read and what would be right; no error shows a
// secret.
func parse(c *caddy.Controller) (*block, error) {
	b := &block{}
	root := dnsserver.GetConfig(c).Root
	for c.Next() {
		d, err := readDirective(c)
		if err != nil {
			return nil, err
		}
		r := &groupReader{
			root:   root,
			group:  group{pos: d.position, engine: defaultGroup(), fall: fall.Zero},
			once:   map[string]position{},
			keysAt: map[string]position{},
		}
		if err := r.read(d, c.ServerBlockKeys); err != nil {
			return nil, err
		}
		if b.settings, err = b.settings.merge(r.settings); err != nil {
			return nil, err
		}
		if b.fast, err = b.fast.merge("fastpath", r.fast, "the server block"); err != nil {
			return nil, err
		}
		b.groups = append(b.groups, r.group)
		b.warnings = append(b.warnings, r.warnings...)
	}
	if _, err := b.origins(); err != nil {
		return nil, err
	}
	return b, nil
}

// position is a place in the Corefile or in a file it names. It is a plain value.
type position struct {
	file string
	line int // from 1
}

// String returns, for example, "Corefile:7".
func (p position) String() string { return fmt.Sprintf("%s:%d", p.file, p.line) }

// errorf returns an error at p in the form of caddy's own.
func (p position) errorf(format string, args ...any) error {
	return fmt.Errorf("%v - Error during parsing: %w", p, fmt.Errorf(format, args...))
}

// line is one line of a directive: the words of an option, or of the directive itself. It is read-only.
type line struct {
	position
	words []string // at least one
	usage string   // how the option is to be written
}

func (l line) option() string { return l.words[0] }
func (l line) args() []string { return l.words[1:] }

// wrong returns the error of a word that is not what the option wants.
func (l line) wrong(word, want string, args ...any) error {
	return l.errorf("%s %q: want %s", l.option(), word, fmt.Sprintf(want, args...))
}

// directive is one directive as it stands in the Corefile. It is read-only.
type directive struct {
	line
	options []line
}

// readDirective reads the directive whose first word was just loaded. Braces are minded here and not with c.NextBlock, which
// takes the inside of a nested block for options, an unclosed block for a closed one and a } at the end of a line for a
// word.
func readDirective(c *caddy.Controller) (directive, error) {
	d := directive{line: readLine(c)}
	if d.option() != directiveName {
		return d, d.errorf("unexpected %q after the block of %s; want it to begin a line", d.option(), directiveName)
	}
	if !c.NextArg() { // readLine stops at a { only
		return d, nil
	}
	for c.Next() {
		if c.Val() == "}" {
			return d, nil
		}
		l := readLine(c)
		if l.option() == "{" || c.NextArg() {
			return d, l.errorf("unexpected {; want no block inside the block of %s", directiveName)
		}
		if slices.Contains(l.words, "}") {
			return d, l.errorf("unexpected } at the end of a line; want it on a line of its own")
		}
		d.options = append(d.options, l)
	}
	return d, d.errorf("the block of %s is not closed; want a } on a line of its own", directiveName)
}

// readLine returns the words from the one just loaded to the end of its line, or to an opening brace.
func readLine(c *caddy.Controller) line {
	l := line{position: position{c.File(), c.Line()}}
	l.words = append([]string{c.Val()}, c.RemainingArgs()...)
	return l
}

// option is how one option of the block is read. It is read-only.
type option struct {
	usage    string // the whole line
	min, max int    // words after the option; a max of 0 is no limit
	repeat   bool   // the option may stand several times
	secret   bool   // the words are not to be shown
	read     func(*groupReader, line) error
}

const primaryUsage = "primary ADDRESS... [key NAME] [source ADDRESS]"

// options are all options of the block. A word of later work is unknown until it works.
var options = map[string]option{
	"primary":         {usage: primaryUsage, min: 1, repeat: true, read: (*groupReader).primary},
	"transfer":        {usage: "transfer from ADDRESS...", min: 1, repeat: true, read: (*groupReader).transfer},
	"key":             {usage: "key NAME ALGORITHM SECRET", min: 3, max: 3, repeat: true, secret: true, read: (*groupReader).key},
	"key_file":        {usage: "key_file FILE", min: 1, max: 1, repeat: true, read: (*groupReader).keyFile},
	"allow_notify":    {usage: "allow_notify SOURCE... [key NAME]", min: 1, repeat: true, read: (*groupReader).allowNotify},
	"zones_file":      {usage: "zones_file FILE", min: 1, max: 1, read: (*groupReader).zonesFile},
	"max_records":     {usage: "max_records N | unlimited", min: 1, max: 1, read: (*groupReader).maxRecords},
	"max_size":        {usage: "max_size BYTES", min: 1, max: 1, read: (*groupReader).maxSize},
	"max_rrset":       {usage: "max_rrset N | unlimited", min: 1, max: 1, read: (*groupReader).maxRRset},
	"max_types":       {usage: "max_types N | unlimited", min: 1, max: 1, read: (*groupReader).maxTypes},
	"conflicts":       {usage: "conflicts rfc | alibaba | off", min: 1, max: 1, read: (*groupReader).conflicts},
	"serial_zero":     {usage: "serial_zero stop | accept", min: 1, max: 1, read: (*groupReader).serialZero},
	"refresh":         {usage: "refresh MIN MAX", min: 2, max: 2, read: (*groupReader).refresh},
	"retry":           {usage: "retry MIN MAX", min: 2, max: 2, read: (*groupReader).retry},
	"expire":          {usage: "expire MIN MAX", min: 2, max: 2, read: (*groupReader).expire},
	"transfers_in":    {usage: "transfers_in N [PER-PRIMARY]", min: 1, max: 2, read: (*groupReader).transfersIn},
	"transfer_memory": {usage: "transfer_memory BYTES", min: 1, max: 1, read: (*groupReader).transferMemory},
	"rate_limit":      {usage: rateLimitUsage, min: 1, read: (*groupReader).rateLimit},
	"cookies":         {usage: "cookies FILE | on | off", min: 1, max: 1, read: (*groupReader).cookies},
	"soa_rate":        {usage: "soa_rate N", min: 1, max: 1, read: (*groupReader).soaRate},
	"max_udp":         {usage: "max_udp BYTES", min: 1, max: 1, read: (*groupReader).maxUDP},
	"store":           {usage: "store FILE | off", min: 1, max: 1, read: (*groupReader).store},
	"fault_notify":    {usage: "fault_notify URL... | file FILE", min: 1, repeat: true, secret: true, read: (*groupReader).faultNotify},
	"fault_after":     {usage: "fault_after D", min: 1, max: 1, read: (*groupReader).faultAfter},
	"fault_every":     {usage: "fault_every D", min: 1, max: 1, read: (*groupReader).faultEvery},
	"control":         {usage: controlUsage, min: 1, max: 6, read: (*groupReader).control},
	"fastpath":        {usage: "fastpath [auto | off | SOCKETS]", max: 1, read: (*groupReader).fastpath},
	"fallthrough":     {usage: "fallthrough [ZONES...]", read: (*groupReader).fallThrough},
}

// groupReader makes a group out of one directive. It belongs to one call of parse.
type groupReader struct {
	root     string // what relative file names are relative to; empty is the working directory
	group    group
	settings settings
	fast     setting[int]
	warnings []string
	once     map[string]position // where each option first stood
	keysAt   map[string]position // where each key is defined, by name
	keyUses  []keyUse            // resolved last: a key may be used before it is defined
}

// read reads the whole directive. The keys of its server block are its zones where it names none.
func (r *groupReader) read(d directive, serverBlock []string) error {
	for _, l := range d.options {
		o, ok := options[l.option()]
		if !ok {
			return l.errorf("unknown option %q; known are %s", l.option(), strings.Join(slices.Sorted(maps.Keys(options)), ", "))
		}
		l.usage = o.usage
		if n := len(l.args()); n < o.min || (o.max > 0 && n > o.max) {
			if o.secret {
				return l.errorf("%s: %d words after it (not shown); want %s", l.option(), n, l.usage)
			}
			return l.errorf("%s %q: want %s", l.option(), strings.Join(l.args(), " "), l.usage)
		}
		first, again := r.once[l.option()]
		if again && !o.repeat {
			return l.errorf("%s is already given at %v; want it once in a directive", l.option(), first)
		}
		r.once[l.option()] = l.position
		if err := o.read(r, l); err != nil {
			return err
		}
	}
	if err := r.resolveKeys(); err != nil {
		return err
	}
	if len(r.group.engine.Primaries) == 0 {
		return d.errorf("%s without a primary; want at least one line of the form %s", directiveName, primaryUsage)
	}
	return r.zones(d.line, serverBlock)
}

// zones takes the zones the directive names, or those of the server block where neither it nor a zones file names any.
func (r *groupReader) zones(l line, serverBlock []string) error {
	for _, arg := range l.args() {
		names, err := zoneNames(arg)
		if err != nil {
			return l.errorf("%w", err)
		}
		r.group.zones = append(r.group.zones, names...)
	}
	if len(l.args()) > 0 || r.group.zonesFile != nil {
		return nil
	}
	for _, key := range plugin.OriginsFromArgsOrServerBlock(nil, serverBlock) {
		names, err := zoneNames(key)
		if err != nil {
			return l.errorf("%w", err)
		}
		// The server block may well serve one zone twice, on two ports or by two protocols.
		if !slices.Contains(r.group.zones, names[0]) {
			r.group.zones = append(r.group.zones, names[0])
		}
	}
	if len(r.group.zones) == 0 {
		return l.errorf("%s without a zone; want %s ZONES..., or a zones_file", directiveName, directiveName)
	}
	return nil
}

func (r *groupReader) zonesFile(l line) error {
	r.group.zonesFile = newZonesFile(r.path(l.args()[0]))
	if err := r.group.zonesFile.read(); err != nil {
		return l.errorf("zones_file: %w", err)
	}
	return nil
}

func (r *groupReader) fallThrough(l line) error {
	for _, zone := range l.args() {
		if _, err := zoneNames(zone); err != nil { // SetZonesFromArgs drops such a zone without a word
			return l.errorf("fallthrough: %w", err)
		}
	}
	r.group.fall.SetZonesFromArgs(l.args())
	return nil
}

// path returns the name of a file as CoreDNS's own plugins understand it.
func (r *groupReader) path(name string) string {
	if filepath.IsAbs(name) || r.root == "" {
		return name
	}
	return filepath.Join(r.root, name)
}

// zoneNames returns the zones that s stands for, lower case with a final dot: one for a domain name, one or more for an
// address prefix, which means its reverse zones.
func zoneNames(s string) ([]string, error) {
	wrong := fmt.Errorf("zone %q: want a domain name in ASCII, or an address prefix for its reverse zone", s)
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, wrong
	}
	names := plugin.Host(s).NormalizeExact()
	if len(names) == 0 {
		return nil, wrong
	}
	for i, name := range names {
		n, err := wire.ParseName(name)
		if err != nil {
			return nil, wrong
		}
		names[i] = wire.Name(wire.AppendLower(nil, n)).String() // one spelling for every way to escape
	}
	return names, nil
}
