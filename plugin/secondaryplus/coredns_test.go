package secondaryplus

import (
	"context"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	_ "github.com/coredns/coredns/plugin/cache"
	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"

	scripted "github.com/secondaryplus/secondaryplus/internal/dnstest"
)

// exampleOrg is the zone most of these tests serve.
var exampleOrg = []string{
	"example.org. 3600 IN SOA ns.example.org. hostmaster.example.org. 7 3600 3600 86400 300",
	"example.org. 3600 IN NS ns.example.org.",
	"example.org. 3600 IN MX 10 mail.example.org.",
	"ns.example.org. 3600 IN A 192.0.2.53",
	"mail.example.org. 3600 IN A 192.0.2.25",
	"WWW.example.org. 600 IN A 192.0.2.1",
	"WWW.example.org. 600 IN A 192.0.2.2",
	"alias.example.org. 600 IN CNAME www.example.org.",
	"away.example.org. 600 IN CNAME www.example.net.",
	"below.alias2.example.org. 600 IN CNAME host.sub.example.org.",
	"sub.example.org. 600 IN NS ns.sub.example.org.",
	"ns.sub.example.org. 600 IN A 192.0.2.54",
	"a.b.ent.example.org. 600 IN TXT deep",
	"*.wild.example.org. 600 IN TXT any",
	"d.example.org. 600 IN DNAME www.example.org.",
	"long.example.org. 600 IN DNAME " + strings.Repeat("abcdefghijklmnopqrstuvwxyz.", 7) + "example.org.",
	`odd.example.org. 600 IN TYPE65400 \# 3 0a0b0c`,
}

// newInstance runs the directives in text as one server block of CoreDNS would, without its servers, until the test ends.
func newInstance(t testing.TB, text string) *instance {
	t.Helper()
	c := caddy.NewTestController("dns", prepared(text))
	c.ServerBlockKeys = []string{"dns://example.org.:53"}
	if err := setup(c); err != nil {
		t.Fatal(err)
	}
	in := instanceOf(c)
	if err := in.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := in.shutdown(); err != nil {
			t.Error(err)
		}
	})
	return in
}

// newHandler returns the handler of a server block with the zones in words, served from a primary with these records.
func newHandler(t testing.TB, words, options string, records ...string) *SecondaryPlus {
	t.Helper()
	p := scripted.NewPrimary(t, scripted.Serve(testSecret, records...))
	in := newInstance(t, fmt.Sprintf("secondaryplus %s {\nprimary %s\n%s\n}", words, p.Addr(), options))
	h := in.handlers[0]
	h.Next = test.NextHandler(passedOn, nil)
	zone := dns.CanonicalName(scripted.Records(records[0])[0].Header().Name)
	wait(t, "contents of "+zone, func() bool { return h.zone(zone).Contents() != nil })
	return h
}

// passedOn is what the next plugin of newHandler returns.
const passedOn = 4000

// ask asks the handler as a server without TSIG keys would, and returns the reply, nil if nothing was written, and the code.
func ask(t testing.TB, h *SecondaryPlus, r *dns.Msg) (*dns.Msg, int) {
	t.Helper()
	w := dnstest.NewRecorder(&test.ResponseWriter{})
	code, err := h.ServeDNS(context.Background(), w, r)
	if err != nil {
		t.Fatalf("%v: %v", r.Question, err)
	}
	return w.Msg, code
}

// question returns a query.
func question(name string, qtype uint16) *dns.Msg { return new(dns.Msg).SetQuestion(name, qtype) }

// runCoreDNS runs a Corefile, of which SECRET is replaced, until the test ends.
func runCoreDNS(t testing.TB, corefile string) *caddy.Instance {
	t.Helper()
	instance, err := caddy.Start(input(corefile))
	if err != nil {
		t.Fatalf("Start: %v\n%s", err, corefile)
	}
	t.Cleanup(func() { stopCoreDNS(t, instance) })
	return instance
}

// prepared returns a Corefile with the secret filled in and, where it does not name a store, without one: tests would share it.
func prepared(corefile string) string {
	text := strings.ReplaceAll(corefile, "SECRET", testSecret)
	if strings.Contains(text, "store ") {
		return text
	}
	return openingLine.ReplaceAllString(text, "$1\nstore off")
}

var openingLine = regexp.MustCompile(`(?m)^(\s*secondaryplus[^\n{]*\{)$`)

func input(corefile string) caddy.Input {
	caddy.Quiet, dnsserver.Quiet = true, true
	return caddy.CaddyfileInput{Contents: []byte(prepared(corefile)), Filepath: "Corefile", ServerTypeName: "dns"}
}

// stopCoreDNS ends an instance the way a signal does.
func stopCoreDNS(t testing.TB, instance *caddy.Instance) {
	t.Helper()
	for _, err := range instance.ShutdownCallbacks() {
		t.Errorf("Shutdown: %v", err)
	}
	if err := instance.Stop(); err != nil {
		t.Errorf("Stop: %v", err)
	}
}

// wait fails the test unless cond comes true.
func wait(t testing.TB, what string, cond func() bool) {
	t.Helper()
	const patience = time.Minute
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(patience); !cond(); <-ticker.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %s", what, patience)
		}
	}
}

// exchange asks over the network ("udp" or "tcp").
func exchange(t testing.TB, network, addr string, m *dns.Msg) *dns.Msg {
	t.Helper()
	r, _, err := (&dns.Client{Net: network}).Exchange(m, addr)
	if err != nil {
		t.Fatalf("Exchange with %s: %v", addr, err)
	}
	return r
}

// waitServed waits until the zone is answered with the serial over UDP and TCP. CoreDNS does not stop a server that has not yet
// begun to serve, so a test that counts goroutines has to wait for both.
func waitServed(t testing.TB, addr, zone string, serial uint32) {
	t.Helper()
	for _, network := range []string{"udp", "tcp"} {
		wait(t, fmt.Sprintf("%s with serial %d over %s", zone, serial, network), func() bool {
			m, _, err := (&dns.Client{Net: network}).Exchange(question(zone, dns.TypeSOA), addr)
			if err != nil || len(m.Answer) != 1 {
				return false
			}
			soa, ok := m.Answer[0].(*dns.SOA)
			return ok && soa.Serial == serial
		})
	}
}

// waitUp waits until something is answered over UDP and TCP; see waitServed.
func waitUp(t testing.TB, addr string) {
	t.Helper()
	for _, network := range []string{"udp", "tcp"} {
		wait(t, addr+" over "+network, func() bool {
			_, _, err := (&dns.Client{Net: network}).Exchange(question("example.org.", dns.TypeSOA), addr)
			return err == nil
		})
	}
}

// wantNothingLeft fails the test if, at its very end, there are more goroutines or sockets than now. Call it first.
func wantNothingLeft(t *testing.T) {
	t.Helper()
	wantNoMore(t, "sockets", scripted.OpenSockets)
	wantNoMore(t, "goroutines", runtime.NumGoroutine)
}

// wantNoMore is wantNothingLeft for one thing: after a reload that fails CoreDNS itself leaves the sockets it has opened.
func wantNoMore(t *testing.T, what string, count func() int) {
	t.Helper()
	before := count()
	t.Cleanup(func() {
		defer forgetEngine()
		const patience = time.Minute // far more than idle connections are kept
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for deadline := time.Now().Add(patience); count() > before; <-ticker.C {
			runtime.GC() // closes the sockets that CoreDNS leaves open when a reload fails
			if time.Now().After(deadline) {
				buf := make([]byte, 1<<16)
				t.Errorf("%d %s are left; there were %d\n%s", count(), what, before, buf[:runtime.Stack(buf, true)])
				return
			}
		}
	})
}

// forgetEngine ends an engine that a test has failed to end, so that only that test fails.
func forgetEngine() {
	process.mu.Lock()
	left := slices.Clone(process.instances)
	process.mu.Unlock()
	for _, in := range left {
		_ = in.shutdown()
	}
}

// primaryOf is a primary whose zone can be changed, and that counts its transfers. It is safe for concurrent use.
type primaryOf struct {
	*scripted.Primary
	script    atomic.Pointer[scripted.Handler]
	transfers atomic.Int32
	checks    atomic.Int32
}

func newPrimaryOf(t testing.TB, records ...string) *primaryOf {
	t.Helper()
	p := &primaryOf{}
	p.serve(records...)
	p.Primary = scripted.NewPrimary(t, func(r scripted.Request, w *scripted.Writer) {
		switch r.Type {
		case dns.TypeAXFR, dns.TypeIXFR:
			p.transfers.Add(1)
		case dns.TypeSOA:
			p.checks.Add(1)
		}
		(*p.script.Load())(r, w)
	})
	return p
}

func (p *primaryOf) serve(records ...string) {
	h := scripted.Serve(testSecret, records...)
	p.script.Store(&h)
}
