package corefile

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/fault"
)

// Settings are what options say that have one value for a server block, or for the whole process. A copy is independent.
type Settings struct {
	Fastpath int // sockets for an address, FastAuto or FastOff; for a server block, all else for the process

	TransfersIn    TransfersIn
	TransfersOut   TransfersOut
	TransferMemory int64 // octets
	SOARate        int   // SOA queries a second
	MaxUDP         int   // octets
	RateLimit      RateLimit
	Cookies        string // CookiesOn, CookiesOff, or the absolute path of a file
	Store          string // an absolute path; empty for none
	FaultNotify    string // URLs, one a line; they hold secrets
	FaultAfter     time.Duration
	FaultEvery     time.Duration
	Control        Control // without an address: none

	at map[string]Position // where each option stands that was given, by name
}

// TransfersIn are the transfers from primaries that may run at a time. It is a plain value.
type TransfersIn struct{ Total, PerPrimary int }

// TransfersOut are the transfers to secondaries that may run at a time. It is a plain value.
type TransfersOut struct{ Total, PerClient int }

var (
	defaultTransfersIn  = TransfersIn{Total: 20, PerPrimary: 4}
	defaultTransfersOut = TransfersOut{Total: 20, PerClient: 4}
)

// DefaultSettings returns what is in force unless options say otherwise. The store is in the working directory.
func DefaultSettings() Settings {
	store, err := filepath.Abs("secondaryplus.db")
	if err != nil {
		store = "secondaryplus.db"
	}
	return Settings{
		TransfersIn: defaultTransfersIn, TransfersOut: defaultTransfersOut, TransferMemory: 1 << 30, SOARate: 50, MaxUDP: 1232, Cookies: CookiesOn, Store: store,
		FaultAfter: time.Minute, FaultEvery: 24 * time.Hour, at: map[string]Position{},
	}
}

// At returns where an option was given; ok is false if it was not.
func (s *Settings) At(option string) (at Position, ok bool) {
	at, ok = s.at[option]
	return at, ok
}

// Add adds what another server block says for the whole process. The error names both places where the two differ.
func (s *Settings) Add(o *Settings) error { return s.merge(o, process) }

// merge adds what o says for the least scope and those wider.
func (s *Settings) merge(o *Settings, least scope) error {
	merged := maps.Clone(s.at)
	for i := range options {
		option := &options[i]
		at, given := o.at[option.name()]
		first, again := s.at[option.name()]
		switch {
		case option.scope < least || !given:
		case again && !option.same(s, o):
			return at.Errorf("%s differs from the one at %v; want one value, it is for %s", option.name(), first, option.scope)
		case !again:
			option.take(s, o)
			merged[option.name()] = at
		}
	}
	s.at = merged
	return nil
}

// The most that may be asked for.
const (
	maxTransfers   = 10_000    // in, and as many out
	maxSOARate     = 1_000_000 // a second
	maxFastSockets = 64        // for one address: each has a thread of its own
	maxSinks       = 16        // URLs that are told of faults
)

// transfersIn reads "N [PER-PRIMARY]".
func transfersIn(l line) (t TransfersIn, err error) {
	t.Total, t.PerPrimary, err = l.transfers(defaultTransfersIn.PerPrimary, "from one primary")
	return t, err
}

// transfersOut reads "N [PER-CLIENT]".
func transfersOut(l line) (t TransfersOut, err error) {
	t.Total, t.PerClient, err = l.transfers(defaultTransfersOut.PerClient, "to one client")
	return t, err
}

// transfers reads how many transfers there may be in all, and how many of them are those that which names.
func (l line) transfers(usual int, which string) (total, one int, err error) {
	var ok bool
	if total, ok = parseCount(l.args()[0], maxTransfers); !ok {
		return 0, 0, l.wrong(l.args()[0], "a whole number of at least 1 and at most %d", maxTransfers)
	}
	one = min(usual, total)
	if len(l.args()) > 1 {
		if one, ok = parseCount(l.args()[1], total); !ok {
			return 0, 0, l.wrong(strings.Join(l.args(), " "),
				"the second number, transfers %s, to be of at least 1 and at most %d", which, total)
		}
	}
	return total, one, nil
}

func soaRate(l line) (int, error) {
	n, ok := parseCount(l.args()[0], maxSOARate)
	if !ok {
		return 0, l.wrong(l.args()[0], "a whole number of at least 1 and at most %d, in SOA queries a second", maxSOARate)
	}
	return n, nil
}

// Values of Settings.Fastpath beside numbers of sockets, which insist on it.
const (
	FastAuto = 0 // where no plugin is bypassed; what holds where nothing is said
	FastOff  = -1
)

// FastSockets returns how many sockets all addresses have together unless the Corefile says how many each has: one for each
// processor but one, which is left for all else.
func FastSockets() int { return min(max(runtime.GOMAXPROCS(0)-1, 1), maxFastSockets) }

// fastpath reads "[auto | off | SOCKETS]".
func fastpath(l line) (int, error) {
	if len(l.args()) == 0 {
		return FastSockets(), nil
	}
	switch word := l.args()[0]; word {
	case "auto":
		return FastAuto, nil
	case "off":
		return FastOff, nil
	default:
		n, ok := parseCount(word, maxFastSockets)
		if !ok {
			return 0, l.wrong(word,
				"auto, off, or a whole number of at least 1 and at most %d, in sockets for an address", maxFastSockets)
		}
		return n, nil
	}
}

// Bounds of max_udp, in octets. The least is what a client without EDNS takes (RFC 1035 §4.2.1), and the most what the fast
// path has room for; longer datagrams are sent in fragments nearly everywhere, which RFC 9715 §3.1 has servers avoid.
const (
	minMaxUDP = dns.MinMsgSize
	maxMaxUDP = 4096
)

func maxUDP(l line) (int, error) {
	word := l.args()[0]
	n, ok := parseSize(word)
	if !ok || n < minMaxUDP || n > maxMaxUDP {
		return 0, l.wrong(word, "a size of at least %d and at most %d, in octets of an answer over UDP", minMaxUDP, maxMaxUDP)
	}
	return int(n), nil
}

// store reads "FILE | off".
func (r *reader) store(l line) (string, error) {
	word := l.args()[0]
	if word == "off" {
		return "", nil
	}
	path, err := r.absolute(word)
	if err != nil {
		return "", l.wrong(word, "a file: %v", err)
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return "", l.wrong(word, "a file, which is made if it is not there; this is a directory")
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return "", l.wrong(word, "a file in a directory that exists; make %s first", filepath.Dir(path))
	}
	return path, nil
}

// faultNotify reads "URL... | file FILE", and adds what it says to what the lines before it say.
func (r *reader) faultNotify(l line) (string, error) {
	given := l.args()
	if given[0] == "file" {
		if len(given) != 2 {
			return "", l.Errorf("fault_notify: %d words after file (not shown); want %s", len(given)-1, l.usage)
		}
		var err error
		if given, err = r.readURLs(l, r.path(given[1])); err != nil {
			return "", l.Errorf("fault_notify file: %w", err)
		}
	}
	urls := r.settings.FaultNotify
	for _, u := range given {
		if err := fault.Validate(u); err != nil {
			return "", l.Errorf("fault_notify: %w", err)
		}
		urls = strings.TrimPrefix(urls+"\n"+u, "\n")
	}
	if n := strings.Count(urls, "\n") + 1; n > maxSinks {
		return "", l.Errorf("fault_notify: %d URLs; want at most %d", n, maxSinks)
	}
	return urls, nil
}

// readURLs returns the URLs in a file, at least one: one a line, without empty lines and those that begin with #. Errors
// name the line and show nothing of a URL but its scheme.
func (r *reader) readURLs(l line, path string) (urls []string, err error) {
	text, err := r.readSecret(l, "file of URLs", path)
	if err != nil {
		return nil, err
	}
	number := 0
	for text := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) {
		number++
		u := strings.TrimSpace(text)
		if u == "" || strings.HasPrefix(u, "#") {
			continue
		}
		if err := fault.Validate(u); err != nil {
			return nil, Position{path, number}.Errorf("%w", err)
		}
		urls = append(urls, u)
	}
	if len(urls) == 0 {
		return nil, fmt.Errorf("%s: no URL; want one a line", path)
	}
	return urls, nil
}
