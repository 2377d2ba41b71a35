//go:build linux

package secondaryplus

import (
	"fmt"
	"net"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/coredns/caddy"
	_ "github.com/coredns/coredns/plugin/acl"
	_ "github.com/coredns/coredns/plugin/any"
	_ "github.com/coredns/coredns/plugin/bufsize"
	_ "github.com/coredns/coredns/plugin/chaos"
	_ "github.com/coredns/coredns/plugin/dns64"
	_ "github.com/coredns/coredns/plugin/dnssec"
	_ "github.com/coredns/coredns/plugin/dnstap"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/local"
	_ "github.com/coredns/coredns/plugin/metadata"
	_ "github.com/coredns/coredns/plugin/multisocket"
	_ "github.com/coredns/coredns/plugin/nsid"
	_ "github.com/coredns/coredns/plugin/shed"
	_ "github.com/coredns/coredns/plugin/template"
	_ "github.com/coredns/coredns/plugin/tls"
	_ "github.com/coredns/coredns/plugin/trace"
	_ "github.com/coredns/coredns/plugin/view"
	_ "github.com/coredns/coredns/plugin/whoami"
	"github.com/miekg/dns"

	scripted "github.com/secondaryplus/secondaryplus/internal/dnstest"
)

// fastBlock is a server block of one address with other directives and a fast path, or what else option says.
func fastBlock(keys, others string, p *primaryOf, words, option string) string {
	ours := fmt.Sprintf("secondaryplus %s {\nprimary %s\n%s\n}", words, p.Addr(), option)
	return fmt.Sprintf("%s {\nbind 127.0.0.1\n%s\n%s\n}\n", keys, others, ours)
}

// startError returns the error with which a Corefile does not start, and lets go of what was begun.
func startError(t *testing.T, corefile string) string {
	t.Helper()
	t.Cleanup(forgetEngine)
	instance, err := caddy.Start(input(corefile))
	if err == nil {
		stopCoreDNS(t, instance)
		t.Errorf("It starts:\n%s", corefile)
		return ""
	}
	return err.Error()
}

// begunAt runs a Corefile with a fast path on a port of 127.0.0.1, and returns the address once that is there.
func begunAt(t *testing.T, port, corefile string) (addr string) {
	t.Helper()
	runCoreDNS(t, corefile)
	addr = "127.0.0.1:" + port
	waitContents(t)
	waitOpen(t, addr)
	return addr
}

// askedFast asks over UDP and fails the test unless the query was answered fast, or handed over, as wanted.
func askedFast(t *testing.T, addr string, m *dns.Msg, want bool) *dns.Msg {
	t.Helper()
	before := fastQueries(t, "answered")
	r := exchange(t, "udp", addr, m)
	if got := fastQueries(t, "answered") > before; got != want {
		t.Errorf("%v of %s was answered fast: %v; want %v", m.Question, addr, got, want)
	}
	return r
}

// Plugins that would not see most queries are refused, by name.
func TestFastPathRefusesPluginsItWouldPass(t *testing.T) {
	key := dnssecKey(t)
	p := newPrimaryOf(t, exampleOrg...)
	for plugin, directive := range map[string]string{
		"log": "log", "acl": "acl {\nblock net 192.0.2.0/24\n}", "metadata": "metadata",
		"rewrite": "rewrite name exact twin.example.org. www.example.org.", "dnssec": "dnssec {\nkey file " + key + "\n}",
		"header": "header {\nresponse set ra\n}", "loadbalance": "loadbalance", "minimal": "minimal", "dns64": "dns64",
		"tsig": "tsig {\nsecret a.key. SECRET\n}", "dnstap": "dnstap /nonexistent/dnstap.sock",
		"trace": "trace", "view": "view some {\nexpr true\n}", "template": "template IN A {\nrcode NXDOMAIN\n}",
		"hosts": "hosts {\n192.0.2.9 www.example.org\n}", "local": "local", "shed": "shed",
	} {
		t.Run(plugin, func(t *testing.T) {
			text := startError(t, fastBlock("example.org:"+unusedPort(t), directive, p, "", "fastpath"))
			line := 7 + strings.Count(directive, "\n") // of the option; the store option is put in before
			if !regexp.MustCompile(fmt.Sprintf(`Corefile:%d\b`, line)).MatchString(text) {
				t.Errorf("Error %q does not say Corefile:%d", text, line)
			}
			if !regexp.MustCompile(`\b`+plugin+`\b`).MatchString(text) || !strings.Contains(text, "want ") {
				t.Errorf("Error %q does not name %s and what would be right", text, plugin)
			}
		})
	}
}

// dnssecKey writes a key for the dnssec plugin and returns its name without an extension.
func dnssecKey(t *testing.T) string {
	t.Helper()
	key := &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: "example.org.", Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 300},
		Flags: 257, Protocol: 3, Algorithm: dns.ECDSAP256SHA256,
	}
	private, err := key.Generate(256)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, "K.key", key.String()+"\n")
	return strings.TrimSuffix(write(t, dir, "K.private", key.PrivateKeyString(private)), ".private")
}

func TestFastPathNeedsPlainDNS(t *testing.T) {
	dir := t.TempDir()
	cert, key := scripted.Certificate(t, dir, "server")
	p := newPrimaryOf(t, exampleOrg...)
	tls := "tls " + cert + " " + key
	text := startError(t, fastBlock("tls://example.org:"+unusedPort(t), tls, p, "", "fastpath"))
	if !strings.Contains(text, "Corefile:") || !strings.Contains(text, "plain DNS") {
		t.Errorf("Error is %q", text)
	}
	// One plain key is enough, whichever place it has.
	for _, keys := range []string{"tls://example.org:%s example.org:%s", "dns://example.org:%[2]s tls://example.org:%[1]s"} {
		port := unusedPort(t)
		addr := begunAt(t, port, fastBlock(fmt.Sprintf(keys, unusedPort(t), port), tls, p, "example.org", "fastpath"))
		askedFast(t, addr, question("www.example.org.", dns.TypeA), true)
	}
}

func TestFastPathOptionIsChecked(t *testing.T) {
	p := newPrimaryOf(t, exampleOrg...)
	for option, want := range map[string]string{
		"fastpath 0": "at least 1 and at most 64", "fastpath 65": "at least 1 and at most 64", "fastpath x": `"x": want`,
		"fastpath -1": "at least 1", "fastpath on": "want auto, off,", "fastpath auto 2": "want fastpath", "fastpath 1 2": `want fastpath \[auto \| off \| SOCKETS\]`,
		"fastpath 1\nfastpath 1":        "already given at Corefile:",
		"fastpath 99999999999999999999": "at least 1",
	} {
		text := startError(t, fastBlock("example.org:"+unusedPort(t), "", p, "", option))
		if !regexp.MustCompile(`Corefile:\d+`).MatchString(text) || !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("%s: error %q; want %q", option, text, want)
		}
	}
	two := func(first, second string) string {
		another := fmt.Sprintf("secondaryplus example.net {\nprimary %s\n%s\n}\n}", p.Addr(), second)
		block := strings.TrimSuffix(fastBlock(".:"+unusedPort(t), "", p, "example.org", first), "}\n")
		return block + another
	}
	for _, options := range [][2]string{{"fastpath 1", "fastpath 2"}, {"fastpath off", "fastpath auto"}, {"fastpath auto", "fastpath 2"}} {
		text := startError(t, two(options[0], options[1]))
		if len(regexp.MustCompile(`Corefile:\d+`).FindAllString(text, -1)) < 2 {
			t.Errorf("Two values: error %q does not name both places", text)
		}
	}
	for _, options := range [][2]string{{"fastpath 2", "fastpath 2"}, {"", "fastpath 2"}, {"fastpath 64", ""}, {"fastpath off", ""}, {"", "fastpath auto"}} {
		runCoreDNS(t, two(options[0], options[1]))
	}
}

// Plugins that lose nothing by it may stand in front, and any behind.
func TestFastPathWorksAmongOtherPlugins(t *testing.T) {
	port := unusedPort(t)
	p := newPrimaryOf(t, exampleOrg...)
	zone := write(t, t.TempDir(), "db.net", "$ORIGIN example.net.\n"+
		"@ 60 IN SOA a. b. 1 2 3 4 5\n@ 60 IN NS a.\nwww 60 IN A 192.0.2.77\n")
	others := "nsid here\nprometheus 127.0.0.1:" + unusedPort(t) + "\nerrors\nany\nchaos tests\ncache 60\ntransfer {\nto *\n}\n" +
		"file " + zone + " example.net\nwhoami\n"
	addr := begunAt(t, port, fastBlock(".:"+port, others, p, "example.org", "fallthrough\nfastpath"))
	if r := askedFast(t, addr, question("www.example.org.", dns.TypeA), true); len(r.Answer) != 2 || !r.Authoritative {
		t.Errorf("www: %v", r)
	}
	if r := askedFast(t, addr, question("www.example.net.", dns.TypeA), false); len(r.Answer) != 1 {
		t.Errorf("Zone of the file plugin: %v", r)
	}
	r := askedFast(t, addr, question("none.example.org.", dns.TypeA), false)
	if r.Rcode != dns.RcodeSuccess || len(r.Extra) == 0 {
		t.Errorf("What falls through to whoami: %v", r)
	}
	r = askedFast(t, addr, question("www.example.org.", dns.TypeANY), false)
	if len(r.Answer) != 1 || r.Answer[0].Header().Rrtype != dns.TypeHINFO {
		t.Errorf("ANY: %v", r)
	}
	identified := question("www.example.org.", dns.TypeA).SetEdns0(1232, false)
	identified.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_NSID{Code: dns.EDNS0NSID}}
	if r := askedFast(t, addr, identified, false); len(r.Answer) != 2 || !strings.Contains(r.IsEdns0().String(), "(h)(e)(r)(e)") {
		t.Errorf("With NSID: %v", r)
	}
	version := question("version.bind.", dns.TypeTXT)
	version.Question[0].Qclass = dns.ClassCHAOS
	if r := askedFast(t, addr, version, false); len(r.Answer) != 1 || !strings.Contains(texts(r.Answer)[0], "tests") {
		t.Errorf("version.bind: %v", r)
	}
	if r := askedFast(t, addr, new(dns.Msg).SetAxfr("example.org."), false); r.Rcode == dns.RcodeSuccess && len(r.Answer) > 1 {
		t.Errorf("AXFR over UDP: %v", r)
	}
	if r := askedFast(t, addr, new(dns.Msg).SetNotify("example.org."), false); r.Rcode != dns.RcodeSuccess || !r.Authoritative {
		t.Errorf("NOTIFY: %v", r)
	}
	if r := askedFast(t, addr, new(dns.Msg).SetUpdate("example.org."), false); r.Rcode != dns.RcodeRefused {
		t.Errorf("UPDATE: %v", r)
	}
	if r := exchange(t, "tcp", addr, question("www.example.org.", dns.TypeA)); len(r.Answer) != 2 {
		t.Errorf("Over TCP: %v", r)
	}
}

// answering is a server block that answers everything with one address.
func answering(keys, address string) string {
	return fmt.Sprintf("%s {\nbind 127.0.0.1\ntemplate IN A {\nanswer \"{{ .Name }} 60 IN A %s\"\n}\n}\n", keys, address)
}

// wantAddress fails the test unless a name has one address, or none for "".
func wantAddress(t *testing.T, addr, name, want string) {
	t.Helper()
	got := ""
	for _, rr := range exchange(t, "udp", addr, question(name, dns.TypeA)).Answer {
		if a, ok := rr.(*dns.A); ok {
			got = a.A.String()
		}
	}
	if got != want {
		t.Errorf("%s of %s is %q; want %q", name, addr, got, want)
	}
}

// Every name goes to the server block with the longest of its zones, also to those without a fast path.
func TestFastPathLeavesOtherServerBlocksAlone(t *testing.T) {
	port, other := unusedPort(t), unusedPort(t)
	p := newPrimaryOf(t, append(exampleOrg, "x.deep.example.org. 60 IN A 192.0.2.99",
		"deep2.example.org. 60 IN A 192.0.2.98")...)
	corefile := answering("sub.example.org:"+port+" 5.2.0.192.in-addr.arpa:"+port, "198.51.100.1") +
		fastBlock("example.org:"+port, "", p, "", "fastpath") +
		answering("EXAMPLE.net:"+port+" DEEP.example.org.:"+port, "198.51.100.2") + answering("org:"+port, "198.51.100.3") +
		answering("deep2.example.org:"+other+" example.org:"+other, "198.51.100.4") +
		answering(".:"+port, "198.51.100.5") + answering("10.0.0.0/8:"+port, "198.51.100.6")
	addr := begunAt(t, port, corefile)
	for name, want := range map[string]string{
		"sub.example.org.": "198.51.100.1", "a.b.sub.example.org.": "198.51.100.1", "ns.SUB.example.org.": "198.51.100.1",
		"mail.example.org.": "192.0.2.25", "x.deep.example.org.": "198.51.100.2", "deep2.example.org.": "192.0.2.98",
		"a.example.net.": "198.51.100.2", "example2.org.": "198.51.100.3", "org.": "198.51.100.3", ".": "198.51.100.5",
		"example.com.": "198.51.100.5", "1.10.in-addr.arpa.": "198.51.100.6", "subexample.org.": "198.51.100.3",
	} {
		wantAddress(t, addr, name, want)
	}
	wantAddress(t, "127.0.0.1:"+other, "deep2.example.org.", "198.51.100.4")
	wantAddress(t, "127.0.0.1:"+other, "mail.example.org.", "198.51.100.4")
	askedFast(t, addr, question("mail.example.org.", dns.TypeA), true)
}

// A server block with keys of several ports answers on each for the keys of that port alone.
func TestFastPathKeepsThePortsOfAServerBlockApart(t *testing.T) {
	one, two := unusedPort(t), unusedPort(t)
	p := newPrimaryOf(t, append(exampleOrg, "x.part.example.org. 60 IN A 192.0.2.99")...)
	keys := fmt.Sprintf("example.org:%s part.example.org:%s", one, two)
	corefile := fastBlock(keys, "", p, "example.org", "fastpath") + answering("part.example.org:"+one, "198.51.100.1") +
		answering("example.org:"+two, "198.51.100.2")
	begunAt(t, one, corefile)
	waitOpen(t, "127.0.0.1:"+two)
	wantAddress(t, "127.0.0.1:"+one, "mail.example.org.", "192.0.2.25")
	wantAddress(t, "127.0.0.1:"+one, "x.part.example.org.", "198.51.100.1")
	wantAddress(t, "127.0.0.1:"+two, "x.part.example.org.", "192.0.2.99")
	wantAddress(t, "127.0.0.1:"+two, "mail.example.org.", "198.51.100.2")
}

// DS of a zone's apex is the parent's, even in another server block.
func TestFastPathAsksTheParentForDS(t *testing.T) {
	port := unusedPort(t)
	p := newPrimaryOf(t, exampleOrg...)
	parent := newPrimaryOf(t, "org. 60 IN SOA a. b. 3 3600 3600 86400 60", "org. 60 IN NS a.",
		"example.org. 60 IN NS ns.example.org.", "example.org. 60 IN DS 1 13 2 "+strings.Repeat("ab", 32))
	addr := begunAt(t, port, fastBlock("example.org:"+port, "", p, "", "fastpath")+
		fastBlock("org:"+port, "", parent, "", "fastpath"))
	if r := askedFast(t, addr, question("example.org.", dns.TypeDS), false); len(r.Answer) != 1 {
		t.Errorf("DS: %v", r)
	}
	askedFast(t, addr, question("www.example.org.", dns.TypeA), true)
	askedFast(t, addr, question("none.org.", dns.TypeA), true)
}

// The same zone for some clients only is for CoreDNS to tell apart.
func TestFastPathLeavesViewsToCoreDNS(t *testing.T) {
	port := unusedPort(t)
	p := newPrimaryOf(t, exampleOrg...)
	seen := "example.org:%s {\nbind 127.0.0.1\nview v {\nexpr type() == 'A'\n}\n" +
		"template IN A {\nanswer \"{{ .Name }} 60 IN A 198.51.100.1\"\n}\n}\n"
	corefiles := []string{
		fmt.Sprintf(seen, port) + fastBlock("example.org:"+port, "", p, "", "fastpath"),
		fmt.Sprintf(seen, port) + fastBlock(".:"+port, "", p, "example.org", "fastpath"),
	}
	for _, corefile := range corefiles {
		instance, err := caddy.Start(input(corefile))
		if err != nil {
			t.Fatal(err)
		}
		waitContents(t)
		addr := "127.0.0.1:" + port
		waitOpen(t, addr)
		wantAddress(t, addr, "mail.example.org.", "198.51.100.1")
		if r := askedFast(t, addr, question("example.org.", dns.TypeMX), false); len(r.Answer) != 1 {
			t.Errorf("MX: %v", r)
		}
		stopCoreDNS(t, instance)
	}
}

// An answer that has no room goes out without what does not fit, and nobody looks it up again.
func TestFastPathTruncates(t *testing.T) {
	port := unusedPort(t)
	addr := begunAt(t, port, fastBlock("example.org:"+port, "", newPrimaryOf(t, append(exampleOrg, bulkyText("bulky.example.org.", 1))...), "", "fastpath"))
	for _, size := range []uint16{0, 512, 1232} {
		m := question("bulky.example.org.", dns.TypeTXT)
		if size > 0 {
			m.SetEdns0(size, false)
		}
		if r := askedFast(t, addr, m, true); !r.Truncated || len(r.Answer) > 0 || r.Rcode != dns.RcodeSuccess || (r.IsEdns0() != nil) != (size > 0) {
			t.Errorf("EDNS %d: %v", size, r)
		}
	}
}

// Signed queries are handed over, and the reply is signed.
func TestFastPathHandsSignedMessagesOver(t *testing.T) {
	port := unusedPort(t)
	p := newPrimaryOf(t, exampleOrg...)
	addr := begunAt(t, port, fastBlock("example.org:"+port, "", p, "",
		"key notify.key. hmac-sha256 SECRET\nallow_notify 127.0.0.1 key notify.key.\nfastpath"))
	for _, m := range []*dns.Msg{question("www.example.org.", dns.TypeA), new(dns.Msg).SetNotify("example.org.")} {
		s := scripted.NewSigner("notify.key.", dns.HmacSHA256, testSecret, nil)
		handed := fastQueries(t, "handed_over")
		reply := unpack(t, sendRaw(t, addr, s.Sign(scripted.Pack(m))))
		if reply.Rcode != dns.RcodeSuccess || reply.Opcode != m.Opcode {
			t.Errorf("%v", reply)
		}
		if fastQueries(t, "handed_over") == handed {
			t.Errorf("%v is not handed over", m.Question)
		}
		if m.Opcode == dns.OpcodeNotify && reply.IsTsig() == nil {
			t.Errorf("Reply is not signed: %v", reply)
		}
	}
}

// Replies come from the address that was asked, on every address of the server block.
func TestFastPathAnswersOnEveryAddress(t *testing.T) {
	for _, c := range []struct {
		name, bind string
		opened     []string
		hosts      []string
	}{
		{"two addresses", "bind 127.0.0.1 127.0.0.2", []string{"127.0.0.1", "127.0.0.2"}, []string{"127.0.0.1", "127.0.0.2"}},
		{"no bind", "", []string{""}, []string{"127.0.0.1", "127.0.0.2", "::1"}},
		{"IPv4 wildcard", "bind 0.0.0.0", []string{"0.0.0.0"}, []string{"127.0.0.1", "127.0.0.3"}},
		{"IPv6", "bind ::1", []string{"::1"}, []string{"::1"}},
		{"several sockets of CoreDNS", "bind 127.0.0.1\nmultisocket 3", []string{"127.0.0.1"}, []string{"127.0.0.1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, port := newPrimaryOf(t, exampleOrg...), unusedPort(t)
			runCoreDNS(t, fmt.Sprintf("example.org:%s {\n%s\nsecondaryplus {\nprimary %s\nfastpath 2\n}\n}\n",
				port, c.bind, p.Addr()))
			waitContents(t)
			for _, host := range c.opened {
				waitOpen(t, net.JoinHostPort(host, port))
			}
			for _, host := range c.hosts {
				addr := net.JoinHostPort(host, port)
				for range 10 {
					if r := askedFast(t, addr, question("www.example.org.", dns.TypeA), true); len(r.Answer) != 2 {
						t.Errorf("%s: %v", addr, r)
					}
				}
				if r := askedFast(t, addr, question("www.example.org.", dns.TypeANY), false); len(r.Answer) != 2 {
					t.Errorf("%s: ANY, handed over: %v", addr, r)
				}
			}
		})
	}
}

// shed keeps its place where it shares an address with a fast path, or the Corefile is refused.
func TestFastPathDoesNotDisableShed(t *testing.T) {
	p, port := newPrimaryOf(t, exampleOrg...), unusedPort(t)
	shed := "example.net:" + port + " {\nbind 127.0.0.1\nshed\nwhoami\n}\n"
	for _, corefile := range []string{
		shed + fastBlock("example.org:"+port, "", p, "", "fastpath"), fastBlock("example.org:"+port, "", p, "", "fastpath") + shed,
	} {
		before := goroutinesIn("plugin/shed")
		instance, err := caddy.Start(input(corefile))
		if err != nil {
			if !regexp.MustCompile(`Corefile:\d+.*\bshed\b.*want `).MatchString(err.Error()) {
				t.Errorf("Error is %v", err)
			}
			forgetEngine()
			continue
		}
		waitContents(t)
		exchange(t, "udp", "127.0.0.1:"+port, question("www.example.org.", dns.TypeA))
		if isOpen("127.0.0.1:" + port) {
			t.Error("Datagrams pass by shed")
		}
		if goroutinesIn("plugin/shed") == before {
			t.Errorf("shed does not see what CoreDNS writes:\n%s", corefile)
		}
		stopCoreDNS(t, instance)
	}
}

// goroutinesIn counts the goroutines with a function of a package on their stacks.
func goroutinesIn(pkg string) (n int) {
	buf := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, pkg) {
			n++
		}
	}
	return n
}

// Zones without contents are handed over, which says why.
func TestFastPathHandsZonesWithoutContentsOver(t *testing.T) {
	p, port := newPrimaryOf(t, "example.net. 60 IN SOA a. b. 3 3600 3600 86400 60"), unusedPort(t)
	runCoreDNS(t, fastBlock("example.org:"+port, "", p, "", "fastpath"))
	addr := "127.0.0.1:" + port
	waitOpen(t, addr)
	m := question("www.example.org.", dns.TypeA)
	m.SetEdns0(1232, true)
	if r := askedFast(t, addr, m, false); r.Rcode != dns.RcodeServerFailure || len(r.IsEdns0().Option) != 1 {
		t.Errorf("%v", r)
	}
	p.serve(exampleOrg...)
	if r := exchange(t, "udp", addr, new(dns.Msg).SetNotify("example.org.")); r.Rcode != dns.RcodeSuccess {
		t.Fatalf("NOTIFY: %v", r)
	}
	waitContents(t)
	askedFast(t, addr, m, true)
}

// The Corefile is read again as CoreDNS has read it, with its snippets and variables.
func TestFastPathReadsSnippetsAndVariables(t *testing.T) {
	p, port := newPrimaryOf(t, exampleOrg...), unusedPort(t)
	t.Setenv("FAST_PATH_TEST_PORT", port)
	t.Setenv("FAST_PATH_TEST_ZONE", "sub.example.org")
	corefile := "(ours) {\nsecondaryplus {\nprimary " + p.Addr().String() + "\nfastpath\n}\n}\n" +
		"example.org:{$FAST_PATH_TEST_PORT} {\nbind 127.0.0.1\nimport ours\n}\n" +
		answering("{$FAST_PATH_TEST_ZONE}:{$FAST_PATH_TEST_PORT}", "198.51.100.1")
	addr := begunAt(t, port, corefile)
	askedFast(t, addr, question("www.example.org.", dns.TypeA), true)
	wantAddress(t, addr, "x.sub.example.org.", "198.51.100.1")
}

// How many sockets CoreDNS has itself is a matter of each address.
func TestFastPathGetsAllBesideSeveralSockets(t *testing.T) {
	one, two, three := unusedPort(t), unusedPort(t), unusedPort(t)
	p := newPrimaryOf(t, exampleOrg...)
	begunAt(t, one, fastBlock("example.org:"+one, "multisocket 6", p, "", "fastpath 2")+
		fastBlock("example.org:"+two, "", p, "", "fastpath 2")+
		"example.net:"+three+" {\nbind 127.0.0.1\nmultisocket 4\nwhoami\n}\n"+
		fastBlock("example.org:"+three, "", p, "", "fastpath 2"))
	for _, port := range []string{one, two, three} {
		addr := "127.0.0.1:" + port
		waitOpen(t, addr)
		before := fastQueries(t, "answered")
		const queries = 30
		for range queries {
			exchange(t, "udp", addr, question("www.example.org.", dns.TypeA))
		}
		if n := fastQueries(t, "answered") - before; n != queries {
			t.Errorf("%s: %d of %d queries were answered fast", addr, n, queries)
		}
	}
}
