package secondaryplus

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/secondaryplus/secondaryplus/internal/cookie"
	"github.com/secondaryplus/secondaryplus/internal/corefile"
	"github.com/secondaryplus/secondaryplus/internal/ratelimit"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// guard is what stands between answers and clients over UDP, where anybody may forge the address of a client. Its fields do
// not change; it is safe for concurrent use.
type guard struct {
	limits  corefile.RateLimit
	limiter *ratelimit.Limiter // nil: answers are not limited
	cookies *cookieJar         // nil: there are no cookies
	refused [2]map[ratelimit.Class]prometheus.Counter
}

// newGuard returns the guard that the settings ask for. What did not change is taken from the one before, nil for none: its
// limiter knows who floods.
func newGuard(s *corefile.Settings, before *guard) (*guard, error) {
	g := &guard{limits: s.RateLimit}
	switch {
	case g.limits.Rate == 0:
	case before != nil && before.limits == g.limits:
		g.limiter = before.limiter
	default:
		exempt, err := g.limits.Exempt()
		if err != nil {
			return nil, err
		}
		g.limiter = ratelimit.New(ratelimit.Config{
			Rate: g.limits.Rate, IPv4Bits: g.limits.IPv4Bits, IPv6Bits: g.limits.IPv6Bits, Exempt: exempt,
		})
	}
	for i, action := range []string{"truncated", "dropped"} {
		g.refused[i] = map[ratelimit.Class]prometheus.Counter{}
		for _, c := range ratelimit.Classes() {
			g.refused[i][c] = metrics().RateLimited(c.String(), action)
		}
	}
	var err error
	g.cookies, err = newCookieJar(s.Cookies)
	return g, err
}

// topic is what an answer is about, as far as its limit goes. It is a plain value.
type topic struct {
	class ratelimit.Class
	scope []byte // in lower case
	qtype uint16
}

// topicOf returns what the answer to a query for a name, lower case, is about. room holds the scope where it has to be made.
func topicOf(a *zone.Answer, z *servedZone, name wire.Name, qtype uint16, room []byte) topic {
	switch {
	case a.Outcome == zone.NXDomain, a.Outcome == zone.YXDomain:
		return topic{class: ratelimit.NXDomain, scope: z.origin}
	case a.Outcome == zone.NoData:
		return topic{class: ratelimit.NoData, scope: z.origin}
	case a.Outcome == zone.Referral && len(a.Authority) > 0:
		return topic{class: ratelimit.Referral, scope: wire.AppendLower(room[:0], a.Authority[0].Owner)}
	case a.Synthesized:
		return topic{class: ratelimit.Wildcard, scope: z.origin}
	}
	return topic{class: ratelimit.Positive, scope: name, qtype: qtype}
}

// check says what is to be done with an answer over UDP to a client. Whoever has shown by a cookie to be where it says gets
// all answers (RFC 7873 §5.2.5).
func (g *guard) check(client netip.Addr, proven bool, t topic, now time.Time) ratelimit.Verdict {
	if g.limiter == nil || proven {
		return ratelimit.Send
	}
	v := g.limiter.Check(client, t.class, t.scope, t.qtype, now)
	if v == ratelimit.Truncate && t.class == ratelimit.Error {
		v = ratelimit.Drop // an error is as short as what would tell the client to come by TCP
	}
	if v != ratelimit.Send {
		g.refused[v-ratelimit.Truncate][t.class].Inc()
	}
	return v
}

// report logs what has been refused since the last call.
func (g *guard) report() {
	if g.limiter == nil {
		return
	}
	counts, example := g.limiter.Refused()
	if example == nil {
		return
	}
	var parts []string
	for _, c := range ratelimit.Classes() {
		if n := counts[c]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, c))
		}
	}
	log.Warningf("rate_limit: refused in the last minute: %s answers, such as %s ones to %s; if that is a resolver of many people, "+
		"list its network behind exempt, or raise the rate", strings.Join(parts, ", "), example.Class, example.Network)
}

// cookieJar holds the secrets that cookies are made with. It is safe for concurrent use, but for watch.
type cookieJar struct {
	file    *corefile.CookieFile // nil: the secret is this process's own
	secrets atomic.Pointer[cookie.Secrets]
}

// ownSecret is the secret of cookies where no file holds one: the same over a reload, so that clients keep their cookies.
var ownSecret = sync.OnceValue(cookie.Random)

// newCookieJar returns what a setting of cookies asks for: off, on, or the name of a file.
func newCookieJar(setting string) (*cookieJar, error) {
	j := &cookieJar{}
	switch setting {
	case corefile.CookiesOff:
		return nil, nil
	case corefile.CookiesOn:
		own := ownSecret()
		j.secrets.Store(&own)
		return j, nil
	}
	j.file = &corefile.CookieFile{WatchedFile: corefile.WatchedFile{Path: setting}}
	return j, j.read()
}

// read takes over the secrets of the file.
func (j *cookieJar) read() error {
	secrets, err := j.file.Read()
	if err == nil {
		j.secrets.Store(&secrets)
	}
	return err
}

// watch takes over a file that has changed; one that is broken changes nothing. One goroutine calls it.
func (j *cookieJar) watch() {
	if j == nil || j.file == nil || !j.file.Changed() {
		return
	}
	if err := j.read(); err != nil {
		log.Errorf("cookies: %v; the secrets stay as they were", err)
		return
	}
	log.Infof("cookies: %s: %d secrets now", j.file.Path, len(*j.secrets.Load()))
}

// check returns what the value of a COOKIE option from an address says.
func (j *cookieJar) check(option []byte, from netip.Addr, now time.Time) cookie.State {
	return j.secrets.Load().Check(option, from, now)
}

// appendTo appends the value of the COOKIE option that answers one.
func (j *cookieJar) appendTo(to, option []byte, state cookie.State, from netip.Addr, now time.Time) []byte {
	return j.secrets.Load().Append(to, option, state, from, now)
}

// reply returns the COOKIE option that answers one.
func (j *cookieJar) reply(option []byte, state cookie.State, from netip.Addr, now time.Time) dns.EDNS0 {
	return &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: hex.EncodeToString(j.appendTo(nil, option, state, from, now))}
}

// cookieIn returns the value of the COOKIE option of a request, the first (RFC 7873 §5.2); nil for none, and where there are
// no cookies.
func (s *SecondaryPlus) cookieIn(r *dns.Msg) []byte {
	o := r.IsEdns0()
	if o == nil || s.instance == nil || s.instance.guard.cookies == nil {
		return nil
	}
	for _, option := range o.Option {
		if c, ok := option.(*dns.EDNS0_COOKIE); ok {
			value, _ := hex.DecodeString(c.Cookie) // made from octets; never nil
			return value
		}
	}
	return nil
}

// cookieLen returns the octets of the COOKIE option in the reply to a request.
func (s *SecondaryPlus) cookieLen(r *dns.Msg) int {
	if s.cookieIn(r) == nil {
		return 0
	}
	return optionHeader + cookie.Len
}

// oddCookie reports whether a request has a COOKIE option that no request may have (RFC 7873 §5.2.2).
func (s *SecondaryPlus) oddCookie(w dns.ResponseWriter, r *dns.Msg) bool {
	option := s.cookieIn(r)
	client, ok := remoteAddr(w)
	return option != nil && ok && s.instance.guard.cookies.check(option, client, time.Now()) == cookie.Malformed
}

// tooMany reports whether a client is to get no more errors over UDP, and counts one.
func (s *SecondaryPlus) tooMany(ctx context.Context, w dns.ResponseWriter) bool {
	client, ok := remoteAddr(w)
	return ok && s.instance != nil && overUDP(w) && datagrams(ctx) &&
		s.instance.guard.check(client, false, topic{class: ratelimit.Error}, time.Now()) != ratelimit.Send
}

// send writes the reply m about t, or what the guard leaves of it.
func (s *SecondaryPlus) send(ctx context.Context, w dns.ResponseWriter, r *dns.Msg, sig signature, m *dns.Msg, t topic) error {
	client, ok := remoteAddr(w)
	if !ok || s.instance == nil {
		return s.write(ctx, w, r, sig, m)
	}
	g, option, state, now := s.instance.guard, s.cookieIn(r), cookie.Unproven, time.Now()
	if option != nil {
		state = g.cookies.check(option, client, now)
	}
	if overUDP(w) && datagrams(ctx) && sig.signer(ctx) == "" {
		switch g.check(client, state.Proven(), t, now) {
		case ratelimit.Drop:
			return nil
		case ratelimit.Truncate:
			m = shortened(r, m, option != nil)
		case ratelimit.Send:
		}
	}
	if option != nil {
		addOPT(r, m)
		o := m.IsEdns0()
		o.Option = append(o.Option, g.cookies.reply(option, state, client, now))
	}
	return s.write(ctx, w, r, sig, m)
}

// shortened returns what is left of a reply that is refused: no records, and TC; or, for a client that knows cookies, BADCOOKIE
// (RFC 7873 §5.2.3), after which it asks again with the cookie it gets.
func shortened(r, m *dns.Msg, knowsCookies bool) *dns.Msg {
	if knowsCookies {
		return new(dns.Msg).SetRcode(r, dns.RcodeBadCookie)
	}
	short := new(dns.Msg).SetRcode(r, m.Rcode)
	short.Authoritative, short.Truncated = m.Authoritative, true
	return short
}
