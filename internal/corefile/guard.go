package corefile

import (
	"fmt"
	"strings"

	"go4.org/netipx"

	"github.com/secondaryplus/secondaryplus/internal/cookie"
)

// Values of Settings.Cookies that are no file.
const (
	CookiesOn  = "on"
	CookiesOff = "off"
)

// rate_limit on: as many answers of one kind a second as Knot DNS lets pass by default, to the networks that BIND and the
// others count as one client.
const (
	defaultRate     = 50
	defaultIPv4Bits = 24
	defaultIPv6Bits = 56
	maxRate         = 1_000_000
)

// RateLimit is what rate_limit says. It is a plain value; the zero one is off.
type RateLimit struct {
	Rate               int // answers a second
	IPv4Bits, IPv6Bits int
	exempt             string // networks, as parseSource takes them, with spaces between: what can be compared
}

// Exempt returns the networks that are not limited, nil for none.
func (c RateLimit) Exempt() (*netipx.IPSet, error) {
	if c.exempt == "" {
		return nil, nil
	}
	var b netipx.IPSetBuilder
	for word := range strings.FieldsSeq(c.exempt) {
		r, err := parseSource(word)
		if err != nil {
			return nil, err
		}
		b.AddRange(r)
	}
	return b.IPSet()
}

const rateLimitUsage = "rate_limit on | off | N [IPV4-PREFIX IPV6-PREFIX] [exempt NETWORK...]"

// rateLimit reads "on | off | N [IPV4-PREFIX IPV6-PREFIX] [exempt NETWORK...]".
func rateLimit(l line) (RateLimit, error) {
	words := l.args()
	c := RateLimit{Rate: defaultRate, IPv4Bits: defaultIPv4Bits, IPv6Bits: defaultIPv6Bits}
	switch word := words[0]; word {
	case "on":
	case "off":
		if len(words) > 1 {
			return c, l.wrong(strings.Join(words, " "), "nothing after off")
		}
		return RateLimit{}, nil
	default:
		var ok bool
		if c.Rate, ok = parseCount(word, maxRate); !ok {
			return c, l.wrong(word, "on, off or a whole number of at least 1 and at most %d, in answers a second", maxRate)
		}
	}
	words = words[1:]
	if len(words) > 0 && words[0] != "exempt" {
		var err error
		if words, err = l.prefixLengths(words, &c); err != nil {
			return c, err
		}
	}
	if len(words) == 0 {
		return c, nil
	}
	if words[0] != "exempt" || len(words) == 1 {
		return c, l.misused()
	}
	c.exempt = strings.Join(words[1:], " ")
	for _, word := range words[1:] {
		if _, err := parseSource(word); err != nil {
			return c, l.Errorf("rate_limit exempt %q: %w", word, err)
		}
	}
	return c, nil
}

// prefixLengths reads the lengths of the prefixes that are one client each, and returns the words after them.
func (l line) prefixLengths(words []string, c *RateLimit) ([]string, error) {
	for i, p := range []struct {
		bits *int
		most int
		what string
	}{{&c.IPv4Bits, 32, "IPv4"}, {&c.IPv6Bits, 128, "IPv6"}} {
		word := ""
		if i < len(words) {
			word = words[i]
		}
		var ok bool
		if *p.bits, ok = parseCount(strings.TrimPrefix(word, "/"), p.most); !ok {
			return nil, l.wrong(word, "the length of an %s prefix, 1 to %d; %s", p.what, p.most, l.usage)
		}
	}
	return words[2:], nil
}

// cookies reads "FILE | on | off".
func (r *reader) cookies(l line) (string, error) {
	word := l.args()[0]
	if word == CookiesOn || word == CookiesOff {
		return word, nil
	}
	path, err := r.absolute(word)
	if err != nil {
		return "", l.Errorf("cookies: %w", err)
	}
	text, err := r.readSecret(l, "file of cookie secrets", path)
	if err == nil {
		_, err = parseCookies(path, text)
	}
	if err != nil {
		return "", l.Errorf("cookies: %w", err)
	}
	return path, nil
}

// CookieFile is a file of cookie secrets. It is not safe for concurrent use.
type CookieFile struct{ WatchedFile }

// Read returns the secrets in the file. Errors name the line, and show none.
func (f *CookieFile) Read() (cookie.Secrets, error) {
	text, err := f.read(maxSecretFile, "a file of cookie secrets")
	if err != nil {
		return nil, err
	}
	return parseCookies(f.Path, text)
}

func parseCookies(path string, text []byte) (cookie.Secrets, error) {
	secrets, err := cookie.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return secrets, nil
}
