//go:build e2e

package e2e_test

import (
	"encoding/hex"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// The secrets of a fleet, current and previous.
const (
	fleetSecret  = "e5e973e5a6b2a43f48e7dc849e37bfcf"
	formerSecret = "dd3bdf9344b678b185a6f5cb60fca715"
)

// cookieOf asks a server for the SOA of a zone with this COOKIE option, in hexadecimal digits, and returns that of the answer.
func cookieOf(t *testing.T, addr, zone, cookie string) string {
	t.Helper()
	m := question(zone, dns.TypeSOA)
	m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: cookie}}
	r, err := exchange(addr, m)
	if err != nil {
		t.Fatalf("Query with a cookie: %v", err)
	}
	if o := r.IsEdns0(); o != nil {
		for _, option := range o.Option {
			if c, ok := option.(*dns.EDNS0_COOKIE); ok {
				return c.Cookie
			}
		}
	}
	return ""
}

const clientCookie = "0123456789abcdef"

// What another server of a fleet has made is good here, and the other way round (RFC 9018): both send a fresh cookie back as it
// came.
func TestCookiesOfAFleet(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) primary{
		"BIND": func(t *testing.T) primary {
			b := configureBIND(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(1)}})
			b.amend(t, "named.conf", "notify-delay 0;", `notify-delay 0; cookie-algorithm siphash24; cookie-secret "`+fleetSecret+`";`)
			b.run(t, "named", "-g", "-n", "1", "-c", b.path("named.conf"))
			return &b
		},
		"Knot": func(t *testing.T) primary {
			k := &knot{install(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(1)}})}
			k.configure(t, "knot.conf", k)
			k.amend(t, "knot.conf", "template:\n  - id: default\n", "mod-cookies:\n  - id: fleet\n    secret: 0x"+fleetSecret+
				"\ntemplate:\n  - id: default\n    global-module: mod-cookies/fleet\n")
			k.writeZones(t)
			k.run(t, "knotd", "-c", k.path("knot.conf"))
			return k
		},
		"NSD": func(t *testing.T) primary {
			n := &nsd{install(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(1)}})}
			n.configure(t, "nsd.conf", n)
			n.amend(t, "nsd.conf", "    rrl-ratelimit: 0\n", "    rrl-ratelimit: 0\n    answer-cookie: yes\n    cookie-secret: "+fleetSecret+"\n")
			n.writeZones(t)
			n.run(t, "nsd", "-d", "-c", n.path("nsd.conf"))
			return n
		},
	} {
		for _, path := range []string{"fastpath 1", "fastpath off"} {
			t.Run(name+" "+path, func(t *testing.T) {
				t.Parallel()
				prim := start(t)
				sec := newSecondary(t)
				writeFile(t, filepath.Join(sec.Dir, "secrets"), fleetSecret+"\n"+formerSecret+"\n")
				sec.start(t, secondarySpec{Zones: []string{mixedOrigin}, Block: lines("primary "+prim.addr(), "cookies secrets", path)})
				sec.serves(t, mixedOrigin, 1, syncLimit)
				for _, c := range [][2]string{{prim.addr(), sec.addr()}, {sec.addr(), prim.addr()}} {
					made := cookieOf(t, c[0], mixedOrigin, clientCookie)
					if len(made) != 48 || !strings.HasPrefix(made, clientCookie) {
						t.Fatalf("%s makes the cookie %q", c[0], made)
					}
					if again := cookieOf(t, c[1], mixedOrigin, made); again != made {
						t.Errorf("The cookie %s of %s is answered by %s with %s", made, c[0], c[1], again)
					}
				}
			})
		}
	}
}

// dig says "(good)" of a cookie that answers its own.
func TestCookieIsGoodToDig(t *testing.T) {
	t.Parallel()
	prim := startKnot(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(1)}})
	for _, path := range []string{"fastpath 1", "fastpath off"} {
		sec := newSecondary(t)
		sec.start(t, secondarySpec{Zones: []string{mixedOrigin}, Block: lines("primary "+prim.addr(), path)})
		sec.serves(t, mixedOrigin, 1, syncLimit)
		if out := digged(t, sec.addr(), mixedOrigin, "SOA", "+cookie"); !strings.Contains(out, "(good)") {
			t.Errorf("%s: %s", path, out)
		}
	}
}

// digged returns what dig prints.
func digged(t *testing.T, addr string, args ...string) string {
	t.Helper()
	host, port, _ := strings.Cut(addr, ":")
	return run(t, "dig", append([]string{"@" + host, "-p", port, "+tries=3"}, args...)...)
}

// A secret is replaced without a restart, and cookies of the one before stay good while the file has it.
func TestCookieSecretIsReplaced(t *testing.T) {
	t.Parallel()
	prim := startKnot(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(1)}})
	sec := newSecondary(t)
	file := filepath.Join(sec.Dir, "secrets")
	writeFile(t, file, formerSecret+"\n")
	sec.start(t, secondarySpec{Zones: []string{mixedOrigin}, Block: lines("primary "+prim.addr(), "cookies secrets")})
	sec.serves(t, mixedOrigin, 1, syncLimit)
	made := cookieOf(t, sec.addr(), mixedOrigin, clientCookie)
	writeFile(t, file, "not a secret\n")
	sec.logs(t, "cookies: .*secrets: line 1: want a secret")
	if again := cookieOf(t, sec.addr(), mixedOrigin, made); again != made {
		t.Errorf("After a broken file: %s, want %s", again, made)
	}
	writeFile(t, file, fleetSecret+"\n"+formerSecret+"\n")
	sec.logs(t, "cookies: .*secrets: 2 secrets now")
	next := cookieOf(t, sec.addr(), mixedOrigin, made)
	if next == made || len(next) != len(made) {
		t.Errorf("A cookie of the former secret is answered with %s", next)
	}
	if again := cookieOf(t, sec.addr(), mixedOrigin, next); again != next {
		t.Errorf("The new cookie %s is answered with %s", next, again)
	}
	sec.reload(t)
	if again := cookieOf(t, sec.addr(), mixedOrigin, next); again != next {
		t.Errorf("After a reload: %s, want %s", again, next)
	}
	if log := sec.proc.log(t); strings.Contains(log, fleetSecret) || strings.Contains(log, formerSecret) {
		t.Error("The log holds a secret")
	}
}

// BIND as a forwarder learns our cookie and goes on with it.
func TestCookiesOfAForwarder(t *testing.T) {
	t.Parallel()
	prim := startKnot(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(1)}})
	sec := newSecondary(t)
	sec.start(t, secondarySpec{Zones: []string{mixedOrigin}, Block: "primary " + prim.addr()})
	sec.serves(t, mixedOrigin, 1, syncLimit)
	b := configureBIND(t, primarySpec{Zones: map[string]string{"local.test.": plainZone("local.test.", 1, 1, longTimers)}})
	host, port, _ := strings.Cut(sec.addr(), ":")
	b.amend(t, "named.conf", "    recursion no;", "    recursion yes; allow-recursion { any; }; forward only; forwarders { "+host+" port "+port+"; };")
	b.run(t, "named", "-g", "-n", "1", "-c", b.path("named.conf"))
	for _, name := range []string{"ns1." + mixedOrigin, "ns2." + mixedOrigin} {
		m := question(name, dns.TypeA)
		m.RecursionDesired = true
		r, err := exchange(b.addr(), m)
		if err != nil || r.Rcode != dns.RcodeSuccess {
			t.Fatalf("%s by way of BIND: %v, %v", name, r, err)
		}
	}
}

// Options that no client may send, and clients that send none.
func TestOddCookies(t *testing.T) {
	t.Parallel()
	prim := startKnot(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(1)}})
	for _, path := range []string{"fastpath 1", "fastpath off", "cookies off"} {
		sec := newSecondary(t)
		sec.start(t, secondarySpec{Zones: []string{mixedOrigin}, Block: lines("primary "+prim.addr(), path)})
		sec.serves(t, mixedOrigin, 1, syncLimit)
		for octets, want := range map[int]int{
			1: dns.RcodeFormatError, 7: dns.RcodeFormatError, 9: dns.RcodeFormatError, 15: dns.RcodeFormatError, 41: dns.RcodeFormatError,
			8: dns.RcodeSuccess, 16: dns.RcodeSuccess, 24: dns.RcodeSuccess, 40: dns.RcodeSuccess,
		} {
			if path == "cookies off" {
				want = dns.RcodeSuccess
			}
			m := question(mixedOrigin, dns.TypeSOA)
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: hex.EncodeToString(make([]byte, octets))}}
			r, err := exchange(sec.addr(), m)
			if err != nil || r.Rcode != want {
				t.Errorf("%s, %d octets: %v, %v; want %s", path, octets, r, err, dns.RcodeToString[want])
			}
		}
		if c := cookieOf(t, sec.addr(), mixedOrigin, clientCookie); (c == "") != (path == "cookies off") {
			t.Errorf("%s: cookie %q", path, c)
		}
	}
}
