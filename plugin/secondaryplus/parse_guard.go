package secondaryplus

import (
	"path/filepath"
	"strings"
)

// Words of cookies that are no file.
const (
	cookiesOn  = "on"
	cookiesOff = "off"
)

// rate_limit on: as many answers of one kind a second as Knot DNS lets pass by default, to the networks that BIND and the
// others count as one client.
const (
	defaultRate     = 50
	defaultIPv4Bits = 24
	defaultIPv6Bits = 56
	maxRate         = 1_000_000
)

const rateLimitUsage = "rate_limit on | off | N [IPV4-PREFIX IPV6-PREFIX] [exempt NETWORK...]"

// rateLimit reads "rate_limit on | off | N [IPV4-PREFIX IPV6-PREFIX] [exempt NETWORK...]".
func (r *groupReader) rateLimit(l line) error {
	words := l.args()
	c := limitConfig{rate: defaultRate, ipv4Bits: defaultIPv4Bits, ipv6Bits: defaultIPv6Bits}
	switch word := words[0]; word {
	case "on":
	case "off":
		if len(words) > 1 {
			return l.wrong(strings.Join(words, " "), "nothing behind off")
		}
		c = limitConfig{}
	default:
		var ok bool
		if c.rate, ok = parseCount(word, maxRate); !ok {
			return l.wrong(word, "on, off or a whole number of at least 1 and at most %d, in answers a second", maxRate)
		}
	}
	words = words[1:]
	if len(words) > 0 && words[0] != "exempt" {
		var err error
		if words, err = l.prefixLengths(words, &c); err != nil {
			return err
		}
	}
	if len(words) > 0 {
		if words[0] != "exempt" || len(words) == 1 {
			return l.wrong(strings.Join(l.args(), " "), "%s", rateLimitUsage)
		}
		c.exempt = strings.Join(words[1:], " ")
		for _, word := range words[1:] {
			if _, err := parseSource(word); err != nil {
				return l.errorf("rate_limit exempt %q: %w", word, err)
			}
		}
	}
	r.settings.rateLimit = setting[limitConfig]{c, l.position}
	return nil
}

// prefixLengths reads the lengths of the prefixes that are one client each, and returns the words behind them.
func (l line) prefixLengths(words []string, c *limitConfig) ([]string, error) {
	for i, p := range []struct {
		bits *int
		most int
		what string
	}{{&c.ipv4Bits, 32, "IPv4"}, {&c.ipv6Bits, 128, "IPv6"}} {
		word := ""
		if i < len(words) {
			word = words[i]
		}
		var ok bool
		if *p.bits, ok = parseCount(strings.TrimPrefix(word, "/"), p.most); !ok {
			return nil, l.wrong(word, "the length of an %s prefix, 1 to %d; %s", p.what, p.most, rateLimitUsage)
		}
	}
	return words[2:], nil
}

// cookies reads "cookies FILE | on | off".
func (r *groupReader) cookies(l line) error {
	value := l.args()[0]
	if value != cookiesOn && value != cookiesOff {
		path, err := filepath.Abs(r.path(value))
		if err != nil {
			return l.errorf("cookies: %w", err)
		}
		if _, err := newCookieJar(path); err != nil {
			return l.errorf("cookies: %w", err)
		}
		r.warnOfMode(l, "file of cookies", path)
		value = path
	}
	r.settings.cookies = setting[string]{value, l.position}
	return nil
}
