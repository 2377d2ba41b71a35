package secondaryplus

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/fault"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// Defaults of the options of a group.
const (
	defaultMinTimer   = 30 * time.Second // of refresh and retry
	defaultMaxRefresh = 28 * 24 * time.Hour
	defaultMaxRetry   = 14 * 24 * time.Hour
	maxSOATimer       = math.MaxUint32 * time.Second // the most a SOA can say (RFC 1035 §3.3.13)
)

// The most that may be asked for of the process-wide settings.
const (
	maxTransfersIn = 10_000
	maxSOARate     = 1_000_000 // a second
)

// defaultGroup returns a group that has every default and no primary.
func defaultGroup() *engine.Group {
	g := &engine.Group{}
	l := zone.DefaultLimits
	g.MaxRecords, g.MaxSize, g.MaxRRset, g.MaxTypes = l.Records, l.Size, l.RRset, l.Types
	g.Refresh = refresh.Clamp{Min: defaultMinTimer, Max: defaultMaxRefresh}
	g.Retry = refresh.Clamp{Min: defaultMinTimer, Max: defaultMaxRetry}
	g.Expire = refresh.Clamp{Min: time.Second, Max: maxSOATimer}
	return g
}

func (r *groupReader) maxRecords(l line) error { return l.limit(&r.group.engine.MaxRecords) }
func (r *groupReader) maxRRset(l line) error   { return l.limit(&r.group.engine.MaxRRset) }
func (r *groupReader) maxTypes(l line) error   { return l.limit(&r.group.engine.MaxTypes) }

// limit reads "N | unlimited" into n; 0 is unlimited.
func (l line) limit(n *int) error {
	word := l.args()[0]
	if word == "unlimited" {
		*n = 0
		return nil
	}
	count, ok := parseCount(word, math.MaxInt)
	if !ok {
		return l.wrong(word, "a whole number of at least 1, or unlimited")
	}
	*n = count
	return nil
}

func (r *groupReader) conflicts(l line) error {
	word := l.args()[0]
	c, err := rules.ParseConflicts(word)
	if err != nil {
		return l.wrong(word, "rfc, alibaba or off")
	}
	r.group.engine.Conflicts = c
	return nil
}

func (r *groupReader) maxSize(l line) error {
	word := l.args()[0]
	n, err := zone.ParseSize(word)
	if err != nil {
		return l.wrong(word, zone.WantSize)
	}
	r.group.engine.MaxSize = n
	return nil
}

func (r *groupReader) serialZero(l line) error {
	switch word := l.args()[0]; word {
	case "stop":
		r.group.engine.SerialZero = false
	case "accept":
		r.group.engine.SerialZero = true
	default:
		return l.wrong(word, "stop or accept")
	}
	return nil
}

func (r *groupReader) refresh(l line) error { return l.clamp(&r.group.engine.Refresh) }
func (r *groupReader) retry(l line) error   { return l.clamp(&r.group.engine.Retry) }
func (r *groupReader) expire(l line) error  { return l.clamp(&r.group.engine.Expire) }

// clamp reads "MIN MAX" into c.
func (l line) clamp(c *refresh.Clamp) error {
	var ends [2]time.Duration
	for i, word := range l.args() {
		d, ok := parseDuration(word)
		if !ok {
			return l.wrong(word, "a time of at least 1s and at most %ds, in whole seconds, such as 90s, 15m, 2h or 3600",
				uint32(math.MaxUint32))
		}
		ends[i] = d
	}
	if ends[0] > ends[1] {
		return l.wrong(strings.Join(l.args(), " "), "the smaller time first: %s %s %s", l.option(), l.args()[1], l.args()[0])
	}
	*c = refresh.Clamp{Min: ends[0], Max: ends[1]}
	return nil
}

func (r *groupReader) transfersIn(l line) error {
	total, ok := parseCount(l.args()[0], maxTransfersIn)
	if !ok {
		return l.wrong(l.args()[0], "a whole number of at least 1 and at most %d", maxTransfersIn)
	}
	perPrimary := min(engine.DefaultSettings.TransfersPerPrimary, total)
	if len(l.args()) > 1 {
		if perPrimary, ok = parseCount(l.args()[1], total); !ok {
			return l.wrong(strings.Join(l.args(), " "), "the second number, transfers from one primary, to be of at least 1 and at most %d", total)
		}
	}
	r.settings.transfersIn = setting[transfersIn]{transfersIn{total, perPrimary}, l.position}
	return nil
}

func (r *groupReader) transferMemory(l line) error {
	word := l.args()[0]
	n, err := zone.ParseSize(word)
	if err != nil {
		return l.wrong(word, zone.WantSize)
	}
	r.settings.transferMemory = setting[int64]{n, l.position}
	return nil
}

func (r *groupReader) soaRate(l line) error {
	n, ok := parseCount(l.args()[0], maxSOARate)
	if !ok {
		return l.wrong(l.args()[0], "a whole number of at least 1 and at most %d, in SOA queries a second", maxSOARate)
	}
	r.settings.soaRate = setting[int]{n, l.position}
	return nil
}

// maxFastSockets is the most sockets of the fast path for one address: each has a thread of its own.
const maxFastSockets = 64

// Values of the fastpath option beside numbers of sockets, which insist on it.
const (
	fastAuto = 0 // where no plugin is bypassed; what holds where nothing is said
	fastOff  = -1
)

// maxFastAddresses is the most addresses with a fast path.
const maxFastAddresses = 256

// fastSockets returns how many sockets all addresses have together unless the Corefile says how many each has: one for each
// processor but one, which is left for all else.
func fastSockets() int { return min(max(runtime.GOMAXPROCS(0)-1, 1), maxFastSockets) }

func (r *groupReader) fastpath(l line) error {
	n := fastSockets()
	if len(l.args()) > 0 {
		switch word := l.args()[0]; word {
		case "auto":
			n = fastAuto
		case "off":
			n = fastOff
		default:
			var ok bool
			if n, ok = parseCount(word, maxFastSockets); !ok {
				return l.wrong(word, "auto, off, or a whole number of at least 1 and at most %d, in sockets for an address", maxFastSockets)
			}
		}
	}
	r.fast = setting[int]{n, l.position}
	return nil
}

// Bounds of max_udp, in octets. The least is what a client without EDNS takes (RFC 1035 §4.2.1), and the most what the fast
// path has room for; longer datagrams are sent in fragments nearly everywhere, which RFC 9715 §3.1 has servers avoid.
const (
	minMaxUDP     = dns.MinMsgSize
	defaultMaxUDP = 1232
	maxMaxUDP     = 4096
)

func (r *groupReader) maxUDP(l line) error {
	word := l.args()[0]
	n, err := zone.ParseSize(word)
	if err != nil || n < minMaxUDP || n > maxMaxUDP {
		return l.wrong(word, "a size of at least %d and at most %d, in octets of an answer over UDP", minMaxUDP, maxMaxUDP)
	}
	r.settings.maxUDP = setting[int]{int(n), l.position}
	return nil
}

// defaultStore is where zones are kept if the Corefile does not say, in the working directory.
const defaultStore = "secondaryplus.db"

// storeOff is the word for keeping nothing.
const storeOff = "off"

func (r *groupReader) store(l line) error {
	word := l.args()[0]
	if word != storeOff {
		path, err := filepath.Abs(r.path(word))
		if err != nil {
			return l.wrong(word, "a file: %v", err)
		}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return l.wrong(word, "a file, which is made if it is not there; this is a directory")
		}
		if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
			return l.wrong(word, "a file in a directory that exists; make %s first", filepath.Dir(path))
		}
		word = path
	}
	r.settings.store = setting[string]{word, l.position}
	return nil
}

// maxSinks is how many URLs may be told of faults.
const maxSinks = 16

func (r *groupReader) faultNotify(l line) error {
	given := l.args()
	if given[0] == "file" {
		if len(given) != 2 {
			return l.errorf("fault_notify: %d words after file (not shown); want %s", len(given)-1, l.usage)
		}
		var err error
		if given, err = r.readURLs(l, r.path(given[1])); err != nil {
			return l.errorf("fault_notify file: %w", unreadable(err, "a file with one URL a line, that CoreDNS may read"))
		}
	}
	urls := r.settings.faultNotify.value
	for _, u := range given {
		if err := fault.Validate(u); err != nil {
			return l.errorf("fault_notify: %w", err)
		}
		urls = strings.TrimPrefix(urls+"\n"+u, "\n")
	}
	if n := strings.Count(urls, "\n") + 1; n > maxSinks {
		return l.errorf("fault_notify: %d URLs; want at most %d", n, maxSinks)
	}
	r.settings.faultNotify = setting[string]{urls, l.position}
	return nil
}

// readURLs returns the URLs in a file, at least one: one a line, without empty lines and those that begin with #. Errors name the
// line and show nothing of a URL but its scheme.
func (r *groupReader) readURLs(l line, path string) (urls []string, err error) {
	text, err := r.readSecret(l, "file of fault_notify", path)
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
			return nil, position{path, number}.errorf("%w", err)
		}
		urls = append(urls, u)
	}
	if len(urls) == 0 {
		return nil, fmt.Errorf("%s: no URL; want one a line", path)
	}
	return urls, nil
}

func (r *groupReader) faultAfter(l line) error { return l.span(&r.settings.faultAfter) }
func (r *groupReader) faultEvery(l line) error { return l.span(&r.settings.faultEvery) }

// span reads a time into s.
func (l line) span(s *setting[time.Duration]) error {
	word := l.args()[0]
	d, ok := parseDuration(word)
	if !ok {
		return l.wrong(word, "a time of at least 1s, in whole seconds, such as 90s, 15m, 2h or 3600")
	}
	*s = setting[time.Duration]{d, l.position}
	return nil
}

// settings are the process-wide settings that were given, with their places. They are a plain value; the zero one is none
// given.
type settings struct {
	transfersIn    setting[transfersIn]
	transferMemory setting[int64] // octets
	rateLimit      setting[limitConfig]
	cookies        setting[string] // on, off, or the absolute path of a file
	soaRate        setting[int]
	maxUDP         setting[int]
	store          setting[string] // an absolute path, or storeOff
	faultNotify    setting[string] // URLs, one a line
	faultAfter     setting[time.Duration]
	faultEvery     setting[time.Duration]
	control        setting[controlConfig]
}

// transfersIn are the transfers that may run at a time. It is a plain value.
type transfersIn struct{ total, perPrimary int }

// setting is a value and the place that gave it; the zero one was not given. It is a plain value.
type setting[T comparable] struct {
	value T
	pos   position
}

// given reports whether the setting stands anywhere.
func (s setting[T]) given() bool { return s.pos != position{} }

// merge returns the one of s and o that was given; whole is what there is one value for. The error names both places where
// the two differ.
func (s setting[T]) merge(option string, o setting[T], whole string) (setting[T], error) {
	switch {
	case !o.given():
		return s, nil
	case s.given() && s.value != o.value:
		return s, o.pos.errorf("%s differs from the one at %v; want one value, it is for %s", option, s.pos, whole)
	case s.given():
		return s, nil
	}
	return o, nil
}

// merge returns what s and o say together. The error names both places where they differ.
func (s settings) merge(o settings) (settings, error) {
	var err error
	if s.transfersIn, err = s.transfersIn.merge("transfers_in", o.transfersIn, "the whole process"); err != nil {
		return s, err
	}
	if s.transferMemory, err = s.transferMemory.merge("transfer_memory", o.transferMemory, "the whole process"); err != nil {
		return s, err
	}
	if s.rateLimit, err = s.rateLimit.merge("rate_limit", o.rateLimit, "the whole process"); err != nil {
		return s, err
	}
	if s.cookies, err = s.cookies.merge("cookies", o.cookies, "the whole process"); err != nil {
		return s, err
	}
	if s.soaRate, err = s.soaRate.merge("soa_rate", o.soaRate, "the whole process"); err != nil {
		return s, err
	}
	if s.maxUDP, err = s.maxUDP.merge("max_udp", o.maxUDP, "the whole process"); err != nil {
		return s, err
	}
	if s.store, err = s.store.merge("store", o.store, "the whole process"); err != nil {
		return s, err
	}
	if s.faultNotify, err = s.faultNotify.merge("fault_notify", o.faultNotify, "the whole process"); err != nil {
		return s, err
	}
	if s.faultAfter, err = s.faultAfter.merge("fault_after", o.faultAfter, "the whole process"); err != nil {
		return s, err
	}
	if s.faultEvery, err = s.faultEvery.merge("fault_every", o.faultEvery, "the whole process"); err != nil {
		return s, err
	}
	s.control, err = s.control.merge("control", o.control, "the whole process")
	return s, err
}

// engine returns the settings with defaults for those that were not given.
func (s settings) engine() engine.Settings {
	e := engine.DefaultSettings
	switch s.store.value {
	case storeOff:
	case "":
		e.Store = defaultStore
		if path, err := filepath.Abs(defaultStore); err == nil {
			e.Store = path
		}
	default:
		e.Store = s.store.value
	}
	if s.transfersIn.given() {
		e.TransfersIn, e.TransfersPerPrimary = s.transfersIn.value.total, s.transfersIn.value.perPrimary
	}
	if s.transferMemory.given() {
		e.TransferMemory = s.transferMemory.value
	}
	if s.soaRate.given() {
		e.SOARate = float64(s.soaRate.value)
	}
	e.Faults.URLs = s.faultNotify.value
	if s.faultAfter.given() {
		e.Faults.After = s.faultAfter.value
	}
	if s.faultEvery.given() {
		e.Faults.Every = s.faultEvery.value
	}
	return e
}

// parseCount reads a whole number from 1 to limit.
func parseCount(s string, limit int) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	return int(n), err == nil && n >= 1 && n <= uint64(limit)
}

// parseDuration reads a span of whole seconds, from one to the most a SOA can say: "90s", "15m", "2h" or bare seconds.
func parseDuration(s string) (time.Duration, bool) {
	d, err := time.ParseDuration(s)
	if n, err2 := strconv.ParseUint(s, 10, 32); err2 == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	return d, err == nil && d >= time.Second && d <= maxSOATimer && d%time.Second == 0
}
