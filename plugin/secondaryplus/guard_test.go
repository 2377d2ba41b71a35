package secondaryplus

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/ratelimit"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// from is a client at an address.
type from struct {
	test.ResponseWriter
	client net.Addr
}

func (w *from) RemoteAddr() net.Addr { return w.client }

// guardedPaths ask a handler as a client at an address does, over UDP: through the chain, and on a socket of ours. The reply is
// nil for none.
func guardedPaths(t *testing.T, h *SecondaryPlus) map[string]func(client string, m *dns.Msg) *dns.Msg {
	t.Helper()
	address := &fastAddress{}
	rs := &routes{blocks: map[string]*route{}}
	name, err := wire.ParseName("example.org.")
	if err != nil {
		t.Fatal(err)
	}
	rs.blocks[string(name)] = &route{handler: h, zone: "example.org."}
	address.routes.Store(rs)
	answer := newFastAnswer(address)
	return map[string]func(string, *dns.Msg) *dns.Msg{
		"chain": func(client string, m *dns.Msg) *dns.Msg {
			w := dnstest.NewRecorder(&from{client: net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(client), 53))})
			if _, err := h.ServeDNS(t.Context(), w, m.Copy()); err != nil {
				t.Fatal(err)
			}
			return w.Msg
		},
		"fast path": func(client string, m *dns.Msg) *dns.Msg {
			query, err := m.Pack()
			if err != nil {
				t.Fatal(err)
			}
			reply := answer(query, make([]byte, 0, 4096), netip.MustParseAddr(client))
			if reply == nil {
				t.Fatal("The query is handed over")
			}
			if len(reply) == 0 {
				return nil
			}
			r := new(dns.Msg)
			if err := r.Unpack(reply); err != nil {
				t.Fatal(err)
			}
			return r
		},
	}
}

// withCookie gives a query a COOKIE option.
func withCookie(m *dns.Msg, value string) *dns.Msg {
	m.SetEdns0(1232, false)
	m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: value}}
	return m
}

// cookieOf returns the cookie of a reply, empty for none.
func cookieOf(m *dns.Msg) string {
	if o := m.IsEdns0(); o != nil {
		for _, option := range o.Option {
			if c, ok := option.(*dns.EDNS0_COOKIE); ok {
				return c.Cookie
			}
		}
	}
	return ""
}

const aClientsCookie = "0123456789abcdef"

// A client beyond the rate gets every second answer without records and with TC, for the rest nothing, and other answers, other
// networks and exempt ones are not touched.
func TestAnswersAreLimited(t *testing.T) {
	for i, path := range []string{"chain", "fast path"} {
		h := newHandler(t, "example.org", fmt.Sprintf("rate_limit %d 24 56 exempt 198.51.100.0/28", 3+i), exampleOrg...) // another rate is another limiter
		ask := guardedPaths(t, h)[path]
		www := question("www.example.org.", dns.TypeA)
		var answered, truncated, dropped int
		for range 23 {
			switch m := ask("192.0.2.1", www); {
			case m == nil:
				dropped++
			case m.Truncated:
				if truncated++; len(m.Answer)+len(m.Ns) > 0 || !m.Authoritative {
					t.Errorf("%s: truncated answer %v", path, m)
				}
			default:
				answered++
			}
		}
		if answered < 3+i || answered > 4+i || truncated < dropped || truncated > dropped+1 {
			t.Errorf("%s: %d answered, %d truncated, %d dropped", path, answered, truncated, dropped)
		}
		for client, name := range map[string]string{
			"192.0.2.2": "alias.example.org.", "192.0.3.1": "www.example.org.", "198.51.100.3": "www.example.org.", "127.0.0.1": "www.example.org.",
			"2001:db8::1": "www.example.org.",
		} {
			if m := ask(client, question(name, dns.TypeA)); m == nil || m.Truncated || len(m.Answer) == 0 {
				t.Errorf("%s: %s for %s: %v", path, name, client, m)
			}
		}
	}
}

// Made-up names below a wildcard, that do not exist, or below a zone cut count together.
func TestAnswersToMadeUpNamesCountTogether(t *testing.T) {
	h := newHandler(t, "example.org", "rate_limit 3", exampleOrg...)
	network := 0
	for path, ask := range guardedPaths(t, h) {
		for what, c := range map[string]struct {
			below string
			qtype uint16
		}{
			"wildcard": {"wild.example.org.", dns.TypeTXT}, "NXDOMAIN": {"none.example.org.", dns.TypeA},
			"referral": {"sub.example.org.", dns.TypeA}, "DNAME": {"alias2.example.org.", dns.TypeA},
		} {
			full := 0
			network++
			for i := range 20 {
				m := ask(fmt.Sprintf("192.0.%d.1", network), question(string(rune('a'+i))+"."+c.below, c.qtype))
				if m != nil && !m.Truncated {
					full++
				}
			}
			if full < 3 || full > 4 {
				t.Errorf("%s, %s: %d of 20 answered in full", path, what, full)
			}
		}
	}
}

// Whoever has a valid cookie is not limited; whoever knows cookies and has none gets one with BADCOOKIE.
func TestCookiesPassTheLimit(t *testing.T) {
	for i, path := range []string{"chain", "fast path"} {
		h := newHandler(t, "example.org", fmt.Sprintf("rate_limit 1 %d 56", 23+i), exampleOrg...)
		ask := guardedPaths(t, h)[path]
		query := func(value string) *dns.Msg { return withCookie(question("www.example.org.", dns.TypeA), value) }
		first := ask("192.0.2.1", query(aClientsCookie))
		made := cookieOf(first)
		if len(made) != 48 || made[:16] != aClientsCookie || len(first.Answer) == 0 {
			t.Fatalf("%s: first answer %v", path, first)
		}
		for range 20 {
			m := ask("192.0.2.1", query(made))
			if m == nil || m.Truncated || len(m.Answer) == 0 || cookieOf(m) != made {
				t.Fatalf("%s: with a valid cookie: %v", path, m)
			}
		}
		for range 4 {
			ask("192.0.2.1", question("www.example.org.", dns.TypeA))
		}
		bad := 0
		for range 4 {
			m := ask("192.0.2.1", query(aClientsCookie))
			if m == nil {
				continue
			}
			if bad++; m.Rcode != dns.RcodeBadCookie || len(cookieOf(m)) != 48 || len(m.Answer) > 0 {
				t.Errorf("%s: without a server cookie: %v", path, m)
			}
		}
		if bad != 2 {
			t.Errorf("%s: %d of 4 BADCOOKIE", path, bad)
		}
		if m := ask("192.0.2.9", query(made)); m != nil && m.Rcode != dns.RcodeBadCookie {
			t.Errorf("%s: the cookie of another address passes: %v", path, m)
		}
	}
}

// RFC 7873 §5.2.2: a COOKIE option of a length that none may have is FORMERR; without cookies it is ignored.
func TestOddCookiesAreMalformed(t *testing.T) {
	for _, option := range []string{"cookies on", "cookies off"} {
		h := newHandler(t, "example.org", option, exampleOrg...)
		for path, ask := range guardedPaths(t, h) {
			for n := range 50 {
				want := dns.RcodeFormatError
				if option == "cookies off" || n == 8 || 16 <= n && n <= 40 {
					want = dns.RcodeSuccess
				}
				m := ask("192.0.2.1", withCookie(question("www.example.org.", dns.TypeA), hex.EncodeToString(make([]byte, n))))
				if m == nil || m.Rcode != want {
					t.Errorf("%s, %s, %d octets: %v", option, path, n, m)
				}
			}
		}
	}
}

// Answers with cookies stay within what the client takes.
func TestAnswersWithCookiesFit(t *testing.T) {
	h := newHandler(t, "example.org", "", exampleOrg...)
	for path, ask := range guardedPaths(t, h) {
		m := withCookie(question("www.example.org.", dns.TypeA), aClientsCookie)
		m.IsEdns0().SetUDPSize(512)
		if r := ask("192.0.2.1", m); r == nil || r.Len() > 512 || cookieOf(r) == "" {
			t.Errorf("%s: %v", path, r)
		}
	}
}

// A limit that does not change goes on over a reload; another one begins anew.
func TestLimiterOutlivesAReload(t *testing.T) {
	one := mustParse(t, inBlock("rate_limit 5")).Settings
	g, err := newGuard(&one, nil)
	if err != nil {
		t.Fatal(err)
	}
	if next, _ := newGuard(&one, g); next.limiter != g.limiter {
		t.Error("The limiter is another after a reload without a change")
	}
	if next, _ := newGuard(&mustParse(t, inBlock("rate_limit 6")).Settings, g); next.limiter == g.limiter {
		t.Error("The limiter is the same with another rate")
	}
	if next, _ := newGuard(&mustParse(t, inBlock("")).Settings, g); next.limiter != nil {
		t.Error("Answers are limited without rate_limit")
	}
	v := g.check(netip.MustParseAddr("192.0.2.1"), true, topic{class: ratelimit.Error}, startedAt)
	if v != ratelimit.Send {
		t.Errorf("A proven client: %d", v)
	}
}
