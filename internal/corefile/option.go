package corefile

import (
	"slices"
	"strings"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/version"
)

// scope is what an option has one value for.
type scope uint8

const (
	zones scope = iota // those of a directive
	serverBlock
	process
)

// String returns the scope as errors have it.
func (s scope) String() string {
	return [...]string{"the directive", "the server block", "the whole process"}[s]
}

// option is how one option of a directive is written and read. It is read-only.
type option struct {
	usage       string // the whole line; the first word is the name
	scope       scope
	least, most int  // words after the name; a most of 0 is no limit
	repeat      bool // the option may stand several times
	secret      bool // the words are not to be shown
	read        func(*reader, line) error

	// Of settings, whose scope is wider than a directive.
	same func(a, b *Settings) bool
	take func(to, from *Settings)
}

func (o *option) name() string {
	name, _, _ := strings.Cut(o.usage, " ")
	return name
}

const primaryUsage = "primary ADDRESS... [key NAME] [source ADDRESS]"

// options are all options of a directive. A word of later work is unknown until it works.
var options = []option{
	{usage: primaryUsage, least: 1, repeat: true, read: (*reader).primary},
	{usage: "transfer from ADDRESS...", least: 1, repeat: true, read: (*reader).transfer},
	{usage: "key NAME ALGORITHM SECRET", least: 3, most: 3, repeat: true, secret: true, read: (*reader).key},
	{usage: "key_file FILE", least: 1, most: 1, repeat: true, read: (*reader).keyFile},
	{usage: "allow_notify SOURCE... [key NAME]", least: 1, repeat: true, read: (*reader).allowNotify},
	{usage: "allow_transfer SOURCE... [key NAME]", least: 1, repeat: true, read: (*reader).allowTransfer},
	{usage: "ixfr_out PERCENT | off", least: 1, most: 1, read: (*reader).ixfrOut},
	{usage: "notify ADDRESS... [key NAME] [source ADDRESS]", least: 1, repeat: true, read: (*reader).notify},
	{usage: "notify_delay D", least: 1, most: 1, read: (*reader).notifyDelay},
	{usage: "zones_file FILE", least: 1, most: 1, read: (*reader).zonesFile},
	{usage: "fallthrough [ZONES...]", read: (*reader).fallThrough},
	{usage: "variant NAME", least: 1, most: 1, read: (*reader).variant},

	policy("max_records N | unlimited", 1, func(p *version.Policy) *int { return &p.MaxRecords }, limit),
	policy("max_size BYTES", 1, func(p *version.Policy) *int64 { return &p.MaxSize }, size),
	policy("max_rrset N | unlimited", 1, func(p *version.Policy) *int { return &p.MaxRRset }, limit),
	policy("max_types N | unlimited", 1, func(p *version.Policy) *int { return &p.MaxTypes }, limit),
	policy("conflicts rfc | alibaba | off", 1, func(p *version.Policy) *rules.Conflicts { return &p.Conflicts }, conflicts),
	policy("serial_zero stop | accept", 1, func(p *version.Policy) *bool { return &p.SerialZero }, serialZero),
	{usage: "history N [BYTES] | off", least: 1, most: 2, read: (*reader).history},
	policy("ixfr_from_axfr on | off", 1, func(p *version.Policy) *bool { return &p.IXFRFromAXFR }, ixfrFromAXFR),
	policy("refresh MIN MAX", 2, func(p *version.Policy) *refresh.Clamp { return &p.Refresh }, clamp),
	policy("retry MIN MAX", 2, func(p *version.Policy) *refresh.Clamp { return &p.Retry }, clamp),
	policy("expire MIN MAX", 2, func(p *version.Policy) *refresh.Clamp { return &p.Expire }, clamp),

	setting(option{usage: "fastpath [auto | off | SOCKETS]", scope: serverBlock, most: 1},
		func(s *Settings) *int { return &s.Fastpath }, plain(fastpath)),

	setting(option{usage: "transfers_in N [PER-PRIMARY]", scope: process, least: 1, most: 2},
		func(s *Settings) *TransfersIn { return &s.TransfersIn }, plain(transfersIn)),
	setting(option{usage: "transfers_out N [PER-CLIENT]", scope: process, least: 1, most: 2},
		func(s *Settings) *TransfersOut { return &s.TransfersOut }, plain(transfersOut)),
	setting(option{usage: "transfer_memory BYTES", scope: process, least: 1, most: 1},
		func(s *Settings) *int64 { return &s.TransferMemory }, plain(size)),
	setting(option{usage: "soa_rate N", scope: process, least: 1, most: 1},
		func(s *Settings) *int { return &s.SOARate }, plain(soaRate)),
	setting(option{usage: "max_udp BYTES", scope: process, least: 1, most: 1},
		func(s *Settings) *int { return &s.MaxUDP }, plain(maxUDP)),
	setting(option{usage: rateLimitUsage, scope: process, least: 1},
		func(s *Settings) *RateLimit { return &s.RateLimit }, plain(rateLimit)),
	setting(option{usage: "cookies FILE | on | off", scope: process, least: 1, most: 1},
		func(s *Settings) *string { return &s.Cookies }, (*reader).cookies),
	setting(option{usage: "store FILE | off", scope: process, least: 1, most: 1},
		func(s *Settings) *string { return &s.Store }, (*reader).store),
	setting(option{usage: "fault_notify URL... | file FILE", scope: process, least: 1, repeat: true, secret: true},
		func(s *Settings) *string { return &s.FaultNotify }, (*reader).faultNotify),
	setting(option{usage: "fault_after D", scope: process, least: 1, most: 1},
		func(s *Settings) *time.Duration { return &s.FaultAfter }, plain(span)),
	setting(option{usage: "fault_every D", scope: process, least: 1, most: 1},
		func(s *Settings) *time.Duration { return &s.FaultEvery }, plain(span)),
	setting(option{usage: "control ADDRESS [token FILE] [tls CERT KEY]", scope: process, least: 1, most: 6},
		func(s *Settings) *Control { return &s.Control }, (*reader).control),
}

// policy returns the option of a field of version.Policy, which parse makes of so many words.
func policy[T any](usage string, words int, field func(*version.Policy) *T, parse func(line) (T, error)) option {
	return option{usage: usage, least: words, most: words, read: func(r *reader, l line) error {
		v, err := parse(l)
		if err == nil {
			*field(&r.group.Policy) = v
		}
		return err
	}}
}

// setting returns the option of a field of Settings, which parse makes of a line.
func setting[T comparable](o option, field func(*Settings) *T, parse func(*reader, line) (T, error)) option {
	o.read = func(r *reader, l line) error {
		v, err := parse(r, l)
		if err == nil {
			*field(&r.settings) = v
			r.settings.at[o.name()] = l.Position
		}
		return err
	}
	o.same = func(a, b *Settings) bool { return *field(a) == *field(b) }
	o.take = func(to, from *Settings) { *field(to) = *field(from) }
	return o
}

// plain makes a parser of a setting of one that needs no more than the line.
func plain[T any](parse func(line) (T, error)) func(*reader, line) (T, error) {
	return func(_ *reader, l line) (T, error) { return parse(l) }
}

// option reads one option.
func (r *reader) option(l line) error {
	i := slices.IndexFunc(options, func(o option) bool { return o.name() == l.option() })
	if i < 0 {
		return unknown(l)
	}
	o := &options[i]
	l.usage = o.usage
	if n := len(l.args()); n < o.least || (o.most > 0 && n > o.most) {
		if o.secret {
			return l.Errorf("%s: %d words after it (not shown); want %s", l.option(), n, l.usage)
		}
		return l.misused()
	}
	first, again := r.once[l.option()]
	if again && !o.repeat {
		return l.Errorf("%s is already given at %v; want it once in a directive", l.option(), first)
	}
	r.once[l.option()] = l.Position
	return o.read(r, l)
}

// Usages returns how each option is written, in the order of their names.
func Usages() []string {
	var all []string
	for i := range options {
		all = append(all, options[i].usage)
	}
	slices.Sort(all)
	return all
}

// unknown returns the error of an option that there is not, with the one that may be meant.
func unknown(l line) error {
	var names []string
	for i := range options {
		names = append(names, options[i].name())
	}
	slices.Sort(names)
	known := strings.Join(names, ", ")
	if meant := nearest(l.option(), names); meant != "" {
		return l.Errorf("unknown option %q, perhaps meant as %s; known are %s", l.option(), meant, known)
	}
	return l.Errorf("unknown option %q; known are %s", l.option(), known)
}

// nearest returns the word that another is most likely a misspelling of, "" for none: few letters are wrong, missing or too
// many, of a word that has more that are right.
func nearest(word string, words []string) string {
	best, least := "", 3
	for _, w := range words {
		if d := distance(strings.ToLower(word), w); d < least && 2*d < len(w) {
			best, least = w, d
		}
	}
	return best
}

// distance returns how many letters have to be put in, taken out, or be replaced to make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
