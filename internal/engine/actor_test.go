package engine_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// The key of the tests, and what must not be seen anywhere.
const (
	keyName = "transfer.key."
	secret  = "dGhpcyBpcyB0aGUgc2VjcmV0IG9mIHRoZSB0ZXN0cw=="
)

// newKey returns the key with this name and secret.
func newKey(t *testing.T, name, secret string) *xfr.Key {
	t.Helper()
	k, err := xfr.NewKey(name, "hmac-sha256", secret)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// actor is a primary whose script can be changed, and that counts what it is asked. It is safe for concurrent use.
type actor struct {
	*dnstest.Primary
	sockets bool // it is not in memory
	script  atomic.Pointer[dnstest.Handler]

	mu     sync.Mutex
	asked  map[uint16]int // by type; IXFR counts as AXFR; guarded by mu
	origin []string       // of the transfers, in the order they were asked for; guarded by mu
}

// newActor returns an actor in memory that begins with script.
func newActor(t *testing.T, script dnstest.Handler) *actor {
	t.Helper()
	a := &actor{asked: map[uint16]int{}}
	a.play(script)
	a.Primary = dnstest.NewMemoryPrimary(t, a.answer)
	return a
}

// newSocketActor is newActor with sockets, for a test in real time to which they matter.
func newSocketActor(t *testing.T, script dnstest.Handler) *actor {
	t.Helper()
	a := &actor{asked: map[uint16]int{}, sockets: true}
	a.play(script)
	a.Primary = dnstest.NewPrimary(t, a.answer)
	return a
}

// answer counts a request and answers as the script has it.
func (a *actor) answer(r dnstest.Request, w *dnstest.Writer) {
	a.mu.Lock()
	if transfer(r) {
		a.asked[dns.TypeAXFR]++
		a.origin = append(a.origin, r.Name)
	} else {
		a.asked[r.Type]++
	}
	a.mu.Unlock()
	(*a.script.Load())(r, w)
}

func (a *actor) play(script dnstest.Handler) { a.script.Store(&script) }

func (a *actor) soaQueries() int { return a.count(dns.TypeSOA) }
func (a *actor) transfers() int  { return a.count(dns.TypeAXFR) }

func (a *actor) count(qtype uint16) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked[qtype]
}

// transferred returns the zones whose transfers were asked for, in this order.
func (a *actor) transferred() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.origin)
}

// primary returns a without a key.
func (a *actor) primary() xfr.Primary {
	p := xfr.Primary{Addr: a.Addr()}
	if !a.sockets {
		p.Dialer = a.Primary
	}
	return p
}

// transfer reports whether r asks for a transfer.
func transfer(r dnstest.Request) bool { return r.Type == dns.TypeAXFR || r.Type == dns.TypeIXFR }

// soa returns the SOA of a zone: an hour of refresh and retry, so that nothing happens of itself in a test.
func soa(zone string, serial uint32) string {
	return fmt.Sprintf("%s 3600 IN SOA ns.%s admin.%s %d 3600 3600 86400 300", zone, zone, zone, serial)
}

// version returns a zone of four records.
func version(zone string, serial uint32) []string {
	return []string{
		soa(zone, serial), zone + " 3600 IN NS ns." + zone, "ns." + zone + " 3600 IN A 192.0.2.1",
		fmt.Sprintf("www.%s 300 IN A 192.0.2.%d", zone, serial%256),
	}
}

// serve is the script of a correct primary of one version.
func serve(zone string, serial uint32) dnstest.Handler {
	return dnstest.Serve(secret, version(zone, serial)...)
}

// serveAny is the script of a correct primary of every zone, all with this serial.
func serveAny(serial uint32) dnstest.Handler {
	return func(r dnstest.Request, w *dnstest.Writer) { serve(r.Name, serial)(r, w) }
}

// spoiling is the script of a primary that has the version, and answers transfers of it as spoil does.
func spoiling(zone string, serial uint32, spoil dnstest.Handler) dnstest.Handler {
	good := serve(zone, serial)
	return func(r dnstest.Request, w *dnstest.Writer) {
		if transfer(r) {
			spoil(r, w)
			return
		}
		good(r, w)
	}
}

// answering is the script of a primary that answers transfers with these records in one message.
func answering(records ...string) dnstest.Handler {
	return func(r dnstest.Request, w *dnstest.Writer) { w.Send(r.Reply(records...)) }
}

// misshaping is answering with records of type A whose RDATA has three octets, at these owners, before the closing SOA.
func misshaping(records []string, owners ...string) dnstest.Handler {
	return func(r dnstest.Request, w *dnstest.Writer) {
		m := r.Reply(records...)
		last := len(m.Answer) - 1
		for _, owner := range owners {
			h := dns.RR_Header{Name: owner, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}
			m.Answer = slices.Insert(m.Answer, last, dns.RR(&dns.RFC3597{Hdr: h, Rdata: "C00002"}))
		}
		w.Send(m)
	}
}

// refusing is the script of a primary that answers everything with an RCODE.
func refusing(rcode int) dnstest.Handler {
	return func(r dnstest.Request, w *dnstest.Writer) { w.Send(r.Rcode(rcode)) }
}

// silent is the script of a primary that takes connections and never says a word.
func silent(r dnstest.Request, w *dnstest.Writer) {
	if !r.UDP {
		w.Hang()
	}
}
