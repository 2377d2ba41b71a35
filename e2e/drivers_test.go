//go:build e2e

package e2e_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// These tests are about the test servers themselves, so that a fault of theirs is not taken for one of ours.

func TestDriversTransferAndNotify(t *testing.T) {
	t.Parallel()
	eachPrimary(t, func(t *testing.T, start func(*testing.T, primarySpec) primary) {
		for name, key := range map[string]*tsigKey{"unsigned": nil, "signed": testKey("hmac-sha256")} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWitness(t)
				prim := start(t, primarySpec{
					Zones: map[string]string{mixedOrigin: mixedZone(1)}, Key: key, Notify: []netip.AddrPort{w.target()},
				})
				rrs := axfr(t, prim.addr(), mixedOrigin, key)
				if want := texts(parse(t, rrs)); len(want) != recordsOf(mixedZone(1)) {
					t.Errorf("AXFR has %d records, want %d: %s", len(want), recordsOf(mixedZone(1)), cmp.Diff(nil, want))
				}
				if key != nil {
					if out := dig(t, prim.addr(), mixedOrigin, "AXFR", nil); len(out) > 200 {
						t.Errorf("AXFR without the key has records:\n%s", tail(out))
					}
				}
				w.forget()
				prim.publish(t, mixedOrigin, newer(2))
				n := w.next(t)
				if (n.msg.IsTsig() != nil) != (key != nil) {
					t.Errorf("NOTIFY is signed: %t, want %t", n.msg.IsTsig() != nil, key != nil)
				}
				eventually(t, settleLimit, "Serial 2", func() string {
					if s, _ := serialAt(prim.addr(), mixedOrigin); s != 2 {
						return "not yet"
					}
					return ""
				})
			})
		}
	})
}

// witness takes the NOTIFYs a primary sends beside those it sends to the secondary, and knows when they came. It may
// be used by one test goroutine.
type witness struct {
	addr   netip.AddrPort
	notify chan notified
}

type notified struct {
	msg *dns.Msg
	at  time.Time
}

func newWitness(t *testing.T) *witness {
	t.Helper()
	w := &witness{notify: make(chan notified, 1000)}
	addr := serveDNS(t, "127.0.0.1", anySignature{}, func(rw dns.ResponseWriter, m *dns.Msg) {
		if m.Opcode == dns.OpcodeNotify {
			select {
			case w.notify <- notified{m, time.Now()}:
			default: // a test that needs a thousand does not exist
			}
		}
		_ = rw.WriteMsg(new(dns.Msg).SetReply(m))
	})
	w.addr = netip.MustParseAddrPort(addr)
	return w
}

func (w *witness) target() netip.AddrPort { return w.addr }

// forget drops the NOTIFYs so far, such as the ones sent at the primary's start.
func (w *witness) forget() {
	for {
		select {
		case <-w.notify:
		default:
			return
		}
	}
}

// next returns the next NOTIFY.
func (w *witness) next(t *testing.T) notified {
	t.Helper()
	select {
	case n := <-w.notify:
		return n
	case <-time.After(settleLimit):
		t.Fatal("No NOTIFY")
		return notified{}
	}
}

// anySignature takes every signature for a good one.
type anySignature struct{}

func (anySignature) Generate([]byte, *dns.TSIG) ([]byte, error) { return nil, dns.ErrNoSig }
func (anySignature) Verify([]byte, *dns.TSIG) error             { return nil }

// recordsOf counts the records of a master file that has one on each line.
func recordsOf(text string) int {
	zp := dns.NewZoneParser(strings.NewReader(text), "", "")
	n := 0
	for _, ok := zp.Next(); ok; _, ok = zp.Next() {
		n++
	}
	return n
}

func TestDriversTransferWithEachAlgorithm(t *testing.T) {
	t.Parallel()
	for _, algorithm := range algorithms {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			key := testKey(algorithm)
			prim := startBIND(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(1)}, Key: key})
			rrs := axfr(t, prim.addr(), mixedOrigin, key)
			if !slices.ContainsFunc(parse(t, rrs), func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeDNAME }) {
				t.Error("AXFR lacks the DNAME")
			}
		})
	}
}

var algorithms = []string{"hmac-md5", "hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"}
